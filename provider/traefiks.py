"""What every Traefik shows of the document: whom it was read back from, what is missing, what they complain of."""

from collections.abc import Iterator

from provider.model import Applied, Condition, Service, Severity
from provider.readback import Reading

PATIENCE_S = 10.0
"""So long a Traefik may show an older document before somebody should know: two polls at its defaults."""
APPLYING_S = 5.0
"""So long a Traefik may take to apply what it fetched: its throttle of 2 s, and a large document."""
ERRORS_TOLD = 5


class Traefiks:
    """The last reading of each Traefik, beside the marker of the last document."""

    def __init__(self) -> None:
        self.marker: str | None = None
        self.apis: tuple[str, ...] = ()
        self._since_mono_s = 0.0
        self._readings: dict[str, Reading] = {}
        self._read_mono_s: dict[str, float] = {}

    def published(self, marker: str, now_mono_s: float) -> None:
        """Expect another document from now on."""
        if marker != self.marker:
            self.marker, self._since_mono_s = marker, now_mono_s

    def read(self, reading: Reading, now_mono_s: float) -> bool:
        """Take a reading; tell whether it says anything new."""
        before = self._readings.get(reading.traefik)
        self._readings[reading.traefik] = reading
        self._read_mono_s[reading.traefik] = now_mono_s
        return before != reading

    def gone(self, traefik: str) -> None:
        """Forget an address that is no Traefik any more."""
        self._readings.pop(traefik, None)
        self._read_mono_s.pop(traefik, None)

    def expect(self, apis: tuple[str, ...]) -> None:
        """Take the addresses of the file; what was read at others is forgotten by `gone`."""
        self.apis = apis
        if not apis:
            self._readings.clear()
            self._read_mono_s.clear()

    def applied(self, service: Service, fetched_mono_s: float | None) -> tuple[Applied, ...]:
        """Return what each Traefik shows of a service; an API that was never read answers nothing yet.

        `fetched_mono_s` is since when every poller has the last document. What was read before is of another one, and
        what was read right after the fetch may be of the one before: applying takes its time.
        """
        if not self._readings:
            return tuple(Applied(api, answers=False) for api in self.apis)
        names = dict.fromkeys((*service.routers_in_traefik, *service.services_in_traefik))
        unread = tuple(Applied(api, answers=False) for api in self.apis[len(self._readings) :])
        return unread + tuple(
            Applied(
                traefik=reading.traefik,
                answers=reading.cause is None,
                is_current=self._is_current(reading),
                has_fetched=(
                    fetched_mono_s is not None and self._read_mono_s[reading.traefik] >= fetched_mono_s + APPLYING_S
                ),
                weights=reading.weights.get(service.name),
                errors=tuple(error for name in names for error in reading.errors.get(name, ())),
            )
            for reading in self._readings.values()
        )

    @property
    def answering(self) -> int:
        """How many Traefiks answer."""
        return sum(reading.cause is None for reading in self._readings.values())

    def conditions(self, now_mono_s: float, *, fetched: bool) -> Iterator[Condition]:
        """Return what operators should know of the Traefiks at this moment."""
        away = [f"{one.traefik} ({one.cause})" for one in self._readings.values() if one.cause is not None]
        if away:
            message = f"the API of Traefik does not answer, so nothing there is confirmed: {', '.join(sorted(away))}"
            yield Condition("traefik-away", Severity.WARNING, message, None)
        late = now_mono_s >= self._since_mono_s + PATIENCE_S
        stale = [one for one in self._readings.values() if one.cause is None and one.marker != self.marker]
        if stale and late:
            names = ", ".join(sorted(f"{one.traefik} (shows {one.marker or 'no document of ours'})" for one in stale))
            why = "although every poller has fetched it; its log says why" if fetched else "and may not have fetched it"
            message = f"Traefik has not applied the last document, {self.marker}, {why}: {names}"
            yield Condition("not-applied", Severity.CRITICAL, message, None)
        errors = sorted({error for one in self._readings.values() for each in one.errors.values() for error in each})
        if errors:
            more = f"; and {len(errors) - ERRORS_TOLD} more" if len(errors) > ERRORS_TOLD else ""
            message = f"Traefik says: {'; '.join(errors[:ERRORS_TOLD])}{more}"
            yield Condition("traefik-errors", Severity.CRITICAL, message, None)

    def _is_current(self, reading: Reading) -> bool:
        is_fresh = self._read_mono_s[reading.traefik] >= self._since_mono_s
        return reading.cause is None and reading.marker == self.marker and is_fresh
