"""Kinds of values: each reads what was typed, or says what to type instead."""

import re
from datetime import UTC, datetime, timedelta

import click

COLOURS = click.Choice(["blue", "green"], case_sensitive=False)
STEPS = click.IntRange(1, 99)
LONGEST_URL = 1000
POLL_HOLD_MOST_S = 9.0
GOALS = ("confirmed", "steady")
_STEP = re.compile(r"step:[1-9][0-9]?", re.ASCII)
_SECONDS = re.compile(r"\d+(\.\d+)?")
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_TAG = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


def goal(context: click.Context, parameter: click.Parameter, value: str) -> str:
    """Read what `wait` waits for: `confirmed`, `steady`, or a step, such as `step:2`; return it as it is."""
    if value in GOALS or _STEP.fullmatch(value):
        return value
    rule = f"{value!r} is none of {', '.join(GOALS)} and step:N, where N is a number from 1 to 99"
    raise click.BadParameter(rule, context, parameter)


def goals(_: click.Context, __: click.Parameter, incomplete: str) -> list[str]:
    """Complete the same."""
    return [name for name in (*GOALS, "step:") if name.startswith(incomplete)]


def duration(context: click.Context, parameter: click.Parameter, value: str | None) -> float | None:
    """Read a Go duration (`90s`, `5m`, `1h30m`) or a plain number of seconds; return the seconds."""
    if value is None:
        return None
    try:
        return _seconds(value)
    except ValueError as rule:
        raise click.BadParameter(f"{value!r} {rule}, or plain seconds", context, parameter) from rule


def poll_hold(context: click.Context, parameter: click.Parameter, value: str) -> float:
    """Read how long a poll may be held; return the seconds."""
    held_s = duration(context, parameter, value) or 0.0
    if held_s > POLL_HOLD_MOST_S:
        rule = f"{value!r} is too long, at most 9s: Traefik panics if it is stopped during a longer hold"
        raise click.BadParameter(rule, context, parameter)
    return held_s


def public_url(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Read where people reach the console, or other replicas this one's admin API; "" is none."""
    from yarl import URL

    try:
        found = URL(value) if value else None
    except ValueError:
        found = URL()
    if found is None:
        return None
    is_plain = found.scheme in {"http", "https"} and found.host and not found.user and not found.query
    if is_plain and len(str(found)) <= LONGEST_URL:
        return value
    raise click.BadParameter(f"{value!r} is not a URL such as https://bluegreen.example.com", context, parameter)


def host_names(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Read host names, as in a Host header without its port; return them in lower case."""
    for value in values:
        if not _HOST.fullmatch(value):
            rule = f"{value!r} is not a host name: write it without scheme and port, such as bluegreen.example.com"
            raise click.BadParameter(rule, context, parameter)
    return tuple(value.lower().removesuffix(".") for value in values)


def since(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """Read a date (UTC unless it has a zone) or a duration until now; return the point in time."""
    if value is None:
        return None
    try:
        return _moment(value)
    except (ValueError, OverflowError) as failure:
        rule = "is neither a date, such as 2026-01-31 or 2026-01-31T12:00:00Z, nor a duration, such as 2h"
        raise click.BadParameter(f"{value!r} {rule}", context, parameter) from failure


def tags(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read NAME=VALUE pairs for the environment of compose; the last value of a name wins."""
    pairs = {}
    for value in values:
        found = _TAG.fullmatch(value)
        if found is None:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE, such as TAG=1.4.2", context, parameter)
        if found[1] == "BLUEGREEN_COLOUR":
            rule = "BLUEGREEN_COLOUR is set by deploy itself, to the standby colour"
            raise click.BadParameter(rule, context, parameter)
        pairs[found[1]] = found[2]
    return pairs


def _seconds(written: str) -> float:
    if _SECONDS.fullmatch(written):
        return float(written)
    from provider.config import parse_duration

    return parse_duration(written)


def _moment(written: str) -> datetime:
    if re.match(r"\d{4}-?\d\d-?\d\d", written):
        at = datetime.fromisoformat(written)
        return at if at.tzinfo else at.replace(tzinfo=UTC)
    return datetime.now(UTC) - timedelta(seconds=_seconds(written))
