"""The time from a change of one service to new bytes, through the real controller and its store."""

import asyncio
import tempfile
import time
from pathlib import Path

from bench import fleet
from provider import config
from provider.controller import Controller
from provider.edit import edit
from provider.metrics import Metrics
from provider.model import ByColour, Health, Probe, Server
from provider.store import Store

CHANGES = 200


class Nobody:
    """Takes the place of the edges: this measures what lies between them and the document."""

    def set_probes(self, service: str, probes: frozenset[Probe]) -> None: ...

    def set_scope(self, environment: str, *, required: bool, ignored: frozenset[str]) -> None: ...

    def relist(self, service: str) -> None: ...

    def void(self) -> None: ...


async def changes_s(services: int) -> list[float]:
    """Return how long each change took: Docker says that a service has another server."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        controller = Controller(store, await store.open(), Metrics(), docker_enabled=True)
        controller.intake.attach(Nobody(), Nobody())
        text = fleet.text(services, in_docker=True)
        controller.intake.desired_loaded(edit(None, config.load(text, "bench")), text)
        names = tuple(controller.world.entries)
        controller.intake.docker_listed({name: servers(1) for name in names}, time.monotonic())
        controller.intake.docker_connected(connected=True, cause=None)
        loops = [asyncio.create_task(loop()) for loop in (controller.decide, controller.publisher.run, controller.save)]
        while controller.published is None:
            await asyncio.sleep(0.05)
        # What the start left to decide and to save is not what is measured.
        while controller._settled_document() is None or not controller._unsaved.is_at_rest:
            await asyncio.sleep(0.05)
        found = [await change_s(controller, names[number % services], number + 2) for number in range(CHANGES)]
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await controller.close()
        return found


async def change_s(controller: Controller, name: str, number: int) -> float:
    assert controller.published is not None
    before = controller.published.revision
    begin_s = time.perf_counter()
    controller.intake.docker_service(name, servers(number), time.monotonic())
    while controller.published.revision == before:
        await asyncio.sleep(0)
    return time.perf_counter() - begin_s


def servers(number: int) -> ByColour[tuple[Server, ...]]:
    url = f"http://10.1.{number // 250}.{number % 250}:8080"
    return ByColour((Server(url, "1", container=f"{number:012x}", docker_health=Health.HEALTHY),), ())
