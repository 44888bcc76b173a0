"""The store of one term on etcd: see `provider.store.interface.Store`."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Protocol

import structlog

from provider.model import Decision
from provider.model.document import AppliedText, Document
from provider.model.errors import StoreError
from provider.runtime.clock import loop_s
from provider.store.etcd.cell import Cell
from provider.store.etcd.commits import Commits
from provider.store.etcd.documents import (
    applied_value,
    compressed,
    desired_value,
    document_head,
    document_value,
    joined,
    known_head,
    read_desired,
    split_document,
)
from provider.store.etcd.election import UNSURE_S, Election, LeaseKeeper
from provider.store.etcd.format import Format, format_for, format_of
from provider.store.etcd.gateway import Gateway, Get
from provider.store.etcd.head import Head
from provider.store.etcd.history import HISTORY_KEPT, read_history
from provider.store.etcd.keys import Keys
from provider.store.etcd.leader import Identity, Term
from provider.store.etcd.limits import GROUPS_MOST, MEMBERS_MOST
from provider.store.etcd.loading import Loaded, load, read_floor, read_range
from provider.store.etcd.observations import Observations
from provider.store.etcd.pace import Pace
from provider.store.etcd.replicas import ReplicaInfo, read_info
from provider.store.etcd.rows import Composed
from provider.store.records import DECISIONS, Change, Stored, StoredServers, refuse_other

log = structlog.get_logger("bluegreen")

SETTLE_S = 0.2
FLOOR_S = 1.0
FORMAT_S = 10.0


def new_id() -> str:
    """Return an id that no other attempt has."""
    return secrets.token_hex(8)


class MakeCommits(Protocol):
    """What makes the commits of a term: `Commits`; a test breaks them."""

    def __call__(
        self, term: Term, head: Head, revision: int, new_id: Callable[[], str], *, history_limit: int
    ) -> Commits:
        """See `Commits`."""
        ...


class EtcdStore:
    """See the module. The gateway is the caller's, to be closed after the store.

    `hindrance` says why this replica must not lead, None where it may: `Mirror.hindrance` knows, and
    `Mirror.hindrance_on_empty` where the prefix is empty. `on_failure` is as in `Election`, and `served` is the highest
    revision that this replica has served.

    Rows are composed and put one write at a time; the document and the texts have keys of their own, and do not wait
    for a commit whose outcome is unknown.
    """

    patience_s = 5.0
    most_groups = GROUPS_MOST
    most_members = MEMBERS_MOST

    def __init__(
        self,
        gateway: Gateway,
        prefix: str,
        identity: Identity,
        *,
        history_limit: int = HISTORY_KEPT,
        unsure_s: float = UNSURE_S,
        hindrance: Callable[[], str | None] = lambda: None,
        hindrance_on_empty: Callable[[], str | None] = lambda: None,
        on_failure: Callable[[str], None] = lambda _: None,
        served: Callable[[], int] = lambda: 0,
        new_id: Callable[[], str] = new_id,
        make_commits: MakeCommits = Commits,
    ) -> None:
        self.lost = asyncio.Event()
        self._gateway, self._keys, self._identity = gateway, Keys(prefix), identity
        self._history_limit, self._unsure_s = history_limit, unsure_s
        self._hindrance, self._hindrance_on_empty, self._on_failure = hindrance, hindrance_on_empty, on_failure
        self._served, self._published = served, 0
        self._new_id, self._make_commits = new_id, make_commits
        self._turn = asyncio.Lock()
        self._pace = Pace()
        self._parts: _Parts | None = None

    async def open(self, *, wait_s: float) -> Stored:
        """Return what is stored once this replica leads. Raises StoreLocked, naming the leader, after `wait_s`."""
        election = Election(
            self._gateway,
            self._keys,
            self._identity,
            self._new_id,
            self._hindrance,
            self._hindrance_on_empty,
            self._on_failure,
        )
        won = await election.win(wait_s)
        term = Term(self._gateway, self._keys, won.epoch, self.lost)
        keeper = LeaseKeeper(term, won, unsure_s=self._unsure_s)
        try:
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(keeper.run(), name="keep the lease")
                try:
                    loaded = await load(term)
                finally:
                    keeping.cancel()
        except BaseExceptionGroup as failures:
            await keeper.resign()
            raise failures.exceptions[0] from None
        except BaseException:
            await keeper.resign()
            raise
        self._parts = _Parts(term, keeper, loaded, self._commits(term, loaded))
        return loaded.stored

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops of a term: its lease, commits whose callers went away, the floor, and the format."""
        return {
            "lease": self._opened.keeper.run,
            "settle": self._settle,
            "floor": self._follow_floor,
            "format": self._follow_format,
        }

    async def commit(self, change: Change) -> None:
        """Put states and add decisions, all or nothing (rule 51); texts, which may be large, come before."""
        if change.desired_text is not None:
            await self.save_desired(change.desired_text)
        if change.applied is not None:
            await self.save_applied(change.applied)
        parts = self._opened
        async with self._turn:
            await self._begin(parts)
            composed = parts.committing = parts.book.compose(change)
            decisions = [DECISIONS.text(decision) for decision in change.decisions]
            revision = await parts.commits.commit(parts.book.puts(composed), decisions)
            parts.book.adopt(composed, revision)

    async def save_servers(self, servers: Mapping[str, StoredServers]) -> None:
        """Put the servers last seen of each service named; some of them may be there where this raises."""
        parts = self._opened
        async with self._turn:
            await self._begin(parts)
            await parts.observations.save(servers)

    async def save_desired(self, text: str, *, expect: str | None = None) -> None:
        """Put the text of the last good desired state. Raises StoreConflict where another one is there."""
        parts = self._opened
        body = await compressed(text.encode(errors="surrogatepass"))
        value = desired_value(text, body)

        def make(cell: Cell) -> bytes:
            if expect is not None:
                refuse_other(read_desired(cell.value, self._keys.desired) if cell.value is not None else None, expect)
            return value

        await parts.desired.put(make)

    async def save_applied(self, applied: AppliedText) -> None:
        """Put the text that every Traefik applied last."""
        body = await compressed(applied.text.encode(errors="surrogatepass"))
        await self._opened.applied.put(lambda _: applied_value(applied, body))

    @property
    def certificate(self) -> str | None:
        """The default certificate and its key, as one text (rule 63); None where there is none."""
        value = self._opened.certificate.value
        return value.decode(errors="replace") if value is not None else None

    async def save_certificate(self, text: str) -> None:
        """Put another default certificate with its key."""
        value = text.encode()
        await self._opened.certificate.put(lambda _: value)

    @property
    def notified(self) -> datetime | None:
        """Up to when people were notified of all decisions (rule 63); None before the first, or if it is no date."""
        value = self._opened.notified.value
        try:
            found = datetime.fromisoformat(value.decode()) if value is not None else None
        except ValueError:
            return None
        return found if found is not None and found.tzinfo is not None else None

    async def save_notified(self, at_utc: datetime) -> None:
        """Put up to when people were notified."""
        await self._opened.notified.put(lambda _: at_utc.isoformat().encode())

    async def publish(self, document: Document) -> int:
        """Put a document under the next revision, and return that (rule 53); one that is there already keeps its own.

        Two documents never have one revision: a put compares the revision of the key, and the next one is made of what
        is there. One that cannot be read is replaced: what was served counts, here and by the floor (rule 57).
        """
        parts, key = self._opened, self._keys.document
        body = await compressed(document.body)

        def make(cell: Cell) -> bytes | None:
            floor = read_floor(cell.guard)
            head = known_head(cell.value, key) if cell.value is not None else None
            if head is None:
                revision = max(self._served(), self._published)
            else:
                is_same = (head.etag, head.marker, head.is_json) == (document.etag, document.marker, document.is_json)
                if is_same and head.revision > floor:
                    return None
                revision = head.revision
            return document_value(document, body, max(revision, floor) + 1, parts.term.epoch)

        before = parts.document.value
        await parts.document.put(make)
        value = parts.document.value
        assert value is not None
        if value is not before:
            self._pace.spend(len(value), loop_s())
        self._published = document_head(value, key).revision
        return self._published

    def rest_s(self) -> float:
        """Return how long the next document waits, so that neither etcd nor the replicas are flooded (rule 53)."""
        return self._pace.rest_s(loop_s())

    async def history(
        self, *, service: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> tuple[Decision, ...]:
        """Return decisions, newest first."""
        return await read_history(
            self._gateway, self._keys, service=service, since=since, limit=limit, kept=self._history_limit
        )

    async def close(self) -> None:
        """Let another replica lead at once; the store stays closed."""
        if self._parts is not None:
            await self._parts.keeper.resign()

    @property
    def _opened(self) -> "_Parts":
        if self._parts is None:
            raise StoreError(f"{self._keys.prefix} in etcd: is not open")
        return self._parts

    def _commits(self, term: Term, loaded: Loaded) -> Commits:
        return self._make_commits(
            term, loaded.head, loaded.head_revision, self._new_id, history_limit=self._history_limit
        )

    async def _begin(self, parts: "_Parts") -> None:
        """Write nothing while it is unknown what stands, or once the term is over."""
        if (revision := await parts.commits.settle()) is not None:
            parts.book.adopt(parts.committing, revision)
        if self.lost.is_set():
            raise parts.term.ended()

    async def _settle(self) -> None:
        parts = self._opened
        while True:
            if parts.commits.is_unknown:
                with suppress(StoreError):
                    async with self._turn:
                        await self._begin(parts)
            await asyncio.sleep(SETTLE_S)

    async def _follow_floor(self) -> None:
        """Publish the document again where a replica has served a higher revision (rule 57)."""
        parts, floor = self._opened, self._keys.floor
        while True:
            with suppress(StoreError):
                found = (await self._gateway.transact((), [Get(floor)])).found[0]
                parts.document.guard = found[0] if found else None
                await parts.document.put(self._above_floor)
            await asyncio.sleep(FLOOR_S)

    def _above_floor(self, cell: Cell) -> bytes | None:
        floor = read_floor(cell.guard)
        if cell.value is None:
            return None
        stored, body = split_document(cell.value, self._keys.document)
        if stored.revision > floor:
            return None
        log.warning("the document is published above what a replica has served", revision=floor + 1)
        return joined(stored.model_copy(update={"revision": floor + 1, "epoch": self._opened.term.epoch}), body)

    async def _follow_format(self) -> None:
        """Write the lowest format that all replicas which live know (rule 64)."""
        parts = self._opened
        while True:
            with suppress(StoreError):
                found = await read_range(self._gateway, self._keys.replicas, 0)
                infos = [read_info(ReplicaInfo, each) for each in found]
                wanted = format_for([info.format for info in infos if info is not None])

                def make(cell: Cell, wanted: Format = wanted) -> bytes | None:
                    present = format_of(cell.value) if cell.value is not None else None
                    is_well = present is not None and (present == wanted or not present.is_known)
                    return None if is_well else wanted.text()

                await parts.format.put(make)
            await asyncio.sleep(FORMAT_S)


class _Parts:
    """What there is from `open` on."""

    def __init__(self, term: Term, keeper: LeaseKeeper, loaded: Loaded, commits: Commits) -> None:
        singles, keys = loaded.singles, term.keys
        self.term, self.keeper, self.book, self.commits = term, keeper, loaded.book, commits
        self.committing = Composed({}, {})
        self.observations = Observations(term, loaded.book)
        self.desired = Cell(term, keys.desired, singles.get(keys.desired))
        self.format = Cell(term, keys.format, singles.get(keys.format))
        self.applied = Cell(term, keys.applied, singles.get(keys.applied))
        self.certificate = Cell(term, keys.certificate, singles.get(keys.certificate))
        self.notified = Cell(term, keys.notified, singles.get(keys.notified))
        self.document = Cell(term, keys.document, singles.get(keys.document), singles.get(keys.floor) or keys.floor)
