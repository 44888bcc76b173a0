"""Places for stores of every kind, each empty, and what is put into them."""

import asyncio
import secrets
import sqlite3
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Protocol

import orjson
from hypothesis import strategies as st

from provider.model import (
    Approval,
    ByColour,
    Canary,
    Candidate,
    Colour,
    Decision,
    Event,
    GroupState,
    Health,
    Outcome,
    Phase,
    Quarantine,
    Replaced,
    RollbackTarget,
    Rollout,
    Server,
    ServerKey,
    ServiceState,
    Step,
    StepState,
    Trigger,
    Wish,
)
from provider.model.analysed import IMPOSSIBLE, AnalysisEvidence, Answered, Comparison, Evidence, Processes
from provider.model.document import Document
from provider.store import Change, Store, Stored, StoredServers
from provider.store.etcd.client import JsonGateway
from provider.store.etcd.gateway import Get
from provider.store.etcd.gateway import Put as PutKey
from provider.store.etcd.keys import Keys
from provider.store.etcd.leader import Identity
from provider.store.etcd.store import EtcdStore
from provider.store.sqlite import SqliteStore
from tests.support.etcd import Cluster

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
BLUE = ServiceState(active=Colour.BLUE)
GREEN = ServiceState(active=Colour.GREEN)
DOCUMENT = Document(b"{}", "etag", "bluegreen-000000000001")


class Place(Protocol):
    """Where one store is at a time, and the next one finds what it has left."""

    def store(self, *, history_limit: int = 10_000) -> Store:
        """Return a store of this place that is not open yet."""
        ...

    def spoil(self, service: str, state: str) -> None:
        """Put another text in place of what is stored of a service."""
        ...


@dataclass(frozen=True, slots=True)
class SqlitePlace:
    """A state directory."""

    path: Path

    def store(self, *, history_limit: int = 10_000) -> Store:
        return SqliteStore(self.path, history_limit=history_limit)

    def spoil(self, service: str, state: str) -> None:
        with closing(sqlite3.connect(self.path / "bluegreen.db", isolation_level=None)) as connection:
            connection.execute("UPDATE services SET state = ? WHERE name = ?", (state, service))


@dataclass(frozen=True, slots=True)
class EtcdPlace:
    """A prefix in an etcd."""

    endpoints: tuple[str, ...]
    prefix: str

    def store(self, *, history_limit: int = 10_000) -> Store:
        return _EtcdStore(JsonGateway(self.endpoints), self.prefix, history_limit=history_limit)

    def spoil(self, service: str, state: str) -> None:
        async def put() -> None:
            gateway = JsonGateway(self.endpoints)
            key = Keys(self.prefix).group(service)
            row = orjson.loads((await gateway.transact((), [Get(key)])).found[0][0].value)
            row["services"][service] = orjson.loads(state)
            await gateway.transact((), [PutKey(key, orjson.dumps(row))])
            await gateway.close()

        with ThreadPoolExecutor(1) as thread:  # the caller's loop runs
            thread.submit(asyncio.run, put()).result()


class _EtcdStore(EtcdStore):
    """A store with a gateway of its own."""

    def __init__(self, gateway: JsonGateway, prefix: str, *, history_limit: int) -> None:
        super().__init__(gateway, prefix, Identity(secrets.token_hex(4), "test"), history_limit=history_limit)
        self._its_gateway = gateway

    async def close(self) -> None:
        await super().close()
        await self._its_gateway.close()


Places = Callable[[], Place]
"""What makes empty places of one kind."""


def sqlite_places(folder: Path) -> Places:
    """Return what makes state directories in a folder."""
    numbers = count()
    return lambda: SqlitePlace(folder / f"state {next(numbers)}")


def etcd_places(cluster: Cluster) -> Places:
    """Return what makes prefixes in an etcd."""
    endpoints = tuple(node.url for node in cluster.nodes)
    return lambda: EtcdPlace(endpoints, f"/test/{secrets.token_hex(6)}")


@asynccontextmanager
async def opened(place: Place, *, history_limit: int = 10_000) -> AsyncIterator[Store]:
    """Open the store of a place, with its loops, and close it."""
    store = place.store(history_limit=history_limit)
    try:
        await store.open(wait_s=60)
        loops = [asyncio.ensure_future(loop()) for loop in store.loops().values()]
        try:
            yield store
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
    finally:
        await store.close()


async def contents(place: Place) -> Stored:
    """Return what the next one finds at a place."""
    store = place.store()
    try:
        return await store.open(wait_s=60)
    finally:
        await store.close()


def switch(service: str, state: ServiceState, *, detail: str = "switched", at: datetime = NOON) -> Change:
    """Return a change of one service, with the decision that explains it."""
    return Change(services={service: state}, decisions=(Decision(at, service, Event.SHIFTED, detail=detail),))


