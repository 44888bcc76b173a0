"""`bluegreen apply`: puts a desired state in force, in the store of several replicas."""

import click

from provider.cli.commands.desired_text import expect_option, show, submit, text_argument
from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions, asks_a_daemon, json_option


@click.command(
    cls=Verb,
    examples="""
    # Put a desired state in force
    bluegreen apply config/production.yaml

    # Only in place of the one that was seen: bluegreen desired --json has its hash
    bluegreen apply config/production.yaml --expect 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08

    # Apply all *.yaml of a directory, a team a file, as one
    bluegreen apply config/production/
    """,
)
@text_argument
@asks_a_daemon
@expect_option
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@json_option
def apply(daemon: DaemonOptions, file: str, expect: str | None, dry_run: bool, as_json: bool) -> None:
    """Put a desired state in force, in the store of several replicas.

    Of a directory, the services of all *.yaml are put together, and each other key stands in one of them; - is standard
    input. Prints every error with its file and line, and exits with 2 then; nothing is changed. Exits with 3 for a
    daemon that follows a file: edit that.
    """
    done = submit(daemon, file, expect=expect, dry_run=dry_run)
    if dry_run and done["source"] != "store":
        fail(Exit.REFUSED, f"bluegreen: the daemon follows {done['source']}: edit that file")
    show(done, as_json=as_json)
    if as_json:
        return
    if done["already"]:
        say(f"nothing to do: this is the desired state already, sha256 {done['sha256']}")
    else:
        effect = "" if done["changes"] else ": no change but in comments or form"
        say(f"{'valid' if dry_run else 'applied'}, sha256 {done['sha256']}{effect}")
