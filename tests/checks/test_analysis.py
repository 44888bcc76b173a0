"""Reading metrics and queries from peers that may answer anything (rule 23)."""

import asyncio
import itertools
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from yarl import URL

from provider.checks.analysis import fetching, prometheus
from provider.model.analysed import TraefikCounts
from provider.model.progressive import Prometheus, Query
from provider.rollout.counting import between
from provider.runtime.timeslice import MAX_HELD_S
from tests.support.analysing import analysing, following
from tests.support.hostile import answering as serving
from tests.support.hostile import endless, ok
from tests.support.waiting import eventually

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
STARTED = b"process_start_time_seconds 1.7e9\n"
LINE = b'traefik_service_requests_total{code="200",method="GET",protocol="http",service="shop-blue@http"} 5\n'
HUGE = b'traefik_service_requests_total{code="200",method="' + b"x" * 100_000 + b'",service="shop-blue@http"} 1\n'


async def cause(*pieces: bytes, is_endless: bool = False) -> str | None:
    """Return the cause for which the answer of a Traefik is no evidence."""

    def answer(_: str) -> Iterable[bytes]:
        return endless(pieces[0], pieces[1]) if is_endless else pieces

    with serving(answer) as url:
        async with analysing(following(), f"{url}/metrics") as (_, record):
            await eventually(lambda: record.scrapes)
            (reading,) = record.scrapes[0].readings
            return reading.cause


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b"\xff\xfe\x00 broken", "something else than Traefik"),
        (STARTED + LINE.replace(b" 5", b" NaN"), "no number of requests"),
        (STARTED + LINE.replace(b" 5", b" -5"), "no number of requests"),
        (STARTED + HUGE, "longer than"),
        (STARTED.replace(b"1.7e9", b"NaN") + LINE, "not a time"),
        (STARTED.replace(b"1.7e9", b"1e999") + LINE, "not a time"),
        (STARTED + 1_100 * LINE.replace(b" 5", b" 9e15"), "come to 9.9e+18 requests"),
        (STARTED + LINE[:-10], "middle of a line"),
        (b"<html>", "something else than Traefik"),
    ],
)
async def test_what_is_no_metrics_is_a_cause(body: bytes, says: str) -> None:
    """P2 and P4."""
    found = await cause(ok(body, "text/plain"))
    assert found is not None
    assert says in found


async def test_an_answer_without_an_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """P4: by its size, whatever its lines are; and by its time."""
    monkeypatch.setattr(fetching, "ANSWER_BYTES", 4 * 1024 * 1024)
    assert "larger than 4096 KiB" in str(await cause(HEAD, b"# nothing\n" * 10_000, is_endless=True))
    assert "larger than 4096 KiB" in str(await cause(HEAD, b"x" * 100_000, is_endless=True))


async def test_ten_million_lines_are_read_through_or_given_up() -> None:
    """P4: with no more memory than a line."""
    found = await cause(HEAD, *[b"# another line\n" * 10_000] * 1000, STARTED + LINE)
    assert found is None or "larger than" in found or "no answer within" in found


async def test_a_long_answer_leaves_the_loop_to_others_between_its_parts() -> None:
    """P4: parts that wait in the buffer would be read in one go, 60 ms for a thousand services."""
    body = b"# a line of a large Traefik\n" * 40_000
    turns, seen, parts = itertools.count(), list[int](), list[bytes]()
    now = next(turns)

    async def others() -> None:
        nonlocal now
        while True:
            now = next(turns)
            await asyncio.sleep(0)

    def feed(part: bytes) -> None:
        begun_s = time.perf_counter()
        while time.perf_counter() - begun_s < 1.5 * MAX_HELD_S:
            pass
        parts.append(part)
        seen.append(now)

    with serving(lambda _: [ok(body, "text/plain")]) as url:
        async with fetching.open_session() as session, asyncio.TaskGroup() as tasks:
            task = tasks.create_task(others())
            await fetching.fetch(session, URL(f"{url}/metrics"), feed, headers={})
            task.cancel()
    assert b"".join(parts) == body
    assert max(map(len, parts)) <= fetching.FED_BYTES
    assert len(set(seen)) == len(seen) > 60


