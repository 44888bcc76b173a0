"""How a rollout moves: its events, the table of its phases, and what each step does to the durable state.

A phase changes here and nowhere else. An event that the table does not allow raises `IllegalEvent` and changes nothing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from provider.errors import IllegalEvent
from provider.model import (
    Approval,
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
    sole,
)
from provider.model.releases import is_part

QUARANTINES_KEPT = 50


class Event(StrEnum):
    """What may happen to a rollout."""

    BEGUN = "begun"
    READY = "ready"
    TESTED = "tested"
    GATES_FAILED = "gates-failed"
    APPROVED = "approved"
    GATES_LOST = "gates-lost"
    SHIFTED = "shifted"
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    WATCH_RESTARTED = "watch-restarted"
    WATCHED = "watched"
    ROLLED_BACK = "rolled-back"
    ABORTED = "aborted"
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
_ROLL_BACK = Step(Phase.STEADY, Outcome.ROLLED_BACK, quarantines=True)
_LEAVE = Step(Phase.STEADY, Outcome.ABORTED)

TABLE: Mapping[tuple[Phase, Event], Step] = MappingProxyType(
    {
        (Phase.STEADY, Event.BEGUN): Step(Phase.WAITING),
        # Servers appear and become healthy.
        (Phase.WAITING, Event.READY): Step(Phase.TESTING),
        (Phase.WAITING, Event.ABORTED): _ABORT,
        (Phase.WAITING, Event.EXPIRED): _EXPIRE,
        (Phase.WAITING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.WAITING, Event.WITHDRAWN): _ABORT,
        # Smoke tests are made against every server.
        (Phase.TESTING, Event.TESTED): Step(Phase.APPROVAL),
        (Phase.TESTING, Event.GATES_FAILED): _ABORT,
        (Phase.TESTING, Event.ABORTED): _ABORT,
        (Phase.TESTING, Event.EXPIRED): _EXPIRE,
        (Phase.TESTING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.TESTING, Event.WITHDRAWN): _ABORT,
        # Somebody gives their word, where the file asks for it.
        (Phase.APPROVAL, Event.APPROVED): Step(Phase.SHIFTING),
        (Phase.APPROVAL, Event.GATES_LOST): Step(Phase.WAITING),
        (Phase.APPROVAL, Event.ABORTED): _ABORT,
        (Phase.APPROVAL, Event.EXPIRED): _EXPIRE,
        (Phase.APPROVAL, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.APPROVAL, Event.WITHDRAWN): _ABORT,
        # The candidate is listed once more, then the weights move.
        (Phase.SHIFTING, Event.SHIFTED): Step(Phase.CONFIRMING),
        (Phase.SHIFTING, Event.GATES_LOST): Step(Phase.WAITING),
        (Phase.SHIFTING, Event.ABORTED): _ABORT,
        (Phase.SHIFTING, Event.EXPIRED): _EXPIRE,
        (Phase.SHIFTING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.SHIFTING, Event.WITHDRAWN): _ABORT,
        # Traefik shows what it applied. From here on the candidates are active: only a rollback takes that back.
        (Phase.CONFIRMING, Event.CONFIRMED): Step(Phase.WATCHING),
        (Phase.CONFIRMING, Event.UNCONFIRMED): Step(Phase.WATCHING),
        (Phase.CONFIRMING, Event.ROLLED_BACK): _ROLL_BACK,
        (Phase.CONFIRMING, Event.SUPERSEDED): _SUPERSEDE,
        (Phase.CONFIRMING, Event.WITHDRAWN): _LEAVE,
        # The release shows that it bears the traffic.
        (Phase.WATCHING, Event.WATCHED): Step(Phase.STEADY, Outcome.SWITCHED),
        (Phase.WATCHING, Event.WATCH_RESTARTED): Step(Phase.WATCHING),
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
            phase=_step(state, Event.BEGUN).to,
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
    """Take the step that an event leads to; return the new state and, where the rollout ended, its outcome.

    `reason` and the `actor` of a command are kept with what is put into quarantine.
    A candidate whose gates come and go has no more time than another: `waiting` goes on with what it had left.

    Raises:
        IllegalEvent: the table has no such step, or no rollout is under way.
    """
    step = _step(state, event)
    if state.rollout is None:
        raise IllegalEvent(f"event {event} needs a rollout, and none is under way")
    if step.outcome is None:
        left = replace(_left(state.rollout, now), entered_utc=now.utc)
        return replace(state, rollout=_entered(left, step.to, limits, now)), None
    quarantined = state.quarantined
    if step.quarantines:
        failed = Quarantine(state.rollout.candidates, step.outcome, state.rollout.id, now.utc, reason, actor)
        quarantined = _with_failed(state, failed)
    return replace(state, rollout=None, quarantined=quarantined), step.outcome


def put_aside(state: GroupState, failed: Quarantine) -> GroupState:
    """Quarantine releases whose rollout has ended before."""
    return replace(state, quarantined=_with_failed(state, failed))


def approve(state: GroupState, approval: Approval, limits: Limits) -> GroupState:
    """Keep somebody's word; after it, the health gate has its whole time again."""
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
    anew = replace(rollout, waiting_left_s=limits[Phase.WAITING])
    return replace(state, rollout=_entered(anew, rollout.phase, limits, now))


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
    """Carry a stored rollout into this process: its phase begins anew, an approval keeps its date (rule 14)."""
    if state.rollout is None:
        return state
    anew = replace(state.rollout, waiting_left_s=limits[Phase.WAITING])
    if anew.phase is Phase.APPROVAL and anew.approval_until_utc is None:  # it was held, and may be still
        return replace(state, rollout=replace(anew, entered_mono_s=now.mono_s, deadline_mono_s=None))
    return replace(state, rollout=_entered(anew, anew.phase, limits, now))


