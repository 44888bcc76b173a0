"""Traefik's `defaultRule`: the part of Go's templates and sprig's functions that such rules use.

`{{ normalize .Name }}`, `.ContainerName`, `index .Labels "NAME"`, texts, and pipelines over the functions below. Any
other template is refused, never half understood.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from provider.model.errors import RuleError

DEFAULT_RULE = "Host(`{{ normalize .Name }}`)"
"""Traefik's own (pkg/provider/docker/shared.go)."""
TEMPLATE_MOST = 1000
RULE_MOST = 1 << 16
_ACTION = re.compile(r"\{\{(-\s)?(.*?)(\s-)?\}\}", re.DOTALL)
_TOKEN = re.compile(r"""\s*(?:`(?P<raw>[^`]*)`|"(?P<quoted>[^"\\\n]*)"|(?P<word>\.?[A-Za-z][\w.]*)|(?P<pipe>\|))""")
_NO_LETTER = re.compile(r"[\W_]+")


def normalize(name: str) -> str:
    """Return a name whose runs of other characters than letters and digits are hyphens, with none at the ends."""
    return "-".join(part for part in _NO_LETTER.split(name) if part)


_FUNCTIONS: Mapping[str, tuple[int, Callable[..., str]]] = {
    "normalize": (1, normalize),
    "lower": (1, str.lower),
    "upper": (1, str.upper),
    "trim": (1, str.strip),
    "trimPrefix": (2, lambda prefix, text: text.removeprefix(prefix)),
    "trimSuffix": (2, lambda suffix, text: text.removesuffix(suffix)),
    "replace": (3, lambda old, new, text: text.replace(old, new)),
    "default": (2, lambda other, text: text or other),
}
"""How many arguments each has, and what it does."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What a template can name of a container."""

    name: str
    container_name: str
    labels: Mapping[str, str]


def render(template: str, subject: Subject) -> str:
    """Return the rule that a template makes for a container.

    Raises:
        RuleError: it has a part that is not known here, and says which.
    """
    if len(template) > TEMPLATE_MOST:
        raise RuleError(f"the template is longer than {TEMPLATE_MOST} characters")
    rule, end, trims = "", 0, False
    for action in _ACTION.finditer(template):
        text = template[end : action.start()]
        text = text.lstrip() if trims else text
        rule += (text.rstrip() if action[1] else text) + _value(action[2], subject)
        end, trims = action.end(), action[3] is not None
        if len(rule) > RULE_MOST:
            raise RuleError(f"the rule is longer than {RULE_MOST} characters")
    rest = template[end:]
    if "{{" in rest:
        raise RuleError("an action '{{' is not closed")
    return rule + (rest.lstrip() if trims else rest)


def _value(action: str, subject: Subject) -> str:
    piped: str | None = None
    for command in _commands(action):
        piped = _command(command, piped, subject)
    if piped is None:
        raise RuleError("an action is empty")
    return piped


def _command(words: list[tuple[str, str]], piped: str | None, subject: Subject) -> str:
    (kind, word), *rest = words
    if kind == "word" and word == "index" and [one for _, one in rest[:1]] == [".Labels"]:
        keys = [_text(*one, subject) for one in rest[1:]] + ([] if piped is None else [piped])
        if len(keys) != 1:
            raise RuleError("index .Labels takes one name")
        return subject.labels.get(keys[0], "")
    if kind == "word" and word in _FUNCTIONS:
        count, function = _FUNCTIONS[word]
        arguments = [_text(*one, subject) for one in rest] + ([] if piped is None else [piped])
        if len(arguments) != count:
            raise RuleError(f"{word} takes {count} arguments, and has {len(arguments)}")
        if sum(map(len, arguments)) > RULE_MOST:
            raise RuleError(f"{word} has arguments of more than {RULE_MOST} characters")
        return function(*arguments)
    if rest or piped is not None:
        raise RuleError(f"{word!r} is no function that is known here")
    return _text(kind, word, subject)


def _text(kind: str, word: str, subject: Subject) -> str:
    if kind in {"raw", "quoted"}:
        return word
    match word:
        case ".Name":
            return subject.name
        case ".ContainerName":
            return subject.container_name
    raise RuleError(f"{word!r} is not known here")


def _commands(action: str) -> Iterator[list[tuple[str, str]]]:
    command: list[tuple[str, str]] = []
    at = 0
    action = action.rstrip()
    while at < len(action):
        token = _TOKEN.match(action, at)
        if token is None:
            raise RuleError(f"{action[at : at + 40].strip()!r} is not known here")
        at = token.end()
        kind = token.lastgroup or ""
        if kind != "pipe":
            command.append((kind, token[kind]))
            continue
        if not command:
            raise RuleError("a pipe has nothing before it")
        yield command
        command = []
    if not command:
        raise RuleError("an action ends without a value")
    yield command
