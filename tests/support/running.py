"""A controller with its loops and a real store, whose edges are played by the test."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from provider import config
from provider.api.listen import listen
from provider.checks.analysis import Analyser
from provider.checks.health import HealthChecker
from provider.checks.smoke import SmokeTester
from provider.config.diff import edit
from provider.controller.controller import Controller
from provider.controller.inputs import Inputs
from provider.controller.outputs import Listeners, Outputs
from provider.controller.publication import Published
from provider.controller.replica import Replica
from provider.docker.discovery import Containers
from provider.docker.labels import Scope
from provider.model import ByColour, Colour, Health, Probe, Server, ServerHealth
from provider.model.errors import StoreError
from provider.observability.metrics import Metrics
from provider.store import Change, Store, Stored
from provider.store.sqlite import SqliteStore
from provider.traefik.readback import ReadBack
from tests.support.listening import end
from tests.support.waiting import eventually


def shop(*, blue: str | None = "8081", green: str | None = None, more: str = "", active: str = "auto") -> str:
    """Write a file with one service on fixed servers; a colour is given as the ports of its servers."""
    ports = {"blue": blue, "green": green}
    urls = {
        colour: ", ".join(f"'http://127.0.0.1:{port}'" for port in named.split())
        for colour, named in ports.items()
        if named
    }
    servers = ", ".join(f"{colour}: {{urls: [{written}]}}" for colour, written in urls.items())
    return (
        "environment: production\nservices:\n  shop:\n    router: {rule: 'Host(`shop.example.com`)'}\n"
        f"    active: {active}\n    settle: 1ms\n" + (f"    servers: {{{servers}}}\n" if servers else "") + more
    )


@dataclass
class Edges:
    """What the controller asked of the health checks and of Docker's edge."""

    probes: dict[str, frozenset[Probe]] = field(default_factory=dict)
    relisted: list[str] = field(default_factory=list)
    scope: Scope | None = None
    voided: int = 0


class Prober(HealthChecker):
    """Health checks that check nothing, and note what they are asked for."""

    def __init__(self, edges: Edges, inputs: Inputs) -> None:
        super().__init__(spawn=no_tasks, on_verdict=inputs.health_verdict, on_result=inputs.health_checked)
        self.edges = edges

    def set_probes(self, service: str, probes: frozenset[Probe]) -> None:
        self.edges.probes[service] = probes

    def void(self) -> None:
        self.edges.voided += 1


class Lister(Containers):
    """Docker's edge without an engine; it notes what it is asked for."""

    def __init__(self, edges: Edges, inputs: Inputs) -> None:
        super().__init__(inputs, base_url="unix:///nowhere.sock")
        self.edges = edges

    def relist(self, service: str) -> None:
        self.edges.relisted.append(service)

    def void(self) -> None:
        self.edges.voided += 1

    def set_scope(self, scope: Scope) -> None:
        self.edges.scope = scope


def no_tasks(_check: object, _name: str) -> asyncio.Task[None]:
    raise AssertionError("an edge that does not run starts nothing")


def outputs(edges: Edges, inputs: Inputs, *, docker: bool) -> Outputs:
    """Build edges that do not run."""
    return Outputs(
        Prober(edges, inputs),
        SmokeTester(spawn=no_tasks, on_smoke=inputs.smoked),
        ReadBack(on_reading=inputs.traefik_read, on_gone=inputs.traefik_gone),
        Analyser(on_scrape=inputs.scraped, on_answer=inputs.answered_query),
        Lister(edges, inputs) if docker else None,
    )


