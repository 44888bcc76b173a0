"""The two clocks of the daemon, without the time in which it did not run (rule 14).

A process that was stopped, a container that was paused and a machine that slept saw nothing meanwhile: their deadlines
would pass unseen, and what they read before would decide. The clock beats; a gap between two readings that is far above
its beat is left out of monotonic time, and told to whoever holds evidence from before it.
"""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from provider.model import Instant

BEAT_S = 0.25
GAP_S = 3.0
"""So long a gap is no delay of a busy machine any more, where the event loop is late by tenths of a second."""


def _mono_s() -> float:
    return time.monotonic()


def _boot_s() -> float:
    """Read the clock that goes on while the machine sleeps; monotonic time does not."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """See the module. It is read on the event loop's thread alone; only while it beats can it tell of gaps.

    `on_gap` hears how long one was, in seconds, before whoever reads the clock next gets an answer.
    """

    def __init__(self, *, mono_s: Callable[[], float] = _mono_s, boot_s: Callable[[], float] = _boot_s) -> None:
        self._read_mono_s, self._read_boot_s = mono_s, boot_s
        self._before: tuple[float, float] | None = None
        self._left_out_s = 0.0
        self.gaps = 0
        self.on_gap: Callable[[float], None] = lambda _: None

    def now(self) -> Instant:
        """Read both clocks."""
        return Instant(self.mono_s, datetime.now(UTC))

    @property
    def mono_s(self) -> float:
        """The seconds for which we ran, from some moment on."""
        mono_s = self._read_mono_s()
        if self._before is not None:
            boot_s = self._read_boot_s()
            before_mono_s, before_boot_s = self._before
            self._before = mono_s, boot_s
            if boot_s - before_boot_s > GAP_S:
                self._left_out_s += max(0.0, mono_s - before_mono_s - BEAT_S)
                self.gaps += 1
                self.on_gap(boot_s - before_boot_s)
        return mono_s - self._left_out_s

    async def run(self) -> None:
        """Beat until cancelled."""
        self._before = self._read_mono_s(), self._read_boot_s()
        try:
            while True:
                await asyncio.sleep(BEAT_S)
                _ = self.mono_s
        finally:
            self._before = None


CLOCK = Clock()
"""The clock of this process: it runs, or does not, as a whole."""
clock = CLOCK.now
