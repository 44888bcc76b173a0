"""One Docker Engine: requests with a time limit, and a stream of events. The SDK blocks, so it runs in threads."""

import asyncio
import contextlib
import errno
import json
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from typing import Any, Concatenate, ParamSpec, TypeVar

import docker
import requests
import urllib3.exceptions
from docker.errors import DockerException, create_api_error_from_http_exception
from docker.tls import TLSConfig
from docker.utils import kwargs_from_env, parse_host

from provider import model
from provider.model.errors import DockerUnavailable
from provider.model.text import one_line, without_userinfo
from provider.runtime.bounded import Bounds, LimitExceeded, has_too_many_values
from provider.runtime.threads import in_thread

T = TypeVar("T")
P = ParamSpec("P")

DEFAULT_URL = "unix:///var/run/docker.sock"
CAUSE_MOST = 300
ANSWER_BYTES = 64 * 1024 * 1024
"""Maximum size of an answer, enough for twenty thousand containers."""
EVENT_BYTES = 1024 * 1024
"""Maximum size of one event, with all labels of its container."""
MALFORMED = (ValueError, RecursionError, KeyError, TypeError)
"""What the SDK raises for invalid JSON, or JSON that does not have the form of an engine's."""
READ_BYTES = 64 * 1024
BACKLOG_MOST, EVENTS_AT_ONCE = 10_000, 100
HANGING_MOST = 16
"""Maximum number of requests to one engine that are under way: what hangs ends with its connection."""
THREAD = "docker"
PODMANS_DIE = "died"
"""What Podman filters a death by; it sends it as `die`, as Docker does (measured with 4.3)."""
SCHEMES = ("unix://", "tcp://", "http://", "https://")


class Action(StrEnum):
    """The engine's events that are used."""

    START = "start"
    DIE = "die"
    KILL = "kill"
    HEALTH_STATUS = "health_status"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    CONNECT = "connect"
    DISCONNECT = "disconnect"


class SwarmAction(StrEnum):
    """The manager's events of services and nodes; it sends none of tasks."""

    CREATE = "create"
    UPDATE = "update"
    REMOVE = "remove"


