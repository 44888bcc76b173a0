"""A loop that fails is started again: what is served stays as it is meanwhile (P4)."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger("bluegreen")

RESTART_S = 1.0


async def supervise(
    name: str, loop: Callable[[], Awaitable[None]], on_failure: Callable[[str, Exception], None]
) -> None:
    """Run a loop for ever. `on_failure` gets its name and each fault of ours that ended it."""
    while True:
        try:
            await loop()
        except Exception as error:
            log.exception("a loop failed and is started again", loop=name)
            on_failure(name, error)
        await asyncio.sleep(RESTART_S)
