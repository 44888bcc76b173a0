"""The mirror: what every replica, the leader too, follows of the store, and serves (rules 54, 55, 57).

A watch brings what is new at once, and a linearizable look every half a second says how old the newest word is. The
watch begins where a read of everything ended, so it does not matter what etcd has compacted. When a look sees a
document that the watch has not brought half a second later, the watch is deaf, and the next one goes to another member.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from math import inf

import structlog

from provider.model.errors import StoreError
from provider.runtime.clock import loop_s
from provider.store.etcd.documents import Numbered
from provider.store.etcd.format import read_format
from provider.store.etcd.gateway import Answer, Changes, Compare, Gateway, Get, Operation, Put, Target
from provider.store.etcd.hint import LeaderHint
from provider.store.etcd.kept import Kept, kept_document
from provider.store.etcd.keys import Keys
from provider.store.etcd.loading import read_floor
from provider.store.etcd.mirrored import Leading, Mirrored, MirrorListeners, Trouble
from provider.store.etcd.presence import Presence
from provider.store.etcd.replicas import PollersInfo, ReplicaInfo

log = structlog.get_logger("bluegreen")

FRESH_S = 1.5
"""Word from etcd that is younger is fresh."""
ATTEMPT_S = 0.6
LOOK_S = 0.5
READ_S = 5.0
"""How often everything is read, beside the watch: a deaf one shows here, too."""
RETRY_S = 0.2
DEAF_S = 0.4
"""A watch that brings later what a look has seen is deaf."""
AWAY_S = 5.0
"""Etcd takes two or three to choose another leader of its own, which is no trouble yet."""
KEPT_AFTER_S = 10.0
"""How long a start waits for etcd before it serves the document that was kept."""


class Mirror:
    """See the module. `listeners` hear of what is new; `info` is what this replica says of itself.

    `kept` is where the last document is kept. `is_new_store` allows an empty prefix (`--new-store`).
    """

    def __init__(
        self,
        gateway: Gateway,
        prefix: str,
        info: ReplicaInfo,
        listeners: MirrorListeners,
        *,
        kept: Kept | None = None,
        is_new_store: bool = False,
    ) -> None:
        self._gateway, self._keys, self._kept = gateway, Keys(prefix), kept
        self._info, self._is_new_store = info, is_new_store
        self._on_trouble = listeners.on_trouble
        self._hint = LeaderHint(gateway, info.id)
        self._presence = Presence(gateway, self._keys, info)
        self.state = Mirrored(self._keys, self._with_own(listeners))
        self._kept_document: Numbered | None = None
        self._to_keep = asyncio.Event()
        self._asking = asyncio.Lock()
        self._heard_s: float | None = None
        self._failed_s: float | None = None
        self._failure = ""
        self._newest = 0
        self._watch = _Watch()
        self._trouble: Trouble | None = None
        self._is_refused = self._is_compared = False
        self._double: str | None = None

    @property
    def store_age_s(self) -> float:
        """How old the newest word from etcd is; infinite before the first."""
        return inf if self._heard_s is None else loop_s() - self._heard_s

    @property
    def is_fresh(self) -> bool:
        """Whether the newest word from etcd is young enough (rule 54)."""
        return self.store_age_s <= FRESH_S

    @property
    def hindrance(self) -> str | None:
        """Why this replica must not stand for election; None where it may."""
        if not self._is_compared:
            return "has not read etcd yet"
        return self._refusal() if self._is_refused else self._double

    @property
    def hindrance_on_empty(self) -> str | None:
        """Why this replica must not begin anew where etcd has nothing (rule 57); None where it may."""
        return self._refusal() if self.state.served_revision > 0 and not self._is_new_store else None

    def put_info(self, info: ReplicaInfo) -> None:
        """Say something else of this replica."""
        self._info = info
        self._presence.put_info(info)

    def put_pollers(self, pollers: PollersInfo) -> None:
        """Say who polls here."""
        self._presence.put_pollers(pollers)

    async def run(self) -> None:
        """Follow the store until cancelled."""
        if self._kept is not None:
            self._kept_document = kept_document(self._kept)
        if self._kept_document is not None:
            self.state.served_revision = self._kept_document.revision
        async with asyncio.TaskGroup() as group:
            for loop in (self._look_always, self._follow, self._serve_kept, self._keep):
                group.create_task(loop(), name=loop.__name__)
            group.create_task(self._presence.run(), name="presence")
            group.create_task(self._hint.run(), name="leader")

    async def leave(self) -> None:
        """Say at once that this replica ends; call it when `run` has ended."""
        await self._presence.leave()

    async def fresh(self) -> bool:
        """Return whether what is served rests on word from etcd that is fresh (rule 54).

        Where there is none, asks once, for all who wait; where that has failed a moment ago, answers at once.
        """
        if not self._is_to_be_asked():
            return self.is_fresh
        async with self._asking:
            if self._is_to_be_asked():
                await self._ask(self._look)
        return self.is_fresh

    def _is_to_be_asked(self) -> bool:
        if self.is_fresh:
            return False
        return self._failed_s is None or loop_s() - self._failed_s >= FRESH_S

    async def _look_always(self) -> None:
        began_s = loop_s()
        read_s = began_s
        while True:
            is_reading = loop_s() >= read_s
            async with self._asking:
                is_well = await self._ask(self._read if is_reading else self._look)
            if is_reading and is_well:
                read_s = loop_s() + READ_S
            self._watch.check(loop_s())
            self._follow_trouble(began_s)
            await asyncio.sleep(LOOK_S if is_well else RETRY_S)

    async def _ask(self, ask: Callable[[], Awaitable[int]]) -> bool:
        """Ask etcd, and note how old its word is; return whether it answered."""
        asked_s = loop_s()
        try:
            async with asyncio.timeout(ATTEMPT_S):
                await ask()
        except (StoreError, TimeoutError) as failure:
            self._failed_s = loop_s()
            self._failure = str(failure) or self._failure or f"no answer within {ATTEMPT_S:g} s"
            return False
        self._heard_s, self._failed_s, self._failure = asked_s, None, ""
        return True

    async def _follow(self) -> None:
        """Keep a watch open, each on another member than the one before."""
        while True:
            try:
                begin = await self._read()
                async with (
                    self._watch.lasting(begin),
                    self._gateway.watch(self._keys.mirrored, begin + 1) as watch,
                ):
                    async for changes in watch:
                        self._take(changes)
            except TimeoutError:
                log.warning("a watch of etcd is deaf: another one is begun")
            except StoreError as failure:
                log.debug("a watch of etcd ended", cause=str(failure))
                if self._failed_s is not None:  # a look is shorter, and may not hear why
                    self._failure = str(failure)
            await asyncio.sleep(RETRY_S)

    def _take(self, changes: Changes) -> None:
        for found in changes.put:
            self.state.put(found)
        for key in changes.deleted:
            self.state.delete(key, changes.revision)
        self._newest = max(self._newest, changes.revision)
        self._watch.saw(changes.revision)

    async def _look(self) -> int:
        """Read who leads, and the document where it is another one."""
        keys = self._keys
        answer = await self._transact([Get(keys.leader), Get(keys.floor)], (keys.document,))
        for key, read in zip((keys.leader, keys.floor, keys.document), answer.found, strict=False):
            self.state.read(key, read, answer.revision)
        await self._raise_floor()
        return answer.revision

    async def _read(self) -> int:
        """Read everything; of what is long only what is another one. Return the revision."""
        keys = self._keys
        singles, long = (keys.leader, keys.floor, keys.format, keys.head), (keys.document, keys.desired)
        questions = [*(Get(key) for key in singles), Get(*keys.replicas), Get(*keys.pollers)]
        answer = await self._transact(questions, long)
        *short, replicas, pollers = answer.found[: len(questions)]
        for key, read in zip((*singles, *long), (*short, *answer.found[len(questions) :]), strict=False):
            self.state.read(key, read, answer.revision)
        self.state.read_range(keys.replicas, replicas, answer.revision)
        self.state.read_range(keys.pollers, pollers, answer.revision)
        self._compare_with_served()
        await self._raise_floor()
        return answer.revision

    async def _transact(self, questions: Sequence[Operation], long: Sequence[bytes]) -> Answer:
        """Ask, and for the values of these keys where they are not as they are known: what they have found is last."""
        newest = self._newest
        compares = [Compare(key, Target.MOD, self.state.revision_of(key)) for key in long]
        everything = [*questions, *(Get(key) for key in long)]
        answer = await self._gateway.transact(compares, questions, everything)
        if answer.revision < newest:
            # No member is behind what was known before it was asked: etcd was restored from a backup (rule 57).
            log.warning("etcd went back, as after the restore of a backup", was=newest, revision=answer.revision)
            self.state.forget()
            self._newest, self._is_compared = 0, False
            self._watch.end()
            answer = await self._gateway.transact((), everything)
        self._newest = max(self._newest, answer.revision)
        self._watch.expect(self._last_mirrored(answer), loop_s())
        return answer

    def _last_mirrored(self, answer: Answer) -> int:
        """Return the last revision of what an answer has and a watch brings, too."""
        return max(
            (
                each.mod_revision
                for read in answer.found
                for each in read
                if any(start <= each.key < end for start, end in self._keys.mirrored)
            ),
            default=0,
        )

    # --- what was served --------------------------------------------------------------------------------------------

    def _compare_with_served(self) -> None:
        """Refuse an empty prefix, and go on serving what etcd is behind of (rule 57)."""
        is_empty = all(self.state.value_of(key) is None for key in self._keys.content)
        self._is_refused = is_empty and self.hindrance_on_empty is not None
        if self._kept_document is not None and self._kept_document.revision > self.state.stored_revision:
            self.state.serve(self._kept_document)
        self._is_compared = True

    async def _raise_floor(self) -> None:
        """Have the leader publish above what was served here, where etcd knows only an older document.

        Something of the store has to be there still: else this would fill a prefix that was emptied a moment ago, and
        replicas would begin anew on it.
        """
        served, floor = self.state.served_revision, self.state.value_of(self._keys.floor)
        if not self._is_compared or self._is_refused or served <= self.state.stored_revision:
            return
        if read_floor(floor) < served:
            conditions = [Compare(self._keys.floor, Target.MOD, self.state.revision_of(self._keys.floor))]
            rest = next((each for key in self._keys.content if (each := self.state.value_of(key)) is not None), None)
            if rest is not None:
                conditions.append(Compare(rest.key, Target.CREATE, rest.create_revision))
            elif not self._is_new_store:
                return
            answer = await self._gateway.transact(conditions, [Put(self._keys.floor, str(served).encode())])
            if answer.succeeded:
                log.warning(
                    "etcd has an older document than was served here", has=self.state.stored_revision, served=served
                )

    async def _serve_kept(self) -> None:
        """Serve the document that was kept, where etcd does not answer for a while."""
        await asyncio.sleep(KEPT_AFTER_S)
        if self._heard_s is None and self._kept_document is not None:
            self.state.serve(self._kept_document)

    async def _keep(self) -> None:
        """Keep each document; of several that come quickly, the last."""
        while True:
            await self._to_keep.wait()
            self._to_keep.clear()
            found, document = self.state.value_of(self._keys.document), self.state.document
            if self._kept is None or found is None or document is None:
                continue
            if document.revision == self.state.stored_revision:
                try:
                    await self._kept.save(found.value)
                    self._kept_document = document
                except OSError as failure:
                    log.warning("the document cannot be kept on disk", cause=failure.strerror)

    def _follow_trouble(self, began_s: float) -> None:
        trouble: Trouble | None = None
        if self._is_refused:
            trouble = Trouble(self._refusal(), is_refused=True)
        elif self._double is not None:
            trouble = Trouble(self._double, is_refused=True)
        elif (barred := self._barred()) is not None:
            trouble = Trouble(barred, is_refused=True)
        elif min(self.store_age_s, loop_s() - began_s) >= AWAY_S:
            trouble = Trouble(f"etcd does not answer: {self._failure}")
        if trouble != self._trouble:
            self._trouble = trouble
            self._on_trouble(trouble)

    def _barred(self) -> str | None:
        """Return why no replica of this version can lead; None where one does, or may."""
        keys, state = self._keys, self.state
        leader, form = state.value_of(keys.leader), state.value_of(keys.format)
        if state.leading is not None or not self._is_compared:
            return None
        if leader is not None:
            return f"the key {keys.leader.decode()} in etcd was not written by a replica: delete it (etcdctl del)"
        found = read_format((form,) if form is not None else ())
        return None if found.is_known else f"{keys.prefix} in etcd {found.hindrance}"

    def _refusal(self) -> str:
        return (
            f"{self._keys.prefix} in etcd is empty, and this replica has served document "
            f"{self.state.served_revision} from it: look whether --store names the right etcd and prefix, or restore "
            f"its backup; to begin anew, start with --new-store"
        )

    def _with_own(self, listeners: MirrorListeners) -> MirrorListeners:
        """Add what the mirror itself does with what is new."""

        def on_document(document: Numbered) -> None:
            self._to_keep.set()
            listeners.on_document(document)

        def on_leader(leading: Leading | None) -> None:
            self._hint.follow(leading)
            listeners.on_leader(leading)

        def on_replicas(replicas: Mapping[str, ReplicaInfo]) -> None:
            self._double = self._presence.see(replicas.get(self._info.id))
            listeners.on_replicas(replicas)

        return replace(listeners, on_document=on_document, on_leader=on_leader, on_replicas=on_replicas)


class _Watch:
    """Whether the present watch brings what looks see."""

    def __init__(self) -> None:
        self._limit: asyncio.Timeout | None = None
        self._revision = self._missing = 0
        self._missing_s = 0.0

    @asynccontextmanager
    async def lasting(self, begin: int) -> AsyncIterator[None]:
        """Note that a watch begins after a revision; TimeoutError ends the block when it turns out to be deaf."""
        async with asyncio.timeout(None) as limit:
            self._limit, self._revision, self._missing = limit, begin, 0
            try:
                yield
            finally:
                self._limit = None

    def saw(self, revision: int) -> None:
        """Note what the watch has brought."""
        self._revision = max(self._revision, revision)

    def expect(self, revision: int, now_s: float) -> None:
        """Note what a look has seen: the watch has to bring it, too."""
        if self._missing <= self._revision < revision:
            self._missing, self._missing_s = revision, now_s

    def check(self, now_s: float) -> None:
        """End a watch that has not brought for a while what a look has seen."""
        if self._missing > self._revision and now_s - self._missing_s >= DEAF_S:
            self.end()

    def end(self) -> None:
        """End the watch, if there is one."""
        if self._limit is not None:
            self._limit.reschedule(loop_s())
            self._limit = None
