"""How long a container that starts takes to its place in the document, beside Traefik's own Docker provider."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

import orjson

from bench.certificate import default_store
from bench.engine import IMAGE, Engine, PrivateEngine
from bench.machine import Missing, program
from bench.processes import Daemon, Provided, folder, monotonic_s, polling
from bench.report import Section, Spread, Table, ratio
from provider.docker.discovery import Containers
from provider.docker.labels import Scope
from provider.model import ByColour, Server
from provider.traefik.process import Traefik

T = TypeVar("T")


class Fleet(NamedTuple):
    """Containers that run, one for each service, and those that were only created."""

    running: int
    created: int = 0

    def __str__(self) -> str:
        everything = f"{self.running + self.created:,}"
        return f"{everything}, of which {self.running} run" if self.created else everything


FLEETS = (Fleet(10), Fleet(200), Fleet(200, 1800))
STARTS = 6
ASKED = 20
AT_ONCE = 4
THROTTLE_S = 2.0
REST_S = 0.5
LOOK_S = 0.002
LIMIT_S = 60.0
SERVICE = "service-000"
TEXT = """\
A number of containers run, one for each service, and one more joins the first service. Times run from the moment
Docker reports as its start (`StartedAt`). Both Traefiks have a default certificate and the default throttle of 2 s,
which has passed before the next start. The engine is a private one; the containers are a static busybox on its bridge.
A bridge has 1,024 ports at most, and each container that runs takes 7 MB, so 1,800 of 2,000 are created and not
started: the engine keeps them and passes over them when it lists those that run.

- **in the document**: the daemon, after one HTTP check, serves the new server beside the old one; every server is
  checked every 5 s
- **with a TCP check**: the same; a connection counts as a pass once it has stayed open for 100 ms, as Docker's proxy
  and load balancers accept for servers that do not listen
- **routed by way of the daemon**: it is in the API of a Traefik that polls the daemon every second
- **routed by Traefik's Docker provider**: it is in the API of a Traefik that uses the same engine alone and checks
  nothing
- **sent**: the engine dates its event of the start; **followed**: the daemon's edge has the event; **reported**: it has
  inspected the container and reports the server, from where the first check begins
- **list of one service**: by its label; **list of all**: what a complete list asks for; **inspection**: of one"""
DESIRED = """\
environment: bench
traefik: {{defaultCertificate: generated}}
defaults: {{settle: 0s, watch: 0s, healthCheck: {{mode: {mode}, interval: 5s, timeout: 1s, healthyAfter: 1}}}}
services:
"""


@dataclass(frozen=True, slots=True)
class Started:
    """A container that joined a fleet, and when Docker started it, in seconds of CLOCK_MONOTONIC."""

    container: str
    url: str
    at_s: float


Look: TypeAlias = Callable[[str], Awaitable[bool]]
"""Returns whether a server of this URL has arrived."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured with one fleet."""

    document: Spread
    tcp: Spread
    routed: Spread
    peer: Spread
    parts: Sequence[Spread]
    requests: Sequence[Spread]


STARTED = "Container start, in ms: median / p95"
STARTED_COLUMNS = (
    *("containers", "in the document", "with a TCP check"),
    *("routed by way of the daemon", "routed by Traefik's Docker provider", "routed, daemon / provider"),
)
ASKED_COLUMNS = ("containers", "list of one service", "list of all", "inspection")


def main() -> Section:
    """Measure with every fleet, on an engine of our own where it can be had."""
    try:
        program("openssl")
        engine = PrivateEngine()
    except Missing as missing:
        return Section("docker", "Docker", TEXT, [Table(STARTED, (), (), [f"Skipped: {missing}."])])
    started, parts, asked = [], [], []
    try:
        engine.build()
        for fleet in FLEETS:
            found = asyncio.run(_measure(engine, fleet))
            words = [one.words() for one in (found.document, found.tcp, found.routed, found.peer)]
            started.append((str(fleet), *words, ratio(found.routed.median_ms, found.peer.median_ms)))
            parts.append((str(fleet), *[one.words() for one in found.parts]))
            asked.append((str(fleet), *[one.words() for one in found.requests]))
            print("  " + " | ".join((*started[-1], *parts[-1], *asked[-1])), flush=True)
    finally:
        engine.close()
    tables = [
        Table(STARTED, STARTED_COLUMNS, started),
        Table("Of that, in ms: median / p95", ("containers", "sent", "followed", "reported"), parts),
        Table("One request to the engine, in ms: median / p95", ASKED_COLUMNS, asked),
    ]
    return Section("docker", "Docker", TEXT, tables)


