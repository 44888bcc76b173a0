"""Checks over UDP, on asyncio's own loop and on uvloop."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TypeAlias

import pytest

from provider.checks.kinds import udp
from provider.model import Health, HealthCheck, ProbeMode
from provider.runtime import resolver
from tests.support.answering import Run, on_both_loops, open_sockets
from tests.support.health_checks import HTTP, checking, judged, probe
from tests.support.waiting import eventually

Sends: TypeAlias = Callable[[bytes], list[bytes]]
UDP = replace(HTTP, mode=ProbeMode.UDP, send=r"\0ping", expect="pong")
LARGEST = 65507
"""The longest that a datagram over IPv4 can be."""


@asynccontextmanager
async def answering(sends: Sends) -> AsyncIterator[tuple[str, list[bytes]]]:
    """A server that answers each datagram; an answer that begins with `elsewhere` comes from another port of it.

    Yields its URL, and what it was asked. It has a socket of its own, as asyncio's transports send nothing empty.
    """
    loop, asked = asyncio.get_running_loop(), list[bytes]()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other,
    ):
        for one in (server, other):
            one.bind(("127.0.0.1", 0))
            one.settimeout(0.0)

        def answer() -> None:
            data, address = server.recvfrom(65535)
            asked.append(data)
            for each in sends(data):
                (other if each.startswith(b"elsewhere") else server).sendto(each, address)

        loop.add_reader(server, answer)
        try:
            yield f"udp://127.0.0.1:{server.getsockname()[1]}", asked
        finally:
            loop.remove_reader(server)


async def judge(sends: Sends, check: HealthCheck = UDP) -> tuple[Health, str | None]:
    async with answering(sends) as (url, _):
        return await judged(probe(url, check))


@on_both_loops
@pytest.mark.parametrize(
    ("sends", "check"),
    [
        (lambda data: [b"\xffpong" if data == b"\0ping" else b""], UDP),
        (lambda _: [b"elsewhere: no", b"pong"], UDP),
        (lambda _: [b"x" * (LARGEST - 4) + b"pong"], UDP),
        (lambda _: [b""], replace(UDP, expect=None)),
        (lambda _: [b"any"], replace(UDP, expect=None)),
    ],
)
def test_an_answer_with_what_is_expected_passes(run: Run, sends: Sends, check: HealthCheck) -> None:
    """Rule 33. Without `expect` any answer does, an empty one too; one of another address is none."""
    assert run(judge(sends, check)) == (Health.HEALTHY, None)


@on_both_loops
@pytest.mark.parametrize(
    ("sends", "cause"),
    [
        (lambda _: [b"NAK\0\x1b[31m"], r"expected 'pong', got 'NAK\0\x1b[31m'"),
        (lambda _: [b""], "expected 'pong', got nothing"),
        (lambda _: [b"x" * LARGEST], f"expected 'pong', got '{'x' * 80}...'"),
        (lambda _: [], "timed out after 500ms: expected 'pong', got nothing"),
        (lambda _: [b"elsewhere: pong"] * 100, "timed out after 500ms: expected 'pong', got nothing"),
    ],
)
def test_another_answer_and_none_fail_with_what_was_expected(run: Run, sends: Sends, cause: str) -> None:
    """Rule 33. An answer from another address is none."""
    check = replace(UDP, timeout_s=0.5 if "timed" in cause else 30.0)
    assert run(judge(sends, check)) == (Health.UNHEALTHY, cause)


@on_both_loops
def test_a_port_that_the_host_calls_unreachable_fails_at_once(run: Run) -> None:
    """Rule 33. ICMP says so."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    found = run(judged(probe(f"udp://127.0.0.1:{port}", UDP)))
    assert found == (Health.UNHEALTHY, "port unreachable: nothing listens on that UDP port")


@on_both_loops
def test_a_check_sends_one_datagram_and_leaves_no_socket_open(run: Run) -> None:
    """Rule 33."""

    async def scene() -> tuple[list[bytes], int]:
        async with answering(lambda _: []) as (url, sent):
            before = open_sockets()
            asked = probe(url, replace(UDP, timeout_s=0.2, interval_s=60.0))
            async with checking(asked) as (_, reports):
                await eventually(lambda: reports.count(asked))
            return sent, open_sockets() - before

    assert run(scene()) == ([b"\0ping"], 0)


async def test_the_first_address_is_asked_that_there_is_a_route_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 33. As Traefik's net.Dial, which can tell nothing else of a connection over UDP."""
    async with answering(lambda _: [b"pong"]) as (url, _):
        port = int(url.rpartition(":")[2])
        both = await resolver.address_infos("255.255.255.255", port) + await resolver.address_infos("127.0.0.1", port)

        async def two_addresses(*_: object) -> object:
            return both

        monkeypatch.setattr(udp, "address_infos", two_addresses)
        assert await judged(probe(f"udp://dns.example.com:{port}", UDP)) == (Health.HEALTHY, None)


async def test_a_check_without_anything_to_send_is_our_own_error_and_no_evidence() -> None:
    """P2."""
    async with checking(asked := probe("udp://127.0.0.1:9", replace(UDP, send=None))) as (_, reports):
        found = await eventually(lambda: reports.of(asked))
    assert found[0][0] is Health.UNKNOWN
    assert str(found[0][1]).startswith("not checked: a bug in the health check")
