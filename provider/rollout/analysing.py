"""What an analysis comes to: its tests, the evidence that grows with each interval, and what fails (rule 23)."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import assert_never

from provider.model import Analysis, Candidate, Instant, Member, Phase, Rollout, Service, Snapshot
from provider.model.analysed import (
    AnalysisEvidence,
    Answer,
    Answered,
    Comparison,
    Counted,
    Followed,
    Processes,
    Sample,
    Tally,
    Totals,
)
from provider.model.progressive import Limits, Query
from provider.rollout.counting import counted
from provider.rollout.evidence import gains_over_active, gains_over_limit, limit_log10

CONFIDENCE = 0.99
"""The confidence of a `max`: the file names none for it."""


class Kind(StrEnum):
    """A kind of bad answer."""

    ERRORS = "errors"
    SLOW = "slow"


@dataclass(frozen=True, slots=True)
class Test:
    """One comparison of an analysis: with the active colour, or with the rate `most`."""

    kind: Kind
    confidence: float
    most: float | None = None

    @property
    def name(self) -> str:
        """Its name in the evidence, the status and the metrics."""
        return f"{self.kind} {'over-active' if self.most is None else 'max'}"

    def gains(self, interval: Iterable[Counted], active: Tally) -> tuple[float, ...]:
        """Return what an interval adds to the logarithms of its evidence; `active` was counted in the step before."""
        return gains_over_active(interval) if self.most is None else gains_over_limit(interval, self.most, active)


def tests(analysis: Analysis) -> tuple[Test, ...]:
    """Return the tests that an analysis asks for."""
    found: list[tuple[Kind, Limits | None]] = [
        (Kind.ERRORS, analysis.errors.limits if analysis.errors else None),
        (Kind.SLOW, analysis.slow.limits if analysis.slow else None),
    ]
    return tuple(test for kind, limits in found if limits is not None for test in _of(kind, limits))


def _of(kind: Kind, limits: Limits) -> Iterator[Test]:
    if limits.worse_than_active is not None:
        yield Test(kind, limits.worse_than_active)
    if limits.most is not None and 0 < limits.most < 1:
        yield Test(kind, CONFIDENCE, limits.most)


# --- when it counts -------------------------------------------------------------------------------------------------


def is_on(under_way: Rollout | None) -> bool:
    """Return whether the candidates have traffic: in a step, or after the switch."""
    if under_way is None:
        return False
    return under_way.is_switched or (under_way.phase is Phase.SHIFTING and under_way.step is not None)


def step_number(under_way: Rollout) -> int:
    """Return the number of the step, 0 after the switch."""
    return under_way.step.number if under_way.step is not None and not under_way.is_switched else 0


def counts_from_mono_s(under_way: Rollout, analysis: Analysis) -> float | None:
    """Return from when on evidence counts: `warmup` after a step, or the watch, began; None while it has not."""
    if under_way.phase is Phase.WATCHING:
        return under_way.entered_mono_s + analysis.warmup_s
    shown_mono_s = under_way.step.shown_mono_s if under_way.step is not None and not under_way.is_switched else None
    return None if shown_mono_s is None else shown_mono_s + analysis.warmup_s


def to_follow(snapshot: Snapshot) -> tuple[Followed, ...]:
    """Return the services that are analysed now."""
    under_way = snapshot.state.rollout
    if under_way is None or not is_on(under_way) or under_way.forced is not None:
        return ()
    members = {member.service.name: member.service for member in snapshot.members}
    return tuple(
        Followed(one.service, one.colour, analysis, weighted if weighted != one.service else "")
        for one in under_way.candidates
        if one.service in members and (analysis := members[one.service].analysis) is not None
        if (weighted := _counted_in(members[one.service])) is not None
    )


def _counted_in(service: Service) -> str | None:
    """Rule 31: an analysis concerns HTTP only; return Traefik's name of the endpoint that counts."""
    endpoint = service.http_endpoint
    return service.weighted_in_traefik(endpoint.name) if endpoint is not None else None


# --- its evidence ---------------------------------------------------------------------------------------------------


def evidence_of(member: Member, candidate: Candidate, under_way: Rollout) -> AnalysisEvidence:
    """Return what is kept for this candidate as the analysis is defined now, as of the present step (P1).

    Another release in the active colour voids it: what was counted was of the one before.
    """
    definition = member.service.analysis.definition if member.service.analysis else ""
    key = (candidate.service, candidate.release, definition, under_way.id)
    # In step 1 both processes are one; the second starts over with each later step, and with the watch.
    begins = len(under_way.canary.steps) if under_way.canary is not None else 1
    new = AnalysisEvidence(*key, against=_against(member, candidate), step=step_number(under_way), begins=begins)
    for kept in under_way.analysis:
        if (kept.service, kept.release, kept.definition, kept.rollout) != key:
            continue
        if new.against is not None and kept.against is not None and new.against != kept.against:
            return replace(new, upto=kept.upto)
        against = kept.against if new.against is None else new.against
        return replace(kept.in_step(new.step), against=against, begins=begins)
    return new


