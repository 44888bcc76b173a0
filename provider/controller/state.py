"""Everything that the controller knows, without asyncio, clock, log or metrics.

Each input is a method that takes values, replaces one part of the state, and returns which groups it touched.
`snapshot` shows one group, `plan` decides on it, and `adopt` takes over what was decided once it is on disk (P5).
"""

from collections.abc import Callable, Mapping, Set
from typing import TYPE_CHECKING, TypeAlias

from provider.config import diff
from provider.config.diff import Edit
from provider.controller.counted import Counting
from provider.controller.discovered import with_discovered
from provider.controller.docker_view import DockerView
from provider.controller.rollouts import Rollouts
from provider.controller.touched import NOTHING, Adopted, Texts, Touched, both
from provider.controller.tracked_service import TrackedService
from provider.controller.tracked_services import TrackedServices
from provider.controller.traefik_view import Fetched, TraefikView
from provider.model import (
    ByColour,
    Desired,
    EngineSeen,
    Event,
    GroupState,
    Instant,
    Member,
    Plan,
    Probe,
    Server,
    ServerHealth,
    ServiceState,
    Smoke,
    SmokeRun,
    Snapshot,
)
from provider.model.analysed import Answer, Followed, Scrape
from provider.model.desired import group_key, key_of
from provider.model.document import AppliedText
from provider.model.observed import Result
from provider.rollout import clocks
from provider.rollout.candidates import limits
from provider.rollout.commands.types import Done, Refused
from provider.rollout.reconcile import reconcile, settle
from provider.store import Change, Stored
from provider.traefik.document.render import NO_PASS_THROUGH, PassThrough, render_pass_through
from provider.traefik.document.rest import Rest
from provider.traefik.elsewhere import ReplicaPolls
from provider.traefik.pollers import Connection, Pollers
from provider.traefik.readback import Reading

if TYPE_CHECKING:
    import asyncio

    from provider.traefik.certificate import Certificate

Act: TypeAlias = Callable[[Snapshot, Instant], Done | Refused]


