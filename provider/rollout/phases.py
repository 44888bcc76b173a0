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

Not in the table: who finds out that an event happened (`rules`, `commands`), how long a phase may take (`clocks`), and
the weights (`weights`). `hold`, an engine that is away and a restart stop or restart clocks and change
no phase.

A phase changes here and nowhere else. An event that the table does not allow raises `IllegalEvent` and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType

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
    Trigger,
    sole,
)
from provider.model.errors import IllegalEvent
from provider.model.routing import Routing
from provider.rollout import clocks
from provider.rollout.clocks import Limits
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
        return replace(state, rollout=clocks.stepped(state.rollout, event, limits, now)), None
    if found.outcome is None:
        left = replace(clocks.left(state.rollout, now), entered_utc=now.utc)
        return replace(state, rollout=clocks.entered(left, found.to, limits, now)), None
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
    state: ServiceState,
    candidate: Candidate,
    rollout: str | None,
    now: Instant,
    *,
    alias: str | None = None,
    routing: Routing | None = None,
) -> ServiceState:
    """Make the candidate's colour active; the release that was active becomes the rollback target.

    `alias` is the name in Traefik under which the candidate had its traffic so far (rule 21), `routing` what its labels
    say (rule 34).
    """
    target = None
    if state.active is not None:
        release = sole(state.settled[state.active])
        target = RollbackTarget(state.active, release, rollout, alias=state.alias, routing=state.routing)
    released = frozenset({candidate.release} if candidate.release else ())
    return replace(
        state,
        active=candidate.colour,
        settled=state.settled.put(candidate.colour, released),
        rollback_target=target,
        replaced=None,
        switched_utc=now.utc,
        alias=alias,
        routing=routing,
    )


def _transition(state: GroupState, event: Event) -> Transition:
    is_in_steps = state.rollout is not None and state.rollout.step is not None
    found = IN_STEPS.get(event) if is_in_steps else TABLE.get((phase(state), event))
    if found is None:
        place = "a step" if is_in_steps else f"phase {phase(state)}"
        raise IllegalEvent(f"event {event} is not allowed in {place}")
    return found
