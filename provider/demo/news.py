"""How the story waits: for a condition, with a limit, looking again whenever there is news."""

import asyncio
from collections.abc import Callable

from provider.errors import BluegreenError

LIMIT_S = 30.0


class StoryFailed(BluegreenError):  # noqa: N818  the name states the fact
    """The demo cannot go on, or was interrupted; its text says why."""


class News:
    """Wakes who waits for a condition whenever something happened that may have made it true."""

    def __init__(self) -> None:
        self._came = asyncio.Event()

    def tell(self) -> None:
        """Let everybody look again."""
        self._came.set()
        self._came = asyncio.Event()

    async def until(self, done: Callable[[], bool], what: str) -> None:
        """Return once `done`; raise StoryFailed, naming `what` was waited for, when that takes longer than LIMIT_S."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while not done():
                    await self._came.wait()
        except TimeoutError:
            raise StoryFailed(f"waited {LIMIT_S:g} s in vain for this: {what}") from None
