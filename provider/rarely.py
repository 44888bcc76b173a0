"""Keeps whoever sends us requests from filling the log: of many lines alike one is written now and then."""

import time

EVERY_S = 10.0


class Rarely:
    """Lets the first line through, and then one in `every_s` seconds."""

    def __init__(self, every_s: float = EVERY_S) -> None:
        self._every_s = every_s
        self._next_s = 0.0
        self._left_out = 0

    def left_out(self) -> int | None:
        """Return None where this line is to be left out; else how many were left out before it."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            self._left_out += 1
            return None
        self._next_s = now_s + self._every_s
        left_out, self._left_out = self._left_out, 0
        return left_out
