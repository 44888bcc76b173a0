"""How a rollout moves: the table of its phases, and what each transition does to the durable state.

A rollout group has one rollout at most. Its phase says what that rollout waits for:

- `steady`: there is none. The active colours serve traffic.
- `waiting`: the servers of every candidate, healthy and settled.
- `testing`: the smoke tests.
- `approval`: an operator, where the file asks for one.
- `shifting`: one more list of the candidates' containers. Then the weights move.
- `confirming`: every Traefik shows the new weights. The candidates are active from here on.
- `watching`: the end of the watch. The old colours stay ready for a rollback.

Four kinds of event move it. Evidence: the gates of a phase let every candidate through (`ready`, `tested`, `approved`),
one failed or holds no more (`gates-failed`, `gates-lost`). The switch and what is seen after it: `shifted`,
`confirmed`, `unconfirmed`, `watch-restarted`, `watched`, `rolled-back`. Time: `expired`. What people want: `begun`,
`aborted`, `superseded`, `withdrawn`. The other events of the history move nothing.

Why the table is as it is:

- The switch divides it. What ends a rollout before the switch leaves traffic where it is, so it may end at any moment
  (P8). After the switch `aborted` has no row: only a rollback takes the candidates away, and an abort is one.
- No deadline after the switch ends as `expired`: silence of Traefik is no reason to go back (rule 7), and a watch that
  is over is a success.
- Gates that come and go lead back to `waiting`, which goes on with the time it had left: no loop outlives its deadline.
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
        # The candidate is listed once more, then the weights move.
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

Limits: TypeAlias = Mapping[Phase, float]
"""How long each phase that waits may take, in seconds; shifting goes on with the time of waiting."""

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
) -> GroupState:
    """Start a rollout of the candidates; `forced` is the reason for which `actor` waives the gates.

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
    if found.outcome is None:
        left = replace(_left(state.rollout, now), entered_utc=now.utc)
        return replace(state, rollout=_entered(left, found.to, limits, now)), None
    quarantined = state.quarantined
    if found.quarantines:
        failed = Quarantine(state.rollout.candidates, found.outcome, state.rollout.id, now.utc, reason, actor)
        quarantined = with_failed(state, failed)
    return replace(state, rollout=None, quarantined=quarantined), found.outcome


def approve(state: GroupState, approval: Approval, limits: Limits) -> GroupState:
    """Keep an approval; after it, the health gate has its whole time again."""
    if state.rollout is None:
        return state
    return replace(state, rollout=replace(state.rollout, approval=approval, waiting_left_s=limits[Phase.WAITING]))


def hold(state: GroupState, *, held: bool, limits: Limits, now: Instant) -> GroupState:
    """Stop a rollout's clocks while it is held, and give its phase and an approval their whole time again afterwards.

    The date of an approval goes at once, not when the rollout goes on: that may first be seen by another process.
    """
    rollout = state.rollout
    if rollout is None or rollout.is_switched or held == (rollout.deadline_mono_s is None):
        return state
    if held:
        stopped = replace(rollout, deadline_mono_s=None, approval_until_utc=None, asked=False, reminded=False)
        return replace(state, rollout=stopped)
    fresh = replace(rollout, waiting_left_s=limits[Phase.WAITING])
    return replace(state, rollout=_entered(fresh, rollout.phase, limits, now))


def stand_still(state: GroupState, *, still: bool, now: Instant) -> GroupState:
    """Stop a rollout's clock while it waits for an engine that is away, and let it go on from there (rule 14)."""
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
    return replace(state, rollout=moved)


def resume(state: GroupState, limits: Limits, now: Instant) -> GroupState:
    """Carry a stored rollout into this process: its phase begins again, an approval keeps its date (rule 14)."""
    if state.rollout is None:
        return state
    fresh = replace(state.rollout, waiting_left_s=limits[Phase.WAITING])
    if fresh.phase is Phase.APPROVAL and fresh.approval_until_utc is None:  # it was held, and may be still
        return replace(state, rollout=replace(fresh, entered_mono_s=now.mono_s, deadline_mono_s=None))
    return replace(state, rollout=_entered(fresh, fresh.phase, limits, now))


def join(state: GroupState, left: GroupState, service: str) -> GroupState:
    """Let a service bring along from the group it has left that it is paused, and what failed of it."""
    kept = without(state.quarantined, lambda one: one.service == service)  # of an earlier time here
    brought = tuple(failed for failed in left.quarantined if any(one.service == service for one in failed.candidates))
    return replace(state, paused=state.paused or left.paused, quarantined=(*kept, *brought)[-QUARANTINES_KEPT:])


def switch(state: ServiceState, candidate: Candidate, rollout: str | None, now: Instant) -> ServiceState:
    """Make the candidate's colour active; the release that was active becomes the rollback target."""
    target = None
    if state.active is not None:
        target = RollbackTarget(state.active, sole(state.settled[state.active]), rollout)
    released = frozenset({candidate.release} if candidate.release else ())
    return replace(
        state,
        active=candidate.colour,
        settled=state.settled.put(candidate.colour, released),
        rollback_target=target,
        replaced=None,
        switched_utc=now.utc,
    )


def _left(rollout: Rollout, now: Instant) -> Rollout:
    if rollout.phase not in _SHARE_A_LIMIT or rollout.deadline_mono_s is None:
        return rollout
    return replace(rollout, waiting_left_s=max(0.0, rollout.deadline_mono_s - rollout.clock_mono_s(now)))


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
        entered_mono_s=now.mono_s,
        deadline_mono_s=now.mono_s + limit_s,
        approval_until_utc=until_utc,
        still_mono_s=None,
    )


def _transition(state: GroupState, event: Event) -> Transition:
    try:
        return TABLE[phase(state), event]
    except KeyError:
        raise IllegalEvent(f"event {event} is not allowed in phase {phase(state)}") from None
