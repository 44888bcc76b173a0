"""The environment that a desired state names, also in a text that is not valid otherwise."""

import re

from provider.config import yaml
from provider.model.errors import DesiredStateError

_LINE = re.compile(r"""^environment:[ ]+(["']?)([\w.-]+)\1[ ]*(?:[ ]#.*)?$""", re.MULTILINE)
"""As nearly all files have it: reading a large one as YAML takes a second."""


def environment_of(text: str) -> str | None:
    """Return what stands behind `environment:`; None where there is nothing."""
    found = _LINE.search(text)
    if found is not None:
        return found[2]
    try:
        value = yaml.read(text, "").value
    except DesiredStateError:
        return None
    name = value.get("environment") if isinstance(value, dict) else None
    return name if isinstance(name, str) else None


def environment_line(text: str) -> int:
    """Return the number of the line that names the environment, the first where none does by itself."""
    found = _LINE.search(text)
    return text.count("\n", 0, found.start()) + 1 if found is not None else 1
