"""How a rollout moves: the table of its phases, and what each transition does to the durable state.

A rollout group has one rollout at most. Its phase says what that rollout waits for:

- `steady`: there is none. The active colours serve traffic.
- `waiting`: the servers of every candidate, healthy and settled.
- `testing`: the smoke tests.
- `approval`: an operator, where the file asks for one.
- `shifting`: one more list of the candidates' containers. Then the weights move: at once, or a step at a time.
- `confirming`: every Traefik shows the new weights. The candidates are active from here on.
- `watching`: the end of the watch. The old colours stay ready for a rollback.

Four kinds of event move it. Evidence: the gates of a phase let every candidate through (`ready`, `tested`, `approved`),
one failed or holds no more (`gates-failed`, `gates-lost`). The weights, and what is seen of them: `step-begun`,
`step-passed`, `shifted`, `confirmed`, `unconfirmed`, `watch-restarted`, `watched`, `rolled-back`. Time: `expired`. What
people want: `begun`, `aborted`, `superseded`, `withdrawn`. The other events of the history move nothing.

Why the table is as it is:

- The switch divides it. What ends a rollout before the switch leaves traffic where it is, so it may end at any moment
  (P8). After the switch `aborted` has no row: only a rollback takes the candidates away, and an abort is one.
- No deadline after the switch ends as `expired`: silence of Traefik is no reason to go back (rule 7), and a watch that
  is over is a success.
- Gates that come and go lead back to `waiting`, which goes on with the time it had left: no loop outlives its deadline.
- A step is a place within `shifting` and has rows of its own (`IN_STEPS`). Candidates have traffic there and are not
  active: whatever ends the rollout takes their traffic away, and nothing leads back to `waiting` with traffic on it. A
  step leads to the next one or to the switch, never to a lower weight. Its end (`step-passed`) and the beginning of
  what follows are two events, as the candidates are listed once more in between (rule 6).
- What failed, or what somebody ended, is quarantined (P9). A release that another one superseded has not failed. One
  that was switched and is withdrawn has served traffic.

Not in the table: who finds out that an event happened (`rules`, `commands`), how long a phase may take (the caller's
limits), and the weights (`weights`). `hold`, an engine that is away and a restart stop or restart clocks and change
no phase.

A phase changes here and nowhere else. An event that the table does not allow raises `IllegalEvent` and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from types import MappingProxyType
from typing import TypeAlias

from provider.model import (
    Approval,
    Canary,
    Candidate,
    Event,
    GroupState,
    Instant,
    Outcome,
    Phase,
    Quarantine,
    RollbackTarget,
    Rollout,
    ServiceState,
    StepState,
    Trigger,
    sole,
)
from provider.model.errors import IllegalEvent
from provider.rollout.quarantine_list import QUARANTINES_KEPT, with_failed, without


@dataclass(frozen=True, slots=True)
class Transition:
    """Where an event leads; an `outcome` ends the rollout, `quarantines` its candidates."""

    to: Phase
    outcome: Outcome | None = None
    quarantines: bool = False


_ABORT = Transition(Phase.STEADY, Outcome.ABORTED, quarantines=True)
_EXPIRE = Transition(Phase.STEADY, Outcome.EXPIRED, quarantines=True)
_SUPERSEDE = Transition(Phase.STEADY, Outcome.SUPERSEDED)
_ROLL_BACK = Transition(Phase.STEADY, Outcome.ROLLED_BACK, quarantines=True)
_LEAVE = Transition(Phase.STEADY, Outcome.ABORTED)

TABLE: Mapping[tuple[Phase, Event], Transition] = MappingProxyType(
    {
        (Phase.STEADY, Event.BEGUN): Transition(Phase.WAITING),
        # Servers appear and become healthy.
        (Phase.WAITING, Event.READY): Transition(Phase.TESTING),
        (Phase.WAITING, Event.ABORTED): _ABORT,
        (Phase.WAITING, Event.EXPIRED): _EXPIRE,
        (Phase.WAITING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.WAITING, Event.WITHDRAWN): _ABORT,
        # Smoke tests are made against every server.
        (Phase.TESTING, Event.TESTED): Transition(Phase.APPROVAL),
        (Phase.TESTING, Event.GATES_FAILED): _ABORT,
        (Phase.TESTING, Event.ABORTED): _ABORT,
        (Phase.TESTING, Event.EXPIRED): _EXPIRE,
        (Phase.TESTING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.TESTING, Event.WITHDRAWN): _ABORT,
        # Somebody approves the release, where the file asks for it.
        (Phase.APPROVAL, Event.APPROVED): Transition(Phase.SHIFTING),
        (Phase.APPROVAL, Event.GATES_LOST): Transition(Phase.WAITING),
        (Phase.APPROVAL, Event.ABORTED): _ABORT,
        (Phase.APPROVAL, Event.EXPIRED): _EXPIRE,
        (Phase.APPROVAL, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.APPROVAL, Event.WITHDRAWN): _ABORT,
        # The candidate is listed once more, then the weights move: all of them, or to the first step.
        (Phase.SHIFTING, Event.STEP_BEGUN): Transition(Phase.SHIFTING),
        (Phase.SHIFTING, Event.SHIFTED): Transition(Phase.CONFIRMING),
        (Phase.SHIFTING, Event.GATES_LOST): Transition(Phase.WAITING),
        (Phase.SHIFTING, Event.ABORTED): _ABORT,
        (Phase.SHIFTING, Event.EXPIRED): _EXPIRE,
        (Phase.SHIFTING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.SHIFTING, Event.WITHDRAWN): _ABORT,
        # Traefik shows what it applied. From here on the candidates are active: only a rollback takes that back.
        (Phase.CONFIRMING, Event.CONFIRMED): Transition(Phase.WATCHING),
        (Phase.CONFIRMING, Event.UNCONFIRMED): Transition(Phase.WATCHING),
        (Phase.CONFIRMING, Event.ROLLED_BACK): _ROLL_BACK,
        (Phase.CONFIRMING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.CONFIRMING, Event.WITHDRAWN): _LEAVE,
        # The release serves traffic, and its health is watched.
        (Phase.WATCHING, Event.WATCHED): Transition(Phase.STEADY, Outcome.SWITCHED),
        (Phase.WATCHING, Event.WATCH_RESTARTED): Transition(Phase.WATCHING),
        (Phase.WATCHING, Event.ROLLED_BACK): _ROLL_BACK,
        (Phase.WATCHING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.WATCHING, Event.WITHDRAWN): _LEAVE,
    }
)

IN_STEPS: Mapping[Event, Transition] = MappingProxyType(
    {
        Event.STEP_BEGUN: Transition(Phase.SHIFTING),
        Event.STEP_PASSED: Transition(Phase.SHIFTING),
        Event.SHIFTED: Transition(Phase.CONFIRMING),
        Event.GATES_FAILED: _ABORT,
        Event.ABORTED: _ABORT,
        Event.EXPIRED: _EXPIRE,
        Event.SUPERSEDED: _SUPERSEDE,
        Event.WITHDRAWN: _ABORT,
    }
)
"""The rows of `shifting` while a step is on."""

Limits: TypeAlias = Mapping[Phase, float]
"""How long each phase that waits may take, in seconds. Before its steps shifting goes on with the time of waiting; what
it has here is for what follows the time of a step."""

_SHARE_A_LIMIT = frozenset({Phase.WAITING, Phase.SHIFTING})


def phase(state: GroupState) -> Phase:
    """Return the phase a group is in; without a rollout it is steady."""
    return state.rollout.phase if state.rollout else Phase.STEADY


def begin(
    state: GroupState,
    candidates: tuple[Candidate, ...],
    members: tuple[str, ...],
    trigger: Trigger,
    limits: Limits,
    now: Instant,
    *,
    actor: str | None = None,
    forced: str | None = None,
    canary: Canary | None = None,
) -> GroupState:
    """Start a rollout of the candidates; `forced` is the reason for which `actor` waives the gates.

    `canary` are the steps that it takes; None for one switch.

    Raises:
        IllegalEvent: a rollout is under way.
    """
    number = state.rollouts + 1
    waiting_s = limits[Phase.WAITING]
    return replace(
        state,
        rollouts=number,
        rollout=Rollout(
            id=f"r{number}",
            phase=_transition(state, Event.BEGUN).to,
            candidates=candidates,
            members=members,
            trigger=trigger,
            actor=actor,
            since_utc=now.utc,
            entered_mono_s=now.mono_s,
            deadline_mono_s=now.mono_s + waiting_s,
            waiting_left_s=waiting_s,
            forced=forced,
            entered_utc=now.utc,
            canary=canary,
        ),
    )


def advance(
    state: GroupState,
    event: Event,
    limits: Limits,
    now: Instant,
    reason: str | None = None,
    actor: str | None = None,
) -> tuple[GroupState, Outcome | None]:
    """Take the transition that an event leads to; return the new state and, where the rollout ended, its outcome.

    `reason` and the `actor` of a command are kept with what is put into quarantine.
    A candidate whose gates come and go has no more time than another: `waiting` goes on with what it had left.

    Raises:
        IllegalEvent: the table has no such transition, or no rollout is under way.
    """
    found = _transition(state, event)
    if state.rollout is None:
        raise IllegalEvent(f"event {event} needs a rollout, and none is under way")
    if found.outcome is None and event in {Event.STEP_BEGUN, Event.STEP_PASSED}:
        return replace(state, rollout=_stepped(state.rollout, event, limits, now)), None
    if found.outcome is None:
        left = replace(_left(state.rollout, now), entered_utc=now.utc)
        return replace(state, rollout=_entered(left, found.to, limits, now)), None
    quarantined = state.quarantined
    if found.quarantines:
        failed = Quarantine(state.rollout.candidates, found.outcome, state.rollout.id, now.utc, reason, actor)
        quarantined = with_failed(state, failed)
    return replace(state, rollout=None, quarantined=quarantined), found.outcome


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
    return replace(state, rollout=_timed(under_way, fresh, limits, now))


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


def approve(state: GroupState, approval: Approval, limits: Limits) -> GroupState:
    """Keep an approval; after it, the health gate has its whole time again."""
    if state.rollout is None:
        return state
    return replace(state, rollout=replace(state.rollout, approval=approval, waiting_left_s=limits[Phase.WAITING]))


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
    return replace(state, rollout=_entered(fresh, rollout.phase, limits, now))


def stand_still(state: GroupState, *, still: bool, now: Instant) -> GroupState:
    """Stop a rollout's clock, as while an engine is away, and let it go on from there (rules 14 and 19d)."""
    rollout = state.rollout
    if rollout is None or still == (rollout.still_mono_s is not None):
        return state
    if rollout.still_mono_s is None:
        return replace(state, rollout=replace(rollout, still_mono_s=now.mono_s))
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
        until_utc = moved.approval_until_utc and moved.approval_until_utc + timedelta(seconds=stood_s)
        moved = replace(moved, step=step, approval_until_utc=until_utc)
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
    return replace(state, rollout=_entered(fresh, fresh.phase, limits, now))


