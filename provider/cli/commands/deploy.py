"""`bluegreen deploy`: its options, its errors, and what an interrupt does."""

import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, compose_option, tags_option
from provider.cli.commands.params import COLOURS, duration
from provider.cli.commands.sending import check_reason

if TYPE_CHECKING:
    from provider.cli.client.admin_api import Admin

PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]*")
INTERRUPTED = 128
"""The exit code of an interrupted command is this plus the number of the signal."""


class _Signalled(KeyboardInterrupt):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@click.command(
    cls=Verb,
    examples="""
    # Start version 1.4.2 of shop in the standby colour, and follow its rollout
    bluegreen deploy shop -f compose.yaml -e TAG=1.4.2

    # Follow it for 20 minutes at most
    bluegreen deploy shop -f compose.yaml -f production.yaml -e TAG=1.4.2 --timeout 20m

    # Deploy while the release before is still watched
    bluegreen deploy shop -f compose.yaml -e TAG=1.4.3 --force --reason "hotfix"

    # Update the standby's service of a Swarm to an image, and follow its rollout
    bluegreen deploy shop --swarm --image registry.example.com/shop:1.4.2 --with-registry-auth
    """,
)
@service_argument()
@asks_a_daemon
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="Compose file, the same for both colours. Repeatable, as with docker compose. Required without --swarm.",
)
@tags_option
@click.option(
    "--project-prefix", "prefix", metavar="NAME", help="Name the projects NAME-blue and NAME-green. [default: SERVICE]"
)
@click.option(
    "--colour", "--color", "colour", type=COLOURS, help="Colour of a service that runs nothing yet. [default: blue]"
)
@compose_option
@click.option(
    "--traefik",
    "traefiks",
    multiple=True,
    metavar="URL|none",
    help="API of a Traefik, to check that its own provider does not see the service. Repeatable. [default: traefik.api "
    "of the desired state]",
)
@click.option("--swarm", is_flag=True, help="Update the standby's service of a Swarm, in place of a compose file.")
@click.option("--image", metavar="IMAGE", help="Image of the release. Required with --swarm.")
@click.option(
    "--swarm-service",
    metavar="NAME",
    help="Swarm service to update. [default: the one with the labels of the service and the standby colour]",
)
@click.option(
    "--replicas",
    type=click.IntRange(min=1),
    metavar="N",
    help="Tasks of the Swarm service. [default: as it has; of one with 0, as many as the other colour has]",
)
@click.option("--with-registry-auth", is_flag=True, help="Send the login for the registry to the nodes of the Swarm.")
@click.option(
    "--timeout",
    "timeout_s",
    callback=duration,
    metavar="DURATION",
    help="Give up after this long; the rollout continues. [default: until its own deadlines]",
)
@click.option(
    "--force",
    is_flag=True,
    help="Deploy even during the steps and the watch of the release before, and despite critical findings of doctor. "
    "Requires --reason.",
)
@click.option("--reason", metavar="WORDS", help="Reason, recorded in the history.")
def deploy(
    daemon: DaemonOptions,
    service: str,
    files: tuple[Path, ...],
    tags: dict[str, str],
    prefix: str | None,
    colour: str | None,
    compose: str | None,
    traefiks: tuple[str, ...],
    swarm: bool,
    image: str | None,
    swarm_service: str | None,
    replicas: int | None,
    with_registry_auth: bool,
    timeout_s: float | None,
    force: bool,
    reason: str | None,
) -> None:
    """Deploy a release and follow its rollout.

    Starts the release in the standby colour: runs `docker compose -p SERVICE-COLOUR -f FILE up -d` with
    BLUEGREEN_COLOUR set to the standby colour. Their colour is that of the project, or of the label
    bluegreen.colour=${BLUEGREEN_COLOUR}.

    Checks the file first. Refuses to start or replace containers of the other colour or of other services, a file with
    critical findings of doctor, a standby with containers of another project, and a second colour while Traefik's own
    provider sees the service.

    With --swarm it runs `docker service update --image IMAGE` on the Swarm service with the labels
    bluegreen.service=SERVICE and bluegreen.colour of the standby, on the manager that docker talks to. -e sets
    variables of its containers, and their label bluegreen.version, if they have it, becomes the tag of the image.

    Exits with 0 when the release is active and its watch is over, 1 if compose or docker fails, 3 if refused (as while
    somebody else deploys), 4 if the rollout was aborted, rolled back, expired or superseded, 5 after --timeout. Ctrl-C
    stops the command, not the rollout.
    """
    check_reason(force=force, reason=reason)
    _check_source(files, prefix, swarm=swarm, image=image, only_swarm=(swarm_service, replicas, with_registry_auth))
    prefix = prefix or service
    if not swarm:
        _check_project(files, prefix)
    from provider.cli.client import compose as docker_compose
    from provider.cli.client.decisions import RolloutFailed
    from provider.cli.client.follow import TimedOut
    from provider.cli.client.start import StartError
    from provider.cli.deploy.deployment import Deployment
    from provider.cli.deploy.options import DeployOptions, DeployRefused, SwarmOptions
    from provider.cli.terminal.progress import Progress
    from provider.model import Colour

    def question(admin: "Admin") -> str:
        command: tuple[str, ...] = ()
        if image is None:
            command = tuple(shlex.split(compose)) if compose else docker_compose.find_command()
        updated = None if image is None else SwarmOptions(image, swarm_service, replicas, with_registry_auth)
        chosen = Colour(colour) if colour else None
        options = DeployOptions(
            service,
            command,
            files,
            prefix,
            tags,
            chosen,
            timeout_s,
            force,
            reason,
            swarm=updated,
            traefiks=traefiks or None,
        )
        with _signals(), Progress() as progress:
            deployment = Deployment(admin, options, progress.log, progress.show)
            try:
                return deployment.run()
            except KeyboardInterrupt as interrupt:
                progress.close()
                _interrupted(interrupt, f"{service}: {deployment.left}")

    try:
        result = daemon.ask(question)
    except StartError as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")
    except DeployRefused as error:
        fail(Exit.REFUSED, f"bluegreen: {error}")
    except RolloutFailed as error:
        fail(Exit.ROLLOUT_FAILED, f"bluegreen: {error}")
    except TimedOut as error:
        fail(
            Exit.TIMED_OUT,
            f"bluegreen: {error}; the rollout continues, to follow it: {shlex.join(['bluegreen', 'wait', service])}",
        )
    say(result)


