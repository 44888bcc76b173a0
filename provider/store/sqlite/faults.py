"""Messages for failures of the disk: the thing, the value, the rule and the way out."""

import errno
import sqlite3
from pathlib import Path

from provider.model.errors import StoreError

NO_ROOM = "no room left on the disk. Make room; until then nothing can be decided"
NOT_WRITABLE = "cannot be written. Make the file system writable and the directory the daemon's own (0700)"
HELD = "another program holds a lock on it. Find it with fuser, and end its transaction"
FRESH_START = (
    "for a fresh start, which forgets which colours are active, the rollback targets, overrides, quarantines and the "
    "history: name the colour that has the traffic as `initial` of each service first"
)
DAMAGED = (
    "is damaged. Stop the daemon and restore bluegreen.db from a backup; or move all files of the directory aside "
    f"{FRESH_START}"
)
LOOK = "compare the active colours in its table services (sqlite3 shows it) with what has the traffic"
LOST = (
    "has lost decisions that were acknowledged: its -wal file is damaged, cut or missing, or bluegreen.db is an older "
    "copy. Nothing was changed. Put the newest bluegreen.db and bluegreen.db-wal back, together; or, to continue from "
    f"this older state, {LOOK}, then remove the file commits beside it; or move all files of the directory aside "
    f"{FRESH_START}"
)
DISK = "the disk fails. Look for its errors in the kernel's log (dmesg)"
REFUSED = "SQLite refuses. Restart the daemon; where that does not help, restore bluegreen.db from a backup"

BY_ERRNO = {
    errno.ENOSPC: NO_ROOM,
    errno.EDQUOT: NO_ROOM,
    errno.EROFS: NOT_WRITABLE,
    errno.EACCES: NOT_WRITABLE,
    errno.EPERM: NOT_WRITABLE,
    errno.EEXIST: "is no directory. Name another --state-dir",
    errno.ENOTDIR: "lies below something that is no directory. Name another --state-dir",
}
BY_CODE = {
    sqlite3.SQLITE_FULL: NO_ROOM,
    sqlite3.SQLITE_READONLY: NOT_WRITABLE,
    sqlite3.SQLITE_PERM: NOT_WRITABLE,
    sqlite3.SQLITE_CANTOPEN: NOT_WRITABLE,
    sqlite3.SQLITE_BUSY: HELD,
    sqlite3.SQLITE_LOCKED: HELD,
    sqlite3.SQLITE_CORRUPT: DAMAGED,
    sqlite3.SQLITE_NOTADB: DAMAGED,
    sqlite3.SQLITE_IOERR: DISK,
}


def code_of(error: sqlite3.Error) -> int:
    """Return SQLite's primary result code (https://sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def is_out_of_room(error: sqlite3.Error | OSError) -> bool:
    """Return whether a full disk may be the cause."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT}
    return code_of(error) in {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}


def fault(path: Path, error: sqlite3.Error | OSError) -> StoreError:
    """Return the StoreError for a failure at `path`."""
    if isinstance(error, OSError):
        text, cause = BY_ERRNO.get(error.errno or 0, DISK), error.strerror
    else:
        text, cause = BY_CODE.get(code_of(error), REFUSED), str(error)
    return StoreError(f"{path}: {text} [{cause}]")
