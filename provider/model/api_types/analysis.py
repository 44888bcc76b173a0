"""The analysis of a step: what was counted of both colours, and what each test makes of it."""

from collections.abc import Mapping, Sequence
from typing import NotRequired

from typing_extensions import TypedDict

from provider.model.api_types.times import Time
from provider.model.vocabulary import Colour, GateState


class AnalysisCount(TypedDict):
    """Requests of a colour in this step, after its warm-up."""

    requests: int
    bad: int
    """How many of them were answered badly"""


class AnalysisTest(TypedDict):
    """One test: with the active colour, or with a highest rate."""

    name: str
    """`errors over-active`, `errors max`, `slow over-active` or `slow max`"""
    evidence: float
    """As a power of ten, since the step or since the rollout began, whichever is stronger; 0 is none"""
    limit: float
    """The evidence that fails the step, as a power of ten"""
    counts: Mapping[Colour, AnalysisCount]


class AnalysisQuery(TypedDict):
    """A query of Prometheus."""

    name: str
    value: float | None
    """What it came to last; `null` before its first answer"""
    failures: int
    """How many values in a row are out of its range"""
    failures_most: int
    """So many of them fail the step"""


class AnalysisInterval(TypedDict):
    """What all Traefiks counted together from one reading to the next."""

    since: Time
    counts: Mapping[Colour, AnalysisCount]
    """Requests of each colour, and those that failed, of this interval alone"""


class AnalysisStatus(TypedDict):
    """The analysis of the step that is on."""

    state: GateState
    reason: NotRequired[str]
    """The same in words: how far it is, or why it failed"""
    requests: int
    """How many requests of the candidate were counted in this step"""
    min_requests: int
    """How many a step needs"""
    tests: Sequence[AnalysisTest]
    queries: Sequence[AnalysisQuery]
    intervals: Sequence[AnalysisInterval]
    """The last ones of this step, the oldest first, as far as this process counted them"""
    last: Time | None
    """When anything was counted last"""
