"""What the core works on, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from provider.model.decided import Decision, GroupState, ServiceState
from provider.model.desired import Service
from provider.model.observed import Applied, Checks, Observed, Server, ServerHealth, ServerKey, Smoke, SmokeRun
from provider.model.words import ByColour, Colour, Severity


@dataclass(frozen=True, slots=True)
class Member:
    """All that is known of one service at one moment.

    `published` are its servers in the last document, and `shown` the colour that has traffic there. `fetched` tells
    whether every poller has that document; None where nobody polls. `given` tells whether every poller was given it,
    which may still be on its way: None where only some were, False where nobody was.
    """

    service: Service
    state: ServiceState
    observed: ByColour[Observed]
    health: Mapping[ServerKey, ServerHealth]
    published: frozenset[ServerKey] = frozenset()
    shown: Colour | None = None
    checks: Mapping[ServerKey, Checks] = field(default_factory=dict)
    smoke: Smoke | None = None
    applied: tuple[Applied, ...] = ()
    fetched: bool | None = None
    given: bool | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The whole world of one rollout group at one moment; members are sorted by name.

    `left` has, for each member that the file has moved here and that is yet to be acted on, what was decided about its
    group before. `gone` are the members of the rollout under way that the file has moved to another group.
    """

    members: tuple[Member, ...]
    state: GroupState
    docker_connected: bool = True
    left: Mapping[str, GroupState] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """What `reconcile` wants done: states and decisions to commit together, services to list once more, smoke tests.

    `decisions` is empty exactly when no durable value changed. Monotonic times inside `group` may still have.
    """

    group: GroupState
    states: Mapping[str, ServiceState]
    decisions: tuple[Decision, ...] = ()
    relist: frozenset[str] = frozenset()
    smoke: tuple[SmokeRun, ...] = ()
    wake_mono_s: float | None = None


@dataclass(frozen=True, slots=True)
class Served:
    """What the document says of one service.

    A colour stands in `servers` only while it has traffic, or while it is the one that the preview routes to.
    """

    service: Service
    weights: tuple[tuple[Colour, int], ...]
    servers: Mapping[Colour, tuple[Server, ...]]
    preview: Colour | None = None


@dataclass(frozen=True, slots=True)
class Condition:
    """Something an operator should know; it stands until its cause is gone."""

    code: str
    severity: Severity
    message: str
    since_utc: datetime | None
