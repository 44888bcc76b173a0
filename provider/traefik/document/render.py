"""Renders Traefik's dynamic configuration: one fragment of bytes per service, joined into a document.

A change of one service renders one fragment and joins one block of neighbours; the other blocks are joined as they are.
Keys and their order depend on nothing but the content, so the same state gives the same bytes (P6).

Traefik reads YAML, in a time that grows with the square of the keys in one map. A large section is therefore split:
`{<<: [{...}, {...}]}` merges maps of a block each, which is YAML and no longer JSON (facts on Traefik, "Size").
"""

import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b

import orjson

from provider.model import JsonObject, Protocol, Served
from provider.model.document import Document, section
from provider.traefik.document import http, tcp, udp

DIGEST_SIZE = 16
BLOCK = 100
"""The number of services in a block; each has two keys in `http.services`."""
SPLIT_ABOVE = 2000
"""A section with more keys than this is split; docs/benchmarks.md has the measurement."""
JOINED = frozenset({"middlewares", "routers", "services"})
"""The kinds of objects that are split where they are many and some are ours. In `http` they come first."""


class Kind(typing.Protocol):
    """A kind of endpoint: what a service has of it, by the names of Traefik's objects. A module of its own each."""

    def routers(self, served: Served) -> dict[str, JsonObject]:
        """Return the routers."""
        ...

    def services(self, served: Served) -> dict[str, JsonObject]:
        """Return the services, of which there is one at least."""
        ...


KINDS: Mapping[Protocol, Kind] = {
    Protocol.HTTP: http,
    Protocol.TCP: tcp,
    Protocol.UDP: udp,
}


@dataclass(frozen=True, slots=True)
class Members:
    """Some members of a JSON object without its braces, and how many they are."""

    json: bytes = b""
    keys: int = 0


@dataclass(frozen=True, slots=True)
class Section:
    """The members that services add to the objects of one protocol; middlewares are those of labels (rule 34)."""

    routers: Members
    services: Members
    middlewares: Members = Members()


@dataclass(frozen=True, slots=True)
class Fragment:
    """What a service adds to the sections of its protocols."""

    sections: Mapping[Protocol, Section]
    digest: bytes


@dataclass(frozen=True, slots=True)
class Block:
    """The fragments of some neighbouring services, joined; `digests` are theirs, one after the other."""

    sections: Mapping[Protocol, Section]
    digests: bytes


@dataclass(frozen=True, slots=True)
class PassThrough:
    """The file's own Traefik configuration, rendered once a reload.

    `sections` has the members of those that ours are joined with, by the kind of object; `others` are whole.
    `has_routers` says that it routes traffic by itself. `environment` is named in the marker.
    """

    sections: Mapping[Protocol, Mapping[str, tuple[Members, ...]]]
    others: Mapping[str, bytes]
    has_routers: bool
    digest: bytes
    environment: str = ""


def render_service(served: Served) -> Fragment:
    """Render what one service is in Traefik."""
    spoken = {endpoint.protocol for endpoint in served.service.endpoints}
    sections = {
        protocol: Section(
            _members(kind.routers(served)),
            _members(kind.services(served)),
            _members(served.service.middlewares.get(protocol, {})),
        )
        for protocol, kind in KINDS.items()
        if protocol in spoken
    }
    return Fragment(sections, _digest(_hashed(sections)))


def render_pass_through(pass_through: JsonObject, environment: str = "") -> PassThrough:
    """Render the sections http, tcp, udp and tls of the file."""
    sections = {
        protocol: {kind: _in_blocks(section(passed, kind)) for kind in passed}
        for protocol in KINDS
        if (passed := section(pass_through, protocol))
    }
    passed = section(pass_through, Protocol.HTTP)
    ours = [_members(section(passed, name)).json for name in sorted(JOINED)]
    rest = _members({name: body for name, body in passed.items() if name not in JOINED}).json
    top = _members({name: body for name, body in pass_through.items() if name != Protocol.HTTP}).json
    return PassThrough(
        sections,
        others={
            name: orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
            for name, body in pass_through.items()
            if name not in KINDS
        },
        has_routers=any(section(pass_through, name).get("routers") for name in pass_through),
        digest=_digest((*ours, rest, top, environment.encode())),
        environment=environment,
    )


def join(fragments: Sequence[Fragment]) -> Block:
    """Join the fragments of neighbouring services."""
    sections = {}
    for protocol in KINDS:
        there = [fragment.sections[protocol] for fragment in fragments if protocol in fragment.sections]
        if there:
            sections[protocol] = Section(
                _joined([one.routers for one in there]),
                _joined([one.services for one in there]),
                _joined([one.middlewares for one in there]),
            )
    return Block(sections, b"".join([fragment.digest for fragment in fragments]))


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
    middleware = _members({marker: {"headers": {"customResponseHeaders": headers}}})
    shared = {Protocol.HTTP, *(protocol for block in blocks for protocol in block.sections)}
    pieces, is_json = [b"{"], True
    for name in (Protocol.HTTP, *sorted({*KINDS, *extra.others} - {Protocol.HTTP})):
        if name in extra.others:
            pieces += [_key(name), extra.others[name], b","]
            continue
        inner = []
        for kind, members in _together(Protocol(name), blocks, extra, middleware).items():
            is_split = name in shared and kind in JOINED and _keys(members) > split_above
            inner += _object(kind, members, is_split=is_split)
            is_json &= not is_split
        if inner:
            pieces += [_key(name), b"{", *inner[:-1], b"}", b","]
    return Document(b"".join([*pieces[:-1], b"}"]), f'"{digest}"', marker, is_json)


def _together(
    protocol: Protocol, blocks: Sequence[Block], extra: PassThrough, marker: Members
) -> dict[str, Sequence[Members]]:
    """Return the members of a section by the kind of object, those of the file and ours, in the order of a document."""
    passed = extra.sections.get(protocol, {})
    ours = [block.sections[protocol] for block in blocks if protocol in block.sections]
    added = {"routers": [one.routers for one in ours], "services": [one.services for one in ours]}
    middlewares = [one.middlewares for one in ours if one.middlewares.keys]
    if protocol is Protocol.HTTP:
        middlewares.append(marker)
    if middlewares:
        added["middlewares"] = middlewares
    found = {kind: [*passed.get(kind, ()), *added.get(kind, ())] for kind in passed.keys() | added.keys()}
    is_http = protocol is Protocol.HTTP
    return {kind: found[kind] for kind in sorted(found, key=lambda kind: (is_http and kind not in JOINED, kind))}


def _hashed(sections: Mapping[Protocol, Section]) -> Iterable[bytes]:
    """Yield what names a fragment; of a service with routers and services of HTTP alone nothing but these (P12)."""
    of_http = sections.get(Protocol.HTTP)
    yield from (of_http.routers.json, of_http.services.json) if of_http is not None else (b"", b"")
    for protocol, one in sections.items():
        if protocol is not Protocol.HTTP:
            yield from (protocol.encode(), one.routers.json, one.services.json)
        if one.middlewares.keys:
            yield from (b"middlewares", protocol.encode(), one.middlewares.json)


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


def _key(name: str) -> bytes:
    return b"%b:" % orjson.dumps(name)


def _object(name: str, members: Sequence[Members], *, is_split: bool) -> list[bytes]:
    """Return the pieces of an object with a comma; an empty one is left out: Traefik refuses it."""
    filled = [one.json for one in members if one.keys]
    if not filled:
        return []
    before, between, after = (b"{<<: [{", b"},{", b"}]}") if is_split else (b"{", b",", b"}")
    pieces = [_key(name), before]
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
