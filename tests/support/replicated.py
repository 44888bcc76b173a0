"""Three replicas over three etcd nodes, with a Traefik beside each: daemons of their own that are killed and frozen."""

import asyncio
import os
import random
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from provider.traefik.process import Traefik
from tests.support.daemon import Daemon, StartDaemon
from tests.support.etcd import Cluster
from tests.support.release import HOST, fixed, until_routed
from tests.support.traefik import Load, Relay, StartBackend, StartTraefik
from tests.support.waiting import eventually

NAMES = ("a", "b", "c")
BODIES = {"blue": "one", "green": "two"}
CLIENTS, PAUSE_S = 3, 0.04
"""Of each of three loads: some 200 requests a second together."""
HEAD = re.compile(rb"HTTP/1\.1 (\d+) (?:(?!\r\n\r\n).)*?\r\nX-Bluegreen-Revision: (\d+)\r\n", re.DOTALL)


@dataclass
class Replica:
    """One replica, and the Traefik that polls it; `revisions` are those of the documents that Traefik got, in order."""

    name: str
    daemon: Daemon
    relay: Relay
    traefik: Traefik
    load: Load
    revisions: list[int] = field(default_factory=list)

    @property
    def pid(self) -> int | None:
        """The process, None while none runs."""
        process = self.daemon.process
        return process.pid if process is not None and process.returncode is None else None

    def note(self, answer: bytes) -> None:
        self.revisions += [int(found[2]) for found in HEAD.finditer(answer)]


class Replicas:
    """Three replicas of one shop, blue active at first; `frozen` are those that are stopped just now."""

    def __init__(self, etcd: Cluster, replicas: list[Replica]) -> None:
        self.etcd, self.all = etcd, replicas
        self._frozen: set[str] = set()

    @property
    def alive(self) -> list[Replica]:
        """Those that run and answer."""
        return [one for one in self.all if one.pid is not None and one.name not in self._frozen]

    @property
    def failures(self) -> list[str]:
        """A line for every request that was lost."""
        return [failure for one in self.all for failure in one.load.failures]

    def others(self, than: Replica) -> list[Replica]:
        """Those that run, but for one."""
        return [one for one in self.alive if one is not than]

    async def known(self, by: Replica) -> dict[str, dict[str, Any]]:
        """Return what a replica knows of all, by name; nothing where it does not answer."""
        status, body, _ = await by.daemon.get("/api/v1/replicas", base=by.daemon.admin_url)
        return {one["replica"]: one for one in orjson.loads(body)["replicas"]} if status == 200 else {}

    async def leader(self) -> Replica:
        """Wait until one that runs leads, by its own account."""

        async def look() -> Replica | None:
            for one in self.alive:
                if (await self.known(one)).get(one.name, {}).get("leads"):
                    return one
            return None

        found = await eventually(look)
        assert found is not None
        return found

    async def switch(self, colour: str, dice: random.Random) -> None:
        """Ask some replica, and again one where it is not known to be done: a second time changes nothing more."""
        end = time.monotonic() + 60
        while True:
            asked = dice.choice(self.alive)
            status, answer = await asked.daemon.command("shop", "switch", colour=colour)
            if status in {200, 202}:
                return
            assert status in {0, 503}, answer
            assert time.monotonic() < end, f"{asked.name} answers {status} {answer}\n{asked.daemon.words()}"
            await asyncio.sleep(0.05)

    async def served(self, colour: str) -> None:
        """Wait until every client of every Traefik gets this colour."""
        for one in self.all:
            try:
                await one.load.until_all(BODIES[colour])
            except AssertionError as failure:
                logs = "\n".join(f"--- {each.name}\n{each.daemon.words()}" for each in self.all)
                raise AssertionError(f"Traefik of {one.name}: {failure}\n{logs}") from None

    async def kill(self, one: Replica) -> None:
        """End a replica as a power cut does."""
        await one.daemon.kill()

    async def start(self, one: Replica) -> None:
        """Start a replica again."""
        await one.daemon.start(wait=False)

    @contextmanager
    def frozen(self, one: Replica) -> Iterator[None]:
        """Stop the process of a replica until the block is left; its connections stay open."""
        assert one.pid is not None, "the replica does not run"
        self._frozen.add(one.name)
        os.kill(one.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(one.pid, signal.SIGCONT)
            self._frozen.remove(one.name)


@pytest.fixture
async def replicas(
    etcd_cluster: Cluster, start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> AsyncIterator[Replicas]:
    """Start them; every Traefik routes to blue, and the loads run, when this is entered."""
    async with _replicas(etcd_cluster, start_daemon, start_traefik, start_backend) as found:
        yield found


@asynccontextmanager
async def _replicas(
    etcd: Cluster, start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> AsyncIterator[Replicas]:
    blue, green = await start_backend("one"), await start_backend("two")
    store = f"etcd://{etcd.addresses}/bluegreen/test"
    async with AsyncExitStack() as stack:
        found = []
        for name in NAMES:
            flags = ("--store", store, "--replica", name)
            daemon = await start_daemon(fixed(blue, green, active="blue"), *flags, start=False)
            await daemon.start(wait=False)
            relay = await stack.enter_async_context(Relay(int(daemon.url.rpartition(":")[2])))
            traefik = await start_traefik(f"{relay.url}/traefik")
            load = Load(traefik.url("web"), HOST, clients=CLIENTS, pause_s=PAUSE_S)
            one = Replica(name, daemon, relay, traefik, load)
            relay.on_answer = one.note
            found.append(one)
        for one in found:
            await eventually(one.daemon.alive)
            await until_routed(one.daemon, one.traefik.url("web"), "one")
        await eventually(lambda: _is_healthy(found[0].daemon))
        for one in found:
            await stack.enter_async_context(one.load)
        yield Replicas(etcd, found)


async def _is_healthy(daemon: Daemon) -> bool:
    colours = (await daemon.status("shop"))["colours"]
    return all(one["state"] == "healthy" for one in colours.values())
