"""From the fetch of a document by a real Traefik to the moment it routes by it."""

import asyncio
import statistics
import time
from dataclasses import dataclass
from typing import cast

from bench.documents import Pair
from bench.processes import cpu_s, polling, resident_mb
from provider.model.document import Document
from provider.traefik.process import LOOPBACK, Traefik

POLL_S = 0.25
THROTTLE_S = 0.001
LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Routed:
    """The cost for Traefik of applying a change of one server: the median time, the processor time, and its memory."""

    median_s: float
    cpu_s: float
    resident_mb: float


class _Served(asyncio.Protocol):
    """Serves one document, each answer in one write; `fetched_s` is when that was first asked for."""

    document: Document
    fetched_s: float | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, _data: bytes) -> None:
        if _Served.fetched_s is None:
            _Served.fetched_s = time.monotonic()
        body = self.document.body
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode("ascii") + body)

    @classmethod
    def publish(cls, document: Document) -> None:
        cls.document, cls.fetched_s = document, None


async def apply(pair: Pair, changes: int) -> Routed:
    """Let a Traefik of its own apply the two documents in turn, the first one once before anything is measured."""
    _Served.publish(pair.first)
    server = await asyncio.get_running_loop().create_server(_Served, LOOPBACK, 0)
    port = server.sockets[0].getsockname()[1]
    try:
        endpoint = f"http://{LOOPBACK}:{port}/"
        async with server, polling(endpoint, interval_s=POLL_S, throttle_s=THROTTLE_S) as traefik:
            pid = traefik.process.pid
            await _applied(traefik, pair.first)
            took_s, used_s = [], []
            for number in range(changes):
                document = (pair.second, pair.first)[number % 2]
                before_s = cpu_s(pid)
                _Served.publish(document)
                routed_s = await _applied(traefik, document)
                assert _Served.fetched_s is not None
                took_s.append(routed_s - _Served.fetched_s)
                used_s.append(cpu_s(pid) - before_s)
            return Routed(statistics.median(took_s), statistics.median(used_s), resident_mb(pid))
    finally:
        server.close()


async def _applied(traefik: Traefik, document: Document) -> float:
    """Wait until Traefik has the marker of a document; return when that was."""
    try:
        async with asyncio.timeout(LIMIT_S):
            while await traefik.middleware(document.marker) is None:
                await asyncio.sleep(0.002)
    except TimeoutError:
        raise AssertionError(f"not applied after {LIMIT_S:g} s: {traefik.errors()}") from None
    return time.monotonic()
