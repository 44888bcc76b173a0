"""References to names that nothing defines: Traefik accepts such a document, and the router then answers 404.

A name without `@provider` is one of the same document (`name@http` is the same); what other providers define is not
known here.
"""

from collections.abc import Iterator
from typing import TypeAlias, cast

from provider.config import endpoints, names
from provider.config.messages import Finding, suggestion
from provider.config.tree import KEY_MOST, KeyPath
from provider.config.types import shown
from provider.model import Colour, Protocol
from provider.model.text import clean

Pattern: TypeAlias = tuple[str, ...]

ANY, EACH = "*", "[]"
"""In a pattern: every key of a mapping, and every item of a list."""
OURS = "@http"
HTTP_MIDDLEWARES: Pattern = ("http", "middlewares")
HTTP_SERVICES: Pattern = ("http", "services")
HTTP_ROUTERS: Pattern = ("http", "routers")
HTTP_TRANSPORTS: Pattern = ("http", "serversTransports")
TCP_MIDDLEWARES: Pattern = ("tcp", "middlewares")
TCP_SERVICES: Pattern = ("tcp", "services")
TCP_TRANSPORTS: Pattern = ("tcp", "serversTransports")
UDP_SERVICES: Pattern = ("udp", "services")
OPTIONS: Pattern = ("tls", "options")
_SERVICE_ROUTERS = (
    ("services", ANY, "router"),
    ("services", ANY, "routers", ANY),
    ("services", ANY, "preview"),
    ("defaults", "router"),
)
_REFERENCES: tuple[tuple[Pattern, Pattern], ...] = (
    *(
        ((*router, *inside), kind)
        for router in (*_SERVICE_ROUTERS, (*HTTP_ROUTERS, ANY))
        for inside, kind in (
            (("middlewares", EACH), HTTP_MIDDLEWARES),
            (("tls", "options"), OPTIONS),
            (("parentRefs", EACH), HTTP_ROUTERS),
        )
    ),
    (("services", ANY, "loadBalancer", "serversTransport"), HTTP_TRANSPORTS),
    (("defaults", "loadBalancer", "serversTransport"), HTTP_TRANSPORTS),
    (("services", ANY, "endpoints", ANY, "loadBalancer", "serversTransport"), HTTP_TRANSPORTS),
    (("defaults", "endpoints", ANY, "loadBalancer", "serversTransport"), HTTP_TRANSPORTS),
    ((*HTTP_SERVICES, ANY, "loadBalancer", "serversTransport"), HTTP_TRANSPORTS),
    ((*HTTP_ROUTERS, ANY, "service"), HTTP_SERVICES),
    ((*HTTP_SERVICES, ANY, "weighted", "services", EACH, "name"), HTTP_SERVICES),
    ((*HTTP_SERVICES, ANY, "highestRandomWeight", "services", EACH, "name"), HTTP_SERVICES),
    ((*HTTP_SERVICES, ANY, "mirroring", "service"), HTTP_SERVICES),
    ((*HTTP_SERVICES, ANY, "mirroring", "mirrors", EACH, "name"), HTTP_SERVICES),
    ((*HTTP_SERVICES, ANY, "failover", "service"), HTTP_SERVICES),
    ((*HTTP_SERVICES, ANY, "failover", "fallback"), HTTP_SERVICES),
    ((*HTTP_MIDDLEWARES, ANY, "chain", "middlewares", EACH), HTTP_MIDDLEWARES),
    ((*HTTP_MIDDLEWARES, ANY, "errors", "service"), HTTP_SERVICES),
    (("http", "models", ANY, "middlewares", EACH), HTTP_MIDDLEWARES),
    (("http", "models", ANY, "tls", "options"), OPTIONS),
    (("tcp", "routers", ANY, "middlewares", EACH), TCP_MIDDLEWARES),
    (("tcp", "routers", ANY, "tls", "options"), OPTIONS),
    (("tcp", "routers", ANY, "service"), TCP_SERVICES),
    ((*TCP_SERVICES, ANY, "weighted", "services", EACH, "name"), TCP_SERVICES),
    ((*TCP_SERVICES, ANY, "loadBalancer", "serversTransport"), TCP_TRANSPORTS),
    (("udp", "routers", ANY, "service"), UDP_SERVICES),
    ((*UDP_SERVICES, ANY, "weighted", "services", EACH, "name"), UDP_SERVICES),
)
"""Where Traefik 3.7 refers to a name, and the section that defines it (pkg/config/dynamic)."""


def _tree() -> dict[str, object]:
    """Return the patterns as a tree, so that one walk over a file finds all of them."""
    tree: dict[str, object] = {}
    for pattern, kind in _REFERENCES:
        here: dict[str, object] = tree
        for step in pattern[:-1]:
            here = cast("dict[str, object]", here.setdefault(step, {}))
        here[pattern[-1]] = kind
    return tree


