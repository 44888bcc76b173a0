"""The group of all verbs."""

import click

from provider import __version__
from provider.cli.commands.abort import abort
from provider.cli.commands.apply import apply
from provider.cli.commands.approve import approve
from provider.cli.commands.completion import completion
from provider.cli.commands.demo import demo
from provider.cli.commands.deploy import deploy
from provider.cli.commands.desired import desired
from provider.cli.commands.diff import diff
from provider.cli.commands.doctor import doctor
from provider.cli.commands.exit_codes import MEANING
from provider.cli.commands.explain import explain
from provider.cli.commands.forget import forget
from provider.cli.commands.forget_replica import forget_replica
from provider.cli.commands.healthcheck import healthcheck
from provider.cli.commands.help import Verbs
from provider.cli.commands.history import history
from provider.cli.commands.import_ import import_
from provider.cli.commands.pause import pause
from provider.cli.commands.promote import promote
from provider.cli.commands.render import render
from provider.cli.commands.resume import resume
from provider.cli.commands.retry import retry
from provider.cli.commands.rollback import rollback
from provider.cli.commands.schema import schema
from provider.cli.commands.serve import serve
from provider.cli.commands.status import status
from provider.cli.commands.store import store
from provider.cli.commands.switch import switch
from provider.cli.commands.token import token
from provider.cli.commands.validate import validate
from provider.cli.commands.wait import wait

EXIT_CODES = "\n".join(("\b", "Exit codes:", *(f"  {code:d}  {meaning}" for code, meaning in MEANING.items())))


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog=EXIT_CODES,
    examples="""
    # Deploy version 1.4.2 of shop in the standby colour, and follow its rollout
    bluegreen deploy shop -f compose.yaml -e TAG=1.4.2

    # Show all services, and redraw on every change
    bluegreen status --watch

    # Go back to the release that was active before
    bluegreen rollback shop --reason "checkout fails"

    # Try it all on this machine, on a real Traefik
    bluegreen demo
    """,
)
@click.version_option(__version__, prog_name="bluegreen")
def main() -> None:
    """Blue-green releases for Docker and Traefik.

    `bluegreen COMMAND --help` describes a command.
    """


for verb in (
    *(serve, status, explain, history, wait, deploy),
    *(approve, promote, abort, rollback, retry, switch, pause, resume, forget, forget_replica),
    *(apply, diff, desired, import_),
    *(validate, render, schema, token, completion, doctor, healthcheck, store, demo),
):
    main.add_command(verb)
