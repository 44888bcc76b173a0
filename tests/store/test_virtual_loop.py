"""The virtual clock that the simulation of replicas runs on."""

import asyncio
import random

import pytest

from tests.support.virtual_loop import Process, run


def test_time_jumps_to_what_is_due_next() -> None:
    async def main() -> list[float]:
        loop = asyncio.get_running_loop()
        seen = [loop.time()]
        await asyncio.sleep(3600)
        seen.append(loop.time())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.25):
                await asyncio.Event().wait()
        return [*seen, loop.time()]

    assert run(main()) == [0, 3600, 3600.25]


def test_a_frozen_process_goes_on_where_it_was() -> None:
    async def main() -> list[float]:
        loop, seen = asyncio.get_running_loop(), list[float]()

        async def beat() -> None:
            for _ in range(3):
                await asyncio.sleep(1)
                seen.append(loop.time())

        process = Process("a")
        done = process.start(beat())
        await asyncio.sleep(1.5)
        process.freeze()
        await asyncio.sleep(10)
        process.thaw(random.Random(0))
        await done
        return seen

    assert run(main()) == [1, 11.5, 12.5]


def test_a_killed_process_ends_with_all_that_it_started() -> None:
    async def main() -> list[str]:
        seen: list[str] = []

        async def child() -> None:
            try:
                await asyncio.sleep(5)
            finally:
                seen.append("child")

        async def parent() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(child())

        process = Process("a")
        done = process.start(parent())
        await asyncio.sleep(1)
        process.freeze()
        await process.kill(random.Random(0))
        assert done.cancelled()
        assert process.is_dead
        return seen

    assert run(main()) == ["child"]


def test_a_program_that_waits_for_ever_is_an_error() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(AssertionError, match="nothing will ever happen"):
        run(main())
