"""What the controller's loops have yet to look at, now or at a later moment."""

import asyncio
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field
from heapq import heappop, heappush
from math import inf

from provider.controller.touched import Touched
from provider.runtime.clock import CLOCK


class WorkQueue:
    """Keys to look at. However often a key is added before it is taken, it is looked at once."""

    def __init__(self) -> None:
        self._now: set[str] = set()
        self._later: dict[str, float] = {}
        self._order: list[tuple[float, str]] = []  # a time that an earlier one has replaced is passed over
        self._asked = False
        self._awaited = False
        self._changed = asyncio.Event()

    def add(self, keys: Collection[str]) -> None:
        """Have the keys looked at as soon as possible; no keys at all still cause a look."""
        self._now.update(keys)
        self._asked = True
        self._changed.set()

    def add_at(self, key: str, mono_s: float) -> None:
        """Have a key looked at when its time on the monotonic clock comes; the earliest time counts."""
        if mono_s < self._later.get(key, inf):
            self._later[key] = mono_s
            heappush(self._order, (mono_s, key))
            self._changed.set()

    @property
    def is_at_rest(self) -> bool:
        """Whether there is nothing to look at for now, and what was taken last has been looked at."""
        return self._awaited and not self._asked

    async def take(self) -> set[str]:
        """Wait until there is something to look at, and take it off the queue.

        Everything else has its turn first, so that a key which is due again and again takes time from nobody (P4).
        """
        await asyncio.sleep(0)
        while True:
            self._changed.clear()
            now_s = CLOCK.mono_s
            while self._order and (self._order[0][0] <= now_s or self._is_replaced(*self._order[0])):
                time_s, key = heappop(self._order)
                if self._later.get(key) == time_s:
                    del self._later[key]
                    self._now.add(key)
                    self._asked = True
            if self._asked:
                keys, self._now, self._asked, self._awaited = self._now, set(), False, False
                return keys
            self._awaited = True  # stays so where the wait is cancelled
            next_s = self._order[0][0] if self._order else None
            with suppress(TimeoutError):
                async with asyncio.timeout(None if next_s is None else next_s - now_s):
                    await self._changed.wait()

    def _is_replaced(self, mono_s: float, key: str) -> bool:
        return self._later.get(key) != mono_s


@dataclass(frozen=True, slots=True)
class Queues:
    """The groups that are yet to be decided on, to be published, and to be saved."""

    undecided: WorkQueue = field(default_factory=WorkQueue)
    unpublished: WorkQueue = field(default_factory=WorkQueue)
    unsaved: WorkQueue = field(default_factory=WorkQueue)

    def put(self, touched: Touched) -> None:
        """Have looked at what was touched."""
        for queue, keys in (
            (self.undecided, touched.decide),
            (self.unpublished, touched.publish),
            (self.unsaved, touched.save),
        ):
            if keys is not None:
                queue.add(keys)
