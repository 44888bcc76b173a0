"""The stacks of a Swarm, started as docs/replicas.md and docs/swarm.md say: `make image-test`. It takes minutes.

The nodes are machines of namespaces with an engine each. There is no registry: each engine is given the images.
"""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.engine import static_busybox
from bench.machine import Missing
from provider import __version__
from tests.support.components import missing, program
from tests.support.engines import Engines
from tests.support.etcd import etcd_program
from tests.support.images import Docker, Images
from tests.support.machines import Site
from tests.support.namespace import Namespace
from tests.support.pages import blocks_by_heading
from tests.support.paths import ROOT
from tests.support.runbook import Operator
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif("BLUEGREEN_IMAGE_TEST" not in os.environ, reason="takes minutes: make image-test")

NODES = ("node1", "node2", "node3")
SWARM, REPLICAS = "From an empty Swarm to the first version", "A Docker Swarm"
HOST = "shop.example.com"
DAEMON, NEXT, ETCD = f"traefik-bluegreen:{__version__}", "traefik-bluegreen:next", "bluegreen-image-test-etcd"
PULLED = {"TRAEFIK_IMAGE": "traefik:v3.7", "SOCKET_PROXY_IMAGE": "wollomatic/socket-proxy:1"}
APPLICATION = """\
FROM scratch
COPY busybox application /bin/
COPY body /www/index.html
COPY body /www/healthz
CMD ["/bin/application"]
"""
LISTEN = """\
#!/bin/busybox sh
trap 'kill $!; exit 0' TERM
/bin/busybox httpd -f -p "$WHOAMI_PORT_NUMBER" -h /www &
wait
"""
LIMIT_S = 600.0
"""Swarm watches each node for a minute after an update."""


@pytest.fixture(scope="session")
def settings(images: Images) -> dict[str, str]:
    """The variables that name the images of both stacks."""
    shop = {"BLUE_IMAGE": "shop:1", "BLUE_VERSION": "1", "GREEN_IMAGE": "shop:1"}
    stand_ins = {name: images.stand_ins.get(name, pulled) for name, pulled in PULLED.items()}
    return {"ETCD_IMAGE": ETCD, **stand_ins, **shop}


