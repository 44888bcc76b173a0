"""The files of a directory as one desired state (rule 62): services from all of them, all else from one file.

The texts stay as they are written, comments included, and `Whole` leads a place in the one text back to its file.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from provider.config import yaml
from provider.config.reading import read_file, refused
from provider.config.routing import AUTO, EVERY_OTHER
from provider.config.tree import KeyPath, Tree
from provider.config.yaml import MAX_BYTES
from provider.model.errors import DesiredStateError, Problem

ATTEMPTS = 5
SERVICES, ENVIRONMENT = "services", "environment"
AUTO_INDENT = 2
"""How far the line that stands for `services: auto` is from the left at least."""
_MARK = re.compile(r"(---|\.\.\.|%)")
_COMMENT = re.compile(r"(#.*)?\s*")


class Origin(NamedTuple):
    """Where a line of the one text is from; it was moved to the right by so many columns."""

    file: str
    line: int
    moved: int


@dataclass(frozen=True, slots=True)
class Whole:
    """One text; `name` is the file's or the directory's, `origins` have each line of several files."""

    text: str
    name: str
    origins: Sequence[Origin | None] = field(default=(), repr=False)

    def place(self, problem: Problem) -> Problem:
        """Return a problem of the one text at its place in its file."""
        found = self._origin(problem.line)
        message = re.sub(rf"{re.escape(self.name)}:(\d+):(\d+)", self._placed, problem.message)
        if found is None:
            return replace(problem, message=message)
        column = max(1, problem.column - found.moved)
        return replace(problem, file=found.file, line=found.line, column=column, message=message)

    @contextmanager
    def placing(self) -> Iterator[None]:
        """Lead the problems of a DesiredStateError back to the files."""
        refusal: DesiredStateError | None = None
        try:
            yield
        except DesiredStateError as error:
            if not self.origins:
                raise
            refusal = error
        if refusal is not None:  # raised here, or it would hold what was read by the other's traceback
            raise DesiredStateError(tuple(sorted(map(self.place, refusal.problems))))

    def _origin(self, line: int) -> Origin | None:
        return self.origins[line - 1] if 0 < line <= len(self.origins) else None

    def _placed(self, written: re.Match[str]) -> str:
        found = self._origin(int(written[1]))
        return f"{found.file}:{found.line}:{max(1, int(written[2]) - found.moved)}" if found else written[0]


def read(path: Path) -> Whole:
    """Read a file, or all `*.yaml` of a directory. Raises DesiredStateError.

    Files that change while they are read are read again: a swap of Kubernetes replaces all of them at once, and a part
    of each state may be valid, too.
    """
    if not path.is_dir():
        return Whole(read_file(path), str(path))
    for _ in range(ATTEMPTS):
        before = _state(path)
        try:
            found, refusal = _read(path), None
        except DesiredStateError as error:
            found, refusal = None, error
        if _state(path) == before:
            break
    else:
        raise refused(str(path), "its files change while they are read: they are read again once that is over")
    if found is None:
        raise refusal or AssertionError
    return merged(found, str(path))


def files_of(path: Path) -> list[Path]:
    """Return the files of a directory that are put together, in order; none of one that cannot be read."""
    try:
        return sorted(each for each in path.glob("*.yaml") if not each.name.startswith("."))
    except OSError:
        return []


def _read(path: Path) -> list[tuple[str, str]]:
    names = files_of(path)
    if not names:
        raise refused(str(path), "has no *.yaml: name a file, or a directory of them")
    texts, problems, size = list[tuple[str, str]](), list[Problem](), 0
    for each in names:
        try:
            texts.append((str(each), read_file(each)))
        except DesiredStateError as error:
            problems += error.problems
            continue
        size += len(texts[-1][1])
        if size > MAX_BYTES:
            raise refused(str(path), "its files have more than 5 MiB in all, and a desired state has 5 MiB at most")
    if problems:
        raise DesiredStateError(tuple(problems))
    return texts


def _state(path: Path) -> list[tuple[str, str, int, int, int]]:
    """Return what changes with any file of a directory, and with where a symlink leads."""
    found = []
    for each in files_of(path):
        try:
            status = each.stat()
        except OSError:
            found.append((str(each), "", 0, 0, 0))
        else:
            found.append((str(each), str(each.resolve()), status.st_ino, status.st_mtime_ns, status.st_size))
    return found


def merged(texts: Sequence[tuple[str, str]], name: str) -> Whole:
    """Put texts together, each with the name of its file; `name` is that of all. Raises DesiredStateError."""
    if len(texts) == 1:
        return Whole(texts[0][1], texts[0][0])
    parts, problems = list[_Part](), list[Problem]()
    for file, text in texts:
        try:
            parts.append(_Part(yaml.read(text, file)))
        except DesiredStateError as error:
            problems += error.problems
    problems += _clashes(parts)
    if problems:
        raise DesiredStateError(tuple(problems))
    lines = list(_lines(parts))
    whole = Whole("".join(line for line, _ in lines), name, [origin for _, origin in lines])
    if yaml.read(whole.text, name).value != _value(parts):
        raise refused(name, "the files cannot be put together as they are: write the values of aliases out")
    return whole


class _Part:
    """One file: its keys, and the lines of each."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        if not isinstance(tree.value, dict):
            raise refused(tree.file, "must be a mapping, with the keys of a desired state")
        self.value: dict[str, object] = tree.value
        self.lines = tree.text.splitlines(keepends=True)
        if self.lines and not self.lines[-1].endswith("\n"):
            self.lines[-1] += "\n"
        services = self.value.get(SERVICES)
        self.is_auto = services == AUTO
        if services is not None and not self.is_auto and not isinstance(services, dict):
            raise self.refused((SERVICES,), "must be a mapping of services, or auto")
        named: dict[str, object] = services if isinstance(services, dict) else {}
        self.services = {EVERY_OTHER: AUTO} if self.is_auto else named
        for path, mapping in (((), self.value), ((SERVICES,), named)):
            if mapping and self._is_flow(mapping):
                raise self.refused(path, "write one key a line, without braces, to have it put together with others")

    def refused(self, path: KeyPath, message: str) -> DesiredStateError:
        return DesiredStateError((self.problem(path, message),))

    def problem(self, path: KeyPath, message: str) -> Problem:
        return self.tree.problem(self.tree.offset(path, of_key=True), path, message)

    @property
    def indent(self) -> int:
        """How far its services are from the left."""
        if self.is_auto:
            return AUTO_INDENT
        return min((self.problem((SERVICES, name), "").column - 1 for name in self.services), default=0)

    def chunk(self, key: str) -> Iterator[tuple[int, str]]:
        """Yield the lines of a key with their numbers, and the comments above it."""
        begins = sorted(self._line(each) for each in self.value)
        index = begins.index(self._line(key))
        begin = self._above(begins[index]) if index else 1
        end = self._above(begins[index + 1]) if index + 1 < len(begins) else len(self.lines) + 1
        for number in range(begin, end):
            if not _MARK.match(self.lines[number - 1]):
                yield number, self.lines[number - 1]

    def begins(self, key: str) -> int:
        """Return the line of a key."""
        return self._line(key)

    def _line(self, key: str) -> int:
        return self.problem((key,), "").line

    def _above(self, line: int) -> int:
        while line > 1 and _COMMENT.fullmatch(self.lines[line - 2]):
            line -= 1
        return line

    def _is_flow(self, mapping: dict[str, object]) -> bool:
        _, keys_at, _ = self.tree.places[id(mapping)]
        return self.tree.text[: keys_at[0]].rstrip().endswith("{")


