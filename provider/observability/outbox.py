"""What one target of notifications has yet to get, and what of it goes out when.

What exceeds the rate of a service is summed up in one message, so that an outage cannot flood anybody."""

import math
from dataclasses import dataclass

from provider.model import ConditionCode, Instant, Severity
from provider.model.text import escaped
from provider.observability.notices import Kind, Notice, NoticeKind

PENDING_MOST = 10
BODY_MOST = 8000
WHOLE_DAEMON = ""
IMPORTANT: frozenset[Kind] = frozenset(
    {
        NoticeKind.APPROVAL_WANTED,
        NoticeKind.ROLLED_BACK,
        NoticeKind.SWITCHED,
        ConditionCode.NO_SERVERS,
        ConditionCode.NONE_HEALTHY,
    }
)


@dataclass(frozen=True, slots=True)
class Rate:
    """How many messages one service may cause: `burst` at once, then one every `every_s` seconds."""

    burst: int = 6
    every_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Message:
    """What is sent: one notice, or several in one."""

    severity: Severity
    title: str
    body: str


@dataclass(frozen=True, slots=True)
class _Pending:
    at: Instant
    notice: Notice


class Outbox:
    """The notices that one target has yet to get: what exceeds the rate of its service goes out summed up in one.

    Of one service it holds `most`. Beyond that the oldest is dropped and counted; an important one only where there is
    a newer one of its kind.
    """

    def __init__(self, rate: Rate, most: int = PENDING_MOST) -> None:
        self._rate, self._most = rate, most
        self._pending: dict[str, list[_Pending]] = {}
        self._dropped: dict[str, int] = {}
        # When a service has its whole burst again; how far off that is says how much of it is used up.
        self._full_mono_s: dict[str, float] = {}

    def put(self, notice: Notice, now: Instant) -> bool:
        """Take a notice; return whether one had to be dropped for it."""
        name = notice.service or WHOLE_DAEMON
        mine = self._pending.setdefault(name, [])
        mine.append(_Pending(now, notice))
        if len(mine) <= self._most:
            return False
        mine.remove(_least(mine))
        self._dropped[name] = self._dropped.get(name, 0) + 1
        return True

    def take(self, now: Instant) -> Message | None:
        """Take out what may be sent now: one notice, or all of a service that has more than its rate allows."""
        self._full_mono_s = {name: full for name, full in self._full_mono_s.items() if full > now.mono_s}
        name = next((name for name in self._pending if self._allowed(name, now) >= 1), None)
        if name is None:
            return None
        mine, dropped = self._pending.pop(name), self._dropped.pop(name, 0)
        if len(mine) > 1 and len(mine) <= self._allowed(name, now) and not dropped:
            self._pending[name] = mine[1:]  # at the end of the line: other services are next
            mine = mine[:1]
        self._full_mono_s[name] = max(self._full_mono_s.get(name, 0.0), now.mono_s) + self._rate.every_s
        return _message(mine, dropped)

    def wake_mono_s(self) -> float | None:
        """Say when something may be taken; None while there is nothing."""
        used_up_s = (self._rate.burst - 1) * self._rate.every_s
        return min((self._full_mono_s.get(name, 0.0) - used_up_s for name in self._pending), default=None)

    def _allowed(self, name: str, now: Instant) -> int:
        used_s = max(0.0, self._full_mono_s.get(name, 0.0) - now.mono_s)
        return self._rate.burst - math.ceil(used_s / self._rate.every_s)


def _least(mine: list[_Pending]) -> _Pending:
    """Choose the notice that is missed least: an old one, and one that matters only where a newer one says more."""
    newest = {pending.notice.kind: pending for pending in mine}
    casual = (pending for pending in mine if pending.notice.kind not in IMPORTANT)
    outdated = (pending for pending in mine if newest[pending.notice.kind] is not pending)
    return next(casual, None) or next(outdated, mine[0])


def _message(mine: list[_Pending], dropped: int) -> Message:
    """Put the notices of one service into one message, headed by the latest of the most severe."""
    head = max(reversed(mine), key=lambda pending: list(Severity).index(pending.notice.severity)).notice
    more = [pending for pending in mine if pending.notice is not head]
    if not more and not dropped:
        return Message(head.severity, escaped(head.title), escaped(head.body, keep="\n"))
    since = f"{mine[0].at.utc:%H:%M} UTC"
    lines = [head.body, "", f"{len(more) + dropped} more since {since}:"]
    for pending in more:
        lines.append(f"{pending.at.utc:%H:%M} {pending.notice.title}")
        shown = [line for line in pending.notice.body.splitlines() if line]
        lines += [f"    {line}" for line in (shown if pending.notice.kind in IMPORTANT else shown[:1])]
    if dropped:
        lines.append(f"and {dropped} that are left out here: bluegreen history")
    body = "\n".join(lines)
    cut = body if len(body) <= BODY_MOST else f"{body[:BODY_MOST]}..."
    return Message(head.severity, escaped(f"{head.title}, and {len(more) + dropped} more"), escaped(cut, keep="\n"))
