"""A long work gives way, and a short one does not for every step."""

import asyncio
import gc

import pytest

from provider.runtime.timeslice import Timeslice, uncollected


async def test_a_long_work_lets_others_have_their_turn_again_and_again() -> None:
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    timeslice, seen = Timeslice(), set[int]()
    while len(seen) < 5:
        await timeslice.give_way()
        seen.add(others)
    task.cancel()


async def test_a_short_work_is_not_interrupted() -> None:
    began = asyncio.Event()
    asyncio.get_running_loop().call_soon(began.set)
    timeslice = Timeslice()
    timeslice._until_s = float("inf")
    for _ in range(100):
        await timeslice.give_way()
    assert not began.is_set()


def test_the_collector_rests_for_as_long_as_a_work_and_no_longer() -> None:
    assert gc.isenabled()
    with uncollected():
        assert not gc.isenabled()
        with uncollected():
            pass
        assert not gc.isenabled(), "the inner of two does not end the outer one's rest"
    assert gc.isenabled()


def test_a_collector_that_was_at_rest_before_stays_so() -> None:
    gc.disable()
    try:
        with pytest.raises(ValueError, match="made up"), uncollected():
            raise ValueError("made up")
        assert not gc.isenabled()
    finally:
        gc.enable()
