"""Follows an engine's own containers, and the tasks of its Swarm where it manages one, as one Docker.

A service may have servers of both kinds, as while it moves from one to the other. What is reported of one kind is
reported together with what is known of the other, and is as old as the older of both.
"""

import asyncio
from collections.abc import Mapping

from provider.docker.discovery import Containers
from provider.docker.inventory import Sink
from provider.docker.labels import Scope
from provider.docker.swarm.discovery import Tasks
from provider.model import ByColour, Server

EMPTY: ByColour[tuple[Server, ...]] = ByColour((), ())


class Auto:
    """Follows both kinds of one engine; arguments are as those of `Containers`."""

    def __init__(self, sink: Sink, *, base_url: str | None, docker_host_address: str | None = None) -> None:
        joined = _Joined(sink)
        self._containers = Containers(joined.half(), base_url=base_url, docker_host_address=docker_host_address)
        self._tasks = Tasks(joined.half(), base_url=base_url, may_be_none=True, on_services=self._containers.leave_out)

    def set_scope(self, scope: Scope) -> None:
        """Use only the containers and services of this environment."""
        self._containers.set_scope(scope)
        self._tasks.set_scope(scope)

    def relist(self, service: str) -> None:
        """List a service again; the sink gets the result even when nothing has changed."""
        self._containers.relist(service)
        self._tasks.relist(service)

    def void(self) -> None:
        """List everything again over new subscriptions, and drop the result of lists that are under way."""
        self._containers.void()
        self._tasks.void()

    async def run(self) -> None:
        """Follow both until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._containers.run(), name="containers")
            group.create_task(self._tasks.run(), name="swarm")


class _Joined:
    """Reports to one sink what its halves report together, once each of them has listed everything."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self._halves: list[_Half] = []

    def half(self) -> "_Half":
        """Return a sink for one more half."""
        self._halves.append(_Half(self))
        return self._halves[-1]

    def report_all(self) -> None:
        times = [half.complete_mono_s for half in self._halves if half.complete_mono_s is not None]
        if len(times) == len(self._halves):
            names = dict.fromkeys(name for half in self._halves for name in half.services)
            self.sink.docker_listed({name: self._colours(name) for name in names}, min(times))

    def report(self, service: str) -> None:
        times = [half.listed_mono_s(service) for half in self._halves]
        if all(half.complete_mono_s is not None for half in self._halves):
            self.sink.docker_service(service, self._colours(service), min(times))

    def report_connected(self) -> None:
        causes = [half.cause for half in self._halves if half.cause is not None]
        if causes or all(half.is_connected for half in self._halves):
            self.sink.docker_connected(connected=not causes, cause=causes[0] if causes else None)

    def report_warnings(self) -> None:
        self.sink.docker_warnings({name: text for half in self._halves for name, text in half.warnings.items()})

    def _colours(self, service: str) -> ByColour[tuple[Server, ...]]:
        found = [half.services[service] for half in self._halves if service in half.services]
        if len(found) == 1:
            return found[0]
        return ByColour(
            tuple(sorted((server for each in found for server in each.blue), key=lambda server: server.key)),
            tuple(sorted((server for each in found for server in each.green), key=lambda server: server.key)),
        )


class _Half:
    """The sink of one half: it keeps what was reported last."""

    def __init__(self, joined: _Joined) -> None:
        self._joined = joined
        self.services: dict[str, ByColour[tuple[Server, ...]]] = {}
        self.complete_mono_s: float | None = None
        self.is_connected = False
        self.cause: str | None = None
        self.warnings: Mapping[str, str] = {}
        self._times_mono_s: dict[str, float] = {}

    def listed_mono_s(self, service: str) -> float:
        return self._times_mono_s.get(service, self.complete_mono_s or 0.0)

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        self.services, self.complete_mono_s = dict(services), listed_mono_s
        self._times_mono_s.clear()
        self._joined.report_all()

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        self.services[service] = colours
        if colours == EMPTY:
            del self.services[service]
        self._times_mono_s[service] = listed_mono_s
        self._joined.report(service)

    def docker_networks(self, networks: frozenset[str]) -> None:
        self._joined.sink.docker_networks(networks)

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        self.is_connected, self.cause = connected, cause
        self._joined.report_connected()

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        self.warnings = warnings
        self._joined.report_warnings()

    def docker_event(self, action: str) -> None:
        self._joined.sink.docker_event(action)
