"""Nothing from outside breaks an answer: broken text and odd numbers by every way in, and what is then answered."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from provider.api.admin import admin_app
from provider.api.provider import provider_app
from provider.docker.discovery import Containers
from provider.docker.labels import Scope
from provider.model import ByColour, Protocol, Severity
from provider.observability.notices import Notice, NoticeKind
from provider.observability.outbox import Outbox, Rate
from provider.traefik.readback import ReadBack, Reading
from provider.traefik.readback.reading import read
from tests.support.hostile import Answer, answering, chunk, container, engine, ok
from tests.support.running import Running, listening, running, shop, url
from tests.support.waiting import eventually
from tests.support.worlds import BLUE, at

HOSTILE = {
    "broken UTF-8": b"\xff\xfe\x80",
    "a surrogate in UTF-8": b"\xed\xa0\x80",
    "escapes": b"\x1b[2J\x9b\x7f",
    "direction": "\u202e\u2066".encode(),
    "quotes": b"\"\\'{}",
    "huge": b"x" * 4000,
}
KINDS = pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
JSON_TEXTS = ("\\ud800", "\\u0000", "\\u001b[2J", "\\u202e", "x" * 100_000)
MARKER = "bluegreen-0123456789ab"


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as made:
        made.load(shop())
        await made.judge(BLUE)
        await made.until_served(blue=[url("8081")])
        yield made


@asynccontextmanager
async def both(daemon: Running) -> AsyncIterator[tuple[str, str]]:
    """Serve both listeners; yields their URLs, of the provider's and the admin's."""
    async with (
        listening(provider_app(daemon.replica, daemon.metrics)) as provider,
        listening(admin_app(daemon.replica)) as admin,
    ):
        yield provider, admin


async def exchange(base: str, request: bytes) -> int:
    """Send bytes as they are; return the status, 0 where there was no answer but a close."""
    host, port = base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    try:
        writer.write(request)
        line = await asyncio.wait_for(reader.readline(), 30)
    finally:
        writer.close()
    return int(line.split()[1]) if line else 0


async def everything_answers(provider: str, admin: str) -> None:
    """All that is asked of a daemon is answered, and a command is done."""
    async with aiohttp.ClientSession() as session:
        asked = ("services", "services/shop", "history", "daemon", "caller", "openapi.json")
        for place in (f"{provider}/metrics", f"{provider}/traefik", *(f"{admin}/api/v1/{one}" for one in asked)):
            async with session.get(place) as answer:
                body = await answer.read()
                assert answer.status == 200, (place, body)
                assert body.decode()
        async with session.post(f"{admin}/api/v1/services/shop/pause", json={"reason": "look"}) as answer:
            assert answer.status == 200, await answer.text()


@KINDS
@pytest.mark.parametrize("header", ["X-Bluegreen-Poller", "User-Agent", "X-Bluegreen-Actor", "Cookie", "If-None-Match"])
async def test_no_header_of_a_request_breaks_an_answer(daemon: Running, header: str, sent: bytes) -> None:
    async with both(daemon) as (provider, admin):
        head = b"Host: 127.0.0.1\r\n%b: %b\r\n" % (header.encode(), sent)
        host, port = provider.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /traefik?hold=0 HTTP/1.1\r\n%b\r\n" % head)  # and stays: it is a poller
        assert (await reader.readline()).split()[1] in {b"200", b"400"}
        written = b"POST /api/v1/services/shop/pause HTTP/1.1\r\n%bContent-Type: application/json\r\n" % head
        assert await exchange(admin, written + b"Content-Length: 2\r\n\r\n{}") in {200, 400}
        await everything_answers(provider, admin)
        writer.close()


@KINDS
@pytest.mark.parametrize("header", ["Host", "Origin", "Sec-Fetch-Site", "Authorization", "Content-Type"])
async def test_a_refusal_that_names_a_header_is_an_answer(daemon: Running, header: str, sent: bytes) -> None:
    async with both(daemon) as (provider, admin):
        request = b"POST /api/v1/services/shop/pause HTTP/1.1\r\n%bContent-Length: 2\r\n%b: %b\r\n\r\n{}"
        host = b"" if header == "Host" else b"Host: 127.0.0.1\r\n"
        status = await exchange(admin, request % (host, header.encode(), sent))
        assert 400 <= status < 500, status
        await everything_answers(provider, admin)


@KINDS
@pytest.mark.parametrize("target", ["/%b", "/api/v1/services/%b", "/api/v1/history?service=%b", "/api/v1/history?%b=1"])
async def test_no_target_of_a_request_breaks_an_answer(daemon: Running, target: str, sent: bytes) -> None:
    quoted = "".join(f"%{byte:02x}" for byte in sent).encode()
    async with both(daemon) as (provider, admin):
        for written in (sent, quoted):
            request = b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" % (target.encode() % written)
            assert await exchange(admin, request) in {200, 400, 404}
            assert await exchange(provider, request) in {400, 404}
        await everything_answers(provider, admin)


@pytest.mark.parametrize("text", JSON_TEXTS, ids=["surrogate", "NUL", "escape", "direction", "huge"])
async def test_no_body_of_a_command_breaks_an_answer(daemon: Running, text: str) -> None:
    async with both(daemon) as (provider, admin), aiohttp.ClientSession() as session:
        for body in (f'{{"reason": "{text}"}}', f'{{"{text}": 1}}', f'"{text}"', '{"force": 1' + "0" * 5000 + "}"):
            async with session.post(
                f"{admin}/api/v1/services/shop/abort", data=body, headers={"Content-Type": "application/json"}
            ) as answer:
                assert answer.status in {200, 202, 400, 409, 413}, await answer.text()
        await everything_answers(provider, admin)


# --- Traefik's API ----------------------------------------------------------------------------------------------------


def raw_data(marker: str = MARKER, /, **errors: str) -> bytearray:
    services = ", ".join(f'"{name}@http": {{"error": [{words}]}}' for name, words in errors.items())
    return bytearray(f'{{"services": {{{services}}}, "middlewares": {{"{marker}@http": {{}}}}}}'.encode())


@pytest.mark.parametrize("text", JSON_TEXTS, ids=["surrogate", "NUL", "escape", "direction", "huge"])
async def test_no_word_of_traefiks_api_breaks_an_answer(daemon: Running, text: str) -> None:
    """An API may be anybody's; a rollback must be answered all the same."""
    marker = daemon.controller.state.traefik.readings.marker or ""
    for errors in ({"shop": f'"{text}", 7, null, {{"{text}": 1}}'}, {text: '"broken"'}):
        reading = read(raw_data(marker, **errors), "http://traefik:8080", marker)
        assert reading.marker == marker
        assert max(len(word) for words in reading.errors.values() for word in words) < 1000
        daemon.controller.inputs.traefik_read(reading)
        async with both(daemon) as (provider, admin):
            await everything_answers(provider, admin)


