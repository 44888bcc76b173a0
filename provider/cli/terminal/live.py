"""`status --watch`: on a terminal a view that is redrawn on every change, in a pipe a line for each."""

import io
import os
import select
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from types import FrameType
from typing import TypeAlias

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from provider.cli.client.admin_api import Admin
from provider.cli.terminal import live_detail, live_overview, words
from provider.cli.terminal.changes import Changes
from provider.cli.terminal.feed import Feed
from provider.cli.terminal.layout import Size
from provider.cli.terminal.status import console
from provider.cli.terminal.symbols import Signs, signs_of
from provider.cli.terminal.view import View

Handler: TypeAlias = Callable[[int, FrameType | None], None]

CHECK_EVERY_S = 1.0
QUIT = "q"


def follow(admin: Admin, service: str | None) -> None:
    """Follow one service or all until Ctrl-C, `q`, or a signal.

    Raises NoDaemon and CommandRefused if the first request fails; later failures are retried.
    """
    feed = Feed(admin, service)
    feed.ask()
    screen = console()
    is_drawn = screen.is_terminal and not screen.is_dumb_terminal
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what an application answered may be no text for this terminal
    wake = _Wake()
    with _signals(wake, is_drawn=is_drawn), suppress(KeyboardInterrupt):
        feed.start(wake.ring)
        if not is_drawn:
            _print_changes(feed, wake)
        while _is_drawn(screen, feed, wake):
            os.kill(os.getpid(), signal.SIGSTOP)


class _Wake:
    """Wakes the loop that waits for a change or a key, also from another thread or a signal handler."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        os.set_blocking(self._read, False)
        self._stopped = False

    def ring(self, *_: object) -> None:
        with suppress(BlockingIOError):  # it is rung already
            os.write(self._write, b".")

    def wait(self, limit_s: float, keys: int | None) -> bool:
        """Return when rung, on a key, or after `limit_s`; True if the user wants to quit."""
        found, _, _ = select.select([self._read] if keys is None else [self._read, keys], [], [], limit_s)
        if self._read in found:
            with suppress(BlockingIOError):
                while os.read(self._read, 4096):
                    pass
        if keys is None or keys not in found:
            return False
        try:
            pressed = os.read(keys, 64).decode(errors="replace")
        except OSError:  # the terminal is gone
            return True
        return not pressed or QUIT in pressed.lower()

    def stop(self, *_: object) -> None:
        self._stopped = True
        self.ring()

    def is_stopped(self) -> bool:
        """Return whether Ctrl-Z was pressed since the last call."""
        stopped, self._stopped = self._stopped, False
        return stopped


@contextmanager
def _signals(wake: _Wake, *, is_drawn: bool) -> Iterator[None]:
    """Redraw when the terminal is resized, and restore it before SIGTERM, SIGHUP and Ctrl-Z take effect."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    handlers: dict[signal.Signals, Handler] = {signal.SIGTERM: end, signal.SIGHUP: end}
    if is_drawn:
        handlers |= {signal.SIGWINCH: wake.ring, signal.SIGTSTP: wake.stop, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_drawn(screen: Console, feed: Feed, wake: _Wake) -> bool:
    """Draw until `q`, or until Ctrl-Z: then return True, as it is to be drawn again after it."""
    signs = signs_of(screen.encoding)
    with _keys() as keys, Live(console=screen, auto_refresh=False, screen=True) as live:
        while not wake.is_stopped():
            now = words.utc_now()
            lines = picture(feed, _size(screen), now, signs)
            live.update(Group(*lines), refresh=True)
            if wake.wait(CHECK_EVERY_S - now.microsecond / 1e6, keys):
                return False
    return True


def _size(screen: Console) -> Size:
    """Ask the terminal itself: exported COLUMNS and LINES do not change with it."""
    with suppress(OSError):
        found = os.get_terminal_size(sys.stdout.fileno())
        if found.columns > 0 and found.lines > 0:
            screen.size = ConsoleDimensions(found.columns, found.lines)
    return Size(screen.width, screen.height)


def picture(feed: Feed, size: Size, now: datetime, signs: Signs) -> list[Text]:
    """Return the lines to draw of the latest answers."""
    view = View(feed.latest, size, now, signs)
    return live_overview.draw(view) if feed.service is None else live_detail.draw(view)


def _print_changes(feed: Feed, wake: _Wake) -> None:
    """Print a line for each change, for a log or another program."""
    changes = Changes()
    while True:
        for line in changes.of(feed.latest):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        wake.wait(CHECK_EVERY_S, None)


@contextmanager
def _keys() -> Iterator[int | None]:
    """Read keys without echo, None if standard input is no terminal; restore the terminal at the end."""
    if not sys.stdin.isatty():
        yield None
        return
    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    try:
        tty.setcbreak(number)
        yield number
    finally:
        termios.tcsetattr(number, termios.TCSAFLUSH, before)
