"""Follows a daemon: on a terminal a picture that is drawn anew as soon as something changes, in a pipe lines."""

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

from provider.client import Admin
from provider.terminal import detail, overview, words
from provider.terminal.changes import Changes
from provider.terminal.layout import Size
from provider.terminal.seen import View
from provider.terminal.signs import Signs, signs_of
from provider.terminal.source import Source
from provider.terminal.tables import console

Handler: TypeAlias = Callable[[int, FrameType | None], None]

LOOK_S = 1.0
QUIT = "q"


def watch(admin: Admin, service: str | None) -> None:
    """Follow one service or all until Ctrl-C, `q`, or a signal.

    Raises NoDaemon and Refused where the first question is not answered; later on a daemon that is away is waited for.
    """
    source = Source(admin, service)
    source.ask()
    screen = console()
    is_drawn = screen.is_terminal and not screen.is_dumb_terminal
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # what an application answered may be no text for this terminal
    wake = _Wake()
    with _signals(wake, is_drawn=is_drawn), suppress(KeyboardInterrupt):
        source.start(wake.ring)
        if not is_drawn:
            _tell(source, wake)
        while _is_drawn(screen, source, wake):
            os.kill(os.getpid(), signal.SIGSTOP)


class _Wake:
    """Wakes who waits for news or for a key, from another thread and from within a signal, too."""

    def __init__(self) -> None:
        self._read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        os.set_blocking(self._read, False)
        self._stopped = False

    def ring(self, *_: object) -> None:
        with suppress(BlockingIOError):  # it is rung already
            os.write(self._write, b".")

    def wait(self, limit_s: float, keys: int | None) -> bool:
        """Return when rung, when a key was pressed, or after `limit_s`: whether somebody wants to end it."""
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
        """Tell whether Ctrl-Z was pressed since this was asked last."""
        stopped, self._stopped = self._stopped, False
        return stopped


@contextmanager
def _signals(wake: _Wake, *, is_drawn: bool) -> Iterator[None]:
    """Let a terminal of another size wake, and have it put right before SIGTERM and SIGHUP end and Ctrl-Z stops."""

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


def _is_drawn(screen: Console, source: Source, wake: _Wake) -> bool:
    """Draw until `q`, or until Ctrl-Z, after which it is to be drawn again: then return True."""
    signs = signs_of(screen.encoding)
    with _keys() as keys, Live(console=screen, auto_refresh=False, screen=True) as live:
        while not wake.is_stopped():
            now = words.utc_now()
            lines = picture(source, _size(screen), now, signs)
            live.update(Group(*lines), refresh=True)
            if wake.wait(LOOK_S - now.microsecond / 1e6, keys):
                return False
    return True


def _size(screen: Console) -> Size:
    """Ask the terminal itself: where COLUMNS and LINES are exported, they do not follow it."""
    with suppress(OSError):
        found = os.get_terminal_size(sys.stdout.fileno())
        if found.columns > 0 and found.lines > 0:
            screen.size = ConsoleDimensions(found.columns, found.lines)
    return Size(screen.width, screen.height)


def picture(source: Source, size: Size, now: datetime, signs: Signs) -> list[Text]:
    """Return the lines of the picture of what is known."""
    view = View(source.seen, size, now, signs)
    return overview.draw(view) if source.service is None else detail.draw(view)


def _tell(source: Source, wake: _Wake) -> None:
    """Print a line for each change, for a log or for another program."""
    changes = Changes()
    while True:
        for line in changes.of(source.seen):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        wake.wait(LOOK_S, None)


@contextmanager
def _keys() -> Iterator[int | None]:
    """Read keys without showing them, None where standard input is no terminal; put the terminal right at the end."""
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
