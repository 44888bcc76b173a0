"""What starts a release in one colour, and how a command is run for it: watched, or for what it prints."""

import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from provider.model import Colour
from provider.model.errors import BluegreenError

STOP_S = 10.0
ANSWER_S = 60.0


class StartError(BluegreenError):
    """What starts a release is not installed, or failed; the text says what to check."""


class Start(Protocol):
    """Starts a release in the colour of one compose project or Swarm service."""

    @property
    def name(self) -> str:
        """The project or the Swarm service."""

    @property
    def colour(self) -> Colour:
        """The colour that it starts."""

    @property
    def start_line(self) -> str:
        """The command that starts it, as a line for a shell."""

    @property
    def interrupted(self) -> str:
        """What an interrupt of that command leaves behind."""

    def up(self, check: Callable[[], None]) -> None:
        """Start it; `check` is called every second meanwhile, and may raise. Raises StartError."""

    def unseen(self, service: str, limit_s: float, messages: str) -> StartError:
        """Return the error for what was started and is no server of the service after this time."""


def run_watched(
    arguments: Sequence[str], environment: Mapping[str, str], check: Callable[[], None], every_s: float
) -> int:
    """Run a command whose output goes where ours goes; return its exit code.

    `check` is called every `every_s` meanwhile. If it raises, or we are interrupted, the command is stopped first.
    Raises OSError if it cannot run.
    """
    stdin = None if sys.stdin is not None and sys.stdin.isatty() else subprocess.DEVNULL
    process = subprocess.Popen(arguments, env=environment, stdin=stdin)
    try:
        while (code := _ended(process, every_s)) is None:
            check()
    except KeyboardInterrupt:
        if _ended(process, STOP_S / 4) is None:  # a terminal has sent it to the command as well
            _stop(process)
        raise
    except BaseException:
        _stop(process)
        raise
    return code


def run_answered(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Return what a command prints, by default in our own environment.

    Raises OSError if it cannot run, and SubprocessError if it fails or takes longer than `ANSWER_S`.
    """
    return subprocess.run(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=ANSWER_S,
        check=True,
    ).stdout


def reported(failure: subprocess.SubprocessError) -> str:
    """Return what a command that failed has reported, else how it failed."""
    return str(getattr(failure, "stderr", None) or failure)


def _ended(process: "subprocess.Popen[bytes]", limit_s: float) -> int | None:
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt a command as Ctrl-C does; with SIGTERM if SIGINT is ignored, as in a job of a script."""
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    process.send_signal(signal.SIGTERM if is_ignored else signal.SIGINT)
    if _ended(process, STOP_S) is None:
        process.kill()
        process.wait()
