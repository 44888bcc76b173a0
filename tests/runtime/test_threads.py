"""Blocking calls in threads of their own."""

import asyncio
import threading

import pytest

from provider.runtime.threads import in_thread


async def test_a_call_answers_from_a_daemon_thread_of_its_name() -> None:
    thread = await in_thread(threading.current_thread, name="patient")
    assert (thread.name, thread.daemon) == ("patient", True)


async def test_what_a_call_raises_is_raised_where_its_answer_is_awaited() -> None:
    def fail() -> None:
        raise OSError("made up")

    with pytest.raises(OSError, match="made up"):
        await in_thread(fail, name="unlucky")


async def test_a_call_that_hangs_holds_up_nobody_who_waits_no_longer() -> None:
    release = threading.Event()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await in_thread(release.wait, name="hangs")
    release.set()
