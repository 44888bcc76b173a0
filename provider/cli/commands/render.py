"""`bluegreen render`: the document of a file, without a daemon."""

import json

import click

from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.help import Verb
from provider.cli.commands.validate import file_argument, load_file


@click.command(
    cls=Verb,
    examples="""
    # Print the document for Traefik
    bluegreen render config/production.yaml

    # Print its services only
    bluegreen render config/production.yaml | jq .http.services
    """,
)
@file_argument
def render(file: str) -> None:
    """Print the document for a desired-state file.

    The document is what Traefik would fetch; - is standard input. Servers from Docker are left out: only a daemon knows
    them.
    """
    from provider.cli import offline

    desired, problems = load_file(file)
    if desired is None:
        fail(Exit.USAGE, "\n".join(str(one["text"]) for one in problems))
    document, assumed = offline.document(desired)
    for line in assumed:
        say(f"note: {line}", err=True)
    say(json.dumps(json.loads(document.body), indent=2))