@pytest.fixture(scope="session")
def archive(docker: Docker, images: Images, settings: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All images in one file."""
    etcd = Path(etcd_program())
    linked = re.findall(
        r"(/\S+) \(0x", subprocess.run(["ldd", etcd], capture_output=True, text=True, check=False).stdout
    )
    files = {Path(name).name: Path(name) for name in linked}
    copies = "".join(f"COPY {Path(name).name} {name}\n" for name in linked)
    text = f"FROM scratch\n{copies}COPY etcd /bin/etcd\nENV PATH=/bin\n"
    docker.build(ETCD, {"Dockerfile": text, "etcd": etcd, **files})
    for version in ("1", "2"):
        docker.build(
            f"shop:{version}",
            {
                "Dockerfile": APPLICATION,
                "busybox": Path(static_busybox()),
                "application": LISTEN,
                "body": f"shop {version}\n",
            },
        )
    for pulled in PULLED.values() if not images.stand_ins else ():
        docker("pull", "--quiet", pulled)
    for tag in (DAEMON, NEXT):
        docker("tag", images.daemon, tag)
    names = {DAEMON, NEXT, "shop:2", *(value for value in settings.values() if value != "1")}
    file = tmp_path_factory.mktemp("images") / "images.tar"
    docker("save", "--output", file, *sorted(names))
    return file


@dataclass(frozen=True, slots=True)
class Nodes:
    """Machines with engines, and a shell on the first of them, in a folder of deploy/."""

    site: Site
    engines: Engines
    operator: Operator

    async def does(self, script: str) -> str:
        return await asyncio.to_thread(self.operator.does, script)

    async def plays(self, heading: str, number: int = 0, **filled: str) -> str:
        return await asyncio.to_thread(partial(self.operator.plays, heading, number, **filled))

    def addresses(self) -> list[str]:
        return [self.site.machines[name].address for name in self.engines.names]


@pytest.fixture
def start(tmp_path: Path, archive: Path, settings: dict[str, str]) -> Iterator[Callable[[Sequence[str], str], Nodes]]:
    """Start nodes, with a shell that has the names of the images; the test is where clients are."""
    with ExitStack() as stack:

        def made(names: Sequence[str], page: str) -> Nodes:
            programs = [ROOT / ".venv" / "bin", Path(program("docker", "docker")).parent]
            try:
                site = stack.enter_context(Site(tmp_path, names, programs))
                engines = stack.enter_context(Engines(site, names))
            except Missing as absent:
                missing("docker", f"no nodes of our own: {absent}")
            engines.load(archive)
            shutil.copytree(ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets", ".env"))
            desired = tmp_path / "deploy" / "bluegreen" / "production.yaml"
            text = desired.read_text().replace("approval: manual", "approval: automatic")
            desired.write_text(text.replace("watch: 2m", "watch: 3s"))
            folder = tmp_path / "deploy" / Path(page).stem
            blocks = blocks_by_heading((ROOT / "docs" / page).read_text(), "sh")
            operator = Operator(site.machines[names[0]], folder, blocks)
            stack.callback(operator.close)
            operator.does("".join(f"export {name}={value}\n" for name, value in settings.items()))
            clients = Namespace.of(site.admin.pid)
            stack.callback(clients.close)
            stack.enter_context(clients.entered())
            return Nodes(site, engines, operator)

        yield made


@dataclass
class Balancer:
    """A load balancer with clients: a request goes to the next node whose Traefik says at /ping that it is well."""

    nodes: list[str]
    well: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    async def check(self, node: str) -> None:
        timeout = aiohttp.ClientTimeout(total=2)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            while True:
                try:
                    async with session.get(f"http://{node}/ping") as answer:
                        is_well = answer.status == 200
                except (aiohttp.ClientError, TimeoutError):
                    is_well = False
                (self.well.add if is_well else self.well.discard)(node)
                await asyncio.sleep(0.5)

    async def send(self) -> None:
        timeout, turn = aiohttp.ClientTimeout(total=30), 0
        async with aiohttp.ClientSession(timeout=timeout) as session:
            session._retry_connection = False
            while True:
                turn += 1
                for node in [one for one in self.nodes if one in self.well][turn % max(len(self.well), 1) :][:1]:
                    try:
                        async with session.get(f"https://{node}/", headers={"Host": HOST}, ssl=False) as answer:
                            body = (await answer.text()).strip()
                    except (aiohttp.ClientError, TimeoutError) as failure:
                        self.failures.append(f"{node}: {failure!r}")
                        continue
                    if answer.status == 200:
                        self.answers[f"{node}: {body}"] += 1
                    else:
                        self.failures.append(f"{node}: {answer.status} {body[:80]}")
                await asyncio.sleep(0.05)

    async def until_all(self, body: str, nodes: Sequence[str]) -> None:
        """Wait for ten more answers with this body from each of these nodes, which say that they are well."""
        wanted = {node: self.answers[f"{node}: {body}"] + 10 for node in nodes}
        await eventually(
            lambda: all(self.answers[f"{node}: {body}"] >= count for node, count in wanted.items()), limit_s=LIMIT_S
        )


@asynccontextmanager
async def load(nodes: list[str], *, is_checked: bool = True) -> AsyncIterator[Balancer]:
    """Send requests, some twenty a second, until the block is left; without checks to all nodes."""
    balancer = Balancer(nodes, set() if is_checked else set(nodes))
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(balancer.check(node)) for node in nodes if is_checked]
        running.append(tasks.create_task(balancer.send()))
        yield balancer
        for task in running:
            task.cancel()


async def settled(nodes: Nodes, replicas: int) -> dict[str, Any]:
    """Wait until one replica leads, so many serve the current document, and shop is confirmed; return its status."""

    async def look() -> dict[str, Any]:
        found = json.loads(await nodes.does("bluegreen status --json 2>/dev/null || echo '{}'"))
        here = [one for one in found.get("replicas", ()) if one["current"] and not one["away"] and one["pollers"]]
        assert len(here) == replicas, found
        assert found["services"][0]["confirmed"], found
        return dict(found["services"][0])

    return await eventually(look, limit_s=LIMIT_S)


async def updated(nodes: Nodes, *services: str) -> None:
    """Wait until Swarm has updated services to the end."""

    async def look() -> bool:
        for service in services:
            state = await nodes.does(f"docker service inspect -f '{{{{json .UpdateStatus}}}}' {service}")
            assert json.loads(state)["State"] == "completed", f"{service}: {state}"
        return True

    await eventually(look, limit_s=LIMIT_S)


async def tasks_of(nodes: Nodes, node: str) -> list[str]:
    """Return the services of which a task runs on a node."""
    shown = await nodes.does(f"docker node ps -f desired-state=running --format '{{{{.Name}}}}' {node}")
    return shown.split()


async def test_the_stack_of_replicas_is_played_as_written(
    start: Callable[[Sequence[str], str], Nodes], archive: Path
) -> None:
    """Rules 50 to 68: a release, a drained node and an update of all lose no request; a lost node is replaced."""
    nodes = start(NODES, "replicas.md")
    nodes.engines.make_managers()
    (token,) = re.findall(r"bg_[\w-]+", await nodes.plays(REPLICAS, 0))
    await nodes.plays(REPLICAS, 1)
    await nodes.plays(REPLICAS, 2)
    await nodes.plays(REPLICAS, 3, token=token)
    async with load(nodes.addresses()) as balancer:
        await balancer.until_all("shop 1", nodes.addresses())
        balancer.failures.clear()  # of the time before there was an application
        assert (await settled(nodes, 3))["active"] == "blue"
        said = await nodes.does("bluegreen deploy shop --swarm --image shop:2 2>&1")
        assert "is active in green, and its watch is over" in said
        await balancer.until_all("shop 2", nodes.addresses())

        await nodes.does("docker node update --availability drain node3")
        await eventually(partial(_is_empty, nodes, "node3"), limit_s=LIMIT_S)
        await balancer.until_all("shop 2", nodes.addresses()[:2])
        await nodes.does("docker node update --availability active node3")
        await balancer.until_all("shop 2", nodes.addresses())
        await settled(nodes, 3)

        await nodes.does(f"export BLUEGREEN_IMAGE={NEXT}")
        await nodes.plays(REPLICAS, 4)
        await updated(nodes, "routing_etcd", "routing_bluegreen", "routing_traefik")
        await balancer.until_all("shop 2", nodes.addresses())
        assert (await settled(nodes, 3))["active"] == "green"

        assert balancer.failures == []

        await asyncio.to_thread(nodes.engines.replace, "node3", archive)
        await balancer.until_all("shop 2", nodes.addresses()[:2])
        await nodes.plays(REPLICAS, 5)
        await asyncio.to_thread(nodes.engines.join, "node3")
        await nodes.does("docker node update --label-add bluegreen=true node3")
        await balancer.until_all("shop 2", nodes.addresses())
        assert (await settled(nodes, 3))["active"] == "green"
    lost = nodes.addresses()[2]
    assert [one for one in balancer.failures if not one.startswith(lost)] == []
    assert nodes.operator.played == set(blocks_by_heading((ROOT / "docs/replicas.md").read_text(), "sh")[REPLICAS])


async def _is_empty(nodes: Nodes, node: str) -> bool:
    return not await tasks_of(nodes, node)


async def test_the_stack_of_one_daemon_is_played_as_written(start: Callable[[Sequence[str], str], Nodes]) -> None:
    """Rules 66 to 68."""
    nodes = start(NODES[:1], "swarm.md")
    await nodes.plays(SWARM, 0)
    (token,) = re.findall(r"bg_[\w-]+", await nodes.plays(SWARM, 1))
    await nodes.plays(SWARM, 2)
    await nodes.plays(SWARM, 3, token=token)
    (address,) = nodes.addresses()
    async with load([address], is_checked=False) as balancer:
        await balancer.until_all("shop 1", [address])
        balancer.failures.clear()
        said = await nodes.does("bluegreen deploy shop --swarm --image shop:2 2>&1")
        assert "is active in green, and its watch is over" in said
        await balancer.until_all("shop 2", [address])
        await nodes.does("bluegreen rollback shop 2>&1")
        await balancer.until_all("shop 1", [address])
    assert balancer.failures == []
    assert nodes.operator.played == set(blocks_by_heading((ROOT / "docs/swarm.md").read_text(), "sh")[SWARM])
