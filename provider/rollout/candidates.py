"""What a rollout group wants, and what keeps it from getting it; the rules ask this, and so does the operator."""

from collections.abc import Collection

from provider.model import (
    Candidate,
    ColourState,
    Deadlines,
    Gate,
    Instant,
    Member,
    Phase,
    Quarantine,
    Rollout,
    Snapshot,
    Trigger,
    Wish,
)
from provider.model.releases import are_known, is_part
from provider.rollout import clocks
from provider.rollout.gates import OF_PHASE, Asked, Verdict, is_rollback_target, verdicts
from provider.rollout.health import colour_state
from provider.rollout.quarantine_list import quarantine_of


def candidates(snapshot: Snapshot) -> tuple[Candidate, ...]:
    """Return the release that each member wants to move to, of those that want one."""
    under_way = snapshot.state.rollout
    commanded = under_way is not None and under_way.trigger is Trigger.COMMAND
    found = (_of_member(member, _candidate(under_way, member), commanded=commanded) for member in snapshot.members)
    return tuple(candidate for candidate in found if candidate is not None)


def quarantine(snapshot: Snapshot) -> Quarantine | None:
    """Return the failed set that keeps the candidates from being tried."""
    moving = candidates(snapshot)
    return quarantine_of(snapshot.state, moving) if moving else None


def held_by(snapshot: Snapshot) -> str | None:
    """Say what stops the group's forward rollouts: the `hold` of a member, or the command `pause`.

    Neither holds up a rollback target, or a switch that somebody forces.
    """
    under_way = snapshot.state.rollout
    if under_way is not None and under_way.forced is not None:
        return None
    if not snapshot.members:  # the file has none of them any more, and nobody who could go on
        return None
    moving = candidates(snapshot) if under_way is None else under_way.candidates
    members = {member.service.name: member for member in snapshot.members}
    if moving and all(one.service in members and is_rollback_target(members[one.service], one) for one in moving):
        return None
    paused = snapshot.state.paused
    if paused is not None:
        reason = f" ({paused.reason})" if paused.reason else ""
        return f"paused by {paused.actor}{reason}; go on with: bluegreen resume {snapshot.members[0].service.name}"
    holding = next((member.service.name for member in snapshot.members if member.service.hold), None)
    return f"{holding} has hold: true; remove it to go on" if holding else None


def is_held(snapshot: Snapshot) -> bool:
    """Return whether the group is held or paused, whatever is wanted."""
    return snapshot.state.paused is not None or any(member.service.hold for member in snapshot.members)


def gates_of(
    snapshot: Snapshot, candidate: Candidate, now: Instant, gates: Collection[Gate] = tuple(Gate)
) -> dict[Gate, Verdict]:
    """Return what each of these gates says of one candidate now."""
    member = member_of(snapshot, candidate.service)
    under_way = snapshot.state.rollout
    asked = Asked(member, candidate, under_way, now, snapshot.docker_connected, snapshot.engines_away)
    return verdicts(asked, gates)


def holding_up(snapshot: Snapshot, now: Instant) -> str | None:
    """Say what keeps the rollout from leaving its phase for the next one; None when nothing does.

    Of a rollout in steps `stepping.waits_for` says more.
    """
    under_way = snapshot.state.rollout
    if under_way is None:
        return None
    if under_way.step is not None and under_way.step.passed_mono_s is None:
        return "the step is not over"
    held = held_by(snapshot)
    if held:
        return held
    if under_way.forced is None and Gate.HEALTH in OF_PHASE[under_way.phase]:
        starting = _starting(snapshot, under_way)
        if starting:
            return starting
    return shut(snapshot, OF_PHASE[under_way.phase], now)


def shut(snapshot: Snapshot, gates: Collection[Gate], now: Instant) -> str | None:
    """Say which of these gates holds a candidate under way up, and why."""
    under_way = snapshot.state.rollout
    there = {member.service.name for member in snapshot.members}
    for one in under_way.candidates if under_way else ():
        if one.service not in there:  # it has left the file, which is yet to be decided on
            continue
        for gate, found in gates_of(snapshot, one, now, gates).items():
            if not found.lets_through:
                reason = found.reason or "no evidence"
                return reason if gate is Gate.APPROVAL else f"gate {gate} of {one.service}: {reason}"
    return None


