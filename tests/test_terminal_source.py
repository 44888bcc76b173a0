"""Asking a daemon again and again, and at once when it has news."""

import asyncio
import threading
from pathlib import Path

import pytest

from provider.admin import admin_app
from provider.client import Admin, NoDaemon, Refused
from provider.feed import Feed
from provider.model import Colour
from provider.terminal import source as module
from provider.terminal.source import Source
from tests.running import listening, running
from tests.test_cli_commands import MANUAL, ONE
from tests.waiting import eventually


async def test_a_decision_is_shown_without_waiting_for_the_next_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rounds are an hour apart, so what is seen came by the events."""
    monkeypatch.setattr(module, "REFRESH_S", 3600.0)
    feed, rung = Feed(), threading.Event()
    async with running(tmp_path / "state") as daemon, listening(admin_app(daemon.controller, feed=feed)) as admin:
        daemon.controller.on_decision = feed.put
        daemon.load(ONE)
        await daemon.judge(Colour.BLUE)
        await daemon.until_served(blue=["http://127.0.0.1:8081"])
        source = Source(Admin(admin), "shop")
        await asyncio.to_thread(source.ask)
        assert source.seen.answer["phase"] == "steady"
        assert [row["event"] for row in source.seen.history] == ["first-sight"]
        source.start(rung.set)
        await eventually(lambda: source.seen.is_live)
        daemon.load(MANUAL)
        await daemon.judge(Colour.GREEN)
        await eventually(lambda: source.seen.answer["phase"] == "approval")
        await eventually(lambda: source.seen.history[0]["event"] == "approval-wanted")
        assert rung.is_set()
        feed.close()
    await eventually(lambda: source.seen.trouble is not None and not source.seen.is_live)
    assert source.seen.answer["phase"] == "approval"


async def test_the_first_question_fails_where_there_is_no_daemon_or_no_such_service(tmp_path: Path) -> None:
    with pytest.raises(NoDaemon):
        Source(Admin(f"unix:{tmp_path / 'nowhere'}"), None).ask()
    async with running(tmp_path / "state") as daemon, listening(admin_app(daemon.controller)) as admin:
        with pytest.raises(Refused, match="has no service 'pay'"):
            await asyncio.to_thread(Source(Admin(admin), "pay").ask)
