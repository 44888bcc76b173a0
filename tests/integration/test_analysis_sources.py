"""What a real Traefik and a real Prometheus count, beside the requests that were sent (rule 23)."""

from functools import partial
from pathlib import Path

import aiohttp
import pytest

from provider.model import ByColour
from provider.model.analysed import Tally
from provider.model.progressive import Prometheus as Source
from provider.model.progressive import Query
from tests.support.analysing import HOST, analysing, document, following, sample
from tests.support.components import program
from tests.support.prometheus import Prometheus
from tests.support.promql import PROMETHEUS
from tests.support.traefik import Backend, DocumentServer, FileTraefik, StartTraefik
from tests.support.waiting import eventually

SENT = 60


async def send(traefik: FileTraefik, many: int = SENT) -> None:
    async with aiohttp.ClientSession(headers={"Host": HOST}) as session:
        for _ in range(many):
            async with session.get(traefik.url("web")) as answer:
                await answer.read()


async def routed(traefik: FileTraefik) -> None:
    async def look() -> bool:
        async with aiohttp.ClientSession(headers={"Host": HOST}) as session, session.get(traefik.url("web")) as answer:
            return answer.status != 404

    await eventually(look)


@pytest.mark.takes(12)
async def test_traefik_counts_what_was_sent_and_begins_anew_with_its_process(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    """Rule 23: of each colour, its bad ones and its slow ones; also after a restart in between."""
    followed = following()
    documents.publish(document(blue.url, green.url, {"blue": 2, "green": 1}))
    traefik = await start_traefik(documents.url)
    await routed(traefik)
    green.status, green.delay_s = 503, 1.3
    async with analysing(followed, f"{traefik.api}/metrics") as (_, record):
        before = await record.good()
        await send(traefik, 9)
        found = sample(before, await record.good(), followed)
        assert found.errors == ByColour(Tally(6, 0), Tally(3, 3))
        assert found.slow is not None
        assert (found.slow.blue.bad, found.slow.green.bad) == (0, 3)
        green.delay_s = 0.0
        last = await record.good()
        await traefik.end()
        again = await start_traefik(documents.url, api_port=int(traefik.api.rpartition(":")[2]))
        await routed(again)
        await send(again, 9)
        after = await record.good()
        anew = sample(last, after, followed)
        assert 9 <= anew.errors.blue.requests + anew.errors.green.requests <= 10  # one found out that it routes
        assert anew.errors.green.bad == anew.errors.green.requests


@pytest.mark.takes(14)
async def test_a_colour_that_was_left_out_counts_for_what_it_answers(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend, green: Backend
) -> None:
    """Rules 19b and 23: Traefik may forget its counters, and those of the other colour go on."""
    followed = following()
    both, without = document(blue.url, green.url, {"blue": 1, "green": 1}), document(blue.url, green.url, {"blue": 1})
    del without["http"]["services"]["shop-green"]  # type: ignore[index]
    documents.publish(both)
    traefik = await start_traefik(documents.url)
    await routed(traefik)
    await send(traefik, 20)
    async with analysing(followed, f"{traefik.api}/metrics") as (_, record):
        first = await record.good()
        documents.publish(without)
        await eventually(partial(_has, traefik, "shop-green", False))
        await send(traefik, 10)
        gone = sample(first, await record.good(), followed)
        assert gone.errors.green.requests == 0
        for _ in range(3):
            between = await record.good()
        documents.publish(both)
        await eventually(partial(_has, traefik, "shop-green", True))
        answered = green.requests["/"]
        await send(traefik, 10)
        back = sample(between, await record.good(), followed)
        assert back.errors.green.requests == green.requests["/"] - answered
        assert back.errors.blue.requests + back.errors.green.requests == 10


async def _has(traefik: FileTraefik, name: str, there: bool) -> bool:
    return (await traefik.service(name) is not None) is there


@pytest.mark.takes(14)
async def test_prometheus_counts_the_same_and_answers_queries(
    start_traefik: StartTraefik, documents: DocumentServer, blue: Backend, green: Backend, tmp_path: Path
) -> None:
    """Rule 23: each Traefik that it scrapes by itself; the placeholders of a query are filled in."""
    binary = program("promtool", "prometheus")
    documents.publish(document(blue.url, green.url, {"blue": 1, "green": 1}))
    traefik = await start_traefik(documents.url)
    await routed(traefik)
    good, green.status = green.requests["/"], 500
    await send(traefik, 4)
    token = tmp_path / "token"
    token.write_text("bg_not_asked_for")
    address = traefik.api.partition("//")[2]
    targets = {"bluegreen:8900": "127.0.0.1:9", "traefik:8080": address}
    query = 'sum(traefik_service_requests_total{service="{{service}}-{{colour}}@http",code="500"})'
    async with Prometheus(binary, PROMETHEUS / "prometheus.yml", tmp_path / "prometheus", targets, token) as prometheus:
        source = Source(prometheus.url)
        followed = following(prometheus=source, queries=(Query("bad", query, every_s=1.0),))
        await prometheus.until("traefik_service_requests_total")
        async with analysing(followed) as (_, record):
            before = await record.good()
            assert address in before.traefik
            await send(traefik)

            async def counted() -> tuple[int, int, int]:
                found = sample(before, await record.good(), followed)
                numbers = (found.errors.blue.requests, found.errors.green.requests, found.errors.green.bad)
                assert sum(numbers[:2]) >= SENT, numbers
                return numbers

            assert await eventually(counted, limit_s=30.0) == (SENT // 2, SENT // 2, SENT // 2)
            found = sample(before, await record.good(), followed)
            assert found.slow is not None
            assert found.slow.blue == Tally(SENT // 2, 0)
            bad = green.requests["/"] - good
            await eventually(lambda: record.answers and record.answers[-1].value == bad)
