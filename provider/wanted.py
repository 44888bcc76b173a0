"""What a rollout group wants, and what keeps it from getting it; the rules ask this, and so does the operator."""

from provider import rollout
from provider.gates import Verdict, colour_state, verdicts
from provider.model import (
    Candidate,
    ColourState,
    Gate,
    Instant,
    Member,
    Quarantine,
    Rollout,
    Snapshot,
    Wish,
)


def candidates(snapshot: Snapshot) -> tuple[Candidate, ...]:
    """Return the release that each member wants to move to, of those that want one."""
    found = (_wanted(member, _candidate(snapshot.state.rollout, member)) for member in snapshot.members)
    return tuple(candidate for candidate in found if candidate is not None)


def quarantine(snapshot: Snapshot) -> Quarantine | None:
    """Return the failed set that keeps the wanted candidates from being tried."""
    wanted = candidates(snapshot)
    return rollout.quarantine_of(snapshot.state, wanted) if wanted else None


def held_by(snapshot: Snapshot) -> str | None:
    """Return the member whose `hold` stops the group's forward rollouts."""
    return next((member.service.name for member in snapshot.members if member.service.hold), None)


def gates_of(snapshot: Snapshot, candidate: Candidate, now: Instant) -> dict[Gate, Verdict]:
    """Return what each gate says of one candidate now."""
    member = member_of(snapshot, candidate.service)
    return dict(verdicts(member, candidate, now, docker_connected=snapshot.docker_connected))


def holding_up(snapshot: Snapshot, now: Instant) -> str | None:
    """Say what keeps the rollout under way from going on at this moment; None when nothing does."""
    under_way = snapshot.state.rollout
    if under_way is None:
        return None
    held = held_by(snapshot)
    if held:
        return f"{held} has hold: true; remove it to go on"
    chosen = {one.service for one in under_way.candidates}
    for member in snapshot.members:
        state = None if member.service.name in chosen else _standby_state(member)
        if state in {ColourState.UNKNOWN, ColourState.STARTING, ColourState.MIXED}:
            return f"the standby of {member.service.name}, of the same group, is {state}"
    for one in under_way.candidates:
        for gate, verdict in gates_of(snapshot, one, now).items():
            if not verdict.lets_through:
                return f"gate {gate} of {one.service}: {verdict.reason}"
    return None


def waiting_s(snapshot: Snapshot) -> float:
    """Return how long the gates may take: the longest that a member allows."""
    return max((member.service.deadlines.waiting_s for member in snapshot.members), default=0.0)


def _wanted(member: Member, under_way: Candidate | None) -> Candidate | None:
    """Rule 2 for one member. A candidate under way stays wanted while its colour is empty or mixed."""
    active, wish = member.state.active, member.service.active
    if active is None or wish.colour is active:
        return None
    colour = active.other
    observed = member.observed[colour]
    if not observed.known:
        return under_way
    release = observed.release if observed.staying else None
    release = release or (under_way.release if under_way else None)
    if wish is Wish.AUTO and (release is None or release in member.state.settled[colour]):
        return None
    return Candidate(member.service.name, colour, release)


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


def member_of(snapshot: Snapshot, service: str) -> Member:
    """Return the member with this name."""
    return next(member for member in snapshot.members if member.service.name == service)
