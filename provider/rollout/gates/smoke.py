"""Gate `smoke`: every smoke test passed on every server of the release."""

from provider.model import Candidate, GateState, Member, Rollout, SmokeEvidence, SmokeRun
from provider.model.desired import DEFAULT_ENDPOINT
from provider.rollout.gates.asked import Asked, Verdict, counted, pending
from provider.rollout.labelled import of_colour


def verdict(asked: Asked) -> Verdict:
    """Every smoke test passed on every server, once for this release and this definition."""
    member, candidate, under_way = asked.member, asked.candidate, asked.under_way
    if not member.service.smoke_tests:
        return Verdict(GateState.SKIPPED)
    if asked.waived is not None:
        return asked.waived
    if asked.is_rollback_target:
        return Verdict(GateState.SKIPPED, "it is the rollback target")
    found = smoke_evidence(member, candidate, under_way)
    if found is not None:
        failed = next((result for result in found.results if result.passed is False), None)
        if failed is None:
            return Verdict(GateState.PASSED, f"{counted(found.results, 'test')} passed")
        return Verdict(GateState.FAILED, f"{failed.test} failed on {failed.url}: {failed.cause}")
    run = smoke_run(member, candidate)
    results = member.smoke.results if member.smoke is not None and member.smoke.run == run else ()
    if run is None or not results:
        return pending("the smoke tests have not begun")
    passed = sum(result.passed is True for result in results)
    count = f"{passed} of {len(run.all_tests)} smoke tests passed"
    open_ = next((result for result in results if result.passed is None), None)
    return Verdict(GateState.RUNNING, f"{count}; {open_.test} on {open_.url}: {open_.cause}" if open_ else count)


def smoke_run(member: Member, candidate: Candidate) -> SmokeRun | None:
    """Return the smoke tests to be made of a candidate; None while there is nothing to test."""
    observed = member.observed[candidate.colour]
    if not member.service.smoke_tests or candidate.release is None or observed.release != candidate.release:
        return None
    endpoints = {test.endpoint for test in member.service.smoke_tests}
    tested = {server.url: server.endpoint for server in observed.staying if server.endpoint in endpoints}
    return SmokeRun(
        service=candidate.service,
        colour=candidate.colour,
        release=candidate.release,
        servers=tuple(sorted(tested)),
        host=of_colour(member, candidate.colour).smoke_host,
        tests=member.service.smoke_tests,
        definition=member.service.smoke_definition,
        elsewhere=tuple(sorted((url, endpoint) for url, endpoint in tested.items() if endpoint != DEFAULT_ENDPOINT)),
    )


def smoke_evidence(member: Member, candidate: Candidate, under_way: Rollout | None) -> SmokeEvidence | None:
    """Return what the rollout keeps of the smoke tests of this release, as they are defined now."""
    key = (candidate.service, candidate.release, member.service.smoke_definition)
    kept = under_way.smoke if under_way else ()
    return next((one for one in kept if (one.service, one.release, one.definition) == key), None)


def new_smoke_evidence(member: Member, candidate: Candidate) -> SmokeEvidence | None:
    """Return what a run that is over amounts to: a single failure, or a pass of every test everywhere (P2)."""
    run = smoke_run(member, candidate)
    if run is None or member.smoke is None or member.smoke.run != run:
        return None
    results = member.smoke.results
    failed = any(result.passed is False for result in results)
    passed = {(result.test, result.url) for result in results if result.passed} == run.all_tests
    if not failed and not passed:
        return None
    return SmokeEvidence(run.service, run.release, member.service.smoke_definition, passed and not failed, results)
