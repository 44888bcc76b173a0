"""The services of the file, and those that left it and still count, each with its servers as Docker shows them."""

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import replace

from provider.config.diff import Edit
from provider.controller.admission import Admission
from provider.controller.docker_view import DockerView
from provider.controller.tracked_service import TrackedService
from provider.controller.unlisted_endpoints import with_unlisted
from provider.docker import networks
from provider.docker.networks import TraefikNetwork
from provider.model import ByColour, Colour, Desired, Instant, Observed, Protocol, Server, Service, ServiceState
from provider.model.desired import group_key
from provider.model.document import section
from provider.model.observed import Labelled
from provider.model.routing import Reference
from provider.store import StoredServers

UNSEEN = ByColour(Observed(), Observed())
UNDECIDED = ServiceState()


class TrackedServices:
    """Services by their names, and the `members` of each group.

    `retired` left the file. They stay in the document until what came with them is decided: a service that is renamed
    must not be dark in between (P4). `held` are those that the file has no more and Traefik has not let go of, as it
    refuses that file (rule 15).
    """

    def __init__(
        self, docker: DockerView, states: Mapping[str, ServiceState], stored: Mapping[str, StoredServers]
    ) -> None:
        self.desired: Desired | None = None
        self.services: dict[str, TrackedService] = {}
        self.members: Mapping[str, tuple[str, ...]] = {}
        self.retired: dict[str, TrackedService] = {}
        self.held: dict[str, TrackedService] = {}
        self._left: dict[str, TrackedService] = {}
        self._admission, self._unadmitted = Admission(), set[str]()
        self._docker, self._states, self._stored = docker, states, stored

    def guard(self, is_private: bool) -> None:
        """Take whether nobody else than meant reads the document."""
        self._admission.is_private = is_private

    def load(self, edit: Edit, now: Instant) -> set[str]:
        """Take an edit of the file; return the groups it touches."""
        before, services, was = self.services, edit.desired.services, self.desired
        if edit.gone or self.retired:
            self.retired = _retire(self.retired | self.services, edit.desired)
        self._left |= {name: before[name] for name in edit.gone if name in before}
        self.desired = edit.desired
        self._admission.load(edit.desired, self._states)
        if edit.gone or edit.new:
            self.services = {
                name: before.get(name) or self.held.get(name) or self._tracked(service, now)
                for name, service in services.items()
            }
        for name in edit.changed:
            self.services[name].write(services[name])
        self.members = edit.members
        touched = set(edit.groups)
        if self._admission.is_on:
            labelled = [self.services[name] for name, service in services.items() if service.labels is not None]
            for tracked in labelled:
                if tracked.unlabelled is not None:
                    self._admission.decide(tracked.written.name, tracked.unlabelled)
            touched |= self._look_again([tracked.written.name for tracked in labelled])
        if before and was is not None and was.docker_network != edit.desired.docker_network:
            touched |= self.reach_again()
        return touched

    def hold(self, services: Mapping[str, Service], now: Instant) -> Set[str]:
        """Keep in the document what the file has no more, as these services; return those that are let go of."""
        before, self.held = self.held, {}
        for name, service in services.items():
            if name in self.services:
                continue
            tracked = before.get(name) or self._left.get(name) or self._tracked(service, now)
            tracked.write(service)
            if name not in before:  # nobody has checked it for a while
                tracked.probed, tracked.probes, tracked.asked = {}, frozenset(), frozenset()
            self.held[name] = tracked
        return before.keys() - self.held.keys()

    def keep_left(self, names: Collection[str]) -> None:
        """Remember of the services that left the file only these, which a Traefik may still have."""
        self._left = {name: tracked for name, tracked in self._left.items() if name in names}

    def reach_again(self) -> set[str]:
        """Have all looked at again: they may be reached at other addresses. Return their groups."""
        for tracked in self.services.values():
            tracked.is_stale = True
        return set(self.members)

    def decide(self, name: str, state: ServiceState) -> set[str]:
        """Take what was decided of a service; return the groups of others to be looked at again."""
        tracked = self.services[name]
        is_routed = state.routing is not tracked.state.routing
        tracked.decide(state)
        return self._look_again(self._admission.decide(name, state.routing) | {name}) if is_routed else set()

    def reserve(self, states: Mapping[str, ServiceState]) -> None:
        """Have what is about to be decided belong to these services: others are decided on beside them."""
        for name, state in states.items():
            if self.services[name].written.labels is not None:
                self._unadmitted |= self._admission.reserve(name, state.routing)

    @property
    def waits_for_traefik(self) -> bool:
        """Whether labels refer to what Traefik's Docker provider may have by now."""
        return not self._admission.waiting.isdisjoint(self.services)

    def traefik_has(self, in_docker: frozenset[Reference] | None) -> set[str]:
        """Take what Traefik's Docker provider has; return the groups to be looked at again."""
        return self._look_again(self._admission.traefik_has(in_docker)) if self._admission.is_on else set()

    def admission_changed(self) -> set[str]:
        """Return the groups to be looked at again since what others claim has changed."""
        changed, self._unadmitted = self._unadmitted, set()
        return self._look_again(changed)

    def _look_again(self, names: Iterable[str]) -> set[str]:
        """Have services looked at again, as what others claim has changed; return their groups."""
        there = [self.services[name] for name in names if name in self.services]
        for tracked in there:
            tracked.is_stale = True
            routing = tracked.unlabelled or tracked.state.routing
            if tracked.written.labels is not None and routing is not None:
                tracked.route(self._admission.servable(tracked.written.name, routing))
        return {group_key(tracked.written) for tracked in there}

    @property
    def unnamed(self) -> tuple[str, ...]:
        """The services that containers name in their labels and the file does not."""
        return tuple(sorted((self._docker.services or {}).keys() - self.services.keys()))

    def refresh(self, key: str, now: Instant) -> None:
        """Work out what a reload or a complete list has changed for a group, where nobody has looked since."""
        for name in self.members.get(key, ()):
            self._refresh(self.services[name], now)

    def refresh_held(self, now: Instant) -> None:
        """Work out the same for what the file has no more."""
        for tracked in self.held.values():
            self._refresh(tracked, now)

    def stored_servers(self, names: Iterable[str]) -> dict[str, StoredServers]:
        """Return what the store keeps of the servers of these services."""
        found = {name: self.services[name] for name in names if name in self.services}
        return {
            name: StoredServers(
                colours=ByColour(*(tuple(map(_stored, seen.servers)) for _, seen in tracked.observed.items())),
                published=tracked.published,
            )
            for name, tracked in found.items()
            if tracked.observed.blue.known and tracked.observed.green.known  # what is not known must not load as none
        }

    def _tracked(self, service: Service, now: Instant) -> TrackedService:
        stored = self._stored.get(service.name)
        tracked = TrackedService(
            written=service,
            state=self._states.get(service.name, UNDECIDED),
            observed=UNSEEN,
            since_utc=now.utc,
            published=stored.published if stored else frozenset(),
        )
        if stored:
            tracked.know(stored.colours)
        return tracked

    def _refresh(self, tracked: TrackedService, now: Instant) -> None:
        if tracked.is_stale:
            self.observe(tracked, now)
        if any(server.leaving_mono_s is not None for _, seen in tracked.observed.items() for server in seen.servers):
            tracked.take_back(now)

    def observe(self, tracked: TrackedService, now: Instant, listed_mono_s: float | None = None) -> bool:
        """Put in place what is known of a service's servers; return whether more than the time of the list is new."""
        tracked.is_stale, tracked.unlisted = False, self._docker.unlisted
        stored = self._stored.get(tracked.service.name)
        seen = {colour: self._docker.seen(tracked, colour, stored, listed_mono_s) for colour in Colour}
        active, endpoints = tracked.state.active, tracked.service.endpoints
        if active is not None and seen[active] is None and tracked.observed[active].known:
            seen[active] = tracked.observed[active]  # the file may be another since
        servers = ByColour(*(known.servers if (known := seen[colour]) else () for colour in Colour))
        servers = self._admitted(tracked, tracked.recognise(servers))
        if active is not None:
            servers = servers.put(active, with_unlisted(servers[active], endpoints))
        traefik_network = TraefikNetwork(
            self.desired.docker_network if self.desired else None, self._docker.own_networks
        )
        servers = networks.choose(servers, traefik_network, active, tracked.where_served())
        servers = networks.part(servers, endpoints)
        if any(seen.values()):
            tracked.know(servers)
        is_new = False
        for colour, known in seen.items():
            is_new |= tracked.observe(colour, replace(known, servers=servers[colour]) if known else None, now)
        tracked.adopt_probes()  # at once: no decision may rest on evidence of the definition before (rule 12)
        return is_new

    def _admitted(self, tracked: TrackedService, servers: ByColour[tuple[Server, ...]]) -> ByColour[tuple[Server, ...]]:
        """Take of the labels what may be taken (rule 35)."""
        rule, name = tracked.written.labels, tracked.written.name
        if rule is None:
            return servers
        self._unadmitted |= self._admission.see(name, servers)
        known = dict[int, Labelled]()

        def admitted(server: Server) -> Server:
            if server.labelled is None:
                return server
            key = id(server.labelled)
            if key not in known:
                known[key] = self._admission.admit(name, rule, server.labelled)
            return server if known[key] is server.labelled else replace(server, labelled=known[key])

        return ByColour(tuple(map(admitted, servers.blue)), tuple(map(admitted, servers.green)))


