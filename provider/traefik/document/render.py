"""Renders Traefik's dynamic configuration: one fragment of bytes per service, joined into a document.

A change of one service renders one fragment and joins one block of neighbours; the other blocks are joined as they are.
Keys and their order depend on nothing but the content, so the same state gives the same bytes (P6).

Traefik reads YAML, in a time that grows with the square of the keys in one map. A large section is therefore split:
`{<<: [{...}, {...}]}` merges maps of a block each, which is YAML and no longer JSON (facts on Traefik, "Size").
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from provider.model import JsonObject, Served
from provider.model.document import Document
from provider.traefik.document import http

DIGEST_SIZE = 16
BLOCK = 100
"""The number of services in a block; each has two keys in `http.services`."""
SPLIT_ABOVE = 2000
"""A section with more keys than this is split; docs/benchmarks.md has the measurement."""


@dataclass(frozen=True, slots=True)
class Members:
    """Some members of a JSON object without its braces, and how many they are."""

    json: bytes = b""
    keys: int = 0


@dataclass(frozen=True, slots=True)
class Fragment:
    """The members a service adds to `http.routers` and `http.services`."""

    routers: Members
    services: Members
    digest: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """The fragments of some neighbouring services, joined; `digests` are theirs, one after the other."""

    routers: Members
    services: Members
    digests: bytes


@dataclass(frozen=True, slots=True)
class PassThrough:
    """The file's own Traefik configuration, rendered once a reload: members of our sections, and whole other ones.

    `has_routers` says that it routes traffic by itself. `environment` is named in the marker.
    """

    middlewares: tuple[Members, ...]
    routers: tuple[Members, ...]
    services: tuple[Members, ...]
    http_rest: bytes
    top: bytes
    has_routers: bool
    digest: bytes
    environment: str = ""


def render_service(served: Served) -> Fragment:
    """Render what one service is in Traefik."""
    routers, services = _members(http.routers(served)), _members(http.services(served))
    return Fragment(routers, services, _digest((routers.json, services.json)))


def render_pass_through(pass_through: JsonObject, environment: str = "") -> PassThrough:
    """Render the sections http, tcp, udp and tls of the file; ours within http are kept apart to be joined."""
    passed = pass_through.get("http")
    rest = dict(passed) if isinstance(passed, dict) else {}
    middlewares, routers, services = ours = [rest.pop(name, {}) for name in ("middlewares", "routers", "services")]
    http_rest = _members(rest).json
    top = _members({name: body for name, body in pass_through.items() if name != "http"}).json
    digest = _digest((*[_members(section).json for section in ours], http_rest, top, environment.encode()))
    has_routers = any(isinstance(section, Mapping) and section.get("routers") for section in pass_through.values())
    return PassThrough(
        *(_in_blocks(middlewares), _in_blocks(routers), _in_blocks(services)),
        http_rest=http_rest,
        top=top,
        has_routers=has_routers,
        digest=digest,
        environment=environment,
    )


def join(fragments: Sequence[Fragment]) -> Block:
    """Join the fragments of neighbouring services."""
    return Block(
        _joined([fragment.routers for fragment in fragments]),
        _joined([fragment.services for fragment in fragments]),
        b"".join([fragment.digest for fragment in fragments]),
    )


def assemble(fragments: Sequence[Fragment], extra: PassThrough, *, split_above: int = SPLIT_ABOVE) -> Document:
    """Join the fragments, in the order of their services' names, into one document."""
    blocks = [join(fragments[start : start + BLOCK]) for start in range(0, len(fragments), BLOCK)]
    return compose(blocks, extra, split_above=split_above)


def compose(blocks: Sequence[Block], extra: PassThrough, *, split_above: int = SPLIT_ABOVE) -> Document:
    """Join blocks into one document.

    The marker is named by a hash over the hashes of all parts and the environment, so that two daemons do not take each
    other's documents for their own: equal parts, equal name. It has what Traefik needs to accept a middleware; no
    router uses it.
    """
    digest = _digest((extra.digest, b"".join([block.digests for block in blocks]))).hex()
    marker = f"bluegreen-{digest[:12]}"
    headers = {"X-Bluegreen-Document": digest[:12]}
    if extra.environment:
        headers["X-Bluegreen-Environment"] = extra.environment
    body = {"headers": {"customResponseHeaders": headers}}
    sections = {
        "middlewares": [*extra.middlewares, _members({marker: body})],
        "routers": [*extra.routers, *[block.routers for block in blocks]],
        "services": [*extra.services, *[block.services for block in blocks]],
    }
    pieces = [b'{"http":{']
    for name, members in sections.items():
        pieces += _section(name, members, split_above)
    pieces += [extra.http_rest, b","] if extra.http_rest else []
    pieces[-1] = b"}"  # the marker comes before it, so there was a comma
    pieces += [b",", extra.top, b"}"] if extra.top else [b"}"]
    is_json = all(_keys(members) <= split_above for members in sections.values())
    return Document(b"".join(pieces), f'"{digest}"', marker, is_json)


def _members(values: Mapping[str, object]) -> Members:
    """Serialise a JSON object without its braces; the order in which a file has its keys changes nothing (P12)."""
    return Members(orjson.dumps(values, option=orjson.OPT_SORT_KEYS)[1:-1], len(values))


def _in_blocks(values: Mapping[str, object]) -> tuple[Members, ...]:
    names = sorted(values)
    return tuple(
        _members({name: values[name] for name in names[start : start + BLOCK]}) for start in range(0, len(names), BLOCK)
    )


def _joined(members: Sequence[Members]) -> Members:
    return Members(b",".join([one.json for one in members if one.keys]), _keys(members))


def _keys(members: Iterable[Members]) -> int:
    return sum([one.keys for one in members])


def _section(name: str, members: Sequence[Members], split_above: int) -> list[bytes]:
    """Return the pieces of a section with a comma; an empty one is left out: Traefik refuses it."""
    filled = [one.json for one in members if one.keys]
    if not filled:
        return []
    if _keys(members) <= split_above:
        before, between, after = b'"%b":{', b",", b"}"
    else:
        before, between, after = b'"%b":{<<: [{', b"},{", b"}]}"
    pieces = [before % name.encode()]
    for one in filled:
        pieces += [one, between]
    return [*pieces[:-1], after, b","]


def _digest(parts: Iterable[bytes]) -> bytes:
    whole = blake2b(digest_size=DIGEST_SIZE)
    for part in parts:
        whole.update(len(part).to_bytes(8))
        whole.update(part)
    return whole.digest()


NO_PASS_THROUGH = render_pass_through({})