async def test_an_answer_that_may_be_cut_off_is_no_evidence() -> None:
    """Rule 23: the counters that it lacks would be counted again with the next one."""
    assert "cut off" in str(await cause(HEAD, STARTED + LINE))


async def test_other_answers_of_http_are_causes() -> None:
    for answer, says in (
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "404 for /metrics"),
        (b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", "302 for /metrics"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", "cut short"),
        (b"nonsense\r\n\r\n", "not HTTP"),
    ):
        assert says in str(await cause(answer))


async def test_a_traefik_that_is_not_there_is_a_cause_and_the_others_are_read() -> None:
    """P2."""
    with serving(lambda _: [ok(STARTED + LINE, "text/plain")]) as url:
        async with analysing(following(), f"{url}/metrics", "http://127.0.0.1:9/metrics") as (_, record):
            await eventually(lambda: record.scrapes)
            causes = {one.traefik: one.cause for one in record.scrapes[0].readings}
    assert causes == {url: None, "http://127.0.0.1:9": "connection refused"}


async def test_one_traefik_at_two_addresses_counts_once() -> None:
    """Rule 23: never more than there was."""
    with serving(lambda _: [ok(STARTED + LINE, "text/plain")]) as url:
        async with analysing(following(), f"{url}/metrics", f"{url}/metrics/") as (_, record):
            await eventually(lambda: record.scrapes)
            assert len(record.scrapes[0].readings) == 1


async def test_without_an_address_the_scrape_says_so() -> None:
    async with analysing(following()) as (_, record):
        await eventually(lambda: record.scrapes)
        assert "traefik.api or traefik.metrics" in str(record.scrapes[0].cause)


async def answered(body: bytes) -> tuple[float | None, str | None]:
    """Return what a query comes to with this answer of Prometheus."""
    with serving(lambda _: [ok(body)]) as url:
        queries = (Query("queue", 'max(queue{colour="{{colour}}"})', most=5.0),)
        async with analysing(following(prometheus=Prometheus(url), queries=queries)) as (_, record):
            await eventually(lambda: record.answers)
            return record.answers[0].value, record.answers[0].cause


def result(*values: str, kind: str = "vector") -> bytes:
    found = [{"metric": {}, "value": [1.0, value]} for value in values]
    return json.dumps({"status": "success", "data": {"resultType": kind, "result": found}}).encode()


def at(time: str) -> bytes:
    return result("1").replace(b"[1.0,", f"[{time},".encode()).replace(b"[1.0, ", f"[{time}, ".encode())


@pytest.mark.parametrize(
    ("body", "says"),
    [
        (result(), "it comes to nothing"),
        (result("1", "2"), "it comes to 2 series"),
        (result("NaN"), "it comes to nan"),
        (result("+Inf"), "it comes to inf"),
        (result("five"), "could not convert"),
        (result("1", kind="matrix"), "it comes to a matrix"),
        (b'{"status":"error","error":"parse error"}', "parse error"),
        (b"[" * 100_000, "something else than Prometheus"),
        (b"\xff", "something else than Prometheus"),
        (b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1]}]}}', "something else"),
        (at("9" * 400), "something else"),
        (at("NaN"), "something else"),
        (at("-Infinity"), "something else"),
    ],
)
async def test_an_answer_without_one_value_is_no_evidence(body: bytes, says: str) -> None:
    """Rule 23d: no data, NaN, an empty vector and several series."""
    value, found = await answered(body)
    assert value is None
    assert says in str(found)


async def test_an_answer_of_prometheus_without_an_end_is_given_up() -> None:
    """P4."""
    with serving(lambda _: endless(HEAD, b"[" * 100_000)) as url:
        queries = (Query("queue", "queue", most=5.0),)
        async with analysing(following(prometheus=Prometheus(url), queries=queries)) as (_, record):
            await eventually(lambda: record.answers)
            assert "larger than 8192 KiB" in str(record.answers[0].cause)


