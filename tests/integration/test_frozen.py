"""A daemon that did not run for a while: stopped by a signal, as a paused machine or a laptop's lid would (rule 14)."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import pytest

from provider.runtime.clock import GAP_S
from tests.support.daemon import Daemon, StartDaemon
from tests.support.release import HTTP_CHECKS, fixed
from tests.support.traefik import Backend, StartBackend

PHASE_S = 6.0
FROZEN_S = PHASE_S + GAP_S


@asynccontextmanager
async def frozen(daemon: Daemon) -> AsyncIterator[None]:
    """Stop the process for longer than its phase may take; time is all that this can wait for."""
    assert daemon.process is not None
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        yield
        await asyncio.sleep(FROZEN_S)
    finally:
        daemon.process.send_signal(signal.SIGCONT)


async def watched(start_daemon: StartDaemon, start_backend: StartBackend) -> tuple[Daemon, Backend]:
    """Start a daemon that watches a release it has just switched to; return both."""
    blue, green = await start_backend("one"), await start_backend("two")
    file = partial(fixed, blue, health=HTTP_CHECKS, watch=f"{PHASE_S:g}s")
    daemon = await start_daemon(file(None))
    await daemon.until("shop", active="blue")
    daemon.write(file(green))
    await daemon.until("shop", phase="watching")
    return daemon, green


@pytest.mark.takes(15)
async def test_a_watch_that_was_slept_through_goes_on_and_still_sees_the_release_fail(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """Rules 8 and 14."""
    daemon, green = await watched(start_daemon, start_backend)
    async with frozen(daemon):
        green.status = 500
    await daemon.until_event("shop", "rolled-back", trigger="watch")
    assert daemon.logged("this process did not run for a while; all evidence begins again")


@pytest.mark.takes(15)
async def test_a_watch_that_was_slept_through_is_not_begun_again(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """Rule 14: a stall delays a phase and never repeats it."""
    daemon, _ = await watched(start_daemon, start_backend)
    async with frozen(daemon):
        pass
    await daemon.until("shop", active="green", phase="steady")
    assert len(await daemon.history("shop", phase="watching")) == 1


@pytest.mark.takes(15)
async def test_a_deadline_that_was_slept_through_expires_nothing(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """P10, rule 14: what became healthy meanwhile is switched to."""
    blue, green = await start_backend("one"), await start_backend("two")
    green.status = 503
    file = partial(fixed, blue, health=HTTP_CHECKS, deadlines=f"waiting: {PHASE_S:g}s, confirming: 100ms")
    daemon = await start_daemon(file(None))
    await daemon.until("shop", active="blue")
    daemon.write(file(green))
    await daemon.until("shop", phase="waiting")
    async with frozen(daemon):
        green.status = 200
    await daemon.until("shop", active="green", quarantined=[])
