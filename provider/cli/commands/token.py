"""`bluegreen token`: a new token, and its line for the tokens file."""

import click

from provider.cli.commands.exit_codes import say
from provider.cli.commands.help import Verb


@click.command(
    cls=Verb,
    examples="""
    # Create a token for a pipeline, and add it to the tokens file of the daemon
    bluegreen token ci --scope deploy >> tokens

    # Create one for a person who deploys and approves
    bluegreen token ann --scope deploy --scope approve >> tokens
    """,
)
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    type=click.Choice(["read", "deploy", "approve", "operate"]),
    help="What the token may do. Repeatable. Every scope includes read.",
)
def token(name: str, scopes: tuple[str, ...]) -> None:
    """Create a token for the admin API.

    Standard output has the line for the --tokens-file of the daemon, with a hash of the token. The token itself is
    shown once, on standard error, and not stored. NAME is recorded in the history as the actor.

    \b
    read     read status, history and events
    deploy   deploy a release up to its approval
    approve  approve and abort
    operate  everything, including --force
    """
    from provider.api.tokens import Scope, make_token

    try:
        text, made = make_token(name, frozenset(map(Scope, scopes)))
    except ValueError as rule:
        raise click.BadParameter(str(rule), param_hint="NAME") from rule
    say(f"Token of {name} for --token (BLUEGREEN_TOKEN). Keep it secret, it is not shown again:", err=True)
    say(f"  {text}", err=True)
    say("Line for the tokens file:", err=True)
    say(made.line)
