"""`approve`: let one release through its approval gate."""

from dataclasses import replace

from provider.model import Approval, Event, Instant, Phase, Rollout, Snapshot, StepState, Trigger
from provider.model.releases import are_known
from provider.rollout import clocks, phases, stepping
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
    if under_way.step is not None and (given.step is not None or not _lacks_release(snapshot, under_way)):
        return _of_step(snapshot, under_way, under_way.step, given, now)
    if given.step is not None:
        return Refused(
            Refusal.STALE, f"step {given.step} has not begun: rollout {under_way.id} is in phase {under_way.phase}"
        )
    if under_way.approval is not None:
        return Done(snapshot, (), f"release {given.release} was approved by {under_way.approval.actor}", already=True)
    if not _asks_for_release(snapshot, under_way):
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


def _asks_for_release(snapshot: Snapshot, under_way: Rollout) -> bool:
    return any(member_of(snapshot, one.service).service.approval_is_manual for one in under_way.candidates)


def _lacks_release(snapshot: Snapshot, under_way: Rollout) -> bool:
    """Return whether the release itself is yet to be approved: the file may ask for that in the middle of steps."""
    return under_way.approval is None and _asks_for_release(snapshot, under_way)


def _of_step(snapshot: Snapshot, under_way: Rollout, step: StepState, given: Command, now: Instant) -> Done | Refused:
    """Rule 20: approve what follows the step that was looked at, and no other."""
    number = given.step or step.number
    if number > step.number:
        return Refused(Refusal.STALE, f"step {number} has not begun: {given.service} is in step {step.number}")
    if number < step.number:
        return Done(snapshot, (), f"step {number} is over", already=True)
    if step.approval is not None:
        return Done(snapshot, (), f"step {number} was approved by {step.approval.actor}", already=True)
    if under_way.canary is None or not under_way.canary.steps[number - 1].approval_is_manual:
        return Done(snapshot, (), f"step {number} needs no approval", already=True)
    state = clocks.approve_step(snapshot.state, Approval(given.actor, now.utc), limits(snapshot), now)
    reason = f": {given.reason}" if given.reason else ""
    row = rows(
        under_way,
        Event.APPROVAL_GIVEN,
        under_way.phase,
        now,
        detail=f"step {number}{reason}",
        actor=given.actor,
        trigger=Trigger.COMMAND,
    )
    is_over = stepping.is_over(under_way, now)
    return Done(replace(snapshot, state=state), row, f"step {number} is approved", pending=not is_over)
