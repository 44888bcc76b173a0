"""Checks over TCP against servers of every manner, on asyncio's own loop and on uvloop."""

import asyncio
import gc
import socket
import ssl
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from provider.checks.exchange import connect
from provider.model import Health, HealthCheck, ProbeMode
from tests.support.answering import Handle, Run, connecting, free_port, on_both_loops, open_sockets, self_signed
from tests.support.components import program
from tests.support.health_checks import HTTP, judged, probe

TCP = replace(HTTP, mode=ProbeMode.TCP)
PING = replace(TCP, send=r"PING\r\n", expect="+PONG")
NAME = "mqtt.example.com"


def answers_to(asked: bytes, *pieces: bytes, and_stays: bool = True) -> Handle:
    """Wait for these bytes, then say others piece by piece."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(len(asked))
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        if and_stays:
            await reader.read()

    return handle


async def resets(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await reader.readexactly(1)


async def without_end(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"+PON" * 4096)
        await writer.drain()


async def judge(handle: Handle, check: HealthCheck) -> tuple[Health, str | None]:
    async with connecting(handle) as port:
        return await judged(probe(f"tcp://127.0.0.1:{port}", check))


# --- send and expect --------------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize(
    ("handle", "check"),
    [
        (answers_to(b"PING\r\n", b"+PONG\r\n"), PING),
        (answers_to(b"PING\r\n", *(bytes([code]) for code in b"junk+PO+PONG")), PING),
        (answers_to(b"PING\r\n", b"\xff" * 50_000, b"+PONG", and_stays=False), PING),
        (answers_to(b"", b"220 mail ESMTP\r\n"), replace(TCP, expect="220 ")),
        (answers_to(b"\x10\0", b"\x20\2\0\0"), replace(TCP, send=r"\x10\0", expect=r"\x20\x02\0\0")),
        (answers_to(b"PING", b"-"), replace(TCP, send="PING")),
        (answers_to(b""), TCP),
    ],
)
def test_what_is_expected_passes_however_it_comes(run: Run, handle: Handle, check: HealthCheck) -> None:
    """Rule 33."""
    assert run(judge(handle, check)) == (Health.HEALTHY, None)


@on_both_loops
@pytest.mark.parametrize(
    ("handle", "check", "cause"),
    [
        (
            answers_to(b"PING\r\n", b"-NOAUTH\r\n", and_stays=False),
            PING,
            r"connection closed: expected '+PONG', got '-NOAUTH\r\n'",
        ),
        (
            answers_to(b"PING\r\n", b"-LOADING\x1b[31m\xff"),
            replace(PING, timeout_s=0.5),
            r"timed out after 500ms: expected '+PONG', got '-LOADING\x1b[31m\xff'",
        ),
        (
            answers_to(b"PING\r\n"),
            replace(PING, timeout_s=0.5),
            "timed out after 500ms: expected '+PONG', got nothing",
        ),
        (
            answers_to(b"PING\r\n", and_stays=False),
            replace(PING, expect=None),
            "connection closed: expected an answer, got nothing",
        ),
        (
            answers_to(b"", and_stays=False),
            replace(TCP, expect="220"),
            "connection closed: expected '220', got nothing",
        ),
        (resets, PING, "connection reset: expected '+PONG', got nothing"),
        (
            without_end,
            PING,
            f"expected '+PONG', got '{'+PON' * 20}...', and no more than 64 KiB is read",
        ),
    ],
)
def test_another_answer_fails_with_what_was_expected_and_what_came(
    run: Run, handle: Handle, check: HealthCheck, cause: str
) -> None:
    """Rule 33. Whatever came is bounded, and harmless where it is read."""
    assert run(judge(handle, check)) == (Health.UNHEALTHY, cause)


async def test_what_a_check_sends_is_not_in_its_cause() -> None:
    """Rule 33. It may log in, and the answer may quote it."""

    async def quotes(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"-ERR " + await reader.readuntil(b"\n"))

    found = await judge(quotes, replace(PING, send=r"AUTH hunter2hunter2\r\n"))
    assert found == (Health.UNHEALTHY, r"connection closed: expected '+PONG', got '-ERR ***\r\n'")


@on_both_loops
def test_a_check_that_is_over_leaves_no_socket_open(run: Run) -> None:
    """Rule 33."""

    async def scene() -> int:
        async with connecting(answers_to(b"PING\r\n", b"no", b"ne")) as port:
            before = open_sockets()
            asked = probe(f"tcp://127.0.0.1:{port}", replace(PING, timeout_s=0.3))
            assert (await judged(asked))[0] is Health.UNHEALTHY
        return open_sockets() - before

    assert run(scene()) <= 0


# --- TLS that is passed through ---------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return self_signed(tmp_path / "mqtt.pem", NAME)


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


async def judge_tls(
    context: ssl.SSLContext, check: HealthCheck, handle: Handle, *, host: str | None
) -> tuple[Health, str | None]:
    async with connecting(handle, tls=context) as port:
        return await judged(replace(probe(f"tcp://127.0.0.1:{port}", check, host=host), speaks_tls=True))


@on_both_loops
@pytest.mark.parametrize(
    ("host", "asked"), [(NAME, NAME), (f"{NAME}:8883", NAME), (None, None), ("*", None), ("*.example.com", None)]
)
@pytest.mark.parametrize("check", [TCP, PING])
def test_tls_that_is_passed_through_is_spoken_with_the_name_that_clients_ask_for(
    run: Run, certificate: Path, check: HealthCheck, host: str | None, asked: str | None
) -> None:
    """Rules 32 and 33. Nobody but the clients judges the certificate."""
    context, names = server_context(certificate), list[str | None]()
    context.sni_callback = lambda _, name, __: names.append(name)
    handle = answers_to(b"PING\r\n" if check is PING else b"", b"+PONG\r\n")
    assert run(judge_tls(context, check, handle, host=host)) == (Health.HEALTHY, None)
    assert set(names) == {asked}


@on_both_loops
def test_a_check_that_is_over_just_when_the_handshake_is_leaves_no_connection_open(
    run: Run, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 33. asyncio would wait for the server to close, with a socket that is closed."""
    made = asyncio.StreamReaderProtocol.connection_made
    ended = asyncio.Event()

    async def handle(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, ssl.SSLError):
            await reader.read()
        ended.set()

    async def scene() -> None:
        async with connecting(handle, tls=server_context(certificate)) as port:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            asking = asyncio.create_task(connect("127.0.0.1", port, tls=context, name=""))

            def cancels(protocol: asyncio.StreamReaderProtocol, transport: asyncio.BaseTransport) -> None:
                made(protocol, transport)
                if transport.get_extra_info("peername")[1] == port:
                    asking.cancel()

            monkeypatch.setattr(asyncio.StreamReaderProtocol, "connection_made", cancels)
            with pytest.raises(asyncio.CancelledError):
                await asking
            await asyncio.wait_for(ended.wait(), 30)
            gc.collect()  # a transport that is not closed warns

    run(scene())


