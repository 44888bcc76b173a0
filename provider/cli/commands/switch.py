"""`bluegreen switch`: moves traffic to a colour."""

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option
from provider.cli.commands.params import COLOURS
from provider.cli.commands.sending import check_reason, move_traffic, no_wait_option, reason_option


@click.command(
    cls=Verb,
    examples="""
    # Start a rollout to green, through its gates
    bluegreen switch shop green

    # Switch at once, without gates
    bluegreen switch shop green --force --reason "blue is down"
    """,
)
@service_argument()
@click.argument("colour", type=COLOURS, metavar="blue|green")
@asks_a_daemon
@click.option("--release", metavar="ID", help="Switch only if the colour runs this release.")
@click.option("--force", is_flag=True, help="Skip the gates. Requires --reason.")
@reason_option
@no_wait_option
@json_option
def switch(
    daemon: DaemonOptions,
    service: str,
    colour: str,
    release: str | None,
    force: bool,
    reason: str | None,
    no_wait: bool,
    as_json: bool,
) -> None:
    """Start a rollout to a colour, through its gates.

    The rollback target needs only to be healthy. If traffic moves at once, waits until every Traefik has applied the
    switch, as rollback does.
    """
    check_reason(force=force, reason=reason)
    body: dict[str, object] = {"colour": colour, "release": release, "force": force, "reason": reason}
    move_traffic(daemon, service, "switch", lambda _: body, no_wait, as_json)
