"""Which containers are one release (rule 40), and what becomes of ids that were stored by another definition."""

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from provider.controller.outputs import Listeners
from provider.model import (
    ByColour,
    Colour,
    Decision,
    Gate,
    GroupState,
    Member,
    Outcome,
    Override,
    Part,
    Plan,
    Quarantine,
    RollbackTarget,
    Server,
    ServiceState,
    Snapshot,
    Verb,
    Wish,
)
from provider.rollout import gates, rollback_target
from provider.rollout.commands import command
from provider.rollout.commands.types import Command, Done, Refused
from provider.rollout.reconcile import reconcile
from tests.support.paths import ROOT
from tests.support.phases import OLD, begun
from tests.support.running import running
from tests.support.waiting import eventually
from tests.support.worlds import BLUE, EPOCH, GREEN, at, candidate, member, runs, server, service, snapshot

RECORDED = ROOT / "tests" / "states" / "0.1.sql"
WEB1 = server(2, "id1", unit="shop-green/web1", kin="k2")
WEB2 = server(3, "id2", unit="shop-green/web2", kin="k2")
BOTH = "id1+id2"
NOW_R2 = server(2, "n2", former=("r2",))
FRESH_R1 = server(1, "n1", former=("r1",))


def planned(*members: Member, state: GroupState | None = None) -> Plan:
    return reconcile(snapshot(*members, state=state), at())


def events(plan: Plan) -> list[str]:
    return [row.event for row in plan.decisions]


def state_of(plan: Plan) -> ServiceState:
    return plan.states["shop"]


# --- several services of a compose file -----------------------------------------------------------------------------


def test_services_of_one_image_and_version_are_one_release() -> None:
    """Rule 40: it is the set of their ids."""
    assert runs(WEB1, WEB2).release == BOTH
    plan = planned(member(blue=runs(OLD), green=runs(WEB1, WEB2)))
    assert events(plan)[0] == "begun"
    assert plan.group.rollout is not None
    assert plan.group.rollout.candidates == (candidate(BOTH),)


@pytest.mark.parametrize(
    "other",
    [
        replace(WEB2, kin="k9"),
        replace(WEB2, unit=None),
        replace(WEB2, unit="shop-green/web1"),
        replace(WEB2, unit=None, kin=None),
    ],
    ids=["another image", "no service of Compose's", "one service, two configurations", "a plain container"],
)
def test_anything_else_with_another_id_makes_a_colour_mixed(other: Server) -> None:
    """Rule 40."""
    assert runs(WEB1, other).release is None
    assert runs(WEB1, other).releases == {"id1", "id2"}


def of_both(green: tuple[Server, ...], settled: str | None = BOTH, active: Colour = BLUE) -> Member:
    known = ByColour(frozenset({"r1"}), frozenset({settled} if settled else ()))
    return member(active=active, blue=runs(OLD), green=runs(*green), settled=known)


@pytest.mark.parametrize("green", [(WEB1, WEB2), (WEB1,), (WEB2,)])
def test_a_service_that_stops_is_no_new_release(green: tuple[Server, ...]) -> None:
    """Rule 40: auto wants a set only for an id that is not settled."""
    assert events(planned(of_both(green))) == []
    assert events(planned(of_both(green, active=GREEN))) == [], "neither replaced, nor forgotten"


def test_a_service_with_other_settings_is_a_new_release() -> None:
    assert events(planned(of_both((WEB1, replace(WEB2, release="id3")))))[0] == "begun"


def test_what_was_mixed_for_an_older_version_is_settled_as_one_and_not_replaced() -> None:
    known = ByColour(frozenset({"id1", "id2"}), frozenset[str]())
    plan = planned(member(blue=runs(WEB1, WEB2), settled=known))
    assert events(plan) == ["running"]
    assert state_of(plan).settled.blue == {BOTH}


def test_a_part_of_a_candidate_stays_the_candidate_and_does_not_pass() -> None:
    """P1: what was not checked takes no traffic, and a crash of one service begins no rollout after another."""
    of, state = member(blue=runs(OLD), green=runs(WEB1, changed_mono_s=0.0)), begun(candidate(BOTH))
    assert events(planned(of, state=state)) == []
    verdict = gates.TABLE[Gate.HEALTH].verdict(gates.Asked(of, candidate(BOTH), state.rollout, at(), True))
    assert verdict.reason == "green runs a part of release id1+id2: id2 is missing"


