"""`bluegreen resume`: allows new rollouts again."""

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon
from provider.cli.commands.sending import reason_option, send_command


@click.command(
    cls=Verb,
    examples="""
    # Let rollouts of shop continue
    bluegreen resume shop
    """,
)
@service_argument()
@asks_a_daemon
@reason_option
def resume(daemon: DaemonOptions, service: str, reason: str | None) -> None:
    """Continue rollouts that were paused."""
    send_command(daemon, service, "resume", reason=reason)
