"""A command, and what it comes to: done, or refused with a reason one can act on."""

from dataclasses import dataclass
from enum import StrEnum

from provider.model import Colour, Decision, Event, Instant, Snapshot, Trigger, Verb


class Refusal(StrEnum):
    """Why a command was refused, for programs."""

    STALE = "stale"
    NOT_READY = "not-ready"
    NO_ROLLOUT = "no-rollout"
    HELD = "held"
    BUSY = "busy"
    LEASED = "leased"
    NO_RELEASE = "no-release"
    REASON_WANTED = "reason-wanted"
    SCOPE = "scope"


@dataclass(frozen=True, slots=True)
class Command:
    """One command of an operator's, or of a pipeline's; which fields count depends on the verb.

    `step` is the one that its actor saw, `full` means all of them. `may_go_back` is whether its actor may roll back: a
    switch to the rollback target is nothing else.
    """

    verb: Verb
    service: str
    actor: str
    colour: Colour | None = None
    release: str | None = None
    leaving: str | None = None
    force: bool = False
    reason: str | None = None
    may_go_back: bool = True
    step: int | None = None
    full: bool = False


@dataclass(frozen=True, slots=True)
class Done:
    """What a command comes to: the state to commit, and words for the operator.

    `already` says that there was nothing to do, `pending` that something has begun and is not over.
    """

    snapshot: Snapshot
    decisions: tuple[Decision, ...]
    detail: str
    already: bool = False
    pending: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """Why nothing was done, and the way out."""

    code: Refusal
    detail: str


REASON_WANTED = Refused(Refusal.REASON_WANTED, "who forces says why: give a reason (--reason)")


def record(event: Event, given: Command, now: Instant) -> Decision:
    """Return the row of the history for a command that moves no rollout."""
    return Decision(now.utc, given.service, event, trigger=Trigger.COMMAND, actor=given.actor, detail=given.reason)
