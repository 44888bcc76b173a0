"""What the daemon decides: each rule on its own, and whole stories that are interrupted after every step."""

from dataclasses import replace
from operator import methodcaller
from typing import Any

import pytest

from provider.model import (
    ByColour,
    Colour,
    Deadlines,
    FixedServers,
    GroupState,
    Health,
    Member,
    Observed,
    Outcome,
    Phase,
    Plan,
    Quarantine,
    Server,
    Snapshot,
    Trigger,
    Wish,
)
from provider.reconcile import reconcile
from tests.worlds import (
    BLUE,
    DEADLINE_S,
    EPOCH,
    GREEN,
    NOTHING,
    Input,
    Player,
    World,
    at,
    candidate,
    member,
    runs,
    server,
    service,
    snapshot,
)

OLD, NEW = server(1, "r1"), server(2, "r2")
STALE = runs(NEW, listed_mono_s=999.0)


def shop(green: Observed = NOTHING, **fields: Any) -> Member:
    return member(service(**fields), blue=runs(OLD), green=green)


def planned(*members: Member, state: GroupState | None = None, mono_s: float = 1000.0, **fields: Any) -> Plan:
    return reconcile(snapshot(*members, state=state, **fields), at(mono_s))


def events(plan: Plan) -> list[str]:
    return [row.event for row in plan.decisions]


def seen_again(before: Snapshot, plan: Plan, *observed: tuple[str, Colour, Observed]) -> Snapshot:
    """Show the daemon what it committed, and these colours as they are now."""
    members = [replace(one, state=plan.states[one.service.name]) for one in before.members]
    for name, colour, seen in observed:
        members = [
            replace(one, observed=one.observed.put(colour, seen)) if one.service.name == name else one
            for one in members
        ]
    return replace(before, members=tuple(members), state=plan.group)


# --- first sight ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "blue", "green", "active"),
    [
        ({"active": Wish.GREEN}, runs(OLD), NOTHING, GREEN),
        ({"active": Wish.GREEN, "initial": BLUE}, runs(OLD), runs(NEW), GREEN),
        ({"initial": GREEN}, runs(OLD), runs(NEW), GREEN),
        ({}, runs(OLD), NOTHING, BLUE),
        ({}, NOTHING, runs(NEW), GREEN),
        ({}, runs(OLD), runs(NEW), None),
        ({}, NOTHING, NOTHING, None),
        ({"active": Wish.BLUE}, runs(OLD), Observed(), None),
    ],
)
def test_first_sight_chooses_the_active_colour(
    fields: dict[str, Any], blue: Observed, green: Observed, active: Colour | None
) -> None:
    """Rule 1: the colour named, else initial, else the only one with servers, once Docker's first list is there."""
    plan = planned(member(service(**fields), active=None, blue=blue, green=green))
    assert plan.states["shop"].active is active
    expected = ["first-sight"] if active else ["undecided"] if blue.servers and green.servers else []
    assert events(plan) == expected


def test_where_both_colours_were_seen_one_that_stops_decides_nothing() -> None:
    """Rule 1: a container's restart does not choose production."""
    seen = planned(member(service(), active=None, blue=runs(OLD), green=runs(NEW)))
    one = member(service(), active=None, blue=runs(OLD))
    assert planned(replace(one, state=seen.states["shop"])).decisions == ()
    named = planned(replace(one, service=service(initial=BLUE), state=seen.states["shop"]))
    assert named.states["shop"].active is BLUE
    assert not named.states["shop"].undecided


def test_what_stands_by_at_first_sight_is_not_rolled_out_by_itself() -> None:
    """Rule 1."""
    plan = planned(member(service(initial=BLUE), active=None, blue=runs(OLD), green=runs(NEW)))
    assert plan.states["shop"].settled == ByColour(frozenset({"r1"}), frozenset({"r2"}))
    assert plan.group.rollout is None


def test_a_service_that_comes_back_keeps_its_colour() -> None:
    """Rule 12: removing a service remembers its colour."""
    settled = ByColour(frozenset({"r1"}), frozenset({"r2"}))
    plan = planned(member(service(initial=BLUE), active=GREEN, blue=runs(OLD), settled=settled))
    assert plan.states["shop"].active is GREEN


# --- the active colour ----------------------------------------------------------------------------------------------