def _check_source(
    files: tuple[Path, ...],
    prefix: str | None,
    *,
    swarm: bool,
    image: str | None,
    only_swarm: tuple[object, ...],
) -> None:
    """Refuse options that are not of what is deployed: a compose file, or a service of a Swarm."""
    if not swarm:
        if image is not None or any(only_swarm):
            raise click.UsageError(
                "--image, --swarm-service, --replicas and --with-registry-auth need --swarm. A compose file says them."
            )
        if not files:
            raise click.UsageError("Missing option '-f' / '--file', or --swarm and --image.")
        return
    if image is None:
        raise click.UsageError("Missing option '--image', which --swarm needs.")
    if files or prefix is not None:
        raise click.UsageError(
            "--swarm updates a service that is there: it takes no -f and no --project-prefix. Change "
            "other settings with docker service update on the standby."
        )


def _check_project(files: tuple[Path, ...], prefix: str) -> None:
    """Refuse a prefix that no compose project may have, and files that are not there."""
    if not PREFIX.fullmatch(prefix):
        raise click.UsageError(
            f"{prefix!r} cannot begin the name of a compose project, which has lower-case letters, digits, - and _. "
            "Choose another with --project-prefix."
        )
    for file in files:
        if not file.is_file():
            fail(Exit.USAGE, f"bluegreen: compose file {file} does not exist (-f)")


@contextmanager
def _signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP interrupt as Ctrl-C does, so that the lease is released; nohup stays in force."""

    def interrupt(number: int, _: object) -> NoReturn:
        raise _Signalled(number)

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGHUP)}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupted(interrupt: KeyboardInterrupt, left: str) -> NoReturn:
    number = interrupt.number if isinstance(interrupt, _Signalled) else signal.SIGINT
    say(f"bluegreen: interrupted: {left}", err=True)
    raise SystemExit(INTERRUPTED + number)
