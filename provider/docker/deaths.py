"""How often each container died without being asked to stop (rule 5).

The engine sends an event for each death. Deaths without an event show in the engine's own count of restarts, which a
restart by hand sets back to 0 (measured with 20.10).
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

TIMES_KEPT = 8
KEPT_S = 600.0
"""How long a container that died and is gone is remembered; Docker restarts one within a minute."""


class Life(NamedTuple):
    """A running container in the engine's words: how often its policy restarted it, and since when it runs."""

    restarts: int
    started_ns: int


_UNKNOWN = Life(0, 0)


@dataclass(frozen=True, slots=True)
class _Record:
    """`count` is None until the engine was asked; `base` is what the engine's own count leaves out."""

    count: int | None = None
    times_mono_s: tuple[float, ...] = ()
    life: Life = _UNKNOWN
    base: int = 0
    read_mono_s: float = 0.0


class Deaths:
    """The deaths of every container that was read or died."""

    def __init__(self) -> None:
        self._records: dict[str, _Record] = {}

    def count(self, container: str) -> int | None:
        """Return how often a container died, None while that is not known."""
        return self._records.get(container, _Record()).count

    def times_mono_s(self, container: str) -> tuple[float, ...]:
        """Return when the last deaths were noticed, the oldest first."""
        return self._records.get(container, _Record()).times_mono_s

    @property
    def known(self) -> frozenset[str]:
        """The containers whose deaths are counted."""
        return frozenset(id_ for id_, record in self._records.items() if record.count is not None)

    def died(self, container: str, engine_ns: int, now_mono_s: float) -> None:
        """Count the death of an event, unless it was before the life that was read last."""
        record = self._records.get(container, _Record())
        if engine_ns > record.life.started_ns:
            times = (*record.times_mono_s, now_mono_s)[-TIMES_KEPT:]
            count = None if record.count is None else record.count + 1
            self._records[container] = replace(record, count=count, times_mono_s=times)

    def read(self, lives: Mapping[str, Life], now_mono_s: float) -> None:
        """Take the engine's own counts, and count the deaths that no event reported."""
        for container, life in lives.items():
            record = self._records.get(container, _Record())
            if record.count is None:
                count = max(life.restarts, len(record.times_mono_s))
                self._records[container] = replace(record, count=count, life=life, read_mono_s=now_mono_s)
                continue
            was_set_back = life.restarts < record.life.restarts
            base = record.count - life.restarts if was_set_back else record.base
            missed = max(0, base + life.restarts - record.count)
            times = (*record.times_mono_s, *[now_mono_s] * min(missed, TIMES_KEPT))[-TIMES_KEPT:]
            self._records[container] = _Record(record.count + missed, times, life, base, now_mono_s)

    def forget_all_but(self, containers: Collection[str], now_mono_s: float) -> None:
        """Forget what is known of containers that are long gone: one that died may come back."""
        for id_ in self._records.keys() - set(containers):
            record = self._records[id_]
            if max(record.read_mono_s, *record.times_mono_s, 0.0) < now_mono_s - KEPT_S:
                del self._records[id_]
