"""Services to list again after a while: once for many events, and never earlier than the engine needs."""

import asyncio
from collections.abc import Callable


class Later:
    """Gives back the services that were added, together and at least `after_s` later.

    A service that is added again meanwhile is given back again. There is at most one call of `take` each `after_s`,
    however many services are added and however often.
    """

    def __init__(self, take: Callable[[set[str]], object], *, after_s: float) -> None:
        self._take, self._after_s = take, after_s
        self._ripe: set[str] = set()
        self._fresh: set[str] = set()
        self._ticks = False

    def add(self, service: str) -> None:
        """Give a service back later. Called on the event loop's thread."""
        if self._ticks:
            self._fresh.add(service)
            return
        self._ripe.add(service)
        self._begin()

    def _begin(self) -> None:
        self._ticks = True
        asyncio.get_running_loop().call_later(self._after_s, self._tick)

    def _tick(self) -> None:
        ripe, self._ripe, self._fresh = self._ripe, self._fresh, set()
        self._ticks = False
        if self._ripe:
            self._begin()
        if ripe:
            self._take(ripe)