def join(state: GroupState, left: GroupState, service: str) -> GroupState:
    """Let a service bring along from the group it has left that it is paused, and what failed of it."""
    kept = without(state.quarantined, lambda one: one.service == service)  # of an earlier time here
    brought = tuple(failed for failed in left.quarantined if any(one.service == service for one in failed.candidates))
    return replace(
        state,
        rollouts=max(state.rollouts, left.rollouts),  # no number comes twice for this service (rule 21)
        paused=state.paused or left.paused,
        quarantined=(*kept, *brought)[-QUARANTINES_KEPT:],
    )


def switch(
    state: ServiceState, candidate: Candidate, rollout: str | None, now: Instant, *, alias: str | None = None
) -> ServiceState:
    """Make the candidate's colour active; the release that was active becomes the rollback target.

    `alias` is the name in Traefik under which the candidate had its traffic so far (rule 21).
    """
    target = None
    if state.active is not None:
        target = RollbackTarget(state.active, sole(state.settled[state.active]), rollout, alias=state.alias)
    released = frozenset({candidate.release} if candidate.release else ())
    return replace(
        state,
        active=candidate.colour,
        settled=state.settled.put(candidate.colour, released),
        rollback_target=target,
        replaced=None,
        switched_utc=now.utc,
        alias=alias,
    )


