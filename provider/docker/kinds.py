"""What may be followed of Docker, by `--docker-mode`. A kind that is added is a file, and a line in the table."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Protocol, TypeAlias

from provider.docker.auto import Auto
from provider.docker.discovery import Containers
from provider.docker.engine import Action, SwarmAction
from provider.docker.inventory import Sink
from provider.docker.labels import Scope
from provider.docker.swarm.discovery import Tasks
from provider.model import DockerMode, Engine


class Discovery(Protocol):
    """Follows Docker, and reports to its sink which servers there are."""

    def set_scope(self, scope: Scope) -> None:
        """Use only what belongs to this environment."""

    def relist(self, service: str) -> None:
        """List a service again; the sink gets the result even when nothing has changed."""

    def void(self) -> None:
        """List everything again over a new subscription, and drop the result of a list that is under way."""

    async def run(self) -> None:
        """Follow Docker until cancelled; it sends no request before there is a scope."""


Follow: TypeAlias = Callable[[Sink, str | Engine | None, str | None], Discovery]

KINDS: Mapping[DockerMode, Follow] = MappingProxyType(
    {
        DockerMode.AUTO: lambda sink, url, host: Auto(sink, base_url=url, docker_host_address=host),
        DockerMode.ENGINE: lambda sink, url, host: Containers(sink, base_url=url, docker_host_address=host),
        DockerMode.SWARM: lambda sink, url, _: Tasks(sink, base_url=url),
    }
)
ACTIONS = (*Action, *SwarmAction)
"""The events that any of them counts."""


def follow(
    mode: DockerMode, sink: Sink, *, base_url: str | Engine | None, docker_host_address: str | None
) -> Discovery:
    """Return what follows Docker in this mode. Raises DockerUnavailable for an invalid address."""
    return KINDS[mode](sink, base_url, docker_host_address)
