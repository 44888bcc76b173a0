"""The shares of traffic that each colour takes, and the entries by which Traefik keeps them (rules 19 and 21).

A weight belongs to the rollout: without one the active colour has all of the traffic. How clients stay with a colour
while both have some depends on the service:

- Without affinity, and with `client`, there is one entry for each colour.
- With `cookie` there is one entry for each step, which weighs what the step adds, and one for the rest. A step turns
  its own entry over to the candidate, so that a client with a cookie moves at most once, and never back.
- A service with sessions of its own (`sticky`) keeps them: its candidate is an alias that is named by the rollout, so
  that no cookie of an earlier release leads to it. It keeps that name while it is active.
"""

from itertools import pairwise

from provider.model import Affinity, Candidate, Child, Colour, Member, Rollout, Service, Weights

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


def affinity(service: Service, under_way: Rollout | None) -> Affinity:
    """Return what keeps the clients of a service in steps with their colour, besides sessions of its own."""
    if service.sticky is not None or under_way is None or under_way.canary is None:
        return Affinity.NONE
    return under_way.canary.affinity


def cookie(service: Service, under_way: Rollout) -> str:
    """Return the name of the cookie that keeps clients at their colour during one rollout."""
    return f"bluegreen-{service.name}-{under_way.id}"


def alias(service: Service, colour: Colour, under_way: Rollout) -> str | None:
    """Return the name of its own that a rollout gives to the candidate of a service with sessions."""
    return f"{service.in_traefik(colour)}-{under_way.id}" if service.sticky is not None and under_way.canary else None


def children(member: Member, service: Service, under_way: Rollout | None) -> tuple[Child, ...]:
    """Return the entries of the service in Traefik; `service` describes it there."""
    active = member.state.active
    if active is None:
        return ()
    name = service.in_traefik(active)
    if service.sticky is not None and member.state.alias is not None:
        name = member.state.alias
    share = _share(member, under_way)
    if not share or under_way is None or under_way.canary is None or under_way.step is None:
        return (Child(name, ALL, active),)
    if affinity(service, under_way) is not Affinity.COOKIE:
        other = alias(service, active.other, under_way) or service.in_traefik(active.other)
        return (Child(name, ALL - share, active), Child(other, share, active.other))
    bounds = (0, *(step.weight for step in under_way.canary.steps), ALL)
    return tuple(
        Child(
            f"{service.name}-{under_way.id}-{number}",
            upper - lower,
            active.other if number <= under_way.step.number else active,
        )
        for number, (lower, upper) in enumerate(pairwise(bounds), 1)
    )


def _share(member: Member, under_way: Rollout | None) -> int:
    """Return the candidate's share; 0 where it has none, or is active already."""
    if under_way is None or under_way.is_switched or candidate_of(member, under_way) is None:
        return 0
    return under_way.weight
