"""Turns what is served into Traefik's dynamic configuration: one fragment of bytes a service, joined into a document.

A change of one service renders one fragment; the others are joined as they are. Keys and their order depend on nothing
but the content, so the same state gives the same bytes (P6).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from provider.model import JsonObject, Router, Served

DIGEST_SIZE = 16
PREVIEW_ABOVE = 100


@dataclass(frozen=True, slots=True)
class Fragment:
    """The members a service adds to `http.routers` and `http.services`, as JSON without the outer braces."""

    routers: bytes
    services: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class PassThrough:
    """The file's own Traefik configuration, rendered once a reload: members of our sections, and whole other ones."""

    middlewares: bytes
    routers: bytes
    services: bytes
    http_rest: bytes
    top: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class Document:
    """One dynamic configuration; `etag` hashes its content, `marker` is the middleware that proves it was applied."""

    body: bytes
    etag: str
    marker: str


def render_service(served: Served) -> Fragment:
    """Render the routers, the weighted service, and a load balancer for each colour that has traffic or a preview."""
    service = served.service
    weighted: dict[str, object] = {
        "services": [{"name": service.in_traefik(colour), "weight": weight} for colour, weight in served.weights]
    }
    if service.sticky is not None:
        weighted["sticky"] = service.sticky
    services: dict[str, object] = {service.name: {"weighted": weighted}}
    for colour, servers in served.servers.items():
        urls = [{"url": server.url} for server in servers]
        services[service.in_traefik(colour)] = {"loadBalancer": {**service.load_balancer, "servers": urls}}
    rendered = _members(services)
    routers = _members(_routers(served))
    return Fragment(routers, rendered, _digest((routers, rendered)))


def render_pass_through(pass_through: JsonObject) -> PassThrough:
    """Render the sections http, tcp, udp and tls of the file; ours within http are kept apart to be joined."""
    http = pass_through.get("http")
    sections = dict(http) if isinstance(http, dict) else {}
    middlewares, routers, services = (
        _members(sections.pop(name, {})) for name in ("middlewares", "routers", "services")
    )
    rest = _members(sections)
    top = _members({name: body for name, body in pass_through.items() if name != "http"})
    digest = _digest((middlewares, routers, services, rest, top))
    return PassThrough(middlewares, routers, services, rest, top, digest)


def assemble(fragments: Sequence[Fragment], extra: PassThrough) -> Document:
    """Join the fragments, in the order of their services' names, into one document.

    The marker is named by a hash over the hashes of all parts: equal parts, equal name. It holds what Traefik needs to
    accept a middleware, and is used by no router.
    """
    digests = b"".join([fragment.digest for fragment in fragments])
    digest = _digest((extra.digest, digests)).hex()
    marker = f"bluegreen-{digest[:12]}"
    body = {"headers": {"customResponseHeaders": {"X-Bluegreen-Document": digest[:12]}}}
    sections = [
        _section("middlewares", [extra.middlewares, _members({marker: body})]),
        _section("routers", [extra.routers, *[fragment.routers for fragment in fragments]]),
        _section("services", [extra.services, *[fragment.services for fragment in fragments]]),
        extra.http_rest,
    ]
    document = _join([_section("http", sections), extra.top])
    return Document(b"{" + document + b"}", f'"{digest}"', marker)


def routes(fragments: Sequence[Fragment], extra: PassThrough) -> bool:
    """Tell whether a document of these parts would configure anything at all besides its marker."""
    return bool(fragments) or extra.digest != NO_PASS_THROUGH.digest


def _routers(served: Served) -> dict[str, JsonObject]:
    """Rule 15: the priority is explicit, one above Traefik's own default, the rule's length in bytes."""
    service = served.service
    routers = {router.name: _router(router, service.name, _priority(router)) for router in service.routers}
    if served.preview is not None and service.preview is not None:
        above = max(_priority(router) for router in service.routers) + PREVIEW_ABOVE
        priority = _written_priority(service.preview) or above
        routers[service.preview.name] = _router(service.preview, service.in_traefik(served.preview), priority)
    return routers


def _router(router: Router, service: str, priority: int) -> JsonObject:
    return {**router.body, "priority": priority, "service": service}


def _priority(router: Router) -> int:
    return _written_priority(router) or len(router.rule.encode()) + 1


def _written_priority(router: Router) -> int:
    """Return what the file says; 0 means none to Traefik."""
    written = router.body.get("priority")
    return written if isinstance(written, int) else 0


def _members(values: object) -> bytes:
    """Serialise a JSON object without its braces; the order in which a file has its keys changes nothing (P12)."""
    return orjson.dumps(values, option=orjson.OPT_SORT_KEYS)[1:-1]


def _section(name: str, parts: Iterable[bytes]) -> bytes:
    """An empty section is left out: Traefik refuses the whole document for one (traefik-facts, rule 3)."""
    joined = _join(parts)
    return b'"%b":{%b}' % (name.encode(), joined) if joined else b""


def _join(parts: Iterable[bytes]) -> bytes:
    return b",".join(filter(None, parts))


def _digest(parts: Iterable[bytes]) -> bytes:
    whole = blake2b(digest_size=DIGEST_SIZE)
    for part in parts:
        whole.update(len(part).to_bytes(8))
        whole.update(part)
    return whole.digest()


NO_PASS_THROUGH = render_pass_through({})
