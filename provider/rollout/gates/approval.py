"""Gate `approval`: somebody let this very release through."""

from provider.model import GateState
from provider.rollout.gates.asked import Asked, Verdict, pending


def verdict(asked: Asked) -> Verdict:
    """Somebody approved this very release; it is bound to the rollout, which has no other (P1)."""
    member, candidate, under_way = asked.member, asked.candidate, asked.under_way
    if not member.service.approval_is_manual:
        return Verdict(GateState.SKIPPED)
    if asked.waived is not None:
        return asked.waived
    if asked.is_rollback_target:
        return Verdict(GateState.SKIPPED, "it is the rollback target")
    if under_way is not None and under_way.approval is not None:
        return Verdict(GateState.PASSED, f"approved by {under_way.approval.actor}")
    name = candidate.service
    command = f"bluegreen approve {name} --release {candidate.release}"
    return pending(f"release {candidate.release} waits for approval: {command}")
