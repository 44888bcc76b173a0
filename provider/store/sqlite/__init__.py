"""The store in a directory on a local disk: SQLite, for one daemon.

`directory` has the lock and the ballast, `database` the one connection, `schema` the tables and migrations. `counter`
is a file beside the database, by which a start notices lost commits; `faults` has the texts for failures of the disk.

The store recovers by itself once the cause of a failure is gone; a damaged or newer database is refused at the start,
never replaced.
"""

import asyncio
import contextlib
import sys
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import ParamSpec, TypeVar

from provider.model import Decision
from provider.model.document import AppliedText, Document
from provider.model.errors import StoreError, StoreLocked, StoreUncertain
from provider.runtime.clock import loop_s
from provider.store.records import Change, Stored, StoredServers
from provider.store.sqlite.database import Database
from provider.store.sqlite.directory import StateDirectory

P = ParamSpec("P")
T = TypeVar("T")

OPEN_S = 60.0
CLOSE_S = 3.0
LOCK_RETRY_S = 0.1
CHECKPOINT_EVERY_S = 30.0
RESERVED = 1000
RESERVED_AT_LEAST = 900
RETRY_S = 1.0


class SqliteStore:
    """The state directory of one daemon; one worker thread does all of its work, in order.

    Every method raises StoreError when it fails, within `answer_s` seconds however long the disk hangs. It can be
    called again: the store recovers by itself once the cause is gone.

    A `commit` that raised, or was cancelled, does not take effect. Where its outcome is uncertain (the disk hung, and
    may yet write it; a sync failed) it is undone before anything else is written, so nothing is ever there twice. Only
    a process that dies in between leaves the outcome to the disk, as one that dies right after a commit does; it raised
    StoreUncertain, so that nothing else was reported.

    Revisions are reserved ahead. So only the first document waits for the disk, and a disk that hangs later keeps no
    unhealthy server in the document (P4).
    """

    patience_s = 30.0  # `answer_s` comes first
    most_groups = 100
    most_members = sys.maxsize

    def __init__(self, path: Path, *, answer_s: float = 10.0, history_limit: int = 10_000) -> None:
        self.lost = asyncio.Event()
        self._path = path
        self._answer_s = answer_s
        self._directory = StateDirectory(path)
        self._database = Database(path, history_limit=history_limit)
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="store")
        self._one_at_a_time = asyncio.Lock()
        self._revision, self._reserved = 0, 0
        self._has_published = False
        self._reserve_used = asyncio.Event()

    async def open(self, *, wait_s: float) -> Stored:
        """Lock the directory, creating it where it is missing, and return what it holds.

        Raises StoreLocked, naming the holder, when another process keeps the lock for `wait_s` seconds.
        """
        with contextlib.ExitStack() as undo:
            undo.callback(self._worker.submit, self._release)
            await self._call(self._answer_s, self._directory.prepare)
            await self._lock(wait_s)
            stored = await self._call(OPEN_S, self._database.open)
            undo.pop_all()
        self._revision = self._reserved = stored.revision
        return stored

    def loops(self) -> Mapping[str, Callable[[], Coroutine[None, None, None]]]:
        """Return the loops that move commits out of the WAL and reserve revisions."""
        return {"checkpoint": self._checkpoint, "reserve": self._keep_reserve}

    async def commit(self, change: Change) -> None:
        """Put states and add decisions to the history, all or nothing; they are on disk when this returns."""
        await self._call(self._answer_s, self._database.commit, change)
        self._database.acknowledge()  # before any other call: nothing was awaited since the worker's answer

    async def save_servers(self, servers: Mapping[str, StoredServers]) -> None:
        """Put the servers last seen of each service named; `StoredServers()` forgets them."""
        await self._call(self._answer_s, self._database.save_servers, servers)

    async def save_desired(self, text: str, *, expect: str | None = None) -> None:
        """Put the text of the last good desired state; with `expect` only in place of the text with that hash.

        Raises StoreConflict, naming the hash of the text that is there, where it is another one.
        """
        await self._call(self._answer_s, self._database.save_desired, text, expect)

    async def save_applied(self, applied: AppliedText) -> None:
        """Put the text that every Traefik applied last."""
        await self._call(self._answer_s, self._database.save_applied, applied)

    async def publish(self, document: Document) -> int:  # noqa: ARG002  each start renders its own: none is kept
        """Return the next revision; only the first one of a process waits for the disk."""
        if not self._has_published:
            await self._reserve()
            self._has_published = True
        self._revision += 1
        if self._reserved - self._revision < RESERVED_AT_LEAST:
            self._reserve_used.set()
        return self._revision

    def rest_s(self) -> float:
        """Documents are not stored: there is nothing to wait for."""
        return 0.0

    async def restore(self, stored: Stored, history: Sequence[Decision]) -> None:
        """Fill this store with what another one had, in one transaction. Raises StoreConflict if it is not empty."""
        await self._call(OPEN_S, self._database.restore, stored, history)
        self._revision = self._reserved = stored.revision

    async def history(
        self, *, service: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> tuple[Decision, ...]:
        """Return decisions, newest first; the store keeps the last `history_limit` of them."""
        return await self._call(self._answer_s, self._database.history, service, since, limit)

    async def close(self) -> None:
        """Write exactly the last revision, and release the directory; the store stays closed."""
        try:
            await self._call(CLOSE_S, self._finish)
        finally:
            self._worker.shutdown(wait=False, cancel_futures=True)

    async def _checkpoint(self) -> None:
        """Move what was committed out of the WAL now and then, so that no damage to it loses older decisions."""
        while True:
            await asyncio.sleep(CHECKPOINT_EVERY_S)
            with contextlib.suppress(StoreError):  # the next save reports it
                await self._call(self._answer_s, self._database.checkpoint)

    async def _keep_reserve(self) -> None:
        while True:
            await self._reserve_used.wait()
            self._reserve_used.clear()
            try:
                await self._reserve()
            except StoreError:  # the next save reports it
                self._reserve_used.set()
                await asyncio.sleep(RETRY_S)

    async def _reserve(self) -> None:
        """Allow documents up to a revision that is ahead of the last one."""
        reserved = self._revision + RESERVED
        await self._call(self._answer_s, self._database.reserve_revision, reserved)
        self._reserved = reserved

    async def _lock(self, wait_s: float) -> None:
        end = loop_s() + wait_s
        while not await self._call(self._answer_s, self._directory.try_lock):
            if loop_s() >= end:
                holder = await self._call(self._answer_s, self._directory.holder)
                raise StoreLocked(
                    f"{self._path}: is held by another daemon ({holder}), still after {wait_s:g} s. Stop that one, or "
                    f"name another --state-dir for this one"
                )
            await asyncio.sleep(LOCK_RETRY_S)  # flock cannot wait with a limit

    def _finish(self) -> None:
        try:
            self._database.close(self._revision)
        finally:
            self._directory.unlock()

    def _release(self) -> None:
        self._database.abandon()
        self._directory.unlock()

    async def _call(self, limit_s: float, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        job: Future[T] | None = None
        try:
            async with asyncio.timeout(limit_s), self._one_at_a_time:
                job = self._worker.submit(work, *args, **kwargs)
                with contextlib.ExitStack() as undo:
                    undo.callback(self._worker.submit, self._database.settle)
                    undo.callback(job.cancel)
                    result = await asyncio.wrap_future(job)
                    undo.pop_all()
                return result
        except TimeoutError as error:
            kind = StoreUncertain if job is not None and not job.cancelled() else StoreError
            raise kind(
                f"{self._path}: the disk has not answered for {limit_s:g} s. Look for its errors in the kernel's log "
                f"(dmesg)"
            ) from error