async def _measure(engine: Engine, fleet: Fleet) -> Found:
    names = [f"service-{number:03}" for number in range(fleet.running)]
    containers = await _at_once(partial(_create, engine), [(SERVICE,)] * fleet.created)
    containers += await _at_once(partial(_run, engine), zip(names, names, strict=True))
    try:
        requests = await asyncio.to_thread(_requests, engine)
        parts = await _parts(engine)
        async with _by_daemon(engine, names, "tcp") as looks:
            tcp, _ = await _starts(engine, looks)
        async with _by_daemon(engine, names, "http") as looks:
            document, routed = await _starts(engine, looks)
        async with _by_provider(engine) as look:
            (peer,) = await _starts(engine, [look])
    finally:
        await _at_once(engine.remove, [(container,) for container in containers])
    return Found(document, tcp, routed, peer, parts, requests)


def _requests(engine: Engine) -> list[Spread]:
    """Ask the engine over and over what the daemon asks it."""

    def listed(label: str) -> object:
        return engine.api.containers(filters={"label": [label]})

    asked: tuple[Callable[[], object], ...] = (
        lambda: listed(f"bluegreen.service={SERVICE}"),
        lambda: listed("bluegreen.service"),
        lambda: engine.api.inspect_container(SERVICE),
    )
    found: list[list[float]] = [[] for _ in asked]
    for _ in range(ASKED):
        for times, ask in zip(found, asked, strict=True):
            begun_s = time.monotonic()
            ask()
            times.append(time.monotonic() - begun_s)
    return [Spread(times) for times in found]


class _Noted:
    """A sink that notes when it was reported so many servers of SERVICE, and when a start was followed."""

    def __init__(self) -> None:
        self.servers, self.followed_s, self.reported_s = 0, 0.0, 0.0
        self.lists = 0

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        self.lists += 1
        self.docker_service(SERVICE, services[SERVICE], listed_mono_s)

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:  # noqa: ARG002
        if service == SERVICE and len(colours.blue) != self.servers:
            self.servers, self.reported_s = len(colours.blue), time.monotonic()

    def docker_networks(self, networks: frozenset[str]) -> None: ...

    def docker_connected(self, connected: bool, cause: str | None) -> None: ...

    def docker_warnings(self, warnings: Mapping[str, str]) -> None: ...

    def docker_event(self, action: str) -> None:
        if action == "start":
            self.followed_s = time.monotonic()


async def _parts(engine: Engine) -> list[Spread]:
    """Start containers beside a daemon's edge in this process; return when the start was sent, followed, reported."""
    noted = _Noted()
    edge = Containers(noted, base_url=engine.url)
    edge.set_scope(Scope("bench", required=False))
    task = asyncio.create_task(edge.run())
    found: tuple[list[float], list[float], list[float]] = ([], [], [])
    try:
        await _until_so(lambda: noted.lists > 1)
        for number in range(STARTS + 1):  # the first one warms up
            began_s = int(time.time())
            started = await asyncio.to_thread(_start, engine)
            await _until_so(lambda: noted.servers == 2)
            sent_s = await asyncio.to_thread(_sent_s, engine, started.container, began_s)
            if number:
                for times, at_s in zip(found, (sent_s, noted.followed_s, noted.reported_s), strict=True):
                    times.append(at_s - started.at_s)
            await asyncio.to_thread(engine.remove, started.container)
            await _until_so(lambda: noted.servers == 1)
            await asyncio.sleep(THROTTLE_S)
    finally:
        task.cancel()
        await asyncio.wait([task])
    return [Spread(times) for times in found]


def _sent_s(engine: Engine, container: str, began_s: int) -> float:
    """Return when the engine sent the event of a start, by its own date."""
    filters = {"container": [container], "event": ["start"]}
    (event,) = engine.api.events(since=began_s, until=int(time.time()) + 1, filters=filters, decode=True)
    return monotonic_s(datetime.fromtimestamp(event["timeNano"] / 1e9, UTC))


async def _until_so(holds: Callable[[], bool]) -> None:
    async def look() -> bool:
        return holds()

    await _until(look)


