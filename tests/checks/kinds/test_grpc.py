"""Checks by grpc.health.v1 against a real gRPC server and against what is none, on both event loops."""

import asyncio
import ssl
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from h2.connection import H2Connection

from provider.checks.kinds.grpc import MESSAGE_CHARACTERS
from provider.checks.result import ANSWER_BYTES
from provider.model import Health, HealthCheck, ProbeMode
from tests.support.answering import OK, Answer, Run, on_both_loops, repeats, says, self_signed, serving
from tests.support.grpc_health import serving_as, speaking_grpc
from tests.support.health_checks import HTTP, judged, probe
from tests.support.http2 import Answers, Headers, answers, speaking_h2

GRPC = replace(HTTP, mode=ProbeMode.GRPC)
SERVING = b"\0\0\0\0\2\x08\1"


def ends(body: bytes = b"", *, head: dict[str, str] | None = None, trailers: dict[str, str] | None = None) -> Answers:
    """Answer every call with these bytes and these fields behind them."""

    def act(_: Headers, connection: H2Connection, stream: int) -> None:
        fields = {":status": "200", "content-type": "application/grpc"} | (head or {})
        connection.send_headers(stream, [*fields.items()], end_stream=not body and trailers is None)
        if body:
            connection.send_data(stream, body, end_stream=trailers is None)
        if trailers is not None:
            connection.send_headers(stream, [*trailers.items()], end_stream=True)

    return act


async def judge(act: Answers, check: HealthCheck = GRPC) -> tuple[Health, str | None]:
    async with speaking_h2(act) as url:
        return await judged(probe(url, check))


# --- a real server ----------------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize("service", ["", "shop.v1.Basket", "s" * 300])
def test_a_service_that_is_serving_passes(run: Run, service: str) -> None:
    """Rule 33."""
    with speaking_grpc({service: "SERVING"}) as url:
        assert run(judged(probe(url, replace(GRPC, service=service)))) == (Health.HEALTHY, None)


@on_both_loops
@pytest.mark.parametrize("status", ["NOT_SERVING", "UNKNOWN", "SERVICE_UNKNOWN"])
def test_a_service_that_is_not_serving_fails_with_the_word(run: Run, status: str) -> None:
    """Rule 33."""
    with speaking_grpc({"": "SERVING", "shop": status}) as url:
        found = run(judged(probe(url, replace(GRPC, service="shop"))))
    assert found == (Health.UNHEALTHY, f"{status}, expected SERVING")


def test_a_service_that_the_server_does_not_know_fails_with_its_name() -> None:
    """Rule 33."""
    with speaking_grpc({"": "SERVING"}) as url:
        health, cause = asyncio.run(judged(probe(url, replace(GRPC, service="shop"))))
    assert health is Health.UNHEALTHY
    assert cause == "gRPC NOT_FOUND; healthCheck.service is 'shop'"


def test_a_server_without_health_fails_with_what_it_lacks() -> None:
    """Rule 33."""
    with speaking_grpc() as url:
        health, cause = asyncio.run(judged(probe(url, GRPC)))
    assert health is Health.UNHEALTHY
    assert cause == "gRPC UNIMPLEMENTED: Method not found!; mode grpc needs a server with grpc.health.v1.Health"


def test_a_call_that_fails_has_the_name_and_the_message_of_its_status() -> None:
    """Rule 33. A message is percent-encoded, may have lines, and is cut."""

    def refuse(_: object, context: Any) -> None:
        context.abort(grpc.StatusCode.UNAVAILABLE, "warming\nup: 50 % für " + "é" * 500)

    with speaking_grpc(answer=refuse) as url:
        health, cause = asyncio.run(judged(probe(url, GRPC)))
    assert health is Health.UNHEALTHY
    assert cause is not None
    assert cause.startswith("gRPC UNAVAILABLE: warming up: 50 % für éé")
    assert len(cause) <= len("gRPC UNAVAILABLE: ") + MESSAGE_CHARACTERS


@on_both_loops
def test_a_call_carries_the_host_the_headers_the_service_and_its_time(run: Run) -> None:
    """Rule 33."""
    calls: list[tuple[str, dict[str, str], float]] = []

    def note(request: Any, context: Any) -> Any:
        metadata = {item.key: item.value for item in context.invocation_metadata()}
        calls.append((request.service, metadata, context.time_remaining()))
        return serving_as("SERVING")

    check = replace(GRPC, service="shop", headers=(("X-Check", "yes"), ("TE", "gzip"), ("Content-Type", "a/b")))
    with speaking_grpc(answer=note) as url:
        assert run(judged(probe(url, check, host="shop.example.com")))[0] is Health.HEALTHY
    service, metadata, left_s = calls[0]
    assert service == "shop"
    assert {"x-check": "yes", "user-agent": "bluegreen"}.items() <= metadata.items()
    assert left_s <= GRPC.timeout_s


@on_both_loops
def test_a_call_without_an_answer_times_out(run: Run) -> None:
    """Rule 33."""
    over = threading.Event()

    def wait(_: object, __: object) -> Any:
        over.wait(60)
        return serving_as("SERVING")

    async def scene(url: str) -> tuple[Health, str | None]:
        try:
            return await judged(probe(url, replace(GRPC, timeout_s=0.5)))
        finally:
            over.set()

    with speaking_grpc(answer=wait) as url:
        health, cause = run(scene(url))
    assert health is Health.UNHEALTHY
    assert cause in {"timed out after 500ms", "gRPC DEADLINE_EXCEEDED: Deadline Exceeded"}


