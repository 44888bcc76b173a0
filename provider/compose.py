"""Runs Docker Compose: finds the command, starts the project of one colour, and says what belongs to it."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

from provider.errors import BluegreenError

COLOUR = "BLUEGREEN_COLOUR"
PROFILES = "COMPOSE_PROFILES"
LOOK_EVERY_S = 1.0
ANSWER_S = 60.0
STOP_S = 10.0
SHORT_ID = 12
_ID = re.compile(r"\w+")
_TOP = re.compile(r"(name|version|services|networks|volumes|configs|secrets|include|models|x-[\w.-]+):|- |\.\.\.\s")
"""How a line of a rendered compose file begins that is not indented."""


class ComposeError(BluegreenError):
    """Docker Compose is not there, or ended with an error; the text says what to look at."""


@dataclass(frozen=True, slots=True)
class Project:
    """The compose project of one colour; `tags` and the colour win over the caller's environment."""

    command: tuple[str, ...]
    name: str
    files: tuple[Path, ...]
    colour: str
    tags: Mapping[str, str]

    def line(self, *arguments: str) -> str:
        """Return a command on this project as a shell takes it."""
        pairs = [f"{name}={shlex.quote(value)}" for name, value in self._settings.items()]
        return " ".join([*pairs, shlex.join(self._arguments(*arguments))])

    def up(self, check: Callable[[], None]) -> None:
        """Start the containers, and return when compose has; its output goes where ours goes.

        `check` is called every second meanwhile. When it raises, or we are interrupted, compose is stopped first.

        Raises:
            ComposeError: compose ended with an error.
        """
        stdin = None if sys.stdin is not None and sys.stdin.isatty() else subprocess.DEVNULL
        try:
            process = subprocess.Popen(self._arguments("up", "-d"), env=self._environment, stdin=stdin)
        except OSError as failure:
            raise self._not_started(failure) from failure
        try:
            while (code := _ended(process, LOOK_EVERY_S)) is None:
                check()
        except KeyboardInterrupt:
            if _ended(process, STOP_S / 4) is None:  # a terminal has sent it to compose as well
                _stop(process)
            raise
        except BaseException:
            _stop(process)
            raise
        if code != 0:
            raise ComposeError(
                f"compose ended with exit code {code}, and nothing was switched. Once its complaint above is settled, "
                f"deploy again; what it has started is shown by: {self.line('ps')}"
            )

    def containers(self, *services: str) -> frozenset[str]:
        """Return the short ids of the project's containers, of some of its services or all. Raises ComposeError."""
        listed = self._answer("what compose has started cannot be told", "ps", "-q", *services)
        return frozenset(line.strip()[:SHORT_ID] for line in listed.splitlines() if _ID.fullmatch(line.strip()))

    def rendered(self) -> Mapping[str, object]:
        """Return what compose makes of the files. Raises ComposeError with what it has against them."""
        said = self._answer("compose does not accept it", "config")
        try:
            found = yaml.load(_without_chatter(said), yaml.CSafeLoader)
        except (yaml.YAMLError, ValueError) as failure:  # ValueError is what it makes of a date such as 2026-02-31
            raise ComposeError(f"{self.line('config')} answers something that is no YAML: {failure}") from failure
        if not isinstance(found, dict) or not isinstance(found.get("services"), dict):
            first = next((line for line in said.splitlines() if line.strip()), "nothing")
            raise ComposeError(f"{self.line('config')} answers something else than a compose file: {first[:200]}")
        return found

    def _answer(self, failed: str, *arguments: str) -> str:
        try:
            done = subprocess.run(
                self._arguments(*arguments),
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=ANSWER_S,
                check=True,
            )
        except OSError as failure:
            raise self._not_started(failure) from failure
        except subprocess.SubprocessError as failure:
            said = getattr(failure, "stderr", None) or failure
            raise ComposeError(f"{failed}: {self.line(*arguments)}: {said}") from failure
        return done.stdout

    def _not_started(self, failure: OSError) -> ComposeError:
        return ComposeError(
            f"{shlex.join(self.command)} cannot be started, and nothing was: {failure}. Name how Docker Compose is "
            f"called with --compose (BLUEGREEN_COMPOSE)"
        )

    @property
    def profiles(self) -> frozenset[str]:
        """The profiles that are on: by the command, the environment, or the `.env` beside the first file."""
        words = shlex.split(" ".join(self.command).replace("--profile=", "--profile "))
        chosen = [after for word, after in pairwise(words) if word == "--profile"]
        written = self._environment.get(PROFILES)
        if written is None:
            try:
                lines = (self.files[0].absolute().parent / ".env").read_text(errors="replace").splitlines()
            except (OSError, IndexError):
                lines = []
            found = (line.partition("=") for line in lines)
            written = next((value.strip(" \"'") for name, _, value in found if name.strip() == PROFILES), "")
        return frozenset(filter(None, (one.strip() for one in (*chosen, *written.split(",")))))

    @property
    def _settings(self) -> dict[str, str]:
        return {**self.tags, COLOUR: self.colour}

    @property
    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self._settings}

    def _arguments(self, *arguments: str) -> list[str]:
        files = [word for file in self.files for word in ("-f", str(file))]
        return [*self.command, "-p", self.name, *files, *arguments]


def find_command() -> tuple[str, ...]:
    """Return how compose is called here: the plugin of docker, else docker-compose. Raises ComposeError."""
    plugin = ("docker", "compose")
    if shutil.which("docker") and _works((*plugin, "version")):
        return plugin
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    raise ComposeError(
        "neither `docker compose` nor `docker-compose` is installed here: install Docker Compose, or name its command "
        "with --compose (BLUEGREEN_COMPOSE)"
    )


def _without_chatter(said: str) -> str:
    """Return the YAML in what compose, or a script that calls it, has printed: warnings stand before it, or behind."""
    kept, is_ours = [], False
    for line in said.splitlines(keepends=True):
        if not line[0].isspace():
            is_ours = _TOP.match(line) is not None
        if is_ours:
            kept.append(line)
    return "".join(kept)


def _works(command: tuple[str, ...]) -> bool:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=ANSWER_S, check=False)
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0


def _ended(process: "subprocess.Popen[bytes]", limit_s: float) -> int | None:
    try:
        return process.wait(limit_s)
    except subprocess.TimeoutExpired:
        return None


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt compose as Ctrl-C does; one that was started by who ignores that (a script's job) ignores it, too."""
    is_ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    process.send_signal(signal.SIGTERM if is_ignored else signal.SIGINT)
    if _ended(process, STOP_S) is None:
        process.kill()
        process.wait()
