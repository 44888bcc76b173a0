"""`bluegreen forget`: lets go of a service that only containers named."""

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon
from provider.cli.commands.sending import reason_option, send_command


@click.command(
    cls=Verb,
    examples="""
    # Take the routes of a service away whose containers are gone for good
    bluegreen forget shop
    """,
)
@service_argument()
@asks_a_daemon
@reason_option
def forget(daemon: DaemonOptions, service: str, reason: str | None) -> None:
    """Let go of a service that only containers named, once none of them is left.

    With services: auto a service stays in the document when its containers go, as they may come back.
    """
    send_command(daemon, service, "forget", reason=reason)
