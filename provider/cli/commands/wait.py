"""`bluegreen wait`: waits until a service is as asked."""

import json
from typing import TYPE_CHECKING

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option
from provider.cli.commands.params import COLOURS, duration, goal, goals

if TYPE_CHECKING:
    from provider.cli.client.admin_api import Admin
    from provider.model import api_types as api


@click.command(
    cls=Verb,
    examples="""
    # Wait until the rollout of shop is over, and the old colour may be stopped
    bluegreen wait shop

    # Fail unless version 1.4.2 is active and watched within 15 minutes
    bluegreen wait shop --release 1.4.2 --timeout 15m

    # Wait until Traefik has applied the switch to green
    bluegreen wait shop --active green --until confirmed

    # Wait until release 77b0e1d2 is in step 2, or beyond
    bluegreen wait shop --release 77b0e1d2 --until step:2
    """,
)
@service_argument()
@asks_a_daemon
@json_option
@click.option(
    "--active",
    type=COLOURS,
    metavar="COLOUR",
    help="Wait until this colour is active, too; with step:N its candidate may be in it.",
)
@click.option(
    "--release",
    metavar="ID|VERSION",
    help="Wait until this release is active, too; with step:N it may be the candidate.",
)
@click.option(
    "--until",
    callback=goal,
    shell_complete=goals,
    default="steady",
    show_default=True,
    metavar="confirmed|steady|step:N",
    help="confirmed: every Traefik has applied the switch. steady: the rollout and its watch are over. step:N: the "
    "rollout is in step N or beyond it.",
)
@click.option(
    "--timeout", "timeout_s", callback=duration, metavar="DURATION", help="Give up after this long. [default: no limit]"
)
def wait(
    daemon: DaemonOptions,
    service: str,
    as_json: bool,
    active: str | None,
    release: str | None,
    until: str,
    timeout_s: float | None,
) -> None:
    """Wait until the rollout of a service is over.

    Waits for a rollout that is under way, for one that is about to begin, and for a deployment that holds the lease.
    A pipeline that has just started a release names it with --release.

    Exits with 0 on success, 4 if the rollout was aborted, rolled back, expired or superseded, and 5 after --timeout.
    A daemon that restarts meanwhile is retried for 30 s.
    """
    from provider.cli.client.decisions import RolloutFailed
    from provider.cli.client.follow import FollowedService, TimedOut
    from provider.cli.client.wait import Goal, Until
    from provider.cli.client.wait import wait as wait_for
    from provider.cli.terminal.progress import Progress
    from provider.cli.terminal.words import summary

    def question(admin: "Admin") -> "api.Service":
        with Progress(quiet=as_json) as progress:
            followed = FollowedService(admin, service, progress.log)
            followed.limit(timeout_s)
            name, _, number = until.partition(":")
            wanted = Goal(Until(name), active, release, int(number or 0))
            return wait_for(followed, wanted, progress.log, progress.show)

    try:
        found = daemon.ask(question)
    except RolloutFailed as end:
        fail(Exit.ROLLOUT_FAILED, f"bluegreen: {end}")
    except TimedOut as end:
        fail(Exit.TIMED_OUT, f"bluegreen: {end}")
    say(json.dumps(found, indent=2) if as_json else summary(found))
