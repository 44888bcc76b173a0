"""Smoke tests against real servers, on asyncio's own loop and on uvloop."""

import asyncio
import errno
import gzip
import itertools
import json
import os
import socket
import ssl
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from provider.checks import exchange, smoke
from provider.checks.result import CheckResult
from provider.checks.smoke import SmokeTester, growing_pauses_s
from provider.checks.smoke_answer import SmokeAnswer, fault
from provider.model import Smoke, SmokeResult, SmokeRun, SmokeTest
from provider.model.observed import Result
from tests.support.answering import (
    OK,
    Answer,
    Run,
    holding,
    on_both_loops,
    open_sockets,
    repeats,
    resets,
    says,
    self_signed,
    serving,
)
from tests.support.smoke_tests import TEST, Counting, Reports, decided, making, smoke_run
from tests.support.waiting import eventually

HASTY = replace(TEST, timeout_s=0.3)


PAUSES = list(itertools.islice(growing_pauses_s(), 7))


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smoke, "RETRY_S", 0.01)
    monkeypatch.setattr(smoke, "MAX_PAUSE_S", 0.05)


# --- answers ----------------------------------------------------------------------------------------------------------


async def decide_served(answer: Answer, test: SmokeTest = TEST) -> tuple[bool | None, str | None, str | None]:
    async with serving(answer) as url:
        (result,) = await decided(smoke_run(url, tests=(test,)))
    return result.passed, result.cause, result.excerpt


async def undecided(url: str, test: SmokeTest = TEST, *, host: str | None = None) -> tuple[str | None, str | None]:
    """Cause and excerpt of a test that was made twice or more and is neither passed nor failed."""
    run = smoke_run(url, tests=(test,), host=host)
    async with making(run) as (tester, reports):
        await eventually(lambda: tester.tries > 2 and reports.last(run))
    assert {result.passed for results in reports.of(run) for result in results} == {None}
    (result,) = reports.last(run)
    return result.cause, result.excerpt


def answers(body: str | bytes, *, kind: str = "", status: int = 200, fields: str = "") -> Answer:
    content = body.encode() if isinstance(body, str) else body
    content_type = f"Content-Type: {kind}\r\n" if kind else ""
    head = f"HTTP/1.1 {status} X\r\n{content_type}{fields}Content-Length: {len(content)}\r\n\r\n"
    return says(head.encode() + content)


def asks(path: str, value: object) -> SmokeTest:
    return replace(TEST, json=((path, value),))


async def test_a_server_is_asked_the_tests_of_its_endpoint() -> None:
    """Rule 31."""
    admin = replace(TEST, name="admin", endpoint="admin")
    async with serving(answers("well")) as web, serving(answers("well")) as other:
        run = replace(smoke_run(web, other, tests=(TEST, admin)), elsewhere=((other, "admin"),))
        results = await decided(run)
    assert {(result.test, result.url) for result in results} == {(TEST.name, web), ("admin", other)}


class Flaky:
    """A server that gives its answers one after the other, and the last of them for ever."""

    def __init__(self, *each: Answer) -> None:
        self.each, self.requests = each, 0

    async def __call__(self, request: str, writer: asyncio.StreamWriter) -> None:
        self.requests += 1
        await self.each[min(self.requests, len(self.each)) - 1](request, writer)


async def hangs(_: str, __: asyncio.StreamWriter) -> None:
    await asyncio.Event().wait()


