import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st
from structlog.testing import capture_logs

from provider.model import Instant, Severity
from provider.notices import Notice, NoticeKind
from provider.notify import IMPORTANT, PENDING_MOST, Message, Notifier, NotifyError, Outbox, Rate, Result, read_urls
from tests.waiting import eventually

# Apprise looks through its plugins at the first URL, and one of them imports what a later Python has no more.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")

NOON = datetime(2026, 1, 2, 12, 0, tzinfo=UTC)
RATE = Rate(burst=2, every_s=30.0)


def notice(
    title: str = "shop: switched",
    kind: NoticeKind = NoticeKind.SWITCHED,
    service: str | None = "shop",
    severity: Severity = Severity.INFO,
) -> Notice:
    return Notice(service, kind, severity, title, f"Why: {title}\nSee: bluegreen explain {service}")


def at(seconds: float) -> Instant:
    return Instant(1000.0 + seconds, NOON + timedelta(seconds=seconds))


def drain(outbox: Outbox, now: Instant) -> list[Message]:
    messages = []
    while (message := outbox.take(now)) is not None:
        messages.append(message)
    return messages


# --- what is sent, and when ----------------------------------------------------------------------------------------


def test_what_the_rate_allows_is_sent_one_by_one_in_its_order() -> None:
    outbox = Outbox(RATE)
    outbox.put(notice("first"), at(0))
    outbox.put(notice("second"), at(1))
    assert [message.title for message in drain(outbox, at(1))] == ["first", "second"]
    assert outbox.wake_mono_s() is None


def test_what_exceeds_the_rate_waits_and_is_summed_up_in_the_next_message() -> None:
    outbox = Outbox(RATE)
    for number in range(2):
        outbox.put(notice(f"early {number}"), at(0))
    assert len(drain(outbox, at(0))) == 2
    for number in range(3):
        outbox.put(notice(f"late {number}", NoticeKind.ABORTED), at(60 * number / 10))
    assert outbox.take(at(29)) is None
    assert outbox.wake_mono_s() == at(30).mono_s
    assert drain(outbox, at(30)) == [
        Message(
            Severity.INFO,
            "late 2, and 2 more",
            "Why: late 2\nSee: bluegreen explain shop\n\n2 more since 12:00 UTC:\n"
            "12:00 late 0\n    Why: late 0\n12:00 late 1\n    Why: late 1",
        )
    ]


def test_a_service_that_is_noisy_takes_nothing_from_another() -> None:
    outbox = Outbox(RATE)
    for number in range(5):
        outbox.put(notice(f"shop {number}"), at(0))
        drain(outbox, at(0))
    outbox.put(notice("cart", service="cart"), at(0))
    outbox.put(notice("daemon", NoticeKind.NOBODY_POLLS, service=None), at(0))
    assert [message.title for message in drain(outbox, at(0))] == ["cart", "daemon"]


def test_the_gravest_notice_heads_the_summary_and_important_ones_keep_their_commands() -> None:
    outbox = Outbox(Rate(burst=1))
    outbox.put(notice("before"), at(0))
    drain(outbox, at(0))
    outbox.put(notice("approval", NoticeKind.APPROVAL_WANTED, severity=Severity.WARNING), at(1))
    outbox.put(notice("rolled back", NoticeKind.ROLLED_BACK, severity=Severity.CRITICAL), at(2))
    outbox.put(notice("begun", NoticeKind.ROLLOUT_STARTED), at(3))
    (message,) = drain(outbox, at(30))
    assert (message.severity, message.title) == (Severity.CRITICAL, "rolled back, and 2 more")
    approval = "12:00 approval\n    Why: approval\n    See: bluegreen explain shop\n"
    assert message.body.endswith(f"{approval}12:00 begun\n    Why: begun")


