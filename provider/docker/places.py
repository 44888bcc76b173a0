"""Where Traefik reaches the endpoints of a container: its ports, in which networks (rules 18 and 31)."""

from collections.abc import Mapping
from typing import NamedTuple

from provider.docker.container import HOST_MODE, JOINED_MODE, SHORT_ID, Binding, Container
from provider.docker.labels import (
    NETWORK,
    OF_ENDPOINT,
    ONLY_HTTP,
    SCHEME,
    SERVICE,
    SHOWN_MOST,
    USE_BIND_PORT,
    Ignored,
    Scope,
    port_label,
    scheme_of,
    uses_bind_port,
    written_port,
)
from provider.model import Endpoint, Protocol, Route
from provider.model.desired import DEFAULT_ENDPOINT
from provider.model.observed import Labelled
from provider.model.text import clean


class Wanted(NamedTuple):
    """Where the servers of an endpoint listen; without a port that is the lowest one which its container exposes."""

    endpoint: str
    protocol: Protocol
    scheme: str
    port: int | None


def wanted(labels: Mapping[str, str], scope: Scope, labelled: Labelled | None = None) -> tuple[Wanted, ...]:
    """Return where the servers of each endpoint of a service listen. Raises Ignored for labels that do not say so."""
    if labelled is not None:
        endpoints = labelled.routing.endpoints if labelled.routing is not None else ONLY_HTTP
    else:
        endpoints = scope.endpoints_of(labels[SERVICE])
    names = {port_label(one.name) for one in endpoints}
    for label in labels:
        if label.startswith(OF_ENDPOINT) and label not in names:
            known = ", ".join(one.name for one in endpoints)
            raise Ignored(f"{label}: the service has no such endpoint", f"name one of its endpoints ({known})")
    return tuple(_wanted(labels, one) for one in endpoints)


def _wanted(labels: Mapping[str, str], endpoint: Endpoint) -> Wanted:
    port = written_port(labels, endpoint.name) or endpoint.port
    if endpoint.protocol is not Protocol.HTTP:
        return Wanted(endpoint.name, endpoint.protocol, endpoint.protocol.value, port)
    scheme = scheme_of(labels) if endpoint.name == DEFAULT_ENDPOINT and SCHEME in labels else endpoint.scheme
    return Wanted(endpoint.name, endpoint.protocol, scheme or "http", port)


def urls_of(
    container: Container, wanted: Wanted, host_address: str, published_at: str | None = None
) -> tuple[str, tuple[Route, ...]]:
    """Return where Traefik reaches an endpoint of the container, and each network of its own with its address there.

    Of several without a label that names one, the first by name is used until `networks.choose` decides. On an engine
    with an address, where its ports are `published_at`, there is no other way (rule 38).
    """
    scheme, port, protocol = wanted.scheme, wanted.port, wanted.protocol
    if published_at is not None and container.network_mode != HOST_MODE:
        public = published_port(container, port, protocol, published_at)
        return url_at(scheme, published_at, public), ()
    if published_at is None and uses_bind_port(container.labels):
        binding = _binding(container.bindings, port, protocol)
        return url_at(scheme, host_address if binding.is_wildcard else binding.ip, binding.public), ()
    port = port or min(container.exposed_udp if protocol is Protocol.UDP else container.exposed, default=None)
    if port is None:
        raise Ignored(f"it exposes no {kind_of(protocol)} port", f"add {port_label(wanted.endpoint)}=PORT")
    if container.network_mode == HOST_MODE:
        return url_at(scheme, published_at or host_address, port), ()
    routes = tuple(Route(name, url_at(scheme, address, port)) for name, address in container.addresses.items())
    return url_at(scheme, _address(container), port), routes


def published_port(container: Container, port: int | None, protocol: Protocol, address: str) -> int:
    """Return the port of the engine's address at which a port of a container is published.

    Raises Ignored where it is not published there: on no address, or on another one.
    """
    try:
        there = tuple(one for one in container.bindings if one.is_reached_at(address))
        return _binding(there, port, protocol).public
    except Ignored:
        kind = kind_of(protocol)
        what = f"no {kind} port of it is" if port is None else f"its {kind} port {port} is not"
        raise Ignored(
            f"{what} published at {address}, where its engine is reached",
            f"publish it on every address of the host, or on {address}",
        ) from None


def url_at(scheme: str, address: str, port: int) -> str:
    """Return the URL of a server."""
    return f"{scheme}://{f'[{address}]' if ':' in address else address}:{port}"


def kind_of(protocol: Protocol) -> str:
    """Return what Docker calls the ports of a protocol."""
    return "UDP" if protocol is Protocol.UDP else "TCP"


def _binding(bindings: tuple[Binding, ...], port: int | None, protocol: Protocol) -> Binding:
    """Return the published port to use: of the lowest port, on every address before one, IPv4 before IPv6."""
    usable = [one for one in bindings if port in {None, one.private} and one.is_udp is (protocol is Protocol.UDP)]
    if not usable:
        kind = kind_of(protocol)
        fact = f"no {kind} port is published" if port is None else f"{kind} port {port} is not published"
        raise Ignored(f"{USE_BIND_PORT}=true, but {fact}", "publish it, or remove the label")
    return min(usable, key=lambda b: (b.private, not b.is_wildcard, ":" in b.ip, b))


def _address(container: Container) -> str:
    if container.network_mode.startswith(JOINED_MODE):
        other = container.network_mode.removeprefix(JOINED_MODE)[:SHORT_ID]
        raise Ignored(
            f"it shares the network of container {other}, which is not running or has no network of its own",
            f"start {other}, or attach this container to a network that Traefik reaches",
        )
    addresses, named = container.addresses, container.labels.get(NETWORK)
    if named is not None:
        if named not in addresses:
            raise Ignored(
                f"{NETWORK}={clean(named, SHOWN_MOST)}: it has no address there",
                another_network(clean(named, SHOWN_MOST), list(addresses)),
            )
        return addresses[named]
    if not addresses:
        raise Ignored("it has no address on any network", "attach it to one that Traefik reaches")
    return next(iter(addresses.values()))


def another_network(named: str, names: list[str]) -> str:
    """Return the fix that names another network; Compose puts the project before the name in its file."""
    whole = [name for name in names if name.endswith(f"_{named}")]
    if len(whole) == 1:
        return f"write the whole name as Docker has it: {NETWORK}={whole[0]}"
    if len(names) == 1:
        return f"write {NETWORK}={names[0]}, its only network, or attach it to {named}"
    if names:
        return f"write {NETWORK}= one of its networks ({', '.join(whole or names)}), or attach it to {named}"
    return f"attach it to {named}; it has an address on no network"
