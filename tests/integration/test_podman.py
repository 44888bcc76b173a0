"""Podman's API as far as Debian's runs here: what it lists and sends otherwise than Docker (rule 38).

Health checks are not among it: systemd keeps their timers, and there is none.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest

from bench.engine import Engine
from provider.docker.discovery import Containers
from provider.docker.labels import Scope
from provider.model import ByColour, Health, Server
from provider.traefik.process import free_ports
from tests.support.waiting import eventually


class Reports:
    """A sink that notes the servers of each service, as reported last."""

    def __init__(self) -> None:
        self.services: dict[str, ByColour[tuple[Server, ...]]] = {}
        self.events: list[str] = []
        self.warnings: Mapping[str, str] = {}

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], _: float) -> None:
        self.services = dict(services)

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], _: float) -> None:
        self.services[service] = colours

    def docker_networks(self, networks: frozenset[str]) -> None: ...

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        assert connected, cause

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        self.warnings = warnings

    def docker_event(self, action: str) -> None:
        self.events.append(action)

    def blue(self) -> tuple[Server, ...]:
        return self.services["shop"].blue if "shop" in self.services else ()


@pytest.fixture
async def reports(podman: Engine) -> AsyncIterator[Reports]:
    found = Reports()
    containers = Containers(found, base_url=podman.url, docker_host_address="127.0.0.1")
    containers.set_scope(Scope("production"))
    task = asyncio.create_task(containers.run())
    yield found
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await asyncio.to_thread(podman.cleanup)


@pytest.mark.takes(15)
async def test_containers_of_podman_become_servers_on_each_kind_of_network(podman: Engine, reports: Reports) -> None:
    """Its list has neither network modes nor the ports that are not published."""
    (port,) = free_ports(1)
    await asyncio.to_thread(podman.run, "shop-bridge", "shop", "blue", version="1")
    await asyncio.to_thread(podman.run, "shop-host", "shop", "blue", version="1", host_port=port)
    await asyncio.to_thread(podman.run, "shop-published", "shop", "blue", version="1", publish=True)
    await eventually(lambda: len(reports.blue()) == 3)
    urls = sorted(server.url for server in reports.blue())
    assert any(url.startswith("http://10.88.") and url.endswith(":80") for url in urls)
    assert f"http://127.0.0.1:{port}" in urls
    assert reports.warnings == {}


@pytest.mark.takes(15)
async def test_deaths_stops_and_pauses_of_podman_are_seen_as_they_happen(podman: Engine, reports: Reports) -> None:
    """It filters deaths by another name than it sends, and says of no signal which it was."""
    container = await asyncio.to_thread(podman.run, "shop-blue", "shop", "blue", version="1")
    await eventually(reports.blue)
    await asyncio.to_thread(podman.api.pause, container)
    await eventually(lambda: [server.docker_health for server in reports.blue()] == [Health.UNHEALTHY])
    await asyncio.to_thread(podman.api.unpause, container)
    await eventually(lambda: [server.docker_health for server in reports.blue()] == [None])
    await asyncio.to_thread(podman.crash, container)
    await eventually(lambda: reports.blue() == ())
    assert "die" in reports.events
    await asyncio.to_thread(podman.api.start, container)
    await eventually(reports.blue)
    await asyncio.to_thread(podman.api.stop, container, timeout=10)
    await eventually(lambda: reports.blue() == ())
