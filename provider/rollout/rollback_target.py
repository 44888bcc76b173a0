"""The rollback target: whether it is ready now, and rolling back to it (rules 8 to 10, P7)."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

from provider.model import (
    Candidate,
    Colour,
    ColourState,
    Decision,
    Event,
    GroupState,
    Health,
    Instant,
    Member,
    Outcome,
    Override,
    Quarantine,
    RollbackTarget,
    Snapshot,
    Trigger,
    sole,
)
from provider.model.releases import are_known
from provider.rollout import quarantine_list
from provider.rollout.candidates import member_of
from provider.rollout.health import assess, colour_state
from provider.rollout.transitions import Taken, advance, switch, with_state
from provider.rollout.weights import candidate_of

_TOOK_BACK = {Outcome.ROLLED_BACK: "rolled back", Outcome.ABORTED: "aborted"}


def not_ready(member: Member, group: GroupState, *, waive_health: bool = False) -> str | None:
    """Say why the rollback target is not ready now; None when it is. Identity is never waived (rule 9)."""
    back, active = member.state.rollback_target, member.state.active
    if back is None or active is None:
        standby = active.other if active else "the standby"
        return f"{standby} has not been active"
    if (gone := _not_there(member, back)) is not None:
        return gone
    if (failed := _quarantine(member, back, group)) is not None:
        return f"release {back.release} in {back.colour} is quarantined: {why_quarantined(failed)}"
    return None if waive_health else _not_healthy(member, back.colour)


def why_quarantined(failed: Quarantine) -> str:
    """Say how a release came to be kept out: what somebody took back by hand has not failed by that."""
    by = f" by {failed.actor}" if failed.actor else ""
    because = "" if failed.reason in {None, f"{_TOOK_BACK.get(failed.outcome)}{by}"} else f" ({failed.reason})"
    of = f" of rollout {failed.rollout}" if failed.rollout else ""
    match failed.outcome:
        case Outcome.ROLLED_BACK | Outcome.ABORTED if failed.actor:
            return f"it was {_TOOK_BACK[failed.outcome]}{by}{because}"
        case Outcome.ROLLED_BACK:
            return f"it failed and was rolled back{because}"
        case _:
            return f"the end{of} was {failed.outcome}{because}"


def command_now(member: Member, group: GroupState) -> str | None:
    """Return the command that gives traffic to the other colour now; None where none should."""
    name, active = member.service.name, member.state.active
    if active is None:
        return None
    under_way = group.rollout
    if under_way is not None and under_way.step is not None and candidate_of(member, under_way) is not None:
        is_able = _not_healthy(member, active.other) is None
        return f"bluegreen switch {name} {active.other} --force --reason WHY" if is_able else None
    if not_ready(member, group) is None:
        return f"bluegreen rollback {name}"
    if not_ready(member, group, waive_health=True) is None:
        return f"bluegreen rollback {name} --force --reason WHY"
    observed = member.observed[active.other]
    is_there = observed.known and observed.staying and observed.release is not None
    return f"bluegreen switch {name} {active.other}" if is_there and not _not_healthy(member, active.other) else None


def lost(member: Member, group: GroupState) -> str | None:
    """Say why the rollback target is surely lost; None while it is there, or nothing is known (P2).

    A release that was itself rolled back is no target that could be lost.
    """
    back = member.state.rollback_target
    if back is None or not member.observed[back.colour].known:
        return None
    if _quarantine(member, back, group) is not None:
        return None
    gone = _not_there(member, back)
    if gone is None and colour_state(member, back.colour) is ColourState.UNHEALTHY:
        return _not_healthy(member, back.colour)
    return gone


def made_room(member: Member, group: GroupState) -> bool:
    """Return whether the rollback target is gone as in any release: stopped after the watch, or for the next one."""
    back, under_way = member.state.rollback_target, group.rollout
    is_watched = under_way is not None and under_way.is_switched
    return back is not None and not is_watched and _not_there(member, back) is not None


def is_found_again(member: Member) -> bool:
    """Return whether a rollback target that was lost is ready again."""
    back = member.state.rollback_target
    return back is not None and _not_there(member, back) is None and _not_healthy(member, back.colour) is None


def together(snapshot: Snapshot, service: str) -> tuple[Member, ...]:
    """Return the members that the same rollout moved as this one: they go back together (rule 11)."""
    named = member_of(snapshot, service)
    back = named.state.rollback_target
    if back is None:
        return ()
    return tuple(
        member
        for member in snapshot.members
        if member.service.name == service
        or (
            back.rollout and member.state.rollback_target and _moved(member) == (back.rollout, named.state.switched_utc)
        )
    )


def roll_back(
    snapshot: Snapshot,
    moving: Iterable[Member],
    now: Instant,
    reason: str,
    *,
    trigger: Trigger,
    actor: str | None,
) -> Taken:
    """Roll these members back in one step: switch, quarantine the release that is left, set an override.

    The rollout that switched them ends with it; one that had yet to switch is superseded where it concerns them.
    """
    moving = tuple(moving)
    leaving = tuple(_leaving(member) for member in moving)
    under_way = snapshot.state.rollout
    rows: tuple[Decision, ...]
    concerned = under_way is not None and {one.service for one in under_way.candidates} & {
        one.service for one in leaving
    }
    if under_way is not None and under_way.is_switched and concerned:
        snapshot, rows = advance(snapshot, Event.ROLLED_BACK, now, reason, actor=actor, trigger=trigger)
        if not set(leaving) <= set(under_way.candidates):  # replaced in place since the switch: that failed as well
            as_well = Quarantine(leaving, Outcome.ROLLED_BACK, under_way.id, now.utc, reason, actor)
            state = quarantine_list.put_aside(snapshot.state, as_well)
            snapshot = replace(snapshot, state=state)
    else:
        rows = ()
        if concerned:
            snapshot, rows = advance(snapshot, Event.SUPERSEDED, now, f"rolled back: {reason}", actor=actor)
        targets = (member.state.rollback_target for member in moving)
        failed = next((target.rollout for target in targets if target), None) or ""
        put_aside = Quarantine(leaving, Outcome.ROLLED_BACK, failed, now.utc, reason, actor)
        snapshot = replace(snapshot, state=quarantine_list.put_aside(snapshot.state, put_aside))
        rows += tuple(
            Decision(
                now.utc,
                one.service,
                Event.ROLLED_BACK,
                one.colour,
                one.release,
                rollout=failed or None,
                trigger=trigger,
                actor=actor,
                detail=reason,
            )
            for one in leaving
        )
    for member in moving:
        snapshot = _back(snapshot, member, reason, actor, now)
    return snapshot, rows


def _back(snapshot: Snapshot, member: Member, reason: str, actor: str | None, now: Instant) -> Snapshot:
    back, left = member.state.rollback_target, _leaving(member)
    if back is None:
        return snapshot
    name = member.service.name
    going = [Candidate(name, back.colour, back.release)]
    snapshot = switch(snapshot, going, back.rollout, now, {name: back.alias})
    member = member_of(snapshot, name)
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
        raise AssertionError(f"{member.service.name} has a rollback target and no active colour")
    release = member.observed[active].release or sole(member.state.settled[active])
    return Candidate(member.service.name, active, release)


def _quarantine(member: Member, back: RollbackTarget, group: GroupState) -> Quarantine | None:
    return quarantine_list.quarantine_of(group, (Candidate(member.service.name, back.colour, back.release),))


def _moved(member: Member) -> tuple[str | None, datetime | None]:
    """Return by which rollout and when a member moved last: another group may have had a rollout of the same number."""
    back = member.state.rollback_target
    return (back.rollout if back else None), member.state.switched_utc


def _not_there(member: Member, back: RollbackTarget) -> str | None:
    observed = member.observed[back.colour]
    if back.release is None:
        return f"{back.colour} ran several releases when it was left"
    if not observed.known:
        return f"what {back.colour} runs is not known yet"
    if not observed.staying:
        return f"{back.colour} has no servers any more"
    if not are_known(observed.releases, [back.release]):
        return f"{back.colour} runs {', '.join(sorted(observed.releases))}, not {back.release}"
    return None


def _not_healthy(member: Member, colour: Colour) -> str | None:
    for server in member.observed[colour].staying:
        found = assess(member, server)
        if found.health is not Health.HEALTHY:
            return f"{colour} is {colour_state(member, colour)}: {server.url} is {found.health} ({found.cause})"
    return None
