"""The numbered rules of the design, each played through once; the cases of each are in the tests of its module."""

import ast
import re
from collections.abc import Iterator
from dataclasses import replace
from operator import methodcaller
from pathlib import Path
from typing import Any

import orjson
import pytest

from provider.model import (
    ColourState,
    Deadlines,
    Gate,
    GroupState,
    Health,
    HealthCheck,
    Member,
    Outcome,
    Phase,
    Rollout,
    Router,
    ServiceState,
    SmokeTest,
    Trigger,
    Verb,
    Wish,
)
from provider.model.desired import group_key
from provider.rollout import candidates, confirming, leases, serving
from provider.rollout import health as health_module
from provider.rollout.commands import command
from provider.rollout.commands.types import Command, Done, Refusal, Refused
from provider.rollout.conditions import service_conditions
from provider.rollout.reconcile import reconcile
from provider.traefik.document.render import NO_PASS_THROUGH, assemble, render_service
from tests.support.paths import ROOT
from tests.support.phases import facts
from tests.support.worlds import BLUE, EPOCH, GREEN, Input, Player, World, service

TESTS = ROOT / "tests"
PROMISED = re.compile(r"\bP\d+\b")
CITED = re.compile(r"\b[Rr]ules? (\d+(?:(?:, | and )(?:rule )?\d+)*)")


def after(*story: Input) -> Player:
    """Let each of these happen, and a quarter of a minute go by after it."""
    player = Player(kill_after=None)
    go_on(player, *story)
    return player


def go_on(player: Player, *story: Input, seconds: float = 15.0) -> None:
    for happens in story or (nothing,):
        happens(player.world)
        player.rest(seconds)


def nothing(world: World) -> None:
    """Nothing happens but what happens by itself."""


def write(name: str = "shop", **fields: Any) -> Input:
    return methodcaller("write", service(name, **{"watch_s": 120.0, **fields}))


def edit(**fields: Any) -> Input:
    return methodcaller("edit", "shop", **fields)


def deploy(release: str, colour: Any = GREEN, name: str = "shop") -> Input:
    return methodcaller("replace_all", name, colour, release)


def let(**releases: frozenset[str]) -> Input:
    return methodcaller("let", **releases)


def traefik(**fields: Any) -> Input:
    return methodcaller("set_traefik", "t1", **fields)


def with_api(world: World) -> None:
    world.has_apis = True


def shop(player: Player, name: str = "shop") -> Member:
    world = player.world
    return next(each for each in world.snapshot(group_key(world.services[name])).members if each.service.name == name)


def state(player: Player, name: str = "shop") -> ServiceState:
    return player.world.states.get(name, ServiceState())


def rollout(player: Player, name: str = "shop") -> Rollout | None:
    return player.world.groups[group_key(player.world.services[name])].rollout


def phase(player: Player, name: str = "shop") -> Phase:
    key = group_key(player.world.services[name])
    under_way = player.world.groups[key].rollout if key in player.world.groups else None
    return under_way.phase if under_way else Phase.STEADY


def commanded(player: Player, verb: Verb, name: str = "shop", **fields: Any) -> Done | Refused:
    """Give a command, have it obeyed, and return the answer."""
    world = player.world
    before = world.snapshot(group_key(world.services[name]))
    answer = command(before, Command(verb, name, "ann", **fields), world.now)
    world.command(verb, name, **fields)
    player.decide()
    return answer


def quarantined(player: Player, name: str = "shop") -> list[list[tuple[str, str | None]]]:
    failed = player.world.groups[group_key(player.world.services[name])].quarantined
    return [[(one.service, one.release) for one in each.candidates] for each in failed]


BLUE_RUNS = (write(), deploy("r1", BLUE), World.connect)
SWITCHED = (*BLUE_RUNS, deploy("r2"))
GROUP_RUNS = (
    *(step for name in ("pay", "shop") for step in (write(name, group="store"), deploy("r1", BLUE, name))),
    World.connect,
)


# --- 1 --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "colours", "active"),
    [
        ({"active": Wish.GREEN, "initial": BLUE}, (BLUE,), GREEN),
        ({"initial": GREEN}, (BLUE, GREEN), GREEN),
        ({}, (GREEN,), GREEN),
        ({}, (BLUE, GREEN), None),
    ],
)
def test_rule_1_first_sight_takes_the_file_then_initial_then_the_only_colour(
    fields: dict[str, Any], colours: tuple[Any, ...], active: Any
) -> None:
    """Rule 1."""
    player = after(write(**fields), *(deploy(f"r-{colour}", colour) for colour in colours))
    assert state(player).active is None, "before the first complete list, servers are unknown, not none"
    assert serving.first_document_waits_for([shop(player)], 3600.0) is not None
    go_on(player, World.connect)
    assert state(player).active is active
    assert phase(player) is Phase.STEADY


