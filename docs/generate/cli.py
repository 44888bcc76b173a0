"""The reference of the command line, from click."""

import inspect
import re
from collections.abc import Iterator
from dataclasses import fields

import click

from docs.generate.markdown import capitalised, code, fence, sentence, table
from docs.generate.markdown import page as whole
from provider.cli.commands.exit_codes import MEANING
from provider.cli.commands.help import Verb
from provider.cli.commands.options import DaemonOptions
from provider.cli.main import main

TITLE = "The command line"
INTRODUCTION = """\
`bluegreen --help` lists the commands, `--help` after a command describes it. A flag overrides its environment
variable. A duration is Go's (`90s`, `5m`, `1h30m`) or a plain number of seconds."""
CLIENT = """\
Every command that asks a running daemon has these options. An `https` address may need `--ca`, and a daemon with
`--tls-client-ca` requires `--cert`. `unix:PATH` is the socket of an `--admin-listen unix:PATH`."""
ENDING = """\
Scripts use the exit code; errors are on standard error. An interrupted `deploy` ends with 128 plus the number of the
signal, and its rollout goes on."""
OF_THE_CLIENT = frozenset(field.name for field in fields(DaemonOptions))
DEFAULT = re.compile(r"\s*\[default: ([^]]*)\]$")


def page() -> str:
    """Return the page."""
    verbs = tuple(_verbs(main, "bluegreen"))
    client = next(verb for _, verb in verbs if _asks_a_daemon(verb))
    codes = table(
        ("Code", "Meaning"), ((f"{number:d}", sentence(capitalised(meaning))) for number, meaning in MEANING.items())
    )
    return whole(
        TITLE,
        INTRODUCTION,
        "## Exit codes",
        ENDING,
        codes,
        "## Options of every client",
        CLIENT,
        _options([option for option in client.params if option.name in OF_THE_CLIENT]),
        *(part for name, verb in verbs for part in _verb(name, verb)),
    )


def _verbs(group: click.Group, name: str) -> Iterator[tuple[str, click.Command]]:
    for word, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from _verbs(command, f"{name} {word}")
        elif not command.hidden:
            yield f"{name} {word}", command


def _asks_a_daemon(verb: click.Command) -> bool:
    return {option.name for option in verb.params} >= OF_THE_CLIENT


def _verb(name: str, verb: click.Command) -> Iterator[str]:
    context = click.Context(verb, info_name=name)
    yield f"## {name}"
    yield fence(verb.get_usage(context).removeprefix("Usage: "))
    yield from _words(inspect.cleandoc(verb.help or ""))
    is_client = _asks_a_daemon(verb)
    yield _options([option for option in verb.params if not (is_client and option.name in OF_THE_CLIENT)])
    if is_client:
        yield "And the [options of every client](#options-of-every-client)."
    if isinstance(verb, Verb):
        yield fence(verb.examples, "shell")


def _words(text: str) -> Iterator[str]:
    """Yield the paragraphs of a help text; one that click keeps as it stands (\\b) is a block."""
    for paragraph in text.split("\n\n"):
        yield fence(paragraph.removeprefix("\b\n")) if paragraph.startswith("\b") else paragraph


def _options(options: list[click.Parameter]) -> str:
    rows = [_row(option) for option in options if isinstance(option, click.Option) and not option.hidden]
    return table(("Option", "Environment", "Default", "Meaning"), rows)


def _row(option: click.Option) -> tuple[str, ...]:
    kind = "" if option.is_flag else f" {option.make_metavar(click.Context(main))}"
    variable = code(option.envvar) if option.envvar else ""
    words, default = option.help or "", ""
    found = DEFAULT.search(words)
    if option.required:
        default = "**required**"
    elif found:
        words, default = words[: found.start()], found[1]
    elif option.show_default:
        default = code(option.default)
    return code(", ".join(option.opts) + kind), variable, default, sentence(words)
