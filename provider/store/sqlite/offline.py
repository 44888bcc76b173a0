"""What is done with a state directory while no daemon uses it."""

import os
import pwd
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from provider.model.errors import StoreConflict
from provider.store import offline
from provider.store.contents import Contents
from provider.store.sqlite import SqliteStore
from provider.store.sqlite.address import SqliteAddress


async def settle(
    address: SqliteAddress, _credentials: Path | None, _environment: Callable[[], Awaitable[str | None]] | None
) -> SqliteAddress:
    """Return the address: a directory is of one environment."""
    return address


def source(address: SqliteAddress, _credentials: Path | None) -> SqliteStore:
    """Return the store of a directory. Raises StoreConflict where there is none."""
    if not (address.directory / "bluegreen.db").exists():
        raise StoreConflict(f"{address.directory}: has no store (bluegreen.db). Name the state directory of a daemon")
    _refuse_foreign(address.directory)
    return SqliteStore(address.directory)


def target(address: SqliteAddress, _credentials: Path | None) -> SqliteStore:
    """Return a store to be filled."""
    if address.directory.exists():
        _refuse_foreign(address.directory)
    return SqliteStore(address.directory)


async def read_all(address: SqliteAddress, credentials: Path | None) -> Contents:
    """Return everything that a store holds. Raises StoreConflict where there is none, StoreLocked while it is used."""
    return await offline.read_all(source(address, credentials))


def _refuse_foreign(directory: Path) -> None:
    """Refuse a directory of somebody else: root would leave files that the daemon cannot write."""
    owner = directory.stat().st_uid
    if os.geteuid() != owner:
        name = str(owner)
        with suppress(KeyError):
            name = pwd.getpwuid(owner).pw_name
        raise StoreConflict(
            f"{directory}: belongs to {name}. Run this as that user, as the daemon does (sudo -u {name})"
        )
