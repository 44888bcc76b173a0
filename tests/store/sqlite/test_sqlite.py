import asyncio
import fcntl
import os
import random
import re
import resource
import shutil
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path

import pytest

from provider.model import (
    Decision,
    Event,
)
from provider.model.errors import StoreError, StoreLocked, StoreUncertain
from provider.store import Change, Stored, StoredServers, sqlite
from provider.store.sqlite import RESERVED, RESERVED_AT_LEAST, SqliteStore, database, directory, schema
from provider.store.sqlite.counter import SLOT_BYTES, CommitCounter
from provider.store.sqlite.schema import COUNTED
from tests.support.running import kill
from tests.support.stores import BLUE, DOCUMENT, GREEN, NOON, details, switch
from tests.support.waiting import eventually


@asynccontextmanager
async def opened(path: Path, *, answer_s: float = 10.0, history_limit: int = 10_000) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, answer_s=answer_s, history_limit=history_limit)
    await store.open(wait_s=0)
    try:
        yield store
    finally:
        await store.close()


async def contents(path: Path) -> Stored:
    store = SqliteStore(path)
    try:
        return await store.open(wait_s=0)
    finally:
        await store.close()


async def refusal(path: Path) -> str:
    """The words with which a store refuses to open; it must not have changed what it refuses."""
    before = (path / "bluegreen.db").read_bytes() if (path / "bluegreen.db").exists() else None
    with pytest.raises(StoreError) as refused:
        await contents(path)
    if before is not None:
        assert (path / "bluegreen.db").read_bytes() == before
    return str(refused.value)


@contextmanager
def another_program(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path / "bluegreen.db", isolation_level=None)) as connection:
        yield connection


async def checkpoint(store: SqliteStore) -> None:
    await store._call(10.0, store._database.checkpoint)


async def test_a_new_state_directory_is_empty_and_the_daemons_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "state"
    store = SqliteStore(path)
    assert await store.open(wait_s=0) == Stored({}, {}, {}, None, 0)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.iterdir()}
    await store.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o700
    files = ["ballast", "bluegreen.db", "bluegreen.db-shm", "bluegreen.db-wal", "commits", "lock"]
    assert modes == dict.fromkeys(files, 0o600)
    assert (path / "ballast").stat().st_blocks * 512 >= directory.BALLAST_BYTES


async def test_a_commit_that_fails_half_way_leaves_nothing_and_the_next_one_works(tmp_path: Path) -> None:
    """P5, rule 13."""
    async with opened(tmp_path) as store:
        await store.commit(switch("shop", BLUE, detail="first"))
        with another_program(tmp_path) as other:
            other.execute(
                "CREATE TRIGGER refuse BEFORE INSERT ON decisions WHEN new.service = 'bad' "
                "BEGIN SELECT RAISE(ABORT, 'refused by the test'); END"
            )
            with pytest.raises(StoreError, match="refused by the test"):
                await store.commit(
                    Change(
                        services={"shop": GREEN, "blog": GREEN},
                        decisions=(Decision(NOON, "shop", Event.SHIFTED), Decision(NOON, "bad", Event.SHIFTED)),
                    )
                )
            assert await details(store) == ["first"]
            other.execute("DROP TRIGGER refuse")
        await store.commit(switch("till", GREEN, detail="fourth"))
        assert await details(store) == ["fourth", "first"]
    assert (await contents(tmp_path)).services == {"shop": BLUE, "till": GREEN}


async def commit_late(store: SqliteStore, other: sqlite3.Connection, *statements: str) -> None:
    """Make a commit that its caller gives up, and that succeeds then, after the other program's statements."""
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match=r"has not answered for 0\.2 s"):
        await store.commit(switch("shop", GREEN, detail="late"))
    for statement in statements:
        other.execute(statement)
    other.execute("COMMIT")


