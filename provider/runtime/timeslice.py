"""Long tasks share the event loop: each gives way once it has held it for a few milliseconds."""

import asyncio
import gc
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MAX_HELD_S = 0.002
"""A poll must not wait for ten thousand services; two milliseconds are some fifty of them."""


class Timeslice:
    """The time for which one task may hold the event loop; it calls `give_way` between its steps."""

    def __init__(self) -> None:
        self._until_s = time.perf_counter() + MAX_HELD_S

    async def give_way(self) -> None:
        """Let other tasks run, if the time is over."""
        if time.perf_counter() >= self._until_s:
            await asyncio.sleep(0)
            self._until_s = time.perf_counter() + MAX_HELD_S


@contextmanager
def uncollected() -> Iterator[None]:
    """Pause the garbage collector: it would take tens of milliseconds for a hundred thousand young values.

    For tasks whose values stay in use, or are freed as they go. The pause holds for every thread.
    """
    is_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if is_enabled:
            gc.enable()


def free(*containers: dict[Any, Any] | list[Any]) -> None:
    """Empty containers bit by bit, in a thread: freeing a million values at once would hold up every other thread."""
    for container in containers:
        take = container.popitem if isinstance(container, dict) else container.pop
        while container:
            take()
