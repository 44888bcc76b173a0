"""The values of one file, with the place of each in its text."""

import re
from bisect import bisect_left
from functools import cached_property
from typing import Any, NamedTuple, TypeAlias

from provider.model.errors import Problem
from provider.model.text import clean
from provider.model.traefik_schema import fold
from provider.runtime.timeslice import free

KEY_MOST = 100
"""Maximum length of a key in a message."""

KeyPath: TypeAlias = tuple[str | int, ...]


class Doubled(NamedTuple):
    """A value of a key that is repeated further down, and its place."""

    path: KeyPath
    value: object
    key_at: int
    value_at: int


class Tree:
    """The values of one file, with the place of each in its text."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.value: object = None
        self.problems: list[Problem] = []
        # For each container by identity: the keys of a mapping (None for a list), and the offsets of the keys or
        # items and of the values.
        self.places: dict[int, tuple[list[str] | None, list[int], list[int]]] = {}
        # The text at an offset where a plain scalar is not text: `1.10` may be a version or the number 1.1.
        self.scalars: dict[int, str] = {}
        self._indexes: dict[int, dict[str, int]] = {}
        self.doubled: list[Doubled] = []
        self._spelt: dict[KeyPath, str] = {}

    @cached_property
    def _line_ends(self) -> list[int]:
        return [found.start() for found in re.finditer("\n", self.text)]

    def free(self) -> None:
        """Free everything; call it in the thread that read the file."""
        services = self.value.get("services") if isinstance(self.value, dict) else None
        free(services if isinstance(services, dict) else {}, self.places, self.scalars, self._indexes)

    def problem(self, offset: int, path: KeyPath, message: str) -> Problem:
        """Return the problem that `message` states about `path`, placed at `offset`."""
        line = bisect_left(self._line_ends, offset)
        begins = self._line_ends[line - 1] + 1 if line else 0
        return Problem(self.file, line + 1, offset - begins + 1, dotted(self._as_spelt(path)), message)

    def place(self, path: KeyPath) -> str:
        """Return `file:line:column` of the key at the end of `path`."""
        spot = self.problem(self.offset(path, of_key=True), (), "")
        return f"{spot.file}:{spot.line}:{spot.column}"

    def at(self, path: KeyPath) -> object:
        """Return the value at a path, or at the last part of it that exists."""
        value: Any = self.value
        for part in path:
            inner: Any = value
            try:
                value = inner[part]
            except (LookupError, TypeError):
                break
        return value

    def offset(self, path: KeyPath, *, of_key: bool) -> int:
        """Return where the key (or else its value) at the end of `path` begins; of the last part that exists."""
        value: Any = self.value
        key_at = value_at = 0
        for part in path:
            _, key_offsets, value_offsets = self.places.get(id(value), (None, [], []))
            if isinstance(value, dict) and (written := _as_written(value, part)) is not None:
                index = self._index(value)[written]
                value = value[written]
            elif isinstance(value, list) and isinstance(part, int) and part < len(value):
                index = part
                value = value[part]
            else:
                return key_at
            key_at, value_at = key_offsets[index], value_offsets[index]
        return key_at if of_key else value_at

    def respell(self, path: KeyPath, key: str) -> bool:
        """Read the last key of a path as another, so that what is below it is checked; problems show the old key.

        Return whether that was possible. Where the mapping has that other key as well, this is a duplicate of it.
        """
        mapping = self._at(path[:-1])
        if not isinstance(mapping, dict):
            return False
        written, there = _as_written(mapping, path[-1]), _as_written(mapping, key)
        if written is not None:
            keys, keys_at, values_at = self.places[id(mapping)]
            index = self._index(mapping)[written]
            if there not in {None, written}:
                doubled = Doubled((*path[:-1], key), mapping[written], keys_at[index], values_at[index])
                self.doubled += [doubled] * (doubled not in self.doubled)
                return False
            if keys is not None:
                keys[index] = key
            respelt = [(key if name == written else name, value) for name, value in mapping.items()]
            mapping.clear()
            mapping.update(respelt)
            self._indexes.pop(id(mapping), None)
        elif there is None:
            return False  # else it was respelt already at an alias of this mapping
        self._spelt[*path[:-1], key] = str(path[-1])
        return True

    def swap(self, doubled: "Doubled") -> bool:
        """Replace the value of a key by a duplicate one; return whether that was possible."""
        mapping = self._at(doubled.path[:-1])
        key = _as_written(mapping, doubled.path[-1]) if isinstance(mapping, dict) else None
        if not isinstance(mapping, dict) or key is None:
            return False
        _, keys_at, values_at = self.places[id(mapping)]
        index = self._index(mapping)[key]
        mapping[key] = doubled.value
        keys_at[index], values_at[index] = doubled.key_at, doubled.value_at
        return True

    def _at(self, path: KeyPath) -> object:
        value: Any = self.value
        for part in path:
            match value, part:
                case dict(), str() if (written := _as_written(value, part)) is not None:
                    value = value[written]
                case list(), int() if part < len(value):
                    value = value[part]
                case _:
                    return None
        return value

    def _as_spelt(self, path: KeyPath) -> KeyPath:
        if not self._spelt:
            return path
        return tuple(self._spelt.get(path[: end + 1], part) for end, part in enumerate(path))

    def _index(self, mapping: dict[str, object]) -> dict[str, int]:
        index = self._indexes.get(id(mapping))
        if index is None:
            keys, _, _ = self.places[id(mapping)]
            index = self._indexes[id(mapping)] = {key: number for number, key in enumerate(keys or ())}
        return index

    def written(self, path: KeyPath) -> str | None:
        """Return the text of a number, boolean or null as the file has it, None for anything else."""
        return self.scalars.get(self.offset(path, of_key=False))


def _as_written(mapping: dict[str, object], key: str | int) -> str | None:
    """Return how a mapping has a key, which Traefik reads in any case; None where it has none."""
    if isinstance(key, int) or key in mapping:
        return None if isinstance(key, int) else key
    return next((name for name in mapping if fold(name) == fold(key)), None)


def dotted(path: KeyPath) -> str:
    """Return `services.shop.servers.blue.urls[0]` for a path."""
    parts = (f"[{part}]" if isinstance(part, int) else f".{clean(part, KEY_MOST)}" for part in path)
    return "".join(parts).removeprefix(".")