def test_rule_1_an_undecided_service_is_shown_so_holds_the_first_document_up_and_is_settled_by_switch() -> None:
    """Rule 1."""
    player = after(write(), deploy("r1", BLUE), deploy("r2"), World.connect)
    of = player.world.snapshot("shop")
    assert "bluegreen switch shop" in str(facts(of, player.world.now).blocking)
    assert "undecided" in str(serving.first_document_waits_for(of.members, 3600.0))
    assert isinstance(commanded(player, Verb.SWITCH, colour=GREEN), Done)
    assert state(player).active is GREEN
    assert phase(player) is Phase.STEADY
    assert serving.first_document_waits_for([shop(player)], 0.0) is None


# --- 2 --------------------------------------------------------------------------------------------------------------


def test_rule_2_auto_wants_a_new_release_once_and_a_named_colour_at_any_time() -> None:
    """Rule 2."""
    player = after(*BLUE_RUNS, write(watch_s=0.0), deploy("r2"))
    assert state(player).active is GREEN
    go_on(player, deploy("r2"), deploy("r1", BLUE))
    assert state(player).active is GREEN, "blue's r1 is settled"
    go_on(player, edit(active=Wish.BLUE))
    assert state(player).active is BLUE


@pytest.mark.parametrize("how", ["hold", "pause"])
def test_rule_2_hold_and_pause_stop_forward_rollouts_and_rollback_stays_possible(how: str) -> None:
    """Rule 2."""
    player = after(*BLUE_RUNS, write(watch_s=0.0), deploy("r2"))
    go_on(player, edit(hold=True) if how == "hold" else methodcaller("command", Verb.PAUSE, "shop"), deploy("r3", BLUE))
    assert (state(player).active, phase(player)) == (GREEN, Phase.STEADY)
    go_on(player, deploy("r1", BLUE))
    assert isinstance(commanded(player, Verb.ROLLBACK), Done)
    assert state(player).active is BLUE


# --- 3 --------------------------------------------------------------------------------------------------------------


def test_rule_3_the_active_colour_is_served_as_it_stands_and_its_replacement_is_recorded() -> None:
    """Rule 3."""
    player = after(*BLUE_RUNS, methodcaller("start", "shop", BLUE, "r9"))
    assert health_module.colour_state(shop(player), BLUE) is ColourState.MIXED
    assert {each.release for each in player.world.served["shop"].servers[BLUE]} == {"r1", "r9"}
    go_on(player, deploy("r9", BLUE))
    assert state(player).replaced is not None
    assert "replaced" in [each.code for each in service_conditions(shop(player), GroupState(), {}, EPOCH)]
    assert phase(player) is Phase.STEADY


def test_rule_3_healthy_servers_are_served_and_all_of_them_when_none_is() -> None:
    """Rule 3."""
    player = after(*BLUE_RUNS, methodcaller("start", "shop", BLUE, "r9"), let(sick=frozenset({"r9"})))
    assert [each.release for each in player.world.served["shop"].servers[BLUE]] == ["r1"]
    go_on(player, let(sick=frozenset({"r1", "r9"})))
    assert len(player.world.served["shop"].servers[BLUE]) == 2


def test_rule_3_a_replacement_restarts_an_open_watch() -> None:
    """Rule 3."""
    player = after(*SWITCHED)
    before = rollout(player)
    go_on(player, deploy("r9"))
    restarted = rollout(player)
    assert before is not None
    assert restarted is not None
    assert restarted.phase is before.phase is Phase.WATCHING
    assert restarted.entered_mono_s > before.entered_mono_s


def test_rule_3_servers_of_the_last_document_stay_after_a_restart_until_proven_unhealthy() -> None:
    """Rule 3."""
    player = after(*BLUE_RUNS)
    player.world.restart(mono_s=5.0)
    of = player.world.snapshot("shop").members[0]
    assert health_module.assess(of, of.observed[BLUE].servers[0]).health is Health.UNKNOWN
    served = serving.serve(of)
    assert served is not None
    assert len(served.servers[BLUE]) == 1


# --- 4 --------------------------------------------------------------------------------------------------------------