# --- one answer -------------------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "test"),
    [
        (says(OK), TEST),
        (says(OK, and_stays=True), replace(TEST, contains="ok")),
        (answers("Gru\u00df Gott", kind="text/plain; charset=utf-8"), replace(TEST, contains="Gru\u00df")),
        (answers("Gru\u00df Gott"), replace(TEST, contains="Gru\u00df")),
        (
            answers("Gru\u00df".encode("latin-1"), kind="text/plain; charset=ISO-8859-1"),
            replace(TEST, contains="\u00df"),
        ),
        (answers("\u00fc", kind="text/plain; charset=nonsense"), replace(TEST, contains="\u00fc")),
        (answers("\u00fc", kind="text/plain; charset=idna"), replace(TEST, contains="\u00fc")),
        (answers("\u00fc", kind="text/plain; charset=base64"), replace(TEST, contains="\u00fc")),
        (answers(b"\xff Welcome \xff"), replace(TEST, contains="Welcome")),
        (says(b"HTTP/1.1 302 Found\r\nLocation: /login\r\n\r\n"), replace(TEST, status=302)),
        (says(b"HTTP/1.1 204 No Content\r\n\r\n", and_stays=True), replace(TEST, status=204)),
        (answers("down", status=503), replace(TEST, status=503, contains="down")),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", and_stays=True), replace(TEST, method="HEAD")),
        (says(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK), TEST),
        (says(b"HTTP/1.0 200 OK\r\n\r\nWelcome"), replace(TEST, contains="Welcome")),
        (repeats(b"HTTP/1.1 200 OK\r\n\r\nWelcome", b"x" * 1000), replace(TEST, contains="Welcome")),
        (answers(gzip.compress(b"zipped"), fields="Content-Encoding: gzip\r\n"), TEST),
        (answers('\ufeff{"a": 1}'), asks("a", 1)),
        (answers('{"a": 1}'.encode("utf-16"), kind="application/json; charset=utf-16"), asks("a", 1)),
    ],
)
def test_an_answer_as_expected_passes(run: Run, answer: Answer, test: SmokeTest) -> None:
    assert run(decide_served(answer, test))[:2] == (True, None)


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "test", "cause", "excerpt"),
    [
        (answers("gone", status=404), TEST, "404, expected 200", "gone"),
        (answers("", status=204), TEST, "204, expected 200", ""),
        (
            says(b"HTTP/1.1 302 Found\r\nLocation: /login?next=/\r\n\r\n"),
            TEST,
            "302 to /login?next=/, expected 200",
            "",
        ),
        (says(b"HTTP/1.1 500 Oops\r\n\r\ntrace", and_stays=True), HASTY, "500, expected 200", "trace"),
        (says(b"HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\ntrace"), TEST, "500, expected 200", "trace"),
        (
            says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nWelc"),
            TEST,
            "200, and then the answer is cut short",
            "Welc",
        ),
        (
            says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"),
            TEST,
            "200, and then the answer is cut short",
            "he",
        ),
        (
            answers("Bad Gateway"),
            replace(TEST, contains="Welcome"),
            "the answer does not contain 'Welcome'",
            "Bad Gateway",
        ),
        (answers("welcome"), replace(TEST, contains="Welcome"), "the answer does not contain 'Welcome'", "welcome"),
        (
            says(b"HTTP/1.1 200 OK\r\n\r\n"),
            replace(TEST, contains="x" * 100),
            f"the answer does not contain '{'x' * 77}...'",
            "",
        ),
        (
            says(b"HTTP/1.1 200 OK\r\n\r\n"),
            replace(TEST, method="HEAD", contains="Welcome"),
            "the answer does not contain 'Welcome': it has no body, as with every HEAD",
            "",
        ),
        (
            repeats(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000),
            replace(TEST, contains="Welcome"),
            "the answer does not contain 'Welcome': it is longer than 1 MiB, and no more is read",
            "x" * 200,
        ),
        (
            answers("<html>", kind="text/html; charset=utf-8"),
            asks("status", "ok"),
            "the answer is no JSON (text/html)",
            "<html>",
        ),
        (answers("[" * 200_000), asks("status", "ok"), "the answer is no JSON (without a Content-Type)", "[" * 200),
        (answers('{"status": "degraded"}'), asks("status", "ok"), 'status is "degraded", expected "ok"', None),
        (answers('{"items": [{}]}'), asks("items.0.name", "x"), 'the JSON has no items.0.name, expected "x"', None),
    ],
)
def test_an_answer_that_does_not_match_fails_with_its_cause(
    run: Run, answer: Answer, test: SmokeTest, cause: str, excerpt: str | None
) -> None:
    found = run(decide_served(answer, test))
    assert found[:2] == (False, cause)
    assert excerpt is None or found[2] == excerpt


