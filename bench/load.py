"""The peers of Traefik, each in a process of its own: the two colours, and the clients that record which one answers.

The clients speak HTTP over raw connections that they keep, and time by CLOCK_MONOTONIC, which all processes share.
"""

import asyncio
import multiprocessing
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import cast

import uvloop

from bench.report import Spread
from provider.model import Colour
from provider.traefik.process import LOOPBACK

CLIENTS = 8
CLIENT_PAUSE_S = 0.01
PROBER_PAUSE_S = 0.001
ANSWER_LIMIT_S = 10.0
QUIET_S = 0.2
"""A switch is over when every client has had answers of the new colour alone for this time."""
SWITCH_LIMIT_S = 30.0
START_LIMIT_S = 60.0
GAPS_KEPT = 20_000
HOST = "shop.example.com"
REQUEST = f"GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode()
SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True)
class Seen:
    """The clients' record of one switch, in seconds of CLOCK_MONOTONIC; `lost` has a line for each request lost.

    `first_new_s` is None where the new colour did not come in time.
    """

    first_new_s: float | None
    last_old_s: float
    answers: int
    lost: tuple[str, ...]


def pin(core: int) -> None:
    """Keep this process to one of the cores it may use, counted from the last for negative numbers."""
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[core % len(cores)]})


class Application(asyncio.Protocol):
    """Answers every request with its colour."""

    def __init__(self, colour: Colour) -> None:
        self._answer = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%b" % (
            len(colour),
            colour.encode(),
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._transport.write(self._answer * data.count(b"\r\n\r\n"))


class Client(asyncio.Protocol):
    """One connection that is kept: a request, its answer, a pause; a lost connection is opened again."""

    def __init__(self, clients: "Clients", pause_s: float) -> None:
        self.latest = b""
        self.sent_s: float | None = None
        self._clients, self._pause_s = clients, pause_s
        self._received = b""
        self._transport: asyncio.Transport

    async def connect(self) -> None:
        await asyncio.get_running_loop().create_connection(lambda: self, LOOPBACK, self._clients.port)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, found, body = self._received.partition(b"\r\n\r\n")
        if not found:
            return
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
        if length is None or len(body) < int(length[1]):
            return
        self._received, self.sent_s = b"", None
        self.latest = body
        self._clients.answered(self, head.partition(b"\r\n")[0], body)
        asyncio.get_running_loop().call_later(self._pause_s, self._send)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.sent_s is not None:
            self._clients.lost.append(f"connection lost: {exc or 'closed'}")
        self._received, self.sent_s = b"", None
        self._clients.tasks.add(asyncio.create_task(self._reconnect()))

    def give_up(self) -> None:
        """Count the request under way as lost: its answer took too long."""
        self._transport.abort()

    async def _reconnect(self) -> None:
        while True:
            await asyncio.sleep(self._pause_s)
            try:
                return await self.connect()
            except OSError as failure:
                self._clients.lost.append(f"connection refused: {failure}")

    def _send(self) -> None:
        if not self._transport.is_closing():
            self.sent_s = time.monotonic()
            self._transport.write(REQUEST)


