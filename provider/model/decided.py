"""What was decided: committed before anybody can see it."""

from dataclasses import dataclass
from datetime import datetime

from provider.model.words import ByColour, Colour, Outcome, Phase, Trigger, Wish


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
