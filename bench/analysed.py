"""What the analyses of a fleet that is in steps cost: processor time and commits of each look, and the worst stall."""

import asyncio
import itertools
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path

import aiohttp
import uvloop

from bench import fleet
from bench.load import Application, beside, pin
from bench.processes import polling
from bench.report import Table, figure
from bench.stalls import LOOK_S
from provider.app import Daemon, Settings, share_the_interpreter
from provider.model import Colour
from provider.model.document import Document
from provider.store import Change
from provider.store.sqlite import SqliteStore
from provider.traefik.process import free_ports

SERVICES = 1_000
EVERY_S = 5.0
LOOKS = 8
TOOK_S = LOOKS * EVERY_S
WARM_LOOKS = 4
"""By then every service was asked twice, so that Traefik has its series."""
VISITORS = 8
PAUSE_S = 0.04
STEPPING_LIMIT_S = 180.0
ANALYSIS = f"""\
  analysis:
    every: {EVERY_S:g}s
    warmup: 0s
    minRequests: 100000
    errors: {{worseThanActive: 0.99}}
    slow: {{over: 1.2s, worseThanActive: 0.99}}"""
DEFAULTS = """\
  healthCheck: {mode: tcp, interval: 60s, timeout: 5s, healthyAfter: 1}
  settle: 3s
  canary: {steps: [{weight: 50, for: 1h}]}"""


@dataclass(frozen=True, slots=True)
class Cost:
    """What the daemon used in the time of so many looks."""

    cpu_s: float
    worst_stall_s: float
    longest_turn_s: float
    commits: int
    counted: int
    answer_bytes: int


class Turns:
    """Measures every millisecond how late it is, and for how much of that the loop's thread had a processor."""

    def __init__(self) -> None:
        self.worst_s = self.longest_s = 0.0

    async def run(self) -> None:
        """Measure until cancelled."""
        while True:
            due_s, used_s = time.perf_counter() + LOOK_S, time.thread_time()
            await asyncio.sleep(LOOK_S)
            self.worst_s = max(self.worst_s, time.perf_counter() - due_s)
            self.longest_s = max(self.longest_s, time.thread_time() - used_s)


class CountingStore(SqliteStore):
    """Counts its commits."""

    commits = 0

    async def commit(self, change: Change) -> None:
        """Commit, and count."""
        self.commits += 1
        await super().commit(change)


def text(services: int, port: int, api: str, colours: tuple[Colour, ...], *, analysed: bool) -> str:
    """Return the file of a fleet whose servers all answer."""
    lines = ["environment: bench", f'traefik: {{api: ["{api}"]}}', "defaults:", DEFAULTS]
    lines += [ANALYSIS] if analysed else []
    lines.append("services:")
    for number in range(services):
        name = name_of(number)
        lines += [
            f"  {name}:",
            f'    router: {{rule: "Host(`{name}.example.com`)", entryPoints: [web]}}',
            "    servers:",
        ]
        for colour in colours:
            version = list(Colour).index(colour) + 1
            url = f"http://{address(number, colour)}:{port}"
            lines.append(f'      {colour}: {{urls: ["{url}"], version: "{version}"}}')
    return "\n".join(lines) + "\n"


def name_of(number: int) -> str:
    return f"service-{number:05}"


def address(number: int, colour: Colour) -> str:
    return f"127.{1 + list(Colour).index(colour)}.{number // 250}.{number % 250 + 1}"


async def measure(services: int = SERVICES) -> Table:
    """Return the table of what it costs, with and without the analysis."""
    without, with_it = [await _measure(services, analysed=analysed) for analysed in (False, True)]
    both = (without, with_it)
    rows = [
        ["worst stall of the event loop, ms", *(figure(1e3 * one.worst_stall_s) for one in both)],
        ["longest turn by its processor time, ms", *(figure(1e3 * one.longest_turn_s) for one in both)],
        ["processor time, ms a second", *(figure(1e3 * one.cpu_s / TOOK_S) for one in both)],
        ["commits", *(f"{one.commits:,}" for one in both)],
        ["requests of candidates counted", *(f"{one.counted:,}" for one in both)],
        ["Traefik's metrics, MB", *(figure(one.answer_bytes / 1e6) for one in both)],
    ]
    for row in rows:
        print("  " + " | ".join(row), flush=True)
    a_look_ms = 1e3 * (with_it.cpu_s - without.cpu_s) / LOOKS
    note = f"A look takes the daemon {figure(a_look_ms)} ms of processor time more than none."
    columns = (f"{LOOKS} looks in {TOOK_S:g} s", "without analysis", "with it")
    return Table(f"Cost of an analysis, {services:,} services in a step", columns, rows, [note])


