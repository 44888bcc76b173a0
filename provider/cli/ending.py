"""How a command ends: its exit code, and words on standard error."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import NoReturn

import click


class Exit(IntEnum):
    """What a script reads; `MEANING` says it in words."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    REFUSED = 3
    OTHERWISE = 4
    TIMED_OUT = 5
    NO_DAEMON = 6


MEANING: Mapping[Exit, str] = MappingProxyType(
    {
        Exit.DONE: "done, or nothing to do",
        Exit.UNEXPECTED: "unexpected",
        Exit.USAGE: "bad usage, an invalid file, or a name that the daemon does not know",
        Exit.REFUSED: "refused, with the reason",
        Exit.OTHERWISE: "the rollout ended otherwise than switched",
        Exit.TIMED_OUT: "timed out, or decided and not applied by a Traefik",
        Exit.NO_DAEMON: "no daemon",
    }
)


def say(message: str, *, err: bool = False) -> None:
    """Print lines for people: what a terminal obeys is written out, whoever it came from."""
    from provider.text import escaped

    click.echo(escaped(message, keep="\n"), err=err)


def fail(code: Exit, message: str) -> NoReturn:
    """Say what went wrong, without the passwords of URLs, and end."""
    from provider.text import without_userinfo

    say(without_userinfo(message), err=True)
    raise SystemExit(code)
