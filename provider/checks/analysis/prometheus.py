"""Asks a Prometheus for the counters of Traefik, and for the queries of an analysis.

The API: https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries, seen in Prometheus 2.42.
"""

import asyncio
import math
import re
from collections.abc import Iterator, Mapping

import aiohttp
import orjson
from yarl import URL

from provider.checks.analysis.fetching import FAULTS, NoAnswer, cause_of, fetch
from provider.checks.analysis.text import CODE, NO_ANSWERS, REQUESTS, TIMED, WITHIN, check, count_of, seconds_of
from provider.model import ByColour, Colour
from provider.model.analysed import Answer, ChildCounts, Followed, Scrape, TraefikCounts
from provider.model.progressive import Prometheus
from provider.model.text import NAME_MOST, clean, one_line
from provider.runtime.bounded import has_too_many_values
from provider.runtime.clock import CLOCK
from provider.runtime.timeslice import uncollected

ANSWER_BYTES = 8 * 1024 * 1024
"""Some 50,000 series, five statuses of both colours of 1,000 services at five Traefiks."""
SERIES_MOST = 200_000
INSTANCES_MOST = 1024
"""Maximum number of Traefiks that are taken from an answer."""
LATEST_S = 1e12
"""No answer is from so late: JSON has numbers that no float holds, and NaN."""
STARTED = "process_start_time_seconds"

SHARED = (
    "several processes have this job and instance, as where a Thanos joins clusters or a pair of Prometheus: ask the "
    "one that scrapes these Traefiks"
)
"""Their sums say nothing where one of them starts over, and a pair counts all twice."""

Series = tuple[Mapping[str, str], float, str]
"""The labels of a series, when it was evaluated (Unix seconds), and its value."""


class Asked:
    """One Prometheus. `name` is what it is called where it does not answer."""

    def __init__(self, session: aiohttp.ClientSession, prometheus: Prometheus) -> None:
        self.name = f"Prometheus at {prometheus.url}"
        self._session, self._prometheus = session, prometheus
        self._url = URL(prometheus.url.rstrip("/") + "/api/v1/query")

    async def scrape(self, source: str, followed: tuple[Followed, ...]) -> Scrape:
        """Read the counters of some services, of every Traefik that it scrapes."""
        try:
            readings = await self._readings(followed)
        except FAULTS as error:
            return Scrape(source, followed, (), f"{self.name}: {cause_of(error)}")
        cause = None if readings else f"{self.name} has no traefik_service_requests_total of these services"
        return Scrape(source, followed, readings, cause)

    async def answer(self, followed: Followed, name: str, text: str) -> Answer:
        """Make one query of a service."""
        query = text.replace("{{colour}}", followed.colour).replace("{{service}}", followed.service)
        at_mono_s = CLOCK.mono_s
        try:
            value = _only(await self._ask(query))
        except FAULTS as error:
            return Answer(followed, name, at_mono_s, None, f"query {name}: {cause_of(error)}")
        return Answer(followed, name, at_mono_s, value)

    async def _readings(self, followed: tuple[Followed, ...]) -> tuple[TraefikCounts, ...]:
        names = {f"{name}@http" for one in followed for name in one.children.values()}
        chosen = f'service=~"{_quoted("|".join(map(re.escape, sorted(names))))}"'
        began_mono_s = CLOCK.mono_s
        requests_total, by = REQUESTS.decode(), "sum by (job, instance, service, code)"
        aged = await self._ask(f"min by (job, instance) (timestamp({requests_total}{{{chosen}}}))")
        if not aged:
            return ()
        at_s = aged[0][1]  # one moment for all: a scrape in between would make them disagree
        requests = await self._ask(f"{by} ({requests_total}{{{chosen}}})", at_s)
        ours = f"{STARTED} and on (job, instance) {requests_total}{{{chosen}}}"
        started = await self._ask(ours, at_s)
        timed, within = list[Series](), dict[float, list[Series]]()
        bounds = sorted({one.analysis.slow.over_s for one in followed if one.analysis.slow})
        if bounds:
            timed = await self._ask(f"{by} ({TIMED.decode()}{{{chosen}}})", at_s)
        for bound_s in bounds:
            bucket = f'{chosen},le=~"{_quoted(_bound(bound_s))}"'
            within[bound_s] = await self._ask(f"{by} ({WITHIN.decode()}{{{bucket}}})", at_s)
        ended_mono_s = CLOCK.mono_s

        def made() -> tuple[TraefikCounts, ...]:
            read_mono_s = (began_mono_s, ended_mono_s)
            with uncollected():
                return tuple(_readings(followed, read_mono_s, at_s, aged, requests, started, timed, within))

        return await asyncio.to_thread(made)

    async def _ask(self, query: str, at_s: float | None = None) -> list[Series]:
        body = bytearray()
        await fetch(
            self._session,
            self._url,
            body.extend,
            headers=dict(self._prometheus.headers),
            form={"query": query} if at_s is None else {"query": query, "time": f"{at_s:.3f}"},
            tls=not self._prometheus.insecure_skip_verify,
            most=ANSWER_BYTES,
        )

        def parsed() -> list[Series]:
            with uncollected():
                return _series(body)

        return await asyncio.to_thread(parsed)