async def test_a_commit_that_succeeds_after_its_caller_gave_up_is_taken_back_at_once(tmp_path: Path) -> None:
    """P5: the daemon went on without that decision, so a later start must not find it."""
    async with opened(tmp_path, answer_s=0.2) as store:
        await store.commit(switch("shop", BLUE, detail="first"))
        with another_program(tmp_path) as other:
            await commit_late(
                store,
                other,
                "CREATE TABLE inserted (detail TEXT)",
                "CREATE TRIGGER watch AFTER INSERT ON decisions "
                "BEGIN INSERT INTO inserted VALUES (json_extract(new.decision, '$.detail')); END",
            )

            def taken_back() -> bool:
                history = other.execute("SELECT json_extract(decision, '$.detail') FROM decisions").fetchall()
                (active,) = other.execute("SELECT json_extract(state, '$.active') FROM services").fetchone()
                inserted = other.execute("SELECT detail FROM inserted").fetchall()
                return (inserted, history, active) == ([("late",)], [("first",)], "blue")

            assert await eventually(taken_back)


async def test_a_late_commit_that_could_not_be_taken_back_at_once_is_before_the_next_one(tmp_path: Path) -> None:
    """P5."""
    async with opened(tmp_path, answer_s=0.2) as store:
        await store.commit(switch("shop", BLUE, detail="first"))
        with another_program(tmp_path) as other:
            await commit_late(
                store,
                other,
                "CREATE TRIGGER keep BEFORE DELETE ON decisions BEGIN SELECT RAISE(ABORT, 'kept by the test'); END",
            )

            async def refused() -> bool:
                try:
                    await store.commit(switch("blog", GREEN, detail="second"))
                except StoreError as error:
                    return "kept by the test" in str(error)
                return False

            assert await eventually(refused)
            other.execute("DROP TRIGGER keep")

            async def commits() -> bool:
                with suppress(StoreError):  # a machine too busy to answer within 0.2 s
                    await store.commit(switch("blog", GREEN, detail="second"))
                    return True
                return False

            assert await eventually(commits)
        assert await details(store) == ["second", "first"]
    assert (await contents(tmp_path)).services == {"shop": BLUE, "blog": GREEN}


async def test_a_cancelled_commit_does_not_stand_even_when_nothing_follows_it(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit(switch("shop", BLUE, detail="first"))
        with another_program(tmp_path) as other:
            other.execute("BEGIN IMMEDIATE")
            cancelled = asyncio.create_task(store.commit(switch("shop", GREEN, detail="late")))
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(asyncio.CancelledError):
                await cancelled
            other.execute("COMMIT")
    stored = await contents(tmp_path)
    assert stored.services == {"shop": BLUE}


async def test_a_clean_stop_writes_exactly_the_last_revision_and_a_kill_leaves_the_reserve(tmp_path: Path) -> None:
    """P6: after a kill it is unknown how far of the reserve was used."""
    store = SqliteStore(tmp_path)
    await store.open(wait_s=0)
    assert [await store.publish(DOCUMENT) for _ in range(3)] == [1, 2, 3]
    await kill(store)
    store = SqliteStore(tmp_path)
    assert (await store.open(wait_s=0)).revision == RESERVED
    assert await store.publish(DOCUMENT) == RESERVED + 1
    await store.close()
    assert (await contents(tmp_path)).revision == RESERVED + 1


async def test_only_the_first_document_waits_for_the_disk(tmp_path: Path) -> None:
    """P4, P6: a disk that hangs keeps no unhealthy server in the document, however long."""
    async with opened(tmp_path, answer_s=0.2) as store:
        with another_program(tmp_path) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="has not answered"):
                await store.publish(DOCUMENT)
            other.execute("COMMIT")

            async def first() -> int | None:
                with suppress(StoreError):  # a machine too busy to answer within 0.2 s
                    return await store.publish(DOCUMENT)
                return None

            assert await eventually(first) == 1
            other.execute("BEGIN IMMEDIATE")
            for number in range(2, 2 * RESERVED):
                publishing = store.publish(DOCUMENT)
                with pytest.raises(StopIteration) as done:  # it is done at its first step: it waits for nothing
                    publishing.send(None)
                assert done.value.value == number
            other.execute("COMMIT")


