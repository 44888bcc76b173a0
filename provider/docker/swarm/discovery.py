"""Follows a manager of a Swarm: lists services and tasks, and reports what changed (rule 67)."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import structlog
from docker.errors import APIError

from provider.docker.container import UNREADABLE
from provider.docker.deaths import Deaths, Life
from provider.docker.engine import Client, Connection, Stream, SwarmAction
from provider.docker.following import Following
from provider.docker.inventory import Sink
from provider.docker.labels import SERVICE, Scope
from provider.docker.listing import FORBIDDEN, OwnContainer
from provider.docker.sighting import Sighting
from provider.docker.swarm.listing import Listed, Listing, NoManager
from provider.docker.swarm.servers import sight
from provider.docker.swarm.tasks import DEAD, RUNNING, SwarmService, Task
from provider.model import ByColour, Colour, Engine, Server
from provider.model.errors import DockerUnavailable
from provider.runtime.clock import CLOCK

log = structlog.get_logger()

EMPTY: ByColour[tuple[Server, ...]] = ByColour((), ())
SOON_S = (0.1, 0.2, 0.4)
"""After an event: the manager sends it before it has changed the tasks."""
LEAST_S = 0.05
"""Lists are no closer together, however many events come."""
PROXY = "let the proxy before Docker's socket pass GET /services, /tasks and /nodes"


class Tasks(Following):
    """Follows one manager and reports to the sink which servers the tasks of its labelled services are.

    Tasks are listed every `every_s` and at once on an event. An engine that manages no Swarm is away, but where it
    `may_be_none` it has no services. `on_services` is called with the names of the Swarm services that have our labels.
    The other arguments are as `Following` takes them.
    """

    def __init__(
        self,
        sink: Sink,
        *,
        base_url: str | Engine | None,
        may_be_none: bool = False,
        on_services: Callable[[frozenset[str]], None] = lambda _: None,
        every_s: float = 1.0,
        timeout_s: float = 5.0,
        refresh_s: float = 60.0,
        backoff_s: float = 0.2,
        backoff_max_s: float = 10.0,
    ) -> None:
        super().__init__(
            base_url, timeout_s=timeout_s, refresh_s=refresh_s, backoff_s=backoff_s, backoff_max_s=backoff_max_s
        )
        self._sink, self._may_be_none, self._on_services = sink, may_be_none, on_services
        self._every_s = every_s
        self._pauses: deque[float] = deque()
        self._listing, self._own, self._deaths = Listing(), OwnContainer(), Deaths()
        self._services: dict[str, SwarmService] = {}
        self._running: dict[str, Task] = {}
        self._leaving_mono_s: dict[str, float] = {}
        self._misplaced: tuple[SwarmService, ...] = ()
        self._reported: dict[str, ByColour[tuple[Server, ...]]] | None = None
        self._warnings: dict[str, str] = {}
        self._is_connected = False

    async def _session(self) -> None:
        connection = await self._engine.connect()
        stream: Stream | None = None
        refresh_mono_s, voided = 0.0, self._voided
        try:
            while True:
                if stream is None or voided != self._voided or time.monotonic() >= refresh_mono_s:
                    voided, before = self._voided, stream
                    stream = await connection.subscribe(
                        ("service", "node"), self._on_events, self._wake.set, actions=SwarmAction
                    )
                    if before is not None:
                        before.close()
                    refresh_mono_s = time.monotonic() + self._refresh_s
                    self._sink.docker_networks(await connection.ask(_networks, self._own))
                    self._is_all_due = True
                stream.check()
                self._wake.clear()
                is_there = await self._list(connection)
                await self._pause(self._every_s if is_there else self._refresh_s)
        finally:
            if stream is not None:
                stream.close()
            connection.close()

    async def _pause(self, longest_s: float) -> None:
        """Wait for an event or a request, or until the next list is due."""
        await asyncio.sleep(LEAST_S)
        try:
            async with asyncio.timeout(self._pauses.popleft() if self._pauses else longest_s):
                await self._wake.wait()
        except TimeoutError:
            pass

    def _on_events(self, came: Sequence[Any] | None) -> None:
        """Take events: each is a reason to list, and says nothing more."""
        for raw in came or ():
            try:
                self._sink.docker_event(SwarmAction(raw["Action"]))
            except UNREADABLE:
                log.warning("an event of Swarm's cannot be read")
        self._pauses = deque(SOON_S)
        self._is_all_due = self._is_all_due or came is None
        self._wake.set()

    # --- lists --------------------------------------------------------------------------------------------------------

    async def _list(self, connection: Connection) -> bool:
        """List everything and report what is new; return whether there is a Swarm."""
        asked, listed_mono_s = self._asked, CLOCK.mono_s
        is_complete, self._is_all_due = self._is_all_due, False
        due, self._due = self._due, set()
        try:
            listed = await connection.ask(_listed, self._listing, [*self._running], every=is_complete)
        except DockerUnavailable:
            self._is_all_due, self._due = True, self._due | due
            raise
        if asked != self._asked:
            self._is_all_due, self._due = True, self._due | due
            return True
        if isinstance(listed, NoManager):
            self._check_absence(listed)
            listed = Listed((), {}, {})
            is_there = False
        else:
            is_there = True
        colours, warnings = self._take(listed, asked[0], is_complete=is_complete)
        self._report(colours, warnings, due, listed_mono_s, is_complete=is_complete)
        self._reconnect.succeeded()
        self._report_connected(cause=None)
        return is_there

    def _check_absence(self, absent: NoManager) -> None:
        """Raise DockerUnavailable where a Swarm is expected: its servers stay (P4)."""
        if not self._may_be_none:
            raise DockerUnavailable(f"{absent}: name a manager (--docker), or {PROXY}")
        if self._services:
            raise DockerUnavailable(f"it was a manager of a Swarm, and now {absent}: name another one (--docker)")

    def _take(
        self, listed: Listed, scope: Scope, *, is_complete: bool
    ) -> tuple[dict[str, ByColour[tuple[Server, ...]]], dict[str, str]]:
        """Take a list; return the servers of each service, and the warnings."""
        now_mono_s = CLOCK.mono_s
        ours = {service.id: service for service in listed.services if SERVICE in service.labels}
        if is_complete:
            self._misplaced = tuple(service for service in listed.services if service.id not in ours)
        tasks = [task for some in listed.tasks.values() for task in some]
        # A service that was removed is not listed; its tasks run for a while.
        kept = {id_: self._services[id_] for id_ in listed.tasks if id_ not in ours and id_ in self._services}
        self._services = {**kept, **ours}
        self._on_services(frozenset(service.name for service in ours.values()))
        self._count_deaths(tasks, now_mono_s)
        self._running = {task.id: task for task in tasks if task.state == RUNNING}
        self._leaving_mono_s = {
            id_: self._leaving_mono_s.get(id_, now_mono_s) for id_, task in self._running.items() if task.is_leaving
        }
        sightings = [
            sighting
            for service in (*self._services.values(), *self._misplaced)
            for sighting in sight(service, listed.tasks.get(service.id, ()), listed.nodes, scope)
        ]
        warnings = {sighting.name: sighting.warning for sighting in sightings if sighting.warning}
        if listed.unreadable:
            warnings["Swarm"] = (
                f"ignored: {listed.unreadable} of its services and tasks cannot be read: is this Docker?"
            )
        return self._colours(sightings, now_mono_s), warnings

    def _count_deaths(self, tasks: Iterable[Task], now_mono_s: float) -> None:
        """Count the tasks that ran and have ended without being asked to, by their slots."""
        for task in tasks:
            if task.state not in DEAD or task.id not in self._running or task.id in self._leaving_mono_s:
                continue
            service = self._services.get(task.service)
            if service is not None:
                self._deaths.died(f"{service.name}.{task.slot}", 1, now_mono_s)
                log.warning("a task died", service=service.labels[SERVICE], task=task.id, slot=task.slot)

    def _colours(self, sightings: Iterable[Sighting], now_mono_s: float) -> dict[str, ByColour[tuple[Server, ...]]]:
        found: dict[str, dict[Colour, list[Server]]] = {}
        slots = set()
        for sighting in sightings:
            if not sighting.servers or sighting.colour is None:
                continue
            slot = sighting.servers[0].slot or ""
            slots.add(slot)
            if self._deaths.count(slot) is None:
                self._deaths.read({slot: Life(0, 0)}, now_mono_s)
            found.setdefault(sighting.service, {colour: [] for colour in Colour})[sighting.colour] += [
                replace(
                    server,
                    deaths=self._deaths.count(slot),
                    died_mono_s=self._deaths.times_mono_s(slot),
                    leaving_mono_s=self._leaving_mono_s.get(sighting.container),
                )
                for server in sighting.servers
            ]
        self._deaths.forget_all_but(slots, now_mono_s)
        return {
            name: ByColour(*(tuple(sorted(by[colour], key=lambda server: server.key)) for colour in Colour))
            for name, by in found.items()
        }

    # --- reports ------------------------------------------------------------------------------------------------------

    def _report_away(self, cause: str) -> None:
        self._report_connected(cause=cause)

    def _report_connected(self, *, cause: str | None) -> None:
        was_connected, self._is_connected = self._is_connected, cause is None
        if cause is not None or not was_connected:
            self._sink.docker_connected(connected=cause is None, cause=cause)

    def _report(
        self,
        colours: dict[str, ByColour[tuple[Server, ...]]],
        warnings: dict[str, str],
        due: set[str],
        listed_mono_s: float,
        *,
        is_complete: bool,
    ) -> None:
        before, self._reported = self._reported, colours
        if before is None or is_complete:
            self._sink.docker_listed(colours, listed_mono_s)
            due = due - colours.keys()
        else:
            due = due | _changed(before, colours)
        for name in sorted(due):
            self._sink.docker_service(name, colours.get(name, EMPTY), listed_mono_s)
        if warnings != self._warnings:
            self._warnings = warnings
            self._sink.docker_warnings(warnings)


def _changed(
    before: Mapping[str, ByColour[tuple[Server, ...]]], now: Mapping[str, ByColour[tuple[Server, ...]]]
) -> set[str]:
    return {name for name in before.keys() | now.keys() if before.get(name, EMPTY) != now.get(name, EMPTY)}


def _listed(client: Client, listing: Listing, running: Sequence[str], *, every: bool) -> Listed | NoManager:
    try:
        return listing.listed(client, running, every=every)
    except NoManager as absent:
        return absent


def _networks(client: Client, own: OwnContainer) -> frozenset[str]:
    """Return the networks of the daemon's own container, none where the engine forbids to ask."""
    try:
        return own.networks(client)
    except APIError as error:
        if error.status_code not in FORBIDDEN:
            raise
        return frozenset()
