"""`bluegreen pause`: stops new rollouts of a service."""

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon
from provider.cli.commands.sending import reason_option, send_command


@click.command(
    cls=Verb,
    examples="""
    # Start no rollout of shop until it is resumed
    bluegreen pause shop --reason "data migration"
    """,
)
@service_argument()
@asks_a_daemon
@reason_option
def pause(daemon: DaemonOptions, service: str, reason: str | None) -> None:
    """Stop rollouts of a service and its group.

    A rollback stays possible.
    """
    send_command(daemon, service, "pause", reason=reason)
