"""`status --watch` as its user has it: on a real pseudo-terminal, against a real admin listener."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from provider.api.admin import admin_app
from provider.api.events import Events
from provider.controller.outputs import Listeners
from provider.model import Colour
from tests.support.operated import MANUAL, ONE
from tests.support.running import Running, listening, running, shop
from tests.support.waiting import eventually

ENTERED, LEFT, CURSOR_SHOWN = b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?25h"
HOME = b"\x1b[H"
CONTROL = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A pseudo-terminal on which a command draws."""

    def __init__(self, width: int, height: int) -> None:
        self.output = b""
        self.master, self.slave = pty.openpty()
        self.resize(width, height)
        os.set_blocking(self.master, False)

    def resize(self, width: int, height: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))

    def press(self, keys: str) -> None:
        os.write(self.master, keys.encode())

    def is_echoing(self) -> bool:
        return bool(termios.tcgetattr(self.slave)[3] & termios.ECHO)

    def read(self) -> bytes:
        try:
            while got := os.read(self.master, 65536):
                self.output += got
        except BlockingIOError:
            pass
        return self.output

    def lines(self) -> list[str]:
        """Return what is on the screen: the last frame that is whole."""
        frames = self.read().split(HOME)
        frame = frames[-1] if len(frames) < 3 or LEFT in frames[-1] else frames[-2]
        return CONTROL.sub(b"", frame).decode(errors="replace").replace("\r", "").split("\n")

    async def shows(self, *words: str) -> list[str]:
        """Wait until all of these words are on the screen."""

        def look() -> list[str]:
            lines = self.lines()
            text = "\n".join(lines)
            assert all(word in text for word in words), text
            return lines

        return await eventually(look)


@contextmanager
def terminal(width: int = 80, height: int = 24) -> Iterator[Terminal]:
    made = Terminal(width, height)
    try:
        yield made
    finally:
        os.close(made.master)
        os.close(made.slave)


@asynccontextmanager
async def watching(screen: Terminal, admin: str, *arguments: str) -> AsyncIterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, "BLUEGREEN_ADMIN": admin, "TERM": "xterm-256color", "COLUMNS": "200"}
    process = subprocess.Popen(  # noqa: ASYNC220  it draws on its own
        (sys.executable, "-m", "provider", "status", "--watch", *arguments),
        stdin=screen.slave,
        stdout=screen.slave,
        stderr=screen.slave,
        env=environment,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


async def ended(process: subprocess.Popen[bytes]) -> int:
    def look() -> bool:
        return process.poll() is not None

    await eventually(look)
    return process.returncode


def assert_put_right(screen: Terminal) -> None:
    output = screen.read()
    assert output.count(ENTERED) == output.count(LEFT) > 0
    assert CURSOR_SHOWN in output[output.rindex(LEFT) - 100 :]
    assert b"Traceback" not in output
    assert screen.is_echoing()


@asynccontextmanager
async def daemon_at(folder: Path, socket: Path) -> AsyncIterator[Running]:
    events = Events()
    async with (
        running(folder, listeners=Listeners(on_decision=events.put)) as daemon,
        listening(admin_app(daemon.replica, events=events), socket),
    ):
        try:
            yield daemon
        finally:
            events.close()


async def test_a_rollout_is_followed_and_a_lost_daemon_is_reported_and_regained(tmp_path: Path) -> None:
    state, socket = tmp_path / "state", tmp_path / "admin.sock"
    async with AsyncExitStack() as stack:
        screen = stack.enter_context(terminal())
        async with daemon_at(state, socket) as daemon:
            daemon.load(ONE)
            await daemon.judge(Colour.BLUE)
            await daemon.until_served(blue=["http://127.0.0.1:8081"])
            process = await stack.enter_async_context(watching(screen, f"unix:{socket}", "shop"))
            await screen.shows("shop  production", "● live", "● blue", "active", "no rollout is under way")
            assert not screen.is_echoing()
            daemon.load(MANUAL)
            await daemon.judge(Colour.GREEN)
            lines = await screen.shows("[approval]", "▸ release", "waits for approval", "○ r1: brings release")
            assert len(lines) <= 24
            assert all(len(line) <= 80 for line in lines)
            screen.resize(60, 12)
            process.send_signal(signal.SIGWINCH)
            await screen.shows("phase [approval], 3 of 6")
            screen.resize(80, 24)
        await screen.shows("✗ LOST, last answer", "no daemon answers at", "[approval]")
        async with daemon_at(state, socket) as daemon:
            daemon.load(MANUAL)
            for colour in Colour:
                await daemon.judge(colour)
            await screen.shows("● live", "[approval]")
        process.send_signal(signal.SIGINT)
        assert await ended(process) == 0
        assert_put_right(screen)


async def test_q_ends_it_and_ctrl_z_gives_the_terminal_back_for_a_while(tmp_path: Path) -> None:
    async with daemon_at(tmp_path / "state", tmp_path / "admin.sock") as daemon:
        daemon.load(shop(green="8082", more="    initial: blue\n"))
        with terminal(100, 30) as screen:
            async with watching(screen, f"unix:{tmp_path / 'admin.sock'}") as process:
                await screen.shows("bluegreen  production", "SERVICE", "shop")
                process.send_signal(signal.SIGTSTP)

                def is_stopped() -> bool:
                    text = Path(f"/proc/{process.pid}/stat").read_text()
                    return text.rpartition(")")[2].split()[0] == "T"

                await eventually(is_stopped)
                assert_put_right(screen)
                process.send_signal(signal.SIGCONT)
                await eventually(lambda: screen.read().count(ENTERED) == 2)
                await eventually(lambda: not screen.is_echoing())
                screen.press("xq")
                assert await ended(process) == 0
            assert_put_right(screen)


async def test_sigterm_puts_the_terminal_right_and_is_reported_by_the_exit_code(tmp_path: Path) -> None:
    async with daemon_at(tmp_path / "state", tmp_path / "admin.sock") as daemon:
        daemon.load(ONE)
        with terminal() as screen:
            async with watching(screen, f"unix:{tmp_path / 'admin.sock'}") as process:
                await screen.shows("SERVICE")
                process.terminate()
                assert await ended(process) == 128 + signal.SIGTERM
            assert_put_right(screen)


async def test_in_a_pipe_each_change_is_a_line(tmp_path: Path) -> None:
    async with daemon_at(tmp_path / "state", tmp_path / "admin.sock") as daemon:
        daemon.load(ONE)
        command = (sys.executable, "-m", "provider", "status", "--watch", "--admin", f"unix:{tmp_path / 'admin.sock'}")
        process = await asyncio.create_subprocess_exec(
            *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        text = ""

        async def until(words: str) -> None:
            nonlocal text
            assert process.stdout is not None
            async with asyncio.timeout(60):
                while words not in text:
                    line = (await process.stdout.readline()).decode()
                    assert line
                    text += line

        await until("shop: blue is active")
        await daemon.judge(Colour.BLUE)
        await until("blue 100%")
        await until("healthy 1/1")
        daemon.load(MANUAL)
        await daemon.judge(Colour.GREEN)
        await until("waits for approval")
        process.send_signal(signal.SIGINT)
        rest, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert "\x1b" not in text + rest.decode()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ ", line) for line in text.splitlines())
