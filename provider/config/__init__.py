"""The desired-state file: YAML text -> validated models. It takes text and opens nothing."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import ValidationError

from provider.config import build, messages, rules, yaml
from provider.config.build import fixed_release
from provider.config.fields import parse_duration
from provider.config.schema import FILE
from provider.config.schema import json_schema as schema
from provider.config.yaml import MAX_BYTES
from provider.errors import DesiredStateError
from provider.model import Desired

__all__ = ["MAX_BYTES", "fixed_release", "load", "parse_duration", "schema"]


def load(text: str, file: str) -> Desired:
    """Return the desired state that a file's text describes; `file` is its name in messages.

    Takes half a second of processor time for 10,000 services: call it in a thread where an event loop is running.
    Raises DesiredStateError with everything that is wrong, in the order of the file.
    """
    with _collector_at_rest():
        tree = yaml.read(text, file)
        found = list(rules.findings(tree))
        try:
            validated = FILE.validate_python(tree.value)
        except ValidationError as error:
            found.extend(messages.findings(error, tree))
        problems = {
            *tree.problems,
            *(tree.problem(tree.offset(path, of_key=on_key), path, message) for path, message, on_key in found),
        }
        if problems:
            raise DesiredStateError(tuple(sorted(problems)))
        return build.desired(validated, tree)


@contextmanager
def _collector_at_rest() -> Iterator[None]:
    """Pause the garbage collector: walking a million young values again and again takes longer than making them."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
