"""`approve`: let one release through its approval gate."""

from dataclasses import replace

from provider.model import Approval, Event, Instant, Phase, Snapshot, Trigger
from provider.model.releases import are_known
from provider.rollout import phases
from provider.rollout.candidates import candidate_of, limits, member_of
from provider.rollout.commands.types import Command, Done, Refusal, Refused
from provider.rollout.transitions import rows


def approve(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """P1: an approval is for one release, and never for another one that came in the meantime."""
    under_way, member = snapshot.state.rollout, member_of(snapshot, given.service)
    candidate = candidate_of(snapshot, given.service)
    active = member.state.active
    if under_way is None or candidate is None or under_way.is_switched:
        if active is not None and given.release and are_known([given.release], member.state.settled[active]):
            return Done(snapshot, (), f"release {given.release} is active", already=True)
        return Refused(
            Refusal.NO_ROLLOUT,
            f"no rollout of {given.service} waits for an approval: bluegreen explain {given.service}",
        )
    if candidate.release != given.release:
        return Refused(
            Refusal.STALE,
            f"the approval is for release {given.release}, and rollout {under_way.id} brings release "
            f"{candidate.release}: look at that, then bluegreen approve {given.service} --release {candidate.release}",
        )
    if under_way.approval is not None:
        return Done(snapshot, (), f"release {given.release} was approved by {under_way.approval.actor}", already=True)
    if not any(member_of(snapshot, one.service).service.approval_is_manual for one in under_way.candidates):
        return Done(snapshot, (), f"release {given.release} needs no approval", already=True)
    state = phases.approve(snapshot.state, Approval(given.actor, now.utc), limits(snapshot))
    given_rows = rows(
        under_way,
        Event.APPROVAL_GIVEN,
        under_way.phase,
        now,
        detail=given.reason,
        actor=given.actor,
        trigger=Trigger.COMMAND,
    )
    pending = under_way.phase is not Phase.APPROVAL
    return Done(replace(snapshot, state=state), given_rows, f"release {given.release} is approved", pending=pending)
