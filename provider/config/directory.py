"""The files of a directory as one desired state (rule 62): services and names for Traefik from all of
them, all else from one file.

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
from provider.model.traefik_schema import DOCUMENT

ATTEMPTS = 5
SECTIONS = tuple(DOCUMENT.fields)
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

    def chunk(self, *path: str) -> Iterator[tuple[int, str]]:
        """Yield the lines of a key with their numbers, and the comments above it."""
        for number in range(*self._span(path)):
            if not _MARK.match(self.lines[number - 1]):
                yield number, self.lines[number - 1]

    def begins(self, *path: str) -> int:
        """Return the line of a key."""
        return self.problem(path, "").line

    def column(self, *path: str) -> int:
        """Return how far a key is from the left."""
        return self.problem(path, "").column - 1

    def section(self, *path: str) -> dict[str, object]:
        """Return the mapping at a path; an empty one where there is none."""
        found: object = self.value
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return found if isinstance(found, dict) else {}

    def keys_apart(self, *path: str) -> dict[str, object]:
        """Return a mapping of which each key has lines of its own. Raises DesiredStateError."""
        found = self.section(*path)
        if found and self._is_flow(found):
            raise self.refused(path, "write one key a line, without braces, to have it put together with others")
        return found

    def _span(self, path: tuple[str, ...]) -> tuple[int, int]:
        """Return the first line of a key, comments above included, and the one behind it."""
        *above, _ = path
        first, end = (self.begins(*above) + 1, self._span(tuple(above))[1]) if above else (1, len(self.lines) + 1)
        begins = sorted(self.begins(*above, each) for each in self.section(*above))
        index = begins.index(self.begins(*path))
        return (
            self._above(begins[index]) if index else first,
            self._above(begins[index + 1]) if index + 1 < len(begins) else end,
        )

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
        for path in _units(part):
            other = first.setdefault(path, part)
            if other is part:
                continue
            there = other.tree.place(path)
            if path[0] == SERVICES:
                yield part.problem(path, f"this service is also at {there}: name it once")
            elif len(path) == 3:
                yield part.problem(path, f"this name is also at {there}: name it once")
            elif path != (ENVIRONMENT,):
                message = f"is also at {there}: of several files services are put together, and names for Traefik"
                yield part.problem(path, message)
            elif part.value[ENVIRONMENT] != other.value[ENVIRONMENT]:
                own = part.value[ENVIRONMENT]
                yield part.problem(path, f"{own!r} is not that of {there}: a directory is of one environment")


def _units(part: _Part) -> Iterator[KeyPath]:
    """Yield what only one file may have: a service, a name in a section for Traefik, any other key."""
    for key in part.value:
        if key == SERVICES:
            yield from ((SERVICES, name) for name in part.services)
        elif key in SECTIONS:
            for kind, named in part.section(key).items():
                yield from ((key, kind, name) for name in named) if isinstance(named, dict) else ((key, kind),)
        else:
            yield (key,)


def _lines(parts: Sequence[_Part]) -> Iterator[tuple[str, Origin | None]]:
    """Yield the lines of the one text, and where each is from."""
    seen = set[str]()
    for part in parts:
        for key in part.value:
            if key == SERVICES or key in seen:
                continue
            seen.add(key)
            holders = [other for other in parts if key in other.value] if key in SECTIONS else [part]
            if len(holders) > 1:
                yield from _section_lines(holders, key)
            else:
                yield from ((line, Origin(part.tree.file, number, 0)) for number, line in part.chunk(key))
    if not any(SERVICES in part.value for part in parts):
        return
    has_services = any(part.services for part in parts)
    yield f"{SERVICES}:\n" if has_services else f"{SERVICES}: {{}}\n", None
    indent = max(part.indent for part in parts)
    for part in parts:
        if not part.services:
            continue
        yield _named_after(part, indent)
        for number, line in part.chunk(SERVICES):
            if part.is_auto and number == part.begins(SERVICES):
                yield f'{" " * indent}"{EVERY_OTHER}": {AUTO}\n', Origin(part.tree.file, number, indent)
            elif number != part.begins(SERVICES):
                yield _moved(part, number, line, indent - part.indent)


def _section_lines(parts: Sequence[_Part], key: str) -> Iterator[tuple[str, Origin | None]]:
    """Yield the lines of a section for Traefik that several files have."""
    kinds = list(dict.fromkeys(kind for part in parts for kind in part.keys_apart(key)))
    yield f"{key}:\n" if kinds else f"{key}: {{}}\n", None
    indent = max((part.column(key, kind) for part in parts for kind in part.section(key)), default=0)
    for kind in kinds:
        holders = [part for part in parts if kind in part.section(key)]
        if len(holders) == 1:
            (part,) = holders
            yield _named_after(part, indent)
            for number, line in part.chunk(key, kind):
                yield _moved(part, number, line, indent - part.column(key, kind))
            continue
        named = [part for part in holders if part.keys_apart(key, kind)]
        yield f"{' ' * indent}{kind}:\n" if named else f"{' ' * indent}{kind}: {{}}\n", None
        columns = [part.column(key, kind, next(iter(part.section(key, kind)))) for part in named]
        inner = max([indent + 2, *columns])
        for part, column in zip(named, columns, strict=True):
            yield _named_after(part, inner)
            for number, line in part.chunk(key, kind):
                if number != part.begins(key, kind):
                    yield _moved(part, number, line, inner - column)


def _named_after(part: _Part, indent: int) -> tuple[str, None]:
    return f"{' ' * indent}# {Path(part.tree.file).name.encode('unicode_escape').decode()}\n", None


def _moved(part: _Part, number: int, line: str, by: int) -> tuple[str, Origin]:
    return f"{' ' * by if line.strip() else ''}{line}", Origin(part.tree.file, number, by)


def _value(parts: Sequence[_Part]) -> dict[str, object]:
    value: dict[str, object] = {}
    for part in reversed(parts):
        value |= part.value
    for key in value:
        holders = [part for part in parts if key in part.value] if key in SECTIONS else []
        if len(holders) > 1:
            value[key] = _section_value(holders, key)
    if SERVICES in value:
        value[SERVICES] = {name: keys for part in parts for name, keys in part.services.items()}
    return value


def _section_value(parts: Sequence[_Part], key: str) -> dict[str, object]:
    found: dict[str, object] = {}
    for part in parts:
        for kind, named in part.section(key).items():
            before = found.get(kind)
            found[kind] = {**before, **named} if isinstance(before, dict) and isinstance(named, dict) else named
    return found
