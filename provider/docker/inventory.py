"""The containers of every service as last listed or inspected, and which of them are stopping or have died since.

It knows no engine: `discovery` brings lists and events, and what they add up to is reported to the `Sink`.
"""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from provider.docker.deaths import Deaths, Life
from provider.docker.sighting import Sighting
from provider.model import LEAVING_LIMIT_S, ByColour, Colour, Health, Server
from provider.runtime.clock import CLOCK

STOP_TIMEOUT_MORE_S = 10.0


class Sink(Protocol):
    """Receives what Docker runs; called on the event loop's thread.

    `listed_mono_s` is the monotonic time before the list was requested: the report is not older than that.
    """

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        """Take a complete list; a service that is not in it has no containers."""

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        """Replace the servers of one service."""

    def docker_networks(self, networks: frozenset[str]) -> None:
        """Take the networks of the container that this daemon runs in; none where it runs in none."""

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        """Take whether the engine answers, and why it does not."""

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        """Take the warnings about containers, by container name, whenever they have changed."""

    def docker_event(self, action: str) -> None:
        """Count an event of one of our containers, or of a Swarm; `action` is a value of `Action` or `SwarmAction`."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A container was asked to stop, or died. Ends with a start after `engine_ns`, by the engine's clock.

    `limit_s` is how long it may take to stop: its StopTimeout and 10 s, or `LEAVING_LIMIT_S` where that is longer.
    """

    asked_mono_s: float
    engine_ns: int
    died: bool = False
    limit_s: float = LEAVING_LIMIT_S


@dataclass(frozen=True, slots=True)
class _View:
    """The containers of a service as last listed."""

    sightings: tuple[Sighting, ...] = ()
    listed_mono_s: float = 0.0

    @property
    def warnings(self) -> dict[str, str]:
        return {sighting.name: sighting.warning for sighting in self.sightings if sighting.warning}


def _merged(sightings: Iterable[Sighting], newer: Iterable[Sighting]) -> tuple[Sighting, ...]:
    """Return the sightings with the newer ones in place of those of the same containers."""
    by_container = {each.container: each for each in (*sightings, *newer)}
    return tuple(sorted(by_container.values(), key=lambda sighting: sighting.name))


