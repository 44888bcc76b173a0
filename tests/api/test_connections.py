"""What one connection may take, and all of them, over real sockets."""

import asyncio
import resource
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from provider.api import connections
from provider.api import listen as listening
from provider.api.connections import (
    ADMIN_MOST,
    AHEAD_BYTES,
    HEAD_BYTES,
    HEADERS_MOST,
    LINE_BYTES,
    PROVIDER_MOST,
    admin_connections,
    provider_connections,
    raise_file_limit,
)
from provider.api.listen import BoundedSite, listen
from provider.api.tls import TlsFiles, read_context
from tests.support.certificates import Authority
from tests.support.waiting import eventually
from tests.support.wire import Wire, wire

TOKEN = b"bg_a-token-that-must-not-be-logged"
ASK = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LARGE = bytes(32 << 20)
"""More than any kernel keeps for somebody who does not read."""


class Application:
    """Answers at once, after a while, with much, or not at all; `asked` counts the requests."""

    def __init__(self) -> None:
        self.asked = 0
        self.go_on = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_get("/", self._answer)
        self.app.router.add_get("/wait", self._wait)
        self.app.router.add_get("/large", self._large)
        self.app.router.add_get("/fault", self._fault)

    async def _answer(self, _: web.Request) -> web.StreamResponse:
        self.asked += 1
        return web.Response(text="here")

    async def _wait(self, _: web.Request) -> web.StreamResponse:
        self.asked += 1
        await self.go_on.wait()
        return web.Response(text="waited")

    async def _large(self, _: web.Request) -> web.StreamResponse:
        self.asked += 1
        return web.Response(body=LARGE)

    async def _fault(self, request: web.Request) -> web.StreamResponse:
        raise RuntimeError(request.headers["Authorization"])


class Opened:
    """An application behind a site."""

    def __init__(self, site: BoundedSite, application: Application) -> None:
        self.site, self.application = site, application
        self.connections = site.connections

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.site.port}"


@asynccontextmanager
async def opened(most: int = PROVIDER_MOST, tls: TlsFiles | None = None) -> AsyncIterator[Opened]:
    application = Application()
    runner = web.AppRunner(application.app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        context = read_context(tls) if tls else None
        yield Opened(await listen(runner, "127.0.0.1:0", context, name="provider", most=most), application)
    finally:
        application.go_on.set()
        await runner.cleanup()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have every time be over soon."""
    monkeypatch.setattr(connections, "HEAD_S", 0.2)
    monkeypatch.setattr(connections, "SEND_S", 0.2)
    monkeypatch.setattr(connections, "SLOW_S", 0.0)
    monkeypatch.setattr(listening, "LOOK_EVERY_S", 0.02)


@pytest.fixture
def few_files() -> Iterator[int]:
    """Allow few open files, softly; gives the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def served(peer: Wire) -> bool:
    await peer.send(ASK)
    return (await peer.until(b"here")).startswith(b"HTTP/1.1 200 OK")


# --- descriptors -----------------------------------------------------------------------------------------------------


def test_the_soft_limit_of_open_files_is_raised_to_the_hard_one(few_files: int) -> None:
    assert raise_file_limit() == min(few_files, connections.FILES_MOST)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(few_files, connections.FILES_MOST), few_files)
    assert raise_file_limit() == min(few_files, connections.FILES_MOST)


def test_the_listeners_never_take_all_files_and_the_admin_listener_has_its_own() -> None:
    assert (provider_connections(65_536), admin_connections(65_536)) == (PROVIDER_MOST, ADMIN_MOST)
    for files in (8, 64, 1024, 4096):
        provider, admin = provider_connections(files), admin_connections(files)
        assert provider >= 1
        assert admin >= 1
        assert provider + admin + files // 2 <= files, "the rest is for health checks, the store and Docker"


async def test_at_the_limit_who_never_said_anything_makes_room_first() -> None:
    async with opened(most=3) as here, wire(here.base) as idle, wire(here.base) as silent, wire(here.base) as begun:
        assert await served(idle)
        await eventually(lambda: len(here.connections.silent) == 2)
        await begun.send(b"GET / HT")
        async with wire(here.base) as newcomer:
            assert await served(newcomer)
            assert await silent.rest() == b""
            assert await served(idle)
            assert len(here.connections) == 3


async def test_at_the_limit_who_has_been_idle_longest_makes_room_and_who_is_answered_never_does() -> None:
    async with opened(most=3) as here, wire(here.base) as busy, wire(here.base) as old, wire(here.base) as young:
        await busy.send(ASK.replace(b"/ ", b"/wait "))
        for one in (old, young):
            assert await served(one)
        await eventually(lambda: len(here.connections.busy) == 1)
        async with wire(here.base) as newcomer:
            assert await served(newcomer)
            assert await old.rest() == b""
            assert await served(young)
        here.application.go_on.set()
        assert b"waited" in await busy.until(b"waited")


