"""Follows a Docker Engine: which services to list again, and when.

It subscribes to events first and lists second, so that nothing in between is missed. An event only says which service
to list again, except for two that a list shows late or never: `kill` (a container is asked to stop) and `die` (the
engine lists a dead container as running until it has cleaned up).
"""

import asyncio
import signal
import socket
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import structlog

from provider.docker.container import SHORT_ID, UNREADABLE
from provider.docker.engine import Action, Client, Connection, Stream
from provider.docker.following import Following
from provider.docker.inspected import signal_number
from provider.docker.inventory import Inventory, Sink, Stop
from provider.docker.labels import ENVIRONMENT, SERVICE, Scope, Sighting
from provider.docker.listing import Listing, OwnContainer, lives, started_since
from provider.model.text import NAME_MOST, clean
from provider.runtime.clock import CLOCK
from provider.runtime.threads import in_thread

log = structlog.get_logger()

HOST_NAME = "host.docker.internal"
HOST_NAME_LIMIT_S = 1.0
LEAVING_SIGNALS = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGKILL})
"""Any other signal is a stop only where the container names it as its StopSignal (rule 4): a JVM answers QUIT with a
dump of its threads, nginx reopens its logs on USR1, and both live on."""
# The engine sends the event of a death, a pause or a network before its list shows that, and answers a subscription
# before it is in force: what was listed at once is listed again after this time.
SECOND_LIST_S = 1.0
RECENT_EVENTS = 256
COUNTED_AT_ONCE = 50
INSPECTED_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class _Kill:
    """A signal that a container was sent; its settings for a stop are yet to be read."""

    service: str
    container: str
    signal: int
    stop: Stop