def test_rule_4_a_leaving_server_goes_at_once_and_the_last_one_stays_while_it_runs() -> None:
    """Rule 4; what Docker says of leaving is in tests/integration/test_containers.py."""
    player = after(*BLUE_RUNS, methodcaller("start", "shop", BLUE, "r1"))
    world = player.world
    first, last = world.containers["shop", BLUE]
    for each in (first, last):
        world.change("shop", BLUE, each, replace(each, leaving_mono_s=world.mono_s))
        world.notice("shop", BLUE)
        player.rest(0.0)
        assert [one.url for one in world.served["shop"].servers[BLUE]] == [last.url]
    player.rest(59.0)
    assert [one.url for one in world.served["shop"].servers[BLUE]] == [last.url], "it runs, and there is no other"
    world.containers["shop", BLUE] = ()
    world.notice("shop", BLUE)
    player.rest(0.0)
    assert world.served["shop"].servers[BLUE] == ()
    assert state(player).active is BLUE, "the colour keeps its place"


# --- 5 --------------------------------------------------------------------------------------------------------------


def test_rule_5_the_health_gate_wants_every_server_healthy_unchanged_and_enough_of_them() -> None:
    """Rule 5."""
    player = after(*BLUE_RUNS, methodcaller("start", "shop", BLUE, "r1"), edit(settle_s=5.0))
    go_on(player, deploy("r2"), seconds=4.0)
    assert "1 of at least 2 servers" in str(candidates.holding_up(player.world.snapshot("shop"), player.world.now))
    go_on(player, methodcaller("start", "shop", GREEN, "r2"), seconds=4.9)
    assert "must stay the same for 5s" in str(candidates.holding_up(player.world.snapshot("shop"), player.world.now))
    go_on(player, seconds=0.2)
    go_on(player)
    assert state(player).active is GREEN


def test_rule_5_what_is_unknown_neither_passes_nor_fails() -> None:
    """Rule 5."""
    player = after(*BLUE_RUNS)
    player.world.start("shop", GREEN, "r2", docker_health=Health.UNKNOWN)
    go_on(player, nothing, nothing)
    assert phase(player) is Phase.WAITING
    assert quarantined(player) == []


# --- 6 --------------------------------------------------------------------------------------------------------------


def test_rule_6_the_candidate_is_listed_once_more_and_without_docker_nothing_is_switched() -> None:
    """Rule 6."""
    player = after(*BLUE_RUNS, edit(approval_is_manual=True), deploy("r2"), World.disconnect)
    assert phase(player) is Phase.APPROVAL
    go_on(player, methodcaller("command", Verb.APPROVE, "shop", release="r2"))
    assert (state(player).active, phase(player)) == (BLUE, Phase.WAITING)
    player.world.docker_connected = True
    player.world.put(player.world.state.docker_connected(connected=True))
    player.decide()
    assert (state(player).active, phase(player)) == (BLUE, Phase.SHIFTING)
    assert reconcile(player.world.snapshot("shop"), player.world.now).relist == {"shop"}
    go_on(player)
    assert state(player).active is GREEN


def test_rule_6_a_new_release_supersedes_without_quarantine_and_begins_again() -> None:
    """Rule 6."""
    player = after(*BLUE_RUNS, let(sick=frozenset({"r2"})), deploy("r2"), deploy("r3"))
    assert player.ended["shop", "r2", "superseded"] == 1
    assert quarantined(player) == []
    assert state(player).settled.green == {"r3"}


def test_rule_6_deploy_names_the_release_it_wants() -> None:
    """Rule 6."""
    player = after(*BLUE_RUNS, edit(hold=True), deploy("r3"), edit(hold=False, active=Wish.BLUE))
    answer = commanded(player, Verb.SWITCH, colour=GREEN, release="r2")
    assert answer == Refused(Refusal.STALE, "green of shop runs release r3, not r2")


# --- 7 --------------------------------------------------------------------------------------------------------------


def test_rule_7_a_new_error_of_traefiks_is_negative_evidence() -> None:
    """Rule 7."""
    player = after(with_api, traefik(dislikes=frozenset({"shop-green"})), *SWITCHED)
    assert state(player).active is BLUE
    assert player.ended["shop", "r2", "rolled-back"] == 1
    assert quarantined(player) == [[("shop", "r2")]]


def test_rule_7_old_weights_after_the_fetch_are_negative_evidence_at_the_deadline() -> None:
    """Rule 7."""
    player = after(with_api, *BLUE_RUNS, traefik(applies=False), deploy("r2"))
    assert (state(player).active, phase(player)) == (GREEN, Phase.CONFIRMING)
    go_on(player, nothing, nothing)
    assert state(player).active is BLUE


