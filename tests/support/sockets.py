"""Backends and clients of TCP and UDP, for a Traefik in between."""

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from provider.model import Server
from provider.traefik.process import LOOPBACK, free_ports
from tests.support.traefik import Backend
from tests.support.waiting import eventually

ANSWER_S = 10.0


class TcpBackend:
    """Answers every line with its name, and keeps the connection. `seen` are the first lines of its connections.

    With `preface` it first reads so many bytes, which are kept in `prefaces`.
    """

    def __init__(self, name: str, *, tls: ssl.SSLContext | None = None, preface: int = 0) -> None:
        self.name, self._tls, self._preface = name, tls, preface
        (self.port,) = free_ports(1)
        self.prefaces: list[bytes] = []
        self.open: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, LOOPBACK, self.port, ssl=self._tls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self.open:
            writer.transport.abort()
        await eventually(lambda: not self.open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open.add(writer)
        try:
            if self._preface:
                self.prefaces.append(await reader.readexactly(self._preface))
            while await reader.readline():
                writer.write(f"{self.name}\n".encode())
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()


class UdpBackend(asyncio.DatagramProtocol):
    """Answers every datagram with its name; `clients` are the addresses that it heard of."""

    def __init__(self, name: str) -> None:
        self.name = name
        (self.port,) = free_ports(1)
        self.clients: set[object] = set()
        self._transport: asyncio.DatagramTransport | None = None

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=(LOOPBACK, self.port))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._transport is not None:
            self._transport.close()

    def datagram_received(self, _: bytes, addr: object) -> None:
        self.clients.add(addr)
        if self._transport is not None:
            self._transport.sendto(self.name.encode(), addr)  # type: ignore[arg-type]  # an address as it came


class TcpClient:
    """One connection."""

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, sni: str | None = None) -> None:
        self._port, self._tls, self._sni = port, tls, sni

    async def __aenter__(self) -> Self:
        async with asyncio.timeout(ANSWER_S):
            self._reader, self._writer = await asyncio.open_connection(
                LOOPBACK, self._port, ssl=self._tls, server_hostname=self._sni
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.transport.abort()

    async def ask(self) -> str:
        """Return who answers; raises ConnectionError where nobody does."""
        async with asyncio.timeout(ANSWER_S):
            self._writer.write(b"who\n")
            await self._writer.drain()
            line = await self._reader.readline()
        if not line:
            raise ConnectionResetError("closed without an answer")
        return line.decode().strip()


class UdpClient(asyncio.DatagramProtocol):
    """One session: a port of its own."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(lambda: self, remote_addr=(LOOPBACK, self._port))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._transport.close()

    def datagram_received(self, data: bytes, _: object) -> None:
        self._answers.put_nowait(data)

    async def ask(self) -> str:
        """Return who answers one datagram; raises TimeoutError where nobody does."""
        self._transport.sendto(b"who")
        async with asyncio.timeout(ANSWER_S):
            return (await self._answers.get()).decode()


async def ask_tcp(port: int, *, tls: ssl.SSLContext | None = None, sni: str | None = None) -> str:
    """Return who answers a connection of its own."""
    async with TcpClient(port, tls=tls, sni=sni) as client:
        return await client.ask()


async def ask_udp(port: int) -> str:
    """Return who answers a session of its own."""
    async with UdpClient(port) as client:
        return await client.ask()


@dataclass
class NewLoad:
    """A steady, bounded load: clients that ask on a connection or session of its own each time, one after the other.

    `failures` has a line for each one that got no answer; nothing is tried again.
    """

    ask: Callable[[], Awaitable[str]]
    clients: int = 4
    pause_s: float = 0.01
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    async def __aenter__(self) -> Self:
        self._stopping = asyncio.Event()
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self.clients)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.answers[await self.ask()] += 1
            except (OSError, TimeoutError) as error:
                self.failures.append(repr(error))
            await asyncio.sleep(self.pause_s)

    async def until_answer(self, name: str, count: int = 1) -> None:
        """Wait for so many further answers of this backend."""
        wanted = self.answers[name] + count
        await eventually(lambda: self.answers[name] >= wanted)


@asynccontextmanager
async def kept_alive(port: int) -> AsyncIterator[NewLoad]:
    """Ask in one session again and again: Traefik ends one after three seconds of silence (its `udp.timeout`)."""
    async with UdpClient(port) as client, NewLoad(client.ask, clients=1, pause_s=0.2) as load:
        yield load


@dataclass(frozen=True, slots=True)
class Application:
    """One colour of a service that speaks HTTP, TCP (endpoint mqtt) and UDP (endpoint dns)."""

    web: Backend
    mqtt: TcpBackend
    dns: UdpBackend

    def servers(self, release: str) -> tuple[Server, ...]:
        return (
            Server(self.web.url, release),
            Server(f"tcp://127.0.0.1:{self.mqtt.port}", release, endpoint="mqtt"),
            Server(f"udp://127.0.0.1:{self.dns.port}", release, endpoint="dns"),
        )

    @property
    def written(self) -> str:
        """Return its servers as a file has them."""
        web, mqtt, dns = self.servers("")
        others = ", ".join(f"{one.endpoint}: ['{one.url.partition('://')[2]}']" for one in (mqtt, dns))
        return f"{{urls: ['{web.url}'], version: '{self.web.name}', endpoints: {{{others}}}}}"


@asynccontextmanager
async def applications(*webs: Backend) -> AsyncIterator[list[Application]]:
    """Run an application of the name of each backend of HTTP."""
    async with AsyncExitStack() as stack:
        yield [
            Application(
                web,
                await stack.enter_async_context(TcpBackend(web.name)),
                await stack.enter_async_context(UdpBackend(web.name)),
            )
            for web in webs
        ]