class Inventory:
    """Keeps what was listed, and reports a service to the sink whenever it was listed or has changed since."""

    def __init__(self, sink: Sink) -> None:
        self.deaths = Deaths()
        self._sink = sink
        self._views: dict[str, _View] = {}
        self._service_of: dict[str, str] = {}
        self._complete_mono_s: float | None = None
        self._emptied_mono_s: dict[str, float] = {}  # services that were listed without containers since then
        self._inspected_mono_s: dict[str, float] = {}
        self._stops: dict[str, Stop] = {}
        self._changed: set[str] = set()
        self._warnings: dict[str, str] = {}

    @property
    def containers(self) -> Collection[str]:
        """The ids of all containers."""
        return self._service_of.keys()

    def service_of(self, container: str) -> str | None:
        """Return the service of a container, None while it is not listed."""
        return self._service_of.get(container)

    # --- lists --------------------------------------------------------------------------------------------------------

    def put_all(self, sightings: Iterable[Sighting], restarted: frozenset[str], listed_mono_s: float) -> None:
        """Replace the containers of all services; the stop of those `restarted` is over."""
        by_service: dict[str, list[Sighting]] = {service: [] for service in self._views}
        for sighting in sightings:
            by_service.setdefault(sighting.service, []).append(sighting)
        for service, found in by_service.items():
            self._replace(service, self._listed(service, found, listed_mono_s))
        self._complete_mono_s = listed_mono_s
        self._emptied_mono_s.clear()
        self._stops = {
            id_: stop
            for id_, stop in self._stops.items()
            # A list says nothing of a container that was stopped after it was requested.
            if stop.asked_mono_s >= listed_mono_s or (id_ in self._service_of and id_ not in restarted)
        }
        self.deaths.forget_all_but(self._service_of.keys(), listed_mono_s)
        services = {service: self._colours(view) for service, view in self._views.items()}
        self._sink.docker_listed(services, listed_mono_s)
        self._report_warnings()

    def put_inspected(self, sightings: Iterable[Sighting], inspected_mono_s: float) -> None:
        """Put containers that were inspected into the lists of their services, and report those that changed.

        A list that was requested since then is newer and stays. A service that has none is in the complete list, as
        one without containers; before the first complete list there is nothing to report (rule 1).
        """
        by_service: dict[str, list[Sighting]] = {}
        for sighting in sightings:
            by_service.setdefault(sighting.service, []).append(sighting)
        for service, found in by_service.items():
            if self._complete_mono_s is None:
                return
            emptied_mono_s = self._emptied_mono_s.get(service, self._complete_mono_s)
            view = self._views.get(service, _View((), emptied_mono_s))
            if view.listed_mono_s > inspected_mono_s:
                continue
            self._inspected_mono_s.update(dict.fromkeys((each.container for each in found), inspected_mono_s))
            new = replace(view, sightings=_merged(view.sightings, found))
            if new != view:
                self._replace(service, new)
                self._report(service)
                if new.warnings != view.warnings:
                    self._report_warnings()

    def put(self, service: str, sightings: tuple[Sighting, ...], listed_mono_s: float) -> None:
        """Replace the containers of one service."""
        view = self._listed(service, sightings, listed_mono_s)
        before = self._replace(service, view)
        if not view.sightings:
            self._emptied_mono_s[service] = listed_mono_s
        self._sink.docker_service(service, self._colours(view), listed_mono_s)
        if before.warnings != view.warnings:
            self._report_warnings()

    def _listed(self, service: str, sightings: Iterable[Sighting], listed_mono_s: float) -> _View:
        """Return what was listed, but for containers that were inspected since the list was requested."""
        before, newer = self._views.get(service, _View()), []
        for each in before.sightings:
            if self._inspected_mono_s.get(each.container, -math.inf) >= listed_mono_s:
                newer.append(each)
            else:
                self._inspected_mono_s.pop(each.container, None)
        return _View(_merged(sightings, newer), listed_mono_s)

    def _replace(self, service: str, view: _View) -> _View:
        """Replace the containers of a service, and return the earlier ones."""
        before = self._views.pop(service, _View())
        if view.sightings:
            self._views[service] = view
        for sighting in before.sightings:
            self._service_of.pop(sighting.container, None)
        for sighting in view.sightings:
            self._service_of[sighting.container] = service
        return before

    # --- events -------------------------------------------------------------------------------------------------------

    def stopped(self, sightings: Iterable[Sighting]) -> dict[str, int]:
        """Return when those of these containers that were stopped were so, in ns by the engine's clock."""
        listed = {sighting.container for sighting in sightings}
        return {id_: stop.engine_ns for id_, stop in self._stops.items() if id_ in listed}

    def health_of(self, container: str) -> Health | None:
        """Return the health of a container by its HEALTHCHECK as last seen; None without one, or where unknown."""
        view = self._views.get(self._service_of.get(container, ""), _View())
        servers = (each.server for each in view.sightings if each.container == container)
        return next((server.docker_health for server in servers if server), None)

    def is_stopping(self, container: str) -> bool:
        """Whether a container was asked to stop and still runs."""
        stop = self._stops.get(container)
        return stop is not None and not stop.died

    def stopping(self, service: str, container: str, stop: Stop) -> None:
        """Note that a container was asked to stop."""
        before = self._stops.get(container)
        if before is None or not before.died:
            # Asked again, it has as long again: only the last request says that it should be gone.
            self._stops[container] = replace(stop, limit_s=before.limit_s if before else LEAVING_LIMIT_S)
            self._changed.add(service)

    def allow_time(self, service: str, container: str, stop_timeout_s: float | None) -> None:
        """Let a stopping container take as long as its StopTimeout says."""
        stop = self._stops.get(container)
        limit_s = max(LEAVING_LIMIT_S, (stop_timeout_s or 0.0) + STOP_TIMEOUT_MORE_S)
        if stop is not None and not stop.died and limit_s != stop.limit_s:
            self._stops[container] = replace(stop, limit_s=limit_s)
            self._report(service)

    def died(self, service: str, container: str, stop: Stop, *, is_asked: bool) -> bool:
        """Note that a container died; return whether nothing had asked it to stop, which counts as a death.

        `is_asked` says that it was sent a signal which may have been its StopSignal.
        """
        before = self._stops.get(container)
        is_stop = is_asked or (before is not None and CLOCK.mono_s < before.asked_mono_s + before.limit_s)
        if not is_stop:
            self.deaths.died(container, stop.engine_ns, stop.asked_mono_s)
        self._stops[container] = replace(stop, died=True)
        self._changed.add(service)
        return not is_stop

    def started(self, container: str) -> None:
        """Note that a container was started."""
        self._stops.pop(container, None)

    def count_deaths(self, lives: Mapping[str, Life], now_mono_s: float) -> None:
        """Count the deaths that no event reported, and report the services that had some."""
        before = {id_: self.deaths.count(id_) for id_ in lives}
        self.deaths.read(lives, now_mono_s)
        for service in {self._service_of.get(id_) for id_ in lives if self.deaths.count(id_) != before[id_]}:
            if service is not None:
                self._report(service)

    # --- reports ------------------------------------------------------------------------------------------------------

    def report_changed(self) -> None:
        """Report each changed service once, however many events of a storm were about it."""
        changed, self._changed = self._changed, set()
        for service in sorted(changed):
            self._report(service)

    def _report(self, service: str) -> None:
        view = self._views.get(service)
        if view is not None:
            self._sink.docker_service(service, self._colours(view), view.listed_mono_s)

    def _report_warnings(self) -> None:
        warnings = {name: text for view in self._views.values() for name, text in view.warnings.items()}
        if warnings != self._warnings:
            self._warnings = warnings
            self._sink.docker_warnings(warnings)

    def _colours(self, view: _View) -> ByColour[tuple[Server, ...]]:
        """Return the servers of a service as they are now: without the dead, and with the stopping ones marked."""
        servers: dict[Colour, list[Server]] = {colour: [] for colour in Colour}
        for sighting in view.sightings:
            id_, stop = sighting.container, self._stops.get(sighting.container)
            if sighting.colour is None or (stop and stop.died):
                continue
            for server in sighting.servers:
                seen = replace(server, deaths=self.deaths.count(id_), died_mono_s=self.deaths.times_mono_s(id_))
                if stop:
                    seen = replace(seen, leaving_mono_s=stop.asked_mono_s, leaving_limit_s=stop.limit_s)
                servers[sighting.colour].append(seen)
        return ByColour(*(tuple(sorted(servers[colour], key=lambda server: server.key)) for colour in Colour))
