"""Notifies of every decision at least once, whichever replica leads (rule 63).

The leader writes down up to when all notices are sent. Who leads next notifies of what was decided since: of some
decisions for a second time.
"""

import asyncio
from collections.abc import Callable

import structlog

from provider.model import Decision
from provider.model.errors import StoreError
from provider.store import SharedStore

log = structlog.get_logger("bluegreen")

LOOK_S = 1.0
MISSED_MOST = 100
"""Of more decisions than this the newest are notified of."""


class Notified:
    """See the module. `notify` sends the notice of a decision, `is_idle` says whether none is on its way."""

    def __init__(self, store: SharedStore, notify: Callable[[Decision], None], is_idle: Callable[[], bool]) -> None:
        self._store, self._notify, self._is_idle = store, notify, is_idle
        self._newest = self._written = store.notified

    def decided(self, decision: Decision) -> None:
        """Take that a notice of this decision is on its way, if it has one."""
        self._newest = max(self._newest or decision.at_utc, decision.at_utc)

    async def run(self) -> None:
        """Notify of what an earlier leader may not have, and write down what is sent."""
        await self._catch_up()
        while True:
            newest = self._newest
            if newest is not None and newest != self._written and self._is_idle():
                try:
                    await self._store.save_notified(newest)
                    self._written = newest
                except StoreError as failure:  # then a decision is notified of twice
                    log.debug("what is notified could not be written down", cause=str(failure))
            await asyncio.sleep(LOOK_S)

    async def _catch_up(self) -> None:
        since = self._store.notified
        if since is None:
            return
        try:
            missed = [one for one in await self._store.history(since=since, limit=MISSED_MOST) if one.at_utc > since]
        except StoreError as failure:
            log.warning("what was decided last cannot be read, and may not be notified of", cause=str(failure))
            return
        for decision in reversed(missed):
            self._notify(decision)
            self.decided(decision)
