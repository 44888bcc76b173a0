"""Sends notices through Apprise, in a way that a service which fails or hangs holds nothing up.

Each target has its own loop and its own outbox, and each send its own daemon thread: Apprise waits in threads, and one
that hangs may neither take the place of another target's nor keep the process from ending. Apprise's own asynchronous
call shares one pool between all targets, and the interpreter waits for that pool when it ends.
"""

import asyncio
import logging
import math
import re
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, assert_never
from urllib.parse import SplitResult, unquote, urlsplit

import structlog

from provider.bounded import Bounds
from provider.errors import BluegreenError
from provider.files import FileRefused, read_text
from provider.model import Instant, Severity
from provider.notices import Notice, NoticeKind
from provider.text import escaped, one_line

if TYPE_CHECKING:
    from apprise import Apprise, AppriseResult, NotifyType

log = structlog.get_logger("bluegreen")

SEND_S = 15.0
PAUSES_S = (5.0, 30.0)
HANGING_MOST = 3
PENDING_MOST = 10
BODY_MOST = 8000
CAUSE_MOST = 300
ANSWER_BYTES = 128 * 1024
"""So long may the answer of a notification service be."""
WHOLE_DAEMON = ""
IMPORTANT = frozenset(
    {
        NoticeKind.APPROVAL_WANTED,
        NoticeKind.ROLLED_BACK,
        NoticeKind.SWITCHED,
        NoticeKind.NO_SERVERS,
        NoticeKind.NONE_HEALTHY,
    }
)


class NotifyError(BluegreenError):
    """Notifications that cannot be sent as they are set up."""


class Result(StrEnum):
    """What became of a notice at one target."""

    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


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


def read_urls(path: Path) -> tuple[str, ...]:
    """Read Apprise URLs from a file, one a line; empty lines and those that begin with # say nothing.

    Raises:
        NotifyError: the file cannot be read or holds no URL, Apprise does not understand a line, or is not installed.
    """
    try:
        lines = read_text(path).splitlines()
    except FileRefused as refusal:
        raise NotifyError(f"--notify-file {refusal}") from refusal
    urls = {number: line.strip() for number, line in enumerate(lines, 1)}
    urls = {number: url for number, url in urls.items() if url and not url.startswith("#")}
    if not urls:
        raise NotifyError(f"--notify-file {path} holds no URL: write one a line, or leave the flag out")
    for number, url in urls.items():
        _sender(url, f"{path}:{number}")
    return tuple(urls.values())


