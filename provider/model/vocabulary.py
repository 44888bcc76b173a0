"""Closed sets of words, the two clocks, and a value for each colour."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeAlias, TypeVar

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
    """The values of `active` in the file."""

    AUTO = "auto"
    BLUE = "blue"
    GREEN = "green"

    @property
    def colour(self) -> Colour | None:
        """The colour that is named, None for `auto`."""
        return None if self is Wish.AUTO else Colour(self.value)


class ChangeKind(StrEnum):
    """What an edit of the desired state makes of a service, or of the rest."""

    ADDED = "added"
    CHANGED = "changed"
    REMOVED = "removed"


class Phase(StrEnum):
    """The phase of a rollout; only the table in `rollout.phases` changes it."""

    STEADY = "steady"
    WAITING = "waiting"
    TESTING = "testing"
    APPROVAL = "approval"
    SHIFTING = "shifting"
    CONFIRMING = "confirming"
    WATCHING = "watching"


AFTER_SWITCH = frozenset({Phase.CONFIRMING, Phase.WATCHING})
"""The phases in which the candidates are active already."""


class Affinity(StrEnum):
    """Who stays with which colour while both have traffic: nobody, a client by its address, or by a cookie."""

    NONE = "none"
    CLIENT = "client"
    COOKIE = "cookie"


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
    ANALYSIS = "analysis"


class GateState(StrEnum):
    """The state of one gate; only `passed` and `skipped` let a release through."""

    PENDING = "pending"
    RUNNING = "running"
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Health(StrEnum):
    """The health of one server. Unknown neither passes nor fails a gate."""

    UNKNOWN = "unknown"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"


class ColourState(StrEnum):
    """The state of all servers of a colour."""

    EMPTY = "empty"
    STARTING = "starting"
    MIXED = "mixed"
    HEALTHY = "healthy"
    UNHEALTHY = "unhealthy"
    UNKNOWN = "unknown"


class Verb(StrEnum):
    """The commands of operators."""

    SWITCH = "switch"
    APPROVE = "approve"
    PROMOTE = "promote"
    ABORT = "abort"
    ROLLBACK = "rollback"
    RETRY = "retry"
    PAUSE = "pause"
    RESUME = "resume"
    FORGET = "forget"


class Trigger(StrEnum):
    """The trigger of a decision."""

    FILE = "file"
    DOCKER = "docker"
    COMMAND = "command"
    TIMER = "timer"
    WATCH = "watch"


class Protocol(StrEnum):
    """What an endpoint speaks, and the section of Traefik's document that it is in."""

    HTTP = "http"
    TCP = "tcp"
    UDP = "udp"


class ProbeMode(StrEnum):
    """How a server is checked. `udp` is not written in a file: it follows from the endpoint (rule 33)."""

    HTTP = "http"
    GRPC = "grpc"
    TCP = "tcp"
    UDP = "udp"
    DOCKER = "docker"


class DockerMode(StrEnum):
    """What is followed of Docker: `auto` is an engine's own containers, and its Swarm where it manages one."""

    AUTO = "auto"
    ENGINE = "engine"
    SWARM = "swarm"


class Severity(StrEnum):
    """The severity of a condition: information, something to check, something urgent."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


def sole(values: Collection[T]) -> T | None:
    """Return the one value there is; None where there is none, or several."""
    return next(iter(values)) if len(values) == 1 else None


def listed(names: Iterable[str], most: int = 10, separator: str = ", ") -> str:
    """Return the first few of many names, and how many more there are."""
    all_names = list(names)
    more = len(all_names) - most
    return separator.join(all_names) if more <= 0 else f"{separator.join(all_names[:most])} and {more} more"


Weights: TypeAlias = tuple[tuple[Colour, int], ...]
"""The share of the traffic of each colour that has any, in per cent; those without are left out."""


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
        return ByColour(value, self.green) if colour is Colour.BLUE else ByColour(self.blue, value)

    def items(self) -> tuple[tuple[Colour, T], tuple[Colour, T]]:
        """Return both pairs, blue first."""
        return ((Colour.BLUE, self.blue), (Colour.GREEN, self.green))