async def details(store: Store) -> list[str | None]:
    """Return what the history says, newest first."""
    return [decision.detail for decision in await store.history()]


_texts = st.text(max_size=12)
_dates = st.datetimes(min_value=datetime(2000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001  hypothesis wants it naive
_seconds = st.floats(min_value=0, max_value=1e9, allow_nan=False)
_colours = st.sampled_from(Colour)
_candidates = st.builds(Candidate, service=_texts, colour=_colours, release=st.none() | _texts)
_releases = st.frozensets(_texts, max_size=3)
_service_states = st.builds(
    ServiceState,
    active=st.none() | _colours,
    wish=st.none() | st.sampled_from(Wish),
    settled=st.builds(ByColour, _releases, _releases),
    rollback_target=st.none() | st.builds(RollbackTarget, colour=_colours, release=st.none() | _texts),
    replaced=st.none() | st.builds(Replaced, release=_texts, before=st.none() | _texts, since_utc=_dates),
    switched_utc=st.none() | _dates,
)
_logarithms = st.just(()) | st.lists(st.floats(IMPOSSIBLE, 1e6), min_size=10, max_size=10).map(tuple)
_evidence = st.builds(
    AnalysisEvidence,
    service=_texts,
    release=st.none() | _texts,
    definition=_texts,
    rollout=_texts,
    against=st.none() | _texts,
    step=st.integers(0, 99),
    comparisons=st.lists(
        st.builds(
            Comparison,
            name=_texts,
            processes=st.builds(Processes, st.builds(Evidence, _logarithms), st.builds(Evidence, _logarithms)),
        ),
        max_size=2,
    ).map(tuple),
    queries=st.lists(st.builds(Answered, name=_texts, value=st.none() | st.floats(-1e9, 1e9)), max_size=2).map(tuple),
    counted_utc=st.none() | _dates,
)
_steps = st.builds(
    StepState,
    number=st.integers(1, 99),
    begun_utc=_dates,
    begun_mono_s=_seconds,
    shown_mono_s=st.none() | _seconds,
    passed_mono_s=st.none() | _seconds,
    approval=st.none() | st.builds(Approval, actor=_texts, at_utc=_dates),
    promoted=st.none() | _texts,
    forced=st.none() | _texts,
)
_rollouts = st.builds(
    Rollout,
    id=_texts,
    phase=st.sampled_from(Phase),
    candidates=st.lists(_candidates, max_size=3).map(tuple),
    members=st.lists(_texts, max_size=3).map(tuple),
    trigger=st.sampled_from(Trigger),
    actor=st.none() | _texts,
    since_utc=_dates,
    entered_mono_s=_seconds,
    deadline_mono_s=st.none() | _seconds,
    canary=st.none() | st.just(Canary((Step(5, 600.0), Step(50, 600.0, approval_is_manual=True)))),
    step=st.none() | _steps,
    analysis=st.lists(_evidence, max_size=2).map(tuple),
)
_group_states = st.builds(
    GroupState,
    rollout=st.none() | _rollouts,
    rollouts=st.integers(0, 1000),
    quarantined=st.lists(
        st.builds(
            Quarantine,
            candidates=st.lists(_candidates, max_size=2).map(tuple),
            outcome=st.sampled_from(Outcome),
            rollout=_texts,
            since_utc=_dates,
        ),
        max_size=2,
    ).map(tuple),
)
_servers = st.lists(
    st.builds(
        Server,
        url=_texts,
        release=_texts,
        version=st.none() | _texts,
        container=st.none() | _texts,
        docker_health=st.none() | st.sampled_from(Health),
    ),
    max_size=3,
).map(tuple)
_stored_servers = st.builds(
    StoredServers,
    colours=st.builds(ByColour, _servers, _servers),
    published=st.frozensets(st.builds(ServerKey, _texts, st.none() | _texts), max_size=3),
)
_decisions = st.builds(
    Decision,
    at_utc=_dates,
    service=_texts,
    event=st.sampled_from(Event),
    colour=st.none() | _colours,
    release=st.none() | _texts,
    rollout=st.none() | _texts,
    phase=st.none() | st.sampled_from(Phase),
    outcome=st.none() | st.sampled_from(Outcome),
    trigger=st.none() | st.sampled_from(Trigger),
    actor=st.none() | _texts,
    detail=st.none() | _texts,
)
changes = st.builds(
    Change,
    services=st.dictionaries(_texts, _service_states, max_size=3),
    groups=st.dictionaries(_texts, _group_states, max_size=3),
    servers=st.dictionaries(_texts, _stored_servers, max_size=3),
    decisions=st.lists(_decisions, max_size=3).map(tuple),
)
"""Any change, of any names."""
