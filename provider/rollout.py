"""How a rollout moves: its events, the table of its phases, and what each step does to the durable state.

A phase changes here and nowhere else. An event that the table does not allow raises `IllegalEvent` and changes nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType

from provider.errors import IllegalEvent
from provider.model import (
    Candidate,
    Colour,
    GroupState,
    Instant,
    Outcome,
    Phase,
    Quarantine,
    Rollout,
    ServiceState,
    Trigger,
    WayBack,
)

QUARANTINES_KEPT = 50


class Event(StrEnum):
    """What may happen to a rollout."""

    BEGUN = "begun"
    GATES_PASSED = "gates-passed"
    GATES_LOST = "gates-lost"
    SHIFTED = "shifted"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class Step:
    """Where an event leads; an `outcome` ends the rollout, `quarantines` its candidates."""

    to: Phase
    outcome: Outcome | None = None
    quarantines: bool = False


_ABORT = Step(Phase.STEADY, Outcome.ABORTED, quarantines=True)
_EXPIRE = Step(Phase.STEADY, Outcome.EXPIRED, quarantines=True)
_SUPERSEDE = Step(Phase.STEADY, Outcome.SUPERSEDED)

TABLE: Mapping[tuple[Phase, Event], Step] = MappingProxyType(
    {
        (Phase.STEADY, Event.BEGUN): Step(Phase.WAITING),
        # Servers appear and become healthy.
        (Phase.WAITING, Event.GATES_PASSED): Step(Phase.SHIFTING),
        (Phase.WAITING, Event.EXPIRED): _EXPIRE,
        (Phase.WAITING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.WAITING, Event.WITHDRAWN): _ABORT,
        # The candidate is listed once more, then the weights move.
        (Phase.SHIFTING, Event.SHIFTED): Step(Phase.STEADY, Outcome.SWITCHED),
        (Phase.SHIFTING, Event.GATES_LOST): Step(Phase.WAITING),
        (Phase.SHIFTING, Event.EXPIRED): _EXPIRE,
        (Phase.SHIFTING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.SHIFTING, Event.WITHDRAWN): _ABORT,
    }
)


def phase(state: GroupState) -> Phase:
    """Return the phase a group is in; without a rollout it is steady."""
    return state.rollout.phase if state.rollout else Phase.STEADY


def begin(
    state: GroupState,
    candidates: tuple[Candidate, ...],
    members: tuple[str, ...],
    trigger: Trigger,
    waiting_s: float,
    now: Instant,
) -> GroupState:
    """Start a rollout of the candidates, which has `waiting_s` to pass its gates.

    Raises:
        IllegalEvent: a rollout is under way.
    """
    number = state.rollouts + 1
    return replace(
        state,
        rollouts=number,
        rollout=Rollout(
            id=f"r{number}",
            phase=_step(state, Event.BEGUN).to,
            candidates=candidates,
            members=members,
            trigger=trigger,
            actor=None,
            since_utc=now.utc,
            entered_mono_s=now.mono_s,
            deadline_mono_s=now.mono_s + waiting_s,
        ),
    )


def advance(state: GroupState, event: Event, now: Instant) -> tuple[GroupState, Outcome | None]:
    """Take the step that an event leads to; return the new state and, where the rollout ended, its outcome.

    The deadline stays that of `waiting`: a candidate whose gates come and go has no more time than another.

    Raises:
        IllegalEvent: the table has no such step, or no rollout is under way.
    """
    step = _step(state, event)
    if state.rollout is None:
        raise IllegalEvent(f"event {event} needs a rollout, and none is under way")
    if step.outcome is None:
        moved = replace(state.rollout, phase=step.to, entered_mono_s=now.mono_s)
        return replace(state, rollout=moved), None
    quarantined = state.quarantined
    if step.quarantines and state.rollout.candidates:
        failed = Quarantine(state.rollout.candidates, step.outcome, state.rollout.id, now.utc)
        quarantined = (*quarantined, failed)[-QUARANTINES_KEPT:]
    return replace(state, rollout=None, quarantined=quarantined), step.outcome


def hold(state: GroupState, *, held: bool, waiting_s: float, now: Instant) -> GroupState:
    """Stop the deadline's clock while a rollout is held, and give it the whole time again afterwards."""
    rollout = state.rollout
    if rollout is None or held == (rollout.deadline_mono_s is None):
        return state
    deadline_mono_s = None if held else now.mono_s + waiting_s
    return replace(state, rollout=replace(rollout, deadline_mono_s=deadline_mono_s))


def resume(state: GroupState, waiting_s: float, now: Instant) -> GroupState:
    """Carry a stored rollout into this process: its phase begins anew (rule 14)."""
    if state.rollout is None:
        return state
    anew = replace(state.rollout, entered_mono_s=now.mono_s, deadline_mono_s=now.mono_s + waiting_s)
    return replace(state, rollout=anew)


def release_from_quarantine(state: GroupState, service: str, colour: Colour) -> GroupState:
    """Forget the failed sets that hold a candidate of this service in this colour."""
    kept = tuple(
        failed
        for failed in state.quarantined
        if not any((one.service, one.colour) == (service, colour) for one in failed.candidates)
    )
    return state if len(kept) == len(state.quarantined) else replace(state, quarantined=kept)


def quarantine_of(state: GroupState, candidates: tuple[Candidate, ...]) -> Quarantine | None:
    """Return the failed set that has all of these candidates: a part of it is not tried by itself either.

    A colour that runs no release counts as what failed in it, or a crash loop would begin a rollout at each gap.
    """

    def failed_in(one: Candidate, failed: Quarantine) -> bool:
        known = [past for past in failed.candidates if (past.service, past.colour) == (one.service, one.colour)]
        return one in known or (one.release is None and bool(known))

    return next(
        (failed for failed in reversed(state.quarantined) if all(failed_in(one, failed) for one in candidates)), None
    )


def switch(state: ServiceState, candidate: Candidate, now: Instant) -> ServiceState:
    """Make the candidate's colour active; the release that was active becomes the way back."""
    way_back = None
    if state.active is not None:
        before = state.settled[state.active]
        way_back = WayBack(state.active, next(iter(before)) if len(before) == 1 else None)
    released = frozenset({candidate.release} if candidate.release else ())
    return replace(
        state,
        active=candidate.colour,
        settled=state.settled.put(candidate.colour, released),
        way_back=way_back,
        replaced=None,
        switched_utc=now.utc,
    )


def weights(active: Colour) -> tuple[tuple[Colour, int], ...]:
    """Return each colour's share of the traffic, those without any left out (traefik-facts, rule 1)."""
    return ((active, 100),)


def _step(state: GroupState, event: Event) -> Step:
    try:
        return TABLE[phase(state), event]
    except KeyError:
        raise IllegalEvent(f"event {event} is not allowed in phase {phase(state)}") from None
