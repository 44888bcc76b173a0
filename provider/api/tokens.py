"""Tokens: their scopes, how one is made, and the files they stand in.

A token has one scope or several, and may read (GET) with any of them:

- `read`: nothing more.
- `deploy`: take and return the lease of a deployment, `switch` without `force` to a release that passes every gate,
  `abort`. It cannot approve, and not roll back: a `switch` to the rollback target is refused like `rollback`.
- `approve`: `approve`, `abort`.
- `operate`: everything, and it alone may use `force`.

The files hold hashes. These are plain SHA-256: the tokens that we make are 256 random bits, which no list of words and
no computer guesses. What slows guessing down is for passwords, and would slow every request down.
"""

import re
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Final

import structlog

from provider.model import Verb
from provider.runtime.files import FileRefused, read_text

log = structlog.get_logger("bluegreen")

PREFIX = "bg_"
TOKEN_BYTES = 32
SHORTEST_TOKEN = 16
LONGEST_NAME = 64
OTHERS_READ_OR_WRITE = 0o026

_NAME = re.compile(rf"(?!{PREFIX})[A-Za-z0-9][A-Za-z0-9._@-]{{0,{LONGEST_NAME - 1}}}")
_HASH = re.compile(r"sha256:([0-9a-f]{64})", re.IGNORECASE)


class Scope(StrEnum):
    """What a token is for."""

    READ = "read"
    DEPLOY = "deploy"
    APPROVE = "approve"
    OPERATE = "operate"


LEASE: Final = "lease"
ANY_LEASE: Final = "lease of another"
FORCE: Final = "force"
DESIRED: Final = "desired"
EVERYTHING: Final = frozenset({Scope.OPERATE})
NEEDS: Mapping[str, frozenset[Scope]] = MappingProxyType(
    {
        Verb.SWITCH: frozenset({Scope.DEPLOY, Scope.OPERATE}),
        Verb.APPROVE: frozenset({Scope.APPROVE, Scope.OPERATE}),
        Verb.PROMOTE: frozenset({Scope.DEPLOY, Scope.OPERATE}),
        Verb.ABORT: frozenset({Scope.DEPLOY, Scope.APPROVE, Scope.OPERATE}),
        Verb.ROLLBACK: EVERYTHING,
        Verb.RETRY: EVERYTHING,
        Verb.PAUSE: EVERYTHING,
        Verb.RESUME: EVERYTHING,
        Verb.FORGET: EVERYTHING,
        LEASE: frozenset({Scope.DEPLOY, Scope.OPERATE}),
        FORCE: EVERYTHING,
    }
)
"""The scopes of which one suffices, by what is done; what does not stand here needs `operate`."""


@dataclass(frozen=True, slots=True)
class Token:
    """What is written down of a token; its name is the actor in the history."""

    name: str
    scopes: frozenset[Scope]
    digest: bytes

    @property
    def line(self) -> str:
        """The line to write into the tokens file."""
        return f"{self.name} {','.join(sorted(self.scopes))} sha256:{self.digest.hex()}"


def make_token(name: str, scopes: frozenset[Scope]) -> tuple[str, Token]:
    """Make a token: its text, which is kept nowhere, and what to write down of it. Raises ValueError with the rule."""
    _check_name(name)
    text = PREFIX + secrets.token_urlsafe(TOKEN_BYTES)
    return text, Token(name, scopes, digest(text))


def digest(text: str) -> bytes:
    """Return the hash of a token's text."""
    return sha256(text.encode(errors="surrogateescape")).digest()


def read_tokens(path: Path) -> tuple[Token, ...]:
    """Read the tokens file: `NAME SCOPE[,SCOPE] sha256:HEX` a line, `#` before a comment. Raises FileRefused."""
    tokens: list[Token] = []
    wrong: list[str] = []
    for number, words in _lines(path):
        try:
            tokens.append(_token(words, tokens))
        except ValueError as rule:
            wrong.append(f"{path}:{number}: {rule}")
    if wrong:
        raise FileRefused("\n".join(wrong))
    if not tokens:
        raise FileRefused(f"{path}: has no token, so nobody could do anything: make one with bluegreen token NAME")
    _look_who_else_can_read(path)
    return tuple(tokens)


def read_provider_tokens(path: Path) -> tuple[Token, ...]:
    """Read the provider token's file: the token or its hash, or a line as in the tokens file. Raises FileRefused.

    Several lines are all accepted, so that a token can be replaced without a moment at which Traefik is turned away.
    """
    tokens: list[Token] = []
    for number, words in _lines(path):
        written = _HASH.fullmatch(words[-1])
        if written and len(words) in {1, 3}:
            hashed = bytes.fromhex(written[1])
        elif len(words) == 1 and len(words[0]) >= SHORTEST_TOKEN and words[0].isascii():
            hashed = digest(words[0])
        else:
            raise FileRefused(
                f"{path}:{number}: a line is the token that Traefik sends ({SHORTEST_TOKEN} or more ASCII characters, "
                "no spaces), or its hash as sha256:HEX"
            )
        tokens.append(Token("provider", frozenset({Scope.READ}), hashed))
    if not tokens:
        raise FileRefused(f"{path}: has no token, so Traefik could not poll: write one, or leave the flag out")
    _look_who_else_can_read(path)
    return tuple(tokens)


def _lines(path: Path) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(read_text(path).splitlines(), 1):
        words = line.partition("#")[0].split()
        if words:
            yield number, words


def _token(words: list[str], above: list[Token]) -> Token:
    """Make sense of a line. Raises ValueError with the rule, and without what may be a secret."""
    if len(words) != 3:
        raise ValueError(f"a line is NAME SCOPE[,SCOPE] sha256:HEX, so 3 words; this one has {len(words)}")
    name, scopes, hashed = words
    _check_name(name)
    known = {scope.value for scope in Scope}
    unknown = [_quoted(one) for one in scopes.split(",") if one not in known]
    if unknown:
        raise ValueError(f"{name}: {', '.join(unknown)} is no scope: write {', '.join(Scope)}, a comma between several")
    written = _HASH.fullmatch(hashed)
    if written is None:
        found = "this is the token itself" if hashed.startswith(PREFIX) else "this is no hash"
        raise ValueError(
            f"{name}: {found}; the last word is sha256: and 64 hexadecimal digits, as bluegreen token prints"
        )
    token = Token(name, frozenset(map(Scope, scopes.split(","))), bytes.fromhex(written[1]))
    for other in above:
        if token.name == other.name:
            raise ValueError(f"{name}: there is a token of this name above, and a name is one actor: take another name")
        if token.digest == other.digest:
            raise ValueError(f"{name}: this is also the token of {other.name}: make one each")
    return token


def _check_name(name: str) -> None:
    if not _NAME.fullmatch(name):
        if name.startswith(PREFIX):
            raise ValueError(f"{PREFIX}... is a token and no name")  # which is nothing for the log
        rule = f"write letters, digits and . _ @ -, a letter or digit first, {LONGEST_NAME} characters at most"
        raise ValueError(f"{_quoted(name)} is no name: {rule}")


def _quoted(word: str) -> str:
    """Quote a word that may stand in the wrong place of a line, unless it could be a token or its hash."""
    return repr(word) if len(word) < SHORTEST_TOKEN and not word.startswith(PREFIX) else "a word that may be a secret"


def _look_who_else_can_read(path: Path) -> None:
    try:
        is_open = path.stat().st_mode & OTHERS_READ_OR_WRITE
    except OSError:
        return  # gone since it was read: the next look says so
    if is_open:
        log.warning("others can read or change this file", file=str(path), way_out=f"chmod 640 {path}")
