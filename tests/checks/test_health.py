"""Health checks against real servers, on asyncio's own loop and on uvloop."""

import asyncio
import errno
import os
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.checks import exchange
from provider.checks import health as checker
from provider.checks.exchange import Target
from provider.checks.health import CROWD, Evidence, HealthChecker, first_start_s, next_start_s
from provider.checks.result import TRUST, CheckResult, check_fault
from provider.model import Health, HealthCheck, Probe, ProbeMode, ServerHealth, ServerKey
from provider.model.observed import Result
from tests.support.answering import (
    OK,
    Answer,
    Run,
    connecting,
    free_port,
    holding,
    on_both_loops,
    open_sockets,
    redirects,
    repeats,
    resets,
    says,
    self_signed,
    serving,
)
from tests.support.components import missing
from tests.support.health_checks import HTTP, Reports, checking, judged, probe
from tests.support.waiting import eventually

TCP = replace(HTTP, mode=ProbeMode.TCP)


# --- what a checker tells ---------------------------------------------------------------------------------------------


async def judge_served(answer: Answer, check: HealthCheck = HTTP) -> tuple[Health, str | None]:
    async with serving(answer) as url:
        return await judged(probe(url, check))


# --- one check --------------------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "check", "cause"),
    [
        (says(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), HTTP, "503, expected 200-399"),
        (says(b"HTTP/1.1 404 Not Found\r\n\r\n"), replace(HTTP, status=204), "404, expected 204"),
        (says(b"HTTP/1.1 503 Busy\r\n\r\n", and_stays=True), HTTP, "503, expected 200-399"),
        (says(b"", and_stays=True), replace(HTTP, timeout_s=1.0), "timed out after 1s"),
        (says(b"HTTP/1.1 200 OK\r\n", and_stays=True), replace(HTTP, timeout_s=0.5), "timed out after 500ms"),
        (says(b""), HTTP, "connection closed without an answer"),
        (resets, HTTP, "connection reset"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Le"), HTTP, "connection closed without an answer"),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok"), HTTP, "answer cut short"),
        (
            says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe"),
            HTTP,
            "answer cut short",
        ),
        (
            redirects(healthz="https://shop.example.com/healthz"),
            replace(HTTP, follow_redirects=True),
            "redirected to shop.example.com, another server",
        ),
        (
            redirects(healthz="/a", a="/b", b="/a"),
            replace(HTTP, follow_redirects=True),
            "more than 10 redirects, the last to /a",
        ),
        (
            redirects(healthz="http://[oops/"),
            replace(HTTP, follow_redirects=True),
            "redirected to 'http://[oops/', which is no URL",
        ),
        (
            redirects(healthz="mailto:shop@example.com"),
            replace(HTTP, follow_redirects=True),
            "redirected to mailto:shop@example.com, another server",
        ),
    ],
)
def test_an_answer_that_is_no_pass_has_its_cause(run: Run, answer: Answer, check: HealthCheck, cause: str) -> None:
    assert run(judge_served(answer, check)) == (Health.UNHEALTHY, cause)