@pytest.mark.parametrize(
    "trouble",
    [{"polls": False}, {"answers": False}, {"polls": False, "answers": False}],
    ids=["does not poll", "API unreachable", "gone"],
)
def test_rule_7_no_evidence_leaves_it_switched_and_unconfirmed(trouble: dict[str, Any]) -> None:
    """Rule 7."""
    player = after(with_api, *BLUE_RUNS, traefik(**trouble), deploy("r2"))
    assert (state(player).active, phase(player)) == (GREEN, Phase.CONFIRMING)
    assert confirming.unconfirmed(shop(player), None) is not None
    go_on(player, nothing, nothing)
    assert (state(player).active, phase(player)) == (GREEN, Phase.WATCHING)
    assert confirming.unconfirmed(shop(player), None) is not None


def test_rule_7_nobody_polling_is_no_confirmation() -> None:
    """Rule 7."""
    player = after(traefik(polls=False), *SWITCHED)
    assert confirming.unconfirmed(shop(player), None) == "nobody polls the document"
    go_on(player, nothing, nothing)
    assert (state(player).active, phase(player)) == (GREEN, Phase.WATCHING)


# --- 8 --------------------------------------------------------------------------------------------------------------


def test_rule_8_a_release_that_fails_while_the_rollback_target_passes_is_left() -> None:
    """Rule 8."""
    player = after(*SWITCHED)
    assert phase(player) is Phase.WATCHING
    go_on(player, let(sick=frozenset({"r2"})), seconds=60.0)
    assert state(player).active is BLUE
    assert player.ended["shop", "r2", "rolled-back"] == 1


def test_rule_8_lost_containers_count_as_unhealthy() -> None:
    """Rule 8."""
    player = after(*SWITCHED)
    go_on(player, methodcaller("stop_all", "shop", GREEN), seconds=60.0)
    assert state(player).active is BLUE


def test_rule_8_a_shared_outage_rolls_nothing_back_and_the_watch_ends() -> None:
    """Rule 8."""
    player = after(*SWITCHED)
    go_on(player, let(sick=frozenset({"r1", "r2"})), seconds=60.0)
    assert (state(player).active, phase(player)) == (GREEN, Phase.WATCHING)
    go_on(player, seconds=300.0)
    assert (state(player).active, phase(player)) == (GREEN, Phase.STEADY)
    assert player.ended["shop", "r2", "switched"] == 1


@pytest.mark.parametrize("over", [True, False])
def test_rule_8_the_end_of_a_shared_outage_differs_from_a_bad_release_though_one_pass_is_enough(over: bool) -> None:
    """Rule 8: with `healthyAfter: 1`, and the target checked first after it; the next check of the release decides."""
    player = after(*SWITCHED, edit(health_check=HealthCheck(healthy_after=1)))
    assert phase(player) is Phase.WATCHING
    for colour, health in (
        (GREEN, Health.UNHEALTHY),
        (BLUE, Health.UNHEALTHY),
        (BLUE, Health.HEALTHY),
        (GREEN, Health.HEALTHY if over else Health.UNHEALTHY),
    ):
        assert state(player).active is GREEN
        player.world.passes(0.5)
        (one,) = player.world.servers("shop", colour)
        player.world.check("shop", one.key, health)
        player.decide()
    assert state(player).active is (GREEN if over else BLUE)


def test_rule_8_outside_the_watch_an_operator_is_notified_and_nothing_is_done() -> None:
    """Rule 8."""
    player = after(*SWITCHED)
    go_on(player, seconds=200.0)
    assert phase(player) is Phase.STEADY
    go_on(player, let(sick=frozenset({"r2"})))
    of = shop(player)
    (told,) = [each for each in service_conditions(of, GroupState(), of.health, EPOCH) if each.code == "none-healthy"]
    assert "bluegreen rollback shop" in told.message
    assert state(player).active is GREEN


# --- 9 --------------------------------------------------------------------------------------------------------------


def test_rule_9_rollback_takes_exactly_that_release_and_force_waives_its_health_alone() -> None:
    """Rule 9."""
    player = after(*SWITCHED, edit(watch_s=0.0), let(sick=frozenset({"r1"})))
    refused = commanded(player, Verb.ROLLBACK, leaving="r2")
    assert isinstance(refused, Refused)
    assert "--force with a --reason waives its health" in refused.detail
    assert isinstance(commanded(player, Verb.ROLLBACK, leaving="r2", force=True, reason="it burns"), Done)
    assert state(player).active is BLUE
    again = commanded(player, Verb.ROLLBACK, leaving="r2")
    assert isinstance(again, Done)
    assert again.already, "two operators at 3 a.m."


def test_rule_9_another_release_in_its_colour_is_no_rollback_target() -> None:
    """Rule 9."""
    player = after(*SWITCHED, edit(hold=True), deploy("r3", BLUE))
    refused = commanded(player, Verb.ROLLBACK, force=True, reason="it burns")
    assert isinstance(refused, Refused)
    assert refused.code is Refusal.NOT_READY
    assert refused.detail.startswith("shop cannot be rolled back: blue runs r3, not r1; ")


