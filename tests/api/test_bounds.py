"""Nothing from outside is without a bound: peers that send without end, each refused after so many bytes.

How much a peer could send is what is asserted, and not how long it took. docs/security.md has the bounds in one table.
"""

import asyncio
import gzip
import io
import json
import tarfile
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import requests

from provider.checks.health import HealthChecker
from provider.checks.smoke import SmokeTester
from provider.cli.client.admin_api import Admin, NoDaemon
from provider.cli.doctor.facts import traefik as doctor
from provider.config import MAX_BYTES
from provider.config.file import DesiredStateFile
from provider.docker import engine as engines
from provider.docker.engine import BACKLOG_MOST, EVENTS_AT_ONCE, Engine
from provider.model import (
    Colour,
    HealthCheck,
    Probe,
    ProbeMode,
    ServerHealth,
    ServerKey,
    Severity,
    Smoke,
    SmokeRun,
    SmokeTest,
)
from provider.model.errors import DesiredStateError, DockerUnavailable
from provider.model.observed import Result
from provider.observability.outbox import Message as Notification
from provider.observability.sender import NotifyError, read_url, read_urls
from provider.runtime.bounded import VALUES_MOST, Bounds
from provider.runtime.connector import HEAD_BYTES, INFORMATIONAL_MOST
from provider.runtime.files import LARGEST_BYTES, FileRefused, read_text
from provider.store.sqlite.directory import StateDirectory
from provider.traefik.readback import ReadBack, Reading, api
from tests.support.hostile import Answer, answering, chunk, container, endless, engine, ok
from tests.support.waiting import eventually

SOCKETS_BYTES = 24 * 1024 * 1024
"""What may lie in the buffers of sockets on the way, and in one piece that is being sent."""
PIECE = b"x" * 65536
GZIP_BOMB = gzip.compress(b"x" * 64 * 1024 * 1024)


class Sent:
    """Counts what a peer could send."""

    def __init__(self, answer: Answer) -> None:
        self._answer, self.bytes = answer, 0

    def __call__(self, path: str) -> Iterable[bytes]:
        for piece in self._answer(path):
            yield piece
            self.bytes += len(piece)


