"""The ways to switch that are measured: the daemon at several settings of Traefik, and its peers."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.load import HOST
from bench.processes import Daemon, Provided, folder, haproxy, nginx, polling
from bench.stamped import Moments, read
from provider.model import Colour
from provider.traefik.process import LOOPBACK, Traefik

SERVICE = "shop"
QUICK_S = 0.001
ROUTED_LIMIT_S = 30.0
DESIRED = """\
environment: bench
traefik: {{api: ["{api}"], defaultCertificate: {certificate}}}
services:
  {service}:
    active: {active}
    router: {{rule: "Host(`{host}`)", entryPoints: [web]}}
    settle: 0s
    watch: 0s
    healthCheck: {{mode: http, path: /, interval: 1s, timeout: 1s, healthyAfter: 1}}
    servers:
      blue: {{urls: ["http://{loopback}:{blue}"], version: "1"}}
      green: {{urls: ["http://{loopback}:{green}"], version: "2"}}
"""


async def _nothing(_: Colour) -> None: ...


@dataclass(frozen=True, slots=True)
class Running:
    """A way that is ready to switch, with blue active: the port for clients, and how to switch.

    `switch` returns the moment at which it was sent off; `reported` is asked when the switch to a colour is over.
    """

    port: int
    switch: Callable[[Colour], Awaitable[float]]
    reported: Callable[[Colour], Awaitable[Moments | None]] = _nothing


@dataclass(frozen=True, slots=True)
class Scene:
    """What all ways share: the addresses of the colours, and the daemon's documents, for its peers.

    The documents are kept by whether they have a default certificate, and by colour.
    """

    ports: Mapping[Colour, int]
    documents: dict[tuple[bool, Colour], bytes]


@dataclass(frozen=True, slots=True)
class Way:
    """One way to switch: how to start it, how often Traefik polls and applies, and whether the aim is about it.

    `by_file` switches by an edit of the desired-state file, not by a command.
    """

    name: str
    start: Callable[["Way", Scene], AbstractAsyncContextManager[Running]]
    certificate: bool = False
    interval_s: float = 0.0
    throttle_s: float = QUICK_S
    is_aim: bool = False
    has_traefik: bool = True
    by_file: bool = False


@asynccontextmanager
async def _daemon(way: Way, scene: Scene) -> AsyncIterator[Running]:
    async with AsyncExitStack() as stack:
        place = stack.enter_context(folder())
        daemon = Daemon(place, stamps=place / "stamps")
        traefik = polling(daemon.endpoint, interval_s=way.interval_s, throttle_s=way.throttle_s)
        desired = partial(
            DESIRED.format,
            **{colour.value: port for colour, port in scene.ports.items()},
            api=traefik.api,
            certificate="generated" if way.certificate else "none",
            service=SERVICE,
            host=HOST,
            loopback=LOOPBACK,
        )
        daemon.write(desired(active=Colour.BLUE))
        await stack.enter_async_context(daemon.running())
        await stack.enter_async_context(traefik)

        async def switch(colour: Colour) -> float:
            if way.by_file:
                return daemon.write(desired(active=colour))
            sent_s = time.monotonic()
            await daemon.switch(SERVICE, colour)
            return sent_s

        async def reported(colour: Colour) -> Moments:
            scene.documents[way.certificate, colour] = await daemon.document()
            return read(place / "stamps")

        await _routed(traefik)
        yield Running(_port(traefik), switch, reported)


@asynccontextmanager
async def _nginx(way: Way, scene: Scene) -> AsyncIterator[Running]:
    with folder() as place:
        async with nginx(place) as address:
            switch = _by_file(place / "www" / "document.json", way, scene)
            await switch(Colour.BLUE)
            endpoint = f"http://{address}/document.json"
            async with polling(endpoint, interval_s=way.interval_s, throttle_s=way.throttle_s) as traefik:
                await _routed(traefik)
                yield Running(_port(traefik), switch)


@asynccontextmanager
async def _file_provider(way: Way, scene: Scene) -> AsyncIterator[Running]:
    with folder() as place:
        file = place / "document.yaml"
        switch = _by_file(file, way, scene)
        await switch(Colour.BLUE)
        async with Provided({"file": {"filename": str(file), "watch": True}}, throttle_s=way.throttle_s) as traefik:
            await _routed(traefik)
            yield Running(_port(traefik), switch)


@asynccontextmanager
async def _haproxy(_: Way, scene: Scene) -> AsyncIterator[Running]:
    with folder() as place:
        async with haproxy(place, scene.ports) as (port, admin):

            async def switch(colour: Colour) -> float:
                reader, writer = await asyncio.open_unix_connection(admin)
                weights = f"set server shop/{colour} weight 100; set server shop/{colour.other} weight 0\n"
                sent_s = time.monotonic()
                writer.write(weights.encode("ascii"))
                said = await reader.read()
                writer.close()
                assert not said.strip(), said
                return sent_s

            yield Running(port, switch)


def _by_file(file: Path, way: Way, scene: Scene) -> Callable[[Colour], Awaitable[float]]:
    """Switch by putting the daemon's document for a colour in place of the one before, in one step."""

    async def switch(colour: Colour) -> float:
        new = file.with_suffix(".new")
        new.write_bytes(scene.documents[way.certificate, colour])
        sent_s = time.monotonic()
        new.replace(file)
        return sent_s

    return switch


async def _routed(traefik: Traefik) -> None:
    """Wait until Traefik routes the service."""
    async with asyncio.timeout(ROUTED_LIMIT_S):
        while not any(name.startswith(f"{SERVICE}@") for name in (await traefik.raw_data()).get("routers", {})):
            await asyncio.sleep(0.05)


def _port(traefik: Traefik) -> int:
    return int(traefik.url("web").rpartition(":")[2])


FILE_PROVIDER = "Traefik's file provider"
BOTH = (False, True)
WAYS = (
    *[Way("daemon, polled every 5 s (Traefik's defaults)", _daemon, has, 5.0, 2.0) for has in BOTH],
    *[Way("daemon, polled every 1 s", _daemon, has, 1.0, 2.0, is_aim=has) for has in BOTH],
    Way(
        "daemon, polled every 1 s, by an edit of its file",
        _daemon,
        certificate=True,
        interval_s=1.0,
        throttle_s=2.0,
        is_aim=True,
        by_file=True,
    ),
    *[Way("daemon, polled every 50 ms, throttle 1 ms", _daemon, has, 0.05) for has in BOTH],
    *[Way("nginx, a file polled every 20 ms", _nginx, has, 0.02) for has in BOTH],
    *[Way(FILE_PROVIDER, _file_provider, has, is_aim=has) for has in BOTH],
    Way("HAProxy, runtime API", _haproxy, has_traefik=False),
)
