"""What the kinds of endpoints have in common: which services and routers there are, and how their priorities follow.

The weighted service of an endpoint has an entry for each of its `children`, and one load balancer stands for the
servers of each colour with traffic. A child that is no load balancer is an alias: a weighted service of one.
"""

from collections.abc import Callable, Iterable

from provider.model import Child, Endpoint, JsonObject, Protocol, Router, Served, Server
from provider.model.desired import PREVIEW_ABOVE, PRIORITY_MOST

Spread = Callable[[Served, Endpoint, Iterable[Child]], JsonObject]
"""Spreads the traffic of an endpoint over its children."""
Balance = Callable[[Endpoint, Iterable[Server]], JsonObject]
"""Makes a load balancer over some servers of an endpoint."""


def services(served: Served, protocol: Protocol, spread: Spread, balance: Balance) -> dict[str, JsonObject]:
    """Return the services of all endpoints of a protocol, without those of a test route."""
    found: dict[str, JsonObject] = {}
    for endpoint in served.service.endpoints:
        if endpoint.protocol is protocol:
            found |= _services_of(served, endpoint, spread, balance)
    return found


def _services_of(served: Served, endpoint: Endpoint, spread: Spread, balance: Balance) -> dict[str, JsonObject]:
    service, at = served.service, endpoint.name
    children = served.children_at(at)
    found = {service.weighted_in_traefik(at): spread(served, endpoint, children)}
    for child in children:
        if child.name != service.in_traefik(child.colour, at):
            found[child.name] = weighted([entry(service.in_traefik(child.colour, at), 1)])
    with_traffic = {child.colour for child in children}
    is_previewed = service.preview is not None and service.preview.endpoint == at
    for colour in served.servers:
        servers = served.servers_at(at, colour)
        if colour in with_traffic:
            found[service.in_traefik(colour, at)] = balance(endpoint, servers)
        if colour is served.preview and is_previewed:
            found[service.preview_in_traefik(colour, at)] = balance(endpoint, servers)
    return found


def weighted(entries: list[JsonObject], **more: object) -> JsonObject:
    """Describe a service that spreads its traffic by weights."""
    return {"weighted": {"services": entries, **more}}


def entry(name: str, weight: int) -> JsonObject:
    """Describe a child of a weighted service."""
    return {"name": name, "weight": weight}


def router(body: JsonObject, service: str, priority: int | None) -> dict[str, object]:
    """Describe a router to a service; without a priority it has the one that Traefik gives it."""
    return {**body, **({} if priority is None else {"priority": priority}), "service": service}


def preview(
    served: Served, protocol: Protocol, mine: Iterable[Router], priority_of: Callable[[Router], int]
) -> dict[str, JsonObject]:
    """Return the router of the preview, above all others of the service; nothing while it leads nowhere."""
    one = served.service.preview_of(protocol)
    if served.preview is None or one is None:
        return {}
    highest = max((priority_of(other) for other in mine), default=priority_of(one))
    priority = written_priority(one) or above(highest, PREVIEW_ABOVE)
    return {one.name: router(one.body, served.service.preview_in_traefik(served.preview, one.endpoint), priority)}


def priority(one: Router) -> int:
    """Return the priority of a router. Rule 15: it is explicit, one above Traefik's own default, the rule's length."""
    return written_priority(one) or len(one.rule.encode()) + 1


def above(priority: int, by: int) -> int:
    """Return a priority above another, as far as Traefik has one; 0 is none to it."""
    return min(priority + by, PRIORITY_MOST) or -1


def written_priority(one: Router) -> int:
    """Return the priority of the file; 0 means none to Traefik."""
    written = one.body.get("priority")
    return written if isinstance(written, int) else 0
