"""How a step is taken: the group's new state, and the rows of the history that explain it."""

from collections.abc import Iterable
from dataclasses import replace
from typing import TypeAlias

from provider import rollout
from provider.model import (
    Candidate,
    Decision,
    Instant,
    Member,
    Outcome,
    Phase,
    Rollout,
    Snapshot,
    Trigger,
)
from provider.rollout import Event
from provider.wanted import limits, member_of

Taken: TypeAlias = tuple[Snapshot, tuple[Decision, ...]]


def begin(
    snapshot: Snapshot,
    wanted: tuple[Candidate, ...],
    trigger: Trigger,
    now: Instant,
    *,
    actor: str | None = None,
    forced: str | None = None,
) -> Taken:
    """Begin a rollout of these candidates; releases that an override rejected are no longer what runs."""
    state = rollout.begin(
        snapshot.state, wanted, names(snapshot), trigger, limits(snapshot), now, actor=actor, forced=forced
    )
    detail = f"gates waived: {forced}" if forced else None
    return replace(snapshot, state=state), rows(state.rollout, Event.BEGUN, now, detail=detail)


def advance(
    snapshot: Snapshot,
    event: Event,
    now: Instant,
    detail: str | None = None,
    *,
    evidence: tuple[str, ...] = (),
    actor: str | None = None,
    trigger: Trigger | None = None,
) -> Taken:
    """Take the group's rollout one step on; `actor` and `trigger` are the rollout's own where none are given."""
    before = snapshot.state.rollout
    state, outcome = rollout.advance(snapshot.state, event, limits(snapshot), now, detail)
    told = rows(before, event, now, outcome, detail, evidence=evidence, actor=actor, trigger=trigger)
    return replace(snapshot, state=state), told


def rows(
    of: Rollout | None,
    event: Event,
    now: Instant,
    outcome: Outcome | None = None,
    detail: str | None = None,
    *,
    evidence: tuple[str, ...] = (),
    actor: str | None = None,
    trigger: Trigger | None = None,
) -> tuple[Decision, ...]:
    """Return one row a candidate, so that the history of a service tells its whole story."""
    if of is None:
        return ()
    to = rollout.TABLE[Phase.STEADY if event is Event.BEGUN else of.phase, event].to
    return tuple(
        Decision(
            now.utc,
            one.service,
            event.value,
            one.colour,
            one.release,
            rollout=of.id,
            phase=to,
            outcome=outcome,
            trigger=trigger or of.trigger,
            actor=actor or of.actor,
            detail=detail,
            evidence=evidence,
        )
        for one in of.candidates
    )


def with_member(snapshot: Snapshot, changed: Member) -> Snapshot:
    """Return the snapshot with one member replaced."""
    members = tuple(changed if member.service.name == changed.service.name else member for member in snapshot.members)
    return replace(snapshot, members=members)


def with_rollout(snapshot: Snapshot, changed: Rollout) -> Snapshot:
    """Return the snapshot with the rollout under way replaced; its phase may not differ."""
    return replace(snapshot, state=replace(snapshot.state, rollout=changed))


def switch(snapshot: Snapshot, moving: Iterable[Candidate], by: str | None, now: Instant) -> Snapshot:
    """Make all of these candidates active at once (P3); `by` is the rollout that does it."""
    for one in moving:
        member = member_of(snapshot, one.service)
        state = rollout.switch(member.state, one, by, now)
        snapshot = with_member(snapshot, replace(member, state=state))
    return snapshot


def names(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the names of the group's members."""
    return tuple(member.service.name for member in snapshot.members)
