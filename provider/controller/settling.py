"""Since when each Traefik surely keeps the weights of a service that it has (rule 23).

An interval in which they changed compares nothing: each colour had another share before and after. A Traefik keeps them
from when it is read to show a document with these weights; where it is not read back, from when every poller has
surely fetched and applied one, else from the deadline of confirming on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provider.traefik.readback import Reading
from provider.traefik.shown import APPLYING_S

MARKERS_MOST = 1000


@dataclass(slots=True)
class Settling:
    """One service that is followed.

    `markers` are the documents since its weights changed last, at `changed_mono_s`, and `since_mono_s` when each
    Traefik was first read to show one of them. `fetched_mono_s` is when every poller was seen to have one.
    """

    confirming_s: float
    markers: set[str] = field(default_factory=set)
    since_mono_s: dict[str, float] = field(default_factory=dict)
    changed_mono_s: float | None = None
    fetched_mono_s: float | None = None

    def begin(self, now_mono_s: float) -> None:
        """Take that it is followed by now, if nothing has changed since."""
        if self.changed_mono_s is None:
            self.changed_mono_s = now_mono_s

    def changed(self, marker: str | None, now_mono_s: float) -> None:
        """Take that a document with other weights was published."""
        self.changed_mono_s, self.fetched_mono_s = now_mono_s, None
        self.markers = {marker} if marker is not None else set()
        self.since_mono_s.clear()

    def published(self, marker: str) -> None:
        """Take that another document was published, with the same weights."""
        if len(self.markers) >= MARKERS_MOST:
            self.markers.pop()
        self.markers.add(marker)

    def read(self, reading: Reading, now_mono_s: float) -> None:
        """Take what a Traefik shows; one that does not answer keeps what it has."""
        if reading.cause is not None:
            return
        if reading.marker in self.markers and not reading.is_shared:
            self.since_mono_s.setdefault(reading.traefik, now_mono_s)
        else:
            self.since_mono_s.pop(reading.traefik, None)

    def since(self, readings: Mapping[str, Reading], traefik: str) -> float | None:
        """Return since when a Traefik surely keeps these weights; None where it does not, as far as is known.

        One whose metrics are not beside its API may be any of those that are read back.
        """
        asked = [readings[traefik]] if traefik in readings else [*readings.values()]
        answering = [one.traefik for one in asked if one.cause is None]
        if answering:
            shown = [self.since_mono_s.get(name) for name in answering]
            found = [since_mono_s for since_mono_s in shown if since_mono_s is not None]
            return max(found) if len(found) == len(shown) else None
        if self.changed_mono_s is None:
            return None
        by_deadline_mono_s = self.changed_mono_s + self.confirming_s
        if self.fetched_mono_s is None:
            return by_deadline_mono_s
        return min(by_deadline_mono_s, self.fetched_mono_s + APPLYING_S)

    def is_late(self, now_mono_s: float) -> bool:
        """Return whether every Traefik should show these weights by now."""
        return self.changed_mono_s is not None and now_mono_s > self.changed_mono_s + self.confirming_s
