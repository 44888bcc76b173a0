"""The desired-state file: YAML text -> validated models. It takes text and opens nothing."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

from pydantic import ValidationError

from provider.config import build, messages, passed, references, rules, secret, texts, yaml
from provider.config.build import fixed_release
from provider.config.fields import parse_duration
from provider.config.messages import Finding
from provider.config.schema import FILE, File
from provider.config.schema import json_schema as schema
from provider.config.tree import KeyPath, Tree
from provider.config.yaml import MAX_BYTES
from provider.errors import DesiredStateError, Problem
from provider.model import Desired
from provider.turns import uncollected

SERVICES_AT_ONCE = 100

__all__ = ["MAX_BYTES", "fixed_release", "load", "load_accepted", "parse_duration", "schema"]


def load(text: str, file: str) -> Desired:
    """Return the desired state that a file's text describes; `file` is its name in messages.

    Takes half a second of processor time for 10,000 services: call it in a thread where an event loop is running.
    Raises DesiredStateError with everything that is wrong, in the order of the file.
    """
    return _load(text, file, was_accepted=False)[0]


def load_accepted(text: str, file: str) -> tuple[Desired, tuple[Problem, ...]]:
    """Return the desired state of a text that was accepted once, and what newer rules would refuse it for (rule 13).

    What is wrong in an object of Traefik's is passed on as it stands, as it was before. Raises DesiredStateError where
    the daemon's own keys are not understood.
    """
    return _load(text, file, was_accepted=True)


def _load(text: str, file: str, *, was_accepted: bool) -> tuple[Desired, tuple[Problem, ...]]:
    with _collector_at_rest():
        desired, problems = _read(text, file, was_accepted=was_accepted)
        if desired is None:  # raised here, where no frame holds the tree of the file: the error lives longer than it
            raise DesiredStateError(problems)
        return desired, problems


def _read(text: str, file: str, *, was_accepted: bool) -> tuple[Desired | None, tuple[Problem, ...]]:
    """Return the desired state, None for one that is refused, and every problem there is."""
    tree = yaml.read(text, file)
    try:
        seen = _look_at(tree, respells=not was_accepted)
        value, unchecked, validated, errors = seen.value, seen.unchecked, seen.validated, seen.errors
        problems = {*tree.problems, *(problem for _, problem in seen.found)}
        while was_accepted and (wrong := _wrong_in_traefiks(errors) - unchecked):
            unchecked |= wrong  # what is around it may be wrong without it, as an empty object is
            validated, errors = _validate(_without(value, unchecked))
        if problems and (errors or not was_accepted):
            problems.update(_written_again(tree))
            return None, tuple(sorted(problems))
        for path in unchecked:
            passed.put_back(validated, path, passed.at(value, path))
        return build.desired(validated, tree), tuple(sorted(problems))
    finally:
        tree.free()


def _unchecked(value: object) -> tuple[set[KeyPath], list[Finding]]:
    """Return where the parts are that the file has unchecked, and what is wrong with the names that it gives them."""
    traefik = value.get("traefik") if isinstance(value, dict) else None
    names = traefik.get("unchecked") if isinstance(traefik, dict) else None
    paths, findings = set[KeyPath](), list[Finding]()
    for index, name in enumerate(names if isinstance(names, list) else ()):
        path = passed.find(value, name) if isinstance(name, str) else None
        if path is not None and passed.is_inside(path):
            paths.add(path)
        elif isinstance(name, str):
            message = (
                f"{name!r} is no part of an object of Traefik's in this file: write one such as http.middlewares.NAME"
            )
            findings.append(Finding(("traefik", "unchecked", index), message))
    return paths, findings


def _wrong_in_traefiks(errors: list[ValidationError]) -> set[KeyPath]:
    """Return the parts of Traefik's objects that do not validate."""
    found = set[KeyPath]()
    for error in errors:
        for detail in error.errors(include_url=False, include_input=False, include_context=False):
            path = detail["loc"]
            numbers = (index for index, part in enumerate(path) if isinstance(part, int))
            path = path[: next(numbers, len(path))]  # of a list all goes unchecked
            if passed.is_inside(path):
                found.add(path)
    return found


