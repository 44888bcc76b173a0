"""What was decided, and the stream of events."""

from collections.abc import Sequence

from typing_extensions import TypedDict

from provider.model.api_types.times import Time
from provider.model.events import Event
from provider.model.vocabulary import Colour, Outcome, Phase, Trigger


class Decision(TypedDict):
    """One entry of the history."""

    at: Time
    service: str
    event: Event
    colour: Colour | None
    """The colour of the candidate; of a rollback the one that is left"""
    release: str | None
    """The release in that colour"""
    rollout: str | None
    phase: Phase | None
    """The phase that it led to"""
    outcome: Outcome | None
    """How the rollout ended"""
    trigger: Trigger | None
    actor: str | None
    detail: str | None
    """Why, in words"""
    evidence: Sequence[str]


class History(TypedDict):
    """Decisions."""

    history: Sequence[Decision]
    """Newest first"""


class Changed(TypedDict):
    """The data of `event: changed` in the stream of events."""

    services: Sequence[str] | None
    """Services whose status may have changed; `null` where these are too many to name: ask for all"""
