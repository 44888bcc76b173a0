"""Files that nobody would write on purpose: each is accepted, or refused with its places in a few words."""

import os
import random
import string

import orjson
import pytest

from provider.cli.offline import document
from provider.config import load
from provider.model.document import Document
from provider.model.errors import DesiredStateError, Problem
from tests.support.paths import ROOT

EXAMPLES = int(os.environ.get("BLUEGREEN_EXAMPLES", "150"))
ORIGINALS = ("config/production.yaml", "config/staging.yaml", "deploy/bluegreen/production.yaml")
WORDS_MOST = 4000
"""So long may a sentence be that a person is to read: what is quoted in it is cut."""

NASTY = (
    *("", "~", "null", "{}", "[]", "[[[[]]]]", "yes", "0x1F", "1_000", ".inf", ".nan", "-1", "1e400", "9" * 5000),
    *(
        "2s",
        "-2s",
        "9999999h",
        "1h-1m",
        "100%",
        "*x",
        "&x x",
        "!!python/object:os.system x",
        "!!binary aGk=",
        "@x",
        "%x",
    ),
    *("|", ">", "'", '"', "? x", "- x", "# x", "<<: *x", "a: b", "{a: b", "[a, b", "\t", "\x00", "\x1b[31m", "\u202e"),
    *(
        "\ud800".encode("utf-8", "replace").decode(),
        "\ufeff",
        "🐢" * 300,
        "x" * 100_000,
        "Host(`",
        "Host(`a`) ||",
        "`",
        "((" * 200,
    ),
    *("http://[::1", "http://a:99999", "http://user:secret@a", "blue", "green", "auto", "2026-01-01", "true", "1.5"),
)


def _lines(text: str, at: random.Random) -> list[str]:
    lines = text.split("\n")
    number = at.randrange(len(lines))
    match at.choice(["drop", "double", "move", "indent", "value", "key", "join", "swap"]):
        case "drop":
            del lines[number]
        case "double":
            lines.insert(number, lines[number])
        case "move":
            lines.insert(at.randrange(len(lines)), lines.pop(number))
        case "indent":
            lines[number] = " " * at.randrange(9) + lines[number].lstrip()
        case "value":
            name, colon, _ = lines[number].partition(":")
            lines[number] = f"{name}{colon or ':'} {at.choice(NASTY)}"
        case "key":
            _, _, value = lines[number].partition(":")
            lines[number] = f"{' ' * at.randrange(7)}{at.choice(NASTY)}:{value}"
        case "join":
            lines[number : number + 2] = ["".join(lines[number : number + 2])]
        case _:
            other = at.randrange(len(lines))
            lines[number], lines[other] = lines[other], lines[number]
    return lines


def _characters(text: str, at: random.Random) -> str:
    begin = at.randrange(len(text))
    new: str = at.choice([*string.punctuation, *NASTY])
    end = begin + at.choice((0, 1, 1, 5, 80))
    return text[:begin] + new + text[end:]


def mutated(text: str, at: random.Random) -> str:
    for _ in range(at.choice([1, 1, 1, 2, 3, 8])):
        text = "\n".join(_lines(text, at)) if at.random() < 0.7 else _characters(text, at)
    return text


def outcome_of(text: str) -> tuple[Document | None, tuple[Problem, ...]]:
    """The document that a file gives, or everything that is wrong with it."""
    try:
        return document(load(text, "production.yaml"))[0], ()
    except DesiredStateError as refusal:
        return None, refusal.problems


@pytest.mark.takes(15)
def test_any_file_is_accepted_with_a_document_or_refused_at_its_places() -> None:
    """P11. A seed that fails is played again by `random.Random(seed)`."""
    originals = [(ROOT / name).read_text() for name in ORIGINALS]
    accepted = 0
    for seed in range(2 * EXAMPLES):
        at = random.Random(seed)
        made, problems = outcome_of(mutated(at.choice(originals), at))
        assert (made is None) is bool(problems), seed
        assert all(problem.line >= 1 and problem.column >= 1 for problem in problems), seed
        assert all(len(str(problem)) < WORDS_MOST for problem in problems), seed
        assert made is None or orjson.loads(made.body), seed
        accepted += made is not None
    assert 0 < accepted < 2 * EXAMPLES
