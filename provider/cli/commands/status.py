"""`bluegreen status`: all services, or one in detail."""

import json

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.exit_codes import say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option


@click.command(
    cls=Verb,
    examples="""
    # List all services
    bluegreen status

    # Show shop with its servers, and redraw on every change
    bluegreen status shop --watch

    # Print the active colour of shop
    bluegreen status shop --json | jq -r .active
    """,
)
@service_argument(required=False)
@asks_a_daemon
@json_option
@click.option("--watch", is_flag=True, help="Redraw on every change; in a pipe, print a line for each.")
def status(daemon: DaemonOptions, service: str | None, as_json: bool, watch: bool) -> None:
    """Show the status of one service or all.

    Ctrl-C or q ends --watch. While the daemon does not answer, --watch retries.
    """
    if as_json:
        if watch:
            raise click.UsageError("--watch prints no JSON: read GET /api/v1/events, or run status --json again.")
        say(json.dumps(daemon.ask(lambda admin: admin.status(service)), indent=2))
        return
    if watch:
        from provider.cli.terminal.live import follow

        daemon.ask(lambda admin: follow(admin, service))
        return
    from provider.cli.terminal import status as tables

    tables.show(daemon.ask(lambda admin: admin.status(service)))
