"""People are notified of every decision at least once, whichever replica leads (rule 63)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from provider.app import notified
from provider.app.notified import Notified
from provider.store import Change
from provider.store.etcd.client import JsonGateway
from provider.store.etcd.leader import Identity
from provider.store.etcd.store import EtcdStore
from tests.support.etcd import Cluster
from tests.support.stores import BLUE, NOON, switch
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notified, "LOOK_S", 0.01)


def decision(minute: int) -> Change:
    return switch("shop", BLUE, at=NOON + timedelta(minutes=minute))


class Leader:
    """A replica in its term, and what it sends."""

    def __init__(self, gateway: JsonGateway, name: str) -> None:
        self.store = EtcdStore(gateway, "/notified", Identity(name, name))
        self.sent: list[datetime] = []
        self.is_idle = True

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[Notified]:
        await self.store.open(wait_s=30.0)
        of = Notified(self.store, lambda one: self.sent.append(one.at_utc), lambda: self.is_idle)
        running = asyncio.create_task(of.run())
        try:
            yield of
        finally:
            running.cancel()
            await self.store.close()

    async def decide(self, of: Notified, change: Change) -> None:
        await self.store.commit(change)
        of.decided(change.decisions[0])

    async def until_written(self, at_utc: datetime) -> None:
        await eventually(lambda: self.store.notified == at_utc)


async def test_who_leads_next_notifies_of_what_was_decided_and_not_sent(etcd: Cluster) -> None:
    """Rule 63: the second decision is committed, and its leader dies before its notice is sent."""
    gateway = JsonGateway([node.url for node in etcd.nodes])
    sent, unsent = decision(0), decision(1)
    first, second = Leader(gateway, "first"), Leader(gateway, "second")
    try:
        async with first.leading() as of:
            await first.decide(of, sent)
            await first.until_written(sent.decisions[0].at_utc)
            first.is_idle = False
            await first.decide(of, unsent)
        assert first.sent == []
        second.is_idle = False
        async with second.leading():
            await eventually(lambda: second.sent == [unsent.decisions[0].at_utc])
            assert second.store.notified == sent.decisions[0].at_utc, "its notice is on its way still"
            second.is_idle = True
            await second.until_written(unsent.decisions[0].at_utc)
    finally:
        await gateway.close()
