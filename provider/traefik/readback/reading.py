"""Reads `/api/rawdata`: what one Traefik applied. The format was seen in Traefik 3.7.15."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias, TypeGuard

from provider.model import Protocol
from provider.model.document import MARKER
from provider.model.routing import DOCKER, Reference, Refers
from provider.model.text import NAME_MOST, clean, one_line
from provider.runtime.timeslice import free, uncollected
from provider.traefik.process import RAW_DATA_SECTIONS, ROUTERS, SERVICES
from provider.traefik.readback import json_stream

PROVIDER = "@http"
READ = ("entryPoints", "error", "headers", "highestRandomWeight", "rule", "service", "status", "weighted")
"""The keys of an object that are kept."""

ERRORS_MOST, ERROR_MOST = 5, 300
"""Maximum number of errors kept of one object, and of characters of each."""
CHILDREN_MOST = 100
WEIGHT_MOST = 1_000_000
"""A higher weight counts as this; one below 0 counts as none, as in Traefik."""

REFERRED: Mapping[str, tuple[Refers, Protocol]] = {
    "middlewares": (Refers.MIDDLEWARE, Protocol.HTTP),
    "tcpMiddlewares": (Refers.MIDDLEWARE, Protocol.TCP),
    "services": (Refers.SERVICE, Protocol.HTTP),
}
"""The sections with objects that labels may refer to."""

Objects: TypeAlias = list[tuple[str, dict[str, object]]]
Name: TypeAlias = tuple[Protocol, str]
"""A router or service of provider http, without `@http`; another section may have the same name."""
Children: TypeAlias = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one Traefik showed at one moment. `cause` says why it did not answer; then the rest is empty.

    `traefik` is the address asked, as a URL; the URL of the file while its host has no address. `marker` is the
    expected one where it is shown, else that of another document of ours. `errors` are Traefik's messages by the name
    of their router or service, `weights` the children of each service that spreads traffic by their weights.

    `in_docker` are the middlewares and services of Traefik's Docker provider, to which labels may refer (rule 34).
    `environment` is the one that the marker names. `instance` identifies one process of Traefik; None where the API
    does not have it. `is_shared` says that several processes answer at this address, so that this is no evidence of
    any.
    """

    traefik: str
    marker: str | None = None
    cause: str | None = None
    errors: Mapping[Name, tuple[str, ...]] = field(default_factory=dict)
    weights: Mapping[Name, Children] = field(default_factory=dict)
    environment: str | None = None
    instance: str | None = None
    is_shared: bool = False
    in_docker: frozenset[Reference] = frozenset()


class InvalidAnswer(Exception):  # noqa: N818  what Traefik did, not an error of ours
    """It answered, but not as Traefik does; the text is the cause."""


def read(raw_data: bytearray, traefik: str, expected: str | None) -> Reading:
    """Read the answer to `/api/rawdata`; raises InvalidAnswer."""
    with uncollected():
        return _read(raw_data, traefik, expected)


def _read(raw_data: bytearray, traefik: str, expected: str | None) -> Reading:
    others: set[Reference] = set()
    try:
        found = {section: _ours(members, others, section) for section, members in json_stream.sections(raw_data)}
    except (ValueError, RecursionError):
        found = {}
    if "services" not in found:
        raise InvalidAnswer("it answers /api/rawdata with something else than Traefik does: is this its API?")
    sections = {section: found.get(section, []) for section in RAW_DATA_SECTIONS}
    markers = sorted(name for name, _ in sections["middlewares"] if MARKER.fullmatch(name))
    marker = expected if expected in markers else next(iter(markers), None)
    reading = Reading(
        traefik,
        marker,
        errors=_errors(sections),
        weights=dict(_weights(sections)),
        environment=_environment(dict(sections["middlewares"]).get(marker or "", {})),
        in_docker=frozenset(others),
    )
    free(*found.values())
    return reading


