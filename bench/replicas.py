"""Three replicas over three nodes of etcd: switches, takeovers, the cost at rest, and many services."""

import asyncio
import os
import signal
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager
from pathlib import Path
from typing import Any

from bench.load import HOST, clients, colours
from bench.machine import Missing
from bench.processes import (
    folder,
    polling,
    resident_mb,
)
from bench.replicated import NAMES, SERVICE, SETTLE_S, Replica, Scene, replicas
from bench.report import Section, Spread, Table, figure
from bench.usage import used
from provider.model import Colour
from provider.traefik.process import LOOPBACK, Traefik, free_ports

SWITCHES = 20
KILLS, FREEZES = 6, 3
AWAY_S, BEFORE_S, AGAIN_S = 60.0, 15.0, 15.0
POLL_EACH_S = 0.02
REST_S = 20.0
MANY = 10_000
PUBLISHES = 10
POLL_S, THROTTLE_S = 1.0, 0.001
CAUSES = {"killed (SIGKILL)": signal.SIGKILL, "asked to stop (SIGTERM)": signal.SIGTERM, "frozen": signal.SIGSTOP}
ONE = """\
environment: bench
traefik: {{defaultCertificate: generated}}
services:
  {service}:
    active: blue
    router: {{rule: "Host(`{host}`)", entryPoints: [web]}}
    settle: 0s
    watch: 0s
    healthCheck: {{mode: http, path: /, interval: 1s, timeout: 1s, healthyAfter: 1}}
    servers:
      blue: {{urls: ["http://127.0.0.1:{blue}"], version: "1"}}
      green: {{urls: ["http://127.0.0.1:{green}"], version: "2"}}
"""
SWITCHED = """\
    active: blue
    healthCheck: {mode: http, path: /, interval: 1s, timeout: 1s, healthyAfter: 1}"""
TEXT = f"""\
Three replicas, three nodes of etcd with its own timings, and a Traefik beside each replica, all on this machine; each
Traefik polls its replica every {POLL_S:g} s and throttles for 1 ms. Where there is load, a prober and one client ask
each Traefik, 1 ms and 10 ms after their last answer. Two cores run all nine processes and the load.

- **command to first new**: from a `switch` sent to a replica to the first answer of the new colour through each Traefik
- **without a leader**: from the signal to the leader until another replica leads, by its log
- **to deciding**: from the signal until the next leader has loaded the store and the desired state
- **frozen**: SIGSTOP, for longer than the lease of 3 s"""


def main() -> Section:
    """Measure everything, where there is an etcd."""
    try:
        tables = asyncio.run(_measure())
    except Missing as missing:
        tables = [Table("Replicas", (), (), [f"Skipped: {missing}."])]
    return Section("replicas", "Replicas", TEXT, tables)


async def _measure() -> list[Table]:
    ports = dict(zip(Colour, free_ports(2), strict=True))
    with folder() as place, colours(ports):
        web = []
        text = ONE.format(host=HOST, service=SERVICE, blue=ports[Colour.BLUE], green=ports[Colour.GREEN])
        async with replicas(place, text) as scene, AsyncExitStack() as stack:
            for one in scene.replicas:
                traefik = polling(one.endpoint, interval_s=POLL_S, throttle_s=THROTTLE_S)
                web.append(await stack.enter_async_context(traefik))
            await scene.at_rest()
            tables = [await _switches(scene, web), await _rest(scene, web)]
            tables += [await _takeovers(scene), await _without_quorum(scene)]
    with folder() as place, colours(ports):
        tables.append(await _many(place, ports[Colour.BLUE], ports[Colour.GREEN]))
    return tables


