"""Reads one file of the desired state, within bounds; nothing else is known of it here."""

import stat
from pathlib import Path

from provider.config.yaml import MAX_BYTES
from provider.model.errors import DesiredStateError, Problem


def read_file(path: Path) -> str:
    """Return the text of a file. Raises DesiredStateError when it is missing, unreadable, too large or not UTF-8."""
    name = str(path)
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for its writer
            raise refused(name, "is not a regular file")
        if status.st_size > MAX_BYTES:
            raise _too_large(name, status.st_size)
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise refused(name, f"cannot be read: {error.strerror or error}") from error
    return decoded(content, name)


def decoded(content: bytes, name: str) -> str:
    """Return the text of a file, `name` in messages. Raises DesiredStateError where it is too large, or not UTF-8."""
    if len(content) > MAX_BYTES:
        raise _too_large(name, len(content))
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        message = f"is not UTF-8: byte 0x{content[error.start]:02x}"
        raise refused(name, message, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1) from error


def refused(name: str, message: str, line: int = 1, column: int = 1) -> DesiredStateError:
    """Return the error of a file that cannot be read."""
    return DesiredStateError((Problem(name, line, column, "", message),))


def _too_large(name: str, size: int) -> DesiredStateError:
    return refused(name, f"{size / 1024 / 1024:.1f} MiB are too much: a desired-state file has 5 MiB at most")
