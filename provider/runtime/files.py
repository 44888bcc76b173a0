"""Small files that are read again when they change, and replaced in one step."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from provider.model import ConditionCode
from provider.model.errors import BluegreenError

T = TypeVar("T")

LARGEST_BYTES = 1024 * 1024
MOUNTS = Path("/proc/self/mountinfo")
"""What is mounted where in this process's view (proc(5))."""
CHECK_EVERY_S = 2.0


class FileRefused(BluegreenError):  # noqa: N818
    """A file that cannot be used as it is; the text names it and, where there is one, the line."""


class Followed(Generic[T]):
    """The value that `read` makes of `paths`; it is read again whenever one of them has changed.

    `read` raises FileRefused. `report` gets the result of each later reading: the refusal, or None.
    """

    def __init__(
        self, paths: tuple[Path, ...], read: Callable[[], T], report: Callable[[FileRefused | None], None]
    ) -> None:
        self._paths, self._read, self._report = paths, read, report
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._last: tuple[T] | None = None

    def current(self) -> T:
        """Return the value of the files now, or before they were broken; costs a stat each while nothing changed.

        Raises FileRefused while they were never valid.
        """
        # Taken before they are read: a change in between differs from it, and is read the next time.
        seen = tuple(_mark(path) for path in self._paths)
        if self._last is None:
            self._last = (self._read(),)
        elif seen != self._seen:
            try:
                self._last = (self._read(),)
            except FileRefused as refusal:
                self._report(refusal)
            else:
                self._report(None)
        self._seen = seen
        return self._last[0]


class FollowedFiles:
    """All files that the daemon follows. `report` gets a code, the files' names, and the refusal or None."""

    def __init__(self, report: Callable[[ConditionCode, str, FileRefused | None], None]) -> None:
        self._report = report
        self._all: list[Callable[[], object]] = []

    def follow(self, code: ConditionCode, paths: tuple[Path, ...], read: Callable[[], T]) -> Callable[[], T]:
        """Return a function for the current value of these files; `code` is the condition while they are broken."""
        names = ", ".join(map(str, paths))
        followed = Followed(paths, read, lambda refusal: self._report(code, names, refusal))
        self._all.append(followed.current)
        return followed.current

    def check(self) -> None:
        """Read the files that changed. Raises FileRefused for a file that was never valid."""
        for current in self._all:
            current()

    async def run(self) -> None:
        """Check every `CHECK_EVERY_S`, so that a broken certificate is reported before it is needed."""
        while True:
            await asyncio.sleep(CHECK_EVERY_S)
            self.check()


def read_text(path: Path) -> str:
    """Return the text of a file of 1 MiB at most. Raises FileRefused."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
        if len(content) <= LARGEST_BYTES:
            return content.decode()
        why = "is larger than 1 MiB"
    except OSError as failure:
        why = f"cannot be read: {failure.strerror}"
    except UnicodeDecodeError:
        why = "is no text in UTF-8"
    raise FileRefused(f"{path}: {why}")


def replace_file(path: Path, content: bytes, *, mode: int) -> None:
    """Replace a file in one step; it is on disk when this returns. Raises OSError."""
    new = path.with_name(f"{path.name}.new")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "wb") as file:
            os.fchmod(file.fileno(), mode)  # one that a crash left behind has its own
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink()
        raise
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory outlive a power cut. Raises OSError."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _mark(path: Path) -> tuple[int, ...]:
    """Return a value that differs after a change; a repaired permission changes the ctime alone."""
    try:
        found = path.stat()
    except OSError as failure:
        return (failure.errno or 0,)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def file_id(path: Path) -> str | None:
    """Return the device and inode of a file, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return f"{found.st_dev}:{found.st_ino}"
