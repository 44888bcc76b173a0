"""The exit codes, and how a verb prints its last words."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import NoReturn

import click


class Exit(IntEnum):
    """The exit codes that scripts rely on."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    REFUSED = 3
    ROLLOUT_FAILED = 4
    TIMED_OUT = 5
    NO_DAEMON = 6
    DIFFERS = 7


MEANING: Mapping[Exit, str] = MappingProxyType(
    {
        Exit.DONE: "done, or nothing to do",
        Exit.UNEXPECTED: "unexpected error",
        Exit.USAGE: "wrong usage, an invalid file, or an unknown service",
        Exit.REFUSED: "refused, with the reason",
        Exit.ROLLOUT_FAILED: "the rollout was aborted, rolled back, expired or superseded",
        Exit.TIMED_OUT: "timed out, or a Traefik did not apply the change",
        Exit.NO_DAEMON: "no daemon answers",
        Exit.DIFFERS: "diff: something would change",
    }
)


def say(message: str, *, err: bool = False) -> None:
    """Print lines for people, with control characters escaped."""
    from provider.model.text import escaped

    click.echo(escaped(message, keep="\n"), err=err)


def fail(code: Exit, message: str) -> NoReturn:
    """Print an error, without the passwords of URLs, and exit."""
    from provider.model.text import without_userinfo

    say(without_userinfo(message), err=True)
    raise SystemExit(code)
