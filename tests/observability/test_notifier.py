import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from provider.model import Severity
from provider.observability.notifier import Notifier, Result
from provider.observability.outbox import PENDING_MOST
from provider.observability.sender import NotifyError
from tests.support.notices import notice
from tests.support.waiting import eventually

# Apprise looks through its plugins at the first URL, and one of them imports what a later Python has no more.
pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


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


async def test_a_target_that_is_not_there_is_reported_without_what_its_url_keeps_secret() -> None:
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
from provider.observability.notices import Kind, Notice, NoticeKind
from provider.observability.notifier import Notifier

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


def test_without_a_url_nobody_is_notified_and_no_apprise_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    notifier = Notifier(())
    notifier.put(notice())
    assert notifier.loops() == {}
