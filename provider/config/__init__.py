"""The desired-state file: YAML text -> validated models. It takes text and opens nothing."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import cast

from pydantic import ValidationError

from provider.config import build, messages, rules, yaml
from provider.config.build import fixed_release
from provider.config.fields import parse_duration
from provider.config.schema import FILE, File
from provider.config.schema import json_schema as schema
from provider.config.yaml import MAX_BYTES
from provider.errors import DesiredStateError
from provider.model import Desired
from provider.turns import uncollected

SERVICES_AT_ONCE = 100

__all__ = ["MAX_BYTES", "fixed_release", "load", "parse_duration", "schema"]


def load(text: str, file: str) -> Desired:
    """Return the desired state that a file's text describes; `file` is its name in messages.

    Takes half a second of processor time for 10,000 services: call it in a thread where an event loop is running.
    Raises DesiredStateError with everything that is wrong, in the order of the file.
    """
    with _collector_at_rest():
        tree = yaml.read(text, file)
        found = list(rules.findings(tree))
        validated, errors = _validate(tree.value)
        for error in errors:
            found.extend(messages.findings(error, tree))
        problems = {
            *tree.problems,
            *(tree.problem(tree.offset(path, of_key=on_key), path, message) for path, message, on_key in found),
        }
        if problems:
            raise DesiredStateError(tuple(sorted(problems)))
        desired = build.desired(validated, tree)
        tree.free()
        return desired


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
    """
    is_enabled = gc.isenabled()
    if is_enabled:
        gc.collect(1)  # what is frozen with the rest would never be found to be garbage
    with uncollected():
        try:
            yield
        finally:
            if is_enabled:
                gc.freeze()
