"""What a loop has yet to look at, now or at a later moment."""

import asyncio
import time
from collections.abc import Collection
from contextlib import suppress


class Agenda:
    """Keys to look at. However often a key is added before it is taken, it is looked at once."""

    def __init__(self) -> None:
        self._now: set[str] = set()
        self._later: dict[str, float] = {}
        self._asked = False
        self._changed = asyncio.Event()

    def add(self, keys: Collection[str]) -> None:
        """Have the keys looked at as soon as possible; no keys at all still cause a look."""
        self._now.update(keys)
        self._asked = True
        self._changed.set()

    def add_some(self, keys: Collection[str]) -> None:
        """Have the keys looked at as soon as possible; no keys cause no look."""
        if keys:
            self.add(keys)

    def add_at(self, key: str, mono_s: float) -> None:
        """Have a key looked at when its time on the monotonic clock comes; the earliest time counts."""
        self._later[key] = min(mono_s, self._later.get(key, mono_s))
        self._changed.set()

    async def take(self) -> set[str]:
        """Wait until there is something to look at, and take it off the agenda."""
        while True:
            self._changed.clear()
            now_s = time.monotonic()
            due = {key for key, time_s in self._later.items() if time_s <= now_s}
            if self._asked or due:
                keys = self._now | due
                self._now, self._asked = set(), False
                for key in due:
                    del self._later[key]
                return keys
            next_s = min(self._later.values(), default=None)
            with suppress(TimeoutError):
                async with asyncio.timeout(None if next_s is None else next_s - now_s):
                    await self._changed.wait()
