"""What a loop has yet to look at."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from provider.controller.work_queue import WorkQueue


async def not_yet(taking: Coroutine[Any, Any, set[str]]) -> asyncio.Task[set[str]]:
    """Begin to take, and see that there is nothing to take."""
    task = asyncio.create_task(taking)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_keys_added_before_they_are_taken_are_taken_once_and_together() -> None:
    queue = WorkQueue()
    queue.add(["a", "b"])
    queue.add(["b"])
    assert await queue.take() == {"a", "b"}
    (await not_yet(queue.take())).cancel()


async def test_no_keys_at_all_still_cause_a_look() -> None:
    queue = WorkQueue()
    queue.add(())
    assert await queue.take() == set()


async def test_who_waits_is_woken_by_a_key() -> None:
    queue = WorkQueue()
    waiting = await not_yet(queue.take())
    queue.add(["a"])
    assert await waiting == {"a"}


async def test_a_key_for_later_comes_when_its_time_does_and_the_earliest_time_counts() -> None:
    queue = WorkQueue()
    now_s = time.monotonic()
    queue.add_at("soon", now_s + 1e6)
    queue.add_at("soon", now_s + 0.02)
    queue.add_at("soon", now_s + 1e6)
    queue.add_at("never", now_s + 1e6)
    assert await queue.take() == {"soon"}
    assert time.monotonic() >= now_s + 0.02
    (await not_yet(queue.take())).cancel()


async def test_an_earlier_time_wakes_who_waits_for_a_later_one() -> None:
    queue = WorkQueue()
    queue.add_at("later", time.monotonic() + 1e6)
    waiting = await not_yet(queue.take())
    queue.add_at("sooner", time.monotonic())
    assert await waiting == {"sooner"}


async def test_what_is_due_is_taken_with_what_is_asked_for() -> None:
    queue = WorkQueue()
    queue.add_at("due", time.monotonic())
    queue.add(["asked"])
    assert await queue.take() == {"due", "asked"}


async def test_a_cancelled_wait_loses_nothing() -> None:
    queue = WorkQueue()
    waiting = await not_yet(queue.take())
    queue.add(["a"])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await queue.take() == {"a"}
