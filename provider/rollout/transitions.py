"""How a transition is taken: the group's new state, and the rows of the history that explain it."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from provider.model import (
    ByColour,
    Canary,
    Candidate,
    Colour,
    Decision,
    Event,
    Instant,
    Member,
    Outcome,
    Phase,
    Rollout,
    ServiceState,
    Snapshot,
    Trigger,
)
from provider.model.routing import Routing
from provider.rollout import phases
from provider.rollout.candidates import limits, member_of
from provider.rollout.gates import is_rollback_target
from provider.rollout.labelled import described, routing_of

Taken: TypeAlias = tuple[Snapshot, tuple[Decision, ...]]


def begin(
    snapshot: Snapshot,
    candidates: tuple[Candidate, ...],
    trigger: Trigger,
    now: Instant,
    *,
    actor: str | None = None,
    forced: str | None = None,
    reason: str | None = None,
) -> Taken:
    """Begin a rollout of these candidates, for a `reason`; `forced` is the one for which `actor` waives their gates."""
    state = phases.begin(
        snapshot.state,
        candidates,
        names(snapshot),
        trigger,
        limits(snapshot),
        now,
        actor=actor,
        forced=forced,
        canary=None if forced else _canary(snapshot, candidates),
    )
    detail = f"gates waived: {forced}" if forced else reason
    return replace(snapshot, state=state), rows(state.rollout, Event.BEGUN, phases.phase(state), now, detail=detail)


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
    """Take the group's rollout one transition on; `actor` and `trigger` are the rollout's own where none are given."""
    before = snapshot.state.rollout
    state, outcome = phases.advance(snapshot.state, event, limits(snapshot), now, detail, actor)
    return replace(snapshot, state=state), rows(
        before,
        event,
        phases.phase(state),
        now,
        outcome=outcome,
        detail=detail,
        evidence=evidence,
        actor=actor,
        trigger=trigger,
    )


def rows(
    of: Rollout | None,
    event: Event,
    phase: Phase,
    now: Instant,
    *,
    about: Iterable[Candidate] | None = None,
    outcome: Outcome | None = None,
    detail: str | None = None,
    evidence: tuple[str, ...] = (),
    actor: str | None = None,
    trigger: Trigger | None = None,
) -> tuple[Decision, ...]:
    """Return one row for each candidate that it is `about`, so that the history of a service is whole.

    `phase` is the one that the event leads to; `actor` and `trigger` are the rollout's own where none are given.
    """
    if of is None:
        return ()
    return tuple(
        Decision(
            now.utc,
            one.service,
            event,
            one.colour,
            one.release,
            rollout=of.id,
            phase=phase,
            outcome=outcome,
            trigger=trigger or of.trigger,
            actor=actor or of.actor,
            detail=detail,
            evidence=evidence,
        )
        for one in (of.candidates if about is None else about)
    )


def with_state(snapshot: Snapshot, member: Member, state: ServiceState) -> Snapshot:
    """Return the snapshot with what is decided of one member replaced."""
    name, changed = member.service.name, replace(member, state=state)
    if state.routing is not member.state.routing:
        changed = replace(changed, service=described(member.service, state.routing))
    return replace(snapshot, members=tuple(changed if each.service.name == name else each for each in snapshot.members))


def with_first_colour(snapshot: Snapshot, member: Member, colour: Colour) -> Snapshot:
    """Rule 1: give a service its first active colour; its standby at that moment is settled, not wanted."""
    settled = ByColour(member.observed.blue.releases, member.observed.green.releases)
    of = member.service
    state = replace(
        member.state,
        active=colour,
        undecided=False,
        wish=of.active,
        settled=settled,
        group=of.group,
        routing=_routing(member, colour),
    )
    return with_state(snapshot, member, state)


def with_rollout(snapshot: Snapshot, changed: Rollout) -> Snapshot:
    """Return the snapshot with the rollout under way replaced; its phase may not differ."""
    return replace(snapshot, state=replace(snapshot.state, rollout=changed))


def switch(
    snapshot: Snapshot,
    moving: Iterable[Candidate],
    by: str | None,
    now: Instant,
    aliases: Mapping[str, str | None] = MappingProxyType({}),
) -> Snapshot:
    """Make all of these candidates active at once (P3); `by` is the rollout that does it.

    `aliases` are the names in Traefik of those that are served under one of their own (rule 21).
    """
    for one in moving:
        member = member_of(snapshot, one.service)
        routing = _routing(member, one.colour)
        state = phases.switch(member.state, one, by, now, alias=aliases.get(one.service), routing=routing)
        snapshot = with_state(snapshot, member, state)
    return snapshot


def _routing(member: Member, colour: Colour) -> Routing | None:
    """Return what the labels of a colour say that becomes active; without its containers, what they said before.

    What is refused of them now may be another's: then the routing stays as it is.
    """
    if member.service.labels is None:
        return None
    found, back = routing_of(member.observed[colour]), member.state.rollback_target
    are_read = any(server.labelled is not None for server in member.observed[colour].servers)
    if found is None and not are_read and back is not None and back.colour is colour:
        found = back.routing
    return found or member.state.routing


def _canary(snapshot: Snapshot, candidates: tuple[Candidate, ...]) -> Canary | None:
    """Return the steps of a rollout: those of the file, none where all of it only goes back (rule 19a)."""
    moving = [(member_of(snapshot, one.service), one) for one in candidates]
    if all(is_rollback_target(member, one) for member, one in moving):
        return None
    return next((member.service.canary for member, _ in moving if member.service.canary is not None), None)


def end_regrouped(snapshot: Snapshot, now: Instant) -> Taken:
    """Rules 11 and 12: changed membership supersedes a rollout; it is withdrawn when the file has none of them."""
    if snapshot.members:
        detail = f"the group now has the members {', '.join(names(snapshot))}"
    elif snapshot.gone:
        detail = f"the file has moved {', '.join(sorted(snapshot.gone))} to another group"
    else:
        return advance(snapshot, Event.WITHDRAWN, now, "the file has no service here any more")
    return advance(snapshot, Event.SUPERSEDED, now, detail)


def names(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the names of the group's members."""
    return tuple(member.service.name for member in snapshot.members)
