"""Elections: one replica leads, by a key on a lease that it keeps alive (rule 50).

The key's create revision is the epoch, which every write of the term compares. So a replica that believes that it leads
when it does not any more can do no harm, and clocks decide only when it stops trying.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

import structlog

from provider.model.errors import StoreError, StoreLocked
from provider.runtime.clock import loop_s
from provider.store.etcd.format import read_format
from provider.store.etcd.gateway import Answer, Compare, Gateway, Get, KeyValue, Put, Target
from provider.store.etcd.keys import Keys
from provider.store.etcd.leader import Identity, LeaderInfo, Term, read_leader

log = structlog.get_logger("bluegreen")

LEASE_S = 3
LOOK_S = 1.0
"""A look beside the watch, which may be deaf."""
KEEP_S = 0.5
ANSWER_S = 1.0
"""A look that takes longer is no word: the lease has to be kept meanwhile."""
UNSURE_S = 10.0
"""After so long without word from etcd a replica gives up its term: longer than etcd takes to choose a leader of its
own, which keeps all leases meanwhile."""
RETRY_S = 0.2
FAILURES_MOST = 3
"""Attempts in a row that etcd refuses while it chooses a leader of its own."""


@dataclass(frozen=True, slots=True)
class Won:
    """An election that this replica has won; the lease was sure to last when `asked_s` was."""

    epoch: int
    lease: int
    asked_s: float


class Election:
    """Stands until this replica leads.

    It does not stand while it does not know the format of the store, or `hindrance` says what else hinders, or where
    the prefix is empty `hindrance_on_empty`: what is known to those may be older than what the election reads.
    `on_failure` hears why etcd lets nobody stand, each time once that has lasted.
    """

    def __init__(
        self,
        gateway: Gateway,
        keys: Keys,
        identity: Identity,
        new_id: Callable[[], str],
        hindrance: Callable[[], str | None],
        hindrance_on_empty: Callable[[], str | None],
        on_failure: Callable[[str], None],
    ) -> None:
        self._gateway, self._keys, self._identity, self._new_id = gateway, keys, identity, new_id
        self._hindrance, self._hindrance_on_empty = hindrance, hindrance_on_empty
        self._on_failure, self._failures = on_failure, 0
        self._changed = asyncio.Event()
        self._looked_at = 0

    async def win(self, wait_s: float) -> Won:
        """Return once this replica leads. Raises StoreLocked, naming the leader, after `wait_s`."""
        async with asyncio.TaskGroup() as group:
            follower = group.create_task(self._follow(), name="election")
            won, hindrance = await self._stand_until(loop_s() + wait_s)
            follower.cancel()
        if won is None:
            raise StoreLocked(f"{self._keys.prefix} in etcd: {hindrance}, still after {wait_s:g} s")
        return won

    async def _stand_until(self, end_s: float) -> tuple[Won | None, str]:
        while True:
            self._changed.clear()
            try:
                won, hindrance = await self._attempt()
                self._failures = 0
            except StoreError as failure:
                won, hindrance = None, str(failure)
                self._failures += 1
                if self._failures >= FAILURES_MOST:
                    self._on_failure(hindrance)
            if won is not None or loop_s() >= end_s:
                return won, hindrance
            with suppress(TimeoutError):
                async with asyncio.timeout(min(LOOK_S, end_s - loop_s())):
                    await self._changed.wait()

    async def _attempt(self) -> tuple[Won | None, str]:
        """Look who leads, and stand where nobody does; return what hinders."""
        nothing = [Compare(key, Target.CREATE, 0) for key in self._keys.content]
        reads = [Get(self._keys.leader), Get(self._keys.format)]
        answer = await self._gateway.transact(nothing, reads, reads)
        is_empty = answer.succeeded
        self._looked_at = answer.revision
        leaders, formats = answer.found
        form = read_format(formats)
        if not form.is_known:
            return None, form.hindrance
        if leaders:
            leader = read_leader(leaders)
            if leader is not None and leader.process == self._identity.process != "":
                # An earlier term of this process, which could not give its lease back: etcd was away.
                await self._gateway.revoke(leaders[0].lease)
                self._changed.set()
            return None, f"replica {leader.name if leader else 'unknown'} leads"
        hindrance = self._hindrance() or (self._hindrance_on_empty() if is_empty else None)
        if hindrance is not None:
            return None, hindrance
        return await self._stand(formats[0] if formats else None)

    async def _stand(self, form: KeyValue | None) -> tuple[Won | None, str]:
        asked_s = loop_s()
        lease = await self._gateway.grant(LEASE_S)
        try:
            answer = await self._put(lease, form)
        except BaseException:
            # It may have been done, or be done late: without its lease the key is gone, or never there.
            with suppress(StoreError):
                await self._gateway.revoke(lease)
            raise
        if answer.succeeded:
            log.info("leads", replica=self._identity.name, epoch=answer.revision)
            return Won(answer.revision, lease, asked_s), ""
        with suppress(StoreError):
            await self._gateway.revoke(lease)
        return None, "another replica was faster"

    async def _put(self, lease: int, form: KeyValue | None) -> Answer:
        me = self._identity
        leader = LeaderInfo(id=me.id, name=me.name, address=me.address, process=me.process, attempt=self._new_id())
        return await self._gateway.transact(
            [
                Compare(self._keys.leader, Target.CREATE, 0),
                Compare(self._keys.format, Target.MOD, form.mod_revision if form is not None else 0),
            ],
            [Put(self._keys.leader, leader.model_dump_json().encode(), lease)],
            [Get(self._keys.leader)],
        )

    async def _follow(self) -> None:
        """Have the next look made at once when the leader goes. What it sees is only a hint, so it may miss some."""
        key = self._keys.leader
        while True:
            await asyncio.sleep(RETRY_S)
            if self._looked_at:
                with suppress(StoreError):
                    async with self._gateway.watch([(key, key + b"\0")], self._looked_at + 1) as watch:
                        async for _ in watch:
                            self._changed.set()


class LeaseKeeper:
    """Keeps the lease of a term, and finds out when the term is over."""

    def __init__(self, term: Term, won: Won, *, unsure_s: float = UNSURE_S) -> None:
        self._term, self._lease, self._unsure_s = term, won.lease, unsure_s
        self._heard_s = won.asked_s

    async def run(self) -> None:
        """Keep the lease alive until cancelled, or the term is over."""
        while not self._term.lost.is_set():
            await self.keep()
            await asyncio.sleep(KEEP_S)
        await asyncio.Event().wait()

    async def keep(self) -> None:
        """Have the lease begin again, and look who leads; the key may be gone though its lease is not."""
        asked_s = loop_s()
        try:
            if not await self._term.gateway.keep_alive(self._lease):
                self._end("its lease has ended")
                return
            async with asyncio.timeout(ANSWER_S):
                answer = await self._term.gateway.transact((), [self._term.who])
            if self._term.is_over(answer.found[0]):
                self._end("its key in etcd is gone")
            self._heard_s = asked_s
        except (StoreError, TimeoutError) as failure:
            if loop_s() - self._heard_s >= self._unsure_s:
                self._end(f"no word from etcd for {self._unsure_s:g} s: {failure}")

    async def resign(self) -> None:
        """Let others lead at once. Where etcd does not answer, the lease ends by itself."""
        self._term.lost.set()
        with suppress(StoreError):
            await self._term.gateway.revoke(self._lease)

    def _end(self, why: str) -> None:
        self._term.lost.set()
        log.warning("does not lead any more", epoch=self._term.epoch, cause=why)
