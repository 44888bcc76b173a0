"""Asks Docker Compose what it makes of a file for each colour."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from provider.compose import ComposeError, Project
from provider.doctor.composed import copies
from provider.doctor.copies import COLOURS, Copy


@dataclass(frozen=True, slots=True)
class Order:
    """Which compose files to look at, called as `deploy` calls them."""

    command: tuple[str, ...]
    files: tuple[Path, ...]
    prefix: str
    tags: Mapping[str, str]

    @property
    def name(self) -> str:
        """What messages call them."""
        return f"compose file {', '.join(map(str, self.files))}"


def look(order: Order) -> dict[str, tuple[Copy, ...]]:
    """Return the copies that compose would start, by colour. Raises ComposeError."""
    found = {}
    for colour in COLOURS:
        name = f"{order.prefix}-{colour}"
        project = Project(order.command, name, order.files, colour, order.tags)
        config = yaml.safe_load(project.config())
        if not isinstance(config, dict):
            raise ComposeError(f"{project.line('config')} answers something else than a compose file")
        found[colour] = copies(config, name)
    return found
