"""A whole daemon in a process of its own, with its file, its state, and what it answers."""

import asyncio
import re
import signal
import sys
import textwrap
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import aiohttp
import orjson
import pytest

from provider.traefik.process import LOOPBACK, free_ports
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from tests.support.traefik import StartBackend

FAST_CHECKS = "{interval: 100ms, timeout: 2s, healthyAfter: 2, unhealthyAfter: 2}"


class StartDaemon(Protocol):
    """Start a daemon on this desired-state text; `docker` is an engine's URL, None for none.

    `state` is its state directory, by default a new one; `flags` are further ones of `bluegreen serve`.
    """

    async def __call__(
        self,
        text: str,
        *flags: str,
        docker: str | None = None,
        state: Path | None = None,
        start: bool = True,
    ) -> "Daemon": ...


class Daemon:
    """`bluegreen serve` on loopback ports; it may be killed, and started again on the same state and ports."""

    def __init__(self, folder: Path, text: str, docker: str | None, state: Path | None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file = folder / "desired.yaml"
        self.state = state or folder / "state"
        self.log = folder / "log"
        self.write(text)
        port, admin_port = free_ports(2)
        self.url, self.admin_url = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{admin_port}"
        self.endpoint = f"{self.url}/traefik"
        self.arguments = [
            *("--desired-state", str(self.file), "--state-dir", str(self.state)),
            *("--listen", f"{LOOPBACK}:{port}", "--admin-listen", f"{LOOPBACK}:{admin_port}"),
            *("--docker", docker or "none"),
        ]
        self.prefix: tuple[str, ...] = ()
        """What starts the process, such as a shell that lowers its limits."""
        self.process: asyncio.subprocess.Process | None = None

    def write(self, text: str) -> None:
        """Replace the desired-state file as an editor does, in one step."""
        new = self.file.with_suffix(".new")
        new.write_text(textwrap.dedent(text))
        new.replace(self.file)

    async def start(self, *, wait: bool = True) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(*self.prefix, sys.executable, "-m", "provider", "serve", *self.arguments), stdout=log, stderr=log
            )
        if wait:
            await eventually(self.alive)

    async def refuses_to_start(self) -> tuple[int, str]:
        """Start, and wait until it ends by itself; return its exit code and what it said."""
        await self.start(wait=False)
        process, self.process = self.process, None
        assert process is not None
        async with asyncio.timeout(60):
            return await process.wait(), self.words()

    async def kill(self) -> None:
        """End the process as a power cut does."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """Ask the process to end; return its exit code."""
        return await self._end(signal.SIGTERM)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Stop the process, as on a paused machine, until the block is left."""
        assert self.process is not None, "the daemon does not run"
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)

    async def _end(self, number: signal.Signals) -> int:
        process, self.process = self.process, None
        assert process is not None, "the daemon does not run"
        if process.returncode is None:
            process.send_signal(number)
        return await process.wait()

    async def alive(self) -> bool:
        assert self.process is not None
        assert self.process.returncode is None, self.words()
        status, _, _ = await self.get("/healthz")
        return status == 200

    async def get(
        self, path: str, *, base: str | None = None, host: str | None = None
    ) -> tuple[int, bytes, Mapping[str, str]]:
        """Ask the provider listener, or what is at `base`; status 0 when nothing listens."""
        headers = {"Host": host} if host else {}
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get((base or self.url) + path, headers=headers) as answer,
            ):
                return answer.status, await answer.read(), answer.headers
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
            return 0, b"", {}

    async def document(self) -> dict[str, Any]:
        """Return the document, {} while there is none."""
        status, body, _ = await self.get("/traefik")
        return dict(orjson.loads(body)) if status == 200 else {}

    async def status(self, service: str | None = None) -> dict[str, Any]:
        """Return the status of a service, or of everything."""
        path = f"/api/v1/services/{service}" if service else "/api/v1/services"
        status, body, _ = await self.get(path, base=self.admin_url)
        return dict(orjson.loads(body)) if status == 200 else {}

    async def command(self, service: str, verb: str, **body: object) -> tuple[int, dict[str, Any]]:
        """Command over the admin API; status 0 when nothing listens, or the connection broke."""
        url = f"{self.admin_url}/api/v1/services/{service}/{verb}"
        try:
            async with aiohttp.ClientSession() as session, session.post(url, json=body) as answer:
                return answer.status, dict(orjson.loads(await answer.read()))
        except (aiohttp.ClientConnectionError, aiohttp.ClientPayloadError):
            return 0, {}

    async def history(self, service: str, event: str | None = None, **values: object) -> list[dict[str, Any]]:
        """Return the decisions on a service, newest first: those of an event, with these values."""
        status, body, _ = await self.get(f"/api/v1/history?service={service}&limit=1000", base=self.admin_url)
        rows = orjson.loads(body)["history"] if status == 200 else []
        return [row for row in rows if event in {None, row["event"]} and values.items() <= row.items()]

    async def until_event(self, service: str, event: str, **values: object) -> dict[str, Any]:
        """Wait for a decision on a service; return the newest such."""

        async def look() -> dict[str, Any]:
            found = await self.history(service, event, **values)
            assert found, f"{await self.status(service)}\n{self.words()}"
            return found[0]

        return await eventually(look)

    async def until(self, service: str, *, limit_s: float = 60.0, **wanted: object) -> dict[str, Any]:
        """Wait until the status of a service has these values; return it."""

        async def look() -> dict[str, Any]:
            found = await self.status(service)
            assert {key: found.get(key) for key in wanted} == wanted, f"{found}\n{self.words()}"
            return found

        return await eventually(look, limit_s=limit_s)

    async def condition(self, code: str) -> dict[str, Any] | None:
        """Return a condition of the whole daemon, None while it does not hold."""
        found = [one for one in (await self.status()).get("conditions", ()) if one["code"] == code]
        return dict(found[0]) if found else None

    async def until_condition(self, code: str, *, holds: bool = True) -> dict[str, Any]:
        """Wait until a condition of the whole daemon holds, or holds no more; return it."""

        async def look() -> dict[str, Any]:
            status = await self.status()
            found = {one["code"]: one for one in status.get("conditions", ())}
            assert status, self.words()
            assert (code in found) is holds, f"{found}\n{self.words()}"
            return dict(found.get(code, {"code": code}))

        return await eventually(look)

    async def metric(self, name: str, **labels: str) -> float | None:
        """Return one sample of a scrape, None where there is none."""
        _, body, _ = await self.get("/metrics")
        for line in body.decode().splitlines():
            match = re.fullmatch(rf"{re.escape(name)}(?:\{{(.*)\}})? (\S+)", line)
            if match and dict(re.findall(r'(\w+)="([^"]*)"', match[1] or "")) == labels:
                return float(match[2])
        return None

    async def until_checked(self, count: int) -> None:
        """Wait until so many further health checks have passed."""

        async def passed() -> float:
            _, body, _ = await self.get("/metrics")
            found = re.findall(
                r'^bluegreen_health_checks_total\{.*result="pass".*\} (\S+)$', body.decode(), re.MULTILINE
            )
            return sum(map(float, found))

        async def look() -> bool:
            return await passed() >= wanted

        wanted = await passed() + count
        await eventually(look)

    def logged(self, event: str, **values: object) -> list[dict[str, Any]]:
        """Return the lines of the log about an event, with these values."""
        lines = [orjson.loads(line) for line in self.log.read_bytes().splitlines() if line[:1] + line[-1:] == b"{}"]
        return [line for line in lines if line["event"] == event and values.items() <= line.items()]

    def words(self) -> str:
        """Return the end of the log."""
        return self.log.read_text()[-4000:] if self.log.exists() else ""


