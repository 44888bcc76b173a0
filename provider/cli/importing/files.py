"""Reads compose files: as Docker Compose renders them where it is installed, else by itself."""

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from provider.cli.client.start import reported, run_answered
from provider.cli.importing.compose import find
from provider.cli.importing.found import Found, Left
from provider.cli.importing.merging import Config, extended, mapping, merged
from provider.cli.importing.variables import Variables, dotenv
from provider.config import yaml
from provider.config.file import DesiredStateFile
from provider.model.errors import BluegreenError, DesiredStateError
from provider.model.text import one_line

PROJECT = "COMPOSE_PROJECT_NAME"
CAUSE_MOST = 300
_NO_PROJECT = re.compile(r"[^a-z0-9_-]")


class UnreadableError(BluegreenError):
    """A file that is no compose file; the text says where and why."""


@dataclass(frozen=True, slots=True)
class ComposeFiles:
    """Files of one project, the later ones on top; `command` is that of Compose, None to read them without it."""

    files: tuple[Path, ...]
    command: tuple[str, ...] | None

    @property
    def name(self) -> str:
        """Their name in messages."""
        return ", ".join(map(str, self.files))

    def find(self) -> tuple[list[Found], list[Left]]:
        """Return the services of the files, and what was left. Raises UnreadableError."""
        lefts: list[Left] = []
        config = merged([_read(file) for file in self.files])
        if not isinstance(config.get("services"), Mapping):
            found = "its services stand at the top" if "image" in str(config)[:2000] else "it has no 'services'"
            raise UnreadableError(f"{self.name}: {found}: a compose file has them under 'services'")
        rendered = self._rendered(config, lefts) if self.command is not None else None
        if rendered is None:
            config, unread = extended(config, self._load, self.name)
            lefts += unread
            if "include" in config:
                message = "what it includes was not read, for which Compose is needed"
                lefts.append(Left(self.name, "include", message, "name those files as well, or install Compose"))
        variables = self._variables(lefts)
        project, is_rendered = self._project(config, variables), rendered is not None
        founds, more = find(rendered or config, project, self.name, variables, is_rendered=is_rendered)
        return founds, [*lefts, *more, *_used(self.name, variables)]

    @property
    def _directory(self) -> Path:
        return self.files[0].absolute().parent

    def _rendered(self, written: Config, lefts: list[Left]) -> Config | None:
        """Return the files as Compose renders them, variables left as they are; None where it does not.

        The services stay in the order in which they are written; Compose may sort them.
        """
        command = self.command or ()
        files = [word for file in self.files for word in ("-f", str(file))]
        try:
            text = run_answered([*command, "--profile", "*", *files, "config", "--no-interpolate"])
            tree = yaml.read(text, " ".join(command))
        except (OSError, subprocess.SubprocessError, DesiredStateError) as error:
            cause = reported(error) if isinstance(error, subprocess.SubprocessError) else str(error)
            message = f"Compose does not render it, so it was read without: {one_line(cause, CAUSE_MOST)}"
            lefts.append(Left(self.name, "", message))
            return None
        config = mapping(tree.value)
        services = mapping(config.get("services"))
        in_order = {name: services[name] for name in (*written["services"], *services) if name in services}
        return {**config, "services": in_order} if services else None

    def _load(self, name: str) -> Config | None:
        try:
            return _read(self._directory / name)
        except UnreadableError:
            return None

    def _variables(self, lefts: list[Left]) -> Variables:
        file, beside = self._directory / ".env", dict[str, str]()
        try:
            beside = dotenv(DesiredStateFile(file).read().text) if file.exists() else {}
        except DesiredStateError as error:
            lefts.append(Left(self.name, "", f"its variables were not read: {error}"))
        return Variables({**beside, **os.environ})

    def _project(self, config: Config, variables: Variables) -> str:
        named = variables.values.get(PROJECT) or config.get("name") or self._directory.name
        return _NO_PROJECT.sub("", str(named).lower()).lstrip("_-") or "default"


def _used(name: str, variables: Variables) -> Sequence[Left]:
    message = "is written in place of it: nothing replaces variables in a desired state"
    return [Left(name, f"${{{one}}}", f"{source} {message}") for one, source in sorted(variables.used.items())]


def _read(file: Path) -> Config:
    try:
        text = DesiredStateFile(file).read().text
        if not text.strip():
            raise UnreadableError(f"{file}: it is empty")
        tree = yaml.read(text, str(file))
    except DesiredStateError as error:
        raise UnreadableError(str(error)) from None
    if not isinstance(tree.value, Mapping):
        raise UnreadableError(f"{file}: it is no mapping, as a compose file is")
    return tree.value
