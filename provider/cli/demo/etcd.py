"""The etcd of the demo: three nodes on loopback."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import orjson

from provider.cli.demo.daemon import CHECK_EVERY_S
from provider.cli.demo.wait import LIMIT_S, StoryFailed
from provider.model.errors import BluegreenError
from provider.runtime.resource import Resource
from provider.traefik.process import LOOPBACK, free_ports, stop

NODES = 3
STOP_S = 5.0
REQUEST_S = 2.0
LOG_CHARACTERS_SHOWN = 600
HEARTBEAT_MS, ELECTION_MS = 100, 1000
"""Etcd's own."""


class EtcdMissing(BluegreenError):  # noqa: N818  the name states the fact
    """There is no etcd on this machine."""


def find_etcd() -> Path:
    """Return the etcd on PATH, else the one beside our interpreter. Raises EtcdMissing."""
    found = shutil.which("etcd") or shutil.which("etcd", path=str(Path(sys.executable).parent))
    if found is None:
        raise EtcdMissing(
            "no program 'etcd' on PATH, which this story needs: install etcd 3.4 or later (Debian and Ubuntu: "
            "apt install etcd-server)"
        )
    return Path(found).absolute()


class Etcd(Resource):
    """A cluster of NODES members, alive within `async with`; entering raises StoryFailed."""

    def __init__(self, binary: Path, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        ports = free_ports(2 * NODES)
        self._ports, self._peer_ports = ports[:NODES], ports[NODES:]
        self._processes: list[asyncio.subprocess.Process] = []

    @property
    def addresses(self) -> str:
        """The addresses of all nodes, as `--store etcd://` takes them."""
        return ",".join(f"{LOOPBACK}:{port}" for port in self._ports)

    async def _start(self, stack: AsyncExitStack) -> None:
        for number in range(NODES):
            self._processes.append(await self._launch(number))
            stack.push_async_callback(stop, self._processes[-1], STOP_S)
        await self._ready()

    def _log(self, number: int) -> Path:
        return self._folder / f"etcd-{number + 1}.log"

    def _options(self, number: int) -> Mapping[str, object]:
        client, peer = (f"http://{LOOPBACK}:{ports[number]}" for ports in (self._ports, self._peer_ports))
        members = (f"etcd-{one + 1}=http://{LOOPBACK}:{port}" for one, port in enumerate(self._peer_ports))
        return {
            "name": f"etcd-{number + 1}",
            "data-dir": self._folder / f"etcd-{number + 1}",
            "listen-client-urls": client,
            "advertise-client-urls": client,
            "listen-peer-urls": peer,
            "initial-advertise-peer-urls": peer,
            "initial-cluster": ",".join(members),
            "heartbeat-interval": HEARTBEAT_MS,
            "election-timeout": ELECTION_MS,
            "logger": "zap",
            "log-level": "warn",
        }

    async def _launch(self, number: int) -> asyncio.subprocess.Process:
        """Start a node in a session of its own: Ctrl-C goes to the demo, which stops it in order."""
        with self._log(number).open("wb") as log:
            return await asyncio.create_subprocess_exec(
                self._binary,
                *[f"--{name}={value}" for name, value in self._options(number).items()],
                env={name: value for name, value in os.environ.items() if not name.startswith("ETCD_")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _ready(self) -> None:
        """Wait until every node answers, and knows a leader."""
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        try:
            async with asyncio.timeout(LIMIT_S), aiohttp.ClientSession(timeout=timeout) as session:
                for port in self._ports:
                    while not await _is_healthy(session, port):
                        self._check_they_run()
                        await asyncio.sleep(CHECK_EVERY_S)
        except TimeoutError:
            raise self._failed(0, f"is not ready after {LIMIT_S:g} s") from None

    def _check_they_run(self) -> None:
        for number, process in enumerate(self._processes):
            if process.returncode is not None:
                raise self._failed(number, f"ended with exit code {process.returncode}")

    def _failed(self, number: int, how: str) -> StoryFailed:
        end = self._log(number).read_text(errors="replace")[-LOG_CHARACTERS_SHOWN:].strip()
        return StoryFailed(f"node {number + 1} of etcd ({self._binary}) {how}; its log ends with: {end or 'nothing'}")


async def _is_healthy(session: aiohttp.ClientSession, port: int) -> bool:
    try:
        async with session.get(f"http://{LOOPBACK}:{port}/health") as answer:
            return answer.status == 200 and orjson.loads(await answer.read())["health"] == "true"
    except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError):
        return False
