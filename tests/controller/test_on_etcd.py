"""The controller on a store that takes its time, and that another replica may take over: etcd."""

from pathlib import Path

import orjson
import pytest

from provider.model import Event
from provider.model.errors import LeadershipLost
from provider.store import offline
from provider.store.etcd.client import JsonGateway
from provider.store.etcd.documents import read_document
from provider.store.etcd.gateway import Delete, Get
from provider.store.etcd.keys import Keys
from provider.store.kinds import kind_of
from provider.store.sqlite import SqliteStore
from tests.support.etcd import Cluster
from tests.support.running import running, shop, url
from tests.support.stores import EtcdPlace, etcd_places
from tests.support.waiting import eventually
from tests.support.worlds import BLUE, GREEN


@pytest.fixture
def place(etcd: Cluster) -> EtcdPlace:
    made = etcd_places(etcd)()
    assert isinstance(made, EtcdPlace)
    return made


async def test_a_release_is_committed_published_and_gone_on_with_by_the_next_replica(
    tmp_path: Path, place: EtcdPlace
) -> None:
    """Rules 51, 53, P6: what is served is what etcd has, and the next replica decides nothing anew."""
    gateway, keys = JsonGateway(place.endpoints), Keys(place.prefix)
    async with running(tmp_path, store=lambda _: place.store()) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        daemon.load(shop(green="8082"))
        await daemon.judge(GREEN)
        before = await daemon.until_served(green=[url("8082")])
        ((found,),) = (await gateway.transact((), [Get(keys.document)])).found
        there = read_document(found.value, found.key)
        assert (there.revision, there.document.body) == (before.revision, before.document.body)
    async with running(tmp_path, store=lambda _: place.store()) as daemon:
        daemon.load(shop(green="8082"))
        after = await daemon.until_served(green=[url("8082")])
        assert after.document.body == before.document.body
        assert after.revision == before.revision, "the same document is no other revision"
        await eventually(lambda: daemon.controller.queues.undecided.is_at_rest)
        assert [row.event for row in await daemon.store.history()].count(Event.SHIFTED) == 1
    await gateway.close()


async def test_a_daemon_that_moves_from_sqlite_goes_on_with_the_same_document(tmp_path: Path, place: EtcdPlace) -> None:
    """Rule 65, P6."""
    async with running(tmp_path / "state") as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        daemon.load(shop(green="8082"))
        await daemon.judge(GREEN)
        before = await daemon.until_served(green=[url("8082")])
        history = await daemon.store.history()
    members = ",".join(one.removeprefix("http://") for one in place.endpoints)
    copied = kind_of(f"etcd://{members}")
    address = copied.parse(f"etcd://{members}{place.prefix}")
    await offline.copy(SqliteStore(tmp_path / "state"), copied.target(address, None))
    async with running(tmp_path, store=lambda _: place.store()) as daemon:
        daemon.load(shop(green="8082"))
        after = await daemon.until_served(green=[url("8082")])
        assert (after.document.body, after.revision) == (before.document.body, before.revision + 1)
        await eventually(lambda: daemon.controller.queues.undecided.is_at_rest)
        assert (await daemon.store.history())[-len(history) :] == history


async def test_a_replica_that_does_not_lead_any_more_decides_and_publishes_nothing(
    tmp_path: Path, place: EtcdPlace
) -> None:
    """Rule 51."""
    gateway, keys = JsonGateway(place.endpoints), Keys(place.prefix)
    async with running(tmp_path, store=lambda _: place.store()) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        before = await daemon.until_served(blue=[url("8081")])
        await gateway.transact((), [Delete(keys.leader)])
        daemon.load(shop().replace("router: {", "router: {priority: 7, "))
        await daemon.store.lost.wait()
        with pytest.raises(LeadershipLost):
            await daemon.store.publish(before.document)
        assert daemon.controller.published is before
        assert orjson.loads(before.document.body)["http"]["routers"]["shop"]["priority"] != 7
        assert "store-failing" not in daemon.codes()
    await gateway.close()
