"""The two clocks of the daemon, without the time in which it did not run (rule 14).

A process that was stopped, a container that was paused and a machine that slept saw nothing meanwhile: deadlines would
pass unseen, and old evidence would decide. The clock reads itself every `BEAT_S`; a gap between two readings that is
far longer is left out of monotonic time, and reported, so that evidence from before it is dropped.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from provider.model import Instant

BEAT_S = 0.25
GAP_S = 3.0
"""A longer gap is not the delay of a busy machine, where the event loop is late by tenths of a second."""


def _mono_s() -> float:
    return time.monotonic()


def _boot_s() -> float:
    """Read the clock that includes the time in which the machine slept."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """See the module. It is read on the event loop's thread only, and notices gaps while `run` runs.

    The listener of `run` gets the length of a gap in seconds, before the reading that noticed it returns.
    """

    def __init__(self, *, mono_s: Callable[[], float] = _mono_s, boot_s: Callable[[], float] = _boot_s) -> None:
        self._read_mono_s, self._read_boot_s = mono_s, boot_s
        self._before: tuple[float, float] | None = None
        self._left_out_s = 0.0
        self.gaps = 0
        self._on_gap: Callable[[float], None] = lambda _: None

    def now(self) -> Instant:
        """Read both clocks."""
        return Instant(self.mono_s, datetime.now(UTC))

    @property
    def mono_s(self) -> float:
        """The seconds for which this process ran, from some moment on."""
        mono_s = self._read_mono_s()
        if self._before is not None:
            boot_s = self._read_boot_s()
            before_mono_s, before_boot_s = self._before
            self._before = mono_s, boot_s
            if boot_s - before_boot_s > GAP_S:
                self._left_out_s += max(0.0, mono_s - before_mono_s - BEAT_S)
                self.gaps += 1
                self._on_gap(boot_s - before_boot_s)
        return mono_s - self._left_out_s

    async def run(self, on_gap: Callable[[float], None]) -> None:
        """Read the clock every `BEAT_S` until cancelled; `on_gap` gets each gap."""
        self._on_gap = on_gap
        self._before = self._read_mono_s(), self._read_boot_s()
        try:
            while True:
                await asyncio.sleep(BEAT_S)
                _ = self.mono_s
        finally:
            self._before = None


CLOCK = Clock()
"""The clock of this process."""
clock = CLOCK.now


def loop_s() -> float:
    """Read the clock of the event loop; it goes on while this process is stopped, as the leases of etcd do."""
    return asyncio.get_running_loop().time()
