"""YAML text -> values that JSON can hold, with the place of every key and value kept beside them.

Built on the events of PyYAML's CSafeLoader rather than on its nodes: composing nodes recurses in C without a limit,
and a file of 200,000 brackets ends the process that way. Scalars mean what they mean in YAML 1.2: `on`, `12:30:45`,
`1_000`, `007` and dates are text, as written.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator
from functools import cached_property
from typing import Any, NoReturn, TypeAlias

import yaml

from provider.errors import DesiredStateError, Problem
from provider.model.traefik_schema import fold
from provider.text import clean
from provider.turns import free

MAX_BYTES = 5 * 1024 * 1024
MAX_ALIASED_NODES = 100_000
MAX_DEPTH = 100
KEY_MOST = 100
"""So much of a key is told in a message."""

KeyPath: TypeAlias = tuple[str | int, ...]

_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAYBE_NO_TEXT = frozenset("0123456789+-.tTfFnN~")
_TEXT_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str"})
_CONTAINER_TAGS = frozenset({None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})

_HINTS = {
    "mapping values are not allowed in this context": "quote a value that contains ': ', or check the indentation",
    "could not find expected ':'": "is a ':' missing, or the indentation off?",
    "did not find expected key": "check the indentation, quotes and brackets above",
    "found unexpected end of stream": "is a closing quote missing?",
}


class Tree:
    """The values of one file, and where in its text each of them stands."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file
        self.value: object = None
        self.problems: list[Problem] = []
        # For each container by identity: the keys of a mapping (None for a list), and the offsets of the keys or
        # items and of the values.
        self.places: dict[int, tuple[list[str] | None, list[int], list[int]]] = {}
        # What stands at an offset where a plain scalar is not text: `1.10` is a version to one and 1.1 to another.
        self.scalars: dict[int, str] = {}
        self._indexes: dict[int, dict[str, int]] = {}

    @cached_property
    def _line_ends(self) -> list[int]:
        return [found.start() for found in re.finditer("\n", self.text)]

    def free(self) -> None:
        """Let go of everything; call it in the thread that has read the file."""
        services = self.value.get("services") if isinstance(self.value, dict) else None
        free(services if isinstance(services, dict) else {}, self.places, self.scalars, self._indexes)

    def problem(self, offset: int, path: KeyPath, message: str) -> Problem:
        """Return the problem that `message` states about `path`, placed at `offset`."""
        line = bisect_left(self._line_ends, offset)
        begins = self._line_ends[line - 1] + 1 if line else 0
        return Problem(self.file, line + 1, offset - begins + 1, dotted(path), message)

    def place(self, path: KeyPath) -> str:
        """Return `file:line:column` of the key at the end of `path`."""
        spot = self.problem(self.offset(path, of_key=True), (), "")
        return f"{spot.file}:{spot.line}:{spot.column}"

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

    def _index(self, mapping: dict[str, object]) -> dict[str, int]:
        index = self._indexes.get(id(mapping))
        if index is None:
            keys, _, _ = self.places[id(mapping)]
            index = self._indexes[id(mapping)] = {key: number for number, key in enumerate(keys or ())}
        return index

    def written(self, path: KeyPath) -> str | None:
        """Return the text of a number, boolean or null as it stands in the file, None for anything else."""
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


def read(text: str, file: str) -> Tree:
    """Return the tree of a text, with the problems that leave something to be validated (duplicate keys, odd tags).

    Raises DesiredStateError where the text is too large, is no YAML, or says nothing.
    """
    tree = Tree(text.removeprefix("\ufeff"), file)
    reader = _Reader(tree)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        reader.refuse(error.start, "not UTF-8 text: a lone surrogate")
    if size > MAX_BYTES:
        reader.refuse(0, f"{size / 1024 / 1024:.1f} MiB are too much: a desired-state file has 5 MiB at most")
    try:
        reader.run()
    except yaml.MarkedYAMLError as error:
        reader.refuse(*_plain_words(error, tree.text))
    except yaml.reader.ReaderError as error:
        # libyaml counts bytes here.
        before = tree.text.encode()[: error.position].decode(errors="ignore")
        reader.refuse(len(before), f"not valid YAML: {error.reason}")
    return tree


