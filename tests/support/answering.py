"""Servers that answer as a test says, rightly or wrongly, and what else tests of requests need."""

import asyncio
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest
import uvloop

from tests.support.components import program

Answer: TypeAlias = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
Handle: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Run: TypeAlias = Callable[[Coroutine[Any, Any, Any]], Any]

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
on_both_loops = pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])


def says(answer: bytes, *, and_stays: bool = False) -> Answer:
    async def act(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        if and_stays:
            await asyncio.Event().wait()

    return act


def repeats(start: bytes, more: bytes) -> Answer:
    async def act(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(start)
        while True:
            writer.write(more)
            await writer.drain()

    return act


def redirects(**places: str) -> Answer:
    async def act(request: str, writer: asyncio.StreamWriter) -> None:
        place = places.get(request.split()[1].strip("/"))
        writer.write(f"HTTP/1.1 302 Found\r\nLocation: {place}\r\n\r\n".encode() if place else OK)

    return act


async def resets(_: str, writer: asyncio.StreamWriter) -> None:
    plain = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@asynccontextmanager
async def connecting(
    handle: Handle, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None
) -> AsyncIterator[int]:
    """A server that gives each connection to `handle` and then closes it; yields its port."""
    handlers: set[asyncio.Task[None]] = set()

    async def to_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.create_task(to_the_end(reader, writer)))

    server = await asyncio.start_server(connected, host, 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)


@asynccontextmanager
async def serving(answer: Answer, *, host: str = "127.0.0.1", tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """A server that gives each request's head to `answer` and then closes the connection."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await answer((await reader.readuntil(b"\r\n\r\n")).decode(), writer)

    async with connecting(handle, host=host, tls=tls) as port:
        yield f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"


@dataclass(frozen=True)
class Holding:
    """A server that answers nobody: whether it was asked, and whether its client has gone."""

    url: str
    asked: asyncio.Event
    let_go: asyncio.Event


@asynccontextmanager
async def holding() -> AsyncIterator[Holding]:
    asked, let_go = asyncio.Event(), asyncio.Event()

    async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await reader.read()
        let_go.set()
        writer.close()

    async with await asyncio.start_server(held, "127.0.0.1", 0) as server:
        yield Holding(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked, let_go)


def open_sockets() -> int:
    return sum(path.is_socket() for path in Path("/proc/self/fd").iterdir())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


def self_signed(path: Path, name: str) -> Path:
    """Write a self-signed certificate for `name`, its key in the same file."""
    openssl = [program("openssl", "openssl"), "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    words = ["-nodes", "-days", "2", "-subj", "/CN=shop", "-addext", f"subjectAltName=DNS:{name}"]
    certificate = path.with_suffix(".crt")
    subprocess.run([*openssl, *words, "-keyout", path, "-out", certificate], check=True, capture_output=True)
    path.write_text(path.read_text() + certificate.read_text())
    return path
