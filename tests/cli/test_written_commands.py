"""The commands in the pipeline, on the pages and in the Examples of each --help: the command line takes them all."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest
from click.testing import CliRunner

from provider.cli.commands.help import Verb, Verbs
from provider.cli.main import main
from tests.support.pages import PAGES, blocks, without_blocks
from tests.support.paths import ROOT
from tests.support.pipeline import scripts

STARTS = frozenset("();|&\n")
LEFT_OUT = "..."
"""Stands for options that are left out; a command within a sentence need not have them either."""
EXAMPLES = {
    str(command.name): command.examples
    for command in (main, *main.commands.values())
    if isinstance(command, Verb | Verbs)
}


def begins(earlier: str, before: str) -> bool:
    """Tell whether a command begins behind these two words; `docker exec` is not the shell's."""
    if before == "exec":
        return set(earlier) <= STARTS
    return set(before) <= STARTS or before in {"if", "!", "then", "do", "<("}


def commands_in(text: str) -> Iterator[list[str]]:
    """Yield the words of each `bluegreen` command of a shell script."""
    text = re.sub(r"(?m)(?:^|(?<=\s))#\s.*$", "", text.replace("\\\n", " "))
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    words: list[str] | None = None
    earlier, before = "", "\n"
    for word in lexer:
        is_punctuation = set(word) <= set("();<>|&\n")
        if is_punctuation and words is not None:
            yield words
            words = None
        elif words is not None:
            words.append(word)
        elif word == "bluegreen" and begins(earlier, before):
            words = []
        earlier, before = before, word
    if words is not None:
        yield words


def commands_of_a_page(text: str) -> Iterator[list[str]]:
    for block in blocks(text, "console"):
        for command in typed(block.replace("\\\n", " ").splitlines()):
            yield from commands_in(command)
    for span in re.findall(r"`(bluegreen\s[^`]+)`", without_blocks(text)):
        for words in commands_in(re.sub(r"[][]", "", " ".join(span.split()))):
            yield [LEFT_OUT, *words]


def typed(lines: list[str]) -> Iterator[str]:
    """Yield what is typed at each prompt; a quotation that is open at the end of a line goes on in the next one."""
    for number, line in enumerate(lines):
        if line.startswith("$ "):
            command = line[2:]
            for more in lines[number + 1 :]:
                if not is_open(command):
                    break
                command += f"\n{more}"
            yield command


def is_open(command: str) -> bool:
    try:
        list(commands_in(command))
    except ValueError:
        return True
    return False


def all_commands() -> Iterator[tuple[str, list[str]]]:
    for place, text in scripts():
        for words in commands_in(text):
            yield place, words
    for verb, examples in EXAMPLES.items():
        for words in commands_in(examples):
            yield f"{verb} --help", words
    for name, file in PAGES.items():
        for words in commands_of_a_page(file.read_text()):
            yield name, words


def refusal(words: list[str]) -> str | None:
    """Return what the command line has against a command, before it would do anything.

    A page may speak of files that the reader has.
    """
    given = [
        word for before, word in zip(["", *words], words, strict=False) if word != LEFT_OUT or before.startswith("--")
    ]
    if given == ["--help"]:
        return None
    try:
        with click.Context(main, info_name="bluegreen") as context:
            name, verb, rest = main.resolve_command(context, given)
            assert verb is not None
            with verb.make_context(name, rest, parent=context):
                return None
    except click.MissingParameter as error:
        return None if LEFT_OUT in words else error.format_message()
    except click.BadParameter as error:
        is_there = "does not exist" not in error.message
        return error.format_message() if is_there else None
    except click.exceptions.Exit:  # --help
        return None
    except click.ClickException as error:
        return error.format_message()


WRITTEN = sorted({(place, shlex.join(words)) for place, words in all_commands()})


def test_the_commands_are_found() -> None:
    verbs = {command.removeprefix(LEFT_OUT).split()[0] for _, command in WRITTEN}
    assert verbs >= {
        "deploy",
        "approve",
        "abort",
        "rollback",
        "wait",
        "status",
        "token",
        "retry",
        "validate",
        "explain",
    }
    in_workflows = [command for place, command in WRITTEN if ":" in place]
    assert len(in_workflows) >= sum(text.count("\nbluegreen ") + text.startswith("bluegreen ") for _, text in scripts())


@pytest.mark.parametrize("verb", main.commands)
def test_every_help_ends_in_examples_of_its_own_verb_each_below_a_comment(verb: str) -> None:
    blocks = EXAMPLES[verb].split("\n\n")
    assert 1 <= len(blocks) <= 4
    for block in blocks:
        comment, *lines = block.splitlines()
        assert comment.startswith("# ")
        commands = list(commands_in("\n".join(lines)))
        assert commands
        assert all(words[0] == verb for words in commands)


OFFLINE = [
    words
    for verb in ("validate", "render", "schema", "token", "completion")
    for words in commands_in(EXAMPLES[verb])
    if "--traefik" not in words
]


@pytest.mark.parametrize("words", OFFLINE, ids=" ".join)
def test_an_example_that_needs_no_daemon_works(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = CliRunner().invoke(main, words, input=(ROOT / "config" / "production.yaml").read_bytes())
    assert done.exit_code == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize(("place", "command"), WRITTEN, ids=[f"{place}: {command}" for place, command in WRITTEN])
def test_a_command_that_is_written_down_is_one_that_the_command_line_takes(
    place: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert refusal(shlex.split(command)) is None, place
