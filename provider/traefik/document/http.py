"""What one service is in Traefik's section `http`: its routers and services, as objects of the configuration.

Clients may stay at their colour. What must not count as requests of clients has a load balancer of its own, with the
same servers: the preview and the test route (rule 23).
"""

import re
from collections.abc import Iterable
from typing import assert_never

import orjson

from provider.model import (
    Affinity,
    CandidateRoute,
    Child,
    Endpoint,
    JsonObject,
    Protocol,
    Router,
    Served,
    Server,
    Service,
)
from provider.model.desired import TEST_ABOVE
from provider.traefik.document import parts
from provider.traefik.document.parts import above, entry, priority, weighted


def services(served: Served) -> dict[str, JsonObject]:
    """Return the services: how the colours share the traffic, aliases, and the servers of each colour in use."""
    found = parts.services(served, Protocol.HTTP, _shared, _balancer)
    service = served.service
    if served.test and served.test_colour is not None:
        for endpoint in service.endpoints:
            if endpoint.protocol is Protocol.HTTP:
                tested = [server for server in served.test if server.endpoint == endpoint.name]
                found[service.test_in_traefik(served.test_colour, endpoint.name)] = _balancer(endpoint, tested)
    return found


def routers(served: Served) -> dict[str, JsonObject]:
    """Return the routers, those of the test route and the preview included."""
    service = served.service
    found: dict[str, JsonObject] = {}
    mine = service.routers_of(Protocol.HTTP)
    if served.test and served.test_colour is not None and service.test_route is not None:
        for router in mine:
            target = service.test_in_traefik(served.test_colour, router.endpoint)
            found[router.test_name] = _test_router(router, service.test_route, target)
    for router in mine:
        found[router.name] = parts.router(router.body, service.weighted_in_traefik(router.endpoint), priority(router))
    return found | parts.preview(served, Protocol.HTTP, mine, priority)


# --- services -------------------------------------------------------------------------------------------------------


def _shared(served: Served, endpoint: Endpoint, children: Iterable[Child]) -> JsonObject:
    """Spread the traffic over the children, so that clients stay with theirs as far as that is wanted (rule 21)."""
    service, entries = served.service, [entry(child.name, child.weight) for child in children]
    sticky = service.sticky
    match served.affinity:
        case Affinity.CLIENT:
            return {"highestRandomWeight": {"services": entries}}
        case Affinity.COOKIE:
            sticky = {"cookie": _cookie(served.cookie or "", service)}
        case Affinity.NONE:
            pass
        case _:
            assert_never(served.affinity)
    return weighted(entries) if sticky is None else weighted(entries, sticky=_sticky_at(endpoint, service, sticky))


def _cookie(name: str, service: Service) -> JsonObject:
    """Describe a cookie that scripts cannot read; a client without TLS would not send a `secure` one back."""
    is_secure = all(router.has_tls for router in service.routers_of(Protocol.HTTP))
    return {"name": name, "httpOnly": True, "sameSite": "lax"} | ({"secure": True} if is_secure else {})


def _sticky_at(endpoint: Endpoint, service: Service, sticky: JsonObject) -> JsonObject:
    """Name the cookie by the endpoint: two on one host would overwrite each other's, as their children differ."""
    match sticky:
        case {"cookie": {"name": str(name), **cookie}} if name and endpoint is not service.http_endpoint:
            return {**sticky, "cookie": {**cookie, "name": f"{name}-{endpoint.name}"}}
        case _:
            return sticky


def _balancer(endpoint: Endpoint, servers: Iterable[Server]) -> JsonObject:
    return {"loadBalancer": {**endpoint.load_balancer, "servers": [{"url": server.url} for server in servers]}}


# --- routers --------------------------------------------------------------------------------------------------------


def _test_router(router: Router, route: CandidateRoute, service: str) -> JsonObject:
    """Copy a router, above it and for the requests of the test route alone (rule 24).

    The rule is without white space around it: Go's parser ends an expression at the end of a line.
    """
    rule = f"({router.rule.strip()}) && {_condition(route)}"
    return parts.router(router.body, service, above(priority(router), TEST_ABOVE)) | {"rule": rule}


def _condition(route: CandidateRoute) -> str:
    """Write the matcher of the requests that carry the header or the cookie."""
    if not route.is_cookie:
        return f"Header({_literal(route.name)}, {_literal(route.value)})"
    cookie = rf"(^|;\s*){re.escape(route.name)}={re.escape(route.value)}(;|$)"
    return f"HeaderRegexp(`Cookie`, {_literal(cookie)})"


def _literal(text: str) -> str:
    """Write a string as Go reads it: raw, or with escapes that JSON and Go share."""
    return orjson.dumps(text).decode() if "`" in text or "\r" in text else f"`{text}`"
