"""Asks Docker Compose what it makes of a file for each colour."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provider.compose import Project
from provider.doctor.copies import COLOURS


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


def look(order: Order) -> dict[str, Mapping[str, object]]:
    """Return what compose makes of the files for each colour. Raises ComposeError."""
    return {
        colour: Project(order.command, f"{order.prefix}-{colour}", order.files, colour, order.tags).rendered()
        for colour in COLOURS
    }