@on_both_loops
@pytest.mark.parametrize(
    "answer",
    [
        says(b"SSH-2.0-OpenSSH_9.2\r\n", and_stays=True),
        says(b"\x15\x03\x01"),
        repeats(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nok"),
    ],
)
def test_an_answer_that_is_not_http_fails(run: Run, answer: Answer) -> None:
    passed, cause, excerpt = run(decide_served(answer))
    assert (passed, excerpt) == (False, None)
    assert cause.startswith("not HTTP: ")


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "test", "cause", "excerpt"),
    [
        (hangs, HASTY, "timed out after 300ms", None),
        (says(b"HTTP/1.1 200 OK\r\n", and_stays=True), HASTY, "timed out after 300ms", None),
        (
            says(b"HTTP/1.1 200 OK\r\n\r\nWelc", and_stays=True),
            HASTY,
            "timed out after 300ms: 200 came, the end of its body did not",
            "Welc",
        ),
        (says(b""), TEST, "connection closed without an answer", None),
        (says(b"HTTP/1.1 200 OK\r\nContent-Le"), TEST, "connection closed without an answer", None),
        (resets, TEST, "connection reset", None),
        (
            answers(gzip.compress(b"Welcome"), fields="Content-Encoding: gzip\r\n"),
            replace(TEST, contains="Welcome"),
            "not tested: the answer is compressed (gzip), and the request asks for identity",
            "",
        ),
    ],
)
def test_no_answer_is_neither_a_pass_nor_a_failure_and_is_asked_for_again(
    run: Run, answer: Answer, test: SmokeTest, cause: str, excerpt: str | None
) -> None:
    """P2."""

    async def scene() -> tuple[str | None, str | None]:
        async with serving(answer) as url:
            return await undecided(url, test)

    assert run(scene()) == (cause, excerpt)


@on_both_loops
@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("http://127.0.0.1:1", "connection refused"),
        ("http://nobody.invalid:80", "name not resolved: nobody.invalid"),
        (
            "h2c://nobody.invalid:80",
            "name not resolved: nobody.invalid",
        ),
        ("http://[broken", "not tested: a bug in the smoke tests, ValueError; the log has more"),
    ],
)
def test_a_server_that_cannot_be_asked_is_neither_passed_nor_failed(run: Run, url: str, cause: str) -> None:
    """P2."""
    assert run(undecided(url)) == (cause, None)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPERM, errno.EHOSTUNREACH])
def test_what_this_machine_or_its_network_lacks_is_no_failure_of_the_release(number: int) -> None:
    """P2."""
    found = fault(OSError(number, os.strerror(number)), SmokeAnswer(), "http://127.0.0.1", TEST, late_s=0.0)
    assert found is not None
    assert found.result is Result.ERROR


@pytest.mark.parametrize("answer", [SmokeAnswer(), SmokeAnswer(status=200)])
def test_a_deadline_that_we_noticed_too_late_is_reported_as_ours(answer: SmokeAnswer) -> None:
    """P2."""
    found = fault(TimeoutError(), answer, "http://127.0.0.1", TEST, late_s=30.0)
    busy = "not checked: this daemon was too busy to see an answer within 30s"
    assert found == CheckResult(Result.ERROR, busy)


async def test_the_excerpt_is_the_beginning_of_the_answer_fit_for_a_line() -> None:
    body = "<p>\r\n\t two  \x1b[31mred\u202e\x00 </p>" + "x" * 300
    _, _, excerpt = await decide_served(answers(body))
    assert excerpt is not None
    assert excerpt.startswith("<p> two \ufffd[31mred\ufffd\ufffd </p>xxx")
    assert len(excerpt) == 200


# --- the request ------------------------------------------------------------------------------------------------------