def _ours(members: Iterable[tuple[str, object]], others: set[Reference], section: str) -> Objects:
    """Return the used keys of the objects of provider http, by name; entries of another form are skipped.

    What of `others` labels may refer to is added to them.
    """
    kind, protocol = REFERRED.get(section, (None, Protocol.HTTP))
    found: Objects = []
    for key, body in members:
        if key.endswith(PROVIDER) and _is_object(body):
            name = clean(key.removesuffix(PROVIDER), NAME_MOST)
            found.append((name, {field: body[field] for field in READ if field in body}))
        elif kind is not None and key.endswith(DOCKER):
            others.add(Reference(kind, protocol, clean(key.removesuffix(DOCKER), NAME_MOST)))
    return found


def _names_in_document(routers: Objects) -> dict[str, str]:
    """Return the names that routers have in the document, by those that they have in Traefik.

    Where an entry point has TLS or middlewares of its own, Traefik makes of a router with several entry points one for
    each, `ENTRYPOINT-NAME`; they are known by having the same rule and service. Routers of one host with different TLS
    options become `ENTRYPOINT-conflicted-NAME`, also on top of the other.
    """
    plain = {}
    for name, body in routers:
        entry_point = _entry_point(body)
        plain[name] = entry_point, name.removeprefix(f"{entry_point}-conflicted-"), body
    entry_points = {entry_point for entry_point, _, _ in plain.values() if entry_point}
    known = {_identity(name, body) for _, name, body in plain.values()}
    written = {}
    for found, (entry_point, name, body) in plain.items():
        short = name.removeprefix(f"{entry_point}-") if entry_point else name
        siblings = (short, *(f"{other}-{short}" for other in entry_points if other != entry_point))
        is_split = short != name and any(_identity(sibling, body) in known for sibling in siblings)
        written[found] = short if is_split else name
    return written


def _entry_point(router: Mapping[str, object]) -> str | None:
    """Return the entry point of a router that has one alone."""
    match router.get("entryPoints"):
        case [str(alone)]:
            return alone
        case _:
            return None


def _identity(name: str, router: Mapping[str, object]) -> tuple[str, str, str]:
    return name, str(router.get("rule")), str(router.get("service"))


def _errors(sections: Mapping[str, Objects]) -> dict[Name, tuple[str, ...]]:
    """Collect Traefik's errors by the name of the router or service; those of both where they share it.

    An error of a middleware in use shows on its router.
    """
    errors: dict[Name, tuple[str, ...]] = {}
    for section, protocol in (ROUTERS | SERVICES).items():
        broken = [(name, _messages(body)) for name, body in sections[section] if _messages(body)]
        names = _names_in_document(sections[section]) if broken and section == "routers" else {}
        for found, messages in broken:
            name = names.get(found, found)
            lines = (f"{RAW_DATA_SECTIONS[section]} {name}: {message}" for message in messages)
            errors[protocol, name] = tuple(dict.fromkeys((*errors.get((protocol, name), ()), *lines)))
    return errors


def _messages(body: Mapping[str, object]) -> list[str]:
    """Return Traefik's errors for an object, each on one line: they may quote untrusted text."""
    errors = body.get("error")
    if isinstance(errors, list) and errors:
        return [one_line(error, ERROR_MOST) for error in errors[:ERRORS_MOST]]
    return ["status disabled"] if body.get("status") == "disabled" else []


def _weights(sections: Mapping[str, Objects]) -> Iterator[tuple[Name, Children]]:
    for section, protocol in SERVICES.items():
        for name, body in sections[section]:
            match body:
                case {"weighted": {"services": [*children]}} | {"highestRandomWeight": {"services": [*children]}}:
                    found = (_child(child) for child in children[:CHILDREN_MOST] if _is_object(child))
                    yield (protocol, name), tuple(found)


def _child(child: Mapping[str, object]) -> tuple[str, int]:
    weight = child.get("weight", 1)
    bounded = max(0, min(weight, WEIGHT_MOST)) if isinstance(weight, int) else 1
    return clean(child.get("name"), NAME_MOST).removesuffix(PROVIDER), bounded


def _environment(marker: Mapping[str, object]) -> str | None:
    """Return the environment that a marker names."""
    match marker.get("headers"):
        case {"customResponseHeaders": {"X-Bluegreen-Environment": str(name)}}:
            return name
        case _:
            return None


def _is_object(value: object) -> TypeGuard[dict[str, object]]:
    return isinstance(value, dict)
