"""The analysis of a step as an answer of the admin API, and as metrics."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from provider.model import Colour, Gate, Rollout
from provider.model import api_types as api
from provider.model.analysed import AnalysisEvidence, Counted, Tally
from provider.model.dates import time_status
from provider.rollout import analysing, stepping
from provider.rollout.facts import ServiceFacts

LEAST = -99.0
"""The lowest power of ten that is shown: an impossible alternative has none."""


def analysis_status(facts: ServiceFacts) -> api.AnalysisStatus | None:
    """Return the analysis of the step that is on; None without one."""
    found, analysis = evidence(facts), facts.member.service.analysis
    if found is None or analysis is None or facts.candidate is None:
        return None
    verdict, colour = facts.gates[Gate.ANALYSIS], facts.candidate.colour
    known = {one.name: one for one in found.queries}
    shown: api.AnalysisStatus = {
        "state": verdict.state,
        "requests": found.errors.since_step.candidate.requests,
        "min_requests": analysis.min_requests,
        "tests": [
            {
                "name": one.test.name,
                "evidence": round(max(LEAST, one.evidence_log10), 4),
                "limit": round(one.limit_log10, 4),
                "counts": {each: _count(_of(one.totals.since_step, is_candidate=each is colour)) for each in Colour},
            }
            for one in analysing.tested(analysis, found)
        ],
        "queries": [
            {
                "name": query.name,
                "value": known[query.name].value if query.name in known else None,
                "failures": known[query.name].failures if query.name in known else 0,
                "failures_most": query.failures,
            }
            for query in analysis.queries
        ],
        "intervals": _intervals(facts, facts.rollout),
        "last": time_status(found.counted_utc),
    }
    return {**shown, "reason": verdict.reason} if verdict.reason else shown


def evidence(facts: ServiceFacts) -> AnalysisEvidence | None:
    """Return the evidence of the rollout under way; None where nothing is analysed."""
    rollout, candidate = facts.rollout, facts.candidate
    if rollout is None or candidate is None or facts.member.service.analysis is None or not analysing.is_on(rollout):
        return None
    return analysing.evidence_of(facts.member, candidate, rollout)


@dataclass(frozen=True, slots=True)
class AnalysisReading:
    """The evidence of each test, and what fails it (log10); requests of each colour since the rollout began."""

    evidence: Mapping[str, float] = field(default_factory=dict)
    requests: Mapping[Colour, int] = field(default_factory=dict)
    bad: Mapping[tuple[Colour, str], int] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)


def readings_of(facts: ServiceFacts) -> AnalysisReading:
    """Return what the metrics show of an analysis; nothing without one under way."""
    found, analysis = evidence(facts), facts.member.service.analysis
    if found is None or analysis is None or facts.candidate is None:
        return AnalysisReading()
    candidate, tested = facts.candidate.colour, analysing.tested(analysis, found)
    return AnalysisReading(
        {one.test.name: max(LEAST, one.evidence_log10) for one in tested},
        {each: _of(found.errors.since_rollout, is_candidate=each is candidate).requests for each in Colour},
        {
            (each, one.test.name): _of(one.totals.since_rollout, is_candidate=each is candidate).bad
            for one in tested
            for each in Colour
        },
        {one.test.name: one.limit_log10 for one in tested},
    )


def _of(counted: Counted, *, is_candidate: bool) -> Tally:
    return counted.candidate if is_candidate else counted.active


def _count(tally: Tally) -> api.AnalysisCount:
    return {"requests": tally.requests, "bad": tally.bad}


def _intervals(facts: ServiceFacts, rollout: Rollout | None) -> list[api.AnalysisInterval]:
    """Return what this process counted of the step, interval by interval; the sums have what came before, too."""
    found = stepping.current(rollout)
    shown_mono_s = found[0].shown_mono_s if found is not None else None
    if shown_mono_s is None:
        return []
    shown = []
    for interval in facts.member.analysed.intervals:
        since_mono_s = min(sample.since_mono_s for sample in interval.samples)
        if since_mono_s < shown_mono_s:
            continue
        sums = {each: sum((one.errors[each] for one in interval.samples), start=Tally()) for each in Colour}
        since_utc = facts.now.utc + timedelta(seconds=since_mono_s - facts.now.mono_s)
        counts = {each: _count(tally) for each, tally in sums.items()}
        shown.append(api.AnalysisInterval(since=time_status(since_utc), counts=counts))
    return shown