def test_a_part_of_what_failed_is_not_tried_by_itself() -> None:
    """P9."""
    failed = Quarantine((candidate(BOTH),), Outcome.ABORTED, "r1", EPOCH)
    assert events(planned(member(blue=runs(OLD), green=runs(WEB1)), state=GroupState(quarantined=(failed,)))) == []


def test_a_part_of_what_was_rejected_lifts_no_override() -> None:
    """Rule 10."""
    override = Override(BLUE, BOTH, "bad", "ann", EPOCH)
    of = member(blue=runs(OLD), green=runs(WEB1))
    of = replace(of, state=replace(of.state, override=override))
    assert events(planned(of)) == []
    other = runs(WEB1, replace(WEB2, release="id3"))
    assert events(planned(replace(of, observed=of.observed.put(GREEN, other))))[0] == "override-lifted"


def going_back(blue: tuple[Server, ...], release: str) -> tuple[Member, Snapshot]:
    of = member(active=GREEN, blue=runs(*blue), green=runs(server(4, "r9")))
    of = replace(of, state=replace(of.state, rollback_target=RollbackTarget(BLUE, release, "r1")))
    return of, snapshot(of)


@pytest.mark.parametrize(
    ("blue", "is_ready"),
    [((WEB1, WEB2), True), ((WEB2,), True), ((WEB1, replace(WEB2, release="id3")), False), ((OLD,), False)],
    ids=["all", "one has stopped", "one is another", "another"],
)
def test_a_rollback_target_is_exactly_what_was_active_or_what_is_left_of_it(
    blue: tuple[Server, ...], is_ready: bool
) -> None:
    """Rule 9, P7."""
    of, world = going_back(blue, BOTH)
    assert (rollback_target.not_ready(of, world.state) is None) is is_ready


def test_a_rollback_that_names_the_whole_release_leaves_what_is_left_of_it() -> None:
    """Rule 9: else it would say at 3 a.m. that the release is not active any more, and do nothing."""
    of = member(active=GREEN, blue=runs(OLD), green=runs(WEB1), settled=ByColour(frozenset({"r1"}), frozenset({BOTH})))
    world = snapshot(replace(of, state=replace(of.state, rollback_target=RollbackTarget(BLUE, "r1", "r1"))))
    done = command(world, Command(Verb.ROLLBACK, "shop", "ann", leaving=BOTH), at())
    assert isinstance(done, Done)
    assert not done.already


# --- what differs ---------------------------------------------------------------------------------------------------

SETTINGS = (Part("image", "", "i"), Part("environment", "NODE", "1"), Part("environment", "PATH", "p"))


def parts(*changed: Part) -> tuple[Part, ...]:
    named = {(part.kind, part.name): part for part in (*SETTINGS, *changed)}
    return tuple(named.values())


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ((Part("environment", "NODE", "2"),), "which differ in environment NODE; where that makes no other release"),
        ((Part("image", "", "j"), Part("mount", "/data", "m")), "which differ in image and mount /data"),
        (tuple(Part("environment", f"V{n}", "x") for n in range(7)), "environment V0, V1, V2, V3, V4 and 2 more"),
        ((), ""),
    ],
)
def test_a_mixed_colour_says_what_differs_by_name(changed: tuple[Part, ...], told: str) -> None:
    """Rule 40: never by its value, which may be a secret."""
    green = runs(server(2, "r2", parts=SETTINGS), server(3, "r3", parts=parts(*changed)), changed_mono_s=0.0)
    of = member(service(active=Wish.GREEN), blue=runs(OLD), green=green)
    verdict = gates.TABLE[Gate.HEALTH].verdict(gates.Asked(of, candidate("r2"), None, at(), True))
    assert not verdict.lets_through
    assert told in str(verdict.reason)
    is_fixed_by_the_file = bool(changed) and all(part.kind == "environment" for part in changed)
    assert ("ignoreEnv" in str(verdict.reason)) is is_fixed_by_the_file


# --- ids of before --------------------------------------------------------------------------------------------------


