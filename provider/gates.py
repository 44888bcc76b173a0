"""What a release must show before it may take traffic: the evidence on each server, and the gates over it."""

from collections.abc import Mapping
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
    Server,
)


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


def verdicts(member: Member, candidate: Candidate, now: Instant, *, docker_connected: bool) -> Mapping[Gate, Verdict]:
    """Return what every gate says of a candidate at this moment."""
    return {
        Gate.HEALTH: health_gate(member, candidate, now, docker_connected=docker_connected),
        Gate.SMOKE: _not_built(member, Gate.SMOKE, asked=bool(member.service.smoke_tests)),
        Gate.APPROVAL: _not_built(member, Gate.APPROVAL, asked=member.service.approval_is_manual),
    }


def health_gate(member: Member, candidate: Candidate, now: Instant, *, docker_connected: bool) -> Verdict:
    """Rule 5: uniform, every server healthy, enough of them, and the set unchanged for `settle`."""
    observed = member.observed[candidate.colour]
    if observed.from_docker and not (docker_connected and observed.known):
        return _pending("Docker does not answer, so what runs is not known")
    if not observed.staying:
        return _pending(f"{candidate.colour} has no servers")
    if observed.release is None:
        return _pending(f"{candidate.colour} is mixed: it runs releases {', '.join(sorted(observed.releases))}")
    if observed.release != candidate.release:
        return _pending(f"{candidate.colour} runs release {observed.release}, not {candidate.release}")
    if len(observed.staying) < len(observed.servers):
        return _pending(f"a server of {candidate.colour} is being stopped")
    unhealthy = [
        (server, found) for server in observed.servers if (found := assess(member, server)).health != "healthy"
    ]
    if unhealthy:
        server, found = unhealthy[0]
        count = f"{len(observed.servers) - len(unhealthy)} of {len(observed.servers)} servers healthy"
        return Verdict(GateState.RUNNING, f"{count}; {server.url} is {found.health}: {found.cause}")
    needed = _servers_needed(member)
    if len(observed.servers) < needed:
        return _pending(f"{len(observed.servers)} of at least {needed} servers (minServers) are there")
    settled_mono_s = observed.changed_mono_s + member.service.settle_s
    if now.mono_s < settled_mono_s:
        reason = f"healthy; the servers must stay the same for {member.service.settle_s:g}s (settle)"
        return Verdict(GateState.RUNNING, reason, settled_mono_s)
    return Verdict(GateState.PASSED)


def _servers_needed(member: Member) -> int:
    """`minServers`, else as many servers as the active colour has published."""
    if member.service.min_servers is not None:
        return member.service.min_servers
    active = member.state.active
    published = (
        [server for server in member.observed[active].servers if server.key in member.published] if active else []
    )
    return max(1, len(published))


def _not_built(member: Member, gate: Gate, *, asked: bool) -> Verdict:
    """A gate that the file asks for and this version cannot run stays shut: no evidence is not a pass (P2)."""
    if not asked:
        return Verdict(GateState.SKIPPED)
    wanted = "smokeTests" if gate is Gate.SMOKE else "approval: manual"
    return _pending(
        f"this version cannot run the gate that {member.service.name}.{wanted} asks for; remove it to go on"
    )


def _pending(reason: str) -> Verdict:
    return Verdict(GateState.PENDING, reason)
