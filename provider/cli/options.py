"""Options that verbs share, and the daemon that they ask."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from provider.cli.ending import Exit, fail
from provider.cli.kinds import tags

if TYPE_CHECKING:
    from provider.client import Admin, Refused

T = TypeVar("T")

USAGE, REFUSED = frozenset({400, 404}), frozenset({401, 403, 409})

tags_option = click.option(
    "-e",
    "--env",
    "tags",
    multiple=True,
    callback=tags,
    metavar="NAME=VALUE",
    help="What the compose file takes from the environment, such as TAG=1.4.2; may be given several times.",
)
compose_option = click.option(
    "--compose",
    envvar="BLUEGREEN_COMPOSE",
    metavar="COMMAND",
    help="How Docker Compose is called. [default: docker compose, or docker-compose where that is installed]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@dataclass(frozen=True, slots=True)
class Daemon:
    """The daemon that a verb asks, as the options name it."""

    admin: str
    token: str | None
    ca: Path | None
    cert: Path | None
    key: Path | None

    def ask(self, question: "Callable[[Admin], T]") -> T:
        """Return the answer to a question; end with the exit code and the reason where there is none."""
        from provider.client import NoDaemon, Refused

        try:
            return question(self.connect())
        except NoDaemon as error:
            fail(Exit.NO_DAEMON, f"bluegreen: {error}")
        except Refused as error:
            hint = "; name one with --token (BLUEGREEN_TOKEN)" if error.status == 401 else ""
            fail(exit_code(error), f"bluegreen: {error}{hint}")

    def connect(self) -> "Admin":
        """Return the API of the daemon, which is not asked yet; end where these options lead to none."""
        from provider.client import Admin, Unusable
        from provider.errors import AddressError

        try:
            return Admin(self.admin, token=self.token, ca=self.ca, cert=self.cert, key=self.key)
        except AddressError as error:
            fail(Exit.USAGE, f"bluegreen: {error} (--admin, BLUEGREEN_ADMIN)")
        except Unusable as error:
            fail(Exit.USAGE, f"bluegreen: {error}")


def exit_code(refused: "Refused") -> Exit:
    """Return what a script is told of a refusal of the daemon's."""
    if refused.status in USAGE:
        return Exit.USAGE
    return Exit.REFUSED if refused.status in REFUSED else Exit.UNEXPECTED


def asks_a_daemon(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of every client; it gets them as its first argument, a Daemon."""

    @click.option(
        "--admin",
        envvar="BLUEGREEN_ADMIN",
        default="http://127.0.0.1:8901",
        show_default=True,
        metavar="URL|unix:PATH",
        help="Admin address of the daemon.",
    )
    @click.option(
        "--token",
        envvar="BLUEGREEN_TOKEN",
        help="Token to show; on the command line every user of the machine can see it, so better in BLUEGREEN_TOKEN.",
    )
    @_file_option("--ca", "BLUEGREEN_CA", "CA that signed the daemon's certificate. [default: those of this machine]")
    @_file_option("--cert", "BLUEGREEN_CERT", "Certificate to show where the daemon wants one.")
    @_file_option("--key", "BLUEGREEN_KEY", "Its private key. [default: in the file of --cert]")
    @wraps(verb)
    def command(
        admin: str, token: str | None, ca: Path | None, cert: Path | None, key: Path | None, **others: object
    ) -> None:
        verb(Daemon(admin, token, ca, cert, key), **others)

    return command


def _file_option(flag: str, envvar: str, told: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    kind = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option(flag, envvar=envvar, metavar="FILE", type=kind, help=told)