@on_both_loops
def test_over_tls_the_certificate_counts_unless_the_file_waives_it(run: Run, tmp_path: Path) -> None:
    """Rule 33."""
    certificate = self_signed(tmp_path / "shop.pem", "shop.example.com")
    with speaking_grpc({"": "SERVING"}, certificate=certificate) as url:
        asked = probe(url, GRPC, host="shop.example.com")
        waived = replace(asked, check=replace(GRPC, insecure_skip_verify=True))
        health, cause = run(judged(asked))
        assert health is Health.UNHEALTHY
        assert cause.startswith("certificate not trusted: self-signed certificate")
        assert run(judged(waived)) == (Health.HEALTHY, None)


# --- no such server ---------------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize(
    "act",
    [
        ends(SERVING, trailers={"grpc-status": "0"}),
        ends(SERVING, head={"content-type": "application/grpc+proto"}, trailers={"grpc-status": "0"}),
        ends(SERVING, head={"grpc-status": "0"}),
        ends(b"\0\0\0\0\x15\x12\3abc\x19" + b"8" * 8 + b"\x25" + b"4" * 4 + b"\x08\1", trailers={"grpc-status": "0"}),
    ],
)
def test_fields_that_are_unknown_are_skipped_and_a_status_may_come_in_the_head(run: Run, act: Answers) -> None:
    """Rule 33."""
    assert run(judge(act)) == (Health.HEALTHY, None)


@pytest.mark.parametrize(
    ("act", "cause"),
    [
        (answers(), "no gRPC: 200 with no Content-Type, expected 200 with application/grpc"),
        (answers(content_type="text/html"), "no gRPC: 200 with text/html, expected 200 with application/grpc"),
        (answers(status="404"), "no gRPC: 404 with no Content-Type, expected 200 with application/grpc"),
        (ends(SERVING), "no gRPC: its answer ends without a grpc-status"),
        (ends(SERVING, trailers={"grpc-status": "none"}), "no gRPC: its answer ends without a grpc-status"),
        (ends(trailers={"grpc-status": "0"}), "no gRPC: its answer is not one message"),
        (ends(SERVING * 2, trailers={"grpc-status": "0"}), "no gRPC: its answer is not one message"),
        (ends(b"\xff" * 7, trailers={"grpc-status": "0"}), "no gRPC: its answer is not one message"),
        (
            ends(b"\1" + SERVING[1:], trailers={"grpc-status": "0"}),
            "no gRPC: its answer is compressed, which the request did not ask for",
        ),
        (ends(b"\0\0\0\0\2\x08\xff", trailers={"grpc-status": "0"}), "no gRPC: its answer is no HealthCheckResponse"),
        (ends(b"\0\0\0\0\x0b\x08" + b"\xff" * 10, trailers={"grpc-status": "0"}), "no gRPC: its answer is no Health"),
        (ends(b"\0\0\0\0\6\x12\xff\xff\xff\xff\x0f", trailers={"grpc-status": "0"}), "no gRPC: its answer is no Heal"),
        (ends(b"\0\0\0\0\1\x0f", trailers={"grpc-status": "0"}), "no gRPC: its answer is no HealthCheckResponse"),
        (ends(b"\0\0\0\0\0", trailers={"grpc-status": "0"}), "UNKNOWN, expected SERVING"),
        (ends(b"\0\0\0\0\2\x08\x63", trailers={"grpc-status": "0"}), "status 99, expected SERVING"),
        (ends(trailers={"grpc-status": "77", "grpc-message": "%zz\x7f"}), "gRPC status 77: %zz"),
        (
            lambda _, connection, stream: connection.reset_stream(stream, 2),
            "no gRPC: it ended the request with INTERNAL_ERROR",
        ),
    ],
)
async def test_an_answer_that_is_no_pass_has_its_cause(act: Answers, cause: str) -> None:
    """Rule 33."""
    health, found = await judge(act)
    assert health is Health.UNHEALTHY
    assert found is not None
    assert found.startswith(cause)


@pytest.mark.parametrize(
    ("answer", "cause"),
    [
        (says(OK), "no gRPC: it is no HTTP/2, but HTTP/1"),
        (says(b""), "no gRPC: connection closed without an answer"),
        (says(b"\x15\x03\x01\0\2\2\x50"), "no gRPC: "),
        (says(b"SSH-2.0-OpenSSH_9.2\r\n", and_stays=True), "no gRPC: it is no HTTP/2, which begins with SETTINGS"),
        (repeats(b"\0\0\0\4\0\0\0\0\0", b"\0\0\x08\6\0\0\0\0\0abcdefgh" * 100), "no gRPC: frame upon frame"),
    ],
)
async def test_a_server_of_another_protocol_is_no_pass(answer: Answer, cause: str) -> None:
    """Rule 33."""
    async with serving(answer) as url:
        health, found = await judged(probe(url, GRPC))
    assert health is Health.UNHEALTHY
    assert found is not None
    assert found.startswith(cause)


async def test_an_answer_without_end_is_read_as_far_as_its_bound() -> None:
    """Rule 33."""

    def act(_: Headers, connection: H2Connection, stream: int) -> bytes:
        connection.send_headers(stream, [(":status", "200"), ("content-type", "application/grpc")])
        return b"\0\0\xff\xff\xff" + b"y" * 100 * ANSWER_BYTES

    assert await judge(act) == (Health.UNHEALTHY, "no gRPC: its answer is longer than 64 KiB")


async def test_a_server_that_does_not_choose_http2_in_the_handshake_is_no_pass(tmp_path: Path) -> None:
    """Rule 33."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(self_signed(tmp_path / "shop.pem", "shop.example.com"))
    async with serving(says(OK), tls=context) as url:
        found = await judged(probe(url, replace(GRPC, insecure_skip_verify=True)))
    cause = "no gRPC: the server did not choose HTTP/2 in the handshake of TLS"
    assert found == (Health.UNHEALTHY, cause)
