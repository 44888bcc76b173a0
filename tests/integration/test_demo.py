"""The demo as a newcomer runs it, without a terminal: it tells the truth, ends by itself and leaves nothing behind."""

import asyncio
import io
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import aiohttp
import pytest
from rich.console import Console

from provider.cli.commands import demo as demo_module
from provider.cli.demo import stage
from provider.cli.demo.load import Load
from provider.cli.demo.run import STORIES
from provider.cli.demo.screen import Display
from provider.model import Colour
from provider.traefik.process import LOOPBACK, free_ports
from tests.support.etcd import etcd_program
from tests.support.waiting import eventually

LIMIT_S = 240.0
REPLICAS = "replicas"
CANARY = "canary"
AT_ONCE = sorted(STORIES.keys() - {REPLICAS, CANARY})
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

    def command(self, name: str) -> list[str]:
        """Return a command that it printed, to be run as it is."""
        found = re.search(rf"^  {name} +(.+)$", self.text, re.MULTILINE)
        assert found, self.text
        return shlex.split(found[1])

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


async def first_line(command: list[str]) -> str:
    """Return the first line that a command prints which ends only when it is interrupted; it has to end with 0."""
    process = await asyncio.create_subprocess_exec(*command, stdin=subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode().rstrip()
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    return line


def processes_with(words: str) -> list[str]:
    """Return the command lines with these words."""
    found = []
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it ended just now
            found.append(file.read_text().replace("\0", " "))
    return [line for line in found if words in line]


def assert_nothing_is_left(demo: Demo, pids: set[int]) -> None:
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []
    assert list(demo.folder.iterdir()) == []


@dataclass(frozen=True, slots=True)
class Played:
    """A story that was played to its end."""

    code: int
    text: str
    folder: Path

    @property
    def words(self) -> str:
        """The text as one line."""
        return " ".join(self.text.split())

    def number(self, pattern: str) -> float:
        """Return the number in the first group of a pattern that the text must have."""
        found = re.search(pattern, self.words)
        assert found, self.text
        return float(found[1].replace(",", ""))


@pytest.fixture(scope="module")
def played(traefik_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Played]:
    """Play every story of one daemon, all at once, each in a process of its own."""
    return play(AT_ONCE, traefik_binary, tmp_path_factory)


def play(names: Iterable[str], traefik: Path, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Played]:
    folders = {name: tmp_path_factory.mktemp(name) for name in names}
    processes = {
        name: subprocess.Popen(
            [sys.executable, "-m", "provider", "demo", "--story", name, "--traefik", str(traefik)],
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for name, folder in folders.items()
    }
    try:
        texts = {name: process.communicate(timeout=LIMIT_S)[0] for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.terminate()
            process.wait()
    return {name: Played(processes[name].returncode, texts[name], folder) for name, folder in folders.items()}


def test_the_command_line_offers_every_story() -> None:
    assert tuple(STORIES) == demo_module.STORIES


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_story_ends_by_itself_in_plain_lines_and_leaves_nothing_behind(
    played: Mapping[str, Played], name: str
) -> None:
    assert_it_ended_well(played[name], name)


def assert_it_ended_well(story: Played, name: str) -> None:
    assert story.code == 0, story.text
    assert story.text.startswith(STORIES[name].title)
    assert [letter for letter in story.text if letter != "\n" and not letter.isprintable()] == []
    assert [line for line in story.text.splitlines() if line != line.rstrip()] == []
    assert list(story.folder.iterdir()) == []
    assert processes_with(str(story.folder)) == []


@pytest.mark.parametrize("name", sorted(set(AT_ONCE) - {"bad-release"}))
def test_no_request_fails(played: Mapping[str, Played], name: str) -> None:
    """P3, P7: neither a switch nor a rollback loses a request, and every answer is of a version that had its turn."""
    assert_no_request_failed(played[name])


def assert_no_request_failed(story: Played) -> None:
    requests = story.number(r"([\d,]+) requests, 0 failed\.")
    answers = [int(count.replace(",", "")) for count in re.findall(r"^ *([\d,]+) x \w+ version", story.text, re.M)]
    assert sum(answers) == requests > 0, story.text


def test_a_release_is_proven_before_its_first_request_and_goes_back_by_a_command(played: Mapping[str, Played]) -> None:
    """P1, P3, P7, P9."""
    story = played["release"]
    assert "503, expected 200-399" in story.words
    assert story.number(r"Version 2 had passed (\d+) health checks in a row, and its smoke test, before") >= 3
    assert "All traffic moved to green in one document (revision 1 became 2)" in story.words
    assert re.search(r"Confirmed By Traefik's own API: Traefik at http://127.0.0.1:\d+ shows it", story.words)
    assert "An operator types: bluegreen rollback shop" in story.words
    assert story.number(r"Version 1 answered ([\d.]+) s after the command") < LIMIT_S
    assert "Version 2 is quarantined" in story.words


def test_a_release_passes_one_gate_after_the_other(played: Mapping[str, Played]) -> None:
    """P1, and rules 7 and 8: an approval is for one release, the switch is read back, the release is watched."""
    story = played["gates"]
    wanted = (
        r"Health Passed: \d+ checks in a row",
        r"Smoke Passed: checkout was answered as the file requires",
        r"Preview .* answers: shop version 2 on green\.",
        r"Meanwhile all \d+ production requests reached version 1\.",
        r"The daemon waits: release (?P<release>\w+) waits for approval",
        r"Refused .* the approval is for release \w+, and rollout r1 brings release (?P=release)",
        r"Ann approves release (?P=release)\. Version 2 answered",
        r"Confirmed .* shows it\.",
        r"Watched .* steady\.",
    )
    assert re.search(".*".join(wanted), story.words), story.text


def test_bad_releases_are_found_by_their_tests_and_by_the_watch(played: Mapping[str, Played]) -> None:
    """P1, P9 and rule 8: only requests that the release answered itself have failed."""
    story = played["bad-release"]
    assert "gate smoke of shop: checkout failed on http://127.0.0.1:" in story.words
    assert "bluegreen explain shop says: It waits: release" in story.words
    assert "0 x shop version 2 on green" in story.words
    failed = story.number(r"In between version 3 failed ([\d,]+) requests; no other request failed")
    assert failed > 0
    assert story.number(r"requests, ([\d,]+) failed, all of them answered by the version that went bad") == failed
    assert story.number(r"([\d,]+) x 500: shop version 3 on green: the database is gone") == failed
    assert "minServers" in story.words
    assert story.number(r"([\d,]+) x shop version 4 on green") > 0


def test_the_rollback_target_is_timed_asked_for_twice_and_tried_again(played: Mapping[str, Played]) -> None:
    """P7, and rules 9 and 10."""
    story = played["rollback"]
    assert story.number(r"Version 1 answered ([\d,]+) ms after the command") > 0
    assert re.search(r"The daemon answers: release \w+ of shop is not active any more\. Nothing else", story.words)
    assert "It passed every gate again" in story.words


def test_a_group_moves_as_one(played: Mapping[str, Played]) -> None:
    """P3 and rule 11."""
    story = played["group"]
    assert "so neither switched. The history says: gate smoke of api" in story.words
    assert "Both moved in one document (revision 1 became 2)" in story.words
    assert "0 x api version 2 on green" in story.words
    assert "bluegreen rollback api rolled both back" in story.words
    assert story.number(r"([\d,]+) times both at green, never one new and one old") > 0


@pytest.mark.takes(25)
def test_a_release_goes_on_when_the_leader_of_three_replicas_is_killed(
    traefik_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """P3, P6, and rules 50, 53 and 60."""
    etcd_program()
    story = play([REPLICAS], traefik_binary, tmp_path_factory)[REPLICAS]
    assert_it_ended_well(story, REPLICAS)
    assert_no_request_failed(story)
    wanted = (
        r"Replica a leads",
        r"replica a is killed .*Replica (?P<heir>b|c) leads [\d,]+ ms later, and goes on with the same rollout, r1\.",
        r"It answers through two Traefiks after",
        r"Replica a is started again\. It follows",
        r"which follows: bluegreen rollback shop\. Version 1 answers through all three Traefiks",
        r"The documents of all three replicas only went forward",
    )
    assert re.search(".*".join(wanted), story.words), story.text


@pytest.mark.takes(60)
def test_a_good_release_takes_its_steps_and_a_bad_one_is_taken_back_at_the_first(
    traefik_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Rules 19 and 23, P1, P9: 3 % of errors that no health check sees."""
    story = play([CANARY], traefik_binary, tmp_path_factory)[CANARY]
    assert_it_ended_well(story, CANARY)
    wanted = (
        r"Step 1 5 % wanted; version 2 gave [\d,]+ of [\d,]+ answers",
        r"Step 2 25 % wanted; .* answers, (2[0-9]\.\d) %",
        r"Step 3 50 % wanted",
        r"Switched After the last step version 2 has all of the traffic\. Not one request failed",
        r"Back At the first step, after [\d,]+ of [\d,]+ requests: \d+ clients saw an error",
        r"gate analysis of shop: errors .*evidence \d+ of 200",
    )
    assert re.search(".*".join(wanted), story.words), story.text


def test_no_session_moves_before_the_last_step(played: Mapping[str, Played]) -> None:
    """Rule 21."""
    story = played["sessions"]
    assert "Step 1 25 % of new sessions" in story.words
    assert "All 200 earlier ones came again: 0 moved" in story.words
    assert re.search(r"After the last step the [1-9]\d* sessions of version 1 go on at version 2", story.words)


async def test_ctrl_c_while_three_replicas_start_stops_everything(start_demo: StartDemo) -> None:
    etcd_program()
    demo = await start_demo("--story", REPLICAS)
    await demo.until("Start")
    await eventually(lambda: len(demo.children()) > 3)
    pids = set(demo.children())
    demo.process.send_signal(signal.SIGINT)
    assert await demo.ended() == 1
    assert "interrupted" in demo.text
    assert_nothing_is_left(demo, pids)


async def test_without_etcd_the_story_says_what_to_install(
    start_demo: StartDemo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    demo = await start_demo("--story", REPLICAS)
    assert await demo.ended() == 1
    assert demo.text.startswith("bluegreen: no program 'etcd'")
    assert "apt install etcd-server" in demo.text
    assert demo.text.count("\n") == 1


async def test_kept_the_demo_stays_until_ctrl_c_and_follows_the_file(start_demo: StartDemo) -> None:
    demo = await start_demo("--keep", "--story", "group")
    await demo.until(KEPT)
    pids = set(demo.children())
    assert len(pids) == 2
    async with aiohttp.ClientSession() as session:

        async def ask(name: str) -> str:
            async with session.get(demo.address(name)) as answer:
                assert answer.status == 200
                return await answer.text()

        assert await ask("shop") == "shop version 1 on blue\n"
        assert await ask("api") == "api version 1 on blue\n"
        for name in ("Traefik", "document", "metrics", "admin"):
            assert await ask(name)
        assert "<html" in await ask("console")
        assert "api: blue is active" in await first_line(demo.command("status"))
        demo.edit("active: auto", "active: green")

        async def green() -> bool:
            return await ask("shop") == "shop version 2 on green\n" and await ask("api") == "api version 3 on green\n"

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


async def test_a_daemon_that_dies_is_reported_with_the_end_of_its_log(start_demo: StartDemo) -> None:
    demo = await start_demo()
    await demo.until(UNDER_LOAD)
    pids = set(demo.children())
    os.kill(demo.child("serve"), signal.SIGKILL)
    assert await demo.ended() == 1
    assert "bluegreen: the daemon ended with exit code -9; its log ends with:" in demo.text
    assert "document published" in demo.text
    assert_nothing_is_left(demo, pids)


async def test_a_traefik_that_dies_is_reported(start_demo: StartDemo) -> None:
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
        async with stage.Stage(traefik_binary, STORIES["release"].setting) as playing:
            assert playing.status["active"] == "blue"
            await eventually(lambda: look(playing))
    assert len(asked) == 4


@pytest.mark.parametrize("width", [60, 80])
@pytest.mark.parametrize("story", ["gates", "group"])
async def test_the_live_picture_fits_a_small_terminal(story: str, width: int) -> None:
    """Of 24 lines it leaves some for the story, and no column is cut off; also in the frame below a line of it."""
    playing = stage.Stage(Path("traefik"), STORIES[story].setting)
    status = {
        "phase": "watching",
        "revision": 123_456,
        "weights": {"blue": 100, "green": 0},
        "colours": {colour: {"version": "1", "state": "unhealthy"} for colour in Colour},
        "blocking": "gate smoke of shop: " + "checkout failed on http://127.0.0.1:20000: 500, expected 200; " * 3,
    }
    playing.statuses = dict.fromkeys(playing.setting.services, status)
    drawn = Display(playing, Load("http://127.0.0.1:1", ["/"], playing.waiter), STORIES[story].scenes).frame(width)
    console = Console(width=width, file=io.StringIO())
    for soft_wrap in (False, True):
        with console.capture() as captured:
            console.print(drawn, soft_wrap=soft_wrap)
        lines = captured.get().splitlines()
        assert len(lines) <= 18
        assert max(map(len, lines)) <= width
        header, *rows = next(lines[number:] for number, line in enumerate(lines) if "COLOUR" in line)
        assert header.split() == ["│", "COLOUR", "VERSION", "HEALTH", "DOCUMENT", "TRAEFIK", "ANSWERS", "│"]
        assert rows[0].split()[-8:] == ["1", "unhealthy", "100", "%", "0", "%", "0", "│"]
        assert " > end " in captured.get()


async def look(playing: stage.Stage) -> bool:
    """Tell whether Traefik routes to blue."""
    return await playing.traefik.service(stage.SHOP) is not None
