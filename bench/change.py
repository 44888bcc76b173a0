"""The time from a change of one service to new bytes, through the real controller and its store."""

import asyncio
import tempfile
import time
from pathlib import Path

from bench import fleet
from provider import config
from provider.checks.analysis import Analyser
from provider.checks.health import HealthChecker
from provider.checks.smoke import SmokeTester
from provider.config.diff import edit
from provider.controller.controller import Controller
from provider.controller.inputs import Inputs
from provider.controller.outputs import Outputs
from provider.model import ByColour, Health, Probe, Server
from provider.observability.metrics import Metrics
from provider.store.sqlite import SqliteStore
from provider.traefik.readback import ReadBack

CHANGES = 200


class NoChecks(HealthChecker):
    """Takes the place of the health checks: this measures what lies between the edges and the document."""

    def set_probes(self, service: str, probes: frozenset[Probe]) -> None: ...


def no_tasks(_check: object, _name: str) -> asyncio.Task[None]:
    raise AssertionError("an edge that does not run starts nothing")


def edges(inputs: Inputs) -> Outputs:
    """Build edges that do not run."""
    return Outputs(
        NoChecks(spawn=no_tasks, on_verdict=inputs.health_verdict, on_result=inputs.health_checked),
        SmokeTester(spawn=no_tasks, on_smoke=inputs.smoked),
        ReadBack(on_reading=inputs.traefik_read, on_gone=inputs.traefik_gone),
        Analyser(on_scrape=inputs.scraped, on_answer=inputs.answered_query),
    )


async def changes_s(services: int) -> list[float]:
    """Return how long each change took, after Docker reports another server of a service."""
    with tempfile.TemporaryDirectory() as folder:
        store = SqliteStore(Path(folder))
        controller = Controller(store, await store.open(wait_s=10), Metrics(), edges, docker_enabled=True)
        text = fleet.text(services, in_docker=True)
        controller.desired_loaded(edit(None, config.load(text, "bench")), text)
        names = tuple(controller.state.services)
        controller.inputs.docker_listed({name: servers(1) for name in names}, time.monotonic())
        controller.inputs.docker_connected(connected=True, cause=None)
        loops = [asyncio.create_task(loop()) for loop in (controller.decide, controller.publisher.run, controller.save)]
        while controller.published is None:
            await asyncio.sleep(0.05)
        # What the start left to decide and to save is not what is measured.
        queues = (controller.queues.undecided, controller.queues.unpublished, controller.queues.unsaved)
        while not all(queue.is_at_rest for queue in queues):
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
    controller.inputs.docker_service(name, servers(number), time.monotonic())
    while controller.published.revision == before:
        await asyncio.sleep(0)
    return time.perf_counter() - begin_s


def servers(number: int) -> ByColour[tuple[Server, ...]]:
    url = f"http://10.1.{number // 250}.{number % 250}:8080"
    return ByColour((Server(url, "1", container=f"{number:012x}", docker_health=Health.HEALTHY),), ())
