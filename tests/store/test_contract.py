"""What every store does, whatever its kind: the same tests for all of them."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from provider.model import ByColour, Decision, Event, Health, Server
from provider.model.document import AppliedText, text_key
from provider.model.errors import StoreConflict, StoreError
from provider.store import Change, Stored, StoredServers
from tests.support.stores import (
    BLUE,
    DOCUMENT,
    GREEN,
    NOON,
    Place,
    Places,
    changes,
    contents,
    details,
    etcd_places,
    opened,
    sqlite_places,
    switch,
)


@pytest.fixture(params=["sqlite", "etcd"])
def places(request: pytest.FixtureRequest, tmp_path: Path) -> Places:
    """Make empty places for stores of one kind."""
    match request.param:
        case "sqlite":
            return sqlite_places(tmp_path)
        case "etcd":
            return etcd_places(request.getfixturevalue("etcd"))
        case kind:
            raise AssertionError(kind)


@pytest.fixture
def place(places: Places) -> Place:
    """An empty place for a store."""
    return places()


async def test_a_new_store_is_empty(place: Place) -> None:
    assert await contents(place) == Stored({}, {}, {}, None, 0)
    async with opened(place) as store:
        assert await store.history() == ()
        assert not store.lost.is_set()
        assert store.most_groups >= 1


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes)
def test_what_was_committed_is_what_a_later_start_reads(places: Places, change: Change) -> None:
    """P5."""

    async def round_trip() -> None:
        place = places()
        async with opened(place) as store:
            await store.commit(change)
            assert await store.history() == tuple(reversed(change.decisions))
        assert await contents(place) == Stored(change.services, change.groups, change.servers, None, 0)

    asyncio.run(round_trip())


async def test_a_commit_of_as_many_groups_as_there_may_be_is_taken(place: Place) -> None:
    async with opened(place) as store:
        names = [f"service {number}" for number in range(store.most_groups)]
        rows = tuple(Decision(NOON, name, Event.SHIFTED) for name in names)
        seen = StoredServers(ByColour((Server("http://10.0.0.7:80", "r1" * 32),), ()))
        await store.commit(
            Change(services=dict.fromkeys(names, BLUE), servers=dict.fromkeys(names, seen), decisions=rows)
        )
    stored = await contents(place)
    assert (stored.services, stored.servers) == (dict.fromkeys(names, BLUE), dict.fromkeys(names, seen))


async def test_a_later_state_takes_the_place_of_the_earlier_one_and_of_no_other(place: Place) -> None:
    async with opened(place) as store:
        await store.commit(Change(services={"shop": BLUE, "blog": BLUE}))
        await store.commit(Change(services={"shop": GREEN}))
    assert (await contents(place)).services == {"shop": GREEN, "blog": BLUE}


@pytest.mark.parametrize("steps", range(6))
async def test_of_a_commit_that_its_caller_gives_up_all_is_there_or_nothing(place: Place, steps: int) -> None:
    """P5, rule 51: and what follows it stands."""
    async with opened(place) as store:
        await store.commit(switch("shop", BLUE, detail="first"))
        given_up = asyncio.create_task(store.commit(switch("shop", GREEN, detail="given up")))
        for _ in range(steps):
            await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        await store.commit(switch("blog", BLUE, detail="last"))
        found = await details(store)
    assert found in (["last", "first"], ["last", "given up", "first"])
    active = (await contents(place)).services["shop"]
    assert active == (GREEN if "given up" in found else BLUE)


async def test_history_is_newest_first_by_service_date_and_number(place: Place) -> None:
    async with opened(place) as store:
        for hour in range(4):
            at = NOON + timedelta(hours=hour)
            await store.commit(switch("shop", BLUE, detail=f"shop {hour}", at=at))
            await store.commit(switch("blog", BLUE, detail=f"blog {hour}", at=at + timedelta(microseconds=1)))
        of_shop = await store.history(service="shop")
        assert [each.detail for each in of_shop] == ["shop 3", "shop 2", "shop 1", "shop 0"]
        assert [each.detail for each in await store.history(limit=3)] == ["blog 3", "shop 3", "blog 2"]
        recent = await store.history(since=NOON + timedelta(hours=2, microseconds=1))
        assert [each.detail for each in recent] == ["blog 3", "shop 3", "blog 2"]
        assert [each.detail for each in await store.history(service="shop", limit=1)] == ["shop 3"]
        assert await store.history(service="till") == ()
        assert await store.history(limit=0) == ()


async def test_history_keeps_the_newest_decisions_only(place: Place) -> None:
    async with opened(place, history_limit=3) as store:
        for number in range(5):
            await store.commit(switch("shop", BLUE, detail=str(number)))
        assert await details(store) == ["4", "3", "2"]
        rows = tuple(Decision(NOON, "shop", Event.SHIFTED, detail=f"of one commit {number}") for number in range(4))
        await store.commit(Change(decisions=rows))
        assert await details(store) == [f"of one commit {number}" for number in (3, 2, 1)]
    async with opened(place, history_limit=3) as store:
        assert await details(store) == [f"of one commit {number}" for number in (3, 2, 1)]


async def test_revisions_rise_also_from_one_process_to_the_next(place: Place) -> None:
    """P6."""
    published: list[int] = []
    for _ in range(3):
        async with opened(place) as store:
            for _ in range(3):
                document = replace(DOCUMENT, body=b'{"number": %d}' % len(published), etag=f"etag {len(published)}")
                published.append(await store.publish(document))
        assert (await contents(place)).revision >= published[-1]
    assert published == sorted(set(published))


async def test_where_nothing_was_published_no_revision_is_taken(place: Place) -> None:
    """Rule 1: the next start must still be one that knows no document."""
    async with opened(place):
        pass
    assert (await contents(place)).revision == 0


async def test_the_last_desired_state_and_the_last_servers_are_kept(place: Place) -> None:
    """Rule 13; monotonic times belong to a process and are not kept."""
    server = Server("http://10.0.0.7:80", "r1", container="9c1f2e", docker_health=Health.HEALTHY, leaving_mono_s=12.5)
    seen = StoredServers(ByColour((server,), ()), frozenset({server.key}))
    async with opened(place) as store:
        await store.save_desired("environment: old")
        await store.save_desired("environment: new # ü")
        await store.save_servers({"shop": seen, "blog": seen})
        await store.save_servers({"blog": StoredServers()})
    stored = await contents(place)
    assert stored.desired_text == "environment: new # ü"
    staying = replace(server, leaving_mono_s=None)
    assert stored.servers["shop"] == replace(seen, colours=ByColour((staying,), ()))
    assert stored.servers.get("blog", StoredServers()) == StoredServers()


async def test_a_desired_state_is_put_only_in_place_of_the_one_that_was_expected(place: Place) -> None:
    """Rule 62: of two who edit the same text, one is told."""
    async with opened(place) as store:
        with pytest.raises(StoreConflict, match="no desired state is stored"):
            await store.save_desired("environment: one", expect=text_key("environment: none"))
        await store.save_desired("environment: one")
        await store.save_desired("environment: two", expect=text_key("environment: one"))
        with pytest.raises(StoreConflict, match=text_key("environment: two")):
            await store.save_desired("environment: three", expect=text_key("environment: one"))
        await store.commit(switch("shop", BLUE))  # a conflict ends nothing
    assert (await contents(place)).desired_text == "environment: two"


async def test_the_text_that_traefik_applied_last_is_kept_beside_the_last_good_one(place: Place) -> None:
    """Rule 15: with a marker that it showed of it, and what it refuses."""
    texts = (
        AppliedText("environment: old", "bluegreen-1"),
        AppliedText("environment: old", "bluegreen-2", "hash"),
        AppliedText("environment: older", "bluegreen-3", "hash"),
        AppliedText("environment: older", "bluegreen-4"),
    )
    for applied in texts:
        async with opened(place) as store:
            await store.save_desired("environment: new")
            await store.save_applied(applied)
        stored = await contents(place)
        assert (stored.applied, stored.desired_text) == (applied, "environment: new")


async def test_a_commit_brings_the_texts_that_its_decisions_follow(place: Place) -> None:
    """Rule 13: a start on the text before would undo them."""
    applied = AppliedText("environment: old", "bluegreen-1")
    async with opened(place) as store:
        await store.save_desired("environment: old")
        await store.commit(replace(switch("shop", GREEN), desired_text="environment: new", applied=applied))
        await store.commit(switch("shop", BLUE))
    stored = await contents(place)
    assert (stored.desired_text, stored.applied) == ("environment: new", applied)
    assert stored.services == {"shop": BLUE}


async def test_who_opens_waits_until_the_one_before_has_closed(place: Place) -> None:
    """Rule 13, rule 50."""
    first, second = place.store(), place.store()
    await first.open(wait_s=60)
    waiting = asyncio.create_task(second.open(wait_s=60))
    await first.commit(switch("shop", GREEN))
    assert not waiting.done()
    await first.close()
    assert (await waiting).services == {"shop": GREEN}
    await second.commit(switch("shop", BLUE))
    await second.close()
    assert (await contents(place)).services == {"shop": BLUE}


async def test_who_opens_does_not_wait_for_ever(place: Place) -> None:
    """Rule 13."""
    async with opened(place) as store:
        other = place.store()
        with pytest.raises(StoreError, match=r"still after 0\.2 s"):
            await other.open(wait_s=0.2)
        await other.close()
        await store.commit(switch("shop", BLUE))


async def test_a_closed_store_takes_nothing_more(place: Place) -> None:
    store = place.store()
    await store.open(wait_s=60)
    await store.close()
    for refused in (store.commit(switch("shop", GREEN)), store.save_desired("environment: late")):
        with pytest.raises((StoreError, RuntimeError)):
            await refused
    assert await contents(place) == Stored({}, {}, {}, None, 0)


@pytest.mark.parametrize(
    ("state", "field"),
    [('{"actve": "blue"}', "actve"), ('{"active": "red"}', "active"), ("[1]", "the row")],
)
async def test_a_row_that_cannot_be_read_is_named(place: Place, state: str, field: str) -> None:
    async with opened(place) as store:
        await store.commit(Change(services={"blog": BLUE, "shop": BLUE}))
    place.spoil("shop", state)
    with pytest.raises(StoreError) as refused:
        await contents(place)
    assert "shop" in str(refused.value)
    assert f"cannot be read: {field}: " in str(refused.value)
