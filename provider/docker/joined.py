"""Several sources of servers, reported to one sink as one Docker: the engines of the file, or both kinds of an engine.

A service may have servers of several of them. What is reported of one is reported together with what is known of the
others.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf

from provider.docker.inventory import Sink
from provider.model import ByColour, Server

EMPTY: ByColour[tuple[Server, ...]] = ByColour((), ())


class Joined:
    """Reports to one sink what its parts report together, once each of them has listed everything.

    A service that was listed again is as old as the oldest list of it.
    """

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.parts: list[Part] = []

    def part(self, name: str | None = None) -> "Part":
        """Return a sink for one more part; the name is that of an engine, which its servers then have."""
        self.parts.append(Part(self, name))
        return self.parts[-1]

    @property
    def is_ready(self) -> bool:
        """Whether what is known may be reported."""
        return all(part.is_listed for part in self.parts)

    def report_all(self) -> None:
        """Report all services."""
        if self.is_ready:
            times = [part.complete_mono_s for part in self.parts if part.complete_mono_s is not None]
            names = dict.fromkeys(name for part in self.parts for name in part.services)
            self.sink.docker_listed({name: self._colours(name) for name in names}, min(times, default=0.0))

    def report(self, service: str) -> None:
        """Report one service."""
        if self.is_ready:
            self.sink.docker_service(service, self._colours(service), self.listed_mono_s(service))

    def listed_mono_s(self, service: str) -> float:
        """Return when a service was listed, by the oldest of the lists that count for it."""
        return min((part.listed_mono_s(service) for part in self.parts), default=0.0)

    def report_connected(self) -> None:
        """Report whether all parts answer."""
        causes = [part.cause for part in self.parts if part.cause is not None]
        if causes or all(part.is_connected for part in self.parts):
            self.sink.docker_connected(connected=not causes, cause=causes[0] if causes else None)

    def report_networks(self) -> None:
        """Report the networks of the daemon's own container."""
        self.sink.docker_networks(frozenset[str]().union(*(part.networks for part in self.parts)))

    def report_warnings(self) -> None:
        """Report what is wrong with containers of any part."""
        self.sink.docker_warnings({name: text for part in self.parts for name, text in part.warnings.items()})

    def void(self) -> None:
        """Take no part as connected before it says so again."""
        for part in self.parts:
            part.is_connected, part.cause = False, None

    def _colours(self, service: str) -> ByColour[tuple[Server, ...]]:
        found = [part.services[service] for part in self.parts if service in part.services]
        if len(found) == 1:
            return found[0]
        return ByColour(_merged(each.blue for each in found), _merged(each.green for each in found))


def _merged(several: Iterable[tuple[Server, ...]]) -> tuple[Server, ...]:
    """Return the servers in order, each container once: two engines of the file may be one."""
    by_place = {}
    for servers in several:
        by_place.update({server.place: server for server in servers if server.place not in by_place})
    return tuple(sorted(by_place.values(), key=lambda server: server.key))


class Part:
    """The sink of one part: it keeps what was reported last."""

    def __init__(self, joined: Joined, name: str | None) -> None:
        self._joined = joined
        self.name = name
        self.services: dict[str, ByColour[tuple[Server, ...]]] = {}
        self.complete_mono_s: float | None = None
        self.is_connected = False
        self.cause: str | None = None
        self.networks: frozenset[str] = frozenset()
        self.warnings: Mapping[str, str] = {}
        self.times_mono_s: dict[str, float] = {}

    @property
    def is_listed(self) -> bool:
        """Whether everything was listed once."""
        return self.complete_mono_s is not None

    def take_over(self, before: "Part") -> None:
        """Know what another part of the same engine knew, until this one has listed everything."""
        self.services, self.complete_mono_s, self.times_mono_s = (
            before.services,
            before.complete_mono_s,
            before.times_mono_s,
        )

    def listed_mono_s(self, service: str) -> float:
        """Return when a service was listed; inf before anything was."""
        return self.times_mono_s.get(service, inf if self.complete_mono_s is None else self.complete_mono_s)

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        """See Sink."""
        self.services = {service: self._named(colours) for service, colours in services.items()}
        self.complete_mono_s = listed_mono_s
        self.times_mono_s.clear()
        self._joined.report_all()

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        """See Sink."""
        self.services[service] = self._named(colours)
        if colours == EMPTY:
            del self.services[service]
        self.times_mono_s[service] = listed_mono_s
        self._joined.report(service)

    def docker_networks(self, networks: frozenset[str]) -> None:
        """See Sink."""
        self.networks = networks
        self._joined.report_networks()

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        """See Sink."""
        self.is_connected, self.cause = connected, cause
        self._joined.report_connected()

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        """See Sink."""
        self.warnings = {name if self.name is None else f"{self.name}/{name}": why for name, why in warnings.items()}
        self._joined.report_warnings()

    def docker_event(self, action: str) -> None:
        """See Sink."""
        self._joined.sink.docker_event(action)

    def _named(self, colours: ByColour[tuple[Server, ...]]) -> ByColour[tuple[Server, ...]]:
        if self.name is None:
            return colours
        return ByColour(*(tuple(replace(one, engine=self.name) for one in some) for _, some in colours.items()))