async def test_the_reserve_is_filled_up_as_it_is_used(tmp_path: Path) -> None:
    """P6."""
    store = SqliteStore(tmp_path)
    await store.open(wait_s=0)
    filling = asyncio.create_task(store.loops()["reserve"]())
    used = RESERVED - RESERVED_AT_LEAST + 1
    for _ in range(used):
        await store.publish(DOCUMENT)
    with another_program(tmp_path) as other:
        written = eventually(lambda: other.execute("SELECT reserved FROM revision").fetchone() == (RESERVED + used,))
        assert await written
    filling.cancel()
    await kill(store)
    assert (await contents(tmp_path)).revision == RESERVED + used


async def test_what_is_committed_leaves_the_wal_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 13: a WAL that is damaged or lost takes no older decision with it."""
    monkeypatch.setattr(sqlite, "CHECKPOINT_EVERY_S", 0.02)
    async with opened(tmp_path) as store:
        await store.commit(switch("shop", GREEN, detail="first-sight"))
        task = asyncio.create_task(store.loops()["checkpoint"]())
        await eventually(lambda: b"first-sight" in (tmp_path / "bluegreen.db").read_bytes())
        task.cancel()


async def test_a_second_daemon_learns_who_holds_the_directory_and_how_long_it_waited(tmp_path: Path) -> None:
    """Rule 13."""
    async with opened(tmp_path):
        with pytest.raises(StoreLocked) as locked:
            await SqliteStore(tmp_path).open(wait_s=0.2)
    assert str(tmp_path) in str(locked.value)
    assert f"pid {os.getpid()} on " in str(locked.value)
    assert "still after 0.2 s" in str(locked.value)


async def test_a_daemon_whose_lock_was_removed_writes_nothing_more(tmp_path: Path) -> None:
    """Rule 13: otherwise two daemons would write to one store."""
    first = SqliteStore(tmp_path)
    await first.open(wait_s=0)
    await first.commit(switch("shop", BLUE))
    (tmp_path / "lock").unlink()
    async with opened(tmp_path) as second:
        with pytest.raises(StoreError, match="lock: was removed or replaced"):
            await first.commit(switch("shop", GREEN))
        with pytest.raises(StoreError, match="lock: was removed or replaced"):
            await first.close()
        await second.commit(switch("blog", GREEN))
    stored = await contents(tmp_path)
    assert (stored.services, stored.revision) == ({"shop": BLUE, "blog": GREEN}, 0)


def test_a_lock_file_that_is_replaced_while_it_is_locked_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = directory.StateDirectory(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", lambda *_: (tmp_path / "lock").unlink())
        assert not state.try_lock()
    assert state.try_lock()
    state.unlock()


async def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    """Rule 13."""
    await contents(tmp_path)
    with another_program(tmp_path) as other:
        other.execute("PRAGMA user_version = 99")
    words = await refusal(tmp_path)
    assert "has schema version 99" in words
    assert "Run the newer bluegreen" in words


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda _: b"", id="emptied"),
        pytest.param(lambda _: b"environment: production\n" * 2000, id="overwritten"),
        pytest.param(lambda whole: whole[: len(whole) // 2], id="truncated"),
        pytest.param(lambda whole: whole[:4096] + os.urandom(len(whole) - 4096), id="garbled"),
        pytest.param(lambda whole: whole.replace(b'{"at_utc"', b'X"at_utc"'), id="garbled in the history"),
        pytest.param(lambda whole: bytes(len(whole)), id="zeroed"),
    ],
)
async def test_a_damaged_database_is_refused_and_never_started_afresh(
    tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    """Rule 13."""
    async with opened(tmp_path) as store:
        for number in range(50):
            await store.commit(switch(f"shop {number}", BLUE))
    file = tmp_path / "bluegreen.db"
    file.write_bytes(damage(file.read_bytes()))
    words = await refusal(tmp_path)
    assert f"{file}: is damaged" in words
    assert "restore bluegreen.db from a backup" in words
    assert "forgets which colours are active" in words


@pytest.mark.parametrize("left", ["bluegreen.db-wal", "commits", "ballast"])
async def test_what_belongs_to_a_database_that_is_missing_is_no_fresh_start(tmp_path: Path, left: str) -> None:
    """Rule 13: never a silent fresh start."""
    (tmp_path / left).touch()
    words = await refusal(tmp_path)
    assert f"is missing, but its companion files are here ({left})" in words
    assert f"or move {left} aside, too, for a fresh start, which forgets which colours are active" in words
    assert not (tmp_path / "bluegreen.db").exists()
    (tmp_path / left).unlink()
    assert await contents(tmp_path) == Stored({}, {}, {}, None, 0)


async def _newest_detail(path: Path) -> tuple[str | None, str]:
    """The newest decision of a store, else the words with which it does not open."""
    try:
        async with opened(path) as store:
            return (await details(store))[0], ""
    except StoreError as refusal:
        return None, str(refusal)


def _damaged_wal(wal: bytes, generator: random.Random) -> bytes | None:
    match generator.choice(["flipped", "cut", "missing", "zeroed"]):
        case "flipped":
            bit = generator.randrange(len(wal) * 8)
            byte = wal[bit // 8] ^ 1 << bit % 8
            return wal[: bit // 8] + bytes([byte]) + wal[bit // 8 + 1 :]
        case "cut":
            return wal[: generator.randrange(len(wal))]
        case "zeroed":
            begin = generator.randrange(len(wal))
            return wal[:begin] + bytes(min(4096, len(wal) - begin)) + wal[begin + 4096 :]
        case _:
            return None


@pytest.mark.takes(10)
@pytest.mark.parametrize("checkpoints", [False, True], ids=["all of its life in the WAL", "with checkpoints"])
async def test_a_damaged_wal_never_brings_an_older_decision_back(tmp_path: Path, checkpoints: bool) -> None:
    """Rule 13, P5. SQLite itself starts silently with what is before the first damaged frame."""
    store, generator = SqliteStore(tmp_path / "state"), random.Random(11)
    await store.open(wait_s=0)
    for number in range(40):
        await store.commit(switch("shop", GREEN if number % 2 else BLUE, detail=str(number)))
        await store.save_servers({f"shop {number}": StoredServers()})
        if checkpoints and number % 7 == 0:
            await checkpoint(store)
    copies = [tmp_path / str(number) for number in range(110)]
    for copy in copies:  # as kill -9 leaves it
        shutil.copytree(tmp_path / "state", copy, ignore=shutil.ignore_patterns("*-shm"))
    await store.close()
    refused = 0
    for copy in copies:
        wal = copy / "bluegreen.db-wal"
        damaged = _damaged_wal(wal.read_bytes(), generator)
        if damaged is None:
            wal.unlink()
        else:
            wal.write_bytes(damaged)
        newest, refusal = await _newest_detail(copy)
        assert newest in {"39", None}
        if newest is None:
            refused += 1
            assert re.search("has lost decisions that were acknowledged|is damaged", refusal)
            left = wal.read_bytes() if wal.exists() else b""
            assert left == (damaged or b""), "what may be restored from is still there"
    assert refused > 10


async def test_what_was_checkpointed_needs_no_wal(tmp_path: Path) -> None:
    """Rule 13. After kill -9 a whole life used to be in the WAL."""
    store = SqliteStore(tmp_path / "state")
    await store.open(wait_s=0)
    await store.commit(switch("shop", GREEN))
    await checkpoint(store)
    shutil.copytree(tmp_path / "state", tmp_path / "copy", ignore=shutil.ignore_patterns("*-shm", "*-wal"))
    await store.close()
    assert (await contents(tmp_path / "copy")).services == {"shop": GREEN}


async def test_the_way_out_of_lost_decisions_continues_from_the_older_ones(tmp_path: Path) -> None:
    async with opened(tmp_path) as store:
        await store.commit(switch("shop", BLUE))
        with another_program(tmp_path) as other:
            other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        backup = (tmp_path / "bluegreen.db").read_bytes()
        await store.commit(switch("shop", GREEN))
    (tmp_path / "bluegreen.db").write_bytes(backup)
    words = await refusal(tmp_path)
    assert "remove the file commits beside it" in words
    (tmp_path / "commits").unlink()
    assert (await contents(tmp_path)).services == {"shop": BLUE}
    assert (await contents(tmp_path)).services == {"shop": BLUE}


@pytest.mark.parametrize("content", [b"", b"\0" * 128, b"9" * 200, b"7 commits 00000000\n", b"\xff" * 64])
async def test_a_count_of_commits_that_cannot_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    await contents(tmp_path)
    (tmp_path / "commits").write_bytes(content)
    assert "commits: cannot be read, so it is unknown whether bluegreen.db has lost decisions" in await refusal(
        tmp_path
    )


def test_a_count_that_a_crash_has_torn_leaves_the_one_before_it(tmp_path: Path) -> None:
    counter = CommitCounter(tmp_path / "commits")
    for number in range(8, 12):
        counter.write(number)
    content = bytearray(counter.path.read_bytes())
    content[1 * SLOT_BYTES + 3] ^= 1  # 11 is in the second slot
    counter.path.write_bytes(content)
    assert counter.read() == 10


async def test_a_database_of_an_earlier_version_begins_to_count(tmp_path: Path) -> None:
    await contents(tmp_path)
    with another_program(tmp_path) as other:
        other.executescript(f"DROP TABLE commits; DROP TABLE applied; PRAGMA user_version = {COUNTED - 1}")
    (tmp_path / "commits").unlink()
    async with opened(tmp_path) as store:
        await store.commit(switch("shop", BLUE))
    assert CommitCounter(tmp_path / "commits").read() == 2


async def test_a_document_that_an_older_version_kept_is_removed(tmp_path: Path) -> None:
    """It may hold private keys."""
    await contents(tmp_path)
    with another_program(tmp_path) as other:
        other.executescript(f"{schema.MIGRATIONS[1]}; INSERT INTO document VALUES (1, '', '', '', 1, '')")
        other.execute("PRAGMA user_version = 4")
    (tmp_path / "document").write_bytes(b"{}")
    assert await contents(tmp_path) == Stored({}, {}, {}, None, 0)
    assert not (tmp_path / "document").exists()
    with another_program(tmp_path) as other:
        assert other.execute("SELECT name FROM sqlite_schema WHERE name = 'document'").fetchall() == []


@pytest.mark.parametrize("mode", [0o777, 0o1777, 0o770, 0o722])
async def test_a_state_directory_that_others_may_change_is_refused(tmp_path: Path, mode: int) -> None:
    state = tmp_path / "state"
    state.mkdir()
    state.chmod(mode)
    with pytest.raises(
        StoreError, match=rf"others than its owner may change what is in it \(mode {mode:04o}\).*chmod 700"
    ):
        await contents(state)
    assert list(state.iterdir()) == []


async def test_a_state_directory_that_is_a_symbolic_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "state").symlink_to("elsewhere")
    with pytest.raises(StoreError, match=rf"state: is a symbolic link.*--state-dir {tmp_path}/elsewhere$"):
        await contents(tmp_path / "state")
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="the link that systemd makes belongs to root")
async def test_the_link_that_systemd_makes_to_a_state_directory_is_followed(tmp_path: Path) -> None:
    (tmp_path / "private" / "bluegreen").mkdir(mode=0o700, parents=True)
    (tmp_path / "bluegreen").symlink_to("private/bluegreen")
    assert await contents(tmp_path / "bluegreen") == Stored({}, {}, {}, None, 0)


@pytest.mark.parametrize(
    "name", ["lock", "bluegreen.db", "bluegreen.db-wal", "ballast", "commits", "document", "default-certificate.pem"]
)
async def test_a_symbolic_link_in_the_state_directory_is_refused_and_not_written_through(
    tmp_path: Path, name: str
) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    (state / name).symlink_to(victim)
    with pytest.raises(StoreError, match=rf"{name}: is a symbolic link; the files of the state are files of this"):
        await contents(state)
    assert victim.read_text() == "precious"


@pytest.mark.parametrize(
    ("state", "place"),
    [('{"actve": "blue"}', "actve"), ('{"active": "red"}', "active"), ("[1]", "the row")],
)
async def test_a_row_that_cannot_be_read_is_named(tmp_path: Path, state: str, place: str) -> None:
    async with opened(tmp_path) as store:
        await store.commit(Change(services={"blog": BLUE, "shop": BLUE}))
    with another_program(tmp_path) as other:
        other.execute("UPDATE services SET state = ? WHERE name = 'shop'", (state,))
    assert f"row 'shop' of table services cannot be read: {place}: " in await refusal(tmp_path)


async def test_a_state_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    with pytest.raises(StoreError, match="state: is no directory"):
        await SqliteStore(tmp_path / "state").open(wait_s=0)
    with pytest.raises(StoreError, match="below something that is no directory"):
        await SqliteStore(tmp_path / "state" / "deeper").open(wait_s=0)


async def test_an_sqlite_without_strict_tables_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 34, 1))
    with pytest.raises(StoreError, match=r"is too old, 3\.37\.0 is needed"):
        await SqliteStore(tmp_path).open(wait_s=0)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "smb3", "9p", "fuse.sshfs"])
async def test_a_network_file_system_is_refused(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 13."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"27 1 254:0 / / rw - ext4 /dev/vda rw\n88 27 0:50 / {tmp_path} rw shared:9 - {kind} nas:/x rw\n")
    monkeypatch.setattr(directory, "MOUNTS", mounts)
    with pytest.raises(StoreError, match=rf"network file system \({kind}\).*local disk"):
        await SqliteStore(tmp_path / "state").open(wait_s=0)


@pytest.mark.parametrize(
    ("path", "kind"),
    [("/srv/state", "xfs"), ("/srv", "ext4"), ("/srv/my disk/state", "nfs4"), ("/srv/my", "ext4"), ("/opt/x", "btrfs")],
)
def test_the_file_system_is_that_of_the_nearest_and_latest_mount(path: str, kind: str) -> None:
    mountinfo = (
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "30 27 0:30 / /srv/state rw,relatime shared:3 master:1 - xfs /dev/vdb rw\n"
        "31 27 0:31 / /srv/my\\040disk rw - nfs4 nas:/export rw\n"
        "32 27 0:32 / /opt rw - tmpfs none rw\n"
        "33 32 0:33 / /opt rw - btrfs /dev/vdc rw\n"
    )
    assert directory.file_system(Path(path), mountinfo) == kind


async def test_a_database_that_is_taken_away_fails_every_write_until_it_is_back(tmp_path: Path) -> None:
    """Rule 13."""
    file = tmp_path / "bluegreen.db"
    async with opened(tmp_path) as store:
        await store.commit(switch("shop", BLUE, detail="first"))
        file.rename(tmp_path / "aside")
        for _ in range(2):
            with pytest.raises(StoreError, match=r"bluegreen\.db: was removed or replaced"):
                await store.commit(switch("shop", GREEN, detail="second"))
        assert not file.exists()
        (tmp_path / "aside").rename(file)
        await store.commit(switch("shop", GREEN, detail="third"))
        assert await details(store) == ["third", "first"]
    assert (await contents(tmp_path)).services == {"shop": GREEN}


async def test_a_wal_that_is_removed_fails_writes_and_a_clean_stop_saves_what_was_acknowledged(tmp_path: Path) -> None:
    """Rule 13."""
    store = SqliteStore(tmp_path)
    await store.open(wait_s=0)
    await store.commit(switch("shop", GREEN))
    (tmp_path / "bluegreen.db-wal").unlink()
    with pytest.raises(StoreError, match=r"bluegreen\.db-wal: was removed or replaced"):
        await store.commit(switch("shop", BLUE))
    with pytest.raises(StoreError):
        await store.close()
    assert (await contents(tmp_path)).services == {"shop": GREEN}


async def test_a_store_recovers_by_itself_from_write_errors(tmp_path: Path) -> None:
    """Rule 13. The kernel refuses every write past the limit of a file's size with EFBIG."""
    async with opened(tmp_path) as store:
        await store.commit(switch("shop", BLUE, detail="first"))
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, ((tmp_path / "bluegreen.db-wal").stat().st_size, hard))
        try:
            with pytest.raises(StoreError, match="the disk fails"):
                await store.commit(switch("shop", GREEN, detail="second"))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        await store.commit(switch("blog", GREEN, detail="third"))
        assert await details(store) == ["third", "first"]
    assert (await contents(tmp_path)).services == {"shop": BLUE, "blog": GREEN}