async def _switches(scene: Scene, traefiks: list[Traefik]) -> Table:
    rows = []
    leader = await scene.leader()
    follower = next(one for one in scene.replicas if one is not leader)
    lost: list[str] = []
    answers = 0
    for asked, name in ((leader, "the leader"), (follower, "a follower")):
        found: list[list[float]] = []
        with _watched(traefiks) as witnesses:
            for number in range(SWITCHES + 2):  # two warm up
                colour = (Colour.GREEN, Colour.BLUE)[number % 2]
                for witness in witnesses:
                    await witness.expect(colour)
                sent_s = await asked.switch(scene.session, colour)
                seen = [await witness.seen() for witness in witnesses]
                lost += [cause for one in seen for cause in one.lost]
                answers += sum(one.answers for one in seen)
                assert all(one.first_new_s is not None for one in seen), f"the new colour did not come: {seen}"
                if number > 1:
                    found.append([(one.first_new_s or 0.0) - sent_s for one in seen])
                await asyncio.sleep(POLL_S + number % 7 / 10)
        each = [_words([one[number] for one in found]) for number in range(3)]
        rows.append((name, str(len(found)), *each, _words([max(one) for one in found])))
        print("  " + " | ".join(rows[-1]), flush=True)
    columns = ("sent to", "switches", *(f"Traefik of {name}" for name in NAMES), "all three")
    notes = [f"{answers:,} answers, {len(lost)} lost.", *[f"Lost: {cause}." for cause in sorted(set(lost))[:3]]]
    return Table("Command to first new, in ms: median / worst", columns, rows, notes)


@contextmanager
def _watched(traefiks: list[Traefik]) -> Iterator[list[Any]]:
    with ExitStack() as stack:
        yield [stack.enter_context(clients(int(one.url("web").rpartition(":")[2]), 1)) for one in traefiks]


async def _rest(scene: Scene, traefiks: list[Traefik]) -> Table:
    """Let nothing happen but polls and health checks."""
    await asyncio.sleep(SETTLE_S)
    leader = await scene.leader()
    named = {
        "replica, the leader": [leader.process.pid],
        "replica, a follower": [one.process.pid for one in scene.replicas if one is not leader],
        "etcd": [node.pid for node in scene.nodes],
        "Traefik": [one.process.pid for one in traefiks],
    }
    pids = [pid for some in named.values() for pid in some]
    usage, _ = await used(scene.nodes, pids, asyncio.sleep(REST_S))
    rows = []
    for name, some in named.items():
        memory = [resident_mb(pid) for pid in some]
        rows.append((name, figure(usage.mean_cpu(some)), figure(statistics.mean(memory))))
        print("  " + " | ".join(rows[-1]), flush=True)
    note = (
        f"At etcd, a minute: {figure(60 * usage.commits)} commits with {figure(60 * usage.values)} values, "
        f"{figure(60 * usage.syncs)} syncs to disk and {figure(0.06 * usage.written_bytes)} kB written on each node; "
        f"clients sent {figure(0.06 * usage.received_bytes)} kB and got {figure(0.06 * usage.sent_bytes)} kB."
    )
    return Table("At rest, each process, with one service", ("process", "% of a core", "memory, MB"), rows, [note])


async def _takeovers(scene: Scene) -> Table:
    rows = []
    for cause, number in CAUSES.items():
        times = FREEZES if number is signal.SIGSTOP else KILLS
        found = [await _takeover(scene, number) for _ in range(times)]
        leads, decides = zip(*found, strict=True)
        rows.append((cause, str(times), _words(leads), _words(decides)))
        print("  " + " | ".join(rows[-1]), flush=True)
    columns = ("leader", "times", "without a leader", "to deciding")
    return Table("Takeover, in ms: median / worst", columns, rows)


async def _takeover(scene: Scene, number: signal.Signals) -> tuple[float, float]:
    """Send the leader a signal; return how long it took until another leads, and decides. The old one comes back."""
    await scene.at_rest()
    leader = await scene.leader()
    others = [one for one in scene.replicas if one is not leader]

    def first(event: str) -> float | None:
        return min((at_s for one in others if (at_s := one.logged(event, sent_s)) is not None), default=None)

    async def decides() -> bool:
        return first("desired state loaded") is not None

    sent_s = time.monotonic()
    leader.process.send_signal(number)
    await scene.until(decides, "another replica decides")
    if number is signal.SIGSTOP:
        leader.process.send_signal(signal.SIGCONT)
    else:
        await leader.end()
        leader.start()
    leads_s, decides_s = first("leads"), first("desired state loaded")
    assert leads_s is not None
    assert decides_s is not None
    return leads_s - sent_s, decides_s - sent_s


