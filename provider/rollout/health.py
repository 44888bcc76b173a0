"""What is known of the health of a server and of a colour (rule 5)."""

from collections.abc import Iterable
from typing import NamedTuple

from provider.model import Colour, ColourState, Health, Member, ProbeMode, Server

NAMED_MOST = 5


class Assessment(NamedTuple):
    """The health of one server and, where it is not healthy, why."""

    health: Health
    cause: str | None


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

    The active colour is served as it stands, and where a server has been served is no longer a guess.
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
