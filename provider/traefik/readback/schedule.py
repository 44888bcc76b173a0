"""When to read which Traefik: every address of every API has a task of its own."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

import aiohttp
from yarl import URL

from provider.runtime.resolver import look_up
from provider.traefik.readback.api import Api, fault, open_session
from provider.traefik.readback.reading import InvalidAnswer, Reading, read

RESOLVE_LIMIT_S = 30.0
"""Longer than the system's own limit: a lookup given up earlier would go on in its thread beside the next one."""
RESOLVE_S = 10.0
RESOLVE_AGAIN_S = 2.0
ADDRESSES = 64
"""Maximum number of addresses of one name."""

APPLYING_S = 0.02
"""So long a Traefik is left alone with a document that was just published: it has to answer no question meanwhile."""
EAGER_S = 0.1
EAGER_FOR_S = 5.0
RETRY_S = 1.0
CALM_S = 10.0
RARELY_S = 60.0
REPEAT_S = 6.0
ATTENTIVE_S = 1.0
OLD_S = 2.0
OLD_FOR_S = 60.0
"""For this time after a document was published, a Traefik that did not apply it is read often; then every CALM_S."""
PAUSE_FACTOR = 4.0
"""After a full reading a Traefik has a pause of this many times its duration, `PAUSE_MAX_S` at most."""
PAUSE_MAX_S = 30.0
SHARED_S = 600.0
"""How long an address counts as that of several Traefiks after several were last seen there."""

Resolve: TypeAlias = Callable[[str, int], Awaitable[tuple[str, ...]]]


@dataclass(slots=True)
class _Expected:
    """What every Traefik is to show. `since_mono_s` is when the document was published."""

    marker: str | None = None
    since_mono_s: float = -math.inf
    attentive: bool = False


class ReadBack:
    """Reads from every address of every API what its Traefik applied, each on its own.

    `on_reading` gets every full reading; of a Traefik that does not answer, one whenever the cause changes and about
    every 10 s. While a Traefik shows the expected marker there may be no reading. `on_gone` gets the name of a Traefik
    (`Reading.traefik`) that is not read any more, also when `run` ends. `resolve` turns a host and a port into
    addresses. All methods belong to the event loop's thread.
    """

    def __init__(
        self,
        *,
        on_reading: Callable[[Reading], None],
        on_gone: Callable[[str], None],
        resolve: Resolve = look_up,
    ) -> None:
        self._on_reading, self._on_gone, self._resolve = on_reading, on_gone, resolve
        self._urls: tuple[str, ...] = ()
        self._changed = asyncio.Event()
        self._expected = _Expected()
        self._traefiks: dict[str, _Traefik] = {}
        self._parsing = asyncio.Lock()
        self._session: aiohttp.ClientSession

    def set_apis(self, urls: tuple[str, ...]) -> None:
        """Replace the APIs, each with the path before `/api` where it has one (Traefik's `api.basePath`)."""
        self._urls = tuple(dict.fromkeys(url.rstrip("/") for url in urls))
        self._changed.set()

    def set_document(self, marker: str) -> None:
        """Expect the marker of a document that was just published: ask soon, and often in its first seconds."""
        if marker != self._expected.marker:
            self._expected.marker, self._expected.since_mono_s = marker, time.monotonic()
            self._wake()

    def set_attentive(self, attentive: bool) -> None:
        """Read everything every second, as a rollout in confirming or watching needs it; or no longer."""
        if attentive != self._expected.attentive:
            self._expected.attentive = attentive
            self._wake()

    async def run(self) -> None:
        """Read back until cancelled; no task runs on after that."""
        hosts: dict[str, asyncio.Task[None]] = {}
        async with open_session() as self._session, asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                gone = [hosts.pop(url) for url in [*hosts] if url not in self._urls]
                for task in gone:
                    task.cancel()
                if gone:
                    await asyncio.wait(gone)
                for url in self._urls:
                    if url not in hosts:
                        host = _Host(url, self._resolve, self._begin, self._end, self._on_reading, self._on_gone)
                        hosts[url] = tasks.create_task(host.run(), name=f"read back {url}")
                await self._changed.wait()

    def _begin(self, url: URL, address: str, failed: Callable[[], None]) -> "_Traefik":
        api = Api.at(self._session, url, address)
        name = api.base
        if name in self._traefiks:  # two names for one address may be two Traefiks behind one proxy
            name = f"{api.base} ({url.host})"
        traefik = _Traefik(name, api, self._expected, self._parsing, self._on_reading, failed)
        self._traefiks[name] = traefik
        return traefik

    def _end(self, traefik: "_Traefik") -> None:
        del self._traefiks[traefik.name]
        self._on_gone(traefik.name)

    def _wake(self) -> None:
        for traefik in self._traefiks.values():
            traefik.woken.set()