@on_both_loops
@pytest.mark.parametrize(
    "answer",
    [
        says(b"SSH-2.0-OpenSSH_9.2\r\n", and_stays=True),
        says(b"\x15\x03\x01"),
        repeats(b"", b"HTTP/1.1 200 " + b"x" * 1000),
        repeats(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 1000),
        says(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nok"),
        says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\nx\r\n"),
    ],
)
def test_an_answer_that_is_not_http_is_no_pass(run: Run, answer: Answer) -> None:
    health, cause = run(judge_served(answer))
    assert health is Health.UNHEALTHY
    assert cause.startswith("not HTTP: ")
    assert len(cause) <= 110


@on_both_loops
@pytest.mark.parametrize(
    ("loses", "cause"), [(says(b""), "connection closed without an answer"), (resets, "connection reset")]
)
def test_a_request_whose_connection_is_lost_is_not_sent_again(run: Run, loses: Answer, cause: str) -> None:
    requests = 0

    async def loses_the_first(request: str, writer: asyncio.StreamWriter) -> None:
        nonlocal requests
        requests += 1
        await (loses if requests == 1 else says(OK))(request, writer)

    assert run(judge_served(loses_the_first)) == (Health.UNHEALTHY, cause)


@on_both_loops
@pytest.mark.parametrize(
    ("answer", "check"),
    [
        (says(OK), HTTP),
        (says(OK, and_stays=True), HTTP),
        (says(b"HTTP/1.0 200 OK\n\nok"), HTTP),
        (says(b"HTTP/1.1 302 Found\r\nLocation: http://elsewhere.invalid/\r\n\r\n"), HTTP),
        (says(b"HTTP/1.1 204 No Content\r\n\r\n", and_stays=True), replace(HTTP, status=204)),
        (says(b"HTTP/1.1 503 Down\r\n\r\n"), replace(HTTP, status=503)),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", and_stays=True), replace(HTTP, method="HEAD")),
        (says(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + OK), HTTP),
        (says(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 50_000 + b"\r\n\r\n"), HTTP),
        (says(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nno gzip"), HTTP),
        (
            says(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x\r\nok\r\n0\r\n\r\n", and_stays=True),
            HTTP,
        ),
        (repeats(b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 1000), HTTP),
        (repeats(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", b"x" * 1000), HTTP),
        (repeats(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 100), HTTP),
        (redirects(healthz="deep?x=1"), replace(HTTP, follow_redirects=True)),
    ],
)
def test_an_answer_that_passes_makes_healthy_even_if_its_body_never_ends(
    run: Run, answer: Answer, check: HealthCheck
) -> None:
    assert run(judge_served(answer, check)) == (Health.HEALTHY, None)


@on_both_loops
@pytest.mark.parametrize("check", [HTTP, TCP])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_server_that_does_not_listen_refuses_the_connection(run: Run, host: str, check: HealthCheck) -> None:
    url = f"http://{host}:{free_port()}"
    assert run(judged(probe(url, check))) == (Health.UNHEALTHY, "connection refused")


@on_both_loops
def test_a_name_that_does_not_resolve_is_named(run: Run) -> None:
    found = run(judged(probe("http://nobody.invalid:80")))
    assert found == (Health.UNHEALTHY, "name not resolved: nobody.invalid")


@on_both_loops
@pytest.mark.parametrize("check", [HTTP, TCP])
def test_a_name_is_resolved_and_ipv6_is_spoken(run: Run, check: HealthCheck) -> None:
    async def scene() -> list[tuple[Health, str | None]]:
        try:
            async with serving(says(OK), host="::1") as six, serving(says(OK)) as four:
                named = four.replace("127.0.0.1", "localhost")
                return [await judged(probe(six, check)), await judged(probe(named, check))]
        except OSError as error:
            missing("ipv6", str(error))

    assert run(scene()) == [(Health.HEALTHY, None)] * 2


# --- a connection -----------------------------------------------------------------------------------------------------


@on_both_loops
@pytest.mark.parametrize("how", ["FIN", "RST", "after 20 ms"])
def test_a_connection_that_is_closed_at_once_is_no_pass(run: Run, how: str) -> None:
    """Rule 5: Docker's proxy accepts for a container in which nothing listens."""

    async def scene() -> tuple[Health, str | None]:
        async def close(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            if how == "RST":
                await resets("", writer)
            elif how != "FIN":
                await asyncio.sleep(0.02)

        async with connecting(close) as port:
            return await judged(probe(f"http://127.0.0.1:{port}", TCP))

    cause = "connection accepted and closed at once: nothing seems to listen behind that port"
    assert run(scene()) == (Health.UNHEALTHY, cause)


@on_both_loops
@pytest.mark.parametrize("speaks", [b"", b"SSH-2.0-OpenSSH_9\r\n"])
@pytest.mark.parametrize("timeout_s", [0.05, 30.0])
def test_a_connection_that_stays_or_brings_something_passes(run: Run, speaks: bytes, timeout_s: float) -> None:
    """A server that speaks first shows that somebody is there, even if it then hangs up."""

    async def scene() -> tuple[Health, str | None]:
        async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(speaks)
            if not speaks:
                await reader.read()

        async with connecting(greet) as port:
            return await judged(probe(f"http://127.0.0.1:{port}", replace(TCP, timeout_s=timeout_s)))

    assert run(scene()) == (Health.HEALTHY, None)


@pytest.mark.parametrize(
    ("url", "changes", "host", "port"),
    [
        ("http://10.0.0.1", {}, "10.0.0.1", 80),
        ("https://10.0.0.1", {}, "10.0.0.1", 443),
        ("h2c://10.0.0.1", {}, "10.0.0.1", 80),
        ("http://10.0.0.1", {"scheme": "https"}, "10.0.0.1", 443),
        ("http://10.0.0.1:81", {"scheme": "https"}, "10.0.0.1", 81),
        ("http://[fd00::1]:81", {"port": 9000}, "fd00::1", 9000),
    ],
)
def test_scheme_and_port_of_the_check_win_over_the_url(url: str, changes: dict[str, Any], host: str, port: int) -> None:
    target = Target.of(probe(url, replace(HTTP, **changes)))
    assert (target.url.host, target.url.port) == (host, port)


async def seen_request(check: HealthCheck, host: str | None) -> tuple[str, str]:
    """The head of the request that a server got, and the server's address."""
    seen: list[str] = []

    async def note(request: str, writer: asyncio.StreamWriter) -> None:
        seen.append(request)
        writer.write(OK)

    async with serving(note) as url:
        await judged(probe(url, check, host=host))
    return seen[0], url.removeprefix("http://")


async def test_a_request_carries_the_production_host_the_path_with_its_query_and_the_headers() -> None:
    check = replace(
        HTTP, method="POST", path="/%C3%BC%20b?deep=1&x=%2F#part", headers=(("X-Check", "yes"), ("ACCEPT", "a/b"))
    )
    request, _ = await seen_request(check, "shop.example.com")
    line, *fields = request.split("\r\n")
    assert line == "POST /%C3%BC%20b?deep=1&x=%2F HTTP/1.1"
    assert {"Host: shop.example.com", "X-Check: yes", "ACCEPT: a/b", "Content-Length: 0", "Connection: close"} < set(
        fields
    )
    assert "Accept: */*" not in fields


async def test_without_a_host_the_request_names_the_servers_own_address() -> None:
    request, address = await seen_request(HTTP, None)
    assert f"\r\nHost: {address}\r\n" in request


async def test_a_host_among_the_headers_wins() -> None:
    request, _ = await seen_request(replace(HTTP, headers=(("host", "other.example.com"),)), "shop.example.com")
    assert [line for line in request.lower().split("\r\n") if line.startswith("host:")] == ["host: other.example.com"]


async def test_a_check_knows_nothing_of_proxies_nor_of_cookies_set_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port()}")
    requests: list[str] = []

    async def note(request: str, writer: asyncio.StreamWriter) -> None:
        requests.append(request)
        writer.write(b"HTTP/1.1 200 OK\r\nSet-Cookie: seen=1\r\n\r\n")

    async with serving(note) as url:
        server = probe(url.replace("127.0.0.1", "localhost"))
        async with checking(server) as (_, reports):
            await eventually(lambda: reports.results[server, Result.PASS] >= 2)
    assert len(set(requests)) == 1


async def test_redirects_are_followed_on_the_same_server_under_its_own_name_or_the_production_host() -> None:
    """P1: evidence comes from the server that is checked."""
    paths: list[str] = []

    async def redirect(request: str, writer: asyncio.StreamWriter) -> None:
        paths.append(request.split()[1])
        steps = {"/healthz": "http://shop.example.com/a?b=c", "/a?b=c": "http://127.0.0.1/d"}
        place = steps.get(paths[-1])
        writer.write(f"HTTP/1.1 301 Moved\r\nLocation: {place}\r\n\r\n".encode() if place else OK)

    async with serving(redirect) as url:
        check = replace(HTTP, follow_redirects=True, interval_s=600.0)
        assert await judged(probe(url, check, host="shop.example.com")) == (Health.HEALTHY, None)
    assert paths == ["/healthz", "/a?b=c", "/d"]


# --- TLS --------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return self_signed(tmp_path_factory.mktemp("tls") / "shop.pem", "shop.example.com")


async def judge_tls(
    certificate: Path, check: HealthCheck = HTTP, *, names: list[str | None] | None = None
) -> tuple[Health, str | None]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    if names is not None:
        context.sni_callback = lambda _, name, __: names.append(name)
    async with serving(says(OK), tls=context) as url:
        return await judged(probe(url, check, host="shop.example.com:8443"))


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    context = ssl.create_default_context(cafile=str(certificate))
    context.set_alpn_protocols(["h2", "http/1.1"])
    monkeypatch.setattr(exchange, "context", lambda **_: context)
    return certificate


@on_both_loops
def test_a_self_signed_certificate_is_not_trusted(run: Run, certificate: Path) -> None:
    """The cause says which key of the check takes it all the same."""
    expected = f"certificate not trusted: self-signed certificate; {TRUST}"
    assert run(judge_tls(certificate)) == (Health.UNHEALTHY, expected)
    assert "insecureSkipVerify: true" in expected


@on_both_loops
def test_insecure_skip_verify_trusts_any_certificate(run: Run, certificate: Path) -> None:
    found = run(judge_tls(certificate, replace(HTTP, insecure_skip_verify=True)))
    assert found == (Health.HEALTHY, None)


@on_both_loops
def test_tls_asks_for_the_production_host_and_proves_it(run: Run, trusted: Path) -> None:
    names: list[str | None] = []
    assert run(judge_tls(trusted, names=names)) == (Health.HEALTHY, None)
    assert set(names) == {"shop.example.com"}


async def test_a_certificate_for_another_name_is_not_trusted(trusted: Path) -> None:
    health, cause = await judge_tls(trusted, replace(HTTP, headers=(("Host", "other.example.com"),)))
    expected = "certificate not trusted: hostname mismatch, certificate is not valid for 'other.example.com'"
    assert (health, cause) == (Health.UNHEALTHY, f"{expected}; {TRUST}")


@on_both_loops
def test_a_server_without_tls_fails_the_handshake(run: Run) -> None:
    async def scene() -> tuple[Health, str | None]:
        async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(10_000)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        async with await asyncio.start_server(refuse, "127.0.0.1", 0) as plain:
            port = plain.sockets[0].getsockname()[1]
            return await judged(probe(f"https://127.0.0.1:{port}"))

    health, cause = run(scene())
    assert health is Health.UNHEALTHY
    assert cause.startswith("TLS failed: ")


@on_both_loops
def test_a_handshake_that_hangs_times_out_and_leaves_no_socket_open(run: Run) -> None:
    async def scene() -> tuple[Health, str | None]:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            before = open_sockets()
            url = f"https://127.0.0.1:{silent.getsockname()[1]}"
            found = await judged(probe(url, replace(HTTP, timeout_s=0.5)))
            await eventually(lambda: open_sockets() <= before)
            return found

    assert run(scene()) == (Health.UNHEALTHY, "timed out after 500ms")


# --- fail or error ----------------------------------------------------------------------------------------------------


def explained(error: Exception, check: HealthCheck = HTTP, *, late_s: float = 0.0) -> CheckResult | None:
    return check_fault(error, probe("http://127.0.0.1:80", check), late_s=late_s)


@pytest.mark.parametrize(
    ("number", "cause"),
    [
        (errno.EHOSTUNREACH, "no route to host"),
        (errno.ENETUNREACH, "no route to network"),
        (errno.ETIMEDOUT, "connection timed out"),
        (errno.EPIPE, "connection reset"),
    ],
)
def test_the_networks_answer_is_the_servers_failure(number: int, cause: str) -> None:
    assert explained(OSError(number, os.strerror(number))) == CheckResult(Result.FAIL, cause)


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL, errno.EPERM])
def test_what_this_machine_lacks_is_no_failure_of_the_server(number: int) -> None:
    """P2."""
    found = explained(OSError(number, os.strerror(number)))
    assert found is not None
    assert found.result is Result.ERROR
    assert found.cause is not None
    assert found.cause.startswith("not checked: this ") or "firewall" in found.cause


def test_a_deadline_that_we_noticed_too_late_is_no_failure_of_the_server() -> None:
    """P2: the answer may have been waiting for us while our loop was blocked."""
    patient = replace(HTTP, timeout_s=90.0)
    assert explained(TimeoutError(), patient, late_s=1.0) == CheckResult(Result.FAIL, "timed out after 1m30s")
    busy = CheckResult(Result.ERROR, "not checked: this daemon was too busy to see an answer within 1m30s")
    assert explained(TimeoutError(), patient, late_s=30.0) == busy


class Starving(Reports):
    """Lets no more files be opened from the first verdict to the second, when no check is under way."""

    def verdict(self, probe: Probe, health: ServerHealth) -> None:
        super().verdict(probe, health)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (3 if len(self.verdicts) == 1 else self.soft, hard))

    def __enter__(self) -> "Starving":
        self.soft, self.hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        return self

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.soft, self.hard))


@on_both_loops
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_without_file_descriptors_a_server_becomes_unknown_and_recovers(run: Run, host: str) -> None:
    """P2: errors neither pass nor fail; a verdict that nothing supports any more is withdrawn."""

    async def scene() -> Reports:
        async with serving(says(OK)) as url:
            server = probe(url.replace("127.0.0.1", host), replace(HTTP, healthy_after=2, unhealthy_after=3))
            with Starving() as starving:
                async with checking(server, reports=starving):
                    await eventually(lambda: len(starving.verdicts) == 3)
            return starving

    reports = run(scene())
    assert [(health.health, health.cause) for _, health, _ in reports.verdicts] == [
        (Health.HEALTHY, None),
        (Health.UNKNOWN, "not checked: this daemon may not open more files (raise its limit, ulimit -n)"),
        (Health.HEALTHY, None),
    ]
    counts = Counter({result: count for (_, result), count in reports.results.items()})
    assert (counts[Result.ERROR], counts[Result.FAIL]) == (3, 0)


async def test_a_bug_in_one_check_stops_no_other() -> None:
    """P4."""
    async with serving(says(OK)) as url:
        good, bad = probe(url), probe("http://[broken")
        async with checking(bad, good) as (_, reports):
            await eventually(lambda: reports.results[bad, Result.ERROR] > 2 and reports.results[good, Result.PASS] > 2)
    assert reports.of(good) == [(Health.HEALTHY, None)]
    assert reports.of(bad) == [(Health.UNKNOWN, "not checked: a bug in the health check, ValueError; the log has more")]


# --- verdicts ---------------------------------------------------------------------------------------------------------

START = datetime(2026, 1, 1, tzinfo=UTC)
PASS, FAIL, ERROR = CheckResult(Result.PASS), CheckResult(Result.FAIL, "refused"), CheckResult(Result.ERROR, "no files")
UNKNOWN, HEALTHY, UNHEALTHY = Health.UNKNOWN, Health.HEALTHY, Health.UNHEALTHY


def after(*findings: CheckResult) -> list[tuple[Health, str | None, int] | None]:
    """For each finding, one a second: the verdict if it changed, with its `since` in seconds."""
    evidence = Evidence(replace(HTTP, healthy_after=2, unhealthy_after=3), START)
    reports: list[tuple[Health, str | None, int] | None] = []
    for second, finding in enumerate(findings, 1):
        changed = evidence.add(finding, START + timedelta(seconds=second))
        verdict = evidence.verdict
        since = (verdict.since_utc - START).seconds
        reports.append((verdict.health, verdict.cause, since) if changed else None)
    return reports


def test_healthy_after_passes_in_a_row_make_healthy() -> None:
    assert after(PASS, PASS, PASS) == [None, (HEALTHY, None, 2), None]


def test_unhealthy_after_fails_in_a_row_make_unhealthy_and_the_first_cause_is_reported_at_once() -> None:
    assert after(FAIL, FAIL, FAIL, FAIL) == [(UNKNOWN, "refused", 0), None, (UNHEALTHY, "refused", 3), None]


def test_a_healthy_server_becomes_unhealthy_and_healthy_again() -> None:
    reports = after(PASS, PASS, FAIL, FAIL, FAIL, PASS, PASS)
    assert reports == [None, (HEALTHY, None, 2), None, None, (UNHEALTHY, "refused", 5), None, (HEALTHY, None, 7)]


def test_flapping_below_the_thresholds_changes_no_verdict() -> None:
    assert after(PASS, PASS, FAIL, FAIL, PASS, FAIL, FAIL, PASS)[2:] == [None] * 6
    assert after(FAIL, FAIL, FAIL, PASS, FAIL, PASS, FAIL)[3:] == [None] * 4


def test_a_new_cause_is_reported_and_leaves_the_date_of_the_health() -> None:
    reports = after(FAIL, FAIL, FAIL, CheckResult(Result.FAIL, "reset"))
    assert reports[2:] == [(UNHEALTHY, "refused", 3), (UNHEALTHY, "reset", 3)]


def test_errors_neither_lengthen_nor_break_a_streak() -> None:
    """P2."""
    assert after(PASS, ERROR, PASS) == [None, (UNKNOWN, "no files", 0), (HEALTHY, None, 3)]
    assert after(FAIL, ERROR, FAIL, FAIL)[-1] == (UNHEALTHY, "refused", 4)
    assert after(FAIL, FAIL, ERROR, ERROR)[-1] is None


@pytest.mark.parametrize("proven", [[PASS, PASS], [FAIL, FAIL, FAIL]])
def test_a_verdict_without_fresh_evidence_becomes_unknown(proven: list[CheckResult]) -> None:
    """P1, P2: what was healthy long ago is no pass at this moment."""
    count = len(proven)
    assert after(*proven, ERROR, ERROR, ERROR)[count:] == [None, None, (UNKNOWN, "no files", count + 3)]
    assert after(*proven, ERROR, ERROR, ERROR, PASS)[-1] is None
    assert after(*proven, ERROR, ERROR, ERROR, FAIL)[-1] == (UNKNOWN, "refused", count + 3)


# --- which servers, and when ------------------------------------------------------------------------------------------


def test_a_crowd_of_new_servers_is_spread_over_one_interval() -> None:
    starts = [first_start_s(float("-inf"), 100.0, 2.0)]
    while len(starts) < CROWD:
        starts.append(first_start_s(starts[-1], 100.0, 2.0))
    per_tenth = Counter(int((start - 100.0) / 0.2) for start in starts)
    assert starts[-1] < 102.0
    assert len(per_tenth) == 10
    assert max(per_tenth.values()) - min(per_tenth.values()) <= 2


def test_a_few_new_servers_are_checked_at_once() -> None:
    first = first_start_s(float("-inf"), 100.0, 30.0)
    tenth = first
    for _ in range(9):
        tenth = first_start_s(tenth, 100.0, 30.0)
    assert first == 100.0
    assert tenth < 100.1
    assert first_start_s(tenth, 200.0, 30.0) == 200.0


@given(
    due_s=st.floats(0, 1e6),
    late_s=st.floats(0, 1e4),
    interval_s=st.sampled_from([0.1, 1.0, 2.0, 30.0]),
)
def test_starts_keep_a_fixed_rate_and_missed_ones_are_left_out(due_s: float, late_s: float, interval_s: float) -> None:
    start_s = next_start_s(due_s, due_s + late_s, interval_s)
    assert due_s + late_s - 1e-6 <= start_s <= due_s + late_s + interval_s + 1e-6
    assert (start_s - due_s) / interval_s == pytest.approx(round((start_s - due_s) / interval_s), abs=1e-3)


@on_both_loops
def test_a_slow_server_is_never_checked_twice_at_once_and_delays_no_other(run: Run) -> None:
    async def scene() -> tuple[int, list[tuple[Health, str | None]]]:
        slow_requests = 0

        async def never(_: str, __: asyncio.StreamWriter) -> None:
            nonlocal slow_requests
            slow_requests += 1
            await asyncio.Event().wait()

        async with serving(never) as slow_url, serving(says(OK)) as quick_url:
            slow, quick = probe(slow_url), probe(quick_url)
            async with checking(slow, quick) as (_, reports):
                await eventually(lambda: reports.count(quick) >= 20 and slow_requests)
                return slow_requests, reports.of(slow)

    assert run(scene()) == (1, [])


async def test_more_checks_than_may_run_at_once_wait_and_do_not_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checker, "MAX_RUNNING", 2)
    at_once: list[int] = []
    open_now = 0
    go_on = asyncio.Event()

    async def slow(_: str, writer: asyncio.StreamWriter) -> None:
        nonlocal open_now
        open_now += 1
        at_once.append(open_now)
        await go_on.wait()
        open_now -= 1
        writer.write(OK)

    async with serving(slow) as url:
        probes = [replace(probe(url), key=ServerKey(url, str(n), "1")) for n in range(5)]
        async with checking(*probes) as (_, reports):
            await eventually(lambda: open_now == 2)
            go_on.set()
            await eventually(lambda: all(reports.count(each) for each in probes))
    assert max(at_once) == 2
    assert {result for _, result in reports.results} == {Result.PASS}


