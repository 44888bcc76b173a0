"""Options that verbs share, and how a verb asks the daemon that they name."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from provider.cli.commands.exit_codes import Exit, fail
from provider.cli.commands.params import tags

if TYPE_CHECKING:
    from provider.cli.client.admin_api import Admin, CommandRefused

T = TypeVar("T")

USAGE, REFUSED = frozenset({400, 404}), frozenset({401, 403, 409})

tags_option = click.option(
    "-e",
    "--env",
    "tags",
    multiple=True,
    callback=tags,
    metavar="NAME=VALUE",
    help="Set a variable for the compose file, such as TAG=1.4.2. Repeatable.",
)
compose_option = click.option(
    "--compose",
    envvar="BLUEGREEN_COMPOSE",
    metavar="COMMAND",
    help="Docker Compose command. [default: docker compose, else docker-compose]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def file_option(flag: str, text: str, *, exists: bool = False) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Return an option for a file, also as BLUEGREEN_...; `exists` refuses one that is not there at once."""
    envvar = f"BLUEGREEN_{flag.removeprefix('--').replace('-', '_').upper()}"
    kind = click.Path(exists=exists, dir_okay=not exists, path_type=Path)
    return click.option(flag, envvar=envvar, metavar="FILE", type=kind, help=text)


SHARED = "etcd:"
"""How the URL of a store begins that several replicas share."""
KEPT_IN = Path("/var/lib/bluegreen")
"""Where a replica keeps its last document that is not told where."""
state_dir_option = click.option(
    "--state-dir",
    envvar="BLUEGREEN_STATE_DIR",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Directory for decisions, on a local disk: short for --store sqlite:DIR. Beside etcd, for the last document: "
    f"{KEPT_IN}/PREFIX/REPLICA by default.",
)
store_option = click.option(
    "--store",
    envvar="BLUEGREEN_STORE",
    metavar="URL",
    help="Store for decisions: sqlite:DIR, or etcd://HOST,HOST,HOST/PREFIX?ca=FILE for several replicas. PREFIX is "
    "such as bluegreen/production; behind bluegreen alone, the environment of the desired state is put.",
)
credentials_option = file_option("--store-credentials", "USER:PASSWORD of a user of etcd, in one line.")


def store_url(state_dir: Path | None, store: str | None, *, is_daemon: bool = False) -> str:
    """Return the URL of the store that was named by one of two options; one that was typed comes first.

    Beside a store that replicas share, the directory is the daemon's own, and not the store.
    """
    if store is None and state_dir is None:
        raise click.UsageError("Missing option '--state-dir', or '--store' in its place.")
    if store is None or state_dir is None:
        return store or f"sqlite:{state_dir}"
    is_shared, typed = store.startswith(SHARED), {name for name in ("state_dir", "store") if is_typed(name)}
    if typed == {"store"} or (is_shared and (is_daemon or not typed)):
        return store
    if typed == {"state_dir"}:
        return f"sqlite:{state_dir}"
    raise click.UsageError(
        "--store and --state-dir (BLUEGREEN_STORE, BLUEGREEN_STATE_DIR) both name the store: leave one out, or its "
        "variable empty"
    )


def is_typed(parameter: str) -> bool:
    """Return whether a value stands on the command line, and not in the environment."""
    return click.get_current_context().get_parameter_source(parameter) is click.core.ParameterSource.COMMANDLINE


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """The options that say which daemon a verb asks, and with which identity."""

    admin: str
    token: str | None
    ca: Path | None
    cert: Path | None
    key: Path | None

    def ask(self, question: "Callable[[Admin], T]") -> T:
        """Return the answer to a question; on a failure print the reason and exit with its code."""
        from provider.cli.client.admin_api import CommandRefused, NoDaemon

        try:
            return question(self.connect())
        except NoDaemon as error:
            fail(Exit.NO_DAEMON, f"bluegreen: {error}")
        except CommandRefused as error:
            hint = "; set it with --token (BLUEGREEN_TOKEN)" if error.status == 401 else ""
            fail(exit_code(error), f"bluegreen: {error}{hint}")

    def connect(self) -> "Admin":
        """Return a client of the daemon, which is not asked yet; exit if these options are invalid."""
        from provider.cli.client.admin_api import Admin, InvalidCredentials
        from provider.model.errors import AddressError

        try:
            return Admin(self.admin, token=self.token, ca=self.ca, cert=self.cert, key=self.key)
        except AddressError as error:
            fail(Exit.USAGE, f"bluegreen: {error} (--admin, BLUEGREEN_ADMIN)")
        except InvalidCredentials as error:
            fail(Exit.USAGE, f"bluegreen: {error}")


def exit_code(refused: "CommandRefused") -> Exit:
    """Return the exit code for an error that the daemon answered with."""
    if refused.status in USAGE:
        return Exit.USAGE
    return Exit.REFUSED if refused.status in REFUSED else Exit.UNEXPECTED


def asks_a_daemon(verb: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every client; the verb gets them as its first argument, a DaemonOptions."""

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
        help="API token. Better set BLUEGREEN_TOKEN: every user of the machine can read a command line.",
    )
    @file_option(
        "--ca", "CA that signed the daemon's certificate (PEM). [default: the CAs of this machine]", exists=True
    )
    @file_option("--cert", "Client certificate (PEM), for a daemon with --tls-client-ca.", exists=True)
    @file_option("--key", "Private key of --cert (PEM). [default: in the file of --cert]", exists=True)
    @wraps(verb)
    def command(
        admin: str, token: str | None, ca: Path | None, cert: Path | None, key: Path | None, **others: object
    ) -> None:
        verb(DaemonOptions(admin, token, ca, cert, key), **others)

    return command