@pytest.mark.parametrize("number", ["1" * 5000, "-" + "9" * 5000, "1e999", "-1", "18446744073709551616", "NaN"])
def test_a_number_that_is_none_costs_its_object_and_not_the_whole_answer(number: str) -> None:
    children = f'{{"weighted": {{"services": [{{"name": "shop-blue@http", "weight": {number}}}]}}}}'
    good = '{"weighted": {"services": [{"name": "cart-green@http", "weight": 100}]}}'
    body = f'{{"services": {{"shop@http": {children}, "cart@http": {good}}}, "other": {number}}}'
    reading = read(bytearray(body.encode()), "http://traefik:8080", None)
    assert reading.weights[Protocol.HTTP, "cart"] == (("cart-green", 100),)
    assert orjson.dumps(reading.weights[Protocol.HTTP, "shop"][0][0])


@KINDS
@pytest.mark.parametrize(
    "answer",
    ["HTTP/1.1 302 Found\r\nLocation: http://%b\r\n", "HTTP/1.1 500 %b\r\n", "HTTP/1.1 500 No\r\nX: %b\r\n", "%b\r\n"],
    ids=["address of a redirect", "reason", "header", "no HTTP"],
)
async def test_no_head_of_traefiks_api_breaks_an_answer(daemon: Running, answer: str, sent: bytes) -> None:
    said = answer.encode() % sent
    with answering(lambda _: [said + b"Content-Length: %d\r\n\r\n%b" % (len(sent), sent)]) as api:
        causes: list[str] = []

        def hear(reading: Reading) -> None:
            causes.append(reading.cause or "")
            daemon.controller.inputs.traefik_read(reading)

        back = ReadBack(on_reading=hear, on_gone=daemon.controller.inputs.traefik_gone)
        back.set_apis((api,))
        task = asyncio.create_task(back.run())
        try:
            await eventually(lambda: causes)
            async with both(daemon) as (provider, admin):
                await everything_answers(provider, admin)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    assert orjson.dumps(causes)
    assert max(map(len, causes)) < 700


