"""Notifications to systemd, at a socket like systemd's."""

import os
import socket
from pathlib import Path

import pytest

from provider.runtime import systemd
from tests.support.daemon import StartDaemon
from tests.support.running import shop
from tests.support.waiting import eventually


def listen(address: str) -> socket.socket:
    letters = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    letters.setblocking(False)
    letters.bind(address)
    return letters


async def test_a_daemon_is_ready_once_it_answers_and_says_when_it_stops(
    start_daemon: StartDaemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", path)
    with listen(path) as letters:

        def word() -> bytes:
            try:
                return letters.recv(100)
            except BlockingIOError:
                return b""

        daemon = await start_daemon(shop(), start=False)
        await daemon.start(wait=False)
        assert await eventually(word) == b"READY=1"
        assert await daemon.alive()
        assert await daemon.status()
        assert await daemon.stop() == 0
        assert await eventually(word) == b"STOPPING=1"


def test_a_state_reaches_an_abstract_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    with listen(f"\0bluegreen-test-{os.getpid()}") as letters:
        monkeypatch.setenv("NOTIFY_SOCKET", f"@bluegreen-test-{os.getpid()}")
        systemd.notify(systemd.READY)
        assert letters.recv(100) == b"READY=1"


def test_nobody_to_notify_is_no_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify(systemd.READY)
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "none"))
    systemd.notify(systemd.READY)
    assert list(tmp_path.iterdir()) == []
