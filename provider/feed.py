"""Every decision, as it is taken, to whoever listens; a listener that does not keep up is let go."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from provider.model import Decision

BEHIND_MOST = 1000


class Listener:
    """The decisions that one listener has yet to hear of."""

    def __init__(self) -> None:
        self.is_over = False
        self._queue: asyncio.Queue[Decision | None] = asyncio.Queue()

    def put(self, decision: Decision | None) -> None:
        """Add a decision; None ends it, and so does being too far behind."""
        self.is_over = self.is_over or decision is None or self._queue.qsize() >= BEHIND_MOST
        self._queue.put_nowait(None if self.is_over else decision)

    async def next_within(self, limit_s: float) -> Decision | None:
        """Return the next decision; None after `limit_s` seconds without one, or when it is over."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._queue.get()
        except TimeoutError:
            return None


class Feed:
    """All listeners there are."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    def put(self, decision: Decision) -> None:
        """Tell every listener of a decision."""
        for listener in self._listeners:
            listener.put(decision)

    def close(self) -> None:
        """End every listener, so that the daemon can."""
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