def always(pieces: Callable[[], Iterable[bytes]]) -> Sent:
    return Sent(lambda _: pieces())


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
MORE = f"more than {INFORMATIONAL_MOST} answers"
HEADS: dict[str, tuple[Callable[[], Iterable[bytes]], str]] = {
    "1xx": (lambda: endless(b"", b"HTTP/1.1 103 Early Hints\r\n\r\n" * 1000), MORE),
    "100": (lambda: endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000), MORE),
    "1xx with headers": (lambda: endless(b"", b"HTTP/1.1 102 P\r\n" + b"a: b\r\n" * 99 + b"\r\n"), "more than"),
    "headers": (lambda: endless(b"HTTP/1.1 200 OK\r\n", b"a: b\r\n" * 10_000), ""),
    "one header": (lambda: endless(b"HTTP/1.1 200 OK\r\na: ", PIECE), ""),
    "a reason": (lambda: endless(b"HTTP/1.1 200 ", PIECE), ""),
    "no HTTP": (lambda: endless(b"", PIECE), ""),
}  # fmt: skip
BODIES: dict[str, Callable[[], Iterable[bytes]]] = {
    "a body": lambda: endless(b"HTTP/1.1 200 OK\r\n\r\n", PIECE),
    "chunks": lambda: endless(CHUNKED, chunk(PIECE)),
    "chunks of a byte": lambda: endless(CHUNKED, chunk(b"x") * 10_000),
    "a huge chunk": lambda: endless(CHUNKED + b"ffffffffff\r\n", PIECE),
    "extensions of a chunk": lambda: endless(CHUNKED + b"1;", PIECE),
    "trailers": lambda: endless(CHUNKED + b"0\r\n", b"a: b\r\n" * 10_000),
    "answers": lambda: endless(b"", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" * 1000),
    "an error": lambda: endless(b"HTTP/1.1 500 No\r\n\r\n", PIECE),
}


# --- health checks and smoke tests ------------------------------------------------------------------------------------


@asynccontextmanager
async def checking(server: str) -> AsyncIterator[tuple[list[Result], list[ServerHealth]]]:
    """Check a server over HTTP, once a minute and for a minute."""
    results: list[Result] = []
    verdicts: list[ServerHealth] = []
    checker = HealthChecker(
        spawn=lambda check, name: asyncio.create_task(check, name=name),
        on_verdict=lambda _, verdict: verdicts.append(verdict),
        on_result=lambda _, result, __: results.append(result),
    )
    check = HealthCheck(ProbeMode.HTTP, interval_s=60.0, timeout_s=60.0, unhealthy_after=1)
    key = ServerKey(server, None, "r1")
    checker.set_probes("shop", frozenset({Probe("shop", Colour.BLUE, key, check, None)}))
    task = asyncio.create_task(checker.run())
    try:
        yield results, verdicts
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.mark.parametrize("pieces", [pieces for pieces, _ in HEADS.values()], ids=HEADS.keys())
async def test_a_head_without_end_fails_a_health_check(pieces: Callable[[], Iterable[bytes]]) -> None:
    sent = always(pieces)
    with answering(sent) as server:
        async with checking(server) as (results, verdicts):
            await eventually(lambda: results)
            assert results == [Result.FAIL]
            assert 0 < len(verdicts[0].cause or "") <= 300
    assert sent.bytes < HEAD_BYTES + SOCKETS_BYTES


@pytest.mark.parametrize("pieces", BODIES.values(), ids=BODIES.keys())
async def test_a_body_without_end_is_read_by_a_health_check_as_far_as_its_bound(
    pieces: Callable[[], Iterable[bytes]],
) -> None:
    sent = always(pieces)
    with answering(sent) as server:
        async with checking(server) as (results, _):
            await eventually(lambda: results)
    assert sent.bytes < SOCKETS_BYTES


async def smoked(server: str, test: SmokeTest) -> Smoke:
    """Make a smoke test, and return the first that is told of it."""
    told: list[Smoke] = []
    tester = SmokeTester(spawn=lambda tests, name: asyncio.create_task(tests, name=name), on_smoke=told.append)
    tester.set_runs("shop", (SmokeRun("shop", Colour.GREEN, "r1", (server,), None, (test,)),))
    task = asyncio.create_task(tester.run())
    try:
        await eventually(lambda: told)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return told[0]


@pytest.mark.parametrize(
    "pieces", [*(pieces for pieces, _ in HEADS.values()), *BODIES.values()], ids=[*HEADS.keys(), *BODIES.keys()]
)
async def test_an_answer_without_end_passes_no_smoke_test(pieces: Callable[[], Iterable[bytes]]) -> None:
    """P2: what is not read to its end was not found in it."""
    sent = always(pieces)
    with answering(sent) as server:
        told = await smoked(server, SmokeTest("home", contains="welcome", timeout_s=60.0))
    assert told.results[0].passed is not True
    assert sent.bytes < SOCKETS_BYTES


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "rot13", "zlib", "bz2", "utf-7", "x" * 5000])
async def test_an_answer_in_a_charset_of_pythons_own_is_read_as_utf8(charset: str) -> None:
    """Rule 3 of evidence: punycode took minutes for a megabyte, in which nobody was answered."""
    body = b"welcome " + b"a-" * 500_000
    with answering(lambda _: [ok(body, f"text/html; charset={charset}")]) as server:
        told = await smoked(server, SmokeTest("home", contains="welcome", timeout_s=60.0))
    assert [result.passed for result in told.results] == [True]


@pytest.mark.parametrize(
    "charset", ["ISO-8859-1", "latin1", "windows-1252", "Shift_JIS", "utf-16", "GBK", "koi8-r", "UTF8"]
)
async def test_an_answer_in_a_charset_of_the_web_is_read_in_it(charset: str) -> None:
    word = "grün" if charset.lower() in {"iso-8859-1", "latin1", "windows-1252", "utf-16", "utf8"} else "я"
    body = word.encode(charset)
    with answering(lambda _: [ok(body, f'text/html; charset="{charset}"')]) as server:
        told = await smoked(server, SmokeTest("home", contains=word, timeout_s=60.0))
    assert [result.passed for result in told.results] == [True]


