"""The desired-state file on disk: it notices a changed text, however it was changed."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from watchfiles import awatch

from provider.config import MAX_BYTES
from provider.model.errors import DesiredStateError, Problem

_DEBOUNCE_MS = 500
_QUIET_MS = 50  # joins most of what an editor writes in steps
_MAX_SYMLINKS = 40  # as in Linux's path lookup


class DesiredStateFile:
    """Reads the file, and follows every directory that its path leads through.

    A notification for the file itself ends when an editor replaces it. `poll_s` is how long a change may stay unnoticed
    where no notifications arrive (some bind mounts and network file systems, or no inotify watches left).
    """

    def __init__(self, path: Path, *, poll_s: float = 3.0) -> None:
        self._path = path
        self._poll_s = poll_s

    def read(self) -> str:
        """Return the text. Raises DesiredStateError when the file is missing, unreadable, too large or not UTF-8."""
        try:
            status = self._path.stat()
            if not stat.S_ISREG(status.st_mode):  # opening a FIFO would wait for its writer
                raise self._refused("is not a regular file")
            if status.st_size > MAX_BYTES:
                raise _too_large(str(self._path), status.st_size)
            with self._path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except OSError as error:
            raise self._refused(f"cannot be read: {error.strerror or error}") from error
        return decoded(content, str(self._path))

    async def run(self, on_text: Callable[[str], None], on_unreadable: Callable[[DesiredStateError], None]) -> None:
        """Report the text at once and whenever it changes, or why it cannot be read, until cancelled.

        A text may be half written; the whole one follows. Validating a large one takes half a
        second of processor time, so hand it to `config.load` in a thread.
        """
        last: object = None
        while True:
            async with self._change() as change:
                try:
                    text = await asyncio.to_thread(self.read)
                except DesiredStateError as error:
                    if error.problems != last:
                        last = error.problems
                        on_unreadable(error)
                else:
                    if text != last:
                        last = text
                        on_text(text)
                await change

    @asynccontextmanager
    async def _change(self) -> AsyncIterator[asyncio.Task[None]]:
        """Yield a task that ends at the next change; new notifications each time find swapped directories."""
        change = asyncio.create_task(self._wait_for_change(), name="follow the desired-state file")
        await asyncio.sleep(0)  # starts the notifications: a later change ends the task, an earlier one is read now
        try:
            yield change
        finally:
            change.cancel()
            await asyncio.gather(change, return_exceptions=True)

    async def _wait_for_change(self) -> None:
        try:
            changes = awatch(
                *directories(self._path),
                watch_filter=None,
                debounce=_DEBOUNCE_MS,
                step=_QUIET_MS,
                rust_timeout=int(self._poll_s * 1000),
                yield_on_timeout=True,
                recursive=False,
            )
            async with aclosing(changes):
                await anext(changes)
        except (OSError, RuntimeError):  # watchfiles' own error is a RuntimeError
            await asyncio.sleep(self._poll_s)  # no notifications left, or a directory vanished just now

    def _refused(self, message: str) -> DesiredStateError:
        return _refused(str(self._path), message)


def decoded(content: bytes, name: str) -> str:
    """Return the text of a file, `name` in messages. Raises DesiredStateError where it is too large, or not UTF-8."""
    if len(content) > MAX_BYTES:
        raise _too_large(name, len(content))
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        before = content[: error.start].decode()
        message = f"is not UTF-8: byte 0x{content[error.start]:02x}"
        raise _refused(name, message, before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1) from error


def _too_large(name: str, size: int) -> DesiredStateError:
    return _refused(name, f"{size / 1024 / 1024:.1f} MiB are too much: a desired-state file has 5 MiB at most")


def _refused(name: str, message: str, line: int = 1, column: int = 1) -> DesiredStateError:
    return DesiredStateError((Problem(name, line, column, "", message),))


def directories(path: Path) -> set[Path]:
    """Return the directories in which a change can lead `path` elsewhere: its own and those of symlinks on the way.

    Kubernetes swaps `..data` beside the file's symlink, a release tool a symlink further up. Where a directory is
    missing, its nearest existing ancestor takes its place, to notice its return.
    """
    found: set[Path] = set()
    ways = [path.absolute()]
    for way in ways:
        directory = way.parent
        while not directory.is_dir():
            directory = directory.parent
        found.add(directory)
        for part in (way, *way.parents):
            if part.is_symlink() and len(ways) < _MAX_SYMLINKS:
                found.add(part.parent)
                ways.append(part.parent / part.readlink() / way.relative_to(part))
    return found
