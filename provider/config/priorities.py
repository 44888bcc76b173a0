"""Routers of other services that come so close above one with a test route that they would take its requests.

Traefik asks the router with the highest priority first. The test route is two above its router (rule 24), so a router
of another service in between, or beside it, wins or loses by chance.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from provider.config import endpoints
from provider.config.defaults import effective
from provider.config.messages import Finding
from provider.config.tree import KeyPath
from provider.model import Protocol
from provider.model.desired import PREVIEW_ABOVE, TEST_ABOVE
from provider.model.traefik_rule import are_apart, only_hosts, path_before


class _Router(NamedTuple):
    """A router as Traefik will have it; without `entry_points` it listens on Traefik's default ones."""

    path: KeyPath
    owner: str
    name: str
    rule: str
    priority: int
    entry_points: frozenset[str]

    def meets(self, other: "_Router") -> bool:
        """Return whether one request may come to both."""
        share = not self.entry_points or not other.entry_points or bool(self.entry_points & other.entry_points)
        return share and not are_apart(self.rule, other.rule)


def findings(value: object) -> Iterator[Finding]:
    """Yield every router whose test route another service's router gets in the way of."""
    services, defaults = _mapping(_mapping(value).get("services")), _mapping(_mapping(value).get("defaults"))
    tested = {
        name for name, keys in services.items() if isinstance(keys, dict) and effective(keys, defaults, "testRoute")
    }
    if not tested:
        return
    routers = [*_passed(value)]
    for name, keys in services.items():
        routers += _of_service(name, _mapping(keys), defaults)
    places = _Places(routers)
    for router in routers:
        if router.path[0] == "services" and router.path[1] in tested and router.path[2] != "preview":
            other = next((one for one in places.above(router) if one.owner != router.owner and router.meets(one)), None)
            if other is not None:
                message = (
                    f"has priority {router.priority}, and its test route {router.priority + TEST_ABOVE}: router "
                    f"{other.name!r} of {other.owner} has {other.priority} on the same entry point, and may match the "
                    "same requests; write 'priority' for one of them, so that they are 3 or more apart"
                )
                yield Finding(router.path, message, on_key=True)


class _Places:
    """The routers by priority and host, None for any, each with the paths they begin with in order.

    Comparing each with every other one would take ten thousand services half a minute.
    """

    def __init__(self, routers: Iterable[_Router]) -> None:
        self._places: dict[int, dict[str | None, list[tuple[str, int, _Router]]]] = {}
        for number, router in enumerate(routers):
            for host in only_hosts(router.rule) or (None,):
                hosts = self._places.setdefault(router.priority, {})
                hosts.setdefault(host, []).append((path_before(router.rule), number, router))
        for hosts in self._places.values():
            for there in hosts.values():
                there.sort()

    def above(self, router: _Router) -> Iterator[_Router]:
        """Yield the routers up to two above one that may match its requests."""
        own, path = only_hosts(router.rule), path_before(router.rule)
        for priority in range(router.priority + 1, router.priority + TEST_ABOVE + 1):
            hosts = self._places.get(priority, {})
            for host in (*own, None) if own else hosts:
                yield from _begin_alike(hosts.get(host, []), path)


def _begin_alike(there: list[tuple[str, int, _Router]], path: str) -> Iterator[_Router]:
    """Yield those whose path is the beginning of this one, and those that it is the beginning of."""
    for length in range(len(path)):
        yield from _run(there, path[:length], exact=True)
    yield from _run(there, path, exact=False)


def _run(there: list[tuple[str, int, _Router]], begins: str, *, exact: bool) -> Iterator[_Router]:
    """Yield those with exactly this path, or with one that begins so."""
    at = bisect_left(there, (begins,))
    while at < len(there) and (there[at][0] == begins if exact else there[at][0].startswith(begins)):
        yield there[at][2]
        at += 1


def _of_service(name: str, keys: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[_Router]:
    owner, common, known = f"services.{name}", _mapping(defaults.get("router")), endpoints.protocols(keys, defaults)
    highest = 0
    for one in endpoints.routers(name, keys):
        if endpoints.protocol_of(one.body, known) is not Protocol.HTTP:
            continue
        body = {**common, **one.body}
        found = _router(("services", name, *one.path), owner, one.name, body, longer=1)
        if found is not None and one.is_preview and not body.get("priority"):
            yield found._replace(priority=highest + PREVIEW_ABOVE)
        elif found is not None:
            highest = max(highest, found.priority)
            yield found


def _passed(value: object) -> Iterator[_Router]:
    for name, body in _mapping(_mapping(_mapping(value).get("http")).get("routers")).items():
        if (found := _router(("http", "routers", name), "http.routers", name, _mapping(body), longer=0)) is not None:
            yield found


def _router(path: KeyPath, owner: str, name: str, body: Mapping[str, Any], *, longer: int) -> _Router | None:
    """Return a router; without a priority it has the length of its rule in bytes, ours one more (rule 15)."""
    rule, priority, entry_points = body.get("rule"), body.get("priority"), body.get("entryPoints")
    if not isinstance(rule, str):
        return None
    written = priority if isinstance(priority, int) and not isinstance(priority, bool) else 0
    listens = frozenset(one for one in entry_points if isinstance(one, str)) if isinstance(entry_points, list) else ()
    return _Router(path, owner, name, rule, written or len(rule.encode()) + longer, frozenset(listens))


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
