"""The desired state on disk, a file or a directory of them: it notices a changed text, however it was changed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

from watchfiles import awatch

from provider.config.directory import Whole, files_of, read
from provider.model.errors import DesiredStateError

_DEBOUNCE_MS = 500
_QUIET_MS = 50  # joins most of what an editor writes in steps
WATCHED_MOST = 1000
"""So many files of a directory are followed to where they lead: more are rare, and found by polling."""
_MAX_SYMLINKS = 40  # as in Linux's path lookup


class DesiredStateFile:
    """Reads the file, and follows every directory that its path leads through; of a directory, all of its files.

    A notification for the file itself ends when an editor replaces it. `poll_s` is how long a change may stay unnoticed
    where no notifications arrive (some bind mounts and network file systems, or no inotify watches left).
    """

    def __init__(self, path: Path, *, poll_s: float = 3.0) -> None:
        self._path = path
        self._poll_s = poll_s

    def read(self) -> Whole:
        """Return the text. Raises DesiredStateError when a file is missing, unreadable, too large or not UTF-8.

        Of a directory all files are read, or none (rule 41).
        """
        return read(self._path)

    async def run(self, on_text: Callable[[Whole], None], on_unreadable: Callable[[DesiredStateError], None]) -> None:
        """Report the text at once and whenever it changes, or why it cannot be read, until cancelled.

        A text may be half written; the whole one follows. Validating a large one takes half a
        second of processor time, so hand it to `config.load` in a thread.
        """
        last: object = None
        while True:
            async with self._change() as change:
                try:
                    whole = await asyncio.to_thread(self.read)
                except DesiredStateError as error:
                    if error.problems != last:
                        last = error.problems
                        on_unreadable(error)
                else:
                    if whole != last:
                        last = whole
                        on_text(whole)
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
                *self._watched(),
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

    def _watched(self) -> set[Path]:
        """Return the directories in which a change can lead to another text."""
        if not self._path.is_dir():
            return directories(self._path)
        each = (directories(path) for path in files_of(self._path)[:WATCHED_MOST])
        return directories(self._path / "any.yaml").union(*each)


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
