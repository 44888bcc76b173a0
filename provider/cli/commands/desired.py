"""`bluegreen desired`: the desired state in force."""

import json
import sys

import click

from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option


@click.command(
    cls=Verb,
    examples="""
    # Edit the desired state in force
    bluegreen desired > production.yaml

    # Print its hash, for apply --expect
    bluegreen desired --json | jq -r .sha256
    """,
)
@asks_a_daemon
@json_option
def desired(daemon: DaemonOptions, as_json: bool) -> None:
    """Print the desired state in force.

    The text may have secrets, so a token needs the scope operate. With --json, also its hash and where it comes from.
    """
    found = daemon.ask(lambda admin: admin.desired())
    if as_json:
        say(json.dumps(found, indent=2))
    elif found["text"] is None:
        fail(Exit.REFUSED, "bluegreen: the store has no desired state yet: bluegreen apply FILE")
    elif sys.stdout.isatty():
        say(found["text"].removesuffix("\n"))
    else:  # to the letter: it may be applied again
        click.echo(found["text"].encode(errors="surrogatepass"), nl=False)
