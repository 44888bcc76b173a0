"""What people are notified of, in words: one notice for a decision or a condition that somebody waits for or must know.

People are notified when a rollout starts, awaits approval, begins a step, switches, and ends otherwise than switched.
A rollout that supersedes another one has notices of its own. A step that is passed is no news, as another one or the
switch follows, nor is a watch that ends well.
"""

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias, assert_never

from provider.model import Colour, Condition, ConditionCode, Decision, Event, Outcome, Severity, Trigger
from provider.model.condition_catalogue import OF_DAEMON, OF_SERVICE
from provider.model.events import step_of

EVIDENCE_MOST = 10
TITLE_MOST = 200
LINE_MOST = 500


class NoticeKind(StrEnum):
    """What a decision means to people."""

    ROLLOUT_STARTED = "rollout-started"
    APPROVAL_WANTED = "approval-wanted"
    APPROVAL_REMINDER = "approval-reminder"
    STEP_BEGUN = "step-begun"
    SWITCHED = "switched"
    ABORTED = "aborted"
    ROLLED_BACK = "rolled-back"
    EXPIRED = "expired"
    ROLLBACK_TARGET_LOST = "way-back-lost"


Kind: TypeAlias = NoticeKind | ConditionCode
"""What a notice is about."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing to notify people of; `service` is None where it concerns the whole daemon.

    The title is one line. The body says why, on what evidence, and which command to type.
    """

    service: str | None
    kind: Kind
    severity: Severity
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class Context:
    """What a decision does not say itself: the state of its service once it is taken.

    `versions` are those that the colours run, `active` is the colour with traffic, `group` are the names of all
    services that have their rollouts together. `made_room` says that the rollback target is gone as in any release.
    `url` and `preview_url` are where people find the service and its standby colour, `console_url` its page.
    """

    environment: str
    versions: Mapping[Colour, str | None]
    active: Colour | None
    group: tuple[str, ...]
    made_room: bool = False
    url: str | None = None
    preview_url: str | None = None
    console_url: str | None = None


Way: TypeAlias = tuple[str, str]
"""What a command brings about, and the command."""


def of_decision(decision: Decision, context: Context) -> Notice | None:
    """Say what a decision that is on disk means to people; None for one that nobody is notified of."""
    kind = _kind(decision)
    if kind is None or (kind is NoticeKind.ROLLBACK_TARGET_LOST and context.made_room):
        return None
    text = _DecisionText(decision, context, kind)
    return Notice(decision.service, kind, text.severity, text.title, text.body)


def of_condition(condition: Condition, environment: str, *, is_reworded: bool = False) -> Notice | None:
    """Say what a condition of the whole daemon means to people; None for one that nobody is notified of.

    One that stood before and `is_reworded` is news only where it is about another edit of the file.
    """
    entry, is_of_file = OF_DAEMON.get(condition.code), condition.code is ConditionCode.DESIRED_STATE_REFUSED
    if entry is None or entry.title is None or (is_reworded and not is_of_file):
        return None
    check = (("Check an edit", "bluegreen validate FILE"),) if is_of_file else ()
    body = _condition_body(condition, (*check, ("See", "bluegreen status")))
    return Notice(None, condition.code, condition.severity, _line(f"{entry.title} ({environment})"), body)


def of_service_condition(condition: Condition, service: str, environment: str) -> Notice | None:
    """Say what a condition of one service means to people; None for one that nobody is notified of."""
    entry = OF_SERVICE.get(condition.code)
    if entry is None or entry.title is None:
        return None
    body = _condition_body(condition, (("See", _command("explain", service)),))
    title = _line(f"{service}: {entry.title} ({environment})")
    return Notice(service, condition.code, condition.severity, title, body)


def _condition_body(condition: Condition, ways: tuple[Way, ...]) -> str:
    return "\n".join((_cut(condition.message, LINE_MOST * 3), "", *_ways(ways)))