async def _without_quorum(scene: Scene) -> Table:
    """Poll all replicas while two of the nodes of etcd stand still, before, and after."""
    rows = []
    await scene.at_rest()
    stopped = scene.nodes[1:]
    for name, time_s in (("before", BEFORE_S), ("without quorum", AWAY_S), ("after", AGAIN_S)):
        if name == "without quorum":
            for node in stopped:
                os.kill(node.pid, signal.SIGSTOP)
        try:
            found = await asyncio.gather(*[_polls(scene, one, time_s) for one in scene.replicas])
        finally:
            for node in stopped:
                os.kill(node.pid, signal.SIGCONT)
        took = sorted(took_s for polls in found for _, took_s in polls)
        statuses = Counter(status for polls in found for status, _ in polls)
        said = ", ".join(f"{count:,} x {status}" for status, count in sorted(statuses.items()))
        spread, p99 = Spread(took), 1e3 * took[-(-len(took) * 99 // 100) - 1]
        rows.append((name, f"{time_s:g} s", said, figure(spread.median_ms), figure(p99), figure(spread.worst_ms)))
        print("  " + " | ".join(rows[-1]), flush=True)
    columns = ("when", "for", "answers", "median", "p99", "slowest")
    return Table("Polls of all replicas while two of three nodes of etcd are frozen, in ms", columns, rows)


async def _polls(scene: Scene, one: Replica, time_s: float) -> list[tuple[int, float]]:
    """Poll for so long; return the status of each answer, and how long it took."""
    found, end_s = [], time.monotonic() + time_s
    while time.monotonic() < end_s:
        begun_s = time.monotonic()
        async with scene.session.get(f"{one.endpoint}?hold=0") as answer:
            await answer.read()
        found.append((answer.status, time.monotonic() - begun_s))
        await asyncio.sleep(POLL_EACH_S)
    return found


async def _many(place: Path, blue: int, green: int) -> Table:
    """Take over, and publish, with many services."""
    lines = [
        "environment: bench",
        "defaults: {settle: 0s, watch: 0s, healthCheck: {mode: tcp, interval: 1h, timeout: 9s, healthyAfter: 1}}",
        "services:",
    ]
    for number in range(MANY):
        name = SERVICE if not number else f"service-{number:05}"
        lines += [f"  {name}:", f'    router: {{rule: "Host(`{name}.example.com`)", entryPoints: [web]}}']
        lines += [SWITCHED] if not number else []
        lines += ["    servers:", f'      blue: {{urls: ["http://{LOOPBACK}:{blue}"], version: "1"}}']
        lines += [f'      green: {{urls: ["http://{LOOPBACK}:{green}"], version: "2"}}'] if not number else []
    async with replicas(place, "\n".join(lines) + "\n") as scene:
        await scene.at_rest()
        leads_s, decides_s = await _takeover(scene, signal.SIGKILL)
        await scene.at_rest()
        leader = await scene.leader()
        published = []
        for number in range(PUBLISHES):
            colour = (Colour.GREEN, Colour.BLUE)[number % 2]
            marks = [(await one.served(scene.session))[0] for one in scene.replicas]
            waiting = [
                asyncio.create_task(one.next(scene.session, mark))
                for one, mark in zip(scene.replicas, marks, strict=True)
            ]
            sent_s = await leader.switch(scene.session, colour)
            arrived = await asyncio.gather(*waiting)
            published.append(max(arrived) - sent_s)
            await asyncio.sleep(SETTLE_S)
        _, size = await leader.served(scene.session)
        rows = [
            ("leader killed: without a leader", figure(1e3 * leads_s)),
            ("leader killed: to deciding", figure(1e3 * decides_s)),
            (f"command to document at all three, of {PUBLISHES}: median / worst", _words(published)),
        ]
        memory = [f"{one.name} {figure(resident_mb(one.process.pid))} MB" for one in scene.replicas]
        notes = [f"The document has {size:,} bytes. Memory: {', '.join(memory)}; {leader.name} leads."]
    for row in rows:
        print("  " + " | ".join(row), flush=True)
    return Table(f"{MANY:,} services, in ms", ("what", "time"), rows, notes)


def _words(found_s: Any) -> str:
    spread = Spread(found_s)
    return f"{figure(spread.median_ms)} / {figure(spread.worst_ms)}"
