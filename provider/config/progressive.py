"""The shape of the keys for a release in steps: `canary`, `analysis` and `testRoute`."""

import math
import re
from typing import Annotated, Literal, Required, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, with_config
from typing_extensions import TypedDict  # pydantic takes typing's own only from Python 3.12 on

from provider.config.traefik_objects import STRICT
from provider.config.types import (
    Count,
    Duration,
    HeaderName,
    HeaderValue,
    Matches,
    Or,
    PrometheusUrl,
    Text,
    Wait,
    doc,
    shown,
    wrong,
)

COLOUR, SERVICE = "{{colour}}", "{{service}}"
"""In a query they stand for the colour of the candidate and the name of the service."""
COUNTED_TESTS = ("errors", "slow")
SECRET_MOST = 200

_RATE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?) ?%")
_STATUSES = re.compile(r"([0-9]{3})(?:-([0-9]{3}))?")
_SECRET = re.compile(rf"[!#-+\-.-:<-\[\]^_a-~]{{1,{SECRET_MOST}}}")
_TEMPLATE = re.compile(r"\{\{.*?(?:\}\}|$)", re.DOTALL)


def _weight(value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 99:
        return value
    rule = "write a whole number from 1 to 99; 100 follows the last step by itself"
    raise wrong(f"{shown(value)} is no weight of a step: {rule}")


def _rate(value: object) -> float:
    rate = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if isinstance(value, str) and (percent := _RATE.fullmatch(value)):
        rate = float(percent[1]) / 100
    if rate is not None and 0 < rate < 1:
        return rate
    raise wrong(f"{shown(value)} is no rate: write a share of the requests above 0 % and below 100 %, such as 5%")


def _confidence(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0.5 < value < 1:
        return value
    rule = "write a number above 0.5 and below 1, such as 0.99"
    raise wrong(f"{shown(value)} is no confidence that the candidate is worse: {rule}")


def _number(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    raise wrong(f"{shown(value)} is no number that the result of a query can be compared with: write one such as 100")


def _statuses(value: object) -> tuple[tuple[int, int], ...]:
    """Return ranges of status codes, both ends included, of `500-599`, `500-504,429` or a list of such."""
    parts = value if isinstance(value, list) else [value]
    ranges = []
    for part in parts:
        is_one = isinstance(part, str | int) and not isinstance(part, bool)
        for text in str(part).split(",") if is_one else ("",):
            found = _STATUSES.fullmatch(text.strip())
            first, last = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
            if not 100 <= first <= last <= 599:
                rule = "write codes from 100 to 599, the lower one first, such as 500-599 or 500-504,429"
                raise wrong(f"{shown(text.strip() if is_one else part)} is no range of status codes: {rule}")
            ranges.append((first, last))
    if not ranges:
        raise wrong("names no status code: write codes from 100 to 599, such as 500-599")
    return tuple(ranges)


def _query(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise wrong(f"{shown(value)} is no query: write PromQL whose result is one number")
    other = next((found for found in _TEMPLATE.findall(value) if found not in {COLOUR, SERVICE}), None)
    if other is not None:
        known = f"{COLOUR} by the colour of the candidate, and {SERVICE} by the name of the service"
        raise wrong(f"has {shown(other)}, which nothing replaces: what is replaced is {known}")
    return value


def secret_value(text: str) -> str | None:
    """Return why a text is no value of the test route, without the text itself; None where it is one."""
    if "${" in text or "{{" in text:
        return "has a variable, and nothing replaces variables in this file: write the value itself, or valueFile"
    if _SECRET.fullmatch(text):
        return None
    return (
        f"must be 1 to {SECRET_MOST} characters of ASCII, without white space, quotes, commas, semicolons, backslashes "
        "and backticks"
    )


def _secret(value: object) -> str:
    """Refuse a value without quoting it."""
    if not isinstance(value, str):
        raise wrong("must be text: put it in quotes")
    why = secret_value(value)
    if why is not None:
        raise wrong(why)
    return value


Weight: TypeAlias = Annotated[
    int, BeforeValidator(_weight), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 99})
]
Rate: TypeAlias = Annotated[
    float,
    BeforeValidator(_rate),
    WithJsonSchema({"type": ["string", "number"], "pattern": rf"^{_RATE.pattern}$", "maximum": 1}),
]
Confidence: TypeAlias = Annotated[
    float,
    BeforeValidator(_confidence),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0.5, "exclusiveMaximum": 1}),
]
Number: TypeAlias = Annotated[float, BeforeValidator(_number), WithJsonSchema({"type": "number"})]
Statuses: TypeAlias = Annotated[
    tuple[tuple[int, int], ...],
    BeforeValidator(_statuses),
    WithJsonSchema({"type": ["string", "integer", "array"], "items": {"type": ["string", "integer"]}}),
]
QueryText: TypeAlias = Annotated[str, BeforeValidator(_query), WithJsonSchema({"type": "string", "minLength": 1})]
QueryName: TypeAlias = Annotated[
    str,
    Matches(
        rf"(?!(?:{'|'.join(COUNTED_TESTS)})$)[^\x00-\x1f\x7f]{{1,100}}",
        "is no name of a query: write 1 to 100 characters, and not errors or slow, which are tests already",
    ),
]
SecretValue: TypeAlias = Annotated[
    str, BeforeValidator(_secret), WithJsonSchema({"type": "string", "pattern": f"^{_SECRET.pattern}$"})
]
CookieName: TypeAlias = Annotated[str, Matches(r"[!#$%&'*+.^_|~0-9A-Za-z-]+", "is no name of a cookie")]


