"""Small worlds for the tests of the core: values to build a snapshot from, and a whole outside that goes on by itself.

A `World` has what really runs, what the daemon sees of it, what it has committed, and two clocks. It decides nothing.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

from pydantic import TypeAdapter

from provider import reconcile, rollout, serving, wanted
from provider.model import (
    ByColour,
    Candidate,
    Colour,
    Decision,
    FixedServers,
    GroupState,
    Health,
    Instant,
    Member,
    Observed,
    Router,
    Served,
    Server,
    ServerHealth,
    ServerKey,
    Service,
    ServiceState,
    Snapshot,
)

BLUE, GREEN = Colour.BLUE, Colour.GREEN
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = Observed(known=True)
DEADLINE_S = 10_000.0


def at(mono_s: float = 1000.0) -> Instant:
    """Read both clocks `mono_s` seconds after they started."""
    return Instant(mono_s, EPOCH + timedelta(seconds=mono_s))


def service(name: str = "shop", **fields: object) -> Service:
    """Describe a service as a file would that says nothing but these fields."""
    router = Router(name, f"Host(`{name}.example.com`)", {})
    return replace(Service(name, (router,)), **fields)  # type: ignore[arg-type]  # checked by the dataclass at run time


def server(number: int = 1, release: str = "r1", **fields: object) -> Server:
    """Run a container with an address of its own."""
    made = Server(f"http://10.0.0.{number}:80", release, container=f"c{number}")
    return replace(made, **fields)  # type: ignore[arg-type]


def runs(*servers: Server, **fields: object) -> Observed:
    """See these servers in a colour, unchanged for long and listed just now."""
    seen = Observed(known=True, servers=servers, changed_mono_s=0.0, listed_mono_s=1000.0)
    return replace(seen, **fields)  # type: ignore[arg-type]


def found(health: Health) -> ServerHealth:
    """Judge a server."""
    return ServerHealth(health, None if health is Health.HEALTHY else "refused", EPOCH)


def member(
    of: Service | None = None,
    *,
    active: Colour | None = BLUE,
    blue: Observed = NOTHING,
    green: Observed = NOTHING,
    settled: ByColour[frozenset[str]] | None = None,
    health: Mapping[Server, Health] | None = None,
    published: tuple[Server, ...] = (),
) -> Member:
    """Put a service together; every server not mentioned in `health` is healthy, and the active colour is settled."""
    of = of or service()
    observed = ByColour(blue, green)
    if settled is None:
        settled = ByColour(frozenset(), frozenset())
        if active is not None:
            settled = settled.put(active, observed[active].releases)
    judged = dict.fromkeys((*blue.servers, *green.servers), Health.HEALTHY) | dict(health or {})
    return Member(
        service=of,
        state=ServiceState(active=active, wish=of.active if active else None, settled=settled),
        observed=observed,
        health={each.key: found(verdict) for each, verdict in judged.items() if verdict != "unknown"},
        published=frozenset(each.key for each in published),
    )


def snapshot(*members: Member, state: GroupState | None = None, docker_connected: bool = True) -> Snapshot:
    """Show a group of these members."""
    return Snapshot(members, state or GroupState(), docker_connected)


def candidate(release: str | None = "r2", colour: Colour = GREEN, of: str = "shop") -> Candidate:
    """Name a release of a colour."""
    return Candidate(of, colour, release)


@dataclass(frozen=True, slots=True)
class Taken:
    """One committed step of one group."""

    group: str
    before: Snapshot
    after: Snapshot
    rows: tuple[Decision, ...]


@dataclass
class World:
    """Everything around the core. Fixed servers stand in the file; all others are containers."""

    mono_s: float = 1000.0
    utc: datetime = EPOCH
    services: dict[str, Service] = field(default_factory=dict)
    containers: dict[tuple[str, Colour], tuple[Server, ...]] = field(default_factory=dict)
    containers_made: int = 0
    docker_connected: bool = False
    sick: frozenset[str] = frozenset()

    seen: dict[tuple[str, Colour], Observed] = field(default_factory=dict)
    health: dict[str, dict[ServerKey, ServerHealth]] = field(default_factory=dict)

    states: dict[str, ServiceState] = field(default_factory=dict)
    groups: dict[str, GroupState] = field(default_factory=dict)
    published: dict[str, frozenset[ServerKey]] = field(default_factory=dict)

    @property
    def now(self) -> Instant:
        """Read both clocks."""
        return Instant(self.mono_s, self.utc)

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.mono_s += seconds
        self.utc += timedelta(seconds=seconds)

    # --- the file ---------------------------------------------------------------------------------------------------

    def write(self, written: Service) -> None:
        """Put a service into the file, or edit it there."""
        self.services[written.name] = written
        for colour in Colour:
            self._look(written.name, colour, listed=False)

    def edit(self, name: str, **fields: object) -> None:
        """Change some fields of a service, if the file has it."""
        if name in self.services:
            self.write(replace(self.services[name], **fields))  # type: ignore[arg-type]

    def remove(self, name: str) -> None:
        """Take a service out of the file; what the daemon saw of it is forgotten, what it committed is not."""
        self.services.pop(name, None)
        self.health.pop(name, None)
        for colour in Colour:
            self.seen.pop((name, colour), None)

    # --- Docker -----------------------------------------------------------------------------------------------------

    def start(self, name: str, colour: Colour, release: str, docker_health: Health | None = None) -> Server:
        """Start a container, which gets an address of its own."""
        self.containers_made += 1
        started = server(self.containers_made, release, docker_health=docker_health)
        self.containers[name, colour] = (*self.containers.get((name, colour), ()), started)
        self.notice(name, colour)
        return started

    def replace_all(self, name: str, colour: Colour, release: str, count: int = 1) -> None:
        """Replace the containers of a colour by those of another release."""
        self.containers[name, colour] = ()
        for _ in range(count):
            self.start(name, colour, release)

    def change(self, name: str, colour: Colour, before: Server, after: Server | None) -> None:
        """Change a container, or remove it; seen only after `notice`."""
        running = (after if each == before else each for each in self.containers[name, colour])
        self.containers[name, colour] = tuple(each for each in running if each is not None)

    def stop_all(self, name: str, colour: Colour) -> None:
        """Remove the containers of a colour."""
        self.containers[name, colour] = ()
        self.notice(name, colour)

    def notice(self, name: str, colour: Colour) -> None:
        """Deliver Docker's events of a colour, if Docker is connected and was listed once."""
        if self.docker_connected and (observed := self.seen.get((name, colour))) and observed.known:
            self._look(name, colour, listed=False)

    def list_containers(self, name: str) -> None:
        """Answer a list of the containers of a service."""
        if self.docker_connected and name in self.services:
            for colour in Colour:
                self._look(name, colour, listed=True)

    def connect(self) -> None:
        """Let Docker answer: every service is listed."""
        self.docker_connected = True
        for name in self.services:
            self.list_containers(name)

    def disconnect(self) -> None:
        """Lose Docker."""
        self.docker_connected = False

    def _look(self, name: str, colour: Colour, *, listed: bool) -> None:
        fixed = self.services[name].servers
        if fixed.blue or fixed.green:
            self._see(name, colour, Observed(True, _fixed(fixed[colour]), from_docker=False))
        elif self.docker_connected and (listed or self._observed(name, colour).known):
            listed_mono_s = self.mono_s if listed else self._observed(name, colour).listed_mono_s
            found_servers = self.containers.get((name, colour), ())
            self._see(name, colour, Observed(True, found_servers, listed_mono_s=listed_mono_s))
        elif self.docker_connected:
            self.list_containers(name)
        else:
            self.seen.setdefault((name, colour), Observed())

    def _see(self, name: str, colour: Colour, observed: Observed) -> None:
        before = self._observed(name, colour)
        same = before.known and _identities(before) == _identities(observed)
        same = same and {each.key for each in before.staying} == {each.key for each in observed.staying}
        changed_mono_s = before.changed_mono_s if same else self.mono_s
        self.seen[name, colour] = replace(observed, changed_mono_s=changed_mono_s)
        for key, _ in _identities(before) - _identities(observed):
            self.judge(name, key, Health.UNKNOWN)

    def _observed(self, name: str, colour: Colour) -> Observed:
        return self.seen.get((name, colour), Observed())

    # --- probes -----------------------------------------------------------------------------------------------------

    def judge(self, name: str, key: ServerKey, health: Health) -> None:
        """Deliver a verdict on a server; `unknown` takes it back."""
        verdicts = {each: verdict for each, verdict in self.health.get(name, {}).items() if each != key}
        if health is not Health.UNKNOWN:
            verdicts[key] = replace(found(health), since_utc=self.utc)
        self.health[name] = verdicts

    def make_sick(self, *releases: str) -> None:
        """Let every probe of these releases fail, and no other."""
        self.sick = frozenset(releases)

    def judge_all(self) -> None:
        """Probe every server: those of a sick release fail."""
        for name in self.services:
            for each in (*self.servers(name, BLUE), *self.servers(name, GREEN)):
                self.judge(name, each.key, Health.UNHEALTHY if each.release in self.sick else Health.HEALTHY)

    def servers(self, name: str, colour: Colour) -> tuple[Server, ...]:
        """Return the servers that the daemon sees in a colour."""
        return self._observed(name, colour).servers

    # --- the daemon -------------------------------------------------------------------------------------------------

    def group_keys(self) -> tuple[str, ...]:
        """Name the groups of the file, and those that are gone from it and have a rollout."""
        under_way = {key for key, state in self.groups.items() if state.rollout}
        return tuple(sorted({group_of(each) for each in self.services.values()} | under_way))

    def snapshot(self, key: str) -> Snapshot:
        """Show the daemon one group."""
        members = tuple(
            Member(
                service=each,
                state=self.states.get(name, ServiceState()),
                observed=ByColour(self._observed(name, BLUE), self._observed(name, GREEN)),
                health=self.health.get(name, {}),
                published=self.published.get(name, frozenset()),
            )
            for name, each in sorted(self.services.items())
            if group_of(each) == key
        )
        return Snapshot(members, self.groups.get(key, GroupState()), self.docker_connected)

    def steps(self) -> Iterator[Taken]:
        """Take every step that is due, and commit each one before it is shown."""
        for key in self.group_keys():
            before = self.snapshot(key)
            while taken := reconcile.step(before, self.now):
                after, rows = taken
                self.commit(key, after.state, {each.service.name: each.state for each in after.members})
                yield Taken(key, before, after, rows)
                before = after

    def commit(self, key: str, group: GroupState, states: Mapping[str, ServiceState]) -> None:
        """Make decisions durable."""
        self.groups[key] = group
        self.states.update(states)

    def publish(self) -> dict[str, Served]:
        """Publish what is to be served now."""
        members = [each for key in self.group_keys() for each in self.snapshot(key).members]
        served = {each.service.name: now for each in members if (now := serving.serve(each, self.now))}
        for name, of in served.items():
            self.published[name] = frozenset(each.key for servers in of.servers.values() for each in servers)
        return served

    def relist(self) -> None:
        """Answer what the daemon asks Docker for."""
        for key in self.group_keys():
            for name in reconcile.reconcile(self.snapshot(key), self.now).relist:
                self.list_containers(name)

    def restart(self, mono_s: float) -> None:
        """Kill the daemon and start it again: only what is durable comes back, on another monotonic clock."""
        self.mono_s = mono_s
        self.health.clear()
        self.states = _STATES.validate_json(_STATES.dump_json(self.states))
        self.groups = _GROUPS.validate_json(_GROUPS.dump_json(self.groups))
        for place, observed in self.seen.items():
            self.seen[place] = replace(
                observed,
                servers=tuple(replace(each, leaving_mono_s=None) for each in observed.servers),
                changed_mono_s=mono_s,
                listed_mono_s=None,
            )
        for place, running in self.containers.items():
            self.containers[place] = tuple(replace(each, leaving_mono_s=None) for each in running)
        for key in self.group_keys():
            before = self.snapshot(key)
            self.groups[key] = rollout.resume(before.state, wanted.waiting_s(before), self.now)


