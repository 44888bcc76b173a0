"""Peers that mean harm, over raw sockets, at both listeners of a daemon in a process of its own.

Whatever they send: the daemon runs on, answers nothing with a fault of its own, holds its loop for less than a second,
keeps its document, and answers Traefik and operators as before.
"""

import asyncio
import random
import resource
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from tests.support.daemon import Daemon, StartDaemon
from tests.support.waiting import eventually
from tests.support.wire import Wire, wire

if TYPE_CHECKING:
    from tests.support.traefik import StartBackend

FILES = 1024
FLOOD = 1500
REQUESTS = 2000
AT_ONCE = 20
TOKEN = b"bg_a-token-that-must-not-be-logged"
HELD_MOST_S = 1.0
FEW_FILES = ("sh", "-c", f'ulimit -n {FILES}; exec "$@"', "sh")

TEXT = """\
environment: production
services:
  shop:
    router: {{rule: "Host(`shop.example.com`)"}}
    servers: {{blue: {{urls: ["{blue}"]}}}}
    healthCheck: {{interval: 1s, timeout: 1s}}
"""


@pytest.fixture
def many_files() -> None:
    """Let this process open as many connections as it takes to use up another one's."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 4 * FILES:
        pytest.skip(f"this process may open {hard} files, and a flood takes {4 * FILES}")
    if soft != resource.RLIM_INFINITY and soft < 4 * FILES:
        resource.setrlimit(resource.RLIMIT_NOFILE, (4 * FILES, hard))


@pytest.fixture
async def daemon(start_daemon: StartDaemon, start_backend: "StartBackend") -> Daemon:
    blue = await start_backend("blue")
    made = await start_daemon(TEXT.format(blue=blue.url), start=False)
    made.prefix = FEW_FILES
    await made.start()
    await made.until("shop", active="blue", revision=1)
    return made


@asynccontextmanager
async def unharmed(daemon: Daemon) -> AsyncIterator[None]:
    """Check that whatever is done meanwhile does no harm."""
    before, process = await daemon.document(), daemon.process
    assert process is not None
    lines = daemon.log.read_text().count("\n")
    yield
    assert process.returncode is None, daemon.words()

    async def same() -> bool:
        return await daemon.document() == before and bool(await daemon.status("shop"))

    await eventually(same)
    lag_s = await daemon.metric("bluegreen_event_loop_lag_seconds")
    assert lag_s is not None
    assert lag_s < HELD_MOST_S
    log = daemon.log.read_bytes()
    assert b"Traceback" not in log
    assert b"fault of this program" not in log
    assert TOKEN not in log
    assert log.count(b"\n") - lines < 50, daemon.words()


# --- floods of connections -------------------------------------------------------------------------------------------


async def flood(stack: AsyncExitStack, url: str, say: bytes) -> None:
    """Connect so often, and stay; who is sent away stays away."""
    for _ in range(FLOOD):
        try:
            peer = await stack.enter_async_context(wire(url))
            peer.writer.write(say)
        except OSError:
            return


@pytest.mark.takes(20)
@pytest.mark.parametrize(
    "say",
    [b"", b"GET /traefik HTTP/1.1\r\nX-Slow: ", b"GET /traefik HTTP/1.1\r\nHost: a\r\n\r\n"],
    ids=["silent", "heads without an end", "idle after a poll"],
)
async def test_a_flood_of_connections_keeps_neither_traefik_nor_operators_out(
    daemon: Daemon, many_files: None, say: bytes
) -> None:
    """With 1,024 descriptors a flood on the provider listener closed the admin listener, too (P4)."""
    async with unharmed(daemon), AsyncExitStack() as stack:
        for url in (daemon.url, daemon.admin_url):
            await flood(stack, url, say)
            for _ in range(5):
                status, _, headers = await daemon.get("/traefik")
                assert (status, headers["X-Bluegreen-Revision"]) == (200, "1"), daemon.words()
                assert (await daemon.status("shop"))["active"] == "blue", daemon.words()
        assert (await daemon.command("shop", "pause", reason="in a flood"))[0] == 200


# --- requests that are none ------------------------------------------------------------------------------------------

PATHS = (b"/traefik", b"/metrics", b"/healthz", b"/", b"/api/v1/services", b"/api/v1/history?since=", b"/api/v1/events")
SEEDS = (
    b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer " + TOKEN + b"\r\n\r\n",
    b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Bluegreen-Poller: edge\r\nUser-Agent: Go-http-client/1.1\r\n\r\n",
    b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
    b"PUT %b HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    b"GET %b HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x05hello",
    b"OPTIONS %b HTTP/1.1\r\nHost: evil.example\r\nOrigin: http://evil.example\r\nSec-Fetch-Site: \xff\xfe\r\n\r\n",
    b"DELETE /api/v1/services/%b/lease?id=\xed\xa0\x80 HTTP/1.1\r\nHost: 127.0.0.1\r\nExpect: 100-continue\r\n\r\n",
    b"CONNECT 127.0.0.1:80 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n%b",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03%b",
    b"PRI %b HTTP/2.0\r\n\r\nSM\r\n\r\n",
)
PIECES = (
    *(b"\r\n", b"\n", b"\r", b"\0", b"\xff", b"\xed\xa0\x80", b"%00", b"%ff%fe", b"%ED%A0%80", b"9" * 5000, b"-1"),
    *(
        b"NaN",
        b"Content-Length: -1\r\n",
        b"Content-Length: 99999999999999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
    ),
    *(
        b"Host: a\r\n",
        b"Content-Encoding: gzip\r\n",
        b"a" * 9000,
        b"X: b\r\n" * 200,
        b"?" * 100,
        b"[",
        b"http://",
        b" " * 99,
    ),
)


def mutated(chance: random.Random) -> bytes:
    """Make a request that is most likely none."""
    request = bytearray(chance.choice(SEEDS).replace(b"%b", chance.choice(PATHS)))
    for _ in range(chance.randrange(4)):
        at = chance.randrange(len(request) + 1)
        match chance.randrange(4):
            case 0:
                request[at:at] = chance.choice(PIECES)
            case 1:
                del request[at : at + chance.randrange(1, 20)]
            case 2:
                request[at : at + 1] = chance.randbytes(1)
            case _:
                request = request * 2 if len(request) < 10_000 else request
    return bytes(request)


async def bother(url: str, chance: random.Random) -> bytes:
    """Send one request in one of the ways of the rude; return what came back at first."""
    request = mutated(chance)
    try:
        async with wire(url) as peer:
            cut = chance.randrange(len(request) + 1)
            await peer.send(request[:cut])
            await peer.send(request[cut:])
            match chance.randrange(4):
                case 0:  # reset in the middle
                    plain: socket.socket = peer.writer.get_extra_info("socket")
                    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return b""
                case 1:  # half closed
                    peer.writer.write_eof()
                    return await peer.rest()
                case 2:  # gone at once
                    return b""
                case _:
                    return await some(peer)
    except OSError:
        return b""


async def some(peer: Wire) -> bytes:
    """Read what comes soon: who is sent to wait for the end of a head waits longer than a test."""
    try:
        async with asyncio.timeout(0.2):
            return await peer.reader.read(65536)
    except TimeoutError:
        return b""


@pytest.mark.takes(30)
@pytest.mark.parametrize("listener", ["provider", "admin"])
async def test_thousands_of_malformed_requests_do_no_harm(daemon: Daemon, listener: str) -> None:
    url = daemon.url if listener == "provider" else daemon.admin_url
    chance = random.Random(listener)
    async with unharmed(daemon):
        for _ in range(REQUESTS // AT_ONCE):
            answers = await asyncio.gather(*(bother(url, random.Random(chance.random())) for _ in range(AT_ONCE)))
            for answer in answers:
                assert not answer.startswith(b"HTTP") or answer.split(b" ", 2)[1][:1] in b"1234", answer


@pytest.mark.takes(25)
async def test_slow_peers_of_every_kind_end_and_hold_up_nobody(daemon: Daemon) -> None:
    """A head that never ends, a body that never comes, and an answer that nobody reads."""
    post = b"POST /api/v1/services/shop/pause HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    slow = (
        (daemon.url, b"GET /traefik HTTP/1.1\r\nHost: a\r\nX-Slow: "),
        (daemon.admin_url, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Slow: "),
        (daemon.url, b"GET /traefik HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 9999999\r\n\r\n"),
        (daemon.admin_url, post + b"Connection: close\r\nContent-Length: 100\r\n\r\n{"),
    )
    async with unharmed(daemon), AsyncExitStack() as stack:
        peers = []
        for url, request in slow * 10:
            peer = await stack.enter_async_context(wire(url))
            await peer.send(request)
            peers.append(peer)
        for _ in range(20):
            assert (await daemon.get("/traefik"))[0] == 200
            assert (await daemon.status("shop"))["active"] == "blue"
        for peer in peers:
            answer = await peer.rest()
            assert answer.split(b" ", 2)[1] in {b"200", b"400", b"408"}, answer
    assert (await daemon.status("shop"))["paused"] is False