@asynccontextmanager
async def _by_daemon(engine: Engine, names: Sequence[str], mode: str) -> AsyncIterator[tuple[Look, Look]]:
    """Run a daemon and a Traefik that polls it; yields functions that read the document and Traefik."""
    services = "".join(f'  {name}: {{router: {{rule: "Host(`{name}.example.com`)"}}}}\n' for name in names)
    with folder() as place:
        daemon = Daemon(place, docker=engine.url)
        daemon.write(DESIRED.format(mode=mode) + services)
        async with daemon.running(), polling(daemon.endpoint, interval_s=1.0, throttle_s=THROTTLE_S) as traefik:

            async def in_document(url: str) -> bool:
                return f'"{url}"'.encode("ascii") in await daemon.document()

            yield in_document, partial(_in_traefik, traefik, f"{SERVICE}-blue@http")


@asynccontextmanager
async def _by_provider(engine: Engine) -> AsyncIterator[Look]:
    """Run a Traefik with its own Docker provider and a default certificate; yields a function that reads it."""
    with folder() as place:
        file = place / "default.yaml"
        file.write_bytes(orjson.dumps(default_store(place)))
        docker = {"endpoint": engine.url, "exposedByDefault": False}
        provider = {"docker": docker, "file": {"filename": str(file)}}
        async with Provided(provider, throttle_s=THROTTLE_S) as traefik:
            # It lists first and listens then: what starts in between is not seen before the next event.
            await _until(lambda: _has(traefik, f"{SERVICE}@docker"))
            await asyncio.sleep(THROTTLE_S + REST_S)
            yield partial(_in_traefik, traefik, f"{SERVICE}@docker")


async def _has(traefik: Traefik, service: str) -> bool:
    return await traefik.get(f"/api/http/services/{service}") is not None


async def _in_traefik(traefik: Traefik, service: str, url: str) -> bool:
    found: Any = await traefik.get(f"/api/http/services/{service}") or {}
    return url in {server.get("url") for server in found.get("loadBalancer", {}).get("servers") or ()}


async def _starts(engine: Engine, looks: Sequence[Look]) -> list[Spread]:
    """Start containers one after the other; return how long each took to arrive."""
    found: list[list[float]] = [[] for _ in looks]
    for number in range(STARTS + 1):  # the first one warms up
        started = await asyncio.to_thread(_start, engine)
        try:
            at_s = await asyncio.gather(*[_until(partial(look, started.url)) for look in looks])
        finally:
            await asyncio.to_thread(engine.remove, started.container)
        await asyncio.gather(*[_until(partial(_is_gone, look, started.url)) for look in looks])
        await asyncio.sleep(THROTTLE_S + REST_S)
        if number:
            for times, one_s in zip(found, at_s, strict=True):
                times.append(one_s - started.at_s)
    return [Spread(times) for times in found]


async def _is_gone(look: Look, url: str) -> bool:
    return not await look(url)


async def _until(look: Callable[[], Awaitable[bool]]) -> float:
    """Wait until it is so; return when it was."""
    try:
        async with asyncio.timeout(LIMIT_S):
            while not await look():
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise AssertionError(f"still not after {LIMIT_S:g} s: {look}") from None
    return time.monotonic()


def _start(engine: Engine) -> Started:
    """Start one more container for SERVICE."""
    container = _run(engine, "one-more", SERVICE)
    found = engine.api.inspect_container(container)
    at_s = monotonic_s(datetime.fromisoformat(found["State"]["StartedAt"]))
    return Started(container, f"http://{found['NetworkSettings']['IPAddress']}:80", at_s)


def _create(engine: Engine, service: str) -> str:
    """Create a container of a service and do not start it; return its id."""
    labels = {"bluegreen.service": service, "bluegreen.colour": "blue", "traefik.enable": "true"}
    container = str(engine.api.create_container(IMAGE, labels=labels)["Id"])
    engine.adopt(container)
    return container


def _run(engine: Engine, name: str, service: str) -> str:
    """Start a container that is labelled for both the daemon and Traefik's provider; return its id.

    It is on the bridge, not the host's network: for those Traefik looks up `host.docker.internal`, for each container
    at each event, and where no name server answers that would be what is measured.
    """
    port_label = f"traefik.http.services.{service}.loadbalancer.server.port"
    labels = {
        "traefik.enable": "true",
        f"traefik.http.routers.{service}.rule": f"Host(`{service}.example.com`)",
        port_label: "80",  # it names the service, too, which is the container's name otherwise
    }
    return engine.run(name, service, "blue", version="1", labels=labels)


async def _at_once(do: Callable[..., T], given: Iterable[tuple[Any, ...]]) -> list[T]:
    """Do it for all, a few at a time, in threads."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(arguments: tuple[Any, ...]) -> T:
        async with gate:
            return await asyncio.to_thread(do, *arguments)

    return await asyncio.gather(*map(one, given))
