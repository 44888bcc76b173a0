"""Observations of the edges: servers, health, results of checks, and what Traefik shows."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from math import inf
from typing import NamedTuple

from provider.model.desired import DEFAULT_ENDPOINT, FixedServers, HealthCheck, SmokeTest
from provider.model.releases import named
from provider.model.routing import Routing
from provider.model.vocabulary import Colour, Health, sole

LEAVING_LIMIT_S = 60.0
"""The least time that a stopping server has; one that still passes its checks then was not stopped."""


class ServerKey(NamedTuple):
    """Identifies one server of a colour: the same address in another container or release is another server."""

    url: str
    container: str | None
    release: str
    endpoint: str = DEFAULT_ENDPOINT


class ServerPlace(NamedTuple):
    """One endpoint of one container; the container is None for fixed servers."""

    container: str | None
    endpoint: str = DEFAULT_ENDPOINT


class Route(NamedTuple):
    """A network that a container is on, and its address there."""

    network: str
    url: str


class Part(NamedTuple):
    """One thing that a release covers, and a digest of it: an environment may hold secrets. `name` is empty for one
    that is there once, as the image.
    """

    kind: str
    name: str
    digest: str


@dataclass(frozen=True, slots=True)
class Labelled:
    """What the labels of a container say of its service's routing; without one, why they cannot be taken."""

    routing: Routing | None = None
    faults: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """One backend of a colour, at one endpoint. `docker_health` is None where the container has no HEALTHCHECK.

    `leaving_mono_s` is when the container was asked to stop, None while it is not stopping; `leaving_limit_s` is how
    long it may take. One that still runs and passes its checks then was not stopped (rule 4). `deaths` is how often the
    container died without being asked to stop, None while that is not known; `died_mono_s` is when the last of them
    were noticed, the oldest first (rule 5).

    `former` are the ids that its release has had by other definitions of an id, and `parts` what the present one
    covers. `unit` is the service of a compose file that it is a container of, and `kin` an id of the image and version:
    units of one kin are one release (rule 40).

    `routes` are the networks that it could be reached in, `network` the one of `url`, and `is_labelled` whether its
    label names that. Where nothing names one, `guess` says so, and how to name it; `was_served` says whether it has
    been in a document in this network. `twin` says which server of the other colour has the same address (rules 38 and
    39). `slot` is the place that a task of Swarm has in its service: one that died is replaced there by another
    container, so its deaths are those of the slot (rule 67). `labelled` is what its container's labels say where its
    service takes its routing from them. `engine` is the one of the file that it runs on; None for that of the command
    line, and for fixed servers. `untold` says why it cannot be told whether servers of several engines are one release.
    """

    url: str
    release: str
    version: str | None = None
    container: str | None = None
    docker_health: Health | None = None
    leaving_mono_s: float | None = None
    leaving_limit_s: float = LEAVING_LIMIT_S
    deaths: int | None = None
    died_mono_s: tuple[float, ...] = ()
    former: tuple[str, ...] = ()
    parts: tuple[Part, ...] = ()
    unit: str | None = None
    kin: str | None = None
    routes: tuple[Route, ...] = ()
    network: str | None = None
    is_labelled: bool = False
    guess: str | None = None
    was_served: bool = False
    twin: str | None = None
    slot: str | None = None
    endpoint: str = DEFAULT_ENDPOINT
    labelled: Labelled | None = field(default=None, hash=False)
    engine: str | None = None
    untold: str | None = None

    @property
    def returns_mono_s(self) -> float | None:
        """When it counts again if it still passes its checks; None while it is not stopping, or its engine is gone."""
        if self.leaving_mono_s is None or self.is_left_behind:
            return None
        return self.leaving_mono_s + self.leaving_limit_s

    @property
    def is_left_behind(self) -> bool:
        """Whether the file has its engine no more: it leaves for good (rule 38)."""
        return self.leaving_limit_s == inf

    @property
    def key(self) -> ServerKey:
        """The key of its health results."""
        return ServerKey(self.url, self.container, self.release, self.endpoint)

    @property
    def place(self) -> "ServerPlace":
        """What it is, whatever its address and its release may be."""
        return ServerPlace(self.container, self.endpoint)


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
        """The servers that are not stopping."""
        return tuple(server for server in self.servers if server.leaving_mono_s is None)

    @property
    def releases(self) -> frozenset[str]:
        """The releases of the servers that stay; of all of them while all are leaving."""
        servers = self.staying or self.servers
        ids = frozenset(server.release for server in servers)
        return frozenset({named(ids)}) if len(ids) > 1 and _are_one(servers) else ids

    @property
    def release(self) -> str | None:
        """The release of a uniform colour, None for an empty or a mixed one."""
        return sole(self.releases)


