"""`bluegreen explain`: what blocks a service, and what happens next."""

import json

import click

from provider.cli.commands.completion import service_argument
from provider.cli.commands.exit_codes import say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option


@click.command(
    cls=Verb,
    examples="""
    # Explain why shop has not switched yet
    bluegreen explain shop
    """,
)
@service_argument()
@asks_a_daemon
@json_option
def explain(daemon: DaemonOptions, service: str, as_json: bool) -> None:
    """Explain the state of a service, and what is next."""
    found = daemon.ask(lambda admin: admin.service(service))
    if as_json:
        say(json.dumps(found, indent=2))
        return
    from provider.cli.terminal import status

    status.say(found)
