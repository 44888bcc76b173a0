"""A proxy between one replica and one member of etcd, which loses answers and is late with requests.

It reads one HTTP request after the other and draws what becomes of each; answers pass as they come.
"""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from provider.traefik.process import LOOPBACK, free_ports
from tests.support.etcd_network import CALM, Fate

LATE_S = 6.0
"""A late request comes at most so much later: long after its client gave up."""
HOLD_S = 10.0
"""How long nothing is said on a connection whose request or answer was lost."""


class Proxy:
    """Listens for one replica, passes on to one member; `is_cut` lets nothing through."""

    def __init__(self, port: int, rng: random.Random) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.weather = CALM
        self.drawn: dict[Fate, int] = dict.fromkeys(Fate, 0)
        self._to, self._rng = port, rng
        self._is_cut = False
        self._open: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Proxy"]:
        """Listen meanwhile."""
        server = await asyncio.start_server(self._connected, LOOPBACK, self.port)
        try:
            yield self
        finally:
            server.close()
            for task in self._open:
                task.cancel()
            await asyncio.gather(*self._open, return_exceptions=True)

    def cut(self, *, is_cut: bool) -> None:
        """Let nothing through from now on, also on connections that are open; or everything again."""
        self._is_cut = is_cut

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._serve(reader, writer)
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there = await asyncio.open_connection(LOOPBACK, self._to)
        answers = asyncio.create_task(self._answers(there_reader, writer))
        try:
            while request := await _request(reader):
                fate = self._fate()
                self.drawn[fate] += 1
                match fate:
                    case Fate.ANSWERED:
                        there.write(request)
                    case Fate.SLOW:
                        await asyncio.sleep(self._rng.uniform(0, 1))
                        there.write(request)
                    case Fate.DOUBLED:
                        there.write(request)
                        self._start(self._send_alone(request, self._rng.uniform(0, LATE_S)))
                    case _:
                        answers.cancel()
                        await self._fail(fate, request)
                        return
        finally:
            answers.cancel()
            there.transport.abort()

    async def _fail(self, fate: Fate, request: bytes) -> None:
        """Have a request go wrong on a connection that ends with it."""
        match fate:
            case Fate.UNANSWERED:
                await self._send_alone(request, 0.0)
            case Fate.LATE:
                self._start(self._send_alone(request, self._rng.uniform(1.0, LATE_S)))
                await asyncio.sleep(HOLD_S)
            case Fate.LOST:
                await asyncio.sleep(HOLD_S)
            case _:
                """Only the connection ends."""

    async def _send_alone(self, request: bytes, after_s: float) -> None:
        """Send a request on a connection of its own and wait for the answer, which nobody gets."""
        await asyncio.sleep(after_s)
        with suppress(OSError):
            reader, writer = await asyncio.open_connection(LOOPBACK, self._to)
            try:
                writer.write(request)
                async with asyncio.timeout(HOLD_S):
                    await reader.read(1)
            finally:
                writer.transport.abort()

    def _start(self, sending: object) -> None:
        assert asyncio.iscoroutine(sending)
        task = asyncio.create_task(sending)
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _answers(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self._is_cut:
                    await asyncio.sleep(HOLD_S)
                    break
                writer.write(data)
                await writer.drain()
        writer.close()

    def _fate(self) -> Fate:
        return Fate.LOST if self._is_cut else self.weather.draw(self._rng)


async def _request(reader: asyncio.StreamReader) -> bytes:
    """Read one request with its body; b"" at the end."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""
    fields = dict(line.lower().split(b":", 1) for line in head.split(b"\r\n")[1:] if b":" in line)
    return head + await reader.readexactly(int(fields.get(b"content-length", b"0")))
