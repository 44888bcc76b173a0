"""Time in which we did not run (rule 14), on clocks that are set by hand."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from provider.runtime.clock import BEAT_S, GAP_S, Clock


@dataclass
class Machine:
    """A machine's clocks: `boot_s` goes on while it sleeps."""

    mono_s: float = 100.0
    boot_s: float = 5000.0
    gaps: list[float] = field(default_factory=list)

    def passes(self, seconds: float, *, asleep: bool = False) -> None:
        self.boot_s += seconds
        self.mono_s += 0.0 if asleep else seconds


async def beating(machine: Machine, on_gap: Callable[[float], None] | None = None) -> tuple[Clock, asyncio.Task[None]]:
    clock = Clock(mono_s=lambda: machine.mono_s, boot_s=lambda: machine.boot_s)
    task = asyncio.create_task(clock.run(on_gap or machine.gaps.append))
    await asyncio.sleep(0)
    return clock, task


async def test_a_gap_is_left_out_of_the_time_and_reported_once() -> None:
    machine = Machine()
    clock, task = await beating(machine)
    before = clock.mono_s
    machine.passes(3600.0)
    assert clock.mono_s == before + BEAT_S
    machine.passes(1.0)
    assert clock.mono_s == before + BEAT_S + 1.0
    assert machine.gaps == [3600.0]
    task.cancel()


async def test_a_machine_that_slept_is_a_gap_though_its_monotonic_clock_stood_still() -> None:
    machine = Machine()
    clock, task = await beating(machine)
    before = clock.mono_s
    machine.passes(3600.0, asleep=True)
    assert clock.mono_s == before
    assert machine.gaps == [3600.0]
    task.cancel()


async def test_who_reads_first_gets_the_gap_first() -> None:
    """No decision may rest on evidence from before it: it is void before the time after it is reported."""
    machine = Machine()
    reported: list[int] = []
    clock, task = await beating(machine, lambda _: reported.append(clock.gaps))
    machine.passes(3600.0)
    _ = clock.now()
    assert reported == [1]
    task.cancel()


async def test_delays_of_a_busy_machine_count_as_time() -> None:
    """Rule 14: a watch on it must not be endless."""
    machine = Machine()
    clock, task = await beating(machine)
    before = clock.mono_s
    for _ in range(1000):
        machine.passes(GAP_S)
        assert clock.mono_s <= machine.mono_s
    assert clock.mono_s == before + 1000 * GAP_S
    assert machine.gaps == []
    task.cancel()


async def test_a_clock_that_does_not_beat_leaves_nothing_out() -> None:
    machine = Machine()
    clock = Clock(mono_s=lambda: machine.mono_s, boot_s=lambda: machine.boot_s)
    before = clock.mono_s
    machine.passes(3600.0)
    assert clock.mono_s == before + 3600.0
