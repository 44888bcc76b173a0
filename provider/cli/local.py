"""The verbs that need no daemon."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider.cli.ending import Exit, fail, say
from provider.cli.options import json_option

if TYPE_CHECKING:
    from provider.model import Desired

STORIES = ("release", "gates", "bad-release", "rollback", "group")
"""Those of `provider.demo`, which is slow to import."""

STDIN = "-"
STDIN_NAME = "<stdin>"
"""What messages call it."""

file_kind = click.Path(exists=True, dir_okay=False, allow_dash=True)
file_argument = click.argument("file", type=file_kind)


@dataclass(frozen=True, slots=True)
class _Verdict:
    """What came of one file: the desired state where it is valid, else every problem as JSON has it."""

    name: str
    desired: "Desired | None"
    problems: tuple[dict[str, object], ...] = ()
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        return not (self.problems or self.errors)


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, type=file_kind)
@json_option
@click.option(
    "--traefik",
    is_flag=False,
    flag_value="traefik",
    default=None,
    metavar="[BINARY]",
    help="Also let a real Traefik, started on loopback for the purpose, judge the document.",
)
def validate(files: tuple[str, ...], as_json: bool, traefik: str | None) -> None:
    """Print everything that is wrong with desired-state FILEs; - is standard input.

    Ends with 2 when any of them is invalid.
    """
    if traefik is not None and (traefik == STDIN or _is_no_program(traefik)):
        files, traefik = (traefik, *files), "traefik"  # written as: validate --traefik FILE
    if not files:
        raise click.UsageError("Missing argument 'FILE...'.")
    if files.count(STDIN) > 1:
        raise click.UsageError("'-' is standard input, which can be read once.")
    verdicts = [_verdict(file, traefik) for file in files]
    if as_json:
        say(json.dumps(_as_json(verdicts), indent=2))
    else:
        for one in verdicts:
            _tell(one, several=len(verdicts) > 1, is_judged=traefik is not None)
    if not all(one.is_valid for one in verdicts):
        raise SystemExit(Exit.USAGE)


def _is_no_program(path: str) -> bool:
    return Path(path).is_file() and not os.access(path, os.X_OK)


def _verdict(file: str, traefik: str | None) -> _Verdict:
    desired, problems = _load(file)
    name = STDIN_NAME if file == STDIN else file
    if traefik is None or desired is None:
        return _Verdict(name, desired, tuple(problems))
    return _Verdict(name, desired, (), *_judged(desired, traefik))


def _as_json(verdicts: list[_Verdict]) -> dict[str, object]:
    """Return what programs get: of all files together, and of several each by itself."""
    each = [{"file": one.name, "valid": one.is_valid, "traefik": one.errors, "notes": one.notes} for one in verdicts]
    return {
        "valid": all(one.is_valid for one in verdicts),
        "problems": [problem for one in verdicts for problem in one.problems],
        "traefik": [error for one in verdicts for error in one.errors],
        "notes": [note for one in verdicts for note in one.notes],
    } | ({"files": each} if len(each) > 1 else {})


def _tell(verdict: _Verdict, *, several: bool, is_judged: bool) -> None:
    whose = f"{verdict.name}: " if several else ""
    for problem in verdict.problems:
        say(str(problem["text"]), err=True)
    for line in verdict.errors:
        say(f"{whose}Traefik: {line}", err=True)
    for line in verdict.notes:
        say(f"{whose}note: {line}", err=True)
    if verdict.is_valid and verdict.desired is not None:
        judged = ", and Traefik accepts it" if is_judged else ""
        count = len(verdict.desired.services)
        told = f"{verdict.desired.environment}, {count} service{'' if count == 1 else 's'}{judged}"
        say(f"{verdict.name}: valid: {told}")


@click.command()
@file_argument
def render(file: str) -> None:
    """Print what Traefik would get from a desired-state FILE; - is standard input.

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


def _load(file: str) -> "tuple[Desired | None, list[dict[str, object]]]":
    from dataclasses import asdict

    from provider import config
    from provider.errors import DesiredStateError
    from provider.watch import DesiredStateFile, decoded

    try:
        if file == STDIN:
            content = sys.stdin.buffer.read(config.MAX_BYTES + 1)
            return config.load(decoded(content, STDIN_NAME), STDIN_NAME), []
        return config.load(DesiredStateFile(Path(file)).read(), file), []
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