def _against(member: Member, candidate: Candidate) -> str | None:
    """Return what the other colour runs; None while it runs nothing, or that is not known."""
    return ", ".join(sorted(member.observed[candidate.colour.other].releases)) or None


def grown(
    member: Member, candidate: Candidate, under_way: Rollout, tests_of_all: int, now: Instant
) -> AnalysisEvidence:
    """Return the evidence with all intervals and answers that are not counted in it yet."""
    found, analysis = evidence_of(member, candidate, under_way), member.service.analysis
    from_mono_s = counts_from_mono_s(under_way, analysis) if analysis is not None else None
    if analysis is None or from_mono_s is None:
        return found
    first = upto = found.upto
    for interval in member.analysed.intervals:
        samples = [one for one in interval.samples if one.since_mono_s >= from_mono_s]
        if interval.number > first and samples:
            found, upto = _with(found, analysis, candidate, samples), max(upto, interval.number)
    for numbered in member.analysed.answers:
        answer = numbered.answer
        query = next((each for each in analysis.queries if each.name == answer.query), None)
        if query is not None and numbered.number > first and answer.at_mono_s >= from_mono_s:
            found = replace(found, queries=_answered(found.queries, query, answer))
            upto = max(upto, numbered.number)
    return found if upto == first else replace(found, upto=upto, tests=tests_of_all, counted_utc=now.utc)


def _with(found: AnalysisEvidence, analysis: Analysis, candidate: Candidate, samples: list[Sample]) -> AnalysisEvidence:
    errors = [counted(one.errors, candidate.colour) for one in samples]
    slow = [counted(one.slow, candidate.colour) for one in samples if one.slow is not None]
    known = {one.name: one.processes for one in found.comparisons}
    comparisons = []
    for test in tests(analysis):
        processes = known.get(test.name, Processes())
        interval = _of_kind(test.kind, errors, slow)
        if interval:
            processes = processes.grown(test.gains(interval, _active(found, test.kind)))
        comparisons.append(Comparison(test.name, processes))
    return replace(found, errors=found.errors.plus(errors), slow=found.slow.plus(slow), comparisons=tuple(comparisons))


def _active(found: AnalysisEvidence, kind: Kind) -> Tally:
    """Return what was counted of the active colour in the step; after the switch the old one is no measure."""
    if not found.step:
        return Tally()
    totals = found.errors if kind is Kind.ERRORS else found.slow
    return totals.since_step.active


def _of_kind(kind: Kind, errors: list[Counted], slow: list[Counted]) -> list[Counted]:
    match kind:
        case Kind.ERRORS:
            return errors
        case Kind.SLOW:
            return slow
        case _:
            assert_never(kind)


def _answered(known: tuple[Answered, ...], query: Query, answer: Answer) -> tuple[Answered, ...]:
    before = next((one for one in known if one.name == query.name), Answered(query.name))
    after = replace(
        before,
        failures=0 if is_within(query, answer.value) else before.failures + 1,
        answers=before.answers + 1,
        value=answer.value,
    )
    return (*(one for one in known if one.name != query.name), after)


def is_within(query: Query, value: float | None) -> bool:
    """Return whether a value is in the range of its query."""
    if value is None:
        return True
    return (query.most is None or value <= query.most) and (query.least is None or value >= query.least)


# --- what it says ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tested:
    """What one test comes to now: the evidence and the limit as powers of ten, and what was counted in the step."""

    test: Test
    evidence_log10: float
    limit_log10: float
    totals: Totals

    @property
    def has_failed(self) -> bool:
        """Whether the evidence reaches the limit."""
        return self.evidence_log10 >= self.limit_log10

    @property
    def line(self) -> str:
        """The test in words."""
        step, rollout = self.totals.since_step, self.totals.since_rollout
        return (
            f"{self.test.name}: evidence {ratio(self.evidence_log10)} of {ratio(self.limit_log10)}; "
            f"candidate {step.candidate.bad} of {step.candidate.requests}, active {step.active.bad} of "
            f"{step.active.requests} in this step, {rollout.candidate.bad} of {rollout.candidate.requests} and "
            f"{rollout.active.bad} of {rollout.active.requests} since the rollout began"
        )


def tested(analysis: Analysis, found: AnalysisEvidence) -> tuple[Tested, ...]:
    """Return what every test comes to now; after the switch only those against a rate are made."""
    known = {one.name: one.processes for one in found.comparisons}
    of_all = max(found.tests, len(tests(analysis)))
    return tuple(
        Tested(
            test,
            known.get(test.name, Processes()).log10(found.begins),
            limit_log10(test.confidence, of_all),
            found.errors if test.kind is Kind.ERRORS else found.slow,
        )
        for test in tests(analysis)
    )


