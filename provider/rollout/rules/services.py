"""Rules on one service: its active colour at first sight, what the file wants, what runs, its rollback target."""

from dataclasses import replace

from provider.model import Colour, Decision, Event, Instant, Member, Phase, Replaced, Snapshot, Trigger, sole
from provider.model.releases import are_known
from provider.rollout import clocks, phases, quarantine_list, rollback_target
from provider.rollout.candidates import candidate_of, limits
from provider.rollout.transitions import Taken, advance, with_first_colour, with_state


def follow_group(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rules 2 and 11, P9: a service that changes its group takes along that it is paused, and what failed of it.

    What was decided in a group that all of its members have left does not hold for those that come.
    """
    come = [member for member in snapshot.members if _comes(snapshot, member)]
    if not come:
        return None
    member, state = come[0], snapshot.state
    name, before, group = member.service.name, member.state.group, member.service.group
    if len(come) == len(snapshot.members):
        state = replace(state, paused=None, quarantined=())
    joined = phases.join(state, snapshot.left[name], name)
    detail = f"group: {before or 'none'} -> {group or 'none'}"
    row = Decision(now.utc, name, Event.REGROUPED, trigger=Trigger.FILE, detail=detail)
    return replace(with_state(snapshot, member, replace(member.state, group=group)), state=joined), (row,)


def decide_first_sight(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 1: a service the store never knew gets its active colour; its standby is then settled, not wanted."""
    for member in snapshot.members:
        name, observed = member.service.name, member.observed
        first = None if member.state.active else first_sight(member)
        if first is not None:
            colour, reason = first
            row = Decision(now.utc, name, Event.FIRST_SIGHT, colour, observed[colour].release, detail=reason)
            return with_first_colour(snapshot, member, colour), (row,)
        if member.state.active is None and not member.state.undecided and len(_running(member)) == len(Colour):
            row = Decision(now.utc, name, Event.UNDECIDED, detail="both colours run, and the file names neither")
            return with_state(snapshot, member, replace(member.state, undecided=True)), (row,)
    return None


def first_sight(member: Member) -> tuple[Colour, str] | None:
    """Return the colour that rule 1 makes active and why; None while the service is undecided.

    Even a colour that the file names waits for Docker's first complete list: the standby must then be settled.
    Where both colours were seen, one that stops decides nothing: a container's restart must not choose production.
    """
    if not all(observed.known for _, observed in member.observed.items()):
        return None
    named = member.service.active.colour
    if named is not None:
        return named, f"the file says active: {named}"
    if member.service.initial is not None:
        return member.service.initial, f"the file says initial: {member.service.initial}"
    running = _running(member)
    return (running[0], "the only colour with servers") if len(running) == 1 and not member.state.undecided else None


def follow_wish(snapshot: Snapshot, now: Instant) -> Taken | None:
    """An edit of `active` is remembered and lifts an override; naming a colour forgives its failures (rule 10)."""
    for member in snapshot.members:
        wish, before = member.service.active, member.state.wish
        if member.state.active is None or wish is before:
            continue
        state = snapshot.state
        if wish.colour is not None:
            state = quarantine_list.release_from_quarantine(state, member.service.name, wish.colour)
        detail = f"active: {before or 'not set'} -> {wish}"
        row = Decision(now.utc, member.service.name, Event.DESIRED, wish.colour, trigger=Trigger.FILE, detail=detail)
        moved = with_state(snapshot, member, replace(member.state, wish=wish, override=None))
        return replace(moved, state=state), (row,)
    return None


def lift_override(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 10: an override ends when a new release runs in the rejected colour.

    One for a switch against the file is set with the command; a rollout that ends otherwise ends it.
    """
    for member in snapshot.members:
        override = member.state.override
        if override is None:
            continue
        if member.state.active is not override.colour:
            if candidate_of(snapshot, member.service.name) is None:
                return _without_override(snapshot, member, now, override.colour, "it was not switched to")
            continue
        rejected = override.colour.other
        observed = member.observed[rejected]
        if not observed.known or not observed.staying or observed.release is None:
            continue
        if are_known([observed.release], (override.rejected or "").split(", ")):
            continue
        detail = f"{rejected} runs another release than the one rejected"
        return _without_override(snapshot, member, now, rejected, detail)
    return None


def record_running(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Rule 3: what the active colour runs is followed, and a release that came without a rollout is recorded."""
    for member in snapshot.members:
        active = member.state.active
        if active is None:
            continue
        running, settled = member.observed[active].releases, member.state.settled[active]
        if not running or running == settled or (len(settled) == 1 and are_known(running, settled)):
            continue  # nothing else runs, or of several services of one release some have stopped
        state = replace(member.state, settled=member.state.settled.put(active, running))
        release, before = sole(running), sole(settled)
        new = frozenset(each for each in running if settled and not are_known([each], settled))
        left = None if before in running else before
        if new:
            state = replace(state, replaced=Replaced(", ".join(sorted(new)), left, now.utc))
        elif state.replaced is not None and not running & set(state.replaced.release.split(", ")):
            state = replace(state, replaced=None)
        event = Event.REPLACED if new else Event.RUNNING
        detail = f"{active} runs {', '.join(sorted(running))}" + (f" instead of {left}" if new and left else "")
        row = Decision(
            now.utc,
            member.service.name,
            event,
            active,
            release,
            trigger=source(member, active),
            detail=detail,
        )
        changed = with_state(snapshot, member, state)
        is_watched = phases.phase(snapshot.state) is Phase.WATCHING and candidate_of(snapshot, member.service.name)
        if new and is_watched:
            changed, rows = advance(changed, Event.WATCH_RESTARTED, now, detail)
            return changed, (row, *rows)
        if new and candidate_of(snapshot, member.service.name):
            changed = replace(changed, state=clocks.restart_step(changed.state, limits(changed), now))
        return changed, (row,)
    return None


def follow_rollback_target(snapshot: Snapshot, now: Instant) -> Taken | None:
    """Say when the rollback target is lost, and when it is there again; what is not known changes nothing."""
    for member in snapshot.members:
        back = member.state.rollback_target
        if back is None:
            continue
        reason = rollback_target.lost(member, snapshot.state)
        if (reason is None) is (back.lost is None) or (reason is None and not rollback_target.is_found_again(member)):
            continue
        row = Decision(
            now.utc,
            member.service.name,
            Event.ROLLBACK_TARGET_LOST if reason else Event.ROLLBACK_TARGET_FOUND,
            back.colour,
            back.release,
            trigger=source(member, back.colour),
            detail=reason,
        )
        state = replace(member.state, rollback_target=replace(back, lost=reason))
        return with_state(snapshot, member, state), (row,)
    return None


def source(member: Member, colour: Colour) -> Trigger:
    """Say where the servers of a colour come from."""
    return Trigger.DOCKER if member.observed[colour].from_docker else Trigger.FILE


def _without_override(snapshot: Snapshot, member: Member, now: Instant, colour: Colour, detail: str) -> Taken:
    row = Decision(
        now.utc,
        member.service.name,
        Event.OVERRIDE_LIFTED,
        colour,
        member.observed[colour].release,
        trigger=source(member, colour),
        detail=detail,
    )
    return with_state(snapshot, member, replace(member.state, override=None)), (row,)


def _comes(snapshot: Snapshot, member: Member) -> bool:
    """Return whether a member is yet to bring along what was decided in the group that it has left."""
    left = snapshot.left.get(member.service.name)
    if left is None or member.state.group == member.service.group:
        return False
    return member.state.active is not None or left.paused is not None


def _running(member: Member) -> list[Colour]:
    return [colour for colour, observed in member.observed.items() if observed.known and observed.servers]
