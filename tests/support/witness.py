"""A second, independent reading of the rules: what each step must have had behind it, seen in the world around."""

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from provider.model import (
    Candidate,
    Colour,
    Deadlines,
    GroupState,
    Health,
    Outcome,
    Phase,
    ProbeMode,
    Rollout,
    Server,
    ServerKey,
    Service,
    ServiceState,
    SmokeRun,
    SmokeTest,
    Snapshot,
    Trigger,
    Verb,
    Wish,
)
from provider.model.desired import group_key
from provider.rollout.commands.types import Command
from tests.support.witness_steps import StepWitness
from tests.support.worlds import Taken, World

BEFORE_SWITCH = frozenset({Phase.WAITING, Phase.TESTING, Phase.APPROVAL, Phase.SHIFTING})
EARLY_S = 1e-3
"""So much earlier than read here may a deadline pass: dates are kept to the microsecond."""
DOCKER_PATIENCE_S = 90.0
"""So long may Docker take to call a container unhealthy: three checks, 30 s apart."""


@dataclass(frozen=True, slots=True)
class Way:
    """The release that was left, the colour that ran it, and the group and number of the rollout that left it."""

    colour: Colour
    release: str | None
    rollout: tuple[str, str | None]


@dataclass(slots=True)
class Clock:
    """Since when a rollout is in its phase, and how long it may be."""

    rollout: str
    phase: Phase
    since_mono_s: float
    limit_s: float
    waiting_left_s: float
    approval_until_utc: datetime | None = None
    is_held: bool = False
    still_mono_s: float | None = None


@dataclass(frozen=True, slots=True)
class Tested:
    """Smoke tests of a release that came to something; a rollout that begins in their place may rest on them (P1)."""

    service: str
    release: str | None
    tests: tuple[SmokeTest, ...]


