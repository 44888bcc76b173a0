"""Draws the status for people."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

REDRAW_S = 1.0
PIPED_WIDTH = 500
_STATE_STYLE = {"healthy": "green", "unhealthy": "red", "mixed": "yellow", "starting": "yellow"}
_SEVERITY_STYLE = {"info": "dim", "warning": "yellow", "critical": "bold red"}

Answer = Mapping[str, Any]


def show(answer: Answer) -> None:
    """Print an answer of the admin API once."""
    console = _console()
    console.print(draw(answer), soft_wrap=not console.is_terminal)


def watch(ask: Callable[[], Answer]) -> None:
    """Draw the answer anew every second until interrupted."""
    with Live(draw(ask()), console=_console(), auto_refresh=False, screen=True) as live:
        try:
            while True:
                live.update(draw(ask()), refresh=True)
                time.sleep(REDRAW_S)
        except KeyboardInterrupt:
            return


def draw(answer: Answer) -> RenderableType:
    """Draw all services, or one in detail, with what an operator should know below."""
    if "services" in answer:
        parts = [_table(answer["services"]), *map(_condition, answer["conditions"])]
        for service in answer["services"]:
            parts += _notes(service, f"{service['service']}: ", answer["conditions"])
    else:
        parts = [_table([answer]), _servers(answer), *_notes(answer, "", [])]
    return Group(*parts)


def _console() -> Console:
    """Make a console that takes no text for markup (`[fd00::1]` is an address); a pipe has no width to cut off at."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def _notes(service: Answer, prefix: str, told: Sequence[Answer]) -> Iterator[RenderableType]:
    """Yield the conditions of a service that were not told already, and what blocks it unless one of them says so."""
    own = [condition for condition in service["conditions"] if condition not in told]
    yield from (_condition(condition, prefix) for condition in own)
    if service["blocking"] not in {None, *(condition["message"] for condition in own)}:
        yield Text(f"{prefix}{service['blocking']}")


def _table(services: list[Answer]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("SERVICE", "ACTIVE", "PHASE", "BLUE", "GREEN", "ROLLBACK"):
        table.add_column(column)
    for service in services:
        back = service["rollback"]
        table.add_row(
            service["service"],
            Text(service["active"] or "undecided", style=service["active"] or "yellow"),
            service["phase"],
            _colour(service, "blue"),
            _colour(service, "green"),
            f"ready: {back['to']}" if back["ready"] else "-",
        )
    return table


def _colour(service: Answer, colour: str) -> Text:
    found = service["colours"][colour]
    words = [f"{service['weights'][colour]}%", found["state"], found["version"] or found["release"] or ""]
    healthy = sum(server["health"] == "healthy" for server in found["servers"])
    if found["servers"]:
        words.append(f"{healthy}/{len(found['servers'])}")
    return Text(" ".join(filter(None, words)), style=_STATE_STYLE.get(found["state"], "dim"))


def _servers(service: Answer) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("COLOUR", "SERVER", "HEALTH", "SINCE", "CONTAINER", "RELEASE", "CAUSE"):
        table.add_column(column, overflow="fold")
    for colour, found in service["colours"].items():
        for server in found["servers"]:
            table.add_row(
                colour,
                server["url"],
                Text(server["health"], style=_STATE_STYLE.get(server["health"], "yellow")),
                _age(server["since"]),
                server["container"] or "",
                server["release"],
                server["cause"] or "",
            )
    return table


def _age(since: str | None) -> str:
    """How long ago, in the largest unit that fits."""
    if since is None:
        return ""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"


def _condition(condition: Answer, prefix: str = "") -> RenderableType:
    text = f"{condition['severity']}: {prefix}{condition['message']}"
    return Text(text, style=_SEVERITY_STYLE[condition["severity"]])
