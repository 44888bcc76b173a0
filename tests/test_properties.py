"""Random worlds against what must always hold. The gates are judged here by a second, independent reading of rule 5."""

import os
from collections import defaultdict
from dataclasses import replace
from functools import partial
from operator import methodcaller

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from provider import serving
from provider.model import (
    ByColour,
    Candidate,
    Colour,
    Deadlines,
    FixedServers,
    GroupState,
    Health,
    HealthCheck,
    Outcome,
    Phase,
    ProbeMode,
    Rollout,
    Server,
    ServerKey,
    Service,
    ServiceState,
    SmokeTest,
    Snapshot,
    Wish,
)
from provider.reconcile import reconcile, step
from tests.worlds import DEADLINE_S as STORY_DEADLINE_S
from tests.worlds import Input, Player, Taken, World, group_of, service

# A hunt for bugs takes other examples each time, and as many as this says: BLUEGREEN_EXAMPLES=20000 pytest ...
EXAMPLES = int(os.environ.get("BLUEGREEN_EXAMPLES", "300"))
DERANDOMIZED = "BLUEGREEN_EXAMPLES" not in os.environ

DOCKER_NAMES = ("pay", "shop")
FIXED_NAME = "cart"
NAMES = (FIXED_NAME, *DOCKER_NAMES)
DEADLINE_S = 300.0
TIMES_S = (0.5, 5.0, 30.0, 60.0, DEADLINE_S)

names = st.sampled_from(NAMES)
docker_names = st.sampled_from(DOCKER_NAMES)
colours = st.sampled_from(Colour)
releases = st.sampled_from(("r1", "r2", "r3"))
groups = st.sampled_from((None, "storefront"))
indices = st.integers(0, 3)
rarely = st.sampled_from((False, False, False, True))


