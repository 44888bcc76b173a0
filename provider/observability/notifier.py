"""Sends notices through Apprise, in a way that a service which fails or hangs holds nothing up.

Each target has its own loop and its own outbox, and each send its own daemon thread: Apprise waits in threads, and one
that hangs may neither take the place of another target's nor keep the process from ending. Apprise's own asynchronous
call shares one pool between all targets, and the interpreter waits for that pool when it ends."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum

import structlog

from provider.model import Instant
from provider.observability.notices import Notice
from provider.observability.outbox import Message, Outbox, Rate
from provider.observability.sender import SEND_S, Sender, read_url

log = structlog.get_logger("bluegreen")


PAUSES_S = (5.0, 30.0)
HANGING_MOST = 3


class Result(StrEnum):
    """What became of a notice at one target."""

    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


class Notifier:
    """Notifies people through each of the Apprise URLs. Without a URL it does nothing, and needs no Apprise.

    `on_sent` is called, on the event loop's thread, with what became of each message.

    Raises:
        NotifyError: Apprise is not installed, or does not understand a URL.
    """

    def __init__(
        self,
        urls: tuple[str, ...],
        *,
        on_sent: Callable[[Result], None] = lambda _: None,
        send_s: float = SEND_S,
        pauses_s: tuple[float, ...] = PAUSES_S,
    ) -> None:
        self._targets = tuple(
            _Target(read_url(url, f"--notify-url, number {number}"), on_sent, send_s, pauses_s)
            for number, url in enumerate(dict.fromkeys(urls), 1)
        )

    def put(self, notice: Notice) -> None:
        """Have a notice sent; returns at once and never raises. Call it on the event loop's thread."""
        now = _clock()
        for target in self._targets:
            target.put(notice, now)

    @property
    def is_idle(self) -> bool:
        """Whether every notice is sent, or given up."""
        return all(target.is_idle for target in self._targets)

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops to run, one a target, by name: a target that hangs or fails holds up no other."""
        return {f"notify-{number}": target.run for number, target in enumerate(self._targets, 1)}


class _Target:
    """The loop that brings one target its messages, one after the other."""

    def __init__(
        self,
        sender: Sender,
        on_sent: Callable[[Result], None],
        send_s: float,
        pauses_s: tuple[float, ...],
    ) -> None:
        self._sender, self._outbox, self._on_sent = sender, Outbox(Rate()), on_sent
        self._send_s, self._pauses_s = send_s, pauses_s
        self._came = asyncio.Event()
        self._threads: list[threading.Thread] = []
        self._fails = self._delivers = False

    @property
    def is_idle(self) -> bool:
        return not self._delivers and self._outbox.wake_mono_s() is None

    def put(self, notice: Notice, now: Instant) -> None:
        if self._outbox.put(notice, now):
            self._on_sent(Result.DROPPED)
        self._came.set()

    async def run(self) -> None:
        while True:
            message = await self._next()
            self._delivers = True
            try:
                await self._deliver(message)
            finally:
                self._delivers = False

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
        bound = log.bind(target=self._sender.name)
        for pause_s in (*self._pauses_s, None):
            cause = await self._attempt(message)
            if cause is None:
                if self._fails:
                    bound.info("notifications arrive again")
                self._fails = False
                self._on_sent(Result.SENT)
                return
            if not self._fails:
                bound.warning("notifications do not arrive", cause=cause)
            self._fails = True
            if pause_s is not None:
                await asyncio.sleep(pause_s)
        bound.warning("a notification was given up", title=message.title, cause=cause)
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
