"""Where Traefik reaches the servers of a service: in which network, and whether each has an address of its own.

A container's networks have names and no order, and a check of ours does not show what Traefik can reach. So a network
is chosen by configuration, or because it has been served; never by the order of names (rule 38). Two servers at one
address answer for each other, which is evidence for neither (rule 39).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeAlias

from provider.docker.labels import NETWORK
from provider.docker.places import another_network
from provider.model import ByColour, Colour, Endpoint, Server
from provider.model.addresses import Place, place_of
from provider.model.observed import ServerPlace

CheckedPorts: TypeAlias = Mapping[str, int | None]
"""The port that the checks of each endpoint ask, where that is not the one of its servers."""
TO_FIX_IT = ". To fix it, "


class Served(NamedTuple):
    """The address that a container has had in a document, and in which network, where that is known."""

    url: str
    network: str | None


@dataclass(frozen=True, slots=True)
class TraefikNetwork:
    """What is known of Traefik's network: the `default` of the file, and the daemon's `own` networks."""

    default: str | None = None
    own: frozenset[str] = frozenset()


def choose(
    servers: ByColour[tuple[Server, ...]],
    known: TraefikNetwork,
    active: Colour | None,
    served: Mapping[ServerPlace, Served],
) -> ByColour[tuple[Server, ...]]:
    """Give each server the address that Traefik reaches, or mark it as a guess.

    The label of the container wins; then the file; then the address that was `served`, by container; then the only
    network that the daemon is on as well; then the only one that both colours share.
    """
    if not any(server.routes for _, some in servers.items() for server in some):
        return servers
    shared = _shared(servers)
    return ByColour(
        *(_chosen(some, known, shared, served, is_active=colour is active) for colour, some in servers.items())
    )


def _chosen(
    servers: tuple[Server, ...],
    known: TraefikNetwork,
    shared: frozenset[str],
    served: Mapping[ServerPlace, Served],
    *,
    is_active: bool,
) -> tuple[Server, ...]:
    pairs = [(server, served.get(server.place)) for server in servers]
    nearby = {was for server, by in pairs if is_active and by and (was := _network(server, by))}
    return tuple(_placed(server, known, shared, by, nearby) for server, by in pairs)


def _placed(
    server: Server, known: TraefikNetwork, shared: frozenset[str], served: Served | None, nearby: set[str]
) -> Server:
    """Choose the network of one server; `nearby` are those in which others of the active colour are served."""
    there = {route.network: route.url for route in server.routes}
    was = _network(server, served) if served else None
    if server.is_labelled or not there:
        chosen = next((network for network, url in there.items() if url == server.url), None)
        return replace(server, network=chosen, was_served=chosen is not None and chosen == was)
    if known.default in there:
        return replace(server, url=there[known.default], network=known.default, was_served=known.default == was)
    named = _only(there.keys() & known.own) or _only(there.keys() & shared)
    if named is None and known.default is None:
        named = _only(there.keys())
    network = was or named or _only(there.keys() & nearby) or min(there)
    guess = None if network == named else _guess(server, known, network, was_served=was is not None)
    return replace(server, url=there[network], network=network, guess=guess, was_served=was is not None)


def _network(server: Server, served: Served) -> str | None:
    """Return the network in which a container has been served: a restart gives it another address in the same one."""
    for network, url in server.routes:
        if network == served.network or (served.network is None and url == served.url):
            return network
    return None


def _guess(server: Server, known: TraefikNetwork, network: str, *, was_served: bool) -> str:
    names = [route.network for route in server.routes]
    if known.default is not None:
        fact = f"the file says docker.network: {known.default}, and container {server.container} has no address there"
        fix = another_network(known.default, names)
    else:
        fact = f"container {server.container} is on the networks {', '.join(names)}"
        fact += ", and nothing says in which one Traefik reaches it"
        fix = f"write docker: {{network: NAME}} in the file, or add the label {NETWORK}=NAME to the container"
    so = f"it stays in {network}, where it has been served" if was_served else f"{network} is only the first by name"
    return f"{fact}; {so}{TO_FIX_IT}{fix}"


def _shared(servers: ByColour[tuple[Server, ...]]) -> frozenset[str]:
    """Return the networks that all servers of both colours are on; none while one colour has no server."""
    networks = [frozenset(route.network for route in each.routes) for _, some in servers.items() for each in some]
    if not (servers.blue and servers.green):
        return frozenset()
    return frozenset.intersection(*networks)


def part(servers: ByColour[tuple[Server, ...]], endpoints: Iterable[Endpoint]) -> ByColour[tuple[Server, ...]]:
    """Mark the servers whose address, or what is checked of it, is that of a server of the other colour as well."""
    if not (servers.blue and servers.green):
        return servers
    ports = {one.name: one.health_check.port for one in endpoints}
    blue, green = ({key: each for each in some for key in _keys(each, ports)} for _, some in servers.items())
    if blue.keys().isdisjoint(green):
        return servers
    return ByColour(_marked(servers.blue, ports, green, Colour.GREEN), _marked(servers.green, ports, blue, Colour.BLUE))


def _marked(
    servers: Iterable[Server], ports: CheckedPorts, others: Mapping[Place, Server], colour: Colour
) -> tuple[Server, ...]:
    marked = []
    for server in servers:
        twin = next((others[key] for key in _keys(server, ports) if key in others), None)
        marked.append(server if twin is None else replace(server, twin=_twin(server, twin, ports, colour)))
    return tuple(marked)


def _twin(server: Server, twin: Server, ports: CheckedPorts, colour: Colour) -> str:
    whose = f"container {twin.container}" if twin.container else twin.url
    if place_of(server.url) != place_of(twin.url):
        port = ports.get(server.endpoint)
        return f"its check asks port {port}, where a server of {colour} ({whose}) answers as well"
    return f"a server of {colour} ({whose}) has the same address: what answers there is evidence for neither"


def _keys(server: Server, ports: CheckedPorts) -> tuple[Place, ...]:
    """Return where a server is reached and where it is checked."""
    place, port = place_of(server.url), ports.get(server.endpoint)
    if place is None:
        return ()
    return (place,) if port in {None, place.port} else (place, place._replace(port=port))


def _only(names: Iterable[str]) -> str | None:
    found = list(names)
    return found[0] if len(found) == 1 else None
