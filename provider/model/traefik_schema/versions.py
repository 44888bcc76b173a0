"""The keys of a file that an older Traefik does not know."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from provider.model.traefik_schema.kinds import FIRST, Kind, Many, Named, Struct, Version

_VERSION = re.compile(r"v?([0-9]{1,4})\.([0-9]{1,4})(?:\.([0-9]{1,4}))?")


class Later(NamedTuple):
    """A key that came after 3.0: its dotted path in the file, and the version that added it."""

    path: str
    since: Version


def parse_version(text: str) -> Version | None:
    """Return the version of Traefik's API, such as `3.7.15` or `v3.6.0-rc.1`; None where it is none."""
    found = _VERSION.match(text)
    return tuple(int(part) for part in found.groups() if part is not None) if found else None


def later_keys(kind: Kind, value: object, path: str) -> Iterator[Later]:
    """Yield every key of a value of Traefik's that came after 3.0."""
    if isinstance(value, dict):
        if isinstance(kind, Struct):
            for key, inner in value.items():
                field = kind.fields.get(key)
                if field is None:
                    continue
                if field.since > FIRST:
                    yield Later(f"{path}.{key}", field.since)
                if isinstance(inner, dict | list):
                    yield from later_keys(field.kind, inner, f"{path}.{key}")
        elif isinstance(kind, Named) and isinstance(kind.value, Struct):
            for name, inner in value.items():
                yield from later_keys(kind.value, inner, f"{path}.{name}")
    elif isinstance(value, list) and isinstance(kind, Many) and isinstance(kind.item, Struct):
        for index, inner in enumerate(value):
            yield from later_keys(kind.item, inner, f"{path}[{index}]")


def unknown_to(version: Version, keys: Iterable[Later]) -> tuple[Later, ...]:
    """Return those keys that a Traefik of this version does not know: it refuses the whole document for one."""
    return tuple(key for key in keys if key.since > version)
