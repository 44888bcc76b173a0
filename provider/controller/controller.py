"""The only owner of mutable state: takes every input, decides, commits, and only then publishes.

Inputs replace what is known and wake the loops; they never wait. `decide` looks at the groups that were touched and
commits what `State.plan` decided for them in one transaction. `Publisher` makes the documents, and `save` writes
observations behind them.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from provider.config.diff import Edit
from provider.controller.daemon_conditions import DaemonConditions
from provider.controller.faults import isolated, report_loop, set_aside
from provider.controller.inputs import Inputs
from provider.controller.journal import Journal
from provider.controller.lasting import Lasting
from provider.controller.outputs import Listeners, Outputs
from provider.controller.publication import Published, until_sent
from provider.controller.publisher import Publisher
from provider.controller.state import Act, State
from provider.controller.touched import Adopted
from provider.controller.work_queue import Queues
from provider.docker.labels import Scope
from provider.model import ConditionCode, Decision, Event, Instant, Outcome, Plan, Rollout
from provider.model.errors import ChangeTooLarge, LeadershipLost, StoreError, StoreUncertain, StoreUnknown
from provider.observability import log_events
from provider.observability.metrics import Metrics
from provider.rollout.commands.types import Done, Refused
from provider.runtime.clock import clock
from provider.runtime.timeslice import Timeslice
from provider.store import Store, Stored

if TYPE_CHECKING:
    from provider.controller.desired_source import DesiredSource

log = structlog.get_logger("bluegreen")

SAVE_EVERY_S = 1.0
RETRY_S = 1.0


@dataclass(slots=True, eq=False)
class _PendingCommand:
    """A command on its way to the loop that decides; `answer` is set once it is durable, or refused."""

    service: str
    act: Act
    answer: asyncio.Future[Done | Refused]


class Controller:
    """See the module. Every method but the loops and `close` returns at once, on the event loop's thread.

    `edges` builds the edges, which call the inputs and are asked through the outputs. `lasting` is what is there before
    and after it. With `desired_in_store` it only reads the desired state of the store, which `apply` writes (rule 62);
    `desired_source` is where that comes from.
    """

    def __init__(
        self,
        store: Store,
        stored: Stored,
        metrics: Metrics,
        edges: Callable[[Inputs], Outputs],
        listeners: Listeners | None = None,
        lasting: Lasting | None = None,
        *,
        docker_enabled: bool,
        desired_in_store: bool = False,
    ) -> None:
        self.desired_source: DesiredSource | None = None
        self.lasting = lasting or Lasting()
        self.state = State(stored, docker_enabled=docker_enabled, pollers=self.lasting.pollers)
        self.queues = Queues()
        self._listeners = listeners or Listeners()
        self.conditions, self.publication = self.lasting.conditions, self.lasting.publication
        self.daemon_conditions = DaemonConditions(self.state, self.conditions)
        self.inputs = Inputs(self.state, self.queues, self.conditions, self.daemon_conditions, metrics)
        self._outputs = edges(self.inputs)
        self._store, self._metrics = store, metrics
        self._journal = Journal(store, stored, self.conditions, metrics, saves_desired=not desired_in_store)
        self._isolated = partial(isolated, self.state, self.conditions)
        self.publisher = Publisher(
            self.state,
            self.queues,
            self._journal,
            self._outputs,
            self._listeners,
            self.daemon_conditions,
            metrics,
            self._isolated,
            self.publication,
        )
        self._pending: list[_PendingCommand] = []
        self._reading_history = asyncio.Lock()

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
            LeadershipLost: another replica leads, so it was not done here.
            StoreError: it could not be committed, and so was not done.
        """
        answer: asyncio.Future[Done | Refused] = asyncio.get_running_loop().create_future()
        pending = _PendingCommand(service, act, answer)
        self._pending.append(pending)
        self.queues.undecided.add(())
        try:
            async with asyncio.timeout(self._store.patience_s):
                done = await answer
        except TimeoutError:
            raise self._late(pending) from None
        await _document_sent()
        return done

    async def history(self, service: str | None, since: datetime | None, limit: int) -> tuple[Decision, ...]:
        """Return decisions, newest first.

        Raises:
            StoreError: the store does not answer.
        """
        async with self._reading_history:  # the store's one thread also commits: no rollback waits behind many of these
            return await self._store.history(service=service, since=since, limit=limit)

    # --- inputs that are passed on to the edges -------------------------------------------------------------------

    def desired_loaded(self, edit: Edit, text: str) -> None:
        """Take a new desired state; `text` is kept in the store for a start without a readable file."""
        now, desired = clock(), edit.desired
        self.queues.put(self.state.load(edit, text, now))
        self._outputs.reader.set_apis(desired.traefik_api)
        self._outputs.analyser.set_traefiks(desired.traefik_api, desired.traefik_metrics)
        if self._outputs.lister is not None:
            self._outputs.lister.set_scope(Scope.of(desired))
        for code in (
            ConditionCode.INTERNAL_ERROR,
            ConditionCode.DESIRED_STATE_REFUSED,
            ConditionCode.DESIRED_STATE_OUTDATED,
            ConditionCode.NO_DESIRED_STATE,
        ):
            self.conditions.clear(code)
        self.daemon_conditions.follow_rest()
        self.daemon_conditions.follow_unnamed()
        self._metrics.reload_success.set(1)
        self._metrics.reload_timestamp.set(now.utc.timestamp())
        log.info("desired state loaded", environment=desired.environment, services=len(desired.services))

    def slept(self, gap_s: float) -> None:
        """Take that this process did not run for a while: what was seen before proves nothing now (rule 14).

        Nothing is decided on Docker before it has listed again. What is served stays.
        """
        log.warning("this process did not run for a while; all evidence begins again", seconds=round(gap_s, 1))
        touched = self.state.void()
        self._outputs.void()
        self.queues.put(touched)

    def loop_failed(self, name: str, error: Exception) -> None:
        """Report that a loop had to be started again, and look at everything again: it has lost what it had taken."""
        report_loop(self.conditions, name, error)
        self.queues.put(self.state.everything)

    # --- the loops ------------------------------------------------------------------------------------------------

    async def decide(self) -> None:
        """Decide and commit, each time an input or a deadline asks for it; while the store fails, try again."""
        while True:
            keys = await self.queues.undecided.take()
            retired = self.state.tracked.retired  # a reload from here on makes another one
            await self._obey()
            for some in _batches(self.state.ordered(keys), self._store.most_groups):
                await self._obey()  # nobody's rollback waits until ten thousand services have been looked at
                if not await self._decide(some):
                    self.queues.undecided.add(keys)
                    break
            else:
                self.queues.put(self.state.all_decided(retired))
                if not self._journal.has(self.state.texts):  # nothing was decided on them
                    self.queues.unsaved.add(())

    async def _decide(self, keys: tuple[str, ...]) -> bool:
        """Decide on some groups and commit that; return whether it is done, or they must all be looked at again."""
        now, fetched, desired = clock(), self.state.traefik.fetched(), self.state.desired
        plans, timeslice = dict[str, Plan](), Timeslice()
        for key in keys:
            with self._isolated(key):
                plans[key] = self.state.plan(key, now, fetched)
            await timeslice.give_way()
        if self.state.desired is not desired:  # members may have changed groups since the first of these plans
            return False
        if not await self._committed({key: plan for key, plan in plans.items() if plan.is_durable}):
            if isinstance(self._journal.failure, ChangeTooLarge):
                return await self._decide_apart(keys, self._journal.failure)
            await asyncio.sleep(RETRY_S)
            return False
        await self._report(plans, self._adopt(plans), now)
        return True

    async def _decide_apart(self, keys: tuple[str, ...], failure: ChangeTooLarge) -> bool:
        """Decide in two halves what is too large together; a group that is too large by itself is set aside."""
        if len(keys) == 1:
            log.error("a group is set aside", group=keys[0], cause=str(failure))
            set_aside(self.state, self.conditions, keys[0], failure)
            return True
        middle = len(keys) // 2
        return await self._decide(keys[:middle]) and await self._decide(keys[middle:])

    async def save(self) -> None:
        """Write behind what was published: the last servers and the file's text (rule 13)."""
        while True:
            keys, timeslice = await self.queues.unsaved.take(), Timeslice()
            for some in [*_batches(keys, self._store.most_groups)] or [()]:
                await timeslice.give_way()  # a store that has all of this already does not wait for anything
                names = [name for key in some for name in self.state.members.get(key, ())]
                if await self._journal.save(self.state.texts, self.state.tracked.stored_servers(names)):
                    continue
                if not isinstance(self._journal.failure, ChangeTooLarge):
                    self.queues.unsaved.add(keys)
                    break
                log.warning("what was seen last is not stored", cause=str(self._journal.failure))
            await asyncio.sleep(SAVE_EVERY_S)

    def step_down(self) -> None:
        """Answer those who wait for a command that it is not done: this replica does not lead any more."""
        pending, self._pending = self._pending, []
        for one in pending:
            if not one.answer.done():
                why = "this replica does not lead any more, so nothing was changed: ask again"
                one.answer.set_exception(LeadershipLost(why))

    async def close(self) -> None:
        """Save what was seen last and let go of the store; call it when the loops have ended."""
        await self._journal.close(self.state.texts, self.state.tracked.stored_servers(self.state.services))

    async def _obey(self) -> None:
        """Do what was commanded, one after the other, each on the state that the one before has left."""
        while self._pending:
            pending = self._pending.pop(0)
            if pending.service not in self.state.services:  # the file has dropped it since
                pending.answer.set_exception(KeyError(pending.service))
                continue
            try:
                done = await self._done(pending)
            except BaseException as error:
                if not pending.answer.done():
                    pending.answer.set_exception(error if isinstance(error, StoreError) else _cut_short(pending, error))
                if not isinstance(error, StoreError):
                    raise
            else:
                if not pending.answer.done():
                    pending.answer.set_result(done)

    async def _done(self, pending: _PendingCommand) -> Done | Refused:
        now = clock()
        done, key, plan = self.state.obey(pending.service, pending.act, now)
        if plan is None:
            return done
        if not await self._committed({key: plan}):
            raise self._not_done(pending.service)
        adopted = self._adopt({key: plan})
        if not pending.answer.done():
            pending.answer.set_result(done)  # it is durable, whatever may come while it is reported
        await self._report({key: plan}, adopted, now)
        return done

    def _late(self, pending: _PendingCommand) -> StoreError:
        """Say what is known of a command that the store takes too long for; one that is not begun is dropped."""
        late = f"the store has not answered for {self._store.patience_s:g} s"
        if pending in self._pending:
            self._pending.remove(pending)
            return StoreError(f"{late} to what was decided before, so nothing was changed: bluegreen status")
        name = pending.service
        return StoreUnknown(
            f"{late}, so it is unknown whether this is done. Nothing else is decided until that is known. To find out: "
            f"bluegreen status {name}, bluegreen history {name}"
        )

    def _not_done(self, service: str) -> StoreError:
        """Say what is known of a command that could not be committed."""
        if isinstance(self._journal.failure, (ChangeTooLarge, LeadershipLost, StoreUnknown)):
            return self._journal.failure
        if not isinstance(self._journal.failure, StoreUncertain):
            return StoreError("the store cannot be written to, so nothing was changed: bluegreen status")
        return StoreUncertain(
            "the disk has not answered, so it is unknown whether this was written. While the daemon runs, it is not "
            "done, and is taken back once the disk answers; if the daemon is killed before that, it may be done after "
            f"the next start. To find out: bluegreen status {service}, bluegreen history {service}"
        )

    # --- deciding -------------------------------------------------------------------------------------------------

    async def _committed(self, plans: Mapping[str, Plan]) -> bool:
        """Commit all decisions in one transaction; return whether they are on disk (P5)."""
        if not plans or await self._journal.commit(self.state.texts, self.state.change(plans)):
            return True
        # Saving any service finds out whether it works again, and leaves the room that is kept back to decisions.
        self.queues.unsaved.add(tuple(self.state.members)[:1])
        return False

    def _adopt(self, plans: Mapping[str, Plan]) -> Mapping[str, Adopted]:
        """Go on from what is on disk: publish it, ask the edges for what a plan waits for, look again at its time."""
        done = {}
        for key, plan in plans.items():
            done[key] = adopted = self.state.adopt(key, plan)
            self._outputs.relist(plan.relist)
            if adopted.runs is not None:
                self._outputs.tester.set_runs(key, adopted.runs)
            if adopted.followed is not None:
                self._outputs.analyser.set_followed(key, adopted.followed)
            if plan.wake_mono_s is not None:
                self.queues.undecided.add_at(key, plan.wake_mono_s)
            self.queues.put(adopted.touched)
        return done

    async def _report(self, plans: Mapping[str, Plan], adopted: Mapping[str, Adopted], now: Instant) -> None:
        """Report what was decided to the log, the metrics, the read-back and everybody who listens."""
        await _document_sent()
        self._outputs.reader.set_attentive(bool(self.state.rollouts.moving) or self.state.tracked.waits_for_traefik)
        timeslice = Timeslice()
        for key, plan in plans.items():
            before = adopted[key].before
            if before is not None and before.rollout is not None:
                self._time_phase(before.rollout, plan.group.rollout, now)
            for decision in plan.decisions:
                log_events.decision(decision)
                self._count(decision)
                self._listeners.on_decision(decision)
            await timeslice.give_way()
        self._listeners.on_change(plans)

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
        elif decision.event == Event.ROLLED_BACK:  # it names the colour that was left
            self._metrics.switches.labels(decision.service, decision.colour.other, decision.trigger).inc()

    def _time_phase(self, before: Rollout, after: Rollout | None, now: Instant) -> None:
        if after is None or (after.id, after.phase) != (before.id, before.phase):
            self._metrics.phase_duration.labels(before.phase).observe(now.mono_s - before.entered_mono_s)


def _cut_short(pending: _PendingCommand, error: BaseException) -> StoreError:
    """Say what is known of a command whose doing ended by a fault of ours, or because the daemon is told to stop."""
    why = "a daemon that stops" if isinstance(error, asyncio.CancelledError) else f"a fault of this program ({error!r})"
    return StoreUncertain(
        f"no answer because of {why}; it is unknown whether the command was done: bluegreen status {pending.service}"
    )


async def _document_sent() -> None:
    """Let what was decided be published, and sent to the pollers that are held: no switch waits for the log."""
    await asyncio.sleep(0)  # the publisher has its turn
    await until_sent()


def _batches(keys: Iterable[str], most: int) -> Iterator[tuple[str, ...]]:
    left = iter(keys)
    while some := tuple(islice(left, most)):
        yield some