def _series(body: bytearray) -> list[Series]:
    if has_too_many_values(body):
        raise NoAnswer("it answers with more values than a thousand services have")
    try:
        answer = orjson.loads(body)
    except ValueError:
        raise NoAnswer("it answers with something else than Prometheus does: is this its address?") from None
    match answer:
        case {"status": "success", "data": {"resultType": "vector", "result": [*found]}}:
            return [_one(each) for each in found[:SERIES_MOST]]
        case {"status": "success", "data": {"resultType": "scalar", "result": value}}:
            return [_one({"metric": {}, "value": value})]
        case {"status": "success", "data": {"resultType": kind}}:
            raise NoAnswer(f"it comes to a {one_line(str(kind), 30)}; a query must come to one value")
        case {"status": "error", "error": text}:
            raise NoAnswer(one_line(str(text), 200))
        case _:
            raise NoAnswer("it answers with something else than Prometheus does: is this its address?")


def _one(found: object) -> Series:
    match found:
        case {"metric": dict(labels), "value": [(int() | float()) as at_s, str(value)]} if abs(at_s) < LATEST_S:
            return {str(name): str(text) for name, text in labels.items()}, float(at_s), value
        case _:
            raise NoAnswer("it answers with something else than Prometheus does: is this its address?")


def _only(found: list[Series]) -> float:
    """Return the one value of a query; no value, and one that is no number, is no evidence."""
    if not found:
        raise NoAnswer("it comes to nothing")
    if len(found) > 1:
        raise NoAnswer(f"it comes to {len(found)} series, and must come to one: sum() or max() them")
    value = float(found[0][2])
    if not math.isfinite(value):
        raise NoAnswer(f"it comes to {value}")
    return value


def _readings(
    followed: tuple[Followed, ...],
    read_mono_s: tuple[float, float],
    at_s: float,
    aged: list[Series],
    requests: list[Series],
    started: list[Series],
    timed: list[Series],
    within: Mapping[float, list[Series]],
) -> Iterator[TraefikCounts]:
    """Yield what each instance has counted; a Traefik names its start to 10 ms."""
    began_mono_s, ended_mono_s = read_mono_s
    scraped = {_instance(labels): seconds_of(value.encode()) for labels, _, value in aged}
    starts, shared = dict[str, float](), set[str]()
    for labels, _, value in started:
        if (name := _instance(labels)) in starts:
            shared.add(name)
        starts[name] = seconds_of(value.encode())
    counted, timings = _by_child(requests), _by_child(timed)
    below = {bound_s: _by_child(each) for bound_s, each in within.items()}
    known = set[float]()
    for instance in sorted({instance for instance, _ in counted})[:INSTANCES_MOST]:
        if (started_s := starts.get(instance)) is not None and started_s in known:
            continue  # two jobs scrape one process: it counts once
        known |= {started_s} if started_s is not None else set()
        if instance in shared:
            yield TraefikCounts(instance, began_mono_s, ended_mono_s, cause=SHARED)
            continue
        yield TraefikCounts(
            instance,
            began_mono_s - max(0.0, at_s - scraped.get(instance, at_s)),
            ended_mono_s,
            {
                one.service: ByColour(*(_child(counted, timings, below, instance, one, colour) for colour in Colour))
                for one in followed
            },
            started_s=started_s,
            dated_s=scraped.get(instance),
        )


def _by_child(found: list[Series]) -> dict[tuple[str, str], dict[int, int]]:
    """Return the counts by status of each child service of each instance."""
    children: dict[tuple[str, str], dict[int, int]] = {}
    for labels, _, value in found:
        code = labels.get("code", "").encode()
        if CODE.fullmatch(code) is None:
            raise NoAnswer(f"a status is no number of three digits: {code[:20]!r}")
        if int(code) not in NO_ANSWERS:
            codes = children.setdefault((_instance(labels), labels.get("service", "")), {})
            codes[int(code)] = count_of(value.encode())
    return children


def _child(
    counted: Mapping[tuple[str, str], Mapping[int, int]],
    timings: Mapping[tuple[str, str], Mapping[int, int]],
    below: Mapping[float, Mapping[tuple[str, str], Mapping[int, int]]],
    instance: str,
    one: Followed,
    colour: Colour,
) -> ChildCounts:
    place = (instance, f"{one.children[colour]}@http")
    codes, timed = counted.get(place, {}), sum(timings.get(place, {}).values())
    check(sum(codes.values()), timed)
    if one.analysis.slow is None:
        return ChildCounts(codes, timed, 0)
    within = below[one.analysis.slow.over_s].get(place)
    known = sum(within.values()) if within is not None else None if timed else 0
    check(known or 0)
    return ChildCounts(codes, timed, known)


def _instance(labels: Mapping[str, str]) -> str:
    return clean(f"{labels.get('job', '')} {labels.get('instance', '')}".strip() or "the only instance", NAME_MOST)


def _bound(bound_s: float) -> str:
    """Return the pattern of a bucket's bound: newer versions of Prometheus write 5 as 5.0."""
    text = re.escape(f"{bound_s:g}")
    return text if "." in text else f"{text}(\\.0)?"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
