"""Traefik's router rules, read as Traefik reads them: an expression of matchers, in Go's syntax.

Source: `pkg/rules/parser.go` of Traefik 3, and vulcand/predicate, which hands the rule to Go's parser of expressions.
Names of matchers are kept as written; Traefik knows each in its own case, in lower and in upper case, and capitalised.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, assert_never

from provider.model.errors import RuleError

DEPTH_MOST = 100
"""Maximum depth of a rule; those written by hand have a few levels."""
REMEMBERED = 1 << 16
"""Rules whose host and path are remembered: fewer than there are services would be none, as all are read in turn."""


@dataclass(frozen=True, slots=True)
class Matcher:
    """One matcher with its arguments; `at` is the position of its name in the rule, counted from 0."""

    name: str
    arguments: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class Not:
    """A rule that must not match."""

    rule: "Rule"


@dataclass(frozen=True, slots=True)
class Every:
    """Two rules or more, all of which must match."""

    rules: "tuple[Rule, ...]"


@dataclass(frozen=True, slots=True)
class Some:
    """Two rules or more, one of which must match."""

    rules: "tuple[Rule, ...]"


Rule: TypeAlias = Matcher | Not | Every | Some


@lru_cache(maxsize=4096)
def parse(text: str) -> Rule:
    """Read a rule.

    Raises:
        RuleError: it is none; the error names the position, counted from 1.
    """
    return _Reader(text).rule()


@lru_cache(maxsize=REMEMBERED)
def first_host(text: str) -> str | None:
    """Return the first host that a rule names and may match; None where it names none, or is no rule.

    A host under `!` is not named, and one that another part of the rule excludes does not match.
    """
    return _first(text, "host")


@lru_cache(maxsize=REMEMBERED)
def first_server_name(text: str) -> str | None:
    """Return the first server name (SNI) that a rule of TCP names and may match, likewise; `*` names none."""
    return _first(text, "hostsni")


def _first(text: str, matcher: str) -> str | None:
    try:
        rule = parse(text)
    except RuleError:
        return None
    return next((name for name in _names(rule, matcher) if _matches(rule, matcher, name) is not False), None)


@lru_cache(maxsize=REMEMBERED)
def first_path(text: str) -> str:
    """Return the path that a request which matches may begin with; "/" where the rule leaves that open."""
    try:
        rule = parse(text)
    except RuleError:
        return "/"
    conditions = rule.rules if isinstance(rule, Every) else (rule,)
    paths = (
        one.arguments for one in conditions if isinstance(one, Matcher) and one.name.lower() in {"path", "pathprefix"}
    )
    return next((arguments[0] for arguments in paths if len(arguments) == 1 and arguments[0].startswith("/")), "/")


def are_apart(one: str, other: str) -> bool:
    """Return whether no request can match both rules, by their hosts or the paths they begin with.

    False where that cannot be told from these.
    """
    hosts, others = only_hosts(one), only_hosts(other)
    if hosts is not None and others is not None and not hosts & others:
        return True
    path, its = path_before(one), path_before(other)
    return not (path.startswith(its) or its.startswith(path))


def path_before(text: str) -> str:
    """Return what the path of every request that matches begins with; "/" where the rule leaves that open."""
    return first_path(text).partition("{")[0]  # version 2 of the syntax had {variables}


@lru_cache(maxsize=REMEMBERED)
def named_hosts(text: str) -> frozenset[str]:
    """Return every host and server name that a rule names, but under `!`, in lower case and without a last dot.

    Traefik takes those with a dot at the end for those without.
    """
    try:
        rule = parse(text)
    except RuleError:
        return frozenset()
    return frozenset(
        name.lower().removesuffix(".") for matcher in ("host", "hostsni") for name in _names(rule, matcher)
    )


@lru_cache(maxsize=REMEMBERED)
def only_hosts(text: str) -> frozenset[str] | None:
    """Return the only hosts that a rule may match, in lower case; None where it may match others, or is no rule."""
    return _only(text, "host")


@lru_cache(maxsize=REMEMBERED)
def only_server_names(text: str) -> frozenset[str] | None:
    """Return the only server names (SNI) that a rule of TCP may match; None where it may match others, or any."""
    return _only(text, "hostsni")


def _only(text: str, matcher: str) -> frozenset[str] | None:
    try:
        return _only_values(parse(text), matcher)
    except RuleError:
        return None


def _only_values(rule: Rule, matcher: str) -> frozenset[str] | None:
    match rule:
        case Matcher():
            if rule.name.lower() != matcher or "*" in rule.arguments:
                return None
            return frozenset(argument.lower().removesuffix(".") for argument in rule.arguments)
        case Not():
            return None
        case Every():
            known = [values for one in rule.rules if (values := _only_values(one, matcher)) is not None]
            return frozenset.intersection(*known) if known else None
        case Some():
            each = [_only_values(one, matcher) for one in rule.rules]
            known = [values for values in each if values is not None]
            return frozenset.union(*known) if len(known) == len(each) else None
        case _:
            assert_never(rule)


def _names(rule: Rule, matcher: str, *, named: bool = True) -> Iterator[str]:
    match rule:
        case Matcher():
            is_it = named and rule.name.lower() == matcher
            yield from (name for name in rule.arguments if is_it and name and not _is_any(matcher, name))
        case Not():
            yield from _names(rule.rule, matcher, named=not named)
        case Every() | Some():
            for each in rule.rules:
                yield from _names(each, matcher, named=named)
        case _:
            assert_never(rule)


def _is_any(matcher: str, name: str) -> bool:
    return matcher == "hostsni" and name == "*"


def _matches(rule: Rule, matcher: str, name: str) -> bool | None:
    """Return whether a request for a name matches; None where that depends on the rest of the request."""
    match rule:
        case Matcher():
            if rule.name.lower() != matcher:
                return None
            return any(_is_any(matcher, one) or one.lower() == name.lower() for one in rule.arguments)
        case Not():
            found = _matches(rule.rule, matcher, name)
            return None if found is None else not found
        case Every() | Some():
            each = {_matches(one, matcher, name) for one in rule.rules}
            decisive = isinstance(rule, Some)
            return decisive if decisive in each else None if None in each else not decisive
        case _:
            assert_never(rule)


# --- reading ----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<name>[^\W\d]\w*)
        |`(?P<raw>[^`]*)`
        |"(?P<quoted>(?:[^"\\\n]|\\.)*)"
        |(?P<sign>&&|\|\||[!(),])
        |(?P<end>\Z)
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(
    r"""\\(?:([abfnrtv\\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-3][0-7]{2})|(.?))""", re.DOTALL
)
_ESCAPED = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}


class _Reader:
    """Reads one rule from left to right, one token ahead. `!` binds tighter than `&&`, and that tighter than `||`."""

    def __init__(self, text: str) -> None:
        self._text, self._depth, self._end = text, 0, 0
        self._next()

    def rule(self) -> Rule:
        found = self._some()
        if self._kind != "end":
            raise self._unexpected("'&&', '||' or the end")
        return found

    def _next(self) -> None:
        token = _TOKEN.match(self._text, self._end)
        if token is None:
            at = len(self._text) - len(self._text[self._end :].lstrip())
            raise RuleError(f"column {at + 1}: {_cited(self._text[at:])} is no part of a rule")
        self._kind, self._end = token.lastgroup or "end", token.end()
        self._value, self._at = token[self._kind], token.start(self._kind)

    def _unexpected(self, expected: str) -> RuleError:
        if self._kind == "end":
            return RuleError(f"column {self._at + 1}: the rule ends where {expected} should follow")
        return RuleError(f"column {self._at + 1}: {_cited(self._text[self._at :])} is where {expected} should be")

    def _takes(self, sign: str) -> bool:
        if self._kind != "sign" or self._value != sign:
            return False
        self._next()
        return True

    def _some(self) -> Rule:
        found = [self._every()]
        while self._takes("||"):
            found.append(self._every())
        return Some(tuple(found)) if len(found) > 1 else found[0]

    def _every(self) -> Rule:
        found = [self._one()]
        while self._takes("&&"):
            found.append(self._one())
        return Every(tuple(found)) if len(found) > 1 else found[0]

    def _one(self) -> Rule:
        self._depth += 1
        if self._depth > DEPTH_MOST:
            raise RuleError(f"column {self._at + 1}: nested more than {DEPTH_MOST} times")
        found: Rule
        if self._takes("!"):
            found = Not(self._one())
        elif self._takes("("):
            found = self._some()
            if not self._takes(")"):
                raise self._unexpected("')'")
        elif self._kind == "name":
            found = self._matcher()
        else:
            raise self._unexpected("a matcher such as Host(`shop.example.com`)")
        self._depth -= 1
        return found

    def _matcher(self) -> Matcher:
        name, at = self._value, self._at
        self._next()
        if not self._takes("("):
            raise self._unexpected(f"'(' after {name}")
        arguments = []
        while not self._takes(")"):
            arguments.append(self._argument(name))
            if not self._takes(",") and (self._kind, self._value) != ("sign", ")"):
                raise self._unexpected("',' or ')'")
        return Matcher(name, tuple(arguments), at)

    def _argument(self, matcher: str) -> str:
        kind, value, at = self._kind, self._value, self._at
        if kind not in {"raw", "quoted"}:
            raise self._unexpected(f"a value of {matcher} in backticks or double quotes")
        self._next()
        return value.replace("\r", "") if kind == "raw" else _ESCAPE.sub(lambda found: _unescaped(found, at), value)


def _unescaped(found: re.Match[str], at: int) -> str:
    letter, byte, short, long, octal, other = found.groups()
    if letter is not None:
        return _ESCAPED[letter]
    number = int(octal, 8) if octal else int(byte or short or long or "110000", 16)
    if other is not None or number > 0x10FFFF or 0xD800 <= number < 0xE000:
        raise RuleError(
            f"column {at + found.start() + 1}: {found[0]} means nothing in double quotes: write the value in backticks"
        )
    return chr(number)


def _cited(text: str) -> str:
    return repr(text[:20] + ("..." if len(text) > 20 else ""))
