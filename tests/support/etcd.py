"""Real etcd nodes on loopback: started, stopped, killed, frozen and thawed, each with a folder of data of its own.

`BLUEGREEN_ETCD` names the program where it is not the `etcd` on PATH (Debian has 3.4; 3.5 comes from a newer suite).
"""

import asyncio
import base64
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar

import pytest

from provider.traefik.process import LOOPBACK, free_ports
from tests.support.certificates import Authority
from tests.support.components import missing

T = TypeVar("T")

HEARTBEAT_MS, ELECTION_MS = 50, 500
"""Half of etcd's own: a leader that died is replaced within a second, and leases of one second are granted."""
READY_S = 60.0


def etcd_program() -> str:
    """Return the path of etcd; skip or fail the test where there is none."""
    name = os.environ.get("BLUEGREEN_ETCD", "etcd")
    return shutil.which(name) or missing("etcd", f"no program {name!r} (Debian's package etcd-server)")


@dataclass(frozen=True, slots=True)
class User:
    """Who may read and write what begins with `prefix`."""

    name: str
    password: str
    prefix: str = "/bluegreen/"


ROOT = User("root", "root of this test")


class Node:
    """One member: a process, and a folder that outlives it. Nothing here waits for the cluster (`Cluster.ready`)."""

    def __init__(
        self,
        name: str,
        folder: Path,
        port: int,
        peer_port: int,
        tls: Authority | None,
        options: Mapping[str, object] = MappingProxyType({}),
    ) -> None:
        self.name, self.folder, self.port, self.peer_port = name, folder / name, port, peer_port
        self.address = f"{LOOPBACK}:{port}"
        self.url = f"{'http' if tls is None else 'https'}://{self.address}"
        self.log = folder / f"{name}.log"
        self._tls, self._options = tls, options
        self._certificate = () if tls is None else tls.issue(name)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process, None while none runs."""
        return None if self._process is None or self._process.poll() is not None else self._process.pid

    def start(self, cluster: str) -> None:
        """Start the process, with the data of the last one; `cluster` is etcd's list of names and peers."""
        peer = f"http://{LOOPBACK}:{self.peer_port}"
        options = {
            "name": self.name,
            "data-dir": self.folder,
            "listen-client-urls": self.url,
            "advertise-client-urls": self.url,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": cluster,
            "initial-cluster-state": "new",
            "heartbeat-interval": HEARTBEAT_MS,
            "election-timeout": ELECTION_MS,
            "logger": "zap",
            "log-level": "warn",
            **self._options,
            **dict(zip(("cert-file", "key-file"), self._certificate, strict=False)),
        }
        command = [etcd_program(), *(f"--{name}={value}" for name, value in options.items())]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("ETCD_")}
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    def freeze(self) -> None:
        """Stop the process where it is, all of its threads; its connections stay open."""
        self._send(signal.SIGSTOP)
        stat = Path(f"/proc/{self.pid}/stat")
        _wait(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")  # proc(5)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def kill(self) -> None:
        """End the process as a power cut does."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """End the process in order."""
        self._end(signal.SIGTERM)

    def call(self, path: str, body: Mapping[str, object] | None = None, token: str = "", limit_s: float = 5.0) -> Any:
        """Ask the JSON gateway, or an HTTP path with no body; raises OSError (HTTPError where etcd refuses)."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": token} if token else {}
        request = urllib.request.Request(f"{self.url}{path}", data, headers)
        context = None if self._tls is None else ssl.create_default_context(cafile=self._tls.ca)
        with urllib.request.urlopen(request, timeout=limit_s, context=context) as answer:
            return json.load(answer)

    def is_ready(self) -> bool:
        """Tell whether it answers, and knows a leader."""
        if self.pid is None:
            raise AssertionError(f"etcd {self.name} ended: {self.log.read_text()[-2000:]}")
        try:
            return bool(self.call("/health", limit_s=1.0)["health"] == "true")
        except (OSError, ValueError):
            return False

    def _send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.send_signal(signal.SIGCONT)
            self._process.wait()


