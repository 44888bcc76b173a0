"""The provider listener, on a real socket of loopback."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import aiohttp
import orjson
import pytest
from aiohttp import web

from provider.api.provider import provider_app
from provider.api.tokens import Scope, Token, digest
from provider.controller.outputs import Listeners
from provider.controller.publication import Published
from provider.model import Condition, ConditionCode, Decision, Event, Severity, Verb
from provider.model.condition_catalogue import OF_DAEMON
from provider.model.document import Document
from provider.observability.metrics import ServiceReading
from provider.rollout.commands import command
from provider.rollout.commands.types import Command
from tests.support.answering import Run, on_both_loops
from tests.support.running import Running, listening, running, shop, url
from tests.support.waiting import eventually
from tests.support.wire import wire
from tests.support.worlds import BLUE, EPOCH, GREEN

SMALL = Published(Document(b'{"http":{}}', '"0123"', "bluegreen-0123"), 7)
LARGE = Published(Document(b"{" + b" " * 4_000_000 + b"}", '"4567"', "bluegreen-4567"), 8)


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path) as made:
        yield made


@pytest.fixture
async def client(daemon: Running) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        listening(provider_app(daemon.replica, daemon.metrics)) as base,
        aiohttp.ClientSession(base) as session,
    ):
        yield session


async def test_a_poll_gets_the_document_with_its_etag_revision_and_length(
    daemon: Running, client: aiohttp.ClientSession
) -> None:
    """P3: what was published, byte for byte."""
    daemon.load(shop())
    await daemon.judge(BLUE)
    published = await daemon.until_served(blue=[url("8081")])
    async with client.get("/traefik") as answer:
        assert answer.status == 200
        assert await answer.read() == published.document.body
        assert answer.headers["ETag"] == published.document.etag
        assert answer.headers["X-Bluegreen-Revision"] == "1"
        assert answer.headers["Content-Length"] == str(len(published.document.body))
        assert answer.content_type == "application/json"
    assert daemon.metric("polls_total", code="200") == 1


async def test_a_head_request_gets_the_headers_alone(daemon: Running, client: aiohttp.ClientSession) -> None:
    daemon.controller.publication.put(LARGE)
    async with client.head("/traefik") as answer:
        assert (answer.status, answer.headers["Content-Length"]) == (200, str(len(LARGE.document.body)))
        assert (answer.headers["ETag"], answer.headers["X-Bluegreen-Revision"]) == ('"4567"', "8")
        assert await answer.read() == b""


async def test_a_document_with_a_split_section_is_not_called_json(
    daemon: Running, client: aiohttp.ClientSession
) -> None:
    for document, wanted in ((SMALL.document, "application/json"), (replace(SMALL.document, is_json=False), "yaml")):
        daemon.controller.publication.put(Published(document, 7))
        async with client.get("/traefik") as answer:
            assert answer.content_type.endswith(wanted)


async def test_while_there_is_no_document_a_poll_learns_why(daemon: Running, client: aiohttp.ClientSession) -> None:
    """Rule 1; Traefik keeps what it has for anything but 200."""
    for path in ("/traefik", "/readyz"):
        async with client.get(path) as answer:
            assert (answer.status, answer.content_type) == (503, "application/problem+json")
            assert orjson.loads(await answer.read()) == {
                "type": "about:blank",
                "status": 503,
                "code": "no-document",
                "detail": "no desired state was accepted yet",
            }
    assert daemon.metric("polls_total", code="503") == 1
    daemon.load(shop())

    async def waits_for_health() -> bool:
        async with client.get("/readyz") as answer:
            return "service shop has no healthy server in blue yet" in await answer.text()

    await eventually(waits_for_health)


async def test_alive_is_not_ready(daemon: Running, client: aiohttp.ClientSession) -> None:
    async with client.get("/healthz") as answer:
        assert (answer.status, await answer.text()) == (200, "alive\n")
    daemon.controller.publication.put(SMALL)
    async with client.get("/readyz") as answer:
        assert (answer.status, await answer.text()) == (200, "ready\n")


# --- how an answer leaves ------------------------------------------------------------------------------------------


class Wire(asyncio.Transport):
    """A connection that keeps every write apart."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """Both event loops hand these to the kernel in one call."""
        self.writes.append(b"".join(list_of_data))

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def close(self) -> None: ...


@pytest.mark.parametrize("published", [SMALL, LARGE], ids=["small", "4 MB"])
async def test_header_and_body_leave_in_one_write(daemon: Running, published: Published) -> None:
    """Facts on Traefik, polling: two writes cost 40 ms."""
    daemon.controller.publication.put(published)
    runner = web.AppRunner(provider_app(daemon.replica, daemon.metrics))
    await runner.setup()
    assert runner.server is not None
    wire, protocol = Wire(), runner.server()
    protocol.connection_made(wire)
    for _ in range(2):
        wire.writes.clear()
        protocol.data_received(b"GET /traefik HTTP/1.1\r\nHost: bluegreen\r\n\r\n")
        await eventually(lambda: b"".join(wire.writes).endswith(published.document.body))
        (write,) = wire.writes
        assert write.startswith(b"HTTP/1.1 200 OK\r\n")
    protocol.connection_lost(None)
    await runner.cleanup()


async def test_answers_are_not_held_up_to_be_joined(daemon: Running) -> None:
    app = provider_app(daemon.replica, daemon.metrics)
    found = []

    async def look(request: web.Request, _: web.StreamResponse) -> None:
        assert request.transport is not None
        peer = request.transport.get_extra_info("socket")
        found.append(peer.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))

    app.on_response_prepare.append(look)
    async with listening(app) as base, aiohttp.ClientSession(base) as session, session.get("/traefik"):
        pass
    assert found == [1]


# --- held polls ----------------------------------------------------------------------------------------------------

FOR_EVER_S = 1e6
NEWER = Published(Document(b'{"tcp":{}}', '"89ab"', "bluegreen-89ab"), 8)


@asynccontextmanager
async def holding(daemon: Running, hold_s: float = FOR_EVER_S) -> AsyncIterator[str]:
    daemon.controller.publication.put(SMALL)
    app = provider_app(daemon.replica, daemon.metrics, poll_hold_s=hold_s)
    async with listening(app, cancels=True) as base:
        yield base
        daemon.controller.publication.close()


async def poll(session: aiohttp.ClientSession, path: str = "/traefik") -> tuple[str, bytes]:
    async with session.get(path) as answer:
        assert answer.status == 200
        return answer.headers["X-Bluegreen-Revision"], await answer.read()


async def held(daemon: Running, session: aiohttp.ClientSession) -> "asyncio.Task[tuple[str, bytes]]":
    """Poll over a connection that has the document; return the poll once the daemon holds it."""
    before = len(list(daemon.controller.state.traefik.pollers))
    await poll(session)
    task = asyncio.create_task(poll(session))
    await eventually(lambda: len(list(daemon.controller.state.traefik.pollers)) > before)
    assert not task.done()
    return task


async def asked(daemon: Running, polls: int) -> None:
    """Wait until so many polls have come in over the connections that are open."""
    connections = daemon.controller.state.traefik.pollers._connections
    await eventually(lambda: sum(one.polls for one in connections.values()) == polls)


async def test_a_poll_by_who_has_the_document_is_held_until_there_is_another(daemon: Running) -> None:
    async with holding(daemon) as base, aiohttp.ClientSession(base) as traefik, aiohttp.ClientSession(base) as other:
        waiting = await held(daemon, traefik)
        assert await poll(other) == ("7", SMALL.document.body), "a new connection is answered at once"
        assert not waiting.done()
        daemon.controller.publication.put(NEWER)
        assert await waiting == ("8", NEWER.document.body)
        assert await poll(other) == ("8", NEWER.document.body), "and so is one that has an older document"


@on_both_loops
def test_a_held_poll_is_answered_before_anybody_is_told_of_the_decision(run: Run, tmp_path: Path) -> None:
    """The answer is in the kernel by then: a switch waits for no log, notice or event."""

    async def story() -> None:
        answered: dict[Event, bool] = {}
        traefik = socket.socket()

        def look(decision: Decision) -> None:
            with suppress(OSError):  # nothing there, or not connected yet
                answered[decision.event] = False
                answered[decision.event] = bool(traefik.recv(1, socket.MSG_PEEK))

        async with running(tmp_path, listeners=Listeners(on_decision=look)) as daemon:
            app = provider_app(daemon.replica, daemon.metrics, poll_hold_s=FOR_EVER_S)
            async with listening(app, cancels=True) as base:
                daemon.load(shop(green="8082", active="blue"))
                await daemon.judge(BLUE)
                await daemon.judge(GREEN)
                await daemon.until_served(blue=[url("8081")])
                traefik.setblocking(False)
                with traefik:
                    await poll_twice(traefik, base)
                    await asked(daemon, 2)
                    switch = Command(Verb.SWITCH, "shop", "ann", colour=GREEN)
                    await daemon.controller.command("shop", lambda snapshot, now: command(snapshot, switch, now))
                    await eventually(lambda: Event.SHIFTED in answered)
                daemon.controller.publication.close()
        assert answered[Event.SHIFTED]

    run(story())


async def poll_twice(traefik: socket.socket, base: str) -> None:
    """Poll over one connection, and again once that is answered."""
    loop, request = asyncio.get_running_loop(), b"GET /traefik HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    await loop.sock_connect(traefik, ("127.0.0.1", int(base.rpartition(":")[2])))
    await loop.sock_sendall(traefik, request)
    answer = b""
    while not answer.endswith(b"}"):
        answer += await loop.sock_recv(traefik, 65536)
    await loop.sock_sendall(traefik, request)


async def test_a_hold_ends_after_its_time_with_the_same_document(daemon: Running) -> None:
    async with holding(daemon, 0.05) as base, aiohttp.ClientSession(base) as traefik:
        assert [await poll(traefik) for _ in range(3)] == [("7", SMALL.document.body)] * 3
        assert "hold-left" not in daemon.codes()


@pytest.mark.parametrize(("hold_s", "path"), [(FOR_EVER_S, "/traefik?hold=0"), (0.0, "/traefik")])
async def test_holding_can_be_switched_off_by_the_client_and_by_the_operator(
    daemon: Running, hold_s: float, path: str
) -> None:
    async with holding(daemon, hold_s) as base, aiohttp.ClientSession(base) as traefik:
        assert [await poll(traefik, path) for _ in range(3)] == [("7", SMALL.document.body)] * 3


async def test_who_goes_away_during_a_hold_is_named_and_answered_at_once_from_then_on(daemon: Running) -> None:
    async with holding(daemon) as base:
        traefik = aiohttp.ClientSession(base, headers={"X-Bluegreen-Poller": "edge-1"})
        await poll(traefik)
        leaving = asyncio.create_task(poll(traefik))
        await asked(daemon, 2)
        leaving.cancel()
        await traefik.close()
        told = await eventually(lambda: daemon.codes().get("hold-left", ""))
        assert told.startswith("edge-1 went away while a poll was held and is answered at once for 10m0s")
        assert "make its pollTimeout longer than --poll-hold" in told
        async with aiohttp.ClientSession(base, headers={"X-Bluegreen-Poller": "edge-1"}) as back:
            assert [await poll(back) for _ in range(3)] == [("7", SMALL.document.body)] * 3
        async with aiohttp.ClientSession(base) as other:
            (await held(daemon, other)).cancel()


async def test_two_hundred_held_polls_are_all_answered_by_a_change_and_at_the_end(daemon: Running) -> None:
    async with holding(daemon) as base, AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(aiohttp.ClientSession(base, headers={"X-Bluegreen-Poller": f"edge-{n}"}))
            for n in range(200)
        ]
        assert await asyncio.gather(*map(poll, sessions)) == [("7", SMALL.document.body)] * 200

        async def held_until(change: Callable[[], None], polls: int) -> None:
            waiting = [asyncio.create_task(poll(session)) for session in sessions]
            await asked(daemon, polls)
            assert not any(one.done() for one in waiting)
            change()
            assert await asyncio.gather(*waiting) == [("8", NEWER.document.body)] * 200

        await held_until(lambda: daemon.controller.publication.put(NEWER), 400)
        await held_until(daemon.controller.publication.close, 600)


# --- metrics -------------------------------------------------------------------------------------------------------


async def scrape(session: aiohttp.ClientSession) -> list[str]:
    async with session.get("/metrics") as answer:
        assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
        return (await answer.text()).splitlines()


async def test_a_scrape_reports_of_each_condition_whether_it_stands(
    daemon: Running, client: aiohttp.ClientSession
) -> None:
    put, clear = daemon.controller.conditions.put, daemon.controller.conditions.clear
    put(Condition(ConditionCode.NOT_APPLIED, Severity.CRITICAL, "not applied", EPOCH))
    lines = [line for line in await scrape(client) if line.startswith("bluegreen_condition{")]
    assert len(lines) == len(OF_DAEMON)
    assert [line for line in lines if line.endswith(" 1.0")] == ['bluegreen_condition{code="not-applied"} 1.0']
    clear("not-applied")
    assert 'bluegreen_condition{code="not-applied"} 0.0' in await scrape(client)


async def test_a_scrape_has_the_state_of_the_services_and_what_was_counted(
    daemon: Running, client: aiohttp.ClientSession
) -> None:
    daemon.load(shop())
    await daemon.judge(BLUE)
    await daemon.until_served(blue=[url("8081")])
    await (await client.get("/traefik")).read()
    lines = await scrape(client)
    for wanted in (
        'bluegreen_weight{colour="blue",service="shop"} 100.0',
        'bluegreen_weight{colour="green",service="shop"} 0.0',
        'bluegreen_servers{colour="blue",health="healthy",service="shop"} 1.0',
        'bluegreen_polls_total{code="200"} 1.0',
        "bluegreen_document_revision 1.0",
        'bluegreen_condition{code="docker-away"} 0.0',
    ):
        assert wanted in lines


async def test_pollers_are_reported_while_their_connections_are_open(
    daemon: Running, client: aiohttp.ClientSession
) -> None:
    """Rule 16."""
    daemon.controller.publication.put(SMALL)
    base = str(client._base_url)

    async def pollers() -> set[str]:
        return set(re.findall(r'bluegreen_poller_revision\{poller="(.*?)"\} 7.0', "\n".join(await scrape(client))))

    async with aiohttp.ClientSession(base) as traefik:
        for polls in (1, 2):
            async with traefik.get("/traefik") as answer:
                await answer.read()
            assert await pollers() == ({"127.0.0.1"} if polls == 2 else set())
        async with traefik.get("/traefik", headers={"X-Bluegreen-Poller": "edge-1"}) as answer:
            await answer.read()
        assert await pollers() == {"edge-1"}

    async def forgotten() -> bool:
        return await pollers() == set()

    await eventually(forgotten)
    for _ in range(3):
        async with client.get("/traefik?hold=0", headers={"X-Bluegreen-Poller": "curl"}) as answer:
            await answer.read()
    assert await pollers() == set()


# --- the provider token ----------------------------------------------------------------------------------------------


async def test_with_a_provider_token_the_document_and_the_metrics_are_for_who_shows_it(daemon: Running) -> None:
    """Whether we are alive and ready is told to everybody."""
    tokens = [Token("provider", frozenset({Scope.READ}), digest("secret"))]
    daemon.controller.publication.put(SMALL)
    app = provider_app(daemon.replica, daemon.metrics, lambda: tuple(tokens))
    async with listening(app) as base, aiohttp.ClientSession(base) as session:

        async def status(path: str, authorization: str | None = None) -> int:
            headers = {"Authorization": authorization} if authorization else {}
            async with session.get(path, headers=headers) as answer:
                if answer.status == 401:
                    assert answer.headers["WWW-Authenticate"] == "Bearer"
                    assert answer.content_type == "application/problem+json"
                    problem = orjson.loads(await answer.read())
                    assert problem["code"] == "token-wanted"
                    assert problem["detail"].startswith(f"{path} requires a token")
                return answer.status

        for path in ("/traefik", "/metrics"):
            assert [await status(path), await status(path, "Bearer wrong"), await status(path, "Bearer secret")] == [
                *(401, 401, 200)
            ]
        assert [await status(path) for path in ("/healthz", "/readyz", "/nothing", "/traefik/")] == [200, 200, 401, 401]
        assert daemon.metric("polls_total", code="401") == 2
        assert daemon.metric("polls_total", code="200") == 1
        tokens[0] = Token("provider", frozenset({Scope.READ}), digest("another"))
        assert [await status("/traefik", "Bearer secret"), await status("/traefik", "Bearer another")] == [401, 200]


async def test_a_poll_that_was_held_is_not_answered_to_a_token_that_was_taken_away_meanwhile(daemon: Running) -> None:
    tokens = [Token("provider", frozenset({Scope.READ}), digest("secret"))]
    daemon.controller.publication.put(SMALL)
    app = provider_app(daemon.replica, daemon.metrics, lambda: tuple(tokens), poll_hold_s=FOR_EVER_S)
    headers = {"Authorization": "Bearer secret"}
    async with listening(app, cancels=True) as base, aiohttp.ClientSession(base, headers=headers) as traefik:
        await poll(traefik)
        waiting = asyncio.create_task(traefik.get("/traefik"))
        await asked(daemon, 2)
        tokens.clear()
        daemon.controller.publication.put(NEWER)
        answer = await waiting
        assert answer.status == 401
        assert NEWER.document.body not in await answer.read()


# --- bounds --------------------------------------------------------------------------------------------------------


async def test_so_many_polls_are_held_and_more_are_answered_at_once(daemon: Running) -> None:
    daemon.controller.publication.put(SMALL)
    app = provider_app(daemon.replica, daemon.metrics, poll_hold_s=FOR_EVER_S, held_most=2)
    async with listening(app, cancels=True) as base, AsyncExitStack() as stack:
        sessions = [
            await stack.enter_async_context(aiohttp.ClientSession(base, headers={"X-Bluegreen-Poller": f"edge-{n}"}))
            for n in range(3)
        ]
        waiting = [await held(daemon, session) for session in sessions[:2]]
        assert [await poll(sessions[2]) for _ in range(3)] == [("7", SMALL.document.body)] * 3
        waiting[0].cancel()
        await sessions[0].close()
        await eventually(lambda: "hold-left" in daemon.codes())
        again = asyncio.create_task(poll(sessions[2]))
        daemon.controller.publication.put(NEWER)
        assert await waiting[1] == await again == ("8", NEWER.document.body)


async def test_scrapes_are_written_one_at_a_time(
    daemon: Running, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.load(shop())
    at_once, most = 0, 0
    write = daemon.metrics.exposition

    def exposition(readings: Iterable[ServiceReading]) -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        text = write(readings)
        at_once -= 1
        return text

    monkeypatch.setattr(daemon.metrics, "exposition", exposition)
    assert all(await asyncio.gather(*(scrape(client) for _ in range(20))))
    assert most == 1
    monkeypatch.setattr("provider.api.scrape.METRICS_LIMIT_S", 0.0)
    async with client.get("/metrics") as late:
        assert (late.status, orjson.loads(await late.read())["code"]) == (503, "no-answer")


# --- who asks by which name ------------------------------------------------------------------------------------------

OURS = (
    *("127.0.0.1", "127.0.0.1:8900", "[::1]:8900", "[::ffff:127.0.0.1]", "10.1.2.3:80", "127.1", "0x7f.1", "localhost"),
    *("localhost:8900", "localhost.", "bluegreen", "bluegreen:8900", "traefik", "UPPER", "shop.localhost:80", ""),
    *("host.docker.internal", "HOST.Docker.Internal:8900", "host.docker.internal.", "proxy.example.com"),
    *("Proxy.Example.com:8900", "proxy.example.com."),
)
THEIRS = (
    *(
        "evil.example",
        "evil.example:8900",
        "evil.example.",
        "EVIL.example",
        "127.0.0.1.nip.io",
        "localhost.evil.example",
    ),
    *(
        "notlocalhost.com",
        "a.internal.evil.example",
        "evilinternal.com",
        "sub.proxy.example.com",
        "proxy.example.com.evil",
    ),
    *("evil.example@127.0.0.1", "[evil.example]", "127.0.0.1.evil", "xn--bcher-kva.example", "evil.example:80:80"),
)


@pytest.mark.parametrize("path", ["/traefik", "/traefik?hold=0", "/metrics", "/readyz", "/healthz", "/nothing"])
async def test_on_loopback_a_name_of_somebodys_dns_is_refused(daemon: Running, path: str) -> None:
    """A page whose name is made to point to 127.0.0.1 (DNS rebinding) read the document, its private key with it."""
    daemon.controller.publication.put(SMALL)
    app = provider_app(daemon.replica, daemon.metrics, hosts=frozenset({"proxy.example.com"}))
    async with listening(app) as base:
        for host in (*OURS, *THEIRS):
            async with wire(base) as peer:
                await peer.send(f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                answer = await peer.rest()
                status = int(answer.split(b" ", 2)[1])
            assert status == (421 if host in THEIRS else 404 if path == "/nothing" else 200), host
            if status == 421:
                assert b"application/problem+json" in answer
                assert b'"code":"other-host"' in answer
                assert b"--provider-host" in answer
                assert SMALL.document.body not in answer
    if path.startswith("/traefik"):
        assert daemon.metric("polls_total", code="421") == len(THEIRS)


async def test_beyond_loopback_every_name_gets_the_document(daemon: Running) -> None:
    """P4."""
    daemon.controller.publication.put(SMALL)
    async with listening(provider_app(daemon.replica, daemon.metrics)) as base:
        for host in (*OURS, *THEIRS):
            async with wire(base) as peer:
                await peer.send(f"GET /traefik HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
                assert (await peer.rest()).startswith(b"HTTP/1.1 200 "), host


async def test_a_client_of_before_http_1_1_names_no_host_and_gets_the_document(daemon: Running) -> None:
    daemon.controller.publication.put(SMALL)
    app = provider_app(daemon.replica, daemon.metrics, hosts=frozenset())
    async with listening(app) as base, wire(base) as peer:
        await peer.send(b"GET /traefik HTTP/1.0\r\n\r\n")
        assert SMALL.document.body in await peer.rest()