class State:
    """All services and groups; the controller alone holds one and changes it.

    `rollouts` knows which groups have one under way. `set_aside` are those on which this program failed: they
    are served as they were until the file changes (P4). `unprobed` are the services whose health checks end with the
    next document, `replaced` the retired services in whose place all is decided. `counting` is what was read for the
    analyses under way, `followed` are their services by group.
    """

    def __init__(self, stored: Stored, *, docker_enabled: bool, pollers: Pollers | None = None) -> None:
        self.docker = DockerView(enabled=docker_enabled)
        self.traefik = TraefikView(pollers or Pollers())
        self.rest = Rest()
        self.pass_through = NO_PASS_THROUGH
        self.certificate: Certificate | None = None
        self.replaced: dict[str, TrackedService] | None = None
        self.unprobed: set[str] = set()
        self.set_aside: set[str] = set()
        self._written: Desired | None = None
        self.states: dict[str, ServiceState] = dict(stored.services)
        self.groups: dict[str, GroupState] = dict(stored.groups)
        self.tracked = TrackedServices(self.docker, self.states, stored.servers)
        self.rollouts = Rollouts(self.groups)
        self._runs: dict[str, tuple[SmokeRun, ...]] = {}
        self.counting = Counting(self.groups.values())
        self.followed: dict[str, tuple[Followed, ...]] = {}
        self._is_resumed = False

    @property
    def desired(self) -> Desired | None:
        """What the file says; None before the first."""
        return self.tracked.desired

    @property
    def services(self) -> dict[str, TrackedService]:
        """The services of the file by their names."""
        return self.tracked.services

    @property
    def members(self) -> Mapping[str, tuple[str, ...]]:
        """The services of each group."""
        return self.tracked.members

    # --- the file -------------------------------------------------------------------------------------------------

    def load(self, edit: Edit, text: str, now: Instant) -> Touched:
        """Take an edit of the desired state that is there; `text` is what the file says now.

        What follows from it for each service is worked out when that is looked at.
        """
        was_refused = self.rest.is_refused
        self.rest.load(text, edit.desired)
        self._written = edit.desired
        edit = self._with_discovered(edit)
        touched = {*(self._take(edit, now).decide or ()), *self.set_aside}
        self.set_aside = set()
        if not self._is_resumed:
            self._is_resumed = True
            self._resume(now)
            touched |= self.rollouts.under_way
        applied = self.rest.applied
        self.tracked.keep_left(applied.desired.services if applied is not None else ())
        if self.rest.is_refused or was_refused:
            self._take_rest(now)
            published = touched | self.members.keys()
        else:
            self.pass_through = self._passed(edit.desired)
            published = touched
        desired = edit.desired
        self.traefik.readings.expect(desired.traefik_api, desired.environment, desired.later_keys)
        return Touched(touched, published)  # the text is written with what is decided on it

    def _take(self, edit: Edit, now: Instant) -> Touched:
        """Have the services of an edit in place of those before."""
        self.unprobed |= edit.gone
        return both(self.tracked.load(edit, now))

    def applied_known(self, applied: AppliedText, desired: Desired) -> None:
        """Take what every Traefik had applied when an earlier process ended; it comes before any file."""
        self.rest.remember(applied, desired)
        self.traefik.readings.remember(applied.marker)

    def follow_rest(self, now: Instant) -> Touched:
        """Follow from which text of the file the rest of the document comes; publishes all where it is another now."""
        before, rest = self.rest.kept, self.rest
        is_other = rest.look(self.traefik.readings.showing(), self.traefik.has_fetched_twice, now)
        if is_other:
            self._take_rest(now)
        if rest.is_settled:
            self.tracked.keep_left(())
        return Touched(
            publish=self.members.keys() if is_other else None, save=frozenset() if rest.kept != before else None
        )

    def certificate_renewed(self, certificate: "Certificate") -> Touched:
        """Take a generated default certificate; it is in the document while the file wants one."""
        self.certificate = certificate
        shown = self.rest.shown
        if shown is None or not shown.desired.generate_certificate:
            return NOTHING
        self.pass_through = self._passed(shown.desired)
        return Touched(publish=frozenset())

    def _take_rest(self, now: Instant) -> None:
        """Have every service rendered again by the text whose rest goes out."""
        shown = self.rest.shown
        if shown is not None:
            self.pass_through = self._passed(shown.desired)
            held = shown.desired.services if self.rest.is_refused else {}
            self.unprobed |= self.tracked.hold(held, now) - self.services.keys()

    def _passed(self, desired: Desired) -> PassThrough:
        passed = desired.pass_through
        if desired.generate_certificate and self.certificate is not None:
            passed = self.certificate.within(passed)
        return render_pass_through(passed, desired.environment)

    # --- Docker ---------------------------------------------------------------------------------------------------

    def docker_listed(
        self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float, now: Instant
    ) -> Touched:
        """Take Docker's complete list.

        What follows from it for each service is worked out when that is looked at.
        """
        touched = {name for key in self.rollouts.under_way for name in self.members.get(key, ())}
        touched.update(self.docker.list_all(services, listed_mono_s, self.services))
        if self.docker.engines:
            touched.update(name for name, tracked in self.services.items() if tracked.has_left_behind)
        discovered = self._discover(now)
        there = [self.services[name] for name in touched if name in self.services]  # the last container may have gone
        for tracked in (*there, *self.tracked.held.values()):
            tracked.is_stale = True
        keys = {group_key(tracked.service) for tracked in there}
        return both(keys | self.tracked.held.keys()) | discovered

    def docker_service(
        self, name: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float, now: Instant
    ) -> Touched:
        """Take Docker's list of one service; without a complete list before, it is kept for nothing."""
        if not self.docker.list_service(name, colours):
            return both(set())
        discovered = self._discover(now) if name not in self.services else NOTHING
        tracked = self.services.get(name) or self.tracked.held.get(name)
        if tracked is None:
            return both(set())
        key = group_key(tracked.service)
        is_new = self.tracked.observe(tracked, now, listed_mono_s)
        return both({key} if is_new or key in self.rollouts.under_way else set()) | discovered

    def _discover(self, now: Instant) -> Touched:
        """Take the services that containers name, and let go of those that are forgotten (rule 35)."""
        if self._written is None or self._written.auto is None or self.desired is None:
            return NOTHING
        found = with_discovered(self._written, self.docker.named, self.states)
        if found.services.keys() == self.desired.services.keys():
            return NOTHING
        return self._take(diff.edit(self.desired, found), now)

    def _with_discovered(self, written: Edit) -> Edit:
        if written.desired.auto is None and (self.desired is None or self.desired.auto is None):
            return written
        found = with_discovered(written.desired, self.docker.named, self.states)
        return diff.edit(self.desired, found)

    def docker_networks(self, own: frozenset[str]) -> Touched:
        """Take the networks of the daemon's own container, on which the addresses of servers may hang."""
        if own == self.docker.own_networks:
            return both(set())
        self.docker.own_networks = own
        return both(self.tracked.reach_again())

    def docker_engines(self, engines: Mapping[str, EngineSeen]) -> Touched:
        """Take what is known of the engines of the file; on which there are, the servers of all services hang."""
        is_other = self.docker.take_engines(engines)
        return both(self.rollouts.under_way | (self.tracked.reach_again() if is_other else set()))

    def docker_connected(self, *, connected: bool) -> Touched:
        """Take Docker's presence or absence; the last known servers stay (rule 4)."""
        self.docker.connected = connected
        return both(self.rollouts.under_way)

    # --- checks ---------------------------------------------------------------------------------------------------

    def health_verdict(self, probe: Probe, health: ServerHealth) -> Touched:
        """Take the verdict of a probe, unless the probe is no longer wanted."""
        tracked = self.services.get(probe.service) or self.tracked.held.get(probe.service)
        if tracked is None or probe not in tracked.probes:
            return both(set())
        tracked.probed[probe.key] = health
        return both({group_key(tracked.service)})

    def health_checked(self, probe: Probe, result: Result, started_mono_s: float) -> Touched:
        """Take one health check of what has new traffic: there the order of passes and failures counts."""
        tracked = self.services.get(probe.service)
        if tracked is None or (key := group_key(tracked.service)) not in self.rollouts.watched:
            return NOTHING
        return Touched({key}) if tracked.check(probe, result, started_mono_s) else NOTHING

    def smoked(self, smoke: Smoke) -> Touched:
        """Take what the smoke tests of a service have come to so far."""
        tracked = self.services.get(smoke.run.service)
        if tracked is None:
            return NOTHING
        tracked.smoke = smoke
        return Touched({group_key(tracked.service)})

    def scraped(self, scrape: Scrape, now: Instant) -> Touched:
        """Take what every Traefik has counted; what is new goes on to the rollouts, and to people."""
        is_fetched = self.traefik.fetched().by_pollers is True
        touched = self.counting.scraped(scrape, self.services, now, is_fetched=is_fetched)
        keys = {name: group_key(self.services[name].service) for name in touched}
        told = {keys[name] for name, is_told in touched.items() if is_told}
        return Touched({*keys.values()} or None, publish=told or None)

    def answered_query(self, answer: Answer) -> Touched:
        """Take what a query came to."""
        tracked = self.services.get(answer.followed.service)
        if tracked is None or not self.counting.answered(answer, self.services):
            return NOTHING
        return both({group_key(tracked.service)})

    def void(self) -> Touched:
        """Forget what was seen, and keep what is served; Docker is away until it has listed again (rule 14)."""
        self.docker.void()
        self.traefik.readings.void()
        for tracked in self.services.values():
            tracked.probed, tracked.checks, tracked.smoke = {}, {}, None
        self.counting.void(self.services)
        return self.everything

    # --- Traefik --------------------------------------------------------------------------------------------------

    def polled(
        self, transport: "asyncio.BaseTransport", address: str, name: str | None, now: Instant, *, has_ticker: bool
    ) -> tuple[Connection, Touched]:
        """Note a poll as it comes in; return the connection that it came over."""
        pollers = self.traefik.pollers
        received = pollers.received(transport)
        connection = pollers.polled(transport, address, name, now, has_ticker=has_ticker)
        # It counts as a poller now, or has another document.
        is_new = connection.polls <= 2 or connection.received != received
        return connection, self._confirming() if is_new else NOTHING

    def answered(self, connection: Connection, revision: int, now: Instant, *, was_held: bool) -> Touched:
        """Note which document a poll is answered with."""
        received = connection.received
        self.traefik.pollers.answered(connection, revision, now, was_held=was_held)
        return self._confirming() if connection.received != received else NOTHING

    def gave(self, revision: int) -> Touched:
        """Note that somebody was given a document, a poller or not: only then can a Traefik have it from here."""
        return self._confirming() if self.traefik.gave(revision) else NOTHING

    def polled_elsewhere(self, replicas: Mapping[str, ReplicaPolls], now: Instant) -> Touched:
        """Take who polls the other replicas."""
        return self._confirming() if self.traefik.elsewhere.put(replicas, now.mono_s) else NOTHING

    def traefik_read(self, reading: Reading, now: Instant) -> Touched:
        """Take what one Traefik shows."""
        is_new = self.traefik.read(reading, now.mono_s)
        self.counting.traefik_read(reading, now)
        followed = self.follow_rest(now) if is_new or not self.rest.is_settled else NOTHING
        again = self.tracked.traefik_has(self.traefik.readings.in_docker) if is_new else None
        followed |= both(again) if again else NOTHING
        return followed | self._confirming() if is_new else followed

    def traefik_gone(self, traefik: str) -> Touched:
        """Forget a Traefik whose address is gone."""
        self.traefik.gone(traefik)
        self.counting.traefik_gone(traefik)
        self.rest.gone(traefik)
        return self._confirming()

    def _confirming(self) -> Touched:
        """Touch the groups whose weights may be confirmed, or taken back."""
        return Touched(set(self.rollouts.watched) or None)

    # --- deciding -------------------------------------------------------------------------------------------------

    @property
    def everything(self) -> Touched:
        """All groups of the file, and those that are gone from it and have a rollout."""
        return both(self.members.keys() | self.rollouts.under_way)

    @property
    def texts(self) -> Texts:
        """The texts that a start needs."""
        newest = self.rest.newest
        return Texts(newest.text if newest is not None else None, self.rest.kept)

    def ordered(self, keys: Set[str]) -> list[str]:
        """Return groups in an order that does not hang on chance; those that the file has no more come first.

        Groups that are set aside are left out.
        """
        members, left = self.members, keys - self.set_aside
        # Two plain sorts: a key function would hold the event loop up for some 50 ms where there are 10,000.
        return sorted(key for key in left if key not in members) + sorted(key for key in left if key in members)

    def snapshot(self, key: str, fetched: Fetched | None = None) -> Snapshot:
        """Return the frozen view of one group as it was last refreshed; without members when the file has it no more.

        What the Traefiks show belongs to it also where no rollout is under way: one that begins now may switch at once.
        Who takes many snapshots at a time asks once who has `fetched` the document; there may be another one since.
        """
        if fetched is None or fetched.revision != self.traefik.revision:
            fetched = self.traefik.fetched()
        members = tuple(
            self.member(tracked, fetched) for tracked in (self.services[name] for name in self.members.get(key, ()))
        )
        state = self.groups.get(key, GroupState())
        was = state.rollout.members if state.rollout else ()
        moved = [one for one in members if one.state.group != one.service.group]
        away = self.docker.away_of(
            server for one in members for _, seen in one.observed.items() for server in seen.servers
        )
        was_in = {one.service.name: key_of(one.service.name, one.state.group) for one in moved}
        return Snapshot(
            members=members,
            state=state,
            docker_connected=self.docker.connected if not self.docker.engines else not away,
            engines_away=away,
            left={name: self.groups[before] for name, before in was_in.items() if before in self.groups},
            gone=frozenset(name for name in was if name in self.services and name not in self.members.get(key, ())),
        )

    def member(self, tracked: TrackedService, fetched: Fetched) -> Member:
        """Return the frozen view of one service, with what the Traefiks show of it."""
        applied = self.traefik.readings.applied(tracked.as_shown or tracked.service, fetched.by_traefik)
        return tracked.member(fetched=fetched.by_pollers, given=fetched.given, laggard=fetched.laggard, applied=applied)

    def plan(self, key: str, now: Instant, fetched: Fetched | None = None) -> Plan:
        """Decide on a group as it is now."""
        self.tracked.refresh(key, now)
        plan = reconcile(self.snapshot(key, fetched), now)
        self.tracked.reserve(plan.states)
        return plan

    def obey(self, service: str, act: Act, now: Instant) -> tuple[Done | Refused, str, Plan | None]:
        """Return what a command comes to, its group, and the plan that does it; None where there is nothing to do."""
        key = group_key(self.services[service].service)
        self.tracked.refresh(key, now)
        seen = self.snapshot(key)
        # What came in meanwhile is decided first: a command must not rest on a file or a list from before it. But no
        # switch: an abort that was said before it must find the candidate still waiting (P8).
        snapshot, before = settle(seen, now)
        if any(decision.event == Event.SHIFTED for decision in before):
            snapshot, before = seen, ()
        done = act(snapshot, now)
        if not isinstance(done, Done) or not done.decisions:
            return done, key, None
        plan = reconcile(done.snapshot, now, (*before, *done.decisions))
        self.tracked.reserve(plan.states)
        return done, key, plan

    def change(self, plans: Mapping[str, Plan]) -> Change:
        """Return what has to be on disk before these plans are adopted (P5)."""
        states = {name: state for plan in plans.values() for name, state in plan.states.items()}
        return Change(
            services={name: state for name, state in states.items() if state != self.states.get(name)},
            groups={key: plan.group for key, plan in plans.items()},
            decisions=tuple(decision for plan in plans.values() for decision in plan.decisions),
            servers=self.tracked.stored_servers(states),  # never older than what was decided on them
        )

    def adopt(self, key: str, plan: Plan) -> Adopted:
        """Take over what was decided, once it is committed."""
        before = self.groups.get(key)
        self.groups[key] = plan.group
        self.rollouts.follow(key, plan.group)
        others: set[str] = set()
        for name, state in plan.states.items():
            self.states[name] = state
            if name in self.services:  # the file may have dropped it while the decision was written
                others |= self.tracked.decide(name, state)
                if key not in self.rollouts.watched and self.services[name].checks:
                    self.services[name].checks = {}
        runs = plan.smoke if plan.smoke != self._runs.get(key, ()) else None
        if runs is not None:
            self._forget_smoke(self._runs.get(key, ()), runs)
            self._runs[key] = runs
        was, followed = self.followed.get(key, ()), None
        if plan.followed != was:
            self.followed[key] = followed = plan.followed
            self.counting.follow(was, followed, self.services, self.traefik.readings.marker)
        if any(row.event is Event.FORGOTTEN for row in plan.decisions):
            self._discover(Instant(0.0, plan.decisions[-1].at_utc))
        others |= self.tracked.admission_changed()
        return Adopted(before, runs, Touched(others or None, {key, *others} if plan.decisions else None), followed)

    def all_decided(self, retired: dict[str, TrackedService]) -> Touched:
        """Take that all which came in place of these retired services is decided; they leave with the next document."""
        if not retired:
            return NOTHING
        self.replaced = retired
        return Touched(publish=frozenset())

    def _resume(self, now: Instant) -> None:
        for key in self.rollouts.under_way:
            self.tracked.refresh(key, now)
            self.groups[key] = clocks.resume(self.groups[key], limits(self.snapshot(key)), now)

    def _forget_smoke(self, before: tuple[SmokeRun, ...], after: tuple[SmokeRun, ...]) -> None:
        """What nobody wants to know any more is tested again when it is wanted again: `retry` tests once more."""
        for run in before:
            tracked = self.services.get(run.service)
            if run not in after and tracked is not None:
                tracked.smoke = None
