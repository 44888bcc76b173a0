"""What the daemon writes down, in the order that a start after a crash needs."""

import asyncio
from collections.abc import Awaitable, Mapping
from dataclasses import replace

import structlog

from provider.controller.touched import NO_TEXTS, Texts
from provider.model import ConditionCode, condition
from provider.model.document import Document
from provider.model.errors import ChangeTooLarge, LeadershipLost, StoreError, StoreUncertain
from provider.observability.active_conditions import Conditions
from provider.observability.metrics import Metrics
from provider.runtime.clock import clock
from provider.store import Change, Store, Stored, StoredServers

log = structlog.get_logger("bluegreen")

LAST_S = 1.0


class Journal:
    """The store as the controller uses it. What could not be written returns False, and may be written again.

    `failure` is why the store failed last. `revision` is the number of the last document. Without `saves_desired`
    somebody else stores the desired state (rule 62).
    """

    def __init__(
        self, store: Store, stored: Stored, conditions: Conditions, metrics: Metrics, *, saves_desired: bool
    ) -> None:
        self.failure: StoreError | None = None
        self.revision = stored.revision
        self._store, self._conditions, self._metrics = store, conditions, metrics
        self._written = Texts(stored.desired_text, stored.applied)
        self._saves_desired = saves_desired
        self._failing: set[str] = set()

    async def commit(self, texts: Texts, change: Change) -> bool:
        """Write decisions, and with them the file that they follow: a start on the one before would undo them."""

        async def work() -> None:
            if self.has(texts):
                await self._store.commit(change)
                return
            try:
                await self._commit_with(self._unwritten(texts), change)
            except StoreUncertain:
                raise
            except StoreError:  # a full disk takes decisions longer than texts; `save` reports it
                await self._store.commit(change)

        return await self._is_done("write", work())

    def has(self, texts: Texts) -> bool:
        """Return whether these texts are written."""
        return self._unwritten(texts) == NO_TEXTS

    async def save(self, texts: Texts, servers: Mapping[str, StoredServers]) -> bool:
        """Write behind what was published: the file's text and the last servers (rule 13)."""

        async def work() -> None:
            await self._save_texts(texts)
            await self._store.save_servers(servers)

        return await self._is_done("write", work())

    async def publish(self, document: Document) -> bool:
        """Have the store publish a document; `revision` is its number then."""

        async def work() -> None:
            self.revision = await self._store.publish(document)

        return await self._is_done("publish", work())

    def rest_s(self) -> float:
        """Return how long the store asks to wait with the next document."""
        return self._store.rest_s()

    async def close(self, texts: Texts, servers: Mapping[str, StoredServers]) -> None:
        """Write what was seen last and let go of the store, within a few seconds and whatever fails."""
        await self._try(self._save_texts(texts))
        if servers:
            await self._try(self._store.save_servers(servers))
        await self._try(self._store.close())

    async def _is_done(self, kind: str, work: Awaitable[None]) -> bool:
        """Do a work of the store's; report when it begins to fail, and when every kind of work is done again.

        One kind says nothing of another: SQLite publishes without the disk, and a store may take decisions while it
        takes no document.
        """
        late = asyncio.get_running_loop().call_later(self._store.patience_s, self._is_late, kind)
        try:
            await work
        except StoreError as failure:
            self.failure = failure
            if isinstance(failure, LeadershipLost) or (kind == "write" and isinstance(failure, ChangeTooLarge)):
                return False  # others go on: another replica, or other groups
            self._fails(kind, str(failure))
            return False
        finally:
            late.cancel()
        self._failing.discard(kind)
        if self._failing:
            return True
        self._metrics.store_failing.set(0)
        if self._conditions.clear(ConditionCode.STORE_FAILING):
            log.info("store works again")
        return True

    def _is_late(self, kind: str) -> None:
        """Report a work whose outcome is not known for long: who waits for it is told so, too."""
        self._fails(kind, f"it has not answered for {self._store.patience_s:g} s, so what it did is unknown")

    def _fails(self, kind: str, cause: str) -> None:
        self._failing.add(kind)
        self._metrics.store_failing.set(1)
        if self._conditions.put(condition(ConditionCode.STORE_FAILING, clock().utc, cause=cause)):
            log.critical("store failing", cause=cause)

    async def _save_texts(self, texts: Texts) -> None:
        new = self._unwritten(texts)
        if new.desired is not None:
            await self._store.save_desired(new.desired)
            self._written = self._written._replace(desired=new.desired)
        if new.applied is not None:
            await self._store.save_applied(new.applied)
            self._written = self._written._replace(applied=new.applied)

    async def _commit_with(self, new: Texts, change: Change) -> None:
        """Write decisions and texts in one transaction; a `save` meanwhile does not write the texts, too."""
        written = self._written
        self._written = new.over(written)
        try:
            await self._store.commit(replace(change, desired_text=new.desired, applied=new.applied))
        except BaseException:
            self._written = written
            raise

    def _unwritten(self, texts: Texts) -> Texts:
        """Return those of the texts that are to be written; None for the others."""
        desired = texts.desired if self._saves_desired and texts.desired != self._written.desired else None
        return Texts(desired, texts.applied if texts.applied != self._written.applied else None)

    async def _try(self, work: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(LAST_S):
                await work
        except LeadershipLost:
            pass  # the next leader goes on from what was committed
        except (StoreError, TimeoutError) as failure:
            cause = str(failure) or f"no answer within {LAST_S:g} s"
            log.warning("the store could not be left in order; what was committed stands", cause=cause)
