"""Waits for a condition, with a limit, and checks it whenever something has happened."""

import asyncio
from collections.abc import Callable

from provider.model.errors import BluegreenError

LIMIT_S = 30.0


class StoryFailed(BluegreenError):  # noqa: N818  the name states the fact
    """The demo cannot continue, or was interrupted; the text says why."""


class Waiter:
    """Wakes those that wait for a condition when something may have made it true."""

    def __init__(self) -> None:
        self._came = asyncio.Event()

    def notify(self) -> None:
        """Let everybody check again."""
        self._came.set()
        self._came = asyncio.Event()

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Return once `done`; raise StoryFailed, naming `what` was waited for, after LIMIT_S."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while not done():
                    await self._came.wait()
        except TimeoutError:
            raise StoryFailed(f"timed out after {LIMIT_S:g} s: {what}") from None
