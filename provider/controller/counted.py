"""What was read for the analyses under way, made into intervals, and kept until a rollout has them (rule 23).

Each interval and each answer has a number. A rollout keeps up to which number all is counted in it, so whatever is
committed, tried again or restored counts once. A process begins above all numbers in its store.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from provider.controller.settling import Settling
from provider.controller.tracked_service import TrackedService
from provider.model import GroupState, Instant
from provider.model.analysed import (
    NOTHING_ANALYSED,
    Analysed,
    Answer,
    Followed,
    Interval,
    Numbered,
    Sample,
    Scrape,
    TraefikCounts,
)
from provider.rollout.counting import between, is_nothing
from provider.traefik.readback import Reading

PENDING_MOST = 64
"""So many intervals, and answers, of one service wait for a store that fails; older ones are no evidence."""
TRAEFIKS_MOST = 1024
"""Maximum number of Traefiks whose last reading is kept; Prometheus may name any."""


@dataclass(slots=True)
class _Following:
    followed: Followed
    settling: Settling
    source: str | None = None
    last: dict[str, TraefikCounts] = field(default_factory=dict)
    intervals: deque[Interval] = field(default_factory=lambda: deque(maxlen=PENDING_MOST))
    answers: deque[Numbered] = field(default_factory=lambda: deque(maxlen=PENDING_MOST))
    causes: dict[str, str] = field(default_factory=dict)
    is_read: bool = False

    @property
    def analysed(self) -> Analysed:
        return Analysed(tuple(self.intervals), tuple(self.answers), dict(self.causes), self.is_read)


class Counting:
    """The services that are followed; `services` are those of the file, whose `analysed` it keeps current."""

    def __init__(self, groups: Iterable[GroupState]) -> None:
        kept = (one.upto for group in groups if group.rollout for one in group.rollout.analysis)
        self._number = max(kept, default=0)
        self._following: dict[str, _Following] = {}
        self._readings: dict[str, Reading] = {}

    def follow(
        self,
        before: tuple[Followed, ...],
        after: tuple[Followed, ...],
        services: Mapping[str, TrackedService],
        marker: str | None,
    ) -> None:
        """Follow the services of a group in place of those before; one that stays the same goes on.

        `marker` is of the last document.
        """
        for gone in before:
            if gone not in after:
                self._following.pop(gone.service, None)
                self._show(gone.service, services)
        for one in after:
            known, tracked = self._following.get(one.service), services.get(one.service)
            if (known is not None and known.followed == one) or tracked is None:
                continue
            settling = Settling(tracked.service.deadlines.confirming_s, {marker} if marker is not None else set())
            self._following[one.service] = _Following(one, settling)
            self._show(one.service, services)

    def void(self, services: Mapping[str, TrackedService]) -> None:
        """Drop what was read and is not kept: it may be from long ago (rule 14)."""
        for name, one in self._following.items():
            one.last.clear()
            one.intervals.clear()
            one.answers.clear()
            self._show(name, services)

    # --- weights ----------------------------------------------------------------------------------------------------

    def weights_changed(self, service: str, marker: str | None, now: Instant) -> None:
        """Take that a document with other weights of a service was published."""
        if (one := self._following.get(service)) is not None:
            one.settling.changed(marker, now.mono_s)

    def published(self, marker: str) -> None:
        """Take that a document was published; those whose weights are others in it are told so afterwards."""
        for one in self._following.values():
            one.settling.published(marker)

    def traefik_read(self, reading: Reading, now: Instant) -> None:
        """Take what a Traefik shows."""
        self._readings[reading.traefik] = reading
        for one in self._following.values():
            one.settling.read(reading, now.mono_s)

    def traefik_gone(self, traefik: str) -> None:
        """Forget a Traefik whose address is gone."""
        self._readings.pop(traefik, None)
        for one in self._following.values():
            one.settling.since_mono_s.pop(traefik, None)

    # --- what was read ----------------------------------------------------------------------------------------------

    def scraped(
        self, scrape: Scrape, services: Mapping[str, TrackedService], now: Instant, *, is_fetched: bool
    ) -> dict[str, bool]:
        """Take the readings of all Traefiks; return the services of which something is known now that was not.

        Of each it says whether people should know it. `is_fetched` says that every poller has the last document.
        """
        touched = dict[str, bool]()
        for followed in scrape.followed:
            one, tracked = self._following.get(followed.service), services.get(followed.service)
            if one is None or tracked is None or one.followed != followed:
                continue
            is_pending = tracked.fragment_shown != tracked.shown
            one.settling.begin(now.mono_s)
            if is_fetched and not is_pending and one.settling.fetched_mono_s is None:
                one.settling.fetched_mono_s = now.mono_s
            before = (dict(one.causes), one.is_read)
            has_interval = self._take(one, scrape, is_pending=is_pending)
            is_told = before != (one.causes, one.is_read)
            if has_interval or is_told:
                self._show(followed.service, services)
                touched[followed.service] = is_told
        return touched

    def answered(self, answer: Answer, services: Mapping[str, TrackedService]) -> bool:
        """Take what a query came to; return whether anything is new."""
        one = self._following.get(answer.followed.service)
        if one is None or one.followed != answer.followed:
            return False
        place = f"query {answer.query}"
        if answer.value is None:
            is_new = one.causes.get(place) != answer.cause
            one.causes[place] = answer.cause or "no answer"
        else:
            is_new = True
            one.causes.pop(place, None)
            self._number += 1
            one.answers.append(Numbered(self._number, answer))
        if is_new:
            self._show(answer.followed.service, services)
        return is_new

    def _take(self, one: _Following, scrape: Scrape, *, is_pending: bool) -> bool:
        """Make an interval of the readings of a service; return whether there is one."""
        if one.source != scrape.source:
            one.source, one.last = scrape.source, {}
        queries = {place: cause for place, cause in one.causes.items() if place.startswith("query ")}
        one.causes = queries | ({scrape.source: scrape.cause} if scrape.cause is not None else {})
        one.is_read, samples = False, list[Sample]()
        for reading in scrape.readings[:TRAEFIKS_MOST]:
            if reading.cause is not None:
                one.causes[reading.traefik] = f"the metrics of {reading.traefik}: {reading.cause}"
                continue
            one.is_read = True
            last = one.last.get(reading.traefik)
            one.last[reading.traefik] = reading
            sample, cause = self._sample(one, last, reading, is_pending=is_pending)
            if cause is not None:
                one.causes[reading.traefik] = cause
            if sample is not None:
                samples.append(sample)
        one.last = _of_other_processes(one.last, scrape.readings)
        if is_nothing(samples):
            return False
        self._number += 1
        one.intervals.append(Interval(self._number, tuple(samples)))
        return True

    def _sample(
        self, one: _Following, last: TraefikCounts | None, reading: TraefikCounts, *, is_pending: bool
    ) -> tuple[Sample | None, str | None]:
        """Return what one Traefik counted since its last reading, and why it says nothing."""
        if last is None or is_pending:
            return None, None
        since_mono_s = one.settling.since(self._readings, reading.traefik)
        if since_mono_s is None and one.settling.is_late(reading.ended_mono_s):
            return None, f"Traefik at {reading.traefik} is not seen to show the weights that were published last"
        if since_mono_s is None or since_mono_s > last.began_mono_s:
            return None, None
        sample = between(last, reading, one.followed)
        if sample is None:
            return None, f"several Traefiks answer at {reading.traefik} by turns: name the address of each"
        if sample.slow is None and one.followed.analysis.slow is not None:
            over_s = one.followed.analysis.slow.over_s
            return sample, f"Traefik at {reading.traefik} has no bucket of {over_s:g} s, which slow.over names"
        return sample, None

    def _show(self, service: str, services: Mapping[str, TrackedService]) -> None:
        tracked, one = services.get(service), self._following.get(service)
        if tracked is not None:
            tracked.analysed = one.analysed if one is not None else NOTHING_ANALYSED


def _of_other_processes(
    last: Mapping[str, TraefikCounts], readings: Iterable[TraefikCounts]
) -> dict[str, TraefikCounts]:
    """Leave out what was read, at an address that does not answer now, of a process that answered at another one.

    It goes on from there: once read at its first address again, all in between would count a second time.
    """
    read = {reading.traefik: reading.started_s for reading in readings if reading.cause is None}
    began = set(read.values()) - {None}
    found = {name: one for name, one in last.items() if name in read or one.started_s not in began}
    return found if len(found) <= TRAEFIKS_MOST else {name: one for name, one in found.items() if name in read}
