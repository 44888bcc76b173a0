"""What the demo plays on, all of it real and on loopback: two applications, the daemon, Traefik, and the file."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, NoReturn, Self, TypeVar, cast

import aiohttp
import orjson
from aiohttp import web

import provider
from provider.demo.load import cause
from provider.demo.news import LIMIT_S, News, StoryFailed
from provider.errors import BluegreenError
from provider.model import Colour, Wish
from provider.traefik import LOOPBACK, Traefik, free_ports, stop

SERVICE = "shop"
POLL_S = 1.0
LOOK_S = 0.1
REQUEST_S = 5.0
STOP_S = 5.0
START_ATTEMPTS = 3
PORT_TAKEN = "address already in use"
LOG_LINES_SHOWN = 10
FILE = """\
# The desired-state file of the demo. The daemon follows every edit of it.
environment: demo
services:
  {service}:
    active: {active}    # blue, green, or auto: a new release takes over once it is proven
    router: {{rule: "PathPrefix(`/`)", entryPoints: [web]}}
    settle: 1s
    healthCheck: {{path: /healthz, interval: 500ms, timeout: 2s, healthyAfter: 3}}
    servers:
"""
FILE_COLOUR = '      {colour}: {{urls: ["{url}"], version: "{version}"}}\n'

T = TypeVar("T")


class Application:
    """One version of the shop. Until it is warm it answers everything with 503."""

    def __init__(self, colour: Colour, version: str, *, is_warm: bool) -> None:
        self.colour, self.version, self.is_warm = colour, version, is_warm
        self.text = f"{SERVICE} version {version} on {colour}"
        self.url = ""
        self.checks_passed = 0
        self.checks_before_visit: int | None = None
        """How many health checks it had passed when its first request came; None while none came."""
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=STOP_S)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, 0).start()
        self.url = f"http://{LOOPBACK}:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/healthz":
            self.checks_passed += self.is_warm
        elif self.checks_before_visit is None:
            self.checks_before_visit = self.checks_passed
        return web.Response(text=f"{self.text}\n") if self.is_warm else web.Response(text="warming up\n", status=503)


class Daemon:
    """`bluegreen serve` in a process of its own, alive within `async with`. All questions raise StoryFailed."""

    def __init__(self, file: Path, folder: Path, port: int, admin_port: int) -> None:
        self.url, self.admin = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{admin_port}"
        self._log = folder / "daemon.log"
        self._arguments = [
            *("--desired-state", str(file), "--state-dir", str(folder / "state"), "--docker", "none"),
            *("--listen", f"{LOOPBACK}:{port}", "--admin-listen", f"{LOOPBACK}:{admin_port}", "--log-format", "text"),
        ]
        self._stack = AsyncExitStack()
        self._process: asyncio.subprocess.Process
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            self._process = await self._launch()
            stack.push_async_callback(self._stop)
            timeout = aiohttp.ClientTimeout(total=REQUEST_S)
            self._session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            await self._ready()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def status(self) -> Mapping[str, Any]:
        """Return how the shop stands, {} where the file has none any more."""
        try:
            async with self._session.get(f"{self.admin}/api/v1/services/{SERVICE}") as response:
                if response.status == 404:
                    return {}
                response.raise_for_status()
                return cast("Mapping[str, Any]", orjson.loads(await response.read()))
        except (aiohttp.ClientError, TimeoutError) as error:
            await self._gone(f"does not answer on {self.admin} ({cause(error)})")

    async def _launch(self) -> asyncio.subprocess.Process:
        """Start the process in a session of its own: a terminal's Ctrl-C is for the demo, which ends it in order."""
        with self._log.open("wb") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "provider", "serve", *self._arguments),
                cwd=Path(provider.__file__).parent.parent,
                env={name: value for name, value in os.environ.items() if not name.startswith("BLUEGREEN_")},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    async def _ready(self) -> None:
        """Wait until there is a document to poll."""
        try:
            async with asyncio.timeout(LIMIT_S):
                while not await self._is_ready():
                    if self._process.returncode is not None:
                        await self._gone("is gone")
                    await asyncio.sleep(LOOK_S)
        except TimeoutError:
            await self._gone(f"has no document after {LIMIT_S:g} s")

    async def _is_ready(self) -> bool:
        try:
            async with self._session.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _gone(self, what: str) -> NoReturn:
        """Tell the end of the log, and the exit code where the process has one or is just getting it."""
        try:
            async with asyncio.timeout(1.0):
                what = f"ended with exit code {await self._process.wait()}"
        except TimeoutError:
            pass
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        raise StoryFailed(f"the daemon {what}; its log ends with:\n" + "\n".join(f"  {line}" for line in lines))

    async def _stop(self) -> None:
        await stop(self._process, STOP_S)


class Stage:
    """Everything that plays, alive within `async with`; `follow` keeps `status` and `applied` up to date."""

    def __init__(self, binary: Path) -> None:
        self.blue = Application(Colour.BLUE, "1", is_warm=True)
        self.green = Application(Colour.GREEN, "2", is_warm=False)
        self.news = News()
        self.status: Mapping[str, Any] = {}
        self.applied: Mapping[str, int] = {}
        """The weights by colour that Traefik says it has."""
        self.file: Path
        self.daemon: Daemon
        self.traefik: Traefik
        self._binary = binary
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory(prefix="bluegreen-demo-")))
            self.file = folder / "desired.yaml"
            await stack.enter_async_context(self.blue)
            self.edit(Wish.AUTO)
            self.daemon = await _started(stack, lambda: Daemon(self.file, folder, *free_ports(2)))
            self.traefik = await _started(stack, self._new_traefik)
            await self._look()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def applications(self) -> tuple[Application, Application]:
        """Both versions, the old one first."""
        return self.blue, self.green

    async def start_green(self) -> None:
        """Start version 2; nobody knows of it until an edit names it."""
        await self._stack.enter_async_context(self.green)

    def edit(self, active: Wish) -> None:
        """Replace the file in one step, as editors do; it names the applications that have started."""
        started = [one for one in self.applications if one.url]
        colours = [FILE_COLOUR.format(colour=one.colour, url=one.url, version=one.version) for one in started]
        new = self.file.with_suffix(".new")
        new.write_text(FILE.format(service=SERVICE, active=active) + "".join(colours))
        new.replace(self.file)

    async def follow(self) -> None:
        """Look at the daemon and at Traefik again and again; raise what either died of."""
        while True:
            await self._look()
            self.news.tell()
            await asyncio.sleep(LOOK_S)

    async def _look(self) -> None:
        self.status = await self.daemon.status()
        service = cast("Mapping[str, Any]", await self.traefik.service(SERVICE) or {})
        children = service.get("weighted", {}).get("services", ())
        self.applied = {child["name"].removeprefix(f"{SERVICE}-"): child["weight"] for child in children}

    def _new_traefik(self) -> Traefik:
        api_port, web_port = free_ports(2)
        return Traefik(
            f"{self.daemon.url}/traefik",
            binary=self._binary,
            api_port=api_port,
            entry_points={"web": web_port},
            poll_interval_s=POLL_S,
        )


async def _started(stack: AsyncExitStack, new: Callable[[], AbstractAsyncContextManager[T]]) -> T:
    """Enter what `new` makes; once more, on other ports, when somebody took one between looking and listening."""
    for _ in range(START_ATTEMPTS - 1):
        try:
            return await stack.enter_async_context(new())
        except BluegreenError as failure:
            if PORT_TAKEN not in str(failure).lower():
                raise
    return await stack.enter_async_context(new())
