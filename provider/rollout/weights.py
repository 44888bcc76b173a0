"""The shares of traffic that each colour takes, and the entries by which Traefik keeps them (rules 19 and 21).

A weight belongs to the rollout, and is the same at every endpoint: without one the active colour has all of the
traffic. How clients stay with a colour while both have some depends on the service:

- Without affinity, and with `client`, there is one entry for each colour.
- With `cookie` there is one entry for each step, which weighs what the step adds, and one for the rest. A step turns
  its own entry over to the candidate, so that a client with a cookie moves at most once, and never back.
- A service with sessions of its own (`sticky`) keeps them: its candidate is an alias that is named by the rollout, so
  that no cookie of an earlier release leads to it. It keeps that name while it is active.
"""

from itertools import pairwise

from provider.model import Affinity, Candidate, Child, Colour, Endpoint, Member, Protocol, Rollout, Service, Weights

ALL = 100


def candidate_of(member: Member, under_way: Rollout | None) -> Candidate | None:
    """Return the candidate that a rollout has for this service."""
    return under_way.candidate_of(member.service.name) if under_way is not None else None


def weights(member: Member, under_way: Rollout | None) -> Weights:
    """Return each colour's share of the traffic, those without any left out: Traefik cannot take a 0."""
    active = member.state.active
    if active is None:
        return ()
    share = _share(member, under_way)
    return ((active, ALL - share), (active.other, share)) if share else ((active, ALL),)


def affinity(service: Service, endpoint: Endpoint, under_way: Rollout | None) -> Affinity:
    """Return what keeps the clients of a service in steps with their colour, besides sessions of its own.

    It concerns HTTP only (rule 31).
    """
    if endpoint.protocol is not Protocol.HTTP:
        return Affinity.NONE
    if service.sticky is not None or under_way is None or under_way.canary is None:
        return Affinity.NONE
    return under_way.canary.affinity


def cookie(service: Service, under_way: Rollout) -> str:
    """Return the name of the cookie that keeps clients at their colour during one rollout."""
    return f"bluegreen-{service.name}-{under_way.id}"


def alias(service: Service, colour: Colour, under_way: Rollout) -> str | None:
    """Return the name of its own that a rollout gives to the candidate of a service with sessions."""
    return f"{service.in_traefik(colour)}-{under_way.id}" if service.sticky is not None and under_way.canary else None


def _alias_at(service: Service, endpoint: Endpoint, alias: str | None) -> str | None:
    """Return the same name at an endpoint; there is none where it keeps no sessions, as with TCP."""
    if alias is None or service.sticky is None or endpoint.protocol is not Protocol.HTTP:
        return None
    return f"{service.weighted_in_traefik(endpoint.name)}{alias.removeprefix(service.name)}"


def children(member: Member, service: Service, endpoint: Endpoint, under_way: Rollout | None) -> tuple[Child, ...]:
    """Return the entries of an endpoint of the service in Traefik; `service` describes it there."""
    active = member.state.active
    if active is None:
        return ()
    where = endpoint.name
    name = _alias_at(service, endpoint, member.state.alias) or service.in_traefik(active, where)
    share = _share(member, under_way)
    if not share or under_way is None or under_way.canary is None or under_way.step is None:
        return (Child(name, ALL, active, where),)
    if affinity(service, endpoint, under_way) is not Affinity.COOKIE:
        other = _alias_at(service, endpoint, alias(service, active.other, under_way))
        other = other or service.in_traefik(active.other, where)
        return (Child(name, ALL - share, active, where), Child(other, share, active.other, where))
    bounds = (0, *(step.weight for step in under_way.canary.steps), ALL)
    return tuple(
        Child(
            f"{service.weighted_in_traefik(where)}-{under_way.id}-{number}",
            upper - lower,
            active.other if number <= under_way.step.number else active,
            where,
        )
        for number, (lower, upper) in enumerate(pairwise(bounds), 1)
    )


def _share(member: Member, under_way: Rollout | None) -> int:
    """Return the candidate's share; 0 where it has none, or is active already."""
    if under_way is None or under_way.is_switched or candidate_of(member, under_way) is None:
        return 0
    return under_way.weight
