"""Prints the story: lines as it happens and, on a terminal, a live display below them."""

import asyncio
import sys
import textwrap
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from provider.cli.demo.application import Application
from provider.cli.demo.load import Load
from provider.cli.demo.stage import Stage
from provider.model import Colour, ColourState
from provider.model.text import escaped

WIDTH = 80
FRAME_S = 0.125
CELL_S = 0.5
FRAME_COLUMNS = 6
"""The border and its padding, on both sides."""
CELLS = WIDTH - FRAME_COLUMNS
WIDE = 60
RATE_CELLS = 4
CAUSES_SHOWN = 3
INDENT = 19
STYLES = {"healthy": "green", "unhealthy": "red", "starting": "yellow", "failed": "bold red"}
CELL_STYLES = {Colour.BLUE: "bold white on blue", Colour.GREEN: "bold black on green"}
FAILED_CELL = Text("!", style="bold white on red")
SILENT_CELL = Text(".", style="dim")


class Screen:
    """Standard output, 80 columns of it at most; plain lines without control characters where it is no terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, markup=False, emoji=False, force_terminal=sys.stdout.isatty())
        self._begun_s = asyncio.get_running_loop().time()

    @property
    def width(self) -> int:
        """How many columns are written."""
        return min(WIDTH, self._console.width)

    def title(self, text: str) -> None:
        """Print the title."""
        self._console.print(Text(f"{text}\n", style="bold"))

    def say(self, lead: str, text: str) -> None:
        """Print one step of the story, with the time since its start."""
        elapsed = f"{asyncio.get_running_loop().time() - self._begun_s:5.1f} s"
        indent = " " * INDENT
        lines = textwrap.wrap(text, max(self.width - INDENT, INDENT), break_long_words=False, break_on_hyphens=False)
        text = f"\n{indent}".join(map(escaped, lines))
        self._console.print(Text.assemble((elapsed, "dim"), (f"  {lead:<10}", "bold"), f"{text}\n"), soft_wrap=True)

    def addresses(self, lead: str, rows: Mapping[str, str]) -> None:
        """Print things to copy: one a line, never broken."""
        self._console.print(Text(lead, style="bold"), width=self.width)
        for name, address in rows.items():
            self._console.print(Text.assemble((f"  {name:<13}", "dim"), address), soft_wrap=True)
        self._console.print()

    def result(self, load: Load, applications: Iterable[Application], own: int) -> None:
        """Print what came of the requests; `own` of them failed because a version went bad that had taken over."""
        failed = load.failures.total()
        whose = ", all of them answered by the version that went bad" if failed and failed == own else ""
        total = f"{load.requests:,} requests, {failed:,} failed{whose}."
        self._console.print(Text(total, style=STYLES["failed" if failed else "healthy"]), width=self.width)
        for one in applications:
            self._console.print(f"{load.answers[one.text]:9,} x {one.text}")
        for cause, count in load.failures.most_common(CAUSES_SHOWN):
            self._console.print(Text(escaped(f"{count:9,} x {cause}"), style="red"), soft_wrap=True)
        self._console.print(f"The slowest answer took {load.slowest_s * 1000:,.0f} ms.")

    async def live(self, display: "Display") -> None:
        """Show the display below the lines until cancelled; do nothing where there is no terminal to redraw."""
        if not self._console.is_interactive:
            return
        with Live(console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    live.update(display.frame(self.width), refresh=True)
                    await asyncio.sleep(FRAME_S)
            finally:
                live.update(display.frame(self.width), refresh=True)


class Sample(NamedTuple):
    """What was counted by then."""

    at_s: float
    answers: Counter[str]
    failed: int

    @property
    def requests(self) -> int:
        """How many requests had come to an end."""
        return self.answers.total() + self.failed


class Display:
    """What is going on right now. The strip has a cell each CELL_S, with the version that answered most in it."""

    def __init__(self, stage: Stage, load: Load, scenes: tuple[str, ...]) -> None:
        self.scenes, self.scene = scenes, scenes[0]
        self._stage, self._load = stage, load
        self._strip: deque[Text] = deque(maxlen=CELLS)
        self._samples = deque([self._sample()], maxlen=RATE_CELLS + 1)

    def frame(self, width: int) -> Group:
        """Draw the next frame; an empty line at its end takes what the terminal echoes."""
        before, now = self._samples[-1], self._sample()
        if now.at_s >= before.at_s + CELL_S:
            self._samples.append(now)
            self._strip.append(self._cell(before, now))
        inner = width - FRAME_COLUMNS
        strip = Text.assemble(*list(self._strip)[-inner:])
        parts = (self._way(), Text(), self._colours(inner), Text(), strip, self._numbers(now), self._status_text())
        return Group(Panel(Group(*parts), width=width, padding=(0, 2), border_style="dim"), Text())

    def _sample(self) -> Sample:
        return Sample(asyncio.get_running_loop().time(), self._load.answers.copy(), self._load.failures.total())

    def _cell(self, before: Sample, now: Sample) -> Text:
        if now.failed > before.failed:
            return FAILED_CELL
        if now.requests == before.requests:
            return SILENT_CELL
        most = max(self._stage.applications, key=lambda one: now.answers[one.text] - before.answers[one.text])
        return Text(most.version, style=CELL_STYLES[most.colour])

    def _way(self) -> Text:
        """The parts of the story: those that were, the present one, those to come."""
        here = self.scenes.index(self.scene)
        styles = ["" if number < here else "bold" if number == here else "dim" for number in range(len(self.scenes))]
        way = Text(" > ").join(Text(scene, style=style) for scene, style in zip(self.scenes, styles, strict=True))
        way.no_wrap, way.overflow = False, "fold"  # also in the frame that is drawn below a line of the story
        return way

    def _colours(self, width: int) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2 if width >= WIDE else 1, 0, 0), header_style="dim")
        table.add_column("COLOUR")
        table.add_column("VERSION")
        table.add_column("HEALTH", min_width=len(ColourState.UNHEALTHY))
        for name in ("DOCUMENT", "TRAEFIK", "ANSWERS"):
            table.add_column(name, justify="right")
        for service in self._stage.setting.services:
            for colour in Colour:
                table.add_row(*self._row(service, colour))
        return table

    def _row(self, service: str, colour: Colour) -> Iterator[str | Text]:
        status = self._stage.statuses[service]
        found = status.get("colours", {}).get(colour, {})
        state = found.get("state", "unknown")
        named = self._stage.named.get((service, colour))
        prefix = f"{service} " if len(self._stage.setting.services) > 1 else ""
        yield Text.assemble(prefix, (colour, f"bold {colour}"))
        yield escaped(found.get("version") or "-")
        yield Text(state, style=STYLES.get(state, "dim"))
        yield f"{status.get('weights', {}).get(colour, 0)} %"
        yield f"{self._stage.applied.get(service, {}).get(colour, 0)} %"
        yield f"{self._load.answers[named.text] if named else 0:,}"

    def _numbers(self, now: Sample) -> Text:
        since = self._samples[0]
        rate = (now.requests - since.requests) / max(now.at_s - since.at_s, FRAME_S)
        style = STYLES["failed" if now.failed else "healthy"]
        return Text.assemble(f"{now.requests:,} requests, {rate:.0f} a second, ", (f"{now.failed:,} failed", style))

    def _status_text(self) -> Text:
        """Return phase and revision and, on a line below, what blocks the service or its first condition."""
        status = self._stage.status
        text = Text(f"phase {status.get('phase', '-')}, document revision {status.get('revision', '-')}\n")
        messages = [condition["message"] for condition in status.get("conditions", ())]
        text.append(escaped(" ".join((status.get("blocking") or next(iter(messages), "")).split())), style="yellow")
        text.no_wrap, text.overflow = True, "ellipsis"
        return text