async def seen_request(test: SmokeTest, host: str | None) -> tuple[str, str]:
    """The head of the request that a server got, and the server's address."""
    seen: list[str] = []

    async def note(request: str, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(OK)

    async with serving(note) as url:
        await decided(smoke_run(url, tests=(test,), host=host))
    return seen[0], url.removeprefix("http://")


async def test_a_request_carries_the_production_host_the_path_with_its_query_and_the_headers() -> None:
    test = replace(TEST, method="POST", path="/%C3%BC?x=%2F", headers=(("X-Check", "yes"), ("ACCEPT", "a/b")))
    request, _ = await seen_request(test, "shop.example.com")
    line, *fields = request.split("\r\n")
    assert line == "POST /%C3%BC?x=%2F HTTP/1.1"
    assert {"Host: shop.example.com", "X-Check: yes", "ACCEPT: a/b", "Content-Length: 0"} < set(fields)


async def test_without_a_host_the_request_names_the_servers_own_address() -> None:
    request, address = await seen_request(TEST, None)
    assert f"\r\nHost: {address}\r\n" in request


async def test_a_host_among_the_headers_wins() -> None:
    request, _ = await seen_request(replace(TEST, headers=(("host", "other.example.com"),)), "shop.example.com")
    assert [line for line in request.lower().split("\r\n") if line.startswith("host:")] == ["host: other.example.com"]


SECRET = replace(TEST, headers=(("Authorization", "Bearer s3cret-token"), ("Cookie", "id=c00kie-value; a=b")))


async def echoes(request: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps({"asked": request}).encode())


async def echoes_bare(request: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n" + request.split("\r\n", 1)[1].replace(":", "\x00").encode())


async def echoes_as_a_status(request: str, writer: asyncio.StreamWriter) -> None:
    writer.write(request[request.index("Authorization") :].encode())


@pytest.mark.parametrize(
    ("answer", "test"),
    [
        (echoes, SECRET),
        (echoes, replace(SECRET, json=(("asked", "nothing"),))),
        (echoes, replace(SECRET, contains="nothing")),
        (answers("s3cret-token", status=403), SECRET),
        (says(b"HTTP/1.1 302 Found\r\nLocation: /?token=s3cret-token\r\n\r\n"), SECRET),
        (echoes_bare, SECRET),
        (echoes_as_a_status, SECRET),
    ],
)
async def test_neither_cause_nor_excerpt_shows_the_secrets_of_a_request(answer: Answer, test: SmokeTest) -> None:
    _, cause, excerpt = await decide_served(answer, test)
    shown = f"{cause} {excerpt}"
    assert "s3cret" not in shown
    assert "c00kie" not in shown


# --- JSON -------------------------------------------------------------------------------------------------------------

DOCUMENT = """{"status": "ok", "one": 1, "real": 1.0, "yes": true, "none": null, "empty": {},
"items": [{"name": "a"}, [1, 2]], "app.version": "1.4", "build": {"app.version": "2"}, "0": "zero"}"""


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("status", "ok"),
        ("one", 1),
        ("one", 1.0),
        ("real", 1),
        ("yes", True),
        ("none", None),
        ("empty", {}),
        ("items.0.name", "a"),
        ("items.0", {"name": "a"}),
        ("items.1.1", 2),
        ("items.1", [1.0, 2]),
        ("items", [{"name": "a"}, [1, 2]]),
        ("app.version", "1.4"),
        ("build.app.version", "2"),
        ("0", "zero"),
    ],
)
async def test_a_value_of_the_json_that_is_the_same_passes(path: str, value: object) -> None:
    assert (await decide_served(answers(DOCUMENT), asks(path, value)))[:2] == (True, None)


@pytest.mark.parametrize(
    ("path", "value", "cause"),
    [
        ("one", True, "one is 1, expected true"),
        ("yes", 1, "yes is true, expected 1"),
        ("yes", "true", 'yes is true, expected "true"'),
        ("none", False, "none is null, expected false"),
        ("none", 0, "none is null, expected 0"),
        ("one", "1", 'one is 1, expected "1"'),
        ("items.1", [1, 2, 3], "items.1 is [1, 2], expected [1, 2, 3]"),
        ("items.1", [True, 2], "items.1 is [1, 2], expected [true, 2]"),
        ("items.0", {"name": "a", "b": 1}, 'items.0 is {"name": "a"}, expected {"name": "a", "b": 1}'),
        ("empty", [], "empty is {}, expected []"),
        ("empty.x", None, "the JSON has no empty.x, expected null"),
        ("items.2", 1, "the JSON has no items.2, expected 1"),
        ("items.-1", 1, "the JSON has no items.-1, expected 1"),
        ("items.name", 1, "the JSON has no items.name, expected 1"),
        ("status.0", "o", 'the JSON has no status.0, expected "o"'),
        ("status", "x" * 100, f'status is "ok", expected "{"x" * 76}...'),
    ],
)
async def test_a_value_of_the_json_that_differs_fails_and_both_are_named(path: str, value: object, cause: str) -> None:
    assert (await decide_served(answers(DOCUMENT), asks(path, value)))[:2] == (False, cause)


