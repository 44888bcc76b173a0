"""`abort` and `rollback`: end a rollout, or go back to the release before it (P7, P8, rule 9)."""

from dataclasses import replace

from provider.model import Colour, Event, Instant, Member, Override, Snapshot, Trigger, Verb
from provider.model.releases import are_known, is_part
from provider.rollout import rollback_target
from provider.rollout.candidates import candidate_of, member_of
from provider.rollout.commands.types import Command, Done, Refusal, Refused
from provider.rollout.transitions import advance, with_state

_FORCE = {
    Verb.ROLLBACK: "; --force with a --reason waives its health",
    Verb.ABORT: "; bluegreen rollback with --force and a --reason waives its health",
}


def abort(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """P8: always wins before the switch, and asks nothing of the candidate; after it, abort is rollback."""
    under_way = snapshot.state.rollout
    if under_way is None:
        return Done(snapshot, (), f"no rollout of {given.service} is under way", already=True)
    if under_way.is_switched:  # what it moved goes back, also where a member that stayed was named (rule 11)
        moved = given.service if candidate_of(snapshot, given.service) else under_way.candidates[0].service
        return roll_back(snapshot, replace(given, service=moved), now)
    reason = given.reason or f"aborted by {given.actor}"
    changed, rows = advance(snapshot, Event.ABORTED, now, reason, actor=given.actor, trigger=Trigger.COMMAND)
    for one in under_way.candidates:
        member = member_of(changed, one.service)
        if member.state.active is not None:
            override = Override(member.state.active, one.release, reason, given.actor, now.utc)
            changed = with_state(changed, member, replace(member.state, override=override))
    return Done(changed, rows, f"rollout {under_way.id} is aborted")


def roll_back(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """P7 and rule 9: one switch, no gates, for all members that moved together; or none of them."""
    member = member_of(snapshot, given.service)
    active = member.state.active
    if _leaves_step(snapshot, given):
        return abort(snapshot, given, now)
    if given.leaving is not None and active is not None and not runs(member, active, given.leaving):
        return Done(snapshot, (), f"release {given.leaving} of {given.service} is not active any more", already=True)
    moving = rollback_target.together(snapshot, given.service) or (member,)
    for one in moving:
        reason = rollback_target.not_ready(one, snapshot.state, waive_health=given.force)
        if reason is not None:
            more = _in_place_of(one, snapshot, given)
            return Refused(Refusal.NOT_READY, f"{one.service.name} cannot be rolled back: {reason}{more}")
    changed, decisions = rollback_target.roll_back(
        snapshot,
        moving,
        now,
        given.reason or f"rolled back by {given.actor}",
        trigger=Trigger.COMMAND,
        actor=given.actor,
    )
    back = member_of(changed, given.service).state.active
    return Done(changed, decisions, f"{back} of {given.service} is active again")


def _leaves_step(snapshot: Snapshot, given: Command) -> bool:
    """Rule 20: in steps what is to be left is the candidate's release, and that is an abort."""
    under_way, candidate = snapshot.state.rollout, candidate_of(snapshot, given.service)
    if under_way is None or under_way.step is None or candidate is None:
        return False
    return given.leaving is None or is_part(given.leaving, candidate.release)


def _in_place_of(member: Member, snapshot: Snapshot, given: Command) -> str:
    """Name what works in place of a rollback that is refused."""
    if not given.force and rollback_target.not_ready(member, snapshot.state, waive_health=True) is None:
        return _FORCE[given.verb]
    instead, active = rollback_target.command_now(member, snapshot.state), member.state.active
    if instead is None or active is None:
        return ""
    return f"; {active.other} runs release {member.observed[active.other].release}, healthy: to switch to it, {instead}"


def running_releases(member: Member, active: Colour) -> frozenset[str]:
    """Return what the active colour runs, or ran last."""
    return member.observed[active].releases or member.state.settled[active]


def runs(member: Member, active: Colour, release: str) -> bool:
    """Return whether the active colour runs a release, or what is left of it, or it and another service since."""
    running = running_releases(member, active)
    return are_known([release], running) or are_known(running, [release])
