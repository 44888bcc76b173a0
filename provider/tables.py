"""Draws the status for people."""

import time
from collections.abc import Callable, Mapping
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
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH)  # a pipe has no width: nothing is cut off or wrapped
    console.print(draw(answer))


def watch(ask: Callable[[], Answer]) -> None:
    """Draw the answer anew every second until interrupted."""
    with Live(draw(ask()), console=Console(), auto_refresh=False, screen=True) as live:
        try:
            while True:
                live.update(draw(ask()), refresh=True)
                time.sleep(REDRAW_S)
        except KeyboardInterrupt:
            return


def draw(answer: Answer) -> RenderableType:
    """Draw all services, or one in detail, with what an operator should know below."""
    one = "services" not in answer
    services = [answer] if one else answer["services"]
    parts: list[RenderableType] = [_table(services)]
    if one:
        parts.append(_servers(answer))
    parts += [Text(f"{service['service']} waits: {service['blocking']}") for service in services if service["blocking"]]
    parts += [_condition("", condition) for condition in ([] if one else answer["conditions"])]
    shared = {condition["code"] for condition in ([] if one else answer["conditions"])}
    parts += [
        _condition(f"{service['service']}: ", condition)
        for service in services
        for condition in service["conditions"]
        if condition["code"] not in shared
    ]
    return Group(*parts)


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


def _condition(whose: str, condition: Answer) -> Text:
    text = f"{condition['severity']}: {whose}{condition['message']}"
    return Text(text, style=_SEVERITY_STYLE[condition["severity"]])
