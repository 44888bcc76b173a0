"""Tells what happens while one service is followed, by `wait` and `deploy`."""

import re
from types import TracebackType
from typing import Self

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from provider.terminal import words
from provider.terminal.tables import console, facts, notes, overview
from provider.terminal.words import Answer, printable

_AFTER_SWITCH = frozenset({"confirming", "watching"})


class Progress:
    """Tells what happens while a service is followed.

    On a terminal lines scroll by above a live display of how the service stands; in a pipe there are only lines, one
    for each change. `quiet` tells nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = console()
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
            self._console.print(Text(printable(line)), soft_wrap=True)

    def show(self, service: Answer) -> None:
        """Show how the service stands now."""
        if self._quiet:
            return
        if not self._console.is_terminal:
            self._tell_changes(printable(service))
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(_followed(printable(service)), refresh=True)

    def _tell_changes(self, service: Answer) -> None:
        """Tell once in each phase what is waited for; numbers that count down are no change."""
        phase, blocking = service["phase"], service["blocking"]
        if phase != self._phase:
            self._phase, self._told = phase, set()
            if phase in {"waiting", "watching"} and service["rollout"]["deadline"]:
                until = words.clock(service["rollout"]["deadline"])
                self.tell(f"{service['service']}: {phase} until {until} at most ({words.left(service)})")
        if blocking is None or phase in _AFTER_SWITCH:
            return
        kept = re.sub(r"\d+", "0", blocking)
        if kept not in self._told:
            self._told.add(kept)
            self.tell(f"{service['service']}: {blocking}")


def _followed(service: Answer) -> RenderableType:
    return Group(Text(), overview([service]), facts(service), *notes(service, "", []))
