"""What a release must show before it may take traffic: the evidence on each server, and the gates over it."""

from collections.abc import Iterable, Mapping, Sized
from dataclasses import dataclass
from typing import NamedTuple

from provider.model import (
    Candidate,
    Colour,
    ColourState,
    Gate,
    GateState,
    Health,
    Instant,
    Member,
    ProbeMode,
    Rollout,
    Server,
    SmokeEvidence,
    SmokeRun,
)
from provider.model.releases import ids_of, is_part

NAMED_MOST = 5


class Assessment(NamedTuple):
    """The health of one server and, where it is not healthy, why."""

    health: Health
    cause: str | None


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


def assess(member: Member, server: Server) -> Assessment:
    """Join what Docker and the probes say of a server (rule 5): a container with a HEALTHCHECK must pass it too."""
    if (doubt := doubt_of(member, server)) is not None:
        return Assessment(Health.UNKNOWN, doubt)
    check = member.service.health_check
    by_docker = server.docker_health
    if check.mode is ProbeMode.DOCKER and by_docker is None:
        return Assessment(Health.UNKNOWN, "mode is docker, and the server has no HEALTHCHECK")
    if by_docker is Health.UNHEALTHY:
        return Assessment(Health.UNHEALTHY, "Docker's HEALTHCHECK fails")
    if by_docker is not None and (check.mode is None or check.mode is ProbeMode.DOCKER):
        return Assessment(by_docker, None if by_docker is Health.HEALTHY else "Docker's HEALTHCHECK is starting")
    probed = member.health.get(server.key)
    if probed is None:
        return Assessment(Health.UNKNOWN, "not checked yet")
    if by_docker is Health.UNKNOWN and probed.health is Health.HEALTHY:
        return Assessment(Health.UNKNOWN, "Docker's HEALTHCHECK is starting")
    return Assessment(probed.health, probed.cause)


def doubt_of(member: Member, server: Server) -> str | None:
    """Say why no check of a server is evidence: its address is the other colour's, too, or only a guess (rule 38, 39).

    The active colour is served as it stands, and where a server has been served is no guess any more.
    """
    if server.twin is not None:
        return server.twin
    if server.guess is None or server.was_served:
        return None
    active = member.state.active
    return None if active is not None and server in member.observed[active].servers else server.guess


def mixture(servers: Iterable[Server]) -> str:
    """Say in which parts the releases of a mixed colour differ, by name; "" where that is not known (rule 40)."""
    there = [{(part.kind, part.name): part.digest for part in server.parts} for server in servers]
    if not all(there):
        return ""
    names = sorted({name for parts in there for name in parts})
    differ = [name for name in names if len({parts.get(name) for parts in there}) > 1]
    told = []
    for kind in dict.fromkeys(kind for kind, _ in differ):
        of_kind = [name for found, name in differ if found == kind and name]
        more = f" and {len(of_kind) - NAMED_MOST} more" if len(of_kind) > NAMED_MOST else ""
        told.append(f"{kind} {', '.join(of_kind[:NAMED_MOST])}{more}".rstrip())
    fix = ""
    if told and all(kind == "environment" for kind, _ in differ):
        fix = "; where that makes no other release, write release: {ignoreEnv: [NAME]} in the file"
    return f", which differ in {' and '.join(told)}{fix}" if told else ""


def colour_state(member: Member, colour: Colour) -> ColourState:
    """Sum up the servers of a colour in one word."""
    observed = member.observed[colour]
    if not observed.known:
        return ColourState.UNKNOWN
    if not observed.servers:
        return ColourState.EMPTY
    if observed.release is None:
        return ColourState.MIXED
    verdicts = {assess(member, server).health for server in observed.servers}
    if Health.UNHEALTHY in verdicts:
        return ColourState.UNHEALTHY
    return ColourState.STARTING if Health.UNKNOWN in verdicts else ColourState.HEALTHY


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

    Of the way back only its present health is asked (rule 9). Whoever forces a switch waives all but the release.
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
    if is_way_back(member, candidate):
        return Verdict(GateState.PASSED, f"{_count(observed.servers, 'server')} healthy; it is the way back")
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
    if is_way_back(member, candidate):
        return Verdict(GateState.SKIPPED, "it is the way back")
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
    told = f"{passed} of {len(run.servers) * len(run.tests)} smoke tests passed"
    open_ = next((result for result in results if result.passed is None), None)
    return Verdict(GateState.RUNNING, f"{told}; {open_.test} on {open_.url}: {open_.cause}" if open_ else told)


def approval_gate(member: Member, candidate: Candidate, under_way: Rollout | None) -> Verdict:
    """Somebody approved this very release; it is bound to the rollout, which has no other (P1)."""
    if not member.service.approval_is_manual:
        return Verdict(GateState.SKIPPED)
    if (waived := _waived(under_way)) is not None:
        return waived
    if is_way_back(member, candidate):
        return Verdict(GateState.SKIPPED, "it is the way back")
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
    wanted = (candidate.service, candidate.release, member.service.smoke_definition)
    kept = under_way.smoke if under_way else ()
    return next((one for one in kept if (one.service, one.release, one.definition) == wanted), None)


def new_smoke_evidence(member: Member, candidate: Candidate) -> SmokeEvidence | None:
    """Return what a run that is over amounts to: a single failure, or a pass of every test everywhere (P2)."""
    run = smoke_run(member, candidate)
    if run is None or member.smoke is None or member.smoke.run != run:
        return None
    results = member.smoke.results
    failed = any(result.passed is False for result in results)
    wanted = {(test.name, url) for test in run.tests for url in run.servers}
    passed = {(result.test, result.url) for result in results if result.passed} == wanted
    if not failed and not passed:
        return None
    return SmokeEvidence(run.service, run.release, member.service.smoke_definition, passed and not failed, results)


def is_way_back(member: Member, candidate: Candidate) -> bool:
    """Tell whether a candidate is the exact release that was active before the present one (rule 9)."""
    back = member.state.way_back
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
