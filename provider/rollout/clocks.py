"""The clocks of a rollout: how long a phase or a step may take, and what stops that time (rules 14 and 19d).

All times here belong to this process, but for the date of an approval. Nothing here changes a phase or a weight.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import TypeAlias

from provider.model import Approval, Event, GroupState, Instant, Phase, Rollout, StepState

Limits: TypeAlias = Mapping[Phase, float]
"""How long each phase that waits may take, in seconds. Before its steps shifting goes on with the time of waiting; what
it has here is for what follows the time of a step."""

_SHARE_A_LIMIT = frozenset({Phase.WAITING, Phase.SHIFTING})


def show_step(state: GroupState, limits: Limits, now: Instant) -> GroupState:
    """Begin the time of a step: Traefik shows its weights, or is not waited for any longer (rule 19)."""
    under_way = state.rollout
    if under_way is None or under_way.step is None or under_way.canary is None:
        return state
    return replace(state, rollout=_timed(under_way, replace(under_way.step, shown_mono_s=now.mono_s), limits, now))


def restart_step(state: GroupState, limits: Limits, now: Instant) -> GroupState:
    """Begin the time of a step again, as when the active colour was replaced in place (rule 19c)."""
    under_way = state.rollout
    if under_way is None or under_way.step is None:
        return state
    fresh = replace(under_way.step, begun_mono_s=now.mono_s, shown_mono_s=None, passed_mono_s=None)
    undated = replace(under_way, approval_until_utc=None, asked=False, reminded=False)
    return replace(state, rollout=_timed(undated, fresh, limits, now))


def await_approval(state: GroupState, limits: Limits, now: Instant) -> GroupState:
    """Give the approval of a step its date: nothing else holds the step up."""
    under_way = state.rollout
    if under_way is None:
        return state
    limit_s = limits[Phase.APPROVAL]
    until_utc, until_mono_s = now.utc + timedelta(seconds=limit_s), now.mono_s + limit_s
    return replace(state, rollout=replace(under_way, approval_until_utc=until_utc, deadline_mono_s=until_mono_s))


def approve_step(state: GroupState, approval: Approval, limits: Limits, now: Instant) -> GroupState:
    """Keep the approval of what follows the step; after it, that has its whole time to begin."""
    under_way = state.rollout
    if under_way is None or under_way.step is None:
        return state
    approved = replace(under_way, approval_until_utc=None, asked=False, reminded=False)
    step = replace(under_way.step, approval=approval)
    return replace(state, rollout=_timed(approved, step, limits, now))


def hold(state: GroupState, *, held: bool, limits: Limits, now: Instant) -> GroupState:
    """Stop a rollout's clocks while it is held, and give its phase and an approval their whole time again afterwards.

    The date of an approval goes at once, not when the rollout goes on: that may first be seen by another process. In
    steps clocks stand still instead (`stand_still`).
    """
    rollout = state.rollout
    if rollout is None or rollout.is_switched or rollout.step is not None or held == (rollout.deadline_mono_s is None):
        return state
    if held:
        stopped = replace(rollout, deadline_mono_s=None, approval_until_utc=None, asked=False, reminded=False)
        return replace(state, rollout=stopped)
    fresh = replace(rollout, waiting_left_s=limits[Phase.WAITING])
    return replace(state, rollout=entered(fresh, rollout.phase, limits, now))


def stand_still(state: GroupState, *, still: bool, now: Instant) -> GroupState:
    """Stop a rollout's clock, as while an engine is away, and let it go on from there (rules 14 and 19d)."""
    rollout = state.rollout
    if rollout is None or still == (rollout.still_mono_s is not None):
        return state
    if rollout.still_mono_s is None:
        stopped = replace(rollout, still_mono_s=now.mono_s)
        if rollout.step is not None:  # the date of its approval goes at once, as in a hold
            stopped = replace(stopped, approval_until_utc=None, asked=False, reminded=False)
        return replace(state, rollout=stopped)
    stood_s = now.mono_s - rollout.still_mono_s
    moved = replace(
        rollout,
        entered_mono_s=rollout.entered_mono_s + stood_s,
        deadline_mono_s=None if rollout.deadline_mono_s is None else rollout.deadline_mono_s + stood_s,
        still_mono_s=None,
    )
    if (step := moved.step) is not None:
        shown_mono_s = None if step.shown_mono_s is None else step.shown_mono_s + stood_s
        step = replace(step, begun_mono_s=step.begun_mono_s + stood_s, shown_mono_s=shown_mono_s)
        moved = replace(moved, step=step)
    return replace(state, rollout=moved)