# --- Traefik's API ----------------------------------------------------------------------------------------------------


async def unusable(url: str) -> str:
    """Read back from an API until it has a cause against it, and return that."""
    causes: list[str | None] = []

    def hear(reading: Reading) -> None:
        causes.append(reading.cause)

    back = ReadBack(on_reading=hear, on_gone=lambda _: None)
    back.set_apis((url,))
    task = asyncio.create_task(back.run())
    try:
        await eventually(lambda: causes)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    return causes[0] or ""


@pytest.mark.parametrize(
    ("pieces", "cause"),
    [*HEADS.values(), *((pieces, "") for pieces in BODIES.values())],
    ids=[*HEADS.keys(), *BODIES.keys()],
)
async def test_an_answer_without_end_of_traefiks_api_is_given_up(
    monkeypatch: pytest.MonkeyPatch, pieces: Callable[[], Iterable[bytes]], cause: str
) -> None:
    monkeypatch.setattr(api, "RAW_DATA_BYTES", 1024 * 1024)
    monkeypatch.setattr(api, "TRANSFER_BYTES", 2 * 1024 * 1024)
    sent = always(pieces)
    with answering(sent) as url:
        told = await unusable(url)
        assert told
        assert cause in told
    assert sent.bytes < 2 * 1024 * 1024 + SOCKETS_BYTES


async def test_an_answer_of_traefiks_api_with_too_many_values_is_not_parsed() -> None:
    body = b'{"services": {"a@http": {"error": [' + b"[]," * (VALUES_MOST // 2) + b"[]]}}}"
    with answering(lambda _: [ok(body)]) as url:
        assert "more values than any Traefik's" in await unusable(url)


def test_a_dump_of_traefiks_that_unpacks_to_gigabytes_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "DUMP_BYTES", 1024 * 1024)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, size in (("dynamic.json", 64 * 1024 * 1024), (doctor.STATIC, 2)):
            entry = tarfile.TarInfo(name)
            entry.size = size
            archive.addfile(entry, io.BytesIO(b"{" + b" " * (size - 2) + b"}"))
    with pytest.raises(ValueError, match=doctor.STATIC):
        doctor.static_settings(packed.getvalue())


# --- Docker -----------------------------------------------------------------------------------------------------------

LISTS: dict[str, tuple[Callable[[], Iterable[bytes]], str]] = {
    **{name: (pieces, "") for name, (pieces, _) in HEADS.items()},
    **{name: (pieces, "") for name, pieces in BODIES.items() if name != "answers"},
    "compressed": (
        lambda: [ok(GZIP_BOMB, more="Content-Encoding: gzip\r\n")],
        "is compressed, which was not requested",
    ),
    "values": (lambda: [ok(b"[" + b"[]," * VALUES_MOST + b"[]]")], "has more values than any engine's"),
    "depth": (lambda: [ok(b"[" * 100_000 + b"]" * 100_000)], ""),
    "no JSON": (lambda: [ok(b"\xff" * 1_000_000, "text/html")], ""),
}


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name == engines.THREAD]


def asks(answer: Answer, path: Path) -> Any:
    return answering(answer, path / "docker.sock")


@pytest.mark.parametrize(("pieces", "cause"), LISTS.values(), ids=LISTS.keys())
async def test_an_answer_without_end_of_an_engine_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: Callable[[], Iterable[bytes]], cause: str
) -> None:
    """Endless answers took 5 to 12 GB. Nothing goes on in a thread afterwards."""
    monkeypatch.setattr(engines, "ANSWER_BYTES", 8 * 1024 * 1024)
    sent = always(pieces)
    good = engine([])

    def answer(path: str) -> Iterable[bytes]:
        return sent(path) if path.partition("?")[0].endswith("/containers/json") else good(path)

    with asks(answer, tmp_path) as url:
        connection = await Engine(url, timeout_s=3.0, silence_s=60.0).connect()
        with pytest.raises(DockerUnavailable) as refused:
            await connection.ask(lambda client: client.containers())
        connection.close()
        assert cause in str(refused.value)
        assert len(str(refused.value)) < 1000
        await eventually(lambda: threads() == [])
    assert sent.bytes < 8 * 1024 * 1024 + SOCKETS_BYTES