@pytest.mark.parametrize("how", ["file", "switch"])
def test_rule_9_the_rollback_target_by_file_or_switch_needs_its_present_health_and_quarantines_nothing(
    how: str,
) -> None:
    """Rule 9."""
    player = after(*SWITCHED, edit(approval_is_manual=True, settle_s=3600.0))
    by_command = methodcaller("command", Verb.SWITCH, "shop", colour=BLUE)
    go_on(player, edit(active=Wish.BLUE) if how == "file" else by_command)
    assert state(player).active is BLUE
    assert quarantined(player) == []


# --- 10 -------------------------------------------------------------------------------------------------------------

ENDS_AN_OVERRIDE = {
    "a new release": (deploy("r3"),),
    "an edit of active": (edit(active=Wish.BLUE),),
    "retry": (methodcaller("command", Verb.RETRY, "shop"),),
    "switch": (methodcaller("command", Verb.SWITCH, "shop", colour=BLUE),),
}
LEAVES_IT = {
    "another edit": (edit(settle_s=1.0, hold=True),),
    "a restart of the release": (deploy("r2"),),
    "its colour is empty": (methodcaller("stop_all", "shop", GREEN),),
    "pause and resume": (methodcaller("command", Verb.PAUSE, "shop"), methodcaller("command", Verb.RESUME, "shop")),
    "the daemon is restarted": (methodcaller("restart", 5.0),),
}


def rolled_back() -> Player:
    return after(*SWITCHED, methodcaller("command", Verb.ROLLBACK, "shop", reason="errors"))


@pytest.mark.parametrize("story", LEAVES_IT.values(), ids=LEAVES_IT.keys())
def test_rule_10_a_rollback_stands_against_everything_else(story: tuple[Input, ...]) -> None:
    """Rule 10."""
    player = rolled_back()
    go_on(player, *story)
    override = state(player).override
    assert override is not None
    assert (override.colour, override.rejected, override.reason, override.actor) == (BLUE, "r2", "errors", "ann")
    assert state(player).active is BLUE


@pytest.mark.parametrize("story", ENDS_AN_OVERRIDE.values(), ids=ENDS_AN_OVERRIDE.keys())
def test_rule_10_what_ends_an_override(story: tuple[Input, ...]) -> None:
    """Rule 10."""
    player = rolled_back()
    assert state(player).override is not None
    go_on(player, *story)
    assert state(player).override is None


def test_rule_10_an_abort_stands_too() -> None:
    """Rule 10."""
    player = after(*BLUE_RUNS, edit(active=Wish.GREEN, approval_is_manual=True), deploy("r2"))
    go_on(player, methodcaller("command", Verb.ABORT, "shop", reason="wrong build"))
    override = state(player).override
    assert override is not None
    assert (override.colour, override.rejected) == (BLUE, "r2")
    assert phase(player) is Phase.STEADY


# --- 11 -------------------------------------------------------------------------------------------------------------


def test_rule_11_a_group_waits_for_its_members_moves_together_and_goes_back_together() -> None:
    """Rule 11."""
    player = after(*GROUP_RUNS)
    player.world.start("pay", GREEN, "p1")
    player.world.start("pay", GREEN, "p2")
    go_on(player, deploy("r2"))
    assert phase(player) is Phase.WAITING
    assert "standby of pay" in str(candidates.holding_up(player.world.snapshot("@store"), player.world.now))
    go_on(player, deploy("p2", name="pay"))
    assert (state(player, "pay").active, state(player).active) == (GREEN, GREEN)
    go_on(player, let(sick=frozenset({"p2"})), seconds=60.0)
    assert (state(player, "pay").active, state(player).active) == (BLUE, BLUE)
    assert quarantined(player) == [[("pay", "p2"), ("shop", "r2")]]


def test_rule_11_all_are_rolled_back_or_none() -> None:
    """Rule 11."""
    player = after(*GROUP_RUNS, edit(hold=True), deploy("r2"), deploy("p2", name="pay"), edit(hold=False))
    go_on(player, methodcaller("stop_all", "shop", BLUE), let(sick=frozenset({"p2"})), seconds=60.0)
    assert (state(player, "pay").active, state(player).active) == (GREEN, GREEN)
    refused = commanded(player, Verb.ROLLBACK, "pay")
    assert refused == Refused(Refusal.NOT_READY, "shop cannot be rolled back: blue has no servers any more")


