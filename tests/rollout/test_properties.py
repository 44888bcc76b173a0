"""Random worlds against what must always hold; the rules are read a second time, by the `Witness`."""

import os
from dataclasses import replace
from functools import partial

import pytest
from hypothesis import HealthCheck as Check
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from provider.controller.state import Act
from provider.model import (
    Affinity,
    ByColour,
    Canary,
    Colour,
    Deadlines,
    FixedServers,
    Health,
    HealthCheck,
    Instant,
    Plan,
    ProbeMode,
    ServiceState,
    SmokeTest,
    Snapshot,
    Step,
    Trigger,
    Verb,
    Wish,
)
from provider.model.desired import group_key
from provider.rollout import leases, serving
from provider.rollout.commands import command
from provider.rollout.commands.types import Command, Done, Refusal, Refused
from provider.rollout.reconcile import reconcile, transition
from tests.support.witness import EARLY_S, Witness, durable, is_held, staying
from tests.support.worlds import Traefik, World, service

# A hunt for bugs (`make hunt`) takes other examples each time, and as many as this says.
EXAMPLES = int(os.environ.get("BLUEGREEN_EXAMPLES", "150"))
DERANDOMIZED = "BLUEGREEN_EXAMPLES" not in os.environ

DOCKER_NAMES = ("pay", "shop")
FIXED_NAME = "cart"
NAMES = (FIXED_NAME, *DOCKER_NAMES)
DEADLINE_S = 300.0
TIMES_S = (0.5, 5.0, 30.0, 60.0, DEADLINE_S)
HOME, SEARCH = SmokeTest("home"), SmokeTest("search", path="/search")
BEGUN_MOST = 3 * len(NAMES)

names = st.sampled_from(("shop", "shop", "pay", "cart"))
docker_names = st.sampled_from(("shop", "shop", "pay"))
some_names = st.sampled_from((("shop",), ("shop",), ("pay",), DOCKER_NAMES))
colours = st.sampled_from(Colour)
releases = st.sampled_from(("r1", "r2", "r3"))
groups = st.sampled_from((None, "storefront", "checkout"))
indices = st.integers(0, 3)
rarely = st.sampled_from((False, False, False, True))
mostly = st.sampled_from((True, True, True, False))
healths = st.sampled_from(Health)
tests = st.sampled_from(((), (HOME,), (HOME, SEARCH)))
deadlines = st.builds(
    Deadlines,
    waiting_s=st.sampled_from((30.0, DEADLINE_S)),
    testing_s=st.sampled_from((5.0, 60.0)),
    approval_s=st.sampled_from((60.0, 2 * DEADLINE_S)),
    confirming_s=st.sampled_from((5.0, 30.0)),
    step_s=st.sampled_from((60.0, DEADLINE_S)),
)
watches = st.sampled_from((0.0, 30.0, DEADLINE_S))
steps = st.builds(Step, st.sampled_from((1, 5, 25, 50, 75, 99)), st.sampled_from((0.0, 5.0, 30.0, 300.0)), rarely)
canaries = st.builds(
    lambda some, affinity: Canary(
        tuple({one.weight: one for one in sorted(some, key=lambda one: one.weight)}.values()), affinity
    ),
    st.lists(steps, min_size=1, max_size=4),
    st.sampled_from(Affinity),
)
edits = st.one_of(
    st.fixed_dictionaries({"hold": st.booleans()}),
    st.fixed_dictionaries({"group": groups}),
    st.fixed_dictionaries({"min_servers": st.sampled_from((None, 1, 2)), "settle_s": st.sampled_from((0.0, 5.0))}),
    st.fixed_dictionaries({"deadlines": deadlines, "watch_s": watches}),
    st.fixed_dictionaries({"approval_is_manual": st.booleans(), "smoke_tests": tests}),
)
changes = st.one_of(
    st.just({"gone": True}),
    st.just({"asked_to_stop": True}),
    st.fixed_dictionaries({"docker_health": healths}),
)


