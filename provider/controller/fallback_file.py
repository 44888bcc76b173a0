"""Keeps what is published in a file as well, for a Traefik that starts while the daemon is down (`--write-file`).

It goes after what is published and never before it (P5), and nothing waits for it.
"""

import asyncio
import stat
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson
import structlog
import yaml

from provider.controller.publication import Published
from provider.model import ConditionCode, condition
from provider.model.errors import BluegreenError
from provider.observability.active_conditions import Conditions
from provider.observability.metrics import Metrics
from provider.runtime.clock import clock
from provider.runtime.files import replace_file
from provider.runtime.threads import in_thread
from provider.traefik.document.fallback import block_in_file, extra_in_file, file_content, parts_of

log = structlog.get_logger("bluegreen")

SUFFIXES = (".yaml", ".yml")
"""What Traefik reads; it takes no .json (pkg/provider/file/file.go, isFileSupported)."""
MODE = 0o640
SETTLE_S = 0.5
RETRY_S = 5.0
LIMIT_S = 10.0
FLUSH_S = 2.0
CONDITION = ConditionCode.WRITE_FILE_FAILING


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
        self._one_at_a_time = threading.Lock()

    async def run(self) -> None:
        """Write the newest document there is, again and again; one that cannot be written is tried again."""
        seen: Published | None = None
        while True:
            await self._after(seen)
            await asyncio.sleep(SETTLE_S)
            newest = await self._after(seen)
            if newest is None or await self._put(newest, LIMIT_S):
                seen = newest
            else:
                await asyncio.sleep(RETRY_S)

    async def flush(self, published: Published | None) -> None:
        """Write a document that has not been written yet; call it when `run` has ended."""
        if published is not None and published is not self._written:
            await self._put(published, FLUSH_S)

    async def _put(self, published: Published, limit_s: float) -> bool:
        """Return whether a document is on disk now; a disk that hangs keeps a thread and nothing else."""
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
        self._report(cause)
        return cause is None

    def _report(self, cause: str | None) -> None:
        self._metrics.write_file_failing.set(cause is not None)
        if cause is None:
            if self._conditions.clear(CONDITION):
                log.info("the file can be written again", path=str(self._path))
            return
        if self._conditions.put(condition(CONDITION, clock().utc, path=self._path, cause=cause)):
            log.error("the file cannot be written", path=str(self._path), cause=cause)

    def _write(self, published: Published, limit_s: float) -> None:
        """Render and write in the calling thread."""
        if not self._one_at_a_time.acquire(timeout=limit_s):
            raise TimeoutError
        try:
            content = _content(published)
            if not _holds(self._path, content):  # else Traefik would read it again for nothing (P12)
                replace_file(self._path, content, mode=_mode(self._path))
                log.info("file written", path=str(self._path), revision=published.revision, bytes=len(content))
        finally:
            self._one_at_a_time.release()


def _content(published: Published) -> bytes:
    """Render the file. A document of another replica is taken apart: Traefik reads one that is no JSON as YAML."""
    if published.is_from_here:
        return file_content(tuple(map(block_in_file, published.blocks)), extra_in_file(published.extra))
    body = published.document.body
    content = orjson.loads(body) if published.document.is_json else yaml.load(body, yaml.CSafeLoader)
    return file_content((), extra_in_file(parts_of(content)))


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
