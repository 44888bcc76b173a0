"""The store of a term where answers get lost, requests come late, and others lead; on a virtual clock."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import count
from typing import Any

import orjson
import pytest

from provider.model import ByColour, Decision, Event, GroupState, Server
from provider.model.document import Document, text_key
from provider.model.errors import LeadershipLost, StoreError, StoreUncertain
from provider.store import Change, Stored, StoredServers
from provider.store.etcd.format import UNFINISHED, format_for, format_of
from provider.store.etcd.gateway import (
    Answer,
    Compare,
    Delete,
    EtcdRefused,
    EtcdUncertain,
    Get,
    KeyValue,
    Operation,
    Put,
)
from provider.store.etcd.keys import Keys
from provider.store.etcd.leader import Identity
from provider.store.etcd.limits import MEMBERS_MOST
from provider.store.etcd.store import EtcdStore
from tests.support.etcd_network import ModelGateway, Network
from tests.support.etcd_world import EtcdWorld, opened, tell
from tests.support.stores import BLUE, DOCUMENT, GREEN, NOON, details, switch
from tests.support.virtual_loop import Process

PREFIX = "/bluegreen"
KEYS = Keys(PREFIX)
Act = Callable[[], Coroutine[Any, Any, Answer]]


class Way(ModelGateway):
    """A way to etcd on which a test says what becomes of the next transactions that write."""

    def __init__(self, network: Network) -> None:
        super().__init__(network, Process("test"))
        self.fates: list[Callable[[Act], Coroutine[Any, Any, Answer]]] = []
        self.late: list[Act] = []

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        def act() -> Coroutine[Any, Any, Answer]:
            return super(Way, self).transact(compares, then, otherwise)

        if self.fates and any(isinstance(each, Put) and each.key != KEYS.format for each in then):
            return await self.fates.pop(0)(act)
        return await act()

    async def arrive(self) -> list[bool]:
        """Let everything arrive that was held up; return what of it was done."""
        return [(await act()).succeeded for act in self.late]

    async def unanswered(self, act: Act) -> Answer:
        await act()
        raise EtcdUncertain("the connection was reset")

    async def held_up(self, act: Act) -> Answer:
        self.late.append(act)
        raise EtcdUncertain("no answer")

    async def refused(self, _: Act) -> Answer:
        raise EtcdRefused("connection refused")

    async def no_space(self, _: Act) -> Answer:
        raise EtcdUncertain("etcdserver: mvcc: database space exceeded")

    async def arrives_first(self, act: Act) -> Answer:
        """Let what was held up arrive right before this one."""
        await self.arrive()
        return await act()


class World(EtcdWorld):
    def __init__(self) -> None:
        super().__init__()
        self.way = Way(self.network)
        self._ids = count(1)

    @asynccontextmanager
    async def leading(
        self, way: Way | None = None, *, with_loops: bool = True
    ) -> AsyncIterator[tuple[EtcdStore, Stored]]:
        store = EtcdStore(
            way or self.way, PREFIX, Identity("r1", "host 1", process="p1"), new_id=lambda: f"id {next(self._ids)}"
        )
        async with opened(store, with_loops=with_loops) as stored:
            yield store, stored

    async def stored(self) -> Stored:
        async with self.leading(Way(self.network)) as (_, stored):
            return stored

    def value(self, key: bytes) -> bytes:
        return self.found(key).value

    def found(self, key: bytes) -> KeyValue:
        return self.network.etcd.transact((), [Get(key)]).found[0][0]


def story(main: Callable[[World], Coroutine[Any, Any, None]]) -> None:
    tell(World, main)


def document(number: int) -> Document:
    return replace(DOCUMENT, body=b"%d" % number, etag=f"etag {number}")


# --- commits ----------------------------------------------------------------------------------------------------------


def test_a_commit_whose_answer_got_lost_stands_once() -> None:
    """Rule 51."""

    async def main(world: World) -> None:
        async with world.leading() as (store, _):
            await store.commit(switch("shop", BLUE, detail="1"))
            world.way.fates = [world.way.unanswered]
            await store.commit(switch("shop", GREEN, detail="2"))
            await store.commit(switch("blog", GREEN, detail="3"))
            assert await details(store) == ["3", "2", "1"]
        assert orjson.loads(world.value(KEYS.head))["seq"] == 3
        assert (await world.stored()).services == {"shop": GREEN, "blog": GREEN}

    story(main)


def test_a_commit_that_did_not_arrive_is_void_for_ever() -> None:
    """Rule 51. It may be decided anew, and the first attempt cannot happen any more."""

    async def main(world: World) -> None:
        async with world.leading() as (store, _):
            await store.commit(switch("shop", BLUE, detail="1"))
            world.way.fates = [world.way.held_up]
            with pytest.raises(StoreError, match="void") as failure:
                await store.commit(switch("shop", GREEN, detail="2"))
            assert not isinstance(failure.value, StoreUncertain | LeadershipLost)
            assert await world.way.arrive() == [False]
            await store.commit(switch("shop", GREEN, detail="again"))
            assert await world.way.arrive() == [False]
            assert await details(store) == ["again", "1"]

    story(main)


def test_a_commit_that_arrives_before_its_fence_stands() -> None:
    """Rule 51."""

    async def main(world: World) -> None:
        way = world.way
        async with world.leading() as (store, _):
            way.fates = [way.held_up, way.arrives_first]
            await store.commit(switch("shop", GREEN, detail="1"))
            assert await details(store) == ["1"]

    story(main)


@pytest.mark.parametrize("arrives", [True, False])
def test_fences_whose_answers_get_lost_tell_in_the_end(arrives: bool) -> None:
    """Rule 51."""

    async def main(world: World) -> None:
        way = world.way
        async with world.leading() as (store, _):
            way.fates = [way.held_up, way.held_up, way.refused, way.unanswered]
            if arrives:
                way.fates = [way.unanswered, way.held_up, way.unanswered, way.refused]
                await store.commit(switch("shop", GREEN, detail="1"))
            else:
                with pytest.raises(StoreError, match="void"):
                    await store.commit(switch("shop", GREEN, detail="1"))
            await way.arrive()
            await store.commit(switch("blog", BLUE, detail="2"))
            assert await details(store) == (["2", "1"] if arrives else ["2"])

    story(main)


def test_a_commit_that_fills_the_space_of_etcd_stands_though_nothing_can_be_written() -> None:
    """Rule 51: etcd does it and answers with an error, and refuses every fence."""

    async def main(world: World) -> None:
        way = world.way
        async with world.leading() as (store, _):
            way.fates = [way.unanswered, *[way.no_space] * 20]
            await store.commit(switch("shop", GREEN, detail="1"))
            way.fates = []
            assert await details(store) == ["1"]

    story(main)


def test_decisions_freeze_while_the_outcome_of_one_is_unknown() -> None:
    """Rule 51. The document and the texts have keys of their own, and go on."""

    async def main(world: World) -> None:
        async with world.leading() as (store, _):
            await store.commit(switch("shop", BLUE, detail="1"))
            world.way.fates = [world.way.held_up, *[world.way.no_space] * 20]
            first = asyncio.ensure_future(store.commit(switch("shop", GREEN, detail="2")))
            await asyncio.sleep(1)
            second = asyncio.ensure_future(store.commit(switch("blog", GREEN, detail="3")))
            await asyncio.sleep(0.2)
            assert not first.done()
            assert not second.done()
            world.way.fates = []
            with pytest.raises(StoreError, match="void"):
                await first
            await second
            assert await details(store) == ["3", "1"]

    story(main)


def test_a_commit_of_a_term_that_is_over_is_surely_not_done() -> None:
    """Rules 51 and 60."""

    async def main(world: World) -> None:
        async with world.leading(with_loops=False) as (store, _):
            await store.commit(switch("shop", BLUE, detail="1"))
            world.way.fates = [world.way.held_up]
            await asyncio.sleep(5)  # frozen for longer than its lease
            async with world.leading(Way(world.network)) as (second, stored):
                assert stored.services == {"shop": BLUE}
                await second.commit(switch("shop", BLUE, detail="2"))
                with pytest.raises(LeadershipLost):
                    await store.commit(switch("shop", GREEN, detail="held up"))
                assert store.lost.is_set()
                assert await world.way.arrive() == [False]
                for refused in (store.publish(document(1)), store.save_servers({"shop": StoredServers()})):
                    with pytest.raises(LeadershipLost):
                        await refused
                assert await details(second) == ["2", "1"]

    story(main)


def test_a_commit_that_stands_is_found_also_below_those_of_the_next_leader() -> None:
    """Rule 51: its row of the history names the attempt."""

    async def main(world: World) -> None:
        way = world.way

        async def takes_over(act: Act) -> Answer:
            await act()
            await asyncio.sleep(5)
            async with world.leading(Way(world.network)) as (second, _):
                await second.commit(switch("blog", GREEN, detail="2"))
                raise EtcdUncertain("no answer")

        async with world.leading(with_loops=False) as (store, _):
            way.fates = [takes_over]
            await store.commit(switch("shop", GREEN, detail="1"))
            assert store.lost.is_set()
            assert await details(store) == ["2", "1"]

        async with world.leading(with_loops=False) as (store, _):
            way.fates = [takes_over]
            with pytest.raises(StoreUncertain, match="does not lead any more"):  # it has no row of the history
                await store.commit(Change(groups={"shop": GroupState(rollouts=9)}))

    story(main)


def test_a_head_that_something_else_has_put_ends_the_term() -> None:
    async def main(world: World) -> None:
        async with world.leading() as (store, _):
            await store.commit(switch("shop", BLUE))
            world.network.etcd.transact((), [Put(KEYS.head, world.value(KEYS.head))])
            with pytest.raises(LeadershipLost):
                await store.commit(switch("shop", GREEN))
            assert store.lost.is_set()

    story(main)


# --- terms ------------------------------------------------------------------------------------------------------------


def test_a_short_absence_of_etcd_ends_no_term_and_a_long_one_does() -> None:
    """Rule 50. Etcd keeps all leases while it chooses a leader of its own."""

    async def main(world: World) -> None:
        async with world.leading() as (store, _):
            world.network.lose_quorum()
            await asyncio.sleep(8)
            world.network.find_quorum()
            await asyncio.sleep(2)
            assert not store.lost.is_set()
            await store.commit(switch("shop", BLUE))
            world.network.lose_quorum()
            await asyncio.sleep(15)
            assert store.lost.is_set()

    story(main)


def test_a_process_takes_its_own_earlier_term_for_over_at_once() -> None:
    """Rule 50: it could not give its lease back while etcd was away."""

    async def main(world: World) -> None:
        async with world.leading() as (store, _):
            world.network.lose_quorum()
            await asyncio.wait_for(store.lost.wait(), 20)
            await store.close()
            world.network.find_quorum()
            begin_s = asyncio.get_running_loop().time()
            async with world.leading() as (second, _):
                assert asyncio.get_running_loop().time() - begin_s < 0.5
                await second.commit(switch("shop", BLUE))

    story(main)


def test_a_leader_whose_key_was_deleted_notices() -> None:
    async def main(world: World) -> None:
        async with world.leading() as (store, _):
            world.network.etcd.transact((), [Delete(KEYS.leader)])
            await asyncio.wait_for(store.lost.wait(), 2)

    story(main)


def test_an_election_that_is_not_answered_is_stood_for_again() -> None:
    """Rule 50: without its lease a key that comes late is never there."""

    async def main(world: World) -> None:
        way = world.way
        way.fates = [way.held_up, way.unanswered]
        async with world.leading(with_loops=False) as (store, _):
            assert await way.arrive() == [False]
            await store.commit(switch("shop", BLUE))
        with pytest.raises(EtcdRefused, match="lease"):
            await way.arrive()
        assert (await world.stored()).services == {"shop": BLUE}

    story(main)


def test_the_leader_writes_the_lowest_format_that_all_replicas_know() -> None:
    """Rule 64."""

    async def main(world: World) -> None:
        etcd = world.network.etcd
        async with world.leading():
            await asyncio.sleep(1)
            assert orjson.loads(world.value(KEYS.format))["readable_from"] == 1
            etcd.transact((), [Put(KEYS.format, UNFINISHED.model_dump_json().encode())])
            await asyncio.sleep(30)
            assert format_of(world.value(KEYS.format)) == UNFINISHED  # somebody fills it: that is left alone
        assert format_for([3, 1, 2]).writes == 1

    story(main)


def test_a_store_of_a_newer_format_is_led_by_nobody_who_does_not_know_it() -> None:
    """Rule 64."""

    async def main(world: World) -> None:
        world.network.etcd.transact((), [Put(KEYS.format, b'{"writes": 8, "readable_from": 7}')])
        store = EtcdStore(world.way, PREFIX, Identity("r1", "host 1"))
        with pytest.raises(StoreError, match="format 8, readable from 7 on"):
            await store.open(wait_s=5)
        world.network.etcd.transact((), [Put(KEYS.format, b'{"writes": 8, "readable_from": 1}')])
        await store.open(wait_s=5)
        await store.close()

    story(main)


# --- documents and texts ----------------------------------------------------------------------------------------------


def test_two_documents_never_have_one_revision() -> None:
    """Rule 53, P6."""

    async def main(world: World) -> None:
        way = world.way
        async with world.leading() as (store, _):
            assert await store.publish(document(1)) == 1
            way.fates = [way.held_up]  # and put once more, under the same revision
            assert await store.publish(document(2)) == 2
            assert await way.arrive() == [False]
            way.late = []
            way.fates = [way.held_up] * 100
            with pytest.raises(StoreUncertain):
                await store.publish(document(3))
            held_up, way.late, way.fates = way.late, way.late[:1], []
            assert await way.arrive() == [True]  # the first of them comes now: it is document 3
            way.late = held_up[1:]
            assert await store.publish(document(4)) == 4
            assert not any(await way.arrive())
            assert await store.publish(document(4)) == 4

    story(main)


def test_a_text_whose_put_was_not_answered_is_no_conflict_with_itself() -> None:
    """Rule 62."""

    async def main(world: World) -> None:
        way = world.way
        async with world.leading() as (store, _):
            await store.save_desired("environment: one")
            way.fates = [way.unanswered]
            await store.save_desired("environment: two", expect=text_key("environment: one"))
            way.fates = [way.held_up]
            await store.save_desired("environment: three", expect=text_key("environment: two"))
            assert await way.arrive() == [False]
        assert (await world.stored()).desired_text == "environment: three"

    story(main)


# --- rows -------------------------------------------------------------------------------------------------------------


def seen(number: int) -> StoredServers:
    return StoredServers(ByColour((Server(f"http://10.0.0.{number}:80", "r1"),), ()))


def test_servers_that_come_late_do_not_replace_newer_ones() -> None:
    """Rule 52."""

    async def main(world: World) -> None:
        way = world.way
        async with world.leading() as (store, _):
            way.fates = [way.held_up, way.unanswered]
            await store.save_servers({"shop": seen(1), "blog": seen(1)})
            await store.commit(Change(services={"shop": BLUE}, servers={"shop": seen(2)}))
            assert await way.arrive() == [False]
            await store.save_servers({"blog": seen(3)})
        assert (await world.stored()).servers == {"shop": seen(2), "blog": seen(3)}

    story(main)


def test_servers_that_etcd_has_are_not_put_again_unless_that_is_in_doubt() -> None:
    """Rule 52: a takeover of 10,000 services puts none of them."""

    async def main(world: World) -> None:
        async with world.leading() as (store, _):
            await store.save_servers({"shop": seen(1), "blog": seen(1)})
        there = world.found(KEYS.seen("shop"))
        async with world.leading() as (store, _):
            await store.save_servers({"shop": seen(1), "blog": seen(2)})
            assert world.found(KEYS.seen("shop")) == there
            world.way.fates = [world.way.held_up] * 100
            with pytest.raises(StoreUncertain):
                await store.save_servers({"shop": seen(3)})
            world.way.fates = []
            assert (await world.way.arrive())[0], "it came late"
            await store.save_servers({"shop": seen(1)})
        assert (await world.stored()).servers == {"shop": seen(1), "blog": seen(2)}

    story(main)


def test_members_of_a_group_are_one_row_and_keep_their_own_states() -> None:
    """Rule 52: what is known of the others goes with each put."""

    async def main(world: World) -> None:
        members = {f"s{number}": replace(BLUE, group="g") for number in range(5)}
        async with world.leading() as (store, _):
            await store.commit(Change(services=members, groups={"@g": GroupState(rollouts=1)}))
            await store.save_servers({"s1": seen(1)})
            await store.save_servers({"s2": seen(2)})
            await store.commit(Change(services={"s3": replace(GREEN, group="g")}, servers={"s2": seen(3)}))
        stored = await world.stored()
        assert stored.services == members | {"s3": replace(GREEN, group="g")}
        assert stored.servers == {"s1": seen(1), "s2": seen(3)}
        assert stored.groups == {"@g": GroupState(rollouts=1)}

    story(main)


@pytest.mark.parametrize("together", [2, 300])
def test_services_that_move_to_another_group_are_in_one_row_after_a_start(together: int) -> None:
    """Rule 52: the rows that they left are put when there is room, and count less until then."""

    async def main(world: World) -> None:
        names = [f"s{number}" for number in range(together)]
        async with world.leading() as (store, _):
            for begin in range(0, together, store.most_groups):
                some = names[begin : begin + store.most_groups]
                await store.commit(Change(services=dict.fromkeys(some, BLUE), servers={name: seen(1) for name in some}))
            moved = {name: replace(GREEN, group="g") for name in names}
            await store.commit(Change(services=moved, servers={name: seen(2) for name in names}))
        stored = await world.stored()
        assert stored.services == moved
        assert stored.servers == {name: seen(2) for name in names}
        async with world.leading() as (store, _):
            await store.commit(Change(services=dict.fromkeys(names[:2], BLUE)))
            await store.save_servers({names[0]: seen(3)})
        stored = await world.stored()
        assert stored.services == moved | dict.fromkeys(names[:2], BLUE)
        assert stored.servers == {name: seen(2) for name in names} | {names[0]: seen(3)}

    story(main)


def test_what_does_not_fit_etcd_is_refused_by_name_and_harms_nothing() -> None:
    async def main(world: World) -> None:
        rng = random.Random(1)
        async with world.leading() as (store, _):
            many = {f"s{number}": replace(BLUE, group="g") for number in range(MEMBERS_MOST + 1)}
            with pytest.raises(StoreError, match="group g has 1001 services"):
                await store.commit(Change(services=many))
            rows = tuple(Decision(NOON, "s", Event.SHIFTED, detail=rng.randbytes(99_000).hex()) for _ in range(20))
            with pytest.raises(StoreError, match=r"change of \d+ bytes is larger than etcd takes"):
                await store.commit(Change(decisions=rows))
            with pytest.raises(StoreError, match=r"the document of all services is larger than etcd takes .* another"):
                await store.publish(replace(DOCUMENT, body=rng.randbytes(1_600_000)))
            many.popitem()
            await store.commit(Change(services=many, servers={name: seen(1) for name in many}))
        stored = await world.stored()
        assert stored.services == many
        assert len(stored.servers) == MEMBERS_MOST

    story(main)


def test_that_etcd_has_no_space_for_an_election_is_told_once_it_lasts() -> None:
    """Rule 56: nobody leads, and an operator hears why."""

    async def main(world: World) -> None:
        told: list[str] = []
        way = Way(world.network)
        way.fates = [way.no_space] * 4
        store = EtcdStore(way, PREFIX, Identity("r1", "host 1"), on_failure=told.append)
        await store.open(wait_s=9)
        await store.close()
        assert told == ["etcdserver: mvcc: database space exceeded"] * 2

    story(main)


def test_a_document_that_cannot_be_read_is_made_anew_above_what_was_served() -> None:
    """P4, P6, rule 57: it is made of the rest, so it keeps no replica from leading."""

    async def main(world: World) -> None:
        async with world.leading() as (store, _):
            await store.publish(document(1))
            await store.publish(document(2))
            world.network.etcd.transact((), [Put(KEYS.document, b"nonsense")])
            assert await store.publish(document(3)) == 3
        world.network.etcd.transact((), [Put(KEYS.document, b"nonsense")])
        store = EtcdStore(Way(world.network), PREFIX, Identity("r2", "host 2"), served=lambda: 7)
        async with opened(store, with_loops=True) as stored:
            assert stored.revision == 0
            assert await store.publish(document(2)) == 8
            world.network.etcd.transact((), [Put(KEYS.document, b"nonsense")])
            assert await store.publish(document(4)) == 9

    story(main)
