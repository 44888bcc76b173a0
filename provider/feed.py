"""What is new, to whoever listens: every decision as it is taken, and which services are seen to stand otherwise.

A listener that does not keep up with the decisions is let go. What changes again and again is told once in a while.
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
    """Services that may stand otherwise than before, by name; None where these are so many that all should be asked."""

    services: tuple[str, ...] | None


class Listener:
    """The news that one listener has yet to hear."""

    def __init__(self) -> None:
        self.is_over = False
        self._queue: asyncio.Queue[Decision | Changed | None] = asyncio.Queue()
        self._changed: set[str] = set()

    def put(self, decision: Decision | None) -> None:
        """Add a decision; None ends it, and so does being too far behind."""
        self.is_over = self.is_over or decision is None or self._queue.qsize() >= BEHIND_MOST
        self._queue.put_nowait(None if self.is_over else decision)

    def change(self, services: Iterable[str]) -> None:
        """Add services that changed; they are told a moment later, with all that change until then."""
        if not self._changed and not self.is_over:
            asyncio.get_running_loop().call_later(GATHERED_S, self._tell_changed)
        self._changed.update(services)

    def _tell_changed(self) -> None:
        changed, self._changed = self._changed, set()
        if changed:
            self._queue.put_nowait(Changed(tuple(sorted(changed)) if len(changed) <= NAMED_MOST else None))

    async def next_within(self, limit_s: float) -> Decision | Changed | None:
        """Return the next news; None after `limit_s` seconds without any, or when it is over."""
        try:
            async with asyncio.timeout(limit_s):
                return await self._queue.get()
        except TimeoutError:
            return None


class Feed:
    """All listeners there are."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()

    @property
    def listeners(self) -> int:
        """How many listen."""
        return len(self._listeners)

    def put(self, decision: Decision) -> None:
        """Tell every listener of a decision."""
        for listener in self._listeners:
            listener.put(decision)

    def change(self, services: Callable[[], Iterable[str]]) -> None:
        """Tell every listener which services changed; that is worked out only where there is one."""
        if self._listeners:
            names = tuple(services())
            for listener in self._listeners:
                listener.change(names)

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
