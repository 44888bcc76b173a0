"""The verb that deploys."""

import re
import shlex
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from provider.cli.commands import check_reason
from provider.cli.completion import service_argument
from provider.cli.ending import Exit, fail, say
from provider.cli.kinds import COLOURS, duration
from provider.cli.options import Daemon, asks_a_daemon, compose_option, tags_option

if TYPE_CHECKING:
    from provider.client import Admin

PREFIX = re.compile(r"[a-z0-9][a-z0-9_-]*")
INTERRUPTED = 128
"""To this a shell adds the number of the signal that ended a command."""


class _Signalled(KeyboardInterrupt):
    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


@click.command()
@service_argument()
@asks_a_daemon
@click.option(
    "-f",
    "--file",
    "files",
    multiple=True,
    required=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The compose file, the same for both colours; may be given several times, as to compose.",
)
@tags_option
@click.option(
    "--project-prefix", "prefix", metavar="NAME", help="Projects are NAME-blue, NAME-green. [default: SERVICE]"
)
@click.option("--colour", "--color", "colour", type=COLOURS, help="Of a service that runs nothing yet. [default: blue]")
@compose_option
@click.option(
    "--timeout",
    "timeout_s",
    callback=duration,
    metavar="DURATION",
    help="Stop following after so long; the rollout goes on. [default: its own deadlines end it]",
)
@click.option(
    "--force",
    is_flag=True,
    help="Also while the release before is confirmed or watched, and what doctor calls critical; wants a --reason.",
)
@click.option("--reason", metavar="WORDS", help="Why; it stands in the history.")
def deploy(
    daemon: Daemon,
    service: str,
    files: tuple[Path, ...],
    tags: dict[str, str],
    prefix: str | None,
    colour: str | None,
    compose: str | None,
    timeout_s: float | None,
    force: bool,
    reason: str | None,
) -> None:
    """Start a release in the standby colour, and follow its rollout.

    Runs `docker compose -p SERVICE-COLOUR -f FILE up -d` with BLUEGREEN_COLOUR set to that colour, so that the file can
    label its containers with it: bluegreen.colour=${BLUEGREEN_COLOUR}. The file is read first, as compose renders it:
    refused is what would start or replace anything but that colour of this service (and of its group), what doctor
    calls critical, and a standby with containers that are not of the project.

    Ends with 0 when the release is active and its watch is over; 1 when compose failed; 3 when it was refused, as while
    somebody else deploys; 4 when the rollout ended otherwise than switched; 5 when the time is over. An interrupt stops
    the following and not the rollout.
    """
    check_reason(force=force, reason=reason)
    prefix = prefix or service
    if not PREFIX.fullmatch(prefix):
        raise click.UsageError(
            f"{prefix!r} cannot begin the name of a compose project: lower-case letters, digits, - and _ can. "
            "Name another with --project-prefix."
        )
    for file in files:
        if not file.is_file():
            fail(Exit.USAGE, f"bluegreen: {file}: there is no such compose file (-f)")
    from provider import compose as docker_compose
    from provider.deploy import Deployment, Order
    from provider.following import EndedOtherwise, TimedOut
    from provider.leasing import Withheld
    from provider.terminal.progress import Progress

    def question(admin: "Admin") -> str:
        command = tuple(shlex.split(compose)) if compose else docker_compose.find_command()
        order = Order(service, command, files, prefix, tags, colour, timeout_s, force, reason)
        with _signals(), Progress() as progress:
            deployment = Deployment(admin, order, progress.tell, progress.show)
            try:
                return deployment.run()
            except KeyboardInterrupt as interrupt:
                progress.close()
                _interrupted(interrupt, f"{service}: {deployment.left}")

    try:
        told = daemon.ask(question)
    except docker_compose.ComposeError as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")
    except Withheld as error:
        fail(Exit.REFUSED, f"bluegreen: {error}")
    except EndedOtherwise as error:
        fail(Exit.OTHERWISE, f"bluegreen: {error}")
    except TimedOut as error:
        fail(Exit.TIMED_OUT, f"bluegreen: {error}; the rollout goes on: {shlex.join(['bluegreen', 'wait', service])}")
    say(told)


@contextmanager
def _signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does: the lease is given back. What was ignored stays so (nohup)."""

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
