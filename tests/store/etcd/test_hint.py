"""How followers notice that the leader's process has ended, over real connections (rule 50)."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from provider.store.etcd.hint import LeaderHint
from provider.store.etcd.leader import LeaderInfo
from provider.store.etcd.mirrored import Leading
from tests.support.waiting import eventually


class Revoked:
    """A gateway that notes which leases are revoked."""

    def __init__(self) -> None:
        self.leases: list[int] = []

    async def revoke(self, lease: int) -> None:
        self.leases.append(lease)


class Listener:
    """Where a leader listens."""

    def __init__(self) -> None:
        self.connections: list[asyncio.StreamWriter] = []
        self.port = 0
        self._server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(lambda _, peer: self.connections.append(peer), "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    def drop(self) -> None:
        """End the connections, as a leader does that has enough of them."""
        for peer in self.connections:
            peer.close()
        self.connections.clear()

    def end(self) -> None:
        """Do what the end of a process does: nothing listens, and no connection is left."""
        assert self._server is not None
        self._server.close()
        self.drop()


@asynccontextmanager
async def following() -> AsyncIterator[tuple[LeaderHint, Revoked]]:
    gateway = Revoked()
    hint = LeaderHint(gateway, "me")  # type: ignore[arg-type]  # of a gateway it uses no more
    running = asyncio.create_task(hint.run())
    try:
        yield hint, gateway
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def leading(port: int, *, who: str = "other", lease: int = 7) -> Leading:
    return Leading(LeaderInfo(id=who, name=who, address=f"http://127.0.0.1:{port}"), epoch=1, lease=lease)


async def test_the_lease_of_a_leader_whose_process_has_ended_is_revoked() -> None:
    listener = Listener()
    await listener.open()
    async with following() as (hint, gateway):
        hint.follow(leading(listener.port))
        await eventually(lambda: listener.connections)
        listener.end()
        await eventually(lambda: gateway.leases)
    assert gateway.leases == [7]


async def test_a_leader_that_only_closes_connections_keeps_its_lease() -> None:
    listener = Listener()
    await listener.open()
    async with following() as (hint, gateway):
        hint.follow(leading(listener.port))
        for _ in range(2):
            await eventually(lambda: listener.connections)
            listener.drop()
        await eventually(lambda: listener.connections)
        hint.follow(None)
        listener.end()
        hint.follow(leading(listener.port, lease=8))  # refused, and it has never been there
        await asyncio.sleep(0)
        hint.follow(leading(listener.port, who="me", lease=9))
    assert gateway.leases == []


@pytest.mark.parametrize("address", ["", "unix:/run/x", "http://[", "nonsense", "http://127.0.0.1:99999"])
async def test_a_leader_that_names_no_address_is_not_watched(address: str) -> None:
    async with following() as (hint, gateway):
        hint.follow(Leading(LeaderInfo(id="x", name="x", address=address), 1, 7))
        for _ in range(5):
            await asyncio.sleep(0)
    assert gateway.leases == []
