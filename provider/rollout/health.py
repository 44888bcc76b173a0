"""What is known of the health of a server and of a colour (rule 5)."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

from provider.model import Colour, ColourState, Endpoint, Health, HealthCheck, Member, ProbeMode, Protocol, Server
from provider.rollout.labelled import of_server

NAMED_MOST = 5
_BEST_FIRST = (Health.HEALTHY, Health.UNKNOWN, Health.UNHEALTHY)


class Assessment(NamedTuple):
    """The health of one server and, where it is not healthy, why."""

    health: Health
    cause: str | None


def assess(member: Member, server: Server) -> Assessment:
    """Join what Docker and the probes say of a server (rule 5): a container with a HEALTHCHECK must pass it too."""
    if (doubt := doubt_of(member, server)) is not None:
        return Assessment(Health.UNKNOWN, doubt)
    endpoint = endpoint_of(member, server)
    check, by_docker = endpoint.health_check, server.docker_health
    if check.mode is ProbeMode.DOCKER and by_docker is None:
        return Assessment(Health.UNKNOWN, "mode is docker, and the server has no HEALTHCHECK")
    if by_docker is Health.UNHEALTHY:
        return Assessment(Health.UNHEALTHY, "Docker's HEALTHCHECK fails")
    if by_docker is not None and (check.mode is None or check.mode is ProbeMode.DOCKER):
        return Assessment(by_docker, None if by_docker is Health.HEALTHY else "Docker's HEALTHCHECK is starting")
    if endpoint.protocol is Protocol.UDP and network_check(endpoint, server) is None:
        return _by_siblings(member, server)
    probed = member.health.get(server.key)
    if probed is None:
        return Assessment(Health.UNKNOWN, "not checked yet")
    if by_docker is Health.UNKNOWN and probed.health is Health.HEALTHY:
        return Assessment(Health.UNKNOWN, "Docker's HEALTHCHECK is starting")
    return Assessment(probed.health, probed.cause)


def endpoint_of(member: Member, server: Server) -> Endpoint:
    """Return the endpoint of a server; one that the service has no more is checked as any."""
    return of_server(member, server).endpoint(server.endpoint) or Endpoint(server.endpoint)


def network_check(endpoint: Endpoint, server: Server) -> HealthCheck | None:
    """Return how a server is checked over the network; None where that is left to others (rules 5 and 33).

    Without a mode, Docker's HEALTHCHECK counts where present, else a connection. UDP has none: what answers must be
    asked with a text to `send`.
    """
    check = endpoint.health_check
    if check.mode is ProbeMode.DOCKER or (check.mode is None and server.docker_health is not None):
        return None
    if endpoint.protocol is Protocol.UDP:
        return _by(check, ProbeMode.UDP) if check.send is not None else None
    return _by(check, ProbeMode.TCP) if check.mode is None else check


@lru_cache
def _by(check: HealthCheck, mode: ProbeMode) -> HealthCheck:
    return replace(check, mode=mode)


def _by_siblings(member: Member, server: Server) -> Assessment:
    """Rule 33: where nothing can be asked by UDP, the health of the other endpoints counts.

    It is the best of theirs: a dead port takes no server out of another endpoint (rule 31).
    """
    there = [one for _, seen in member.observed.items() if server in seen.servers for one in seen.servers]
    others = [
        assess(member, one)
        for one in there
        if one.container == server.container and endpoint_of(member, one).protocol is not Protocol.UDP
    ]
    if not others:
        return Assessment(Health.UNKNOWN, "nothing can be asked by UDP without healthCheck.send, or a HEALTHCHECK")
    return min(others, key=lambda one: _BEST_FIRST.index(one.health))


def doubt_of(member: Member, server: Server) -> str | None:
    """Say why no check of a server is evidence (rules 38 and 39).

    Its address is the other colour's, too, or only a guess, or nothing tells its release on every engine.

    The active colour is served as it stands, and where a server has been served is no longer a guess.
    """
    if server.twin is not None:
        return server.twin
    if is_untold(member, server) and not _is_active(member, server):
        return server.untold
    if server.guess is None or server.was_served:
        return None
    return None if _is_active(member, server) else server.guess


def is_untold(member: Member, server: Server) -> bool:
    """Return whether its colour runs on several engines, and nothing tells whether it is one release (rule 38)."""
    if server.untold is None:
        return False
    return any(
        server in seen.servers and len({one.engine for one in seen.servers}) > 1 for _, seen in member.observed.items()
    )


def _is_active(member: Member, server: Server) -> bool:
    active = member.state.active
    return active is not None and server in member.observed[active].servers


def mixture(servers: Iterable[Server]) -> str:
    """Say in which parts the releases of a mixed colour differ, by name; "" where that is not known (rule 40)."""
    there = [{(part.kind, part.name): part.digest for part in server.parts} for server in servers]
    if not all(there):
        return ""
    names = sorted({name for parts in there for name in parts})
    differ = [name for name in names if len({parts.get(name) for parts in there}) > 1]
    parts = []
    for kind in dict.fromkeys(kind for kind, _ in differ):
        of_kind = [name for found, name in differ if found == kind and name]
        more = f" and {len(of_kind) - NAMED_MOST} more" if len(of_kind) > NAMED_MOST else ""
        parts.append(f"{kind} {', '.join(of_kind[:NAMED_MOST])}{more}".rstrip())
    fix = ""
    if parts and all(kind == "environment" for kind, _ in differ):
        fix = "; where that makes no other release, write release: {ignoreEnv: [NAME]} in the file"
    return f", which differ in {' and '.join(parts)}{fix}" if parts else ""


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