async def test_where_everybody_is_being_answered_a_new_connection_is_refused_and_the_log_says_so_once() -> None:
    async with opened(most=2) as here, AsyncExitStack() as stack:
        busy = [await stack.enter_async_context(wire(here.base)) for _ in range(2)]
        for one in busy:
            await one.send(ASK.replace(b"/ ", b"/wait "))
        await eventually(lambda: len(here.connections.busy) == 2)
        with capture_logs() as logged:
            for _ in range(20):
                async with wire(here.base) as refused:
                    assert await refused.rest() == b""
        assert [line["event"] for line in logged] == ["connections refused, as many are being answered"]
        here.application.go_on.set()
        for one in busy:
            assert b"waited" in await one.until(b"waited")
        async with wire(here.base) as later:
            assert await served(later)


async def test_a_flood_that_never_speaks_keeps_nobody_out() -> None:
    async with opened(most=16) as here, AsyncExitStack() as stack, wire(here.base) as traefik:
        for _ in range(10):
            assert await served(traefik)
            for _ in range(20):
                await stack.enter_async_context(wire(here.base))
            assert len(here.connections) <= 16
            async with wire(here.base) as prometheus:
                assert await served(prometheus)
        assert here.application.asked == 20


async def test_handshakes_that_are_not_made_keep_nobody_out(tmp_path: Path, impatient: None) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("bluegreen", for_hosts="IP:127.0.0.1")
    async with opened(most=2, tls=TlsFiles(cert, key, None)) as here, AsyncExitStack() as stack:
        silent = [await stack.enter_async_context(wire(here.base)) for _ in range(6)]
        context = ssl.create_default_context(cafile=authority.ca)
        reader, writer = await asyncio.open_connection("127.0.0.1", here.site.port, ssl=context)
        writer.write(ASK)
        assert b"200 OK" in await reader.readuntil(b"here")
        assert len(here.connections) <= 2
        writer.transport.abort()
        for one in silent:
            assert await one.rest() == b"", "and each is closed in the end"


async def test_what_is_no_handshake_leaves_nothing_in_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    authority = Authority(tmp_path)
    cert, key = authority.issue("bluegreen", for_hosts="IP:127.0.0.1")
    with capture_logs() as logged:
        async with opened(tls=TlsFiles(cert, key, None)) as here:
            for _ in range(3):
                async with wire(here.base) as peer:
                    await peer.send(b"GET / HTTP/1.1\r\nAuthorization: Bearer %b\r\n\r\n" % TOKEN)
                    await peer.rest()
            await eventually(lambda: not len(here.connections))
    assert (logged, caplog.records) == ([], [])


# --- heads -----------------------------------------------------------------------------------------------------------


async def test_a_head_that_never_ends_is_timed_out(impatient: None) -> None:
    async with opened() as here, wire(here.base) as peer:
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX-Slow: ")
        answer = asyncio.create_task(peer.rest())
        while not answer.done():  # a byte now and then gains no time
            peer.writer.write(b"a")
            await asyncio.sleep(0.01)
        assert (await answer).startswith(b"HTTP/1.1 408 ")
        assert here.application.asked == 0


async def test_the_head_of_a_later_request_is_timed_out_too(impatient: None) -> None:
    async with opened() as here, wire(here.base) as peer:
        assert await served(peer)
        await peer.send(b"GET / HT")
        assert (await peer.rest()).startswith(b"HTTP/1.1 408 ")


async def test_who_connects_and_says_nothing_is_let_go(impatient: None) -> None:
    async with opened() as here, wire(here.base) as peer:
        assert await peer.rest() == b""


async def test_a_connection_that_asks_nothing_more_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LIMITS", {**connections._LIMITS, "keepalive_timeout": 0.2})
    async with opened() as here, wire(here.base) as peer:
        assert await served(peer)
        assert await peer.rest() == b""


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET /%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a" * LINE_BYTES), 400),
        (b"GET /?%b HTTP/1.1\r\nHost: a\r\n\r\n" % (b"a=b&" * LINE_BYTES), 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: %b\r\n\r\n" % (b"a" * 2 * LINE_BYTES), 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n%b\r\n" % (b"X: a\r\n" * (HEADERS_MOST + 1)), 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n%b" % (b"X: %b\r\n" % (b"a" * 8000) * 5), 431),
        (b"\r\n" * HEAD_BYTES, 431),
    ],
    ids=["long path", "long query", "long header", "many headers", "large without an end", "empty lines"],
)
async def test_a_head_without_measure_is_refused(head: bytes, status: int) -> None:
    async with opened() as here, wire(here.base) as peer:
        await peer.send(head)
        assert (await peer.rest()).split(b" ", 2)[1] == b"%d" % status
        assert here.application.asked == 0


