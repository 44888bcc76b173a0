"""The event broker: every decision as it is taken, and which services have changed, to whoever listens.

A listener that falls behind is disconnected. Changes are gathered for a moment and sent together.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from provider.model import Decision

BEHIND_MOST = 1000
GATHERED_S = 0.1
NAMED_MOST = 100


@dataclass(frozen=True, slots=True)
class Changed:
    """Services whose status may have changed; None where these are too many to name."""

    services: tuple[str, ...] | None


class Listener:
    """The events that one listener has yet to read."""

    def __init__(self) -> None:
        self.is_over = False
        self._queue: asyncio.Queue[Decision | Changed | None] = asyncio.Queue()
        self._changed: set[str] = set()

    def put(self, decision: Decision | None) -> None:
        """Add a decision; None ends the stream, and so does falling too far behind."""
        self.is_over = self.is_over or decision is None or self._queue.qsize() >= BEHIND_MOST
        self._queue.put_nowait(None if self.is_over else decision)

    def change(self, services: Iterable[str]) -> None:
        """Add services that changed; they are sent a moment later, with all that change until then."""
        if not self._changed and not self.is_over:
            asyncio.get_running_loop().call_later(GATHERED_S, self._send_changed)
        self._changed.update(services)

    def _send_changed(self) -> None:
        changed, self._changed = self._changed, set()
        if changed:
            self._queue.put_nowait(Changed(tuple(sorted(changed)) if len(changed) <= NAMED_MOST else None))

    async def next_within(self, limit_s: float) -> Decision | Changed | None:
        """Return the next event; None after `limit_s` seconds without any, or at the end of the stream."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._queue.get()
        except TimeoutError:
            return None


class Events:
    """The event broker."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    @property
    def listeners(self) -> int:
        """The number of listeners."""
        return len(self._listeners)

    def put(self, decision: Decision) -> None:
        """Send a decision to every listener."""
        for listener in self._listeners:
            listener.put(decision)

    def change(self, services: Callable[[], Iterable[str]]) -> None:
        """Send every listener which services changed; `services` is called only where there is one."""
        if self._listeners:
            names = tuple(services())
            for listener in self._listeners:
                listener.change(names)

    def close(self) -> None:
        """End every stream there is now: the daemon ends, or does not lead any more."""
        for listener in self._listeners:
            listener.put(None)

    @contextmanager
    def listening(self) -> Iterator[Listener]:
        """Listen from now on."""
        listener = Listener()
        self._listeners.add(listener)
        try:
            yield listener
        finally:
            self._listeners.discard(listener)
