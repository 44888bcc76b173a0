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
from provider.commands import Command, Done, command
from provider.model import (
    Applied,
    ByColour,
    Candidate,
    Checks,
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
    Smoke,
    SmokeResult,
    SmokeRun,
    Snapshot,
    Verb,
)
from provider.render import NO_PASS_THROUGH, Document, assemble, render_service

BLUE, GREEN = Colour.BLUE, Colour.GREEN
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = Observed(known=True)
DEADLINE_S = 10_000.0
PROBED_EVERY_S = 5.0


def at(mono_s: float = 1000.0) -> Instant:
    """Read both clocks `mono_s` seconds after they started."""
    return Instant(mono_s, EPOCH + timedelta(seconds=mono_s))


def service(name: str = "shop", **fields: object) -> Service:
    """Describe a service as a file would that says these fields only, and that what is switched is not watched."""
    router = Router(name, f"Host(`{name}.example.com`)", {})
    return replace(Service(name, (router,), watch_s=0.0), **fields)  # type: ignore[arg-type]  # checked by the dataclass at run time


def server(number: int = 1, release: str = "r1", **fields: object) -> Server:
    """Run a container with an address of its own."""
    made = Server(f"http://10.0.0.{number}:80", release, container=f"c{number}", deaths=0)
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
    """One step of one group; `by` is the command whose step it is.

    What follows from a command is committed with it: only the last step is `durable`.
    """

    group: str
    before: Snapshot
    after: Snapshot
    rows: tuple[Decision, ...]
    by: Command | None = None
    durable: bool = True


@dataclass(slots=True)
class Traefik:
    """One Traefik, which does its work unless told otherwise.

    It complains of what it `dislikes`, such as `shop` or `shop-green`, while the document that it applied has that.
    """

    polls: bool = True
    applies: bool = True
    answers: bool = True
    dislikes: frozenset[str] = frozenset()
    marker: str | None = None
    weights: Mapping[str, tuple[tuple[str, int], ...]] = field(default_factory=dict)

    def complaints(self, name: str) -> tuple[str, ...]:
        """Return its words about a service."""
        shown = (name, *(child for child, _ in self.weights[name])) if name in self.weights else ()
        return tuple(f"service {each}: disliked" for each in shown if each in self.dislikes)