async def test_requests_are_not_gathered_without_end() -> None:
    async with opened() as here, wire(here.base) as peer:
        await peer.send(ASK.replace(b"/ ", b"/wait "))
        await eventually(lambda: here.connections.busy)
        large = ASK.replace(b"\r\n\r\n", b"\r\nX: %b\r\n\r\n" % (b"a" * 8000))
        with suppress(ConnectionError):
            await peer.send(large * (10 * AHEAD_BYTES // len(large)))
        assert await peer.rest() == b""
        await eventually(lambda: not here.connections.busy)


async def test_a_few_requests_ahead_are_answered_in_their_order() -> None:
    async with opened() as here, wire(here.base) as peer:
        await peer.send(ASK * 40)
        for _ in range(40):
            assert b"200 OK" in await peer.until(b"here")
        assert await served(peer)


# --- answers ---------------------------------------------------------------------------------------------------------


async def test_an_answer_that_nobody_reads_is_given_up(impatient: None) -> None:
    async with opened() as here, wire(here.base) as peer:
        await peer.send(ASK.replace(b"/ ", b"/large "))
        await eventually(lambda: here.application.asked)
        await eventually(lambda: not len(here.connections))


async def test_of_many_answers_that_nobody_reads_those_that_wait_longest_are_given_up(
    impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "SEND_S", 3600.0)
    monkeypatch.setattr(connections, "STALLED_S", 0.1)
    monkeypatch.setattr(connections, "STALLED_MOST", 2)
    async with opened() as here, AsyncExitStack() as stack:
        for number in range(5):
            peer = await stack.enter_async_context(wire(here.base))
            await peer.send(ASK.replace(b"/ ", b"/large "))
            await eventually(lambda: here.application.asked > number)  # noqa: B023  awaited here
        await eventually(lambda: len(here.connections) == 2)


async def test_a_slow_reader_gets_all_of_it() -> None:
    async with opened() as here, wire(here.base) as peer:
        await peer.send(ASK.replace(b"/ ", b"/large ").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        await peer.until(b"\r\n\r\n")
        assert await peer.rest() == LARGE


# --- the log ---------------------------------------------------------------------------------------------------------

MALFORMED = (
    b"Authorization: Bearer %b\r\n\r\n" % TOKEN,
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization : Bearer %b\r\n\r\n" % TOKEN,
    b"GET / HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\x00\r\n\r\n" % TOKEN,
    b"GET /?token=%b\xff\xfe HTTP/9.9\r\n\r\n" % TOKEN,
    b"%b / HTTP/1.1\r\nHost: a\r\n\r\n" % TOKEN,
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: %b\r\n\r\n" % TOKEN,
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: %b\r\n\r\n" % TOKEN,
    b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n%b" % TOKEN,
    b"GET http://[%b HTTP/1.1\r\nHost: a\r\n\r\n" % TOKEN,
    b"GET / HTTP/1.1\r\nHost: a\r\nX: %b%b\r\n\r\n" % (TOKEN, b"a" * LINE_BYTES),
    b"\x16\x03\x01\x02\x00\x01\x00%b" % TOKEN,
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n%b" % TOKEN,
)


async def test_malformed_requests_do_not_fill_the_log_and_no_byte_of_them_is_in_it(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    """A token in a malformed request stood in the log with a traceback."""
    async with opened() as here:
        with capture_logs() as logged:
            for _ in range(10):
                for request in MALFORMED:
                    async with wire(here.base) as peer:
                        await peer.send(request)
                        answer = await peer.rest()
                        assert TOKEN not in answer
                        assert answer.split(b" ", 2)[1] == b"400", answer
    assert len(logged) == 1, "the next ten seconds' are counted in the next line"
    assert (logged[0]["event"], logged[0]["listener"], logged[0]["peer"]) == (
        *("malformed request refused", "provider"),
        "127.0.0.1",
    )
    assert caplog.records == []
    assert TOKEN.decode() not in str(logged) + capsys.readouterr().err


async def test_a_fault_of_ours_is_reported_by_its_place_and_not_by_its_values(caplog: pytest.LogCaptureFixture) -> None:
    async with opened() as here:
        with capture_logs() as logged:
            for _ in range(5):
                async with wire(here.base) as peer:
                    await peer.send(b"GET /fault HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer %b\r\n\r\n" % TOKEN)
                    answer = await peer.rest()
                    assert b" 500 " in answer
                    assert b'"code":"internal-error"' in answer
                    assert TOKEN not in answer
    (line,) = logged
    assert (line["event"], line["fault"]) == ("a request failed by a fault of this program", "RuntimeError")
    assert line["where"].endswith(" _fault")
    assert TOKEN.decode() not in str(line)
    assert caplog.records == []


async def test_who_goes_away_in_the_middle_leaves_nothing_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with capture_logs() as logged:
        async with opened() as here:
            for request in (b"", b"GET / HT", ASK, ASK.replace(b"/ ", b"/wait "), ASK.replace(b"/ ", b"/large ")):
                async with wire(here.base) as peer:
                    await peer.send(request)
                async with wire(here.base) as peer:
                    await peer.send(request)
                    peer.writer.write_eof()
                    if b"wait" not in request:
                        await peer.rest()
            here.application.go_on.set()
            await eventually(lambda: not len(here.connections))
    assert (logged, caplog.records) == ([], [])