async def _measure(services: int, *, analysed: bool) -> Cost:
    with tempfile.TemporaryDirectory(prefix="bluegreen-bench-") as name:
        folder = Path(name)
        (folder / "state").mkdir(mode=0o700)
        port, own, admin = free_ports(3)
        traefik = polling(f"http://127.0.0.1:{own}/traefik", interval_s=1.0, throttle_s=0.1)
        before = text(services, port, traefik.api, (Colour.BLUE,), analysed=analysed)
        file = folder / "desired.yaml"
        file.write_text(text(services, port, traefik.api, tuple(Colour), analysed=analysed))
        await _decide(folder / "state", before)
        with beside(_serve, (services, port)):
            async with _running(folder, file, own, admin) as (daemon, store), traefik:
                await _until_stepping(daemon, services)
                with beside(_visit, (services, traefik.url("web"))):
                    await asyncio.sleep(WARM_LOOKS * EVERY_S)
                    cost = await _cost(daemon, store)
                return await _with_answer(cost, traefik.api)


async def _decide(state: Path, written: str) -> None:
    store = SqliteStore(state)
    await store.open(wait_s=10)
    await store.commit(Change(services=fleet.decided_of(written)))
    await store.publish(Document(b"{}", "", ""))
    await store.close()


@asynccontextmanager
async def _running(folder: Path, file: Path, own: int, admin: int) -> AsyncIterator[tuple[Daemon, CountingStore]]:
    """Run a daemon in this process, so that its event loop can be measured."""
    settings = Settings(
        desired_state=file,
        state_dir=folder / "state",
        listen=f"127.0.0.1:{own}",
        admin_listen=f"127.0.0.1:{admin}",
        docker_enabled=False,
    )
    stores: list[CountingStore] = []

    def made() -> CountingStore:
        stores.append(CountingStore(folder / "state"))
        return stores[-1]

    daemon, stop = Daemon(settings, made), asyncio.Event()
    await daemon.lead()
    task = asyncio.create_task(daemon.run(stop))
    await daemon.replica.publication.after(None)
    try:
        yield daemon, stores[-1]
    finally:
        stop.set()
        await task
        await daemon.close()


async def _until_stepping(daemon: Daemon, services: int) -> None:
    async with asyncio.timeout(STEPPING_LIMIT_S):
        while True:
            steps = (group.rollout.step for group in daemon.controller.state.groups.values() if group.rollout)
            if sum(step is not None and step.shown_mono_s is not None for step in steps) == services:
                return
            await asyncio.sleep(0.5)


async def _cost(daemon: Daemon, store: CountingStore) -> Cost:
    turns = Turns()
    watching = asyncio.create_task(turns.run())
    commits, counted, cpu_s = store.commits, _counted(daemon), time.process_time()
    await asyncio.sleep(TOOK_S)
    used_s = time.process_time() - cpu_s
    watching.cancel()
    return Cost(used_s, turns.worst_s, turns.longest_s, store.commits - commits, _counted(daemon) - counted, 0)


def _counted(daemon: Daemon) -> int:
    rollouts = (group.rollout for group in daemon.controller.state.groups.values() if group.rollout)
    return sum(one.errors.since_step.candidate.requests for rollout in rollouts for one in rollout.analysis)


async def _with_answer(cost: Cost, api: str) -> Cost:
    async with aiohttp.ClientSession() as session, session.get(f"{api}/metrics") as answer:
        size = len(await answer.read())
    return replace(cost, answer_bytes=size)


def _serve(pipe: Connection, given: tuple[int, int]) -> None:
    """Answer at the address of each server of the fleet."""
    pin(-1)
    services, port = given

    async def answer() -> None:
        loop = asyncio.get_running_loop()
        for number, colour in itertools.product(range(services), Colour):
            await loop.create_server(partial(Application, colour), address(number, colour), port)
        pipe.send(None)
        await asyncio.Event().wait()

    uvloop.run(answer())


def _visit(pipe: Connection, given: tuple[int, str]) -> None:
    """Ask one service after the other, for ever."""
    pin(-1)
    services, url = given

    async def ask() -> None:
        numbers = itertools.cycle(range(services))
        async with aiohttp.ClientSession() as session:

            async def one() -> None:
                while True:
                    headers = {"Host": f"{name_of(next(numbers))}.example.com"}
                    async with session.get(url, headers=headers) as answer:
                        await answer.read()
                    await asyncio.sleep(PAUSE_S)

            pipe.send(None)
            async with asyncio.TaskGroup() as tasks:
                for _ in range(VISITORS):
                    tasks.create_task(one())

    uvloop.run(ask())


def run() -> Table:
    """Measure in a loop of its own."""
    share_the_interpreter()
    return uvloop.run(measure())
