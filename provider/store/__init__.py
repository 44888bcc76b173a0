"""Durable state: decisions, the servers last seen, and the desired-state file last read.

The store is SQLite in a directory on a local disk: `bluegreen.db` and its WAL, `commits`, `lock`, `ballast`, and
`document`.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from provider.errors import StoreError, StoreLocked, StoreUncertain
from provider.model import Decision
from provider.render import Document
from provider.rest import Applied
from provider.store.database import Database
from provider.store.directory import StateDirectory
from provider.store.records import Change, Stored, StoredDocument, StoredServers

__all__ = ["Change", "Store", "Stored", "StoredDocument", "StoredServers"]

P = ParamSpec("P")
T = TypeVar("T")

OPEN_S = 60.0
CLOSE_S = 3.0
LOCK_RETRY_S = 0.1


class Store:
    """The state directory of one daemon; one worker thread does all of its work, in order.

    Every method raises StoreError when it cannot do what it says, within `answer_s` seconds however long the disk
    hangs. It can be called again: the store recovers by itself once the cause is gone.

    A `commit` that raised, or was cancelled, does not stand. Where its outcome is uncertain (the disk hung, and may
    yet do it; a sync failed) it is taken back before anything else is written, so nothing is ever there twice. Only a
    process that dies in between leaves the outcome to the disk, as one that dies right after a commit does; it raised
    StoreUncertain, so that nobody was told otherwise.
    """

    def __init__(self, path: Path, *, answer_s: float = 10.0, history_limit: int = 10_000) -> None:
        self._path = path
        self._answer_s = answer_s
        self._directory = StateDirectory(path)
        self._database = Database(path, history_limit=history_limit)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._turn = asyncio.Lock()

    async def open(self, *, lock_wait_s: float = 10.0) -> Stored:
        """Lock the directory, creating it where it is missing, and return what it holds.

        Raises StoreLocked, naming the holder, when another process keeps the lock for `lock_wait_s` seconds.
        """
        try:
            await self._call(self._answer_s, self._directory.prepare)
            await self._lock(lock_wait_s)
            return await self._call(OPEN_S, self._database.open)
        except BaseException:
            self._worker.submit(self._give_up)
            raise

    async def commit(self, change: Change) -> None:
        """Put states and add decisions to the history, all or nothing; on disk when this returns."""
        await self._call(self._answer_s, self._database.commit, change)
        self._database.acknowledge()  # before any other call: nothing was awaited since the worker's answer

    async def save_servers(self, servers: Mapping[str, StoredServers]) -> None:
        """Put the servers last seen of each service named; `StoredServers()` forgets them."""
        await self._call(self._answer_s, self._database.save_servers, servers)

    async def save_desired(self, text: str) -> None:
        """Put the text of the last good desired-state file."""
        await self._call(self._answer_s, self._database.save_desired, text)

    async def save_applied(self, applied: Applied) -> None:
        """Put the text of the file that every Traefik applied last."""
        await self._call(self._answer_s, self._database.save_applied, applied)

    async def save_document(self, document: Document, terms: str) -> None:
        """Put the document that all that is stored gives; the next write of anything else outdates it."""
        await self._call(self._answer_s, self._database.save_document, document, terms)

    async def reserve_revision(self, upto: int) -> None:
        """Allow documents up to this revision; never lowers what was reserved."""
        await self._call(self._answer_s, self._database.reserve_revision, upto)

    async def checkpoint(self) -> None:
        """Move what was committed out of the WAL, so that no damage to it can lose older decisions."""
        await self._call(self._answer_s, self._database.checkpoint)

    async def history(
        self, *, service: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> tuple[Decision, ...]:
        """Return decisions, newest first; the store keeps the last `history_limit` of them."""
        return await self._call(self._answer_s, self._database.history, service, since, limit)

    async def close(self, *, revision: int | None = None) -> None:
        """Let the directory go; `revision` is the last one that was published, exactly. The store stays closed."""
        try:
            await self._call(CLOSE_S, self._finish, revision)
        finally:
            self._worker.shutdown(wait=False, cancel_futures=True)

    async def _lock(self, wait_s: float) -> None:
        end = asyncio.get_running_loop().time() + wait_s
        while not await self._call(self._answer_s, self._directory.try_lock):
            if asyncio.get_running_loop().time() >= end:
                holder = await self._call(self._answer_s, self._directory.holder)
                raise StoreLocked(
                    f"{self._path}: is held by another daemon ({holder}), still after {wait_s:g} s. Stop that one, or "
                    f"name another --state-dir for this one"
                )
            await asyncio.sleep(LOCK_RETRY_S)  # flock cannot wait with a limit

    def _finish(self, revision: int | None) -> None:
        try:
            self._database.close(revision)
        finally:
            self._directory.unlock()

    def _give_up(self) -> None:
        self._database.abandon()
        self._directory.unlock()

    async def _call(self, limit_s: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        has_begun = False
        try:
            async with asyncio.timeout(limit_s), self._turn:
                job = self._worker.submit(work, *args, **kwargs)
                try:
                    return await asyncio.wrap_future(job)
                except BaseException:
                    has_begun = not job.cancel()
                    self._worker.submit(self._database.settle)
                    raise
        except TimeoutError as error:
            kind = StoreUncertain if has_begun else StoreError
            raise kind(
                f"{self._path}: the disk has not answered for {limit_s:g} s. Look for its errors in the kernel's log "
                f"(dmesg)"
            ) from error
