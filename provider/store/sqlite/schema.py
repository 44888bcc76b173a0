"""The tables, their migrations, and how rows are read and put.

Migrations: `MIGRATIONS[n]` takes version n to n + 1, in one transaction. Append a script, never edit one that was
released; a row's JSON is changed with SQLite's json functions (`UPDATE services SET state = json_remove(state, ...)`).
"""

import contextlib
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from provider.model.document import AppliedText
from provider.store.records import Rows

T = TypeVar("T")

MIGRATIONS = (
    """
    CREATE TABLE services (name TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (json_valid(state))) STRICT, WITHOUT ROWID;
    CREATE TABLE groups (name TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (json_valid(state))) STRICT, WITHOUT ROWID;
    CREATE TABLE servers (name TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (json_valid(state))) STRICT, WITHOUT ROWID;
    CREATE TABLE decisions (
        id INTEGER PRIMARY KEY,
        at_utc TEXT NOT NULL,
        service TEXT NOT NULL,
        decision TEXT NOT NULL CHECK (json_valid(decision))
    ) STRICT;
    CREATE TABLE desired (id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT NULL) STRICT;
    CREATE TABLE revision (id INTEGER PRIMARY KEY CHECK (id = 1), reserved INTEGER NOT NULL) STRICT;
    INSERT INTO revision VALUES (1, 0);
    """,
    # The bytes of the document are a file of their own, named by their SHA-256: the WAL is kept small.
    """
    CREATE TABLE document (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        sha256 TEXT NOT NULL,
        etag TEXT NOT NULL,
        marker TEXT NOT NULL,
        is_json INTEGER NOT NULL,
        terms TEXT NOT NULL
    ) STRICT;
    """,
    # Raised by each transaction; `counter.py` keeps the number beside the database.
    """
    CREATE TABLE commits (id INTEGER PRIMARY KEY CHECK (id = 1), number INTEGER NOT NULL) STRICT;
    INSERT INTO commits VALUES (1, 0);
    """,
    # The file's text that every Traefik applied last, a marker that they showed of it, and what they refuse (rule 15).
    """
    CREATE TABLE applied (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        text TEXT NOT NULL,
        marker TEXT NOT NULL,
        refused TEXT
    ) STRICT;
    """,
    # No document is kept any more: each start renders its own.
    """
    DROP TABLE IF EXISTS document;
    """,
    """
    UPDATE services SET state = json_remove(
        json_set(state, '$.rollback_target', json(json_extract(state, '$.way_back'))), '$.way_back'
    );
    """,
)


COUNTED = 3
"""The first version that counts its transactions."""


@dataclass(frozen=True, slots=True)
class Overwritten:
    """What a commit replaced: by table, a state for each name (None where there was no row)."""

    states: Mapping[str, Mapping[str, str | None]]
    last_decision: int

    def restore(self, connection: sqlite3.Connection) -> None:
        """Put everything back."""
        for table, states in self.states.items():
            put(connection, table, {name: state for name, state in states.items() if state is not None})
            gone = [(name,) for name, state in states.items() if state is None]
            connection.executemany(f"DELETE FROM {table} WHERE name = ?", gone)  # noqa: S608  our own table names
        connection.execute("DELETE FROM decisions WHERE id > ?", (self.last_decision,))


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Take the schema from `version` to the newest, one transaction a step."""
    for step, script in enumerate(MIGRATIONS[version:], version + 1):
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {script}; PRAGMA user_version = {step}; COMMIT")
        finally:
            roll_back(connection)


def roll_back(connection: sqlite3.Connection) -> None:
    """End a transaction that did not commit; the error that stopped it is the one to report."""
    if connection.in_transaction:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")


def load(connection: sqlite3.Connection, rows: Rows[T]) -> dict[str, T]:
    """Read a whole table of states."""
    found = connection.execute(f"SELECT name, state FROM {rows.table}").fetchall()  # noqa: S608  our own table names
    return dict(zip((name for name, _ in found), rows.load(found), strict=True))


def is_filled(connection: sqlite3.Connection) -> bool:
    """Return whether anything was ever put into the tables, or a document published."""
    tables = ("services", "groups", "servers", "decisions", "desired", "applied", "revision WHERE reserved > 0")
    rows = " UNION ALL ".join(f"SELECT 1 FROM {table}" for table in tables)  # noqa: S608  our own table names
    return connection.execute(f"{rows} LIMIT 1").fetchone() is not None


def texts(rows: Rows[T], values: Mapping[str, T]) -> dict[str, str]:
    """Return the JSON of states, by name."""
    return {name: rows.text(value) for name, value in values.items()}


def put(connection: sqlite3.Connection, table: str, states: Mapping[str, str]) -> None:
    """Put states in place of those that have the same names."""
    connection.executemany(f"INSERT OR REPLACE INTO {table} (name, state) VALUES (?, ?)", states.items())  # noqa: S608


def put_desired(connection: sqlite3.Connection, text: str) -> None:
    """Put the text of the last good desired state."""
    connection.execute("INSERT OR REPLACE INTO desired VALUES (1, ?)", (text,))


def put_applied(connection: sqlite3.Connection, applied: AppliedText) -> None:
    """Put the text that every Traefik applied last; one that is stored already is not written again."""
    row = (applied.marker, applied.refused, applied.text)
    if not connection.execute("UPDATE applied SET marker = ?, refused = ? WHERE text = ?", row).rowcount:
        connection.execute("INSERT OR REPLACE INTO applied (marker, refused, text, id) VALUES (?, ?, ?, 1)", row)


def state_of(connection: sqlite3.Connection, table: str, name: str) -> str | None:
    """Return one stored state, None where there is no row."""
    row = connection.execute(f"SELECT state FROM {table} WHERE name = ?", (name,)).fetchone()  # noqa: S608
    return row[0] if row else None
