"""Every event that a row of the history can have, and what each means."""

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType


class Event(StrEnum):
    """What happened to a service; `rollout.phases` has a table of those that move a rollout."""

    FIRST_SIGHT = "first-sight"
    UNDECIDED = "undecided"
    DESIRED = "desired"
    REGROUPED = "regrouped"
    BEGUN = "begun"
    READY = "ready"
    SMOKE_PASSED = "smoke-passed"
    SMOKE_FAILED = "smoke-failed"
    TESTED = "tested"
    GATES_FAILED = "gates-failed"
    APPROVAL_WANTED = "approval-wanted"
    APPROVAL_REMINDER = "approval-reminder"
    APPROVAL_HELD = "approval-held"
    APPROVAL_GIVEN = "approval-given"
    APPROVED = "approved"
    GATES_LOST = "gates-lost"
    STEP_BEGUN = "step-begun"
    STEP_PASSED = "step-passed"
    PROMOTED = "promoted"
    SHIFTED = "shifted"
    CONFIRMED = "confirmed"
    UNCONFIRMED = "unconfirmed"
    WATCH_RESTARTED = "watch-restarted"
    WATCHED = "watched"
    ROLLED_BACK = "rolled-back"
    ABORTED = "aborted"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    REPLACED = "replaced"
    RUNNING = "running"
    ROUTED = "routed"
    ROLLBACK_TARGET_LOST = "way-back-lost"
    ROLLBACK_TARGET_FOUND = "way-back-found"
    RELEASE_RENAMED = "release-renamed"
    OVERRIDE_LIFTED = "override-lifted"
    RETRY = "retry"
    PAUSED = "paused"
    RESUMED = "resumed"
    FORGOTTEN = "forgotten"
    LEASE_TAKEN = "lease-taken"
    LEASE_RENEWED = "lease-renewed"
    LEASE_ENDED = "lease-ended"


EVENTS: Mapping[Event, str] = MappingProxyType(
    {
        Event.FIRST_SIGHT: "The service was seen for the first time and got its active colour",
        Event.UNDECIDED: "The service was seen for the first time, both colours run, and the file names neither",
        Event.DESIRED: "`active` was changed in the file",
        Event.REGROUPED: "The file moved the service to another group",
        Event.BEGUN: "A rollout began: `waiting`",
        Event.READY: "Every server is healthy and settled: `testing`",
        Event.SMOKE_PASSED: "The smoke tests of one service passed on every server",
        Event.SMOKE_FAILED: "A smoke test of one service failed",
        Event.TESTED: "Every smoke test passed, or there is none: `approval`",
        Event.GATES_FAILED: "A test or a step failed: the rollout ended as `aborted`",
        Event.APPROVAL_WANTED: "The rollout awaits approval",
        Event.APPROVAL_REMINDER: "Half of the time for an approval is over",
        Event.APPROVAL_HELD: "Rollouts are stopped: the deadline of the approval is void",
        Event.APPROVAL_GIVEN: "Somebody approved the release",
        Event.APPROVED: "Every gate passed: `shifting`",
        Event.GATES_LOST: "A gate that had passed no longer holds: back to `waiting`",
        Event.STEP_BEGUN: "A step began: the candidate has the weight of it",
        Event.STEP_PASSED: "A step is over and nothing failed: the next one follows, or the switch",
        Event.PROMOTED: "Somebody ended the time of a step, or of all steps",
        Event.SHIFTED: "The weights moved: `confirming`",
        Event.CONFIRMED: "Every Traefik shows it: `watching`",
        Event.UNCONFIRMED: "Not every Traefik was seen to show it: `watching` all the same",
        Event.WATCH_RESTARTED: "The active colour was replaced: the watch starts again",
        Event.WATCHED: "The watch is over: the rollout ended as `switched`",
        Event.ROLLED_BACK: "Traffic went back to the rollback target, by a command or by the watch",
        Event.ABORTED: "A command ended the rollout",
        Event.EXPIRED: "A deadline passed: the rollout ended as `expired`",
        Event.SUPERSEDED: "A new release, or another set of members, ended the rollout",
        Event.WITHDRAWN: "The service was removed from the file, or its candidate is no longer wanted",
        Event.REPLACED: "The active colour was replaced in place",
        Event.RUNNING: "The active colour runs other releases than before, none of them new",
        Event.ROUTED: "The labels of the active colour brought other routing",
        Event.ROLLBACK_TARGET_LOST: "The rollback target is no longer ready",
        Event.ROLLBACK_TARGET_FOUND: "The rollback target is ready again",
        Event.RELEASE_RENAMED: "A release id covers other settings than before; the same containers run",
        Event.OVERRIDE_LIFTED: "A command no longer overrides the file",
        Event.RETRY: "A release that failed is tried again",
        Event.PAUSED: "Forward rollouts were stopped",
        Event.RESUMED: "Forward rollouts go on",
        Event.FORGOTTEN: "A service without containers, which only they had named, is let go of",
        Event.LEASE_TAKEN: "A deployment took the lease",
        Event.LEASE_RENEWED: "A deployment renewed its lease",
        Event.LEASE_ENDED: "The holder gave its lease back, or an operator ended it",
    }
)
"""What each event means, for the documentation and the description of the API."""

_STEP = re.compile(r"step ([0-9]+)\b")


def step_of(detail: str | None) -> int | None:
    """Return the number of the step that the detail of a decision begins with; None if it begins with none."""
    found = _STEP.match(detail or "")
    return int(found[1]) if found is not None else None
