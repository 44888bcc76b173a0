"""Limits for answers that are read with `http.client`: a maximum size, and a maximum time in all.

A library's own timeout is for each read, so a peer that sends a byte now and then is never given up, and `requests`
keeps everything. `Bounds` applies to every answer that a thread reads, at whatever depth: by Docker's SDK, and by the
services that Apprise notifies. For aiohttp there is `connector`.

docs/security.md has every bound in one table.
"""

import contextlib
import errno
import http.client
import io
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

VALUES_MOST = 2_000_000
"""Maximum number of values in a JSON answer: in memory each takes up to thirty times its length."""


class LimitExceeded(OSError):  # noqa: N818  the name states the fact
    """An answer beyond its limits; `strerror` says which."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EMSGSIZE, what)


def has_too_many_values(text: bytes | bytearray) -> bool:
    """Return, without parsing it, whether a JSON answer may have more than `VALUES_MOST` values."""
    return text.count(b",") + text.count(b"[") + text.count(b"{") > VALUES_MOST


class Bounds:
    """The limits for the answers that one thread reads: `size` bytes each, and `limit_s` together.

    `limit_s` None is for a stream of events, where `renew` restarts the count of bytes.
    """

    def __init__(self, size: int, limit_s: float | None) -> None:
        self.size = size
        self.end_mono_s = None if limit_s is None else time.monotonic() + limit_s
        self._lock = threading.Lock()
        self._meters: list[_Meter] = []
        self._aborted = False

    @contextlib.contextmanager
    def in_force(self) -> Iterator[None]:
        """Limit every answer that this thread starts to read meanwhile, until its end."""
        http.client.HTTPConnection.response_class = _Answer
        before = getattr(_in_force, "bounds", None)
        _in_force.bounds = self
        try:
            yield
        finally:
            _in_force.bounds = before

    def renew(self) -> None:
        """Restart the count of bytes, after an event."""
        with self._lock:
            for meter in self._meters:
                meter.read_bytes = 0

    def abort(self) -> None:
        """End the connections, so that a thread that reads one stops waiting."""
        with self._lock:
            self._aborted = True
            for meter in self._meters:
                meter.abort()

    def add(self, meter: "_Meter") -> None:
        """Limit another answer."""
        with self._lock:
            self._meters.append(meter)
            if self._aborted:
                meter.abort()


_in_force = threading.local()


class _Answer(http.client.HTTPResponse):
    """An answer that is read through a meter while there are limits."""

    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        bounds: Bounds | None = getattr(_in_force, "bounds", None)
        if bounds is not None:
            meter = _Meter(self.fp.detach(), sock, bounds)
            bounds.add(meter)
            self.fp = _Buffered(meter, bounds.size)


class _Buffered(io.BufferedReader):
    """Allocates nothing for a size that a peer only announces."""

    def __init__(self, meter: "_Meter", size: int) -> None:
        super().__init__(meter)
        self._size = size

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > self._size:
            raise LimitExceeded(f"its answer is larger than {_size(self._size)}")
        return super().read(size)


class _Meter(io.RawIOBase):
    """Reads a socket within limits."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, bounds: Bounds) -> None:
        self._raw, self._sock, self._bounds = raw, sock, bounds
        self._silence_s = sock.gettimeout()
        self.read_bytes = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        if self._bounds.end_mono_s is not None:
            left_s = self._bounds.end_mono_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("the answer takes too long")
            self._sock.settimeout(left_s if self._silence_s is None else min(left_s, self._silence_s))
        got = self._raw.readinto(buffer)
        self.read_bytes += got or 0
        if self.read_bytes > self._bounds.size:
            raise LimitExceeded(f"its answer is larger than {_size(self._bounds.size)}")
        return got

    def abort(self) -> None:
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _size(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 1 << 20 else f"{size >> 10} KiB"