def _without(value: object, paths: set[KeyPath]) -> object:
    """Return a value without these parts. One within another goes with it."""
    for path in list(paths):
        if any(path[:length] in paths for length in range(1, len(path))):
            paths.discard(path)
    for path in paths:
        value = passed.without(value, path)
    return value


class _Seen(NamedTuple):
    """What one look at a file has come to: `found` has each problem with its path."""

    value: object
    unchecked: set[KeyPath]
    validated: File
    errors: list[ValidationError]
    found: list[tuple[KeyPath, Problem]]


def _look_at(tree: Tree, *, respells: bool = True) -> _Seen:
    """Look at all that a file says.

    An unknown key that was meant for a known one is respelt and looked at again: what stands below it may be wrong,
    too, and what is missing without it is not missing.
    """
    misspelt: list[tuple[KeyPath, Problem]] = []
    while True:
        value, found = passed.as_traefik_reads(tree.value)
        unchecked, unknown = _unchecked(value)
        checked = _without(value, unchecked)
        found += [*unknown, *rules.findings(value, tree), *texts.findings(checked), *references.findings(checked)]
        validated, errors = _validate(checked)
        for error in errors:
            found.extend(messages.findings(error, tree))
        told = [
            (
                one,
                tree.problem(
                    tree.offset(one.path, of_key=one.on_key),
                    one.path,
                    secret.withheld(one.path, one.message, tree.at(one.path)),
                ),
            )
            for one in found
        ]
        respelt = [
            (one.path, problem)
            for one, problem in told
            if respells and one.meant is not None and tree.respell(one.path, one.meant)
        ]
        misspelt += respelt
        if not respelt:
            return _Seen(
                value, unchecked, validated, errors, [*misspelt, *((one.path, problem) for one, problem in told)]
            )


def _written_again(tree: Tree) -> Iterator[Problem]:
    """Yield what is wrong with those values of doubled keys that another one further down has replaced."""
    left = list(tree.doubled)
    while left:
        paths: set[KeyPath] = set()
        later = []
        for one in left:
            if any(_is_within(one.path, path) or _is_within(path, one.path) for path in paths):
                later.append(one)
            elif tree.swap(one):
                paths.add(one.path)
        left = later
        for path, problem in _look_at(tree).found:
            if any(_is_within(path, swapped) for swapped in paths):
                yield problem


def _is_within(path: KeyPath, other: KeyPath) -> bool:
    return path[: len(other)] == other


def _validate(value: object) -> tuple[File, list[ValidationError]]:
    """Validate a few services at a time.

    pydantic holds the interpreter for all that it is given: of ten thousand services for a tenth of a second, in which
    the event loop of another thread stands still.
    """
    services = value.get("services") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(services, dict):
        return _validated(value)
    names = list(services)
    file, errors = _validated({**value, "services": {name: services[name] for name in names[:SERVICES_AT_ONCE]}})
    for start in range(SERVICES_AT_ONCE, len(names), SERVICES_AT_ONCE):
        some = {name: services[name] for name in names[start : start + SERVICES_AT_ONCE]}
        more, wrong = _validated({"environment": "looked at already", "services": some})
        errors += wrong
        if not errors:
            file["services"].update(more["services"])
    return file, errors


def _validated(value: object) -> tuple[File, list[ValidationError]]:
    try:
        return FILE.validate_python(value), []
    except ValidationError as error:
        return cast("File", {}), [error]


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Pause the garbage collector: walking a million young values again and again takes longer than making them.

    Then it is told to leave them alone, or the next allocation would have it walk all of them, with everybody waiting.
    Of a file that is refused nothing stays, and what is garbage then must be found: frozen, it would leak.
    """
    is_enabled = gc.isenabled()
    if is_enabled:
        gc.collect(1)  # what is frozen with the rest would never be found to be garbage
    with uncollected():
        yield
        if is_enabled:
            gc.freeze()