class Daemon(RuleBasedStateMachine):
    """Inputs arrive in any order, the daemon is killed between any two steps, and time passes."""

    @initialize(
        grouped=st.booleans(),
        initial=st.sampled_from((None, Colour.BLUE)),
        settle_s=st.sampled_from((0.0, 5.0)),
        mode=st.sampled_from((None, ProbeMode.HTTP, ProbeMode.DOCKER)),
        connected=st.booleans(),
        running=st.booleans(),
        amount=st.integers(1, 3),
    )
    def start(
        self,
        grouped: bool,
        initial: Colour | None,
        settle_s: float,
        mode: ProbeMode | None,
        connected: bool,
        running: bool,
        amount: int,
    ) -> None:
        self.world = World(docker_connected=connected)
        self.steps_left: int | None = None
        self.deadlines: dict[str, float | None] = {}
        self.shifting_since: dict[str, float] = {}
        self.failed: dict[str, list[frozenset[Candidate]]] = defaultdict(list)
        self.named: dict[str, Wish] = {}
        self.served: set[str] = set()
        self.all_services = {
            name: service(
                name,
                group="storefront" if grouped else None,
                initial=initial,
                settle_s=settle_s,
                health_check=HealthCheck(mode=mode if name != FIXED_NAME else None),
                deadlines=Deadlines(waiting_s=DEADLINE_S),
                servers=_fixed(Colour.BLUE, "r1") if name == FIXED_NAME else ByColour(None, None),
            )
            for name in NAMES
        }
        for name in DOCKER_NAMES if running else ():
            self.world.start(name, Colour.BLUE, "r1")
        for name in NAMES[-amount:]:
            self.world.write(self.all_services[name])
        if connected:
            self.world.connect()
        self.go()

    # --- the file -------------------------------------------------------------------------------------------------

    def edit(self, name: str, **fields: object) -> None:
        self.all_services[name] = replace(self.all_services[name], **fields)  # type: ignore[arg-type]
        if name in self.world.services:
            self.world.write(self.all_services[name])
        self.go()

    @rule(name=names, wish=st.sampled_from(Wish))
    def wish(self, name: str, wish: Wish) -> None:
        self.edit(name, active=wish)

    @rule(name=names, hold=rarely)
    def hold(self, name: str, hold: bool) -> None:
        self.edit(name, hold=hold)

    @rule(name=names, group=groups)
    def regroup(self, name: str, group: str | None) -> None:
        self.edit(name, group=group)

    @rule(name=names, least=st.sampled_from((None, 1, 2)), settle_s=st.sampled_from((0.0, 5.0)))
    def retune(self, name: str, least: int | None, settle_s: float) -> None:
        self.edit(name, min_servers=least, settle_s=settle_s)

    @rule(name=names, waiting_s=st.sampled_from((30.0, DEADLINE_S)))
    def redeadline(self, name: str, waiting_s: float) -> None:
        self.edit(name, deadlines=Deadlines(waiting_s=waiting_s))

    @rule(name=names, manual=rarely, smoke=rarely)
    def ask_for_more_gates(self, name: str, manual: bool, smoke: bool) -> None:
        self.edit(name, approval_is_manual=manual, smoke_tests=(SmokeTest("home"),) if smoke else ())

    @rule(colour=colours, version=st.sampled_from((None, "r1", "r2", "r3")))
    def rewrite_fixed_servers(self, colour: Colour, version: str | None) -> None:
        before = self.all_services[FIXED_NAME].servers
        after = before.put(colour, _fixed(colour, version)[colour])
        if after.blue or after.green:
            self.edit(FIXED_NAME, servers=after)

    @rule(name=names)
    def remove_or_add(self, name: str) -> None:
        if name in self.world.services:
            self.world.remove(name)
            self.served.discard(name)
        else:
            self.world.write(self.all_services[name])
        self.go()

    # --- Docker ---------------------------------------------------------------------------------------------------

    @rule(name=docker_names, colour=colours, release=releases, starting=st.booleans(), noticed=st.booleans())
    def start_container(self, name: str, colour: Colour, release: str, starting: bool, noticed: bool) -> None:
        connected = self.world.docker_connected
        self.world.docker_connected = connected and noticed
        self.world.start(name, colour, release, Health.UNKNOWN if starting else None)
        self.world.docker_connected = connected
        self.go()

    @rule(name=docker_names, colour=colours, release=releases, count=st.integers(1, 2))
    def deploy(self, name: str, colour: Colour, release: str, count: int) -> None:
        self.world.replace_all(name, colour, release, count)
        self.go()

    @rule(name=docker_names, colour=colours, index=indices, noticed=st.booleans())
    def remove_container(self, name: str, colour: Colour, index: int, noticed: bool) -> None:
        self.change_container(name, colour, index, noticed, gone=True)

    @rule(name=docker_names, colour=colours, index=indices, noticed=st.booleans())
    def ask_container_to_stop(self, name: str, colour: Colour, index: int, noticed: bool) -> None:
        self.change_container(name, colour, index, noticed, leaving_mono_s=self.world.mono_s)

    @rule(name=docker_names, colour=colours, index=indices, health=st.sampled_from(Health))
    def docker_judges(self, name: str, colour: Colour, index: int, health: Health) -> None:
        self.change_container(name, colour, index, noticed=True, docker_health=health)

    def change_container(
        self, name: str, colour: Colour, index: int, noticed: bool, *, gone: bool = False, **fields: object
    ) -> None:
        running = self.world.containers.get((name, colour), ())
        if not running:
            return
        before = running[index % len(running)]
        after = None if gone else replace(before, **fields)  # type: ignore[arg-type]
        self.world.change(name, colour, before, after)
        if noticed:
            self.world.notice(name, colour)
        self.go()

    @rule(connected=st.booleans())
    def docker_comes_or_goes(self, connected: bool) -> None:
        if connected:
            self.world.connect()
        else:
            self.world.disconnect()
        self.go()

    @rule()
    def docker_answers(self) -> None:
        self.world.relist()
        self.go()

    # --- probes and time ------------------------------------------------------------------------------------------

    @rule(name=names, colour=colours, index=indices, health=st.sampled_from(Health))
    def judge(self, name: str, colour: Colour, index: int, health: Health) -> None:
        servers = self.world.servers(name, colour)
        if servers and name in self.world.services:
            self.world.judge(name, servers[index % len(servers)].key, health)
            self.go()

    @rule()
    def judge_all_healthy(self) -> None:
        for name in self.world.services:
            for colour in Colour:
                for server in self.world.servers(name, colour):
                    self.world.judge(name, server.key, Health.HEALTHY)
        self.go()

    @rule(seconds=st.sampled_from((0.5, 5.0)))
    def all_goes_well(self, seconds: float) -> None:
        """Docker and every server answer, for a while."""
        self.world.connect()
        self.judge_all_healthy()
        self.world.passes(seconds)
        self.go()
        self.docker_answers()

    @rule(name=docker_names, release=releases, count=st.integers(1, 2), seconds=st.sampled_from((0.5, 5.0)))
    def release_comes_to_standby(self, name: str, release: str, count: int, seconds: float) -> None:
        active = self.state(name).active or Colour.GREEN
        self.world.replace_all(name, active.other, release, count)
        self.go()
        self.all_goes_well(seconds)

    @rule(seconds=st.sampled_from(TIMES_S), answers=st.booleans())
    def time_passes(self, seconds: float, answers: bool) -> None:
        self.world.passes(seconds)
        self.go()
        if answers:
            self.docker_answers()

    @rule(steps=st.integers(0, 4))
    @precondition(lambda self: self.steps_left is None)
    def be_killed_soon(self, steps: int) -> None:
        self.steps_left = steps

    # --- the daemon, watched at every step --------------------------------------------------------------------------

    def go(self) -> None:
        """Decide and publish; what was published is an input like any other, so what it changes is looked at again."""
        for _ in range(3):
            published = dict(self.world.published)
            self.decide_and_publish()
            if self.world.published == published:
                return
        pytest.fail("what is published keeps changing by itself")

    def decide_and_publish(self) -> None:
        self.notice_edits()
        planned = {key: reconcile(self.world.snapshot(key), self.world.now) for key in self.world.group_keys()}
        killed = self.steps_left is not None
        for taken in self.world.steps():
            self.check_step(taken)
            if self.steps_left is not None:
                self.steps_left -= 1
                if self.steps_left < 0:
                    break
        if killed:
            self.be_restarted()
            return
        for key, plan in planned.items():
            assert plan.group == self.world.groups.get(key, GroupState())
            assert plan.states == {one.service.name: one.state for one in self.world.snapshot(key).members}
        assert self.world.publish() == self.world.publish()
        self.notice_holds()

    def be_restarted(self) -> None:
        self.steps_left = None
        self.world.restart(mono_s=self.world.mono_s / 2)
        for key in self.world.group_keys():
            snapshot = self.world.snapshot(key)
            self.deadlines[key] = self.world.mono_s + _longest(snapshot)
            self.shifting_since[key] = self.world.mono_s
        self.go()

    def notice_edits(self) -> None:
        for name, written in self.world.services.items():
            if self.state(name).active is not None and self.named.get(name) is not written.active:
                self.named[name] = written.active
                key, colour = group_of(written), written.active.colour
                self.failed[key] = [
                    failed
                    for failed in self.failed[key]
                    if all((one.service, one.colour) != (name, colour) for one in failed)
                ]

    def notice_holds(self) -> None:
        for key in self.world.group_keys():
            snapshot = self.world.snapshot(key)
            if _held(snapshot):
                self.deadlines[key] = None
            elif self.deadlines.get(key) is None:
                self.deadlines[key] = self.world.mono_s + _longest(snapshot)

    def state(self, name: str) -> ServiceState:
        return self.world.states.get(name, ServiceState())

    def check_step(self, taken: Taken) -> None:
        key, before, after = taken.group, taken.before, taken.after
        assert bool(taken.rows) == (_durable(before) != _durable(after))
        self.check_active_colours(taken)
        was, now_is = before.state.rollout, after.state.rollout
        events = {row.event for row in taken.rows}
        if was is None and now_is is not None:
            wanted = frozenset(now_is.candidates)
            assert wanted
            assert not _held(before)
            assert not any(wanted <= failed for failed in self.failed[key])
            self.deadlines[key] = self.world.mono_s + _longest(before)
        if was is not None and now_is is None:
            outcomes = {row.outcome for row in taken.rows}
            assert len(outcomes) == 1
            if outcomes <= {Outcome.EXPIRED, Outcome.ABORTED}:
                self.failed[key].append(frozenset(was.candidates))
            if outcomes == {Outcome.EXPIRED}:
                deadline = self.deadlines[key]
                assert deadline is not None
                assert self.world.mono_s >= deadline
            if outcomes == {Outcome.ABORTED}:
                assert not _replaced(before, was)
        if now_is is not None and now_is.phase is Phase.SHIFTING and "gates-passed" in events:
            self.shifting_since[key] = self.world.mono_s

    def check_active_colours(self, taken: Taken) -> None:
        befores = {one.service.name: one for one in taken.before.members}
        afters = {one.service.name: one for one in taken.after.members}
        moved = {name for name in befores if befores[name].state.active is not afters[name].state.active}
        decided = {name for name in moved if befores[name].state.active is None}
        if decided:
            assert {row.event for row in taken.rows} == {"first-sight"}
            assert moved == decided
        elif moved:
            under_way = taken.before.state.rollout
            assert under_way is not None
            assert moved == {one.service for one in under_way.candidates}
            assert all(afters[one.service].state.active is one.colour for one in under_way.candidates)
            for one in under_way.candidates:
                self.check_proven(taken, one)
            for name in befores.keys() - moved:
                self.check_not_on_the_way(name)

    def check_proven(self, taken: Taken, one: Candidate) -> None:
        """P1, P2, rules 5 and 6, read again."""
        written, seen = self.world.services[one.service], self.world.seen[one.service, one.colour]
        assert not _held(taken.before)
        assert not written.approval_is_manual
        assert not written.smoke_tests
        assert {server.release for server in seen.servers} == {one.release}
        assert all(server.leaving_mono_s is None for server in seen.servers)
        assert all(self.is_proven(written, server) for server in seen.servers)
        assert len(seen.servers) >= self.servers_needed(written, one.colour.other)
        assert self.world.mono_s - seen.changed_mono_s >= written.settle_s
        if one.service != FIXED_NAME:
            assert self.world.docker_connected
            assert seen.listed_mono_s is not None
            assert seen.listed_mono_s >= self.shifting_since[taken.group]

    def check_not_on_the_way(self, name: str) -> None:
        """Rule 11: nobody switches while another member's standby is starting or mixed."""
        active = self.state(name).active
        if active is None:
            return
        standby = self.world.seen[name, active.other]
        staying = [server for server in standby.servers if server.leaving_mono_s is None] or standby.servers
        assert len({server.release for server in staying}) <= 1
        written = self.world.services[name]
        bad = [server for server in standby.servers if not self.is_proven(written, server)]
        assert not bad or any(self.is_unhealthy(written, server) for server in bad)

    def servers_needed(self, written: Service, active: Colour) -> int:
        if written.min_servers is not None:
            return written.min_servers
        published = self.world.published.get(written.name, frozenset())
        return sum(server.key in published for server in self.world.servers(written.name, active))

    def is_proven(self, written: Service, server: Server) -> bool:
        probed = self.verdict(written.name, server.key) is Health.HEALTHY
        by_docker = server.docker_health
        match written.health_check.mode:
            case ProbeMode.DOCKER:
                return by_docker is Health.HEALTHY
            case None:
                return probed if by_docker is None else by_docker is Health.HEALTHY
            case _:
                return probed and by_docker in {None, Health.HEALTHY}

    def is_unhealthy(self, written: Service, server: Server) -> bool:
        mode = written.health_check.mode
        probes_count = mode in {ProbeMode.HTTP, ProbeMode.TCP} or (mode is None and server.docker_health is None)
        by_probe = probes_count and self.verdict(written.name, server.key) is Health.UNHEALTHY
        return server.docker_health is Health.UNHEALTHY or by_probe

    def verdict(self, name: str, key: ServerKey) -> Health:
        verdict = self.world.health.get(name, {}).get(key)
        return verdict.health if verdict else Health.UNKNOWN

    # --- what holds at rest -----------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_left_to_decide(self) -> None:
        """P12: on an unchanged world the daemon decides nothing, and what it serves does not move."""
        for key in self.world.group_keys():
            assert step(self.world.snapshot(key), self.world.now) is None
        published = dict(self.world.published)
        self.world.publish()
        assert self.world.published == published

    @invariant()
    def nothing_goes_dark(self) -> None:
        """P4, and rules 3 and 4 on which servers are chosen."""
        served = self.world.publish()
        self.served |= served.keys()
        assert self.served <= served.keys()
        for name, written in self.world.services.items():
            active = self.state(name).active
            seen = self.world.servers(name, active) if active else ()
            lingering = {
                one for one in seen if one.leaving_mono_s is not None and self.world.mono_s - one.leaving_mono_s < 60
            }
            staying = {one for one in seen if one.leaving_mono_s is None}
            if active is None or not (staying or lingering):
                continue
            chosen = set(served[name].servers[active])
            assert dict(served[name].weights) == {active: 100}
            assert chosen
            assert chosen <= staying | lingering
            healthy = {one for one in staying if self.is_proven(written, one)}
            assert healthy <= chosen
            if healthy:
                assert chosen <= staying
                assert not any(self.is_unhealthy(written, one) for one in chosen)

    @invariant()
    def no_rollout_outlives_its_deadline(self) -> None:
        """P10."""
        for key in self.world.group_keys():
            deadline = self.deadlines.get(key)
            if self.world.groups.get(key, GroupState()).rollout and not _held(self.world.snapshot(key)):
                assert deadline is not None
                assert self.world.mono_s < deadline

    @invariant()
    def what_auto_waits_for_is_a_release_it_has_not_run(self) -> None:
        """Rule 2."""
        for state in self.world.groups.values():
            for one in state.rollout.candidates if state.rollout else ():
                if self.world.services[one.service].active is Wish.AUTO:
                    assert one.release is not None
                    assert one.release not in self.state(one.service).settled[one.colour]

    @invariant()
    def nothing_happens_before_the_daemon_wakes(self) -> None:
        for key in self.world.group_keys():
            snapshot, now = self.world.snapshot(key), self.world.now
            wake = reconcile(snapshot, now).wake_mono_s
            assert wake is None or wake > now.mono_s
            later = replace(now, mono_s=now.mono_s + 1e6 if wake is None else (now.mono_s + wake) / 2)
            assert step(snapshot, later) is None
            for one in snapshot.members:
                assert serving.serve(one, later) == serving.serve(one, now)

    def teardown(self) -> None:
        """P10: when nothing but time passes, every rollout that is not held ends."""
        if not hasattr(self, "world"):
            return
        for _ in range(50):
            plans = [reconcile(self.world.snapshot(key), self.world.now) for key in self.world.group_keys()]
            wakes = [plan.wake_mono_s for plan in plans if plan.wake_mono_s is not None]
            if not wakes:
                break
            self.world.passes(max(0.0, min(wakes) - self.world.mono_s))
            self.go()
        else:
            pytest.fail("time alone does not bring the daemon to rest")
        for key in self.world.group_keys():
            assert self.world.groups.get(key, GroupState()).rollout is None or _held(self.world.snapshot(key))


