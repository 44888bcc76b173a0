"""The only owner of mutable state: takes every input, decides, commits, and only then publishes.

Inputs replace what is known and wake the loops; they never wait. `decide` looks at the groups that were touched and
commits what `reconcile` decided for them in one transaction. `Publisher` makes the documents. `save` writes
observations behind them, and `keep` now and then the document.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TypeAlias

import structlog

from provider import telling
from provider.clock import clock
from provider.commands import Done, Refused
from provider.edit import group_key
from provider.errors import StoreError, StoreUncertain
from provider.intake import Intake
from provider.journal import Journal
from provider.metrics import Metrics
from provider.model import (
    Decision,
    GroupState,
    Instant,
    Outcome,
    Plan,
    Rollout,
    Severity,
    SmokeRun,
    Snapshot,
)
from provider.publication import Published
from provider.publisher import Publisher
from provider.reconcile import reconcile, settle
from provider.render import Document
from provider.rollout import Event
from provider.store import Change, Store, Stored
from provider.turns import Turn

log = structlog.get_logger("bluegreen")

DOCKER_AT_START_S = 0.5
HELD_BACK_LOOK_S = 0.5
SAVE_EVERY_S = 1.0
KEEP_EVERY_S = 30.0
RETRY_S = 1.0
GROUPS_AT_ONCE = 100

Act: TypeAlias = Callable[[Snapshot, Instant], Done | Refused]


@dataclass(slots=True, eq=False)
class _Order:
    """A command on its way to the loop that decides; `answer` is set once it is durable, or refused."""

    service: str
    act: Act
    answer: asyncio.Future[Done | Refused]


class Controller:
    """See the module. Every method but the loops and `close` returns at once, on the event loop's thread.

    `on_decision` hears of every decision that is on disk, `on_news` of the groups of which something else is known.
    """

    def __init__(
        self, store: Store, stored: Stored, metrics: Metrics, *, docker_enabled: bool, terms: str = ""
    ) -> None:
        self._journal, self._metrics = Journal(store, stored.revision), metrics
        self.intake = Intake(stored, self._journal, metrics, docker_enabled=docker_enabled)
        self.publisher = Publisher(self.intake, self._journal, metrics, self._wrote)
        self.publication = self.publisher.publication
        self.world, self.conditions = self.intake.world, self.intake.conditions
        self.on_decision: Callable[[Decision], None] = lambda _: None
        self.on_news: Callable[[Iterable[str]], None] = lambda _: None
        self._undecided, self._unpublished = self.intake.undecided, self.intake.unpublished
        self._unsaved = self.intake.unsaved
        self._store = store
        self._terms = terms
        self._orders: list[_Order] = []
        self._failure: StoreError | None = None
        self._looking_back = asyncio.Lock()
        self._runs: dict[str, tuple[SmokeRun, ...]] = {}

    @property
    def published(self) -> Published | None:
        """The last document; None before the first."""
        return self.publication.last

    # --- what is asked of it --------------------------------------------------------------------------------------

    async def command(self, service: str, act: Act) -> Done | Refused:
        """Have a command decided on and committed with all that follows from it; it is durable when this returns.

        Raises:
            KeyError: the file has no such service.
            StoreUncertain: it is unknown whether it was committed.
            StoreError: it could not be committed, and so was not done.
        """
        answer: asyncio.Future[Done | Refused] = asyncio.get_running_loop().create_future()
        self._orders.append(_Order(service, act, answer))
        self._undecided.add(())
        done = await answer
        await _document_sent()
        return done

    async def history(self, service: str | None, since: datetime | None, limit: int) -> tuple[Decision, ...]:
        """Return decisions, newest first.

        Raises:
            StoreError: the store does not answer.
        """
        async with self._looking_back:  # the store's one thread also commits: no rollback waits behind many of these
            return await self._store.history(service=service, since=since, limit=limit)

    def loop_failed(self, name: str, error: Exception) -> None:
        """Say that a loop had to be started again, and look at everything anew but the group it failed on.

        That group is set aside, served as it was, so that the fault stays its own (P4).
        """
        aside = ""
        if self.intake.at is not None:
            aside = (
                f"; {self.intake.at.removeprefix('@')} is served as it was and not decided on until the file changes"
            )
            self.intake.set_aside.add(self.intake.at)
            self.intake.at = None
        message = f"{name} failed by a fault of this program and was started again{aside}. Please report it: {error!r}"
        self.conditions.put("internal-error", Severity.CRITICAL, message, clock().utc)
        self.intake.touch(self.world.members.keys() | self.world.with_rollout)

    # --- the loops ------------------------------------------------------------------------------------------------

    async def decide(self) -> None:
        """Decide and commit, each time an input or a deadline asks for it; while the store fails, try again."""
        while True:
            keys = await self._undecided.take()
            retired = self.world.retired  # a reload from here on makes another one
            await self._obey()
            turn = Turn()
            for some in _batches(self.world.ordered(keys - self.intake.set_aside)):
                await self._obey()  # nobody's rollback waits until ten thousand services have been looked at
                now, fetched, plans, desired = clock(), self.world.fetched(), dict[str, Plan](), self.world.desired
                for key in some:
                    self.intake.at = key
                    self.world.refresh(key, now)
                    plans[key] = reconcile(self.world.snapshot(key, fetched), now)
                    self.intake.at = None
                    await turn.rest()
                if self.world.desired is not desired:  # members may have changed groups since the first of these plans
                    self._undecided.add(keys)
                    break
                if await self._committed({key: plan for key, plan in plans.items() if plan.decisions}):
                    await self._tell(plans, self._take_over(plans), now)
                    self.on_news(some)
                else:
                    self._undecided.add(keys)
                    await asyncio.sleep(RETRY_S)
                    break
            else:
                if retired:
                    self.publisher.replaced = retired
                    self._unpublished.add(())

    async def save(self) -> None:
        """Write behind what was published: the last servers, the file's text, a reserve of revisions (rule 13)."""
        while True:
            keys = await self._unsaved.take()
            for some in [*_batches(keys)] or [()]:
                names = [name for key in some for name in self.world.members.get(key, ())]
                if not await self._wrote(self._journal.save(self.world.stored_servers(names))):
                    self._unsaved.add(keys)
                    break
            await asyncio.sleep(SAVE_EVERY_S)

    async def keep(self) -> None:
        """Keep the document in the store for a quick start, once in a while and only when all is at rest.

        What was committed leaves the WAL then, too, at rest or not.
        """
        while True:
            await asyncio.sleep(KEEP_EVERY_S)
            document = self._settled_document() if self._unsaved.is_at_rest else None
            with suppress(StoreError):  # the next save tells of it
                if document is not None and document is not self._journal.kept:
                    await self._journal.keep(document, self._terms)
                await self._store.checkpoint()

    async def close(self) -> None:
        """Save what was seen last and let go of the store; call it when the loops have ended."""
        document = self._settled_document()
        await self._journal.close(self.world.stored_servers(self.world.entries), document, self._terms)

    def _settled_document(self) -> Document | None:
        """Return the document, where all that is known has been decided and is published."""
        at_rest = self._undecided.is_at_rest and self._unpublished.is_at_rest
        return self.published.document if self.published is not None and self.publisher.has_begun and at_rest else None

    async def _obey(self) -> None:
        """Do what was commanded, one after the other, each on the state that the one before has left."""
        while self._orders:
            order = self._orders.pop(0)
            if order.service not in self.world.entries:  # the file has dropped it since
                order.answer.set_exception(KeyError(order.service))
                continue
            try:
                done = await self._done(order)
            except BaseException as error:
                if not order.answer.done():
                    order.answer.set_exception(error if isinstance(error, StoreError) else _cut_short(order, error))
                if not isinstance(error, StoreError):
                    raise
            else:
                if not order.answer.done():
                    order.answer.set_result(done)

    async def _done(self, order: _Order) -> Done | Refused:
        now, key = clock(), group_key(self.world.entries[order.service].service)
        self.world.refresh(key, now)
        seen = self.world.snapshot(key)
        # What came in meanwhile is decided first: a command must not rest on a file or a list from before it. But no
        # switch: an abort that was said before it must find the candidate still waiting (P8).
        snapshot, before = settle(seen, now)
        if any(decision.event == Event.SHIFTED for decision in before):
            snapshot, before = seen, ()
        done = order.act(snapshot, now)
        if isinstance(done, Done) and done.decisions:
            plans = {key: reconcile(done.snapshot, now, (*before, *done.decisions))}
            if not await self._committed(plans):
                raise self._not_done(order.service)
            replaced = self._take_over(plans)
            if not order.answer.done():
                order.answer.set_result(done)  # it stands, whatever may come while it is told of
            await self._tell(plans, replaced, now)
            self.on_news(plans)
        return done

    def _not_done(self, service: str) -> StoreError:
        """Say what is known of a command that could not be committed."""
        if not isinstance(self._failure, StoreUncertain):
            return StoreError("the state directory cannot be written to, so nothing was changed: bluegreen status")
        return StoreUncertain(
            "the disk has not answered, so it is unknown whether this was written. While the daemon runs, it is not "
            "done, and is taken back once the disk answers; if the daemon is killed before that, it may be done after "
            f"the next start. To find out: bluegreen status {service}, bluegreen history {service}"
        )

    # --- deciding -------------------------------------------------------------------------------------------------

    async def _committed(self, plans: Mapping[str, Plan]) -> bool:
        """Commit all decisions in one transaction; tell whether they are on disk (P5)."""
        if not plans:
            return True
        states = {name: state for plan in plans.values() for name, state in plan.states.items()}
        changed = {name: state for name, state in states.items() if state != self.world.states.get(name)}
        change = Change(
            services=changed,
            groups={key: plan.group for key, plan in plans.items()},
            decisions=tuple(decision for plan in plans.values() for decision in plan.decisions),
            servers=self.world.stored_servers(states),  # never older than what was decided on them
        )
        return await self._wrote(self._journal.commit(change))

    async def _wrote(self, work: Awaitable[None]) -> bool:
        """Do a work of the journal's; tell whether it is on disk, and operators when that changes."""
        try:
            await work
        except StoreError as failure:
            self._failure = failure
            self._metrics.store_failing.set(1)
            message = f"decisions are frozen, what is served goes on: {failure}"
            if self.conditions.put("store-failing", Severity.CRITICAL, message, clock().utc):
                log.critical("store failing", cause=str(failure))
            # Saving any service finds out whether it works again, and leaves the room that is kept back to decisions.
            self._unsaved.add(tuple(self.world.members)[:1])
            return False
        self._metrics.store_failing.set(0)
        if self.conditions.clear("store-failing"):
            log.info("store works again")
        return True

    def _take_over(self, plans: Mapping[str, Plan]) -> Mapping[str, GroupState | None]:
        """Go on from what is on disk; return what it was before."""
        before = {key: self.world.groups.get(key) for key in plans}
        for key, plan in plans.items():
            self.world.adopt(key, plan)
            self._await(key, plan)
            if plan.decisions:
                self._unpublished.add([key])
        return before

    async def _tell(self, plans: Mapping[str, Plan], before: Mapping[str, GroupState | None], now: Instant) -> None:
        """Tell the log, the metrics, the read-back and everybody who listens of what was decided."""
        await _document_sent()
        if self.intake.reader is not None:
            self.intake.reader.set_attentive(bool(self.world.moving))
        turn = Turn()
        for key, plan in plans.items():
            state = before[key]
            if state is not None and state.rollout is not None:
                self._time_phase(state.rollout, plan.group.rollout, now)
            for decision in plan.decisions:
                telling.decision(decision)
                self._count(decision)
                self.on_decision(decision)
            await turn.rest()

    def _await(self, key: str, plan: Plan) -> None:
        """Ask the edges for what a plan waits for, and look again when its time comes."""
        for service in plan.relist:
            if self.intake.lister is not None:
                self.intake.lister.relist(service)
        if plan.smoke != self._runs.get(key, ()) and self.intake.tester is not None:
            self._forget_smoke(self._runs.get(key, ()), plan.smoke)
            self._runs[key] = plan.smoke
            self.intake.tester.set_runs(key, plan.smoke)
        if plan.wake_mono_s is not None:
            self._undecided.add_at(key, plan.wake_mono_s)

    def _forget_smoke(self, before: tuple[SmokeRun, ...], after: tuple[SmokeRun, ...]) -> None:
        """What nobody wants to know any more is made anew when it is wanted again: `retry` tests once more."""
        for run in before:
            entry = self.world.entries.get(run.service)
            if run not in after and entry is not None:
                entry.smoke = None

    def _count(self, decision: Decision) -> None:
        if decision.event == Event.BEGUN:  # from zero on: what a rate is taken of must not begin with its first event
            for outcome in Outcome:
                self._metrics.rollouts.labels(decision.service, outcome)
        if decision.outcome is not None:
            self._metrics.rollouts.labels(decision.service, decision.outcome).inc()
        if decision.colour is None or decision.trigger is None:
            return
        if decision.event == Event.SHIFTED:
            self._metrics.switches.labels(decision.service, decision.colour, decision.trigger).inc()
        elif decision.event == Event.ROLLED_BACK:  # told of the colour that was left
            self._metrics.switches.labels(decision.service, decision.colour.other, decision.trigger).inc()

    def _time_phase(self, before: Rollout, after: Rollout | None, now: Instant) -> None:
        if after is None or (after.id, after.phase) != (before.id, before.phase):
            self._metrics.phase_duration.labels(before.phase).observe(now.mono_s - before.entered_mono_s)


def _cut_short(order: _Order, error: BaseException) -> StoreError:
    """Say what is known of a command whose doing ended by a fault of ours, or because the daemon is told to stop."""
    why = "a daemon that stops" if isinstance(error, asyncio.CancelledError) else f"a fault of this program ({error!r})"
    return StoreUncertain(
        f"no answer because of {why}; it is unknown whether the command was done: bluegreen status {order.service}"
    )


async def _document_sent() -> None:
    """Let what was decided be published, and sent to the pollers that are held: no switch waits for the log."""
    for _ in ("published", "sent"):
        await asyncio.sleep(0)


def _batches(keys: Iterable[str]) -> Iterator[tuple[str, ...]]:
    left = iter(keys)
    while some := tuple(islice(left, GROUPS_AT_ONCE)):
        yield some
