"""What one service is in Traefik: its routers and its services, as objects of the dynamic configuration.

The weighted service has an entry for each of its `children`, and one load balancer stands for the servers of each
colour with traffic. A child that is no load balancer is an alias: a weighted service of one. What must not count as
requests of clients has a load balancer of its own, with the same servers: the preview and the test route (rule 23).
"""

import re
from collections.abc import Iterable
from typing import assert_never

import orjson

from provider.model import Affinity, CandidateRoute, Child, JsonObject, Router, Served, Server, Service
from provider.model.desired import PREVIEW_ABOVE, PRIORITY_MOST, TEST_ABOVE


def services(served: Served) -> dict[str, JsonObject]:
    """Return the services: how the colours share the traffic, aliases, and the servers of each colour in use."""
    service = served.service
    children = served.children or tuple(
        Child(service.in_traefik(colour), weight, colour) for colour, weight in served.weights
    )
    found = {service.name: _shared(served, children)}
    for child in children:
        if child.name != service.in_traefik(child.colour):
            found[child.name] = {"weighted": {"services": [_entry(service.in_traefik(child.colour), 1)]}}
    with_traffic = {child.colour for child in children}
    for colour, servers in served.servers.items():
        if colour in with_traffic:
            found[service.in_traefik(colour)] = _balancer(service, servers)
        if colour is served.preview:
            found[service.preview_in_traefik(colour)] = _balancer(service, servers)
    if served.test and served.test_colour is not None:
        found[service.test_in_traefik(served.test_colour)] = _balancer(service, served.test)
    return found


def routers(served: Served) -> dict[str, JsonObject]:
    """Return the routers. Rule 15: the priority is explicit, one above Traefik's own default, the rule's length."""
    service = served.service
    found: dict[str, JsonObject] = {}
    if served.test and served.test_colour is not None and service.test_route is not None:
        target = service.test_in_traefik(served.test_colour)
        for router in service.routers:
            found[router.test_name] = _test_router(router, service.test_route, target)
    found |= {router.name: _router(router, service.name, _priority(router)) for router in service.routers}
    if served.preview is not None and service.preview is not None:
        highest = max(_priority(router) for router in service.routers)
        priority = _written_priority(service.preview) or _above(highest, PREVIEW_ABOVE)
        target = service.preview_in_traefik(served.preview)
        found[service.preview.name] = _router(service.preview, target, priority)
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
    is_secure = all(router.has_tls for router in service.routers)
    return {"name": name, "httpOnly": True, "sameSite": "lax"} | ({"secure": True} if is_secure else {})


def _balancer(service: Service, servers: Iterable[Server]) -> JsonObject:
    return {"loadBalancer": {**service.load_balancer, "servers": [{"url": server.url} for server in servers]}}


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
