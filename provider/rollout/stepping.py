"""Where a rollout is in its steps: what the step lasts for, whether its clock runs, what it waits for (rule 19)."""

from datetime import timedelta

from provider.model import Colour, Gate, Health, Instant, Member, Rollout, Snapshot, Step, StepState
from provider.rollout.candidates import gates_of, held_by, moved, shut
from provider.rollout.gates import BEFORE_NEXT
from provider.rollout.gates.asked import silence
from provider.rollout.health import assess


def current(under_way: Rollout | None) -> tuple[StepState, Step] | None:
    """Return the step that is on, and what the file said of it when the rollout began."""
    if under_way is None or under_way.step is None or under_way.canary is None:
        return None
    return under_way.step, under_way.canary.steps[under_way.step.number - 1]


def ends_mono_s(under_way: Rollout) -> float | None:
    """Return when the time of the step is over; None before Traefik shows it."""
    found = current(under_way)
    shown_mono_s = found[0].shown_mono_s if found is not None else None
    if found is None or shown_mono_s is None:
        return None
    step, written = found
    return shown_mono_s if step.promoted or under_way.promoted else shown_mono_s + written.for_s


def is_over(under_way: Rollout, now: Instant) -> bool:
    """Return whether the time of the step is over; a clock that stands still ends nothing."""
    end_mono_s = ends_mono_s(under_way)
    return end_mono_s is not None and under_way.clock_mono_s(now) >= end_mono_s


def stopped_by(snapshot: Snapshot) -> str | None:
    """Say what stops the clock of a step: a hold, an engine that is away, trouble on both sides (rules 19c and 19d)."""
    under_way = snapshot.state.rollout
    if current(under_way) is None or under_way is None:
        return None
    held = held_by(snapshot)
    if held is not None:
        return held
    members = moved(snapshot)
    if not snapshot.docker_connected and any(member.observed[_candidate(member)].from_docker for member in members):
        return silence(snapshot.engines_away)
    sick = next(
        (member for member in members if not _able(member, Colour.BLUE) and not _able(member, Colour.GREEN)), None
    )
    return f"no server of {sick.service.name} is healthy in either colour" if sick is not None else None


def is_active_able(snapshot: Snapshot) -> bool:
    """Return whether the active colour of every member that moves has a healthy server.

    Nothing automatic sends all of the traffic to a colour that has none (rule 19c).
    """
    return all(member.state.active is not None and _able(member, member.state.active) for member in moved(snapshot))


def is_active_down(snapshot: Snapshot) -> bool:
    """Return whether the active colour of a member that moves is known to have no healthy server.

    One that is not judged yet, as after a start, is no reason to give up the steps.
    """
    return any(
        member.state.active is None
        or all(
            assess(member, server).health is Health.UNHEALTHY for server in member.observed[member.state.active].staying
        )
        for member in moved(snapshot)
    )


def waits_for(snapshot: Snapshot, now: Instant) -> str | None:
    """Say what keeps a rollout in its step; None where nothing does, or no step is on."""
    under_way = snapshot.state.rollout
    found = current(under_way)
    if found is None or under_way is None:
        return None
    step, written = found
    place = f"step {step.number} of {len(under_way.canary.steps) if under_way.canary else 0} ({written.weight} %)"
    if (stopped := stopped_by(snapshot)) is not None:
        return f"{place}, its clock stands still: {stopped}"
    if step.shown_mono_s is None:
        return f"{place} waits until Traefik shows it"
    if not is_over(under_way, now):
        left_s = (ends_mono_s(under_way) or 0.0) - under_way.clock_mono_s(now)
        until = now.utc + timedelta(seconds=left_s)
        return f"{place} lasts until {until:%H:%M:%S} UTC"
    if step.passed_mono_s is None:
        return shut(snapshot, BEFORE_NEXT, now)
    return shut(snapshot, (*BEFORE_NEXT, Gate.HEALTH), now)


def lacks_requests_alone(snapshot: Snapshot, now: Instant) -> bool:
    """Return whether a step waits for nothing but more requests: that never expires (rule 19d)."""
    under_way = snapshot.state.rollout
    if current(under_way) is None or under_way is None or not is_over(under_way, now):
        return False
    others = tuple(gate for gate in BEFORE_NEXT if gate is not Gate.ANALYSIS)
    if shut(snapshot, others, now) is not None:
        return False
    verdicts = [gates_of(snapshot, one, now, (Gate.ANALYSIS,))[Gate.ANALYSIS] for one in under_way.candidates]
    waiting = [verdict for verdict in verdicts if not verdict.lets_through]
    return bool(waiting) and all(verdict.is_counting for verdict in waiting)


def may_expire(snapshot: Snapshot, now: Instant) -> bool:
    """Rules 19c and 19d: too few requests never expire, and traffic is not sent to a colour without healthy servers."""
    return is_active_able(snapshot) and not lacks_requests_alone(snapshot, now)


def lacks_approval(snapshot: Snapshot, now: Instant) -> bool:
    """Return whether a step lacks nothing but the approval of what follows it."""
    under_way = snapshot.state.rollout
    found = current(under_way)
    if found is None or under_way is None or found[0].passed_mono_s is not None or not is_over(under_way, now):
        return False
    step, written = found
    if not written.approval_is_manual or step.approval is not None or step.forced is not None:
        return False
    others = tuple(gate for gate in BEFORE_NEXT if gate is not Gate.APPROVAL)
    return stopped_by(snapshot) is None and shut(snapshot, others, now) is None


def _candidate(member: Member) -> Colour:
    return member.state.active.other if member.state.active else Colour.GREEN


def _able(member: Member, colour: Colour) -> bool:
    return any(assess(member, server).health is Health.HEALTHY for server in member.observed[colour].staying)
