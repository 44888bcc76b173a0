"""The way back: whether it could be taken now, and taking it (rules 8 to 10, P7)."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from provider import rollout
from provider.gates import assess, colour_state
from provider.model import (
    Candidate,
    ColourState,
    Decision,
    Health,
    Instant,
    Member,
    Outcome,
    Override,
    Quarantine,
    Snapshot,
    Trigger,
    WayBack,
    sole,
)
from provider.rollout import Event
from provider.steps import Taken, advance, switch, with_state
from provider.wanted import member_of


def not_ready(member: Member, snapshot: Snapshot, *, waive_health: bool = False) -> str | None:
    """Say why the way back cannot be taken now; None when it can. Identity is never waived (rule 9)."""
    back, active = member.state.way_back, member.state.active
    if back is None or active is None:
        standby = active.other if active else "the standby"
        return f"{standby} has not been active"
    if (gone := _not_there(member, back)) is not None:
        return gone
    if _is_quarantined(member, back, snapshot):
        return f"release {back.release} in {back.colour} is quarantined: it was left because it failed"
    return None if waive_health else _not_healthy(member, back)


def lost(member: Member, snapshot: Snapshot) -> str | None:
    """Say why the way back is lost by what is surely known; None while it is there, or nothing is known (P2).

    A release that was itself rolled back is no way that could be lost.
    """
    back = member.state.way_back
    if back is None or not member.observed[back.colour].known:
        return None
    if _is_quarantined(member, back, snapshot):
        return None
    gone = _not_there(member, back)
    if gone is None and colour_state(member, back.colour) is ColourState.UNHEALTHY:
        return _not_healthy(member, back)
    return gone


def is_found_again(member: Member) -> bool:
    """Tell whether a way back that was lost could be taken again."""
    back = member.state.way_back
    return back is not None and _not_there(member, back) is None and _not_healthy(member, back) is None


def together(snapshot: Snapshot, service: str) -> tuple[Member, ...]:
    """Return the members that the same rollout moved as this one: they go back together (rule 11)."""
    named = member_of(snapshot, service)
    back = named.state.way_back
    if back is None:
        return ()
    return tuple(
        member
        for member in snapshot.members
        if member.service.name == service
        or (back.rollout and member.state.way_back and _moved(member) == (back.rollout, named.state.switched_utc))
    )


def roll_back(
    snapshot: Snapshot,
    moving: Iterable[Member],
    now: Instant,
    reason: str,
    *,
    trigger: Trigger,
    actor: str | None,
    evidence: tuple[str, ...] = (),
) -> Taken:
    """Take the way back of these members in one step: switched, the release that is left quarantined, an override set.

    The rollout that switched them ends with it; one that had yet to switch is superseded where it concerns them.
    """
    moving = tuple(moving)
    leaving = tuple(_leaving(member) for member in moving)
    under_way = snapshot.state.rollout
    told: tuple[Decision, ...]
    concerned = under_way is not None and {one.service for one in under_way.candidates} & {
        one.service for one in leaving
    }
    if under_way is not None and under_way.is_switched and concerned:
        snapshot, told = advance(
            snapshot, Event.ROLLED_BACK, now, reason, evidence=evidence, actor=actor, trigger=trigger
        )
        if not set(leaving) <= set(under_way.candidates):  # replaced in place since the switch: that failed as well
            as_well = Quarantine(leaving, Outcome.ROLLED_BACK, under_way.id, now.utc, reason)
            state = rollout.put_aside(snapshot.state, as_well)
            snapshot = replace(snapshot, state=state)
    else:
        told = ()
        if concerned:
            snapshot, told = advance(snapshot, Event.SUPERSEDED, now, f"rolled back: {reason}", actor=actor)
        failed = next((member.state.way_back.rollout for member in moving if member.state.way_back), None) or ""
        state = rollout.put_aside(snapshot.state, Quarantine(leaving, Outcome.ROLLED_BACK, failed, now.utc, reason))
        snapshot = replace(snapshot, state=state)
        told += tuple(
            Decision(
                now.utc,
                one.service,
                Event.ROLLED_BACK.value,
                one.colour,
                one.release,
                rollout=failed or None,
                trigger=trigger,
                actor=actor,
                detail=reason,
                evidence=evidence,
            )
            for one in leaving
        )
    for member in moving:
        snapshot = _back(snapshot, member, reason, actor, now)
    return snapshot, told


def _back(snapshot: Snapshot, member: Member, reason: str, actor: str | None, now: Instant) -> Snapshot:
    back, left = member.state.way_back, _leaving(member)
    if back is None:
        return snapshot
    snapshot = switch(snapshot, [Candidate(member.service.name, back.colour, back.release)], back.rollout, now)
    member = member_of(snapshot, member.service.name)
    running = member.observed[left.colour].releases or member.state.settled[left.colour]
    override = Override(back.colour, ", ".join(sorted(running)) or None, reason, actor, now.utc)
    state = replace(member.state, override=override)
    if state.lease is not None:
        warning = f"{left.colour} was rolled back{f' by {actor}' if actor else ''}: {reason}"
        state = replace(state, lease=replace(state.lease, warning=warning))
    return with_state(snapshot, member, state)


def _leaving(member: Member) -> Candidate:
    active = member.state.active
    if active is None:
        raise AssertionError(f"{member.service.name} has a way back and no active colour")
    release = member.observed[active].release or sole(member.state.settled[active])
    return Candidate(member.service.name, active, release)


def _is_quarantined(member: Member, back: WayBack, snapshot: Snapshot) -> bool:
    one = Candidate(member.service.name, back.colour, back.release)
    return rollout.quarantine_of(snapshot.state, (one,)) is not None


def _moved(member: Member) -> tuple[str | None, datetime | None]:
    """Return by which rollout and when a member moved last: another group may have had a rollout of the same number."""
    back = member.state.way_back
    return (back.rollout if back else None), member.state.switched_utc


def _not_there(member: Member, back: WayBack) -> str | None:
    observed = member.observed[back.colour]
    if back.release is None:
        return f"{back.colour} ran several releases when it was left"
    if not observed.known:
        return f"what {back.colour} runs is not known yet"
    if not observed.staying:
        return f"{back.colour} has no servers any more"
    if observed.release != back.release:
        return f"{back.colour} runs {', '.join(sorted(observed.releases))}, not {back.release}"
    return None


def _not_healthy(member: Member, back: WayBack) -> str | None:
    for server in member.observed[back.colour].staying:
        found = assess(member, server)
        if found.health is not Health.HEALTHY:
            return (
                f"{back.colour} is {colour_state(member, back.colour)}: {server.url} is {found.health} ({found.cause})"
            )
    return None
