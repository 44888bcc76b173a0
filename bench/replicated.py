"""Replicas of the daemon over three nodes of etcd, each in a process of its own, that are killed and frozen."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import orjson

from bench.machine import program
from bench.processes import LOOK_S, listens, monotonic_s, running, until
from provider.model import Colour
from provider.traefik.process import LOOPBACK, free_ports

if TYPE_CHECKING:
    import subprocess

NAMES = ("a", "b", "c")
PREFIX = "/bluegreen/bench"
SERVICE = "shop"
SETTLE_S = 3.0
LIMIT_S = 120.0


@dataclass(frozen=True, slots=True)
class Node:
    """A running node of etcd."""

    pid: int
    address: str

    async def counted(self, *names: str) -> list[float]:
        """Return these counters of its metrics."""
        async with aiohttp.ClientSession() as session, session.get(f"http://{self.address}/metrics") as answer:
            text = await answer.text()
        found = [re.search(rf"^{name} (\S+)$", text, re.MULTILINE) for name in names]
        return [float(one[1]) if one is not None else 0.0 for one in found]


@asynccontextmanager
async def etcd(place: Path) -> AsyncIterator[list[Node]]:
    """Run a cluster of three with a folder of data each. Raises Missing."""
    binary, ports = program("etcd"), free_ports(6)
    pairs = list(zip(ports[:3], ports[3:], strict=True))
    members = ",".join(f"etcd{port}=http://{LOOPBACK}:{peer}" for port, peer in pairs)
    async with AsyncExitStack() as stack:
        nodes = []
        for port, peer in pairs:
            options = {
                "name": f"etcd{port}",
                "data-dir": place / f"etcd{port}",
                "listen-client-urls": f"http://{LOOPBACK}:{port}",
                "advertise-client-urls": f"http://{LOOPBACK}:{port}",
                "listen-peer-urls": f"http://{LOOPBACK}:{peer}",
                "initial-advertise-peer-urls": f"http://{LOOPBACK}:{peer}",
                "initial-cluster": members,
                "logger": "zap",
                "log-level": "warn",
            }
            command = [binary, *(f"--{name}={value}" for name, value in options.items())]
            log = place / f"etcd{port}.log"
            process = stack.enter_context(running(command, log))
            await until(lambda port=port: listens(f"{LOOPBACK}:{port}"), process, log)  # type: ignore[misc]
            nodes.append(Node(process.pid, f"{LOOPBACK}:{port}"))
        yield nodes


class Replica:
    """`bluegreen serve` as one of several: started, killed, frozen, and read by its log."""

    def __init__(self, name: str, place: Path, store: str) -> None:
        self.name = name
        port, admin_port = free_ports(2)
        self.endpoint = f"http://{LOOPBACK}:{port}/traefik"
        self._ready = f"http://{LOOPBACK}:{port}/readyz"
        self.admin = f"http://{LOOPBACK}:{admin_port}/api/v1"
        self._log = place / f"{name}.log"
        self._command = [
            *(sys.executable, "-m", "provider", "serve", "--docker", "none", "--log-format", "json"),
            *("--desired-state", str(place / "desired.yaml"), "--state-dir", str(place / name)),
            *("--listen", f"{LOOPBACK}:{port}", "--admin-listen", f"{LOOPBACK}:{admin_port}"),
            *("--store", store, "--replica", name),
        ]
        self._stack = AsyncExitStack()
        self.process: subprocess.Popen[bytes]

    def start(self) -> None:
        """Start the process; it is not ready yet."""
        self.process = self._stack.enter_context(running(self._command, self._log))

    async def ready(self, session: aiohttp.ClientSession) -> None:
        """Wait until it has a document that is fresh."""

        async def look() -> bool:
            with suppress(aiohttp.ClientError):
                async with session.get(self._ready) as answer:
                    return answer.status == 200
            return False

        await until(look, self.process, self._log)

    async def end(self) -> None:
        """End the process, whatever it is at; a frozen one, too."""
        if self.process.poll() is None:
            self.process.kill()
        await self._stack.aclose()

    def logged(self, event: str, since_s: float) -> float | None:
        """Return when this was first logged after a moment of CLOCK_MONOTONIC, None where it was not."""
        for line in self._log.read_bytes().splitlines():
            if f'"event": "{event}"'.encode() in line:
                at_s = monotonic_s(datetime.fromisoformat(orjson.loads(line)["timestamp"]))
                if at_s > since_s:
                    return at_s
        return None

    async def ask(self, session: aiohttp.ClientSession, path: str, body: Mapping[str, object] | None = None) -> Any:
        """Return what the admin API answers; a body makes it a command."""
        method = "GET" if body is None else "POST"
        async with session.request(method, f"{self.admin}{path}", json=body) as answer:
            found = orjson.loads(await answer.read())
            assert answer.status in {200, 202}, found
            return found

    async def switch(self, session: aiohttp.ClientSession, colour: Colour, service: str = SERVICE) -> float:
        """Command a switch; return when it was sent."""
        sent_s = time.monotonic()
        await self.ask(session, f"/services/{service}/switch", {"colour": colour})
        return sent_s

    async def served(self, session: aiohttp.ClientSession) -> tuple[int, int]:
        """Return the revision and the size of the document."""
        async with session.head(f"{self.endpoint}?hold=0") as answer:
            return int(answer.headers["X-Bluegreen-Revision"]), int(answer.headers["Content-Length"])

    async def next(self, session: aiohttp.ClientSession, before: int) -> float:
        """Wait until it serves a later revision; return when that was."""
        async with asyncio.timeout(LIMIT_S):
            while (await self.served(session))[0] <= before:
                await asyncio.sleep(LOOK_S)
        return time.monotonic()


class Scene:
    """Three replicas that run, and a session to ask them."""

    def __init__(self, replicas: list[Replica], session: aiohttp.ClientSession, nodes: list[Node]) -> None:
        self.replicas, self.session, self.nodes = replicas, session, nodes

    async def leader(self) -> Replica:
        """Return the one that leads."""
        known = (await self.replicas[0].ask(self.session, "/replicas"))["replicas"]
        (name,) = [one["replica"] for one in known if one["leads"]]
        return next(one for one in self.replicas if one.name == name)

    async def at_rest(self) -> None:
        """Wait until all are ready, and one leads by the word of all."""
        for one in self.replicas:
            await one.ready(self.session)
        await self.until(self._agreed, "one leads by the word of all")
        await asyncio.sleep(SETTLE_S)

    async def until(self, look: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait until this is so."""
        end_s = time.monotonic() + LIMIT_S
        while not await look():
            assert time.monotonic() < end_s, f"still not after {LIMIT_S:g} s: {what}"
            await asyncio.sleep(LOOK_S)

    async def _agreed(self) -> bool:
        leaders = set()
        for one in self.replicas:
            known = (await one.ask(self.session, "/replicas"))["replicas"]
            leaders.add(tuple(each["replica"] for each in known if each["leads"] and not each["away"]))
        return len(leaders) == 1 and leaders != {()}


@asynccontextmanager
async def replicas(
    place: Path,
    text: str,
    names: Sequence[str] = NAMES,
    before: Callable[[str], Awaitable[None]] | None = None,
) -> AsyncIterator[Scene]:
    """Run them on a desired state; `before` is called with the address of etcd, before they start."""
    async with AsyncExitStack() as stack:
        nodes = await stack.enter_async_context(etcd(place))
        (place / "desired.yaml").write_text(text)
        store = f"etcd://{','.join(node.address for node in nodes)}{PREFIX}"
        replicas = [Replica(name, place, store) for name in names]
        if before is not None:
            await before(store)
        session = await stack.enter_async_context(aiohttp.ClientSession())
        for one in replicas:
            one.start()
            stack.push_async_callback(one.end)
        for one in replicas:
            await one.ready(session)
        yield Scene(replicas, session, nodes)
