"""Describes the decisions of a rollout, rows of the history, in a line for people."""

import shlex
from collections.abc import Mapping

from provider.model import Event
from provider.model import api_types as api
from provider.model.errors import BluegreenError
from provider.model.events import step_of

NOT_LOGGED = frozenset({Event.TESTED})
"""Events without a line: SMOKE_PASSED has said it before."""


class RolloutFailed(BluegreenError):  # noqa: N818
    """A rollout ended, and its release is not active; `outcome` is its outcome."""

    def __init__(self, text: str, outcome: str) -> None:
        super().__init__(text)
        self.outcome = outcome


def describe(row: api.Decision) -> str:
    """Return one decision of a rollout as a line."""
    service, release, detail = row["service"], row["release"], row["detail"]
    step = step_of(detail)
    of_step = ("--step", str(step)) if step is not None else ()
    text = _TEXTS.get(row["event"], f"{row['event'].replace('-', ' ')}{{because}}").format(
        release=release,
        colour=row["colour"],
        actor=row["actor"],
        detail=detail or "a step",
        until=f"{'' if step is None else ' of'} {detail}" if detail else "",
        because=f": {detail}" if detail else "",
        approve=shlex.join(["bluegreen", "approve", service, "--release", release or "", *of_step]),
    )
    return f"{service} {row['rollout']}: {text}"


def describe_end(row: api.Decision) -> str:
    """Return how a rollout ended."""
    return _end(row["service"], row, row["actor"], row["detail"])


def describe_failure(service: str, failed: api.Quarantined) -> str:
    """Return how the rollout of a quarantined release ended."""
    return _end(service, failed, None, failed["reason"])


def _end(service: str, row: api.Decision | api.Quarantined, actor: str | None, detail: str | None) -> str:
    by = f" by {actor}" if actor else ""
    why = f": {detail}" if detail else ""
    rollout = f"rollout {row['rollout']} of release {row['release']} in {row['colour']}"
    return f"{service}: {rollout} ended as {row['outcome']}{by}{why}"


_TEXTS: Mapping[Event, str] = {
    Event.BEGUN: "brings release {release} to {colour}{because}",
    Event.READY: "healthy",
    Event.SMOKE_PASSED: "smoke tests passed",
    Event.SMOKE_FAILED: "smoke tests failed",
    Event.APPROVAL_WANTED: "waits for approval{until}: {approve}",
    Event.APPROVAL_REMINDER: "still waits for approval{until}: {approve}",
    Event.APPROVAL_GIVEN: "approved by {actor}{because}",
    Event.APPROVED: "all gates passed",
    Event.STEP_BEGUN: "{detail}",
    Event.STEP_PASSED: "passed {detail}",
    Event.PROMOTED: "{actor} ended the time of {detail}",
    Event.SHIFTED: "switched to {colour}; waiting for Traefik to confirm it",
    Event.CONFIRMED: "confirmed by Traefik; the watch starts",
    Event.UNCONFIRMED: "not confirmed{because}; the watch starts",
    Event.WATCHED: "the watch is over{because}",
}
