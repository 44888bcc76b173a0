"""Gate `analysis`: what is counted of a step shows no failure, and is enough (rule 23)."""

from provider.model import GateState
from provider.rollout.gates.asked import Asked, Verdict, pending


def verdict(asked: Asked) -> Verdict:
    """Without evidence it neither passes nor fails (P2); a rollout without steps has nothing to compare."""
    under_way = asked.under_way
    if asked.member.service.analysis is None or under_way is None or under_way.canary is None:
        return Verdict(GateState.SKIPPED)
    return asked.waived or pending("nothing is counted yet")
