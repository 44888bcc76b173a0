"""What of a decided routing may be served now: nothing under a name that has become another's (rule 15, P4)."""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace

from provider.model import JsonObject, Protocol, Router
from provider.model.routing import Refers, Routing, chained, renamed_middleware

Named = tuple[str, str, Protocol | None]
"""A kind of object, its name and its protocol."""


def servable(routing: Routing, lost: Collection[Named], own: str, is_gone: Callable[[str], bool]) -> Routing:
    """Return a routing without its `lost` names, and with the service `own` in place of pages for errors that are gone.

    Traefik refuses a whole document with one name twice, and a router with a middleware whose service is missing.
    """
    protocols = {endpoint.name: endpoint.protocol for endpoint in routing.endpoints}

    def rename(kind: Refers, _: Protocol, name: str) -> str:
        return own if kind is Refers.SERVICE and is_gone(name) else name

    def is_lost(router: Router) -> bool:
        protocol = protocols[router.endpoint]
        used = _used(router.body, routing.middlewares.get(protocol, {}))
        named = {("router", router.name, protocol), *(("middleware", one, protocol) for one in used)}
        return not named.isdisjoint(lost)

    has_services = not any(kind == "service" for kind, _, _ in lost)
    return replace(
        routing,
        routers=tuple(router for router in routing.routers if has_services and not is_lost(router)),
        middlewares={
            protocol: {
                name: renamed_middleware(protocol, body, rename)
                for name, body in bodies.items()
                if ("middleware", name, protocol) not in lost
            }
            for protocol, bodies in routing.middlewares.items()
        },
    )


def pages(routing: Routing) -> Iterator[str]:
    """Yield the services of pages for errors."""
    for bodies in routing.middlewares.values():
        for body in bodies.values():
            errors = body.get("errors") if isinstance(body, Mapping) else None
            if isinstance(errors, Mapping) and isinstance(service := errors.get("service"), str):
                yield service


def _used(body: JsonObject, middlewares: JsonObject) -> set[str]:
    left, found = chained(body), set[str]()
    while left:
        one = left.pop()
        if one not in found:
            found.add(one)
            there = middlewares.get(one)
            left += chained(there.get("chain") if isinstance(there, Mapping) else None)
    return found
