"""How long the event loop is blocked, with many services; a poll waits no longer."""

import asyncio
import gc
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import uvloop

from bench import fleet
from bench.report import Section, Table, figure
from provider.app import Daemon, Settings, share_the_interpreter
from provider.store.sqlite import SqliteStore
from provider.traefik.process import free_ports
from provider.traefik.readback.reading import read

SERVICES = (1_000, 10_000)
LOOK_S = 0.001
TEXT = """\
A daemon runs in the process of the measurement, beside a task that sleeps for one millisecond at a time. A **stall**
is the longest delay of its wake-up; "nothing" is what the machine itself causes. The daemon yields every 2 ms and
hands the interpreter over after 1 ms; other processes on the two cores add to that."""


class Stalls:
    """Measures every millisecond how late it is; `worst_s` is the maximum since the last reset."""

    def __init__(self) -> None:
        self.worst_s = 0.0

    async def run(self) -> None:
        while True:
            due_s = time.perf_counter() + LOOK_S
            await asyncio.sleep(LOOK_S)
            self.worst_s = max(self.worst_s, time.perf_counter() - due_s)


async def measure(services: int) -> list[tuple[str, float, float]]:
    """Return the result of a task, the longest stall meanwhile, and how long it took, in seconds."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "desired.yaml"
        file.write_text(fleet.text(services))
        (folder / "state").mkdir(mode=0o700)
        await asyncio.to_thread(fleet.decide, folder / "state", services)
        async with running(folder, file) as (daemon, url, admin_url):
            stalls = Stalls()
            task = asyncio.create_task(stalls.run())
            session = aiohttp.ClientSession()
            found = []

            async def during(what: str, do: Callable[[], Awaitable[object]]) -> None:
                gc.collect()
                await asyncio.sleep(1.5)
                stalls.worst_s, begin_s = 0.0, time.perf_counter()
                await do()
                found.append((what, stalls.worst_s, time.perf_counter() - begin_s))

            async def get(address: str) -> None:
                async with session.get(address) as answer:
                    await answer.read()

            async def reload(text: str) -> None:
                before = daemon.controller.published
                replace(file, text)
                await daemon.controller.publication.after(before)
                await asyncio.sleep(1.0)

            one = fleet.text(services).replace("Host(`service-00000.", "Host(`www.service-00000.")
            await during("nothing", lambda: asyncio.sleep(2.0))
            await during("a poll", lambda: get(f"{url}/traefik?hold=0"))
            await during("a reload that changes one service", lambda: reload(one))
            await during("a reload that changes every service", lambda: reload(one.replace("[web]", "[websecure]")))
            await during("the first scrape", lambda: get(f"{url}/metrics"))
            await during("another scrape", lambda: get(f"{url}/metrics"))
            raw_data = fleet.raw_data(services)
            await during("reading back what a Traefik applied", lambda: read_back(daemon, raw_data))
            await during("the list of all services", lambda: get(f"{admin_url}/api/v1/services"))
            await session.close()
            task.cancel()
            return found


@asynccontextmanager
async def running(folder: Path, file: Path) -> AsyncIterator[tuple[Daemon, str, str]]:
    """Run a daemon in this process, so that its event loop can be measured."""
    port, admin_port = free_ports(2)
    settings = Settings(
        desired_state=file,
        state_dir=folder / "state",
        listen=f"127.0.0.1:{port}",
        admin_listen=f"127.0.0.1:{admin_port}",
        docker_enabled=False,
    )
    daemon, stop = Daemon(settings, partial(SqliteStore, folder / "state")), asyncio.Event()
    await daemon.lead()
    task = asyncio.create_task(daemon.run(stop))
    await daemon.replica.publication.after(None)
    try:
        yield daemon, f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin_port}"
    finally:
        stop.set()
        await task
        await daemon.close()


async def read_back(daemon: Daemon, raw_data: bytearray) -> None:
    """Read an answer of Traefik's API as the daemon does, and process it."""
    reading = await asyncio.to_thread(read, raw_data, "http://127.0.0.1:8080", None)
    assert len(reading.weights) == len(daemon.controller.state.services)
    daemon.controller.inputs.traefik_read(reading)
    await asyncio.sleep(0.5)


def replace(file: Path, text: str) -> None:
    new = file.with_suffix(".new")
    new.write_text(text)
    new.replace(file)


def main() -> Section:
    """Measure each size in a loop of its own."""
    share_the_interpreter()
    rows: dict[str, list[str]] = {}
    for services in SERVICES:
        for what, stall_s, took_s in uvloop.run(measure(services)):
            rows.setdefault(what, [what]).append(f"{figure(1e3 * stall_s)} / {figure(1e3 * took_s)}")
            print(f"  {services:,} services: {what}: {rows[what][-1]}", flush=True)
    columns = ("while it answers or does this", *(f"{services:,} services" for services in SERVICES))
    return Section("stalls", "Stalls", TEXT, [Table("Longest stall / time it took, in ms", columns, [*rows.values()])])