async def test_every_expected_value_of_the_json_counts() -> None:
    test = replace(TEST, json=(("status", "ok"), ("one", 2)))
    assert (await decide_served(answers(DOCUMENT), test))[:2] == (False, "one is 1, expected 2")


async def test_status_text_and_json_of_an_application_are_proven_together() -> None:
    async def version(request: web.Request) -> web.Response:
        return web.json_response({"name": "shop", "version": {"number": request.query["want"]}})

    app = web.Application()
    app.router.add_get("/version", version)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    run = smoke_run(
        f"http://127.0.0.1:{runner.addresses[0][1]}",
        tests=(
            replace(TEST, name="up", path="/version?want=2", contains="shop", json=(("version.number", "2"),)),
            replace(TEST, name="wrong", path="/version", status=500, contains="500"),
            replace(TEST, name="gone", path="/nothing", status=404),
        ),
    )
    results = await decided(run)
    await runner.cleanup()
    assert [(result.test, result.passed, result.cause) for result in results] == [
        ("up", True, None),
        ("wrong", True, None),
        ("gone", True, None),
    ]
    assert all(result.duration_s > 0 for result in results)


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "shop.pem", "shop.example.com")


def served_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    return context


@on_both_loops
def test_a_certificate_that_is_not_trusted_is_no_evidence_and_the_cause_says_what_to_do(
    run: Run, certificate: Path
) -> None:
    """P2."""

    async def scene() -> tuple[str | None, str | None]:
        async with serving(says(OK), tls=served_context(certificate)) as url:
            return await undecided(url, host="shop.example.com")

    cause, excerpt = run(scene())
    assert excerpt is None
    assert cause == (
        "certificate not trusted: self-signed certificate; write insecureSkipVerify: true where that is meant; else it"
        " must be valid for the Host, from an authority that this machine knows (or SSL_CERT_FILE names it)"
    )