class Cluster:
    """Some members that know of each other, with more `options` of etcd's own; a context in which they run."""

    def __init__(self, folder: Path, count: int = 1, *, tls: Authority | None = None, **options: object) -> None:
        ports = free_ports(2 * count)
        pairs = zip(ports[:count], ports[count:], strict=True)
        named = {name.replace("_", "-"): value for name, value in options.items()}
        self.nodes = [Node(f"etcd{number}", folder, *pair, tls, named) for number, pair in enumerate(pairs, 1)]
        self._peers = ",".join(f"{node.name}=http://{LOOPBACK}:{node.peer_port}" for node in self.nodes)
        self._user: User | None = None

    @property
    def addresses(self) -> str:
        """What `--store etcd://ADDRESSES/...` takes."""
        return ",".join(node.address for node in self.nodes)

    def start(self, *nodes: Node) -> None:
        """Start these members, or all; they are not ready yet."""
        for node in nodes or self.nodes:
            node.start(self._peers)

    def kill(self) -> None:
        """End all members."""
        for node in self.nodes:
            node.kill()

    async def ready(self, *nodes: Node) -> None:
        """Wait until these members, or all, answer and know a leader."""
        await asyncio.to_thread(self.wait_ready, *nodes)

    def wait_ready(self, *nodes: Node) -> None:
        """Wait as `ready` does, and let nothing else run meanwhile."""
        _wait(lambda: all(node.is_ready() for node in nodes or self.nodes))

    def call(self, path: str, body: Mapping[str, object]) -> Any:
        """Ask the JSON gateway of the first member that answers, as root where there are users."""
        for node in self.nodes:
            if node.pid is None:
                continue
            try:
                return node.call(path, body, self._token(node))
            except (TimeoutError, ConnectionError):
                continue
        raise AssertionError("no member answers")

    def leader(self) -> Node:
        """Return the member that the others follow; wait until there is one."""
        found = _wait(self._leader)
        assert found is not None
        return found

    def followers(self) -> list[Node]:
        """Return the members that run and follow."""
        leader = self.leader()
        return [node for node in self.nodes if node is not leader and node.pid is not None]

    def compact(self) -> int:
        """Forget all revisions before the present one, which is returned."""
        revision = int(self.call("/v3/kv/range", {"key": encode(b"\0")})["header"]["revision"])
        self.call("/v3/kv/compaction", {"revision": revision, "physical": True})
        return revision

    def enable_users(self, *users: User) -> None:
        """Let in nobody but root and these."""
        self.call("/v3/auth/user/add", {"name": ROOT.name, "password": ROOT.password})
        self.call("/v3/auth/role/add", {"name": ROOT.name})
        self.call("/v3/auth/user/grant", {"user": ROOT.name, "role": ROOT.name})
        for user in users:
            start, end = user.prefix.encode(), after(user.prefix.encode())
            permission = {"permType": "READWRITE", "key": encode(start), "range_end": encode(end)}
            self.call("/v3/auth/user/add", {"name": user.name, "password": user.password})
            self.call("/v3/auth/role/add", {"name": user.name})
            self.call("/v3/auth/role/grant", {"name": user.name, "perm": permission})
            self.call("/v3/auth/user/grant", {"user": user.name, "role": user.name})
        self.call("/v3/auth/enable", {})
        self._user = ROOT

    def __enter__(self) -> "Cluster":
        try:
            self.start()
            self.wait_ready()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _leader(self) -> Node | None:
        for node in self.nodes:
            if node.pid is None:
                continue
            try:
                status = node.call("/v3/maintenance/status", {}, self._token(node), limit_s=1.0)
            except (OSError, ValueError):
                continue
            if status.get("leader") == status["header"]["member_id"]:
                return node
        return None

    def _token(self, node: Node) -> str:
        if self._user is None:
            return ""
        asked = {"name": self._user.name, "password": self._user.password}
        return str(node.call("/v3/auth/authenticate", asked)["token"])


def _wait(look: Callable[[], T], limit_s: float = READY_S) -> T:
    end = time.monotonic() + limit_s
    while not (found := look()):
        assert time.monotonic() < end, f"etcd is not ready after {limit_s:g} s"
        time.sleep(0.02)
    return found


def encode(data: bytes) -> str:
    """Write bytes as the JSON gateway takes them."""
    return base64.b64encode(data).decode()


def after(prefix: bytes) -> bytes:
    """Return the end of the range of all keys that begin with `prefix`."""
    return prefix[:-1] + bytes([prefix[-1] + 1])


@pytest.fixture(scope="session")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One node that all tests of a process share: each takes a prefix of its own, and leaves the node as it is."""
    with Cluster(tmp_path_factory.mktemp("etcd")) as cluster:
        yield cluster


@pytest.fixture
def etcd_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes of this test's own, to be killed, frozen and started again."""
    folder = tmp_path / "etcd"
    folder.mkdir()
    with Cluster(folder, 3) as cluster:
        yield cluster