def release_from_quarantine(state: GroupState, service: str, colour: Colour) -> GroupState:
    """Forget that a candidate of this service failed in this colour; what failed together with it stays where it is."""
    kept = _without(state.quarantined, lambda one: (one.service, one.colour) == (service, colour))
    return state if kept == state.quarantined else replace(state, quarantined=kept)


def join(state: GroupState, left: GroupState, service: str) -> GroupState:
    """Let a service bring along from the group it has left that it is paused, and what failed of it."""
    kept = _without(state.quarantined, lambda one: one.service == service)  # of an earlier time here
    brought = tuple(failed for failed in left.quarantined if any(one.service == service for one in failed.candidates))
    return replace(state, paused=state.paused or left.paused, quarantined=(*kept, *brought)[-QUARANTINES_KEPT:])


def quarantine_of(state: GroupState, candidates: tuple[Candidate, ...]) -> Quarantine | None:
    """Return the failed set that has all of these candidates: a part of it is not tried by itself either.

    A colour that runs no release counts as what failed in it, or a crash loop would begin a rollout at each gap. So
    does what is left of a release when one of its services stops.
    """

    def failed_in(one: Candidate, failed: Quarantine) -> bool:
        known = [past for past in failed.candidates if (past.service, past.colour) == (one.service, one.colour)]
        return any(one.release is None or is_part(one.release, past.release) for past in known)

    return next(
        (failed for failed in reversed(state.quarantined) if all(failed_in(one, failed) for one in candidates)), None
    )


def switch(state: ServiceState, candidate: Candidate, rollout: str | None, now: Instant) -> ServiceState:
    """Make the candidate's colour active; the release that was active becomes the way back."""
    way_back = None
    if state.active is not None:
        way_back = WayBack(state.active, sole(state.settled[state.active]), rollout)
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


def _left(rollout: Rollout, now: Instant) -> Rollout:
    if rollout.phase not in _SHARE_A_LIMIT or rollout.deadline_mono_s is None:
        return rollout
    return replace(rollout, waiting_left_s=max(0.0, rollout.deadline_mono_s - rollout.clock_mono_s(now)))


def _entered(rollout: Rollout, to: Phase, limits: Limits, now: Instant) -> Rollout:
    until_utc = None if to is Phase.SHIFTING else rollout.approval_until_utc  # what was approved waits for nobody
    if to in _SHARE_A_LIMIT:
        limit_s = rollout.waiting_left_s
    elif to is Phase.APPROVAL:
        until_utc = until_utc or now.utc + timedelta(seconds=limits[to])
        limit_s = min((until_utc - now.utc).total_seconds(), limits[to])  # more only where the wall clock went back
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


def _without(quarantined: tuple[Quarantine, ...], is_forgiven: Callable[[Candidate], bool]) -> tuple[Quarantine, ...]:
    left = (
        replace(failed, candidates=tuple(one for one in failed.candidates if not is_forgiven(one)))
        for failed in quarantined
    )
    return tuple(failed for failed in left if failed.candidates)


def _with_failed(state: GroupState, failed: Quarantine) -> tuple[Quarantine, ...]:
    return (*state.quarantined, *([failed] if failed.candidates else []))[-QUARANTINES_KEPT:]


def _step(state: GroupState, event: Event) -> Step:
    try:
        return TABLE[phase(state), event]
    except KeyError:
        raise IllegalEvent(f"event {event} is not allowed in phase {phase(state)}") from None