class Daemon(RuleBasedStateMachine):
    """Inputs and commands arrive in any order, the daemon is killed between any two steps, and time passes."""

    @initialize(
        grouped=st.booleans(),
        initial=st.sampled_from((None, Colour.BLUE)),
        settle_s=st.sampled_from((0.0, 5.0)),
        mode=st.sampled_from((None, ProbeMode.HTTP, ProbeMode.DOCKER)),
        connected=mostly,
        running=mostly,
        amount=st.integers(1, 3),
        traefiks=st.integers(0, 2),
        has_apis=st.booleans(),
        gates=st.tuples(rarely, tests, watches),
        moves=st.lists(some_names, max_size=2),
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
        traefiks: int,
        has_apis: bool,
        gates: tuple[bool, tuple[SmokeTest, ...], float],
        moves: list[tuple[str, ...]],
    ) -> None:
        self.begin(grouped, initial, settle_s, mode, connected, running, amount, traefiks, has_apis, gates, moves)

    def begin(
        self,
        grouped: bool,
        initial: Colour | None,
        settle_s: float,
        mode: ProbeMode | None,
        connected: bool,
        running: bool,
        amount: int,
        traefiks: int,
        has_apis: bool,
        gates: tuple[bool, tuple[SmokeTest, ...], float],
        moves: list[tuple[str, ...]],
        canary: Canary | None = None,
        sticky: bool = False,
    ) -> None:
        self.world = World(docker_connected=connected, has_apis=has_apis)
        self.world.traefiks = {f"t{number}": Traefik() for number in range(traefiks)}
        self.witness = Witness(self.world)
        self.docker_health = Health.HEALTHY if mode is ProbeMode.DOCKER else None
        self.steps_left: int | None = None
        self.served: set[str] = set()
        self.determined: object = None
        self.body: bytes | None = None
        manual, smoke_tests, watch_s = gates
        self.all_services = {
            name: service(
                name,
                group="storefront" if grouped else None,
                initial=initial,
                settle_s=settle_s,
                health_check=HealthCheck(mode=mode if name != FIXED_NAME else None),
                deadlines=Deadlines(waiting_s=DEADLINE_S),
                servers=_fixed(Colour.BLUE, "r1") if name == FIXED_NAME else ByColour(None, None),
                approval_is_manual=manual,
                smoke_tests=smoke_tests,
                watch_s=watch_s,
                canary=canary,
                sticky={"cookie": {"name": name}} if sticky else None,
            )
            for name in NAMES
        }
        for name in DOCKER_NAMES if running else ():
            self.world.start(name, Colour.BLUE, "r1", self.docker_health)
        for name in NAMES[-amount:]:
            self.world.write(self.all_services[name])
        if connected:
            self.world.connect()
        self.go()
        for release, moving in zip(("r2", "r3"), moves, strict=False):
            self.release_comes_to_standby(moving, release, 1, passed=True)

    # --- the file -------------------------------------------------------------------------------------------------

    def edit(self, name: str, **fields: object) -> None:
        self.all_services[name] = replace(self.all_services[name], **fields)  # type: ignore[arg-type]
        if name in self.world.services:
            self.world.write(self.all_services[name])
        self.go()

    @rule(name=names, wish=st.sampled_from(Wish))
    def wish(self, name: str, wish: Wish) -> None:
        self.edit(name, active=wish)

    @rule(name=names, fields=edits)
    def edit_else(self, name: str, fields: dict[str, object]) -> None:
        self.edit(name, **fields)

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
        self.world.replace_all(name, colour, release, count, self.docker_health)
        self.go()

    @rule(name=docker_names, colour=colours, index=indices, change=changes, noticed=mostly)
    def change_container(self, name: str, colour: Colour, index: int, change: dict[str, object], noticed: bool) -> None:
        running = self.world.containers.get((name, colour), ())
        if not running:
            return
        before = running[index % len(running)]
        fields: dict[str, object] = {"leaving_mono_s": self.world.mono_s} if "asked_to_stop" in change else change
        after = None if "gone" in change else replace(before, **fields)  # type: ignore[arg-type]
        self.world.change(name, colour, before, after)
        if noticed:
            self.world.notice(name, colour)
        self.go()

    @rule(connected=mostly)
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

    # --- probes and smoke tests -------------------------------------------------------------------------------------

    def check(self, name: str, colour: Colour, health: Health) -> None:
        for server in self.world.servers(name, colour):
            if self.world.check(name, server.key, health):
                self.witness.checked(name, server.key, health)

    @rule(name=names, colour=colours, index=indices, health=healths)
    def check_one(self, name: str, colour: Colour, index: int, health: Health) -> None:
        servers = self.world.servers(name, colour)
        if servers and name in self.world.services:
            key = servers[index % len(servers)].key
            if self.world.check(name, key, health):
                self.witness.checked(name, key, health)
            self.go()

    @rule(name=names, active=healths, standby=healths, rounds=st.integers(1, 4), seconds=st.sampled_from((0.0, 1.0)))
    def check_for_a_while(self, name: str, active: Health, standby: Health, rounds: int, seconds: float) -> None:
        """What decides a watch: both colours are checked time and again."""
        has_traffic = self.witness.active(name)
        if name in self.world.services and has_traffic is not None:
            for _ in range(rounds):
                self.check(name, has_traffic, active)
                self.check(name, has_traffic.other, standby)
                self.go()
                self.world.passes(seconds)
            self.go()

    @rule(
        name=names,
        standby=st.sampled_from((Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY)),
        seconds=st.sampled_from((0.0, 30.0)),
    )
    def active_fails(self, name: str, standby: Health, seconds: float) -> None:
        """What the watch is for: the active colour fails for a while, and the other one passes, or fails as well."""
        self.check_for_a_while(name, Health.UNHEALTHY, standby, 4, 1.0)
        self.world.passes(seconds)
        self.go()

    def check_all(self) -> None:
        for name in self.world.services:
            for colour in Colour:
                self.check(name, colour, Health.HEALTHY)
        self.go()

    @precondition(lambda self: self.world.smoke_runs())
    @rule(passed=st.lists(st.sampled_from((True, False, None)), min_size=1, max_size=3))
    def test(self, passed: list[bool | None]) -> None:
        """Whatever the smoke tests come to, or not."""
        for run in self.world.smoke_runs():
            self.world.answer_smoke(run, *passed)
            self.witness.tested(run, tuple(one.passed for one in self.world.smoke[run.service].results))
        self.go()

    # --- Traefik ----------------------------------------------------------------------------------------------------

    @rule(
        index=indices,
        polls=mostly,
        applies=mostly,
        answers=mostly,
        dislikes=st.frozensets(st.sampled_from(("shop-green", "shop-blue", "shop", "pay-green")), max_size=2),
        hangs_up=rarely,
    )
    @precondition(lambda self: self.world.traefiks)
    def change_traefik(
        self, index: int, polls: bool, applies: bool, answers: bool, dislikes: frozenset[str], hangs_up: bool
    ) -> None:
        name = f"t{index % len(self.world.traefiks)}"
        self.world.set_traefik(name, polls=polls, applies=applies, answers=answers, dislikes=dislikes)
        if hangs_up:
            self.world.hang_up(name)
            self.go()

    @rule(polled=mostly, read=mostly)
    def traefik_works(self, polled: bool, read: bool) -> None:
        if polled:
            self.world.poll()
        if read:
            self.world.read_back()
        self.go()

    # --- time -------------------------------------------------------------------------------------------------------

    @rule(passed=st.sampled_from((True, True, False, None)))
    def all_goes_well(self, passed: bool | None) -> None:
        """Docker, every server and Traefik answer, for a while."""
        self.world.connect()
        self.go()
        self.check_all()
        self.world.passes(5.0)
        self.go()
        self.test([passed])
        self.docker_answers()
        self.traefik_works(polled=True, read=True)

    @rule(moving=some_names, release=releases, count=st.integers(1, 2), passed=st.sampled_from((True, True, False)))
    def release_comes_to_standby(self, moving: tuple[str, ...], release: str, count: int, passed: bool) -> None:
        for name in moving:
            active = self.witness.active(name) or Colour.GREEN
            self.world.replace_all(name, active.other, release, count, self.docker_health)
        self.go()
        self.all_goes_well(passed)

    @rule(seconds=st.sampled_from(TIMES_S), answers=st.booleans(), almost=rarely)
    def time_passes(self, seconds: float, answers: bool, almost: bool) -> None:
        """`almost` lets it pass to just before something is due."""
        wakes = [wake for key in self.world.group_keys() if (wake := self.plan(key).wake_mono_s)]
        soon_s = max(0.0, min(wakes, default=0.0) - self.world.mono_s - 0.5)
        self.world.passes(soon_s if almost else seconds)
        self.go()
        if answers:
            self.docker_answers()

    @rule(steps=st.integers(0, 4))
    @precondition(lambda self: self.steps_left is None)
    def be_killed_soon(self, steps: int) -> None:
        self.steps_left = steps

    # --- operators --------------------------------------------------------------------------------------------------

    def given(self, verb: Verb, name: str, **fields: object) -> None:
        """Give a command; it is obeyed on what the next input leaves."""
        if name in self.world.services:
            self.world.command(verb, name, **fields)

    @rule(name=names, colour=colours, force=rarely, at_once=mostly)
    def switch(self, name: str, colour: Colour, force: bool, at_once: bool) -> None:
        self.given(Verb.SWITCH, name, colour=colour, force=force, reason="it must" if force else None)
        self.go_if(at_once)

    @rule(name=names, right=mostly, other=releases, at_once=mostly)
    def approve(self, name: str, right: bool, other: str, at_once: bool) -> None:
        active = self.witness.active(name)
        release = self.witness.release(name, active.other) if active and right else other
        self.given(Verb.APPROVE, name, release=release)
        self.go_if(at_once)

    @rule(name=names, left=st.sampled_from((None, "active", "r1", "r2")), force=rarely, at_once=mostly)
    def roll_back(self, name: str, left: str | None, force: bool, at_once: bool) -> None:
        active = self.witness.active(name)
        leaving = self.witness.release(name, active) if active and left == "active" else left
        leaving = None if leaving == "active" else leaving
        self.given(Verb.ROLLBACK, name, leaving=leaving, force=force, reason="it must" if force else None)
        self.go_if(at_once)

    @rule(name=names, verb=st.sampled_from((Verb.ABORT, Verb.RETRY, Verb.PAUSE, Verb.RESUME)), at_once=mostly)
    def operate(self, name: str, verb: Verb, at_once: bool) -> None:
        self.given(verb, name)
        self.go_if(at_once)

    @rule(name=names, lease=st.sampled_from(("l1", "l2")), force=st.booleans(), back=st.booleans())
    def lease(self, name: str, lease: str, force: bool, back: bool) -> None:
        """Rule 17: one deployment at a time, and none while the rollback target must stay as it is."""
        if name not in self.world.services:
            return
        key = group_key(self.world.services[name])
        before, now = self.world.snapshot(key), self.world.now
        member = next(one for one in before.members if one.service.name == name)
        held = member.state.lease
        if back:
            done: Done | Refused = leases.give_back(before, name, lease, now)
            assert isinstance(done, Done)
            assert done.already is (held is None or held.id != lease)
        else:
            reason = "it must" if force else None
            done = leases.take(before, name, lease, lease, now, force=force, reason=reason)
            holder = held.id if held is not None and now.utc < held.until_utc else None
            under_way = before.state.rollout
            busy = under_way is not None and (under_way.is_switched or under_way.step is not None) and not force
            refused = holder is not None or busy or member.state.active is None
            assert isinstance(done, Refused) is (refused and holder != lease)
        if isinstance(done, Done) and done.decisions:
            self.obey(Command(Verb.RESUME, name, lease), lambda _snapshot, _now: done)
        self.go()

    # --- the daemon, watched at every step --------------------------------------------------------------------------

    def go_if(self, at_once: bool) -> None:
        if at_once:
            self.go()

    def go(self) -> None:
        """Decide and publish; what was published is an input like any other, so what it changes is looked at again."""
        for _ in range(3):
            published = dict(self.world.published), dict(self.world.shown), self.world.document
            self.decide_and_publish()
            if (self.world.published, self.world.shown, self.world.document) == published:
                return
        pytest.fail("what is published keeps changing by itself")

    def decide_and_publish(self) -> None:
        begun = self.witness.begun
        killed = self.steps_left is not None
        # Who comes from another group takes along what is decided there first.
        planned = {key: self.plan(key) for key in self.world.group_keys() if not self.world.snapshot(key).left}
        orders, self.world.orders = self.world.orders, []
        for taken in self.world.steps():
            self.witness.saw(taken)
            if self.steps_left is not None:
                self.steps_left -= 1
                if self.steps_left < 0:
                    break
        for key, plan in planned.items() if not killed else ():
            snapshot = self.world.snapshot(key)
            assert plan.group == snapshot.state
            assert plan.states == {one.service.name: one.state for one in snapshot.members}
        self.obey_all(orders)
        if killed:
            self.be_restarted()
            return
        assert self.witness.begun - begun <= BEGUN_MOST, "rollouts begin again and again (P9)"
        self.witness.rested()
        self.world.publish()
        self.check_document()

    def plan(self, key: str) -> Plan:
        """P5: whatever outlives the process is committed, and so it has its rows."""
        plan = self.world.state.plan(key, self.world.now)
        before = self.world.snapshot(key)
        after = [replace(one, state=plan.states[one.service.name]) for one in before.members]
        if not plan.decisions:
            assert durable(before) == durable(replace(before, members=tuple(after), state=plan.group))
        return plan

    def obey_all(self, orders: list[Command]) -> None:
        for given in orders:
            if given.service not in self.world.services or (self.steps_left is not None and self.steps_left < 0):
                continue
            before = self.world.snapshot(group_key(self.world.services[given.service]))
            done = command(before, given, self.world.now)
            self.check_answer(before, given, done)
            if isinstance(done, Done) and done.decisions:
                self.obey(given, partial(obeyed, given))

    def obey(self, given: Command, act: Act) -> None:
        """Commit a command with what follows from it, as the controller does."""
        taken = self.world.obey(given, act)
        assert taken, "what a command comes to is done"
        for one in taken:
            self.witness.saw(one)
        if self.steps_left is not None:
            self.steps_left -= 1

    def be_restarted(self) -> None:
        """P5: what was committed is served, as it was published, and a restart switches nothing by itself."""
        self.steps_left = None
        committed = self.world.durable.states  # a kill right after a commit comes before memory has it
        actives = {name: committed.get(name, ServiceState()).active for name in self.world.services}
        self.world.restart(mono_s=self.world.mono_s / 2)
        self.witness.restarted()
        for key in self.world.group_keys():
            snapshot = self.world.snapshot(key)
            plan = reconcile(snapshot, self.world.now)
            forced = snapshot.state.rollout is not None and snapshot.state.rollout.forced is not None
            for one in snapshot.members:
                name, active = one.service.name, actives[one.service.name]
                assert one.state.active is active
                served = serving.serve(one, snapshot.state.rollout)
                if served is not None:
                    self.check_weights(name, dict(served.weights))
                    self.served.add(name)
                assert plan.states[name].active is active or active is None or forced
            self.check_restarted(snapshot, plan)
        self.determined = None
        self.world.come_back()
        self.go()

    def check_restarted(self, before: Snapshot, plan: Plan) -> None:
        """P5, rule 19d: the weights stay as committed."""
        was, now_is = before.state.rollout, plan.group.rollout
        if was is not None and now_is is not None and was.id == now_is.id and not was.forced:
            assert (was.step and was.step.number) == (now_is.step and now_is.step.number)

    def check_weights(self, name: str, weights: dict[Colour, int]) -> None:
        """Rule 19: the weights of a service are those of its step; a colour without servers may be left out (19b)."""
        decided = self.witness.weights(name)
        assert weights == decided or (len(decided) > 1 and list(weights.values()) == [100])

    def check_document(self) -> None:
        """P6, P12: the same state gives the same bytes, and what determines nothing changes nothing."""
        document = self.world.document
        determined = self.what_determines_the_document()
        served = self.world.served
        if document is not None:
            groups = {name: group_key(written) for name, written in self.world.services.items()}
            self.witness.steps.check_document(document.body, groups)
        self.world.publish()
        assert self.world.served == served
        assert self.world.document == document
        assert document is None or document == self.world.render(), "what is served is what was rendered last"
        if document is None:
            assert self.world.draft.held_back(self.world.now) is not None
        for name, of in served.items() if document is not None else ():
            assert self.world.published[name] == {each.key for servers in of.servers.values() for each in servers}
        if document is not None and self.body is not None and determined == self.determined:
            assert document.body == self.body
        self.determined, self.body = determined, document.body if document else None

    def what_determines_the_document(self) -> object:
        found = {}
        for name, written in self.world.services.items():
            active = self.witness.active(name)
            key = group_key(written)
            one, steps = self.witness.steps.candidate(key, name), self.witness.steps.clocks.get(key)
            servers = self.world.servers(name, active) if active else ()
            if active and one is not None:
                servers = (*servers, *self.world.servers(name, one.colour))
            found[name] = (
                active,
                one and steps and (one.release, steps.rollout, steps.number),
                active and self.world.seen[name, active].known,
                written.routers,
                [
                    (
                        server.key,
                        self.witness.is_proven(written, server),
                        self.witness.is_unhealthy(written, server),
                        server.leaving_mono_s is None,
                    )
                    for server in servers
                ],
            )
        return found

    # --- what commands come to --------------------------------------------------------------------------------------

    def check_answer(self, before: Snapshot, given: Command, done: Done | Refused) -> None:
        """Every command is done, or refused with words; rollback and abort as promised."""
        assert done.detail
        match given.verb:
            case Verb.ROLLBACK:
                self.check_rollback(before, given, done)
            case Verb.ABORT:
                self.check_abort(before, given, done)
            case Verb.APPROVE:
                self.check_approval(before, given, done)
            case Verb.PROMOTE:
                self.check_promotion(given, done)
            case Verb.SWITCH:
                if isinstance(done, Refused) and done.code is Refusal.HELD:
                    assert is_held(before)
                    assert not given.force
            case Verb.RETRY:
                assert isinstance(done, Done) is (before.state.rollout is None)
            case Verb.PAUSE | Verb.RESUME:
                assert isinstance(done, Done)
                assert (done.snapshot.state.paused is not None) is (given.verb is Verb.PAUSE)

    def check_rollback(self, before: Snapshot, given: Command, done: Done | Refused) -> None:
        """P7: one step when the rollback target is ready, nothing when what is left is not active, else why."""
        name, witness = given.service, self.witness
        active, in_step = (
            witness.active(name),
            witness.steps.candidate(group_key(self.world.services[given.service]), given.service),
        )
        if given.leaving is not None and active is not None and (in_step is None or given.leaving != in_step.release):
            runs = witness.running(name, active) or witness.ran.get(name, frozenset())
            if runs and given.leaving not in runs:  # else nothing is known of what is left of the active colour
                assert isinstance(done, Done)
                assert done.already
                assert done.snapshot == before
                return
        key = group_key(self.world.services[name])
        if in_step is not None and given.leaving in {None, in_step.release}:
            self.check_abort(before, given, done)  # rule 20: what is to be left is the candidate's release
            return
        moving = witness.together(name, before) if name in witness.ways else [name]
        refused = [why for one in moving if (why := witness.why_not_back(one, key, force=given.force))]
        if refused:
            assert isinstance(done, Refused), refused
            assert done.code is Refusal.NOT_READY
            return
        assert isinstance(done, Done), done
        for one in moving:
            assert witness.active_in(done.snapshot, one) is witness.ways[one].colour
        plan = reconcile(done.snapshot, self.world.now, done.decisions)
        assert all(plan.states[one].active is witness.ways[one].colour for one in moving), "it stays there"

    def check_abort(self, before: Snapshot, given: Command, done: Done | Refused) -> None:
        """P8: before the switch it always ends the rollout, at once and for good; after it, what moved goes back."""
        under_way = before.state.rollout
        if under_way is None:
            assert isinstance(done, Done)
            assert done.already
        elif under_way.is_switched:
            moved = [one.service for one in under_way.candidates]
            named = given.service if given.service in moved else moved[0]
            self.check_rollback(before, replace(given, service=named), done)
        else:
            assert isinstance(done, Done)
            assert done.snapshot.state.rollout is None
            plan = reconcile(done.snapshot, self.world.now, done.decisions)
            again = plan.group.rollout.candidates if plan.group.rollout else ()
            assert not set(again) & set(under_way.candidates)
            # A release of another member, which had to wait, may go on at once; what was aborted stays where it is.
            for one in under_way.candidates:
                assert plan.states[one.service].active is one.colour.other

    def check_approval(self, before: Snapshot, given: Command, done: Done | Refused) -> None:
        """P1: an approval is for what is there, and never for what came in the meantime."""
        under_way = before.state.rollout
        moving = {one.service: one for one in under_way.candidates} if under_way and not under_way.is_switched else {}
        if given.service not in moving:
            assert isinstance(done, Refused) or done.already
        elif moving[given.service].release != given.release:
            assert isinstance(done, Refused)
            assert done.code is Refusal.STALE
        else:
            clock = self.witness.steps.clocks.get(group_key(self.world.services[given.service]))
            is_early = given.step is not None and given.step > (clock.number if clock else 0)
            assert isinstance(done, Refused) is is_early
            is_late = clock is not None and given.step is not None and given.step < clock.number
            assert not is_late or (isinstance(done, Done) and done.already)

    def check_promotion(self, given: Command, done: Done | Refused) -> None:
        """Rule 20: it ends the time of the step that its actor saw; one that is over has no time left to end."""
        key = group_key(self.world.services[given.service])
        clock, one = self.witness.steps.clocks.get(key), self.witness.steps.candidate(key, given.service)
        if clock is None or one is None:
            assert isinstance(done, Refused) or done.already
        elif given.release not in {None, one.release} or (given.step or 0) > clock.number:
            assert isinstance(done, Refused)
            assert done.code is Refusal.STALE
        else:
            assert isinstance(done, Done)
            assert done.already or given.step in {None, clock.number}
            assert done.already is not bool(done.decisions)
            now_is = done.snapshot.state.rollout
            assert now_is is not None
            assert now_is.step is not None
            assert now_is.step.number == clock.number, "what follows waits for its gates"

    @invariant()
    def rollback_and_abort_are_always_answered(self) -> None:
        """P7, P8: whatever the moment."""
        for name, written in self.world.services.items():
            before = self.world.snapshot(group_key(written))
            for verb in (Verb.ROLLBACK, Verb.ABORT):
                given = Command(verb, name, "bob")
                self.check_answer(before, given, command(before, given, self.world.now))

    # --- what holds at rest -----------------------------------------------------------------------------------------

    @invariant()
    def nothing_is_left_to_decide(self) -> None:
        """P12: on an unchanged world the daemon decides nothing, and what it serves does not move."""
        for key in self.world.group_keys():
            assert transition(self.world.snapshot(key), self.world.now) is None

    @invariant()
    def nothing_goes_dark(self) -> None:
        """P4, and rules 3 and 4 on which servers are chosen."""
        published = dict(self.world.published)
        self.world.publish()
        assert self.world.published == published
        served = self.world.served
        self.served |= served.keys()
        assert self.served <= served.keys()
        for name, written in self.world.services.items():
            active = self.witness.active(name)
            seen = self.world.servers(name, active) if active else ()
            lingering = {one for one in seen if one.leaving_mono_s is not None}
            there = set(staying(seen))
            if active is None or not (there or lingering):
                continue
            chosen = set(served[name].servers[active])
            self.check_weights(name, dict(served[name].weights))
            assert chosen
            assert chosen <= there | lingering
            healthy = {one for one in there if self.witness.is_proven(written, one)}
            assert healthy <= chosen
            if healthy:
                assert chosen <= there
                assert not any(self.witness.is_unhealthy(written, one) for one in chosen)

    @invariant()
    def no_phase_outlives_its_deadline(self) -> None:
        """P10."""
        for key in self.world.group_keys():
            snapshot = self.world.snapshot(key)
            under_way = snapshot.state.rollout
            if under_way is None:
                continue
            if under_way.step is not None:
                self.check_deadline_of_step(key, snapshot)
                continue
            assert (under_way.deadline_mono_s is None) is self.witness.is_stopped(snapshot)
            if under_way.deadline_mono_s is not None:
                ends_mono_s = self.witness.ends_mono_s(key)
                wakes_mono_s = reconcile(snapshot, self.world.now).wake_mono_s
                assert abs(under_way.deadline_mono_s - self.witness.deadline_mono_s(key)) <= EARLY_S
                if under_way.still_mono_s is not None:
                    continue
                assert self.world.mono_s < ends_mono_s
                assert wakes_mono_s is not None
                assert wakes_mono_s <= ends_mono_s + EARLY_S

    def check_deadline_of_step(self, key: str, snapshot: Snapshot) -> None:
        """Rule 19d: a step has a deadline that stands still with its clock, and nothing else makes it wait for ever."""
        under_way = snapshot.state.rollout
        assert under_way is not None
        assert under_way.deadline_mono_s is not None
        if under_way.still_mono_s is not None or not self.witness.steps.are_active_able(key):
            return
        assert self.world.mono_s < under_way.deadline_mono_s
        wakes_mono_s = reconcile(snapshot, self.world.now).wake_mono_s
        assert wakes_mono_s is not None
        assert wakes_mono_s <= under_way.deadline_mono_s + EARLY_S

    @invariant()
    def what_auto_waits_for_is_a_release_it_has_not_run(self) -> None:
        """Rule 2."""
        for state in self.world.groups.values():
            under_way = state.rollout
            if under_way is None or under_way.is_switched or under_way.trigger is Trigger.COMMAND:
                continue
            for one in under_way.candidates:
                if self.world.services[one.service].active is Wish.AUTO:
                    assert one.release is not None
                    assert one.release not in self.world.states[one.service].settled[one.colour]

    @invariant()
    def nothing_happens_before_the_daemon_wakes(self) -> None:
        for key in self.world.group_keys():
            snapshot, now = self.world.snapshot(key), self.world.now
            wake = reconcile(snapshot, now).wake_mono_s
            assert wake is None or wake > now.mono_s
            later = replace(now, mono_s=now.mono_s + 1e6 if wake is None else (now.mono_s + wake) / 2)
            assert transition(snapshot, later) is None

    def teardown(self) -> None:
        """P9, P10: when nothing but time passes, every rollout that is not held ends, and hardly one begins."""
        if not hasattr(self, "world"):
            return
        begun = self.witness.begun
        for _ in range(50):
            plans = [reconcile(self.world.snapshot(key), self.world.now) for key in self.world.group_keys()]
            wakes = [plan.wake_mono_s for plan in plans if plan.wake_mono_s is not None]
            if not wakes:
                break
            self.world.passes(max(0.0, min(wakes) - self.world.mono_s))
            self.go()
        else:
            pytest.fail("time alone does not bring the daemon to rest")
        assert self.witness.begun - begun <= BEGUN_MOST
        for key in self.world.group_keys():
            snapshot = self.world.snapshot(key)
            rollout = snapshot.state.rollout
            stands_still = rollout is not None and rollout.still_mono_s is not None  # Docker is away (rule 14)
            is_stuck = rollout is not None and rollout.step and not self.witness.steps.are_active_able(key)
            assert rollout is None or stands_still or is_stuck or self.witness.is_stopped(snapshot)


