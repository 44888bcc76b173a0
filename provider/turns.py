"""Long works that share the event loop: each gives way once it has held the loop for a few milliseconds."""

import asyncio
import time

HELD_MOST_S = 0.002
"""A poll must not wait for ten thousand services to be looked at; two milliseconds are some fifty of them."""


class Turn:
    """The time for which one work may hold the event loop; `rest` between its steps keeps it."""

    def __init__(self) -> None:
        self._until_s = time.perf_counter() + HELD_MOST_S

    async def rest(self) -> None:
        """Let everything else have its turn, if ours is over."""
        if time.perf_counter() >= self._until_s:
            await asyncio.sleep(0)
            self._until_s = time.perf_counter() + HELD_MOST_S