def test_what_is_dropped_is_counted_in_the_next_message() -> None:
    outbox = Outbox(RATE, most=3)
    dropped = [outbox.put(notice(f"aborted {number}", NoticeKind.ABORTED), at(0)) for number in range(5)]
    assert dropped == [False, False, False, True, True]
    (message,) = drain(outbox, at(0))
    assert message.title == "aborted 4, and 4 more"
    assert "and 2 that are left out here: bluegreen history" in message.body
    assert "aborted 1" not in message.body


@given(
    kinds=st.lists(st.sampled_from(NoticeKind), max_size=40),
    taken_after=st.sets(st.integers(min_value=0, max_value=40), max_size=4),
)
def test_of_important_notices_the_newest_of_a_kind_is_always_told(
    kinds: list[NoticeKind], taken_after: set[int]
) -> None:
    outbox, messages = Outbox(Rate(burst=1, every_s=10.0)), list[Message]()
    for number, kind in enumerate(kinds):
        outbox.put(notice(f"[{number}]", kind), at(0))
        if number in taken_after:
            messages += drain(outbox, at(number))
    messages += drain(outbox, at(1000))
    told = "\n".join(message.title + message.body for message in messages)
    for kind in IMPORTANT & set(kinds):
        newest = max(number for number, each in enumerate(kinds) if each is kind)
        assert f"[{newest}]" in told
    assert outbox.wake_mono_s() is None


def test_the_outbox_of_a_target_that_is_away_for_long_stays_small() -> None:
    outbox = Outbox(RATE)
    for number in range(1000):
        outbox.put(notice(f"switched {number}"), at(number))
    (message,) = drain(outbox, at(1000))
    assert message.title == "switched 999, and 999 more"
    assert message.body.count("bluegreen explain") == PENDING_MOST


# --- how it is sent ------------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """A service that takes notifications over HTTP, in the way that it is told to."""

    url: str
    statuses: list[int] = field(default_factory=list)
    hangs: bool = False
    received: list[dict[str, str]] = field(default_factory=list)
    arrivals: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def titles(self) -> list[str]:
        return [each["title"] for each in self.received]

    async def take(self, request: web.Request) -> web.Response:
        self.arrivals += 1
        self.arrived.set()
        told = await request.json()
        if self.hangs:
            await self.over.wait()
        status = self.statuses.pop(0) if self.statuses else 200
        if status == 200:
            self.received.append(told)
        return web.Response(status=status)