def failure(analysis: Analysis, found: AnalysisEvidence, *, is_switched: bool = False) -> str | None:
    """Say which test or query failed; None where none did. After the switch nothing is compared with the old colour."""
    for one in tested(analysis, found):
        if one.has_failed and not (is_switched and one.test.most is None):
            return one.line
    for query in analysis.queries:
        known = next((one for one in found.queries if one.name == query.name), None)
        if known is not None and known.failures >= query.failures:
            return query_line(query, known)
    return None


def failing_in_watch(snapshot: Snapshot) -> list[tuple[Member, str]]:
    """Return the members whose analysis fails in the watch, and why."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.phase is not Phase.WATCHING:
        return []
    members = {member.service.name: member for member in snapshot.members}
    found = []
    for one in under_way.candidates:
        member = members.get(one.service)
        if member is None or member.service.analysis is None:
            continue
        evidence = evidence_of(member, one, under_way)
        if (why := failure(member.service.analysis, evidence, is_switched=True)) is not None:
            found.append((member, why))
    return found


def query_line(query: Query, known: Answered | None) -> str:
    """Return a query in words."""
    bounds = {"max": query.most, "min": query.least}
    wanted = ", ".join(f"{name} {bound:g}" for name, bound in bounds.items() if bound is not None)
    if known is None or known.value is None:
        return f"query {query.name}: no answer yet ({wanted})"
    out = f", {known.failures} of {query.failures} times in a row outside of it" if known.failures else ""
    return f"query {query.name}: {known.value:g} ({wanted}){out}"


def lines(analysis: Analysis, found: AnalysisEvidence) -> tuple[str, ...]:
    """Return what the analysis saw, a line for each test and query: evidence for a row of the history."""
    known = {one.name: one for one in found.queries}
    passes = analysis.no_data_passes and has_no_data(found)
    return (
        *((f"{found.service}: nothing was counted in this step (noData: pass)",) if passes else ()),
        *(f"{found.service} {one.line}" for one in tested(analysis, found)),
        *(f"{found.service} {query_line(query, known.get(query.name))}" for query in analysis.queries),
    )


def history_lines(snapshot: Snapshot) -> tuple[str, ...]:
    """Return the lines of all candidates of the rollout under way."""
    under_way = snapshot.state.rollout
    members = {member.service.name: member for member in snapshot.members}
    found: list[str] = []
    for one in under_way.candidates if under_way else ():
        member = members.get(one.service)
        if under_way is not None and member is not None and member.service.analysis is not None:
            found += lines(member.service.analysis, evidence_of(member, one, under_way))
    return tuple(found)


def summary(analysis: Analysis, found: AnalysisEvidence) -> str:
    """Return how far the analysis of a step is, in words: the test with the strongest evidence speaks."""
    text = f"{found.errors.since_step.candidate.requests} of {analysis.min_requests} requests"
    all_ = tested(analysis, found)
    if not all_:
        return text
    one = max(all_, key=lambda each: each.evidence_log10 - each.limit_log10)
    step = one.totals.since_step
    against = (
        rate(step.active.bad, step.active.requests) if one.test.most is None else f"at most {100 * one.test.most:.2g} %"
    )
    return (
        f"{text}; {one.test.kind} {rate(step.candidate.bad, step.candidate.requests)} against {against}, evidence "
        f"{ratio(one.evidence_log10)} of {ratio(one.limit_log10)}"
    )


def rate(bad: int, requests: int) -> str:
    """Return a share in per cent."""
    return f"{100 * bad / requests:.2g} %" if requests else "none"


def ratio(power: float) -> str:
    """Return a power of ten as people write it."""
    if power >= 6:
        return f"10^{power:.0f}"
    return f"{10**power:.0f}" if power >= 1 else f"{10 ** max(power, -9.0):.1f}"


def lacks_requests(analysis: Analysis, found: AnalysisEvidence) -> bool:
    """Return whether the candidate has had too few requests in this step."""
    return found.errors.since_step.candidate.requests < analysis.min_requests


def missing(analysis: Analysis, found: AnalysisEvidence) -> str | None:
    """Say what a step still needs to prove anything; None where it has all of it."""
    if lacks_requests(analysis, found):
        lacking = analysis.min_requests - found.errors.since_step.candidate.requests
        return f"{lacking} more requests of the candidate (minRequests)"
    known = {one.name: one for one in found.queries}
    for query in analysis.queries:
        if query.name not in known or not known[query.name].answers:
            if analysis.asks is None:
                return f"query {query.name} asks nobody: write prometheus: {{url: ...}} beside queries"
            return f"query {query.name} has had no answer in this step"
        if failures := known[query.name].failures:
            return f"query {query.name} is out of its range, {failures} of {query.failures} times in a row"
    return None


def has_no_data(found: AnalysisEvidence) -> bool:
    """Return whether nothing at all was counted and answered in the step."""
    step = found.errors.since_step
    return not step.candidate.requests and not step.active.requests and not any(one.answers for one in found.queries)
