"""The SQLite database of the state directory; everything here runs in the store's one worker thread."""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import structlog

from provider.model import Decision
from provider.model.document import AppliedText
from provider.model.errors import StoreConflict, StoreError, StoreUncertain
from provider.runtime.files import sync_directory
from provider.runtime.timeslice import uncollected
from provider.store.records import (
    DECISIONS,
    GROUPS,
    SERVERS,
    SERVICES,
    Change,
    Stored,
    StoredServers,
    refuse_other,
)
from provider.store.sqlite import schema
from provider.store.sqlite.counter import CommitCounter
from provider.store.sqlite.directory import Ballast
from provider.store.sqlite.faults import DAMAGED, FRESH_START, LOOK, LOST, code_of, fault, is_out_of_room
from provider.store.sqlite.schema import (
    Overwritten,
    is_filled,
    load,
    migrate,
    put,
    put_applied,
    put_desired,
    roll_back,
    state_of,
    texts,
)

T = TypeVar("T")

STRICT_TABLES = (3, 37, 0)
BUSY_S = 5.0
# A WAL that is kept at this size is written over in place, which needs no room on a full disk.
WAL_BYTES = 4 << 20
# After these a transaction is surely undone; after others it may come back from the WAL.
CLEAN = {sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}

log = structlog.get_logger()


