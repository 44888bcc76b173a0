"""Follows a Docker Engine: which services to list again, and when.

It subscribes to events first and lists second, so that nothing in between is missed. An event only says which service
to list again, except for two that a list shows late or never: `kill` (a container is asked to stop) and `die` (the
engine lists a dead container as running until it has cleaned up). A container that starts, or whose health changes, is
inspected at once, beside any list, and reported; its service is listed afterwards. One inspection takes an engine the
same time however many containers it has, a list takes longer the more there are.
"""

import asyncio
import itertools
import signal
import socket
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, assert_never

import structlog

from provider.docker.container import SHORT_ID, UNREADABLE, health_from
from provider.docker.engine import Action, Client, Connection, Stream
from provider.docker.following import Following
from provider.docker.inspected import signal_number
from provider.docker.inventory import Inventory, Sink, Stop
from provider.docker.labels import ENVIRONMENT, SERVICE, Scope
from provider.docker.later import Later
from provider.docker.listing import Listing, OwnContainer, started_since
from provider.docker.sighting import Sighting
from provider.model import Engine, Health
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
DUE_MOST = 10
"""The engine looks at all of its containers to list one service: more services than this are listed with all others."""


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
        base_url: str | Engine | None,
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
        self._later = Later(self._relist_ripe, after_s=SECOND_LIST_S)
        self._changed: dict[str, str] = {}
        self._has_changed = asyncio.Event()
        self._inspecting: frozenset[str] = frozenset()
        self._is_listing = False
        self._left_out: frozenset[str] = frozenset()
        self._own = OwnContainer()

    def set_scope(self, scope: Scope) -> None:
        """Use only the containers of this environment."""
        self._listing.digests.are_wanted = scope.is_one
        super().set_scope(scope)

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
        self._changed.clear()
        inspecting = asyncio.create_task(self._inspect_changed(connection, host_address), name="docker inspections")
        inspecting.add_done_callback(lambda _: self._wake.set())
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
                if inspecting.done():
                    inspecting.result()
                await self._read_stop_signals(connection)
                self._is_listing = True
                await self._list_due(connection, host_address)
                self._is_listing = False
                await self._read_stop_timeouts(connection)
                await self._count_deaths(connection)
                try:
                    async with asyncio.timeout(self._ping_s):
                        await self._wake.wait()
                except TimeoutError:
                    await connection.ask(Client.ping)
        finally:
            inspecting.cancel()
            for stream in streams:
                stream.close()
            await asyncio.gather(inspecting, return_exceptions=True)
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
        if self._is_all_due or len(due) > DUE_MOST:
            self._is_all_due = False
            self._sink.docker_networks(await connection.ask(self._own.networks))
            sightings = await self._sightings(connection, None, scope, host_address)
            await self._count_new(connection, [each for each in sightings if each.service in due])
            # One that was stopped may have been started again while no event of it arrived.
            stopped = self._inventory.stopped(sightings)
            restarted = await connection.ask(started_since, stopped) if stopped else frozenset()
            if asked == self._asked:
                self._inventory.put_all(sightings, restarted, listed_mono_s)
                self._listing.forget_all_but({*self._inventory.containers, *self._inspecting})
                self._reconnect.succeeded()
                self._sink.docker_connected(connected=True, cause=None)
            if some := self._listing.to_compare():
                await connection.ask(self._listing.compare, some)
            return
        for service in due:
            listed_mono_s = CLOCK.mono_s
            sightings = await self._sightings(connection, service, scope, host_address)
            await self._count_new(connection, sightings)
            if asked == self._asked:
                self._inventory.put(service, sightings, listed_mono_s)

    async def _inspect_changed(self, connection: Connection, host_address: str) -> None:
        """Inspect each container that changed, and report it; whatever stops this ends the session."""
        while True:
            await self._has_changed.wait()
            some = dict(itertools.islice(self._changed.items(), INSPECTED_AT_ONCE))
            self._inspecting = frozenset(some)
            for id_ in some:
                del self._changed[id_]
            if not self._changed:
                self._has_changed.clear()
            asked, inspected_mono_s = self._asked, CLOCK.mono_s
            listed, its_lives = await connection.ask(self._listing.inspected, list(some))
            sightings = self._listing.sightings(listed.without(self._left_out), asked[0], host_address)
            self._inspecting = frozenset()
            if asked == self._asked and self._listing.inspection_is_enough:
                # One that has changed again meanwhile is inspected again.
                seen = [each for each in sightings if each.container in some and each.container not in self._changed]
                new = {each.container for each in seen if each.servers} - self._inventory.deaths.known
                self._inventory.deaths.read({id_: its_lives[id_] for id_ in new}, CLOCK.mono_s)
                self._inventory.put_inspected(seen, inspected_mono_s)
            for id_, service in some.items():
                if id_ in its_lives and self._listing.inspection_is_enough:
                    self._later.add(service)
                else:
                    self.relist(service)

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
        self._follow(action, service, id_, raw)

    def _follow(self, action: Action, service: str, id_: str, raw: Mapping[str, Any]) -> None:
        attributes, stop = raw["Actor"]["Attributes"], Stop(CLOCK.mono_s, raw["timeNano"])
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
                self._later.add(service)
            case Action.START:
                self._inventory.started(id_)
                if self._listing.inspection_is_enough:
                    self._inspect_soon(service, id_)
                else:
                    self.relist(service)
            case Action.HEALTH_STATUS:
                said = raw["Action"].partition(": ")[2] or raw.get("HealthStatus")  # as Docker and as Podman say it
                self._health_changed(service, id_, health_from(said))
            case Action.PAUSE | Action.UNPAUSE | Action.CONNECT | Action.DISCONNECT:
                self.relist(service)
                self._later.add(service)
            case _:
                assert_never(action)

    async def _count_new(self, connection: Connection, sightings: Iterable[Sighting]) -> None:
        """Read how often new containers died."""
        new = [*({each.container for each in sightings if each.servers} - self._inventory.deaths.known)]
        for first in range(0, len(new), COUNTED_AT_ONCE):
            some = new[first : first + COUNTED_AT_ONCE]
            self._inventory.deaths.read(await connection.ask(self._listing.lives, some), CLOCK.mono_s)

    async def _count_deaths(self, connection: Connection) -> None:
        """Read the deaths of containers that may have died without an event."""
        while some := [*self._uncounted][:COUNTED_AT_ONCE]:
            self._inventory.count_deaths(await connection.ask(self._listing.lives, some), CLOCK.mono_s)
            self._uncounted -= set(some)

    def _inspect_soon(self, service: str, id_: str) -> None:
        self._changed[id_] = service
        self._has_changed.set()

    def _health_changed(self, service: str, id_: str, health: Health | None) -> None:
        """Follow an event of health; Docker sends it with a change, Podman with each check."""
        # What is being read may be older than the event.
        is_reading = self._is_listing or self._inspecting
        if health is not None and not is_reading and health is self._inventory.health_of(id_):
            return
        if self._listing.inspection_is_enough:
            self._inspect_soon(service, id_)
        else:
            self._later.add(service)

    def _relist_ripe(self, services: set[str]) -> None:
        self._due |= services
        self._wake.set()

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
