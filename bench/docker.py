"""How long a container that starts takes to its place in the document, beside Traefik's own Docker provider."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, TypeAlias, TypeVar

import orjson

from bench.certificate import default_store
from bench.engine import Engine, PrivateEngine
from bench.machine import Missing, program
from bench.processes import Daemon, Provided, folder, monotonic_s, polling
from bench.report import Section, Spread, Table, ratio
from provider.traefik.process import Traefik

T = TypeVar("T")

FLEETS = (10, 200)
STARTS = 6
AT_ONCE = 4
THROTTLE_S = 2.0
REST_S = 0.5
LOOK_S = 0.005
LIMIT_S = 60.0
SERVICE = "service-000"
TEXT = """\
A number of containers run, one for each service, and one more joins the first service. Times run from the moment
Docker reports its start. Both Traefiks have a default certificate and the default throttle of 2 s, which has passed
before the next start. The engine is a private one; the containers are a static busybox on its bridge.

- **in the document**: the daemon, after one TCP check, serves the new server beside the old one
- **routed by way of the daemon**: it is in the API of a Traefik that polls the daemon every second
- **routed by Traefik's Docker provider**: it is in the API of a Traefik that uses the same engine alone and checks
  nothing"""
DESIRED = """\
environment: bench
traefik: {defaultCertificate: generated}
defaults: {settle: 0s, watch: 0s, healthCheck: {mode: tcp, interval: 100ms, timeout: 1s, healthyAfter: 1}}
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


def main() -> Section:
    """Measure with every fleet, on an engine of our own where it can be had."""
    heading, columns = (
        "Container start, in ms: median / p95",
        (
            *("containers", "in the document", "routed by way of the daemon", "routed by Traefik's Docker provider"),
            "routed, daemon / provider",
        ),
    )
    try:
        program("openssl")
        engine = PrivateEngine()
    except Missing as missing:
        return Section("docker", "Docker", TEXT, [Table(heading, (), (), [f"Skipped: {missing}."])])
    rows = []
    try:
        engine.build()
        for services in FLEETS:
            document, routed, peer = asyncio.run(_measure(engine, services))
            times = [one.words() for one in (document, routed, peer)]
            rows.append((str(services), *times, ratio(routed.median_ms, peer.median_ms)))
            print("  " + " | ".join(rows[-1]), flush=True)
    finally:
        engine.close()
    return Section("docker", "Docker", TEXT, [Table(heading, columns, rows)])


async def _measure(engine: Engine, services: int) -> tuple[Spread, Spread, Spread]:
    names = [f"service-{number:03}" for number in range(services)]
    fleet = await _at_once(partial(_run, engine), zip(names, names, strict=True))
    try:
        async with _by_daemon(engine, names) as looks:
            document, routed = await _starts(engine, looks)
        async with _by_provider(engine) as look:
            (peer,) = await _starts(engine, [look])
    finally:
        await _at_once(engine.remove, [(container,) for container in fleet])
    return document, routed, peer


@asynccontextmanager
async def _by_daemon(engine: Engine, names: Sequence[str]) -> AsyncIterator[tuple[Look, Look]]:
    """Run a daemon and a Traefik that polls it; yields functions that read the document and Traefik."""
    services = "".join(f'  {name}: {{router: {{rule: "Host(`{name}.example.com`)"}}}}\n' for name in names)
    with folder() as place:
        daemon = Daemon(place, docker=engine.url)
        daemon.write(DESIRED + services)
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