def test_rule_11_each_member_moves_to_its_own_standby_and_one_without_a_candidate_stays() -> None:
    """Rule 11."""
    player = after(
        write("cart", group="store"),
        deploy("c1", BLUE, "cart"),
        write("pay", group="store"),
        deploy("p1", GREEN, "pay"),
        write(group="store", hold=True),
        deploy("r1", BLUE),
        World.connect,
        deploy("p2", BLUE, "pay"),
        deploy("r2"),
        edit(hold=False),
    )
    assert [state(player, name).active for name in ("cart", "pay", "shop")] == [BLUE, BLUE, GREEN]
    go_on(player, methodcaller("write", service("news", group="store")))
    assert player.ended["shop", "r2", "superseded"] == 1, "changed membership supersedes"


@pytest.mark.parametrize("fields", [{"approval_is_manual": True}, {"watch_s": 900.0}], ids=["before", "after"])
@pytest.mark.parametrize("group", [None, "store"])
def test_rule_11_changed_membership_supersedes_also_the_rollout_of_a_service_that_moves(
    fields: dict[str, Any], group: str | None
) -> None:
    """Rule 11: before the switch and after it, without quarantine."""
    player = after(*BLUE_RUNS, edit(group=group, **fields), deploy("r2"))
    under_way = rollout(player)
    assert under_way is not None
    go_on(player, edit(group="other"))
    assert player.ended == {("shop", "r2", "superseded"): 1}
    assert quarantined(player) == []
    assert (rollout(player) is None) is under_way.is_switched


@pytest.mark.parametrize(("before", "then"), [(None, "store"), ("store", None), ("store", "other")])
def test_rule_11_a_service_that_changes_its_group_stays_paused(before: str | None, then: str | None) -> None:
    """Rules 2 and 11: an edit never lifts what an operator said; `resume` does, and then it stays lifted."""
    player = after(*BLUE_RUNS, edit(group=before))
    commanded(player, Verb.PAUSE, reason="inventory")
    go_on(player, edit(group=then), deploy("r2"))
    held = candidates.held_by(player.world.snapshot(group_key(player.world.services["shop"])))
    assert held == "paused by ann (inventory); go on with: bluegreen resume shop"
    commanded(player, Verb.RESUME)
    go_on(player)
    assert state(player).active is GREEN
    go_on(player, edit(group=before), seconds=200.0)
    go_on(player, deploy("r3", BLUE))
    assert state(player).active is BLUE


def test_rule_11_a_service_that_is_not_decided_yet_stays_paused_too() -> None:
    """Rules 1, 2 and 11."""
    player = after(write(group="store"), deploy("r1", BLUE), deploy("r2"), World.connect)
    commanded(player, Verb.PAUSE)
    go_on(player, edit(group="other", active=Wish.BLUE), edit(active=Wish.AUTO), deploy("r3"))
    assert state(player).active is BLUE
    assert rollout(player) is None
    commanded(player, Verb.RESUME)
    go_on(player)
    assert state(player).active is GREEN


def test_rule_11_what_failed_goes_along_and_what_was_forgiven_elsewhere_does_not_come_back() -> None:
    """Rule 11, P9: it is not tried again because its group has another name."""
    player = after(*GROUP_RUNS, let(sick=frozenset({"r2"})), deploy("r2"), deploy("r2", name="pay"))
    commanded(player, Verb.ABORT)
    go_on(player, let(sick=frozenset()), edit(group=None))
    together = [("pay", "r2"), ("shop", "r2")]
    assert (quarantined(player), quarantined(player, "pay")) == ([together], [together])
    commanded(player, Verb.RETRY)
    go_on(player, seconds=200.0)
    assert (state(player).active, state(player, "pay").active) == (GREEN, BLUE)
    go_on(player, edit(group="store"))
    assert quarantined(player) == [[("pay", "r2")]]


# --- 12 -------------------------------------------------------------------------------------------------------------

TESTED = {"smoke_tests": (SmokeTest("home"),), "approval_is_manual": True}


def test_rule_12_an_edit_of_a_router_is_published_at_once_and_leaves_the_rollout_alone() -> None:
    """Rule 12."""
    player = after(*BLUE_RUNS, edit(approval_is_manual=True), deploy("r2"))
    before = rollout(player)
    go_on(player, edit(routers=(Router("shop", "Host(`www.example.com`)", {}),), preview=None))
    assert player.world.served["shop"].service.routers[0].rule == "Host(`www.example.com`)"
    assert rollout(player) == before


def test_rule_12_another_definition_of_a_gate_voids_its_evidence_and_no_other() -> None:
    """Rule 12."""
    player = after(*BLUE_RUNS, edit(**TESTED), deploy("r2"))
    assert phase(player) is Phase.APPROVAL
    go_on(player, let(silent=frozenset({"r2"})), edit(settle_s=1.0))
    assert phase(player) is Phase.APPROVAL, "settle is no smoke test"
    go_on(player, edit(smoke_tests=(SmokeTest("home", status=204),)))
    assert phase(player) is Phase.TESTING
    found = candidates.gates_of(player.world.snapshot("shop"), wanted_one(player), player.world.now)
    assert (found[Gate.HEALTH].lets_through, found[Gate.SMOKE].lets_through) == (True, False)


