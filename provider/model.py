"""The frozen values the whole daemon speaks in; nothing here does anything.

Durations and monotonic times are seconds as float (`_s`, `_mono_s`), dates are timezone-aware UTC (`_utc`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Generic, NamedTuple, TypeAlias, TypeVar

JsonObject: TypeAlias = Mapping[str, object]
T = TypeVar("T")


class Colour(StrEnum):
    """The two fixed names under which the copies of a service run; their roles move."""

    BLUE = "blue"
    GREEN = "green"

    @property
    def other(self) -> "Colour":
        """The colour that is not this one."""
        return Colour.GREEN if self is Colour.BLUE else Colour.BLUE


class Wish(StrEnum):
    """What a file may say under `active`."""

    AUTO = "auto"
    BLUE = "blue"
    GREEN = "green"

    @property
    def colour(self) -> Colour | None:
        """The colour that is named, None for `auto`."""
        return None if self is Wish.AUTO else Colour(self.value)


class Phase(StrEnum):
    """Where a rollout stands; `rollout.py` alone says how one phase follows another."""

    STEADY = "steady"
    WAITING = "waiting"
    TESTING = "testing"
    APPROVAL = "approval"
    SHIFTING = "shifting"
    CONFIRMING = "confirming"
    WATCHING = "watching"


class Outcome(StrEnum):
    """How a rollout ended."""

    SWITCHED = "switched"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled-back"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"


class Gate(StrEnum):
    """A condition of a rollout."""

    HEALTH = "health"
    SMOKE = "smoke"
    APPROVAL = "approval"


class GateState(StrEnum):
    """What is known of one gate; only `passed` and `skipped` let a release through."""

    PENDING = "pending"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Health(StrEnum):
    """What is known of one server. Unknown neither passes nor fails a gate."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class ColourState(StrEnum):
    """One word for all servers of a colour."""

    EMPTY = "empty"
    STARTING = "starting"
    MIXED = "mixed"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Trigger(StrEnum):
    """What set a decision off."""

    FILE = "file"
    DOCKER = "docker"
    COMMAND = "command"
    TIMER = "timer"


class ProbeMode(StrEnum):
    """How a server's health is found out."""

    HTTP = "http"
    TCP = "tcp"
    DOCKER = "docker"


class Severity(StrEnum):
    """How much a condition matters: information, something to look at, something to get up for."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Instant:
    """One reading of both clocks: phases run on the monotonic one, records are dated by the other."""

    mono_s: float
    utc: datetime


@dataclass(frozen=True, slots=True)
class ByColour(Generic[T]):
    """A value for each colour."""

    blue: T
    green: T

    def __getitem__(self, colour: Colour) -> T:
        return self.blue if colour is Colour.BLUE else self.green

    def put(self, colour: Colour, value: T) -> "ByColour[T]":
        """Return a copy with the value of one colour replaced."""
        return replace(self, **{colour.value: value})

    def items(self) -> tuple[tuple[Colour, T], tuple[Colour, T]]:
        """Return both pairs, blue first."""
        return ((Colour.BLUE, self.blue), (Colour.GREEN, self.green))


# --- desired state: what the operators' file says ---------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Router:
    """One Traefik router of a service: `body` is Traefik's own object without `service`."""

    name: str
    rule: str
    body: JsonObject


@dataclass(frozen=True, slots=True)
class FixedServers:
    """The servers of a colour as written in the file; `release` is the hash over the URLs and the version."""

    urls: tuple[str, ...]
    version: str | None
    release: str


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How to probe each server of a service. Without a `mode`: Docker's HEALTHCHECK where present, else TCP.

    `status` None accepts 200 to 399; `hostname` None sends the first host of the router's rule.
    """

    mode: ProbeMode | None = None
    path: str = "/"
    interval_s: float = 2.0
    timeout_s: float = 1.0
    healthy_after: int = 3
    unhealthy_after: int = 3
    scheme: str | None = None
    port: int | None = None
    hostname: str | None = None
    method: str = "GET"
    status: int | None = None
    headers: tuple[tuple[str, str], ...] = ()
    follow_redirects: bool = False
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class SmokeTest:
    """One request a release must answer as written before it may take traffic."""

    name: str
    path: str = "/"
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    status: int = 200
    contains: str | None = None
    json: tuple[tuple[str, object], ...] = ()
    timeout_s: float = 5.0
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Deadlines:
    """How long a phase may wait before its named action is taken, in seconds."""

    waiting_s: float = 600.0
    testing_s: float = 300.0
    approval_s: float = 86400.0
    confirming_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Service:
    """One application under blue-green, as the file wants it."""

    name: str
    routers: tuple[Router, ...]
    active: Wish = Wish.AUTO
    initial: Colour | None = None
    group: str | None = None
    hold: bool = False
    preview: Router | None = None
    load_balancer: JsonObject = field(default_factory=dict)
    sticky: JsonObject | None = None
    servers: ByColour[FixedServers | None] = ByColour(None, None)
    min_servers: int | None = None
    settle_s: float = 5.0
    health_check: HealthCheck = HealthCheck()
    smoke_tests: tuple[SmokeTest, ...] = ()
    approval_is_manual: bool = False
    deadlines: Deadlines = Deadlines()
    watch_s: float = 120.0

    @property
    def host(self) -> str | None:
        """The host that health checks ask for: the one written, else the first host of the first router's rule."""
        return self.health_check.hostname or first_host(self.routers[0].rule)


