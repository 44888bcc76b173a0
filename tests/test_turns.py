"""A long work gives way, and a short one does not for every step."""

import asyncio

from provider.turns import Turn


async def test_a_long_work_lets_others_have_their_turn_again_and_again() -> None:
    others = 0

    async def other() -> None:
        nonlocal others
        while True:
            others += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    turn, seen = Turn(), set[int]()
    while len(seen) < 5:
        await turn.rest()
        seen.add(others)
    task.cancel()


async def test_a_short_work_is_not_interrupted() -> None:
    began = asyncio.Event()
    asyncio.get_running_loop().call_soon(began.set)
    turn = Turn()
    turn._until_s = float("inf")
    for _ in range(100):
        await turn.rest()
    assert not began.is_set()
