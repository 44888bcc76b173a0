"""Gate `health`: uniform, every server healthy, enough of them, and the set unchanged for a while (rule 5)."""

from math import ceil

from provider.model import Candidate, Colour, Endpoint, GateState, Member
from provider.model.releases import ids_of, is_part
from provider.rollout.gates.asked import Asked, Verdict, counted, pending, silence
from provider.rollout.health import assess, mixture
from provider.rollout.labelled import of_colour, refused


def verdict(asked: Asked) -> Verdict:
    """Rule 5: uniform, every server healthy, enough of them, and the set unchanged for `settle`.

    Before a step as many are enough as its share of the traffic needs (rule 19b). A rollback target needs only its
    present health (rule 9). A forced switch waives all but the release.
    """
    member, candidate = asked.member, asked.candidate
    observed = member.observed[candidate.colour]
    if observed.from_docker and not (asked.docker_connected and observed.known):
        return pending(silence(asked.engines_away))
    another = _another(member, candidate)
    if another is not None:
        return pending(another)
    if asked.waived is not None:
        return asked.waived
    if len(observed.staying) < len(observed.servers):
        return pending(f"a server of {candidate.colour} is being stopped")
    unhealthy = [
        (server, found) for server in observed.servers if (found := assess(member, server)).health != "healthy"
    ]
    if unhealthy:
        server, found = unhealthy[0]
        count = f"{len(observed.servers) - len(unhealthy)} of {len(observed.servers)} servers healthy"
        return Verdict(GateState.RUNNING, f"{count}; {server.url} is {found.health}: {found.cause}")
    if asked.is_rollback_target:
        return Verdict(GateState.PASSED, f"{counted(observed.servers, 'server')} healthy; it is the rollback target")
    weight = asked.under_way.next_weight if asked.under_way else 100
    too_few = _too_few(member, candidate.colour, weight)
    if too_few is not None:
        return pending(too_few)
    settled_mono_s = observed.changed_mono_s + member.service.settle_s
    if asked.now.mono_s < settled_mono_s:
        reason = f"healthy; the servers must stay the same for {member.service.settle_s:g}s (settle)"
        return Verdict(GateState.RUNNING, reason, settled_mono_s)
    return Verdict(GateState.PASSED, f"{counted(observed.servers, 'server')} healthy")


def _another(member: Member, candidate: Candidate) -> str | None:
    """Say what runs in place of the candidate, or why its labels cannot be taken, which nobody can waive."""
    colour, observed = candidate.colour, member.observed[candidate.colour]
    if not observed.staying:
        return f"{colour} has no servers"
    if observed.release is None:
        runs = ", ".join(sorted(observed.releases))
        return f"{colour} is mixed: it runs releases {runs}{mixture(observed.staying)}"
    if observed.release != candidate.release and is_part(observed.release, candidate.release):
        missing = ", ".join(sorted(ids_of(candidate.release or "") - ids_of(observed.release)))
        return f"{colour} runs a part of release {candidate.release}: {missing} is missing"
    if observed.release != candidate.release:
        return f"{colour} runs release {observed.release}, not {candidate.release}"
    unusable = refused(member, colour)
    return f"its labels cannot be taken: {unusable}" if unusable is not None else None


def _too_few(member: Member, colour: Colour, weight: int) -> str | None:
    """Say at which endpoint there are fewer servers than the share of the traffic needs."""
    service = of_colour(member, colour)
    for endpoint in service.endpoints:
        there = sum(server.endpoint == endpoint.name for server in member.observed[colour].servers)
        needed = ceil(_servers_needed(member, endpoint) * weight / 100)
        if there < needed:
            share = "" if weight == 100 else f" for {weight} % of the traffic"
            where = service.at(endpoint.name)
            return f"{there} of at least {needed} servers (minServers) are there{where}{share}"
    return None


def _servers_needed(member: Member, endpoint: Endpoint) -> int:
    """`minServers`, else as many servers as the active colour has published at this endpoint."""
    if member.service.min_servers is not None:
        return member.service.min_servers
    active = member.state.active
    servers = member.observed[active].servers if active else ()
    return max(1, sum(one.endpoint == endpoint.name and one.key in member.published for one in servers))