async def test_an_older_schema_is_migrated_and_keeps_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as store:
        await store.commit(switch("shop", BLUE))
    turn = "UPDATE services SET state = json_set(state, '$.active', 'green');"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, turn))
    for _ in range(2):
        assert (await contents(tmp_path)).services == {"shop": GREEN}
    with another_program(tmp_path) as other:
        assert other.execute("PRAGMA user_version").fetchone() == (len(schema.MIGRATIONS),)


async def test_of_a_commit_on_a_disk_that_hangs_it_is_said_that_its_outcome_is_unknown(tmp_path: Path) -> None:
    """P5: a kill while the disk hung left a command standing of which it had been said that nothing was changed."""
    async with opened(tmp_path) as store:
        store._answer_s = 0.1
        hangs, goes_on = threading.Event(), threading.Event()
        commit = store._database.commit

        def hang(change: Change) -> None:
            hangs.set()
            goes_on.wait(60)
            commit(change)

        store._database.commit = hang  # type: ignore[method-assign]
        with pytest.raises(StoreUncertain, match="the disk has not answered"):
            await store.commit(switch("shop", GREEN))
        assert hangs.is_set()
        with pytest.raises(StoreError, match="the disk has not answered") as never_begun:
            await store.commit(switch("blog", GREEN))
        assert not isinstance(never_begun.value, StoreUncertain), "it was taken back before it began"
        goes_on.set()
        store._answer_s = 10.0
        assert await store.history() == (), "and the other one once the disk answered"


async def test_of_a_commit_that_may_come_back_after_a_crash_it_is_said_that_its_outcome_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P5: after an I/O error of COMMIT only the disk knows; a full disk is known to have written nothing."""
    async with opened(tmp_path) as store:
        for code, kind in ((sqlite3.SQLITE_IOERR, StoreUncertain), (sqlite3.SQLITE_FULL, StoreError)):

            def fails(_: object, __: object, ___: object, code: int = code) -> None:
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = code
                raise error

            with monkeypatch.context() as patch:
                patch.setattr(database, "put", fails)
                with pytest.raises(StoreError) as refused:
                    await store.commit(switch("shop", GREEN))
            assert type(refused.value) is kind
        assert await store.history() == ()


async def test_a_migration_that_fails_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with opened(tmp_path) as store:
        await store.commit(switch("shop", BLUE))
    released = schema.MIGRATIONS
    monkeypatch.setattr(schema, "MIGRATIONS", (*released, "DELETE FROM services; DELETE FROM no_such_table;"))
    with pytest.raises(StoreError, match="no_such_table"):
        await contents(tmp_path)
    monkeypatch.setattr(schema, "MIGRATIONS", released)
    assert (await contents(tmp_path)).services == {"shop": BLUE}
