"""Writes what this replica says of itself: `replicas/ID` on a lease, and `pollers/ID`, which outlives it (rule 59)."""

import asyncio
from contextlib import suppress
from math import inf

import structlog

from provider.model.errors import StoreError
from provider.runtime.clock import loop_s
from provider.store.etcd.gateway import Compare, Delete, Gateway, Get, Put, Target
from provider.store.etcd.keys import Keys
from provider.store.etcd.replicas import PollersInfo, ReplicaInfo

log = structlog.get_logger("bluegreen")

LEASE_S = 10
KEEP_S = 2.0
LOOK_S = 1.0
PAUSE_S = 0.5
"""What is new is written at once, but no more often than this."""
REFRESH_S = 10.0
"""How old the time of the last polls may be."""


class Presence:
    """See the module. `info` is what is said; `put_pollers` is called as often as one likes."""

    def __init__(self, gateway: Gateway, keys: Keys, info: ReplicaInfo) -> None:
        self._gateway, self._keys, self._info = gateway, keys, info
        self._lease = 0
        self._is_said = False
        self._changed = asyncio.Event()
        self._pollers: PollersInfo | None = None
        self._written: PollersInfo | None = None
        self._written_s = -inf
        self._revision = 0

    def put_info(self, info: ReplicaInfo) -> None:
        """Say something else of this replica."""
        if info != self._info:
            self._info, self._is_said = info, False
            self._changed.set()

    def see(self, found: ReplicaInfo | None) -> str | None:
        """Take what etcd has of this replica; return who else has its name, where somebody has.

        Where that one has ended, this one says again that it is there.
        """
        if not self._is_said:
            return None
        if found is None:
            self._is_said = False
            self._changed.set()
        elif found.process != self._info.process:
            where = f" at {found.address}" if found.address else ""
            return f"another replica{where} is called {found.name}, too: give each a --replica of its own"
        return None

    def put_pollers(self, pollers: PollersInfo) -> None:
        """Say who polls here."""
        self._pollers = pollers
        if self._written is None or not pollers.has_same_documents(self._written):
            self._changed.set()

    async def run(self) -> None:
        """Write both until cancelled; what is new at once."""
        next_s = 0.0
        while True:
            self._changed.clear()
            try:
                if not self._is_said or loop_s() >= next_s:
                    await self._say()
                    next_s = loop_s() + KEEP_S
                if self._is_due():
                    await self._write()
            except StoreError as failure:
                log.debug("etcd does not know of this replica", cause=str(failure))
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self._changed.wait()
            await asyncio.sleep(self._written_s + PAUSE_S - loop_s())

    async def leave(self) -> None:
        """Say at once that this replica ends; who polls it stays known."""
        with suppress(StoreError):
            if self._is_due():
                await self._write()
            if self._lease:
                await self._gateway.revoke(self._lease)

    async def _say(self) -> None:
        if self._lease and self._is_said and await self._gateway.keep_alive(self._lease):
            return
        self._is_said = False
        if not self._lease or not await self._gateway.keep_alive(self._lease):
            self._lease = await self._gateway.grant(LEASE_S)
        info = self._info
        await self._gateway.transact(
            (), [Put(self._keys.replica(info.id), info.model_dump_json().encode(), self._lease)]
        )
        self._is_said = info == self._info

    def _is_due(self) -> bool:
        if self._pollers is None or self._pollers == self._written:
            return False
        is_new = self._written is None or not self._pollers.has_same_documents(self._written)
        return is_new or loop_s() - self._written_s >= REFRESH_S

    async def _write(self) -> None:
        """Put who polls here, in place of what this replica wrote before: one that comes late replaces nothing."""
        key, pollers = self._keys.poller(self._info.id), self._pollers
        if pollers is None:
            return
        answer = await self._gateway.transact(
            [Compare(key, Target.MOD, self._revision)], [Put(key, pollers.model_dump_json().encode())], [Get(key)]
        )
        if answer.succeeded:
            self._revision, self._written, self._written_s = answer.revision, pollers, loop_s()
        else:
            self._revision = answer.found[0][0].mod_revision if answer.found[0] else 0
            self._changed.set()


async def forget_replica(gateway: Gateway, keys: Keys, replica: str) -> bool:
    """Delete who polled a replica that is gone for good; return whether it is: one that lives is not forgotten.

    Raises StoreError.
    """
    answer = await gateway.transact(
        [Compare(keys.replica(replica), Target.CREATE, 0)], [Delete(keys.poller(replica))], [Get(keys.replica(replica))]
    )
    return answer.succeeded