_STATES = TypeAdapter(dict[str, ServiceState])
_GROUPS = TypeAdapter(dict[str, GroupState])

Input: TypeAlias = Callable[[World], None]


class Player:
    """Plays a story, all of it well within `DEADLINE_S`, and then lets the deadlines pass.

    The daemon is killed right after its `kill_after`th commit, and goes on from what it had committed.
    """

    def __init__(self, kill_after: int | None) -> None:
        self.world = World()
        self.kill_after = kill_after
        self.steps = 0
        self.ended: Counter[tuple[str, str | None, str | None]] = Counter()

    def play(self, story: Iterable[Input]) -> "Player":
        """Give the daemon time to come to rest after each input."""
        for happens in story:
            happens(self.world)
            self.rest(100.0)
        self.rest(3 * DEADLINE_S)
        return self

    def rest(self, seconds: float) -> None:
        """Let the daemon, Docker and the probes do all they have to do in this time."""
        until = self.world.utc.timestamp() + seconds
        while True:
            for happens in (self.world.judge_all, self.world.relist, lambda: None):
                self.decide()
                happens()
            self.decide()
            left_s = until - self.world.utc.timestamp()
            wakes = [
                plan.wake_mono_s - self.world.mono_s
                for key in self.world.group_keys()
                if (plan := reconcile.reconcile(self.world.snapshot(key), self.world.now)).wake_mono_s is not None
            ]
            if min(wakes, default=left_s) >= left_s:
                break
            self.world.passes(min(wakes))
        self.world.passes(left_s)

    def decide(self) -> None:
        """Take every step that is due, and publish."""
        for taken in self.world.steps():
            self.steps += 1
            self.ended.update((row.service, row.release, row.outcome) for row in taken.rows if row.outcome)
            if self.steps == self.kill_after:
                self.world.restart(mono_s=5.0)
                self.decide()
                return
        self.world.publish()

    def ending(self) -> tuple[object, ...]:
        """Tell all that must be the same however often the daemon was killed: everything but times and numbers."""
        timeless = {
            name: (state.active, state.wish, state.settled, state.way_back, bool(state.replaced))
            for name, state in self.world.states.items()
        }
        groups = {
            key: (
                [(failed.candidates, failed.outcome) for failed in state.quarantined],
                state.rollout and state.rollout.candidates,
            )
            for key, state in self.world.groups.items()
            if state.rollout or state.quarantined
        }
        return timeless, groups, self.world.published, self.ended


def group_of(written: Service) -> str:
    """Name the rollout group of a service: its own where the file names none."""
    return f"group {written.group}" if written.group else f"service {written.name}"


def _fixed(written: FixedServers | None) -> tuple[Server, ...]:
    return tuple(Server(url, written.release, written.version) for url in written.urls) if written else ()


def _identities(observed: Observed) -> set[tuple[ServerKey, str]]:
    return {(each.key, each.release) for each in observed.servers}
