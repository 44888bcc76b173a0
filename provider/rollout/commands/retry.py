"""`retry`: try a release again that failed (P9)."""

from dataclasses import replace

from provider.model import Candidate, Event, Instant, Snapshot, Trigger
from provider.model.releases import is_part
from provider.rollout import quarantine_list
from provider.rollout.candidates import candidates, is_held, member_of, moved_by
from provider.rollout.commands.switch import cleared
from provider.rollout.commands.types import Command, Done, Refusal, Refused, record
from provider.rollout.gates import is_rollback_target
from provider.rollout.transitions import begin, with_state


def retry(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """Try again what failed: lift the override and the quarantine of the standby, and what was settled of it."""
    under_way = snapshot.state.rollout
    if under_way is not None:
        moves = moved_by(under_way, given.service)
        return Refused(
            Refusal.BUSY,
            f"rollout {under_way.id} is in phase {under_way.phase}. Wait until it is over (bluegreen wait {moves} "
            f"--until steady), or abort it (bluegreen abort {moves})",
        )
    before, failed = snapshot.state, list[str]()
    for member in snapshot.members:
        active = member.state.active
        if active is None:
            continue
        release = member.observed[active.other].release
        one = Candidate(member.service.name, active.other, release)
        if quarantine_list.quarantine_of(before, (one,)) is None and member.state.override is None:
            continue
        failed.append(f"{one.service} {one.colour} {release or '(nothing runs there)'}")
        snapshot = cleared(snapshot, one)
        here = member_of(snapshot, one.service)
        kept = (each for each in here.state.settled[one.colour] if not is_part(release, each))
        unsettled = here.state.settled.put(one.colour, frozenset(kept))
        # As the rollback target it would need its health alone; what is tried again passes every gate.
        target = None if is_rollback_target(here, one) else here.state.rollback_target
        snapshot = with_state(snapshot, here, replace(here.state, settled=unsettled, rollback_target=target))
    if not failed:
        return Done(snapshot, (), f"no standby release of {given.service} is quarantined", already=True)
    row = record(Event.RETRY, given, now)
    moving = candidates(snapshot)
    if not moving or is_held(snapshot):
        return Done(snapshot, (row,), f"no longer kept out: {', '.join(failed)}")
    begun, more = begin(snapshot, moving, Trigger.COMMAND, now, actor=given.actor)
    return Done(begun, (row, *more), f"tried again: {', '.join(failed)}", pending=True)
