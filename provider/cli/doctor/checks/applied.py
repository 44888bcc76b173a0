"""One object that a Traefik has applied, of any provider, as far as others refer to it or it to others."""

from dataclasses import dataclass
from typing import NamedTuple

from provider.model import Protocol
from provider.model.routing import Refers

OURS = "http"
DOCKER_PROVIDERS = frozenset({"docker", "swarm"})
"""Traefik's providers that read the labels of containers and of Swarm services."""


class Name(NamedTuple):
    """A service or middleware in Traefik, without its provider."""

    kind: Refers
    protocol: Protocol
    name: str


@dataclass(frozen=True, slots=True)
class Applied:
    """A router, service or middleware (`kind`); `name` ends with its provider, as in `shop@docker`.

    `refers` are the services and middlewares that it names, with their providers. `servers` are the addresses of a
    load balancer, HOST:PORT. A router has `entry_points` and a `rule`; `tls_options` is None without TLS.
    """

    kind: str
    protocol: Protocol
    name: str
    refers: frozenset[tuple[Refers, str]] = frozenset()
    servers: frozenset[str] = frozenset()
    entry_points: frozenset[str] = frozenset()
    rule: str = ""
    tls_options: str | None = None

    @property
    def provider(self) -> str:
        """The provider that defined it."""
        return self.name.rpartition("@")[2]

    @property
    def plain(self) -> str:
        """Its name without the provider."""
        return self.name.rpartition("@")[0]

    @property
    def is_of_docker(self) -> bool:
        """Whether Traefik read it from the labels of a container."""
        return self.provider in DOCKER_PROVIDERS
