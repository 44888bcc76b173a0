"""Draws the steps of a rollout: which are done, how long the one that is on lasts, what is counted in it."""

from collections.abc import Iterator
from datetime import datetime

from rich.text import Text

from provider.cli.client.read_back import step_of
from provider.cli.terminal import words
from provider.cli.terminal.symbols import Signs
from provider.model import api_types as api
from provider.model.durations import spoken

METER = 10
SEPARATOR = " > "
MOST_LOG10 = 6.0
"""Evidence above a million is written as a power of ten."""


def place(service: api.Service) -> str:
    """Return the phase of a service, with the step that is on: `shifting 2/3`."""
    step = step_of(service)
    return f"{service['phase']} {step['number']}/{step['of']}" if step is not None else service["phase"]


def left(service: api.Service, now: datetime | None = None) -> str:
    """Return how long the phase, or the step that is on, still lasts; "" where that is not known or is over."""
    step = step_of(service)
    if step is None:
        return words.left(service, now)
    if step["until"] is None:
        return ""
    seconds = (datetime.fromisoformat(step["until"]) - (now or words.utc_now())).total_seconds()
    return spoken(seconds) if seconds > 0 else ""


def way(step: api.StepStatus, signs: Signs, width: int) -> Text:
    """Return the weights of all steps: done, present, to come; only the next ones where that is too wide."""
    shown = _way(step, signs, len(step["weights"]))
    for most in range(len(step["weights"]) - 1, -1, -1):
        if shown.cell_len <= width:
            break
        shown = _way(step, signs, most)
    return shown


def _way(step: api.StepStatus, signs: Signs, most: int) -> Text:
    """Draw the present step and `most` of the others, those to come first."""
    here = step["number"] - 1
    weights = [*step["weights"], 100]
    last = min(len(weights), here + 1 + most)
    first = max(0, here - (most - (last - here - 1)))
    text = Text(f"{signs.open}{SEPARATOR}" if first > 0 else "", style="dim")
    for number in range(first, last):
        text.append(SEPARATOR if number > first else "", style="dim")
        if number < here:
            text.append(f"{signs.passed} {weights[number]}%", style="green")
        else:
            text.append(f"[{weights[number]}%]" if number == here else f"{weights[number]}%")
            text.stylize("bold yellow" if number == here else "dim", len(text) - len(f"[{weights[number]}%]"))
    text.append(f"{SEPARATOR}{signs.open}" if last < len(weights) else "", style="dim")
    return text


def clock(step: api.StepStatus, signs: Signs, now: datetime) -> Text:
    """Return how much of the time of the step is over, and what it waits for where all of it is, or none counts."""
    if step["promoted"] is not None:
        return Text(f"{meter(1.0, signs)} its time was ended by {step['promoted']}", style="yellow")
    if step["until"] is None:
        return Text(f"{meter(0.0, signs)} its time does not run", style="yellow")
    since, until = datetime.fromisoformat(step["since"]), datetime.fromisoformat(step["until"])
    left_s, all_s = (until - now).total_seconds(), (until - since).total_seconds()
    if left_s <= 0:
        return Text(f"{meter(1.0, signs)} its time is over", style="yellow")
    text = f"{meter(1 - left_s / all_s, signs)} {spoken(left_s)} left, until {words.clock(step['until'])}"
    return Text(text, style="yellow")


def meter(fraction: float, signs: Signs) -> str:
    """Return a bar of which this much is full."""
    full = round(min(1.0, max(0.0, fraction)) * METER)
    return signs.full * full + signs.blank * (METER - full)


def evidence(step: api.StepStatus, signs: Signs) -> Iterator[tuple[Text, str]]:
    """Yield the requests and each test of the analysis as a meter against its limit, and what was counted for it."""
    analysis = step["analysis"]
    if analysis is None or "tests" not in analysis:  # a daemon of an earlier version counts nothing
        return
    if analysis["min_requests"]:
        part = analysis["requests"] / analysis["min_requests"]
        text = f"{analysis['requests']} of {analysis['min_requests']} requests"
        yield Text(f"{meter(part, signs)} {text}", style="green" if part >= 1 else "yellow"), ""
    for test in analysis["tests"]:
        part = test["evidence"] / test["limit"] if test["limit"] > 0 else 0.0
        text = f"{meter(part, signs)} {test['name']}: {_power(test['evidence'])} of {_power(test['limit'])}"
        counts = ", ".join(f"{colour} {one['bad']}/{one['requests']}" for colour, one in test["counts"].items())
        yield Text(text, style=_style(part)), f"bad: {counts}"
    for query in analysis["queries"]:
        part = query["failures"] / query["failures_most"]
        value = "no value yet" if query["value"] is None else f"{query['value']:g}"
        text = f"{meter(part, signs)} {query['name']}: {value}, {query['failures']} of {query['failures_most']} failed"
        yield Text(text, style=_style(part)), ""


def _style(part: float) -> str:
    return "red" if part >= 1 else "yellow" if part >= 0.5 else "green"


def _power(log10: float) -> str:
    """Write a power of ten as people do: `1.4`, `300`, or `10^8`."""
    if log10 >= MOST_LOG10:
        return f"10^{log10:.0f}"
    value: float = 10**log10
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"
