"""The daemon of the demo, as it runs in production: a process of its own, asked over HTTP."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, NoReturn, Self, cast

import aiohttp
import orjson

import provider
from provider.client import ACTOR_HEADER, service_path
from provider.demo.load import cause
from provider.demo.news import LIMIT_S, StoryFailed
from provider.model import Verb
from provider.traefik import LOOPBACK, stop

LOOK_S = 0.1
REQUEST_S = 5.0
STOP_S = 5.0
LOG_LINES_SHOWN = 10

Content = Mapping[str, Any]


class Answer(NamedTuple):
    """What came of a question: HTTP's status, the content (of a command's, with `already` and `detail`), and when."""

    status: int
    content: Content
    took_s: float


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

    async def status(self, service: str) -> Content:
        """Return how a service stands; where the file has none of that name any more, a problem that says so."""
        return await self._look(self.admin + service_path(service), {200, 404})

    async def history(self, service: str) -> list[Content]:
        """Return the decisions about a service, the newest first."""
        answer = await self._look(f"{self.admin}/api/v1/history?service={service}")
        return cast("list[Content]", answer["history"])

    async def document(self) -> Content:
        """Return what Traefik gets; asked this way, nobody is taken for a Traefik."""
        return await self._look(f"{self.url}/traefik?hold=0")

    async def command(self, service: str, verb: Verb, actor: str, body: Mapping[str, str]) -> Answer:
        """Send what `bluegreen VERB SERVICE` sends, for this actor; a refusal is an answer, too."""
        return await self._ask("POST", self.admin + service_path(service, verb), actor=actor, body=body)

    async def _look(self, url: str, wanted: Collection[int] = (200,)) -> Content:
        answer = await self._ask("GET", url)
        if answer.status not in wanted:
            await self._gone(f"answers {url} with {answer.status}: {answer.content.get('detail')}")
        return answer.content

    async def _ask(
        self, method: str, url: str, *, actor: str | None = None, body: Mapping[str, str] | None = None
    ) -> Answer:
        headers = {ACTOR_HEADER: actor} if actor else {}
        begun_s = asyncio.get_running_loop().time()
        try:
            async with self._session.request(method, url, headers=headers, json=body) as response:
                content = cast("Content", orjson.loads(await response.read()))
                return Answer(response.status, content, asyncio.get_running_loop().time() - begun_s)
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            why = cause(error) if isinstance(error, aiohttp.ClientError | TimeoutError) else str(error)
            await self._gone(f"does not answer {url} ({why})")

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
