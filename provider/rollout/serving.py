"""What is served of each service, given what was decided and what is seen now."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

from provider.model import (
    Affinity,
    Child,
    Colour,
    ColourState,
    Endpoint,
    Health,
    Instant,
    Member,
    Phase,
    Rollout,
    Served,
    Server,
    ServerKey,
    Service,
    Shown,
    Weights,
)
from provider.model.releases import ids_of
from provider.rollout.conditions import lister, undecided
from provider.rollout.health import assess, colour_state
from provider.rollout.weights import ALL, affinity, candidate_of, children, cookie, weights

FIRST_HEALTH_LIMIT_S = 60.0
BEFORE_SWITCH_TESTED = frozenset({Phase.TESTING, Phase.APPROVAL, Phase.SHIFTING})
"""The phases in which the test route leads to the candidate."""


def serve(member: Member, under_way: Rollout | None = None, service: Service | None = None) -> Served | None:
    """Return what the document says of a service; None while it is undecided or its servers are unknown, and without a
    router where those are of labels.

    `service` describes it there where the document goes by another text of the file (rule 15).
    """
    service = service or member.service
    active = member.state.active
    if active is None or not member.observed[active].known:
        return None
    if service.labels is not None and not service.routers:
        return None
    decided, servers = weights(member, under_way), {active: serving(member, active)}
    if len(decided) > 1:
        servers[active.other] = _of_candidate(member, under_way)
    children: list[Child] = []
    for endpoint in service.endpoints:
        left_out = _left_out(member, endpoint, active, servers)
        children += _children(member, service, endpoint, under_way, left_out)
        if left_out is not None:
            servers[left_out] = tuple(one for one in servers[left_out] if one.endpoint != endpoint.name)
    with_traffic = {child.colour for child in children}
    servers = {colour: some for colour, some in servers.items() if colour in with_traffic}
    preview = active.other if service.preview is not None and _previews(member, active.other) else None
    if preview is not None:
        servers.setdefault(preview, serving(member, preview))
    spread = _affinity(service, under_way, children, len(decided))
    return Served(
        service=service,
        weights=_summed(child for child in children if child.endpoint == service.endpoints[0].name),
        servers=servers,
        preview=preview,
        children=tuple(children),
        affinity=spread,
        cookie=cookie(service, under_way) if spread is Affinity.COOKIE and under_way else None,
        test=_test(member, under_way) if service.test_route is not None else (),
        test_colour=active.other if service.test_route is not None else None,
    )


def _affinity(service: Service, under_way: Rollout | None, children: Iterable[Child], decided: int) -> Affinity:
    """Return what keeps clients at their colour now: nothing where they share no endpoint of HTTP."""
    for endpoint in service.endpoints:
        there = [child for child in children if child.endpoint == endpoint.name]
        spread = affinity(service, endpoint, under_way)
        is_shared = len({child.colour for child in there}) > 1 or len(there) > decided
        if is_shared and spread is not Affinity.NONE:
            return spread
    return Affinity.NONE


class Rendered(NamedTuple):
    """What a document says of a service, and the weights of it that were decided."""

    served: Served
    shown: Shown


def may_wait(member: Member, before: Rendered, after: Rendered) -> bool:
    """Return whether nobody misses anything while the document says what it said before (rule 22).

    That is so where servers only join others, and where those that go run on and had no traffic: a preview that leads
    nowhere for a while. Whatever was decided or edited, a server that goes and a colour that was empty are urgent.
    """
    was, now = before.served, after.served
    same = replace(now, servers=was.servers, preview=was.preview, test=was.test)
    if before.shown != after.shown or same != was or bool(was.test) is not bool(now.test):
        return False
    if not _keys(was.test) <= _keys(now.test):
        return False
    with_traffic = {(child.endpoint, child.colour) for child in was.children}
    for colour in was.servers.keys() | now.servers.keys():
        gone = _keys(was.servers.get(colour, ())) - _keys(now.servers.get(colour, ()))
        lost = {key.endpoint for key in gone}
        for endpoint in was.service.endpoints:
            is_empty = not was.servers_at(endpoint.name, colour)
            if (endpoint.name, colour) in with_traffic and (endpoint.name in lost or is_empty):
                return False
        if not gone <= _keys(member.observed[colour].staying):
            return False
    return True


def _keys(servers: Iterable[Server]) -> set[ServerKey]:
    return {server.key for server in servers}


def shown(member: Member, under_way: Rollout | None, served: Served) -> Shown:
    """Return the weights of a service in a document, as decided and as they are served."""
    names = [endpoint.name for endpoint in served.service.endpoints[1:]]
    each = ((name, _summed(child for child in served.children if child.endpoint == name)) for name in names)
    apart = tuple((name, found) for name, found in each if found != served.weights)
    return Shown(weights(member, under_way), served.weights, apart)


def _children(
    member: Member, service: Service, endpoint: Endpoint, under_way: Rollout | None, left_out: Colour | None
) -> tuple[Child, ...]:
    """Rule 19b: an entry without a server goes at once; one that a cookie names leads to the other colour."""
    found = children(member, service, endpoint, under_way)
    if left_out is None:
        return found
    if affinity(service, endpoint, under_way) is Affinity.COOKIE:
        return tuple(replace(child, colour=left_out.other) for child in found)
    return tuple(replace(child, weight=ALL) for child in found if child.colour is not left_out)


def _summed(children: Iterable[Child]) -> Weights:
    found: dict[Colour, int] = {}
    for child in children:
        found[child.colour] = found.get(child.colour, 0) + child.weight
    return tuple(sorted(found.items(), key=lambda one: -one[1]))


def _left_out(
    member: Member, endpoint: Endpoint, active: Colour, servers: Mapping[Colour, tuple[Server, ...]]
) -> Colour | None:
    """Name the colour that has no server to serve at an endpoint while the other one can take its share.

    For that the active colour needs any server, and the candidate a healthy one.
    """
    if len(servers) < len(Colour):
        return None
    there = {colour: [one for one in some if one.endpoint == endpoint.name] for colour, some in servers.items()}
    for colour in (active.other, active):
        others = there[colour.other]
        can_take = any(colour is not active or assess(member, one).health is Health.HEALTHY for one in others)
        if not there[colour] and can_take:
            return colour
    return None


def _of_candidate(member: Member, under_way: Rollout | None) -> tuple[Server, ...]:
    """Choose the servers of a step: those of the very release that can serve; nothing else stands in for them."""
    candidate = candidate_of(member, under_way)
    if candidate is None or candidate.release is None:
        return ()
    ids = ids_of(candidate.release)
    found = [
        server
        for server in member.observed[candidate.colour].staying
        if server.release in ids and _able(member, server)
    ]
    return _ordered(found)


def _ordered(servers: Iterable[Server]) -> tuple[Server, ...]:
    """Return the servers by endpoint and URL, one for each address."""
    by_address = {(server.endpoint, server.url): server for server in servers}
    return tuple(by_address[address] for address in sorted(by_address))


def _test(member: Member, under_way: Rollout | None) -> tuple[Server, ...]:
    """Rule 24: the test route leads to the candidate from `testing` to the switch, and nowhere else."""
    if under_way is None or under_way.phase not in BEFORE_SWITCH_TESTED:
        return ()
    return _of_candidate(member, under_way)


def serving(member: Member, colour: Colour) -> tuple[Server, ...]:
    """Choose the servers that take a colour's traffic, at each endpoint by itself, ordered by endpoint and URL.

    Rule 3: the healthy ones, and all when none is healthy. One that is published stays until proven unhealthy, and one
    not judged yet joins only where there is nothing else: what is chosen must not change by being published.
    Rule 4: one that was asked to stop leaves at once, but the last that can serve stays while its container runs, and
    those that left before it do not come back.
    """
    by_endpoint: dict[str, list[Server]] = {}
    for server in member.observed[colour].servers:
        by_endpoint.setdefault(server.endpoint, []).append(server)
    chosen: list[Server] = []
    for servers in by_endpoint.values():
        chosen += next(filter(None, _choices(member, servers)), [])
    return _ordered(chosen)


def _choices(member: Member, observed: Iterable[Server]) -> Iterator[list[Server]]:
    staying = [server for server in observed if server.leaving_mono_s is None]
    yield [server for server in staying if _able(member, server)]
    lingering = [server for server in observed if server.leaving_mono_s is not None]
    yield _last([server for server in lingering if _able(member, server)], member)
    yield [server for server in staying if _unhealthy(member, server)]
    yield staying
    yield _last([server for server in lingering if _unhealthy(member, server)], member)
    yield _last(lingering, member)


def wake_mono_s(member: Member, now: Instant) -> float | None:
    """Return when time alone changes what is served: a server that was asked to stop still runs then, and returns."""
    servers = [server for _, observed in member.observed.items() for server in observed.servers]
    ends = [server.returns_mono_s for server in servers if server.returns_mono_s is not None]
    return min((end for end in ends if end > now.mono_s), default=None)


def first_document_waits_for(members: Iterable[Member], waited_s: float) -> str | None:
    """Say what keeps the first document of an empty store back, None when it may be published (rule 1)."""
    for member in members:
        name, active = member.service.name, member.state.active
        if not all(observed.known for _, observed in member.observed.items()):
            missing = f": {lister(member.unlisted)} not listed its containers yet" if member.unlisted else ""
            return f"service {name} waits for Docker's first complete list{missing}"
        if active is None and any(observed.servers for _, observed in member.observed.items()):
            return f"service {name} is {undecided(member).message}"
        if active is not None and waited_s < FIRST_HEALTH_LIMIT_S and _not_yet_healthy(member, active):
            return f"service {name} has no healthy server in {active} yet"
    return None


def _last(leaving: list[Server], member: Member) -> list[Server]:
    return [server for server in leaving if server.key in member.published] or leaving


def _previews(member: Member, standby: Colour) -> bool:
    """Return whether the preview has somewhere to lead: a standby that stays, and all of whose servers are healthy."""
    if not member.observed[standby].staying:
        return False
    return colour_state(member, standby) is ColourState.HEALTHY


def _not_yet_healthy(member: Member, active: Colour) -> bool:
    servers = member.observed[active].servers
    return bool(servers) and all(assess(member, server).health is not Health.HEALTHY for server in servers)


def _able(member: Member, server: Server) -> bool:
    health = assess(member, server).health
    return health is Health.HEALTHY or (health is Health.UNKNOWN and server.key in member.published)


def _unhealthy(member: Member, server: Server) -> bool:
    return assess(member, server).health is Health.UNHEALTHY
