"""What TCP and UDP have in common in Traefik: servers by their addresses, and no client that stays at its colour."""

from collections.abc import Iterable

from provider.model import Child, Endpoint, JsonObject, Protocol, Served, Server
from provider.traefik.document import parts


def services(served: Served, protocol: Protocol) -> dict[str, JsonObject]:
    """Return the services: how the colours share new connections or sessions, and the servers of each colour in use."""
    return parts.services(served, protocol, _shared, _balancer)


def _shared(_: Served, __: Endpoint, children: Iterable[Child]) -> JsonObject:
    return parts.weighted([parts.entry(child.name, child.weight) for child in children])


def _balancer(endpoint: Endpoint, servers: Iterable[Server]) -> JsonObject:
    return {"loadBalancer": {**endpoint.load_balancer, "servers": [{"address": _address(one)} for one in servers]}}


def _address(server: Server) -> str:
    """Return HOST:PORT of a server's URL; an IPv6 address has its brackets in both."""
    return server.url.partition("://")[2]
