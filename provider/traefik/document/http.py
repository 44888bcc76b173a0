"""What one service is in Traefik's section `http`: its routers and services, as objects of the configuration.

The weighted service has an entry for each of its `children`, and one load balancer stands for the servers of each
colour with traffic. A child that is no load balancer is an alias: a weighted service of one. What must not count as
requests of clients has a load balancer of its own, with the same servers: the preview and the test route (rule 23).
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
from provider.model.desired import PREVIEW_ABOVE, PRIORITY_MOST, TEST_ABOVE


def services(served: Served) -> dict[str, JsonObject]:
    """Return the services: how the colours share the traffic, aliases, and the servers of each colour in use."""
    found: dict[str, JsonObject] = {}
    for endpoint in served.service.endpoints:
        if endpoint.protocol is Protocol.HTTP:
            found |= _services_of(served, endpoint)
    return found


def _services_of(served: Served, endpoint: Endpoint) -> dict[str, JsonObject]:
    service, at = served.service, endpoint.name
    children = served.children_at(at)
    found = {service.weighted_in_traefik(at): _shared(served, children)}
    for child in children:
        if child.name != service.in_traefik(child.colour, at):
            found[child.name] = {"weighted": {"services": [_entry(service.in_traefik(child.colour, at), 1)]}}
    with_traffic = {child.colour for child in children}
    is_previewed = service.preview is not None and service.preview.endpoint == at
    for colour in served.servers:
        servers = served.servers_at(at, colour)
        if colour in with_traffic:
            found[service.in_traefik(colour, at)] = _balancer(endpoint, servers)
        if colour is served.preview and is_previewed:
            found[service.preview_in_traefik(colour, at)] = _balancer(endpoint, servers)
    if served.test and served.test_colour is not None:
        tested = [server for server in served.test if server.endpoint == at]
        found[service.test_in_traefik(served.test_colour, at)] = _balancer(endpoint, tested)
    return found


def routers(served: Served) -> dict[str, JsonObject]:
    """Return the routers. Rule 15: the priority is explicit, one above Traefik's own default, the rule's length."""
    service = served.service
    found: dict[str, JsonObject] = {}
    mine = service.routers_of(Protocol.HTTP)
    if served.test and served.test_colour is not None and service.test_route is not None:
        for router in mine:
            target = service.test_in_traefik(served.test_colour, router.endpoint)
            found[router.test_name] = _test_router(router, service.test_route, target)
    for router in mine:
        found[router.name] = _router(router, service.weighted_in_traefik(router.endpoint), _priority(router))
    preview = service.preview
    if served.preview is not None and preview is not None:
        highest = max((_priority(router) for router in mine), default=_priority(preview))
        priority = _written_priority(preview) or _above(highest, PREVIEW_ABOVE)
        target = service.preview_in_traefik(served.preview, preview.endpoint)
        found[preview.name] = _router(preview, target, priority)
    return found


# --- services -------------------------------------------------------------------------------------------------------


def _shared(served: Served, children: Iterable[Child]) -> JsonObject:
    """Spread the traffic over the children, so that clients stay with theirs as far as that is wanted (rule 21)."""
    service, entries = served.service, [_entry(child.name, child.weight) for child in children]
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
    return {"weighted": {"services": entries} | ({} if sticky is None else {"sticky": sticky})}


def _entry(name: str, weight: int) -> JsonObject:
    return {"name": name, "weight": weight}


def _cookie(name: str, service: Service) -> JsonObject:
    """Describe a cookie that scripts cannot read; a client without TLS would not send a `secure` one back."""
    is_secure = all(router.has_tls for router in service.routers_of(Protocol.HTTP))
    return {"name": name, "httpOnly": True, "sameSite": "lax"} | ({"secure": True} if is_secure else {})


def _balancer(endpoint: Endpoint, servers: Iterable[Server]) -> JsonObject:
    return {"loadBalancer": {**endpoint.load_balancer, "servers": [{"url": server.url} for server in servers]}}


# --- routers --------------------------------------------------------------------------------------------------------


def _router(router: Router, service: str, priority: int) -> dict[str, object]:
    return {**router.body, "priority": priority, "service": service}


def _test_router(router: Router, route: CandidateRoute, service: str) -> JsonObject:
    """Copy a router, above it and for the requests of the test route alone (rule 24).

    The rule is without white space around it: Go's parser ends an expression at the end of a line.
    """
    rule = f"({router.rule.strip()}) && {_condition(route)}"
    return _router(router, service, _above(_priority(router), TEST_ABOVE)) | {"rule": rule}


def _condition(route: CandidateRoute) -> str:
    """Write the matcher of the requests that carry the header or the cookie."""
    if not route.is_cookie:
        return f"Header({_literal(route.name)}, {_literal(route.value)})"
    cookie = rf"(^|;\s*){re.escape(route.name)}={re.escape(route.value)}(;|$)"
    return f"HeaderRegexp(`Cookie`, {_literal(cookie)})"


def _literal(text: str) -> str:
    """Write a string as Go reads it: raw, or with escapes that JSON and Go share."""
    return orjson.dumps(text).decode() if "`" in text or "\r" in text else f"`{text}`"


def _priority(router: Router) -> int:
    return _written_priority(router) or len(router.rule.encode()) + 1


def _above(priority: int, by: int) -> int:
    """Return a priority above another, as far as Traefik has one; 0 is none to it."""
    return min(priority + by, PRIORITY_MOST) or -1


def _written_priority(router: Router) -> int:
    """Return the priority of the file; 0 means none to Traefik."""
    written = router.body.get("priority")
    return written if isinstance(written, int) else 0
