"""Traefik's own objects as Traefik reads them: their keys in any case, and the values that it converts.

A decoder of Traefik's takes `Weight: "3"` for `weight: 3`, `tls: true` for `tls: {}` and `entryPoints: web` for a list
of one (github.com/traefik/paerser, measured in 3.0 to 3.7). Everything after this module sees one spelling only.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, assert_never

from provider.config import endpoints
from provider.config.messages import Finding
from provider.config.tree import KeyPath
from provider.model.traefik_schema import (
    DOCUMENT,
    LOAD_BALANCER,
    STICKY,
    TEXTS,
    Anything,
    Field,
    Kind,
    Many,
    Named,
    Scalar,
    Struct,
    fold,
)
from provider.model.traefik_schema.scalars import BOOLEANS, INT_MOST, read_int, split
from provider.model.vocabulary import Protocol

SECTIONS = tuple(DOCUMENT.fields)
_OF_A_SERVICE: Mapping[str, Kind] = {"loadBalancer": LOAD_BALANCER, "sticky": STICKY}
"""The keys of a service that hold Traefik's objects, its routers and endpoints apart."""

_OURS = frozenset({"rule", "endpoint", "service", "servers", "healthCheck"})
"""The keys in those that the daemon reads, or writes itself."""


def as_traefik_reads(value: object) -> tuple[object, list[Finding]]:
    """Return a file's value with Traefik's objects in it as Traefik reads them, and findings for duplicate keys."""
    reader = _Reader()
    if not isinstance(value, dict):
        return value, []
    read = {**value}
    for section in SECTIONS:
        if section in value:
            read[section] = reader.section(section, value[section])
    defaults = value["defaults"] if isinstance(value.get("defaults"), dict) else {}
    if "defaults" in value and defaults is value["defaults"]:
        read["defaults"] = reader.service(defaults, {}, "defaults")
    services = value.get("services")
    if isinstance(services, dict):
        read["services"] = {
            name: reader.service(keys, defaults, "services", name) if isinstance(keys, dict) else keys
            for name, keys in services.items()
        }
    return read, reader.findings


def kinds_of(value: object) -> Iterable[tuple[KeyPath, Kind, object]]:
    """Yield the path, the kind and the value of each of Traefik's objects in a file."""
    if not isinstance(value, dict):
        return
    for section in SECTIONS:
        if section in value:
            yield (section,), DOCUMENT.fields[section].kind, value[section]
    defaults, services = value.get("defaults"), value.get("services")
    holders: list[tuple[KeyPath, object]] = [(("defaults",), defaults)]
    holders += [(("services", name), keys) for name, keys in services.items()] if isinstance(services, dict) else []
    for path, keys in holders:
        if isinstance(keys, dict):
            yield from (
                ((*path, *inside), kind, at(keys, inside))
                for inside, kind in _kinds(keys, defaults if isinstance(defaults, dict) else {})
            )


def _kinds(keys: Mapping[str, Any], defaults: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Kind]]:
    """Yield where a service has objects of Traefik's, and their kinds, which depend on what an endpoint speaks."""
    known = endpoints.protocols(keys, defaults)
    for router in endpoints.routers("", keys):
        yield router.path, endpoints.ROUTERS[endpoints.protocol_of(router.body, known) or Protocol.HTTP]
    yield from (((key,), kind) for key, kind in _OF_A_SERVICE.items() if key in keys)
    own = keys.get(endpoints.ENDPOINTS)
    for name, body in own.items() if isinstance(own, dict) else ():
        if isinstance(body, dict) and "loadBalancer" in body:
            balancer = endpoints.BALANCERS[known.get(name) or Protocol.HTTP]
            yield (endpoints.ENDPOINTS, name, "loadBalancer"), balancer


def is_inside(path: KeyPath) -> bool:
    """Return whether a path leads to a part of an object of Traefik's that may go unchecked: none of ours."""
    match path:
        case ("tls", "certificates"):
            return True
        case (section, _, _, *_) if section in SECTIONS:
            return True
        case ("services", _, *inside) | ("defaults", *inside):
            pass
        case _:
            return False
    match inside:
        case ["sticky", *_]:
            return True
        case ["router" | "preview" | "loadBalancer", key, *_] | ["routers", _, key, *_]:
            return key not in _OURS
        case ["endpoints", _, "loadBalancer", key, *_]:
            return key not in _OURS
    return False


def find(value: object, name: str) -> KeyPath | None:
    """Return the path that a dotted name such as `http.middlewares.compress` means; names may have dots themselves."""
    if not isinstance(value, dict):
        return None
    for key, inner in value.items():
        if fold(name) == fold(key):
            return (key,)
        if fold(name).startswith(f"{fold(key)}."):
            below = find(inner, name[len(key) + 1 :])
            if below is not None:
                return (key, *below)
    return None


