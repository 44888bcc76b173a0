"""The store against kill -9, a second process and real file systems that are full or read-only."""

import asyncio
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provider.model import ByColour, Colour, Decision, Event, GroupState, RollbackTarget, Server, ServiceState
from provider.model.document import Document
from provider.model.errors import StoreError, StoreLocked
from provider.store import Change, Stored, StoredServers
from provider.store.sqlite import SqliteStore
from tests.support.disk import MIB, fill, mount
from tests.support.paths import ROOT

DOCUMENT = Document(b"{}", "etag", "bluegreen-000000000001")
ROUNDS = int(os.environ.get("BLUEGREEN_ROUNDS", "15"))
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def numbered(number: int) -> Change:
    """A change that says its number in two tables and in the history."""
    return Change(
        services={"shop": ServiceState(active=Colour.GREEN, rollback_target=RollbackTarget(Colour.BLUE, str(number)))},
        groups={"shop": GroupState(rollouts=number)},
        decisions=(Decision(NOON, "shop", Event.RUNNING, release=str(number)),),
    )


def number_of(stored: Stored) -> int:
    """The number of the last change that is in the store, the same in both tables; 0 for an empty store."""
    if not stored.services:
        assert not stored.groups
        return 0
    rollback_target = stored.services["shop"].rollback_target
    assert rollback_target is not None
    assert rollback_target.release == str(stored.groups["shop"].rollouts)
    return stored.groups["shop"].rollouts


def many_servers(services: int) -> dict[str, StoredServers]:
    server = Server("http://10.0.0.7:80", "77b0e1d2" * 8)
    return {f"service {number}": StoredServers(ByColour((server,), (server,))) for number in range(services)}


async def commit_without_end(path: Path) -> None:
    """What the killed process does: it prints what the store acknowledged."""
    store = SqliteStore(path)
    print("opening", flush=True)
    number = number_of(await store.open(wait_s=60))
    print("opened", flush=True)
    reserving = asyncio.create_task(store.loops()["reserve"]())
    while not reserving.done():
        number += 1
        await store.commit(numbered(number))
        print("change", number, flush=True)
        await store.save_servers(many_servers(number % 20))
        print("revision", await store.publish(DOCUMENT), flush=True)


