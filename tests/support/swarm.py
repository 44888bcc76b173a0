"""A real Docker Swarm: two engines of our own, each in a network namespace, joined by a link.

There is no way out: an engine that looks for an image elsewhere gives up at once. IPVS may be missing, so that a
service has no virtual address; its tasks have theirs.
"""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from bench.engine import Engine, answers, unmount
from bench.machine import Missing, program
from tests.support.components import missing
from tests.support.images import Docker
from tests.support.namespace import Namespace

IMAGE = "shop"
NETWORK = "web"
PORT = 8080
ADDRESSES = ("192.0.2.1", "192.0.2.2")
POOL = "198.51.100.0/22"
START_S = 60.0


class Node:
    """One engine of the Swarm."""

    def __init__(self, root: Path) -> None:
        self.namespace = Namespace.new()
        self._root = root
        self.url = f"unix://{root}/socket"
        self._process: subprocess.Popen[bytes] | None = None
        root.mkdir()
        (root / "daemon.json").write_text("{}")

    def start(self) -> None:
        """Start the engine; returns at once."""
        arguments = {
            "config-file": self._root / "daemon.json",
            "host": self.url,
            "data-root": self._root / "data",
            "exec-root": self._root / "exec",
            "pidfile": self._root / "pid",
            "iptables": "false",
            "ip-masq": "false",
            "ip-forward": "false",
        }
        with (self._root / "log").open("ab") as log, self.namespace.entered():
            self._process = subprocess.Popen(
                [program("dockerd"), *(f"--{name}={value}" for name, value in arguments.items())],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def wait(self) -> None:
        """Return when the engine answers."""
        assert self._process is not None
        end = time.monotonic() + START_S
        while not answers(self.url):
            if self._process.poll() is not None or time.monotonic() > end:
                raise Missing(f"dockerd does not start here: {(self._root / 'log').read_text()[-2000:]}")
            time.sleep(0.02)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Let the engine keep its connections and answer nothing, until the block is left."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Stop the engine, and with it its containers."""
        process, self._process = self._process, None
        if process is not None:
            process.terminate()
            try:
                process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.namespace.close()


class Swarm:
    """Two nodes, the first a manager, with an attachable overlay network and a container on it, the edge.

    What enters the `edge` is where a Traefik is: it reaches the tasks of both nodes.
    """

    def __init__(self) -> None:
        if os.geteuid() != 0:
            raise Missing("a Swarm of our own needs root")
        self._folder = Path(tempfile.mkdtemp(prefix="bg-", dir="/tmp"))  # a path of a socket is short
        self.nodes: list[Node] = []
        try:
            self.nodes = [Node(self._folder / name) for name in ("manager", "worker")]
            manager, worker = self.nodes
            first, second = (f"{address}/24" for address in ADDRESSES)
            manager.namespace.link(worker.namespace, "veth0", (first, second))
            for node in self.nodes:
                node.start()
            for node in self.nodes:
                node.wait()
            self.url, self.docker = manager.url, Docker(manager.url)
            self.engine, self._worker = Engine(manager.url), Engine(worker.url)
            self._join()
            self.edge = self._make_edge()
        except BaseException:
            self.close()
            raise

    def build(self, *versions: str) -> None:
        """Make images that answer `shop VERSION`, the same on both nodes."""
        for version in versions:
            self.engine.build(f"{IMAGE}:{version}", more=f'ENV BODY="{IMAGE} {version}" LISTEN={PORT}\n')
        names = [f"{IMAGE}:{version}" for version in versions]
        archive = subprocess.run(
            ["docker", "save", *names], env=self.docker.environment, capture_output=True, check=True, timeout=60
        )
        self._worker.api.load_image(archive.stdout)  # type: ignore[no-untyped-call]

    def deploy(self, stack: str, text: str) -> None:
        """Run `docker stack deploy` on this file."""
        file = self._folder / f"{stack}.yaml"
        file.write_text(text)
        self.docker("stack", "deploy", "--resolve-image", "never", "--compose-file", file, stack)

    def update(self, service: str, *options: str) -> None:
        """Run `docker service update`, without a look at a registry or for the tasks."""
        self.docker("service", "update", "--detach", "--no-resolve-image", *options, service)

    def worker_id(self) -> str:
        """Return the id of the node that is no manager."""
        return self.docker("node", "ls", "--quiet", "--filter", "role=worker")

    def kill_task(self, service: str) -> None:
        """End the process of a task as a crash does."""
        for engine in (self.engine, self._worker):
            label = f"com.docker.swarm.service.name={service}"
            for found in engine.api.containers(filters={"label": label}):
                engine.crash(found["Id"])
                return
        raise AssertionError(f"no task of {service} runs")

    def frozen(self) -> AbstractContextManager[None]:
        """Let the manager answer nothing until the block is left."""
        return self.nodes[0].frozen()

    def close(self) -> None:
        """Stop the engines and remove all they had."""
        for node in self.nodes:
            node.stop()
        unmount(self._folder)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _join(self) -> None:
        manager, worker = ADDRESSES
        self.engine.api.init_swarm(
            advertise_addr=manager, listen_addr=manager, default_addr_pool=[POOL], subnet_size=26
        )
        token = self.engine.api.inspect_swarm()["JoinTokens"]["Worker"]
        self._worker.api.join_swarm([manager], token, advertise_addr=worker, listen_addr=worker)

    def _make_edge(self) -> Namespace:
        self.build("1")
        self.docker("network", "create", "--driver", "overlay", "--attachable", NETWORK)
        id_ = self.docker(
            "run",
            "--detach",
            *("--network", NETWORK, "--stop-signal", "KILL"),
            f"{IMAGE}:1",
            *("/bin/busybox", "sleep", "1000000"),
        )
        return Namespace.of(self.engine.api.inspect_container(id_)["State"]["Pid"])


@pytest.fixture(scope="module")
def swarm() -> Iterator[Swarm]:
    try:
        made = Swarm()
    except Missing as absent:
        missing("docker", f"no Swarm: {absent}")
    try:
        yield made
    finally:
        made.close()


@pytest.fixture
def edge(swarm: Swarm) -> Iterator[Swarm]:
    """A Swarm, with all that the test starts at its edge."""
    with swarm.edge.entered():
        yield swarm
