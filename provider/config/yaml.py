"""YAML text -> values that JSON can hold, with the place of every key and value.

Built on the events of PyYAML's CSafeLoader rather than on its nodes: composing nodes recurses in C without a limit,
and a file of 200,000 brackets ends the process that way. Scalars are read as in YAML 1.2: `on`, `12:30:45`,
`1_000`, `007` and dates are text, as written.
"""

import re
from collections.abc import Iterator
from typing import NoReturn, TypeAlias

import yaml

from provider.config import redact
from provider.config.tree import Doubled, KeyPath, Tree
from provider.model.errors import DesiredStateError, Problem

MAX_BYTES = 5 * 1024 * 1024
MAX_ALIASED_NODES = 100_000
MAX_DEPTH = 100
MAX_MISTAKES = 20
_BRIDGE = "x"
"""Replaces a character that YAML cannot read, so that the text after it is read as well."""

_WORD = re.compile(r"[^\s,\[\]{}'\"]*")
_NULL = frozenset({"", "~", "null", "Null", "NULL"})
_BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_NUMBER = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_MAYBE_NO_TEXT = frozenset("0123456789+-.tTfFnN~")
_TEXT_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str"})
_CONTAINER_TAGS = frozenset({None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})

_TAG = "a value cannot begin with '!', which makes it a tag: put all of it in single quotes, as in rule: '!Path(`/x`)'"
_MATCHER = re.compile(r"!\(*[A-Za-z]+\(")
"""A tag that was meant as the negation of a rule's matcher."""
_ESCAPE = "in double quotes a \\ begins an escape: put the text in single quotes, or write \\\\"
_HINTS = {
    "found unknown escape character": _ESCAPE,
    "did not find expected hexdecimal number": _ESCAPE,
    "mapping values are not allowed in this context": "quote a value that contains ': ', or check the indentation",
    "could not find expected ':'": "is a ':' missing, or the indentation off?",
    "did not find expected key": "check the indentation, quotes and brackets above",
    "found unexpected end of stream": "is a closing quote missing?",
}


def read(text: str, file: str) -> Tree:
    """Return the tree of a text, with the problems that leave something to be validated (duplicate keys, odd tags).

    Raises DesiredStateError where the text is too large, no YAML, or empty.
    """
    tree = Tree(text.removeprefix("\ufeff"), file)
    reader = _Reader(tree)
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        reader.refuse(error.start, "not UTF-8 text: a lone surrogate")
    if size > MAX_BYTES:
        reader.refuse(0, f"{size / 1024 / 1024:.1f} MiB are too much: a desired-state file has 5 MiB at most")
    mistakes: list[Problem] = []
    while True:
        tree.problems += mistakes
        try:
            reader.run()
        except yaml.MarkedYAMLError as error:
            offset, message, is_one_character = _described(error, tree.text)
            if not is_one_character or len(mistakes) == MAX_MISTAKES or tree.text[offset] == _BRIDGE:
                reader.refuse(offset, message)
            mistakes.append(tree.problem(offset, (), message))
            tree = Tree(f"{tree.text[:offset]}{_BRIDGE}{tree.text[offset + 1 :]}", file)
            reader = _Reader(tree)
        except yaml.reader.ReaderError as error:
            # libyaml counts bytes here.
            before = tree.text.encode()[: error.position].decode(errors="ignore")
            reader.refuse(len(before), f"not valid YAML: {error.reason}")
        else:
            return tree


def _described(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str, bool]:
    """Return the offset of an error, its message, and whether it is one character, after which reading can go on.

    Such a character has a meaning in YAML where text was intended.
    """
    mark = error.problem_mark or error.context_mark
    offset = min(mark.index, len(text)) if mark else 0
    problem = error.problem or "cannot be parsed"
    at = text[offset : offset + 1]
    begun_at = error.context_mark.index if error.context_mark else offset
    match error.context:
        case "while scanning a tag":
            return begun_at, f"not valid YAML: {_TAG}", True
        case "while scanning an alias" | "while scanning an anchor":
            if text[:begun_at].rstrip()[-1:] in {"'", '"'}:
                message = "a value goes on behind its closing quote: put all of it in one pair of quotes"
                return begun_at, f"not valid YAML: {message}", False
            return begun_at, f"not valid YAML: a value cannot begin with {text[begun_at]!r}: put it in quotes", True
    if problem == "found character that cannot start any token":
        if at == "\t":
            return offset, "not valid YAML: a tab where only spaces may indent", False
        return offset, f"not valid YAML: a value cannot begin with {at!r}: put it in quotes", bool(at)
    begun = f", begun in line {error.context_mark.line + 1}" if error.context and error.context_mark else ""
    context = f" {error.context}{begun}" if error.context else ""
    hint = _HINTS.get(problem)
    message = f"not valid YAML: {problem}{context}" + (f" ({hint})" if hint else "")
    return offset, message, hint == _ESCAPE and at == "\\"


