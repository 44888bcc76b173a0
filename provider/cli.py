"""The command line: one command a verb. Clients of a running daemon ask its admin API; the others need none.

Exit codes: 0 done, 1 unexpected, 2 usage or invalid file, 3 refused, 4 the rollout ended otherwise than switched,
5 timed out, 6 no daemon. Everything slow to import is imported by the verb that needs it.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from provider import __version__

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from provider.model import Desired

    T = TypeVar("T")

EXIT_UNEXPECTED, EXIT_USAGE, EXIT_NO_DAEMON = 1, 2, 6


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="bluegreen")
def main() -> None:
    """Blue-green releases for Docker and Traefik: proven, atomic, reversible."""


admin_option = click.option(
    "--admin",
    envvar="BLUEGREEN_ADMIN",
    default="http://127.0.0.1:8901",
    show_default=True,
    metavar="URL|unix:PATH",
    help="Admin address of the daemon.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@main.command()
@click.option(
    "--desired-state",
    envvar="BLUEGREEN_DESIRED_STATE",
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The file that says what is wanted; it is followed while the daemon runs.",
)
@click.option(
    "--state-dir",
    envvar="BLUEGREEN_STATE_DIR",
    required=True,
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Where decisions are kept, on a local disk.",
)
@click.option(
    "--listen",
    envvar="BLUEGREEN_LISTEN",
    default="127.0.0.1:8900",
    show_default=True,
    metavar="HOST:PORT",
    help="Where Traefik polls /traefik and Prometheus scrapes /metrics.",
)
@click.option(
    "--admin-listen",
    envvar="BLUEGREEN_ADMIN_LISTEN",
    default="127.0.0.1:8901",
    show_default=True,
    metavar="HOST:PORT|unix:PATH",
    help="Where the commands reach the daemon.",
)
@click.option(
    "--docker",
    envvar="BLUEGREEN_DOCKER",
    metavar="URL|none",
    help="The Docker Engine, by default DOCKER_HOST or the local socket; none for fixed servers only.",
)
@click.option(
    "--docker-host-address",
    envvar="BLUEGREEN_DOCKER_HOST_ADDRESS",
    metavar="ADDRESS",
    help="Where Traefik reaches containers with host networking. [default: host.docker.internal, else 127.0.0.1]",
)
@click.option(
    "--log-format",
    envvar="BLUEGREEN_LOG_FORMAT",
    type=click.Choice(["auto", "text", "json"]),
    default="auto",
    show_default=True,
    help="Text for people, JSON for machines; auto looks whether stderr is a terminal.",
)
def serve(
    desired_state: Path,
    state_dir: Path,
    listen: str,
    admin_listen: str,
    docker: str | None,
    docker_host_address: str | None,
    log_format: str,
) -> None:
    """Run the daemon until SIGTERM."""
    import uvloop

    from provider import app, logs
    from provider.errors import AddressError, BluegreenError, DesiredStateError, DockerUnavailable

    logs.configure(as_json=log_format == "json" or (log_format == "auto" and not sys.stderr.isatty()))
    settings = app.Settings(
        desired_state=desired_state,
        state_dir=state_dir,
        listen=listen,
        admin_listen=admin_listen,
        docker_enabled=docker != "none",
        docker=docker,
        docker_host_address=docker_host_address,
    )
    try:
        uvloop.run(app.serve(settings))
    except DesiredStateError as error:
        _fail(EXIT_USAGE, str(error))
    except (AddressError, DockerUnavailable) as error:  # an engine that is only away ends nothing
        _fail(EXIT_USAGE, f"bluegreen: {error}")
    except BluegreenError as error:
        _fail(EXIT_UNEXPECTED, f"bluegreen: {error}")


@main.command()
@click.argument("service", required=False)
@admin_option
@json_option
@click.option("--watch", is_flag=True, help="Draw anew every second until interrupted.")
def status(service: str | None, admin: str, as_json: bool, watch: bool) -> None:
    """Show how the services stand."""
    from provider.client import Admin

    def ask() -> dict[str, object]:
        daemon = Admin(admin)
        return daemon.service(service) if service else daemon.services()

    if as_json:
        click.echo(json.dumps(_asked(ask), indent=2))
        return
    from provider import tables

    if watch:
        _asked(lambda: tables.watch(ask))
    else:
        tables.show(_asked(ask))


@main.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.option(
    "--traefik",
    is_flag=False,
    flag_value="traefik",
    default=None,
    metavar="[BINARY]",
    help="Also let a real Traefik, started on loopback for the purpose, judge the document.",
)
def validate(file: Path | None, as_json: bool, traefik: str | None) -> None:
    """Print everything that is wrong with a desired-state FILE."""
    if file is None:
        if traefik is None or not Path(traefik).is_file():
            raise click.UsageError("Missing argument 'FILE'.")
        file, traefik = Path(traefik), "traefik"  # written as: validate --traefik FILE
    desired, problems = _load(file)
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    if traefik is not None and desired is not None:
        errors, notes = _judged(desired, traefik)
    if as_json:
        complaint = {"valid": not (problems or errors), "problems": problems, "traefik": errors, "notes": notes}
        click.echo(json.dumps(complaint, indent=2))
    else:
        for line in (*(str(one["text"]) for one in problems), *(f"Traefik: {line}" for line in errors)):
            click.echo(line, err=True)
        for line in notes:
            click.echo(f"note: {line}", err=True)
    if problems or errors:
        raise SystemExit(EXIT_USAGE)
    if not as_json and desired is not None:
        judged = ", and Traefik accepts it" if traefik is not None else ""
        count = len(desired.services)
        click.echo(f"{file}: valid: {desired.environment}, {count} service{'' if count == 1 else 's'}{judged}")


@main.command()
@file_argument
def render(file: Path) -> None:
    """Print what Traefik would get from a desired-state FILE.

    Servers that Docker provides are not known without a daemon, and are left out.
    """
    from provider import offline
    from provider.controller import clock

    desired, problems = _load(file)
    if desired is None:
        _fail(EXIT_USAGE, "\n".join(str(one["text"]) for one in problems))
    document, assumed = offline.document(desired, clock())
    for line in assumed:
        click.echo(f"note: {line}", err=True)
    click.echo(json.dumps(json.loads(document.body), indent=2))


@main.command()
def schema() -> None:
    """Print the JSON Schema of the desired-state file, for editors."""
    from provider import config

    click.echo(json.dumps(config.schema(), indent=2))


@main.command()
@click.option("--keep", is_flag=True, help="Leave everything running at the end, and print the addresses.")
@click.option("--traefik", default=None, metavar="BINARY", help="The Traefik to use. [default: the one found]")
def demo(keep: bool, traefik: str | None) -> None:
    """Show a release and the way back on a real Traefik."""
    import uvloop

    from provider import demo as story
    from provider.errors import BluegreenError

    try:
        failed = uvloop.run(story.tell(keep=keep, traefik=traefik))
    except BluegreenError as error:
        _fail(EXIT_UNEXPECTED, f"bluegreen: {error}")
    raise SystemExit(EXIT_UNEXPECTED if failed else 0)


def _load(file: Path) -> "tuple[Desired | None, list[dict[str, object]]]":
    from dataclasses import asdict

    from provider import config
    from provider.errors import DesiredStateError
    from provider.watch import DesiredStateFile

    try:
        return config.load(DesiredStateFile(file).read(), str(file)), []
    except DesiredStateError as error:
        return None, [{**asdict(problem), "text": str(problem)} for problem in error.problems]


def _judged(desired: "Desired", binary: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    import asyncio

    from provider import judge, offline, traefik
    from provider.controller import clock
    from provider.errors import BluegreenError

    document, assumed = offline.document(desired, clock())
    try:
        found = asyncio.run(judge.judge(document.body, binary=traefik.find_binary(binary)))
    except BluegreenError as error:
        _fail(EXIT_UNEXPECTED, f"bluegreen: {error}")
    return found.errors, (*assumed, *found.notes)


def _asked(ask: "Callable[[], T]") -> "T":
    from provider.client import NoDaemon, Refused
    from provider.errors import AddressError

    try:
        return ask()
    except AddressError as error:
        _fail(EXIT_USAGE, f"bluegreen: {error} (--admin, BLUEGREEN_ADMIN)")
    except NoDaemon as error:
        _fail(EXIT_NO_DAEMON, f"bluegreen: {error}")
    except Refused as error:
        _fail(EXIT_USAGE if error.status == 404 else EXIT_UNEXPECTED, f"bluegreen: {error}")


def _fail(code: int, message: str) -> NoReturn:
    click.echo(message, err=True)
    raise SystemExit(code)
