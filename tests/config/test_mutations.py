"""Files that nobody would write on purpose: each is accepted, or refused with its places in a few words."""

import os
import random
import string
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import yaml

from provider.cli.offline import document
from provider.config import load
from provider.model.document import Document
from provider.model.errors import DesiredStateError, Problem
from tests.support.desired_state import IN_STEPS, WITH_ENDPOINTS
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
    originals = [*[(ROOT / name).read_text() for name in ORIGINALS], IN_STEPS, WITH_ENDPOINTS]
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


VALUES: tuple[object, ...] = (
    *(0, 1, 99, 100, -1, 5.5, 0.99, 1e308, True, False, None, "", "5%", "100%", "5", "5m", "1.2s", "0s", "-5m"),
    *("none", "client", "cookie", "manual", "500-599", "599-500", "traefik", "{{colour}}", "{{x}}", "${X}", "x" * 300),
    *([], [5], [{}], [[]], {}, {"weight": 5}, {"name": "X-A", "value": "b"}, {"prometheus": {"url": "http://p"}}),
)


def _paths(value: object) -> Iterator[tuple[str | int, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        yield (key,)
        yield from ((key, *below) for below in _paths(each))


def _changed(value: Any, at: random.Random) -> Any:
    """A copy of a file's value with one part of it replaced, removed or put elsewhere."""
    changed = orjson.loads(orjson.dumps(value))
    *above, key = at.choice([path for path in _paths(changed) if path[0] in {"services", "defaults", "traefik"}])
    here = changed
    for step in above:
        here = here[step]
    match at.choice(["value", "value", "drop", "defaults"]):
        case "value":
            here[key] = at.choice(VALUES)
        case "drop":
            del here[key]
        case _:
            keys = at.choice(("canary", "analysis", "testRoute", "group", "sticky", "deadlines"))
            changed["defaults"] = {keys: changed["services"]["shop"].get(keys, at.choice(VALUES))}
    return changed


@pytest.mark.takes(10)
def test_any_value_for_steps_is_accepted_with_a_document_or_refused_at_its_place() -> None:
    """P11, rules 19 to 24. Most of these are valid but for one value, so that every check sees odd ones."""
    original = yaml.safe_load(IN_STEPS)
    accepted = 0
    for seed in range(4 * EXAMPLES):
        at = random.Random(seed)
        value = original
        for _ in range(at.choice([1, 1, 2, 4])):
            try:
                value = _changed(value, at)
            except (AttributeError, LookupError, TypeError):  # nothing is left there to change
                continue
        made, problems = outcome_of(orjson.dumps(value).decode())
        assert (made is None) is bool(problems), seed
        assert all(problem.line == 1 and problem.column >= 1 and problem.path for problem in problems), seed
        assert all(len(str(problem)) < WORDS_MOST for problem in problems), seed
        accepted += made is not None
    assert 0 < accepted < 4 * EXAMPLES
