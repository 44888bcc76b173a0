"""How often documents are put: every member keeps each until it is compacted, and each is sent to every replica.

After a quiet time some are put as they come. Who has used that up waits until the rate allows for the next one; what
changes meanwhile is all in that one.
"""

BYTES_A_SECOND = 1024 * 1024
BURST_BYTES = 4 * 1024 * 1024


class Pace:
    """See the module; moments are of any clock that does not go back."""

    def __init__(self) -> None:
        self._spent_bytes = 0.0
        self._at_s = 0.0

    def spend(self, size: int, now_s: float) -> None:
        """Note that a document of so many bytes was put."""
        self._spent_bytes = self._left(now_s) + size
        self._at_s = now_s

    def rest_s(self, now_s: float) -> float:
        """Return how long the next document has to wait."""
        return max(0.0, self._left(now_s) - BURST_BYTES) / BYTES_A_SECOND

    def _left(self, now_s: float) -> float:
        return max(0.0, self._spent_bytes - (now_s - self._at_s) * BYTES_A_SECOND)
