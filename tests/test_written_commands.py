"""The commands that the pipeline runs and the pages tell of: the command line takes each of them."""

import re
import shlex
from collections.abc import Iterator

import click
import pytest

from provider.cli import main
from tests.pipeline import PAGES, ROOT, scripts


def commands_in(text: str) -> Iterator[list[str]]:
    """Yield the words of each `bluegreen` command of a shell script."""
    text = re.sub(r"(?m)(?:^|(?<=\s))#\s.*$", "", text.replace("\\\n", " "))
    lexer = shlex.shlex(text, posix=True, punctuation_chars="();<>|&\n")
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t\r", True, ""
    words: list[str] | None = None
    before = "\n"
    for word in lexer:
        is_punctuation = set(word) <= set("();<>|&\n")
        if is_punctuation and words is not None:
            yield words
            words = None
        elif words is not None:
            words.append(word)
        elif word == "bluegreen" and (set(before) <= set("();|&\n") or before in {"if", "!", "then", "do", "exec"}):
            words = []
        before = word
    if words is not None:
        yield words


def commands_of_a_page(text: str) -> Iterator[list[str]]:
    for block in re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("$ "):
                yield from commands_in(line[2:])
    for span in re.findall(r"`(bluegreen\s[^`]+)`", re.sub(r"(?ms)^```.*?^```$", "", text)):
        yield from commands_in(" ".join(span.split()))


def all_commands() -> Iterator[tuple[str, list[str]]]:
    for place, text in scripts():
        for words in commands_in(text):
            yield place, words
    for name, file in PAGES.items():
        for words in commands_of_a_page(file.read_text()):
            yield name, words


def refusal(words: list[str]) -> str | None:
    """Return what the command line has against a command, before it would do anything."""
    try:
        with click.Context(main, info_name="bluegreen") as context:
            name, verb, rest = main.resolve_command(context, words)
            assert verb is not None
            with verb.make_context(name, rest, parent=context):
                return None
    except click.ClickException as error:
        return error.format_message()


WRITTEN = sorted({(place, shlex.join(words)) for place, words in all_commands()})


def test_the_commands_are_found() -> None:
    verbs = {command.split()[0] for _, command in WRITTEN}
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


@pytest.mark.parametrize(("place", "command"), WRITTEN, ids=[f"{place}: {command}" for place, command in WRITTEN])
def test_a_command_that_is_written_down_is_one_that_the_command_line_takes(
    place: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    assert refusal(shlex.split(command)) is None, place


@pytest.mark.parametrize("name", PAGES)
def test_the_links_of_a_page_lead_somewhere(name: str) -> None:
    text = PAGES[name].read_text()
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert links
    for link in links:
        path, _, anchor = link.partition("#")
        target = (PAGES[name].parent / path).resolve() if path else PAGES[name]
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}, link
