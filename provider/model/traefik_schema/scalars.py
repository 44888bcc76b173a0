"""How Traefik's decoder (github.com/traefik/paerser) reads a text where it wants a value of another kind.

Each returns None for a text that would not decode.
"""

import re
from collections.abc import Mapping

from provider.model.durations import parse_duration

BOOLEANS: Mapping[object, bool] = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""What Go's strconv.ParseBool takes."""
INT_MOST = 2**63
_WHOLE = re.compile(r"([-+]?)0*([0-9]{1,19})")
_SPACES = "\t\n\v\f\r \u0085\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"  # noqa: E501
"""What Go's strings.TrimSpace removes."""


def read_bool(text: str) -> bool | None:
    """Read `true`, `1`, `F` and the like."""
    return BOOLEANS.get(text)


def read_int(text: str) -> int | None:
    """Read a whole number of 64 bits; zeros may lead."""
    found = _WHOLE.fullmatch(text)
    if found is None:
        return None
    number = int(found[1] + found[2])
    return number if -INT_MOST <= number < INT_MOST else None


def read_duration(text: str) -> str | None:
    """Read a duration of Go, which may be negative; a number without a unit is one of seconds."""
    with_unit = text if read_int(text) is None else f"{text}s"
    try:
        parse_duration(with_unit.removeprefix("-"))
    except ValueError:
        return None
    return with_unit


def split(text: str) -> list[str]:
    """Read a list: its values stand between commas, spaces around them do not count; an empty text has none."""
    return [part.strip(_SPACES) for part in text.split(",")] if text else []
