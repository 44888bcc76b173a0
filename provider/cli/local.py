"""The verbs that need no daemon."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider.cli.ending import Exit, fail, say
from provider.cli.options import json_option

if TYPE_CHECKING:
    from provider.model import Desired

STORIES = ("release", "gates", "bad-release", "rollback", "group")
"""Those of `provider.demo`, which is slow to import."""

file_argument = click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.command()
@click.argument("file", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@json_option
@click.option(
    "--traefik",
    is_flag=False,
    flag_value="traefik",
    default=None,
    metavar="[BINARY]",
    help="Also let a real Traefik, started on loopback for the purpose, judge the document.",
)
def validate(file: Path | None, as_json: bool, traefik: str | None) -> None:
    """Print everything that is wrong with a desired-state FILE."""
    if file is None:
        if traefik is None or not Path(traefik).is_file():
            raise click.UsageError("Missing argument 'FILE'.")
        file, traefik = Path(traefik), "traefik"  # written as: validate --traefik FILE
    desired, problems = _load(file)
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    if traefik is not None and desired is not None:
        errors, notes = _judged(desired, traefik)
    if as_json:
        complaint = {"valid": not (problems or errors), "problems": problems, "traefik": errors, "notes": notes}
        say(json.dumps(complaint, indent=2))
    else:
        for line in (*(str(one["text"]) for one in problems), *(f"Traefik: {line}" for line in errors)):
            say(line, err=True)
        for line in notes:
            say(f"note: {line}", err=True)
    if problems or errors:
        raise SystemExit(Exit.USAGE)
    if not as_json and desired is not None:
        judged = ", and Traefik accepts it" if traefik is not None else ""
        count = len(desired.services)
        say(f"{file}: valid: {desired.environment}, {count} service{'' if count == 1 else 's'}{judged}")


@click.command()
@file_argument
def render(file: Path) -> None:
    """Print what Traefik would get from a desired-state FILE.

    Servers that Docker provides are not known without a daemon, and are left out.
    """
    from provider import offline

    desired, problems = _load(file)
    if desired is None:
        fail(Exit.USAGE, "\n".join(str(one["text"]) for one in problems))
    document, assumed = offline.document(desired)
    for line in assumed:
        say(f"note: {line}", err=True)
    say(json.dumps(json.loads(document.body), indent=2))


@click.command()
def schema() -> None:
    """Print the JSON Schema of the desired-state file, for editors."""
    from provider import config

    say(json.dumps(config.schema(), indent=2))


@click.command()
@click.argument("name")
@click.option(
    "--scope",
    "scopes",
    required=True,
    multiple=True,
    type=click.Choice(["read", "deploy", "approve", "operate"]),
    help="What it may do; may be given several times. Each may read.",
)
def token(name: str, scopes: tuple[str, ...]) -> None:
    """Make a token, and print the line for the daemon's --tokens-file.

    The line goes to standard output, so that it can be appended to the file: it holds only a hash. The token itself is
    shown once, on standard error, and kept nowhere. NAME is the actor of what is done with it.

    \b
    read     look, and nothing else
    deploy   bring a release to its switch; it cannot approve it
    approve  approve, and abort
    operate  everything, also by force
    """
    from provider.tokens import Scope, make_token

    try:
        text, made = make_token(name, frozenset(map(Scope, scopes)))
    except ValueError as rule:
        raise click.BadParameter(str(rule), param_hint="NAME") from rule
    say(f"The token of {name}, to be kept secret and not shown again (--token, BLUEGREEN_TOKEN):", err=True)
    say(f"  {text}", err=True)
    say("Its line for the tokens file:", err=True)
    say(made.line)


@click.command()
@click.option(
    "--story",
    type=click.Choice(STORIES),
    default="release",
    show_default=True,
    help="What to show.",
)
@click.option("--keep", is_flag=True, help="Leave everything running at the end, and print the addresses.")
@click.option("--traefik", default=None, metavar="BINARY", help="The Traefik to use. [default: the one found]")
def demo(story: str, keep: bool, traefik: str | None) -> None:
    """Show a release on a real Traefik under a steady load, in under a minute.

    Each story checks what it tells; the exit code is 0 if all of it was so.

    \b
    release      a release, and the way back by one command
    gates        health, smoke test, preview, approval, and what follows the switch
    bad-release  one that fails its smoke test, one that goes bad in the watch
    rollback     the way back, asked for twice, and the release tried again
    group        two services that only move together
    """
    import uvloop

    from provider import demo as stories
    from provider.errors import BluegreenError

    try:
        failed = uvloop.run(stories.tell(story, keep=keep, traefik=traefik))
    except BluegreenError as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")
    raise SystemExit(Exit.UNEXPECTED if failed else 0)


def _load(file: Path) -> "tuple[Desired | None, list[dict[str, object]]]":
    from dataclasses import asdict

    from provider import config
    from provider.errors import DesiredStateError
    from provider.watch import DesiredStateFile

    try:
        return config.load(DesiredStateFile(file).read(), str(file)), []
    except DesiredStateError as error:
        return None, [{**asdict(problem), "text": str(problem)} for problem in error.problems]


def _judged(desired: "Desired", binary: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    import asyncio

    from provider import judge, offline, traefik
    from provider.errors import BluegreenError

    document, assumed = offline.document(desired)
    try:
        found = asyncio.run(judge.judge(document.body, binary=traefik.find_binary(binary)))
    except BluegreenError as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")
    return found.errors, (*assumed, *found.notes)