class Notifier:
    """Tells people through each of the Apprise URLs. Without a URL it tells nobody, and needs no Apprise.

    `on_sent` is called, on the event loop's thread, with what became of each message.

    Raises:
        NotifyError: Apprise is not installed, or does not understand a URL.
    """

    def __init__(
        self,
        urls: tuple[str, ...],
        *,
        rate: Rate = Rate(),
        on_sent: Callable[[Result], None] = lambda _: None,
        send_s: float = SEND_S,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._targets = tuple(
            _Target(_sender(url, f"--notify-url, number {number}"), rate, on_sent, send_s, pauses_s)
            for number, url in enumerate(dict.fromkeys(urls), 1)
        )

    def put(self, notice: Notice) -> None:
        """Have a notice sent; returns at once and never raises. Call it on the event loop's thread."""
        now = _clock()
        for target in self._targets:
            target.put(notice, now)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops to run, one a target, by name: a target that hangs or fails holds up no other."""
        return {f"notify-{number}": target.run for number, target in enumerate(self._targets, 1)}


# --- what is sent, and when ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pending:
    at: Instant
    notice: Notice


class Outbox:
    """The notices that one target has yet to get: what exceeds the rate of its service goes out summed up in one.

    Of one service it holds `most`. Beyond that the oldest is dropped and counted; an important one only where a newer
    one of its kind stands for it.
    """

    def __init__(self, rate: Rate, most: int = PENDING_MOST) -> None:
        self._rate, self._most = rate, most
        self._pending: dict[str, list[_Pending]] = {}
        self._dropped: dict[str, int] = {}
        # When a service has its whole burst again; how far off that is tells how much of it is used up.
        self._full_mono_s: dict[str, float] = {}

    def put(self, notice: Notice, now: Instant) -> bool:
        """Take a notice; tell whether one had to be dropped for it."""
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
    """Put the notices of one service into one message, headed by the latest of the gravest."""
    head = max(reversed(mine), key=lambda pending: list(Severity).index(pending.notice.severity)).notice
    more = [pending for pending in mine if pending.notice is not head]
    if not more and not dropped:
        return Message(head.severity, escaped(head.title), escaped(head.body, keep="\n"))
    since = f"{mine[0].at.utc:%H:%M} UTC"
    lines = [head.body, "", f"{len(more) + dropped} more since {since}:"]
    for pending in more:
        lines.append(f"{pending.at.utc:%H:%M} {pending.notice.title}")
        told = [line for line in pending.notice.body.splitlines() if line]
        lines += [f"    {line}" for line in (told if pending.notice.kind in IMPORTANT else told[:1])]
    if dropped:
        lines.append(f"and {dropped} that are left out here: bluegreen history")
    body = "\n".join(lines)
    cut = body if len(body) <= BODY_MOST else f"{body[:BODY_MOST]}..."
    return Message(head.severity, escaped(f"{head.title}, and {len(more) + dropped} more"), escaped(cut, keep="\n"))


# --- how it is sent ------------------------------------------------------------------------------------------------


class _Sender:
    """One Apprise target. `name` says which, without what its URL keeps secret."""

    def __init__(self, apprise: "Apprise", url: str, name: str) -> None:
        self.name = name
        self._apprise = apprise
        # Not everything that is secret in a URL is where Apprise looks for it: a webhook's path is one.
        words = {word for text in (url, unquote(url)) for word in re.findall(r"[^/?&=:@#,;\s]{6,}", text)}
        self._secrets = sorted((word for word in words if word not in name), key=len, reverse=True)

    def send(self, message: Message) -> str | None:
        """Send a message, however long that takes; return why it failed. Call it in a thread."""
        from apprise import NotifyFormat  # noqa: PLC0415  only who has URLs needs Apprise

        with Bounds(ANSWER_BYTES, SEND_S).in_force():
            sent = self._apprise.notify(
                title=message.title,
                body=message.body,
                notify_type=_notify_type(message.severity),
                body_format=NotifyFormat.TEXT,
            )
        return None if sent else self._cause(sent)

    def _cause(self, sent: "AppriseResult") -> str:
        told = [entry.message for result in sent.results for entry in result.logs()]
        cause = told[-1] if told else "Apprise could not send it, and does not say why"
        for secret in self._secrets:
            cause = cause.replace(secret, "****")
        return one_line(cause, CAUSE_MOST)


def _sender(url: str, place: str) -> _Sender:
    """Understand an Apprise URL; `place` says where an operator finds it."""
    try:
        from apprise import Apprise, AppriseAsset, NotifyBase, OverflowMode  # noqa: PLC0415
    except ImportError as failure:
        raise NotifyError(
            f"{place}: notifications need Apprise, which is not installed: {sys.executable} -m pip install apprise, or "
            "from a clone of the repository, with the versions that are tested: pip install -r requirements/notify.txt"
        ) from failure
    logging.getLogger("apprise").propagate = False  # its words show parts of URLs; what matters is told here
    # Neither its threads nor its limits: what it does in a thread of ours ends with the process.
    asset = AppriseAsset(async_mode=False, service_timeout=0)
    plugin = Apprise.instantiate(url, asset=asset)
    if not isinstance(plugin, NotifyBase):
        scheme = re.match(r"[a-z0-9.+-]{1,20}(?=://)", url, re.IGNORECASE)
        what = f"the {scheme[0]}:// URL" if scheme else "what stands there: it does not begin with a scheme and ://"
        raise NotifyError(f"{place}: Apprise does not understand {what}; `apprise -vv --dry-run -b test URL` says why")
    if "overflow=" not in url:
        plugin.overflow_mode = OverflowMode.SPLIT  # else what exceeds a service's limit is refused
    apprise = Apprise(asset=asset)
    apprise.add(plugin)
    return _Sender(apprise, url, _name(urlsplit(apprise.urls(privacy=True)[0])))


def _name(shown: SplitResult) -> str:
    """Name a target by where it is. A place without a dot or a port may be a topic, which is as good as a password."""
    place = shown.netloc
    return f"{shown.scheme}://{place}" if re.search("[.:]", place) else f"{shown.scheme}://{place[:3]}..."


def _notify_type(severity: Severity) -> "NotifyType":
    from apprise import NotifyType  # noqa: PLC0415

    match severity:
        case Severity.INFO:
            return NotifyType.INFO
        case Severity.WARNING:
            return NotifyType.WARNING
        case Severity.CRITICAL:
            return NotifyType.FAILURE
        case _:
            assert_never(severity)


class _Target:
    """The loop that brings one target its messages, one after the other."""

    def __init__(
        self,
        sender: _Sender,
        rate: Rate,
        on_sent: Callable[[Result], None],
        send_s: float,
        pauses_s: tuple[float, ...],
    ) -> None:
        self._sender, self._outbox, self._on_sent = sender, Outbox(rate), on_sent
        self._send_s, self._pauses_s = send_s, pauses_s
        self._came = asyncio.Event()
        self._threads: list[threading.Thread] = []
        self._fails = False

    def put(self, notice: Notice, now: Instant) -> None:
        if self._outbox.put(notice, now):
            self._on_sent(Result.DROPPED)
        self._came.set()

    async def run(self) -> None:
        while True:
            await self._deliver(await self._next())

    async def _next(self) -> Message:
        while True:
            self._came.clear()
            now = _clock()
            message = self._outbox.take(now)
            if message is not None:
                return message
            wake_mono_s = self._outbox.wake_mono_s()
            with suppress(TimeoutError):
                async with asyncio.timeout(None if wake_mono_s is None else wake_mono_s - now.mono_s):
                    await self._came.wait()

    async def _deliver(self, message: Message) -> None:
        told = log.bind(target=self._sender.name)
        for pause_s in (*self._pauses_s, None):
            cause = await self._attempt(message)
            if cause is None:
                if self._fails:
                    told.info("notifications arrive again")
                self._fails = False
                self._on_sent(Result.SENT)
                return
            if not self._fails:
                told.warning("notifications do not arrive", cause=cause)
            self._fails = True
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        told.warning("a notification was given up", title=message.title, cause=cause)
        self._on_sent(Result.FAILED)

    async def _attempt(self, message: Message) -> str | None:
        """Send a message in a thread of its own and wait a while for it; return why it failed."""
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        if len(self._threads) >= HANGING_MOST:
            return f"{len(self._threads)} sends of before still hang"
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str | None] = loop.create_future()

        def work() -> None:
            cause: str | None = "sending it failed by a fault in Apprise"
            try:
                cause = self._sender.send(message)
            finally:
                with suppress(RuntimeError):  # the loop is closed: the daemon has ended meanwhile
                    loop.call_soon_threadsafe(_settle, answer, cause)

        # A daemon thread, for the process must end while a service hangs.
        thread = threading.Thread(target=work, name=f"notify {self._sender.name}", daemon=True)
        thread.start()
        self._threads.append(thread)
        try:
            async with asyncio.timeout(self._send_s):
                return await answer
        except TimeoutError:
            return f"no answer within {self._send_s:g} s"


def _settle(answer: "asyncio.Future[str | None]", cause: str | None) -> None:
    if not answer.done():  # else nobody waits for it any more
        answer.set_result(cause)


def _clock() -> Instant:
    return Instant(time.monotonic(), datetime.now(UTC))
