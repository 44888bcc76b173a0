"""Reading back from what is no healthy Traefik: things that a real one does not do when it is asked to."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import cast

import orjson
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from provider.model import Protocol
from provider.model.routing import Reference, Refers
from provider.runtime.resolver import look_up
from provider.traefik.process import free_ports
from provider.traefik.readback import Reading, api, schedule
from provider.traefik.readback.reading import InvalidAnswer, read
from tests.support.answering import self_signed
from tests.support.reading_back import MARKER, Names, in_http, reading_back
from tests.support.traefik import Endpoint
from tests.support.waiting import eventually

HTTP, TCP, UDP = Protocol
OTHER = "bluegreen-ba9876543210"
Answer = Callable[[web.BaseRequest], web.StreamResponse]


def raw_data(*markers: str, **sections: Mapping[str, object]) -> dict[str, object]:
    middlewares = {f"{marker}@http": {"status": "enabled"} for marker in markers}
    return {"services": {"noop@internal": {"status": "enabled"}}, "middlewares": middlewares, **sections}


class Api(Endpoint):
    """Speaks the API's shapes: `shown` are its markers.

    `answers` replace what it says to a question ("marker", "version" or "rawdata"), and a `hanging` one gets none.
    """

    def __init__(self, *shown: str) -> None:
        super().__init__()
        self.shown = shown
        self.answers: dict[str, Answer] = {}
        self.hanging: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.hosts: set[str] = set()
        self._end = asyncio.Event()

    async def stop(self) -> None:
        self._end.set()
        await super().stop()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        kind = "marker" if "/middlewares/" in request.path else request.path.rpartition("/")[2]
        self.asked[kind] += 1
        self.hosts.add(request.headers["Host"])
        if kind in self.hanging:
            await self._end.wait()
        if kind in self.answers:
            return self.answers[kind](request)
        if kind == "rawdata":
            return web.json_response(raw_data(*self.shown))
        if kind == "version":
            return web.Response(status=404)
        shows = request.path.endswith(tuple(f"/{marker}@http" for marker in self.shown))
        return web.json_response({}, status=200 if shows else 404)


@pytest.fixture
async def traefik() -> AsyncIterator[Api]:
    async with Api(MARKER) as server:
        yield server


# --- no answer --------------------------------------------------------------------------------------------------------


async def test_one_that_shows_the_marker_but_nothing_else_does_not_count_as_answering(
    traefik: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P2: the reading is the evidence, and there is none. It is reported again while the next attempt waits."""
    monkeypatch.setattr(api, "RAW_DATA_LIMIT_S", 0.2)
    monkeypatch.setattr(schedule, "PAUSE_FACTOR", 1000.0)
    monkeypatch.setattr(schedule, "REPEAT_S", 0.0)
    monkeypatch.setattr(schedule, "CALM_S", 0.05)
    traefik.hanging = {"rawdata"}
    async with reading_back(traefik.url) as (_, record):
        await eventually(lambda: len(record.readings) >= 3)
        assert {reading.cause for reading in record.readings} == {"no answer to /api/rawdata within 0.2 s"}
        assert traefik.asked["rawdata"] == 1


async def test_nobody_at_the_address_is_a_refused_connection_until_somebody_comes() -> None:
    traefik = Api(MARKER)
    async with reading_back(traefik.url) as (_, record):
        await eventually(lambda: record.cause(traefik.url) == "connection refused")
        async with traefik:
            await eventually(lambda: record.last(traefik.url) == Reading(traefik.url, MARKER))


async def test_the_same_cause_is_not_reported_at_every_attempt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "RETRY_S", 0.01)
    traefik = Api(MARKER)
    async with traefik, reading_back(traefik.url) as (_, record):
        traefik.answers = {"marker": lambda _: web.Response(status=500)}
        await eventually(lambda: traefik.asked["marker"] > 20)
        assert [reading.cause for reading in record.readings if reading.cause] == ["500 for /api/http/middlewares"]


