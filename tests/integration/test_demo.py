"""The demo as a newcomer runs it, without a terminal: it tells the truth, ends by itself and leaves nothing behind."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest

from provider.demo import stage
from provider.traefik import LOOPBACK, free_ports
from tests.waiting import eventually

LIMIT_S = 240.0
UNDER_LOAD = "Load"
KEPT = "  admin "


class Demo:
    """`bluegreen demo` in a process of its own, with a folder of its own for everything temporary."""

    def __init__(self, process: asyncio.subprocess.Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.text = ""

    async def until(self, words: str) -> None:
        """Read what it tells until these words have come."""
        async with asyncio.timeout(LIMIT_S):
            while words not in self.text:
                line = await self._output.readline()
                assert line, f"it ended without {words!r}:\n{self.text}"
                self.text += line.decode()

    async def ended(self) -> int | None:
        """Read the rest, and return the exit code."""
        async with asyncio.timeout(LIMIT_S):
            self.text += (await self._output.read()).decode()
            await self.process.wait()
        return self.process.returncode

    def children(self) -> dict[int, str]:
        """Return the command lines of the processes it started, by id."""
        found = {}
        for status in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(status.read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid:
                    found[int(status.parent.name)] = (status.parent / "cmdline").read_text().replace("\0", " ")
            except OSError:  # it ended just now
                continue
        return found

    def child(self, words: str) -> int:
        """Return the process with these words in its command line."""
        (pid,) = (pid for pid, line in self.children().items() if words in line)
        return pid

    def address(self, name: str) -> str:
        """Return an address that it printed."""
        found = re.search(rf"^  {name} .*?(\S+)$", self.text, re.MULTILINE)
        assert found, self.text
        return found[1]

    def edit(self, old: str, new: str) -> None:
        """Edit the desired-state file."""
        file = Path(self.address("file"))
        file.write_text(file.read_text().replace(old, new))

    @property
    def _output(self) -> asyncio.StreamReader:
        assert self.process.stdout is not None
        return self.process.stdout


class StartDemo(Protocol):
    async def __call__(self, *arguments: str) -> Demo: ...


@pytest.fixture
async def start_demo(traefik_binary: Path, tmp_path: Path) -> AsyncIterator[StartDemo]:
    async with AsyncExitStack() as stack:

        async def start(*arguments: str) -> Demo:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "provider", "demo", "--traefik", str(traefik_binary), *arguments),
                env={**os.environ, "TMPDIR": str(tmp_path)},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.STDOUT,
            )
            demo = Demo(process, tmp_path)

            async def end() -> None:
                if process.returncode is None:
                    process.terminate()
                    await demo.ended()

            stack.push_async_callback(end)
            return demo

        yield start


def assert_nothing_is_left(demo: Demo, pids: set[int]) -> None:
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert list(demo.folder.iterdir()) == []


async def test_the_demo_ends_by_itself_and_no_request_failed(start_demo: StartDemo) -> None:
    """P1, P3: version 2 is proven before its first request, and one document moves all traffic."""
    demo = await start_demo()
    await demo.until(UNDER_LOAD)
    pids = set(demo.children())
    assert len(pids) == 2
    assert await demo.ended() == 0, demo.text
    total = re.search(r"^([\d,]+) requests, 0 failed\.$", demo.text, re.MULTILINE)
    answers = re.search(r"Version 1 on blue answered ([\d,]+), version 2 on green ([\d,]+)\.", demo.text)
    assert total, demo.text
    assert answers, demo.text
    blue, green, requests = (int(count.replace(",", "")) for count in (*answers.groups(), total[1]))
    assert blue > 0
    assert green > 0
    assert blue + green == requests
    told = " ".join(demo.text.split())
    passed = re.search(r"Version 2 had passed (\d+) health checks in a row before the first request", told)
    assert passed, demo.text
    assert int(passed[1]) >= 3
    assert "All traffic moved to green in one document (revision 1 became 2)" in told
    assert "503, wanted 200-399" in told
    assert [character for character in demo.text if character != "\n" and not character.isprintable()] == []
    assert_nothing_is_left(demo, pids)


async def test_kept_the_demo_stays_until_ctrl_c_and_follows_the_file(start_demo: StartDemo) -> None:
    demo = await start_demo("--keep")
    await demo.until(KEPT)
    pids = set(demo.children())
    assert len(pids) == 2
    async with aiohttp.ClientSession() as session:

        async def ask(name: str) -> str:
            async with session.get(demo.address(name)) as answer:
                assert answer.status == 200
                return await answer.text()

        assert await ask("application") == "shop version 1 on blue\n"
        for name in ("Traefik", "document", "metrics", "admin"):
            assert await ask(name)
        demo.edit("active: blue", "active: green")

        async def green() -> bool:
            return await ask("application") == "shop version 2 on green\n"

        await eventually(green)
    demo.process.send_signal(signal.SIGINT)
    assert await demo.ended() == 0, demo.text
    assert " requests, 0 failed." in demo.text
    assert_nothing_is_left(demo, pids)


@pytest.mark.parametrize("words", ["A release", UNDER_LOAD])
async def test_ctrl_c_before_the_end_stops_everything(start_demo: StartDemo, words: str) -> None:
    demo = await start_demo()
    await demo.until(words)
    pids = set(demo.children())
    demo.process.send_signal(signal.SIGINT)
    assert await demo.ended() == 1
    assert "interrupted" in demo.text
    assert_nothing_is_left(demo, pids)


async def test_a_daemon_that_dies_is_told_with_the_end_of_its_log(start_demo: StartDemo) -> None:
    demo = await start_demo()
    await demo.until(UNDER_LOAD)
    pids = set(demo.children())
    os.kill(demo.child("serve"), signal.SIGKILL)
    assert await demo.ended() == 1
    assert "bluegreen: the daemon ended with exit code -9; its log ends with:" in demo.text
    assert "document published" in demo.text
    assert_nothing_is_left(demo, pids)


async def test_a_traefik_that_dies_is_told(start_demo: StartDemo) -> None:
    demo = await start_demo()
    await demo.until(UNDER_LOAD)
    pids = set(demo.children())
    os.kill(demo.child("traefik.yaml"), signal.SIGKILL)
    assert await demo.ended() == 1
    assert "bluegreen: Traefik (" in demo.text
    assert_nothing_is_left(demo, pids)


async def test_ports_that_are_taken_in_the_meantime_are_avoided(
    traefik_binary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first ports that the daemon gets are taken, and so are the first ones of Traefik."""
    with socket.socket() as taken:
        taken.bind((LOOPBACK, 0))
        asked = []

        def ports(count: int) -> tuple[int, ...]:
            asked.append(count)
            free = free_ports(count)
            return (taken.getsockname()[1], *free[1:]) if len(asked) % 2 else free

        monkeypatch.setattr(stage, "free_ports", ports)
        async with stage.Stage(traefik_binary) as playing:
            assert playing.status["active"] == "blue"
            await eventually(lambda: look(playing))
    assert len(asked) == 4


async def look(playing: stage.Stage) -> bool:
    """Tell whether Traefik routes to blue."""
    return await playing.traefik.service(stage.SERVICE) is not None
