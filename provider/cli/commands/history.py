"""`bluegreen history`: the decisions of the daemon."""

import json
from datetime import datetime
from typing import TYPE_CHECKING

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.exit_codes import say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option
from provider.cli.commands.params import since as since_value

if TYPE_CHECKING:
    from provider.cli.client.admin_api import Admin
    from provider.model import api_types as api


@click.command(
    cls=Verb,
    examples="""
    # Show the last 100 decisions of all services
    bluegreen history

    # Show the decisions about shop in the last two hours, with their evidence
    bluegreen history shop --since 2h --verbose

    # Print every rollback of this year as JSON
    bluegreen history --since 2026-01-01 --limit 10000 --json | jq '.[] | select(.outcome == "rolled-back")'
    """,
)
@service_argument(required=False)
@asks_a_daemon
@json_option
@click.option(
    "--since",
    callback=since_value,
    metavar="DATE|DURATION",
    help="Only decisions since a date, such as 2026-01-31T12:00:00Z, or in the last 2h.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, 10_000),
    default=100,
    show_default=True,
    metavar="NUMBER",
    help="Maximum number of entries.",
)
@click.option("--verbose", "-v", is_flag=True, help="Also show the evidence for each decision.")
def history(
    daemon: DaemonOptions, service: str | None, as_json: bool, since: datetime | None, limit: int, verbose: bool
) -> None:
    """Show past decisions, newest last.

    With --json they are newest first, each with its evidence.
    """

    def question(admin: "Admin") -> "list[api.Decision]":
        rows = admin.history(service=service, since=since and since.isoformat(), limit=limit)
        if service is not None and not rows:
            admin.service(service)  # a removed service has a history; an unknown name is an error
        return rows

    found = daemon.ask(question)
    if as_json:
        say(json.dumps(found, indent=2))
        return
    from provider.cli.terminal.history import show

    show(found, verbose=verbose)
