"""Requests written byte by byte, as no client library sends them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

LIMIT_S = 60.0


class Wire:
    """One connection to a listener."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until(self, end: bytes) -> bytes:
        """Read until these bytes have come."""
        async with asyncio.timeout(LIMIT_S):
            return await self.reader.readuntil(end)

    async def rest(self) -> bytes:
        """Read until the other side closes; a reset is an end, too."""
        found = b""
        try:
            async with asyncio.timeout(LIMIT_S):
                while piece := await self.reader.read(65536):
                    found += piece
        except ConnectionError:
            pass
        return found


@asynccontextmanager
async def wire(base: str) -> AsyncIterator[Wire]:
    """Connect to `http://HOST:PORT` or `unix:PATH`."""
    if base.startswith("unix:"):
        reader, writer = await asyncio.open_unix_connection(base.removeprefix("unix:"))
    else:
        parts = urlsplit(base)
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Wire(reader, writer)
    finally:
        writer.transport.abort()
