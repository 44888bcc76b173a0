"""An analysis: what was counted of both colours, and the evidence that a rollout keeps of it (rule 23)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import exp, fsum, log

from provider.model.progressive import Analysis
from provider.model.vocabulary import ByColour, Colour

FACTOR_MOST = 10.0
"""What one interval multiplies the evidence by at most."""
COUNTED_MOST = 2**53
"""Where sums stop: JSON has no larger ones, and a peer may say that it counted anything."""
IMPOSSIBLE = -1e300
"""The logarithm of a likelihood ratio of 0: JSON has no infinity, and `exp` makes it 0 all the same."""


# --- the statistics -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Tally:
    """Requests that were answered, and how many of these answers were bad."""

    requests: int = 0
    bad: int = 0

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(min(self.requests + other.requests, COUNTED_MOST), min(self.bad + other.bad, COUNTED_MOST))


@dataclass(frozen=True, slots=True)
class Counted:
    """What one Traefik counted of both colours in one interval, in which its weights did not change."""

    active: Tally = Tally()
    candidate: Tally = Tally()

    def __add__(self, other: "Counted") -> "Counted":
        return Counted(self.active + other.active, self.candidate + other.candidate)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The logarithms of the likelihood ratios, one for each alternative; none before the first interval."""

    logarithms: tuple[float, ...] = ()

    @property
    def log10(self) -> float:
        """The evidence as a power of ten: 0 where both explain equally well what was seen."""
        if not self.logarithms:
            return 0.0
        highest = max(self.logarithms)
        return (highest + log(fsum(exp(each - highest) for each in self.logarithms) / len(self.logarithms))) / log(10)

    def grown(self, gains: Sequence[float]) -> "Evidence":
        """Return the evidence after one more interval, with what it adds to the logarithm of each alternative."""
        before = self.logarithms or (0.0,) * len(gains)
        most = log(FACTOR_MOST)
        grown = (old + min(gain, most) for old, gain in zip(before, gains, strict=True))
        return Evidence(tuple(max(each, IMPOSSIBLE) for each in grown))


@dataclass(frozen=True, slots=True)
class Processes:
    """The two that run for each test. The one since the step began finds what appears late, in far fewer intervals."""

    since_rollout: Evidence = Evidence()
    since_step: Evidence = Evidence()

    def log10(self, begins: int) -> float:
        """Return the stronger one. The second starts over so many times, and each of these is a chance to err."""
        return max(self.since_rollout.log10, self.since_step.log10 - log(begins, 10))

    def grown(self, gains: Sequence[float]) -> "Processes":
        """Return both after one more interval."""
        return Processes(self.since_rollout.grown(gains), self.since_step.grown(gains))

    def step_begun(self) -> "Processes":
        """Return both as of the beginning of another step."""
        return replace(self, since_step=Evidence())


# --- what is read ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Followed:
    """A service whose candidate, of this colour, is analysed now.

    `weighted` is Traefik's name for the endpoint whose requests count, where that is not the name of the service.
    """

    service: str
    colour: Colour
    analysis: Analysis
    weighted: str = ""

    @property
    def children(self) -> Mapping[Colour, str]:
        """Traefik's names for the services whose requests count; previews and tests have others."""
        return {colour: f"{self.weighted or self.service}-{colour}" for colour in Colour}


@dataclass(frozen=True, slots=True)
class ChildCounts:
    """What one Traefik has counted of one child service since it began to.

    `codes` are the answers by their status. `timed` is how many were timed, and `within` how many of these took no
    longer than `slow.over`; None where Traefik's histogram has no such bucket. 101 and 499 are in none of them.
    """

    codes: Mapping[int, int] = field(default_factory=dict)
    timed: int = 0
    within: int | None = 0