def _fixed(colour: Colour, version: str | None) -> ByColour[FixedServers | None]:
    nothing: ByColour[FixedServers | None] = ByColour(None, None)
    if version is None:
        return nothing
    return nothing.put(colour, FixedServers((f"http://127.0.0.1/{colour}",), version, version))


def _held(snapshot: Snapshot) -> bool:
    return any(one.service.hold for one in snapshot.members)


def _longest(snapshot: Snapshot) -> float:
    return max((one.service.deadlines.waiting_s for one in snapshot.members), default=0.0)


def _replaced(snapshot: Snapshot, was: Rollout) -> bool:
    """Whether a candidate's colour now runs another release than the one under way (rule 6)."""
    return any(
        member.observed[one.colour].release not in {None, one.release}
        for one in was.candidates
        for member in snapshot.members
        if member.service.name == one.service
    )


def _durable(snapshot: Snapshot) -> object:
    rollout = snapshot.state.rollout
    timeless = rollout and replace(rollout, entered_mono_s=0.0, deadline_mono_s=None)
    return replace(snapshot.state, rollout=timeless), [one.state for one in snapshot.members]


TestDaemon = Daemon.TestCase
TestDaemon.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    derandomize=DERANDOMIZED,
    print_blob=True,
    suppress_health_check=[Check.too_slow],
)


