"""Docker containers and events -> observed servers.

Subscribes to events first and lists second: what happens in between shows in the one or the other. An event only says
which service to list again, but for two that a list tells late or never: `kill` (a container is asked to stop) and
`die` (the engine lists a dead container as running until it has cleaned up after it).
"""

import asyncio
import random
import signal
import socket
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, assert_never

import structlog

from provider.clock import CLOCK
from provider.created import Created, signal_number
from provider.deaths import Deaths
from provider.engine import Action, Client, Connection, Engine, Stream
from provider.errors import DockerUnavailable
from provider.labels import ENVIRONMENT, SERVICE, SHORT_ID, UNREADABLE, Scope, Sighting
from provider.listing import Listing, OwnContainer, lives, started_since
from provider.model import LEAVING_LIMIT_S, ByColour, Colour, Server
from provider.text import NAME_MOST, clean, one_line
from provider.threads import in_thread

log = structlog.get_logger()

HOST_NAME = "host.docker.internal"
HOST_NAME_LIMIT_S = 1.0
LEAVING_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGKILL})
"""Any other signal is a stop only where the container names it as its StopSignal (rule 4): a JVM answers QUIT with a
dump of its threads, nginx reopens its logs on USR1, and both live on."""
STOP_TIMEOUT_MORE_S = 10.0
# The engine tells of a death, a pause or a network before its list shows it, and answers a subscription before that is
# in force: what was listed at once is listed again after that.
ECHO_S = 1.0
CAUSE_MOST = 300
RECENT_EVENTS = 256
COUNTED_AT_ONCE = 50
LEARNT_AT_ONCE = 100


class Sink(Protocol):
    """Who is told what Docker runs; called on the event loop's thread.

    `listed_mono_s` is the monotonic time before the list was asked for: what is told is not older than that.
    """

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        """Take a complete list; a service that is not in it has no containers."""

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        """Take one service anew."""

    def docker_networks(self, networks: frozenset[str]) -> None:
        """Take the networks that the container of this daemon is on; none where it runs in none."""

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        """Take whether the engine answers, and why it does not."""

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        """Take what is wrong with containers, by their names, whenever that has changed."""

    def docker_event(self, action: str) -> None:
        """Count an event of one of our containers; `action` is a value of `Action`."""


@dataclass(frozen=True, slots=True)
class _Stop:
    """A container was asked to stop, or died. Stands until it starts after `engine_ns`, by the engine's clock.

    `limit_s` is how long it may take to stop: its StopTimeout and 10 s, or `LEAVING_LIMIT_S` where that is longer.
    """

    asked_mono_s: float
    engine_ns: int
    died: bool = False
    limit_s: float = LEAVING_LIMIT_S


@dataclass(frozen=True, slots=True)
class _Kill:
    """A signal that a container was sent, and what is yet to be asked about it."""

    service: str
    container: str
    signal: int
    stop: _Stop


@dataclass(frozen=True, slots=True)
class _View:
    """The containers of a service as last listed."""

    sightings: tuple[Sighting, ...] = ()
    listed_mono_s: float = 0.0


