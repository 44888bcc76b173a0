"""Checks across keys: names that clash, and references that the daemon would break.

They read the raw values and skip unexpected shapes (the schema reports those), so that one pass over a file finds
everything.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from provider.config import (
    endpoints,
    engines,
    health_checks,
    priorities,
    progressive_checks,
    routing_checks,
)
from provider.config.defaults import effective
from provider.config.endpoints import ENDPOINTS
from provider.config.messages import Finding
from provider.config.names import Owners
from provider.config.routing import is_by_labels
from provider.config.tree import KeyPath, Tree
from provider.config.types import shown
from provider.model import Colour
from provider.model.addresses import Place, place_of
from provider.model.desired import DEFAULT_ENDPOINT
from provider.model.vocabulary import Protocol

_COOKIE = ("cookie", "name")


def findings(value: object, tree: Tree) -> Iterator[Finding]:
    """Yield what is wrong between parts of a file, in its value as Traefik reads it; `tree` has the places."""
    services = _mapping(_within(value, "services"))
    defaults = _mapping(_within(value, "defaults"))
    default_check = _mapping(_within(value, "defaults", "healthCheck"))
    for name, keys in services.items():
        if not isinstance(keys, dict):
            continue
        if ("router" in keys) == ("routers" in keys) and not is_by_labels(keys, defaults):
            yield _one_router(("services", name), both="router" in keys)
        if "servers" in keys:
            servers = _mapping(keys["servers"])
            known = endpoints.protocols(keys, defaults)
            yield from _shared_servers(tree, ("services", name, "servers"), servers, known)
            for endpoint, port in _check_ports(name, keys, defaults):
                yield from _shared_checks(port, servers, endpoint, tree.at(port))
        common_check = _mapping(effective(keys, {"healthCheck": default_check}, "healthCheck"))
        if "healthCheck" in keys:
            check = _mapping(keys["healthCheck"])
            yield from health_checks.findings(("services", name, "healthCheck"), check, default_check)
        for endpoint, body in _mapping(keys.get(ENDPOINTS)).items():
            spoken, check = endpoints.protocols(keys, {}).get(endpoint), _mapping(_within(body, "healthCheck"))
            if spoken is not Protocol.UDP:  # which has keys of its own
                path = ("services", name, ENDPOINTS, endpoint, "healthCheck")
                yield from health_checks.findings(path, check, common_check if spoken is Protocol.HTTP else {})
        if "smokeTests" in keys:
            yield from _same_tests(("services", name, "smokeTests"), keys["smokeTests"])
    yield from health_checks.findings(("defaults", "healthCheck"), default_check, {})
    yield from _same_tests(("defaults", "smokeTests"), _within(value, "defaults", "smokeTests"))
    yield from _one_default_store(value, tree)
    yield from _same_cookie(value)
    yield from engines.findings(value, tree)
    yield from routing_checks.findings(value)
    yield from progressive_checks.findings(value)
    yield from priorities.findings(value)
    owners = Owners(value, tree)
    yield from owners.clashes(services)
    for section in ("http", "tcp", "udp"):
        passed = _mapping(_within(value, section, "services"))
        yield from _weights((section, "services"), passed)
        yield from _same_cookie_passed((section, "services"), passed)
    yield from _references(value, owners)


def _one_router(path: KeyPath, *, both: bool) -> Finding:
    if both:
        return Finding(path, "has both 'router' and 'routers': keep one of them", on_key=True)
    return Finding(path, "has no router: write router: {rule: Host(`shop.example.com`)}", on_key=True)


def _shared_servers(
    tree: Tree, path: KeyPath, servers: dict[str, Any], known: Mapping[str, Protocol | None]
) -> Iterator[Finding]:
    """Rule 39: two servers at one place, however it is spelt, are no evidence for each other.

    Of one colour several endpoints may have the same one.
    """
    seen: dict[Place, tuple[KeyPath, str, str]] = {}
    for colour, keys in servers.items():
        for endpoint, at, url in _addresses(keys):
            here = (*path, colour, *at)
            place = place_of(url if "://" in url else f"{known.get(endpoint)}://{url}")
            if place is None:
                continue
            first, its_colour, its_endpoint = seen.setdefault(place, (here, colour, endpoint))
            if first is here or (its_colour == colour and its_endpoint != endpoint):
                continue
            where = "this colour" if its_colour == colour else its_colour
            also = f"{'.'.join(map(str, first))} ({tree.place(first)})"
            message = f"{shown(url)} is a server of {where} already, at {also}: each server has one colour"
            yield Finding(here, f"{message}, and an address of its own")


def _addresses(keys: object) -> Iterator[tuple[str, KeyPath, str]]:
    """Yield the servers of a colour: the endpoint, the path within the colour, and the address."""
    written: list[tuple[str, KeyPath, object]] = [(DEFAULT_ENDPOINT, ("urls",), _within(keys, "urls"))]
    others = _mapping(_within(keys, ENDPOINTS))
    written += [(name, (ENDPOINTS, name), addresses) for name, addresses in others.items()]
    for endpoint, at, addresses in written:
        for index, address in enumerate(_list(addresses)):
            if isinstance(address, str):
                yield endpoint, (*at, index), address


def _check_ports(name: str, keys: dict[str, Any], defaults: dict[str, Any]) -> Iterator[tuple[str, KeyPath]]:
    """Yield the endpoints whose check has a port of its own, and where that is written."""
    for endpoint, spoken in endpoints.protocols(keys, defaults).items():
        own = _within(endpoints.written(keys, defaults), endpoint, "healthCheck", "port")
        if own is not None:
            yield endpoint, (*endpoints.path_of(name, keys, endpoint), "healthCheck", "port")
        elif spoken is Protocol.HTTP and _within(keys, "healthCheck", "port") is not None:
            yield endpoint, ("services", name, "healthCheck", "port")
        elif spoken is Protocol.HTTP and _within(defaults, "healthCheck", "port") is not None:
            yield endpoint, ("defaults", "healthCheck", "port")


def _shared_checks(path: KeyPath, servers: dict[str, Any], endpoint: str, port: object) -> Iterator[Finding]:
    """Rule 39 likewise: a port of its own may send the checks of both colours to one place."""
    if not isinstance(port, int):
        return
    hosts: list[set[str]] = []
    for colour in Colour:
        urls = [url for of, _, url in _addresses(servers.get(colour)) if of == endpoint]
        places = (place_of(url if "://" in url else f"tcp://{url}") for url in urls)
        hosts.append({place.host for place in places if place})
    for host in sorted(set.intersection(*hosts)):
        message = f"sends the checks of both colours to port {port} of {host}: what answers there proves neither"
        yield Finding(path, f"{message}; remove it, or give each colour a host of its own")


def _same_tests(path: KeyPath, tests: object) -> Iterator[Finding]:
    names: set[object] = set()
    for index, test in enumerate(_list(tests)):
        name = _mapping(test).get("name")
        if isinstance(name, str) and name in names:
            yield Finding((*path, index, "name"), f"{name!r} is the name of an earlier test: give each its own")
        names.add(name if isinstance(name, str) else None)


def _one_default_store(value: object, tree: Tree) -> Iterator[Finding]:
    path, store = ("traefik", "defaultCertificate"), ("tls", "stores", "default")
    if _within(value, *path) == "generated" and "default" in _mapping(_within(value, *store[:-1])):
        message = f"'generated' clashes with {'.'.join(store)} ({tree.place(store)}): Traefik has one default store"
        yield Finding(path, f"{message}; remove that one, or write 'none' here")


def _weights(path: KeyPath, services: dict[str, Any]) -> Iterator[Finding]:
    for name, service in services.items():
        for kind, children in (
            ("weighted", "services"),
            ("highestRandomWeight", "services"),
            ("loadBalancer", "servers"),
        ):
            for index, child in enumerate(_list(_within(service, kind, children))):
                weight = _mapping(child).get("weight", 1)
                if isinstance(weight, int) and weight < 1:
                    message = f"must be a whole number from 1 on, not {weight}: Traefik mistreats any other weight"
                    way_out = f", so leave out a {children.removesuffix('s')} that gets no traffic"
                    yield Finding((*path, name, kind, children, index, "weight"), message + way_out)


def _same_cookie(value: object) -> Iterator[Finding]:
    """Yield where one cookie would stick to both a colour and a server of it."""
    defaults = _mapping(_within(value, "defaults"))
    yield from _one_cookie(("defaults",), defaults, {})
    services = _mapping(_within(value, "services"))
    for name, keys in services.items():
        if isinstance(keys, dict) and not {"sticky", "loadBalancer", ENDPOINTS}.isdisjoint(keys):
            yield from _one_cookie(("services", name), keys, defaults)


def _one_cookie(path: KeyPath, keys: dict[str, Any], defaults: dict[str, Any]) -> Iterator[Finding]:
    sticky = keys if "sticky" in keys else defaults
    balancer = keys if "sticky" in _mapping(keys.get("loadBalancer")) else defaults
    name = _within(sticky, "sticky", *_COOKIE)
    if not name:
        return
    if name == _within(balancer, "loadBalancer", "sticky", *_COOKIE):
        where = ("loadBalancer", "sticky") if balancer is keys else ("sticky",)
        yield Finding((*path, *where, *_COOKIE), _two_cookies(name, "'sticky' and of 'loadBalancer.sticky'"))
    for endpoint, body in _mapping(keys.get(ENDPOINTS)).items():
        if name == _within(body, "loadBalancer", "sticky", *_COOKIE):
            here = (*path, ENDPOINTS, endpoint, "loadBalancer", "sticky", *_COOKIE)
            yield Finding(here, _two_cookies(name, "'sticky' and of 'loadBalancer.sticky'"))


def _same_cookie_passed(path: KeyPath, services: dict[str, Any]) -> Iterator[Finding]:
    for name, service in services.items():
        cookie = _within(service, "weighted", "sticky", *_COOKIE)
        for child in _list(_within(service, "weighted", "services")) if cookie else ():
            of_child = str(_within(child, "name")).removesuffix("@http")
            if _within(services, of_child, "loadBalancer", "sticky", *_COOKIE) == cookie:
                here = (*path, of_child, "loadBalancer", "sticky", *_COOKIE)
                yield Finding(here, _two_cookies(cookie, f"{name!r} and of its child {of_child!r}"))


def _two_cookies(name: object, owners: str) -> str:
    return (
        f"{name!r} is the cookie of {owners}: each overwrites the other's, so no client stays; give each its own name"
    )


def _references(value: object, owners: Owners) -> Iterator[Finding]:
    """Yield references to a service that the daemon makes."""
    for section in Protocol:
        for path, name in _referred(_mapping(_within(value, section))):
            owner = owners.of(section, name.removesuffix("@http")) if isinstance(name, str) else None
            if owner is not None:
                message = (
                    f"refers to {name!r}, which the daemon makes for {'.'.join(map(str, owner))} and changes with every"
                    " switch: give that service a further router under 'routers' instead"
                )
                yield Finding((str(section), *path), message)


def _referred(section: dict[str, Any]) -> Iterator[tuple[KeyPath, object]]:
    for name, router in _mapping(section.get("routers")).items():
        yield ("routers", name, "service"), _within(router, "service")
    for name, middleware in _mapping(section.get("middlewares")).items():
        yield ("middlewares", name, "errors", "service"), _within(middleware, "errors", "service")
    for name, service in _mapping(section.get("services")).items():
        path = ("services", name)
        for kind, key in (("mirroring", "service"), ("failover", "service"), ("failover", "fallback")):
            yield (*path, kind, key), _within(service, kind, key)
        for kind, key in (
            ("weighted", "services"),
            ("highestRandomWeight", "services"),
            ("mirroring", "mirrors"),
        ):
            for index, child in enumerate(_list(_within(service, kind, key))):
                yield (*path, kind, key, index, "name"), _within(child, "name")


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _within(value: object, *keys: str) -> object:
    for key in keys:
        value = _mapping(value).get(key)
    return value