_EVENTS = {
    Event.BEGUN: NoticeKind.ROLLOUT_STARTED,
    Event.APPROVAL_WANTED: NoticeKind.APPROVAL_WANTED,
    Event.APPROVAL_REMINDER: NoticeKind.APPROVAL_REMINDER,
    Event.STEP_BEGUN: NoticeKind.STEP_BEGUN,
    Event.SHIFTED: NoticeKind.SWITCHED,
    Event.ROLLED_BACK: NoticeKind.ROLLED_BACK,
    Event.ROLLBACK_TARGET_LOST: NoticeKind.ROLLBACK_TARGET_LOST,
}
_OUTCOMES = {
    Outcome.ABORTED: NoticeKind.ABORTED,
    Outcome.ROLLED_BACK: NoticeKind.ROLLED_BACK,
    Outcome.EXPIRED: NoticeKind.EXPIRED,
}
_BEFORE_SWITCH = frozenset({NoticeKind.ROLLOUT_STARTED, NoticeKind.APPROVAL_WANTED, NoticeKind.APPROVAL_REMINDER})
_SET_OFF_BY = {
    Trigger.FILE: "the desired-state file",
    Trigger.DOCKER: "what runs in Docker",
    Trigger.COMMAND: "a command",
    Trigger.TIMER: "the daemon",
    Trigger.WATCH: "the daemon, which watched it",
}


def _kind(decision: Decision) -> NoticeKind | None:
    return _OUTCOMES.get(decision.outcome) if decision.outcome else _EVENTS.get(decision.event)