async def test_the_one_value_of_a_query_is_evidence() -> None:
    assert await answered(result("7.5")) == (7.5, None)
    scalar = b'{"status":"success","data":{"resultType":"scalar","result":[1.0,"3"]}}'
    assert await answered(scalar) == (3.0, None)


def closing(data: object) -> bytes:
    """Answer each of several queries, on a connection of its own."""
    return ok(json.dumps({"status": "success", "data": data}).encode(), more="Connection: close\r\n")


async def test_a_scrape_of_prometheus_is_dated() -> None:
    """Rule 23: a Traefik whose clock is set began at another time, and ran before; its counters are not new."""
    metric = {"job": "traefik", "instance": "t1", "service": "shop-blue@http", "code": "200"}
    found = {"resultType": "vector", "result": [{"metric": metric, "value": [1000.0, "990"]}]}
    with serving(lambda _: [closing(found)]) as url:
        followed = following(prometheus=Prometheus(url))
        async with analysing(followed) as (_, record):
            await eventually(lambda: record.scrapes)
            (before,) = record.scrapes[0].readings
    assert before.dated_s == 990.0
    assert between(replace(before, started_s=100.0), replace(before, started_s=101.0), followed) is None


async def test_of_many_instances_some_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """P4: 40,000 of them held the event loop for 1.5 s, as none of that was done in a thread."""
    monkeypatch.setattr(prometheus, "INSTANCES_MOST", 3)
    loops = threading.get_ident()
    made_by = set[int]()

    def counted(*arguments: Any, **fields: Any) -> TraefikCounts:
        made_by.add(threading.get_ident())
        return TraefikCounts(*arguments, **fields)

    monkeypatch.setattr(prometheus, "TraefikCounts", counted)
    vector = [
        {
            "metric": {"job": "traefik", "instance": f"t{number}", "service": "shop-blue@http", "code": "200"},
            "value": [1000.0, str(990 - number)],
        }
        for number in range(5)
    ]
    found = {"resultType": "vector", "result": vector}
    with serving(lambda _: [closing(found)]) as url:
        async with analysing(following(prometheus=Prometheus(url))) as (_, record):
            await eventually(lambda: record.scrapes)
            assert [one.traefik for one in record.scrapes[0].readings] == ["traefik t0", "traefik t1", "traefik t2"]
    assert made_by
    assert loops not in made_by


async def test_a_traefik_that_two_jobs_scrape_counts_once() -> None:
    """Rule 23."""
    vector = [
        {
            "metric": {"job": job, "instance": "t1", "service": "shop-blue@http", "code": "200"},
            "value": [1000.0, "990"],
        }
        for job in ("all", "traefik")
    ]
    found = {"resultType": "vector", "result": vector}
    with serving(lambda _: [closing(found)]) as url:
        async with analysing(following(prometheus=Prometheus(url))) as (_, record):
            await eventually(lambda: record.scrapes)
            assert [one.traefik for one in record.scrapes[0].readings] == ["all t1"]


async def test_processes_that_share_job_and_instance_are_no_evidence() -> None:
    """Rule 23: of two clusters behind one Thanos, or of a pair of Prometheus that both scrape."""
    vector = [
        {
            "metric": {"job": "a", "instance": "t1", "service": "shop-blue@http", "code": "200", "cluster": each},
            "value": [1000.0, "990"],
        }
        for each in ("east", "west")
    ]
    found = {"resultType": "vector", "result": vector}
    with serving(lambda _: [closing(found)]) as url:
        async with analysing(following(prometheus=Prometheus(url))) as (_, record):
            await eventually(lambda: record.scrapes)
            (reading,) = record.scrapes[0].readings
    assert "several processes have this job and instance" in str(reading.cause)