@asynccontextmanager
async def receiving(*, hangs: bool = False, statuses: list[int] | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver("", hangs=hangs, statuses=statuses or [])
    app = web.Application()
    app.router.add_post("/{path:.*}", receiver.take)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.url = f"{runner.addresses[0][0]}:{runner.addresses[0][1]}"
    try:
        yield receiver
    finally:
        receiver.over.set()
        await runner.cleanup()


async def _await(loop: Callable[[], Awaitable[None]]) -> None:
    await loop()


@asynccontextmanager
async def running(notifier: Notifier) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as tasks:
        loops = [tasks.create_task(_await(loop), name=name) for name, loop in notifier.loops().items()]
        try:
            yield
        finally:
            for task in loops:
                task.cancel()


async def test_a_notice_arrives_with_its_title_text_and_severity() -> None:
    results: list[Result] = []
    async with receiving() as receiver:
        notifier = Notifier((f"json://{receiver.url}/",), on_sent=results.append)
        async with running(notifier):
            notifier.put(notice("shop: rolled back", severity=Severity.CRITICAL))
            await eventually(lambda: results)
    assert results == [Result.SENT]
    (told,) = receiver.received
    assert (told["title"], told["message"], told["type"]) == (
        "shop: rolled back",
        "Why: shop: rolled back\nSee: bluegreen explain shop",
        "failure",
    )


async def test_a_target_that_hangs_keeps_nothing_from_another() -> None:
    results: list[Result] = []
    async with receiving(hangs=True) as stuck, receiving() as well:
        urls = (f"json://{stuck.url}/?rto=600", f"json://{well.url}/")
        notifier = Notifier(urls, on_sent=results.append, send_s=600.0)
        async with running(notifier):
            notifier.put(notice("first"))
            await eventually(lambda: stuck.arrivals)
            notifier.put(notice("second"))
            await eventually(lambda: len(well.received) == 2)
    assert well.titles == ["first", "second"]
    assert stuck.arrivals == 1


async def test_a_send_that_hangs_is_given_up_and_few_of_them_may_hang_at_once() -> None:
    results: list[Result] = []
    async with receiving(hangs=True) as stuck:
        notifier = Notifier((f"json://{stuck.url}/?rto=600",), on_sent=results.append, send_s=0.5, pauses_s=())
        with capture_logs() as logs:
            async with running(notifier):
                for number in range(5):
                    notifier.put(notice(f"switched {number}"))
                await eventually(lambda: results.count(Result.FAILED) == 5)
    assert stuck.arrivals <= 3
    assert "no answer within 0.5 s" in {line.get("cause") for line in logs}
    assert "3 sends of before still hang" in {line.get("cause") for line in logs}


async def test_a_target_that_fails_is_tried_three_times_then_given_up() -> None:
    results: list[Result] = []
    async with receiving(statuses=[500] * 3) as receiver:
        notifier = Notifier((f"json://{receiver.url}/",), on_sent=results.append, pauses_s=(0.01, 0.02))
        with capture_logs() as logs:
            async with running(notifier):
                notifier.put(notice("lost"))
                await eventually(lambda: results)
                notifier.put(notice("arrives"))
                await eventually(lambda: len(results) == 2)
    assert results == [Result.FAILED, Result.SENT]
    assert receiver.arrivals == 4
    assert receiver.titles == ["arrives"]
    assert [line["event"] for line in logs] == [
        "notifications do not arrive",
        "a notification was given up",
        "notifications arrive again",
    ]
    assert "500" in logs[0]["cause"]


async def test_a_target_that_recovers_in_between_gets_its_notice() -> None:
    results: list[Result] = []
    async with receiving(statuses=[503, 503]) as receiver:
        notifier = Notifier((f"json://{receiver.url}/",), on_sent=results.append, pauses_s=(0.01, 0.02))
        async with running(notifier):
            notifier.put(notice("in the end"))
            await eventually(lambda: results)
    assert results == [Result.SENT]
    assert receiver.titles == ["in the end"]


async def test_a_target_that_is_not_there_is_told_of_without_what_its_url_keeps_secret() -> None:
    async with receiving() as receiver:
        closed = receiver.url
    results: list[Result] = []
    notifier = Notifier(
        (f"json://ops:hunter2hunter2@{closed}/hooks/s3cr3t-path?+X-Token=t0ken-value",),
        on_sent=results.append,
        pauses_s=(),
    )
    with capture_logs() as logs:
        async with running(notifier):
            notifier.put(notice("lost"))
            await eventually(lambda: results)
    assert results == [Result.FAILED]
    assert logs[0]["target"] == f"json://ops:****@{closed}"
    assert "onnection" in logs[0]["cause"]
    for secret in ("hunter2", "s3cr3t", "t0ken"):
        assert secret not in repr(logs)


async def test_words_of_the_url_that_apprise_repeats_are_not_logged() -> None:
    """A topic of ntfy's is as good as a password, and Apprise names it when a send fails."""
    async with receiving(statuses=[500]) as receiver:
        results: list[Result] = []
        notifier = Notifier((f"ntfy://{receiver.url}/hunter2hunter2",), on_sent=results.append, pauses_s=())
        with capture_logs() as logs:
            async with running(notifier):
                notifier.put(notice("lost"))
                await eventually(lambda: results)
    assert "topic '****'" in logs[0]["cause"]
    assert "hunter2" not in repr(logs)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#ops", "slack://T...2"),
        ("discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js", "discord://4...8"),
        ("tgram://123456789:abcdefg_hijklmnop/12315544/", "tgram://1...p"),
        ("ntfy://hunter2hunter2", "ntfys://hun..."),
        ("json://hooks:8080/hunter2hunter2", "json://hooks:8080"),
        ("mailtos://ops:hunter2@example.com", "mailtos://ops:****@example.com"),
    ],
)
def test_the_name_of_a_target_shows_no_secret(url: str, name: str) -> None:
    (target,) = Notifier((url,))._targets
    assert target._sender.name == name