def _stored(server: Server) -> Server:
    """Return a server as it is stored: what its labels say is read again, and what was decided of them is kept."""
    return server if server.labelled is None else replace(server, labelled=None)


def _retire(services: Mapping[str, TrackedService], desired: Desired) -> dict[str, TrackedService]:
    """Return the services that stay in the document for now; a name that the file gives again cannot stay."""
    gone = {name: tracked for name, tracked in services.items() if name not in desired.services}
    if not gone:
        return {}
    given = {name for service in desired.services.values() for name in names_in_traefik(service)} | _own_names(desired)
    return {
        name: tracked
        for name, tracked in gone.items()
        if tracked.fragment is not None and not given & names_in_traefik(tracked.service)
    }


def names_in_traefik(service: Service) -> set[tuple[Protocol, str, str]]:
    """Return what a service is called in Traefik, each name with its section: TCP may have a name that HTTP has."""
    names = set()
    for protocol in Protocol:
        names |= {(protocol, "routers", name) for name in service.routers_in_traefik(protocol)}
        names |= {(protocol, "services", name) for name in service.services_in_traefik(protocol)}
        names |= {(protocol, "middlewares", name) for name in service.middlewares.get(protocol, {})}
    return names


def _own_names(desired: Desired) -> set[tuple[Protocol, str, str]]:
    """Return the names that the pass-through configuration uses in the sections where ours stand."""
    return {
        (protocol, kind, str(name))
        for protocol in Protocol
        for kind in ("routers", "services", "middlewares")
        for name in section(section(desired.pass_through, protocol), kind)
    }
