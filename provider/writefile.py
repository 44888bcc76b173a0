"""Keeps what is published in a file as well, for a Traefik that starts while the daemon is down (`--write-file`).

It goes after what is published and never before it (P5), and nothing waits for it.
"""

import asyncio
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from provider.clock import clock
from provider.conditions import Conditions
from provider.errors import BluegreenError
from provider.fallback import block_in_file, extra_in_file, file_content
from provider.files import replace_file
from provider.metrics import Metrics
from provider.model import Severity
from provider.publication import Published
from provider.threads import in_thread

if TYPE_CHECKING:
    from provider.render import Block

log = structlog.get_logger("bluegreen")

SUFFIXES = (".yaml", ".yml")
"""What Traefik reads; it takes no .json (pkg/provider/file/file.go, isFileSupported)."""
MODE = 0o640
SETTLE_S = 0.5
RETRY_S = 5.0
LIMIT_S = 10.0
FLUSH_S = 2.0
CONDITION: Final = "write-file-failing"


class WriteFileRefused(BluegreenError):  # noqa: N818
    """A --write-file that Traefik would not read."""


def check(path: Path) -> None:
    """Raise WriteFileRefused for a name that Traefik's file provider does not read."""
    if path.suffix.lower() not in SUFFIXES:
        raise WriteFileRefused(
            f"--write-file {path}: Traefik reads no file of that name. Let it end in {' or '.join(SUFFIXES)}; "
            "what it holds is YAML"
        )


class WriteFile:
    """Writes `path` after each published document, half a second later: Traefik applies a switch without it.

    `after` waits for another document than the given one, as Publication does. All methods belong to the event loop's
    thread.
    """

    def __init__(
        self,
        path: Path,
        after: Callable[[Published | None], Awaitable[Published | None]],
        conditions: Conditions,
        metrics: Metrics,
    ) -> None:
        self._path, self._after = path, after
        self._conditions, self._metrics = conditions, metrics
        self._written: Published | None = None
        self._blocks: dict[bytes, Block] = {}
        self._one_at_a_time = threading.Lock()

    async def run(self) -> None:
        """Write the newest document there is, again and again; one that cannot be written is tried again."""
        seen: Published | None = None
        while True:
            await self._after(seen)
            await asyncio.sleep(SETTLE_S)
            newest = await self._after(seen)
            # One that was found in the store has no parts to write it from; the same with its parts follows soon.
            if newest is None or newest.is_resumed or await self._put(newest, LIMIT_S):
                seen = newest
            else:
                await asyncio.sleep(RETRY_S)

    async def flush(self, published: Published | None) -> None:
        """Write a document that has not been written yet; call it when `run` has ended."""
        if published is not None and published is not self._written and not published.is_resumed:
            await self._put(published, FLUSH_S)

    async def _put(self, published: Published, limit_s: float) -> bool:
        """Tell whether a document is on disk now; a disk that hangs keeps a thread and nothing else."""
        cause: str | None = None
        try:
            async with asyncio.timeout(limit_s):
                await in_thread(lambda: self._write(published, limit_s), name="write file")
        except TimeoutError:
            cause = f"the disk did not answer within {limit_s:g} s"
        except OSError as failure:
            cause = failure.strerror or str(failure)
        else:
            self._written = published
        self._tell(cause)
        return cause is None

    def _tell(self, cause: str | None) -> None:
        self._metrics.write_file_failing.set(cause is not None)
        if cause is None:
            if self._conditions.clear(CONDITION):
                log.info("the file can be written again", path=str(self._path))
            return
        message = (
            f"{self._path} is not up to date, and a Traefik that starts while the daemon is down goes by it: {cause}. "
            "Make its directory exist, writable for the daemon and with room; it is tried again by itself"
        )
        if self._conditions.put(CONDITION, Severity.WARNING, message, clock().utc):
            log.error("the file cannot be written", path=str(self._path), cause=cause)

    def _write(self, published: Published, limit_s: float) -> None:
        """Render and write in the calling thread. What ten thousand services add is turned block by block, and once."""
        if not self._one_at_a_time.acquire(timeout=limit_s):
            raise TimeoutError
        try:
            known = self._blocks
            self._blocks = {one.digests: known.get(one.digests) or block_in_file(one) for one in published.blocks}
            content = file_content(tuple(self._blocks.values()), extra_in_file(published.extra))
            if not _holds(self._path, content):  # else Traefik would read it anew for nothing (P12)
                replace_file(self._path, content, mode=_mode(self._path))
                log.info("file written", path=str(self._path), revision=published.revision, bytes=len(content))
        finally:
            self._one_at_a_time.release()


def _holds(path: Path, content: bytes) -> bool:
    try:
        return path.read_bytes() == content
    except OSError:
        return False


def _mode(path: Path) -> int:
    """Return the mode of the file that is replaced."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return MODE