class _Host:
    """The host of one URL: it reads every address of the name, for as long as the name has it."""

    def __init__(
        self,
        url: str,
        resolve: Resolve,
        begin: Callable[[URL, str, Callable[[], None]], "_Traefik"],
        end: Callable[["_Traefik"], None],
        on_reading: Callable[[Reading], None],
        on_gone: Callable[[str], None],
    ) -> None:
        self._url, self._resolve, self._begin, self._end, self._on_gone = URL(url), resolve, begin, end, on_gone
        self._failure = _Failure(url, on_reading)
        self._traefiks: dict[str, tuple[_Traefik, asyncio.Task[None]]] = {}
        self._none_answers = asyncio.Event()

    async def run(self) -> None:
        """Resolve the name every 10 s, and sooner while no address answers."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    self._none_answers.clear()
                    self._update(await self._addresses(), tasks)
                    await asyncio.sleep(RESOLVE_AGAIN_S)
                    await _wait(self._none_answers, RESOLVE_S - RESOLVE_AGAIN_S)
        finally:
            self._drop([*self._traefiks])
            self._clear_failure()

    async def _addresses(self) -> tuple[str, ...]:
        """Return the addresses; where the name is not resolved, those that answer, or none and report why."""
        host = self._url.host or ""
        if ":" in host:  # a lookup would lose the zone of an IPv6 address
            return (host,)
        try:
            async with asyncio.timeout(RESOLVE_LIMIT_S):
                found = (await self._resolve(host, self._url.port or 0))[:ADDRESSES]
            cause = "it has no address"
        except TimeoutError:
            found, cause = (), f"no answer within {RESOLVE_LIMIT_S:g} s"
        except OSError as error:
            found, cause = (), (error.strerror or str(error)).lower()
        except UnicodeError:
            found, cause = (), "it is no name of a host"
        # A name server that is away removes no address that answers.
        found = found or tuple(address for address, (traefik, _) in self._traefiks.items() if traefik.answers)
        if not found:
            self._failure.report(f"the name {host} is not resolved: {cause}")
            self._none_answers.set()
        else:
            self._clear_failure()
        return found

    def _clear_failure(self) -> None:
        """Withdraw the report that the name is not resolved."""
        if self._failure.cause is not None:
            self._failure.cause = None
            self._on_gone(self._failure.name)

    def _update(self, addresses: tuple[str, ...], tasks: asyncio.TaskGroup) -> None:
        self._drop([address for address in self._traefiks if address not in addresses])
        for address in addresses:
            if address not in self._traefiks:
                traefik = self._begin(self._url, address, self._failed)
                self._traefiks[address] = traefik, tasks.create_task(traefik.run(), name=f"read back {traefik.name}")

    def _drop(self, addresses: list[str]) -> None:
        for address in addresses:
            traefik, task = self._traefiks.pop(address)
            task.cancel()
            self._end(traefik)

    def _failed(self) -> None:
        if not any(traefik.answers for traefik, _ in self._traefiks.values()):
            self._none_answers.set()


class _Traefik:
    """Polls one Traefik; `woken` makes it poll at once. `failed` is called at every poll without an answer."""

    def __init__(
        self,
        name: str,
        api: Api,
        expected: _Expected,
        parsing: asyncio.Lock,
        on_reading: Callable[[Reading], None],
        failed: Callable[[], None],
    ) -> None:
        self.name, self.woken = name, asyncio.Event()
        self._api, self._expected, self._parsing = api, expected, parsing
        self._on_reading, self._failed = on_reading, failed
        self._failure = _Failure(name, on_reading)
        self._last: Reading | None = None
        self._instances = _Instances(api)
        self._proven: str | None = None  # the marker that was shown when everything was read last
        self._read_mono_s = -math.inf
        self._pause_end_mono_s = -math.inf

    @property
    def answers(self) -> bool:
        """Whether it has not failed since it was last asked; a new one has not."""
        return self._failure.cause is None

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            self.woken.clear()
            await _wait(self.woken, await self._poll())

    async def _poll(self) -> float:
        """Ask for the marker, read everything where that is due, and return in how many seconds to poll again."""
        marker = self._expected.marker
        if (applying_s := self._expected.since_mono_s + APPLYING_S - time.monotonic()) > 0:
            return applying_s
        try:
            shown = marker is None or await self._api.shows(marker)
            if self._due_mono_s(marker, shown=shown) <= time.monotonic():
                await self._read(marker, shown=shown)
        except (aiohttp.ClientError, OSError, ValueError, InvalidAnswer) as error:
            self._last = None
            self._failure.report(fault(error))
            self._failed()
            return RETRY_S
        if self._last is None and self._failure.cause is not None:
            self._failure.report(self._failure.cause)  # it shows the marker, but the full reading failed
        now_mono_s = time.monotonic()
        is_eager = now_mono_s < self._expected.since_mono_s + EAGER_FOR_S
        ask_s = CALM_S if shown else EAGER_S if is_eager else RETRY_S
        return min(ask_s, max(0.0, self._due_mono_s(marker, shown=shown) - now_mono_s))

    def _due_mono_s(self, marker: str | None, *, shown: bool) -> float:
        """Return when to read everything: when the marker appears or goes, and while the reading may be stale."""
        if self._last is None:
            return self._pause_end_mono_s
        if shown and marker != self._proven:
            return -math.inf
        if not shown and marker == self._proven:
            return self._pause_end_mono_s
        return max(self._pause_end_mono_s, self._stale_mono_s(self._last, marker, shown=shown))

    def _stale_mono_s(self, last: Reading, marker: str | None, *, shown: bool) -> float:
        expected = self._expected
        if not shown:
            is_old = time.monotonic() >= expected.since_mono_s + OLD_FOR_S and not expected.attentive
            return max(self._read_mono_s, expected.since_mono_s) + (CALM_S if is_old else OLD_S)
        if expected.attentive:
            return self._read_mono_s + ATTENTIVE_S
        if marker not in {None, last.marker}:  # it answered for both, so another document came in between
            return self._read_mono_s + OLD_S
        if marker is None or last.errors:  # they may vanish: what is missing can be another provider's
            return self._read_mono_s + CALM_S
        return self._read_mono_s + RARELY_S  # Traefik's other providers change without notice

    async def _read(self, marker: str | None, *, shown: bool) -> None:
        """Read everything in one request, so that marker, weights and errors belong together."""
        began_mono_s = time.monotonic()
        try:
            instance, is_shared = await self._instances.read()
            body = await self._api.raw_data()
            async with self._parsing:  # one at a time: a parsed answer takes several times its size
                found = await asyncio.to_thread(read, body, self.name, self._expected.marker)
            reading = replace(found, instance=instance, is_shared=is_shared)
        finally:
            self._read_mono_s = time.monotonic()
            self._pause_end_mono_s = self._read_mono_s + min(
                PAUSE_MAX_S, PAUSE_FACTOR * (self._read_mono_s - began_mono_s)
            )
        self._last, self._proven = reading, marker if shown else None
        self._failure.cause = None
        self._on_reading(reading)


class _Instances:
    """Finds out whether one process of Traefik answers at an address, or several in turn, as behind a load balancer."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._last: str | None = None
        self._before: set[str] = set()
        self._shared_until_mono_s = -math.inf

    async def read(self) -> tuple[str | None, bool]:
        """Return which process answers, and whether several do: one that was replaced by a restart never returns."""
        seen = [await self._api.instance() for _ in range(2)]
        if seen[0] != seen[1]:  # a restart in between, or two processes: the next answers decide
            seen += [await self._api.instance() for _ in range(2)]
        for instance in seen:
            if instance is None or instance == self._last:
                continue
            if instance in self._before:
                self._shared_until_mono_s = time.monotonic() + SHARED_S
                self._before.clear()
            if self._last is not None:
                self._before.add(self._last)
            self._last = instance
        return self._last, time.monotonic() < self._shared_until_mono_s


@dataclass(slots=True)
class _Failure:
    """Reports why there is no answer: when the cause changes, and again about every 10 s."""

    name: str
    on_reading: Callable[[Reading], None]
    cause: str | None = None
    reported_mono_s: float = -math.inf

    def report(self, cause: str) -> None:
        now_mono_s = time.monotonic()
        if cause != self.cause or now_mono_s >= self.reported_mono_s + REPEAT_S:
            self.cause, self.reported_mono_s = cause, now_mono_s
            self.on_reading(Reading(self.name, cause=cause))


async def _wait(event: asyncio.Event, limit_s: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(limit_s):
            await event.wait()
