"""The kinds of value in Traefik's dynamic configuration, and the format of the tables beside this file.

A row of a struct is a kind, the keys of that kind, and the version that added them where 3.0 did not have them. From
3.0 to 3.7 no key was removed, changed its kind, or stopped being allowed to be empty.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

Version: TypeAlias = tuple[int, ...]

FIRST: Version = (3, 0)
LAST: Version = (3, 7)
"""The newest version that these tables know."""


class Scalar(Enum):
    """A value without parts. The kinds of text differ in what a `$` or a `{{` in them may mean."""

    TEXT = "a name, a path, a file or a choice"
    HOST = "a host, an address or a URL"
    RULE = "a rule"
    USER = "a user with the hash of a password"
    FREE = "any text: a header, an expression, a replacement, a password"
    BOOL = "true or false"
    INT = "a whole number of 64 bits"
    DURATION = "a duration"


TEXTS = frozenset({Scalar.TEXT, Scalar.HOST, Scalar.RULE, Scalar.USER, Scalar.FREE})


class Anything(Enum):
    """A mapping whose keys only a plugin knows."""

    ANYTHING = "anything"


@dataclass(frozen=True, slots=True, eq=False)
class Struct:
    """A mapping with keys that Traefik knows; it reads them in any case."""

    name: str
    fields: Mapping[str, "Field"]
    _by_folded: Mapping[str, str] = field(default_factory=dict, repr=False)

    def key(self, written: str) -> str | None:
        """Return the key as Traefik's documentation spells it; None for an unknown one."""
        return written if written in self.fields else self._by_folded.get(fold(written))


@dataclass(frozen=True, slots=True)
class Many:
    """A list."""

    item: "Scalar | Struct"


@dataclass(frozen=True, slots=True)
class Named:
    """A mapping with keys of the operator's: names, headers."""

    value: "Scalar | Struct"


Kind: TypeAlias = Scalar | Struct | Many | Named | Anything


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a struct. Where a struct or a mapping must not be empty, Traefik refuses the document for it."""

    kind: Kind
    since: Version = FIRST
    may_be_empty: bool = False


@dataclass(frozen=True, slots=True)
class OrEmpty:
    """A struct that may be empty: `{}` and `true` mean all of its defaults, `false` that it is absent."""

    struct: Struct


Row: TypeAlias = tuple[Kind | OrEmpty, str] | tuple[Kind | OrEmpty, str, str]


def fold(key: str) -> str:
    """Return an ASCII key folded as Go's strings.EqualFold compares keys."""
    return key.lower().replace("\u017f", "s")  # the long s; the Kelvin sign is a k in lower case already


def struct(name: str, *rows: Row) -> Struct:
    """Return a struct of the rows of its table."""
    fields: dict[str, Field] = {}
    for kind, keys, *since in rows:
        version = tuple(map(int, since[0].split("."))) if since else FIRST
        is_empty = isinstance(kind, OrEmpty)
        fields |= {
            key: Field(kind.struct if isinstance(kind, OrEmpty) else kind, version, is_empty) for key in keys.split()
        }
    return Struct(name, fields, {fold(key): key for key in fields})


def or_empty(kind: Struct) -> OrEmpty:
    """Mark a struct that may be empty."""
    return OrEmpty(kind)


def many(item: Scalar | Struct) -> Many:
    """Return a list of these."""
    return Many(item)


def named(value: Scalar | Struct) -> Named:
    """Return a mapping of names to these."""
    return Named(value)
