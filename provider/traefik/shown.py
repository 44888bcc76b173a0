"""What each Traefik has shown of the document. What a switch makes of it is decided in `rollout.confirming`."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from provider.model import Applied, Condition, ConditionCode, Instant, Protocol, Service, condition, listed
from provider.model.routing import Reference
from provider.model.traefik_schema import Later, parse_version, unknown_to
from provider.traefik.readback import Reading
from provider.traefik.readback.reading import Children

LATE_AFTER_S = 10.0
"""The time that a Traefik may show an older document before it is reported: two polls at its defaults."""
APPLYING_S = 5.0
"""The time that a Traefik may take to apply what it fetched: its throttle of 2 s, and a large document."""
ERRORS_SHOWN = 5
KEYS_SHOWN = 5
OURS_MOST = 1000
"""Maximum number of documents that are recognised by their markers."""
NOBODY: Mapping[str, float] = {}


class ReadingChange(NamedTuple):
    """What a reading changed. `began` says that a Traefik began to show the last document, surely fetched from us.

    `is_another` says that another process of Traefik answers there than before.
    """

    is_changed: bool
    began: bool = False
    is_another: bool = False


class Shown(NamedTuple):
    """The document of ours that a Traefik showed last, by its marker, and the process that did."""

    marker: str
    instance: str | None


class Traefiks:
    """The last reading of each Traefik, beside the marker of the last document.

    Only a Traefik that has shown a document of ours is evidence: an API may be another daemon's Traefik, or several in
    turn. `is_given` says that at least one poller was given the last document.
    """

    def __init__(self) -> None:
        self.marker: str | None = None
        self.apis: tuple[str, ...] = ()
        self.environment = ""
        self.later_keys: tuple[Later, ...] = ()
        self.is_given = False
        self._revision = 0
        self._since_mono_s = 0.0
        self._readings: dict[str, Reading] = {}
        self._read_mono_s: dict[str, float] = {}
        self._shown: dict[str, Shown] = {}
        self._ours: dict[str, int] = {}

    def remember(self, marker: str) -> None:
        """Recognise a document that an earlier process published."""
        self._ours[marker] = 0

    def published(self, marker: str, now_mono_s: float, revision: int = 0) -> None:
        """Expect another document from now on."""
        if marker != self.marker:
            self.marker, self._since_mono_s = marker, now_mono_s
        if revision != self._revision:
            self._revision, self.is_given = revision, False
        self._ours.setdefault(marker, revision)
        if len(self._ours) > OURS_MOST:
            kept = {marker, *(shown.marker for shown in self._shown.values())}
            self._ours.pop(next((one for one in self._ours if one not in kept), marker))

    def read(self, reading: Reading, now_mono_s: float) -> ReadingChange:
        """Take a reading; return what it changed."""
        name = reading.traefik
        before, self._readings[name] = self._readings.get(name), reading
        self._read_mono_s[name] = now_mono_s
        if reading.cause is not None:
            return ReadingChange(before != reading)
        shown = self._shown.get(name)
        is_another = shown is not None and shown.instance != reading.instance
        if is_another:
            shown = None
        if reading.marker is None or reading.marker not in self._ours or self.doubt(reading) is not None:
            return ReadingChange(before != reading, is_another=is_another)
        self._shown[name] = Shown(reading.marker, reading.instance)
        is_first = shown is None or shown.marker != reading.marker
        # Without another document shown before, an earlier process, or this one earlier, may have given it.
        began = is_first and (shown is not None or self._ours[reading.marker] == self._revision)
        is_current = reading.marker == self.marker
        return ReadingChange(before != reading, began=began and is_current, is_another=is_another)

    def void(self) -> None:
        """Drop what was read so far; which Traefiks are ours stays known (rule 14)."""
        self._readings.clear()
        self._read_mono_s.clear()

    def gone(self, traefik: str) -> None:
        """Forget an address that is no Traefik any more."""
        self._readings.pop(traefik, None)
        self._read_mono_s.pop(traefik, None)
        self._shown.pop(traefik, None)

    def expect(self, apis: tuple[str, ...], environment: str = "", later_keys: tuple[Later, ...] = ()) -> None:
        """Take the addresses of the file, and its keys that not every Traefik knows.

        What was read at other addresses is forgotten by `gone`.
        """
        self.apis, self.environment, self.later_keys = apis, environment, later_keys
        if not apis:
            self._readings.clear()
            self._read_mono_s.clear()
            self._shown.clear()

    def applied(self, service: Service, fetched_mono_s: Mapping[str, float] = NOBODY) -> tuple[Applied, ...]:
        """Return what each Traefik shows of a service; an API that was never read counts as not answering.

        `fetched_mono_s` is since when each Traefik surely has the last document. What was read before is of another
        one, and what was read right after the fetch may be of the one before: applying takes its time.
        """
        if not self._readings:
            return tuple(Applied(api, answers=False) for api in self.apis)
        unread = tuple(Applied(api, answers=False) for api in self.apis[len(self._readings) :])
        return unread + tuple(
            Applied(
                traefik=reading.traefik,
                answers=reading.cause is None,
                is_current=self._is_current(reading),
                has_fetched=self._has_fetched(reading, fetched_mono_s),
                weights=_weights(reading, service),
                errors=tuple(_errors(reading, service)),
                doubt=self.doubt(reading),
                is_ours=reading.traefik in self._shown,
            )
            for reading in self._each()
        )

    def showing(self) -> dict[str, tuple[str, float]]:
        """Return the document of ours that each Traefik shows, and when that was read, of those that answer."""
        return {
            name: (reading.marker, self._read_mono_s[name])
            for name, reading in self._readings.items()
            if reading.cause is None and reading.marker in self._ours and self.doubt(reading) is None
        }

    @property
    def in_docker(self) -> frozenset[Reference] | None:
        """What every Traefik that answers has of its Docker provider; None where none is read back."""
        each = [one.in_docker for one in self._readings.values() if one.cause is None and self.doubt(one) is None]
        return frozenset.intersection(*each) if each else None

    def doubt(self, reading: Reading) -> str | None:
        """Return why what an address shows is no evidence; None where it may be."""
        if reading.cause is not None:
            return None
        if reading.is_shared:
            return "answers for several Traefiks by turns (a load balancer?): name the address of each"
        if reading.marker is None or reading.marker in self._ours:
            return None
        if reading.environment not in {None, self.environment}:
            return f"shows documents of another daemon, of environment {reading.environment}"
        return f"shows a document that this daemon does not know ({reading.marker}): of another daemon, or an old one"

    def conditions(self, now: Instant, *, given: bool) -> Iterator[Condition]:
        """Yield the conditions of the Traefiks now; `given` says that every poller was given the document."""
        away = sorted(f"{one.traefik} ({one.cause})" for one in self._readings.values() if one.cause is not None)
        if away:
            yield condition(ConditionCode.TRAEFIK_AWAY, now.utc, traefiks=", ".join(away))
        late = now.mono_s >= self._since_mono_s + LATE_AFTER_S
        doubts = [f"{one.traefik} {why}" for one in self._readings.values() if (why := self.doubt(one)) is not None]
        if doubts and late:
            yield condition(ConditionCode.TRAEFIK_UNPROVEN, now.utc, traefiks="; ".join(doubts))
        ours = [one for one in self._readings.values() if self.doubt(one) is None]
        stale = sorted(
            f"{one.traefik} (shows {one.marker or 'no document of ours'})"
            for one in ours
            if one.cause is None and one.marker != self.marker
        )
        if stale and late and self.marker is not None:  # before its first document a daemon expects nothing
            showing = sorted(one.traefik for one in self._readings.values() if self._is_current(one))
            stays = f"; it stays, as it is shown at {', '.join(showing)}" if showing else ""
            why = "although every poller was given it; its log says why" if given else "and may not have fetched it"
            yield condition(
                ConditionCode.NOT_APPLIED, now.utc, marker=self.marker, why=why, traefiks=f"{', '.join(stale)}{stays}"
            )
        if older := self.older(even_current=False):
            yield condition(ConditionCode.TRAEFIK_OLDER, now.utc, traefiks="; ".join(older))
        errors = sorted({error for one in ours for each in one.errors.values() for error in each})
        if errors:
            reported = listed(errors, ERRORS_SHOWN, "; ")
            yield condition(ConditionCode.TRAEFIK_ERRORS, now.utc, errors=reported)

    def older(self, *, even_current: bool = True) -> list[str]:
        """Return the Traefiks whose version does not have all keys of the file, with the missing keys.

        One that shows the last document knows what is in it; that may be less than what is in the file (rule 15).
        """
        return sorted(self._older(even_current=even_current))

    def _older(self, *, even_current: bool) -> Iterator[str]:
        for reading in self._each() if self.later_keys else ():
            version = parse_version(reading.instance or "")
            if version is None or reading.cause is not None or (self._is_current(reading) and not even_current):
                continue
            keys = [f"{key.path} (from {_dotted(key.since)} on)" for key in unknown_to(version, self.later_keys)]
            if keys:
                yield f"{reading.traefik} is {_dotted(version)} and has no {listed(keys, KEYS_SHOWN)}"

    def _each(self) -> Iterator[Reading]:
        """Yield one reading of each Traefik, also of one that has several addresses."""
        seen = set()
        for reading in self._readings.values():
            if reading.instance is None or reading.cause is not None or reading.instance not in seen:
                yield reading
            if reading.cause is None:
                seen.add(reading.instance)

    def _is_current(self, reading: Reading) -> bool:
        """Return whether a Traefik that fetches from us shows the last document, read since its publication."""
        is_fresh = self._read_mono_s[reading.traefik] >= self._since_mono_s
        is_shown = reading.cause is None and reading.marker == self.marker and self.doubt(reading) is None
        return is_shown and is_fresh and self.is_given

    def _has_fetched(self, reading: Reading, fetched_mono_s: Mapping[str, float]) -> bool:
        since_mono_s = fetched_mono_s.get(reading.traefik)
        has_shown = reading.traefik in self._shown and self.doubt(reading) is None
        return (
            has_shown and since_mono_s is not None and self._read_mono_s[reading.traefik] >= since_mono_s + APPLYING_S
        )


def _weights(reading: Reading, service: Service) -> tuple[tuple[str, int], ...] | None:
    """Return what the servers of each colour weigh together at each endpoint; None where there is no such service.

    A child that has but one itself is an alias, and stands for that (rule 21): of ours, none leads to another alias.
    """
    found: dict[str, int] = {}
    for protocol, children in (known := list(_children(reading, service))):
        for name, weight in children:
            match reading.weights.get((protocol, name)):
                case ((alone, _),):
                    found[alone] = found.get(alone, 0) + weight
                case _:
                    found[name] = found.get(name, 0) + weight
    return tuple(found.items()) if known else None


def _children(reading: Reading, service: Service) -> Iterator[tuple[Protocol, Children]]:
    """Yield the children of each endpoint's weighted service that is there."""
    for endpoint in service.endpoints:
        children = reading.weights.get((endpoint.protocol, service.weighted_in_traefik(endpoint.name)))
        if children is not None:
            yield endpoint.protocol, children


def _errors(reading: Reading, service: Service) -> Iterator[str]:
    """Yield Traefik's messages for all that a service is there, the aliases of its rollout included."""
    names = [
        (protocol, name)
        for protocol in Protocol
        for name in (*service.routers_in_traefik(protocol), *service.services_in_traefik(protocol))
    ]
    aliases = [(protocol, name) for protocol, children in _children(reading, service) for name, _ in children]
    for name in dict.fromkeys((*names, *aliases)):
        yield from reading.errors.get(name, ())


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))
