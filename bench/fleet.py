"""A fleet of many services, each with one server."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import orjson

from provider import config
from provider.model import ByColour, Colour, FixedServers, ServiceState, Wish
from provider.store import Change, Store

NOBODY = 9
"""A port on which nobody listens: health checks of a fleet go to this machine and no further, and find nothing."""


def text(services: int, *, in_docker: bool = False) -> str:
    """Return a file as an operator might generate it."""
    lines = ["environment: bench", "defaults: {healthCheck: {interval: 1h}}", "services:"]
    for number in range(services):
        name = f"service-{number:05}"
        lines += [f"  {name}:", f'    router: {{rule: "Host(`{name}.example.com`)", entryPoints: [web]}}']
        if not in_docker:
            url = f"http://127.1.{number // 250}.{number % 250}:{NOBODY}"
            lines += ["    servers:", f'      blue: {{urls: ["{url}"], version: "1"}}']
    return "\n".join(lines) + "\n"


def raw_data(services: int) -> bytearray:
    """Return what the API of a Traefik 3.7 answers to `/api/rawdata` when it has applied the document of a fleet."""
    routers, backends = {}, {}
    seen = {"accessLogs": True, "metrics": True, "tracing": True, "traceVerbosity": "minimal"}
    for number in range(services):
        name, url = f"service-{number:05}", f"http://127.1.{number // 250}.{number % 250}:{NOBODY}"
        rule = {"rule": f"Host(`{name}.example.com`)", "priority": 34, "observability": seen}
        routers[f"{name}@http"] = {"entryPoints": ["web"], "service": name, **rule, "status": "enabled"}
        one = {"servers": [{"url": url}], "strategy": "wrr", "passHostHeader": True}
        backends[f"{name}-blue@http"] = {"loadBalancer": one, "status": "enabled", "serverStatus": {url: "UP"}}
        child = {"name": f"{name}-blue", "weight": 100}
        backends[f"{name}@http"] = {"weighted": {"services": [child]}, "status": "enabled"}
    return bytearray(orjson.dumps({"routers": routers, "services": backends}))


def decide(state: Path, services: int) -> None:
    """Write the state of a daemon that has served this fleet from blue."""
    desired = config.load(text(services), "bench")
    decided = {name: _served(service.servers.blue) for name, service in desired.services.items()}

    async def write() -> None:
        store = Store(state)
        await store.open()
        await store.commit(Change(services=decided))
        await store.close(revision=1)

    asyncio.run(write())


def _served(fixed: FixedServers | None) -> ServiceState:
    assert fixed is not None
    settled = ByColour(frozenset({fixed.release}), frozenset())
    return ServiceState(active=Colour.BLUE, wish=Wish.AUTO, settled=settled, switched_utc=datetime.now(UTC))
