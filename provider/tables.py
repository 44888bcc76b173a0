"""Draws what the admin API answers, for people: tables on a terminal, whole lines in a pipe."""

import re
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeAlias

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from provider.durations import spoken

REDRAW_S = 1.0
DAY = len("2026-01-31")
PIPED_WIDTH = 4000
_STATE_STYLE = {"healthy": "green", "unhealthy": "red", "mixed": "yellow", "starting": "yellow"}
_GATE_STYLE = {"passed": "green", "failed": "red", "running": "yellow", "pending": "yellow", "skipped": "dim"}
_OUTCOME_STYLE = {"switched": "green", "superseded": "dim"}
_SEVERITY_STYLE = {"info": "dim", "warning": "yellow", "critical": "bold red"}
_AFTER_SWITCH = frozenset({"confirming", "watching"})

Answer: TypeAlias = Mapping[str, Any]

_OF_A_SERVER = ("COLOUR", "SERVER", "HEALTH", "SINCE", "CONTAINER", "RELEASE", "CAUSE")
_OF_A_DECISION = ("TIME", "SERVICE", "EVENT", "COLOUR", "RELEASE", "ROLLOUT", "OUTCOME", "ACTOR")


# --- how things stand ------------------------------------------------------------------------------------------------


def show(answer: Answer) -> None:
    """Print an answer of the admin API once."""
    write(draw(answer))


def watch(ask: Callable[[], Answer]) -> None:
    """Draw the answer anew every second until interrupted."""
    with Live(draw(ask()), console=_console(), auto_refresh=False, screen=True) as live:
        try:
            while True:
                live.update(draw(ask()), refresh=True)
                time.sleep(REDRAW_S)
        except KeyboardInterrupt:
            return


def say(answer: Answer) -> None:
    """Print the sentences that explain where a service stands."""
    write(Group(*(Text(line) for line in answer["explanation"])))


def standing(service: Answer) -> str:
    """Say in one line where a service stands."""
    active = service["active"]
    if active is None:
        return f"{service['service']}: no colour is active yet"
    found = service["colours"][active]
    release = f" with release {_release(found)}" if found["release"] else ""
    confirmed = "confirmed" if service["confirmed"] else "not confirmed"
    return f"{service['service']}: {active} is active{release}, {confirmed}, {service['phase']}"


def draw(answer: Answer) -> RenderableType:
    """Draw all services, or one in detail, with what an operator should know below."""
    if "services" in answer:
        parts = [_table(answer["services"]), *map(_condition, answer["conditions"])]
        for service in answer["services"]:
            prefix = f"{service['service']}: "
            parts += [Text(f"{prefix}{told}") for told in _in_short(service)]
            parts += _notes(service, prefix, answer["conditions"])
        if unconfirmed := [one["service"] for one in answer["services"] if one["active"] and not one["confirmed"]]:
            parts.append(Text(f"not confirmed by Traefik yet: {', '.join(unconfirmed)}", style="yellow"))
        parts += map(_poller, answer["pollers"])
    else:
        parts = [_table([answer]), _servers(answer), _facts(answer), *_notes(answer, "", [])]
    return Group(*parts)


def _poller(poller: Answer) -> Text:
    """Say who polls, and whether what it has is the last document."""
    told = f"polled by {poller['poller']}, {_age(poller['last_poll'])} ago, which has revision {poller['revision']}"
    return Text(told, style="dim") if poller["current"] else Text(f"{told} and not the last one", style="yellow")


def _console() -> Console:
    """Make a console that takes no text for markup (`[fd00::1]` is an address); a pipe has no width to cut off at."""
    width = None if sys.stdout.isatty() else PIPED_WIDTH
    return Console(width=width, markup=False, emoji=False, highlight=False)


def write(what: RenderableType) -> None:
    """Print on a terminal as wide as it is; in a pipe in whole lines, without the blanks that fill a table up."""
    console = _console()
    if console.is_terminal:
        console.print(what)
        return
    with console.capture() as captured:
        console.print(what, soft_wrap=True)
    sys.stdout.write("".join(f"{line.rstrip()}\n" for line in captured.get().splitlines()))


def _notes(service: Answer, prefix: str, told: Sequence[Answer]) -> Iterator[RenderableType]:
    """Yield the conditions of a service that were not told already, and what blocks it unless one of them says so."""
    own = [condition for condition in service["conditions"] if condition not in told]
    yield from (_condition(condition, prefix) for condition in own)
    if service["blocking"] not in {None, *(condition["message"] for condition in own)}:
        yield Text(f"{prefix}{service['blocking']}")


def _in_short(service: Answer) -> Iterator[str]:
    """Yield what the table of all services has no room for, where there is any of it."""
    if service["rollout"] is not None:
        yield f"{_brings(service)}: {_gates(service).plain}"
    if service["lease"] is not None:
        yield f"lease: {_lease(service)}"
    if service["paused"]:
        yield "forward rollouts are paused or held"