@dataclass(frozen=True, slots=True)
class TraefikCounts:
    """One reading of one Traefik, made between two moments; `cause` says why there is none.

    `children` has, of each service that was read, what was counted of both colours. `started_s` is when the process
    began, and `dated_s` when it answered, both by the clock of its machine; None where that is not known.
    """

    traefik: str
    began_mono_s: float
    ended_mono_s: float
    children: Mapping[str, ByColour[ChildCounts]] = field(default_factory=dict)
    started_s: float | None = None
    dated_s: float | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Scrape:
    """The readings of all Traefiks, for these services; `cause` says why nobody could be read at all.

    The services are read the same way every time: `source` names it.
    """

    source: str
    followed: tuple[Followed, ...]
    readings: tuple[TraefikCounts, ...]
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a query came to: its one `value`; None, with the `cause`, where there is no evidence in it."""

    followed: Followed
    query: str
    at_mono_s: float
    value: float | None
    cause: str | None = None


# --- what the rules see ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sample:
    """What one Traefik counted between two of its readings, by colour; `slow` is None where it has no such bucket."""

    traefik: str
    since_mono_s: float
    errors: ByColour[Tally]
    slow: ByColour[Tally] | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    """What all Traefiks counted of a service from one scrape to the next. Later ones have a higher `number`."""

    number: int
    samples: tuple[Sample, ...]


@dataclass(frozen=True, slots=True)
class Numbered:
    """An answer with its place among the intervals."""

    number: int
    answer: Answer


@dataclass(frozen=True, slots=True)
class Analysed:
    """What was seen for the analysis of a service and may not be kept yet.

    `causes` say, by source or query, why there is no evidence from it. `is_read` says that the last scrape brought
    a reading of a Traefik.
    """

    intervals: tuple[Interval, ...] = ()
    answers: tuple[Numbered, ...] = ()
    causes: Mapping[str, str] = field(default_factory=dict)
    is_read: bool = False


NOTHING_ANALYSED = Analysed()


# --- what is kept ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Comparison:
    """The evidence of one test: `errors over-active`, `errors max`, `slow over-active` or `slow max`."""

    name: str
    processes: Processes = Processes()


@dataclass(frozen=True, slots=True)
class Totals:
    """What was counted of one kind of bad answer, since the rollout began and since its step did."""

    since_rollout: Counted = Counted()
    since_step: Counted = Counted()

    def plus(self, interval: Iterable[Counted]) -> "Totals":
        """Return the totals after one more interval."""
        new = sum(interval, start=Counted())
        return Totals(self.since_rollout + new, self.since_step + new)


@dataclass(frozen=True, slots=True)
class Answered:
    """What a query came to: how often in a row it was out of its range, how often it was answered in this step."""

    name: str
    failures: int = 0
    answers: int = 0
    value: float | None = None


@dataclass(frozen=True, slots=True)
class AnalysisEvidence:
    """The evidence of one candidate; it counts for this release, definition and rollout only (P1).

    `against` is what the active colour ran meanwhile, and `step` the number of the step, 0 in the watch. `tests` is how
    many tests of all members share the limit, and `begins` how often one process of each starts over. All up to the
    interval or answer of the number `upto` is counted.
    """

    service: str
    release: str | None
    definition: str
    rollout: str
    against: str | None = None
    step: int = 0
    tests: int = 1
    begins: int = 1
    errors: Totals = Totals()
    slow: Totals = Totals()
    comparisons: tuple[Comparison, ...] = ()
    queries: tuple[Answered, ...] = ()
    upto: int = 0
    counted_utc: datetime | None = None

    def in_step(self, number: int) -> "AnalysisEvidence":
        """Return the evidence as of the beginning of another step, or as it is in this one."""
        if number == self.step:
            return self
        return replace(
            self,
            step=number,
            errors=replace(self.errors, since_step=Counted()),
            slow=replace(self.slow, since_step=Counted()),
            comparisons=tuple(replace(one, processes=one.processes.step_begun()) for one in self.comparisons),
            queries=tuple(replace(one, answers=0) for one in self.queries),
        )
