"""What a deployment is given, and the error with which it refuses."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from provider.cli.client.compose import Project
from provider.model import Colour
from provider.model.errors import BluegreenError


class DeployRefused(BluegreenError):  # noqa: N818
    """The deployment was refused or given up before anything was switched; the text has the reason."""


@dataclass(frozen=True, slots=True)
class SwarmOptions:
    """The update of a Swarm service, in place of a compose file.

    `service` names it where several have the labels, `replicas` says how many tasks it is to have.
    """

    image: str
    service: str | None = None
    replicas: int | None = None
    with_registry_auth: bool = False


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """What to deploy: the compose `files`, or the update of a service of the `swarm`. `colour` may name the standby.

    `force` deploys even while the release before is watched, and despite critical findings of doctor. `traefiks` are
    the APIs of Traefik to ask, None for those that the daemon reads back.
    """

    service: str
    compose: tuple[str, ...]
    files: tuple[Path, ...]
    prefix: str
    tags: Mapping[str, str]
    colour: Colour | None = None
    timeout_s: float | None = None
    force: bool = False
    reason: str | None = None
    swarm: SwarmOptions | None = None
    traefiks: tuple[str, ...] | None = None

    def project(self, colour: Colour) -> Project:
        """Return the compose project of a colour."""
        return Project(self.compose, f"{self.prefix}-{colour}", self.files, colour, self.tags)