@pytest.mark.parametrize("place", ["/version", "/_ping", "/containers/json"])
async def test_an_engine_that_sends_a_byte_now_and_then_is_given_up_with_its_thread(tmp_path: Path, place: str) -> None:
    """A limit for each read never ends it."""
    good, given_up = engine([]), threading.Event()

    def drips() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n"
        while not given_up.wait(0.05):
            yield b" "

    def answer(path: str) -> Iterable[bytes]:
        return drips() if path.partition("?")[0].endswith(place) else good(path)

    with asks(answer, tmp_path) as url:
        followed = Engine(url, timeout_s=0.5, silence_s=60.0)
        with pytest.raises(DockerUnavailable, match=r"no answer within 0\.5 s"):
            await (await followed.connect()).ask(lambda client: client.containers())
        await eventually(lambda: threads() == [])
        given_up.set()


EVENT_STREAMS: dict[str, Callable[[], Iterable[bytes]]] = {
    "a line": lambda: endless(b"", chunk(PIECE)),
    "a chunk": lambda: endless(b"ffffffffff\r\n", PIECE),
    "a line, byte by byte": lambda: endless(b"", chunk(b"x") * 10_000),
    "extensions": lambda: endless(b"1;", PIECE),
    "depth": lambda: [chunk(b"[" * 500_000 + b"\n")],
    "no JSON": lambda: [chunk(b"\xff\xfe\n")],
    "a number": lambda: [chunk(b"9" * 5000 + b"\n")],
}


@pytest.mark.parametrize("pieces", EVENT_STREAMS.values(), ids=EVENT_STREAMS.keys())
async def test_an_event_without_end_breaks_its_stream(tmp_path: Path, pieces: Callable[[], Iterable[bytes]]) -> None:
    sent, ended = Sent(lambda _: pieces()), asyncio.Event()
    with asks(engine([], sent), tmp_path) as url:
        connection = await Engine(url, timeout_s=5.0, silence_s=60.0).connect()
        stream = await connection.subscribe(("container",), lambda _: None, ended.set)
        async with asyncio.timeout(60):
            await ended.wait()
        with pytest.raises(DockerUnavailable, match="the event stream broke"):
            stream.check()
        stream.close()
        connection.close()
    assert sent.bytes < engines.EVENT_BYTES + SOCKETS_BYTES


async def test_events_up_to_the_bound_are_taken_whatever_chunks_they_come_in(tmp_path: Path) -> None:
    events = [{"n": number, "label": "x" * 300_000} for number in range(8)]
    text = b"".join(json.dumps(event).encode() + b"\n" for event in events)
    cut = [chunk(text[start : start + 9_999]) for start in range(0, len(text), 9_999)]
    taken: list[Any] = []
    with asks(engine([], lambda _: cut), tmp_path) as url:
        connection = await Engine(url, timeout_s=5.0, silence_s=60.0).connect()
        stream = await connection.subscribe(("container",), lambda came: taken.extend(came or ()), lambda: None)
        await eventually(lambda: taken == events)
        stream.check()
        stream.close()
        connection.close()


async def test_a_storm_of_events_lets_everybody_else_have_a_turn(tmp_path: Path) -> None:
    """A storm held the loop for 12.7 s: each event was a call that waited for its turn before anything else."""
    count = 3 * BACKLOG_MOST
    storm = b"".join(chunk(b'{"n": %d}\n' % number) for number in range(count))
    turns, sizes, came_at = [0], list[int](), list[int]()

    def take(came: Any) -> None:
        sizes.append(len(came or ()))
        came_at.append(turns[0])

    async def others() -> None:
        while True:
            await asyncio.sleep(0)
            turns[0] += 1

    with asks(engine([], lambda _: [storm]), tmp_path) as url:
        beside = asyncio.create_task(others())
        connection = await Engine(url, timeout_s=5.0, silence_s=60.0).connect()
        stream = await connection.subscribe(("container",), take, lambda: None)
        await eventually(lambda: sum(sizes) == count)
        beside.cancel()
        stream.close()
        connection.close()
    assert max(sizes) <= EVENTS_AT_ONCE
    assert len(set(came_at)) >= count // EVENTS_AT_ONCE


