"""Small worlds for the tests of the core: values to build a snapshot from, and a whole outside that goes on by itself.

A `World` has what really runs, what the daemon sees of it, what it has committed, and two clocks. It decides nothing:
it drives the daemon's own `State` and `Draft`, input by input, and has them look at nothing but what they touched.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeAlias

from pydantic import TypeAdapter

from provider.config.diff import edit
from provider.controller.draft import Draft, Edition
from provider.controller.state import Act, State
from provider.controller.touched import Touched
from provider.model import (
    ByColour,
    Candidate,
    Colour,
    Decision,
    Desired,
    GroupState,
    Health,
    Instant,
    Member,
    Observed,
    Plan,
    Probe,
    ProbeMode,
    Router,
    Served,
    Server,
    ServerHealth,
    ServerKey,
    Service,
    ServiceState,
    Shown,
    Smoke,
    SmokeResult,
    SmokeRun,
    Snapshot,
    Verb,
    Weights,
)
from provider.model.desired import group_key
from provider.model.document import Document
from provider.model.observed import Result, fixed_servers
from provider.rollout import reconcile, serving
from provider.rollout.commands import command
from provider.rollout.commands.types import Command, Done, Refused
from provider.store import Stored, StoredServers
from provider.store.records import SERVERS
from provider.traefik.document.render import assemble, render_pass_through, render_service
from provider.traefik.readback import Reading
from tests.support.reading_back import in_http

BLUE, GREEN = Colour.BLUE, Colour.GREEN
EPOCH = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = Observed(known=True)
DEADLINE_S = 10_000.0
PROBED_EVERY_S = 5.0


def whole(colour: Colour) -> Weights:
    """All of the traffic for one colour."""
    return ((colour, 100),)


def all_on(colour: Colour) -> Shown:
    """A document that gives all of the traffic to one colour."""
    return Shown(whole(colour), whole(colour))


def at(mono_s: float = 1000.0) -> Instant:
    """Read both clocks `mono_s` seconds after they started."""
    return Instant(mono_s, EPOCH + timedelta(seconds=mono_s))


def service(name: str = "shop", **fields: object) -> Service:
    """Describe a service as a file would that says these fields only, and that what is switched is not watched."""
    router = Router(name, f"Host(`{name}.example.com`)", {})
    return described(Service(name, (router,), watch_s=0.0), **fields)


def described(of: Service, **fields: object) -> Service:
    """Change fields of a service; `load_balancer` and `health_check` are those of its first endpoint."""
    own = {key: fields.pop(key) for key in ("load_balancer", "health_check") if key in fields}
    endpoints = (replace(of.endpoints[0], **own), *of.endpoints[1:])  # type: ignore[arg-type]  # checked at run time
    return replace(of, **{"endpoints": endpoints, **fields})  # type: ignore[arg-type]


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

    def reading(self, name: str) -> Reading:
        """Return what its API shows; `name` is its address."""
        if not self.answers:
            return Reading(name, cause="connection refused")
        shown = {each for of in self.weights for each in (of, *(child for child, _ in self.weights[of]))}
        errors = {each: (f"service {each}: disliked",) for each in sorted(shown & self.dislikes)}
        return Reading(name, self.marker, weights=in_http(self.weights), errors=in_http(errors))


class Line(asyncio.BaseTransport):
    """The connection of a poller."""

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False

    def is_closing(self) -> bool:
        """Tell whether it hung up."""
        return self.is_closed


@dataclass
class Durable:
    """What outlives the daemon."""

    states: dict[str, ServiceState] = field(default_factory=dict)
    groups: dict[str, GroupState] = field(default_factory=dict)
    servers: dict[str, StoredServers] = field(default_factory=dict)
    revision: int = 0

    def commit(self, key: str, decided: Snapshot, servers: Mapping[str, StoredServers]) -> None:
        """Write decisions, and the servers that they were taken on."""
        self.groups[key] = decided.state
        self.states |= {each.service.name: each.state for each in decided.members}
        self.servers |= servers

    def stored(self) -> Stored:
        """Read everything, as the next process does."""
        return Stored(
            services=_STATES.validate_json(_STATES.dump_json(self.states)),
            groups=_GROUPS.validate_json(_GROUPS.dump_json(self.groups)),
            servers=dict(zip(self.servers, _read_servers(self.servers.values()), strict=True)),
            desired_text=TEXT,
            revision=self.revision,
        )


@dataclass
class World:
    """Everything around the real `State` and `Draft`, which decide and publish here without their loops.

    Fixed servers stand in the file; all others are containers. Servers of a `sick` release fail every probe, those of a
    `frail` one while they have traffic. A `broken` release fails its smoke tests, a `silent` one gives no evidence.

    What the daemon has been shown is noted a second time, for the witness: `seen` servers, the `health` that probes
    found, which revision each poller has `fetched`, and what each API last showed (`read`).
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

    listed: dict[tuple[str, Colour], tuple[Server, ...]] | None = None
    listed_mono_s: float | None = None
    returned: dict[str | None, float | None] = field(default_factory=dict)
    seen: dict[tuple[str, Colour], Observed] = field(default_factory=dict)
    remembered: dict[str, StoredServers] = field(default_factory=dict)
    docker_failed_mono_s: dict[tuple[str, ServerKey], float] = field(default_factory=dict)
    health: dict[str, dict[ServerKey, ServerHealth]] = field(default_factory=dict)
    smoke: dict[str, Smoke] = field(default_factory=dict)
    fetched: dict[str, int] = field(default_factory=dict)
    read: dict[str, Traefik] = field(default_factory=dict)
    is_given: bool = False
    orders: list[Command] = field(default_factory=list)

    durable: Durable = field(default_factory=Durable)
    undecided: set[str] = field(default_factory=set)
    unpublished: set[str] = field(default_factory=set)
    decides_at: dict[str, float] = field(default_factory=dict)
    publishes_at: dict[str, float] = field(default_factory=dict)
    probes: dict[str, frozenset[Probe]] = field(default_factory=dict)
    runs: dict[str, tuple[SmokeRun, ...]] = field(default_factory=dict)
    relists: set[str] = field(default_factory=set)
    lines: dict[str, Line] = field(default_factory=dict)
    is_woken: bool = False
    has_restarted: bool = False

    def __post_init__(self) -> None:
        self._start()

    def _start(self) -> None:
        stored = self.durable.stored()
        self.state = State(stored, docker_enabled=True)
        self.draft = Draft(self.state, self.now, is_first=stored.revision == 0)
        self._load()

    @property
    def now(self) -> Instant:
        """Read both clocks."""
        return Instant(self.mono_s, self.utc)

    @property
    def states(self) -> Mapping[str, ServiceState]:
        """What was decided about each service."""
        return self.state.states

    @property
    def groups(self) -> Mapping[str, GroupState]:
        """What was decided about each group."""
        return self.state.groups

    @property
    def published(self) -> dict[str, frozenset[ServerKey]]:
        """The servers of each service in the last document."""
        return {name: tracked.published for name, tracked in self.state.services.items()}

    @property
    def shown(self) -> dict[str, Shown | None]:
        """The weights of each service in the last document."""
        return {name: tracked.shown for name, tracked in self.state.services.items()}

    @property
    def document(self) -> Document | None:
        """The last document; None before the first."""
        return self.draft.published.document if self.draft.published else None

    @property
    def revision(self) -> int:
        """The number of the last document."""
        return self.durable.revision

    def put(self, touched: Touched) -> None:
        """Have the daemon look at what was touched, and at nothing else."""
        self.undecided |= touched.decide or set()
        self.unpublished |= touched.publish or set()
        self.is_woken |= touched.publish is not None

    def passes(self, seconds: float) -> None:
        """Let time pass."""
        self.mono_s += seconds
        self.utc += timedelta(seconds=seconds)

    # --- the file ---------------------------------------------------------------------------------------------------

    def write(self, written: Service) -> None:
        """Put a service into the file, or edit it there."""
        is_new = written.name not in self.services
        self.services[written.name] = written
        self._load()
        if is_new and self.docker_connected:
            self.list_containers(written.name)
        self._look(written.name)

    def edit(self, name: str, **fields: object) -> None:
        """Change some fields of a service, if the file has it."""
        if name in self.services:
            self.write(described(self.services[name], **fields))

    def remove(self, name: str) -> None:
        """Take a service out of the file; what the daemon saw of it is forgotten, what it committed is not."""
        self.services.pop(name, None)
        self._load()
        self.health.pop(name, None)
        for colour in Colour:
            self.seen.pop((name, colour), None)

    def _load(self) -> None:
        """Rule 15 has no part here: one text stays the one that is wanted, whatever Traefik shows."""
        apis = tuple(self.traefiks) if self.has_apis else ()
        desired = Desired("production", dict(self.services), traefik_api=apis)
        self.put(self.state.load(edit(self.state.desired, desired), TEXT, self.now))

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
        """Deliver Docker's events of a colour, if Docker is connected and was listed once; that is no list."""
        if self.docker_connected and self.listed is not None:
            self.listed[name, colour] = self.containers.get((name, colour), ())
            self._deliver(name, 0.0)

    def list_containers(self, name: str) -> None:
        """Answer a list of the containers of a service."""
        if self.docker_connected and self.listed is not None and name in self.services:
            for colour in Colour:
                self.listed[name, colour] = self.containers.get((name, colour), ())
            self._deliver(name, self.mono_s)

    def _deliver(self, name: str, listed_mono_s: float) -> None:
        assert self.listed is not None
        colours = ByColour(*(self.listed.get((name, colour), ()) for colour in Colour))
        self.put(self.state.docker_service(name, colours, listed_mono_s, self.now))
        self._look(name, listed_mono_s)

    def connect(self) -> None:
        """Let Docker answer: every service is listed."""
        self.docker_connected, self.listed, self.listed_mono_s = True, dict(self.containers), self.mono_s
        names = {name for name, _ in self.containers}
        services = {
            name: ByColour(*(self.containers.get((name, colour), ()) for colour in Colour)) for name in sorted(names)
        }
        self.put(self.state.docker_listed(services, self.mono_s, at(self.mono_s)))
        self.put(self.state.docker_connected(connected=True))
        for name in self.services:
            self._look(name, self.mono_s)

    def disconnect(self) -> None:
        """Lose Docker."""
        self.docker_connected = False
        self.put(self.state.docker_connected(connected=False))

    def _look(self, name: str, listed_mono_s: float = 0.0) -> None:
        """Note what the daemon sees of a service from now on."""
        if name not in self.services:
            return
        fixed = self.services[name].servers
        for colour in Colour:
            if fixed.blue or fixed.green:
                self._see(name, colour, Observed(True, fixed_servers(fixed[colour]), from_docker=False))
            elif self.listed is not None:
                times_s = (self._observed(name, colour).listed_mono_s, self.listed_mono_s, listed_mono_s)
                latest_s = max(time_s for time_s in times_s if time_s is not None)
                running = tuple(self._staying(each) for each in self.listed.get((name, colour), ()))
                self._see(name, colour, Observed(True, running, listed_mono_s=latest_s))
            else:
                self.seen.setdefault((name, colour), Observed())
                self._remember(name, colour)

    def _remember(self, name: str, colour: Colour) -> None:
        """Rule 4: until Docker has listed, a service has the servers that the process found in the store."""
        stored, active = self.remembered.get(name), self.states.get(name, ServiceState()).active
        if stored is not None and active is not None and not self._observed(name, colour).known:
            servers = tuple(replace(each, leaving_mono_s=None) for each in stored.colours[colour])
            self._see(name, colour, Observed(True, servers))

    def _staying(self, each: Server) -> Server:
        """Rule 4: who was asked to stop and did not is no longer leaving, until it is asked again."""
        is_back = each.leaving_mono_s is not None and self.returned.get(each.container) == each.leaving_mono_s
        return replace(each, leaving_mono_s=None) if is_back else each

    def notice_returned(self) -> None:
        """Rule 4: what was asked to stop, and passes its checks when its time is over, was not stopped."""
        for (name, colour), observed in tuple(self.seen.items()):
            if observed.staying == observed.servers:
                continue
            for each in observed.servers:
                is_over = each.returns_mono_s is not None and self.mono_s >= each.returns_mono_s
                if is_over and self._is_healthy(name, each):
                    self.returned[each.container] = each.leaving_mono_s
            self._see(name, colour, replace(observed, servers=tuple(map(self._staying, observed.servers))))

    def _is_healthy(self, name: str, each: Server) -> bool:
        verdict = self.health.get(name, {}).get(each.key)
        probed = verdict is not None and verdict.health is Health.HEALTHY
        match self.services[name].endpoints[0].health_check.mode:
            case ProbeMode.DOCKER:
                return each.docker_health is Health.HEALTHY
            case None if each.docker_health is not None:
                return each.docker_health is Health.HEALTHY
            case _:
                return probed and each.docker_health in {None, Health.HEALTHY}

    def _see(self, name: str, colour: Colour, observed: Observed) -> None:
        before = self._observed(name, colour)
        same = before.known and _identities(before) == _identities(observed)
        same = same and {each.key for each in before.staying} == {each.key for each in observed.staying}
        changed_mono_s = before.changed_mono_s if same else self.mono_s
        self.seen[name, colour] = replace(observed, changed_mono_s=changed_mono_s)
        failed = {each.key for each in before.servers if each.docker_health is Health.UNHEALTHY}
        for each in observed.servers:
            if each.docker_health is Health.UNHEALTHY and each.key not in failed:
                self.docker_failed_mono_s[name, each.key] = self.mono_s
        verdicts = self.health.get(name, {})
        for key, _ in _identities(before) - _identities(observed):
            verdicts.pop(key, None)

    def _observed(self, name: str, colour: Colour) -> Observed:
        return self.seen.get((name, colour), Observed())

    def freeze(self, seconds: float) -> None:
        """Stop the whole process for a while (rule 14): what it saw is void, and its own clock has not gone on."""
        self.utc += timedelta(seconds=seconds)
        self.docker_connected = False
        self.health.clear()
        self.smoke.clear()
        self.read.clear()
        self.put(self.state.void())

    # --- probes -----------------------------------------------------------------------------------------------------

    def check(self, name: str, key: ServerKey, health: Health) -> bool:
        """Make one health check, and deliver its result and the verdict; tell whether the daemon asked for it."""
        asked = [probe for probe in self.probes.get(name, ()) if probe.key == key]
        for probe in asked:
            self.health.setdefault(name, {})[key] = verdict = replace(found(health), since_utc=self.utc)
            self.put(self.state.health_verdict(probe, verdict))
            self.put(self.state.health_checked(probe, RESULTS[health], self.mono_s))
        return bool(asked)

    def let(self, **fields: object) -> None:
        """Let these releases be sick, frail, broken or silent from now on, and no other; or let Traefik have an API."""
        for name, value in fields.items():
            setattr(self, name, value)

    def check_all(self) -> None:
        """Check every server once."""
        for name in self.services:
            for colour in Colour:
                shown = self.shown.get(name)
                has_traffic = shown is not None and any(each is colour for each, _ in shown.decided)
                failing = self.sick | (self.frail if has_traffic else frozenset())
                for each in self.servers(name, colour):
                    self.check(name, each.key, Health.UNHEALTHY if each.release in failing else Health.HEALTHY)

    def smoke_runs(self) -> tuple[SmokeRun, ...]:
        """Return the smoke tests that the daemon asks for."""
        return tuple(run for _, runs in sorted(self.runs.items()) for run in runs)

    def answer_smoke(self, run: SmokeRun, *passed: bool | None) -> None:
        """Deliver what each test came to, as often over as there are tests on servers; None is no evidence."""
        made = [(url, test) for url in run.servers for test in run.tests]
        smoke = Smoke(
            run,
            tuple(
                SmokeResult(test.name, url, result, None if result else "500, wanted 200", "body", 0.01)
                for (url, test), result in zip(made, (passed * len(made))[: len(made)], strict=True)
            ),
        )
        self.smoke[run.service] = smoke
        self.put(self.state.smoked(smoke))

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
        if name in self.lines:
            self.lines.pop(name).is_closed = True

    def poll(self) -> None:
        """Let every Traefik that polls fetch the document, and apply it."""
        served = self.served
        for name, each in self.traefiks.items():
            if not each.polls or self.document is None:
                continue
            line = self.lines.setdefault(name, Line())
            connection, touched = self.state.polled(line, "10.0.0.1", name, self.now, has_ticker=True)
            self.put(touched)
            self.put(self.state.answered(connection, self.revision, self.now, was_held=False))
            self.put(self.state.gave(self.revision))
            self.fetched[name], self.is_given = self.revision, True
            if each.applies:
                each.marker = self.document.marker
                each.weights = {
                    of.service.name: tuple((f"{of.service.name}-{colour}", share) for colour, share in of.weights)
                    for of in served.values()
                }

    def read_back(self) -> None:
        """Read what every Traefik shows in its API."""
        for name, each in self.traefiks.items() if self.has_apis else ():
            self.read[name] = replace(each)
            self.put(self.state.traefik_read(each.reading(name), self.now))

    def is_current(self, read: Traefik) -> bool:
        """Tell whether what an API showed is the last document, as somebody was given it."""
        return self.document is not None and self.is_given and read.marker == self.document.marker

    # --- the daemon -------------------------------------------------------------------------------------------------

    def group_keys(self) -> tuple[str, ...]:
        """Name the groups of the file, and those that are gone from it and have a rollout."""
        under_way = {key for key, state in self.groups.items() if state.rollout}
        return tuple(sorted({group_key(each) for each in self.services.values()} | under_way))

    def snapshot(self, key: str) -> Snapshot:
        """Show one group as the daemon knows it."""
        return self.state.snapshot(key)

    def has_new_traffic(self, key: str) -> bool:
        """Tell whether a group has a rollout that is in steps, confirming or watching."""
        under_way = self.groups.get(key, GroupState()).rollout
        return under_way is not None and (under_way.is_switched or under_way.step is not None)

    def command(self, verb: Verb, name: str, **fields: object) -> None:
        """Give a command, which is obeyed with the next steps."""
        self.orders.append(Command(verb, name, "ann", **fields))  # type: ignore[arg-type]

    def steps(self) -> Iterator[Taken]:
        """Take every step that is due, then obey, and commit each before it is shown."""
        self.notice_returned()
        retired = self.state.tracked.retired
        keys, self.undecided = self.undecided | _due(self.decides_at, self.mono_s), set()
        for key in self.state.ordered(keys):
            plan = self.state.plan(key, self.now)
            rows: list[Decision] = []
            before = self.snapshot(key)
            while taken := reconcile.transition(before, self.now):
                after, decided = taken
                rows += decided
                self._write(key, after)
                yield Taken(key, before, after, decided)
                before = after
            assert (plan.group, plan.decisions) == (before.state, tuple(rows)), "the plan is what these steps come to"
            self.adopt(key, plan)
        while self.orders:
            given = self.orders.pop(0)
            if given.service in self.services:
                yield from self.obey(given, partial(_command, given))
        self.put(self.state.all_decided(retired))

    def obey(self, given: Command, act: Act) -> list[Taken]:
        """Commit what a command comes to with all that follows from it, and return these steps."""
        done, key, plan = self.state.obey(given.service, act, self.now)
        if plan is None or not isinstance(done, Done):
            return []
        taken = [Taken(key, self.snapshot(key), done.snapshot, done.decisions, given, durable=False)]
        while further := reconcile.transition(taken[-1].after, self.now):
            taken.append(Taken(key, taken[-1].after, *further, durable=False))
        self._write(key, taken[-1].after)
        assert (plan.group, plan.decisions) == (taken[-1].after.state, tuple(row for one in taken for row in one.rows))
        self.adopt(key, plan)
        return [*taken[:-1], replace(taken[-1], durable=True)]

    def commit(self, key: str, decided: Snapshot) -> None:
        """Decide something out of turn."""
        self._write(key, decided)
        self.adopt(key, Plan(decided.state, {each.service.name: each.state for each in decided.members}))

    def _write(self, key: str, decided: Snapshot) -> None:
        names = [each.service.name for each in decided.members]
        self.durable.commit(key, decided, self.state.tracked.stored_servers(names))

    def adopt(self, key: str, plan: Plan) -> None:
        """Go on from what is committed, as the controller does."""
        adopted = self.state.adopt(key, plan)
        self.relists |= plan.relist
        if adopted.runs is not None:
            self.runs[key] = adopted.runs
        if plan.wake_mono_s is not None:
            self.decides_at[key] = min(plan.wake_mono_s, self.decides_at.get(key, math.inf))
        self.put(adopted.touched)

    @property
    def served(self) -> dict[str, Served]:
        """What is to be served now of each service, worked out apart from what the daemon rendered."""
        groups = [self.snapshot(key) for key in self.group_keys()]
        members = [(each, group.state.rollout) for group in groups for each in group.members]
        return {each.service.name: of for each, under_way in members if (of := serving.serve(each, under_way))}

    def publish(self) -> None:
        """Publish what was touched, as the publisher does."""
        now, edition = self.now, self.draft.edition()
        keys, self.unpublished = self.unpublished | _due(self.publishes_at, self.mono_s), set()
        if not (keys or self.is_woken or self.document is None):
            return
        self.is_woken = False
        for name in self.state.unprobed:
            self.probes.pop(name, None)
        self.state.unprobed = set()
        for key in self.state.ordered(keys):
            for projected in self.draft.project(key, now):
                for probes in projected.probes:
                    self.probes[projected.service] = probes
                if projected.wake_mono_s is not None:
                    self.publishes_at[key] = projected.wake_mono_s
        if self.draft.published is not None or self.draft.held_back(now) is None:
            self._finish(edition)
        self.put(self.draft.counted())
        self.durable.servers |= self.state.tracked.stored_servers(self.services)

    def _finish(self, edition: Edition) -> None:
        before = self.document
        for _ in self.draft.join(edition):
            pass
        composed = self.draft.compose(edition)
        self.durable.revision += composed.is_new
        touched, _ = self.draft.note(composed, self.revision, self.now)
        self.put(touched)
        for shown in self.draft.show(self.now):
            self.put(shown)
        if composed.is_new:
            assert before is None or before != self.document
            self.is_given = False
            self.read = {name: replace(each, marker=None) for name, each in self.read.items()}

    def render(self) -> Document:
        """Render what is served."""
        passed = render_pass_through({}, "production")
        return assemble([render_service(of) for _, of in sorted(self.served.items())], passed)

    def relist(self) -> None:
        """Answer what the daemon asks Docker for."""
        if self.docker_connected:
            relists, self.relists = self.relists, set()
            for name in sorted(relists):
                self.list_containers(name)

    def restart(self, mono_s: float) -> None:
        """Kill the daemon and start it again: only what is durable comes back, on another monotonic clock.

        Docker has not answered yet.
        """
        self.mono_s, self.has_restarted = mono_s, True
        self.health.clear()
        self.smoke.clear()
        self.fetched.clear()
        self.read.clear()
        self.returned.clear()
        self.docker_failed_mono_s.clear()
        for noted in (self.undecided, self.unpublished, self.relists):
            noted.clear()
        for mapped in (self.decides_at, self.publishes_at, self.probes, self.runs, self.lines):
            mapped.clear()
        self.is_given, self.listed, self.listed_mono_s = False, None, None
        for place, running in self.containers.items():
            self.containers[place] = tuple(replace(each, leaving_mono_s=None) for each in running)
        self._start()
        for key in self.state.members:
            self.state.tracked.refresh(key, self.now)
        self.seen, self.remembered = {}, dict(self.durable.servers)
        for name in self.services:
            self._look(name)

    def come_back(self) -> None:
        """Let Docker answer after a restart, if it is there."""
        if self.docker_connected:
            self.connect()


TEXT = "the file"
RESULTS = {Health.HEALTHY: Result.PASS, Health.UNHEALTHY: Result.FAIL, Health.UNKNOWN: Result.ERROR}


def _command(given: Command, snapshot: Snapshot, now: Instant) -> Done | Refused:
    return command(snapshot, given, now)


def _due(times: dict[str, float], mono_s: float) -> set[str]:
    due = {key for key, time_s in times.items() if time_s <= mono_s}
    for key in due:
        del times[key]
    return due


def _read_servers(servers: Iterable[StoredServers]) -> tuple[StoredServers, ...]:
    return SERVERS.load([(number, SERVERS.text(each)) for number, each in enumerate(servers)])


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
            wakes += [PROBED_EVERY_S for key in world.group_keys() if world.has_new_traffic(key)]
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
                self.world.come_back()
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
                state.rollback_target and (state.rollback_target.colour, state.rollback_target.release),
                bool(state.replaced),
                bool(state.alias),
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


def _identities(observed: Observed) -> set[tuple[ServerKey, str]]:
    return {(each.key, each.release) for each in observed.servers}