class Client(docker.APIClient):
    """The SDK's client, with a maximum size and time for each answer."""

    def __init__(self, url: str, *, tls: Any, timeout_s: float) -> None:
        timeout: Any = timeout_s  # an int to the SDK, but requests takes fractions
        super().__init__(url, tls=tls, timeout=timeout)
        self.headers["Accept-Encoding"] = "identity"

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request, as `requests` does. Raises OSError for an answer beyond its bounds, or compressed."""
        is_stream = kwargs.get("stream", False)
        if isinstance(self.verify, str):  # else REQUESTS_CA_BUNDLE of the environment takes the place of this engine's
            kwargs["verify"] = self.verify
        answer = super().send(request, **{**kwargs, "stream": True})
        answer.encoding = "utf-8"  # else `requests` may guess for minutes
        if answer.headers.get("Content-Encoding", "identity").lower() != "identity":
            answer.close()
            raise LimitExceeded("its answer is compressed, which was not requested")
        if not is_stream and has_too_many_values(answer.content):
            raise LimitExceeded("its answer has more values than any engine's")
        return answer

    def open_events(self, filters: Mapping[str, Sequence[str]], silence_s: float) -> requests.Response:
        """Subscribe to events. Raises DockerException and OSError."""
        url = f"{self.base_url}/v{self.api_version}/events"
        answer = self.get(url, params={"filters": json.dumps(filters)}, stream=True, timeout=silence_s)
        try:
            answer.raise_for_status()
        except requests.HTTPError as error:
            answer.close()
            raise create_api_error_from_http_exception(error) from error
        return answer


class Stream:
    """One subscription to the engine's events, read until it ends or is closed.

    `on_events` is called on the event loop's thread with `EVENTS_AT_ONCE` events at most, and with None where more came
    than could be kept: then everything is to be listed again. `on_end` is called there too.
    """

    def __init__(
        self,
        answer: requests.Response,
        bounds: Bounds,
        on_events: Callable[[Sequence[Any] | None], object],
        on_end: Callable[[], object],
    ) -> None:
        self._answer, self._bounds = answer, bounds
        self._backlog = _Backlog(on_events)
        self._reader = asyncio.create_task(in_thread(self._read, name="docker"), name="docker events")
        self._reader.add_done_callback(lambda _: on_end())

    def check(self) -> None:
        """Raise DockerUnavailable if the stream has ended."""
        if self._reader.done():
            raise DockerUnavailable(self._reader.result())

    def close(self) -> None:
        """End the subscription and its thread."""
        self._reader.cancel()
        self._backlog.close()
        self._bounds.abort()

    def _read(self) -> str:
        try:
            for line in _lines(self._answer, self._bounds):
                self._backlog.put(json.loads(line))
        except (OSError, ValueError, RecursionError, DockerException, urllib3.exceptions.HTTPError) as error:
            return f"the event stream broke: {_one_line(error)}"
        finally:
            with contextlib.suppress(OSError):
                self._answer.close()
        return "the event stream ended"


class _Backlog:
    """Events between the thread that reads them and the event loop, which takes them a few milliseconds at a time.

    A storm fills it: then its reader waits, and so does the engine; a list makes up for lost events.
    """

    def __init__(self, on_events: Callable[[Sequence[Any] | None], object]) -> None:
        self._on_events = on_events
        self._loop = asyncio.get_running_loop()
        self._room = threading.Condition()
        self._waiting: deque[Any] = deque()
        self._has_overflown = self._is_taken = self._is_closed = False

    def put(self, event: Any) -> None:
        """Add an event; wait while there is no room. Called on the reader's thread."""
        with self._room:
            if len(self._waiting) >= BACKLOG_MOST:
                self._has_overflown = True
                self._room.wait_for(lambda: self._is_closed or not self._waiting)
            self._waiting.append(event)
            if self._is_taken or self._is_closed:
                return
            self._is_taken = True
        with contextlib.suppress(RuntimeError):  # the loop is closed: the daemon has ended
            self._loop.call_soon_threadsafe(self._take)

    def close(self) -> None:
        """Drop everything."""
        with self._room:
            self._is_closed = True
            self._waiting.clear()
            self._room.notify_all()

    def _take(self) -> None:
        with self._room:
            events = [self._waiting.popleft() for _ in range(min(len(self._waiting), EVENTS_AT_ONCE))]
            is_done = not self._waiting
            has_overflown = self._has_overflown and is_done
            if is_done:
                self._is_taken = self._has_overflown = False
                self._room.notify_all()
            if self._is_closed:
                return
        if not is_done:
            self._loop.call_soon(self._take)
        self._on_events(events)
        if has_overflown:
            self._on_events(None)


def _lines(answer: requests.Response, bounds: Bounds) -> Iterator[bytes]:
    """Yield the lines of a stream, each within the bounds."""
    rest = b""
    while data := answer.raw.read1(READ_BYTES):
        *lines, rest = (rest + data).split(b"\n") if b"\n" in data else (rest + data,)
        for line in lines:
            if line.strip():
                yield line
        if lines:
            bounds.renew()
    if rest.strip():
        yield rest