class Witness:
    """Holds every step against the promises; what it knows of the past, it has seen itself."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.failed: dict[str, list[frozenset[Candidate]]] = defaultdict(list)
        self.ways: dict[str, Way] = {}
        self.ran: dict[str, frozenset[str]] = {}
        self.named: dict[str, Wish] = {}
        self.clocks: dict[str, Clock] = {}
        self.passed: set[Tested] = set()
        self.broken: set[Tested] = set()
        self.approved: dict[str, tuple[str, frozenset[Candidate]]] = {}
        self.checks: dict[tuple[str, ServerKey], list[tuple[float, Health]]] = defaultdict(list)
        self.errors_before: dict[str, dict[str, set[str]]] = {}
        self.home: dict[str, str] = {}
        self.paused: set[str] = set()
        self.begun = 0
        self.steps = StepWitness(world, self)

    # --- what is told to it -----------------------------------------------------------------------------------------

    def checked(self, name: str, key: ServerKey, health: Health) -> None:
        """See a health check being made."""
        if health is not Health.UNKNOWN:
            self.checks[name, key].append((self.world.mono_s, health))

    def tested(self, run: SmokeRun, passed: tuple[bool | None, ...]) -> None:
        """See the answers to smoke tests, each for one test on one server; the last ones count."""
        told = Tested(run.service, run.release, run.tests)
        if None in passed and False not in passed:
            return
        self.passed.discard(told)
        self.broken.discard(told)
        (self.broken if False in passed else self.passed).add(told)

    def restarted(self) -> None:
        """See the daemon come back: phases begin again, an approval keeps its date (rule 14)."""
        self.checks.clear()
        for key in self.world.group_keys():
            under_way, snapshot = self.rollout(key), self.world.snapshot(key)
            if under_way is not None:
                clock = self.clocks[key]
                clock.waiting_left_s = longest(snapshot, Phase.WAITING)
                self._enter(key, under_way, snapshot)
                self.steps.restarted(key, under_way)

    def rested(self) -> None:
        """See what runs now that everything is decided."""
        for key in self.world.group_keys():
            snapshot = self.world.snapshot(key)
            self._hold(key, snapshot)
            self._stays_paused(key, snapshot)
            self._rested_in_step(key, snapshot)
        for name, written in self.world.services.items():
            active = self.active(name)
            assert active is None or self.named[name] is written.active
            assert active is None or self.home[name] == group_key(written)
            if active is not None and self.running(name, active):
                self.ran[name] = self.running(name, active)

    # --- every step -------------------------------------------------------------------------------------------------

    def saw(self, taken: Taken) -> None:
        """Hold one step against the promises."""
        if taken.rows and not taken.by:
            assert durable(taken.before) != durable(taken.after), "a row tells of a change"
        self._hold(taken.group, taken.before)
        self.steps.look(taken.group, taken.before)
        self._read(taken)
        self._obeyed(taken)
        was, now_is = taken.before.state.rollout, taken.after.state.rollout
        self._colours(taken)
        if was is not None and (now_is is None or now_is.id != was.id):
            self._ended(taken, was)
        if now_is is not None and (was is None or was.id != now_is.id):
            self._began(taken, now_is)
        elif now_is is not None and was is not None:
            self._went_on(taken, was, now_is)
        self._stand(taken.group, taken.after)
        self.steps.look(taken.group, taken.after)

    def _stand(self, key: str, snapshot: Snapshot) -> None:
        """Rule 14: the clock of what waits for an engine that is away stands still, and goes on from there."""
        under_way, clock = snapshot.state.rollout, self.clocks.get(key)
        if under_way is None or clock is None:
            return
        if under_way.step is not None:
            clock.still_mono_s = None
            return
        members = {one.service.name: one for one in snapshot.members}
        in_docker = any(
            members[one.service].observed[one.colour].from_docker
            for one in under_way.candidates
            if one.service in members
        )
        stands = in_docker and not self.world.docker_connected and under_way.phase in {Phase.WAITING, Phase.SHIFTING}
        assert (under_way.still_mono_s is not None) in {stands, clock.still_mono_s is not None}
        if under_way.still_mono_s is not None and clock.still_mono_s is None:
            clock.still_mono_s = self.world.mono_s
        elif under_way.still_mono_s is None and clock.still_mono_s is not None:
            clock.since_mono_s += self.world.mono_s - clock.still_mono_s
            clock.still_mono_s = None

    def _read(self, taken: Taken) -> None:
        """Rule 10: an edit of `active` is acted on once, and naming a colour forgives its failures."""
        for row in taken.rows:
            if row.event == "desired":
                wish = self.world.services[row.service].active
                assert self.named[row.service] is not wish
                self.named[row.service] = wish
                if wish.colour is not None:
                    self._forgive(taken.group, row.service, wish.colour)
            elif row.event == "first-sight":
                self.named[row.service] = self.world.services[row.service].active
                self.home[row.service] = taken.group
            elif row.event == "regrouped":
                self._regrouped(taken, row.service)

    def _regrouped(self, taken: Taken, name: str) -> None:
        """P9, rule 11: what failed of a service goes along with it; what others left behind is not said of it."""
        key, before = taken.group, self.home[name]
        assert before != key
        others = [one.service.name for one in taken.before.members if one.service.name != name]
        if all(self.home.get(one, key) != key for one in others):
            self.failed[key] = []
            self.paused -= {one for one, home in self.home.items() if home == key}
        for colour in Colour:
            self._forgive(key, name, colour)
        self.failed[key] += [failed for failed in self.failed[before] if any(one.service == name for one in failed)]
        self.home[name] = key

    def _stays_paused(self, key: str, snapshot: Snapshot) -> None:
        """Rule 2: who is paused stays so until `resume`, whatever is edited; a group is when one of its members is."""
        members = {one.service.name for one in snapshot.members}
        told = {name for name, home in self.home.items() if home == key} | members  # also who left the file meanwhile
        if members:
            assert (snapshot.state.paused is not None) is bool(told & self.paused)
        if told & self.paused:
            self.paused |= members

    def _obeyed(self, taken: Taken) -> None:
        """Note what operators said."""
        if taken.by is None or not taken.rows:
            return
        key, under_way = taken.group, taken.after.state.rollout
        match taken.by.verb:
            case Verb.APPROVE:
                assert under_way is not None
                assert (taken.by.service, taken.by.release) in {
                    (one.service, one.release) for one in under_way.candidates
                }
                if self.approves_step(key, taken.by, under_way):
                    number = self.steps.clocks[key].number
                    assert taken.by.step in {None, number}
                    self.steps.approved.add((key, under_way.id, number))
                    return
                self.approved[key] = (under_way.id, frozenset(under_way.candidates))
                self.clocks[key].waiting_left_s = longest(taken.after, Phase.WAITING)
            case Verb.PROMOTE:
                self._promoted(taken.by, key, under_way)
            case Verb.PAUSE:
                self._paused(key, taken.before)
            case Verb.RESUME if taken.rows[0].event == "resumed":
                self.paused -= {one.service.name for one in taken.before.members}
                self.paused -= {name for name, home in self.home.items() if home == key}
            case Verb.SWITCH:
                before = taken.before.state.rollout
                if under_way is not None and (before is None or before.id != under_way.id):
                    self._chosen(taken.by, key, under_way)
                elif any(row.event == "promoted" for row in taken.rows):
                    self._promoted(replace(taken.by, full=True), key, under_way)
            case Verb.RETRY:
                self._retried(key, taken.before)

    def approves_step(self, key: str, given: Command, under_way: Rollout) -> bool:
        """Rule 20: in a step what follows it is approved, unless the release itself is yet to be."""
        if key not in self.steps.clocks:
            return False
        asked = any(self.world.services[one.service].approval_is_manual for one in under_way.candidates)
        lacks = asked and self.approved.get(key) != (under_way.id, frozenset(under_way.candidates))
        return given.step is not None or not lacks

    def _promoted(self, given: Command, key: str, under_way: Rollout | None) -> None:
        """Rule 20: the time of a step is over, or that of all steps; only force waives what they ask for."""
        assert under_way is not None
        number = self.steps.clocks[key].number
        assert given.step in {None, number}
        assert not given.force or given.reason
        self.steps.promoted.add((key, under_way.id, number))
        if given.full:
            self.steps.promoted_all.add((key, under_way.id))
        if given.force:
            self.steps.forced.add((key, under_way.id, number))
        assert (under_way.forced is not None) is (given.full and given.force)

    def _paused(self, key: str, before: Snapshot) -> None:
        self.paused |= {name for name, home in self.home.items() if home == key}  # also where the file has it no more
        for member in before.members:
            self.paused.add(member.service.name)
            if member.state.active is None:
                self.home[member.service.name] = key

    def _retried(self, key: str, before: Snapshot) -> None:
        """What is tried again passes every gate, also where it was the rollback target."""
        for member in before.members:
            name, active = member.service.name, member.state.active
            if active is None:
                continue
            one = Candidate(name, active.other, self.release(name, active.other))
            if not self.is_quarantined(key, [one]) and member.state.override is None:
                continue
            self._forgive(key, name, one.colour)
            if self.is_way(one):
                del self.ways[name]

    def _chosen(self, given: Command, key: str, under_way: Rollout) -> None:
        """P1, P9: what was named may be forced, and tried again; what moves along has not failed."""
        for one in under_way.candidates:
            if one.service != given.service:
                assert not self.is_quarantined(key, [one])
                assert not given.force or self.is_way(one)
            self._forgive(key, one.service, one.colour)

    def _began(self, taken: Taken, under_way: Rollout) -> None:
        """P9: nothing that failed begins again by itself, and nothing that is held begins at all."""
        self.begun += 1
        key, wanted = taken.group, under_way.candidates
        assert wanted
        assert len({one.service for one in wanted}) == len(wanted)
        for one in wanted:
            active = self.active_in(taken.before, one.service)
            assert active is not None
            assert one.colour is active.other
        if under_way.trigger is Trigger.COMMAND:
            assert taken.by is not None
            assert taken.by.verb in {Verb.SWITCH, Verb.RETRY}
            assert under_way.actor == taken.by.actor
            assert under_way.forced == (taken.by.reason if taken.by.force else None)
        else:
            assert under_way.forced is None
            assert not self.is_quarantined(key, wanted)
            assert not is_held(taken.before) or all(self.is_way(one) for one in wanted)
        left_s = longest(taken.before, Phase.WAITING)
        self.clocks[key] = Clock(under_way.id, Phase.WAITING, self.world.mono_s, left_s, left_s)
        self.approved.pop(key, None)
        self.steps.began(key, under_way)

    def _ended(self, taken: Taken, was: Rollout) -> None:
        """Every rollout ends with one outcome, in its time, and with good reason."""
        [outcome] = {row.outcome for row in taken.rows if row.rollout == was.id and row.outcome is not None}
        clock, is_in_step = self.clocks[taken.group], taken.group in self.steps.clocks
        assert is_in_step is (was.step is not None)
        over = self._clock_mono_s(taken.group) >= self.deadline_mono_s(taken.group) - EARLY_S
        match outcome:
            case Outcome.EXPIRED:
                if is_in_step:
                    self.steps.expired(taken.group)
                assert over or is_in_step
                assert was.phase in BEFORE_SWITCH
                assert not clock.is_held
                self.failed[taken.group].append(frozenset(was.candidates))
            case Outcome.ABORTED if was.is_switched:
                assert not taken.after.members
            case Outcome.ABORTED:
                assert taken.by or not replaced(taken.before, was)
                if {row.event for row in taken.rows} == {"gates-failed"}:
                    assert is_in_step or was.phase is Phase.TESTING
                    broken = any(self._told(one) in self.broken for one in was.candidates)
                    assert broken or (is_in_step and self._fails_in_step(taken.group, was))
                self.failed[taken.group].append(frozenset(was.candidates))
            case Outcome.SWITCHED:
                assert over
                assert was.phase is Phase.WATCHING
            case Outcome.ROLLED_BACK:
                assert was.is_switched
            case Outcome.SUPERSEDED:
                pass
        self.steps.ended(taken.group)

    def _fails_in_step(self, key: str, was: Rollout) -> bool:
        """Rule 19c: a refused document, or too few healthy servers while the active colour passes."""
        assert self.steps.are_active_able(key), "nothing automatic sends traffic to a colour without healthy servers"
        clock = self.steps.clocks[key]
        is_late = clock.ran_s >= longest(self.world.snapshot(key), Phase.CONFIRMING) - EARLY_S
        if clock.shown_s is None and any(self._is_refused(key, one, over=is_late) for one in was.candidates):
            return True
        return not self.steps.is_forced(key, was) and any(self._is_failing(one) for one in was.candidates)

    def _rested_in_step(self, key: str, snapshot: Snapshot) -> None:
        """Rule 19: what Traefik shows is noticed, and a clock stands still exactly while something stops it."""
        under_way = snapshot.state.rollout
        self.steps.look(key, snapshot)
        if under_way is None or under_way.step is None:
            return
        assert (under_way.still_mono_s is not None) is self.steps.stands(key, snapshot)
        if under_way.step.shown_mono_s is None and snapshot.members:
            clean = not any(self._complains(key, one) for one in under_way.candidates)
            assert not (clean and all(self.is_applied(one) for one in under_way.candidates))

    def _went_on(self, taken: Taken, was: Rollout, now_is: Rollout) -> None:
        """P1, P2: no phase is left without the evidence that it asks for."""
        events, key = {row.event for row in taken.rows}, taken.group
        clock = self.clocks[key]
        self._stepped(taken, was, now_is)
        if was.phase is now_is.phase and "watch-restarted" not in events:
            return
        over = self._clock_mono_s(key) >= self.deadline_mono_s(key) - EARLY_S
        match was.phase, now_is.phase:
            case Phase.TESTING, Phase.APPROVAL:
                for one in now_is.candidates:
                    self._has_passed_smoke(now_is, one)
            case Phase.APPROVAL, Phase.SHIFTING:
                for one in now_is.candidates:
                    self._is_approved(taken, now_is, one)
            case Phase.SHIFTING, Phase.CONFIRMING:
                self.steps.finished(key, was)
                self.steps.ended(key)
                self.errors_before[key] = self._errors(now_is)
            case Phase.CONFIRMING, Phase.WATCHING:
                proven = all(self.is_applied(one) and not self._complains(key, one) for one in now_is.candidates)
                assert events == ({"confirmed"} if proven else {"unconfirmed"})
                assert proven or over
            case _, Phase.WAITING:
                assert was.step is None, "nothing goes back to waiting with traffic on it (rule 19c)"
                assert events == {"gates-lost"}
            case Phase.WAITING, Phase.TESTING:
                pass
            case Phase.WATCHING, Phase.WATCHING:
                pass
            case _:
                raise AssertionError(f"{was.phase} -> {now_is.phase}")
        if clock.phase in {Phase.WAITING, Phase.SHIFTING} and not clock.is_held:
            clock.waiting_left_s = max(0.0, clock.limit_s - (self.world.mono_s - clock.since_mono_s))
        self._enter(key, now_is, taken.after)

    def _stepped(self, taken: Taken, was: Rollout, now_is: Rollout) -> None:
        """Rule 19: a step begins, is shown or is passed in transitions of their own."""
        events, key = {row.event for row in taken.rows}, taken.group
        if "step-begun" in events:
            assert was.phase is now_is.phase is Phase.SHIFTING
            assert {row.service for row in taken.rows if row.event == "step-begun"} == {
                one.service for one in now_is.candidates
            }
            self._may_begin(taken, now_is)
            self.steps.step_begun(key, now_is, taken.after)
            self.errors_before[key] = self._errors(now_is)
            return
        assert (was.step and was.step.number) == (now_is.step and now_is.step.number) or now_is.is_switched
        if was.step is None or now_is.step is None:
            return
        if "step-passed" in events:
            self.steps.step_passed(key, now_is, taken.before)
            if not self.steps.is_forced(key, now_is):
                for one in now_is.candidates:
                    self._has_passed_smoke(now_is, one)
        elif was.step.shown_mono_s is None and now_is.step.shown_mono_s is not None:
            clean = not any(self._complains(key, one) for one in now_is.candidates)
            applied = clean and all(self.is_applied(one) for one in now_is.candidates)
            confirming_s = longest(taken.before, Phase.CONFIRMING)
            self.steps.step_shown(key, is_applied=applied, confirming_s=confirming_s)
        if any(
            row.event == "replaced" and row.service in {one.service for one in was.candidates} for row in taken.rows
        ):
            self.steps.replaced(key)

    def _may_begin(self, taken: Taken, now_is: Rollout) -> None:
        """P1, rules 2, 6, 11 and 19b: a step needs what a switch needs, and of the servers its share."""
        assert not is_held(taken.before)
        moving = {one.service for one in now_is.candidates}
        for one in now_is.candidates:
            self._is_proven(taken, now_is, one, weight=now_is.weight)
        for member in taken.before.members:
            if member.service.name not in moving and not self.steps.is_forced(taken.group, now_is):
                self._is_not_on_the_way(member.service, member.state.active)

    # --- what has traffic -------------------------------------------------------------------------------------------

    def _colours(self, taken: Taken) -> None:
        """P1, P3: a colour becomes active at first sight, by a switch that was earned, or as the rollback target."""
        befores = {one.service.name: one.state.active for one in taken.before.members}
        afters = {one.service.name: one.state.active for one in taken.after.members}
        moved = {name for name in befores if befores[name] is not afters[name]}
        events = {row.event for row in taken.rows}
        if not moved:
            assert not events & {"shifted", "rolled-back"}
        elif "first-sight" in events:
            assert all(befores[name] is None for name in moved)
        elif "shifted" in events:
            self._switched(taken, moved)
        else:
            assert "rolled-back" in events
            self._taken_back(taken, moved)

    def _switched(self, taken: Taken, moved: set[str]) -> None:
        under_way = taken.before.state.rollout
        assert under_way is not None
        assert moved == {one.service for one in under_way.candidates}
        assert all(self.active_in(taken.after, one.service) is one.colour for one in under_way.candidates)
        assert under_way.forced or not is_held(taken.before) or all(self.is_way(one) for one in under_way.candidates)
        for one in under_way.candidates:
            self._is_proven(taken, under_way, one)
        for member in taken.before.members:
            if member.service.name not in moved and not self.steps.is_forced(taken.group, under_way):
                self._is_not_on_the_way(member.service, member.state.active)
        for one in under_way.candidates:
            self._leave(one.service, one.colour, (taken.group, under_way.id))

    def _is_proven(self, taken: Taken, under_way: Rollout, one: Candidate, *, weight: int = 100) -> None:
        """P1, P2, rules 5, 6 and 9."""
        written, seen = self.world.services[one.service], self.world.seen[one.service, one.colour]
        servers = staying(seen.servers)
        assert one.release is not None
        assert {server.release for server in servers} == {one.release}
        if seen.from_docker:
            assert self.world.docker_connected
            assert seen.listed_mono_s is not None
            step = self.steps.clocks.get(taken.group)
            since_mono_s = step.passed_mono_s if step else self.clocks[taken.group].since_mono_s
            assert since_mono_s is not None or under_way.forced
            assert seen.listed_mono_s >= (since_mono_s or 0.0)
        if self.steps.is_forced(taken.group, under_way):
            assert under_way.actor or not under_way.forced
            return
        assert servers == list(seen.servers)
        assert all(self.is_proven(written, server) for server in servers)
        if self.is_way(one):
            return
        assert len(servers) >= self.steps.needed(self._servers_needed(written, one.colour.other), weight)
        assert self.world.mono_s - seen.changed_mono_s >= written.settle_s
        self._has_passed_smoke(under_way, one)
        self._is_approved(taken, under_way, one)

    def _has_passed_smoke(self, under_way: Rollout, one: Candidate) -> None:
        if self.world.services[one.service].smoke_tests and not under_way.forced and not self.is_way(one):
            assert self._told(one) in self.passed

    def _is_approved(self, taken: Taken, under_way: Rollout, one: Candidate) -> None:
        if self.world.services[one.service].approval_is_manual and not under_way.forced and not self.is_way(one):
            assert self.approved.get(taken.group) == (under_way.id, frozenset(under_way.candidates))

    def _is_not_on_the_way(self, written: Service, active: Colour | None) -> None:
        """Rule 11: nobody switches while another member's standby is starting or mixed."""
        if active is None or written.active.colour is active:
            return
        servers = self.world.servers(written.name, active.other)
        assert len({server.release for server in staying(servers) or servers}) <= 1
        bad = [server for server in servers if not self.is_proven(written, server)]
        assert not bad or any(self.is_unhealthy(written, server) for server in bad)

    def _taken_back(self, taken: Taken, moved: set[str]) -> None:
        """P7, rules 7 to 9 and 11: exactly what moved together goes back, in one step, to what was there."""
        was, key = taken.before.state.rollout, taken.group
        told = [row for row in taken.rows if row.event == "rolled-back"]
        forced = taken.by is not None and taken.by.force
        assert moved == set(self.together(next(iter(moved)), taken.before))
        for name in moved:
            assert self.active_in(taken.after, name) is self.ways[name].colour
            assert self.why_not_back(name, key, force=forced) is None
        if taken.by is None:
            assert was is not None
            assert was.is_switched
            assert {row.trigger for row in told} == {Trigger.WATCH}
            assert moved == {one.service for one in was.candidates}
            over = self._clock_mono_s(key) >= self.deadline_mono_s(key) - EARLY_S
            confirming = was.phase is Phase.CONFIRMING
            refused = confirming and any(self._is_refused(key, one, over=over) for one in was.candidates)
            assert refused or (not was.forced and any(self._is_failing(one) for one in was.candidates))
        leaving = {name: self.ways[name].colour.other for name in moved}
        self.failed[key].append(frozenset(Candidate(name, at, self._left(name, at)) for name, at in leaving.items()))
        if was is not None and was.is_switched:
            self.failed[key].append(frozenset(was.candidates))
        for name in moved:
            self._leave(name, self.ways[name].colour, self.ways[name].rollout)

    def _leave(self, name: str, to: Colour, rollout: tuple[str, str | None]) -> None:
        """Note the rollback target of a service that has just moved."""
        self.ways[name] = Way(to.other, self._left(name, to.other), rollout)
        self.ran.pop(name, None)
        if self.running(name, to):
            self.ran[name] = self.running(name, to)

    def _left(self, name: str, active: Colour) -> str | None:
        """Return the one release that the active colour runs, or ran last."""
        return sole(self.running(name, active) or self.ran.get(name, frozenset()))

    # --- what the world shows ---------------------------------------------------------------------------------------

    def rollout(self, key: str) -> Rollout | None:
        """Return the rollout that a group has under way."""
        return self.world.groups.get(key, GroupState()).rollout

    def active(self, name: str) -> Colour | None:
        """Return the colour that is committed as active."""
        return self.world.states.get(name, ServiceState()).active

    def active_in(self, snapshot: Snapshot, name: str) -> Colour | None:
        """Return the colour that is active in a snapshot."""
        return next(one.state.active for one in snapshot.members if one.service.name == name)

    def running(self, name: str, colour: Colour) -> frozenset[str]:
        """Return the releases of a colour: of the servers that stay, of all while all are leaving."""
        servers = self.world.servers(name, colour)
        return frozenset(server.release for server in staying(servers) or servers)

    def release(self, name: str, colour: Colour) -> str | None:
        """Return the release of a uniform colour."""
        return sole(self.running(name, colour))

    def is_proven(self, written: Service, server: Server) -> bool:
        """Rule 5: tell whether a server is known to be healthy."""
        probed = self.verdict(written.name, server.key) is Health.HEALTHY
        by_docker = server.docker_health
        match written.endpoints[0].health_check.mode:
            case ProbeMode.DOCKER:
                return by_docker is Health.HEALTHY
            case None:
                return probed if by_docker is None else by_docker is Health.HEALTHY
            case _:
                return probed and by_docker in {None, Health.HEALTHY}

    def is_unhealthy(self, written: Service, server: Server) -> bool:
        """Rule 5: tell whether a server is known to be unhealthy."""
        mode = written.endpoints[0].health_check.mode
        probes_count = mode in {ProbeMode.HTTP, ProbeMode.GRPC, ProbeMode.TCP} or (
            mode is None and server.docker_health is None
        )
        by_probe = probes_count and self.verdict(written.name, server.key) is Health.UNHEALTHY
        if mode is ProbeMode.DOCKER and server.docker_health is None:
            return False
        return server.docker_health is Health.UNHEALTHY or by_probe

    def verdict(self, name: str, key: ServerKey) -> Health:
        """Return what the probes of a server say."""
        verdict = self.world.health.get(name, {}).get(key)
        return verdict.health if verdict else Health.UNKNOWN

    def is_way(self, one: Candidate) -> bool:
        """Tell whether a candidate is exactly what was active before."""
        way = self.ways.get(one.service)
        return way is not None and way.release is not None and (way.colour, way.release) == (one.colour, one.release)

    def is_quarantined(self, key: str, wanted: Iterable[Candidate]) -> bool:
        """P9: tell whether all of these failed in one rollout; a colour with no release counts as what failed in it."""

        def failed_in(one: Candidate, failed: frozenset[Candidate]) -> bool:
            places = {(past.service, past.colour) for past in failed}
            return one in failed or (one.release is None and (one.service, one.colour) in places)

        return any(all(failed_in(one, failed) for one in wanted) for failed in self.failed[key])

    def together(self, name: str, snapshot: Snapshot) -> list[str]:
        """Return the members of a group that moved with this one."""
        way = self.ways[name]
        names = [one.service.name for one in snapshot.members]
        return [
            each for each in names if each == name or (each in self.ways and self.ways[each].rollout == way.rollout)
        ]

    def why_not_back(self, name: str, key: str, *, force: bool = False) -> str | None:
        """P7, rule 9: say why the rollback target of a service cannot be taken now."""
        way, written = self.ways.get(name), self.world.services[name]
        if way is None or way.release is None:
            return "no rollback target"
        servers = staying(self.world.servers(name, way.colour))
        if {server.release for server in servers} != {way.release}:
            return "another release, or none"
        if self.is_quarantined(key, [Candidate(name, way.colour, way.release)]):
            return "quarantined"
        return None if force or all(self.is_proven(written, server) for server in servers) else "not healthy"

    def is_applied(self, one: Candidate) -> bool:
        """Rule 7: tell whether Traefik, or every poller, surely has what was decided."""
        document, shown = self.world.document, self.world.shown.get(one.service)
        if document is None or shown is None or dict(shown.decided) != self.decided(one):
            return False
        if one.colour not in dict(shown.served):
            return False  # without a server it has no traffic yet
        served = {(f"{one.service}-{colour}", share) for colour, share in shown.served}
        if not self.world.has_apis or not self.world.traefiks:
            fetched = self.world.fetched.values()
            return bool(fetched) and set(fetched) == {self.world.revision}
        read = [self.world.read.get(name) for name in self.world.traefiks]
        return all(
            each is not None
            and each.answers
            and self.world.is_current(each)
            and set(each.weights.get(one.service, ())) == served
            for each in read
        )

    def decided(self, one: Candidate) -> dict[Colour, int]:
        """Rule 19: return the weights of a service while this candidate moves: a step's, or all of it."""
        share = self.steps.share(group_key(self.world.services[one.service]))
        return {one.colour: share, one.colour.other: 100 - share} if share else {one.colour: 100}

    def weights(self, name: str) -> dict[Colour, int]:
        """Return the weights of a service as they are decided."""
        active, key = self.active(name), group_key(self.world.services[name])
        assert active is not None
        one = self.steps.candidate(key, name)
        return {active: 100} if one is None else self.decided(one)

    def deadline_mono_s(self, key: str) -> float:
        """P10: return when the phase of a rollout that is not held is due."""
        return self.clocks[key].since_mono_s + self.clocks[key].limit_s

    def _clock_mono_s(self, key: str) -> float:
        still_mono_s = self.clocks[key].still_mono_s
        return self.world.mono_s if still_mono_s is None else still_mono_s

    def ends_mono_s(self, key: str) -> float:
        """Return when that phase ends whatever happens.

        The watch over a release that fails is twice as long, and as long as Docker has to say that it fails alone.
        """
        clock = self.clocks[key]
        bad = [one for one in self._candidates(key) if self._lacks(one)] if clock.phase is Phase.WATCHING else []
        ends = [self.deadline_mono_s(key) + (clock.limit_s if bad else 0.0)]
        return max(ends + [self._failed_mono_s(one) + DOCKER_PATIENCE_S for one in bad if self._is_judged_late(one)])

    def _failed_mono_s(self, one: Candidate) -> float:
        """Return since when a candidate lacks servers: those that failed a check, or its colour as it is now."""
        servers = self.world.servers(one.service, one.colour)
        since = [self._failing_since_mono_s(one.service, server.key) for server in servers]
        since += [self.world.docker_failed_mono_s.get((one.service, server.key)) for server in servers]
        changed_mono_s = self.world.seen[one.service, one.colour].changed_mono_s
        return max([changed_mono_s] + [each for each in since if each is not None])

    def _is_judged_late(self, one: Candidate) -> bool:
        """Tell whether Docker judges the rollback target: it takes its time over what fails."""
        return any(server.docker_health is not None for server in self.world.servers(one.service, one.colour.other))

    def _candidates(self, key: str) -> tuple[Candidate, ...]:
        under_way = self.rollout(key)
        return under_way.candidates if under_way else ()

    def _told(self, one: Candidate) -> Tested:
        return Tested(one.service, one.release, self.world.services[one.service].smoke_tests)

    def _errors(self, under_way: Rollout) -> dict[str, set[str]]:
        """Return what each Traefik that answers says of the services that move."""
        answering = {name: each for name, each in self.world.read.items() if each.answers}
        return {
            name: {words for one in under_way.candidates for words in each.complaints(one.service)}
            for name, each in answering.items()
        }

    def _is_refused(self, key: str, one: Candidate, *, over: bool) -> bool:
        """Rule 7: an error that was not there before, or, at the deadline, old weights of one that fetched."""
        document = self.world.document
        assert document is not None
        stale = [
            each.marker != document.marker and self._may_have_fetched(name)
            for name, each in self.world.read.items()
            if each.answers and each.weights.get(one.service)
        ]
        return self._complains(key, one) or (over and any(stale))

    def _may_have_fetched(self, name: str) -> bool:
        """Rule 7: tell whether a Traefik counts as having the last document.

        One that only polled an earlier process cannot be told from those that poll this one: both showed its marker.
        """
        fetched, revision = self.world.fetched, self.world.revision
        is_of_before = self.world.has_restarted and name not in fetched
        return fetched.get(name) == revision or (is_of_before and set(fetched.values()) == {revision})

    def _complains(self, key: str, one: Candidate) -> bool:
        """Tell whether a Traefik that answered before the switch has new words about what is decided."""
        before = self.errors_before[key]
        return any(
            each.answers
            and self.world.is_current(each)
            and name in before
            and not set(each.complaints(one.service)) <= before[name]
            for name, each in self.world.read.items()
        )

    def _lacks(self, one: Candidate) -> bool:
        """Rule 8: tell whether fewer servers than needed are not unhealthy; lost ones count as unhealthy."""
        written, seen = self.world.services[one.service], self.world.seen[one.service, one.colour]
        able = [server for server in staying(seen.servers) if not self.is_unhealthy(written, server)]
        return seen.known and len(able) < (written.min_servers or 1)

    def _is_failing(self, one: Candidate) -> bool:
        """Rule 8: it lacks servers, and each server of the rollback target passed `healthyAfter` times since."""
        name, written = one.service, self.world.services[one.service]
        if not self._lacks(one):
            return False
        bad = [server for server in staying(self.world.servers(name, one.colour)) if self.is_unhealthy(written, server)]
        since = [self._failing_since_mono_s(name, server.key) for server in bad]
        since_mono_s = min((at for at in since if at is not None), default=None)
        for server in staying(self.world.servers(name, one.colour.other)):
            if server.docker_health is not None or since_mono_s is None:
                continue
            passes = [
                at for at, health in self.checks[name, server.key] if at > since_mono_s and health is Health.HEALTHY
            ]
            if len(passes) < written.endpoints[0].health_check.healthy_after:
                return False
            if any(self._last_failure_mono_s(name, each.key) <= passes[0] for each in bad):
                return False
        return True

    def _failing_since_mono_s(self, name: str, key: ServerKey) -> float | None:
        since = None
        for at, health in self.checks[name, key]:
            since = None if health is Health.HEALTHY else at if since is None else since
        return since

    def _last_failure_mono_s(self, name: str, key: ServerKey) -> float:
        """Return when a server failed last; for ever, where no check has told."""
        failures = [at for at, health in self.checks[name, key] if health is Health.UNHEALTHY]
        return max(failures, default=math.inf)

    def _servers_needed(self, written: Service, active: Colour) -> int:
        if written.min_servers is not None:
            return written.min_servers
        published = self.world.published.get(written.name, frozenset())
        return sum(server.key in published for server in self.world.servers(written.name, active))

    # --- time -------------------------------------------------------------------------------------------------------

    def _enter(self, key: str, under_way: Rollout, snapshot: Snapshot) -> None:
        clock, to = self.clocks[key], under_way.phase
        clock.phase, clock.since_mono_s, clock.is_held = to, self.world.mono_s, False
        clock.still_mono_s = None
        if to is Phase.SHIFTING:
            clock.approval_until_utc = None
        if to in {Phase.WAITING, Phase.SHIFTING}:
            clock.limit_s = clock.waiting_left_s
        elif to is Phase.APPROVAL:
            limit = timedelta(seconds=longest(snapshot, to))
            clock.approval_until_utc = clock.approval_until_utc or self.world.utc + limit
            clock.limit_s = (clock.approval_until_utc - self.world.utc).total_seconds()
        else:
            clock.limit_s = longest(snapshot, to)

    def _hold(self, key: str, snapshot: Snapshot) -> None:
        """Rule 2: a held rollout has no deadline, nor has its approval; let go, both have their whole time again."""
        under_way, clock = snapshot.state.rollout, self.clocks.get(key)
        if under_way is None or clock is None or under_way.phase not in BEFORE_SWITCH or under_way.step is not None:
            return
        held = self.is_stopped(snapshot)
        if held and not clock.is_held:
            clock.is_held, clock.approval_until_utc = True, None
        elif clock.is_held and not held:
            clock.waiting_left_s = longest(snapshot, Phase.WAITING)
            self._enter(key, under_way, snapshot)

    def is_stopped(self, snapshot: Snapshot) -> bool:
        """Tell whether the rollout under way is held: the rollback target and what is forced are not."""
        under_way = snapshot.state.rollout
        if under_way is None or under_way.forced or under_way.is_switched:
            return False
        return is_held(snapshot) and not all(self.is_way(one) for one in under_way.candidates)

    def _forgive(self, key: str, name: str, colour: Colour) -> None:
        self.failed[key] = [
            frozenset(one for one in failed if (one.service, one.colour) != (name, colour))
            for failed in self.failed[key]
        ]