class Containers:
    """Follows one Docker Engine and tells the sink which servers its labelled containers are.

    `base_url` is as `Engine` takes it; `docker_host_address` is where Traefik reaches the engine's host. A quiet engine
    is asked for a sign of life every `ping_s`, and any question is given up after `timeout_s`. Every `refresh_s`
    subscription and complete list are made anew. Attempts to reconnect are `backoff_s` to `backoff_max_s` apart.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        base_url: str | None,
        docker_host_address: str | None = None,
        ping_s: float = 3.0,
        timeout_s: float = 5.0,
        refresh_s: float = 60.0,
        backoff_s: float = 0.2,
        backoff_max_s: float = 10.0,
    ) -> None:
        self._sink = sink
        self._engine = Engine(base_url, timeout_s=timeout_s, silence_s=refresh_s + 3 * timeout_s)
        self._host_address = docker_host_address
        self._ping_s = ping_s
        self._refresh_s = refresh_s
        self._backoff_s = backoff_s
        self._backoff_max_s = backoff_max_s
        self._failures = 0
        self._scope: Scope | None = None
        self._wake = asyncio.Event()
        self._everything_wanted = False
        self._wanted: set[str] = set()
        self._views: dict[str, _View] = {}
        self._service_of: dict[str, str] = {}
        self._warnings: dict[str, str] = {}
        self._stops: dict[str, _Stop] = {}
        self._unusual_kills: list[_Kill] = []
        self._usual_kills: list[_Kill] = []
        # An event comes by every stream that is open.
        self._recent: deque[tuple[str, int]] = deque(maxlen=RECENT_EVENTS)
        self._listing = Listing()
        self._has_odd_events = False
        self._changed: set[str] = set()
        self._deaths = Deaths()
        self._uncounted: set[str] = set()
        self._echoes: dict[str, bool] = {}
        self._voided = 0
        self._own = OwnContainer()

    def set_scope(self, environment: str, *, required: bool, ignored: frozenset[str] = frozenset()) -> None:
        """Count only this environment's containers; those that name none count too unless a label is `required`.

        `ignored` are variables of a container's environment that make no other release.
        """
        scope = Scope(environment, required, ignored)
        if scope != self._scope:
            self._scope = scope
            self._want_everything()

    def relist(self, service: str) -> None:
        """List a service once more; the answer reaches the sink even when nothing has changed."""
        self._wanted.add(service)
        self._wake.set()

    def void(self) -> None:
        """List everything again over a new subscription, and tell nothing of a list that was asked for before."""
        self._voided += 1
        self._wake.set()

    async def run(self) -> None:
        """Follow the engine until cancelled; asks nothing before there is a scope."""
        while self._scope is None:
            await self._wake.wait()
            self._wake.clear()
        while True:
            try:
                await self._session()
            except DockerUnavailable as away:
                cause = str(away)
            except Exception as bug:
                log.exception("following Docker failed unexpectedly")
                cause = one_line(f"unexpected {type(bug).__name__}: {bug}", CAUSE_MOST)
            longest_s = min(self._backoff_max_s, self._backoff_s * 2.0**self._failures)
            delay_s = longest_s * random.uniform(0.5, 1.0)  # noqa: S311  jitter is no secret
            self._failures = min(self._failures + 1, 32)
            cause = f"{self._engine.shown_url}: {cause}; next attempt in {delay_s:.1f} s"
            self._sink.docker_connected(connected=False, cause=cause)
            await asyncio.sleep(delay_s)

    async def _session(self) -> None:
        """Follow the engine for as long as it answers; only an error ends it."""
        host_address = self._host_address or await _find_host()
        connection = await self._engine.connect()
        streams: list[Stream] = []
        refresh_mono_s, voided = 0.0, self._voided
        try:
            while True:
                if not streams or voided != self._voided or time.monotonic() >= refresh_mono_s:
                    voided = self._voided
                    # Two overlap by a whole period: no event falls in between, and when something on the way cuts one
                    # off in silence, the other still tells.
                    streams.append(await self._subscribe(connection))
                    if len(streams) > 2:
                        streams.pop(0).close()
                    refresh_mono_s = time.monotonic() + self._refresh_s
                    self._uncounted = set(self._deaths.known)  # they may have died while nobody told us
                    self._want_everything()
                    # An event between the first list and the moment the subscription is in force shows in the second.
                    asyncio.get_running_loop().call_later(ECHO_S, self._want_everything)
                self._wake.clear()
                for stream in streams:
                    stream.check()
                await self._judge_unusual_kills(connection)
                await self._list_wanted(connection, host_address)
                await self._give_time_to_stop(connection)
                await self._count_deaths(connection)
                try:
                    async with asyncio.timeout(self._ping_s):
                        await self._wake.wait()
                except TimeoutError:
                    await connection.ask(Client.ping)
        finally:
            for stream in streams:
                stream.close()
            connection.close()

    async def _subscribe(self, connection: Connection) -> Stream:
        # Events of networks carry no labels of containers, so a filter by label would lose them.
        return await connection.subscribe(("container", "network"), self._on_events, self._wake.set)

    def _want_everything(self) -> None:
        self._everything_wanted = True
        self._wake.set()

    # --- lists --------------------------------------------------------------------------------------------------------

    async def _list_wanted(self, connection: Connection, host_address: str) -> None:
        """List what was wanted when this began; what is wanted meanwhile is the next turn's."""
        scope, listed_mono_s, voided = self._scope, CLOCK.mono_s, self._voided
        assert scope is not None
        wanted, self._wanted = self._wanted, set()
        if self._everything_wanted:
            self._everything_wanted = False
            self._sink.docker_networks(await connection.ask(self._own.networks))
            sightings = await self._sightings(connection, None, scope, host_address)
            await self._count_new(connection, [each for each in sightings if each.service in wanted])
            listed = {sighting.container for sighting in sightings}
            stopped = {id_: stop.engine_ns for id_, stop in self._stops.items() if id_ in listed}
            # One that was stopped may have been started again while no event of it reached us.
            restarted = await connection.ask(started_since, stopped) if stopped else frozenset()
            if (scope, voided) == (self._scope, self._voided):
                self._take_all(sightings, restarted, listed_mono_s)
            return
        for service in wanted:
            listed_mono_s = CLOCK.mono_s
            sightings = await self._sightings(connection, service, scope, host_address)
            await self._count_new(connection, sightings)
            if (scope, voided) == (self._scope, self._voided):
                view = _View(sightings, listed_mono_s)
                before = self._take(service, view)
                self._tell(service, view)
                if _warnings(before) != _warnings(view):
                    self._tell_warnings()

    async def _sightings(
        self, connection: Connection, service: str | None, scope: Scope, host_address: str
    ) -> tuple[Sighting, ...]:
        """List the containers of one service, or of all; what a list does not say is asked once in their lives."""
        listed = await connection.ask(self._listing.listed, service)
        unlearnt = self._listing.unlearnt(listed.containers)
        for first in range(0, len(unlearnt), LEARNT_AT_ONCE):
            await connection.ask(self._listing.learn, unlearnt[first : first + LEARNT_AT_ONCE])
        return self._listing.sightings(listed, scope, host_address)

    def _take_all(self, sightings: Iterable[Sighting], restarted: frozenset[str], listed_mono_s: float) -> None:
        by_service: dict[str, list[Sighting]] = {service: [] for service in self._views}
        for sighting in sightings:
            by_service.setdefault(sighting.service, []).append(sighting)
        for service, found in by_service.items():
            self._take(service, _View(tuple(found), listed_mono_s))
        self._stops = {
            id_: stop
            for id_, stop in self._stops.items()
            # Of a container that was stopped after the list was asked for, the list knows nothing.
            if stop.asked_mono_s >= listed_mono_s or (id_ in self._service_of and id_ not in restarted)
        }
        self._listing.forget_all_but(self._service_of.keys())
        self._deaths.forget_all_but(self._service_of.keys(), listed_mono_s)
        told = {service: self._colours(view) for service, view in self._views.items()}
        self._sink.docker_listed(told, listed_mono_s)
        self._tell_warnings()
        self._failures = 0
        self._sink.docker_connected(connected=True, cause=None)

    def _take(self, service: str, view: _View) -> _View:
        """Put a service's containers in place of those listed before, and return these."""
        before = self._views.pop(service, _View())
        if view.sightings:
            self._views[service] = view
        for sighting in before.sightings:
            self._service_of.pop(sighting.container, None)
        for sighting in view.sightings:
            self._service_of[sighting.container] = service
        return before

    def _tell(self, service: str, view: _View | None) -> None:
        if view is not None:
            self._sink.docker_service(service, self._colours(view), view.listed_mono_s)

    def _tell_warnings(self) -> None:
        warnings = {name: text for view in self._views.values() for name, text in _warnings(view).items()}
        if warnings != self._warnings:
            self._warnings = warnings
            self._sink.docker_warnings(warnings)

    def _colours(self, view: _View) -> ByColour[tuple[Server, ...]]:
        """Return the servers of a service as they are now: without the dead, and with those that leave marked so."""
        servers: dict[Colour, list[Server]] = {colour: [] for colour in Colour}
        for sighting in view.sightings:
            stop = self._stops.get(sighting.container)
            if sighting.server is None or sighting.colour is None or (stop and stop.died):
                continue
            id_ = sighting.container
            server = replace(
                sighting.server, deaths=self._deaths.count(id_), died_mono_s=self._deaths.times_mono_s(id_)
            )
            if stop:
                server = replace(server, leaving_mono_s=stop.asked_mono_s, leaving_limit_s=stop.limit_s)
            servers[sighting.colour].append(server)
        return ByColour(*(tuple(sorted(servers[colour], key=lambda server: server.key)) for colour in Colour))

    # --- events -------------------------------------------------------------------------------------------------------

    def _on_events(self, came: Sequence[Any] | None) -> None:
        """Take events; None: some were lost in a storm, which a list makes up for."""
        if came is None:
            self._want_everything()
            return
        for raw in came:
            try:
                self._take_event(raw)
            except UNREADABLE as mistake:  # built otherwise than Docker's; it says nothing that a list does not
                if not self._has_odd_events:
                    self._has_odd_events = True
                    log.warning("an event of Docker's cannot be read", kind=type(mistake).__name__)
        self._tell_changed()

    def _tell_changed(self) -> None:
        """Tell of each service once, however many events of a storm were about it."""
        changed, self._changed = self._changed, set()
        for service in sorted(changed):
            self._tell(service, self._views.get(service))

    def _take_event(self, raw: Any) -> None:
        action = Action(raw["Action"].partition(":")[0])
        attributes = raw["Actor"]["Attributes"]
        id_ = (attributes["container"] if raw["Type"] == "network" else raw["Actor"]["ID"])[:SHORT_ID]
        service = clean(attributes.get(SERVICE) or "", NAME_MOST) or self._service_of.get(id_)
        elsewhere = self._scope and attributes.get(ENVIRONMENT, self._scope.environment) != self._scope.environment
        event = (id_, raw["timeNano"])
        if service is None or elsewhere or event in self._recent:
            return
        self._recent.append(event)
        self._sink.docker_event(action)
        self._follow(action, service, id_, attributes, raw["timeNano"])

    def _follow(self, action: Action, service: str, id_: str, attributes: Mapping[str, str], engine_ns: int) -> None:
        stop = _Stop(CLOCK.mono_s, engine_ns)
        match action:
            case Action.KILL:
                number = signal_number(attributes.get("signal"))
                if number is None:  # no engine of Docker's leaves it out; a stop shows in the death that follows
                    return
                kill = _Kill(service, id_, number, stop)
                if number in LEAVING_SIGNALS:
                    self._leave(kill)
                    self._usual_kills.append(kill)
                else:
                    self._unusual_kills.append(kill)
                self._wake.set()
            case Action.DIE:
                if not self._was_asked(id_):
                    self._deaths.died(id_, engine_ns, stop.asked_mono_s)
                    code = attributes.get("exitCode")
                    log.warning("a container died", service=service, container=id_, exit_code=code)
                self._stops[id_] = replace(stop, died=True)
                self._changed.add(service)
                self._relist_later(service)
            case Action.START:
                self._stops.pop(id_, None)
                self.relist(service)
            case Action.HEALTH_STATUS:
                self.relist(service)
            case Action.PAUSE | Action.UNPAUSE | Action.CONNECT | Action.DISCONNECT:
                self.relist(service)
                self._relist_later(service)
            case _:
                assert_never(action)

    def _was_asked(self, id_: str) -> bool:
        """Tell whether a container that dies now was asked to stop, and not so long ago that it had lived on."""
        stop = self._stops.get(id_)
        is_due = stop is not None and CLOCK.mono_s < stop.asked_mono_s + stop.limit_s
        return is_due or any(kill.container == id_ for kill in self._unusual_kills)

    async def _count_new(self, connection: Connection, sightings: Iterable[Sighting]) -> None:
        """Ask how often containers died of which that is not known yet."""
        new = [*({each.container for each in sightings if each.server} - self._deaths.known)]
        for first in range(0, len(new), COUNTED_AT_ONCE):
            some = new[first : first + COUNTED_AT_ONCE]
            self._deaths.told(await connection.ask(lives, some), CLOCK.mono_s)

    async def _count_deaths(self, connection: Connection) -> None:
        """Ask about containers that may have died while no event of it reached us."""
        while some := [*self._uncounted][:COUNTED_AT_ONCE]:
            before = {id_: self._deaths.count(id_) for id_ in some}
            self._deaths.told(await connection.ask(lives, some), CLOCK.mono_s)
            self._uncounted -= set(some)
            died = {self._service_of.get(id_) for id_ in some if self._deaths.count(id_) != before[id_]}
            for service in died - {None}:
                self._tell(service or "", self._views.get(service or ""))

    def _relist_later(self, service: str) -> None:
        """List a service again after a while; in a storm of its events, a while after the last one, and in between."""
        if service in self._echoes:
            self._echoes[service] = True
            return
        self._echoes[service] = False
        asyncio.get_running_loop().call_later(ECHO_S, self._echo, service)

    def _echo(self, service: str) -> None:
        self.relist(service)
        if self._echoes.pop(service):
            self._relist_later(service)

    def _leave(self, kill: _Kill) -> None:
        before = self._stops.get(kill.container)
        if before is None or not before.died:
            # Asked again, it has as long again: only the last request says that it should be gone.
            limit_s = before.limit_s if before else LEAVING_LIMIT_S
            self._stops[kill.container] = replace(kill.stop, limit_s=limit_s)
            self._changed.add(kill.service)

    async def _judge_unusual_kills(self, connection: Connection) -> None:
        """Find out whether a signal such as WINCH is the one by which the container wants to be stopped."""
        while self._unusual_kills:
            kill = self._unusual_kills[0]
            created = await connection.ask(self._listing.stop_settings, kill.container)
            self._unusual_kills.pop(0)
            if created is not None and kill.signal == created.stop_signal:
                self._leave(kill)
                self._allow(kill, created)
                self._tell_changed()

    async def _give_time_to_stop(self, connection: Connection) -> None:
        """Find out how long containers that were asked to stop may take; most are gone before they are asked about."""
        while self._usual_kills:
            kill = self._usual_kills[0]
            stop = self._stops.get(kill.container)
            if stop is not None and not stop.died:
                created = await connection.ask(self._listing.stop_settings, kill.container)
                if created is not None:
                    self._allow(kill, created)
            self._usual_kills.pop(0)

    def _allow(self, kill: _Kill, created: Created) -> None:
        stop = self._stops.get(kill.container)
        limit_s = max(LEAVING_LIMIT_S, (created.stop_timeout_s or 0.0) + STOP_TIMEOUT_MORE_S)
        if stop is not None and not stop.died and limit_s != stop.limit_s:
            self._stops[kill.container] = replace(stop, limit_s=limit_s)
            self._tell(kill.service, self._views.get(kill.service))


async def _find_host() -> str:
    """Return the engine's host as a container beside Traefik sees it: by Docker's name for it, else loopback."""
    try:
        async with asyncio.timeout(HOST_NAME_LIMIT_S):
            await in_thread(lambda: socket.getaddrinfo(HOST_NAME, None), name="docker")
    except OSError:
        return "127.0.0.1"
    return HOST_NAME


def _warnings(view: _View) -> dict[str, str]:
    return {sighting.name: sighting.warning for sighting in view.sightings if sighting.warning}