def _offset(event: yaml.Event) -> int:
    assert event.start_mark is not None
    return event.start_mark.index


_Entry: TypeAlias = tuple[str, object, int, int]
"""A key of a mapping, its value, and the offsets of both."""


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
        """Raise for something that makes the rest of the text unreadable, with all problems found before it."""
        problems = [*self.tree.problems, self.tree.problem(offset, (), self._withheld(offset, message))]
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
            if event.tag not in _TEXT_TAGS or (event.tag == "!" and "(" in text):
                self._odd_tag(event.tag, offset)
                value = text or event.tag
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
        self.tree.problems.append(self.tree.problem(offset, self._path(), self._withheld(offset, message)))

    def _withheld(self, offset: int, message: str) -> str:
        """Return a message without what may be a secret: an unquoted one may begin like an alias or a tag."""
        word = _WORD.match(self.tree.text, offset)
        return redact.withheld(self._path(), message, word[0].lstrip("*&!") if word else "")

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
        if tag == "!" or _MATCHER.match(tag or ""):
            self._note(offset, _TAG)
            return
        shown = str(tag).replace("tag:yaml.org,2002:", "!!")
        self._note(offset, f"the tag {shown} is not supported: write the value without it")

    def _alias(self, name: str, offset: int) -> None:
        frame = self.stack[-1]
        if frame.keys is not None and len(frame.keys) == len(frame.values):
            self.refuse(offset, f"a key must be written out, not be the alias *{name}")
        if any(open_.anchor == name for open_ in self.stack):
            self.refuse(offset, f"the alias *{name} is inside the value that it repeats")
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
            self._duplicates(keys, frame.keys_at)
            if frame.merges is None:
                entries = list(zip(keys, values, frame.keys_at, frame.values_at, strict=True))
                mapping, keys, frame.keys_at, frame.values_at = self._joined(self._path(), entries)
        if frame.merges:
            self._merge(frame, keys, mapping)
        self.tree.places[id(mapping)] = (keys, frame.keys_at, frame.values_at)
        return mapping

    def _joined(
        self, path: KeyPath, entries: list[_Entry]
    ) -> tuple[dict[str, object], list[str], list[int], list[int]]:
        """Merge the mappings under a repeated key, so that all of them are checked; of others the last is kept."""
        kept: dict[str, _Entry] = {}
        for entry in entries:
            key, value, _, _ = entry
            before = kept.get(key)
            if before is None:
                kept[key] = entry
            elif isinstance(before[1], dict) and isinstance(value, dict):
                both = self._join((*path, key), before[1], value)
                kept[key] = (key, both, before[2], before[3])
            else:
                self.tree.doubled.append(Doubled((*path, key), *before[1:]))
                kept[key] = entry
        values = {key: value for key, value, _, _ in kept.values()}
        return values, list(kept), [at for _, _, at, _ in kept.values()], [at for _, _, _, at in kept.values()]

    def _join(self, path: KeyPath, first: dict[str, object], second: dict[str, object]) -> dict[str, object]:
        entries: list[_Entry] = []
        for mapping in (first, second):
            keys, keys_at, values_at = self.tree.places[id(mapping)]
            for key, key_at, value_at in zip(keys or (), keys_at, values_at, strict=True):
                if key in mapping:
                    entries.append((key, mapping[key], key_at, value_at))
        joined, joined_keys, keys_at, values_at = self._joined(path, entries)
        self.tree.places[id(joined)] = (joined_keys, keys_at, values_at)
        return joined

    def _duplicates(self, keys: list[str], keys_at: list[int]) -> None:
        first: dict[str, int] = {}
        for key, offset in zip(keys, keys_at, strict=True):
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
