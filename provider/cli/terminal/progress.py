"""Shows what happens while `wait` and `deploy` follow a service."""

import re
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from provider.cli.client.read_back import step_of
from provider.cli.terminal import words
from provider.cli.terminal.status import console, facts, notes, overview
from provider.cli.terminal.words import printable
from provider.model import AFTER_SWITCH
from provider.model import api_types as api


class Progress:
    """Shows what happens while a service is followed.

    On a terminal, lines scroll by above a live display of the status; in a pipe there is only a line for each change.
    `quiet` shows nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = console()
        self._quiet = quiet
        self._live: Live | None = None
        self._place, self._printed = "", set[str]()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the live display; lines stay."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def log(self, line: str) -> None:
        """Print a line."""
        if not self._quiet:
            self._console.print(Text(printable(line)), soft_wrap=True)

    def show(self, service: api.Service) -> None:
        """Show the status of the service."""
        if self._quiet:
            return
        if not self._console.is_terminal:
            self._log_changes(printable(service))
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(_followed(printable(service)), refresh=True)

    def _log_changes(self, service: api.Service) -> None:
        """Log once in each phase and step what blocks the service; numbers that count down are no change."""
        phase, blocking = service["phase"], service["blocking"]
        rollout, step = service["rollout"], step_of(service)
        place = f"{phase} {step['number']}" if step else phase
        if place != self._place:
            self._place, self._printed = place, set()
            deadline = rollout["deadline"] if rollout else None
            if phase in {"waiting", "watching"} and deadline:
                until = words.clock(deadline)
                self.log(f"{service['service']}: {phase} until {until} at most ({words.left(service)})")
        if blocking is None or phase in AFTER_SWITCH:
            return
        kept = re.sub(r"\d+", "0", blocking)
        if kept not in self._printed:
            self._printed.add(kept)
            self.log(f"{service['service']}: {blocking}")


def _followed(service: api.Service) -> RenderableType:
    return Group(Text(), overview([service]), facts(service), *notes(service, "", []))
