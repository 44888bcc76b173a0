"""`bluegreen validate`: every error of a desired-state file."""

import json
import os
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from provider.cli.commands.exit_codes import Exit, fail, say
from provider.cli.commands.help import Verb
from provider.cli.commands.options import json_option

if TYPE_CHECKING:
    from provider.config.directory import Whole
    from provider.model import Desired
    from provider.model.errors import Problem


STDIN = "-"
STDIN_NAME = "<stdin>"
"""Its name in messages."""

file_kind = click.Path(exists=True, allow_dash=True)
file_argument = click.argument("file", type=file_kind)


@dataclass(frozen=True, slots=True)
class _Result:
    """The result for one file: the desired state if it is valid, else every problem, as in the JSON."""

    name: str
    desired: "Desired | None"
    problems: tuple[dict[str, object], ...] = ()
    warnings: tuple[dict[str, object], ...] = ()
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_valid(self) -> bool:
        return not (self.problems or self.errors)


@click.command(
    cls=Verb,
    examples="""
    # Validate every desired-state file of a repository
    bluegreen validate config/production.yaml config/staging.yaml

    # Validate standard input, and print the problems as JSON
    cat config/production.yaml | bluegreen validate - --json

    # Let a real Traefik load the document, too
    bluegreen validate --traefik config/production.yaml
    """,
)
@click.argument("files", metavar="FILE...", nargs=-1, type=file_kind)
@json_option
@click.option(
    "--traefik",
    is_flag=False,
    flag_value="traefik",
    default=None,
    metavar="[BINARY]",
    help="Also load the document into a real Traefik, started on loopback. [default: the one found]",
)
def validate(files: tuple[str, ...], as_json: bool, traefik: str | None) -> None:
    """Validate desired-state files, or directories of them.

    Prints every problem with its line and column; - is standard input. Exits with 2 if any file is invalid. A warning
    is no problem: the file is valid.
    """
    if traefik is not None and (traefik == STDIN or _is_no_program(traefik)):
        files, traefik = (traefik, *files), "traefik"  # typed as: validate --traefik FILE
    if not files:
        raise click.UsageError("Missing argument 'FILE...'.")
    if files.count(STDIN) > 1:
        raise click.UsageError("Standard input (-) can be read only once.")
    results = [_result(file, traefik) for file in files]
    if as_json:
        say(json.dumps(_as_json(results), indent=2))
    else:
        for one in results:
            _show(one, several=len(results) > 1, has_traefik=traefik is not None)
    if not all(one.is_valid for one in results):
        raise SystemExit(Exit.USAGE)


def _is_no_program(path: str) -> bool:
    return Path(path).is_file() and not os.access(path, os.X_OK)


def _result(file: str, traefik: str | None) -> _Result:
    name = STDIN_NAME if file == STDIN else file
    loaded = _load(file)
    if loaded.desired is None:
        return _Result(name, None, loaded.problems)
    checked = _Result(name, loaded.desired, warnings=_warnings(loaded.desired, loaded.whole))
    if traefik is None:
        return checked
    errors, notes = _loaded_by_traefik(loaded.desired, traefik)
    return replace(checked, errors=errors, notes=notes)


def _as_json(results: list[_Result]) -> dict[str, object]:
    """Return the JSON: of all files together and, if there are several, of each."""
    each = [
        {
            "file": one.name,
            "valid": one.is_valid,
            "warnings": one.warnings,
            "traefik": one.errors,
            "notes": one.notes,
        }
        for one in results
    ]
    return {
        "valid": all(one.is_valid for one in results),
        "problems": [problem for one in results for problem in one.problems],
        "warnings": [warning for one in results for warning in one.warnings],
        "traefik": [error for one in results for error in one.errors],
        "notes": [note for one in results for note in one.notes],
    } | ({"files": each} if len(each) > 1 else {})


def _show(result: _Result, *, several: bool, has_traefik: bool) -> None:
    prefix = f"{result.name}: " if several else ""
    for problem in result.problems:
        say(str(problem["text"]), err=True)
    for warning in result.warnings:
        say(str(warning["text"]), err=True)
    for line in result.errors:
        say(f"{prefix}Traefik: {line}", err=True)
    for line in result.notes:
        say(f"{prefix}note: {line}", err=True)
    if result.is_valid and result.desired is not None:
        accepted = ", and Traefik accepts it" if has_traefik else ""
        count = len(result.desired.services)
        services = f"{count} service{'' if count == 1 else 's'}"
        say(f"{result.name}: valid: {result.desired.environment}, {services}{accepted}")


def load_file(file: str) -> "tuple[Desired | None, tuple[dict[str, object], ...]]":
    """Return the desired state of a file, or every problem as in the JSON; - is standard input."""
    loaded = _load(file)
    return loaded.desired, loaded.problems


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The text of a file, or of all files of a directory, with its desired state or every problem."""

    whole: "Whole"
    desired: "Desired | None"
    problems: tuple[dict[str, object], ...] = ()


def _load(file: str) -> _Loaded:
    from provider import config
    from provider.config.directory import Whole, read
    from provider.config.reading import decoded
    from provider.model.errors import DesiredStateError

    name = STDIN_NAME if file == STDIN else file
    whole = Whole("", name)
    try:
        if file == STDIN:
            whole = Whole(decoded(sys.stdin.buffer.read(config.MAX_BYTES + 1), name), name)
        else:
            whole = read(Path(file))
        return _Loaded(whole, config.load(whole.text, whole.name))
    except DesiredStateError as error:
        problems = [whole.place(problem) for problem in error.problems]
        return _Loaded(whole, None, tuple(_row(problem, str(problem)) for problem in problems))


def _warnings(desired: "Desired", whole: "Whole") -> tuple[dict[str, object], ...]:
    from provider.config.advice import warnings

    found = (whole.place(one) for one in warnings(desired, whole.text, whole.name))
    return tuple(_row(one, str(replace(one, message=f"warning: {one.message}"))) for one in found)


def _row(problem: "Problem", text: str) -> dict[str, object]:
    return {**asdict(problem), "text": text}


def _loaded_by_traefik(desired: "Desired", binary: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    import asyncio

    from provider.cli import offline
    from provider.model.errors import BluegreenError
    from provider.traefik import process, validation

    document, assumed = offline.document(desired)
    try:
        found = asyncio.run(validation.validate(document.body, binary=process.find_binary(binary)))
    except BluegreenError as error:
        fail(Exit.UNEXPECTED, f"bluegreen: {error}")
    return found.errors, (*assumed, *found.notes)
