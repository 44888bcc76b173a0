"""Servers that only listen."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
from aiohttp import web

from provider.api.listen import listen

ACCEPT_TURNS = 5
"""Turns of the event loop within which a connection that asyncio has accepted becomes known to its server."""


async def end(runner: web.BaseRunner) -> None:
    """Stop listening, and close all connections; also what was being accepted while the others were closed."""
    server = runner.server
    await runner.cleanup()
    for _ in range(ACCEPT_TURNS):
        await asyncio.sleep(0)
    if server is not None:
        await server.shutdown(timeout=0)


@asynccontextmanager
async def listener(address: str) -> AsyncIterator[None]:
    runner = web.AppRunner(web.Application())
    await runner.setup()
    try:
        await listen(runner, address)
        yield
    finally:
        await end(runner)


async def answers(url: str, unix: Path | None = None) -> bool:
    connector = aiohttp.UnixConnector(str(unix)) if unix else None
    try:
        async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
            return answer.status == 404
    except aiohttp.ClientConnectionError:
        return False
