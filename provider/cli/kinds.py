"""Kinds of values that the verbs of a client take; each reads what was written, or says what to write instead."""

import re
from datetime import UTC, datetime, timedelta

import click

COLOURS = click.Choice(["blue", "green"], case_sensitive=False)
POLL_HOLD_MOST_S = 9.0
_SECONDS = re.compile(r"\d+(\.\d+)?")
_HOST = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")
_TAG = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)", re.DOTALL)


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
        rule = f"{value!r} is too long: a Traefik that is stopped during a long hold panics; at most 9s"
        raise click.BadParameter(rule, context, parameter)
    return held_s


def public_url(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Read where people reach the console."""
    from yarl import URL

    try:
        found = URL(value) if value else None
    except ValueError:
        found = URL()
    if found is None or (found.scheme in {"http", "https"} and found.host and not found.user and not found.query):
        return value
    raise click.BadParameter(f"{value!r} is no address such as https://bluegreen.example.com", context, parameter)


def host_names(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """Read names of hosts, as they stand in Host but for the port; return them as they are compared."""
    for value in values:
        if not _HOST.fullmatch(value):
            rule = (
                f"{value!r} is no name of a host: write it without a scheme and a port, such as bluegreen.example.com"
            )
            raise click.BadParameter(rule, context, parameter)
    return tuple(value.lower().removesuffix(".") for value in values)


def since(context: click.Context, parameter: click.Parameter, value: str | None) -> datetime | None:
    """Read a date (UTC where it names no zone) or a duration until now; return the moment."""
    if value is None:
        return None
    try:
        return _moment(value)
    except (ValueError, OverflowError) as failure:
        example = "a date such as 2026-01-31 or 2026-01-31T12:00:00Z, or a duration such as 2h"
        raise click.BadParameter(f"{value!r} is neither: write {example}", context, parameter) from failure


def tags(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Read pairs NAME=VALUE for the environment of compose; the last one of a name counts."""
    pairs = {}
    for value in values:
        found = _TAG.fullmatch(value)
        if found is None:
            raise click.BadParameter(f"{value!r} is no NAME=VALUE, such as TAG=1.4.2", context, parameter)
        if found[1] == "BLUEGREEN_COLOUR":
            rule = "BLUEGREEN_COLOUR is set by deploy itself, to the colour that stands by"
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