class DaemonInSteps(Daemon):
    """The same, where every release comes in steps (rules 19 to 21)."""

    @initialize(
        canary=canaries,
        sticky=rarely,
        grouped=st.booleans(),
        settle_s=st.sampled_from((0.0, 5.0)),
        mode=st.sampled_from((None, ProbeMode.HTTP, ProbeMode.DOCKER)),
        amount=st.integers(1, 3),
        traefiks=st.integers(0, 2),
        has_apis=st.booleans(),
        gates=st.tuples(rarely, tests, watches),
        moves=st.lists(some_names, min_size=1, max_size=2),
    )
    def start(
        self,
        canary: Canary,
        sticky: bool,
        grouped: bool,
        settle_s: float,
        mode: ProbeMode | None,
        amount: int,
        traefiks: int,
        has_apis: bool,
        gates: tuple[bool, tuple[SmokeTest, ...], float],
        moves: list[tuple[str, ...]],
    ) -> None:
        self.begin(grouped, None, settle_s, mode, True, True, amount, traefiks, has_apis, gates, moves, canary, sticky)

    @rule(name=names, canary=st.one_of(st.none(), canaries))
    def edit_canary(self, name: str, canary: Canary | None) -> None:
        """Members of a group agree on it."""
        group = self.all_services[name].group
        for each in NAMES if group else (name,):
            if self.all_services[each].group == group:
                self.all_services[each] = replace(self.all_services[each], canary=canary)
                if each in self.world.services:
                    self.world.write(self.all_services[each])
        self.go()

    @rule(
        name=names,
        full=rarely,
        force=rarely,
        step=st.sampled_from((None, None, 1, 2)),
        release=st.sampled_from((None, None, "r2")),
        at_once=mostly,
    )
    def promote(self, name: str, full: bool, force: bool, step: int | None, release: str | None, at_once: bool) -> None:
        reason = "it must" if force else None
        self.given(Verb.PROMOTE, name, full=full, force=force, step=step, release=release, reason=reason)
        self.go_if(at_once)

    @rule(name=names, step=st.sampled_from((None, 1, 2, 3)), at_once=mostly)
    def approve_step(self, name: str, step: int | None, at_once: bool) -> None:
        active = self.witness.active(name)
        release = self.witness.release(name, active.other) if active else None
        self.given(Verb.APPROVE, name, release=release, step=step)
        self.go_if(at_once)

    @rule(rounds=st.integers(1, 4), approved=mostly)
    def steps_go_well(self, rounds: int, approved: bool) -> None:
        """Docker, every server and Traefik answer, until as many steps may be over."""
        for _ in range(rounds):
            self.all_goes_well(True)
            for clock in tuple(self.witness.steps.clocks.values()):
                self.world.passes(clock.step.for_s)
            self.go()
            for key, clock in tuple(self.witness.steps.clocks.items()) if approved else ():
                one = self.witness.steps.candidates[key][0]
                self.given(Verb.APPROVE, one.service, release=one.release, step=clock.number)
            self.go()

    @rule(seconds=st.sampled_from(TIMES_S))
    def be_frozen(self, seconds: float) -> None:
        """Rule 14: the process, or its machine, stands still."""
        self.world.freeze(seconds)
        self.witness.checks.clear()
        self.go()


def obeyed(given: Command, snapshot: Snapshot, now: Instant) -> Done | Refused:
    return command(snapshot, given, now)


def _fixed(colour: Colour, version: str | None) -> ByColour[FixedServers | None]:
    nothing: ByColour[FixedServers | None] = ByColour(None, None)
    if version is None:
        return nothing
    return nothing.put(colour, FixedServers((f"http://{colour}.example.com",), version, version))


PLAYED = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    derandomize=DERANDOMIZED,
    print_blob=True,
    suppress_health_check=[Check.too_slow],
)
TestDaemon = pytest.mark.takes(20)(Daemon.TestCase)
TestDaemon.settings = PLAYED
if not DERANDOMIZED:  # a hunt alone, until it holds for thousands of worlds
    TestDaemonInSteps = pytest.mark.takes(30)(DaemonInSteps.TestCase)
    TestDaemonInSteps.settings = PLAYED
