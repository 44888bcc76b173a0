"""A fleet of many services, each with one server."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import orjson

from provider import config
from provider.model import ByColour, Colour, FixedServers, ServiceState, Wish
from provider.model.document import Document
from provider.store import Change
from provider.store.sqlite import SqliteStore

NOBODY = 9
"""A port on which nothing listens: health checks of a fleet stay on this machine, and find nothing."""


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
    """Return the answer of a Traefik 3.7 to `/api/rawdata` that has applied the document of a fleet."""
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
    decided = decided_of(text(services))

    async def write() -> None:
        store = SqliteStore(state)
        await store.open(wait_s=10)
        await store.commit(Change(services=decided))
        await store.publish(Document(b"{}", "", ""))
        await store.close()

    asyncio.run(write())


def decided_of(written: str) -> dict[str, ServiceState]:
    """Return the states of all services of a desired state, as a daemon has them that serves each from blue."""
    desired = config.load(written, "bench")
    return {name: _served(service.servers.blue, service.active) for name, service in desired.services.items()}


def _served(fixed: FixedServers | None, wish: Wish) -> ServiceState:
    assert fixed is not None
    settled = ByColour(frozenset({fixed.release}), frozenset())
    return ServiceState(active=Colour.BLUE, wish=wish, settled=settled, switched_utc=datetime.now(UTC))
