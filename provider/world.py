"""What the controller knows: each input replaces one part of it and names the groups that must be looked at again."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from typing import NamedTuple

from provider import reach, rollout
from provider.edit import Edit, group_key, key_of
from provider.entry import Entry
from provider.evidence import Evidence
from provider.health import Result
from provider.model import (
    ByColour,
    Colour,
    Desired,
    FixedServers,
    GroupState,
    Instant,
    Member,
    Observed,
    Phase,
    Plan,
    Probe,
    Server,
    ServerHealth,
    Service,
    ServiceState,
    Smoke,
    Snapshot,
)
from provider.pollers import Pollers
from provider.reach import Word
from provider.readback import Reading
from provider.store import Stored, StoredServers
from provider.traefiks import Traefiks
from provider.wanted import limits

SORTED_MOST = 500
EMPTY: ByColour[tuple[Server, ...]] = ByColour((), ())
UNSEEN = ByColour(Observed(), Observed())


@dataclass(slots=True)
class DockerView:
    """What Docker said last. `services` is None before the first complete list.

    `own_networks` are those that the daemon's own container is on.
    """

    enabled: bool
    connected: bool = False
    services: dict[str, ByColour[tuple[Server, ...]]] | None = None
    listed_mono_s: float | None = None
    own_networks: frozenset[str] = frozenset()


class Fetched(NamedTuple):
    """Who has the document of a revision: every poller (None where nobody polls), and since when which Traefik surely.

    `given` tells whether every poller was given it, be it that it is still on its way; None where some were, and False
    where nobody at all was.
    """

    revision: int | None
    by_pollers: bool | None
    by_traefik: Mapping[str, float]
    given: bool | None


class World:
    """All services and groups; the controller alone holds one and changes it.

    `with_rollout` are the groups that have one under way, `switched` those that are confirming or watching, `moving`
    those whose rollout may switch at any moment or just did. `retired` are services that left the file. They stay in
    the document until what came with them is decided: a service that is renamed must not be dark in between (P4).
    `held` are those that the file has no more and Traefik has not let go of, as it refuses that file (rule 15).
    """

    def __init__(self, stored: Stored, *, docker_enabled: bool) -> None:
        self.desired: Desired | None = None
        self.docker = DockerView(enabled=docker_enabled)
        self.entries: dict[str, Entry] = {}
        self.members: Mapping[str, tuple[str, ...]] = {}
        self.retired: dict[str, Entry] = {}
        self.held: dict[str, Entry] = {}
        self._left: dict[str, Entry] = {}
        self.pollers = Pollers()
        self.traefiks = Traefiks()
        self.evidence = Evidence(self.pollers)
        self.revision: int | None = None
        self.states: dict[str, ServiceState] = dict(stored.services)
        self.groups: dict[str, GroupState] = dict(stored.groups)
        self.with_rollout: set[str] = set()
        self.moving: set[str] = set()
        self.switched: set[str] = set()
        for key, state in self.groups.items():
            self._follow(key, state)
        self._stored = stored
        self._resumed = False

    def load(self, edit: Edit, now: Instant) -> set[str]:
        """Take an edit of the desired state that is there; return the groups it touches.

        What follows from it for each service is worked out when that is looked at.
        """
        before, services, was = self.entries, edit.desired.services, self.desired
        if edit.gone or self.retired:
            self.retired = self._retire(edit.desired)
        self._left |= {name: before[name] for name in edit.gone if name in before}
        self.desired = edit.desired
        if edit.gone or edit.new:
            self.entries = {
                name: before.get(name) or self.held.get(name) or self._entry(service, now)
                for name, service in services.items()
            }
        for name in edit.changed:
            entry = self.entries[name]
            entry.service, entry.is_stale = services[name], True
        self.members = edit.members
        touched = set(edit.groups)
        if before and was is not None and was.docker_network != edit.desired.docker_network:
            touched |= self._reach_again()
        if not self._resumed:
            self._resumed = True
            touched |= self.with_rollout
            self._resume(now)
        return touched

    def hold(self, services: Mapping[str, Service], now: Instant) -> set[str]:
        """Keep in the document what the file has no more, as these services; return those that are let go of."""
        before, self.held = self.held, {}
        for name, service in services.items():
            if name in self.entries:
                continue
            entry = before.get(name) or self._left.get(name) or self._entry(service, now)
            entry.service, entry.is_stale = service, True
            if name not in before:  # nobody has checked it for a while
                entry.probed, entry.probes, entry.asked = {}, frozenset(), frozenset()
            self.held[name] = entry
        return before.keys() - self.held.keys()

    def keep_left(self, names: Collection[str]) -> None:
        """Remember of the services that left the file only these, which a Traefik may still have."""
        self._left = {name: entry for name, entry in self._left.items() if name in names}

    def ordered(self, keys: Set[str]) -> Iterator[str]:
        """Yield groups in an order that does not hang on chance, without sorting thousands of them in one go."""
        members = self.members
        if len(keys) < SORTED_MOST:
            yield from sorted(keys, key=lambda key: (key in members, key))
        else:
            yield from sorted(keys - members.keys())
            yield from (key for key in members if key in keys)

    def refresh(self, key: str, now: Instant) -> None:
        """Work out what a reload or a complete list has changed for a group, where nobody has looked since."""
        for name in self.members.get(key, ()):
            self._refresh(self.entries[name], now)

    def refresh_held(self, now: Instant) -> None:
        """Work out the same for what the file has no more."""
        for entry in self.held.values():
            self._refresh(entry, now)

    def _refresh(self, entry: Entry, now: Instant) -> None:
        if entry.is_stale:
            self._observe(entry, now)
        if any(server.leaving_mono_s is not None for _, seen in entry.observed.items() for server in seen.servers):
            entry.take_back(now)

    def list_docker(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> set[str]:
        """Take Docker's complete list; return the groups that it may change.

        What follows from it for each service is worked out when that is looked at.
        """
        before, self.docker.services = self.docker.services, dict(services)
        self.docker.listed_mono_s = listed_mono_s
        touched = {name for key in self.with_rollout for name in self.members.get(key, ())}
        for name in self.entries:
            was, is_now = before.get(name, EMPTY) if before is not None else None, services.get(name, EMPTY)
            if was is not is_now and was != is_now:
                touched.add(name)
        for entry in (*(self.entries[name] for name in touched), *self.held.values()):
            entry.is_stale = True
        return {group_key(self.entries[name].service) for name in touched} | self.held.keys()

    def name_networks(self, own: frozenset[str]) -> set[str]:
        """Take the networks of the daemon's own container; return the groups whose addresses may hang on them."""
        if own == self.docker.own_networks:
            return set()
        self.docker.own_networks = own
        return self._reach_again()

    def _reach_again(self) -> set[str]:
        for entry in self.entries.values():
            entry.is_stale = True
        return set(self.members)

    def list_service(
        self, name: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float, now: Instant
    ) -> set[str]:
        """Take Docker's list of one service; without a complete list before, it is kept for nothing."""
        if self.docker.services is None:
            return set()
        if any(servers for _, servers in colours.items()):
            self.docker.services[name] = colours
        else:
            self.docker.services.pop(name, None)
        entry = self.entries.get(name) or self.held.get(name)
        if entry is None:
            return set()
        key = group_key(entry.service)
        return {key} if self._observe(entry, now, listed_mono_s) or key in self.with_rollout else set()

    def void(self) -> None:
        """Forget what was seen, and keep what is served; Docker is away until it has listed again (rule 14)."""
        self.docker.connected = False
        self.traefiks.void()
        for entry in self.entries.values():
            entry.probed, entry.checks, entry.smoke = {}, {}, None

    def judge(self, probe: Probe, health: ServerHealth) -> set[str]:
        """Take the verdict of a probe, unless the probe is no longer wanted."""
        entry = self.entries.get(probe.service) or self.held.get(probe.service)
        if entry is None or probe not in entry.probes:
            return set()
        entry.probed[probe.key] = health
        return {group_key(entry.service)}

    def check(self, probe: Probe, result: Result, started_mono_s: float) -> set[str]:
        """Take one health check where somebody watches: after a switch the order of passes and failures counts."""
        entry = self.entries.get(probe.service)
        if entry is None or (key := group_key(entry.service)) not in self.switched:
            return set()
        return {key} if entry.check(probe, result, started_mono_s) else set()

    def smoked(self, smoke: Smoke) -> set[str]:
        """Take what the smoke tests of a service have come to."""
        entry = self.entries.get(smoke.run.service)
        if entry is None:
            return set()
        entry.smoke = smoke
        return {group_key(entry.service)}

    def read(self, reading: Reading, now_mono_s: float) -> bool:
        """Take what a Traefik shows; tell whether it says anything new."""
        news = self.traefiks.read(reading, now_mono_s)
        if news.is_another:
            self.evidence.forget(reading.traefik)
        if news.began:
            self.evidence.began_to_show(reading.traefik, self.revision or 0)
        return news.is_new

    def traefik_gone(self, traefik: str) -> None:
        """Forget a Traefik whose address is gone."""
        self.traefiks.gone(traefik)
        self.evidence.forget(traefik)

    def published(self, revision: int, marker: str, now_mono_s: float) -> None:
        """Expect another document to be fetched and applied from now on."""
        self.revision = revision
        self.traefiks.published(marker, now_mono_s, revision)

    def has_fetched_twice(self, traefik: str, revision: int) -> bool:
        """Tell whether a Traefik was given a document twice, of this revision or later (rule 15).

        Where it is not known which poller it is, all of them were.
        """
        for may_be in (self.evidence.connections(traefik), self.pollers.polling()):
            if may_be and all(one.before >= revision for one in may_be):
                return True
        return False

    def fetched(self) -> Fetched:
        """Tell who has the last document. A Traefik whose API answers need not poll us; who polls may be anybody."""
        revision, polling = self.revision or 0, self.pollers.polling()
        by_pollers = min(one.received for one in polling) >= revision if polling else None
        is_given = bool(polling) and all(one.revision >= revision for one in polling)
        given = True if is_given else None if self.traefiks.is_given else False
        return Fetched(self.revision, by_pollers, self.evidence.fetched_mono_s(revision), given)

    def snapshot(self, key: str, fetched: Fetched | None = None) -> Snapshot:
        """Return the frozen world of one group as it was last refreshed; without members when the file has it no more.

        What the Traefiks show belongs to it also where no rollout is under way: one that begins now may switch at once.
        Who takes many snapshots at a time asks once who has `fetched` the document; there may be another one since.
        """
        if fetched is None or fetched.revision != self.revision:
            fetched = self.fetched()
        members = tuple(
            self.member(entry, fetched) for entry in (self.entries[name] for name in self.members.get(key, ()))
        )
        state = self.groups.get(key, GroupState())
        was = state.rollout.members if state.rollout else ()
        moved = [one for one in members if one.state.group != one.service.group]
        was_in = {one.service.name: key_of(one.service.name, one.state.group) for one in moved}
        return Snapshot(
            members=members,
            state=state,
            docker_connected=self.docker.connected,
            left={name: self.groups[before] for name, before in was_in.items() if before in self.groups},
            gone=frozenset(name for name in was if name in self.entries and name not in self.members.get(key, ())),
        )

    def member(self, entry: Entry, fetched: Fetched) -> Member:
        """Return the frozen view of one service, with what the Traefiks show of it."""
        applied = self.traefiks.applied(entry.service, fetched.by_traefik)
        return entry.member(fetched=fetched.by_pollers, given=fetched.given, applied=applied)

    def adopt(self, key: str, plan: Plan) -> None:
        """Take over what was decided, once it is committed."""
        self.groups[key] = plan.group
        self._follow(key, plan.group)
        for name, state in plan.states.items():
            self.states[name] = state
            if name in self.entries:  # the file may have dropped it while the decision was written
                # Which colour is active has a say in where its servers are reached.
                self.entries[name].is_stale |= self.entries[name].state.active is not state.active
                self.entries[name].state = state
                if key not in self.switched and self.entries[name].checks:
                    self.entries[name].checks = {}

    def _follow(self, key: str, state: GroupState) -> None:
        under_way = state.rollout
        (self.with_rollout.discard if under_way is None else self.with_rollout.add)(key)
        is_moving = under_way is not None and under_way.phase is not Phase.APPROVAL
        (self.moving.add if is_moving else self.moving.discard)(key)
        is_switched = under_way is not None and under_way.is_switched
        (self.switched.add if is_switched else self.switched.discard)(key)

    def stored_servers(self, names: Iterable[str]) -> dict[str, StoredServers]:
        """Return what the store keeps of the servers of these services."""
        found = {name: self.entries[name] for name in names if name in self.entries}
        return {
            name: StoredServers(
                colours=ByColour(entry.observed.blue.servers, entry.observed.green.servers), published=entry.published
            )
            for name, entry in found.items()
            if entry.observed.blue.known and entry.observed.green.known  # what is not known must not load as none
        }

    @property
    def unnamed(self) -> tuple[str, ...]:
        """The services that containers name in their labels and the file does not."""
        return tuple(sorted((self.docker.services or {}).keys() - self.entries.keys()))

    def _retire(self, desired: Desired) -> dict[str, Entry]:
        """Return the services that stay in the document for now; a name that the file gives anew cannot stay."""
        gone = {name: entry for name, entry in (self.retired | self.entries).items() if name not in desired.services}
        if not gone:
            return {}
        given = {name for service in desired.services.values() for name in _names(service)} | _own_names(desired)
        return {
            name: entry
            for name, entry in gone.items()
            if entry.fragment is not None and not given & _names(entry.service)
        }

    def _entry(self, service: Service, now: Instant) -> Entry:
        stored = self._stored.servers.get(service.name)
        entry = Entry(
            service=service,
            state=self.states.get(service.name, ServiceState()),
            observed=UNSEEN,
            since_utc=now.utc,
            published=stored.published if stored else frozenset(),
        )
        if stored:
            entry.know(stored.colours)
        return entry

    def _observe(self, entry: Entry, now: Instant, listed_mono_s: float | None = None) -> bool:
        """Put in place what is known of a service's servers; tell whether anything but the time of the list is new."""
        entry.is_stale = False
        seen = {colour: self._seen(entry, colour, listed_mono_s) for colour in Colour}
        servers = ByColour(*(known.servers if (known := seen[colour]) else () for colour in Colour))
        servers = entry.recognise(servers)
        word = Word(self.desired.docker_network if self.desired else None, self.docker.own_networks)
        servers = reach.choose(servers, word, entry.state.active, entry.where_served())
        servers = reach.part(servers, entry.service.health_check)
        if any(seen.values()):
            entry.know(servers)
        is_new = False
        for colour, known in seen.items():
            is_new |= entry.observe(colour, replace(known, servers=servers[colour]) if known else None, now)
        entry.adopt_probes()  # at once: no decision may rest on evidence of the definition before (rule 12)
        return is_new

    def _seen(self, entry: Entry, colour: Colour, listed_mono_s: float | None) -> Observed | None:
        """Return the servers of a colour from their source; None while Docker has not listed them and none is known."""
        service = entry.service
        if any(fixed is not None for _, fixed in service.servers.items()):
            return Observed(known=True, servers=_fixed(service.servers[colour]), from_docker=False)
        if not self.docker.enabled:
            return Observed(known=True, from_docker=False)
        if self.docker.services is None:
            stored = self._stored.servers.get(service.name)
            if entry.observed[colour].known or stored is None or entry.state.active is None:
                return None
            # The last servers stand until Docker answers (rule 4); where one was asked to leave is forgotten.
            return Observed(known=True, servers=stored.colours[colour])
        servers = self.docker.services.get(service.name, EMPTY)[colour]
        times_s = (entry.observed[colour].listed_mono_s, self.docker.listed_mono_s, listed_mono_s)
        return Observed(
            known=True, servers=servers, listed_mono_s=max(time_s for time_s in times_s if time_s is not None)
        )

    def _resume(self, now: Instant) -> None:
        for key in self.with_rollout:
            self.refresh(key, now)
            self.groups[key] = rollout.resume(self.groups[key], limits(self.snapshot(key)), now)


def _names(service: Service) -> set[tuple[str, str]]:
    """Return what a service is called in Traefik, each name with its section."""
    routers = {("routers", name) for name in service.routers_in_traefik}
    return routers | {("services", name) for name in service.services_in_traefik}


def _own_names(desired: Desired) -> set[tuple[str, str]]:
    """Return the names that the pass-through configuration uses in the sections where ours stand."""
    http = desired.pass_through.get("http")
    sections = http if isinstance(http, Mapping) else {}
    return {(section, str(name)) for section in ("routers", "services") for name in sections.get(section) or ()}


def _fixed(fixed: FixedServers | None) -> tuple[Server, ...]:
    return tuple(Server(url, fixed.release, fixed.version) for url in fixed.urls) if fixed else ()