class Database:
    """One connection that stays open: it survives I/O errors, and a new one might read an older state."""

    def __init__(self, directory: Path, *, history_limit: int) -> None:
        self._path = directory.absolute() / "bluegreen.db"
        self._wal = self._path.with_name("bluegreen.db-wal")
        self._lock = self._path.with_name("lock")
        self._ballast = Ballast(self._path.with_name("ballast"))
        self._counter = CommitCounter(self._path.with_name("commits"))
        self._history_limit = history_limit
        self._connection: sqlite3.Connection | None = None
        self._inodes: dict[Path, tuple[int, int]] = {}
        self._unacknowledged: Overwritten | None = None
        self._is_checkpointed = False

    def open(self) -> Stored:
        """Create or check the database, bring its schema up to date, and return what it holds."""
        if sqlite3.sqlite_version_info < STRICT_TABLES:
            raise StoreError(
                f"SQLite {sqlite3.sqlite_version} is too old, {'.'.join(map(str, STRICT_TABLES))} is needed. Run a "
                f"Python that is built with a newer one, or the container image"
            )
        with self._store_errors():
            if self._path.exists():
                self._with_ballast(self._inspect)
            else:
                self._create()
            stored = self._with_ballast(self._connect_and_load)
        self._ballast.fill()
        return stored

    def commit(self, change: Change) -> None:
        """Put states and add decisions; until `acknowledge`, the next write undoes them first, but for texts.

        Raises StoreUncertain where the transaction may come back from the WAL after a crash.
        """
        states = {
            SERVICES.table: texts(SERVICES, change.services),
            GROUPS.table: texts(GROUPS, change.groups),
            SERVERS.table: texts(SERVERS, change.servers),
        }
        decisions = [(at(each.at_utc), each.service, DECISIONS.text(each)) for each in change.decisions]

        def work(connection: sqlite3.Connection) -> None:
            (last,) = connection.execute("SELECT coalesce(max(id), 0) FROM decisions").fetchone()
            self._unacknowledged = Overwritten(
                {table: {name: state_of(connection, table, name) for name in new} for table, new in states.items()},
                last,
            )
            for table, new in states.items():
                put(connection, table, new)
            connection.executemany("INSERT INTO decisions (at_utc, service, decision) VALUES (?, ?, ?)", decisions)
            oldest = last + len(decisions) - self._history_limit
            connection.execute("DELETE FROM decisions WHERE id <= ?", (oldest,))
            if change.desired_text is not None:
                put_desired(connection, change.desired_text)
            if change.applied is not None:
                put_applied(connection, change.applied)

        before = self._unacknowledged
        try:
            self._write(work, urgent=True)
        except StoreError as failure:
            if self._unacknowledged is not None and self._unacknowledged is not before:
                raise StoreUncertain(str(failure)) from failure
            raise

    def acknowledge(self) -> None:
        """Keep the last commit: its caller knows that it succeeded."""
        self._unacknowledged = None

    def settle(self) -> None:
        """Undo a commit that failed for its caller."""
        if self._unacknowledged is None:
            return
        with self._transaction() as connection:
            self._unacknowledged.restore(connection)
        self._unacknowledged = None
        log.warning("unacknowledged decisions undone", path=str(self._path))

    def save_servers(self, servers: Mapping[str, StoredServers]) -> None:
        """Put the servers of services."""
        states = texts(SERVERS, servers)

        def work(connection: sqlite3.Connection) -> None:
            put(connection, SERVERS.table, states)

        self._write(work)

    def save_desired(self, text: str, expect: str | None = None) -> None:
        """Put the text of the last good desired state; raise StoreConflict where it is not in place of `expect`."""

        def work(connection: sqlite3.Connection) -> None:
            if expect is not None:
                row = connection.execute("SELECT text FROM desired").fetchone()
                refuse_other(row[0] if row else None, expect)
            put_desired(connection, text)

        self._write(work)

    def save_applied(self, applied: AppliedText) -> None:
        """Put the text that every Traefik applied last; one that is stored already is not written again."""
        self._write(lambda connection: put_applied(connection, applied))

    def restore(self, stored: Stored, history: Sequence[Decision]) -> None:
        """Fill an empty database with what another store had; `history` begins with the newest decision."""
        states = {
            SERVICES.table: texts(SERVICES, stored.services),
            GROUPS.table: texts(GROUPS, stored.groups),
            SERVERS.table: texts(SERVERS, stored.servers),
        }
        kept = [*reversed(history[: self._history_limit])]
        decisions = [(at(each.at_utc), each.service, DECISIONS.text(each)) for each in kept]

        def work(connection: sqlite3.Connection) -> None:
            if is_filled(connection):
                raise StoreConflict(
                    f"{self._path}: has a store already, so nothing was changed. Name a directory without one, or move "
                    f"all files of this one aside"
                )
            for table, new in states.items():
                put(connection, table, new)
            connection.executemany("INSERT INTO decisions (at_utc, service, decision) VALUES (?, ?, ?)", decisions)
            if stored.desired_text is not None:
                put_desired(connection, stored.desired_text)
            if stored.applied is not None:
                put_applied(connection, stored.applied)
            connection.execute("UPDATE revision SET reserved = ?", (stored.revision,))

        self._write(work, urgent=True)

    def reserve_revision(self, upto: int) -> None:
        """Raise the revision below which no later process starts."""
        statement = "UPDATE revision SET reserved = max(reserved, ?)"
        self._write(lambda connection: connection.execute(statement, (upto,)), urgent=True)

    def checkpoint(self) -> None:
        """Move what was written out of the WAL into the database, so that damage to the WAL cannot lose it."""
        if not self._is_checkpointed:
            with self._store_errors():
                self._opened().execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._is_checkpointed = True

    def history(self, service: str | None, since: datetime | None, limit: int) -> tuple[Decision, ...]:
        """Return decisions, newest first."""
        statement = (
            "SELECT id, decision FROM decisions WHERE service = coalesce(?, service) AND at_utc >= ? "
            "ORDER BY id DESC LIMIT ?"
        )
        with self._store_errors():
            rows = self._opened().execute(statement, (service, at(since) if since else "", limit)).fetchall()
            return DECISIONS.load(rows)

    def close(self, revision: int) -> None:
        """Undo what is unacknowledged and write the exact revision; closing moves the WAL into the database."""
        statement = "UPDATE revision SET reserved = ?"
        try:
            if self._connection is not None:
                self._write(lambda connection: connection.execute(statement, (revision,)))
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Close the files without writing."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _create(self) -> None:
        """Build a new database beside its place, so that a file in its place is always a whole one."""
        left = [path.name for path in (self._wal, self._counter.path, self._ballast.path) if path.exists()]
        if left:
            names = ", ".join(left)
            raise StoreError(
                f"{self._path}: is missing, but its companion files are here ({names}): a daemon has run in this "
                f"directory before. Put bluegreen.db back, from a backup if need be; or move {names} aside, too, "
                f"{FRESH_START}"
            )
        new = self._path.with_name("bluegreen.db.new")
        new.unlink(missing_ok=True)
        new.touch(mode=0o600)
        with contextlib.closing(sqlite3.connect(new, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = MEMORY")
            migrate(connection, 0)
        new.rename(self._path)
        sync_directory(self._path.parent)

    def _inspect(self) -> None:
        """Refuse a database that is newer than this program, or has lost commits; change nothing.

        A connection that only reads leaves the WAL as it is when it closes. One that writes would remove it, with
        all that may be restored from it.
        """
        uri = f"{self._path.as_uri()}?mode=ro"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)) as connection:
            has = _commits(connection) if self._version(connection) >= schema.COUNTED else 0
        try:
            written = self._counter.read()
        except ValueError:
            raise StoreError(
                f"{self._counter.path}: cannot be read, so it is unknown whether bluegreen.db has lost decisions. To "
                f"continue, {LOOK}, then remove this file"
            ) from None
        if written is not None and written > has:
            raise StoreError(f"{self._path}: {LOST} [it has {has} commits, {written} were written]")

    def _connect_and_load(self) -> Stored:
        self.abandon()  # a connection that an attempt without room left open
        connection = self._connect()
        problems = [text for (text,) in connection.execute("PRAGMA quick_check(3)")]
        if problems != ["ok"]:
            raise StoreError(f"{self._path}: {DAMAGED} [{'; '.join(problems)}]")
        migrate(connection, self._version(connection))
        # An older version kept its document here, with private keys.
        self._path.with_name("document").unlink(missing_ok=True)
        self._counter.restart(_commits(connection))
        # A write, so that a start on a disk that cannot be written fails here and not at the first decision.
        connection.execute("UPDATE revision SET reserved = reserved")
        desired = connection.execute("SELECT text FROM desired").fetchone()
        (revision,) = connection.execute("SELECT reserved FROM revision").fetchone()
        applied = connection.execute("SELECT text, marker, refused FROM applied").fetchone()
        with uncollected():
            return Stored(
                services=load(connection, SERVICES),
                groups=load(connection, GROUPS),
                servers=load(connection, SERVERS),
                desired_text=desired[0] if desired else None,
                revision=revision,
                applied=AppliedText(*applied) if applied else None,
            )

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self._path.as_uri()}?mode=rw"
        connection = self._connection = sqlite3.connect(uri, uri=True, timeout=BUSY_S, isolation_level=None)
        self._version(connection)  # before anything is changed
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(f"PRAGMA journal_size_limit = {WAL_BYTES}")
        self._version(connection)  # the first read in this mode creates the WAL
        self._inodes = {path: inode(path) for path in (self._path, self._wal, self._lock)}
        return connection

    def _write(self, work: Callable[[sqlite3.Connection], object], *, urgent: bool = False) -> None:
        def attempt() -> None:
            self.settle()
            try:
                with self._transaction() as connection:
                    work(connection)
            except sqlite3.Error as error:
                if code_of(error) in CLEAN:
                    self._unacknowledged = None
                raise

        with self._store_errors():
            if urgent:
                self._with_ballast(attempt)
            else:
                attempt()
        self._ballast.fill()

    def _with_ballast(self, attempt: Callable[[], T]) -> T:
        """Make an attempt, and a second one with the ballast freed where the disk may be full."""
        try:
            return attempt()
        except (sqlite3.Error, OSError) as error:
            if not is_out_of_room(error) or not self._ballast.free():
                raise
        return attempt()

    @contextlib.contextmanager
    def _store_errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise fault(self._path, error) from error

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        connection = self._opened()
        self._refuse_moved()
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("UPDATE commits SET number = number + 1")
            number = _commits(connection)
            connection.execute("COMMIT")
        finally:
            roll_back(connection)
        self._is_checkpointed = False
        self._counter.write(number)

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            raise StoreError(f"{self._path}: is not open")
        return self._connection

    def _version(self, connection: sqlite3.Connection) -> int:
        """Return the version of the schema; refuse one that is newer than this program, or none."""
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version == 0:
            raise StoreError(f"{self._path}: {DAMAGED} [it has no schema]")
        if version > len(schema.MIGRATIONS):
            raise StoreError(
                f"{self._path}: has schema version {version}, and this bluegreen knows versions up to "
                f"{len(schema.MIGRATIONS)}. Run the newer bluegreen that wrote it, or restore a backup from before it"
            )
        return int(version)

    def _refuse_moved(self) -> None:
        """Refuse to write into a file that was moved: the next start would not read it."""
        for path, opened in self._inodes.items():
            try:
                moved = inode(path) != opened
            except FileNotFoundError:
                moved = True
            if moved:
                raise StoreError(
                    f"{path}: was removed or replaced while the daemon ran. Put the same file back; or restart the "
                    f"daemon, which then continues from the files there"
                )


def _commits(connection: sqlite3.Connection) -> int:
    (number,) = connection.execute("SELECT number FROM commits").fetchone()
    return int(number)


def at(moment: datetime) -> str:
    """Return a date as text that sorts by time; one beyond the dates of UTC is the first or the last of them."""
    try:
        utc = moment.astimezone(UTC)
    except OverflowError:  # 0001-01-01T00:00+14:00 is the day before the first, 9999-12-31T23:59-14:00 after the last
        utc = datetime.min.replace(tzinfo=UTC) if moment.year == 1 else datetime.max.replace(tzinfo=UTC)
    return utc.isoformat(timespec="microseconds")


def inode(path: Path) -> tuple[int, int]:
    """Return the device and inode of a file, which stay the same until another file takes its path."""
    found = path.stat()
    return found.st_dev, found.st_ino