def cut_short(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{")
    request.transport.close()
    return web.Response()


def hangs_up(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def speaks_another_language(request: web.BaseRequest) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.write(b"220 mail.example.com ESMTP\r\n\r\n")
    request.transport.close()
    return web.Response()


@pytest.mark.parametrize(
    ("kind", "answer", "cause"),
    [
        ("rawdata", cut_short, "answer cut short"),
        ("marker", hangs_up, "connection closed without an answer"),
        ("marker", speaks_another_language, "not HTTP: "),
        ("rawdata", lambda _: web.Response(text="<html>"), "something else than Traefik does"),
        ("rawdata", lambda _: web.json_response([1]), "something else than Traefik does"),
        ("rawdata", lambda _: web.json_response({}), "something else than Traefik does"),
        ("rawdata", lambda _: web.Response(body=b" " * 2000), "the answer to /api/rawdata is larger than 0 MiB"),
        (
            "marker",
            lambda _: web.Response(text="Bad\n Gateway", status=502),
            "502 for /api/http/middlewares: Bad Gateway",
        ),
        ("marker", lambda _: web.Response(status=403), "closed to this daemon (403 for /api/http/middlewares)"),
        (
            "marker",
            lambda _: web.Response(status=308, headers={"Location": "https://a.test/"}),
            "it redirects to https://a.test/ (308 for /api/http/middlewares)",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_is_no_answer_of_traefiks_is_reported(
    traefik: Api, monkeypatch: pytest.MonkeyPatch, kind: str, answer: Answer, cause: str
) -> None:
    monkeypatch.setattr(api, "RAW_DATA_BYTES", 1000)
    traefik.answers = {kind: answer}
    async with reading_back(traefik.url) as (_, record):
        assert cause in await eventually(lambda: record.cause(traefik.url) or "")
        assert record.last(traefik.url) == Reading(traefik.url, cause=record.cause(traefik.url))
        traefik.answers = {}
        await eventually(lambda: record.last(traefik.url) == Reading(traefik.url, MARKER))


# --- when everything is read ------------------------------------------------------------------------------------------


async def test_while_the_marker_is_shown_only_the_marker_is_asked_for(
    traefik: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schedule, "CALM_S", 0.01)
    async with reading_back(traefik.url) as (_, record):
        await eventually(lambda: traefik.asked["marker"] > 20)
        assert traefik.asked["rawdata"] == 1
        assert record.readings == [Reading(traefik.url, MARKER)]


async def test_a_marker_that_is_not_shown_any_more_is_news(traefik: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "CALM_S", 0.01)
    async with reading_back(traefik.url) as (_, record):
        await record.shows(traefik.url, MARKER)
        traefik.shown = (OTHER,)
        await record.shows(traefik.url, OTHER)
        traefik.shown = ()
        await eventually(lambda: record.marker(traefik.url) is None)


async def test_attention_reads_everything_again_and_again(traefik: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "ATTENTIVE_S", 0.01)
    async with reading_back(traefik.url) as (back, record):
        await eventually(lambda: record.readings)
        back.set_attentive(True)
        await eventually(lambda: len(record.readings) > 5)


async def test_an_error_is_looked_after_until_it_is_gone(traefik: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may go without a new document: what the router refers to came from another provider."""
    monkeypatch.setattr(schedule, "CALM_S", 0.05)
    broken = raw_data(MARKER, routers={"shop@http": {"error": ["no auth@docker"], "status": "disabled"}})
    traefik.answers = {"rawdata": lambda _: web.json_response(broken)}
    async with reading_back(traefik.url) as (_, record):
        await eventually(lambda: record.readings)
        assert record.readings[0].errors == in_http({"shop": ("router shop: no auth@docker",)})
        traefik.answers = {}
        await eventually(lambda: record.readings[-1] == Reading(traefik.url, MARKER))


async def test_a_marker_that_everything_does_not_have_does_not_make_us_read_without_a_rest(
    traefik: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two Traefiks behind one address answer in turn, or a document came and went between the two questions."""
    monkeypatch.setattr(schedule, "CALM_S", 0.01)
    monkeypatch.setattr(schedule, "OLD_S", 1000.0)
    traefik.answers = {"rawdata": lambda _: web.json_response(raw_data(OTHER))}
    async with reading_back(traefik.url) as (_, record):
        await eventually(lambda: traefik.asked["marker"] > 20)
        assert traefik.asked["rawdata"] == 1
        assert record.readings == [Reading(traefik.url, OTHER)]


async def test_before_any_document_is_out_whatever_is_shown_is_reported(traefik: Api) -> None:
    async with reading_back(traefik.url, marker=None) as (back, record):
        await record.shows(traefik.url, MARKER)
        assert traefik.asked["marker"] == 0
        traefik.shown = (OTHER,)
        back.set_document(OTHER)
        await record.shows(traefik.url, OTHER)


# --- addresses --------------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def resolved_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schedule, "RESOLVE_S", 0.05)
    monkeypatch.setattr(schedule, "RESOLVE_AGAIN_S", 0.05)


async def test_every_address_of_a_name_is_asked_by_the_name_and_forgotten_when_the_name_loses_it(traefik: Api) -> None:
    names = Names("127.0.0.1", "127.0.0.2")
    here, there = traefik.url, f"http://127.0.0.2:{traefik.port}"
    async with reading_back(f"http://traefik.test:{traefik.port}", resolve=names) as (_, record):
        await eventually(lambda: record.marker(here) == MARKER and record.cause(there) == "connection refused")
        assert traefik.hosts == {f"traefik.test:{traefik.port}"}
        names.addresses = ("127.0.0.1",)
        await eventually(lambda: record.gone == [there])
        reported = len(record.readings)
        traefik.shown = ()
        await eventually(lambda: traefik.asked["marker"])
        assert all(reading.traefik == here for reading in record.readings[reported:])


async def test_a_name_that_is_not_resolved_is_reported_as_written_until_it_is(traefik: Api) -> None:
    names = Names()
    names.addresses = None
    url = f"http://traefik.test:{traefik.port}"
    async with reading_back(url, resolve=names) as (_, record):
        cause = "the name traefik.test is not resolved: temporary failure in name resolution"
        await eventually(lambda: record.cause(url) == cause)
        names.addresses = ()
        await eventually(lambda: record.cause(url) == "the name traefik.test is not resolved: it has no address")
        names.addresses = ("127.0.0.1",)
        await record.shows(traefik.url, MARKER)
        assert record.gone == [url]


async def test_a_name_server_that_is_away_takes_only_those_off_the_list_who_do_not_answer(traefik: Api) -> None:
    names = Names("127.0.0.1", "127.0.0.2")
    there = f"http://127.0.0.2:{traefik.port}"
    async with reading_back(f"http://traefik.test:{traefik.port}", resolve=names) as (back, record):
        await eventually(lambda: record.marker(traefik.url) and record.cause(there))
        names.addresses = None
        await eventually(lambda: record.gone == [there])
        traefik.shown = (OTHER,)
        back.set_document(OTHER)
        await record.shows(traefik.url, OTHER)


async def test_a_real_name_is_resolved_and_one_that_is_none_is_reported() -> None:
    assert "127.0.0.1" in await look_up("localhost", 80)
    async with reading_back("http://.test:8080") as (_, record):
        await eventually(lambda: "is not resolved" in (record.cause("http://.test:8080") or ""))


async def test_an_ipv6_address_is_asked_unchanged() -> None:
    (port,) = free_ports(1)
    async with reading_back(f"http://[::1]:{port}/edge/") as (_, record):
        await eventually(lambda: record.cause(f"http://[::1]:{port}/edge") == "connection refused")


async def test_two_names_of_one_address_are_two_traefiks_and_are_distinguished(traefik: Api) -> None:
    """They may be two behind one proxy; the first keeps the address as its name."""
    urls = [f"http://{name}.test:{traefik.port}" for name in "ab"]
    async with reading_back(*urls, resolve=Names("127.0.0.1")) as (back, record):
        second = f"{traefik.url} (b.test)"
        await eventually(lambda: record.marker(traefik.url) and record.marker(second))
        assert traefik.hosts == {f"{name}.test:{traefik.port}" for name in "ab"}
        back.set_apis((urls[0],))
        await eventually(lambda: record.gone == [second])


async def test_the_list_of_apis_may_change_at_any_time(traefik: Api) -> None:
    async with Api(MARKER) as other, reading_back() as (back, record):
        back.set_apis((f"{traefik.url}/", traefik.url))
        await record.shows(traefik.url, MARKER)
        back.set_apis((other.url,))
        await record.shows(other.url, MARKER)
        assert record.gone == [traefik.url]
        back.set_apis(())
        await eventually(lambda: record.gone == [traefik.url, other.url])


async def test_https_to_one_that_speaks_http_is_reported(traefik: Api) -> None:
    url = traefik.url.replace("http:", "https:")
    async with reading_back(url) as (_, record):
        await eventually(lambda: (record.cause(url) or "").startswith("TLS failed: "))


async def test_tls_asks_for_the_name_and_trusts_only_its_certificate(tmp_path: Path) -> None:
    asked: list[str | None] = []
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(self_signed(tmp_path / "api.pem", "traefik.test"))
    context.sni_callback = lambda _, name, __: asked.append(name)
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    async with server, reading_back(f"https://traefik.test:{port}", resolve=Names("127.0.0.1")) as (_, record):
        cause = "certificate not trusted: self-signed certificate"
        await eventually(lambda: record.cause(f"https://127.0.0.1:{port}") == cause)
    assert set(asked) == {"traefik.test"}


# --- what an answer says ----------------------------------------------------------------------------------------------


def reading(content: object) -> Reading:
    return read(bytearray(orjson.dumps(content)), "t", MARKER)


def router(name: str, *entry_points: str, service: str = "shop", error: str = "") -> dict[str, object]:
    body = {"entryPoints": entry_points, "rule": "Host(`a.test`)", "service": service, "status": "enabled"}
    return {f"{name}@http": body | ({"error": [error], "status": "disabled"} if error else {})}


def test_the_expected_marker_is_preferred_to_another_and_names_like_markers_are_none() -> None:
    assert reading(raw_data(OTHER, MARKER)).marker == MARKER
    assert reading(raw_data("bluegreen-0123", OTHER)).marker == OTHER
    assert reading({**raw_data(), "middlewares": {f"{MARKER}@file": {}}}).marker is None


def test_errors_are_those_of_our_provider_by_section_and_name_of_router_or_service() -> None:
    """Rule 32: TCP may have a name that HTTP has, too."""
    broken = {"status": "disabled"}
    content = raw_data(
        MARKER,
        routers={"shop@http": {**broken, "error": ["one", "two"]}, "shop@docker": {**broken, "error": ["theirs"]}},
        services={"shop@http": broken, "cart@http": {"status": "enabled"}},
        tcpRouters={"shop@http": {"status": "warning", "error": ["three"]}},
        udpServices={"dns@http": {**broken, "error": ["four"]}},
    )
    assert reading(content).errors == {
        (HTTP, "shop"): ("router shop: one", "router shop: two", "service shop: status disabled"),
        (TCP, "shop"): ("tcp router shop: three",),
        (UDP, "dns"): ("udp service dns: four",),
    }


def test_a_router_that_was_split_by_entry_point_keeps_its_name() -> None:
    content = raw_data(
        MARKER, routers={**router("web-shop", "web", error="bad"), **router("websecure-shop", "websecure", error="bad")}
    )
    assert reading(content).errors == in_http({"shop": ("router shop: bad",)})
    content = raw_data(MARKER, routers={**router("shop", "a", "b"), **router("web-shop", "web", error="bad")})
    assert reading(content).errors == in_http({"shop": ("router shop: bad",)})


def test_a_router_whose_own_name_begins_with_an_entry_point_keeps_it() -> None:
    content = raw_data(
        MARKER, routers={**router("shop", "web"), **router("web-shop", "web", service="web-shop", error="bad")}
    )
    assert reading(content).errors == in_http({"web-shop": ("router web-shop: bad",)})


def test_the_children_of_a_service_are_read_however_it_spreads_requests_and_within_bounds() -> None:
    """Rules 21 and 32; the API may be anybody's (P4)."""
    children = [{"name": "shop-blue@http", "weight": 95}, {"name": "shop-green"}]
    absurd = [{"name": "a" * 10_000, "weight": 10**300}, {"name": None, "weight": -(10**300)}, {"weight": "5"}, 7]
    content = raw_data(
        MARKER,
        services={
            "shop@http": {"highestRandomWeight": {"services": children}},
            "cart@http": {"weighted": {"services": children}},
            "odd@http": {"weighted": {"services": absurd}, "highestRandomWeight": {"services": children}},
            "many@http": {"weighted": {"services": children * 1000}},
            "none@http": {"highestRandomWeight": {"services": "shop"}},
        },
        tcpServices={"shop@http": {"weighted": {"services": children[:1]}}},
        udpServices={"shop@http": {"weighted": {"services": children[1:]}}},
    )
    found = read(bytearray(json.dumps(content).encode()), "t", MARKER).weights
    assert found[HTTP, "shop"] == found[HTTP, "cart"] == (("shop-blue", 95), ("shop-green", 1))
    assert (found[TCP, "shop"], found[UDP, "shop"]) == ((("shop-blue", 95),), (("shop-green", 1),))
    assert [weight for _, weight in found[HTTP, "odd"]] == [1_000_000, 0, 1]
    assert all(len(name) <= 300 for name, _ in found[HTTP, "odd"])
    assert len(found[HTTP, "many"]) == 100
    assert (HTTP, "none") not in found


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                f"services routers middlewares a@http {MARKER}@http weighted highestRandomWeight name weight".split()
            ),
            inner,
            max_size=4,
        )
    ),
)


@given(JSON, JSON)
def test_no_answer_of_whatever_form_breaks_the_reader(content: object, services: object) -> None:
    """P4: what answers on that port may be anything."""
    whole = {**content, "services": services} if isinstance(content, dict) else content
    with suppress(InvalidAnswer):
        assert reading(whole).cause is None


async def test_what_traefiks_docker_provider_has_is_read_for_the_references_of_labels() -> None:
    """Rule 34."""
    found = raw_data(
        MARKER,
        services={"web@docker": {}, "shop@http": {}},
        tcpMiddlewares={"allow@docker": {}},
        routers={"r@docker": {"rule": "Host(`x`)"}},
    )
    middlewares = {**cast("Mapping[str, object]", found["middlewares"]), "login@docker": {}, "x@file": {}}
    reading = read(bytearray(orjson.dumps(found | {"middlewares": middlewares})), "http://traefik:8080", MARKER)
    assert reading.in_docker == {
        Reference(Refers.MIDDLEWARE, Protocol.HTTP, "login"),
        Reference(Refers.MIDDLEWARE, Protocol.TCP, "allow"),
        Reference(Refers.SERVICE, Protocol.HTTP, "web"),
    }