def limits(snapshot: Snapshot) -> clocks.Limits:
    """Return how long each phase may take: the longest that a member allows."""
    services = [member.service for member in snapshot.members]
    deadlines = [each.deadlines for each in services] or [Deadlines()]
    return {
        Phase.WAITING: max(each.waiting_s for each in deadlines),
        Phase.TESTING: max(each.testing_s for each in deadlines),
        Phase.APPROVAL: max(each.approval_s for each in deadlines),
        Phase.SHIFTING: max(each.step_s for each in deadlines),
        Phase.CONFIRMING: max(each.confirming_s for each in deadlines),
        Phase.WATCHING: max((each.watch_s for each in services), default=0.0),
    }


def moved(snapshot: Snapshot) -> list[Member]:
    """Return the members that the rollout under way moves, of those that are there."""
    under_way = snapshot.state.rollout
    named = {one.service for one in under_way.candidates} if under_way else set()
    return [member for member in snapshot.members if member.service.name in named]


def other_colour(snapshot: Snapshot) -> str | None:
    """Name the member of a switched rollout for which the file now says the other colour in so many words."""
    under_way = snapshot.state.rollout
    if under_way is None or not under_way.is_switched:
        return None
    moved = {one.service for one in under_way.candidates}
    return next((each.service.name for each in snapshot.members if each.service.name in moved and _named(each)), None)


def _named(member: Member) -> bool:
    colour = member.service.active.colour
    return colour is not None and colour is not member.state.active and member.state.override is None


def _of_member(member: Member, under_way: Candidate | None, *, commanded: bool) -> Candidate | None:
    """Rule 2 for one member. A candidate under way stays while its colour is empty or mixed.

    What an operator commanded stays even where the file says nothing of it, and against the file until an edit of
    `active` lifts the override. An override keeps the rejected colour out (rule 10).
    """
    active, wish = member.state.active, member.service.active
    if active is None:
        return None
    colour = active.other
    observed = member.observed[colour]
    if not observed.known:
        return under_way
    release = observed.release if observed.staying else None
    release = release or (under_way.release if under_way else None)
    overridden = member.state.override is not None
    edited_back = wish.colour is active and not overridden
    if under_way is not None and is_part(release, under_way.release):
        release = under_way.release  # one of its services that stops makes no other release
    if under_way is not None and commanded and release == under_way.release and not edited_back:
        return under_way
    if overridden or wish.colour is active:
        return None
    if wish is Wish.AUTO and (release is None or are_known([release], member.state.settled[colour])):
        return None
    return Candidate(member.service.name, colour, release)


def _starting(snapshot: Snapshot, under_way: Rollout) -> str | None:
    """Rule 11: a group waits while the standby of a member that does not move is starting or mixed."""
    chosen = {one.service for one in under_way.candidates}
    for member in snapshot.members:
        state = None if member.service.name in chosen else _standby_state(member)
        if state in {ColourState.UNKNOWN, ColourState.STARTING, ColourState.MIXED}:
            return f"the standby of {member.service.name}, of the same group, is {state}"
    return None


def _standby_state(member: Member) -> ColourState | None:
    """Return the state of a standby that may yet become a candidate; None where the file pins the active colour."""
    active = member.state.active
    if active is None:
        listed = all(observed.known for _, observed in member.observed.items())
        return None if listed else ColourState.UNKNOWN
    return None if member.service.active.colour is active else colour_state(member, active.other)


def _candidate(under_way: Rollout | None, member: Member) -> Candidate | None:
    if under_way is None or member.state.active is None:
        return None
    here = (member.service.name, member.state.active.other)
    return next((one for one in under_way.candidates if (one.service, one.colour) == here), None)


def candidate_of(snapshot: Snapshot, service: str) -> Candidate | None:
    """Return the candidate that the rollout under way has for this service."""
    under_way = snapshot.state.rollout
    return under_way.candidate_of(service) if under_way is not None else None


def moved_by(under_way: Rollout | None, service: str) -> str:
    """Return which member of the group a command must name to mean the rollout: it may move others only."""
    names = [one.service for one in under_way.candidates] if under_way is not None else []
    return service if service in names or not names else names[0]


def member_of(snapshot: Snapshot, service: str) -> Member:
    """Return the member with this name."""
    return next(member for member in snapshot.members if member.service.name == service)
