"""`bluegreen abort`: ends a rollout."""

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option
from provider.cli.commands.sending import move_traffic, no_wait_option, reason_option


@click.command(
    cls=Verb,
    examples="""
    # Stop the rollout of shop and quarantine its release
    bluegreen abort shop --reason "wrong image"
    """,
)
@service_argument()
@asks_a_daemon
@reason_option
@no_wait_option
@json_option
def abort(daemon: DaemonOptions, service: str, reason: str | None, no_wait: bool, as_json: bool) -> None:
    """End the rollout under way; after its switch, roll back.

    The release is quarantined. During steps all of the traffic goes back to the active colour. If traffic moves, waits
    until every Traefik has applied the switch, as rollback does.
    """
    move_traffic(daemon, service, "abort", lambda _: {"reason": reason}, no_wait, as_json)
