"""What a loop has yet to look at."""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any

import pytest

from provider.agenda import Agenda


async def not_yet(taking: Coroutine[Any, Any, set[str]]) -> asyncio.Task[set[str]]:
    """Begin to take, and see that there is nothing to take."""
    task = asyncio.create_task(taking)
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_keys_added_before_they_are_taken_are_taken_once_and_together() -> None:
    agenda = Agenda()
    agenda.add(["a", "b"])
    agenda.add(["b"])
    assert await agenda.take() == {"a", "b"}
    (await not_yet(agenda.take())).cancel()


async def test_no_keys_at_all_still_cause_a_look() -> None:
    agenda = Agenda()
    agenda.add(())
    assert await agenda.take() == set()


async def test_who_waits_is_woken_by_a_key() -> None:
    agenda = Agenda()
    waiting = await not_yet(agenda.take())
    agenda.add(["a"])
    assert await waiting == {"a"}


async def test_a_key_for_later_comes_when_its_time_does_and_the_earliest_time_counts() -> None:
    agenda = Agenda()
    now_s = time.monotonic()
    agenda.add_at("soon", now_s + 1e6)
    agenda.add_at("soon", now_s + 0.02)
    agenda.add_at("soon", now_s + 1e6)
    agenda.add_at("never", now_s + 1e6)
    assert await agenda.take() == {"soon"}
    assert time.monotonic() >= now_s + 0.02
    (await not_yet(agenda.take())).cancel()


async def test_an_earlier_time_wakes_who_waits_for_a_later_one() -> None:
    agenda = Agenda()
    agenda.add_at("later", time.monotonic() + 1e6)
    waiting = await not_yet(agenda.take())
    agenda.add_at("sooner", time.monotonic())
    assert await waiting == {"sooner"}


async def test_what_is_due_is_taken_with_what_is_asked_for() -> None:
    agenda = Agenda()
    agenda.add_at("due", time.monotonic())
    agenda.add(["asked"])
    assert await agenda.take() == {"due", "asked"}


async def test_a_cancelled_wait_loses_nothing() -> None:
    agenda = Agenda()
    waiting = await not_yet(agenda.take())
    agenda.add(["a"])
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert await agenda.take() == {"a"}
