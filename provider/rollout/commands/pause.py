"""`pause` and `resume`: stop forward rollouts, and let them go on."""

from dataclasses import replace

from provider.model import Event, Instant, Pause, Snapshot
from provider.rollout.commands.types import Command, Done, record
from provider.rollout.transitions import with_state


def pause(snapshot: Snapshot, given: Command, now: Instant) -> Done:
    """Stop forward rollouts of the group."""
    if snapshot.state.paused is not None:
        return Done(snapshot, (), f"{given.service} was paused by {snapshot.state.paused.actor}", already=True)
    state = replace(snapshot.state, paused=Pause(given.actor, given.reason, now.utc))
    for member in snapshot.members:  # else one that is yet to be decided would not take it along to another group
        if member.state.active is None:
            snapshot = with_state(snapshot, member, replace(member.state, group=member.service.group))
    return Done(replace(snapshot, state=state), (record(Event.PAUSED, given, now),), f"{given.service} is paused")


def resume(snapshot: Snapshot, given: Command, now: Instant) -> Done:
    """Let forward rollouts of the group go on."""
    if snapshot.state.paused is None:
        return Done(snapshot, (), f"{given.service} is not paused", already=True)
    state = replace(snapshot.state, paused=None)
    return Done(replace(snapshot, state=state), (record(Event.RESUMED, given, now),), f"{given.service} goes on")