def resume(state: GroupState, limits: Limits, now: Instant) -> GroupState:
    """Carry a stored rollout into this process: its phase begins again, an approval keeps its date (rule 14)."""
    if state.rollout is None:
        return state
    fresh = replace(state.rollout, waiting_left_s=limits[Phase.WAITING])
    if fresh.step is not None:
        return replace(state, rollout=_resumed(fresh, fresh.step, limits, now))
    if fresh.phase is Phase.APPROVAL and fresh.approval_until_utc is None:  # it was held, and may be still
        return replace(state, rollout=replace(fresh, entered_mono_s=now.mono_s, deadline_mono_s=None))
    return replace(state, rollout=entered(fresh, fresh.phase, limits, now))


def left(rollout: Rollout, now: Instant) -> Rollout:
    """Note what a phase leaves of the time that it shares with another."""
    if rollout.phase not in _SHARE_A_LIMIT or rollout.deadline_mono_s is None:
        return rollout
    return replace(rollout, waiting_left_s=max(0.0, rollout.deadline_mono_s - rollout.clock_mono_s(now)))


def stepped(under_way: Rollout, event: Event, limits: Limits, now: Instant) -> Rollout:
    """Begin the next step, or note that the one that is on has passed."""
    step = under_way.step
    if event is Event.STEP_PASSED and step is not None:
        return replace(under_way, step=replace(step, passed_mono_s=now.mono_s))
    number = step.number + 1 if step else 1
    begun = replace(under_way, asked=False, reminded=False, approval_until_utc=None, still_mono_s=None)
    return _timed(begun, StepState(number, now.utc, now.mono_s), limits, now)


def _timed(under_way: Rollout, step: StepState, limits: Limits, now: Instant) -> Rollout:
    """Give a step its deadline: what follows it has its time from the end of the step's own (rule 19d).

    The date of an approval that was asked for already stands.
    """
    if under_way.approval_until_utc is not None:
        return replace(under_way, step=step)
    for_s = under_way.canary.steps[step.number - 1].for_s if under_way.canary else 0.0
    shown_mono_s = now.mono_s + limits[Phase.CONFIRMING] if step.shown_mono_s is None else step.shown_mono_s
    ends_mono_s = shown_mono_s if step.promoted or under_way.promoted else shown_mono_s + for_s
    deadline_mono_s = max(ends_mono_s, now.mono_s) + limits[Phase.SHIFTING]
    return replace(under_way, step=step, deadline_mono_s=deadline_mono_s)


def _resumed(under_way: Rollout, step: StepState, limits: Limits, now: Instant) -> Rollout:
    """Carry a step into this process: its weights stay, its time begins again, an approval keeps its date."""
    passed_mono_s = None if step.passed_mono_s is None else now.mono_s
    fresh = replace(step, begun_mono_s=now.mono_s, shown_mono_s=None, passed_mono_s=passed_mono_s)
    until_utc = under_way.approval_until_utc
    resumed = _timed(replace(under_way, entered_mono_s=now.mono_s, still_mono_s=None), fresh, limits, now)
    if until_utc is None:
        return resumed
    # Its date stands whatever the file says by now; from before the step began, the wall clock has gone back.
    left_s = (until_utc - max(now.utc, step.begun_utc)).total_seconds()
    return replace(resumed, deadline_mono_s=now.mono_s + left_s)


def entered(rollout: Rollout, to: Phase, limits: Limits, now: Instant) -> Rollout:
    """Enter a phase with the time that it has."""
    until_utc = None if to is Phase.SHIFTING else rollout.approval_until_utc  # what was approved waits for nobody
    if to in _SHARE_A_LIMIT:
        limit_s = rollout.waiting_left_s
    elif to is Phase.APPROVAL:
        # Its date stands whatever the file says by now; from before it was entered, the wall clock has gone back.
        from_utc = now.utc if until_utc is None else max(now.utc, rollout.entered_utc or now.utc)
        until_utc = until_utc or now.utc + timedelta(seconds=limits[to])
        limit_s = (until_utc - from_utc).total_seconds()
    else:
        limit_s = limits[to]
    return replace(
        rollout,
        phase=to,
        step=None,
        entered_mono_s=now.mono_s,
        deadline_mono_s=now.mono_s + limit_s,
        asked=rollout.asked and to is not Phase.SHIFTING,
        reminded=rollout.reminded and to is not Phase.SHIFTING,
        approval_until_utc=until_utc,
        still_mono_s=None,
    )
