"""The only owner of mutable state: takes every input, decides, commits, and only then publishes.

Inputs replace what is known and wake the loops; they never wait. `decide` looks at the groups that were touched and
commits what `reconcile` decided for them in one transaction. `publish` renders what is committed together with what is
seen, and never waits for a decision: a store that hangs or fails freezes decisions, while servers that fail still leave
the document. `save` writes observations behind them.
"""

import asyncio
import time
from collections.abc import Awaitable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from provider import telling
from provider.agenda import Agenda
from provider.conditions import Conditions
from provider.errors import DesiredStateError, StoreError
from provider.journal import Journal
from provider.metrics import Metrics
from provider.model import (
    ByColour,
    Decision,
    Desired,
    Health,
    Instant,
    Plan,
    Probe,
    Rollout,
    Server,
    ServerHealth,
    Severity,
)
from provider.reconcile import reconcile
from provider.render import NO_PASS_THROUGH, Document, Fragment, assemble, render_pass_through, render_service, routes
from provider.rollout import Event
from provider.serving import first_document_waits_for, serve, wake_mono_s
from provider.store import Change, Store, Stored
from provider.world import Entry, World

log = structlog.get_logger("bluegreen")

DOCKER_AT_START_S = 0.5
HELD_BACK_LOOK_S = 0.5
SAVE_EVERY_S = 1.0
RETRY_S = 1.0
GROUPS_AT_ONCE = 200
PROBLEMS_TOLD = 10


class Prober(Protocol):
    """What the controller asks of the health checks."""

    def set_probes(self, service: str, probes: frozenset[Probe]) -> None:
        """Replace the probes of a service."""


class Lister(Protocol):
    """What the controller asks of Docker's edge."""

    def set_scope(self, environment: str, *, required: bool) -> None:
        """Name the environment whose containers count."""

    def relist(self, service: str) -> None:
        """Ask for one more list of a service."""


@dataclass(frozen=True, slots=True)
class Published:
    """A document and its number; what Traefik gets until there is a newer one."""

    document: Document
    revision: int


def clock() -> Instant:
    """Read both clocks."""
    return Instant(time.monotonic(), datetime.now(UTC))


