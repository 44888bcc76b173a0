"""The desired-state file: YAML text -> validated models, or every error in it.

`yaml` reads the text and keeps the place of each value in a `tree`. `schema` and the types beside it validate the
daemon's own keys; `pass_through` reads Traefik's objects as Traefik does, and `traefik_types` checks them by the table
in `model.traefik_schema`. `cross_checks`, `endpoint_checks`, `texts` and `references` find what no single key
shows; `endpoints` and `routing` read what a service has, its own or by the defaults. `messages` and `redact` write the
errors, without secrets; `build` makes the models, and `diff` compares two desired states. `directory` puts files
together.

Everything wrong is reported at once, with file, line and column, and nothing wrong reaches Traefik (P12). A text that
was accepted once is loaded again, even where newer rules would refuse it (rule 13). Only `reading`,
`directory`, `file` and `value_files` touch files. This room knows neither what runs nor what was decided.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple, cast

from pydantic import ValidationError

from provider.config import (
    build,
    cross_checks,
    endpoint_checks,
    messages,
    pass_through,
    redact,
    references,
    routing,
    texts,
    value_files,
    yaml,
)
from provider.config.build import fixed_release
from provider.config.messages import Finding
from provider.config.schema import FILE, File
from provider.config.schema import json_schema as schema
from provider.config.tree import KeyPath, Tree
from provider.config.yaml import MAX_BYTES
from provider.model import Desired
from provider.model.durations import parse_duration
from provider.model.errors import DesiredStateError, Problem
from provider.runtime.timeslice import uncollected

SERVICES_AT_ONCE = 100

__all__ = ["MAX_BYTES", "fixed_release", "load", "load_accepted", "parse_duration", "schema"]


def load(text: str, file: str) -> Desired:
    """Return the desired state that a file's text describes; `file` is its name in messages.

    Takes half a second of processor time for 10,000 services: call it in a thread where an event loop is running.
    Raises DesiredStateError with everything that is wrong, in the order of the file.
    """
    return _load(text, file, was_accepted=False)[0]


def load_accepted(text: str, file: str) -> tuple[Desired, tuple[Problem, ...]]:
    """Return the desired state of a text that was accepted once, and the problems that newer rules find (rule 13).

    Invalid parts of Traefik's objects are passed on unchanged. Raises DesiredStateError where the daemon's own keys are
    invalid.
    """
    return _load(text, file, was_accepted=True)


def _load(text: str, file: str, *, was_accepted: bool) -> tuple[Desired, tuple[Problem, ...]]:
    with _without_collector():
        desired, problems = _read(text, file, was_accepted=was_accepted)
        if desired is None:  # raised here, where no frame holds the tree of the file: the error lives longer than it
            raise DesiredStateError(problems)
        return desired, problems


def _read(text: str, file: str, *, was_accepted: bool) -> tuple[Desired | None, tuple[Problem, ...]]:
    """Return the desired state, None for one that is refused, and every problem there is."""
    tree = yaml.read(text, file)
    try:
        checked = _check(tree, respells=not was_accepted)
        value, unchecked, validated, errors = checked.value, checked.unchecked, checked.validated, checked.errors
        problems = {*tree.problems, *(problem for _, problem in checked.found)}
        while was_accepted and (wrong := _wrong_in_traefiks(errors) - unchecked):
            unchecked |= wrong  # what is around it may be invalid without it, as an empty object is
            validated, errors = _validate(_without(value, unchecked))
        if problems and (errors or not was_accepted):
            problems.update(_replaced_problems(tree))
            return None, tuple(sorted(problems))
        value_files.put_in(validated, checked.values)
        for path in unchecked:
            pass_through.put_back(validated, path, pass_through.at(value, path))
        return build.desired(validated, tree), tuple(sorted(problems))
    finally:
        tree.free()


def _unchecked(value: object) -> tuple[set[KeyPath], list[Finding]]:
    """Return the paths under `traefik.unchecked`, and findings for names that lead nowhere."""
    traefik = value.get("traefik") if isinstance(value, dict) else None
    names = traefik.get("unchecked") if isinstance(traefik, dict) else None
    paths, findings = set[KeyPath](), list[Finding]()
    for index, name in enumerate(names if isinstance(names, list) else ()):
        path = pass_through.find(value, name) if isinstance(name, str) else None
        if path is not None and pass_through.is_inside(path):
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
            path = path[: next(numbers, len(path))]  # a list goes unchecked as a whole
            if pass_through.is_inside(path):
                found.add(path)
    return found


def _without(value: object, paths: set[KeyPath]) -> object:
    """Return a value without these parts. One within another goes with it."""
    for path in list(paths):
        if any(path[:length] in paths for length in range(1, len(path))):
            paths.discard(path)
    for path in paths:
        value = pass_through.without(value, path)
    return value


class _Checked(NamedTuple):
    """The result of checking a file: `found` has each problem with its path, `values` what other files have."""

    value: object
    values: value_files.Values
    unchecked: set[KeyPath]
    validated: File
    errors: list[ValidationError]
    found: list[tuple[KeyPath, Problem]]


def _check(tree: Tree, *, respells: bool = True) -> _Checked:
    """Check everything in a file.

    An unknown key that was meant for a known one is respelt and checked again: what is below it may be wrong as well,
    and what seemed to be missing is not.
    """
    misspelt: list[tuple[KeyPath, Problem]] = []
    while True:
        value, found = pass_through.as_traefik_reads(tree.value)
        unchecked, unknown = _unchecked(value)
        checked = _without(value, unchecked)
        values, unreadable = value_files.read(value, tree.file)
        found += [
            *unreadable,
            *unknown,
            *cross_checks.findings(value, tree),
            *endpoint_checks.findings(checked, tree),
            *texts.findings(checked),
            *references.findings(checked),
        ]
        validated, errors = _validate(checked)
        for error in errors:
            found.extend(messages.findings(error, tree))
        problems = [
            (
                one,
                tree.problem(
                    tree.offset(one.path, of_key=one.on_key),
                    one.path,
                    redact.withheld(one.path, one.message, tree.at(one.path)),
                ),
            )
            for one in found
        ]
        respelt = [
            (one.path, problem)
            for one, problem in problems
            if respells and one.meant is not None and tree.respell(one.path, one.meant)
        ]
        misspelt += respelt
        if not respelt:
            return _Checked(
                value,
                values,
                unchecked,
                validated,
                errors,
                [*misspelt, *((one.path, problem) for one, problem in problems)],
            )


def _replaced_problems(tree: Tree) -> Iterator[Problem]:
    """Yield the problems in values of duplicate keys that a later value has replaced."""
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
        for path, problem in _check(tree).found:
            if any(_is_within(path, swapped) for swapped in paths):
                yield problem


def _is_within(path: KeyPath, other: KeyPath) -> bool:
    return path[: len(other)] == other


def _validate(value: object) -> tuple[File, list[ValidationError]]:
    """Validate a few services at a time.

    pydantic holds the interpreter for all that it is given: of ten thousand services for a tenth of a second, in which
    the event loop of another thread is blocked.
    """
    services = routing.written(value.get("services")) if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(services, dict):
        return _validated(value)
    names = list(services)
    file, errors = _validated({**value, "services": {name: services[name] for name in names[:SERVICES_AT_ONCE]}})
    for start in range(SERVICES_AT_ONCE, len(names), SERVICES_AT_ONCE):
        some = {name: services[name] for name in names[start : start + SERVICES_AT_ONCE]}
        more, wrong = _validated({"environment": "checked already", "services": some})
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
def _without_collector() -> Iterator[None]:
    """Pause the garbage collector: walking a million young values again and again takes longer than making them.

    Afterwards they are frozen, or the next allocation would have it walk all of them while everything waits. Of a
    refused file nothing is kept, and its values must be found as garbage: frozen, they would leak.
    """
    is_enabled = gc.isenabled()
    if is_enabled:
        gc.collect(1)  # garbage that is frozen with the rest would leak
    with uncollected():
        yield
        if is_enabled:
            gc.freeze()
