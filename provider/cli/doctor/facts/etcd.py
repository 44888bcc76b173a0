"""Asks every member of etcd that is named how it stands, through its JSON gateway (rule 65)."""

import asyncio
from dataclasses import replace
from pathlib import Path

from provider.cli.doctor.checks.replicas import ClusterHealth, MemberHealth
from provider.model.errors import StoreError
from provider.store.etcd.address import EtcdAddress, check_protected
from provider.store.etcd.client import JsonGateway, connect
from provider.store.etcd.gateway import EtcdRefused, Get
from provider.store.etcd.keys import Keys

COMPACTED = "compacted"


async def gather(address: EtcdAddress, credentials: Path | None) -> ClusterHealth:
    """Ask each member that is named. Raises AddressError and FileRefused."""
    check_protected(address, credentials)
    seen = await asyncio.gather(
        *(_member(replace(address, endpoints=(one,)), credentials) for one in address.endpoints)
    )
    health = tuple(one for one in seen if isinstance(one, MemberHealth))
    failures = tuple(one for one in seen if not isinstance(one, MemberHealth))
    gateway = connect(address, credentials)
    try:
        return ClusterHealth(health, failures, await _members(gateway), await _is_compacted(gateway, address.prefix))
    finally:
        await gateway.close()


async def _member(address: EtcdAddress, credentials: Path | None) -> MemberHealth | tuple[str, str]:
    gateway, (endpoint,) = connect(address, credentials), address.endpoints
    try:
        status = await gateway.status()
        quota_bytes = status.quota_bytes or await gateway.quota_bytes()
    except StoreError as failure:
        return endpoint, str(failure)
    finally:
        await gateway.close()
    return MemberHealth(
        endpoint=endpoint,
        version=status.version,
        revision=status.header.revision,
        has_leader=status.leader != 0,
        size_bytes=status.size_bytes,
        quota_bytes=quota_bytes,
        alarms=tuple(alarm for error in status.errors if (alarm := error.partition("alarm:")[2].strip())),
    )


async def _members(gateway: JsonGateway) -> int | None:
    try:
        return await gateway.members()
    except StoreError:
        return None


async def _is_compacted(gateway: JsonGateway, prefix: str) -> bool | None:
    """Return whether the first revision is gone; etcd does not tell how it was started."""
    try:
        await gateway.transact((), [Get(Keys(prefix).head, revision=1, is_serializable=True)])
    except EtcdRefused as refusal:
        return True if COMPACTED in str(refusal) else None
    except StoreError:
        return None
    return False