class Connection:
    """An engine that has answered once."""

    def __init__(self, client: Client, timeout_s: float, silence_s: float, running: set[object]) -> None:
        self._client = client
        self._timeout_s = timeout_s
        self._silence_s = silence_s
        self._running = running

    async def ask(self, request: Callable[Concatenate[Client, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Send a request to the engine; raises DockerUnavailable when there is no answer in time."""
        return await _limited(self._timeout_s, self._running, lambda: request(self._client, *args, **kwargs))

    async def subscribe(
        self,
        types: Sequence[str],
        on_events: Callable[[Sequence[Any] | None], object],
        on_end: Callable[[], object],
        *,
        actions: Iterable[str] = Action,
    ) -> Stream:
        """Return an open stream: it has every event of these types and actions from now on."""
        filters = {"type": list(types), "event": [*map(str, actions), PODMANS_DIE]}
        bounds = Bounds(EVENT_BYTES, None)
        answer = await _limited(
            self._timeout_s, self._running, lambda: self._client.open_events(filters, self._silence_s), bounds=bounds
        )
        return Stream(answer, bounds, on_events, on_end)

    def close(self) -> None:
        """Drop the idle connections."""
        self._client.close()


class Engine:
    """The address of a Docker Engine, and its time limits: `timeout_s` for an answer, `silence_s` between events.

    `url` None takes DOCKER_HOST, else the default socket; DOCKER_TLS_VERIFY and DOCKER_CERT_PATH count for both. An
    engine of the file has settings of its own. Raises DockerUnavailable for an invalid address.
    """

    def __init__(self, url: str | model.Engine | None, *, timeout_s: float, silence_s: float) -> None:
        self._files: model.EngineTls | None = None
        self._tls: Any = False
        try:
            if isinstance(url, model.Engine):
                self.url, self._files = url.url, url.tls
            else:
                environment = kwargs_from_env()
                self.url = url or environment.get("base_url") or DEFAULT_URL
                self._tls = environment.get("tls", False)
            parse_host(self.url, tls=bool(self._files or self._tls))
        except DockerException as error:
            raise DockerUnavailable(f"Docker cannot be used with these settings: {_one_line(error)}") from error
        self.shown_url = without_userinfo(self.url)
        if not self.url.startswith(SCHEMES):
            raise DockerUnavailable(
                f"Docker cannot be used at {self.shown_url}: write unix:///PATH/docker.sock or tcp://HOST:PORT"
            )
        self._timeout_s = timeout_s
        self._silence_s = silence_s
        self._running: set[object] = set()

    async def connect(self) -> Connection:
        """Read the engine's version and ping it; raises DockerUnavailable."""
        client = await _limited(self._timeout_s, self._running, self._client)
        return Connection(client, self._timeout_s, self._silence_s, self._running)

    def _client(self) -> Client:
        files = self._files
        # It names the files, which are read for each connection: a renewed certificate needs no restart.
        tls = self._tls if files is None else TLSConfig((files.cert, files.key), files.ca, verify=True)
        client = Client(self.url, tls=tls, timeout_s=self._timeout_s)
        client.ping()  # a proxy that forbids only this would end every connection at its first ping
        return client


async def _limited(
    timeout_s: float, running: set[object], request: Callable[[], T], *, bounds: Bounds | None = None
) -> T:
    """Run a request in a thread, and end its connection when the time is over: the thread ends with it.

    `running` has those that have not ended.
    """
    bounds = bounds or Bounds(ANSWER_BYTES, timeout_s)
    silence = DockerUnavailable(f"no answer within {timeout_s:g} s")
    if len(running) >= HANGING_MOST:
        raise DockerUnavailable(f"{HANGING_MOST} earlier requests still hang")

    def ask() -> T:
        running.add(ask)
        try:
            with bounds.in_force():
                return request()
        finally:
            running.discard(ask)

    try:
        async with asyncio.timeout(timeout_s):
            try:
                return await in_thread(ask, name=THREAD)
            except asyncio.CancelledError:
                bounds.abort()
                raise
    except TimeoutError as error:
        raise silence from error
    except (DockerException, OSError, *MALFORMED) as error:
        system = _system_error(error)
        if isinstance(system, TimeoutError):
            raise silence from error
        raise DockerUnavailable(_words(system) if system else _one_line(error)) from error


def _system_error(error: BaseException) -> OSError | None:
    """Return the operating system's error that urllib3, requests and the SDK wrapped."""
    link: BaseException | None = error
    while link is not None:
        if isinstance(link, TimeoutError) or (isinstance(link, OSError) and link.strerror):
            return link
        link = link.__cause__ or link.__context__
    return None


def _words(error: OSError) -> str:
    if error.errno == errno.EACCES:
        return "permission denied (the socket belongs to a group, usually docker: add this user to it)"
    return str(error.strerror).lower()


def _one_line(error: Exception) -> str:
    """Return the text of an error on one line, without the password of a URL."""
    return without_userinfo(one_line(error, CAUSE_MOST))
