"""Removes secrets from messages about a desired-state file, which end in status, log, alerts and terminals.

A message quotes the value that it is about. Where a secret may be, by the path of its keys or by the look of the
value, the message says all the same what is wrong, and not with what.
"""

import re
from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from itertools import islice, pairwise

HIDDEN = "***"
LEAVES_MOST, LEAF_MOST = 50, 500
"""A message quotes less than that of a value."""
SHARED_MOST = 5
"""How many characters in a row a message may share with a secret by chance, as in `users` or `header`."""

_KEYS = re.compile(
    r"users?|.*passw(?:or)?d|pass(?:phrase)?|.*secret|.*token|.*credentials?|.*api-?key|key|keyfile|.*authorization|"
    r".*(?:request|response)headers|basicauth|digestauth|auth",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-+]?[\d.]+(?:[eE][-+]?\d+)?|[-+]?\.(?:inf|nan)", re.IGNORECASE)
_VALUES = (
    (re.compile(r"-----BEGIN [^'\"]*"), HIDDEN),
    (re.compile(r"\$(?:apr1|2[abxy]?|[56]|argon2\w*|y|scrypt)\$[^\s'\",]+|\{SHA\}[^\s'\",]+"), HIDDEN),
    (re.compile(r"\b(bearer|basic)\s+[^\s'\",]{6,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    (re.compile(r"([?&][\w.-]*(?:token|key|secret|pass|sig|auth)[\w.-]*=)[^&\s'\"]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"[^\s'\"/@:]+:[^\s'\"/@]+@(?=[\w.\[-])"), f"{HIDDEN}@"),
)
_USERINFO = re.compile(r"//([^/?#\s]*:[^/?#\s]*|[^/?#\s]{8,})@")
"""A short name of a user alone is none."""


def withheld(path: tuple[str | int, ...], message: str, value: object) -> str:
    """Return a message about the value at a path of the file, without what may be a secret in it."""
    message = _USERINFO.sub(f"//{HIDDEN}@", message)
    for pattern, instead in _VALUES:
        message = pattern.sub(instead, message)
    is_secret = any(isinstance(part, str) and _KEYS.fullmatch(part) for part in path) or _has_requested(path)
    is_secret = is_secret or _has_test_value(path)
    is_plugins = any(isinstance(part, str) and part.lower() == "plugin" for part in path)
    for leaf in islice(_leaves(value), LEAVES_MOST):
        found = _USERINFO.search(leaf)
        is_secret = is_secret or (is_plugins and not _NUMBER.fullmatch(leaf))
        if is_secret or found:
            message = _without(message, leaf if is_secret or found is None else found[1])
    return message


def _has_requested(path: tuple[str | int, ...]) -> bool:
    """Return whether a path leads to headers of a request of ours, or to what a check sends, which may log in.

    Traefik's middleware of that name has other keys.
    """
    return any(
        (key == "headers" and (isinstance(before, int) or before in {"healthCheck", "prometheus"}))
        or (key == "send" and before == "healthCheck")
        for before, key in pairwise(path)
    )


def _has_test_value(path: tuple[str | int, ...]) -> bool:
    """Return whether a path leads to the value of a test route, or to what may have been meant for one."""
    return "testRoute" in path and path[-1] not in {"name", "valueFile"}


def _leaves(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value[:LEAF_MOST]
        case bool() | None:
            return
        case int() | float():
            yield str(value)
        case Mapping():
            for inner in value.values():
                yield from _leaves(inner)
        case list() | tuple():
            for inner in value:
                yield from _leaves(inner)


def _without(message: str, secret: str) -> str:
    """Return a message without the secret, or any longer part of it: it may be cut off there."""
    if len(secret) <= SHARED_MOST and _NUMBER.fullmatch(secret):
        return message
    for written in (repr(secret), f'"{secret}"'):
        message = message.replace(written, HIDDEN)
    for written in {secret, repr(secret)[1:-1]}:
        while len(written) > SHARED_MOST:
            shared = SequenceMatcher(None, message, written, autojunk=False).find_longest_match()
            if shared.size <= SHARED_MOST:
                break
            message = f"{message[: shared.a]}{HIDDEN}{message[shared.a + shared.size :]}"
    return message
