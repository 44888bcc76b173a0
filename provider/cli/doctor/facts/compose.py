"""Asks Docker Compose to render a file for each colour."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provider.cli.client.compose import Project
from provider.model import Colour


@dataclass(frozen=True, slots=True)
class ComposeFiles:
    """The compose files to check, rendered as `deploy` renders them; a stack is for Swarm, and has both colours."""

    command: tuple[str, ...]
    files: tuple[Path, ...]
    prefix: str
    tags: Mapping[str, str]
    is_stack: bool = False

    @property
    def name(self) -> str:
        """Their name in messages."""
        return f"{'stack' if self.is_stack else 'compose'} file {', '.join(map(str, self.files))}"


def gather(files: ComposeFiles) -> dict[str, Mapping[str, object]]:
    """Return the rendered files for each colour. Raises ComposeError."""
    return {
        colour: Project(files.command, f"{files.prefix}-{colour}", files.files, colour, files.tags).rendered()
        for colour in Colour
    }
