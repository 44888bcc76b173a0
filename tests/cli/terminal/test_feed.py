"""Asking a daemon again and again, and at once when it has news."""

import asyncio
import threading
from pathlib import Path

import pytest

from provider.api.admin import admin_app
from provider.api.events import Events
from provider.cli.client.admin_api import Admin, CommandRefused, NoDaemon
from provider.cli.terminal import feed as module
from provider.cli.terminal.feed import Feed
from provider.controller.outputs import Listeners
from provider.model import Colour
from tests.support.operated import MANUAL, ONE
from tests.support.running import listening, running
from tests.support.waiting import eventually


def phase(feed: Feed) -> str:
    answer = feed.latest.answer
    assert "services" not in answer
    return answer["phase"]


async def test_a_decision_is_shown_without_waiting_for_the_next_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rounds are an hour apart, so what is seen came by the events."""
    monkeypatch.setattr(module, "REFRESH_S", 3600.0)
    events, rung = Events(), threading.Event()
    listeners = Listeners(on_decision=events.put)
    async with (
        running(tmp_path / "state", listeners=listeners) as daemon,
        listening(admin_app(daemon.replica, events=events)) as admin,
    ):
        daemon.load(ONE)
        await daemon.judge(Colour.BLUE)
        await daemon.until_served(blue=["http://127.0.0.1:8081"])
        feed = Feed(Admin(admin), "shop")
        await asyncio.to_thread(feed.ask)
        assert phase(feed) == "steady"
        assert [row["event"] for row in feed.latest.history] == ["first-sight"]
        feed.start(rung.set)
        await eventually(lambda: feed.latest.is_live)
        daemon.load(MANUAL)
        await daemon.judge(Colour.GREEN)
        await eventually(lambda: phase(feed) == "approval")
        await eventually(lambda: feed.latest.history[0]["event"] == "approval-wanted")
        assert rung.is_set()
        events.close()
    await eventually(lambda: feed.latest.trouble is not None and not feed.latest.is_live)
    assert phase(feed) == "approval"


async def test_the_first_question_fails_where_there_is_no_daemon_or_no_such_service(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon):
        Feed(Admin(f"unix:{tmp_path / 'nowhere'}"), None).ask()
    async with (
        running(tmp_path / "state") as daemon,
        listening(admin_app(daemon.replica)) as admin,
    ):
        with pytest.raises(CommandRefused, match="has no service 'pay'"):
            await asyncio.to_thread(Feed(Admin(admin), "pay").ask)
