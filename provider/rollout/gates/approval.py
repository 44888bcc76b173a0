"""Gate `approval`: somebody let this very release through."""

from provider.model import Candidate, GateState, Rollout
from provider.rollout.gates.asked import Asked, Verdict, pending


def verdict(asked: Asked) -> Verdict:
    """Somebody approved this very release; it is bound to the rollout, which has no other (P1).

    A step that asks for an approval asks besides: the file may ask for that of the release in the middle of steps.
    """
    member, candidate, under_way = asked.member, asked.candidate, asked.under_way
    of_step = _of_step(candidate, under_way) if under_way is not None else None
    if of_step is not None and not of_step.lets_through:
        return asked.waived or of_step
    if not member.service.approval_is_manual:
        return of_step or Verdict(GateState.SKIPPED)
    if asked.waived is not None:
        return asked.waived
    if asked.is_rollback_target:
        return Verdict(GateState.SKIPPED, "it is the rollback target")
    if under_way is not None and under_way.approval is not None:
        return of_step or Verdict(GateState.PASSED, f"approved by {under_way.approval.actor}")
    name = candidate.service
    command = f"bluegreen approve {name} --release {candidate.release}"
    return pending(f"release {candidate.release} waits for approval: {command}")


def _of_step(candidate: Candidate, under_way: Rollout) -> Verdict | None:
    """Say whether what follows the step is approved; None where the step asks for no approval."""
    step, canary = under_way.step, under_way.canary
    if step is None or canary is None or not canary.steps[step.number - 1].approval_is_manual:
        return None
    if step.approval is not None:
        return Verdict(GateState.PASSED, f"step {step.number} approved by {step.approval.actor}")
    command = f"bluegreen approve {candidate.service} --release {candidate.release} --step {step.number}"
    return pending(f"step {step.number} of release {candidate.release} waits for approval: {command}")
