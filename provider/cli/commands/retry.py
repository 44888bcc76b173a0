"""`bluegreen retry`: tries a quarantined release again."""

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon
from provider.cli.commands.sending import reason_option, send_command


@click.command(
    cls=Verb,
    examples="""
    # Try the failed release of shop again, through all gates
    bluegreen retry shop --reason "the mail server is back"
    """,
)
@service_argument()
@asks_a_daemon
@reason_option
def retry(daemon: DaemonOptions, service: str, reason: str | None) -> None:
    """Try a failed release again, through all gates.

    Takes it out of quarantine and lifts the override of a rollback or an abort.
    """
    send_command(daemon, service, "retry", reason=reason)
