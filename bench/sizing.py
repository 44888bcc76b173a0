"""What a fleet asks of etcd, of each replica and of each Traefik, by the number of services, replicas and events."""

import asyncio
import hashlib
import re
import statistics
import time
import zlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from bench import crowd, events
from bench.documents import Pair
from bench.events import Happened, Servers
from bench.machine import Missing
from bench.processes import folder, resident_mb
from bench.replicated import PREFIX, Replica, Scene, replicas
from bench.report import Section, Spread, Table, figure
from bench.routed import apply
from bench.usage import Usage, used
from provider.model import Colour
from provider.model.document import Document
from provider.model.errors import BluegreenError
from provider.store.etcd.client import JsonGateway
from provider.store.etcd.documents import LEVEL
from provider.store.etcd.gateway import Get
from provider.store.etcd.keys import Keys

SIZES = (1_000, 10_000, 50_000)
CROWDED = 10_000
"""The services with which replicas are added, and groups are changed."""
MIRRORS = (1, 3, 10, 25, 50)
TRAEFIKS = (2, 100)
POLLED_BYTES_MOST = 400e6
"""More each second is not what this machine can tell apart from its own limits."""
GROUPS = (300, 1_500)
GROUPED = 2_000
CHANGES, APPLIED = 5, 2
REST_S, EVENTS_S, POLLS_S = 6.0, 12.0, 5.0
CALM_S = 1.5
THROTTLE_S = 0.1
"""Traefik's `providersThrottleDuration`, as docs/operations.md advises."""
QUOTA_BYTES = 2 * 1024**3
MARKER = re.compile(rb"bluegreen-[0-9a-f]{12}")
GREEN = re.compile(rb'"name":"s\w{4}-green"')
ADDRESS = re.compile(rb"http://127\.0\.0\.1:\d+")
PAIR = ("a", "b")
TEXT = f"""\
Two replicas (a leader and a follower) over three nodes of etcd with its own settings, all of them real processes on
this machine, which share its cores with the servers and the crowds. Every service has a router and a server; names are
random. Shares are of one core.

- **events**: {1 / events.EVERY_S * 60:,.0f} a minute for {EVENTS_S:g} s: switches, each commanded through the API of
  the leader, or servers that fail and come back, found by health checks each second
- **mirrors**: what a replica follows of etcd, by the code of the daemon, so many in one process and each with
  {crowd.TRAEFIKS} pollers to report, beside the two replicas
- **Traefiks**: clients that poll the follower each second as Traefik does
- **bytes from and to clients**: as etcd counts them; the JSON of its gateway is a third longer on the network"""