async def test_equal_probes_keep_their_evidence() -> None:
    async with serving(says(OK)) as url:
        check = replace(HTTP, healthy_after=5)
        kept, new = probe(url, check), probe(url, check, host="new.example.com")
        async with checking(kept) as (checks, reports):
            await eventually(lambda: reports.count(kept) >= 1)
            checks.set_probes("shop", frozenset({probe(url, check), new}))
            await eventually(lambda: len(reports.verdicts) == 2)
    assert {(of, count) for of, _, count in reports.verdicts} == {(kept, 5), (new, 5)}


@pytest.mark.parametrize("changed", [{"check": replace(HTTP, path="/other")}, {"host": "other.example.com"}])
async def test_a_changed_definition_voids_the_evidence(changed: dict[str, Any]) -> None:
    """P1: evidence is bound to the definition of its gate."""
    async with serving(says(OK)) as url:
        before = replace(probe(url), check=replace(HTTP, healthy_after=3))
        now = replace(before, **changed)
        now = replace(now, check=replace(now.check, healthy_after=3))
        async with checking(before) as (checks, reports):
            await eventually(lambda: reports.of(before))
            checks.set_probes("shop", frozenset({now}))
            made = reports.count(before)
            await eventually(lambda: reports.of(now))
    assert [(of, health.health, count) for of, health, count in reports.verdicts] == [
        (before, HEALTHY, 3),
        (now, HEALTHY, 3),
    ]
    assert reports.count(before) == made