async def test_a_backlog_that_overflows_asks_for_a_list_and_holds_its_reader_back() -> None:
    taken: list[Any] = []
    backlog = engines._Backlog(taken.append)

    def read() -> None:
        for number in range(BACKLOG_MOST + 10):
            backlog.put(number)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    while len(backlog._waiting) < BACKLOG_MOST:  # without giving the loop a turn, as when it is busy
        reader.join(0.01)
    assert reader.is_alive()
    await eventually(lambda: None in taken and not reader.is_alive() and not backlog._waiting)
    came = [event for some in taken if some is not None for event in some]
    assert came == list(range(BACKLOG_MOST + 10))


async def test_hanging_questions_are_counted_and_no_more_are_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "HANGING_MOST", 0)
    with asks(engine([]), tmp_path) as url, pytest.raises(DockerUnavailable, match="still hang"):
        await Engine(url, timeout_s=5.0, silence_s=60.0).connect()


# --- notification services, and the daemon as its clients see it ------------------------------------------------------


@pytest.mark.parametrize("name", ["a body", "chunks", "a huge chunk", "headers", "100"])
@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")
def test_a_notification_service_that_answers_without_end_is_given_up(name: str) -> None:
    sent = always(BODIES[name] if name in BODIES else HEADS[name][0])
    with answering(sent) as url:
        sender = read_url(url.replace("http://", "json://"), "here")
        cause = sender.send(Notification(Severity.INFO, "title", "body"))
    assert cause
    assert sent.bytes < SOCKETS_BYTES


@pytest.mark.parametrize(
    "pieces", [*(pieces for pieces, _ in HEADS.values()), *BODIES.values()], ids=[*HEADS.keys(), *BODIES.keys()]
)
def test_a_client_of_what_is_no_daemon_reads_so_much_of_it(
    monkeypatch: pytest.MonkeyPatch, pieces: Callable[[], Iterable[bytes]]
) -> None:
    monkeypatch.setattr("provider.cli.client.admin_api.ANSWER_BYTES", 1024 * 1024)
    sent = always(pieces)
    with answering(sent) as url, pytest.raises(NoDaemon):
        Admin(url).services()
    assert sent.bytes < 1024 * 1024 + SOCKETS_BYTES


def test_only_what_is_read_within_bounds_is_bounded() -> None:
    body = b"x" * 300_000
    with answering(lambda _: [ok(body)]) as url:
        with Bounds(100_000, 60.0).in_force(), pytest.raises(requests.RequestException):
            requests.get(url, timeout=30)
        assert requests.get(url, timeout=30).content == body


# --- files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content", [b"x" * (LARGEST_BYTES + 1), b"\xff", b"\xed\xa0\x80"], ids=["large", "byte", "half"]
)
def test_a_file_that_is_too_large_or_no_text_is_refused_by_its_name(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(FileRefused, match=str(path)):
        read_text(path)
    with pytest.raises(NotifyError, match=str(path)):
        read_urls(path)


def test_a_device_is_read_as_far_as_the_bound() -> None:
    with pytest.raises(FileRefused, match="larger than 1 MiB"):
        read_text(Path("/dev/zero"))


def test_who_holds_a_state_directory_is_reported_in_a_line_whatever_stands_there(tmp_path: Path) -> None:
    """Older versions wrote the command line, with the URLs of notifications in it."""
    for written in (b"pid 7 on here: bluegreen serve --notify-url slack://t0ken/a/b\n", b"\xff" * 10_000_000, b""):
        (tmp_path / "lock").write_bytes(written)
        holder = StateDirectory(tmp_path).holder()
        assert holder == ("pid 7 on here" if written.startswith(b"pid") else "an unknown process")


def test_the_hostile_engine_is_one_that_a_daemon_follows() -> None:
    """Else what is tested above would be that nobody listens."""
    assert list(engine([container("a")])("/v1.41/containers/json?all=0"))


def test_a_desired_state_file_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "production.yaml"
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(DesiredStateError, match="5 MiB at most"):
        DesiredStateFile(path).read()
    with pytest.raises(DesiredStateError, match="is not a regular file"):
        DesiredStateFile(Path("/dev/zero")).read()
