"""Who asks, and how the daemon was started."""

from collections.abc import Sequence

from typing_extensions import TypedDict

from provider.model.api_types.times import Time
from provider.model.vocabulary import DockerMode


class Caller(TypedDict):
    """Who asks, and what it may do."""

    actor: str
    """The name of the token; without tokens whatever name the client gives"""
    scopes: Sequence[str]
    may: Sequence[str]
    """The commands it may use, `lease`, `lease of another`, and `force`"""


class DockerSettings(TypedDict):
    """How the daemon reaches Docker."""

    enabled: bool
    url: str | None
    host_address: str | None


class File(TypedDict):
    """A file of the daemon."""

    role: str
    """What it is for"""
    path: str
    place: str | None
    """Device and inode; `null` where there is no such file"""


class Polls(TypedDict):
    """How often a poller asks."""

    poller: str
    interval_s: float | None
    """Seconds between its polls, where known"""


class Daemon(TypedDict):
    """How the daemon was started, and where."""

    version: str
    environment: str | None
    environment_label_required: bool | None
    """Whether a container must name its environment"""
    discovers: bool | None
    """Whether each service that containers name is served, also where the desired state does not name it"""
    time: Time
    """Its clock"""
    pid: int
    uid: int
    hostname: str
    in_container: bool
    """Whether it runs in a container"""
    listen: str
    admin_listen: str
    guarded: bool
    """Whether the document is shown only with a token or a certificate"""
    tls: bool
    """Whether the listeners speak TLS"""
    poll_hold_s: float
    """How long a poll is held at most"""
    docker: DockerSettings
    docker_mode: DockerMode
    """What it follows: the engine's containers, the services of its Swarm, or both"""
    traefik: Sequence[str]
    """The APIs that are read back"""
    files: Sequence[File]
    services: Sequence[str]
    """The names of all services"""
    polls: Sequence[Polls]