class Poll(NamedTuple):
    """What one poll brought: revision 0 and no document where nothing answered."""

    at_s: float
    revision: int
    document: bytes


class Watcher:
    """Polls a daemon without a pause, whether it runs or not."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.polls: list[Poll] = []

    @property
    def answers(self) -> list[Poll]:
        return [poll for poll in self.polls if poll.revision]

    @property
    def documents(self) -> list[dict[str, Any]]:
        """The documents in the order in which they were published."""
        return [orjson.loads(body) for body in dict.fromkeys(poll.document for poll in self.answers)]

    async def until_gone(self) -> None:
        """Wait for a poll without an answer: all answers of the last process have arrived."""
        await eventually(lambda: self.polls and not self.polls[-1].revision)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            _, document, headers = await self._daemon.get("/traefik?hold=0")
            self.polls.append(Poll(time.monotonic(), int(headers.get("X-Bluegreen-Revision", 0)), document))
            await asyncio.sleep(0.01)


def colours(document: Mapping[str, Any]) -> dict[str, str]:
    """Return the colour that has all the traffic of each service in a document."""
    found = {}
    for name, body in document.get("http", {}).get("services", {}).items():
        if "weighted" in body:
            (child,) = body["weighted"]["services"]
            found[name] = child["name"].removeprefix(f"{name}-")
    return found


@pytest.fixture
async def start_daemon(tmp_path: Path, start_backend: "StartBackend") -> AsyncIterator[StartDaemon]:
    """Start daemons; they end before the backends that they check."""
    async with AsyncExitStack() as stack:
        count = 0

        async def start(
            text: str, *flags: str, docker: str | None = None, state: Path | None = None, start: bool = True
        ) -> Daemon:
            nonlocal count
            count += 1
            daemon = Daemon(tmp_path / f"daemon-{count}", text, docker, state)
            daemon.arguments += flags

            async def end() -> None:
                if daemon.process is not None and daemon.process.returncode is None:
                    await daemon.kill()

            stack.push_async_callback(end)
            if start:
                await daemon.start()
            return daemon

        yield start