def test_a_release_that_replaces_the_active_one_in_place_is_recorded_and_starts_no_rollout() -> None:
    """Rule 3."""
    settled = ByColour(frozenset({"r1"}), frozenset[str]())
    plan = planned(member(blue=runs(server(1, "r7")), settled=settled))
    state = plan.states["shop"]
    assert state.replaced is not None
    assert (state.replaced.release, state.replaced.before) == ("r7", "r1")
    assert state.settled.blue == {"r7"}
    assert plan.group.rollout is None
    [row] = plan.decisions
    assert (row.event, row.colour, row.release, row.trigger) == ("replaced", BLUE, "r7", Trigger.DOCKER)
    assert row.detail == "blue runs r7 instead of r1"


@pytest.mark.parametrize("settled", [frozenset[str](), frozenset({"r1", "r7"})], ids=["the first", "one went"])
def test_a_release_that_was_there_before_replaces_nothing(settled: frozenset[str]) -> None:
    plan = planned(member(blue=runs(OLD), settled=ByColour(settled, frozenset())))
    assert events(plan) == ["running"]
    assert plan.states["shop"].replaced is None


def test_a_replacement_that_is_taken_back_is_forgotten() -> None:
    """Rule 3: `replaced` says what runs, not what ran for a while."""
    before = snapshot(shop())
    both = seen_again(before, planned(shop()), ("shop", BLUE, runs(OLD, server(7, "r7"))))
    mixed = reconcile(both, at())
    assert [row.detail for row in mixed.decisions] == ["blue runs r1, r7"]
    assert mixed.states["shop"].replaced is not None
    again = reconcile(seen_again(both, mixed, ("shop", BLUE, runs(OLD))), at())
    assert again.states["shop"].replaced is None


def test_an_active_colour_without_servers_keeps_what_it_ran() -> None:
    plan = planned(member(blue=NOTHING, settled=ByColour(frozenset({"r1"}), frozenset())))
    assert plan.decisions == ()
    assert plan.states["shop"].settled.blue == {"r1"}


# --- a rollout begins -----------------------------------------------------------------------------------------------


def test_a_new_release_in_the_standby_begins_a_rollout() -> None:
    """Rule 2."""
    plan = planned(shop(STALE))
    assert events(plan) == ["begun", "gates-passed"]
    assert plan.group.rollout is not None
    assert plan.group.rollout.candidates == (candidate("r2"),)
    assert plan.group.rollout.trigger is Trigger.DOCKER


def test_a_named_colour_without_servers_begins_to_wait_for_them() -> None:
    plan = planned(shop(active=Wish.GREEN))
    assert plan.group.rollout is not None
    assert plan.group.rollout.candidates == (candidate(None),)
    assert plan.group.rollout.trigger is Trigger.FILE
    assert plan.wake_mono_s == 1600.0


def test_a_standby_that_is_being_stopped_begins_nothing() -> None:
    leaving = replace(NEW, leaving_mono_s=999.0)
    assert planned(shop(runs(leaving))).decisions == ()


def test_hold_begins_nothing() -> None:
    """Rule 2."""
    assert planned(shop(runs(NEW), hold=True)).decisions == ()


def test_a_quarantined_release_does_not_begin_again() -> None:
    """P9."""
    failed = GroupState(quarantined=(Quarantine((candidate("r2"),), Outcome.EXPIRED, "r1", EPOCH),))
    assert planned(shop(runs(NEW)), state=failed).decisions == ()
    assert "begun" in events(planned(shop(runs(server(2, "r3"))), state=failed))


def test_naming_the_colour_in_the_file_tries_a_quarantined_release_again() -> None:
    """P9: an edit of `active` lifts the quarantine, a reload of the same file does not."""
    failed = GroupState(quarantined=(Quarantine((candidate("r2"),), Outcome.EXPIRED, "r1", EPOCH),))
    of = shop(STALE, active=Wish.GREEN)
    assert planned(of, state=failed).decisions == ()
    edited = replace(of, state=replace(of.state, wish=Wish.AUTO))
    plan = planned(edited, state=failed)
    assert events(plan) == ["desired", "begun", "gates-passed"]
    assert plan.decisions[0].detail == "active: auto -> green"
    assert plan.group.quarantined == ()


def test_an_edit_to_auto_is_remembered_and_lifts_nothing() -> None:
    failed = GroupState(quarantined=(Quarantine((candidate("r2"),), Outcome.EXPIRED, "r1", EPOCH),))
    of = shop(runs(NEW))
    plan = planned(replace(of, state=replace(of.state, wish=Wish.GREEN)), state=failed)
    assert events(plan) == ["desired"]
    assert plan.group.quarantined == failed.quarantined
    assert plan.states["shop"].wish is Wish.AUTO


# --- the switch -----------------------------------------------------------------------------------------------------