def wanted_one(player: Player) -> Any:
    (one,) = candidates.candidates(player.world.snapshot("shop"))
    return one


def test_rule_12_approval_acts_at_once_and_deadlines_from_the_next_phase() -> None:
    """Rule 12."""
    player = after(*BLUE_RUNS, edit(approval_is_manual=True), deploy("r2"))
    before = rollout(player)
    go_on(player, edit(deadlines=Deadlines(approval_s=1.0, confirming_s=7.0)))
    assert rollout(player) == before
    go_on(player, traefik(polls=False), methodcaller("hang_up", "t1"), seconds=0.0)
    go_on(player, edit(approval_is_manual=False), seconds=0.0)
    switched = rollout(player)
    assert switched is not None
    assert (switched.phase, switched.deadline_mono_s) == (Phase.CONFIRMING, switched.entered_mono_s + 7.0)


def test_rule_12_removing_a_service_aborts_its_rollout_and_remembers_its_colour() -> None:
    """Rule 12; a reload that leaves no services is in test_config.py."""
    player = after(*SWITCHED, edit(approval_is_manual=True, watch_s=0.0))
    go_on(player, seconds=200.0)
    go_on(player, deploy("r3", BLUE), methodcaller("remove", "shop"))
    assert player.ended["shop", "r3", "aborted"] == 1
    go_on(player, write(initial=BLUE))
    assert state(player).active is GREEN


# --- 14 -------------------------------------------------------------------------------------------------------------


def test_rule_14_being_down_passes_and_expires_nothing() -> None:
    """Rule 14."""
    player = after(*BLUE_RUNS, let(sick=frozenset({"r2"})), deploy("r2"))
    player.world.passes(3600.0)
    player.world.restart(mono_s=5.0)
    go_on(player)
    under_way = rollout(player)
    assert under_way is not None
    assert (under_way.phase, under_way.deadline_mono_s) == (Phase.WAITING, 605.0)


@pytest.mark.parametrize(("down_s", "outcome"), [(3600.0, None), (90_000.0, Outcome.EXPIRED)])
def test_rule_14_an_approval_keeps_its_date(down_s: float, outcome: Outcome | None) -> None:
    """Rule 14."""
    player = after(*BLUE_RUNS, edit(approval_is_manual=True), deploy("r2"))
    before = rollout(player)
    assert before is not None
    player.world.passes(down_s)
    player.world.restart(mono_s=5.0)
    go_on(player)
    under_way = rollout(player)
    assert (under_way is None) == (outcome is Outcome.EXPIRED)
    assert player.ended["shop", "r2", "expired"] == (outcome is Outcome.EXPIRED)
    if under_way is not None:
        assert under_way.approval_until_utc == before.approval_until_utc


def test_rule_14_an_approval_has_no_date_while_its_rollout_is_held() -> None:
    """Rules 2 and 14, P10: it was asked for, its smoke tests changed, and it is held until long after its date."""
    player = after(*BLUE_RUNS, edit(approval_is_manual=True), deploy("r2"))
    go_on(player, let(silent=frozenset({"r2"})), edit(smoke_tests=(SmokeTest("home"),)))
    assert phase(player) is Phase.TESTING
    go_on(player, edit(hold=True), seconds=90_000.0)
    player.world.edit("shop", hold=False)
    player.world.restart(mono_s=5.0)
    go_on(player, let())
    player.rest(15.0)
    assert phase(player) is Phase.TESTING
    go_on(player, let(silent=frozenset()), seconds=80_000.0)
    assert phase(player) is Phase.APPROVAL
    go_on(player, seconds=10_000.0)
    assert player.ended["shop", "r2", "expired"] == 1


# --- 15 -------------------------------------------------------------------------------------------------------------


def document(player: Player) -> dict[str, Any]:
    made: dict[str, Any] = orjson.loads(
        assemble([render_service(each) for each in player.world.served.values()], NO_PASS_THROUGH).body
    )
    return made["http"]  # type: ignore[no-any-return]