class Running:
    """One controller at work; `documents` are all that it published, in order."""

    def __init__(self, controller: Controller, store: Store, stored: Stored, metrics: Metrics, edges: Edges) -> None:
        self.controller, self.store, self.stored = controller, store, stored
        self.replica = Replica(controller.lasting, controller)
        self.metrics, self.edges = metrics, edges
        self.documents: list[Published] = []

    def load(self, text: str) -> None:
        """Hand over a file."""
        edited = edit(self.controller.state.desired, config.load(text, "desired.yaml"))
        self.controller.desired_loaded(edited, text)

    async def judge(
        self, colour: Colour, health: Health = Health.HEALTHY, *, port: str = "", service: str = "shop"
    ) -> None:
        """Deliver a verdict on the servers of a colour, as soon as they are probed."""

        def wanted() -> list[Probe]:
            probes = self.edges.probes.get(service, frozenset())
            return [probe for probe in probes if probe.colour is colour and probe.key.url.endswith(port)]

        for probe in await eventually(wanted):
            cause = None if health is Health.HEALTHY else "connection refused"
            self.controller.inputs.health_verdict(probe, ServerHealth(health, cause, datetime.now(UTC)))

    def list_docker(self, mono_s: float | None = None, **services: ByColour[tuple[Server, ...]]) -> None:
        """Deliver a complete list, asked for just now."""
        asked = asyncio.get_running_loop().time() if mono_s is None else mono_s
        self.controller.inputs.docker_listed(services, asked)

    def content(self) -> dict[str, Any]:
        """Return the document there is, {} while there is none."""
        published = self.controller.published
        return dict(orjson.loads(published.document.body)) if published else {}

    def served(self, service: str = "shop") -> Mapping[str, list[str]]:
        """Return the server URLs of each colour that a service has in the document."""
        services = self.content().get("http", {}).get("services", {})
        weighted = services.get(service, {"weighted": {"services": []}})["weighted"]["services"]
        return {
            child["name"].rpartition("-")[2]: [one["url"] for one in services[child["name"]]["loadBalancer"]["servers"]]
            for child in weighted
        }

    async def until_served(self, service: str = "shop", **urls: list[str]) -> Published:
        """Wait until exactly these servers are served; return the document."""

        def look() -> Published | None:
            assert self.served(service) == urls
            return self.controller.published

        found = await eventually(look)
        assert found is not None
        return found

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(f"bluegreen_{name}", labels)

    def codes(self) -> dict[str, str]:
        return {condition.code: condition.message for condition in self.controller.conditions}

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Keep every document, also one that stands for no longer than between two turns of the loop."""

        def look() -> None:
            published = self.controller.published
            if published is not None and published not in self.documents[-1:]:
                self.documents.append(published)

        async def keep_looking() -> None:
            while True:
                look()
                await asyncio.sleep(0)

        look()
        task = asyncio.create_task(keep_looking())
        try:
            yield
        finally:
            look()
            task.cancel()


class Stubborn(SqliteStore):
    """A store whose disk is full while `full` is set."""

    full = False

    async def commit(self, change: Change) -> None:
        if self.full:
            raise StoreError("/state: No space left on device")
        await super().commit(change)


async def kill(store: Store) -> None:
    """Let go of a state directory as a process that dies does: without a last word."""
    assert isinstance(store, SqliteStore)
    await store._call(10.0, store._release)
    store._worker.shutdown(wait=False)


@asynccontextmanager
async def running(
    folder: Path,
    *,
    docker: bool = False,
    orderly: bool = True,
    store: Callable[[Path], Store] = SqliteStore,
    listeners: Listeners | None = None,
    desired_in_store: bool = False,
) -> AsyncIterator[Running]:
    """Run a controller on the state in `folder`; without `orderly` it ends as a killed one does."""
    opened = store(folder)
    stored = await opened.open(wait_s=10)
    metrics, edges = Metrics(), Edges()
    edged = partial(outputs, edges, docker=docker)
    controller = Controller(
        opened, stored, metrics, edged, listeners, docker_enabled=docker, desired_in_store=desired_in_store
    )
    loops = [
        asyncio.ensure_future(loop())
        for loop in (controller.decide, controller.publisher.run, controller.save, *opened.loops().values())
    ]
    try:
        yield Running(controller, opened, stored, metrics, edges)
        for ended in (task for task in loops if task.done() and not task.cancelled()):
            ended.result()
    finally:
        for task in loops:
            task.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await (controller.close() if orderly else kill(opened))


@asynccontextmanager
async def listening(app: web.Application, path: Path | None = None, *, cancels: bool = False) -> AsyncIterator[str]:
    """Serve an application on loopback, or at a unix socket; yields its URL, or the socket's `unix:PATH`.

    With `cancels` the handler of a client that goes away is cancelled, as on the provider listener.
    """
    runner = web.AppRunner(app, handler_cancellation=cancels)
    await runner.setup()
    try:
        site = await listen(runner, f"unix:{path}" if path is not None else "127.0.0.1:0")
        yield site.name if path is not None else f"http://127.0.0.1:{site.port}"
    finally:
        await end(runner)


def url(port: str) -> str:
    """Return the URL of a server that `shop` writes."""
    return f"http://127.0.0.1:{port}"