def test_the_candidate_is_listed_once_more_before_the_weights_move() -> None:
    """Rule 6."""
    before = snapshot(shop(STALE))
    plan = reconcile(before, at(1000.0))
    assert plan.relist == {"shop"}
    assert plan.states["shop"].active is BLUE
    listed = seen_again(before, plan, ("shop", GREEN, runs(NEW, listed_mono_s=1000.5)))
    plan = reconcile(listed, at(1001.0))
    assert events(plan) == ["shifted"]
    assert plan.decisions[0].outcome is Outcome.SWITCHED
    assert plan.states["shop"].active is GREEN
    assert (plan.group.rollout, plan.relist) == (None, frozenset())


def test_fixed_servers_need_no_list() -> None:
    plan = planned(shop(runs(NEW, from_docker=False, listed_mono_s=None)), docker_connected=False)
    assert plan.states["shop"].active is GREEN
    assert plan.decisions[-1].trigger is Trigger.FILE


@pytest.mark.parametrize(
    ("now_seen", "connected"),
    [
        (NOTHING, True),
        (runs(NEW, changed_mono_s=1000.5), True),
        (runs(NEW, listed_mono_s=1000.5), False),
    ],
    ids=["gone", "changed", "Docker away"],
)
def test_gates_lost_at_the_last_moment_take_the_rollout_back(now_seen: Observed, connected: bool) -> None:
    """P1, rule 6: a release passes every gate at the moment of the switch or does not get traffic."""
    before = snapshot(shop(STALE))
    again = seen_again(before, reconcile(before, at(1000.0)), ("shop", GREEN, now_seen))
    plan = reconcile(replace(again, docker_connected=connected), at(1001.0))
    assert events(plan) == ["gates-lost"]
    assert plan.group.rollout is not None
    assert plan.group.rollout.phase is Phase.WAITING
    assert plan.states["shop"].active is BLUE


def test_hold_freezes_a_rollout_at_its_last_moment() -> None:
    """Rule 2."""
    before = snapshot(shop(STALE))
    again = seen_again(before, reconcile(before, at(1000.0)), ("shop", GREEN, runs(NEW, listed_mono_s=1000.5)))
    held = replace(again, members=tuple(replace(one, service=service(hold=True)) for one in again.members))
    plan = reconcile(held, at(1001.0))
    assert plan.states["shop"].active is BLUE
    assert plan.wake_mono_s is None
    assert reconcile(seen_again(held, plan), at(99999.0)).decisions == ()


# --- the ends of a rollout ------------------------------------------------------------------------------------------


def waiting(*members: Member) -> Snapshot:
    """Show these members a moment after their rollout has begun."""
    before = snapshot(*members)
    plan = reconcile(before, at(1000.0))
    assert plan.group.rollout is not None
    return seen_again(before, plan)


def now_runs(before: Snapshot, one: Server) -> Snapshot:
    """Show the first member with this server alone in green."""
    changed = replace(before.members[0], observed=before.members[0].observed.put(GREEN, runs(one)))
    return replace(before, members=(changed, *before.members[1:]))


SICK = member(service(), blue=runs(OLD), green=runs(NEW), health={NEW: Health.UNHEALTHY})


def test_a_rollout_whose_gates_do_not_pass_expires_at_its_deadline_and_not_before() -> None:
    """P10 and P9."""
    before = waiting(SICK)
    assert reconcile(before, at(1599.9)).decisions == ()
    plan = reconcile(before, at(1600.0))
    [row] = plan.decisions
    assert (row.event, row.outcome) == ("expired", Outcome.EXPIRED)
    assert row.detail == "gate health of shop: 0 of 1 servers healthy; http://10.0.0.2:80 is unhealthy: refused"
    assert [failed.candidates for failed in plan.group.quarantined] == [(candidate("r2"),)]


def test_another_release_supersedes_without_quarantine_and_begins() -> None:
    """Rule 6."""
    before = waiting(SICK)
    plan = reconcile(now_runs(before, server(3, "r3")), at(1010.0))
    assert events(plan) == ["superseded", "begun"]
    assert plan.decisions[0].detail == "now wanted: shop green r3"
    assert plan.group.quarantined == ()
    assert plan.group.rollout is not None
    assert plan.group.rollout.candidates == (candidate("r3"),)


def test_going_back_to_a_settled_release_supersedes_without_quarantine_too() -> None:
    """Rule 6: a new release in the candidate's colour ends the rollout, also where nobody wants that one."""
    sick = replace(SICK, state=replace(SICK.state, settled=ByColour(frozenset({"r1"}), frozenset({"r0"}))))
    before = waiting(sick)
    plan = reconcile(now_runs(before, server(3, "r0")), at(1010.0))
    assert events(plan) == ["superseded"]
    assert plan.decisions[0].detail == "shop green now runs release r0, which is not wanted"
    assert plan.group.quarantined == ()