def staying(servers: Iterable[Server]) -> list[Server]:
    """Return the servers that nobody asked to stop."""
    return [server for server in servers if server.leaving_mono_s is None]


def sole(releases: frozenset[str]) -> str | None:
    """Return the only release, None where there are none or several."""
    return next(iter(releases)) if len(releases) == 1 else None


def is_held(snapshot: Snapshot) -> bool:
    """Tell whether `hold` or `pause` stands."""
    return snapshot.state.paused is not None or any(one.service.hold for one in snapshot.members)


def longest(snapshot: Snapshot, phase: Phase) -> float:
    """Return how long a phase may take: the longest that a member allows."""
    services = [one.service for one in snapshot.members]
    if phase is Phase.WATCHING:
        return max((each.watch_s for each in services), default=0.0)
    names = {
        Phase.WAITING: "waiting_s",
        Phase.TESTING: "testing_s",
        Phase.APPROVAL: "approval_s",
        Phase.CONFIRMING: "confirming_s",
    }
    return max(float(getattr(each, names[phase])) for each in [one.deadlines for one in services] or [Deadlines()])


def replaced(snapshot: Snapshot, was: Rollout) -> bool:
    """Tell whether a candidate's colour now runs another release than the one under way (rule 6)."""
    return any(
        member.observed[one.colour].release not in {None, one.release}
        for one in was.candidates
        for member in snapshot.members
        if member.service.name == one.service
    )


def durable(snapshot: Snapshot) -> object:
    """Return what is committed, without the times that belong to one process."""
    rollout = snapshot.state.rollout
    step = rollout.step if rollout else None
    if step:
        has_passed = None if step.passed_mono_s is None else 0.0
        step = replace(step, begun_mono_s=0.0, shown_mono_s=None, passed_mono_s=has_passed)
    timeless = rollout and replace(
        rollout, entered_mono_s=0.0, deadline_mono_s=None, waiting_left_s=0.0, still_mono_s=None, step=step
    )
    return replace(snapshot.state, rollout=timeless), [one.state for one in snapshot.members]
