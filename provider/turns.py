"""Long works that share the interpreter: each gives way once it has held it for a few milliseconds."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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


@contextmanager
def uncollected() -> Iterator[None]:
    """Look for no garbage meanwhile: a hundred thousand young values take tens of milliseconds to walk.

    For works whose values are in use, or let go of as they go; every thread goes without.
    """
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def free(*containers: dict[Any, Any] | list[Any]) -> None:
    """Empty containers bit by bit, in a thread: freed in one go, a million values would hold up every other thread."""
    for container in containers:
        take = container.popitem if isinstance(container, dict) else container.pop
        while container:
            take()