# --- canary --------------------------------------------------------------------------------------------------------


@with_config(STRICT)
class StepKeys(TypedDict, total=False):
    """One weight of a new release, and what must hold before the next one."""

    weight: Required[
        Annotated[Weight, doc("The share of requests for the new release, in per cent; higher than before.", example=5)]
    ]
    for_: Annotated[
        Duration, Field(alias="for"), doc("How long it has that share at least.", default="0s", example="5m")
    ]
    approval: Annotated[
        Literal["automatic", "manual"], doc("manual: what follows waits for an approval.", default="automatic")
    ]


@with_config(STRICT)
class CanaryKeys(TypedDict, total=False):
    """The steps by which a new release gets its traffic, in place of one switch."""

    affinity: Annotated[
        Literal["none", "client", "cookie"],
        doc(
            "Who stays with a colour while both have traffic. client: by the address of the client (Traefik 3.6 or "
            "later; behind one proxy all clients are one). cookie: by a cookie of Traefik's. Sessions of `sticky` come "
            "first.",
            default="none",
        ),
    ]
    steps: Annotated[
        list[StepKeys],
        Field(min_length=1),
        doc(
            "The steps, with rising weights; all requests follow the last one.",
            example=[{"weight": 5, "for": "5m"}, {"weight": 25, "for": "10m", "approval": "manual"}],
        ),
    ]


# --- analysis ------------------------------------------------------------------------------------------------------


@with_config(STRICT)
class PrometheusKeys(TypedDict, total=False):
    """A Prometheus, or what answers like one."""

    url: Required[Annotated[PrometheusUrl, doc("Its address, without /api/v1.", example="http://prometheus:9090")]]
    headers: Annotated[
        dict[HeaderName, HeaderValue], doc("Headers of each request.", example={"X-Scope-OrgID": "shop"})
    ]
    insecureSkipVerify: Annotated[bool, doc("true accepts any certificate.", default=False)]


@with_config(STRICT)
class SourceKeys(TypedDict, total=False):
    """Where the requests of both colours are counted, if not at Traefik."""

    prometheus: Required[Annotated[PrometheusKeys, doc("The Prometheus that collects Traefik's metrics.")]]


@with_config(STRICT)
class ErrorsKeys(TypedDict, total=False):
    """Answers that are bad by their status."""

    status: Annotated[
        Statuses,
        doc("Ranges of codes, such as 500-504,429; 101 and 499 count as neither good nor bad.", default="500-599"),
    ]
    worseThanActive: Annotated[
        Confidence,
        doc("How sure it must be that the new release has more of them than the active one.", example=0.99),
    ]
    max: Annotated[
        Rate, doc("The share of the requests they may be, unless the active one has more, too.", example="5%")
    ]


