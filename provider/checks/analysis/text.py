"""Scans Traefik's metrics, as they arrive, for the counters of some services.

The text of a large Traefik has half a million lines, of which some hundred are of services that are analysed. So a line
is taken apart only where it names one of these; it takes a twentieth of the time of `prometheus_client`'s parser, and
the memory of one line. Nothing in it is trusted: whatever is no counter makes the whole answer no evidence.

The format: https://prometheus.io/docs/instrumenting/exposition_formats/. The names were seen in Traefik 3.7.15.
"""

import re
from collections.abc import Iterable, Mapping
from math import isfinite

from provider.model import ByColour, Colour
from provider.model.analysed import ChildCounts, Followed

LINE_BYTES = 16 * 1024
"""Maximum length of a line."""
SERIES_MOST = 200_000
"""Maximum number of series of the services that are followed."""
COUNT_MOST = 2.0**53
"""Above this a float counts no single requests any more."""
NO_ANSWERS = frozenset({101, 499})
"""A connection that was handed over, and a client that went away: neither good nor bad."""
REQUESTS = b"traefik_service_requests_total"
TIMED = b"traefik_service_request_duration_seconds_count"
WITHIN = b"traefik_service_request_duration_seconds_bucket"
STARTED = b"process_start_time_seconds"
FAMILIES = (REQUESTS + b"{", TIMED + b"{", WITHIN + b"{")
KEPT = (*FAMILIES, STARTED)
LABEL = re.compile(rb'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')
SERVICE = b'service="'
CODE = re.compile(rb"[1-9][0-9]{2}")


class NoMetrics(ValueError):  # noqa: N818  what was answered, not an error of ours
    """The answer is not what Traefik shows under /metrics; the text is the cause."""


class _Child:
    """The counters of one child service, summed over methods and protocols."""

    def __init__(self, over_s: float | None) -> None:
        self.over_s = over_s
        self.codes: dict[int, int] = {}
        self.timed = self.within = 0
        self.bounds: set[float] = set()

    def counts(self) -> ChildCounts:
        check(sum(self.codes.values()), self.timed, self.within)
        has_bucket = self.over_s is None or not self.timed or self.over_s in self.bounds
        return ChildCounts(self.codes, self.timed, self.within if has_bucket else None)


class Scanner:
    """Takes the text piece by piece. `feed` and `counts` raise NoMetrics."""

    def __init__(self, followed: Iterable[Followed]) -> None:
        self.started_s: float | None = None
        self.is_traefik = False
        self._followed = tuple(followed)
        self._children: dict[bytes, _Child] = {}
        for one in self._followed:
            over_s = one.analysis.slow.over_s if one.analysis.slow else None
            for name in one.children.values():
                self._children[_escaped(f"{name}@http")] = _Child(over_s)
        self._rest = b""
        self._is_skipping = False
        self._series = 0

    def feed(self, piece: bytes) -> None:
        """Take the next piece of the text."""
        lines = (self._rest + piece).split(b"\n")
        self._rest = lines.pop()
        if self._is_skipping:
            if not lines:
                self._rest = b""
                return
            self._is_skipping, lines[0] = False, b""
        if len(self._rest) > LINE_BYTES:
            if self._rest.startswith(KEPT):
                raise NoMetrics(f"a line is longer than {LINE_BYTES >> 10} KiB")
            self._rest, self._is_skipping = b"", True
        for line in lines:
            if line.startswith(KEPT):
                self._take(line)

    def counts(self) -> Mapping[str, ByColour[ChildCounts]]:
        """Return what was counted of every service that is followed, once the text is over."""
        if self._rest.startswith(KEPT):
            raise NoMetrics("the answer ends in the middle of a line")
        if self.started_s is None and not self.is_traefik:
            raise NoMetrics("it answers with something else than Traefik does under /metrics")
        return {
            one.service: ByColour(*(self._children[_escaped(f"{one.children[each]}@http")].counts() for each in Colour))
            for one in self._followed
        }

    def _take(self, line: bytes) -> None:
        if line.startswith(STARTED):
            self.started_s = seconds_of(line.removeprefix(STARTED).split(b" ")[-1])
            return
        self.is_traefik = True
        at = line.rfind(SERVICE)
        named = line[at + len(SERVICE) :].partition(b'"')[0] if at >= 0 else b""
        child = self._children.get(named)
        if child is None:
            return
        self._series += 1
        if self._series > SERIES_MOST or len(line) > LINE_BYTES:
            raise NoMetrics(f"more than {SERIES_MOST} series, or a line longer than {LINE_BYTES >> 10} KiB")
        family, _, rest = line.partition(b"{")
        labels_text, closing, value = rest.rpartition(b"} ")
        labels = _labels(labels_text)
        if not closing or self._children.get(labels.get(b"service", b"")) is not child:
            raise NoMetrics(f"a line is not of the format of Prometheus: {line[:100]!r}")
        code = labels.get(b"code", b"")
        if CODE.fullmatch(code) is None:
            raise NoMetrics(f"a status is no number of three digits: {code[:20]!r}")
        if int(code) not in NO_ANSWERS:
            _add(child, family, int(code), labels, count_of(value.split(b" ")[0]))


def _add(child: _Child, family: bytes, code: int, labels: Mapping[bytes, bytes], count: int) -> None:
    if family == REQUESTS:
        child.codes[code] = child.codes.get(code, 0) + count
    elif family == TIMED:
        child.timed += count
    elif child.over_s is not None:
        bound_s = _number(labels.get(b"le", b""))
        child.bounds.add(bound_s)
        if bound_s == child.over_s:
            child.within += count


def check(*sums: int) -> None:
    """Raise NoMetrics where counters come to more than one could count."""
    if max(sums) > COUNT_MOST:
        raise NoMetrics(f"counters come to {max(sums):.3g} requests")


def count_of(text: bytes) -> int:
    """Return the value of a counter of requests; raise NoMetrics where it cannot be one."""
    value = _number(text)
    if not isfinite(value) or value < 0 or value > COUNT_MOST or value != int(value):
        raise NoMetrics(f"a counter is no number of requests: {text[:30]!r}")
    return int(value)


def seconds_of(text: bytes) -> float:
    """Return a time in Unix seconds; raise NoMetrics where it cannot be one: NaN would differ from itself."""
    if not isfinite(value := _number(text)):
        raise NoMetrics(f"not a time: {text[:30]!r}")
    return value


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        raise NoMetrics(f"not a number: {text[:30]!r}") from None


def _labels(text: bytes) -> dict[bytes, bytes]:
    """Return the labels of a series, as they are escaped."""
    found, at = dict[bytes, bytes](), 0
    while at < len(text):
        match = LABEL.match(text, at)
        if match is None:
            raise NoMetrics(f"a line is not of the format of Prometheus: {text[:100]!r}")
        found[match[1]] = match[2]
        at = match.end() + 1 if text[match.end() : match.end() + 1] == b"," else match.end()
        if at == match.end() and at < len(text):
            raise NoMetrics(f"a line is not of the format of Prometheus: {text[:100]!r}")
    return found


def _escaped(name: str) -> bytes:
    return name.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n")
