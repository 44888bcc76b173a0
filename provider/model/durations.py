"""Durations as text: for people, and as Go writes and reads them."""

import re

_UNIT_NS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_NUMBER = r"(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)"
DURATION = rf"(?:{_NUMBER}(?:ns|us|µs|μs|ms|s|m|h))+"
_DURATION_PART = re.compile(rf"({_NUMBER})([a-zµμ]+)")


def spoken(seconds: float) -> str:
    """Write a duration for people: to the second, from an hour on to the minute; a negative one as 0s."""
    minutes, rest = divmod(round(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h {minutes}m" if hours else f"{minutes}m {rest}s" if minutes else f"{rest}s"


def written(seconds: float) -> str:
    """Write a duration as Go does."""
    if seconds < 1:
        return f"{seconds * 1000:g}ms"
    minutes, rest = divmod(seconds, 60)
    return (f"{minutes:.0f}m" if minutes else "") + f"{rest:g}s"


def parse_duration(text: str) -> float:
    """Return the seconds of a Go duration (time.ParseDuration: `300ms`, `1m30s`, `1.5h`, `0`).

    Raises ValueError, whose text follows the value in a message.
    """
    unsigned = text[1:] if text[:1] in {"+", "-"} else text
    if unsigned != "0" and not re.fullmatch(DURATION, unsigned):
        raise ValueError("is no duration: write numbers with units, such as 300ms, 5s or 1m30s")
    if len(text) > 100:
        raise ValueError("has more digits than a duration has use for")
    nanoseconds = 0
    for number, unit in _DURATION_PART.findall(unsigned):
        whole, _, fraction = number.partition(".")
        nanoseconds += int(whole or 0) * _UNIT_NS[unit]
        nanoseconds += int(fraction or 0) * _UNIT_NS[unit] // 10 ** len(fraction)
    if nanoseconds >= 2**63:
        raise ValueError("is too long: Go's durations end at 2562047h, 292 years")
    if text.startswith("-") and nanoseconds:
        raise ValueError("is negative: a duration here is not")
    return nanoseconds / 10**9