class Clients:
    """All clients; over a pipe they get the colour to wait for, or None to report the prober's gaps."""

    def __init__(self, port: int, pipe: Connection, count: int = CLIENTS) -> None:
        self.port = port
        self.lost: list[str] = []
        self.tasks: set[asyncio.Task[None]] = set()
        self._pipe = pipe
        self._prober = Client(self, PROBER_PAUSE_S)
        self._clients = [self._prober, *[Client(self, CLIENT_PAUSE_S) for _ in range(count)]]
        self._gaps_s: list[float] = []
        self._probed_s = 0.0
        self._wanted: bytes | None = None
        self._since_s = 0.0
        self._first_new_s: float | None = None
        self._last_old_s = 0.0
        self._answers = 0

    async def run(self) -> None:
        for client in self._clients:
            await client.connect()
        asyncio.get_running_loop().add_reader(self._pipe.fileno(), self._asked)
        self._pipe.send(None)
        while True:
            await asyncio.sleep(QUIET_S / 4)
            now_s = time.monotonic()
            for client in self._clients:
                if client.sent_s is not None and now_s - client.sent_s > ANSWER_LIMIT_S:
                    client.give_up()
            if self._wanted is not None and self._is_over(now_s):
                seen = Seen(self._first_new_s, self._last_old_s, self._answers, tuple(self.lost))
                self._wanted, self._answers = None, 0
                self.lost.clear()
                self._pipe.send(seen)

    def answered(self, client: Client, status: bytes, body: bytes) -> None:
        now_s = time.monotonic()
        self._answers += 1
        if client is self._prober:
            if self._probed_s and len(self._gaps_s) < GAPS_KEPT:
                self._gaps_s.append(now_s - self._probed_s)
            self._probed_s = now_s
        if status != b"HTTP/1.1 200 OK":
            self.lost.append(status.decode(errors="replace"))
        elif body != self._wanted:
            self._last_old_s = now_s
        elif self._first_new_s is None:
            self._first_new_s = now_s

    def _is_over(self, now_s: float) -> bool:
        if now_s - self._since_s > SWITCH_LIMIT_S:
            return True
        return (
            self._first_new_s is not None
            and now_s - max(self._last_old_s, self._first_new_s) > QUIET_S
            and all(client.latest == self._wanted for client in self._clients)
        )

    def _asked(self) -> None:
        asked: Colour | None = self._pipe.recv()
        if asked is None:
            self._pipe.send(self._gaps_s)
        else:
            self._wanted, self._first_new_s, self._since_s = asked.encode(), None, time.monotonic()
            self._pipe.send(None)


class Witness:
    """The clients, from the process that switches."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe

    async def expect(self, colour: Colour) -> None:
        """Let the clients wait for a colour, before the switch to it; `seen` then returns their record."""
        await self._ask(colour)

    async def seen(self) -> Seen:
        """Wait until the switch is over, or has taken too long; return the record of it."""
        return cast("Seen", await asyncio.to_thread(received, self._pipe, SWITCH_LIMIT_S + START_LIMIT_S))

    async def resolution(self) -> Spread:
        """Return the time from one answer to the prober to the next: no moment is known any better."""
        return Spread(cast("list[float]", await self._ask(None)))

    async def _ask(self, question: Colour | None) -> object:
        self._pipe.send(question)
        return await asyncio.to_thread(received, self._pipe, START_LIMIT_S)


@contextmanager
def colours(ports: dict[Colour, int]) -> Iterator[None]:
    """Run the two applications."""
    with beside(_serve, ports):
        yield


@contextmanager
def clients(port: int, count: int = CLIENTS) -> Iterator[Witness]:
    """Run so many clients and the prober against a port of the loopback address where one of the colours answers."""
    with beside(_visit, (port, count)) as pipe:
        yield Witness(pipe)


@contextmanager
def beside(target: object, given: object) -> Iterator[Connection]:
    """Run `target(pipe, given)` in a process of its own, which first sends something once it is ready."""
    here, there = SPAWN.Pipe()
    process = SpawnProcess(target=target, args=(there, given), daemon=True)  # type: ignore[arg-type]
    process.start()
    there.close()  # else nothing here would show that the process died
    try:
        received(here, START_LIMIT_S)
        yield here
    finally:
        process.kill()
        process.join()


def received(pipe: Connection, limit_s: float = START_LIMIT_S) -> object:
    """Wait for what the other process sends."""
    assert pipe.poll(limit_s), f"no word from the other process in {limit_s:g} s"
    return pipe.recv()


def _serve(pipe: Connection, ports: dict[Colour, int]) -> None:
    pin(-1)

    async def answer() -> None:
        loop = asyncio.get_running_loop()
        for colour, port in ports.items():
            await loop.create_server(partial(Application, colour), LOOPBACK, port, backlog=1024)
        pipe.send(None)
        await asyncio.Event().wait()

    uvloop.run(answer())


def _visit(pipe: Connection, given: tuple[int, int]) -> None:
    pin(-1)
    port, count = given
    uvloop.run(Clients(port, pipe, count).run())
