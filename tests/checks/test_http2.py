"""Checks and smoke tests over HTTP/2, on asyncio's own loop and on uvloop."""

import ssl
from dataclasses import replace
from pathlib import Path

import pytest
from h2.connection import H2Connection

from provider.checks import exchange
from provider.model import Health
from tests.support.answering import Answer, Run, on_both_loops, repeats, says, self_signed, serving
from tests.support.health_checks import HTTP, judged, probe
from tests.support.http2 import Answers, Headers, answers, speaking_h2
from tests.support.smoke_tests import TEST, decided, smoke_run

FAREWELL = b"\0\0\x08\x07\0\0\0\0\0\x7f\xff\xff\xff\0\0\0\0"
"""GOAWAY: no further request is taken, and those that have come are answered."""


@on_both_loops
def test_an_h2c_server_is_asked_in_its_own_protocol(run: Run) -> None:
    """P2: a connection that it accepts is no answer to GET /healthz."""
    seen: list[Headers] = []

    async def scene() -> tuple[Health, str | None]:
        def note(headers: Headers, connection: H2Connection, stream: int) -> bytes | None:
            seen.append(headers)
            return answers()(headers, connection, stream)

        async with speaking_h2(note) as url:
            return await judged(probe(url, replace(HTTP, headers=(("X-Check", "yes"),)), host="shop.example.com"))

    assert run(scene()) == (Health.HEALTHY, None)
    expected = {
        ":method": "GET",
        ":path": "/healthz",
        ":authority": "shop.example.com",
        ":scheme": "http",
        "x-check": "yes",
    }
    assert expected.items() <= seen[0].items()
    assert not {"host", "connection"} & seen[0].keys()


@on_both_loops
@pytest.mark.parametrize(
    ("act", "cause"),
    [
        (answers(status="503"), "503, expected 200-399"),
        (answers(b"", status="404"), "404, expected 200-399"),
        (
            lambda _, connection, stream: connection.reset_stream(stream, 2),
            "not HTTP: it ended the request with INTERNAL_ERROR",
        ),
        (
            lambda _, connection, __: connection.close_connection(11),
            "not HTTP: it ended the request with ENHANCE_YOUR_CALM",
        ),
        (
            lambda _, connection, __: connection.close_connection(last_stream_id=0),
            "not HTTP: it ended the request with NO_ERROR",
        ),
        (lambda *_: None, "timed out after 500ms"),
    ],
)
def test_an_answer_over_http2_that_is_no_pass_has_its_cause(run: Run, act: Answers, cause: str) -> None:
    async def scene() -> tuple[Health, str | None]:
        async with speaking_h2(act) as url:
            return await judged(probe(url, replace(HTTP, timeout_s=0.5 if "timed" in cause else 30.0)))

    assert run(scene()) == (Health.UNHEALTHY, cause)


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"), "not HTTP: it is no HTTP/2, "),
        (says(b""), "connection closed without an answer"),
        (repeats(b"\0\0\0\4\0\0\0\0\0", b"\xff" * 100), "not HTTP: it is no HTTP/2, a frame is longer than 16 KiB"),
        (repeats(b"\0\0\0\4\0\0\0\0\0", FAREWELL * 100), "not HTTP: frame upon frame"),
        (repeats(b"\0\0\0\4\0\0\0\0\0", b"\0\0\x08\6\0\0\0\0\0abcdefgh" * 100), "not HTTP: frame upon frame"),
    ],
)
def test_what_is_no_http2_is_no_pass_and_is_bounded(run: Run, answer: Answer, cause: str) -> None:
    async def scene() -> tuple[Health, str | None]:
        async with serving(answer) as url:
            return await judged(probe(url, replace(HTTP, scheme="h2c")))

    health, reports = run(scene())
    assert health is Health.UNHEALTHY
    assert reports.startswith(cause)


@on_both_loops
def test_a_server_that_chooses_http2_in_the_handshake_is_asked_over_http2(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Traefik's client does: it offers both, and a server may have no other."""
    certificate = self_signed(tmp_path / "shop.pem", "shop.example.com")
    client = ssl.create_default_context(cafile=str(certificate))
    client.set_alpn_protocols(["h2", "http/1.1"])
    monkeypatch.setattr(exchange, "context", lambda **_: client)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)

    async def scene() -> tuple[Health, str | None]:
        async with speaking_h2(answers(), tls=context) as url:
            return await judged(probe(url, host="shop.example.com"))

    assert run(scene()) == (Health.HEALTHY, None)


@on_both_loops
def test_an_h2c_server_is_tested_over_http2_with_a_body_longer_than_its_window(run: Run) -> None:
    async def scene() -> bool | None:
        body = b"y" * 400_000 + b"Welcome"
        async with speaking_h2(answers(body, content_type="text/html; charset=latin-1")) as url:
            (result,) = await decided(smoke_run(url, tests=(replace(TEST, contains="Welcome"),)))
            return result.passed

    assert run(scene()) is True