def test_rule_15_a_colour_appears_only_with_weight_or_a_preview() -> None:
    """Rule 15; refused names and pass-through are in test_config.py, the shape in test_render.py."""
    rule = "Host(`preview.shop.example.com`)"
    player = after(*BLUE_RUNS, edit(hold=True), deploy("r2"))
    assert document(player)["services"].keys() == {"shop", "shop-blue"}
    go_on(player, edit(preview=Router("shop-preview", rule, {"rule": rule})))
    made = document(player)
    assert made["services"].keys() == {"shop", "shop-blue", "shop-green"}
    assert made["routers"]["shop-preview"]["service"] == "shop-green"
    assert made["routers"]["shop-preview"]["priority"] == made["routers"]["shop"]["priority"] + 100
    assert [child["name"] for child in made["services"]["shop"]["weighted"]["services"]] == ["shop-blue"]


def test_rule_15_the_document_carries_the_marker_by_which_traefik_proves_it() -> None:
    """Rule 15."""
    player = after(*BLUE_RUNS)
    before = player.world.document
    go_on(player, deploy("r2"))
    assert before is not None
    assert player.world.document is not None
    assert re.fullmatch(r"bluegreen-[0-9a-f]{12}", before.marker)
    assert before.marker.encode() in before.body
    assert player.world.document.marker != before.marker


# --- 17 -------------------------------------------------------------------------------------------------------------


def leased(player: Player, holder: str, *, force: bool = False) -> Done | Refused:
    world = player.world
    of, reason = world.snapshot("shop"), "it cannot wait" if force else None
    answer = leases.take(of, "shop", holder, f"lease of {holder}", world.now, force=force, reason=reason)
    if isinstance(answer, Done):
        world.commit("shop", answer.snapshot)
    return answer


def test_rule_17_one_deployment_at_a_time_and_none_while_the_rollback_target_is_needed() -> None:
    """Rule 17."""
    player = after(*BLUE_RUNS)
    assert isinstance(leased(player, "ci"), Done)
    refused = leased(player, "cd", force=True)
    assert isinstance(refused, Refused)
    assert (refused.code, "ci deploys shop" in refused.detail) == (Refusal.LEASED, True)
    given = leases.give_back(player.world.snapshot("shop"), "shop", "lease of ci", player.world.now)
    assert isinstance(given, Done)
    player.world.commit("shop", given.snapshot)
    go_on(player, deploy("r2"))
    assert phase(player) is Phase.WATCHING
    busy = leased(player, "cd")
    assert isinstance(busy, Refused)
    assert busy.code is Refusal.BUSY
    assert isinstance(leased(player, "cd", force=True), Done)


def test_rule_17_a_lease_ends_by_itself_after_a_quarter_of_an_hour() -> None:
    """Rule 17."""
    player = after(*BLUE_RUNS)
    leased(player, "ci")
    player.world.passes(899.0)
    assert isinstance(leased(player, "cd"), Refused)
    player.world.passes(1.0)
    assert isinstance(leased(player, "cd"), Done)


@pytest.mark.parametrize("by", [Trigger.COMMAND, Trigger.WATCH])
def test_rule_17_a_rollback_ignores_the_lease_and_warns_its_holder(by: Trigger) -> None:
    """Rule 17."""
    player = after(*SWITCHED)
    leased(player, "ci", force=True)
    happens = methodcaller("command", Verb.ROLLBACK, "shop")
    go_on(player, happens if by is Trigger.COMMAND else let(sick=frozenset({"r2"})), seconds=60.0)
    assert state(player).active is BLUE
    lease = state(player).lease
    assert lease is not None
    assert "green was rolled back" in str(lease.warning)


# --- all of them ----------------------------------------------------------------------------------------------------


def docstrings(*files: Path) -> Iterator[tuple[str, str]]:
    """Return the docstring of each function in these files, after its name."""
    for file in files:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield node.name, (ast.get_docstring(node) or "").replace("traefik-facts, rule", "")


def test_every_rule_is_named_by_the_tests_that_hold_it() -> None:
    """Rules 13, 16 and 18 are of the edges: their tests are elsewhere."""
    words = [text for name, text in docstrings(*TESTS.rglob("test_*.py")) if name.startswith("test_")]
    cited = {number for text in words for rules in CITED.findall(text) for number in re.findall(r"\d+", rules)}
    assert {str(number) for number in range(1, 19)} <= cited


def test_every_promise_is_named_by_the_tests_that_hold_it() -> None:
    """P11 is of the edges: random worlds have no bad input, and the tests of each edge have it."""
    promises = {f"P{number}" for number in range(1, 13)}
    words = [text for name, text in docstrings(*TESTS.rglob("test_*.py")) if name.startswith("test_")]
    assert promises <= set(PROMISED.findall(" ".join(words)))
    always = [
        text for _, text in docstrings(TESTS / "rollout" / "test_properties.py", TESTS / "support" / "witness.py")
    ]
    assert promises - {"P11"} <= set(PROMISED.findall(" ".join(always)))