def _table(services: list[Answer]) -> Table:
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in ("SERVICE", "ACTIVE", "PHASE"):
        table.add_column(column, no_wrap=True)
    for column in ("BLUE", "GREEN", "ROLLBACK"):
        table.add_column(column, overflow="fold")
    for service in services:
        back, left = service["rollback"], _left(service)
        table.add_row(
            service["service"],
            Text(service["active"] or "undecided", style=service["active"] or "yellow"),
            f"{service['phase']} {left}".strip(),
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
    """Draw every server, in columns of which each has something to tell."""
    rows = [
        (
            Text(colour),
            Text(server["url"]),
            Text(server["health"], style=_STATE_STYLE.get(server["health"], "yellow")),
            Text(_age(server["since"])),
            Text(server["container"] or ""),
            Text(server["release"]),
            Text(server["cause"] or ""),
        )
        for colour, found in service["colours"].items()
        for server in found["servers"]
    ]
    shown = [number for number in range(len(_OF_A_SERVER)) if any(row[number].plain for row in rows)]
    table = Table(box=None, header_style="bold", pad_edge=False)
    for number in shown:
        table.add_column(_OF_A_SERVER[number], overflow="fold", no_wrap=_OF_A_SERVER[number] != "CAUSE")
    for row in rows:
        table.add_row(*(row[number] for number in shown))
    return table


def _facts(service: Answer) -> Table:
    """Draw the rest of what is known of one service, a line each; what is not there has none."""
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for label, told in _told(service):
        table.add_row(label, told)
    return table


def _told(service: Answer) -> Iterator[tuple[str, RenderableType]]:
    rollout, back, override = service["rollout"], service["rollback"], service["override"]
    if rollout is not None:
        by = f" by {rollout['actor']}" if rollout["actor"] else ""
        yield "rollout", f"{_brings(service)}, {service['phase']}; begun {_age(rollout['since'])} ago{by}"
        yield "gates", _gates(service)
        if rollout["approval"]:
            yield "approved", f"by {rollout['approval']['actor']}, {_clock(rollout['approval']['at'])}"
        if rollout["deadline"]:
            yield "deadline", f"{_left(service)} left, until {_clock(rollout['deadline'])}"
        else:
            yield "deadline", "stands still while the rollout is held"
    if service["active"] is not None:
        confirmed = service["confirmed"]
        words = "yes" if confirmed else "no: not every Traefik was seen to have applied what was decided"
        yield "confirmed", Text(words, style="" if confirmed else "yellow")
    ready = f"ready: release {back['release']} in {back['to']}"
    yield "way back", Text(ready, style="green") if back["ready"] else Text(f"none: {back['reason']}")
    if service["paused"]:
        yield "paused", Text("forward rollouts are paused or held", style="yellow")
    if override is not None:
        by = f" by {override['actor']}" if override["actor"] else ""
        rejected = f", away from release {override['rejected']}" if override["rejected"] else ""
        since = _clock(override["since"])
        yield "override", Text(f"{override['colour']}{rejected}{by}, {since}: {override['reason']}", style="yellow")
    if service["lease"] is not None:
        yield "lease", _lease(service)
    for one in service["quarantined"]:
        told = f"release {one['release'] or '-'} in {one['colour']}: {one['outcome']} in {one['rollout'] or '-'}"
        yield "quarantined", Text(f"{told}, {_clock(one['since'])}", style="red")


def _brings(service: Answer) -> str:
    rollout = service["rollout"]
    found = service["colours"][rollout["candidate"]]
    release = _release(found) if found["release"] == rollout["release"] else rollout["release"] or "a release"
    return f"{rollout['id']} brings {release} to {rollout['candidate']}"


def _release(found: Answer) -> str:
    return f"{found['release']} ({found['version']})" if found["version"] else str(found["release"])


def _gates(service: Answer) -> Text:
    text = Text()
    for gate, found in service["rollout"]["gates"].items():
        text.append(", " if text.plain else "")
        text.append(f"{gate} {found['state']}", style=_GATE_STYLE.get(found["state"], ""))
    return text


def _lease(service: Answer) -> str:
    lease = service["lease"]
    warning = f"; {lease['warning']}" if lease["warning"] else ""
    return f"{lease['holder']} deploys it, until {_clock(lease['until'])} at most{warning}"


def _left(service: Answer) -> str:
    """How long the phase may yet take."""
    rollout = service["rollout"]
    if rollout is None or rollout["deadline"] is None:
        return ""
    return spoken((datetime.fromisoformat(rollout["deadline"]) - datetime.now(UTC)).total_seconds())


def _age(since: str | None) -> str:
    """How long ago, in the largest unit that fits."""
    if since is None:
        return ""
    seconds = int((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length}{unit}"
    return f"{max(0, seconds)}s"


def _clock(at: str) -> str:
    return f"{datetime.fromisoformat(at).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _condition(condition: Answer, prefix: str = "") -> RenderableType:
    text = f"{condition['severity']}: {prefix}{condition['message']}"
    return Text(text, style=_SEVERITY_STYLE[condition["severity"]])


# --- the history -----------------------------------------------------------------------------------------------------


def show_history(answer: Answer, *, verbose: bool = False) -> None:
    """Print decisions, the newest last; with `verbose` also what each rests on."""
    write(draw_history(answer["history"], is_terminal=sys.stdout.isatty(), verbose=verbose))


def draw_history(rows: Sequence[Answer], *, is_terminal: bool, verbose: bool = False) -> RenderableType:
    """Draw decisions that come newest first, the newest last.

    In a pipe a decision is one whole line, for grep. On a terminal, where there is less room, a day is named once, and
    what is the same in all or in none is left out; the detail of a decision stands below it.
    """
    if not rows:
        return Text("nothing was decided in that time")
    oldest_first = rows[::-1]
    cells = [_cells(row) for row in oldest_first]
    days = [cell[0][:DAY] for cell in cells]
    shown = list(range(len(_OF_A_DECISION)))
    if is_terminal:
        cells = [(cell[0][DAY + 1 :], *cell[1:]) for cell in cells]
        shown = [number for number in shown if _tells(number, cells)]
    drawn = [[row[number] for number in shown] for row in (_OF_A_DECISION, *cells)]
    widths = [max(map(len, column)) for column in zip(*drawn, strict=True)]
    lines: list[RenderableType] = [_line(drawn[0], widths, "bold", "" if is_terminal else "DETAIL")]
    for number, (row, cell) in enumerate(zip(oldest_first, drawn[1:], strict=True)):
        if is_terminal and days[number] not in days[:number][-1:]:
            lines.append(Text(f"{days[number]} UTC", style="dim"))
        style = "" if row["outcome"] is None else _OUTCOME_STYLE.get(row["outcome"], "red")
        detail = [row["detail"]] if row["detail"] else []
        lines.append(_line(cell, widths, style, "" if is_terminal else "".join(detail)))
        below = [*(detail if is_terminal else []), *(row["evidence"] if verbose else [])]
        lines += [Padding(Text(each, style="dim"), (0, 0, 0, 4)) for each in below]
    return Group(*lines)


def _cells(row: Answer) -> tuple[str, ...]:
    at = datetime.fromisoformat(row["at"]).astimezone(UTC)
    told = (row[name] or "" for name in ("service", "event", "colour", "release", "rollout", "outcome", "actor"))
    return (f"{at:%Y-%m-%d %H:%M:%S}", *told)


def _tells(number: int, cells: Sequence[Sequence[str]]) -> bool:
    """Whether a column tells anything: a service that is the only one is known, a column without entries is none."""
    entries = {row[number] for row in cells}
    return len(entries) > 1 if _OF_A_DECISION[number] == "SERVICE" else entries != {""}


def _line(cells: Sequence[str], widths: Sequence[int], style: str, last: str) -> Text:
    padded = [*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), last]
    return Text("  ".join(padded).rstrip(), style=style)


# --- while something is followed -------------------------------------------------------------------------------------


class Progress:
    """Tells what happens while a service is followed.

    On a terminal lines scroll by above a live display of how the service stands; in a pipe there are only lines, one
    for each change. `quiet` tells nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = _console()
        self._quiet = quiet
        self._live: Live | None = None
        self._phase, self._told = "", set[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take the live display away; lines stay."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def tell(self, line: str) -> None:
        """Tell a line."""
        if not self._quiet:
            self._console.print(Text(line), soft_wrap=True)

    def show(self, service: Answer) -> None:
        """Show how the service stands now."""
        if self._quiet:
            return
        if not self._console.is_terminal:
            self._tell_changes(service)
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(_followed(service), refresh=True)

    def _tell_changes(self, service: Answer) -> None:
        """Tell once in each phase what is waited for; numbers that count down are no change."""
        phase, blocking = service["phase"], service["blocking"]
        if phase != self._phase:
            self._phase, self._told = phase, set()
            if phase in {"waiting", "watching"} and service["rollout"]["deadline"]:
                until = _clock(service["rollout"]["deadline"])
                self.tell(f"{service['service']}: {phase} until {until} at most ({_left(service)})")
        if blocking is None or phase in _AFTER_SWITCH:
            return
        kept = re.sub(r"\d+", "0", blocking)
        if kept not in self._told:
            self._told.add(kept)
            self.tell(f"{service['service']}: {blocking}")


def _followed(service: Answer) -> RenderableType:
    return Group(Text(), _table([service]), _facts(service), *_notes(service, "", []))