@on_both_loops
def test_tls_asks_for_the_production_host_and_proves_it(
    run: Run, certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = ssl.create_default_context(cafile=str(certificate))
    monkeypatch.setattr(exchange, "context", lambda **_: context)
    names: list[str | None] = []
    server = served_context(certificate)
    server.sni_callback = lambda _, name, __: names.append(name)

    async def scene() -> bool | None:
        async with serving(says(OK), tls=server) as url:
            (result,) = await decided(smoke_run(url, host="shop.example.com"))
            return result.passed

    assert run(scene()) is True
    assert names == ["shop.example.com"]


async def test_a_gap_in_our_own_time_begins_every_run_again() -> None:
    """Rule 14: what was answered before it may be from long ago, and whoever hears of it has forgotten it."""
    async with serving(says(OK)) as url:
        run = smoke_run(url)
        async with making(run) as (tester, reports):
            await eventually(lambda: reports.decided(run))
            reports.smokes.clear()
            tester.void()
            await eventually(lambda: reports.decided(run))


# --- tries ------------------------------------------------------------------------------------------------------------


async def test_an_answer_that_does_not_match_is_asked_for_again_as_often_as_the_test_says() -> None:
    server = Flaky(answers("", status=503), answers("", status=502), says(OK))
    test = replace(TEST, retries=2)
    async with serving(server) as url:
        run = smoke_run(url, tests=(test,))
        async with making(run) as (_, reports):
            await eventually(lambda: reports.decided(run))
    assert [[(result.passed, result.cause) for result in results] for results in reports.of(run)] == [
        [(None, "503, expected 200 (try 1 of 3)")],
        [(None, "502, expected 200 (try 2 of 3)")],
        [(True, None)],
    ]
    assert server.requests == 3


async def test_a_test_is_failed_after_its_last_retry() -> None:
    server = Flaky(answers("", status=503))
    found = await decide_served(server, replace(TEST, retries=1))
    assert found[:2] == (False, "503, expected 200 (try 2 of 2)")
    assert server.requests == 2


async def test_without_retries_the_first_answer_that_does_not_match_fails() -> None:
    server = Flaky(answers("", status=503), says(OK))
    assert (await decide_served(server))[0] is False
    assert server.requests == 1


async def test_a_lost_connection_uses_up_no_retry() -> None:
    """P2: what is no evidence is not held against the release."""
    server = Flaky(resets, resets, answers("", status=503), resets, resets, says(OK))
    assert (await decide_served(server, replace(TEST, retries=1)))[0] is True
    assert server.requests == 6


async def test_the_same_cause_again_is_reported_once() -> None:
    """P12."""
    server = Flaky(*[resets] * 9, says(OK))
    async with serving(server) as url:
        run = smoke_run(url)
        async with making(run) as (_, reports):
            await eventually(lambda: reports.decided(run))
    assert [[(result.passed, result.cause) for result in results] for results in reports.of(run)] == [
        [(None, "connection reset")],
        [(True, None)],
    ]


def test_the_pauses_grow_up_to_a_quarter_of_a_minute() -> None:
    assert PAUSES == [1, 2, 4, 8, 15, 15, 15]


# --- runs -------------------------------------------------------------------------------------------------------------


async def test_every_test_is_made_once_on_every_server_in_the_order_written() -> None:
    paths: dict[str, list[str]] = {}
    tests = tuple(replace(TEST, name=name, path=f"/{name}") for name in ("z", "a", "m"))
    async with AsyncExitStack() as servers:

        async def serve(name: str) -> str:
            async def note(request: str, writer: asyncio.StreamWriter) -> None:
                paths.setdefault(name, []).append(request.split()[1])
                writer.write(OK)

            return await servers.enter_async_context(serving(note))

        urls = [await serve(name) for name in ("one", "two", "three")]
        results = await decided(smoke_run(*urls, tests=tests))
    assert [(result.url, result.test) for result in results] == [(url, n) for url in sorted(urls) for n in "zam"]
    assert {result.passed for result in results} == {True}
    assert paths == {name: ["/z", "/a", "/m"] for name in ("one", "two", "three")}


async def test_the_first_failure_ends_the_run_with_all_that_is_known() -> None:
    """A release that failed on one server has failed, hung as another may."""
    let_go = asyncio.Event()

    async def mixed(request: str, writer: asyncio.StreamWriter) -> None:
        if "/first" in request:
            writer.write(OK)
            return
        try:
            await asyncio.Event().wait()
        finally:
            let_go.set()

    tests = tuple(replace(TEST, name=name, path=f"/{name}") for name in ("first", "second", "third"))
    async with serving(mixed) as hanging:
        bad = Flaky(answers("", status=500))
        run_bad = asyncio.Event()

        async def fails_later(request: str, writer: asyncio.StreamWriter) -> None:
            await run_bad.wait()
            await bad(request, writer)

        async with serving(fails_later) as failing:
            run = smoke_run(hanging, failing, tests=tests)
            async with making(run) as (_, reports):
                await eventually(lambda: reports.last(run))
                run_bad.set()
                results = await eventually(lambda: reports.decided(run))
                await eventually(lambda: not [t for t in asyncio.all_tasks() if t.get_name().startswith("smoke")])
    known = {(result.url, result.test): result.passed for result in results}
    assert known == {(hanging, "first"): True, (failing, "first"): False}
    assert bad.requests == 1


@pytest.mark.parametrize("answer", [says(OK), answers("", status=500)])
async def test_a_run_that_is_decided_is_not_made_again_while_it_is_requested(answer: Answer) -> None:
    """Once per release and definition."""
    server = Flaky(answer)
    async with serving(server) as url, serving(says(OK)) as other_url:
        run, other = smoke_run(url), smoke_run(other_url, release="2")
        async with making(run) as (tester, reports):
            await eventually(lambda: reports.decided(run))
            tester.set_runs("shop", (smoke_run(url), other))
            await eventually(lambda: reports.decided(other))
    assert server.requests == 1
    assert len(reports.of(run)) == 1


async def test_a_run_that_is_requested_again_starts_from_nothing() -> None:
    server = Flaky(says(OK), answers("", status=500))
    async with serving(server) as url:
        run = smoke_run(url)
        async with making(run) as (tester, reports):
            await eventually(lambda: reports.decided(run))
            tester.set_runs("shop", ())
            tester.set_runs("shop", (run,))
            await eventually(lambda: len(reports.of(run)) == 2)
    assert [[result.passed for result in results] for results in reports.of(run)] == [[True], [False]]


async def test_a_run_goes_on_when_it_is_set_again_unchanged() -> None:
    asked, answer = asyncio.Event(), asyncio.Event()
    requests = 0

    async def waits(_: str, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        asked.set()
        await answer.wait()
        writer.write(OK)

    async with serving(waits) as url:
        run = smoke_run(url)
        async with making(run) as (tester, reports):
            await asked.wait()
            tester.set_runs("shop", (smoke_run(url),))
            answer.set()
            await eventually(lambda: reports.decided(run))
    assert requests == 1


@pytest.mark.parametrize(
    "changed",
    [
        lambda run: replace(run, release="2"),
        lambda run: replace(run, host="other.example.com"),
        lambda run: replace(run, tests=(asks("one", 1.0),)),
        lambda run: replace(run, tests=(asks("one", True),)),
    ],
)
async def test_another_release_or_definition_is_another_run(changed: Callable[[SmokeRun], SmokeRun]) -> None:
    """P1: evidence is bound to (release, definition); 1, 1.0 and true are equal in Python, and not in a definition."""
    server = Flaky(answers(DOCUMENT))
    async with serving(server) as url:
        run = smoke_run(url, tests=(asks("one", 1),))
        async with making(run) as (tester, reports):
            await eventually(lambda: reports.decided(run))
            tester.set_runs("shop", (changed(run),))
            await eventually(lambda: len(reports.smokes) == 2)
    assert server.requests == 2
    assert [repr(reports.run) for reports in reports.smokes] == [repr(run), repr(changed(run))]


async def test_a_run_no_longer_requested_is_cancelled_and_never_reported() -> None:
    async with holding() as held, serving(says(OK)) as other_url:
        gone = smoke_run(held.url)
        other = smoke_run(other_url, release="2")
        async with making(gone) as (tester, reports):
            await held.asked.wait()
            tester.set_runs("shop", ())
            tester.set_runs("other", (other,))
            await held.let_go.wait()
            await eventually(lambda: reports.decided(other))
    assert reports.of(gone) == []


async def test_a_result_that_comes_while_its_run_is_withdrawn_stays_untold() -> None:
    class Withdrawing(Counting):
        async def _try(self, run: SmokeRun, server: str, test: SmokeTest) -> SmokeResult:
            result = await super()._try(run, server, test)
            if run.release == "gone":
                self.set_runs("shop", (replace(run, release="last"),))
            return result

    async with serving(says(OK)) as url:
        gone, last = smoke_run(url, release="gone"), smoke_run(url, release="last")
        async with making(gone, kind=Withdrawing) as (_, reports):
            await eventually(lambda: reports.decided(last))
    assert reports.of(gone) == []


# --- many runs --------------------------------------------------------------------------------------------------------


@on_both_loops
def test_servers_that_hang_hold_up_no_other_run(run: Run) -> None:
    async def scene() -> bool | None:
        async with serving(hangs) as slow, serving(says(OK)) as quick:
            port = slow.rsplit(":", 1)[1]
            hanging = smoke_run(*(f"http://127.0.0.{last}:{port}" for last in range(1, 40)))
            good = replace(smoke_run(quick), service="other")
            async with making(hanging) as (tester, reports):
                await eventually(lambda: tester._room._value < smoke.MAX_RUNNING)
                tester.set_runs("other", (good,))
                (result,) = await eventually(lambda: reports.decided(good))
                return result.passed

    assert run(scene()) is True


async def test_so_many_servers_of_a_run_are_asked_at_once_and_no_more() -> None:
    at_once, open_now = [0], 0
    go_on = asyncio.Event()

    async def slow(_: str, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        at_once.append(open_now)
        await go_on.wait()
        open_now -= 1
        writer.write(OK)

    async with AsyncExitStack() as servers:
        urls = [await servers.enter_async_context(serving(slow)) for _ in range(20)]
        run = smoke_run(*urls)
        async with making(run) as (_, reports):
            await eventually(lambda: open_now == smoke.AT_ONCE)
            go_on.set()
            results = await eventually(lambda: reports.decided(run))
    assert max(at_once) == smoke.AT_ONCE
    assert len(results) == 20


async def test_a_bug_in_one_test_stops_no_other() -> None:
    """P4."""
    async with serving(says(OK)) as url:
        bad, good = smoke_run("http://[broken"), smoke_run(url, release="2")
        async with making(bad, good) as (_, reports):
            results = await eventually(lambda: reports.last(bad) and reports.decided(good))
    assert [result.passed for result in results] == [True]
    assert [result.passed for result in reports.last(bad)] == [None]


# --- the loop ---------------------------------------------------------------------------------------------------------


@on_both_loops
def test_cancelling_the_run_leaves_nothing_behind_and_it_goes_on_from_what_is_known(run: Run) -> None:
    async def scene() -> tuple[Counter[str], list[bool | None], int]:
        paths: Counter[str] = Counter()
        hold = True

        async def note(request: str, writer: asyncio.StreamWriter) -> None:
            path = request.split()[1]
            paths[path] += 1
            if path == "/b" and hold:
                await asyncio.Event().wait()
            writer.write(OK)

        begun: list[asyncio.Task[None]] = []

        def spawn(test: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            begun.append(asyncio.create_task(test, name=name))
            return begun[-1]

        reports = Reports()
        tester = SmokeTester(spawn=spawn, on_smoke=reports.report)
        async with serving(note) as url:
            before = open_sockets()
            wants = smoke_run(url, tests=(replace(TEST, name="a", path="/a"), replace(TEST, name="b", path="/b")))
            tester.set_runs("shop", (wants,))
            running = asyncio.create_task(tester.run())
            await eventually(lambda: paths["/b"])
            running.cancel()
            await asyncio.wait([running])
            assert [task.cancelled() for task in begun] == [True]
            assert begun[0].get_name() == f"smoke tests of {url}"
            await eventually(lambda: open_sockets() <= before + 1)  # the server's own end of the connection it holds
            hold = False
            running = asyncio.create_task(tester.run())
            results = await eventually(lambda: reports.decided(wants))
            running.cancel()
            await asyncio.wait([running])
            left = len([task for task in asyncio.all_tasks() if task.get_name().startswith("smoke")])
        return paths, [result.passed for result in results], left

    assert run(scene()) == (Counter({"/a": 1, "/b": 2}), [True, True], 0)


async def test_a_listener_that_fails_ends_the_loop_for_its_supervisor_and_other_runs_go_on_after() -> None:
    """P4: the daemon's own task group, in which the tests run, must not see it."""
    reports = Reports()
    failures = 0

    def report(smoke: Smoke) -> None:
        nonlocal failures
        if smoke.run.release == "bad":
            failures += 1
            raise RuntimeError("a bug in the listener")
        reports.report(smoke)

    async with serving(says(OK)) as url, asyncio.TaskGroup() as tasks:
        tester = SmokeTester(spawn=lambda test, name: tasks.create_task(test, name=name), on_smoke=report)
        good = smoke_run(url, release="good")
        tester.set_runs("shop", (smoke_run(url, release="bad"),))
        with pytest.raises(RuntimeError):
            await tester.run()
        tester.set_runs("other", (good,))
        running = tasks.create_task(tester.run())
        results = await eventually(lambda: reports.decided(good))
        running.cancel()
    assert failures == 1
    assert [result.passed for result in results] == [True]


@on_both_loops
def test_a_handshake_that_hangs_leaves_no_socket_open(run: Run) -> None:
    async def scene() -> str | None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            before = open_sockets()
            found, _ = await undecided(f"https://127.0.0.1:{silent.getsockname()[1]}", HASTY)
            await eventually(lambda: open_sockets() <= before)
            return found

    assert run(scene()) == "timed out after 300ms"
