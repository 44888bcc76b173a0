"""The daemon of the demo: a process of its own as in production, asked over HTTP."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple, NoReturn, cast

import aiohttp
import orjson

import provider
from provider.cli.client.admin_api import service_path
from provider.cli.demo.load import cause
from provider.cli.demo.wait import LIMIT_S, StoryFailed
from provider.model import Verb
from provider.model.api_types import ACTOR_HEADER
from provider.runtime.resource import Resource
from provider.traefik.process import LOOPBACK, stop

CHECK_EVERY_S = 0.1
REQUEST_S = 5.0
STOP_S = 5.0
LOG_LINES_SHOWN = 10

Content = Mapping[str, Any]


class Answer(NamedTuple):
    """An answer: HTTP's status, the content (of a command, with `already` and `detail`), and how long it took.

    `revision` is that of a document.
    """

    status: int
    content: Content
    took_s: float
    revision: int


class DaemonProcess(Resource):
    """`bluegreen serve` in a process of its own, alive within `async with`. All requests raise StoryFailed.

    `more` are further flags. Meanwhile it may be killed, and started again.
    """

    def __init__(self, file: Path, folder: Path, port: int, admin_port: int, *, more: Sequence[str] = ()) -> None:
        self.url, self.admin = f"http://{LOOPBACK}:{port}", f"http://{LOOPBACK}:{admin_port}"
        self._log = folder / "daemon.log"
        self._arguments = [
            *("--desired-state", str(file), "--state-dir", str(folder / "state"), "--docker", "none"),
            *("--listen", f"{LOOPBACK}:{port}", "--admin-listen", f"{LOOPBACK}:{admin_port}", "--log-format", "text"),
            *more,
        ]
        self._process: asyncio.subprocess.Process
        self._session: aiohttp.ClientSession

    async def _start(self, stack: AsyncExitStack) -> None:
        self._process = await self._launch()
        stack.push_async_callback(self._stop)
        timeout = aiohttp.ClientTimeout(total=REQUEST_S)
        self._session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        await self._ready()

    async def status(self, service: str) -> Content:
        """Return the status of a service, or the problem if there is none: the file no longer has it, nobody leads."""
        return await self._get(self.admin + service_path(service), {200, 404, 503})

    async def history(self, service: str) -> list[Content]:
        """Return the decisions about a service, newest first."""
        answer = await self._get(f"{self.admin}/api/v1/history?service={service}")
        return cast("list[Content]", answer["history"])

    async def document(self) -> Content:
        """Return what Traefik gets; `hold=0` keeps this from counting as a poller."""
        return (await self._document()).content

    async def revision(self) -> int:
        """Return the revision of what Traefik gets."""
        return (await self._document()).revision

    async def _document(self) -> Answer:
        return await self._look(f"{self.url}/traefik?hold=0")

    async def replicas(self) -> list[Content]:
        """Return what this one of several replicas knows of all."""
        answer = await self._get(f"{self.admin}/api/v1/replicas")
        return cast("list[Content]", answer["replicas"])

    async def kill(self) -> None:
        """End the process as a power cut does."""
        self._process.kill()
        await self._process.wait()

    async def start_again(self) -> None:
        """Start the process again, and wait until it has a document."""
        self._process = await self._launch()
        await self._ready()

    async def command(self, service: str, verb: Verb, actor: str, body: Mapping[str, str]) -> Answer:
        """Send what `bluegreen VERB SERVICE` sends, as this actor; a refusal is an answer, too."""
        return await self._ask("POST", self.admin + service_path(service, verb), actor=actor, body=body)

    async def _get(self, url: str, wanted: Collection[int] = (200,)) -> Content:
        return (await self._look(url, wanted)).content

    async def _look(self, url: str, wanted: Collection[int] = (200,)) -> Answer:
        answer = await self._ask("GET", url)
        if answer.status not in wanted:
            await self._gone(f"answers {url} with {answer.status}: {answer.content.get('detail')}")
        return answer

    async def _ask(
        self, method: str, url: str, *, actor: str | None = None, body: Mapping[str, str] | None = None
    ) -> Answer:
        headers = {ACTOR_HEADER: actor} if actor else {}
        begun_s = asyncio.get_running_loop().time()
        try:
            async with self._session.request(method, url, headers=headers, json=body) as response:
                content = cast("Content", orjson.loads(await response.read()))
                revision = int(response.headers.get("X-Bluegreen-Revision", 0))
                return Answer(response.status, content, asyncio.get_running_loop().time() - begun_s, revision)
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError) as error:
            why = cause(error) if isinstance(error, aiohttp.ClientError | TimeoutError) else str(error)
            await self._gone(f"does not answer {url} ({why})")

    async def _launch(self) -> asyncio.subprocess.Process:
        """Start the process in a session of its own: Ctrl-C goes to the demo, which stops it in order."""
        with self._log.open("ab") as log:
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
                        await self._gone("has ended")
                    await asyncio.sleep(CHECK_EVERY_S)
        except TimeoutError:
            await self._gone(f"has no document after {LIMIT_S:g} s")

    async def _is_ready(self) -> bool:
        try:
            async with self._session.get(f"{self.url}/readyz") as response:
                return response.status == 200
        except (aiohttp.ClientError, TimeoutError):
            return False

    async def _gone(self, what: str) -> NoReturn:
        """Raise StoryFailed with the end of the log, and the exit code if the process ends."""
        try:
            async with asyncio.timeout(1.0):
                what = f"ended with exit code {await self._process.wait()}"
        except TimeoutError:
            pass
        lines = self._log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        raise StoryFailed(f"the daemon {what}; its log ends with:\n" + "\n".join(f"  {line}" for line in lines))

    async def _stop(self) -> None:
        await stop(self._process, STOP_S)
