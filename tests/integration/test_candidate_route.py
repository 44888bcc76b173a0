"""The test route of a candidate, and the preview, in a real Traefik."""

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from provider.model import Affinity, Analysis, Canary, CandidateRoute, Member, Phase, Router, Service, Step
from provider.traefik.process import free_ports
from tests.support.phases import in_phase
from tests.support.stepping import Stage, ask, runs_at, served, stepping, switched
from tests.support.traefik import Backend, DocumentServer, StartTraefik
from tests.support.waiting import eventually
from tests.support.worlds import service

HOST, PREVIEW = "shop.example.com", "preview.example.com"
HEADER = CandidateRoute("X-Release", 'it\'s `next` \\ "2"')
COOKIE = CandidateRoute("re.lease", "a+b$`c", is_cookie=True)
TESTING = in_phase(Phase.TESTING).rollout


def router(name: str, rule: str, **more: object) -> Router:
    return Router(name, rule, {"rule": rule, "entryPoints": ["web"], **more})


MAIN = router("shop", f"Host(`{HOST}`) || Host(`www.example.com`)\n")
SECURE = router("shop-tls", f"Host(`{HOST}`)", entryPoints=["websecure"], tls={}, middlewares=["named"])
NAMED = {"http": {"middlewares": {"named": {"headers": {"customResponseHeaders": {"X-Named": "yes"}}}}}}


@pytest.fixture
async def stage(start_traefik: StartTraefik, documents: DocumentServer) -> Stage:
    entry_points = dict(zip(("web", "websecure"), free_ports(2), strict=True))
    return Stage(await start_traefik(documents.url, entry_points=entry_points), documents)


def shop(blue: Backend, green: Backend, **fields: Any) -> Member:
    return runs_at(service(routers=(MAIN, SECURE), **fields), [blue], [green])


def carrying(route: CandidateRoute) -> dict[str, str]:
    return {"Cookie": f"a=1; {route.name}={route.value}"} if route.is_cookie else {route.name: route.value}


async def by_tls(stage: Stage, headers: dict[str, str]) -> tuple[int, str, str | None]:
    url = stage.traefik.url("websecure").replace("http:", "https:")
    async with aiohttp.request("GET", url, headers={"Host": HOST, **headers}, ssl=False) as response:
        return response.status, await response.text(), response.headers.get("X-Named")


@pytest.mark.parametrize("route", [HEADER, COOKIE], ids=["header", "cookie"])
async def test_the_test_route_is_beside_every_router_with_its_tls_and_its_middlewares(
    stage: Stage, blue: Backend, green: Backend, route: CandidateRoute
) -> None:
    """Rule 24: no other request reaches the candidate, whatever is in the value."""
    url, of = stage.traefik.url("web"), shop(blue, green, test_route=route)
    await stage.show(served(of, TESTING), passed=NAMED)
    for host in (HOST, "www.example.com"):
        assert (await ask(url, host, headers=carrying(route))).body == "green"
        assert (await ask(url, host)).body == "blue"
    assert await by_tls(stage, carrying(route)) == (200, "green", "yes")
    assert await by_tls(stage, {}) == (200, "blue", "yes")
    for other in ("", route.value[:-1], f"{route.value}x", f"x{route.value}"):
        headers = carrying(replace(route, value=other))
        assert (await ask(url, HOST, headers=headers)).body == "blue"
    assert (await ask(url, HOST, headers=carrying(replace(route, name=f"x{route.name}")))).body == "blue"
    assert (await ask(url, "other.example.com", headers=carrying(route))).status == 404


async def test_without_a_candidate_the_main_router_answers(stage: Stage, blue: Backend, green: Backend) -> None:
    """Rule 24: never a 404."""
    of = shop(blue, green, test_route=HEADER)
    await stage.show(served(of), passed=NAMED)
    answer = await ask(stage.traefik.url("web"), HOST, headers=carrying(HEADER))
    assert (answer.status, answer.body) == (200, "blue")
    assert await by_tls(stage, carrying(HEADER)) == (200, "blue", "yes")