def test_a_release_that_runs_under_a_former_id_is_renamed_before_anything_is_decided() -> None:
    """Rule 40: an upgrade rolls out nothing, and loses no target."""
    settled = ByColour(frozenset({"r1"}), frozenset({"r2"}))
    of = member(active=GREEN, blue=runs(FRESH_R1), green=runs(NOW_R2), settled=settled)
    of = replace(of, state=replace(of.state, rollback_target=RollbackTarget(BLUE, "r1", "r7")))
    plan = planned(of)
    assert set(events(plan)) == {"release-renamed"}
    state = state_of(plan)
    assert state.settled == ByColour(frozenset({"n1"}), frozenset({"n2"}))
    assert state.rollback_target == RollbackTarget(BLUE, "n1", "r7")
    again = reconcile(snapshot(replace(of, state=state)), at())
    assert again.decisions == (), "once"


def test_what_failed_and_what_was_rejected_is_renamed_too() -> None:
    """P9, rule 10: the upgrade forgives nothing."""
    failed = Quarantine((candidate("r2"), candidate("r2", of="pay")), Outcome.ABORTED, "r1", EPOCH)
    of = member(blue=runs(OLD), green=runs(NOW_R2))
    of = replace(of, state=replace(of.state, override=Override(BLUE, "r2", "bad", None, EPOCH)))
    plan = planned(of, state=GroupState(quarantined=(failed,)))
    assert events(plan) == ["release-renamed"]
    assert plan.group.quarantined[0].candidates == (candidate("n2"), candidate("r2", of="pay"))
    override = state_of(plan).override
    assert override is not None
    assert override.rejected == "n2"


def test_a_rollout_under_way_goes_on_with_its_candidate_renamed() -> None:
    plan = planned(member(blue=runs(OLD), green=runs(NOW_R2, changed_mono_s=1000.0)), state=begun(candidate("r2")))
    assert events(plan) == ["release-renamed"]
    assert plan.group.rollout is not None
    assert (plan.group.rollout.id, plan.group.rollout.candidates) == ("r1", (candidate("n2"),))


def test_two_containers_that_were_one_release_by_the_former_definition_are_both_known() -> None:
    """Rule 40: their settings differ, so the colour is mixed; but nothing is new, and the target stays."""
    first, second = server(1, "na", former=("r1",)), server(3, "nb", former=("r1",))
    of = member(
        active=GREEN,
        blue=runs(first, second),
        green=runs(NOW_R2),
        settled=ByColour(frozenset({"r1"}), frozenset({"r2"})),
    )
    of = replace(of, state=replace(of.state, rollback_target=RollbackTarget(BLUE, "r1", None)))
    plan = planned(of)
    assert set(events(plan)) == {"release-renamed"}
    renamed = replace(of, state=state_of(plan))
    assert rollback_target.not_ready(renamed, GroupState()) is None


def test_ids_are_not_carried_from_one_colour_to_the_other() -> None:
    of = member(blue=runs(OLD), green=runs(server(2, "n1", former=("r1",))))
    plan = planned(of)
    assert state_of(plan).settled.blue == {"r1"}


async def test_a_state_directory_of_0_1_is_gone_on_with(tmp_path: Path) -> None:
    """Rule 40: recorded of 0.1 with containers that Compose did not start; blue is its rollback target."""
    with closing(sqlite3.connect(tmp_path / "bluegreen.db")) as connection:
        connection.executescript(RECORDED.read_text())
    blue = Server("http://10.219.0.2:8080", "n1", "1", "2ea6c7aa6206", former=("28d52244",))
    green = Server("http://10.219.0.3:8080", "n2", "2", "8ec29f9a9d13", former=("8ccee0b0",))
    decisions: list[Decision] = []
    async with running(tmp_path, docker=True, listeners=Listeners(on_decision=decisions.append)) as daemon:
        assert daemon.controller.state.states["shop"].rollback_target == RollbackTarget(BLUE, "28d52244", "r1")
        daemon.load(daemon.stored.desired_text or "")
        daemon.controller.inputs.docker_connected(connected=True, cause=None)
        daemon.list_docker(shop=ByColour((blue,), (green,)))
        await daemon.until_served(green=[green.url])
        for colour in Colour:
            await daemon.judge(colour)
        await eventually(lambda: daemon.controller.state.states["shop"].settled.blue == {"n1"})

        def back(snapshot: Snapshot, now: object) -> Done | Refused:
            return command(snapshot, Command(Verb.ROLLBACK, "shop", "ann", leaving="n2"), at())

        assert isinstance(await daemon.controller.command("shop", back), Done)
        await daemon.until_served(blue=[blue.url])
    assert {row.event for row in decisions} == {"release-renamed", "rolled-back"}
