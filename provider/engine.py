"""One Docker Engine: questions with a time limit and a stream of events. The SDK blocks, so its calls have threads."""

import asyncio
import contextlib
import errno
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

import docker
import requests
import urllib3.exceptions
from docker.errors import DockerException
from docker.utils import kwargs_from_env, parse_host

from provider.errors import DockerUnavailable
from provider.text import one_line, without_userinfo
from provider.threads import in_thread

if TYPE_CHECKING:
    from docker.types.daemon import CancellableStream

T = TypeVar("T")
P = ParamSpec("P")

DEFAULT_URL = "unix:///var/run/docker.sock"
CAUSE_MOST = 300
SCHEMES = ("unix://", "tcp://", "http://", "https://")


class Action(StrEnum):
    """The engine's events that matter to us."""

    START = "start"
    DIE = "die"
    KILL = "kill"
    HEALTH_STATUS = "health_status"
    PAUSE = "pause"
    UNPAUSE = "unpause"
    CONNECT = "connect"
    DISCONNECT = "disconnect"


class Client(docker.APIClient):
    """The SDK's client with a time limit on every request: the SDK gives its event stream none."""

    stream_timeout_s: float

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a request, as `requests` does."""
        if kwargs.get("timeout") is None:
            kwargs["timeout"] = self.stream_timeout_s
        return super().send(request, **kwargs)


class Stream:
    """One subscription to the engine's events, read until it ends or is closed.

    `on_event` and `on_end` are called on the event loop's thread.
    """

    def __init__(
        self,
        events: "CancellableStream[dict[str, Any]]",  # generic to the type checker only
        on_event: Callable[[dict[str, Any]], object],
        on_end: Callable[[], object],
    ) -> None:
        loop = asyncio.get_running_loop()

        def read() -> str:
            try:
                for event in events:
                    loop.call_soon_threadsafe(on_event, event)
            except (OSError, ValueError, DockerException, urllib3.exceptions.HTTPError) as error:
                return f"the event stream broke: {_told(error)}"
            return "the event stream ended"

        self._events = events
        self._reader = asyncio.create_task(in_thread(read, name="docker"), name="docker events")
        self._reader.add_done_callback(lambda _: on_end())

    def check(self) -> None:
        """Raise DockerUnavailable if the stream has ended."""
        if self._reader.done():
            raise DockerUnavailable(self._reader.result())

    def close(self) -> None:
        """End the subscription and its thread."""
        self._reader.cancel()
        # A stream that has just ended has no socket any more, in which the SDK looks for it.
        with contextlib.suppress(OSError, AttributeError):
            self._events.close()


class Connection:
    """An engine that has answered once."""

    def __init__(self, client: Client, timeout_s: float) -> None:
        self._client = client
        self._timeout_s = timeout_s

    async def ask(self, question: Callable[Concatenate[Client, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Put a question to the engine; raises DockerUnavailable when there is no answer in time."""
        return await _limited(self._timeout_s, lambda: question(self._client, *args, **kwargs))

    async def subscribe(
        self,
        types: Sequence[str],
        on_event: Callable[[dict[str, Any]], object],
        on_end: Callable[[], object],
    ) -> Stream:
        """Return a stream that has begun: an event that happens from now on is in it."""
        filters = {"type": list(types), "event": [action.value for action in Action]}
        events = await self.ask(lambda client: client.events(filters=filters, decode=True))
        return Stream(events, on_event, on_end)

    def close(self) -> None:
        """Drop the idle connections."""
        self._client.close()


class Engine:
    """Where a Docker Engine is, and how long it may take: `timeout_s` for an answer, `silence_s` between events.

    `url` None takes DOCKER_HOST, else the default socket; DOCKER_TLS_VERIFY and DOCKER_CERT_PATH count for both.
    Raises DockerUnavailable for what cannot be the address of an engine.
    """

    def __init__(self, url: str | None, *, timeout_s: float, silence_s: float) -> None:
        try:
            environment = kwargs_from_env()
            self.url = url or environment.get("base_url") or DEFAULT_URL
            self._tls = environment.get("tls", False)
            parse_host(self.url, tls=bool(self._tls))
        except DockerException as error:
            raise DockerUnavailable(f"Docker cannot be used with these settings: {_told(error)}") from error
        self.shown_url = without_userinfo(self.url)
        if not self.url.startswith(SCHEMES):
            raise DockerUnavailable(
                f"Docker cannot be used at {self.shown_url}: write unix:///PATH/docker.sock or tcp://HOST:PORT"
            )
        self._timeout_s = timeout_s
        self._silence_s = silence_s

    async def connect(self) -> Connection:
        """Ask the engine for its version and a sign of life; raises DockerUnavailable."""
        return Connection(await _limited(self._timeout_s, self._client), self._timeout_s)

    def _client(self) -> Client:
        timeout_s: Any = self._timeout_s  # an int to the SDK, but requests takes fractions
        client = Client(self.url, tls=self._tls, timeout=timeout_s)
        client.stream_timeout_s = self._silence_s
        client.ping()  # a proxy that lets everything else through would end each connection at its first quiet moment
        return client


async def _limited(timeout_s: float, question: Callable[[], T]) -> T:
    silence = DockerUnavailable(f"no answer within {timeout_s:g} s")
    try:
        async with asyncio.timeout(timeout_s):
            return await in_thread(question, name="docker")
    except TimeoutError as error:
        raise silence from error
    except (DockerException, OSError) as error:
        system = _system_error(error)
        if isinstance(system, TimeoutError):
            raise silence from error
        raise DockerUnavailable(_words(system) if system else _told(error)) from error


def _system_error(error: BaseException) -> OSError | None:
    """Return the operating system's error at the bottom of what urllib3, requests and the SDK wrapped around it."""
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


def _told(error: Exception) -> str:
    """Return what an engine or the SDK says, fit for a line and without the password of a URL."""
    return without_userinfo(one_line(error, CAUSE_MOST))
