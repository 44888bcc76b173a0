"""Servers at endpoints that containers were not listed for: an edit of the file comes before the list that follows it.

The active colour is served meanwhile (P4), though the engine may be away: at the port that the file names, else at that
of another endpoint.
"""

from collections.abc import Iterable
from dataclasses import replace
from urllib.parse import urlsplit

from provider.model import Endpoint, Protocol, Server
from provider.model.desired import DEFAULT_ENDPOINT
from provider.model.observed import Route

SCHEMES = {Protocol.HTTP: ("http", "https", "h2c"), Protocol.TCP: ("tcp",), Protocol.UDP: ("udp",)}


def with_unlisted(servers: tuple[Server, ...], endpoints: Iterable[Endpoint]) -> tuple[Server, ...]:
    """Return the servers of a colour with one of each container for every endpoint at which there is none at all."""
    listed = {server.endpoint for server in servers}
    missing = [endpoint for endpoint in endpoints if endpoint.name not in listed]
    if not missing:
        return servers
    by_container: dict[str, list[Server]] = {}
    for server in servers:
        if server.container is not None:
            by_container.setdefault(server.container, []).append(server)
    found = [_at(endpoint, there) for there in by_container.values() for endpoint in missing]
    return tuple(sorted((*servers, *found), key=lambda server: server.key)) if found else servers


def _at(endpoint: Endpoint, there: Iterable[Server]) -> Server:
    schemes = SCHEMES[endpoint.protocol]
    nearest = min(there, key=lambda one: (urlsplit(one.url).scheme not in schemes, one.endpoint != DEFAULT_ENDPOINT))

    def url(listed: str) -> str:
        parts = urlsplit(listed)
        scheme = endpoint.scheme or (parts.scheme if parts.scheme in schemes else schemes[0])
        host, _, port = parts.netloc.rpartition(":")
        return f"{scheme}://{host}:{endpoint.port or port}"

    routes = tuple(Route(route.network, url(route.url)) for route in nearest.routes)
    return replace(nearest, url=url(nearest.url), routes=routes, endpoint=endpoint.name, was_served=False)