class Controller:
    """See the module. Every method but the three loops and `close` returns at once, on the event loop's thread."""

    def __init__(self, store: Store, stored: Stored, metrics: Metrics, *, docker_enabled: bool) -> None:
        self.published: Published | None = None
        self.conditions = Conditions()
        self.world = World(stored, docker_enabled=docker_enabled)
        self._journal, self._metrics = Journal(store, stored.revision), metrics
        self._prober: Prober | None = None
        self._lister: Lister | None = None
        self._started = clock()
        self._empty_store = stored.revision == 0
        self._pass_through = NO_PASS_THROUGH
        self._undecided = Agenda()
        self._unpublished = Agenda()
        self._unsaved = Agenda()
        self._replaced: dict[str, Entry] | None = None
        self._at: str | None = None
        self._set_aside: set[str] = set()

    def attach(self, prober: Prober, lister: Lister | None) -> None:
        """Name the edges that are told what to look at; they tell this controller what they see."""
        self._prober, self._lister = prober, lister

    # --- inputs ---------------------------------------------------------------------------------------------------

    def desired_loaded(self, desired: Desired, text: str) -> None:
        """Take a new desired state; `text` is kept in the store for a start without a readable file."""
        now, before = clock(), self.world.entries.keys()
        self._pass_through = render_pass_through(desired.pass_through)
        self._touch(self.world.load(desired, now))
        for gone in before - desired.services.keys():
            self._probe(gone, frozenset())
        self._journal.text = text
        self._unsaved.add(())
        if self._lister is not None:
            self._lister.set_scope(desired.environment, required=desired.require_environment_label)
        self._touch(self._set_aside)
        self._set_aside = set()
        self.conditions.clear("internal-error")
        self.conditions.clear("desired-state-refused")
        self._tell_unnamed()
        self._metrics.reload_success.set(1)
        self._metrics.reload_timestamp.set(now.utc.timestamp())
        log.info("desired state loaded", environment=desired.environment, services=len(desired.services))

    def desired_refused(self, error: DesiredStateError) -> None:
        """Keep what runs and say what is wrong with the file (P11)."""
        self._metrics.reload_success.set(0)
        told = [str(problem) for problem in error.problems[:PROBLEMS_TOLD]]
        if len(error.problems) > PROBLEMS_TOLD:
            told.append(f"and {len(error.problems) - PROBLEMS_TOLD} more: bluegreen validate shows them all")
        message = f"the desired state was refused, what ran before keeps running: {'; '.join(told)}"
        if self.conditions.put("desired-state-refused", Severity.WARNING, message, clock().utc):
            log.error("desired state refused, what ran before keeps running", problems=told)

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        """Take Docker's complete list."""
        self._touch(self.world.list_docker(services, listed_mono_s, clock()))
        self._tell_unnamed()

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        """Take Docker's list of one service."""
        self._touch(self.world.list_service(service, colours, listed_mono_s, clock()))
        if service not in self.world.entries:
            self._tell_unnamed()

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        """Take Docker's presence or absence; the last known servers stay (rule 4)."""
        docker = self.world.docker
        if connected:
            if not docker.connected:
                log.info("docker answers")
            self.conditions.clear("docker-away")
        else:
            if "docker-away" not in self.conditions:
                log.warning("docker does not answer", cause=cause)
            message = f"Docker does not answer ({cause}): the last known servers are served, no release is switched to"
            self.conditions.put("docker-away", Severity.WARNING, message, clock().utc)
        docker.connected = connected
        self._metrics.docker_connected.set(connected)
        self._touch(self.world.with_rollout())

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        """Take what is wrong with containers, by their names: most are ignored for it."""
        told = "; ".join(f"{name}: {why}" for name, why in sorted(warnings.items()))
        if not told:
            self.conditions.clear("containers")
        elif self.conditions.put("containers", Severity.WARNING, told, clock().utc):
            log.warning("containers need a look", containers=dict(warnings))

    def docker_event(self, action: str) -> None:
        """Count an event of Docker's."""
        self._metrics.docker_events.labels(action).inc()

    def health_verdict(self, probe: Probe, health: ServerHealth) -> None:
        """Take a verdict of the health checks."""
        self._touch(self.world.judge(probe, health))

    @property
    def desired_is_refused(self) -> bool:
        """Whether the file as it is now is not what runs."""
        return "desired-state-refused" in self.conditions

    def loop_failed(self, name: str, error: Exception) -> None:
        """Say that a loop had to be started again, and look at everything anew but the group it failed on.

        That group is set aside, served as it was, so that the fault stays its own (P4).
        """
        aside = ""
        if self._at is not None:
            aside = f"; {self._at.removeprefix('@')} is served as it was and not decided on until the file changes"
            self._set_aside.add(self._at)
            self._at = None
        message = f"{name} failed by a fault of this program and was started again{aside}. Please report it: {error!r}"
        self.conditions.put("internal-error", Severity.CRITICAL, message, clock().utc)
        self._touch(self.world.members.keys() | self.world.with_rollout())

    # --- the loops ------------------------------------------------------------------------------------------------

    async def decide(self) -> None:
        """Decide and commit, each time an input or a deadline asks for it; while the store fails, try again."""
        while True:
            keys = await self._undecided.take()
            retired = self.world.retired  # a reload in between makes another one
            for some in _chunks(sorted(keys - self._set_aside), GROUPS_AT_ONCE):
                now, plans = clock(), dict[str, Plan]()
                for key in some:
                    self._at = key
                    plans[key] = reconcile(self.world.snapshot(key), now)
                self._at = None
                if await self._committed({key: plan for key, plan in plans.items() if plan.decisions}):
                    self._adopt(plans, now)
                else:
                    self._undecided.add(keys)
                    await asyncio.sleep(RETRY_S)
                    break
                await asyncio.sleep(0)  # ten thousand services must not keep a poll waiting
            else:
                if retired:
                    self._replaced = retired
                    self._unpublished.add(())

    async def publish(self) -> None:
        """Publish a document each time what is committed and seen makes another one."""
        while True:
            keys = await self._unpublished.take()
            now, desired, replaced = clock(), self.world.desired, self._replaced
            for some in _chunks(sorted(keys - self._set_aside), GROUPS_AT_ONCE):
                for key in some:
                    self._at = key
                    self._project(key, now)
                self._at = None
                await asyncio.sleep(0)
            if self.published is None and not await self._may_begin(now):
                self._unpublished.add_at("", now.mono_s + HELD_BACK_LOOK_S)
            elif self.world.desired is desired:  # else a reload came in between: its services have no fragments yet
                if self.world.retired is replaced:
                    self.world.retired = {}
                self._publish()

    async def save(self) -> None:
        """Write behind what was published: the last servers, the file's text, a reserve of revisions (rule 13)."""
        while True:
            keys = await self._unsaved.take()
            names = [name for key in keys for name in self.world.members.get(key, ())]
            if not await self._wrote(self._journal.save(self.world.stored_servers(names))):
                self._unsaved.add(keys)
            await asyncio.sleep(SAVE_EVERY_S)

    async def close(self) -> None:
        """Save what was seen last and let go of the store; call it when the loops have ended."""
        await self._journal.close(self.world.stored_servers(self.world.entries))

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

    def _adopt(self, plans: Mapping[str, Plan], now: Instant) -> None:
        for key, plan in plans.items():
            before = self.world.groups.get(key)
            self.world.adopt(key, plan)
            for decision in plan.decisions:
                telling.decision(decision)
                self._count(decision)
            if before is not None and before.rollout is not None:
                self._time_phase(before.rollout, plan.group.rollout, now)
            for service in plan.relist:
                if self._lister is not None:
                    self._lister.relist(service)
            if plan.wake_mono_s is not None:
                self._undecided.add_at(key, plan.wake_mono_s)
            if plan.decisions:
                self._unpublished.add([key])

    def _count(self, decision: Decision) -> None:
        if decision.outcome is not None:
            self._metrics.rollouts.labels(decision.service, decision.outcome).inc()
        if decision.event == Event.SHIFTED and decision.colour and decision.trigger:
            self._metrics.switches.labels(decision.service, decision.colour, decision.trigger).inc()

    def _time_phase(self, before: Rollout, after: Rollout | None, now: Instant) -> None:
        if after is None or (after.id, after.phase) != (before.id, before.phase):
            self._metrics.phase_duration.labels(before.phase).observe(now.mono_s - before.entered_mono_s)

    # --- publishing -----------------------------------------------------------------------------------------------

    def _project(self, key: str, now: Instant) -> None:
        """Follow the committed state and what is seen: fragments, probes, and the health that people are told."""
        for name in self.world.members.get(key, ()):
            entry = self.world.entries[name]
            if entry.asked is not entry.probes:
                entry.asked = entry.probes
                self._probe(name, entry.probes)
            for colour, server, health, before in entry.assess(now):
                if before is not None or health.health is not Health.UNKNOWN:
                    telling.health(name, colour, server, health)
            served = serve(entry.member, now)
            if served is not None:
                entry.fragment = render_service(served)
                entry.served = frozenset(server.key for servers in served.servers.values() for server in servers)
                if self.published is not None and entry.published != entry.served:
                    entry.published = entry.served
                    self._undecided.add([key])  # the health gate counts them
            if self.published is not None:
                telling.conditions(entry)
            wake = wake_mono_s(entry.member, now)
            if wake is not None:
                self._unpublished.add_at(key, wake)
        self._unsaved.add([key])

    def _probe(self, service: str, probes: frozenset[Probe]) -> None:
        if self._prober is not None:
            self._prober.set_probes(service, probes)

    def _publish(self) -> None:
        begin_s = time.perf_counter()
        document = assemble(self._fragments(), self._pass_through)
        if self.published is not None and self.published.document.etag == document.etag:
            return
        self._metrics.document_render.set(time.perf_counter() - begin_s)
        if self.published is None:
            for entry in self.world.entries.values():
                entry.published = entry.served
            self._undecided.add(self.world.members.keys())
        self.published = Published(document, revision := self._journal.next_revision())
        self._metrics.document_revision.set(revision)
        self._metrics.document_bytes.set(len(document.body))
        log.info("document published", revision=revision, bytes=len(document.body), marker=document.marker)

    async def _may_begin(self, now: Instant) -> bool:
        """Tell whether the first document may be published; its number is on disk first (P6)."""
        return self.held_back(now) is None and await self._wrote(self._journal.reserve())

    def held_back(self, now: Instant) -> str | None:
        """Say why the first document must wait: rule 1 for an empty store, rule 4 for one that knows servers."""
        if self.world.desired is None:
            return "no desired state was accepted yet"
        waited_s = now.mono_s - self._started.mono_s
        docker = self.world.docker
        if self._empty_store:
            reason = first_document_waits_for((entry.member for entry in self.world.entries.values()), waited_s)
        elif docker.enabled and docker.services is None and waited_s < DOCKER_AT_START_S:
            reason = "waiting for Docker's first list"
        else:
            reason = None
        if reason is None and self.world.entries and not routes(self._fragments(), self._pass_through):
            reason = "no service has an active colour yet"
        return reason

    def _fragments(self) -> list[Fragment]:
        entries, retired = self.world.entries, self.world.retired
        if not retired:
            return [entry.fragment for entry in entries.values() if entry.fragment is not None]
        return [entry.fragment for _, entry in sorted((retired | entries).items()) if entry.fragment is not None]

    # --- what inputs have in common ---------------------------------------------------------------------------------

    def _touch(self, keys: Collection[str]) -> None:
        self._undecided.add(keys)
        self._unpublished.add(keys)

    def _tell_unnamed(self) -> None:
        unnamed = ", ".join(self.world.unnamed)
        if not unnamed:
            self.conditions.clear("not-in-file")
        else:
            message = f"containers name services that the file does not: {unnamed}"
            self.conditions.put("not-in-file", Severity.WARNING, message, clock().utc)


def _chunks(keys: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (keys[start : start + size] for start in range(0, len(keys), size))
