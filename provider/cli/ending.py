"""How a command ends: its exit code, and words on standard error."""

from enum import IntEnum
from typing import NoReturn

import click


class Exit(IntEnum):
    """What a script reads."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    """Bad usage, an invalid file, or a name that the daemon does not know."""
    REFUSED = 3
    """Refused, with the reason."""
    OTHERWISE = 4
    """The rollout ended otherwise than switched."""
    TIMED_OUT = 5
    NO_DAEMON = 6


def fail(code: Exit, message: str) -> NoReturn:
    """Say what went wrong, and end."""
    click.echo(message, err=True)
    raise SystemExit(code)
