"""The mirror on a virtual clock, over a model of etcd that is held against the real one."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from math import inf
from typing import Any

import pytest

from provider.model.document import Document
from provider.model.errors import StoreLocked
from provider.store.etcd.documents import Numbered
from provider.store.etcd.gateway import Delete, Gateway, Get, Put
from provider.store.etcd.keys import Keys
from provider.store.etcd.leader import Identity
from provider.store.etcd.mirror import AWAY_S, FRESH_S, KEPT_AFTER_S, Mirror
from provider.store.etcd.mirrored import DesiredText, Leading, MirrorListeners, Trouble
from provider.store.etcd.packing import LARGEST_BYTES
from provider.store.etcd.presence import forget_replica
from provider.store.etcd.replicas import PollerInfo, PollersInfo, ReplicaInfo
from provider.store.etcd.store import EtcdStore
from tests.support.etcd_model import Etcd
from tests.support.etcd_network import ModelGateway
from tests.support.etcd_world import EtcdWorld, opened, tell
from tests.support.virtual_loop import Process

PREFIX = "/bluegreen"
KEYS = Keys(PREFIX)


class MemoryKept:
    """A disk."""

    def __init__(self, value: bytes | None = None) -> None:
        self.value = value

    def load(self) -> bytes | None:
        return self.value

    async def save(self, value: bytes) -> None:
        self.value = value


@dataclass
class Heard:
    """What listeners have heard."""

    documents: list[Numbered] = field(default_factory=list)
    leaders: list[Leading | None] = field(default_factory=list)
    replicas: list[set[str]] = field(default_factory=list)
    pollers: list[dict[str, PollersInfo]] = field(default_factory=list)
    desired: list[DesiredText | None] = field(default_factory=list)
    troubles: list[Trouble | None] = field(default_factory=list)

    @property
    def listeners(self) -> MirrorListeners:
        return MirrorListeners(
            on_document=self.documents.append,
            on_leader=self.leaders.append,
            on_replicas=lambda replicas: self.replicas.append(set(replicas)),
            on_pollers=lambda pollers: self.pollers.append(dict(pollers)),
            on_desired=self.desired.append,
            on_trouble=self.troubles.append,
        )

    @property
    def revisions(self) -> list[int]:
        return [each.revision for each in self.documents]


class World(EtcdWorld):
    @property
    def gateway(self) -> Gateway:
        return ModelGateway(self.network, Process("test"))

    def asked(self) -> int:
        return len(self.network.trace)

    @asynccontextmanager
    async def mirror(
        self, name: str = "a", *, kept: MemoryKept | None = None, is_new_store: bool = False, process: str = ""
    ) -> AsyncIterator[tuple[Mirror, Heard]]:
        heard = Heard()
        info = ReplicaInfo(id=name, name=f"host {name}", process=process)
        mirror = Mirror(self.gateway, PREFIX, info, heard.listeners, kept=kept, is_new_store=is_new_store)
        running = asyncio.ensure_future(mirror.run())
        try:
            yield mirror, heard
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            await mirror.leave()

    @asynccontextmanager
    async def leading(self, hindrance: Callable[[], str | None] = lambda: None) -> AsyncIterator[EtcdStore]:
        store = EtcdStore(self.gateway, PREFIX, Identity("leader", "host l", "unix:/run/l"), hindrance=hindrance)
        async with opened(store):
            yield store


def story(main: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    tell(World, main)


def document(number: int) -> Document:
    return Document(b'{"number": %d}' % number, f"etag {number}", f"bluegreen-{number:012x}")


async def settle(seconds: float = 1.0) -> None:
    await asyncio.sleep(seconds)


def test_every_replica_serves_the_bytes_that_were_published() -> None:
    """Rule 53."""

    async def main(world: World) -> None:
        async with world.leading() as store, world.mirror("a") as (_, a):
            revisions = [await store.publish(document(1))]
            async with world.mirror("b") as (mirror, b):
                await settle()
                revisions.append(await store.publish(document(2)))
                await settle(0.1)
                assert await mirror.fresh()
            assert revisions == [1, 2]
            assert a.documents == b.documents == [Numbered(1, document(1)), Numbered(2, document(2))]
            assert b.leaders[-1] is not None
            assert b.leaders[-1].leader.address == "unix:/run/l"

    story(main)


def test_a_document_that_is_published_again_keeps_its_revision_also_at_a_takeover() -> None:
    """P12: a takeover makes no new document."""

    async def main(world: World) -> None:
        async with world.leading() as store:
            assert await store.publish(document(1)) == 1
        async with world.leading() as store:
            assert await store.publish(document(1)) == 1
            assert await store.publish(document(2)) == 2
            assert await store.publish(document(1)) == 3

    story(main)


def test_what_is_served_is_fresh_or_etcd_is_asked_once_for_all() -> None:
    """Rule 54. Where that failed a moment ago, polls are answered at once."""

    async def main(world: World) -> None:
        now_s = asyncio.get_running_loop().time
        async with world.leading() as store, world.mirror() as (mirror, heard):
            await store.publish(document(1))
            await settle()
            before = world.asked()
            assert await asyncio.gather(*(mirror.fresh() for _ in range(100))) == [True] * 100
            assert world.asked() == before

            world.network.lose_quorum()
            waited: list[float] = []
            answers: list[bool] = []
            while len(answers) < 200:
                begin_s = now_s()
                answers.append(await mirror.fresh())
                waited.append(now_s() - begin_s)
                await asyncio.sleep(0.05)
            assert answers == sorted(answers, reverse=True)
            assert not answers[-1]
            assert max(waited) == 0
            assert heard.documents[-1].revision == 1
            assert heard.troubles[-1] is not None

            world.network.find_quorum()
            await settle()
            assert await mirror.fresh()
            assert heard.troubles[-1] is None

    story(main)


def test_before_any_word_one_attempt_serves_all_polls() -> None:
    async def main(world: World) -> None:
        mirror = Mirror(world.gateway, PREFIX, ReplicaInfo(id="a", name="a"), MirrorListeners())
        assert mirror.store_age_s == inf
        assert await asyncio.gather(*(mirror.fresh() for _ in range(50))) == [True] * 50
        assert world.asked() == 1

        world.network.lose_quorum()
        await asyncio.sleep(FRESH_S + 0.1)
        begin_s, before = asyncio.get_running_loop().time(), world.asked()
        assert await asyncio.gather(*(mirror.fresh() for _ in range(50))) == [False] * 50
        assert asyncio.get_running_loop().time() - begin_s <= 0.61
        assert world.asked() == before + 1

    story(main)


def test_a_deaf_watch_is_noticed_by_a_look_and_left() -> None:
    """Rule 55: without this guard a follower served documents of long ago."""

    async def main(world: World) -> None:
        async with world.leading() as store, world.mirror() as (_, heard):
            await settle()
            for number in range(1, 4):
                watches = list(world.network._watches)
                for watch in watches:
                    watch.fail(is_deaf=True)
                await store.publish(document(number))
                await settle(0.6)
                assert heard.revisions[-1] == number
                await settle(1.5)
            # The last watch works: what comes now needs no look.
            await store.publish(document(4))
            await settle(0.05)
            assert heard.revisions == [1, 2, 3, 4]

    story(main)


def test_compaction_is_harmless() -> None:
    """Rule 55."""

    async def main(world: World) -> None:
        async with world.leading() as store, world.mirror() as (_, heard):
            for number in range(1, 20):
                await store.publish(document(number))
                world.network.compact()
                await settle(0.3)
            await settle(2.0)
            assert heard.revisions[-1] == 19

    story(main)


def test_a_start_without_etcd_serves_what_was_kept_after_a_while() -> None:
    """Rule 57."""

    async def main(world: World) -> None:
        kept = MemoryKept()
        async with world.leading() as store, world.mirror(kept=kept):
            await store.publish(document(1))
            await settle()
        assert kept.value is not None
        world.network.lose_quorum()
        async with world.mirror(kept=kept) as (_, heard):
            await settle(KEPT_AFTER_S - 1.0)
            assert heard.documents == []
            assert heard.troubles[-1] is not None
            await settle(1.1)
            assert heard.documents == [Numbered(1, document(1))]
        async with world.mirror(kept=MemoryKept(b"{nonsense")) as (_, heard):
            await settle(KEPT_AFTER_S + AWAY_S)
            assert heard.documents == []

    story(main)


def test_an_empty_prefix_is_refused_by_who_has_served_something() -> None:
    """Rule 57."""

    async def main(world: World) -> None:
        kept = MemoryKept()
        async with world.leading() as store, world.mirror(kept=kept):
            await store.publish(document(1))
            await store.publish(document(2))
            await settle()
        await world.gateway.transact((), [Delete(*KEYS.everything)])

        async with world.mirror(kept=kept) as (mirror, heard):
            await settle()
            assert heard.revisions == [2]
            assert mirror.hindrance is not None
            assert "is empty" in mirror.hindrance
            assert heard.troubles[-1] == Trouble(mirror.hindrance, is_refused=True)
            barred = EtcdStore(world.gateway, PREFIX, Identity("a", "a"), hindrance=lambda: mirror.hindrance)
            with pytest.raises(StoreLocked, match="--new-store"):
                await barred.open(wait_s=5)

        async with world.mirror(kept=kept, is_new_store=True) as (mirror, heard):
            await settle()
            assert mirror.hindrance is None
            async with world.leading(lambda: mirror.hindrance) as store:
                assert await store.publish(document(3)) == 3
                await settle()
            assert heard.revisions == [2, 3]

    story(main)


@pytest.mark.parametrize("later_s", [0.3, 2.1])
def test_a_prefix_that_is_emptied_while_replicas_run_stays_empty(later_s: float) -> None:
    """Rule 57: they look for the document each half second, and for all that makes a store each few seconds."""

    async def main(world: World) -> None:
        async with world.leading() as store, world.mirror("a") as (a, heard), world.mirror("b"):
            await store.publish(document(1))
            await settle(6.0 + later_s)
            await world.gateway.transact((), [Delete(*KEYS.everything)])
            await settle(10.0)
            found = (await world.gateway.transact((), [Get(key) for key in KEYS.content])).found
            assert [len(each) for each in found] == [0, 0, 0, 0]
            assert a.hindrance_on_empty == a.hindrance
            assert heard.troubles[-1] == Trouble(a.hindrance or "", is_refused=True)
            assert heard.revisions == [1]

    story(main)


def test_after_the_restore_of_an_older_backup_revisions_go_on_above_what_was_served() -> None:
    """Rule 57, P6."""

    async def main(world: World) -> None:
        kept = MemoryKept()
        async with world.leading() as store:
            await store.publish(document(1))
            backup = (await world.gateway.transact((), [Get(*KEYS.everything)])).found[0]
            async with world.mirror(kept=kept) as (_, heard):
                for number in range(2, 6):
                    await store.publish(document(number))
                await settle()
                assert heard.revisions[-1] == 5

                # Etcd comes back with an older state under the feet of everybody.
                before, world.network.etcd = world.network.etcd, Etcd()
                world.network.etcd.on_revision = before.on_revision
                for watch in list(world.network._watches):
                    watch.fail(is_deaf=False)
                puts = [Put(each.key, each.value) for each in backup if each.key != KEYS.leader]
                world.network.etcd.transact((), puts)
                await asyncio.wait_for(store.lost.wait(), 30)
                async with world.leading() as second:
                    await settle(5.0)
                    assert heard.revisions[-1] == 6
                    assert heard.documents[-1].document == document(1)
                    assert await second.publish(document(7)) == 7
                    await settle()
                assert heard.revisions[-1] == 7

    story(main)


def test_replicas_live_on_a_lease_and_their_pollers_outlive_them() -> None:
    """Rule 59."""

    async def main(world: World) -> None:
        polled = PollersInfo(name="host b", pollers=(PollerInfo(label="traefik", revision=3, last_poll_s=1.5),))
        async with world.mirror("a") as (_, heard):
            async with world.mirror("b") as (b, _):
                b.put_pollers(polled)
                await settle(2.5)
                assert heard.replicas[-1] == {"a", "b"}
                assert heard.pollers[-1] == {"b": polled}
                assert not await forget_replica(world.gateway, KEYS, "b")
                written = world.network.etcd.revision
                b.put_pollers(
                    polled.model_copy(update={"pollers": (polled.pollers[0].model_copy(update={"last_poll_s": 2.0}),)})
                )
                await settle(4.0)
                assert world.network.etcd.revision == written
                await settle(10.0)
                assert heard.pollers[-1]["b"].pollers[0].last_poll_s == 2.0
            await settle()
            assert heard.replicas[-1] == {"a"}
            assert heard.pollers[-1].keys() == {"b"}
            assert await forget_replica(world.gateway, KEYS, "b")
            await settle()
            assert heard.pollers[-1] == {}

    story(main)


def test_of_two_replicas_of_one_name_the_first_says_so_and_does_not_lead() -> None:
    async def main(world: World) -> None:
        async with world.mirror("a", process="1") as (first, heard):
            await settle(2.0)
            assert heard.troubles == []
            async with world.mirror("a", process="2") as (second, _):
                await settle(3.0)
                assert second.hindrance is None
                hindrance = first.hindrance or ""
                assert "another replica is called host a, too" in hindrance
                assert heard.troubles == [Trouble(hindrance, is_refused=True)]
            await settle(5.0)
            assert first.hindrance is None
            assert heard.troubles[-1] is None
            assert heard.replicas[-1] == {"a"}

    story(main)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (KEYS.format, b'{"writes":7,"readable_from":7}', "format 7, readable from 7 on): upgrade this replica"),
        (KEYS.leader, b"nonsense", "the key /bluegreen/leader in etcd was not written by a replica: delete it"),
    ],
)
def test_what_keeps_every_replica_from_leading_is_said(key: bytes, value: bytes, words: str) -> None:
    """Rule 64; and P11 of what somebody has written into etcd."""

    async def main(world: World) -> None:
        async with world.mirror("a") as (_, heard):
            async with world.leading() as store:
                await store.publish(document(1))
                if key == KEYS.format:
                    await world.gateway.transact((), [Put(key, value)])
                await settle(6.0)
                assert heard.troubles == []
            await world.gateway.transact((), [Put(key, value)])
            await settle(6.0)
            assert heard.troubles[-1] is not None
            assert words in heard.troubles[-1].text
            await world.gateway.transact((), [Delete(key)])
            await settle(6.0)
            assert heard.troubles[-1] is None

    story(main)


def test_what_cannot_be_read_is_left_out_and_harms_nothing() -> None:
    async def main(world: World) -> None:
        async with world.leading() as store, world.mirror() as (mirror, heard):
            await store.publish(document(1))
            await store.save_desired("environment: production")
            await settle()
            bomb = b'{"revision": 9, "etag": "x", "marker": "x"}\n' + zlib.compress(bytes(LARGEST_BYTES + 1), 9)
            nonsense = [bomb, b"", b"\0", b"[]", b"{}\n", b'{"revision": -1}\nx', b"{" * 5000]
            for value in nonsense:
                for key in (KEYS.document, KEYS.desired, KEYS.format, KEYS.replica("x"), KEYS.poller("x")):
                    await world.gateway.transact((), [Put(key, value)])
                await settle()
            assert heard.revisions == [1]
            assert heard.replicas[-1] == {"a"}
            assert await mirror.fresh()
            assert await store.publish(document(2)) == 2
            await settle()
            assert heard.revisions == [1, 2]

    story(main)
