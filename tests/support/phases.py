"""A rollout in each of its phases: states and whole groups for the tests of what may happen there."""

from collections.abc import Mapping
from dataclasses import replace

from provider.model import (
    Approval,
    Canary,
    Candidate,
    Colour,
    Event,
    GroupState,
    Health,
    Instant,
    Member,
    Observed,
    Phase,
    Server,
    Service,
    ServiceState,
    Shown,
    Snapshot,
    Step,
    Trigger,
)
from provider.rollout import clocks, phases, weights
from provider.rollout.facts import ServiceFacts
from tests.support.worlds import BLUE, EPOCH, GREEN, all_on, at, candidate, member, runs, server, service, snapshot

LIMITS: clocks.Limits = {
    Phase.WAITING: 600.0,
    Phase.TESTING: 300.0,
    Phase.APPROVAL: 86400.0,
    Phase.SHIFTING: 3600.0,
    Phase.CONFIRMING: 30.0,
    Phase.WATCHING: 120.0,
}
ON_THE_WAY = (Event.READY, Event.TESTED, Event.APPROVED, Event.SHIFTED, Event.CONFIRMED)
BEFORE_SWITCH = (Phase.WAITING, Phase.TESTING, Phase.APPROVAL, Phase.SHIFTING)
AFTER_SWITCH = (Phase.CONFIRMING, Phase.WATCHING)
UNDER_WAY = (*BEFORE_SWITCH, *AFTER_SWITCH)

STEPS = Canary((Step(5, 300.0), Step(25, 600.0), Step(50, 600.0)))
OLD, NEW = server(1, "r1"), server(2, "r2")
ANN, BOB = "ann", "bob"


def begun(
    *candidates: Candidate,
    state: GroupState | None = None,
    trigger: Trigger = Trigger.DOCKER,
    now: Instant | None = None,
    actor: str | None = None,
    forced: str | None = None,
) -> GroupState:
    """Begin a rollout of these candidates, of shop's r2 in green where none are named, at mono 1000."""
    wanted = candidates or (candidate("r2"),)
    names = tuple(sorted({one.service for one in wanted}))
    given = now or at(1000.0)
    return phases.begin(state or GroupState(), wanted, names, trigger, LIMITS, given, actor=actor, forced=forced)


def advanced(state: GroupState, event: Event, mono_s: float = 1000.0) -> GroupState:
    """Take one step that goes on."""
    after, _ = phases.advance(state, event, LIMITS, at(mono_s))
    return after


def carried(state: GroupState, phase: Phase) -> GroupState:
    """Carry a rollout that waits on to a phase at the moment when it began; before shifting an approval is given."""
    for event in ON_THE_WAY:
        if phases.phase(state) is phase:
            return state
        if event is Event.APPROVED:
            state = phases.approve(state, Approval(ANN, EPOCH), LIMITS)
        state = advanced(state, event)
    return state


def in_phase(phase: Phase, *candidates: Candidate) -> GroupState:
    """Show a group in a phase, entered at mono 1000."""
    return GroupState(rollouts=7) if phase is Phase.STEADY else carried(begun(*candidates), phase)


def old(of: Service | None = None, green: Observed | None = None, **fields: object) -> Member:
    """A service with r1 active in blue and a healthy r2 standing by in green."""
    seen = runs(NEW) if green is None else green
    made = member(of or service(), blue=runs(OLD), green=seen, published=(OLD,))
    return replace(made, shown=all_on(BLUE), **fields)  # type: ignore[arg-type]  # checked by the dataclass at run time


def moved(
    of: Service | None = None,
    *,
    blue: Observed | None = None,
    green: Observed | None = None,
    health: Mapping[Server, Health] | None = None,
    by: str | None = "r1",
    **fields: object,
) -> Member:
    """The same service after the switch to green: the rollout `by` left r1 in blue as the rollback target."""
    of = of or service()
    before = member(of, blue=runs(OLD), green=runs(NEW)).state
    state = phases.switch(before, Candidate(of.name, GREEN, "r2"), by, at(1000.0))
    seen = member(of, active=GREEN, blue=blue or runs(OLD), green=green or runs(NEW), health=health, published=(NEW,))
    return replace(seen, state=state, shown=all_on(GREEN), **fields)  # type: ignore[arg-type]


def group(phase: Phase, *members: Member, forced: str | None = None, trigger: Trigger = Trigger.DOCKER) -> Snapshot:
    """Show members, all of which take part in a rollout to green that is in this phase; one of shop alone for none."""
    members = members or ((moved() if phase in AFTER_SWITCH else old()),)
    chosen = tuple(candidate(of=each.service.name) for each in members)
    actor = ANN if forced else None
    if phase is Phase.STEADY:
        return snapshot(*members, state=GroupState(rollouts=7))
    state = carried(begun(*chosen, trigger=trigger, actor=actor, forced=forced), phase)
    return snapshot(*members, state=state)


def in_step(number: int, *candidates: Candidate, canary: Canary = STEPS, shown: bool = True) -> GroupState:
    """Show a group in a step that began at mono 1000, and that Traefik shows since then."""
    state = in_phase(Phase.SHIFTING, *candidates)
    assert state.rollout is not None
    state = replace(state, rollout=replace(state.rollout, canary=canary))
    for each in range(1, number + 1):
        state = advanced(state, Event.STEP_BEGUN)
        if shown or each < number:
            state = clocks.show_step(state, LIMITS, at(1000.0))
        if each < number:
            state = advanced(state, Event.STEP_PASSED)
    return state


def stepping(number: int, *members: Member, canary: Canary = STEPS, shown: bool = True) -> Snapshot:
    """Show members that are all in a step of a rollout to green, as every poller has it; shop alone for none."""
    members = members or (old(service(canary=canary)),)
    state = in_step(number, *(candidate(of=each.service.name) for each in members), canary=canary, shown=shown)
    seen = (replace(each, fetched=True, shown=_shown(each, state)) for each in members)
    return snapshot(*seen, state=state)


def _shown(of: Member, state: GroupState) -> Shown:
    found = weights.weights(of, state.rollout)
    return Shown(found, found)


def only(of: Snapshot) -> Member:
    """Return the one member of a group of one."""
    (one,) = of.members
    return one


def facts(of: Snapshot, now: Instant, one: Member | None = None) -> ServiceFacts:
    """Work out what is true of a member, of the first one where none is named."""
    return ServiceFacts(of, one or of.members[0], now, {}, EPOCH)


def with_state(of: Member, **fields: object) -> Member:
    """Change what was decided about a service."""
    state: ServiceState = replace(of.state, **fields)  # type: ignore[arg-type]
    return replace(of, state=state)


def see(
    of: Snapshot, name: str, colour: Colour, seen: Observed, health: Mapping[Server, Health] | None = None
) -> Snapshot:
    """Show a group after a colour of one member changed; what runs there is healthy where `health` does not say."""
    members = []
    for each in of.members:
        if each.service.name == name:
            observed = each.observed.put(colour, seen)
            judged = member(blue=observed.blue, green=observed.green, health=health).health
            each = replace(each, observed=observed, health=judged)  # noqa: PLW2901
        members.append(each)
    return replace(of, members=tuple(members))
