"""A small replica over a store: it leads terms, counts what clients ask for, publishes the counts, and serves.

The store and the mirror are production's; the term's body is the controller's way of using them, with numbers that a
checker can follow: every decision adds one to the rollouts of a group, and its number stands in the history.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from hashlib import sha256
from itertools import count
from typing import TypeAlias

import orjson

from provider.model import Decision, Event, GroupState, ServerKey
from provider.model.document import Document
from provider.model.errors import LeadershipLost, StoreError, StoreUncertain
from provider.store import Change, StoredServers
from provider.store.etcd.documents import Numbered
from provider.store.etcd.gateway import Gateway
from provider.store.etcd.leader import Identity
from provider.store.etcd.mirror import Mirror
from provider.store.etcd.mirrored import MirrorListeners
from provider.store.etcd.replicas import ReplicaInfo
from provider.store.etcd.store import EtcdStore
from provider.store.interface import Store

POLL_S = 0.7
SAVE_S = 1.1
AGAIN_S = 0.3
START_UTC = datetime(2026, 1, 1, tzinfo=UTC)


class Outcome(StrEnum):
    """What a client was told of its decision."""

    DONE = "done"
    VOID = "void"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Asked:
    """A decision that a client asked for, and what it was told, when."""

    number: int
    began_s: float
    ended_s: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Took:
    """A replica began to lead, and found these counts and this revision in the store."""

    replica: str
    at_s: float
    counts: Mapping[str, int]
    revision: int


@dataclass(frozen=True, slots=True)
class Served:
    """A replica serves a document from now on."""

    replica: str
    at_s: float
    revision: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Fresh:
    """A replica was asked at `at_s` whether what it serves is fresh, and said so."""

    replica: str
    at_s: float
    revision: int


@dataclass(frozen=True, slots=True)
class Published:
    """A leader was told that etcd has its document."""

    replica: str
    at_s: float
    revision: int


Record: TypeAlias = Asked | Took | Served | Fresh | Published


class Disk:
    """Where a replica keeps its last document; it outlives a process."""

    def __init__(self) -> None:
        self._value: bytes | None = None

    def load(self) -> bytes | None:
        return self._value

    async def save(self, value: bytes) -> None:
        self._value = value


@dataclass(frozen=True, slots=True)
class _Wish:
    """A decision that somebody asked for; the answer comes in the future."""

    number: int
    group: str
    answer: "asyncio.Future[Outcome]"

    def tell(self, outcome: Outcome) -> None:
        """Answer, if nobody has and somebody waits."""
        if not self.answer.done():
            self.answer.set_result(outcome)


class Replica:
    """See the module. `tell` gets what it sees; `revision` and `body` are of the document it serves."""

    def __init__(
        self,
        gateway: Gateway,
        prefix: str,
        name: str,
        disk: Disk,
        tell: Callable[[Record], None],
        new_id: Callable[[], str],
    ) -> None:
        self.name, self._tell = name, tell
        listeners = MirrorListeners(on_document=self._served)
        self._mirror = Mirror(gateway, prefix, ReplicaInfo(id=name, name=name), listeners, kept=disk)
        self._store = partial(
            EtcdStore,
            gateway,
            prefix,
            Identity(name, name),
            hindrance=lambda: self._mirror.hindrance,
            hindrance_on_empty=lambda: self._mirror.hindrance_on_empty,
            new_id=new_id,
        )
        self.revision, self.body = 0, b""
        self._term: _Term | None = None

    @property
    def is_leading(self) -> bool:
        """Whether it takes decisions."""
        return self._term is not None

    async def run(self) -> None:
        """Follow, stand for election, and poll the mirror, until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._mirror.run())
                group.create_task(self._lead())
                group.create_task(self._poll())
        finally:
            await self._mirror.leave()

    def decide(self, number: int, group: str) -> "asyncio.Future[Outcome]":
        """Add one to a group's rollouts. The answer never comes where the process ends before it is known."""
        wish = _Wish(number, group, asyncio.get_running_loop().create_future())
        if self._term is None:
            wish.tell(Outcome.VOID)
        else:
            self._term.wishes.put_nowait(wish)
        return wish.answer

    def _served(self, found: Numbered) -> None:
        self.revision, self.body = found.revision, found.document.body
        self._tell(Served(self.name, _now_s(), found.revision, found.document.body))

    def _published(self, revision: int) -> None:
        self._tell(Published(self.name, _now_s(), revision))

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            asked_s = _now_s()
            if await self._mirror.fresh():
                self._tell(Fresh(self.name, asked_s, self.revision))

    async def _lead(self) -> None:
        while True:
            store = self._store()
            try:
                stored = await store.open(wait_s=math.inf)
                counts = {name: state.rollouts for name, state in stored.groups.items()}
                self._tell(Took(self.name, _now_s(), counts, stored.revision))
                self._term = _Term(store, counts, self._published)
                await self._term.run()
            except StoreError:
                await asyncio.sleep(AGAIN_S)  # as the daemon: a term that could not begin is tried again
            finally:
                self._term = None
                await store.close()


class _Term:
    """What a leader does: it decides one after the other, publishes what is committed, and saves what it sees."""

    def __init__(self, store: Store, counts: Mapping[str, int], on_published: Callable[[int], None]) -> None:
        self.wishes: asyncio.Queue[_Wish] = asyncio.Queue()
        self._on_published = on_published
        self._store, self._counts = store, dict(counts)
        self._unpublished = asyncio.Event()

    async def run(self) -> None:
        """Lead until the term is over."""
        loops = [*(loop() for loop in self._store.loops().values()), self._decide(), self._publish(), self._save()]
        tasks = [asyncio.ensure_future(loop) for loop in (*loops, self._store.lost.wait())]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in ended:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            while not self.wishes.empty():
                self.wishes.get_nowait().tell(Outcome.VOID)

    async def _decide(self) -> None:
        while True:
            wish = await self.wishes.get()
            try:
                await self._commit(wish)
            except LeadershipLost:
                wish.tell(Outcome.VOID)
                raise
            except StoreUncertain:
                wish.tell(Outcome.UNKNOWN)
            except StoreError:
                wish.tell(Outcome.VOID)
            else:
                wish.tell(Outcome.DONE)

    async def _commit(self, wish: _Wish) -> None:
        count = self._counts.get(wish.group, 0) + 1
        row = Decision(START_UTC, wish.group, Event.BEGUN, rollout=f"r{count}", detail=str(wish.number))
        await self._store.commit(Change(groups={wish.group: GroupState(rollouts=count)}, decisions=(row,)))
        self._counts[wish.group] = count
        self._unpublished.set()

    async def _publish(self) -> None:
        self._unpublished.set()
        while True:
            await self._unpublished.wait()
            self._unpublished.clear()
            body = orjson.dumps(self._counts, option=orjson.OPT_SORT_KEYS)
            etag = sha256(body).hexdigest()
            try:
                revision = await self._store.publish(Document(body, etag, f"bluegreen-{etag[:12]}"))
                self._on_published(revision)
            except LeadershipLost:
                raise
            except StoreError:
                self._unpublished.set()
                await asyncio.sleep(AGAIN_S)

    async def _save(self) -> None:
        for number in count(1):
            await asyncio.sleep(SAVE_S)
            seen = StoredServers(published=frozenset({ServerKey(f"http://10.0.0.1:{number}", None, "r1")}))
            with suppress(StoreError):
                await self._store.save_desired(f"number {number}")
            with suppress(StoreError):
                await self._store.save_servers({"shop": seen})


def _now_s() -> float:
    return asyncio.get_running_loop().time()