_TREE = _tree()


def findings(value: object) -> Iterator[Finding]:
    """Yield every name without a provider that the file does not define."""
    defined = {kind: _defined(value, kind) for kind in {kind for _, kind in _REFERENCES}}
    found: list[tuple[KeyPath, object, Pattern]] = []
    _collect(value, _TREE, (), found)
    for path, name, of_http in found:
        kind = _of_endpoint(value, path, of_http)
        if kind is None:
            continue
        if isinstance(name, str) and name and name.removesuffix(OURS) not in defined[kind] and _is_of_document(name):
            yield Finding(path, _unknown(name.removesuffix(OURS), kind, defined[kind]))


def _of_endpoint(value: object, path: KeyPath, kind: Pattern) -> Pattern | None:
    """Return the kind that is meant in the section of an endpoint; None where that has nothing of the kind."""
    if path[0] not in {"services", "defaults"} or kind[0] != "http":
        return kind
    defaults = _names(value, "defaults")
    keys = defaults if path[0] == "defaults" else _names(value, *map(str, path[:2]))
    if endpoints.ENDPOINTS not in keys and endpoints.ENDPOINTS not in defaults:
        return kind
    known, inside = endpoints.protocols(keys, defaults), path[1:] if path[0] == "defaults" else path[2:]
    if inside[0] == endpoints.ENDPOINTS:
        spoken = known.get(str(inside[1]))
    else:
        length = 2 if inside[0] == "routers" else 1
        spoken = endpoints.protocol_of(_names(keys, *map(str, inside[:length])), known)
    is_of_http = inside[0] == "loadBalancer" or path[:2] == ("defaults", "router")
    if is_of_http or spoken is Protocol.HTTP:
        return kind
    section = ("tcp", kind[1]) if spoken is Protocol.TCP else None
    return section if section in {TCP_MIDDLEWARES, TCP_TRANSPORTS} else None


def _is_of_document(name: str) -> bool:
    """Return whether a name is one of this document; variables are reported already."""
    return ("@" not in name or name.endswith(OURS)) and "$" not in name and "{{" not in name


def _unknown(name: str, kind: Pattern, defined: set[str]) -> str:
    near = suggestion(name, sorted(defined)) if defined else ""
    way_out = f"define it there, or name its provider, as in {clean(name, KEY_MOST)}@file"
    return f"{shown(name)} is not in {'.'.join(kind)}{near if 'mean' in near else ''}: {way_out}"


def _defined(value: object, kind: Pattern) -> set[str]:
    """Return the names that the document has of a kind, those that the daemon makes among them."""
    found = set(_names(value, *kind))
    services = _names(value, "services")
    if kind == OPTIONS:
        found.add("default")  # Traefik has it
    elif kind == HTTP_SERVICES:
        found.update(services, (f"{name}-{colour}" for name in services for colour in Colour))
        found.update(_of_endpoints(value, Protocol.HTTP))
    elif kind == TCP_SERVICES:
        found.update(_of_endpoints(value, Protocol.TCP))
    elif kind == UDP_SERVICES:
        found.update(_of_endpoints(value, Protocol.UDP))
    elif kind == HTTP_ROUTERS:
        routers = (_names(value, "services", name, "routers") for name in services)
        found.update(services, (f"{name}-preview" for name in services), *routers)
    return found


def _of_endpoints(value: object, section: Protocol) -> Iterator[str]:
    """Yield the services that the daemon makes in a section for services with `endpoints`."""
    defaults = _names(value, "defaults")
    for name, keys in _names(value, "services").items():
        if isinstance(keys, dict) and endpoints.written(keys, defaults) is not None:
            for taken in names.of_service(name, keys, defaults):
                if (taken.section, taken.kind) == (section, names.SERVICE):
                    yield taken.name


def _names(value: object, *keys: str) -> dict[str, object]:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _collect(value: object, tree: object, path: KeyPath, found: list[tuple[KeyPath, object, Pattern]]) -> None:
    """Add every value in the place of a reference, with its kind; other shapes are skipped."""
    if not isinstance(tree, dict):
        found.append((path, value, cast("Pattern", tree)))
    elif isinstance(value, dict):
        if ANY in tree:
            for key, one in value.items():
                _collect(one, tree[ANY], (*path, key), found)
        else:
            for key in tree.keys() & value.keys():
                _collect(value[key], tree[key], (*path, key), found)
    elif isinstance(value, list) and EACH in tree:
        for index, one in enumerate(value):
            _collect(one, tree[EACH], (*path, index), found)