@dataclass(slots=True)
class Rows:
    """The rows of the tables, as they are found."""

    sizes: list[Sequence[str]] = field(default_factory=list)
    load: list[Sequence[str]] = field(default_factory=list)
    polls: list[Sequence[str]] = field(default_factory=list)
    traefik: list[Sequence[str]] = field(default_factory=list)
    mirrors: list[Sequence[str]] = field(default_factory=list)
    groups: list[Sequence[str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def main() -> Section:
    """Measure everything, where there is an etcd."""
    try:
        tables = asyncio.run(_measure())
    except Missing as missing:
        tables = [Table("Sizing", (), (), [f"Skipped: {missing}."])]
    return Section("sizing", "Measured", TEXT, tables)


async def _measure() -> list[Table]:
    rows = Rows()
    for services in SIZES:
        await _as_far_as_it_goes(f"{services:,} services", _size(services, rows), rows)
    await _as_far_as_it_goes("many at once", _groups(rows), rows)
    return _tables(rows)


async def _as_far_as_it_goes(what: str, measuring: Awaitable[None], rows: Rows) -> None:
    """Measure something; where this machine is too slow for it, say so, and go on with the rest."""
    try:
        await measuring
    except (AssertionError, BluegreenError, TimeoutError, aiohttp.ClientError) as failure:
        why = str(failure).partition("\n")[0][:100] or repr(failure)
        rows.notes.append(f"{what}: given up: {why}")
        print(f"  {rows.notes[-1]}", flush=True)


async def _size(services: int, rows: Rows) -> None:
    """Measure with so many services; the Traefik of its own comes last, when nothing else runs."""
    with folder() as place, events.servers() as servers:
        text, begun_s = events.text(services, servers.ports), 0.0

        async def decide(store: str) -> None:
            nonlocal begun_s
            await events.decide(store, services, servers.ports)
            begun_s = time.monotonic()

        async with replicas(place, text, PAIR, decide) as scene:
            started_s = time.monotonic() - begun_s
            leader, follower = await _roles(scene)
            pair, changed = await _changes(scene, leader, follower)
            stored = await _stored(scene)
            beginning = (f"{services:,}", f"{len(text):,}", f"{stored[0]:,}", f"{len(pair.first.body):,}")
            own = len(zlib.compress(_with_own_addresses(pair.first.body), LEVEL))
            memory = [resident_mb(one.process.pid) for one in (leader, follower)]
            _add(
                rows.sizes,
                *(*beginning, f"{stored[1]:,}", f"{own:,}", figure(started_s), changed.words()),
                *map(figure, memory),
            )
            await _load(services, scene, servers, rows)
            await _polls(services, scene, len(pair.first.body), rows)
            if services == CROWDED:
                for count in MIRRORS:
                    await _mirrors(count, scene, place, rows)
    routed = await apply(pair, APPLIED if services <= CROWDED else 1)
    _add(
        rows.traefik,
        *(f"{services:,}", f"{len(pair.first.body):,}", figure(routed.median_s), figure(routed.cpu_s)),
        *(figure(routed.resident_mb), figure(60 / (routed.median_s + THROTTLE_S))),
    )


async def _changes(scene: Scene, leader: Replica, follower: Replica) -> tuple[Pair, Spread]:
    """Switch one service to and fro; return two documents, and the time from command to the follower's document."""
    found, documents = [], [await _document(scene, follower)]
    for number in range(CHANGES):
        before, _ = await follower.served(scene.session)
        arriving = asyncio.create_task(follower.next(scene.session, before))
        colour = (Colour.GREEN, Colour.BLUE)[number % 2]
        sent_s = await leader.switch(scene.session, colour, events.switched()[0])
        found.append(await arriving - sent_s)
        await asyncio.sleep(CALM_S)
        documents.append(await _document(scene, follower))
    return Pair(*documents[:2]), Spread(found)


async def _document(scene: Scene, one: Replica) -> Document:
    async with scene.session.get(f"{one.endpoint}?hold=0") as answer:
        body = await answer.read()
        marker = MARKER.search(body)
        assert marker is not None
        return Document(body, answer.headers["ETag"], marker[0].decode(), answer.content_type == "application/json")


async def _stored(scene: Scene) -> tuple[int, int]:
    """Return the bytes of the desired state and of the document as they are in etcd."""
    gateway, keys = JsonGateway([f"http://{node.address}" for node in scene.nodes]), Keys(PREFIX)
    try:
        found = (await gateway.transact((), [Get(keys.desired), Get(keys.document)])).found
    finally:
        await gateway.close()
    return len(found[0][0].value), len(found[1][0].value)


def _with_own_addresses(body: bytes) -> bytes:
    """Give each server an address that has nothing in common with the others'."""
    numbers = iter(range(body.count(b"http://127.0.0.1:")))

    def own(_: re.Match[bytes]) -> bytes:
        a, b, c = hashlib.blake2b(str(next(numbers)).encode(), digest_size=3).digest()
        return b"http://10.%d.%d.%d:8080" % (a, b, c)

    return ADDRESS.sub(own, body)


async def _roles(scene: Scene) -> tuple[Replica, Replica]:
    """Wait for rest; return who leads and who follows, which may have changed where the machine is busy."""
    await scene.at_rest()
    leader = await scene.leader()
    return leader, next(one for one in scene.replicas if one is not leader)


async def _load(services: int, scene: Scene, servers: Servers, rows: Rows) -> None:
    """Measure at rest, and with a thousand events a minute of either kind."""
    kinds: dict[str, Callable[[Replica], Awaitable[Happened]]] = {
        "none": lambda _: _rest(REST_S),
        "switches": lambda leader: events.switches(scene.session, leader, EVENTS_S),
        "servers": lambda _: events.failures(servers, EVENTS_S),
    }
    for kind, happen in kinds.items():
        leader, follower = await _roles(scene)
        pids = [leader.process.pid, follower.process.pid]
        (before, _), begun_s = await leader.served(scene.session), time.monotonic()
        usage, happened = await used(scene.nodes, pids, happen(leader))
        took_s = time.monotonic() - begun_s
        documents = ((await leader.served(scene.session))[0] - before) / took_s
        growth = 60 * max(usage.database_bytes, 0.0)
        _add(
            rows.load,
            *(f"{services:,}", kind, figure(happened.events / took_s), figure(documents), figure(usage.commits)),
            *(figure(one / 1e3) for one in (usage.received_bytes, usage.sent_bytes, usage.written_bytes)),
            *(figure(usage.cpu[pid]) for pid in pids),
            figure(usage.mean_cpu([node.pid for node in scene.nodes])),
            *(figure(growth / 1e6), figure(QUOTA_BYTES / growth) if growth else "-", _words(happened.took_s)),
            figure(statistics.mean(resident_mb(node.pid) for node in scene.nodes)),
        )
        if happened.refused:
            codes = ", ".join(sorted(set(happened.refused)))
            rows.notes.append(
                f"{services:,} services: {len(happened.refused)} of {happened.events} commands not done: {codes}."
            )


async def _rest(time_s: float) -> Happened:
    await asyncio.sleep(time_s)
    return Happened()


async def _polls(services: int, scene: Scene, size: int, rows: Rows) -> None:
    """Measure what polls cost a replica that follows, by how many Traefiks poll it."""
    _, follower = await _roles(scene)
    pid = follower.process.pid
    alone, _ = await used(scene.nodes, [pid], asyncio.sleep(POLLS_S))
    for most in TRAEFIKS:
        count = min(most, max(TRAEFIKS[0], int(POLLED_BYTES_MOST / size)))
        async with AsyncExitStack() as stack:
            them = await asyncio.to_thread(stack.enter_context, crowd.pollers(count, follower.endpoint))
            await asyncio.sleep(2 * crowd.POLL_S)
            await them.report()
            begun_s = time.monotonic()
            usage, _ = await used(scene.nodes, [pid], asyncio.sleep(POLLS_S))
            report, took_s = await them.report(), time.monotonic() - begun_s
        polls = report.polls / took_s
        own = usage.cpu[pid] - alone.cpu[pid]
        _add(
            rows.polls,
            *(f"{services:,}", str(count), figure(polls), figure(report.polled_bytes / took_s / 1e6)),
            *(figure(usage.cpu[pid]), figure(10 * own / polls) if own > 0 else "-"),
        )


async def _mirrors(count: int, scene: Scene, place: Path, rows: Rows) -> None:
    """Measure what so many mirrors cost, at rest and with a switch each second."""
    leader, _ = await _roles(scene)
    members = [node.address for node in scene.nodes]
    pids, leads = [node.pid for node in scene.nodes], leader.process.pid
    async with AsyncExitStack() as stack:
        run = crowd.mirrors(count, members, place / f"mirrors-{count}")
        them = await asyncio.to_thread(stack.enter_context, run)
        await asyncio.sleep(crowd.POLL_S)
        begun, at_rest_s = await them.report(), time.monotonic()
        rest, _ = await used(scene.nodes, [leads], asyncio.sleep(REST_S))
        rested = await them.report()
        rest_cpu = 100 * (rested.cpu_s - begun.cpu_s) / (time.monotonic() - at_rest_s) / count
        (before, _), begun_s = await leader.served(scene.session), time.monotonic()
        busy, sent_s = await used(scene.nodes, [leads], _switch_each_second(scene, leader))
        took_s = time.monotonic() - begun_s
        documents = (await leader.served(scene.session))[0] - before
        report = await them.report()
    arrived = sorted(report.documents.values(), key=lambda one: one.first_s)
    late_s = [
        next((one.last_s - sent for one in arrived if one.first_s > sent and one.mirrors == count), None)
        for sent in sent_s
    ]
    _add(
        rows.mirrors,
        *(str(count), figure(_sum(rest, pids)), figure(rest.commits), figure(rest.sent_bytes / 1e3), figure(rest_cpu)),
        figure(rest.cpu[leads]),
        *(figure(documents / took_s), figure(_sum(busy, pids)), figure(busy.commits), figure(busy.sent_bytes / 1e6)),
        *(figure(100 * (report.cpu_s - rested.cpu_s) / took_s / count), figure(busy.cpu[leads])),
        *(_words([one for one in late_s if one is not None]), figure(report.resident_mb / count)),
    )


async def _switch_each_second(scene: Scene, leader: Replica) -> list[float]:
    """Switch a service each second; return when each command was sent."""
    sent_s, begun_s = [], time.monotonic()
    for number in range(int(REST_S)):
        await asyncio.sleep(begun_s + number - time.monotonic())
        service = await leader.ask(scene.session, f"/services/{events.switched()[number]}")
        colour = Colour(service["active"]).other if service.get("active") else Colour.GREEN
        sent_s.append(await leader.switch(scene.session, colour, events.switched()[number]))
    await asyncio.sleep(begun_s + REST_S - time.monotonic())
    return sent_s


async def _groups(rows: Rows) -> None:
    """Switch many services at once, by the desired state."""
    with folder() as place, events.servers() as servers:
        most = max(GROUPS)

        def decide(store: str) -> Awaitable[None]:
            return events.decide(store, GROUPED, servers.ports, most)

        async with replicas(place, events.text(GROUPED, servers.ports, both=most), PAIR, decide) as scene:
            await scene.at_rest()
            leader = await scene.leader()
            for count in GROUPS:
                pinned = {events.name(number) for number in range(count)}
                text = events.text(GROUPED, servers.ports, both=most, pinned=pinned)
                (before, _), begun_s = await leader.served(scene.session), time.monotonic()
                usage, (applied_s, switched_s) = await used(scene.nodes, [], _apply(scene, leader, text, count))
                took_s = time.monotonic() - begun_s
                documents = (await leader.served(scene.session))[0] - before
                _add(
                    rows.groups,
                    *(f"{count:,}", figure(applied_s), figure(switched_s), str(documents)),
                    *(figure(took_s * usage.commits), figure(took_s * usage.values)),
                    figure(took_s * usage.received_bytes / 1e6),
                )
                await _apply(scene, leader, events.text(GROUPED, servers.ports, both=most), 0)
                await asyncio.sleep(CALM_S)


async def _apply(scene: Scene, leader: Replica, text: str, green: int) -> tuple[float, float]:
    """Apply a desired state; return when it was answered, and when so many services were green in every document."""
    begun_s = time.monotonic()
    async with scene.session.put(f"{leader.admin}/desired", json={"text": text, "name": "bench"}) as answer:
        assert answer.status == 200, await answer.text()
    applied_s = time.monotonic() - begun_s

    async def are_switched() -> bool:
        bodies = [(await _document(scene, one)).body for one in scene.replicas]
        return all(len(GREEN.findall(body)) == green for body in bodies)

    await scene.until(are_switched, f"{green} services are green")
    return applied_s, time.monotonic() - begun_s


def _tables(rows: Rows) -> list[Table]:
    each = ("% of a core: leader", "follower", "node of etcd")
    return [
        Table(
            "By the number of services, in bytes",
            (
                *("services", "desired state", "in etcd", "document", "in etcd", "with 10.x.y.z each (computed)"),
                *("start to document, s", "command to follower's document, ms: median / worst"),
                *("memory, MB: leader", "follower"),
            ),
            rows.sizes,
        ),
        Table(
            "At etcd and the replicas",
            (
                *("services", "events", "a second", "documents a second", "commits a second"),
                *("kB a second: from clients", "to clients", "to disk, each node", *each),
                *("database grows, MB a minute", "minutes to 2 GiB without compaction (computed)"),
                *("command to answer, ms: median / worst", "memory of a node, MB"),
            ),
            rows.load,
        ),
        Table(
            "Polls of one replica",
            ("services", "Traefiks", "polls a second", "MB a second", "% of a core", "a poll, ms of CPU"),
            rows.polls,
        ),
        Table(
            "Reload of Traefik",
            (
                *("services", "bytes", "document to in force, s", "CPU of that, s", "memory, MB"),
                "changes a minute at most (computed)",
            ),
            rows.traefik,
            ["The computed limit has a throttle of 100 ms; what comes more often is skipped, never queued."],
        ),
        Table(
            f"Mirrors, with {CROWDED:,} services: at rest, then with a switch each second",
            (
                *("mirrors", "etcd, % of a core, all nodes", "commits a second", "kB a second to clients"),
                *("a mirror, % of a core", "the leader, % of a core"),
                *("documents a second", "etcd, % of a core, all nodes", "commits a second", "MB a second to clients"),
                *("a mirror, % of a core", "the leader, % of a core", "command to the last mirror, ms: median / worst"),
                "memory, MB, each",
            ),
            rows.mirrors,
        ),
        Table(
            f"Many of {GROUPED:,} services switched at once, by the desired state",
            (
                *("services", "applied after, s", "all switched after, s", "documents", "commits", "values"),
                "MB from clients",
            ),
            rows.groups,
            rows.notes,
        ),
    ]


def _add(rows: list[Sequence[str]], *row: str) -> None:
    rows.append(row)
    print("  " + " | ".join(row), flush=True)


def _sum(usage: Usage, pids: Sequence[int]) -> float:
    return sum(usage.cpu[pid] for pid in pids)


def _words(found_s: Sequence[float]) -> str:
    spread = Spread(found_s)
    return f"{figure(spread.median_ms)} / {figure(spread.worst_ms)}" if found_s else "-"
