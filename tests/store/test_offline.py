"""Rule 65: a store is written as one text, filled from one, and copied into a store of any kind."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from provider.model import ByColour, Decision, Event, GroupState, Server
from provider.model.document import AppliedText
from provider.model.errors import StoreConflict, StoreError, StoreLocked
from provider.store import Change, Stored, StoredServers, offline
from provider.store.contents import FORMAT, Contents, ContentsRefused, read, written
from provider.store.kinds import kind_of
from tests.support.etcd import Cluster
from tests.support.stores import BLUE, DOCUMENT, GREEN, NOON, changes, switch

KINDS = ["sqlite", "etcd"]


class Sites:
    """URLs of stores, each of another place."""

    def __init__(self, folder: Path, etcd: Cluster) -> None:
        self._folder, self._etcd, self._count = folder, etcd, 0

    def __call__(self, kind: str) -> str:
        self._count += 1
        name = f"{self._folder.name} {self._count}"
        if kind == "sqlite":
            return f"sqlite:{self._folder / name}"
        return f"etcd://{self._etcd.addresses}/{name.replace(' ', '/')}"


@pytest.fixture
def sites(tmp_path: Path, etcd: Cluster) -> Sites:
    return Sites(tmp_path, etcd)


def source(url: str) -> Any:
    kind = kind_of(url)
    return kind.source(kind.parse(url), None)


def target(url: str) -> Any:
    kind = kind_of(url)
    return kind.target(kind.parse(url), None)


async def export(url: str) -> bytes:
    kind = kind_of(url)
    return written(await kind.read_all(kind.parse(url), None))


def lived() -> Contents:
    """Return what a daemon leaves: services alone and in a group, servers, a history of many commits, texts."""
    names = [f"service {number}" for number in range(150)]
    services = {name: replace(BLUE, settled=ByColour(frozenset({"r2", "r1"}), frozenset())) for name in names}
    services |= {name: replace(GREEN, group="pair") for name in ("shop", "blog")}
    key = Server("http://10.0.0.7:80", "r1", container="9c1f2e").key
    seen = StoredServers(ByColour((Server("http://10.0.0.7:80", "r1", container="9c1f2e"),), ()), frozenset({key}))
    history = tuple(
        Decision(NOON, "shop", Event.SHIFTED, detail=f"{number} " + "x" * (20_000 if number == 7 else 10))
        for number in range(350, 0, -1)
    )
    return Contents(
        Stored(
            services=services,
            groups={"@pair": GroupState(rollouts=3), **dict.fromkeys(names, GroupState(rollouts=1))},
            servers={"shop": seen, "service 3": seen, "service 4": StoredServers()},
            desired_text="environment: production # ü\n",
            revision=42,
            applied=AppliedText("environment: before\n", "bluegreen-000000000001", "hash"),
        ),
        history,
    )


async def put(url: str, contents: Contents) -> None:
    await offline.fill(target(url), contents)


@pytest.mark.parametrize("through", KINDS)
@pytest.mark.parametrize("begin", KINDS)
async def test_a_copy_there_and_back_has_everything(sites: Sites, begin: str, through: str) -> None:
    first, second, third = sites(begin), sites(through), sites(begin)
    await put(first, lived())
    before = await export(first)
    assert read(before) == lived()
    await offline.copy(source(first), target(second))
    await offline.copy(source(second), target(third))
    assert await export(first) == await export(second) == await export(third) == before


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes)
def test_whatever_was_committed_survives_the_way_through_a_text_and_both_kinds(sites: Sites, change: Change) -> None:
    async def play() -> None:
        first, second = sites("sqlite"), sites("etcd")
        store = target(first)
        async with offline.held(store):
            await store.commit(change)
        text = await export(first)
        assert written(read(text)) == text
        await offline.fill(target(second), read(text))
        assert await export(second) == text

    asyncio.run(play())


@pytest.mark.parametrize("kind", KINDS)
async def test_documents_go_on_above_the_revision_that_was_copied(sites: Sites, kind: str) -> None:
    """P6."""
    url = sites(kind)
    await put(url, lived())
    store = source(url)
    async with offline.held(store) as stored:
        assert stored.revision == 42
        assert await store.publish(DOCUMENT) == 43


@pytest.mark.parametrize("kind", KINDS)
async def test_only_an_empty_store_is_filled(sites: Sites, kind: str) -> None:
    url = sites(kind)
    store = target(url)
    async with offline.held(store):
        await store.commit(switch("shop", GREEN))
    with pytest.raises(StoreConflict, match=r"has a store already.*nothing was changed\. Name a"):
        await put(url, lived())
    assert read(await export(url)).stored.services == {"shop": GREEN}


@pytest.mark.parametrize("kind", KINDS)
async def test_a_store_that_a_daemon_uses_is_neither_copied_nor_filled(
    sites: Sites, kind: str, monkeypatch: Any
) -> None:
    monkeypatch.setattr(offline, "WAIT_S", 0.1)
    url = sites(kind)
    async with offline.held(target(url)):
        with pytest.raises(StoreLocked):
            await put(url, lived())
        with pytest.raises(StoreLocked):
            await offline.copy(target(url), target(sites("sqlite")))


async def test_a_store_on_etcd_is_written_while_replicas_use_it(sites: Sites) -> None:
    """A backup stops nobody; it is of one revision."""
    url = sites("etcd")
    store = target(url)
    async with offline.held(store):
        await store.commit(switch("shop", GREEN))
        assert read(await export(url)).stored.services == {"shop": GREEN}


async def test_an_empty_prefix_that_could_not_be_filled_is_empty_again(sites: Sites) -> None:
    url = sites("etcd")
    many = {f"service {number}": replace(BLUE, group="all") for number in range(1001)}
    contents = replace(lived(), stored=replace(lived().stored, services=many))
    with pytest.raises(StoreError, match="a group in etcd may have 1000"):
        await put(url, contents)
    await put(url, lived())
    assert read(await export(url)) == lived()


async def test_a_part_of_a_store_is_led_by_nobody(sites: Sites, monkeypatch: Any) -> None:
    """An import that was killed leaves a part: decisions on it would be on too little."""
    monkeypatch.setattr(offline, "WAIT_S", 0.1)
    url = sites("etcd")
    store = target(url)

    async def killed(_: object) -> None:
        raise asyncio.CancelledError

    store.save_servers = killed
    with pytest.raises(asyncio.CancelledError):
        await offline.fill(store, lived())
    for again in (put(url, lived()), export(url)):
        with pytest.raises(StoreError, match="did not end: delete all keys below it"):
            await again


async def test_a_directory_without_a_store_is_not_made_one_by_reading_it(tmp_path: Path) -> None:
    with pytest.raises(StoreConflict, match=r"has no store \(bluegreen.db\)"):
        await export(f"sqlite:{tmp_path / 'none'}")
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "is no export of a store: the text: Invalid JSON"),
        (b"[]", "is no export of a store: the text: Input should be"),
        (b"{}", "is no export of a store: format: Field required"),
        (b'{"format": %d, "planets": 9}' % (FORMAT + 1), "is written by a newer version: it has format 2"),
        (b'{"format": 1}', "revision: Field required"),
        (written(lived()).replace(b'"revision": 42', b'"revision": -1'), "revision: Input should be greater"),
        (written(lived()).replace(b'"active":"green"', b'"active":"red"'), "row 'blog' of table services.*active: "),
        (written(lived()).replace(b'"event":"shifted"', b'"evnt":"shifted"', 1), "row 1 of table decisions.*"),
    ],
)
def test_a_text_that_is_no_export_is_refused_with_what_is_wrong(text: bytes, words: str) -> None:
    with pytest.raises(ContentsRefused, match=words):
        read(text)
