"""Desired-state files, and the messages for invalid ones."""

from textwrap import dedent, indent

import pytest

from provider.config import load
from provider.model.errors import DesiredStateError

FILE = "production.yaml"


def one(body: str) -> str:
    """Return a file with one service that has these further keys; the service's keys stand at line 4, column 5."""
    return "environment: production\nservices:\n  shop:\n" + indent(dedent(body), "    ")


def refused(text: str) -> list[str]:
    with pytest.raises(DesiredStateError) as error:
        load(text, FILE)
    return str(error.value).splitlines()
