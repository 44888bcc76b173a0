"""Reads the values of test routes that stand in files of their own (`valueFile`), as the desired state is loaded."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

from provider.config.messages import Finding
from provider.config.progressive import SECRET_MOST, secret_value
from provider.config.tree import KeyPath

KINDS = ("header", "cookie")
VALUE, VALUE_FILE = "value", "valueFile"

Values: TypeAlias = dict[KeyPath, str]
"""The value of each file, by the path of the header or cookie that names it."""


def read(value: object, file: str) -> tuple[Values, list[Finding]]:
    """Read the files that a desired state names; `file` is its own name, beside which a relative path begins.

    What cannot be used is a finding, which names the file and never what is in it.
    """
    values, found = Values(), list[Finding]()
    for path, named in _named(value):
        try:
            values[path] = _read(_beside(file) / named)
        except _Unusable as why:
            found.append(Finding((*path, VALUE_FILE), f"{_beside(file) / named} {why}"))
    return values, found


def put_in(validated: Any, values: Values) -> None:
    """Put the values into a validated file."""
    for path, text in values.items():
        here = validated
        for key in path:
            here = here[key]
        here[VALUE] = text


class _Unusable(Exception):  # noqa: N818  never leaves this module
    """The reason why a file has no value."""


def _named(value: object) -> Iterator[tuple[KeyPath, str]]:
    if not isinstance(value, dict):
        return
    services = value.get("services")
    holders: list[tuple[KeyPath, object]] = [(("defaults",), value.get("defaults"))]
    holders += [(("services", name), keys) for name, keys in services.items()] if isinstance(services, dict) else []
    for path, keys in holders:
        route = keys.get("testRoute") if isinstance(keys, dict) else None
        for kind in KINDS:
            named = route.get(kind) if isinstance(route, dict) else None
            if isinstance(named, dict) and VALUE not in named and isinstance(named.get(VALUE_FILE), str):
                yield (*path, "testRoute", kind), named[VALUE_FILE]


def _beside(file: str) -> Path:
    """Return the directory of the desired state, which may be one itself."""
    return Path(file) if os.path.isdir(file) else Path(file).parent  # noqa: PTH112  takes any text


def _read(path: Path) -> str:
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb") as content:  # noqa: PTH123  a FIFO must not block
            if not stat.S_ISREG(os.fstat(content.fileno()).st_mode):
                raise _Unusable("is not a regular file")
            text = content.read(SECRET_MOST + 3)
    except (OSError, ValueError) as error:  # ValueError: a path with a NUL
        reason = error.strerror if isinstance(error, OSError) else "its name is no path"
        raise _Unusable(f"cannot be read: {reason}") from None
    try:
        value = text.decode("ascii").removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        value = "\0"
    if not value:
        raise _Unusable("is empty: write the value into it")
    if (why := secret_value(value)) is not None:
        raise _Unusable(f"has no value of a test route: it {why}")
    return value