# --- random stories, interrupted at a random step -------------------------------------------------------------------


written = st.builds(
    partial(service, group="storefront", initial=Colour.BLUE, deadlines=Deadlines(waiting_s=STORY_DEADLINE_S)),
    docker_names,
)


def happens(
    method: str, *arguments: st.SearchStrategy[object], **fields: st.SearchStrategy[object]
) -> st.SearchStrategy[Input]:
    return st.builds(partial(methodcaller, method), *arguments, **fields)


inputs = st.one_of(
    happens("replace_all", docker_names, colours, releases, st.integers(1, 2)),
    happens("start", docker_names, colours, releases),
    happens("stop_all", docker_names, colours),
    st.builds(lambda sick: methodcaller("make_sick", *sick), st.lists(releases, max_size=2)),
    happens("connect"),
    happens("disconnect"),
    happens("edit", docker_names, active=st.sampled_from(Wish)),
    happens("edit", docker_names, hold=rarely),
    happens("edit", docker_names, group=groups),
    happens("remove", docker_names),
    happens("write", written),
)
FIRST: tuple[Input, ...] = (
    *(methodcaller("replace_all", name, Colour.BLUE, "r1") for name in DOCKER_NAMES),
    methodcaller("connect"),
)


@settings(max_examples=EXAMPLES, deadline=None, derandomize=DERANDOMIZED, print_blob=True)
@given(
    services=st.lists(written, min_size=1, max_size=2),
    story=st.lists(inputs, min_size=1, max_size=10),
    kill_after=st.integers(1, 40),
)
def test_a_random_story_interrupted_ends_as_the_uninterrupted_one(
    services: list[Service], story: list[Input], kill_after: int
) -> None:
    """P5."""
    whole: list[Input] = [*(methodcaller("write", one) for one in services), *FIRST, *story]
    once = Player(kill_after=None).play(whole)
    assume(kill_after <= once.steps)
    assert Player(kill_after).play(whole).ending() == once.ending()