@dataclass
class World:
    """Everything around the core. Fixed servers stand in the file; all others are containers.

    Servers of a `sick` release fail every probe, those of a `frail` one while they have traffic. A `broken` release
    fails its smoke tests, a `silent` one gives no evidence. `fetched` is what each poller is known to have, `read` what
    each Traefik's API last showed.
    """

    mono_s: float = 1000.0
    utc: datetime = EPOCH
    services: dict[str, Service] = field(default_factory=dict)
    containers: dict[tuple[str, Colour], tuple[Server, ...]] = field(default_factory=dict)
    containers_made: int = 0
    docker_connected: bool = False
    sick: frozenset[str] = frozenset()
    frail: frozenset[str] = frozenset()
    broken: frozenset[str] = frozenset()
    silent: frozenset[str] = frozenset()
    traefiks: dict[str, Traefik] = field(default_factory=lambda: {"t1": Traefik()})
    has_apis: bool = False

    seen: dict[tuple[str, Colour], Observed] = field(default_factory=dict)
    health: dict[str, dict[ServerKey, ServerHealth]] = field(default_factory=dict)
    checks: dict[str, dict[ServerKey, Checks]] = field(default_factory=dict)
    smoke: dict[str, Smoke] = field(default_factory=dict)
    fetched: dict[str, str] = field(default_factory=dict)
    read: dict[str, Traefik] = field(default_factory=dict)
    orders: list[Command] = field(default_factory=list)

    states: dict[str, ServiceState] = field(default_factory=dict)
    groups: dict[str, GroupState] = field(default_factory=dict)
    published: dict[str, frozenset[ServerKey]] = field(default_factory=dict)
    shown: dict[str, Colour | None] = field(default_factory=dict)
    served: dict[str, Served] = field(default_factory=dict)
    document: Document | None = None

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

    def replace_all(
        self, name: str, colour: Colour, release: str, count: int = 1, docker_health: Health | None = None
    ) -> None:
        """Replace the containers of a colour by those of another release."""
        self.containers[name, colour] = ()
        for _ in range(count):
            self.start(name, colour, release, docker_health)

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
        failing = {each.key for each in before.servers if each.docker_health is Health.UNHEALTHY}
        for each in observed.servers:
            if each.docker_health is Health.UNHEALTHY and each.key not in failing:
                self.checks.setdefault(name, {})[each.key] = Checks(self.mono_s)
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

    def check(self, name: str, key: ServerKey, health: Health) -> None:
        """Make one health check, and deliver the verdict; its time counts while somebody watches (rule 8)."""
        self.judge(name, key, health)
        if health is Health.UNKNOWN or not self.is_switched(group_of(self.services[name])):
            return
        noted = self.checks.setdefault(name, {})
        before = noted.get(key, Checks())
        if health is Health.HEALTHY:
            kept = (*before.passed_mono_s, self.mono_s)[-self.services[name].health_check.passes_noted :]
            noted[key] = replace(before, failed_mono_s=None, passed_mono_s=kept)
        else:
            first = self.mono_s if before.failed_mono_s is None else before.failed_mono_s
            noted[key] = Checks(first, failed_last_mono_s=self.mono_s)

    def let(self, **fields: object) -> None:
        """Let these releases be sick, frail, broken or silent from now on, and no other; or let Traefik have an API."""
        for name, value in fields.items():
            setattr(self, name, value)

    def check_all(self) -> None:
        """Check every server once."""
        for name in self.services:
            for colour in Colour:
                failing = self.sick | (self.frail if self.shown.get(name) is colour else frozenset())
                for each in self.servers(name, colour):
                    self.check(name, each.key, Health.UNHEALTHY if each.release in failing else Health.HEALTHY)

    def smoke_runs(self) -> tuple[SmokeRun, ...]:
        """Return the smoke tests that the daemon asks for."""
        return tuple(
            run for key in self.group_keys() for run in reconcile.reconcile(self.snapshot(key), self.now).smoke
        )

    def answer_smoke(self, run: SmokeRun, *passed: bool | None) -> None:
        """Deliver what each test came to, as often over as there are tests on servers; None is no evidence."""
        made = [(url, test) for url in run.servers for test in run.tests]
        self.smoke[run.service] = Smoke(
            run,
            tuple(
                SmokeResult(test.name, url, result, None if result else "500, wanted 200", "body", 0.01)
                for (url, test), result in zip(made, (passed * len(made))[: len(made)], strict=True)
            ),
        )

    def test_all(self) -> None:
        """Make every smoke test that the daemon asks for: those of a broken release fail."""
        for run in self.smoke_runs():
            self.answer_smoke(run, None if run.release in self.silent else run.release not in self.broken)

    def servers(self, name: str, colour: Colour) -> tuple[Server, ...]:
        """Return the servers that the daemon sees in a colour."""
        return self._observed(name, colour).servers

    # --- Traefik ----------------------------------------------------------------------------------------------------

    def set_traefik(self, name: str, **fields: object) -> None:
        """Change what a Traefik does."""
        self.traefiks[name] = replace(self.traefiks[name], **fields)  # type: ignore[arg-type]

    def hang_up(self, name: str) -> None:
        """Close the connection of a poller, which is then none any more."""
        self.fetched.pop(name, None)

    def poll(self) -> None:
        """Let every Traefik that polls fetch the document, and apply it."""
        for name, each in self.traefiks.items():
            if each.polls and self.document is not None:
                self.fetched[name] = self.document.marker
                if each.applies:
                    each.marker = self.document.marker
                    each.weights = {
                        of.service.name: tuple((f"{of.service.name}-{colour}", share) for colour, share in of.weights)
                        for of in self.served.values()
                    }

    def read_back(self) -> None:
        """Read what every Traefik shows in its API."""
        for name, each in self.traefiks.items() if self.has_apis else ():
            self.read[name] = replace(each)

    @property
    def all_fetched(self) -> bool | None:
        """Whether every poller has the document; None where nobody polls."""
        marker = self.document.marker if self.document else None
        return all(each == marker for each in self.fetched.values()) if self.fetched else None

    def applied(self, name: str) -> tuple[Applied, ...]:
        """Return what the daemon knows of each Traefik about a service."""
        if not self.has_apis:
            return ()
        return tuple(self._applied(traefik, self.read.get(traefik), name) for traefik in self.traefiks)

    def _applied(self, traefik: str, read: Traefik | None, name: str) -> Applied:
        if read is None or not read.answers:
            return Applied(traefik, answers=False)
        return Applied(
            traefik,
            answers=True,
            is_current=self.document is not None and read.marker == self.document.marker,
            has_fetched=self.document is not None and self.fetched.get(traefik) == self.document.marker,
            weights=read.weights.get(name),
            errors=read.complaints(name),
        )

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
                shown=self.shown.get(name),
                checks=self.checks.get(name, {}),
                smoke=self.smoke.get(name),
                applied=self.applied(name),
                fetched=self.all_fetched,
            )
            for name, each in sorted(self.services.items())
            if group_of(each) == key
        )
        state = self.groups.get(key, GroupState())
        was_in = {each.service.name: group_of(replace(each.service, group=each.state.group)) for each in members}
        return Snapshot(
            members,
            state,
            self.docker_connected,
            left={
                name: self.groups[before] for name, before in was_in.items() if before != key and before in self.groups
            },
            gone=frozenset(
                name
                for name in (state.rollout.members if state.rollout else ())
                if name in self.services and group_of(self.services[name]) != key
            ),
        )

    def is_switched(self, key: str) -> bool:
        """Tell whether a group has a rollout that is confirming or watching."""
        under_way = self.groups.get(key, GroupState()).rollout
        return under_way is not None and under_way.is_switched

    def command(self, verb: Verb, name: str, **fields: object) -> None:
        """Give a command, which is obeyed with the next steps."""
        self.orders.append(Command(verb, name, "ann", **fields))  # type: ignore[arg-type]

    def steps(self) -> Iterator[Taken]:
        """Take every step that is due, then obey, and commit each before it is shown."""
        for key in self.group_keys():
            before = self.snapshot(key)
            while taken := reconcile.step(before, self.now):
                after, rows = taken
                self.commit(key, after)
                yield Taken(key, before, after, rows)
                before = after
        while self.orders:
            given = self.orders.pop(0)
            if given.service in self.services:
                done = command(self.snapshot(group_of(self.services[given.service])), given, self.now)
                yield from self.obey(given, done) if isinstance(done, Done) and done.decisions else ()
        self.forget_smoke()

    def obey(self, given: Command, done: Done) -> list[Taken]:
        """Commit what a command came to with all that follows from it, and return these steps."""
        key = group_of(self.services[given.service])
        taken = [Taken(key, self.snapshot(key), done.snapshot, done.decisions, given, durable=False)]
        while further := reconcile.step(taken[-1].after, self.now):
            taken.append(Taken(key, taken[-1].after, *further, durable=False))
        self.commit(key, taken[-1].after)
        return [*taken[:-1], replace(taken[-1], durable=True)]

    def commit(self, key: str, decided: Snapshot) -> None:
        """Make decisions durable; checks that nobody watches for any more are forgotten."""
        self.groups[key] = decided.state
        for each in decided.members:
            self.states[each.service.name] = each.state
            if not self.is_switched(key):
                self.checks.pop(each.service.name, None)

    def forget_smoke(self) -> None:
        """Forget the smoke tests that nobody wants any more: made again, they begin from nothing."""
        runs = self.smoke_runs() if self.smoke else ()
        self.smoke = {name: smoke for name, smoke in self.smoke.items() if smoke.run in runs}

    def publish(self) -> dict[str, Served]:
        """Publish what is to be served now."""
        members = [each for key in self.group_keys() for each in self.snapshot(key).members]
        before = self.served
        self.served = {each.service.name: now for each in members if (now := serving.serve(each))}
        for name, of in self.served.items():
            self.published[name] = frozenset(each.key for servers in of.servers.values() for each in servers)
            self.shown[name] = self.states[name].active
        if self.served and (self.document is None or self.served != before):
            self.document = self.render()
        return self.served

    def render(self) -> Document:
        """Render what is served."""
        return assemble([render_service(of) for _, of in sorted(self.served.items())], NO_PASS_THROUGH)

    def relist(self) -> None:
        """Answer what the daemon asks Docker for."""
        for key in self.group_keys():
            for name in reconcile.reconcile(self.snapshot(key), self.now).relist:
                self.list_containers(name)

    def restart(self, mono_s: float) -> None:
        """Kill the daemon and start it again: only what is durable comes back, on another monotonic clock."""
        self.mono_s = mono_s
        self.health.clear()
        self.checks.clear()
        self.smoke.clear()
        self.fetched.clear()
        self.read.clear()
        self.shown.clear()
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
            self.groups[key] = rollout.resume(before.state, wanted.limits(before), self.now)


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
        self.rest(10 * DEADLINE_S)
        return self

    def rest(self, seconds: float) -> None:
        """Let the daemon, Docker, the probes and Traefik do all they have to do in this time."""
        world = self.world
        until = world.utc.timestamp() + seconds
        while True:
            steps = self.steps
            for happens in (world.poll, world.read_back, world.check_all, world.test_all, world.relist):
                self.decide()
                happens()
            self.decide()
            if self.steps != steps:
                continue
            left_s = until - world.utc.timestamp()
            wakes = [
                plan.wake_mono_s - world.mono_s
                for key in world.group_keys()
                if (plan := reconcile.reconcile(world.snapshot(key), world.now)).wake_mono_s is not None
            ]
            wakes += [PROBED_EVERY_S for key in world.group_keys() if world.is_switched(key)]
            if min(wakes, default=left_s) >= left_s:
                break
            world.passes(min(wakes))
        world.passes(left_s)

    def decide(self) -> None:
        """Take every step that is due, and publish."""
        for taken in self.world.steps():
            self.steps += taken.durable
            self.ended.update((row.service, row.release, row.outcome) for row in taken.rows if row.outcome)
            if taken.durable and self.steps == self.kill_after:
                self.world.restart(mono_s=5.0)
                self.decide()
                return
        self.world.publish()

    def ending(self) -> tuple[object, ...]:
        """Tell all that must be the same however often the daemon was killed: everything but times and numbers."""
        timeless = {
            name: (
                state.active,
                state.wish,
                state.settled,
                state.way_back and (state.way_back.colour, state.way_back.release),
                bool(state.replaced),
                state.override and (state.override.colour, state.override.rejected),
            )
            for name, state in self.world.states.items()
        }
        groups = {
            key: (
                [(failed.candidates, failed.outcome) for failed in state.quarantined],
                state.rollout and state.rollout.candidates,
                bool(state.paused),
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