def _clashes(parts: Sequence[_Part]) -> Iterator[Problem]:
    first: dict[KeyPath, _Part] = {}
    for part in parts:
        for path in [*((key,) for key in part.value if key != SERVICES), *((SERVICES, name) for name in part.services)]:
            other = first.setdefault(path, part)
            if other is part:
                continue
            there = other.tree.place(path)
            if len(path) == 2:
                yield part.problem(path, f"this service is also at {there}: name it once")
            elif path != (ENVIRONMENT,):
                yield part.problem(path, f"is also at {there}: of several files only services are put together")
            elif part.value[ENVIRONMENT] != other.value[ENVIRONMENT]:
                own = part.value[ENVIRONMENT]
                yield part.problem(path, f"{own!r} is not that of {there}: a directory is of one environment")


def _lines(parts: Sequence[_Part]) -> Iterator[tuple[str, Origin | None]]:
    """Yield the lines of the one text, and where each is from."""
    seen = set[str]()
    for part in parts:
        for key in part.value:
            if key != SERVICES and key not in seen:
                seen.add(key)
                yield from ((line, Origin(part.tree.file, number, 0)) for number, line in part.chunk(key))
    if not any(SERVICES in part.value for part in parts):
        return
    has_services = any(part.services for part in parts)
    yield f"{SERVICES}:\n" if has_services else f"{SERVICES}: {{}}\n", None
    indent = max(part.indent for part in parts)
    for part in parts:
        if not part.services:
            continue
        yield f"{' ' * indent}# {Path(part.tree.file).name.encode('unicode_escape').decode()}\n", None
        moved = indent - part.indent
        for number, line in part.chunk(SERVICES):
            if part.is_auto and number == part.begins(SERVICES):
                yield f'{" " * indent}"{EVERY_OTHER}": {AUTO}\n', Origin(part.tree.file, number, indent)
            elif number != part.begins(SERVICES):
                yield f"{' ' * moved if line.strip() else ''}{line}", Origin(part.tree.file, number, moved)


def _value(parts: Sequence[_Part]) -> dict[str, object]:
    value: dict[str, object] = {}
    for part in reversed(parts):
        value |= part.value
    if SERVICES in value:
        value[SERVICES] = {name: keys for part in parts for name, keys in part.services.items()}
    return value