# --- Docker -----------------------------------------------------------------------------------------------------------


class Sink:
    """What Docker's edge told last."""

    def __init__(self) -> None:
        self.services: Mapping[str, ByColour[tuple[Any, ...]]] = {}
        self.warnings: Mapping[str, str] = {}
        self.connected: list[tuple[bool, str | None]] = []
        self.events: list[str] = []

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Any, ...]]], _: float) -> None:
        self.services = services

    def docker_service(self, service: str, colours: ByColour[tuple[Any, ...]], _: float) -> None:
        self.services = {**self.services, service: colours}

    def docker_networks(self, networks: frozenset[str]) -> None: ...

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        self.connected.append((connected, cause))

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        self.warnings = warnings

    def docker_event(self, action: str) -> None:
        self.events.append(action)


@asynccontextmanager
async def following(path: Path, answer: Answer, **limits: float) -> AsyncIterator[Sink]:
    """Follow an engine that answers so, until the first list or the first fault."""
    sink = Sink()
    with answering(answer, path / "docker.sock") as engine_url:
        containers = Containers(sink, base_url=engine_url, docker_host_address="127.0.0.1", **limits)
        containers.set_scope(Scope("production"))
        task = asyncio.create_task(containers.run())
        try:
            await eventually(lambda: sink.connected)
            yield sink
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


ODD: dict[str, dict[str, Any]] = {
    "a port label of 5,000 digits": {"labels": {"bluegreen.port": "8" * 5000}},
    "a negative port": {"labels": {"bluegreen.port": "-1"}},
    "a port of other digits": {"labels": {"bluegreen.port": "٨٠٨٠"}},
    "a port with NUL": {"labels": {"bluegreen.port": "80\0"}},
    "a surrogate as colour": {"labels": {"bluegreen.colour": "\ud800"}},
    "a surrogate as scheme": {"labels": {"bluegreen.scheme": "\udcff"}},
    "a huge network": {"labels": {"bluegreen.network": "n" * 100_000}},
    "a listed port beyond all": {"Ports": [{"PrivatePort": 10**30, "Type": "tcp"}]},
    "a negative listed port": {"Ports": [{"PrivatePort": -1, "Type": "tcp"}]},
    "ports that are a text": {"Ports": "all"},
    "a port that is null": {"Ports": [None]},
    "labels that are a list": {"Labels": ["bluegreen.service=shop"]},
    "a label that is a number": {"labels": {"bluegreen.version": 7}},
    "names that are a number": {"Names": 7},
    "no id": {"Id": None},
    "no image": {"ImageID": None},
    "networks that are a text": {"NetworkSettings": {"Networks": "bridge"}},
    "a health that is a list": {"Health": [1]},
    "an address that is none": {"labels": {"bluegreen.use-bind-port": "true"}, "Ports": [
        {"PrivatePort": 1, "PublicPort": 2, "IP": "\ud800", "Type": "tcp"}]},
}  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD.keys())
async def test_what_is_wrong_with_one_container_concerns_that_one_alone(tmp_path: Path, odd: dict[str, Any]) -> None:
    """A label of 5,000 digits stopped Docker's whole edge: Python reads no integer as long as that."""
    bad = container("bad", **{"labels": {"bluegreen.service": "cart"} | odd.pop("labels", {}), **odd})
    async with following(tmp_path, engine([bad, container("good")])) as sink:
        await eventually(lambda: sink.services)
        assert sink.connected[-1] == (True, None)
        assert [server.url for server in sink.services["shop"].blue] == ["http://127.0.0.1:8080"]
        assert orjson.dumps(dict(sink.warnings))
        assert max(map(len, sink.warnings.values()), default=0) < 1000