def _plain_words(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    mark = error.problem_mark or error.context_mark
    offset = min(mark.index, len(text)) if mark else 0
    problem = error.problem or "cannot be parsed"
    at = text[offset : offset + 1]
    if problem == "found character that cannot start any token":
        if at == "\t":
            return offset, "not valid YAML: a tab where only spaces may indent"
        return offset, f"not valid YAML: a value cannot begin with {at!r}: put it in quotes"
    begun = f", begun in line {error.context_mark.line + 1}" if error.context and error.context_mark else ""
    context = f" {error.context}{begun}" if error.context else ""
    hint = _HINTS.get(problem)
    return offset, f"not valid YAML: {problem}{context}" + (f" ({hint})" if hint else "")


def _offset(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.index


class _Frame:
    """One container under construction. `keys` is None in a list; a mapping with as many values awaits a key."""

    __slots__ = ("anchor", "before", "keys", "keys_at", "merges", "values", "values_at")

    def __init__(self, keys: list[str] | None, anchor: str | None, before: int) -> None:
        self.keys = keys
        self.values: list[object] = []
        self.keys_at: list[int] = []
        self.values_at: list[int] = []
        self.merges: list[int] | None = None
        self.anchor = anchor
        self.before = before


class _Reader:
    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.top = _Frame(None, None, 0)
        self.stack: list[_Frame] = [self.top]
        self.anchors: dict[str, tuple[object, int, int]] = {}  # value, size in nodes, offset
        self.nodes = 0  # with aliases expanded
        self.aliased = 0

    def run(self) -> None:
        """Read the one document of the text; the hot loop of loading."""
        stack = self.stack
        frame = self.top
        for event in self._events():
            if isinstance(event, yaml.ScalarEvent):
                self._scalar(event, frame)
            elif isinstance(event, yaml.CollectionStartEvent):
                frame = self._begin(event, frame)
                stack.append(frame)
            elif isinstance(event, yaml.CollectionEndEvent):
                done = stack.pop()
                frame = stack[-1]
                value = self._finish(done)
                if done.anchor:
                    self.anchors[done.anchor] = (value, self.nodes - done.before, frame.values_at[-1])
                frame.values.append(value)
            elif isinstance(event, yaml.AliasEvent):
                self._alias(str(event.anchor), _offset(event))
            elif isinstance(event, yaml.DocumentStartEvent) and self.top.values:
                self.refuse(_offset(event), "a second document: the file is one, so remove this '---'")
        if not self.top.values or self.top.values[0] is None:
            self.refuse(0, "the file is empty: it needs at least 'environment' and 'services'")
        self.tree.value = self.top.values[0]

    def refuse(self, offset: int, message: str) -> NoReturn:
        """Raise for something that makes the rest of the text unreadable, with all that was found before it."""
        problems = [*self.tree.problems, self.tree.problem(offset, (), message)]
        raise DesiredStateError(tuple(sorted(problems))) from None

    def _events(self) -> Iterator[yaml.Event]:
        return iter(yaml.CSafeLoader(self.tree.text).get_event, None)

    def _scalar(self, event: yaml.ScalarEvent, frame: _Frame) -> None:
        self.nodes += 1
        text = event.value
        value: object = text
        offset = _offset(event)
        keys = frame.keys
        if keys is not None and len(keys) == len(frame.values):
            if text == "<<" and event.implicit[0]:
                frame.merges = [*(frame.merges or ()), len(keys)]
            keys.append(text)
            frame.keys_at.append(offset)
        else:
            if event.tag not in _TEXT_TAGS:
                self._odd_tag(event.tag, offset)
            elif event.implicit[0] and (not text or text[0] in _MAYBE_NO_TEXT):
                value = self._plain(text, offset)
                if value is not text:
                    self.tree.scalars[offset] = text
            frame.values.append(value)
            frame.values_at.append(offset)
        if event.anchor:
            self.anchors[event.anchor] = (value, 1, offset)

    def _begin(self, event: yaml.CollectionStartEvent, frame: _Frame) -> _Frame:
        offset = _offset(event)
        if frame.keys is not None and len(frame.keys) == len(frame.values):
            self.refuse(offset, "a key must be a word, not a mapping or list: quote text that begins with { or [")
        if len(self.stack) > MAX_DEPTH:
            self.refuse(offset, f"nested more than {MAX_DEPTH} deep")
        if event.tag not in _CONTAINER_TAGS:
            self._odd_tag(event.tag, offset)
        frame.values_at.append(offset)
        self.nodes += 1
        return _Frame([] if type(event) is yaml.MappingStartEvent else None, event.anchor, self.nodes - 1)

    def _path(self) -> KeyPath:
        parts: list[str | int] = []
        for frame in self.stack[1:]:
            if frame.keys is None:
                parts.append(len(frame.values))
            elif len(frame.keys) > len(frame.values):
                parts.append(frame.keys[-1])
        return tuple(parts)

    def _note(self, offset: int, message: str) -> None:
        self.tree.problems.append(self.tree.problem(offset, self._path(), message))

    def _plain(self, text: str, offset: int) -> object:
        if text in _NULL:
            return None
        if text in _BOOL:
            return _BOOL[text]
        if _INT.fullmatch(text):
            if len(text) <= 20 and -(2**63) <= (number := int(text, 0)) < 2**63:
                return number
            self._note(offset, f"{text[:40]} is no 64-bit number: put it in quotes if it is text")
        elif _FLOAT.fullmatch(text):
            if abs(real := float(text)) != float("inf"):
                return real
            self._note(offset, f"{text[:40]} is too large a number: put it in quotes if it is text")
        elif _NO_NUMBER.fullmatch(text):
            self._note(offset, f"{text} is no number that JSON can hold: put it in quotes if it is text")
        return text

    def _odd_tag(self, tag: str | None, offset: int) -> None:
        shown = str(tag).replace("tag:yaml.org,2002:", "!!")
        self._note(offset, f"the tag {shown} is not supported: write the value without it")

    def _alias(self, name: str, offset: int) -> None:
        frame = self.stack[-1]
        if frame.keys is not None and len(frame.keys) == len(frame.values):
            self.refuse(offset, f"a key must be written out, not be the alias *{name}")
        if any(open_.anchor == name for open_ in self.stack):
            self.refuse(offset, f"the alias *{name} stands inside the value that it repeats")
        if name not in self.anchors:
            self.refuse(offset, f"the alias *{name} has no anchor &{name} above it")
        value, size, origin = self.anchors[name]
        if origin in self.tree.scalars:
            self.tree.scalars[offset] = self.tree.scalars[origin]
        self.nodes += size
        self.aliased += size
        if self.aliased > MAX_ALIASED_NODES:
            self.refuse(offset, f"aliases repeat more than {MAX_ALIASED_NODES:,} values: write less with them")
        frame.values.append(value)
        frame.values_at.append(offset)

    def _finish(self, frame: _Frame) -> object:
        keys, values = frame.keys, frame.values
        if keys is None:
            self.tree.places[id(values)] = (None, frame.values_at, frame.values_at)
            return values
        mapping = dict(zip(keys, values, strict=True))
        if len(mapping) != len(keys):
            self._duplicates(frame, keys)
        if frame.merges:
            self._merge(frame, keys, mapping)
        self.tree.places[id(mapping)] = (keys, frame.keys_at, frame.values_at)
        return mapping

    def _duplicates(self, frame: _Frame, keys: list[str]) -> None:
        first: dict[str, int] = {}
        for key, offset in zip(keys, frame.keys_at, strict=True):
            if key in first:
                spot = self.tree.problem(first[key], (), "")
                message = f"duplicate key, first written at {spot.file}:{spot.line}:{spot.column}"
                self.tree.problems.append(self.tree.problem(offset, (*self._path(), key), message))
            first.setdefault(key, offset)

    def _merge(self, frame: _Frame, keys: list[str], mapping: dict[str, object]) -> None:
        """Put the keys of the mappings under `<<` behind those written here, which win; the first mapping wins next."""
        for index in frame.merges or ():
            found = frame.values[index]
            for source in found if isinstance(found, list) else [found]:
                if not isinstance(source, dict):
                    self._note(frame.keys_at[index], "'<<' takes an alias of a mapping, or a list of them")
                    continue
                source_keys, keys_at, values_at = self.tree.places[id(source)]
                for key, key_at, value_at in zip(source_keys or (), keys_at, values_at, strict=True):
                    if key in source and key not in mapping:
                        mapping[key] = source[key]
                        keys.append(key)
                        frame.keys_at.append(key_at)
                        frame.values_at.append(value_at)
        del mapping["<<"]