class _DecisionText:
    """The words for one decision. Its colour is the candidate's; of a rollback it is the colour that is left."""

    def __init__(self, decision: Decision, context: Context, kind: NoticeKind) -> None:
        self._decision, self._context, self._kind = decision, context, kind
        self._colour = self._named(decision.colour, decision.release) if decision.colour else "the candidate"
        self._other = self._named(decision.colour.other) if decision.colour else "the other colour"
        self._operator = decision.actor if decision.trigger is Trigger.COMMAND else None

    @property
    def severity(self) -> Severity:
        """How much it matters: what the daemon rolled back by itself is something to get up for."""
        match self._kind:
            case NoticeKind.ROLLOUT_STARTED | NoticeKind.STEP_BEGUN | NoticeKind.SWITCHED:
                return Severity.INFO
            case NoticeKind.ROLLED_BACK:
                return Severity.WARNING if self._operator else Severity.CRITICAL
            case _:
                return Severity.WARNING

    @property
    def title(self) -> str:
        """One line: the service, the versions, what happened, the environment."""
        return _line(f"{self._decision.service}: {self._happened()} ({self._context.environment})")

    @property
    def body(self) -> str:
        """Why, on what evidence, and what to type."""
        parts = ["\n".join(_cut(line, LINE_MOST) for line in self._reasons())]
        evidence = self._decision.evidence
        if evidence:
            shown = [f"- {_cut(line, LINE_MOST)}" for line in evidence[:EVIDENCE_MOST]]
            more = [f"- and {len(evidence) - EVIDENCE_MOST} more"] if len(evidence) > EVIDENCE_MOST else []
            parts.append("\n".join(["Evidence:", *shown, *more]))
        parts.append("\n".join(_ways(self._commands())))
        return "\n\n".join(parts)

    def _happened(self) -> str:
        move = f"{self._other} -> {self._colour}"
        match self._kind:
            case NoticeKind.ROLLOUT_STARTED:
                return f"{move} rollout started"
            case NoticeKind.APPROVAL_WANTED:
                return f"{move} waits for approval{self._of_step}"
            case NoticeKind.APPROVAL_REMINDER:
                return f"{move} still waits for approval{self._of_step}, half of the time is over"
            case NoticeKind.STEP_BEGUN:
                return f"{move} {self._decision.detail or 'step begun'}"
            case NoticeKind.SWITCHED:
                return f"{move} switched"
            case NoticeKind.ABORTED:
                return f"{move} aborted"
            case NoticeKind.EXPIRED:
                return f"{move} expired"
            case NoticeKind.ROLLED_BACK:
                return f"{self._colour} -> {self._other} rolled back"
            case NoticeKind.ROLLBACK_TARGET_LOST:
                which = f", {self._colour}," if self._decision.colour else ""
                return f"the rollback target{which} is lost"
            case _:
                assert_never(self._kind)

    @property
    def _of_step(self) -> str:
        step = step_of(self._decision.detail)
        return f" of step {step}" if step is not None else ""

    def _reasons(self) -> Iterator[str]:
        decision, context = self._decision, self._context
        if decision.detail and self._kind is not NoticeKind.STEP_BEGUN:
            yield f"Why: {decision.detail}"
        if context.active is not None:
            yield f"Traffic: {self._named(context.active, self._release_of(context.active))}"
        if decision.colour is not None and decision.release is not None:
            yield f"Release: {decision.release} in {decision.colour}"
        if self._kind is NoticeKind.ROLLED_BACK:
            yield "That release is quarantined: it is not tried again automatically."
        if decision.rollout is not None:
            yield f"Rollout: {decision.rollout}"
        yield from self._who()
        yield from self._where()
        others = [name for name in context.group if name != decision.service]
        if others:
            yield f"In one group with: {', '.join(others)}"

    def _where(self) -> Iterator[str]:
        """Say where to look: at the candidate while nobody else is sent there, at the service, and at the console."""
        if self._kind in _BEFORE_SWITCH and self._context.preview_url is not None:
            yield f"Preview: {self._context.preview_url}"
        if self._context.url is not None:
            yield f"Service: {self._context.url}"
        if self._context.console_url is not None:
            yield f"Console: {self._context.console_url}"

    def _who(self) -> Iterator[str]:
        """Name who acted; what the daemon did by itself names who set the rollout off."""
        if self._kind is NoticeKind.ROLLED_BACK:
            yield f"By: {self._operator or 'the daemon itself'}"
        elif self._decision.event is Event.ABORTED and self._operator:
            yield f"By: {self._operator}"
        elif self._operator or self._decision.trigger:
            yield f"Set off by: {self._operator or _SET_OFF_BY[self._decision.trigger or Trigger.TIMER]}"

    def _commands(self) -> tuple[Way, ...]:
        service = self._decision.service
        see = ("See", _command("explain", service))
        match self._kind:
            case NoticeKind.ROLLOUT_STARTED:
                return (see, ("Abort", _command("abort", service)))
            case NoticeKind.APPROVAL_WANTED | NoticeKind.APPROVAL_REMINDER:
                release = self._decision.release
                named = ("--release", release) if release else ()
                step = step_of(self._decision.detail)
                of_step = ("--step", str(step)) if step is not None else ()
                approve = ("Approve", _command("approve", service, *named, *of_step))
                return (approve, ("Refuse", _command("abort", service)), see)
            case NoticeKind.STEP_BEGUN:
                return (see, ("End its time", _command("promote", service)), ("Abort", _command("abort", service)))
            case NoticeKind.SWITCHED:
                return (("Take it back", _command("rollback", service)), see)
            case NoticeKind.ABORTED | NoticeKind.EXPIRED | NoticeKind.ROLLED_BACK:
                return (see, ("Try it again", _command("retry", service)))
            case _:
                return (see,)

    def _named(self, colour: Colour, release: str | None = None) -> str:
        """Name a colour with its version, else with its release, else alone."""
        version = self._context.versions.get(colour) or release
        return f"{colour} {version}" if version else f"{colour}"

    def _release_of(self, colour: Colour) -> str | None:
        return self._decision.release if colour is self._decision.colour else None


def _command(verb: str, service: str, *options: str) -> str:
    return shlex.join(("bluegreen", verb, service, *options))


def _ways(ways: tuple[Way, ...]) -> Iterator[str]:
    return (f"{what}: {command}" for what, command in ways)


def _line(text: str) -> str:
    """Make one line of a text: versions come from labels, which may hold anything."""
    return _cut(" ".join(text.split()), TITLE_MOST)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."