async def test_the_test_route_goes_with_the_switch_and_no_request_falls_between(
    stage: Stage, blue: Backend, green: Backend
) -> None:
    """Rule 24: in the same document."""
    of, under_way = shop(blue, green, test_route=HEADER, canary=Canary((Step(50),))), stepping(1, weights=(50,))
    await stage.show(served(of, TESTING), passed=NAMED)
    url, seen, seen_since = stage.traefik.url("web"), set[tuple[int, str]](), list[str]()

    async def test_on() -> None:
        while True:
            answer = await ask(url, HOST, headers=carrying(HEADER))
            seen.add((answer.status, answer.body))
            seen_since.append(answer.body)

    asked = [asyncio.create_task(test_on(), name=f"tester {number}") for number in range(4)]
    try:
        for of_step in (served(of, under_way), served(switched(of, under_way))):
            await stage.show(of_step, passed=NAMED)
            seen_since.clear()
            await eventually(lambda: len(seen_since) >= 50)
    finally:
        for task in asked:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    assert seen == {(200, "green")}
    assert set(await stage.traefik.routers()) == {"shop", "shop-tls"}


async def test_a_path_of_another_service_on_the_host_is_not_caught(stage: Stage, blue: Backend, green: Backend) -> None:
    """Rule 24: at 50 above, another service's `/api` went to the candidate."""
    async with Backend("api") as other:
        api = runs_at(service("api", routers=(router("api", f"Host(`{HOST}`) && PathPrefix(`/api`)"),)), [other], [])
        main = replace(MAIN, rule=f"Host(`{HOST}`)", body={**MAIN.body, "rule": f"Host(`{HOST}`)"})
        of = runs_at(service(routers=(main,), test_route=HEADER), [blue], [green])
        await stage.show(served(api), served(of, TESTING))
        url = stage.traefik.url("web")
        assert (await ask(f"{url}/api/cart", HOST, headers=carrying(HEADER))).body == "api"
        assert (await ask(f"{url}/cart", HOST, headers=carrying(HEADER))).body == "green"


# --- what counts ----------------------------------------------------------------------------------------------------


async def requests(stage: Stage) -> dict[str, float]:
    """Return how many requests Traefik has counted for each of its services."""
    async with aiohttp.request("GET", f"{stage.traefik.api}/metrics") as response:
        families = text_string_to_metric_families(await response.text())
    found: dict[str, float] = {}
    for family in families:
        for sample in family.samples:
            if sample.name == "traefik_service_requests_total":
                name = sample.labels["service"]
                found[name] = found.get(name, 0) + sample.value
    return found


def counted(**fields: Any) -> Service:
    preview = router("shop-preview", f"Host(`{PREVIEW}`)")
    return service(routers=(MAIN,), preview=preview, test_route=HEADER, **fields)


async def test_testers_and_the_preview_do_not_count_as_clients_of_a_colour(
    stage: Stage, blue: Backend, green: Backend
) -> None:
    """Rule 23d: they lead to services of their own, with the same servers."""
    of = runs_at(counted(analysis=Analysis(), canary=Canary((Step(50),))), [blue], [green])
    url = stage.traefik.url("web")
    await stage.show(served(of, stepping(1, weights=(50,))))
    for _ in range(10):
        assert (await ask(url, PREVIEW)).body == "green"
        assert (await ask(url, HOST, headers=carrying(HEADER))).body == "green"
        await ask(url, HOST)
    assert await requests(stage) == {
        "shop-blue@http": 5,
        "shop-green@http": 5,
        "shop-green-preview@http": 10,
        "shop-green-test@http": 10,
    }


async def test_requests_count_for_the_colour_whatever_entry_they_come_by(
    stage: Stage, blue: Backend, green: Backend
) -> None:
    """Rules 21 and 23: aliases are not counted themselves."""

    of = runs_at(counted(canary=Canary((Step(50),))), [blue], [green])
    await stage.show(served(of, stepping(1, Affinity.COOKIE, weights=(50,))))
    for _ in range(10):
        await ask(stage.traefik.url("web"), HOST)
    assert await requests(stage) == {"shop-blue@http": 5, "shop-green@http": 5}