@with_config(STRICT)
class SlowKeys(TypedDict, total=False):
    """Answers that are bad as they took too long."""

    over: Required[
        Annotated[Wait, doc("Longer than this: the bound of a bucket of Traefik's histogram.", example="1.2s")]
    ]
    worseThanActive: Annotated[
        Confidence,
        doc("How sure it must be that the new release has more of them than the active one.", example=0.99),
    ]
    max: Annotated[
        Rate, doc("The share of the requests they may be, unless the active one has more, too.", example="10%")
    ]


@with_config(STRICT)
class QueryKeys(TypedDict, total=False):
    """One query of Prometheus, whose one number must be in a range."""

    name: Required[Annotated[QueryName, doc("The name of the query in messages.", example="queue")]]
    query: Required[
        Annotated[
            QueryText,
            doc(
                f"PromQL; {COLOUR} is the colour of the new release, {SERVICE} the name of the service.",
                example=f'max(queue_length{{colour="{COLOUR}"}})',
            ),
        ]
    ]
    max: Annotated[Number, doc("The most that it may be.", example=100)]
    min: Annotated[Number, doc("The least that it may be.")]
    failures: Annotated[Count, doc("How many results in a row must be outside to fail the release.", default=1)]
    every: Annotated[Wait, doc("From one look to the next; that of the analysis where not written.", example="30s")]


@with_config(STRICT)
class AnalysisKeys(TypedDict, total=False):
    """The requests and queries by which a release is judged while it has traffic; at least one test."""

    source: Annotated[
        SourceKeys,
        Or("traefik", "{prometheus: {url: http://prometheus:9090}}"),
        doc(
            "Where requests are counted. traefik: at every Traefik of traefik.metrics, or of traefik.api.",
            default="traefik",
        ),
    ]
    every: Annotated[Wait, doc("From one look to the next.", default="10s")]
    warmup: Annotated[Duration, doc("The beginning of each step, which does not count.", default="30s")]
    minRequests: Annotated[
        Count, doc("Requests of the new release that a step needs; fewer prove nothing.", default=200)
    ]
    noData: Annotated[
        Literal["wait", "pass"],
        doc("wait: a step for which nothing could be counted goes on. pass: it passes.", default="wait"),
    ]
    errors: Annotated[ErrorsKeys, doc("How many answers may be bad by their status.")]
    slow: Annotated[SlowKeys, doc("How many answers may take too long.")]
    queries: Annotated[list[QueryKeys], doc("Queries of Prometheus: of `prometheus`, else of the source.")]
    prometheus: Annotated[
        PrometheusKeys, doc("The Prometheus that `queries` ask, where requests are counted at Traefik.")
    ]


# --- the test route ------------------------------------------------------------------------------------------------


@with_config(STRICT)
class TestHeader(TypedDict, total=False):
    """A header of requests that reach a new release before it has traffic."""

    name: Required[Annotated[HeaderName, doc("The name of the header.", example="X-Release")]]
    value: Annotated[SecretValue, doc("Its value, which nobody should guess.")]
    valueFile: Annotated[
        Text,
        doc(
            "The file with the value, read when this one is loaded; a relative path begins beside it.", example="value"
        ),
    ]


@with_config(STRICT)
class TestCookie(TypedDict, total=False):
    """A cookie of requests that reach a new release before it has traffic."""

    name: Required[Annotated[CookieName, doc("The name of the cookie.", example="release")]]
    value: Annotated[SecretValue, doc("Its value, which nobody should guess.")]
    valueFile: Annotated[
        Text,
        doc(
            "The file with the value, read when this one is loaded; a relative path begins beside it.", example="value"
        ),
    ]


@with_config(STRICT)
class TestRouteKeys(TypedDict, total=False):
    """The requests that reach a new release from its smoke tests to its switch: those with a header, or a cookie."""

    header: Annotated[TestHeader, doc("The header that they have.")]
    cookie: Annotated[TestCookie, doc("The cookie that they have.")]