def _left(rollout: Rollout, now: Instant) -> Rollout:
    if rollout.phase not in _SHARE_A_LIMIT or rollout.deadline_mono_s is None:
        return rollout
    return replace(rollout, waiting_left_s=max(0.0, rollout.deadline_mono_s - rollout.clock_mono_s(now)))


def _stepped(under_way: Rollout, event: Event, limits: Limits, now: Instant) -> Rollout:
    step = under_way.step
    if event is Event.STEP_PASSED and step is not None:
        return replace(under_way, step=replace(step, passed_mono_s=now.mono_s))
    number = step.number + 1 if step else 1
    begun = replace(under_way, asked=False, reminded=False, approval_until_utc=None, still_mono_s=None)
    return _timed(begun, StepState(number, now.utc, now.mono_s), limits, now)


def _timed(under_way: Rollout, step: StepState, limits: Limits, now: Instant) -> Rollout:
    """Give a step its deadline: what follows it has its time from the end of the step's own (rule 19d)."""
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
    left_s = min((until_utc - now.utc).total_seconds(), limits[Phase.APPROVAL])
    return replace(resumed, deadline_mono_s=now.mono_s + left_s)


def _entered(rollout: Rollout, to: Phase, limits: Limits, now: Instant) -> Rollout:
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
        approval_until_utc=until_utc,
        still_mono_s=None,
    )


def _transition(state: GroupState, event: Event) -> Transition:
    is_in_steps = state.rollout is not None and state.rollout.step is not None
    found = IN_STEPS.get(event) if is_in_steps else TABLE.get((phase(state), event))
    if found is None:
        place = "a step" if is_in_steps else f"phase {phase(state)}"
        raise IllegalEvent(f"event {event} is not allowed in {place}")
    return found
