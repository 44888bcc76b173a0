"""How the story is told: in lines as it happens and, on a terminal, with a live display below them."""

import asyncio
import sys
import textwrap
from collections import Counter, deque
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from provider.demo.load import Load
from provider.demo.stage import Application, Stage
from provider.model import Colour

WIDTH = 80
FRAME_S = 0.125
CELL_S = 0.5
CELLS = 64
RATE_CELLS = 4
CAUSES_SHOWN = 3
INDENT = 19
STYLES = {"healthy": "green", "unhealthy": "red", "starting": "yellow", "failed": "bold red"}
CELL_STYLES = {Colour.BLUE: "bold white on blue", Colour.GREEN: "bold black on green"}
FAILED_CELL = Text("!", style="bold white on red")
SILENT_CELL = Text(".", style="dim")


class Scene(StrEnum):
    """The parts of the story, in order."""

    BLUE = "version 1 on blue"
    GATE = "gate"
    GREEN = "version 2 on green"
    BACK = "way back"
    END = "end"


class Screen:
    """Standard output, 80 columns of it at most; plain lines without control characters where it is no terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False, force_terminal=sys.stdout.isatty())
        self._begun_s = asyncio.get_running_loop().time()

    @property
    def width(self) -> int:
        """How many columns are written."""
        return min(WIDTH, self._console.width)

    def title(self, text: str) -> None:
        """Say what this is."""
        self._console.print(Text(f"{text}\n", style="bold"))

    def say(self, lead: str, text: str) -> None:
        """Tell one step of the story, with the time since its beginning."""
        elapsed = f"{asyncio.get_running_loop().time() - self._begun_s:5.1f} s"
        indent = " " * INDENT
        lines = textwrap.wrap(text, max(self.width - INDENT, INDENT), break_long_words=False, break_on_hyphens=False)
        told = f"\n{indent}".join(lines)
        self._console.print(Text.assemble((elapsed, "dim"), (f"  {lead:<10}", "bold"), f"{told}\n"), soft_wrap=True)

    def addresses(self, lead: str, rows: Mapping[str, str]) -> None:
        """Print things to copy: one a line, never broken."""
        self._console.print(Text(lead, style="bold"), width=self.width)
        for name, address in rows.items():
            self._console.print(Text.assemble((f"  {name:<13}", "dim"), address), soft_wrap=True)
        self._console.print()

    def result(self, load: Load, applications: tuple[Application, Application]) -> None:
        """Print what came of the requests."""
        failed = load.failures.total()
        total = Text(f"{load.requests:,} requests, {failed:,} failed.", style=STYLES["failed" if failed else "healthy"])
        blue, green = applications
        self._console.print(total)
        self._console.print(
            f"Version {blue.version} on {blue.colour} answered {load.answers[blue.text]:,}, "
            f"version {green.version} on {green.colour} {load.answers[green.text]:,}."
        )
        self._console.print(f"The slowest answer took {load.slowest_s * 1000:,.0f} ms.")
        for cause, count in load.failures.most_common(CAUSES_SHOWN):
            self._console.print(Text(f"  {count:,} x {cause}", style="red"), width=self.width)

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

    def __init__(self, stage: Stage, load: Load) -> None:
        self.scene = Scene.BLUE
        self._stage, self._load = stage, load
        self._strip: deque[Text] = deque(maxlen=CELLS)
        self._samples = deque([self._sample()], maxlen=RATE_CELLS + 1)

    def frame(self, width: int) -> Group:
        """Draw the next frame; an empty line at its end takes what the terminal echoes."""
        before, now = self._samples[-1], self._sample()
        if now.at_s >= before.at_s + CELL_S:
            self._samples.append(now)
            self._strip.append(self._cell(before, now))
        strip = Text.assemble(*self._strip)
        parts = (self._way(), Text(), self._colours(), Text(), strip, self._numbers(now), self._standing())
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
        scenes = list(Scene)
        here = scenes.index(self.scene)
        styles = ["" if number < here else "bold" if number == here else "dim" for number in range(len(scenes))]
        named = [Text(scene, style=style) for scene, style in zip(scenes, styles, strict=True)]
        return Text("  >  ").join(named)

    def _colours(self) -> Table:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
        for name in ("COLOUR", "VERSION", "HEALTH"):
            table.add_column(name, min_width=9)
        for name in ("DOCUMENT", "TRAEFIK", "ANSWERS"):
            table.add_column(name, justify="right", min_width=8)
        colours = self._stage.status.get("colours", {})
        for one in self._stage.applications:
            found = colours.get(one.colour, {})
            state = found.get("state", "unknown")
            table.add_row(
                Text(one.colour, style=f"bold {one.colour}"),
                found.get("version") or "-",
                Text(state, style=STYLES.get(state, "dim")),
                f"{self._stage.status.get('weights', {}).get(one.colour, 0)} %",
                f"{self._stage.applied.get(one.colour, 0)} %",
                f"{self._load.answers[one.text]:,}",
            )
        return table

    def _numbers(self, now: Sample) -> Text:
        since = self._samples[0]
        rate = (now.requests - since.requests) / max(now.at_s - since.at_s, FRAME_S)
        style = STYLES["failed" if now.failed else "healthy"]
        return Text.assemble(f"{now.requests:,} requests, {rate:.0f} a second, ", (f"{now.failed:,} failed", style))

    def _standing(self) -> Text:
        """The daemon's own words: phase, revision, and on a line below what it waits for or complains of."""
        status = self._stage.status
        told = Text(f"phase {status.get('phase', '-')}, document revision {status.get('revision', '-')}\n")
        messages = [condition["message"] for condition in status.get("conditions", ())]
        told.append(" ".join((status.get("blocking") or next(iter(messages), "")).split()), style="yellow")
        told.no_wrap, told.overflow = True, "ellipsis"
        return told