async def test_a_url_that_is_given_twice_is_one_target() -> None:
    results: list[Result] = []
    async with receiving() as receiver:
        notifier = Notifier((f"json://{receiver.url}/",) * 2, on_sent=results.append)
        async with running(notifier):
            notifier.put(notice())
            await eventually(lambda: results)
    assert list(notifier.loops()) == ["notify-1"]
    assert len(receiver.received) == 1


async def test_what_no_target_could_take_yet_is_dropped_with_a_count() -> None:
    results: list[Result] = []
    notifier = Notifier(("json://127.0.0.1:9/",), on_sent=results.append)
    for number in range(PENDING_MOST + 2):
        notifier.put(notice(f"{number}"))
    assert results == [Result.DROPPED] * 2


DAEMON = """
import asyncio, signal, sys
import uvloop
from provider.model import Severity
from provider.notices import Notice, NoticeKind
from provider.notify import Notifier

async def main() -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    notifier = Notifier((sys.argv[1],), send_s=600.0)
    notifier.put(Notice("shop", NoticeKind.SWITCHED, Severity.INFO, "shop: switched", "why"))
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(loop()) for loop in notifier.loops().values()]
        await stop.wait()
        for task in running:
            task.cancel()

uvloop.run(main())
"""


async def test_a_send_that_hangs_does_not_keep_the_daemon_from_ending() -> None:
    """The receiver would hold the send for minutes; the process has to be gone long before."""
    async with receiving(hangs=True) as stuck:
        process = await asyncio.create_subprocess_exec(sys.executable, "-c", DAEMON, f"json://{stuck.url}/?rto=600")
        try:
            async with asyncio.timeout(60):
                await stuck.arrived.wait()
                process.send_signal(signal.SIGTERM)
                code = await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        assert not stuck.over.is_set()
    assert code == 0


# --- how it is set up ----------------------------------------------------------------------------------------------


def test_a_url_that_apprise_does_not_understand_is_refused_without_showing_it(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(NotifyError) as refused:
        Notifier(("json://127.0.0.1/", "slakc://T1JJ3T3L2/hunter2"))
    assert str(refused.value).startswith("--notify-url, number 2: Apprise does not understand the slakc:// URL; ")
    assert "hunter2" not in str(refused.value) + "".join(capfd.readouterr())


def test_a_text_that_is_no_url_is_not_shown_either() -> None:
    with pytest.raises(NotifyError, match="does not begin with a scheme") as refused:
        Notifier(("hunter2",))
    assert "hunter2" not in str(refused.value)


def test_without_apprise_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(NotifyError, match=r"-m pip install apprise, or from a clone .*requirements/notify\.txt"):
        Notifier(("json://127.0.0.1/",))


def test_without_a_url_nobody_is_told_and_no_apprise_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    notifier = Notifier(())
    notifier.put(notice())
    assert notifier.loops() == {}


def test_a_file_holds_one_url_a_line(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    path.write_text("# who is told\n\n  json://127.0.0.1:8081/  \njson://127.0.0.1:8082/\r\n", encoding="utf-8")
    assert read_urls(path) == ("json://127.0.0.1:8081/", "json://127.0.0.1:8082/")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"# ops\njson://127.0.0.1/\nslakc://hunter2\n", ":3: Apprise does not understand the slakc:// URL"),
        (b"# nobody yet\n", "holds no URL"),
        (b"json://\xff\xfe", "is no text in UTF-8"),
        (None, "No such file or directory"),
    ],
)
def test_what_is_wrong_with_a_file_is_told_with_its_name_and_line(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "notify"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(NotifyError) as refused:
        read_urls(path)
    assert f"{path}" in str(refused.value)
    assert message in str(refused.value)
    assert "hunter2" not in str(refused.value)
