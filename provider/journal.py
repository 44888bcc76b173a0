"""What the daemon writes down, in the order that a start after a crash needs."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import structlog

from provider.errors import StoreError
from provider.render import Document
from provider.store import Change, Store, StoredServers

if TYPE_CHECKING:
    from provider.rest import Applied

log = structlog.get_logger("bluegreen")

RESERVED = 1000
LEFT_AT_LEAST = 900
LAST_S = 1.0


class Journal:
    """The store as the controller uses it. Every method that waits raises StoreError, and may be called again.

    `text` is the text of the desired-state file that is not on disk yet. `revision` is the number of the last document;
    a reserve of numbers is written ahead, so that it never goes back (P6). `kept` is the document that is in the store;
    None when something else was written after it. `applied` is what every Traefik applied, where it is not on disk yet.
    """

    def __init__(self, store: Store, revision: int) -> None:
        self.text: str | None = None
        self.applied: Applied | None = None
        self.revision = revision
        self.kept: Document | None = None
        self._store = store
        self._reserved = revision
        self._published = False

    async def commit(self, change: Change) -> None:
        """Write decisions, and before them the file that they follow: a start on the one before would undo them."""
        self.kept = None
        with suppress(StoreError):  # a full disk takes decisions longer than texts; `save` tells of it
            await self._save_texts()
        await self._store.commit(change)

    async def save(self, servers: Mapping[str, StoredServers]) -> None:
        """Write behind what was published: the file's text, the last servers, the reserve of numbers (rule 13)."""
        self.kept = None
        await self._save_texts()
        if self._published:
            await self.reserve()
        await self._store.save_servers(servers)

    async def keep(self, document: Document, terms: str) -> None:
        """Write the document that all that is written gives, for a start that finds everything as it is now."""
        self.kept = document  # before any other write can follow
        try:
            await self._store.save_document(document, terms)
        except StoreError:
            self.kept = None
            raise

    async def reserve(self) -> None:
        """Write a reserve of numbers ahead; before the first document, or an empty store would not be known as one."""
        if self._reserved - self.revision < LEFT_AT_LEAST:
            reserved = self.revision + RESERVED
            await self._store.reserve_revision(reserved)
            self._reserved = reserved

    def next_revision(self) -> int:
        """Number a document that is being published."""
        self._published = True
        self.revision += 1
        return self.revision

    async def close(
        self, servers: Mapping[str, StoredServers], document: Document | None = None, terms: str = ""
    ) -> None:
        """Write what was seen last and let go of the store, within a few seconds and whatever fails.

        `document` is the one that all of it gives, None where that is not sure.
        """
        works: list[Callable[[], Awaitable[None]]] = [self._save_texts]
        if servers:
            works.append(partial(self._store.save_servers, servers))
        is_whole = all([await self._did(work) for work in works])
        if document is not None and is_whole:
            await self._did(partial(self._store.save_document, document, terms))
        await self._did(partial(self._store.close, revision=self.revision))

    async def _did(self, work: Callable[[], Awaitable[None]]) -> bool:
        try:
            async with asyncio.timeout(LAST_S):
                await work()
        except (StoreError, TimeoutError) as failure:
            log.warning("the store could not be left in order; what was committed stands", cause=str(failure))
            return False
        return True

    async def _save_texts(self) -> None:
        text = self.text
        if text is not None:
            await self._store.save_desired(text)
            if self.text is text:
                self.text = None
        applied = self.applied
        if applied is not None:
            await self._store.save_applied(applied)
            if self.applied is applied:
                self.applied = None
