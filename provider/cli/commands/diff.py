"""`bluegreen diff`: what a desired state would change."""

import click

from provider.cli.commands.desired_text import show, submit, text_argument
from provider.cli.commands.exit_codes import Exit, say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option


@click.command(
    cls=Verb,
    examples="""
    # Show what a file would change
    bluegreen diff config/production.yaml

    # Fail a job where the daemon does not have what the repository has
    bluegreen diff config/production/ || exit 1
    """,
)
@text_argument
@asks_a_daemon
@json_option
def diff(daemon: DaemonOptions, file: str, as_json: bool) -> None:
    """Show what a desired state would change, by service and key.

    Validates it as apply does. Exits with 0 if nothing would change, with 7 if something would. Comments and the form
    count as nothing.
    """
    done = submit(daemon, file, expect=None, dry_run=True)
    show(done, as_json=as_json)
    if done["changes"]:
        raise SystemExit(Exit.DIFFERS)
    if not as_json:
        say("nothing would change")