def without(value: Any, path: KeyPath) -> Any:
    """Return a copy of a value without the part at a path; the original is not changed.

    A name in a section stays, with an empty object: names are still checked.
    """

    def cut(here: Any, rest: KeyPath) -> Any:
        key, below = rest[0], rest[1:]
        if below:
            return {**here, key: cut(here[key], below)}
        return {**here, key: {}} if is_name else {name: inner for name, inner in here.items() if name != key}

    is_name = len(path) == 3 and path[0] in SECTIONS
    return cut(value, path)


def put_back(value: Any, path: KeyPath, part: object) -> None:
    """Put a part back into a validated value."""
    for key in path[:-1]:
        value = value.setdefault(key, {})
    value[path[-1]] = part


def at(value: Any, path: KeyPath) -> object:
    """Return the value at a path."""
    for key in path:
        value = value[key]
    return value


class _Reader:
    """Collects findings. `at` is the current path: a tuple for each value would take longer than reading it."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self.at: list[str | int] = []

    def service(self, keys: dict[str, Any], defaults: Mapping[str, Any], *path: str) -> dict[str, Any]:
        read = {**keys}
        for inside, kind in _kinds(keys, defaults):
            self.at = [*path, *inside]
            here, there = read, keys
            *above, last = map(str, inside)
            for key in above:
                there = there[key]
                if here[key] is there:  # what is given stays as it is
                    here[key] = {**there}
                here = here[key]
            here[last] = self._value(kind, there[last])
        return read

    def section(self, name: str, value: object) -> object:
        self.at = [name]
        return self._value(DOCUMENT.fields[name].kind, value)

    def _value(self, kind: Kind, value: object) -> object:
        if isinstance(kind, Scalar):
            return value if isinstance(value, str) and kind in TEXTS else _scalar(kind, value)
        if isinstance(kind, Many):
            items = value if isinstance(value, list) else _split(kind.item, value)
            return self._items(kind.item, items) if isinstance(items, list) else value
        if not isinstance(value, dict):
            return value
        match kind:
            case Struct():
                return self._struct(kind, value)
            case Named():
                return self._named(kind, value)
            case Anything():
                return value
        assert_never(kind)

    def _items(self, kind: Scalar | Struct, items: list[object]) -> list[object]:
        read = []
        for index, item in enumerate(items):
            self.at.append(index)
            read.append(self._value(kind, item))
            self.at.pop()
        return read

    def _struct(self, struct: Struct, value: dict[str, object]) -> dict[str, object]:
        fields = struct.fields
        read: dict[str, object] = {}
        for written, inner in value.items():
            key = written if written in fields else struct.key(written)
            if key is None:
                read[written] = inner
                continue
            self.at.append(written)
            if key in read:
                why = "to Traefik, which reads keys in any case: keep one of them"
                self._found(f"is the key {key!r} once more {why}")
            read[key] = self._field(fields[key], inner)
            self.at.pop()
        return read

    def _field(self, field: Field, value: object) -> object:
        if field.may_be_empty and isinstance(value, bool | str):
            switch = value if isinstance(value, bool) else {"true": True, "false": False}.get(value.lower())
            if switch is not None:
                return {} if switch else False
        return self._value(field.kind, value)

    def _named(self, kind: Named, value: dict[str, object]) -> dict[str, object]:
        are_headers = kind.value is Scalar.FREE
        seen: dict[str, str] = {}
        read = {}
        for name, inner in value.items():
            self.at.append(name)
            if are_headers and seen.setdefault(name.lower(), name) != name:
                first = seen[name.lower()]
                self._found(f"is the header {first!r} once more, and Traefik sends either: keep one of them")
            read[name] = self._value(kind.value, inner)
            self.at.pop()
        return read

    def _found(self, message: str) -> None:
        self.findings.append(Finding(tuple(self.at), message, on_key=True))


def _split(item: Scalar | Struct, value: object) -> object:
    """Return the list that Traefik makes of a text, a number or a boolean: it splits at commas."""
    if not isinstance(item, Scalar) or not isinstance(value, str | int):
        return value
    return split(str(_scalar(Scalar.TEXT, value)))


def _scalar(kind: Scalar, value: object) -> object:
    """Return a value as Traefik converts it, the value itself where that would not decode."""
    if kind in TEXTS:
        if isinstance(value, bool):
            return str(value).lower()
        return str(value) if isinstance(value, int) else value
    if kind is Scalar.BOOL:
        number = isinstance(value, int) and not isinstance(value, bool)
        return BOOLEANS.get(str(value) if number else value, value) if isinstance(value, str | int) else value
    if isinstance(value, float) and value.is_integer() and abs(value) < INT_MOST:
        value = int(value)
    whole = read_int(value) if isinstance(value, str) else value
    if not isinstance(whole, int) or isinstance(value, bool):
        return value
    return whole if kind is Scalar.INT else f"{value}s"