@on_both_loops
def test_a_server_without_tls_behind_a_router_that_passes_it_through_is_no_pass(run: Run) -> None:
    """Rules 32 and 33. A connection to it proves nothing."""

    async def scene() -> tuple[Health, str | None]:
        async with connecting(answers_to(b"", b"220 mail ESMTP\r\n")) as port:
            return await judged(replace(probe(f"tcp://127.0.0.1:{port}", TCP, host=NAME), speaks_tls=True))

    health, cause = run(scene())
    assert health is Health.UNHEALTHY
    assert cause.startswith("TLS failed: ")


@contextmanager
def wanting_certificates(certificate: Path) -> Iterator[str]:
    """An OpenSSL that wants a certificate of its clients; that of asyncio closes without saying so."""
    port = free_port()
    words = ["-accept", f"127.0.0.1:{port}", "-cert", str(certificate), "-key", str(certificate), "-Verify", "1"]
    server = subprocess.Popen(
        [program("openssl", "openssl"), "s_server", *words, "-verify_return_error", "-naccept", "1000"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with server:
        try:
            assert server.stdout is not None
            assert any(line.startswith(b"ACCEPT") for line in server.stdout)
            yield f"tcp://127.0.0.1:{port}"
        finally:
            server.kill()


@on_both_loops
def test_a_server_that_wants_a_certificate_of_its_clients_passes_where_nothing_is_asked_inside_tls(
    run: Run, certificate: Path
) -> None:
    """Rules 32 and 33. A check has none to show: that the server wants one is all it can see."""
    lost: list[dict[str, object]] = []

    async def scene(url: str, check: HealthCheck) -> tuple[Health, str | None]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: lost.append(context))
        found = await judged(replace(probe(url, check, host=NAME), speaks_tls=True))
        gc.collect()
        return found

    with wanting_certificates(certificate) as url:
        assert run(scene(url, TCP)) == (Health.HEALTHY, None)
        health, cause = run(scene(url, PING))
    assert health is Health.UNHEALTHY
    assert cause == "TLS failed: tlsv13 alert certificate required"
    assert lost == []


@on_both_loops
def test_a_server_that_closes_at_once_inside_tls_is_no_pass(run: Run, certificate: Path) -> None:
    """Rules 32 and 33."""

    async def closes(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    health, cause = run(judge_tls(server_context(certificate), TCP, closes, host=NAME))
    assert health is Health.UNHEALTHY
    assert cause.startswith("connection accepted and closed at once")


# --- the URL of another endpoint --------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [lambda _: None, server_context])
async def test_an_endpoint_of_tcp_may_be_checked_by_http_and_in_tls_where_that_is_passed_through(
    certificate: Path, wrap: Callable[[Path], ssl.SSLContext | None]
) -> None:
    """Rules 32 and 33."""
    tls = wrap(certificate)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")

    async with connecting(handle, tls=tls) as port:
        check = replace(HTTP, status=204, insecure_skip_verify=True)
        asked = replace(probe(f"tcp://127.0.0.1:{port}", check, host=NAME), speaks_tls=tls is not None)
        assert await judged(asked) == (Health.HEALTHY, None)