def test_a_file_that_names_the_active_colour_withdraws_the_rollout() -> None:
    """P8 and P9: ended as aborted, and not tried again by itself."""
    before = waiting(SICK)
    edited = replace(before, members=(replace(before.members[0], service=service(active=Wish.BLUE)),))
    plan = reconcile(edited, at(1010.0))
    assert events(plan) == ["desired", "withdrawn"]
    assert plan.decisions[-1].outcome is Outcome.ABORTED
    assert [failed.candidates for failed in plan.group.quarantined] == [(candidate("r2"),)]


def test_removing_a_service_aborts_its_rollout() -> None:
    """Rule 12."""
    plan = reconcile(replace(waiting(SICK), members=()), at(1010.0))
    assert [row.outcome for row in plan.decisions] == [Outcome.ABORTED]
    assert plan.group.rollout is None


# --- groups ---------------------------------------------------------------------------------------------------------


def pay(**fields: Any) -> Member:
    return member(service("pay"), **{"blue": runs(OLD), "green": runs(NEW), **fields})


def test_the_candidates_of_a_group_switch_together() -> None:
    """Rule 11, P3."""
    plan = planned(pay(), shop(runs(NEW)))
    assert {name: state.active for name, state in plan.states.items()} == {"pay": GREEN, "shop": GREEN}
    assert events(plan).count("shifted") == 2


@pytest.mark.parametrize("green", [STALE, runs(NEW, server(3, "r3"))], ids=["not listed yet", "mixed"])
def test_no_member_of_a_group_switches_before_the_others_can(green: Observed) -> None:
    """Rule 11."""
    plan = planned(pay(), shop(green))
    assert {state.active for state in plan.states.values()} == {BLUE}


def test_a_member_without_a_candidate_neither_moves_nor_blocks() -> None:
    """Rule 11."""
    plan = planned(pay(), shop())
    assert {name: state.active for name, state in plan.states.items()} == {"pay": GREEN, "shop": BLUE}


def test_changed_membership_supersedes() -> None:
    """Rule 11."""
    before = waiting(replace(SICK, service=service("pay")))
    joined = replace(before, members=(*before.members, shop()))
    plan = reconcile(joined, at(1010.0))
    assert events(plan) == ["superseded", "begun"]
    assert plan.decisions[0].detail == "the group now has the members pay, shop"
    assert plan.group.rollout is not None
    assert plan.group.rollout.members == ("pay", "shop")


def test_a_candidate_that_leaves_its_group_is_superseded_without_quarantine() -> None:
    """Rule 11."""
    both = waiting(replace(SICK, service=service("pay")), shop())
    left = replace(both, members=tuple(one for one in both.members if one.service.name == "shop"))
    plan = reconcile(left, at(1010.0))
    assert events(plan) == ["superseded"]
    assert plan.group.quarantined == ()


def test_a_failure_quarantines_the_set_and_another_set_is_tried() -> None:
    """Rule 11."""
    both = waiting(replace(SICK, service=service("pay")), shop(runs(NEW)))
    failed = reconcile(both, at(1600.0))
    assert [quarantine.candidates for quarantine in failed.group.quarantined] == [(candidate(of="pay"), candidate())]
    after = seen_again(both, failed)
    assert reconcile(after, at(1700.0)).decisions == ()
    repaired = seen_again(after, failed, ("pay", GREEN, runs(server(5, "r5"), listed_mono_s=1.0)))
    assert "begun" in events(reconcile(repaired, at(1700.0)))


# --- every story, interrupted after every step ------------------------------------------------------------------


def write(name: str = "shop", **fields: Any) -> Input:
    return methodcaller("write", service(name, **{"deadlines": Deadlines(waiting_s=DEADLINE_S), **fields}))


def edit(name: str = "shop", **fields: Any) -> Input:
    return methodcaller("edit", name, **fields)


def deploy(release: str, colour: Colour = GREEN, name: str = "shop", count: int = 1) -> Input:
    return methodcaller("replace_all", name, colour, release, count)


def sick(*releases: str) -> Input:
    return methodcaller("make_sick", *releases)


def fixed(version: str) -> ByColour[FixedServers | None]:
    return ByColour(
        FixedServers(("http://127.0.0.1:1",), "r1", "r1"), FixedServers(("http://127.0.0.1:2",), version, version)
    )