@contextlib.contextmanager
def committing(path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.integration.test_store_crash", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def read(process: subprocess.Popen[str], count: int) -> list[str]:
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


def kill(process: subprocess.Popen[str]) -> list[str]:
    """Kill the process; return the unread lines that it printed."""
    process.kill()
    assert process.stdout is not None
    return process.stdout.readlines()


def stop(process: subprocess.Popen[str]) -> None:
    """Stop the process."""
    os.kill(process.pid, signal.SIGSTOP)
    os.waitpid(process.pid, os.WUNTRACED)


def acknowledged(what: str, lines: list[str]) -> int:
    """The last number that was printed after a word, 0 for none. A line that was cut off does not count."""
    numbers = [int(line.split()[1]) for line in lines if line.startswith(what) and line.endswith("\n")]
    return numbers[-1] if numbers else 0


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[tuple[SqliteStore, Stored]]:
    store = SqliteStore(path)
    try:
        yield store, await store.open(wait_s=0)
    finally:
        await store.close()


@pytest.mark.takes(10)
async def test_kill_9_at_any_instant_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """P5, P6. At most the one change under way is there beyond the acknowledged ones, and it is there whole."""
    number = revision = 0
    for _ in range(ROUNDS):
        with committing(tmp_path) as process:
            lines = read(process, random.choice([1, 2, 3, random.randrange(4, 800)]))
            lines += kill(process)
        async with opened(tmp_path) as (store, stored):
            at_least = max(number, acknowledged("change", lines))
            revision = max(revision, acknowledged("revision", lines))
            number = number_of(stored)
            assert at_least <= number <= at_least + 1
            assert revision <= stored.revision
            releases = [decision.release for decision in await store.history(limit=20_000)]
            assert releases == [str(each) for each in range(number, max(0, number - 10_000), -1)]
    assert number > ROUNDS


async def test_a_directory_copied_in_mid_flight_opens_with_all_that_was_acknowledged(tmp_path: Path) -> None:
    """Rule 13. The process is stopped while its files are copied, WAL and all, as in a snapshot of the disk."""
    for copy in (tmp_path / str(number) for number in range(5)):
        with committing(tmp_path / "state") as process:
            lines = read(process, random.randrange(3, 400))
            stop(process)
            shutil.copytree(tmp_path / "state", copy)
            lines += kill(process)
        async with opened(copy) as (store, stored):
            at_least = acknowledged("change", lines)
            assert at_least <= number_of(stored) <= at_least + 1
            await store.commit(numbered(number_of(stored) + 1))


async def test_a_second_process_is_refused_until_the_first_is_dead(tmp_path: Path) -> None:
    """Rule 13."""
    with committing(tmp_path) as process:
        assert read(process, 2) == ["opening\n", "opened\n"]
        with pytest.raises(StoreLocked, match=rf"pid {process.pid} on .*still after 0\.1 s"):
            await SqliteStore(tmp_path).open(wait_s=0.1)
        store = SqliteStore(tmp_path)
        waiting = asyncio.create_task(store.open(wait_s=60))
        lines = kill(process)
        assert number_of(await waiting) >= acknowledged("change", lines)
        await store.close()


async def test_a_full_disk_still_takes_decisions_from_the_room_kept_back(disk: Path) -> None:
    """Rule 13. Observations do not use up that room, and it is kept back again once there is room."""
    ballast = disk / "state" / "ballast"
    number = 1
    async with opened(disk / "state") as (store, _):
        await store.commit(numbered(number))
        filler = fill(disk)
        with pytest.raises(StoreError, match=r"no room left on the disk\. Make room"):
            await store.save_servers(many_servers(10_000))
        assert ballast.exists()
        while ballast.exists():
            number += 1
            await store.commit(numbered(number))
        await store.commit(numbered(number + 1))
        await store.publish(DOCUMENT)
        filler.unlink()
        await store.save_servers(many_servers(10))
        assert ballast.stat().st_size == MIB
    async with opened(disk / "state") as (_, stored):
        assert number_of(stored) == number + 1
        assert len(stored.servers) == 10
        assert stored.revision == 1


async def test_a_commit_without_any_room_changes_nothing_and_works_once_there_is_some(disk: Path) -> None:
    """Rule 13, P5."""
    number = 1
    async with opened(disk / "state") as (store, _):
        await store.commit(numbered(number))
        (disk / "state" / "ballast").unlink()
        filler = fill(disk)
        refused = None
        while refused is None:
            try:
                await store.commit(numbered(number + 1))
                number += 1
            except StoreError as error:
                refused = error
        assert "no room left on the disk" in str(refused)
        (newest,) = await store.history(limit=1)
        assert newest.release == str(number)
        filler.unlink()
        await store.commit(numbered(number + 1))
    async with opened(disk / "state") as (_, stored):
        assert number_of(stored) == number + 1


async def test_a_start_on_a_full_disk_goes_on_with_what_is_there(disk: Path) -> None:
    """Rule 13, P4."""
    async with opened(disk / "state") as (store, _):
        await store.commit(numbered(1))
    fill(disk)
    async with opened(disk / "state") as (store, stored):
        assert number_of(stored) == 1
        await store.commit(numbered(2))
    async with opened(disk / "state") as (_, stored):
        assert number_of(stored) == 2


async def test_a_first_start_on_a_full_disk_is_refused_and_leaves_nothing_half_made(disk: Path) -> None:
    state = disk / "state"
    state.mkdir()
    filler = fill(disk)
    with pytest.raises(StoreError, match="no room left on the disk"):
        await SqliteStore(state).open(wait_s=0)
    filler.unlink()
    async with opened(state) as (_, stored):
        assert number_of(stored) == 0


@pytest.mark.parametrize("known", [True, False], ids=["with a state", "without a state"])
async def test_a_read_only_state_directory_is_refused(disk: Path, known: bool) -> None:
    if known:
        async with opened(disk / "state") as (store, _):
            await store.commit(numbered(1))
    mount("-o", "remount,ro", str(disk))
    with pytest.raises(StoreError, match=r"cannot be written\. Make the file system writable"):
        await SqliteStore(disk / "state").open(wait_s=0)


if __name__ == "__main__":
    asyncio.run(commit_without_end(Path(sys.argv[1])))
