"""What is done with a prefix apart from the replicas: reading all of it at one revision, and filling an empty one."""

import secrets
import socket
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from provider.model import Decision, ServiceState, listed
from provider.model.desired import key_of
from provider.model.errors import AddressError, ChangeTooLarge, StoreConflict, StoreError
from provider.store.contents import Contents
from provider.store.etcd.address import NAME_IT, EtcdAddress, check_protected
from provider.store.etcd.client import JsonGateway, connect
from provider.store.etcd.format import UNFINISHED, format_for, read_format
from provider.store.etcd.gateway import Delete, Gateway, Get, KeyValue, Operation, Put
from provider.store.etcd.history import HISTORY_KEPT, decisions_of
from provider.store.etcd.keys import Keys
from provider.store.etcd.leader import Identity
from provider.store.etcd.loading import read_range, read_ranges, stored_of
from provider.store.etcd.rows import Book
from provider.store.etcd.store import EtcdStore
from provider.store.records import Change, Stored

T = TypeVar("T")

GROUPS_AT_ONCE = 20
DECISIONS_AT_ONCE = 100
ENVIRONMENTS_SHOWN = 20


def store(address: EtcdAddress, credentials: Path | None) -> "OfflineStore":
    """Return the store of a prefix, to be read or filled. Raises AddressError and FileRefused."""
    check_protected(address, credentials)
    return OfflineStore(connect(address, credentials), address.prefix)


async def read_all(address: EtcdAddress, credentials: Path | None) -> Contents:
    """Return everything at one revision, whoever leads meanwhile. Raises AddressError, FileRefused and StoreError."""
    check_protected(address, credentials)
    gateway, keys = connect(address, credentials), Keys(address.prefix)
    try:
        return await _read(gateway, keys)
    finally:
        await gateway.close()


async def settle(
    address: EtcdAddress, credentials: Path | None, environment: Callable[[], Awaitable[str | None]] | None
) -> EtcdAddress:
    """Return the address of one environment: of the one asked for, else the only one that there is.

    Raises AddressError, FileRefused and StoreError.
    """
    if not address.is_of_several:
        return address
    if environment is not None:
        return address.of_environment(await environment())
    check_protected(address, credentials)
    gateway = connect(address, credentials)
    try:
        found = await _environments(gateway, address.prefix)
    finally:
        await gateway.close()
    if len(found) > 1:
        names = ", ".join(found)
        way_out = NAME_IT.format(prefix=address.prefix)
        raise AddressError(f"--store: {address.prefix} in etcd has several environments ({names}): {way_out}")
    return address.of_environment(found[0] if found else None)


async def _environments(gateway: Gateway, prefix: str) -> list[str]:
    """Return the names below a prefix that have keys below them, some of them where there are many."""
    found: list[str] = []
    start, end = f"{prefix}/".encode(), f"{prefix}0".encode()  # 0 is what follows /
    while len(found) < ENVIRONMENTS_SHOWN:
        first = (await gateway.transact((), [Get(start, end, limit=1)])).found[0]
        if not first:
            break
        name, slash, _ = first[0].key.removeprefix(f"{prefix}/".encode()).partition(b"/")
        if slash:
            found.append(name.decode(errors="replace"))
        start = f"{prefix}/".encode() + name + (b"0" if slash else b"\0")
    return found


async def _read(gateway: Gateway, keys: Keys) -> Contents:
    names = (keys.head, keys.document, keys.desired, keys.applied, keys.floor, keys.format)
    answer = await gateway.transact((), [Get(name) for name in names])
    found = dict(zip(names, answer.found, strict=True))
    form = read_format(found[keys.format])
    if not form.is_known:
        raise StoreError(f"{keys.prefix} in etcd: {form.hindrance}")
    book = Book(keys)
    book.load(*await read_ranges(gateway, (keys.groups, keys.servers), answer.revision))
    rows = await read_range(gateway, keys.history, answer.revision)
    history = [decision for row in rows for decision in decisions_of(row)][-HISTORY_KEPT:]
    singles: dict[bytes, KeyValue] = {name: read[0] for name, read in found.items() if read}
    return Contents(await stored_of(keys, book, singles), tuple(reversed(history)))


class OfflineStore(EtcdStore):
    """A store that is no replica's; it leads meanwhile, so that no replica decides."""

    def __init__(self, gateway: JsonGateway, prefix: str) -> None:
        identity = Identity(secrets.token_hex(8), f"bluegreen store on {socket.gethostname()}")
        super().__init__(gateway, prefix, identity, history_limit=HISTORY_KEPT)
        self._client = gateway

    async def restore(self, stored: Stored, history: Sequence[Decision]) -> None:
        """Fill this prefix; until all is there, its format says so, and no replica leads with a part.

        Raises StoreConflict where there is something already.
        """
        term, keys = self._opened.term, self._keys
        await self._refuse_filled()
        await self._put([Put(keys.format, UNFINISHED.text())])
        try:
            await self._fill(stored, history)
            floor = [Put(keys.floor, b"%d" % stored.revision)] if stored.revision else []
            await self._put([*floor, Put(keys.format, format_for(()).text())])
        except StoreError:
            if not term.lost.is_set():
                await self._put([Delete(start, end) for start, end in keys.all_but_leaders])
            raise

    async def close(self) -> None:
        """Let a replica lead, and close the connections."""
        try:
            await super().close()
        finally:
            await self._client.close()

    async def _refuse_filled(self) -> None:
        gateway, keys = self._client, self._keys
        found = [one.key for each in keys.all_but_leaders for one in await read_range(gateway, each, 0)]
        shown = [key.decode(errors="replace") for key in found if key != keys.format]
        if shown:
            raise StoreConflict(
                f"{keys.prefix} in etcd: has a store already ({listed(shown)}), so nothing was changed. Name a prefix "
                f"without keys, or delete all of these (etcdctl del --prefix {keys.prefix}/)"
            )

    async def _fill(self, stored: Stored, history: Sequence[Decision]) -> None:
        members: dict[str, dict[str, ServiceState]] = {key: {} for key in stored.groups}
        for name, state in stored.services.items():
            members.setdefault(key_of(name, state.group), {})[name] = state

        def states(keys: Sequence[str]) -> Change:
            services = {name: state for key in keys for name, state in members[key].items()}
            return Change(services, {key: stored.groups[key] for key in keys if key in stored.groups})

        await self._commit_all(sorted(members), states, GROUPS_AT_ONCE)
        await self._commit_all(history[::-1], lambda some: Change(decisions=tuple(some)), DECISIONS_AT_ONCE)
        await self.save_servers(stored.servers)
        if stored.desired_text is not None:
            await self.save_desired(stored.desired_text)
        if stored.applied is not None:
            await self.save_applied(stored.applied)

    async def _commit_all(self, parts: Sequence[T], change: Callable[[Sequence[T]], Change], most: int) -> None:
        """Commit the change of some parts after the other, of fewer where that is too large for one transaction."""
        begin = 0
        while some := parts[begin : begin + most]:
            try:
                await self.commit(change(some))
            except ChangeTooLarge:
                if len(some) == 1:
                    raise
                most = len(some) // 2
            else:
                begin += len(some)

    async def _put(self, operations: Sequence[Operation]) -> None:
        term = self._opened.term
        answer = await self._client.transact([term.leads], operations, [term.who])
        if not answer.succeeded:
            raise term.ended(answer.found[0])