BLUE_RUNS = (write(), deploy("r1", BLUE), World.connect)
GROUP_RUNS = (
    *(step for name in ("pay", "shop") for step in (write(name, group="storefront"), deploy("r1", BLUE, name))),
    World.connect,
)

STORIES: dict[str, tuple[Input, ...]] = {
    "a release goes live": (*BLUE_RUNS, deploy("r2", count=2)),
    "back and forth by auto": (*BLUE_RUNS, deploy("r2"), deploy("r3", BLUE), deploy("r4")),
    "a sick release expires, the next one goes live": (*BLUE_RUNS, sick("r2"), deploy("r2"), deploy("r3")),
    "a sick release is quarantined, then named": (
        *BLUE_RUNS,
        sick("r2"),
        deploy("r2"),
        methodcaller("passes", 2 * DEADLINE_S),
        sick(),
        edit(active=Wish.GREEN),
    ),
    "named before it runs": (*BLUE_RUNS, edit(active=Wish.GREEN), deploy("r2"), edit(active=Wish.BLUE)),
    "named and taken back": (*BLUE_RUNS, edit(active=Wish.GREEN), edit(active=Wish.AUTO), deploy("r2")),
    "held on the way": (*BLUE_RUNS, edit(hold=True), deploy("r2"), edit(hold=False)),
    "replaced in place": (*BLUE_RUNS, deploy("r5", BLUE), deploy("r2"), deploy("r6")),
    "mixed, then uniform": (*BLUE_RUNS, deploy("r2"), methodcaller("start", "shop", GREEN, "r3"), deploy("r3")),
    "Docker goes away": (*BLUE_RUNS, World.disconnect, deploy("r2"), World.connect),
    "removed and written again": (
        *BLUE_RUNS,
        sick("r2"),
        deploy("r2"),
        methodcaller("remove", "shop"),
        sick(),
        write(),
        deploy("r3"),
    ),
    "initial with both": (write(initial=GREEN), deploy("r1", BLUE), deploy("r2"), World.connect, deploy("r3", BLUE)),
    "undecided until the file names one": (
        write(),
        deploy("r1", BLUE),
        deploy("r2"),
        World.connect,
        methodcaller("stop_all", "shop", BLUE),
        edit(initial=BLUE),
    ),
    "fixed servers": (write(servers=fixed("r1"), initial=BLUE), edit(servers=fixed("r2"))),
    "a group together": (*GROUP_RUNS, edit(hold=True), deploy("r2"), deploy("r2", name="pay"), edit(hold=False)),
    "a group with one sick member": (
        *GROUP_RUNS,
        sick("r2"),
        deploy("r2"),
        deploy("r3", name="pay"),
        deploy("r4"),
    ),
    "a group that is left": (*GROUP_RUNS, sick("r2"), deploy("r2"), deploy("r3", name="pay"), edit("pay", group=None)),
}


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES.keys())
def test_a_story_interrupted_after_any_step_ends_as_the_uninterrupted_one(story: tuple[Input, ...]) -> None:
    """P5."""
    whole = Player(kill_after=None).play(story)
    assert whole.steps > 0
    for step in range(1, whole.steps + 1):
        assert Player(kill_after=step).play(story).ending() == whole.ending(), f"killed after step {step}"


@pytest.mark.parametrize(
    ("story", "active", "outcomes"),
    [
        ("a release goes live", GREEN, {("r2", "switched")}),
        ("back and forth by auto", GREEN, {("r2", "switched"), ("r3", "switched"), ("r4", "switched")}),
        ("a sick release expires, the next one goes live", GREEN, {("r2", "superseded"), ("r3", "switched")}),
        ("a sick release is quarantined, then named", GREEN, {("r2", "expired"), ("r2", "switched")}),
        ("named before it runs", BLUE, {(None, "superseded"), ("r2", "switched"), ("r1", "switched")}),
        ("named and taken back", GREEN, {(None, "aborted"), ("r2", "switched")}),
        ("held on the way", GREEN, {("r2", "switched")}),
        ("Docker goes away", GREEN, {("r2", "switched")}),
        ("removed and written again", GREEN, {("r2", "aborted"), ("r3", "switched")}),
        ("initial with both", BLUE, {("r3", "switched")}),
        ("undecided until the file names one", BLUE, set()),
        ("fixed servers", GREEN, {("r2", "switched")}),
        ("a group together", GREEN, {("r2", "switched")}),
    ],
)
def test_a_story_ends_as_told(story: str, active: Colour, outcomes: set[tuple[str | None, str]]) -> None:
    played = Player(kill_after=None).play(STORIES[story])
    assert played.world.states["shop"].active is active
    assert {(release, outcome) for _, release, outcome in played.ended} == outcomes
