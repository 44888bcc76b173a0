"""Runs Docker Compose: finds the command, starts the project of one colour, and lists its containers."""

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import yaml

from provider.cli.client.start import ANSWER_S, StartError, reported, run_answered, run_watched
from provider.model import Colour

COLOUR = "BLUEGREEN_COLOUR"
PROFILES = "COMPOSE_PROFILES"
CHECK_EVERY_S = 1.0
SHORT_ID = 12
_ID = re.compile(r"\w+")
_TOP = re.compile(r"(name|version|services|networks|volumes|configs|secrets|include|models|x-[\w.-]+):|- |\.\.\.\s")
"""The start of a line without indent in a rendered compose file."""


class ComposeError(StartError):
    """Docker Compose is not installed, or failed; the text says what to check."""


@dataclass(frozen=True, slots=True)
class Project:
    """The compose project of one colour; `tags` and the colour override the caller's environment."""

    command: tuple[str, ...]
    name: str
    files: tuple[Path, ...]
    colour: Colour
    tags: Mapping[str, str]

    def line(self, *arguments: str) -> str:
        """Return a command on this project as a line for a shell."""
        pairs = [f"{name}={shlex.quote(value)}" for name, value in self._settings.items()]
        return " ".join([*pairs, shlex.join(self._arguments(*arguments))])

    @property
    def start_line(self) -> str:
        """The command that starts the containers, as a line for a shell."""
        return self.line("up", "-d")

    @property
    def interrupted(self) -> str:
        """What an interrupt of that command leaves behind."""
        return f"compose was stopped, and what it has started in {self.colour} stays: {self.line('ps')}"

    def up(self, check: Callable[[], None]) -> None:
        """Start the containers; the output of compose goes where ours goes.

        `check` is called every second meanwhile. If it raises, or we are interrupted, compose is stopped first.

        Raises:
            ComposeError: compose failed.
        """
        try:
            code = run_watched(self._arguments("up", "-d"), self._environment, check, CHECK_EVERY_S)
        except OSError as failure:
            raise self._not_started(failure) from failure
        if code != 0:
            raise ComposeError(
                f"compose failed with exit code {code}, and nothing was switched. Correct what it reports above, and "
                f"deploy again; to list what it has started: {self.line('ps')}"
            )

    def containers(self, *services: str) -> frozenset[str]:
        """Return the short ids of the project's containers, of some of its services or all. Raises ComposeError."""
        listed = self._run("cannot list what compose has started", "ps", "-q", *services)
        return frozenset(line.strip()[:SHORT_ID] for line in listed.splitlines() if _ID.fullmatch(line.strip()))

    def unseen(self, service: str, limit_s: float, messages: str) -> ComposeError:
        """Return the error for containers that the daemon has not seen as servers in time."""
        return ComposeError(
            f"{service}: compose succeeded, but after {limit_s:g} s the daemon sees none of its containers as a server "
            f"of {service} in {self.colour}; nothing was switched.{messages} Check that they run "
            f"({self.line('logs')}), have the labels bluegreen.service={service} and "
            f"bluegreen.colour=${{BLUEGREEN_COLOUR}}, and that compose uses the Docker Engine of the daemon"
        )

    def rendered(self) -> Mapping[str, object]:
        """Return the files as compose renders them. Raises ComposeError with what compose reports."""
        output = self._run("compose does not accept it", "config")
        try:
            found = yaml.load(_without_warnings(output), yaml.CSafeLoader)
        except (yaml.YAMLError, ValueError) as failure:  # ValueError: an invalid date such as 2026-02-31
            raise ComposeError(f"{self.line('config')} did not print YAML: {failure}") from failure
        if not isinstance(found, dict) or not isinstance(found.get("services"), dict):
            first = next((line for line in output.splitlines() if line.strip()), "nothing")
            raise ComposeError(f"{self.line('config')} did not print a compose file: {first[:200]}")
        return found

    def _run(self, failed: str, *arguments: str) -> str:
        try:
            return run_answered(self._arguments(*arguments), self._environment)
        except OSError as failure:
            raise self._not_started(failure) from failure
        except subprocess.SubprocessError as failure:
            raise ComposeError(f"{failed}: {self.line(*arguments)}: {reported(failure)}") from failure

    def _not_started(self, failure: OSError) -> ComposeError:
        return ComposeError(
            f"{shlex.join(self.command)} cannot run, and nothing was started: {failure}. Set the command of Docker "
            f"Compose with --compose (BLUEGREEN_COMPOSE)"
        )

    @property
    def profiles(self) -> frozenset[str]:
        """The active profiles: from the command, the environment, or the `.env` beside the first file."""
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
    """Return the command of compose: the plugin of docker, else docker-compose. Raises ComposeError."""
    plugin = ("docker", "compose")
    if shutil.which("docker") and _works((*plugin, "version")):
        return plugin
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    raise ComposeError(
        "neither `docker compose` nor `docker-compose` is installed: install Docker Compose, or set its command with "
        "--compose (BLUEGREEN_COMPOSE)"
    )


def _without_warnings(output: str) -> str:
    """Return the YAML in the output of compose, or of a script that calls it: warnings may precede or follow it."""
    kept, is_ours = [], False
    for line in output.splitlines(keepends=True):
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
