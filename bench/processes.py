"""The programs that are measured, each alive within a `with`, on loopback ports, and ended by its own id."""

import asyncio
import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import aiohttp
import orjson

import provider
from bench.machine import program
from provider.model import Colour, JsonObject
from provider.traefik.process import LOOPBACK, Traefik, find_binary, free_ports

START_LIMIT_S = 240.0
STOP_LIMIT_S = 10.0
LOOK_S = 0.005
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")

NGINX = """\
{user}
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr warn;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    sendfile on;
    keepalive_requests 100000000;
    default_type application/json;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{ listen {address}; root {folder}/www; }}
}}
"""
HAPROXY = """\
global
    stats socket {folder}/admin level admin
    maxconn 1000
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend web
    bind {address}
    default_backend shop
backend shop
    server blue {blue} weight 100
    server green {green} weight 0
"""


class Daemon:
    """`bluegreen serve` on a desired-state file and a state directory in `folder`; it may stamp its switches."""

    def __init__(self, folder: Path, *, docker: str = "none", stamps: Path | None = None) -> None:
        self._file = folder / "desired.yaml"
        port, admin_port = free_ports(2)
        self.address = f"{LOOPBACK}:{port}"
        self.endpoint = f"http://{self.address}/traefik"
        self._admin = f"http://{LOOPBACK}:{admin_port}"
        self._log = folder / "daemon.log"
        self._command = [
            *(sys.executable, "-m", *(("provider",) if stamps is None else ("bench.stamped", str(stamps)))),
            *("serve", "--docker", docker, "--log-format", "json"),
            *("--desired-state", str(self._file), "--state-dir", str(folder / "state")),
            *("--listen", self.address, "--admin-listen", f"{LOOPBACK}:{admin_port}"),
        ]

    def write(self, text: str) -> float:
        """Write the desired-state file, in one step; return when that was, in seconds of CLOCK_MONOTONIC."""
        new = self._file.with_suffix(".new")
        new.write_text(text)
        written_s = time.monotonic()
        new.replace(self._file)
        return written_s

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it; it has a document when this enters, and its admin API is asked over one kept connection."""
        with running(self._command, self._log) as process:
            async with aiohttp.ClientSession() as self._session:
                await until(self._is_ready, process, self._log)
                yield

    async def document(self) -> bytes:
        """Return the document, fetched as a client that does not count as a Traefik."""
        async with self._session.get(f"{self.endpoint}?hold=0") as answer:
            answer.raise_for_status()
            return await answer.read()

    async def switch(self, service: str, colour: Colour) -> None:
        """Command a switch; it is committed when this returns."""
        url = f"{self._admin}/api/v1/services/{service}/switch"
        async with self._session.post(url, json={"colour": colour}) as answer:
            assert answer.status in {200, 202}, await answer.text()

    async def promote(self, service: str) -> None:
        """End the time of the step that is on."""
        async with self._session.post(f"{self._admin}/api/v1/services/{service}/promote", json={}) as answer:
            assert answer.status in {200, 202}, await answer.text()

    async def until(self, service: str, holds: Callable[[JsonObject], bool], limit_s: float) -> None:
        """Wait until something holds of the status of a service."""
        async with asyncio.timeout(limit_s):
            while True:
                async with self._session.get(f"{self._admin}/api/v1/services/{service}") as answer:
                    if answer.status == 200 and holds(orjson.loads(await answer.read())):
                        return
                await asyncio.sleep(0.05)

    async def _is_ready(self) -> bool:
        with contextlib.suppress(aiohttp.ClientError):
            async with self._session.get(f"http://{self.address}/readyz") as answer:
                return answer.status == 200
        return False


class Provided(Traefik):
    """A Traefik with another provider than HTTP: `provider` is what its static configuration has under `providers`."""

    def __init__(self, provider: JsonObject, *, throttle_s: float = 2.0) -> None:
        api_port, web_port = free_ports(2)
        super().__init__("", binary=find_binary(), api_port=api_port, entry_points={"web": web_port})
        self._static["providers"] = {"providersThrottleDuration": f"{throttle_s}s", **provider}


def polling(endpoint: str, *, interval_s: float, throttle_s: float) -> Traefik:
    """Return a Traefik that polls, with one entry point, `web`."""
    api_port, web_port = free_ports(2)
    return Traefik(
        endpoint,
        binary=find_binary(),
        api_port=api_port,
        entry_points={"web": web_port},
        poll_interval_s=interval_s,
        poll_timeout_s=30.0,
        throttle_s=throttle_s,
    )


@asynccontextmanager
async def nginx(folder: Path) -> AsyncIterator[str]:
    """Run an nginx with one worker that serves what is in FOLDER/www; yields its address. Raises Missing."""
    address = f"{LOOPBACK}:{free_ports(1)[0]}"
    user = "user root;" if os.geteuid() == 0 else ""  # the folder is ours alone
    (folder / "nginx.conf").write_text(NGINX.format(user=user, folder=folder, address=address))
    (folder / "www").mkdir(exist_ok=True)
    log = folder / "nginx.log"
    with running([program("nginx"), "-p", str(folder), "-c", str(folder / "nginx.conf")], log) as process:
        await until(lambda: listens(address), process, log)
        yield address


@asynccontextmanager
async def haproxy(folder: Path, ports: Mapping[Colour, int]) -> AsyncIterator[tuple[int, Path]]:
    """Run an HAProxy in front of the colours, blue taking all; yields its port and its admin socket. Raises Missing."""
    (port,) = free_ports(1)
    address = f"{LOOPBACK}:{port}"
    servers = {colour.value: f"{LOOPBACK}:{one}" for colour, one in ports.items()}
    (folder / "haproxy.cfg").write_text(HAPROXY.format(folder=folder, address=address, **servers))
    log = folder / "haproxy.log"
    with running([program("haproxy"), "-db", "-f", str(folder / "haproxy.cfg")], log) as process:
        await until(lambda: listens(address), process, log)
        yield port, folder / "admin"


@contextmanager
def running(command: list[str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program from the root of the repository; it is asked to end, and killed where it does not."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("BLUEGREEN_")}
    with log.open("ab") as written:
        process = subprocess.Popen(
            command,
            cwd=Path(provider.__file__).parent.parent,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=written,
            stderr=written,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(timeout=STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def until(look: Callable[[], Awaitable[bool]], process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until a program that has just started is ready."""
    end_s = time.monotonic() + START_LIMIT_S
    while not await look():
        assert process.poll() is None, f"ended with exit code {process.returncode}: {_end(log)}"
        assert time.monotonic() < end_s, f"not ready after {START_LIMIT_S:g} s: {_end(log)}"
        await asyncio.sleep(LOOK_S)


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]


async def listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as visitor:
        return visitor.connect_ex((host, int(port))) == 0


@contextmanager
def folder() -> Iterator[Path]:
    """Make a folder for one measurement."""
    with TemporaryDirectory(prefix="bluegreen-bench-") as name:
        yield Path(name)


def monotonic_s(utc: datetime) -> float:
    """Place a moment of the wall clock, not long ago, on CLOCK_MONOTONIC."""
    return utc.timestamp() + time.monotonic() - time.time()


def resident_mb(pid: int) -> float:
    """Return the resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE_BYTES / 1e6


def cpu_s(pid: int) -> float:
    """Return the processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_A_SECOND
