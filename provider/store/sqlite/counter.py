"""The number of committed transactions, in a file beside the database: a start notices when some were lost.

SQLite silently drops what follows the first damaged frame of a WAL, and everything in a WAL that is missing. The number
in the database goes back with it; the one in this file does not.
"""

import os
import zlib
from pathlib import Path

SLOT_BYTES = 64
SLOTS = 2


class CommitCounter:
    """A small file with the last two numbers in two slots: a crash during a write damages one slot at most.

    It is overwritten in place, which needs no room on a full disk. Every method raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> int | None:
        """Return the number, None where there is no file; raise ValueError where neither slot can be read."""
        try:
            content = self.path.read_bytes()[: SLOTS * SLOT_BYTES]
        except FileNotFoundError:
            return None
        slots = (content[at : at + SLOT_BYTES] for at in range(0, SLOTS * SLOT_BYTES, SLOT_BYTES))
        return max(number for slot in slots if (number := _number(slot)) is not None)

    def write(self, number: int) -> None:
        """Put the number; on disk when this returns."""
        file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.pwrite(file, _slot(number), number % SLOTS * SLOT_BYTES)
            os.fdatasync(file)
        finally:
            os.close(file)

    def restart(self, number: int) -> None:
        """Put the number in place of whatever the file holds."""
        self.path.unlink(missing_ok=True)
        self.write(number)


def _slot(number: int) -> bytes:
    text = f"{number} commits"
    return f"{text} {zlib.crc32(text.encode()):08x}".encode().ljust(SLOT_BYTES - 1) + b"\n"


def _number(slot: bytes) -> int | None:
    words = slot.split(maxsplit=1)
    if not words or not words[0].isdigit() or len(words[0]) > SLOT_BYTES:
        return None
    number = int(words[0])
    return number if slot == _slot(number) else None
