"""Connects to an engine again and again: sessions end with an error only, and the next one begins after a while."""

import asyncio
import random
from collections.abc import Awaitable, Callable

import structlog

from provider.model.errors import DockerUnavailable
from provider.model.text import one_line

log = structlog.get_logger()

CAUSE_MOST = 300


class Reconnect:
    """Runs sessions one after the other; attempts are `backoff_s` to `backoff_max_s` apart.

    `on_away` is called with the cause whenever one has ended, `succeeded` by a session that works.
    """

    def __init__(
        self, shown_url: str, on_away: Callable[[str], None], *, backoff_s: float, backoff_max_s: float
    ) -> None:
        self._shown_url, self._on_away = shown_url, on_away
        self._backoff_s, self._backoff_max_s = backoff_s, backoff_max_s
        self._failures = 0

    def succeeded(self) -> None:
        """Begin with the shortest time again after the next failure."""
        self._failures = 0

    async def run(self, session: Callable[[], Awaitable[None]]) -> None:
        """Run sessions until cancelled."""
        while True:
            try:
                await session()
            except DockerUnavailable as away:
                cause = str(away)
            except Exception as bug:
                log.exception("following Docker failed unexpectedly")
                cause = one_line(f"unexpected {type(bug).__name__}: {bug}", CAUSE_MOST)
            longest_s = min(self._backoff_max_s, self._backoff_s * 2.0**self._failures)
            delay_s = longest_s * random.uniform(0.5, 1.0)  # noqa: S311  jitter is no secret
            self._failures = min(self._failures + 1, 32)
            self._on_away(f"{self._shown_url}: {cause}; next attempt in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)
