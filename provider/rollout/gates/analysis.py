"""Gate `analysis`: the candidate had enough requests in its step, and no test and no query failed (rule 23)."""

from provider.model import Analysis, GateState, Rollout, StepState
from provider.rollout import analysing
from provider.rollout.gates.asked import Asked, Verdict, pending


def verdict(asked: Asked) -> Verdict:
    """Failed by evidence only; passed when the time of the step is over with enough requests and no failure (P2)."""
    analysis, under_way = asked.member.service.analysis, asked.under_way
    if analysis is None:
        return Verdict(GateState.SKIPPED)
    if asked.waived is not None:
        return asked.waived
    if asked.is_rollback_target:
        return Verdict(GateState.SKIPPED, "it is the rollback target")
    canary = under_way.canary if under_way is not None else asked.member.service.canary
    if canary is None:
        return Verdict(GateState.SKIPPED, "it guards steps; in the watch max and queries judge")
    if under_way is not None and under_way.is_switched:
        return Verdict(GateState.PASSED)
    if under_way is None or under_way.step is None:
        return pending("it begins with the first step")
    return _of_step(asked, analysis, under_way, under_way.step)


def _of_step(asked: Asked, analysis: Analysis, under_way: Rollout, step: StepState) -> Verdict:
    if step.forced is not None:
        return Verdict(GateState.SKIPPED, f"waived by {step.promoted}: {step.forced}")
    found = analysing.evidence_of(asked.member, asked.candidate, under_way)
    failed = analysing.failure(analysis, found)
    if failed is not None:
        return Verdict(GateState.FAILED, failed)
    text = analysing.summary(analysis, found)
    if step.shown_mono_s is None or under_way.canary is None:
        return pending(f"it begins when Traefik shows the step; {text}")
    until_mono_s = step.shown_mono_s + under_way.canary.steps[step.number - 1].for_s
    is_over = step.promoted is not None or under_way.promoted is not None
    if not is_over and under_way.clock_mono_s(asked.now) < until_mono_s:
        return Verdict(GateState.RUNNING, text, until_mono_s)
    missing = analysing.missing(analysis, found)
    if missing is None:
        return Verdict(GateState.PASSED, text)
    if analysis.no_data_passes and analysing.has_no_data(found):
        return Verdict(GateState.PASSED, f"nothing was counted, and the file says noData: pass ({missing})")
    is_read = asked.member.analysed.is_read
    return Verdict(
        GateState.RUNNING, f"{text}; {missing}", is_counting=is_read and analysing.lacks_requests(analysis, found)
    )