async def test_a_gap_in_our_own_time_voids_all_evidence_and_what_is_under_way() -> None:
    """Rule 14: of an answer that came before it, nobody knows how long ago that was."""
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def held(_: str, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await go_on.wait()
        writer.write(OK)

    async with serving(says(OK)) as url, serving(held) as slow_url:
        quick, slow = probe(url, replace(HTTP, healthy_after=3)), probe(slow_url)
        async with checking(quick, slow) as (checks, reports):
            await eventually(lambda: reports.of(quick))
            await asked.wait()
            before = reports.count(quick)
            checks.void()
            assert reports.count(slow) == 0
            go_on.set()
            await eventually(lambda: len(reports.of(quick)) == 2 and reports.of(slow))
    (_, _, first), (_, _, again) = [verdict for verdict in reports.verdicts if verdict[0] == quick]
    assert first == 3
    assert again >= before + 3


async def test_a_forgotten_probe_is_cancelled_and_never_reported() -> None:
    async with holding() as held, serving(says(OK)) as other_url:
        gone = probe(held.url)
        other = probe(other_url, service="other")
        async with checking(gone) as (checks, reports):
            await held.asked.wait()
            checks.set_probes("shop", frozenset())
            checks.set_probes("other", frozenset({other}))
            await held.let_go.wait()
            await eventually(lambda: reports.of(other))
    assert {of for of, _ in reports.results} == {other}
    assert reports.of(gone) == []


async def test_a_probe_that_is_set_and_forgotten_before_its_check_began_leaves_nothing_behind() -> None:
    async with serving(says(OK)) as url, checking() as (checks, reports):
        first, last = probe(url, host="first.example.com"), probe(url, host="last.example.com")
        for _ in range(50):
            checks.set_probes("shop", frozenset({first}))
            await asyncio.sleep(0)
            checks.set_probes("shop", frozenset())
        checks.set_probes("shop", frozenset({last}))
        await eventually(lambda: reports.of(last))
    assert reports.of(first) == []


@on_both_loops
def test_cancelling_the_run_ends_every_check_and_it_can_run_again(run: Run) -> None:
    async def scene() -> None:
        begun: asyncio.Queue[asyncio.Task[None]] = asyncio.Queue()
        reports = Reports()

        def spawn(check: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            begun.put_nowait(task := asyncio.create_task(check, name=name))
            return task

        checks = HealthChecker(spawn=spawn, on_verdict=reports.verdict, on_result=reports.result)
        async with serving(says(b"", and_stays=True)) as url:
            held = probe(url)
            checks.set_probes("shop", frozenset({held}))
            for _ in range(2):
                running = asyncio.create_task(checks.run())
                check = await begun.get()
                running.cancel()
                await asyncio.wait([running])
                assert check.cancelled()
                assert check.get_name() == f"health check of {url}"
        assert reports.count(held) == 0

    run(scene())


NEW = replace(HTTP, interval_s=3600.0, timeout_s=60.0)
"""Of such a check there is one in the time of a test."""


async def test_a_new_server_that_is_soon_ready_waits_for_no_interval() -> None:
    """It is found as soon as it starts. Of the checks in between only a pass counts (P2)."""
    asked = 0

    async def starting(_: str, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1
        writer.write(OK if asked > 4 else b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")

    async with serving(starting) as url:
        server = probe(url, NEW)
        async with checking(server) as (_, reports):
            await eventually(lambda: len(reports.of(server)) == 2)
    assert [health for health, _ in reports.of(server)] == [Health.UNHEALTHY, Health.HEALTHY]
    assert reports.results == Counter({(server, Result.FAIL): 1, (server, Result.PASS): 1})


async def test_few_servers_at_a_time_are_checked_more_often_than_their_interval(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing is without a bound: ten thousand servers that are down are not checked eight times as often."""
    monkeypatch.setattr(checker, "EARLY_MOST", 2)
    probes = [
        replace(probe("http://127.0.0.1:1", NEW), key=ServerKey("http://127.0.0.1:1", str(n), "1")) for n in range(9)
    ]
    async with checking(*probes) as (checks, reports):
        await eventually(lambda: len(reports.verdicts) == len(probes))
        assert len(checks._early) == 2
        checks.set_probes("shop", frozenset())
        await eventually(lambda: not checks._early)
