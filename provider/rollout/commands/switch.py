"""`switch`: bring the standby release to active, through its gates (rules 1, 9 to 11)."""

from dataclasses import replace

from provider.model import Candidate, Colour, Decision, Event, Instant, Member, Override, Snapshot, Trigger
from provider.rollout import quarantine_list, rollback_target
from provider.rollout.candidates import candidate_of, candidates, held_by, is_held, member_of
from provider.rollout.commands.promote import promote
from provider.rollout.commands.rollback import abort, running_releases, runs
from provider.rollout.commands.types import Command, Done, Refusal, Refused, record
from provider.rollout.conditions import lister
from provider.rollout.gates import is_rollback_target
from provider.rollout.transitions import Taken, advance, begin, with_first_colour, with_state


def switch(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """Begin a rollout to a colour; settle an undecided service; end a rollout away from the colour that is active."""
    member, colour = member_of(snapshot, given.service), given.colour
    if colour is None:
        raise AssertionError("switch names a colour")
    if member.state.active is None:
        return _settle(snapshot, member, colour, given, now)
    under_way = snapshot.state.rollout
    if member.state.active is colour and given.release is not None and not runs(member, colour, given.release):
        running = ", ".join(sorted(running_releases(member, colour)))
        return Refused(
            Refusal.STALE, f"{colour} of {given.service} is active with release {running}, not {given.release}"
        )
    if member.state.active is colour:
        if under_way is not None and not under_way.is_switched and candidate_of(snapshot, given.service):
            return abort(snapshot, replace(given, reason=given.reason or f"{colour} was asked for"), now)
        changed, rows = _lift(snapshot, member, given, now)
        return Done(changed, rows, f"{colour} of {given.service} is active", already=not rows)
    chosen = _chosen(member, colour, given)
    if isinstance(chosen, Refused):
        return chosen
    if is_rollback_target(member, chosen) and not given.may_go_back:
        return Refused(
            Refusal.SCOPE,
            f"{chosen.colour} of {given.service} runs its rollback target, release {chosen.release}: to switch to it "
            f"is a rollback, without gates and approval, and needs the scope operate. A release with another "
            f"bluegreen.version goes through the gates",
        )
    if under_way is not None and not under_way.is_switched and chosen in under_way.candidates and not given.force:
        return Done(snapshot, (), f"rollout {under_way.id} is on its way to {colour}", already=True, pending=True)
    if under_way is not None and under_way.step is not None and chosen in under_way.candidates:
        return promote(snapshot, replace(given, release=None, step=None, full=True), now)  # no way back to 0 (rule 19a)
    if is_held(snapshot) and not given.force and not is_rollback_target(member, chosen):
        return Refused(Refusal.HELD, f"{held_by(snapshot) or 'the group is held'}; or force it with a reason")
    return _begin(snapshot, member, chosen, given, now)


def _begin(snapshot: Snapshot, member: Member, chosen: Candidate, given: Command, now: Instant) -> Done:
    ended: tuple[Decision, ...] = ()
    if snapshot.state.rollout is not None:
        because = f": {given.reason}" if given.reason else ""
        superseded = f"{given.actor} asked for {chosen.colour}{because}"
        snapshot, ended = advance(snapshot, Event.SUPERSEDED, now, superseded, actor=given.actor)
    others = _others(snapshot, member, chosen, forced=given.force)
    moving = tuple(sorted([chosen, *others]))
    for one in moving:
        snapshot = _against_file(cleared(snapshot, one), one, given, now)
    forced = given.reason if given.force else None
    begun, more = begin(snapshot, moving, Trigger.COMMAND, now, actor=given.actor, forced=forced, reason=given.reason)
    number = begun.state.rollout.id if begun.state.rollout else ""
    return Done(begun, (*ended, *more), f"rollout {number} to {chosen.colour} has begun", pending=True)


def _settle(snapshot: Snapshot, member: Member, colour: Colour, given: Command, now: Instant) -> Done | Refused:
    """Rule 1: an undecided service gets the colour that an operator names; its standby is then settled."""
    if not all(observed.known for _, observed in member.observed.items()):
        who = lister(member.unlisted)
        return Refused(Refusal.NOT_READY, f"{who} not listed its containers yet; try again when it has")
    if not member.observed[colour].staying:
        return Refused(Refusal.NO_RELEASE, f"{colour} of {given.service} has no servers; start one first")
    row = Decision(
        now.utc,
        given.service,
        Event.FIRST_SIGHT,
        colour,
        member.observed[colour].release,
        trigger=Trigger.COMMAND,
        actor=given.actor,
        detail=given.reason or "named by switch",
    )
    return Done(with_first_colour(snapshot, member, colour), (row,), f"{colour} of {given.service} is active")


def _chosen(member: Member, colour: Colour, given: Command) -> Candidate | Refused:
    """Return the release that a switch is to bring."""
    observed, name = member.observed[colour], member.service.name
    if not observed.known or not observed.staying:
        return Refused(Refusal.NO_RELEASE, f"{colour} of {name} has no servers; start one first")
    if observed.release is None:
        running = ", ".join(sorted(observed.releases))
        return Refused(Refusal.NO_RELEASE, f"{colour} of {name} is mixed: it runs {running}; give it one release first")
    if given.release is not None and given.release != observed.release:
        return Refused(Refusal.STALE, f"{colour} of {name} runs release {observed.release}, not {given.release}")
    return Candidate(name, colour, observed.release)


def _others(snapshot: Snapshot, member: Member, chosen: Candidate, *, forced: bool) -> tuple[Candidate, ...]:
    """Return what moves with the chosen release: the targets of those that it left with, else other candidates.

    P1 and P9: force is for what was named, so it takes along nothing but rollback targets; what failed is tried again
    by its own name only.
    """
    if is_rollback_target(member, chosen):
        moving = tuple(
            Candidate(each.service.name, each.state.rollback_target.colour, each.state.rollback_target.release)
            for each in rollback_target.together(snapshot, member.service.name)
            if each.state.rollback_target is not None
        )
    else:
        moving = () if forced else candidates(snapshot)
    return tuple(
        each
        for each in moving
        if each.service != chosen.service and quarantine_list.quarantine_of(snapshot.state, (each,)) is None
    )


def cleared(snapshot: Snapshot, one: Candidate) -> Snapshot:
    """Forget that this candidate failed, and the override against it."""
    member = member_of(snapshot, one.service)
    state = quarantine_list.release_from_quarantine(snapshot.state, one.service, one.colour)
    lifted = with_state(snapshot, member, replace(member.state, override=None))
    return replace(lifted, state=state)


def _against_file(snapshot: Snapshot, one: Candidate, given: Command, now: Instant) -> Snapshot:
    """Let a command override the file where that names the other colour (rule 10)."""
    member = member_of(snapshot, one.service)
    against = _named_instead(member, one.colour)
    if against is None:
        return snapshot
    reason = given.reason or f"switched to {one.colour} by command, while the file says active: {against}"
    override = Override(one.colour, member.observed[against].release, reason, given.actor, now.utc)
    return with_state(snapshot, member, replace(member.state, override=override))


def _named_instead(member: Member, colour: Colour | None) -> Colour | None:
    """Return the colour that the file names, where it is another one."""
    named = member.service.active.colour
    return named if named is not colour else None


def _lift(snapshot: Snapshot, member: Member, given: Command, now: Instant) -> Taken:
    """End the override of a colour that is active and asked for, but where the file would then take it away again.

    Who has had no answer asks for a switch a second time: that leads to the colour that it names, too.
    """
    if member.state.override is None or _named_instead(member, given.colour) is not None:
        return snapshot, ()
    changed = with_state(snapshot, member, replace(member.state, override=None))
    return changed, (record(Event.OVERRIDE_LIFTED, given, now),)
