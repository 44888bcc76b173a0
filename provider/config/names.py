"""The owner of each name in a section of Traefik's document: its services, and its routers (rules 21 to 24 and 31).

A section is that of a protocol. The names of a service are its own while it has the keys that make them, so that none
appears in the middle of a rollout.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from provider.config import endpoints
from provider.config.messages import Finding
from provider.config.progressive_checks import Holder
from provider.config.routing import is_by_labels
from provider.config.tree import KeyPath, Tree
from provider.model import Affinity, Colour
from provider.model.desired import DEFAULT_ENDPOINT
from provider.model.vocabulary import Protocol

SERVICE, ROUTER = "service", "router"
_REFUSED = frozenset({"blue", "green", "preview"})
"""Names of endpoints that are refused by themselves."""

SESSIONS = re.compile(r"(.+)-(?:blue|green)-r[0-9]+", re.DOTALL)
"""The candidate of a service with `sticky`, as `shop-green-r17`."""
ENTRIES = re.compile(r"(.+)-r[0-9]+-[0-9]+", re.DOTALL)
"""An entry of a step with affinity `cookie`, as `shop-r17-1`."""


class Taken(NamedTuple):
    """A name that something in the file has in Traefik."""

    section: Protocol
    kind: str
    name: str
    owner: KeyPath


def of_service(name: str, keys: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[Taken]:
    """Yield the names that a service has in Traefik, those that its rollouts make apart."""
    one, known = Holder(("services", name), keys, defaults), endpoints.protocols(keys, defaults)
    is_tested, preview = bool(one.all_of("testRoute")), keys.get("preview")
    is_counted = one.is_in_steps or bool(one.all_of("analysis"))
    for endpoint, section in known.items():
        if section is None or endpoint in _REFUSED:
            continue
        weighted = weighted_name(name, endpoint)
        names = [weighted, *(f"{weighted}-{colour}" for colour in Colour)]
        if is_tested and section is Protocol.HTTP:
            names += [f"{weighted}-{colour}-test" for colour in Colour]
        if preview is not None and is_counted and endpoints.endpoint_of(preview) == endpoint:
            names += [f"{weighted}-{colour}-preview" for colour in Colour]
        owner = _owner(name, keys, endpoint)
        yield from (Taken(section, SERVICE, each, owner) for each in names)
    written = {router.path: router for router in endpoints.routers(name, keys)}
    preview_at: KeyPath = ("preview",)
    router_at: KeyPath = ("router",)
    implied = {preview_at: endpoints.Routed(preview_at, f"{name}-preview", {})}
    if is_by_labels(keys, defaults):
        written.pop(router_at, None)
    elif "routers" not in keys:
        implied[router_at] = endpoints.Routed(router_at, name, {})
    else:
        written.pop(router_at, None)
    for path, router in {**implied, **written}.items():
        section = endpoints.protocol_of(router.body, known) or Protocol.HTTP
        if is_tested and section is Protocol.HTTP and path != preview_at:
            yield Taken(section, ROUTER, f"{router.name}-test", one.path)
        yield Taken(section, ROUTER, router.name, (*one.path, *path) if path[0] == "routers" else one.path)


def weighted_name(service: str, endpoint: str) -> str:
    """Return Traefik's name for the weighted service of an endpoint."""
    return service if endpoint == DEFAULT_ENDPOINT else f"{service}-{endpoint}"


def made_by_rollouts(
    name: str, keys: Mapping[str, Any], defaults: Mapping[str, Any]
) -> Iterator[tuple[str, re.Pattern[str], KeyPath]]:
    """Yield weighted services of HTTP of which rollouts make others, the pattern of their names, and the owner."""
    one = Holder(("services", name), keys, defaults)
    if not one.is_in_steps:
        return
    pattern = SESSIONS if one.all_of("sticky") else None
    if pattern is None and one.all_of("canary").get("affinity") == Affinity.COOKIE:
        pattern = ENTRIES
    for endpoint, section in endpoints.protocols(keys, defaults).items() if pattern else ():
        if section is Protocol.HTTP and pattern:
            yield weighted_name(name, endpoint), pattern, _owner(name, keys, endpoint)


def _owner(name: str, keys: Mapping[str, Any], endpoint: str) -> KeyPath:
    return ("services", name) if endpoint == DEFAULT_ENDPOINT else endpoints.path_of(name, keys, endpoint)


class Owners:
    """The owner of each name in Traefik."""

    def __init__(self, value: object, tree: Tree) -> None:
        self._value, self._tree = value, tree
        self._owners = defaultdict[tuple[Protocol, str], dict[str, KeyPath]](dict)

    def clashes(self, services: dict[str, Any]) -> Iterator[Finding]:
        """Collect the names of each service in Traefik, then those passed through; yield duplicates."""
        defaults = _mapping(_mapping(self._value).get("defaults"))
        makers: dict[str, tuple[re.Pattern[str], KeyPath]] = {}
        for name, service in services.items():
            found = [self._clash(taken) for taken in of_service(name, _mapping(service), defaults)]
            yield from filter(None, found)
            for weighted, pattern, owner in made_by_rollouts(name, _mapping(service), defaults):
                makers[weighted] = (pattern, owner)
        for section in Protocol:
            passed = _mapping(_mapping(self._value).get(section))
            for kind in (SERVICE, ROUTER):
                names = (
                    Taken(section, kind, name, (str(section), f"{kind}s", name))
                    for name in _mapping(passed.get(f"{kind}s"))
                )
                yield from filter(None, map(self._clash, names))
        yield from self._of_rollouts(makers)

    def of(self, section: Protocol, service: str) -> KeyPath | None:
        """Return the service, or its endpoint, for which the daemon makes a service in Traefik; None for another's."""
        owner = self._owners[section, SERVICE].get(service)
        return owner if owner is not None and owner[0] in {"services", "defaults"} else None

    def _of_rollouts(self, makers: Mapping[str, tuple[re.Pattern[str], KeyPath]]) -> Iterator[Finding]:
        """Yield names that a rollout may make of its own (rule 21); `makers` are the services with such rollouts."""
        patterns = {pattern for pattern, _ in makers.values()}
        for name, owner in self._owners[Protocol.HTTP, SERVICE].items() if patterns else ():
            for pattern in patterns:
                found = pattern.fullmatch(name)
                made_of, maker = makers.get(found[1], (None, ())) if found is not None else (None, ())
                if made_of is pattern:
                    first = f"{'.'.join(map(str, maker))} ({self._tree.place(maker)})"
                    message = f"clashes with {first}: its rollouts make the service {name!r} in Traefik; rename one"
                    yield Finding(owner, message, on_key=True)

    def _clash(self, taken: Taken) -> Finding | None:
        """Take a name; return what is wrong where another has it."""
        other = self._owners[taken.section, taken.kind].setdefault(taken.name, taken.owner)
        if other == taken.owner:
            return None
        first = f"{'.'.join(map(str, other))} ({self._tree.place(other)})"
        what = taken.kind if taken.section is Protocol.HTTP else f"{taken.section.upper()} {taken.kind}"
        message = f"clashes with {first}: both are the {what} {taken.name!r} in Traefik; rename one"
        return Finding(taken.owner, message, on_key=True)


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
