"""`bluegreen schema`: the JSON Schema of the desired-state file."""

import json

import click

from provider.cli.commands.exit_codes import say
from provider.cli.commands.help import Verb


@click.command(
    cls=Verb,
    examples="""
    # Save the schema beside the desired-state file, for completion in an editor
    bluegreen schema > desired-state.schema.json
    """,
)
def schema() -> None:
    """Print the JSON Schema of the desired-state file."""
    from provider import config

    say(json.dumps(config.schema(), indent=2))
