"""Checks across keys: names that clash, and references that the daemon would break.

They read the raw values and skip unexpected shapes (the schema reports those), so that one pass over a file finds
everything.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from provider.config import engines, health_checks, priorities, progressive_checks
from provider.config.messages import Finding
from provider.config.tree import KeyPath, Tree
from provider.config.types import shown
from provider.model import Colour
from provider.model.addresses import Place, place_of

_COOKIE = ("cookie", "name")


def findings(value: object, tree: Tree) -> Iterator[Finding]:
    """Yield what is wrong between parts of a file, in its value as Traefik reads it; `tree` has the places."""
    services = _mapping(_within(value, "services"))
    default_check = _mapping(_within(value, "defaults", "healthCheck"))
    for name, keys in services.items():
        if not isinstance(keys, dict):
            continue
        if ("router" in keys) == ("routers" in keys):
            yield _one_router(("services", name), both="router" in keys)
        if "servers" in keys:
            yield from _shared_servers(tree, ("services", name, "servers"), _mapping(keys["servers"]))
        own, common = ("services", name, "healthCheck", "port"), ("defaults", "healthCheck", "port")
        port = next((path for path in (own, common) if _within(tree.value, *path) is not None), None)
        if port is not None:
            yield from _shared_checks(port, _mapping(keys.get("servers")), _within(tree.value, *port))
        if "healthCheck" in keys:
            check = _mapping(keys["healthCheck"])
            yield from health_checks.findings(("services", name, "healthCheck"), check, default_check)
        if "smokeTests" in keys:
            yield from _same_tests(("services", name, "smokeTests"), keys["smokeTests"])
    yield from health_checks.findings(("defaults", "healthCheck"), default_check, {})
    yield from _same_tests(("defaults", "smokeTests"), _within(value, "defaults", "smokeTests"))
    yield from _one_default_store(value, tree)
    yield from _same_cookie(value)
    yield from engines.findings(value, tree)
    yield from progressive_checks.findings(value)
    yield from priorities.findings(value)
    owners = _Owners(value, tree)
    yield from owners.clashes(services)
    for section in ("http", "tcp", "udp"):
        passed = _mapping(_within(value, section, "services"))
        yield from _weights((section, "services"), passed)
        yield from _same_cookie_passed((section, "services"), passed)
    yield from owners.references(_mapping(_within(value, "http")))


def _one_router(path: KeyPath, *, both: bool) -> Finding:
    if both:
        return Finding(path, "has both 'router' and 'routers': keep one of them", on_key=True)
    return Finding(path, "has no router: write router: {rule: Host(`shop.example.com`)}", on_key=True)


def _shared_servers(tree: Tree, path: KeyPath, servers: dict[str, Any]) -> Iterator[Finding]:
    """Rule 39: two servers at one place, however it is spelt, are no evidence for each other."""
    seen: dict[Place, KeyPath] = {}
    urls = [
        ((*path, colour, "urls", index), colour, url)
        for colour, keys in servers.items()
        for index, url in enumerate(_list(_mapping(keys).get("urls")))
    ]
    for here, colour, url in urls:
        place = place_of(url) if isinstance(url, str) else None
        if place is None:
            continue
        first = seen.setdefault(place, here)
        if first is not here:
            where = "this colour" if first[-3] == colour else f"{first[-3]}"
            also = f"{'.'.join(map(str, first))} ({tree.place(first)})"
            message = f"{shown(url)} is a server of {where} already, at {also}: each server has one colour"
            yield Finding(here, f"{message}, and an address of its own")


def _shared_checks(path: KeyPath, servers: dict[str, Any], port: object) -> Iterator[Finding]:
    """Rule 39 likewise: a port of its own may send the checks of both colours to one place."""
    if not isinstance(port, int):
        return
    hosts = [
        {place.host for url in _list(_mapping(servers.get(colour)).get("urls")) if (place := place_of(str(url)))}
        for colour in Colour
    ]
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
        if isinstance(keys, dict) and ("sticky" in keys or "loadBalancer" in keys):
            yield from _one_cookie(("services", name), keys, defaults)


def _one_cookie(path: KeyPath, keys: dict[str, Any], defaults: dict[str, Any]) -> Iterator[Finding]:
    sticky = keys if "sticky" in keys else defaults
    balancer = keys if "sticky" in _mapping(keys.get("loadBalancer")) else defaults
    name = _within(sticky, "sticky", *_COOKIE)
    if name and name == _within(balancer, "loadBalancer", "sticky", *_COOKIE):
        where = ("loadBalancer", "sticky") if balancer is keys else ("sticky",)
        yield Finding((*path, *where, *_COOKIE), _two_cookies(name, "'sticky' and of 'loadBalancer.sticky'"))


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


class _Owners:
    """The owner of each name in Traefik's `http.services` and `http.routers`."""

    def __init__(self, value: object, tree: Tree) -> None:
        self.value, self.tree = value, tree
        self.owners: dict[str, dict[str, KeyPath]] = {"service": {}, "router": {}}

    def clashes(self, services: dict[str, Any]) -> Iterator[Finding]:
        """Collect the names of each service in Traefik, then those passed through; yield duplicates."""
        defaults = _mapping(_within(self.value, "defaults"))
        makers: dict[str, re.Pattern[str]] = {}
        for name, service in services.items():
            owner = ("services", name)
            names = progressive_checks.names(name, _mapping(service), defaults)
            if names.of_rollouts is not None:
                makers[name] = names.of_rollouts
            yield from self._take("service", [name, *(f"{name}-{colour}" for colour in Colour), *names.services], owner)
            routers = _mapping(service).get("routers")
            if routers is None:
                yield from self._take("router", [name, f"{name}-preview", *names.routers], owner)
            else:
                yield from self._take("router", [f"{name}-preview", *names.routers], owner)
                for router in _mapping(routers):
                    yield from self._take("router", [router], (*owner, "routers", router))
        for kind in ("service", "router"):
            for name in _mapping(_within(self.value, "http", f"{kind}s")):
                yield from self._take(kind, [name], ("http", f"{kind}s", name))
        yield from self._of_rollouts(makers)

    def _of_rollouts(self, makers: Mapping[str, re.Pattern[str]]) -> Iterator[Finding]:
        """Yield names that a rollout may make of its own (rule 21); `makers` are the services with such rollouts."""
        patterns = set(makers.values())
        for name, owner in self.owners["service"].items() if patterns else ():
            for pattern in patterns:
                found = pattern.fullmatch(name)
                if found is not None and makers.get(found[1]) is pattern:
                    maker = ("services", found[1])
                    first = f"{'.'.join(maker)} ({self.tree.place(maker)})"
                    message = f"clashes with {first}: its rollouts make the service {name!r} in Traefik; rename one"
                    yield Finding(owner, message, on_key=True)

    def _take(self, kind: str, names: list[str], owner: KeyPath) -> Iterator[Finding]:
        taken = self.owners[kind]
        for name in names:
            other = taken.setdefault(name, owner)
            if other is not owner:
                first = f"{'.'.join(map(str, other))} ({self.tree.place(other)})"
                message = f"clashes with {first}: both are the {kind} {name!r} in Traefik; rename one"
                yield Finding(owner, message, on_key=True)

    def references(self, http: dict[str, Any]) -> Iterator[Finding]:
        """Yield references to a service that the daemon makes."""
        for path, name in _referred(http):
            service = name.removesuffix("@http") if isinstance(name, str) else ""
            owner = self.owners["service"].get(service, ())
            if owner[:1] == ("services",):
                message = (
                    f"refers to {name!r}, which the daemon makes for {'.'.join(map(str, owner))} and changes with every"
                    " switch: give that service a further router under 'routers' instead"
                )
                yield Finding(("http", *path), message)


def _referred(http: dict[str, Any]) -> Iterator[tuple[KeyPath, object]]:
    for name, router in _mapping(http.get("routers")).items():
        yield ("routers", name, "service"), _within(router, "service")
    for name, middleware in _mapping(http.get("middlewares")).items():
        yield ("middlewares", name, "errors", "service"), _within(middleware, "errors", "service")
    for name, service in _mapping(http.get("services")).items():
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
