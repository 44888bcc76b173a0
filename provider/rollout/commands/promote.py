"""`promote`: end the time of a step, or of all steps (rule 20)."""

from dataclasses import replace

from provider.model import Event, Instant, Rollout, Snapshot, Trigger
from provider.model.releases import are_known
from provider.rollout import stepping
from provider.rollout.candidates import candidate_of, member_of
from provider.rollout.commands.types import Command, Done, Refusal, Refused
from provider.rollout.transitions import rows, with_rollout


def promote(snapshot: Snapshot, given: Command, now: Instant) -> Done | Refused:
    """Say that a step has lasted long enough; `force` waives its gates as well, `full` is for all steps."""
    under_way, member = snapshot.state.rollout, member_of(snapshot, given.service)
    candidate, active = candidate_of(snapshot, given.service), member.state.active
    if under_way is None or candidate is None or under_way.is_switched:
        if active is not None and given.release and are_known([given.release], member.state.settled[active]):
            return Done(snapshot, (), f"release {given.release} is active", already=True)
        return Refused(
            Refusal.NO_ROLLOUT, f"no rollout of {given.service} is in steps: bluegreen explain {given.service}"
        )
    if given.release is not None and candidate.release != given.release:
        return Refused(
            Refusal.STALE,
            f"release {given.release} was to be promoted, and rollout {under_way.id} brings release "
            f"{candidate.release}: look at that first",
        )
    found = stepping.current(under_way)
    if found is None:
        return Refused(
            Refusal.NO_ROLLOUT,
            f"rollout {under_way.id} of {given.service} is in phase {under_way.phase}, and no step of it has begun: "
            f"bluegreen explain {given.service}",
        )
    step, _ = found
    if given.step is not None and given.step < step.number:
        return Done(snapshot, (), f"step {given.step} is over", already=True)
    if given.step is not None and given.step > step.number:
        return Refused(Refusal.STALE, f"step {given.step} has not begun: {given.service} is in step {step.number}")
    changed = _promoted(under_way, given)
    if changed == under_way:
        return Done(snapshot, (), f"step {step.number} was promoted by {step.promoted}", already=True)
    what = "all steps" if given.full else f"step {step.number}"
    waived = f", gates waived: {given.reason}" if given.force else f": {given.reason}" if given.reason else ""
    row = rows(
        under_way,
        Event.PROMOTED,
        under_way.phase,
        now,
        detail=f"{what}{waived}",
        actor=given.actor,
        trigger=Trigger.COMMAND,
    )
    return Done(with_rollout(snapshot, changed), row, f"the time of {what} is over", pending=True)


def _promoted(under_way: Rollout, given: Command) -> Rollout:
    step = under_way.step
    if step is None:
        return under_way
    is_new = step.promoted is None or (given.force and step.forced is None)
    forced = given.reason if given.force else step.forced
    changed = replace(under_way, step=replace(step, promoted=given.actor, forced=forced)) if is_new else under_way
    if not given.full:
        return changed
    changed = replace(changed, promoted=under_way.promoted or given.actor)
    return replace(changed, forced=given.reason, actor=given.actor) if given.force else changed
