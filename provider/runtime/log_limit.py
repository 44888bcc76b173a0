"""Limits repeated log lines, so that clients cannot fill the log."""

import time

EVERY_S = 10.0


class LogLimit:
    """Allows the first line, and then one in `every_s` seconds."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._next_s = 0.0
        self._skipped = 0

    def skipped(self) -> int | None:
        """Return None where this line is to be skipped; else how many were skipped before it."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            self._skipped += 1
            return None
        self._next_s = now_s + self._every_s
        skipped, self._skipped = self._skipped, 0
        return skipped