@pytest.mark.parametrize("text", ["\ud800", "\0", "\x1b[2J", "\u202e", "x" * 100_000])
async def test_no_label_or_name_of_a_container_breaks_an_answer(tmp_path: Path, text: str) -> None:
    labels = {"bluegreen.version": f"1{text}", f"bluegreen.{text}": text}
    hostile = container("c", labels=labels, Names=[f"/{text}"], ImageID=text)
    unnamed = container("u", labels={"bluegreen.service": f"s{text}", "bluegreen.port": text})
    (tmp_path / "state").mkdir()
    async with (
        following(tmp_path, engine([hostile, unnamed])) as sink,
        running(tmp_path / "state", docker=True) as daemon,
    ):
        await eventually(lambda: sink.services)
        daemon.load(shop(blue=None))
        daemon.controller.inputs.docker_listed(sink.services, asyncio.get_running_loop().time())
        daemon.controller.inputs.docker_warnings(sink.warnings)
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8080")])
        async with both(daemon) as (provider, admin):
            await everything_answers(provider, admin)


EVENTS: dict[str, object] = {
    "a number": 7,
    "nothing": None,
    "no actor": {"Type": "container", "Action": "kill", "timeNano": 1},
    "an unknown action": {"Type": "container", "Action": "\ud800", "Actor": {"ID": "a", "Attributes": {}}},
    "attributes that are a list": {"Type": "container", "Action": "die", "Actor": {"ID": "a", "Attributes": []}},
    "a signal of 5,000 digits": {
        "Type": "container", "Action": "kill", "timeNano": 2,
        "Actor": {"ID": "a" * 64, "Attributes": {"bluegreen.service": "shop", "signal": "9" * 5000}}},
    "a signal that is a word": {
        "Type": "container", "Action": "kill", "timeNano": 3,
        "Actor": {"ID": "a" * 64, "Attributes": {"bluegreen.service": "shop", "signal": "KILL"}}},
}  # fmt: skip


@pytest.mark.parametrize("odd", EVENTS.values(), ids=EVENTS.keys())
async def test_an_event_that_cannot_be_read_ends_nothing(tmp_path: Path, odd: object) -> None:
    good = {
        "Type": "container", "Action": "start", "timeNano": 9,
        "Actor": {"ID": "a" * 64, "Attributes": {"bluegreen.service": "shop"}}}  # fmt: skip
    said = [chunk(json.dumps(event).encode() + b"\n") for event in (odd, good)]
    async with following(tmp_path, engine([container("good")], lambda _: said)) as sink:
        await eventually(lambda: "start" in sink.events)
        assert all(connected for connected, _ in sink.connected)


@pytest.mark.parametrize("words", [b"\xff\xfe", b"\x1b[2J", b"x" * 1_000_000], ids=["broken", "escape", "huge"])
async def test_the_words_of_an_engine_that_refuses_are_fit_for_a_line(tmp_path: Path, words: bytes) -> None:
    def answer(path: str) -> Iterator[bytes]:
        yield ok(b'{"message": "%b"}' % words).replace(b"200 OK", b"500 %b" % words[:1000])

    async with following(tmp_path, answer) as sink:
        _, cause = sink.connected[0]
        assert cause is not None
        assert orjson.dumps(cause)
        assert len(cause) < 1000


# --- notifications ----------------------------------------------------------------------------------------------------


def test_a_notification_shows_what_a_chat_or_a_terminal_would_obey() -> None:
    notice = Notice("shop", NoticeKind.SWITCHED, Severity.INFO, "to \x1b[2J\u202e", "version \x9b31m\nsecond line")
    outbox = Outbox(Rate())
    outbox.put(notice, at())
    message = outbox.take(at())
    assert message is not None
    assert (message.title, message.body) == (r"to \x1b[2J\u202e", "version \\x9b31m\nsecond line")
