"""Health checks a second on one core: 10,000 servers, more than one core can check.

The servers are one process on another core that answers at once; every check is a new connection. On a busy machine
only the rate for a second of CPU means something.
"""

import asyncio
import gc
import multiprocessing
import os
import resource
import socket
import time
from collections import Counter
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

import uvloop

from bench.load import pin
from bench.report import Table, figure
from provider.checks.health import HealthChecker
from provider.model import Colour, HealthCheck, Probe, ProbeMode, ServerHealth, ServerKey
from provider.model.observed import Result

SERVERS = 10_000
ADDRESSES = [f"127.0.0.{n}" for n in range(1, 21)]
MEASURED_S = 3.0


class Answering(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, _data: bytes) -> None:
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
        self.transport.close()


def serve(ready: Connection, port: int) -> None:
    pin(1)

    async def answer() -> None:
        server = await asyncio.get_running_loop().create_server(Answering, ADDRESSES, port, backlog=4096)
        ready.send(None)
        await server.serve_forever()

    uvloop.run(answer())


def probes(mode: ProbeMode, port: int) -> dict[str, frozenset[Probe]]:
    """One server for each service."""
    check = HealthCheck(mode=mode, path="/healthz", interval_s=0.5, timeout_s=5.0)
    found = {}
    for n in range(SERVERS):
        name, key = f"service-{n}", ServerKey(f"http://{ADDRESSES[n % len(ADDRESSES)]}:{port}", f"container-{n}", "1")
        found[name] = frozenset({Probe(name, Colour.BLUE, key, check, f"{name}.example.com")})
    return found


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text("ascii").split()[1]) * resource.getpagesize()


async def measure(mode: ProbeMode, port: int) -> tuple[str, ...]:
    results: Counter[Result] = Counter()
    warm = asyncio.Event()

    def count(_: Probe, result: Result, __: float) -> None:
        results[result] += 1
        if results[result] == SERVERS:
            warm.set()

    def ignore(_: Probe, verdict: ServerHealth) -> None:
        pass

    wanted = probes(mode, port)
    async with asyncio.TaskGroup() as tasks:
        checker = HealthChecker(
            spawn=lambda check, name: tasks.create_task(check, name=name), on_verdict=ignore, on_result=count
        )
        before_bytes = resident_bytes()
        for service, servers in wanted.items():
            checker.set_probes(service, servers)
        running = tasks.create_task(checker.run())
        await warm.wait()
        results.clear()
        began_s, began_cpu_s = time.monotonic(), time.process_time()
        await asyncio.sleep(MEASURED_S)
        took_s, cpu_s = time.monotonic() - began_s, time.process_time() - began_cpu_s
        made = dict(results)
        running.cancel()
        await asyncio.wait([running])
        each_bytes = (resident_bytes() - before_bytes) / SERVERS
    total = sum(made.values())
    return (
        str(mode),
        *(figure(total / took_s), figure(total / cpu_s)),
        *(str(total - made.get(Result.PASS, 0)), f"{each_bytes / 1024:.1f}"),
    )


def table() -> Table:
    """Measure both kinds of checks."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    ready, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(there, port), daemon=True)
    server.start()
    cores, threshold = os.sched_getaffinity(0), gc.get_threshold()
    try:
        ready.recv()
        pin(0)
        gc.set_threshold(100_000, 50, 100)  # as `serve` does
        rows = [uvloop.run(measure(mode, port)) for mode in (ProbeMode.HTTP, ProbeMode.TCP)]
    finally:
        os.sched_setaffinity(0, cores)
        gc.set_threshold(*threshold)
        server.kill()
        server.join()
    columns = ("mode", "checks a second", "for a second of CPU", "not passed", "memory a server, KiB")
    return Table(f"Health checks of {SERVERS:,} servers on one core", columns, rows)
