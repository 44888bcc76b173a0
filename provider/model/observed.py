"""What the edges see."""

from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from provider.model.desired import HealthCheck
from provider.model.words import Colour, Health


class ServerKey(NamedTuple):
    """Tells one server of a colour from another: the same address is another server in another container or release."""

    url: str
    container: str | None
    release: str


@dataclass(frozen=True, slots=True)
class Server:
    """One backend of a colour. `docker_health` is None where the container has no HEALTHCHECK.

    `leaving_mono_s` is when the container was asked to stop, None while nobody asked.
    """

    url: str
    release: str
    version: str | None = None
    container: str | None = None
    docker_health: Health | None = None
    leaving_mono_s: float | None = None

    @property
    def key(self) -> ServerKey:
        """What health results are kept under."""
        return ServerKey(self.url, self.container, self.release)


@dataclass(frozen=True, slots=True)
class Observed:
    """The servers of one colour as last seen.

    `known` is False for Docker's servers before the first complete list. `changed_mono_s` is when the set last
    changed, `listed_mono_s` when Docker last listed it (None for fixed servers, which need no list).
    """

    known: bool = False
    servers: tuple[Server, ...] = ()
    from_docker: bool = True
    changed_mono_s: float = 0.0
    listed_mono_s: float | None = None

    @property
    def staying(self) -> tuple[Server, ...]:
        """The servers that nobody asked to stop."""
        return tuple(server for server in self.servers if server.leaving_mono_s is None)

    @property
    def releases(self) -> frozenset[str]:
        """The releases of the servers that stay; of all of them while all are leaving."""
        return frozenset(server.release for server in self.staying or self.servers)

    @property
    def release(self) -> str | None:
        """The release of a uniform colour, None for an empty or a mixed one."""
        releases = self.releases
        return next(iter(releases)) if len(releases) == 1 else None


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """The verdict on one server: `cause` says why it is not healthy, `since_utc` when the verdict began."""

    health: Health
    cause: str | None
    since_utc: datetime


@dataclass(frozen=True, slots=True)
class Probe:
    """One server to be checked over the network; `check.mode` is http or tcp, `host` the Host header."""

    service: str
    colour: Colour
    key: ServerKey
    check: HealthCheck
    host: str | None
