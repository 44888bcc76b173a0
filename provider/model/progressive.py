"""How a release gets its traffic step by step, and what is counted of it meanwhile, as in the file."""

from dataclasses import dataclass, field
from hashlib import blake2b

from provider.model.vocabulary import Affinity


@dataclass(frozen=True, slots=True)
class Step:
    """A weight of the candidate in per cent, how long it has that at least, and whether what follows is approved."""

    weight: int
    for_s: float = 0.0
    approval_is_manual: bool = False


@dataclass(frozen=True, slots=True)
class Canary:
    """The steps by which a candidate gets its traffic; 100 follows the last one. Weights rise, from 1 to 99."""

    steps: tuple[Step, ...]
    affinity: Affinity = Affinity.NONE


@dataclass(frozen=True, slots=True)
class Limits:
    """What fails a kind of bad answer: a confidence that the candidate has more than the active colour, and a rate.

    `most` is between 0 and 1. Each may be None, and then fails nothing.
    """

    worse_than_active: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True)
class Errors:
    """Answers that are bad by their status, in ranges with both ends included."""

    statuses: tuple[tuple[int, int], ...] = ((500, 599),)
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Slow:
    """Answers that are bad as they took longer than `over_s`, the bound of a bucket of Traefik's histogram."""

    over_s: float
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Query:
    """A query of Prometheus, and the range of its one value; so many results in a row outside of it fail."""

    name: str
    text: str
    most: float | None = None
    least: float | None = None
    failures: int = 1
    every_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Prometheus:
    """A Prometheus, and what a request to it carries, which no definition depends on."""

    url: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    insecure_skip_verify: bool = False


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is counted of both colours, and what of it fails a step. Without `prometheus` Traefik's own metrics count.

    Queries ask `queried`, else `prometheus`. `warmup_s` and `min_requests` are of each step. `no_data_passes` lets a
    step pass for which nothing was counted.
    """

    prometheus: Prometheus | None = None
    queried: Prometheus | None = None
    every_s: float = 10.0
    warmup_s: float = 30.0
    min_requests: int = 200
    no_data_passes: bool = False
    errors: Errors | None = None
    slow: Slow | None = None
    queries: tuple[Query, ...] = ()

    @property
    def asks(self) -> Prometheus | None:
        """The Prometheus that queries ask; without one they get no answer."""
        return self.queried or self.prometheus

    @property
    def definition(self) -> str:
        """A name for exactly this analysis; evidence for another is void (P1)."""
        return blake2b(repr(self).encode(), digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True)
class CandidateRoute:
    """The header or the cookie of requests that reach the candidate before it has traffic.

    `is_from_file` says that the value stands in a file of the machine on which the desired state was loaded.
    """

    name: str
    value: str = field(repr=False)
    is_cookie: bool = False
    is_from_file: bool = False