class Containers(Following):
    """Follows one Docker Engine and reports to the sink which servers its labelled containers are.

    `docker_host_address` is where Traefik reaches the engine's host. A quiet engine is pinged every `ping_s`. The other
    arguments are as `Following` takes them.
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
        super().__init__(
            base_url, timeout_s=timeout_s, refresh_s=refresh_s, backoff_s=backoff_s, backoff_max_s=backoff_max_s
        )
        self._sink = sink
        self._host_address = docker_host_address
        self._ping_s = ping_s
        self._inventory = Inventory(sink)
        self._unusual_kills: list[_Kill] = []
        self._usual_kills: list[_Kill] = []
        # An event arrives by every open stream.
        self._recent: deque[tuple[str, int]] = deque(maxlen=RECENT_EVENTS)
        self._listing = Listing()
        self._has_odd_events = False
        self._uncounted: set[str] = set()
        self._listed_later: dict[str, bool] = {}
        self._left_out: frozenset[str] = frozenset()
        self._own = OwnContainer()

    def leave_out(self, swarm_services: frozenset[str]) -> None:
        """Ignore the containers of these services of a Swarm: their tasks are listed by a manager."""
        if swarm_services != self._left_out:
            self._left_out = swarm_services
            self._list_all_soon()

    async def _session(self) -> None:
        host_address = self._host_address or await _find_host()
        connection = await self._engine.connect()
        streams: list[Stream] = []
        refresh_mono_s, voided = 0.0, self._voided
        try:
            while True:
                if not streams or voided != self._voided or time.monotonic() >= refresh_mono_s:
                    voided = self._voided
                    # Two overlap by a whole period: no event falls in between, and when something on the way cuts one
                    # off in silence, the other still brings events.
                    streams.append(await self._subscribe(connection))
                    if len(streams) > 2:
                        streams.pop(0).close()
                    refresh_mono_s = time.monotonic() + self._refresh_s
                    self._uncounted = set(self._inventory.deaths.known)  # they may have died without an event
                    self._list_all_soon()
                    # An event between the first list and the moment the subscription is in force shows in the second.
                    asyncio.get_running_loop().call_later(SECOND_LIST_S, self._list_all_soon)
                self._wake.clear()
                for stream in streams:
                    stream.check()
                await self._read_stop_signals(connection)
                await self._list_due(connection, host_address)
                await self._read_stop_timeouts(connection)
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

    def _report_away(self, cause: str) -> None:
        self._sink.docker_connected(connected=False, cause=cause)

    # --- lists --------------------------------------------------------------------------------------------------------

    async def _list_due(self, connection: Connection, host_address: str) -> None:
        """List what is due when this begins; what becomes due meanwhile is left to the next call."""
        asked, listed_mono_s = self._asked, CLOCK.mono_s
        scope, _ = asked
        due, self._due = self._due, set()
        if self._is_all_due:
            self._is_all_due = False
            self._sink.docker_networks(await connection.ask(self._own.networks))
            sightings = await self._sightings(connection, None, scope, host_address)
            await self._count_new(connection, [each for each in sightings if each.service in due])
            # One that was stopped may have been started again while no event of it arrived.
            stopped = self._inventory.stopped(sightings)
            restarted = await connection.ask(started_since, stopped) if stopped else frozenset()
            if asked == self._asked:
                self._inventory.put_all(sightings, restarted, listed_mono_s)
                self._listing.forget_all_but(self._inventory.containers)
                self._reconnect.succeeded()
                self._sink.docker_connected(connected=True, cause=None)
            return
        for service in due:
            listed_mono_s = CLOCK.mono_s
            sightings = await self._sightings(connection, service, scope, host_address)
            await self._count_new(connection, sightings)
            if asked == self._asked:
                self._inventory.put(service, sightings, listed_mono_s)

    async def _sightings(
        self, connection: Connection, service: str | None, scope: Scope, host_address: str
    ) -> tuple[Sighting, ...]:
        """List the containers of one service, or of all; each is inspected once for what the list leaves out."""
        listed = (await connection.ask(self._listing.listed, service)).without(self._left_out)
        unknown = self._listing.unknown(listed.containers)
        for first in range(0, len(unknown), INSPECTED_AT_ONCE):
            await connection.ask(self._listing.inspect, unknown[first : first + INSPECTED_AT_ONCE])
        return self._listing.sightings(listed, scope, host_address)

    # --- events -------------------------------------------------------------------------------------------------------

    def _on_events(self, came: Sequence[Any] | None) -> None:
        """Take events; None where some were lost in a storm, which a list makes up for."""
        if came is None:
            self._list_all_soon()
            return
        for raw in came:
            try:
                self._take_event(raw)
            except UNREADABLE as mistake:  # not of Docker's form; a list makes up for it
                if not self._has_odd_events:
                    self._has_odd_events = True
                    log.warning("an event of Docker's cannot be read", kind=type(mistake).__name__)
        self._inventory.report_changed()

    def _take_event(self, raw: Any) -> None:
        action = Action(raw["Action"].partition(":")[0])
        attributes = raw["Actor"]["Attributes"]
        id_ = (attributes["container"] if raw["Type"] == "network" else raw["Actor"]["ID"])[:SHORT_ID]
        service = clean(attributes.get(SERVICE) or "", NAME_MOST) or self._inventory.service_of(id_)
        elsewhere = self._scope and attributes.get(ENVIRONMENT, self._scope.environment) != self._scope.environment
        event = (id_, raw["timeNano"])
        if service is None or elsewhere or event in self._recent:
            return
        self._recent.append(event)
        self._sink.docker_event(action)
        self._follow(action, service, id_, attributes, raw["timeNano"])

    def _follow(self, action: Action, service: str, id_: str, attributes: Mapping[str, str], engine_ns: int) -> None:
        stop = Stop(CLOCK.mono_s, engine_ns)
        match action:
            case Action.KILL:
                number = signal_number(attributes.get("signal"))
                if number is None:  # Docker always sends it; a stop shows in the death that follows
                    return
                kill = _Kill(service, id_, number, stop)
                if number in LEAVING_SIGNALS:
                    self._inventory.stopping(service, id_, stop)
                    self._usual_kills.append(kill)
                else:
                    self._unusual_kills.append(kill)
                self._wake.set()
            case Action.DIE:
                is_asked = any(kill.container == id_ for kill in self._unusual_kills)
                if self._inventory.died(service, id_, stop, is_asked=is_asked):
                    code = attributes.get("exitCode")
                    log.warning("a container died", service=service, container=id_, exit_code=code)
                self._relist_later(service)
            case Action.START:
                self._inventory.started(id_)
                self.relist(service)
            case Action.HEALTH_STATUS:
                self.relist(service)
            case Action.PAUSE | Action.UNPAUSE | Action.CONNECT | Action.DISCONNECT:
                self.relist(service)
                self._relist_later(service)
            case _:
                assert_never(action)

    async def _count_new(self, connection: Connection, sightings: Iterable[Sighting]) -> None:
        """Read how often new containers died."""
        new = [*({each.container for each in sightings if each.servers} - self._inventory.deaths.known)]
        for first in range(0, len(new), COUNTED_AT_ONCE):
            some = new[first : first + COUNTED_AT_ONCE]
            self._inventory.deaths.read(await connection.ask(lives, some), CLOCK.mono_s)

    async def _count_deaths(self, connection: Connection) -> None:
        """Read the deaths of containers that may have died without an event."""
        while some := [*self._uncounted][:COUNTED_AT_ONCE]:
            self._inventory.count_deaths(await connection.ask(lives, some), CLOCK.mono_s)
            self._uncounted -= set(some)

    def _relist_later(self, service: str) -> None:
        """List a service again after `SECOND_LIST_S`; in a storm of its events, that often and once after the last."""
        if service in self._listed_later:
            self._listed_later[service] = True
            return
        self._listed_later[service] = False
        asyncio.get_running_loop().call_later(SECOND_LIST_S, self._relist_now, service)

    def _relist_now(self, service: str) -> None:
        self.relist(service)
        if self._listed_later.pop(service):
            self._relist_later(service)

    async def _read_stop_signals(self, connection: Connection) -> None:
        """Find out whether a signal such as WINCH is the container's StopSignal."""
        while self._unusual_kills:
            kill = self._unusual_kills[0]
            created = await connection.ask(self._listing.stop_settings, kill.container)
            self._unusual_kills.pop(0)
            if created is not None and kill.signal == created.stop_signal:
                self._inventory.stopping(kill.service, kill.container, kill.stop)
                self._inventory.allow_time(kill.service, kill.container, created.stop_timeout_s)
                self._inventory.report_changed()

    async def _read_stop_timeouts(self, connection: Connection) -> None:
        """Find out how long stopping containers may take; most are gone before they are inspected."""
        while self._usual_kills:
            kill = self._usual_kills[0]
            if self._inventory.is_stopping(kill.container):
                created = await connection.ask(self._listing.stop_settings, kill.container)
                if created is not None:
                    self._inventory.allow_time(kill.service, kill.container, created.stop_timeout_s)
            self._usual_kills.pop(0)


async def _find_host() -> str:
    """Return the address of the engine's host for a container beside Traefik: Docker's name for it, else loopback."""
    try:
        async with asyncio.timeout(HOST_NAME_LIMIT_S):
            await in_thread(lambda: socket.getaddrinfo(HOST_NAME, None), name="docker")
    except OSError:
        return "127.0.0.1"
    return HOST_NAME