@dataclass(frozen=True, slots=True)
class Desired:
    """A whole desired-state file, validated. `pass_through` has the non-empty ones of http, tcp, udp and tls."""

    environment: str
    services: Mapping[str, Service]
    require_environment_label: bool = False
    traefik_api: tuple[str, ...] = ()
    pass_through: JsonObject = field(default_factory=dict)


# --- observations: what the edges see ----------------------------------------------------------------------------


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


# --- durable state: what is committed before anybody can see it -----------------------------------------------------


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """A standby release that is wanted; `release` is None while the colour runs no uniform one."""

    service: str
    colour: Colour
    release: str | None


@dataclass(frozen=True, slots=True)
class Rollout:
    """The whole way of one candidate (of a group: one candidate a member that has one) to active.

    `members` is the membership of the group when it began. The monotonic times belong to this process: after a
    restart `rollout.resume` sets them anew. `deadline_mono_s` is None while the rollout is held.
    """

    id: str
    phase: Phase
    candidates: tuple[Candidate, ...]
    members: tuple[str, ...]
    trigger: Trigger
    actor: str | None
    since_utc: datetime
    entered_mono_s: float
    deadline_mono_s: float | None


@dataclass(frozen=True, slots=True)
class Quarantine:
    """A set of candidates whose rollout failed; neither it nor a part of it is tried again by itself."""

    candidates: tuple[Candidate, ...]
    outcome: Outcome
    rollout: str
    since_utc: datetime


@dataclass(frozen=True, slots=True)
class Replaced:
    """The active colour got another release without a rollout."""

    release: str
    before: str | None
    since_utc: datetime


@dataclass(frozen=True, slots=True)
class WayBack:
    """The exact release that was active before the present one, in the colour that ran it."""

    colour: Colour
    release: str | None


@dataclass(frozen=True, slots=True)
class ServiceState:
    """What the daemon has decided about one service.

    `settled` holds for each colour the releases that `active: auto` does not want (again): those it ran when it
    last had traffic, and those found standing by at first sight. `wish` is the effective `active` last acted on.
    `undecided` is kept once both colours were seen running at first sight: one that stops does not settle it.
    """

    active: Colour | None = None
    undecided: bool = False
    wish: Wish | None = None
    settled: ByColour[frozenset[str]] = ByColour(frozenset(), frozenset())
    way_back: WayBack | None = None
    replaced: Replaced | None = None
    switched_utc: datetime | None = None


@dataclass(frozen=True, slots=True)
class GroupState:
    """What the daemon has decided about one rollout group; a service without a group is a group of one."""

    rollout: Rollout | None = None
    rollouts: int = 0
    quarantined: tuple[Quarantine, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """One row of the history; committed together with the state it explains. `detail` is words for people."""

    at_utc: datetime
    service: str
    event: str
    colour: Colour | None = None
    release: str | None = None
    rollout: str | None = None
    phase: Phase | None = None
    outcome: Outcome | None = None
    trigger: Trigger | None = None
    actor: str | None = None
    detail: str | None = None


# --- what the core works on and what it answers ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Member:
    """All that is known of one service at one moment. `published` are its servers in the last document."""

    service: Service
    state: ServiceState
    observed: ByColour[Observed]
    health: Mapping[ServerKey, ServerHealth]
    published: frozenset[ServerKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole world of one rollout group at one moment; members are sorted by name."""

    members: tuple[Member, ...]
    state: GroupState
    docker_connected: bool = True


@dataclass(frozen=True, slots=True)
class Plan:
    """What `reconcile` wants done: states and decisions to commit together, services to list once more.

    `decisions` is empty exactly when no durable value changed. Monotonic times inside `group` may still have.
    """

    group: GroupState
    states: Mapping[str, ServiceState]
    decisions: tuple[Decision, ...] = ()
    relist: frozenset[str] = frozenset()
    wake_mono_s: float | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What the document says of one service: a colour stands in `weights` and `servers` only while it has traffic."""

    service: Service
    weights: tuple[tuple[Colour, int], ...]
    servers: Mapping[Colour, tuple[Server, ...]]


@dataclass(frozen=True, slots=True)
class Condition:
    """Something an operator should know; it stands until its cause is gone."""

    code: str
    severity: Severity
    message: str
    since_utc: datetime | None


def first_host(rule: str) -> str | None:
    """Return the first host that a Traefik rule names with Host(`...`), None where it names none."""
    _, found, rest = rule.partition("Host(")
    quoted = rest.lstrip()[:1]
    if not found or quoted not in {"`", '"'}:
        return None
    host, closed, _ = rest.lstrip()[1:].partition(quoted)
    return host if closed and host else None
