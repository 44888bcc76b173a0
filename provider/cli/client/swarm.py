"""Runs Docker's command line on the services of a Swarm: finds that of one colour, updates it, and lists its tasks."""

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from provider.cli.client.start import StartError, reported, run_answered, run_watched
from provider.model import Colour

CHECK_EVERY_S = 1.0
SHORT_ID = 12
DOCKER = ("docker",)


class SwarmError(StartError):
    """Docker's command line is not installed, or failed; the text says what to check."""


@dataclass(frozen=True, slots=True)
class SwarmUpdate:
    """The update of the Swarm service of one colour to an image; `options` are further ones of the command."""

    name: str
    colour: Colour
    image: str
    options: tuple[str, ...] = ()

    @property
    def start_line(self) -> str:
        """The command that updates the service, as a line for a shell."""
        return shlex.join(self._arguments)

    @property
    def interrupted(self) -> str:
        """What an interrupt of that command leaves behind."""
        undo, check = (shlex.join([*DOCKER, "service", verb, self.name]) for verb in ("rollback", "ps"))
        return f"Swarm goes on with the update of {self.name}: {check}; to undo it: {undo}"

    def up(self, check: Callable[[], None]) -> None:
        """Update the service, and wait until Swarm has replaced its tasks; the output of docker goes where ours goes.

        `check` is called every second meanwhile. If it raises, or we are interrupted, docker is stopped first: Swarm
        goes on. Raises SwarmError if docker failed, or Swarm has given up.
        """
        try:
            code = run_watched(self._arguments, os.environ, check, CHECK_EVERY_S)
        except OSError as failure:
            raise _not_started(failure) from failure
        if code != 0:
            tasks = shlex.join([*DOCKER, "service", "ps", "--no-trunc", self.name])
            raise SwarmError(
                f"docker failed with exit code {code}, and nothing was switched. Correct what it reports above, and "
                f"deploy again; to list the tasks and their errors: {tasks}"
            )

    def containers(self) -> frozenset[str]:
        """Return the short ids of the containers of the tasks that are to run. Raises SwarmError."""
        listed = ("service", "ps", "--quiet", "--no-trunc", "--filter", "desired-state=running", self.name)
        tasks = run(f"cannot list the tasks of {self.name}", *listed).split()
        if not tasks:
            return frozenset()
        found = inspect("inspect", *tasks)
        statuses = ((task.get("Status") or {}).get("ContainerStatus") or {} for task in found)
        ids = {str(status.get("ContainerID") or "")[:SHORT_ID] for status in statuses}
        return frozenset(ids - {""})

    def unseen(self, service: str, limit_s: float, messages: str) -> SwarmError:
        """Return the error for tasks that the daemon has not seen as servers in time."""
        tasks = shlex.join([*DOCKER, "service", "ps", "--no-trunc", self.name])
        return SwarmError(
            f"{service}: {self.name} was updated, but after {limit_s:g} s the daemon sees none of its tasks as a "
            f"server of {service} in {self.colour}; nothing was switched.{messages} Check that they run ({tasks}), and "
            f"that the daemon follows this Swarm (--docker-mode and --docker of bluegreen serve)"
        )

    @property
    def _arguments(self) -> list[str]:
        quiet = [] if sys.stdout.isatty() else ["--quiet"]
        update = ["service", "update", "--detach=false", *quiet, "--image", self.image, *self.options, self.name]
        return [*DOCKER, *update]


def services(name: str) -> list[dict[str, Any]]:
    """Return the Swarm services labelled as a service, as `docker service inspect` has them. Raises SwarmError."""
    label = f"label=bluegreen.service={name}"
    ids = run("cannot list the services of the Swarm", "service", "ls", "--quiet", "--filter", label)
    return inspect("service", "inspect", *ids.split()) if ids.split() else []


def inspect(*arguments: str) -> list[dict[str, Any]]:
    """Return what an `inspect` of docker prints. Raises SwarmError."""
    printed = run("docker does not say what runs", *arguments)
    try:
        found = json.loads(printed)
    except ValueError as failure:
        raise SwarmError(f"{shlex.join([*DOCKER, *arguments])} did not print JSON: {failure}") from failure
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def run(failed: str, *arguments: str) -> str:
    """Return what a command of docker prints. Raises SwarmError that begins with `failed`."""
    try:
        return run_answered([*DOCKER, *arguments])
    except OSError as failure:
        raise _not_started(failure) from failure
    except subprocess.SubprocessError as failure:
        raise SwarmError(f"{failed}: {shlex.join([*DOCKER, *arguments])}: {reported(failure).strip()}") from failure


def _not_started(failure: OSError) -> SwarmError:
    return SwarmError(
        f"{shlex.join(DOCKER)} cannot run, and nothing was started: {failure}. Install Docker's command line, and let "
        f"it ask a manager (*DOCKERHOST, or docker context use)"
    )


def environment_options(variables: Mapping[str, str]) -> tuple[str, ...]:
    """Return the options of an update that set these variables of its containers."""
    return tuple(word for name, value in variables.items() for word in ("--env-add", f"{name}={value}"))
