"""What a release must show before it may take traffic: the evidence on each server, and the gates over it."""

from collections.abc import Mapping, Sized
from dataclasses import dataclass

from provider.model import Candidate, Gate, GateState, Instant, Member, Rollout, SmokeEvidence, SmokeRun
from provider.model.releases import ids_of, is_part
from provider.rollout.health import assess, mixture


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a gate says now; `wake_mono_s` is when time alone may change it."""

    state: GateState
    reason: str | None = None
    wake_mono_s: float | None = None

    @property
    def lets_through(self) -> bool:
        """Whether this gate holds nothing up."""
        return self.state in {GateState.PASSED, GateState.SKIPPED}


def verdicts(
    member: Member, candidate: Candidate, under_way: Rollout | None, now: Instant, *, docker_connected: bool
) -> Mapping[Gate, Verdict]:
    """Return what every gate says of a candidate at this moment; evidence is that of the rollout under way."""
    return {
        Gate.HEALTH: health_gate(member, candidate, under_way, now, docker_connected=docker_connected),
        Gate.SMOKE: smoke_gate(member, candidate, under_way),
        Gate.APPROVAL: approval_gate(member, candidate, under_way),
    }


def health_gate(
    member: Member, candidate: Candidate, under_way: Rollout | None, now: Instant, *, docker_connected: bool
) -> Verdict:
    """Rule 5: uniform, every server healthy, enough of them, and the set unchanged for `settle`.

    A rollback target needs only its present health (rule 9). A forced switch waives all but the release.
    """
    observed = member.observed[candidate.colour]
    if observed.from_docker and not (docker_connected and observed.known):
        return _pending("Docker does not answer, so what runs is not known")
    if not observed.staying:
        return _pending(f"{candidate.colour} has no servers")
    if observed.release is None:
        runs = ", ".join(sorted(observed.releases))
        return _pending(f"{candidate.colour} is mixed: it runs releases {runs}{mixture(observed.staying)}")
    if observed.release != candidate.release and is_part(observed.release, candidate.release):
        missing = ", ".join(sorted(ids_of(candidate.release or "") - ids_of(observed.release)))
        return _pending(f"{candidate.colour} runs a part of release {candidate.release}: {missing} is missing")
    if observed.release != candidate.release:
        return _pending(f"{candidate.colour} runs release {observed.release}, not {candidate.release}")
    if (waived := _waived(under_way)) is not None:
        return waived
    if len(observed.staying) < len(observed.servers):
        return _pending(f"a server of {candidate.colour} is being stopped")
    unhealthy = [
        (server, found) for server in observed.servers if (found := assess(member, server)).health != "healthy"
    ]
    if unhealthy:
        server, found = unhealthy[0]
        count = f"{len(observed.servers) - len(unhealthy)} of {len(observed.servers)} servers healthy"
        return Verdict(GateState.RUNNING, f"{count}; {server.url} is {found.health}: {found.cause}")
    if is_rollback_target(member, candidate):
        return Verdict(GateState.PASSED, f"{_count(observed.servers, 'server')} healthy; it is the rollback target")
    needed = _servers_needed(member)
    if len(observed.servers) < needed:
        return _pending(f"{len(observed.servers)} of at least {needed} servers (minServers) are there")
    settled_mono_s = observed.changed_mono_s + member.service.settle_s
    if now.mono_s < settled_mono_s:
        reason = f"healthy; the servers must stay the same for {member.service.settle_s:g}s (settle)"
        return Verdict(GateState.RUNNING, reason, settled_mono_s)
    return Verdict(GateState.PASSED, f"{_count(observed.servers, 'server')} healthy")


def smoke_gate(member: Member, candidate: Candidate, under_way: Rollout | None) -> Verdict:
    """Every smoke test passed on every server, once for this release and this definition."""
    if not member.service.smoke_tests:
        return Verdict(GateState.SKIPPED)
    if (waived := _waived(under_way)) is not None:
        return waived
    if is_rollback_target(member, candidate):
        return Verdict(GateState.SKIPPED, "it is the rollback target")
    found = smoke_evidence(member, candidate, under_way)
    if found is not None:
        failed = next((result for result in found.results if result.passed is False), None)
        if failed is None:
            return Verdict(GateState.PASSED, f"{_count(found.results, 'test')} passed")
        return Verdict(GateState.FAILED, f"{failed.test} failed on {failed.url}: {failed.cause}")
    run = smoke_run(member, candidate)
    results = member.smoke.results if member.smoke is not None and member.smoke.run == run else ()
    if run is None or not results:
        return _pending("the smoke tests have not begun")
    passed = sum(result.passed is True for result in results)
    count = f"{passed} of {len(run.servers) * len(run.tests)} smoke tests passed"
    open_ = next((result for result in results if result.passed is None), None)
    return Verdict(GateState.RUNNING, f"{count}; {open_.test} on {open_.url}: {open_.cause}" if open_ else count)


def approval_gate(member: Member, candidate: Candidate, under_way: Rollout | None) -> Verdict:
    """Somebody approved this very release; it is bound to the rollout, which has no other (P1)."""
    if not member.service.approval_is_manual:
        return Verdict(GateState.SKIPPED)
    if (waived := _waived(under_way)) is not None:
        return waived
    if is_rollback_target(member, candidate):
        return Verdict(GateState.SKIPPED, "it is the rollback target")
    if under_way is not None and under_way.approval is not None:
        return Verdict(GateState.PASSED, f"approved by {under_way.approval.actor}")
    name = candidate.service
    command = f"bluegreen approve {name} --release {candidate.release}"
    return _pending(f"release {candidate.release} waits for approval: {command}")


def smoke_run(member: Member, candidate: Candidate) -> SmokeRun | None:
    """Return the smoke tests to be made of a candidate; None while there is nothing to test."""
    observed = member.observed[candidate.colour]
    if not member.service.smoke_tests or candidate.release is None or observed.release != candidate.release:
        return None
    return SmokeRun(
        service=candidate.service,
        colour=candidate.colour,
        release=candidate.release,
        servers=tuple(sorted({server.url for server in observed.staying})),
        host=member.service.host,
        tests=member.service.smoke_tests,
        definition=member.service.smoke_definition,
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
    all_ = {(test.name, url) for test in run.tests for url in run.servers}
    passed = {(result.test, result.url) for result in results if result.passed} == all_
    if not failed and not passed:
        return None
    return SmokeEvidence(run.service, run.release, member.service.smoke_definition, passed and not failed, results)


def is_rollback_target(member: Member, candidate: Candidate) -> bool:
    """Return whether a candidate is the exact release that was active before the present one (rule 9)."""
    back = member.state.rollback_target
    return back is not None and back.colour is candidate.colour and is_part(candidate.release, back.release)


def _servers_needed(member: Member) -> int:
    """`minServers`, else as many servers as the active colour has published."""
    if member.service.min_servers is not None:
        return member.service.min_servers
    active = member.state.active
    published = (
        [server for server in member.observed[active].servers if server.key in member.published] if active else []
    )
    return max(1, len(published))


def _waived(under_way: Rollout | None) -> Verdict | None:
    if under_way is None or under_way.forced is None:
        return None
    return Verdict(GateState.SKIPPED, f"waived by {under_way.actor}: {under_way.forced}")


def _count(things: Sized, what: str) -> str:
    return f"{len(things)} {what}{'' if len(things) == 1 else 's'}"


def _pending(reason: str) -> Verdict:
    return Verdict(GateState.PENDING, reason)
