"""A desired state from the command line: read from a file, a directory or standard input, and sent to the daemon."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.options import DaemonOptions
from provider.cli.commands.validate import STDIN, STDIN_NAME

if TYPE_CHECKING:
    from provider.config.directory import Whole
    from provider.model import api_types as api

text_argument = click.argument("file", metavar="FILE|DIR", type=click.Path(exists=True, allow_dash=True))
expect_option = click.option("--expect", metavar="SHA256", help="Only in place of the desired state with this hash.")
PATHS_SHOWN = 5


def submit(daemon: DaemonOptions, file: str, *, expect: str | None, dry_run: bool) -> "api.DesiredApplied":
    """Send a desired state; print what is wrong with it as `validate` does, and exit."""
    from provider.cli.client.admin_api import Admin, CommandRefused
    from provider.model.errors import DesiredStateError, Problem

    try:
        whole = _read(file)
    except DesiredStateError as error:
        fail(Exit.USAGE, str(error))

    def question(admin: Admin) -> "api.DesiredApplied":
        try:
            return admin.apply(whole.text, name=whole.name, expect=expect, dry_run=dry_run)
        except CommandRefused as refused:
            if not refused.problems:
                raise
            problems = (
                whole.place(Problem(one["file"], one["line"], one["column"], one["path"], one["message"]))
                for one in refused.problems
            )
            fail(Exit.USAGE, "\n".join(map(str, problems)))

    return daemon.ask(question)


def show(done: "api.DesiredApplied", *, as_json: bool) -> None:
    """Print what changes."""
    if as_json:
        say(json.dumps(done, indent=2))
        return
    for one in done["changes"]:
        paths = [*one["paths"][:PATHS_SHOWN], *(["..."] if len(one["paths"]) > PATHS_SHOWN else [])]
        name = one["service"] or "the rest"
        say(f"{one['change']}: {name}{': ' if paths else ''}{', '.join(paths)}")


def _read(file: str) -> "Whole":
    from provider import config
    from provider.config.directory import Whole, read
    from provider.config.reading import decoded

    if file == STDIN:
        return Whole(decoded(sys.stdin.buffer.read(config.MAX_BYTES + 1), STDIN_NAME), STDIN_NAME)
    return read(Path(file))
