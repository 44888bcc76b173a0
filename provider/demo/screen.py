"""How the story is told: lines as they happen and, on a terminal, a live display below them."""

import asyncio
import sys
import time
from collections import deque
from enum import StrEnum

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from provider.demo.load import Load
from provider.demo.stage import SERVICE, Application, Stage
from provider.model import Colour

WIDTH = 80
FRAME_S = 0.125
FRAMES_A_CELL = 4
CELLS = 64
STATE_STYLE = {"healthy": "green", "unhealthy": "red", "starting": "yellow"}
CELL_STYLE = {Colour.BLUE: "white on blue", Colour.GREEN: "black on green"}


class Scene(StrEnum):
    """The parts of the story, in order."""

    BLUE = "version 1 on blue"
    GATE = "gate"
    GREEN = "version 2 on green"
    BACK = "way back"
    END = "end"


class Screen:
    """Standard output, 80 columns of it at most; without a terminal plain lines and no control characters."""

    def __init__(self) -> None:
        self.scene = Scene.BLUE
        self._console = Console(highlight=False, force_terminal=sys.stdout.isatty())
        self._width = min(WIDTH, self._console.width)
        self._begun_s = time.monotonic()
        self._strip: deque[tuple[str, str]] = deque(maxlen=CELLS)

    def title(self, text: str) -> None:
        """Say what this is."""
        self._console.print(Text(text, style="bold"), width=self._width)
        self._console.print()

    def say(self, lead: str, text: str) -> None:
        """Tell one step of the story, with the time since the beginning."""
        line = Table.grid(padding=(0, 2, 0, 0))
        line.add_column(justify="right", min_width=6, style="dim", no_wrap=True)
        line.add_column(min_width=9, style="bold", no_wrap=True)
        line.add_column()
        line.add_row(f"{time.monotonic() - self._begun_s:.1f} s", lead, text)
        self._console.print(Padding(line, (0, 0, 1, 0)), width=self._width)

    def addresses(self, rows: list[tuple[str, str]]) -> None:
        """Print addresses to copy: one a line, never broken."""
        for name, address in rows:
            self._console.print(Text(f"  {name:<13}", style="bold").append(address, style="not bold"), soft_wrap=True)
        self._console.print()

    def result(self, load: Load, applications: tuple[Application, ...]) -> None:
        """Print what came of the requests."""
        failed = load.failures.total()
        self._console.print(
            Text(f"{load.requests:,} requests, {failed:,} failed.", style="bold red" if failed else "bold green")
        )
        counts = [f"version {one.version} ({one.colour}) answered {load.answers[one.text]:,}" for one in applications]
        self._console.print(f"{', '.join(counts)}; the slowest took {load.slowest_s * 1000:,.0f} ms.", width=self._width)
        for cause, count in load.failures.most_common(3):
            self._console.print(Text(f"  {count:,} x {cause}", style="red"), width=self._width)

    async def run(self, stage: Stage, load: Load) -> None:
        """Draw the live display until cancelled; on anything but a terminal do nothing."""
        if not self._console.is_interactive:
            return
        with Live(console=self._console, auto_refresh=False) as live:
            try:
                for frame in range(sys.maxsize):
                    ...
                    await asyncio.sleep(FRAME_S)
            finally:
                live.update(self._panel(stage, load), refresh=True)
