"""Small files that a running daemon goes by, read anew when they change, and replaced in one step."""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Generic, TypeVar

from provider.errors import BluegreenError
from provider.model import ConditionCode

T = TypeVar("T")

LARGEST_BYTES = 1024 * 1024
LOOK_EVERY_S = 2.0


class FileRefused(BluegreenError):  # noqa: N818
    """A file that cannot be used as it is; the text names it and, where there is one, the line."""


class Followed(Generic[T]):
    """What `read` makes of `paths`, which it reads again whenever one of them has changed.

    `read` raises FileRefused. `tell` hears of each later reading: the refusal, or None when all is well.
    """

    def __init__(
        self, paths: tuple[Path, ...], read: Callable[[], T], tell: Callable[[FileRefused | None], None]
    ) -> None:
        self._paths, self._read, self._tell = paths, read, tell
        self._seen: tuple[tuple[int, ...], ...] = ()
        self._last: tuple[T] | None = None

    def fresh(self) -> T:
        """Return what the files say now, or said before they were broken; costs a stat each while nothing changed.

        Raises FileRefused while they were never good.
        """
        # Taken before they are read: what changes in between differs from it, and is read the next time.
        seen = tuple(_mark(path) for path in self._paths)
        if self._last is None:
            self._last = (self._read(),)
        elif seen != self._seen:
            try:
                self._last = (self._read(),)
            except FileRefused as refusal:
                self._tell(refusal)
            else:
                self._tell(None)
        self._seen = seen
        return self._last[0]


class FollowedFiles:
    """All files that a daemon goes by. `tell` hears of a code, the files' names, and the refusal or None."""

    def __init__(self, tell: Callable[[ConditionCode, str, FileRefused | None], None]) -> None:
        self._tell = tell
        self._all: list[Callable[[], object]] = []

    def follow(self, code: ConditionCode, paths: tuple[Path, ...], read: Callable[[], T]) -> Callable[[], T]:
        """Return what reads these files anew when they change; `code` names what is wrong while they are broken."""
        names = ", ".join(map(str, paths))
        followed = Followed(paths, read, lambda refusal: self._tell(code, names, refusal))
        self._all.append(followed.fresh)
        return followed.fresh

    def look(self) -> None:
        """Read what changed. Raises FileRefused for a file that was never good."""
        for fresh in self._all:
            fresh()

    async def run(self) -> None:
        """Look now and then, also while nobody connects: a broken certificate is to be known before it is needed."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self.look()


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
    """Put a file in the place of the one before, whole and on disk when this returns. Raises OSError."""
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
    """Return what differs after a change; a repaired permission shows in the ctime alone."""
    try:
        found = path.stat()
    except OSError as failure:
        return (failure.errno or 0,)
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