def _are_one(servers: Sequence[Server]) -> bool:
    """Rule 40: several services of compose files are one release where image and version agree, and each is uniform."""
    units = {(server.unit, server.release) for server in servers}
    is_each_uniform = len({unit for unit, _ in units}) == len(units)
    return (
        is_each_uniform and all(server.unit for server in servers) and sole({each.kin for each in servers}) is not None
    )


@dataclass(frozen=True, slots=True)
class ServerHealth:
    """The verdict on one server: `cause` says why it is not healthy, `since_utc` when the verdict began."""

    health: Health
    cause: str | None
    since_utc: datetime


@dataclass(frozen=True, slots=True)
class Probe:
    """One server to be checked over the network.

    `check.mode` is any but docker; udp needs `check.send`. `host` is the Host header, and the name that TLS asks for.
    `speaks_tls` says that what the endpoint's clients send is TLS, which Traefik passes through (rule 32).
    """

    service: str
    colour: Colour
    key: ServerKey
    check: HealthCheck
    host: str | None
    speaks_tls: bool = False


@dataclass(frozen=True, slots=True)
class Checks:
    """The checks of one server while its service is confirming or watching, by when they started (rule 8).

    `failed_mono_s` is the first failure since the server was healthy, `failed_last_mono_s` the last one.
    `passed_mono_s` are the passes since then, the last `HealthCheck.passes_noted` of them.
    """

    failed_mono_s: float | None = None
    passed_mono_s: tuple[float, ...] = ()
    failed_last_mono_s: float | None = None


@dataclass(frozen=True, slots=True)
class SmokeRun:
    """All smoke tests of one candidate, each to be made against every server; `host` is the Host header.

    `definition` names the tests: by `==`, one for the JSON `true` would be the same as one for 1. `elsewhere` has the
    endpoint of each server that is not one of `default`.
    """

    service: str
    colour: Colour
    release: str
    servers: tuple[str, ...]
    host: str | None
    tests: tuple[SmokeTest, ...]
    definition: str = ""
    elsewhere: tuple[tuple[str, str], ...] = ()

    def tests_of(self, server: str) -> tuple[SmokeTest, ...]:
        """Return the tests to be made of a server, those of its endpoint."""
        endpoint = dict(self.elsewhere).get(server, DEFAULT_ENDPOINT)
        return tuple(test for test in self.tests if test.endpoint == endpoint)

    @property
    def all_tests(self) -> frozenset[tuple[str, str]]:
        """The name of each test with each server that it is made of."""
        return frozenset((test.name, url) for url in self.servers for test in self.tests_of(url))


@dataclass(frozen=True, slots=True)
class SmokeResult:
    """The result of one smoke test on one server. `passed` is None without evidence either way (P2).

    `cause` says why it did not pass, `excerpt` is the beginning of the answer.
    """

    test: str
    url: str
    passed: bool | None
    cause: str | None
    excerpt: str | None
    duration_s: float


@dataclass(frozen=True, slots=True)
class Smoke:
    """The results of a run of smoke tests, so far."""

    run: SmokeRun
    results: tuple[SmokeResult, ...]


@dataclass(frozen=True, slots=True)
class Applied:
    """What one Traefik's API shows of one service; nothing where it does not answer.

    `is_current` says that it shows the marker of the last document, `has_fetched` that it surely fetched that document.
    `weights` are by name of the child service; None where it does not have ours. `errors` are Traefik's errors for our
    routers and services. `doubt` says why it is no evidence, and `is_ours` that it has shown a document of ours.
    """

    traefik: str
    answers: bool
    is_current: bool = False
    has_fetched: bool = False
    weights: tuple[tuple[str, int], ...] | None = None
    errors: tuple[str, ...] = ()
    doubt: str | None = None
    is_ours: bool = False


class Result(StrEnum):
    """The result of one check. An error is ours (no file descriptor, a bug) and no evidence about the server (P2)."""

    PASS = "pass"  # noqa: S105  no password
    FAIL = "fail"
    ERROR = "error"


def fixed_servers(written: FixedServers | None) -> tuple[Server, ...]:
    """Return the servers that the file has for a colour; none where it has none."""
    if written is None:
        return ()
    pairs = [(DEFAULT_ENDPOINT, written.urls), *written.others]
    return tuple(
        Server(url, written.release, written.version, endpoint=endpoint) for endpoint, urls in pairs for url in urls
    )
