"""A rollout in steps: what begins, passes and fails one, and what its clock counts (rule 19)."""

from dataclasses import replace
from typing import Any

import pytest

from provider.model import (
    Applied,
    Approval,
    Canary,
    Checks,
    Colour,
    Health,
    Instant,
    Member,
    Outcome,
    Phase,
    Plan,
    RollbackTarget,
    Smoke,
    SmokeResult,
    SmokeTest,
    Snapshot,
    Step,
    Trigger,
    Wish,
)
from provider.rollout import clocks, serving, stepping
from provider.rollout.reconcile import reconcile
from provider.rollout.transitions import begin
from tests.support.phases import BOB, LIMITS, NEW, OLD, STEPS, group, in_step, old, only, with_state
from tests.support.phases import stepping as in_steps
from tests.support.worlds import BLUE, GREEN, NOTHING, at, candidate, member, runs, server, service, snapshot

SHOP = service(canary=STEPS)
FRESH = runs(NEW, listed_mono_s=1.0e6)
T1 = "http://10.0.0.9:8080"


def shop(**fields: Any) -> Member:
    return old(fields.pop("of", SHOP), green=fields.pop("green", FRESH), **fields)


def decided(of: Snapshot, mono_s: float) -> Plan:
    return reconcile(of, at(mono_s))


def events(plan: Plan) -> list[str]:
    return [row.event for row in plan.decisions]


def weight(plan: Plan) -> int:
    return plan.group.rollout.weight if plan.group.rollout else 0


def after(of: Snapshot, plan: Plan) -> Snapshot:
    """Show the daemon what it committed."""
    members = tuple(replace(one, state=plan.states[one.service.name]) for one in of.members)
    return replace(of, members=members, state=plan.group)


# --- how steps begin ------------------------------------------------------------------------------------------------


def test_the_weights_move_to_the_first_step_and_not_to_all_of_the_traffic() -> None:
    """Rule 19."""
    of = group(Phase.SHIFTING, shop())
    rollout = of.state.rollout
    assert rollout is not None
    plan = decided(replace(of, state=replace(of.state, rollout=replace(rollout, canary=STEPS))), 1000.0)
    assert events(plan) == ["step-begun"]
    assert (weight(plan), plan.states["shop"].active) == (5, BLUE)
    assert plan.decisions[0].detail == "step 1 of 3: 5 % for the candidate"


def test_a_rollout_keeps_the_steps_that_it_began_with() -> None:
    """Rule 19a: an edit of `canary` counts from the next rollout."""
    edited = in_steps(1, shop(of=service(canary=Canary((Step(90),)))))
    assert weight(decided(edited, 1300.0)) == 25


@pytest.mark.parametrize(("forced", "back"), [("it must", False), (None, True)], ids=["forced", "rollback target"])
def test_a_forced_switch_and_the_way_back_take_no_steps(forced: str | None, back: bool) -> None:
    """Rule 19a."""
    one = with_state(shop(), rollback_target=RollbackTarget(GREEN, "r2") if back else None)
    begun, _ = begin(snapshot(one), (candidate(),), Trigger.COMMAND, at(), actor=BOB, forced=forced)
    assert begun.state.rollout is not None
    assert begun.state.rollout.canary is None


@pytest.mark.parametrize(
    ("health", "event", "active"),
    [(Health.UNHEALTHY, "shifted", GREEN), (Health.UNKNOWN, "step-begun", BLUE)],
    ids=["unhealthy", "not checked yet"],
)
def test_where_the_active_colour_is_known_to_have_no_healthy_server_there_is_one_switch(
    health: Health, event: str, active: Colour
) -> None:
    """Rule 19b. After a start the candidate may be judged first."""
    of = group(Phase.SHIFTING, shop(health=member(blue=runs(OLD), green=FRESH, health={OLD: health}).health))
    rollout = of.state.rollout
    assert rollout is not None
    plan = decided(replace(of, state=replace(of.state, rollout=replace(rollout, canary=STEPS))), 1000.0)
    assert (events(plan)[0], plan.states["shop"].active) == (event, active)


@pytest.mark.parametrize(("count", "begins"), [(2, False), (3, True)])
def test_a_step_begins_with_its_share_of_the_servers_and_waits_otherwise(count: int, begins: bool) -> None:
    """Rule 19b: 25 % of ten, rounded up; and the step that is on goes on."""
    some = runs(*(server(number, "r2") for number in range(2, 2 + count)), listed_mono_s=1.0e6)
    of = in_steps(1, old(service(canary=STEPS, min_servers=10), green=some))
    plan = decided(of, 1300.0)
    assert events(plan) == (["step-passed", "step-begun"] if begins else ["step-passed"])
    assert weight(plan) == (25 if begins else 5)
    if not begins:
        said = stepping.waits_for(after(of, plan), at(1301.0))
        assert said == "gate health of shop: 2 of at least 3 servers (minServers) are there for 25 % of the traffic"


def test_the_candidates_are_listed_once_more_before_each_step() -> None:
    """Rule 6."""
    of = in_steps(1, shop(green=runs(NEW, listed_mono_s=1299.0)))
    plan = decided(of, 1300.0)
    assert (events(plan), set(plan.relist), weight(plan)) == (["step-passed"], {"shop"}, 5)
    again = after(of, plan)
    listed = replace(again, members=(shop(green=runs(NEW, listed_mono_s=1300.5)),))
    assert events(decided(listed, 1301.0)) == ["step-begun"]


# --- its clock ------------------------------------------------------------------------------------------------------


def test_the_time_of_a_step_begins_when_traefik_shows_it() -> None:
    """Rule 19."""
    late = in_steps(1, shop(), shown=False)
    waiting = replace(late, members=(replace(only(late), fetched=False),))
    plan = decided(waiting, 1010.0)
    assert plan.group.rollout is not None
    assert plan.group.rollout.step is not None
    assert plan.group.rollout.step.shown_mono_s is None
    shows = decided(late, 1010.0)
    assert stepping.ends_mono_s(shows.group.rollout) == 1310.0  # type: ignore[arg-type]
    assert (shows.decisions, shows.wake_mono_s) == ((), 1310.0)


def test_a_step_whose_candidate_has_no_server_in_the_document_is_not_shown() -> None:
    """Rule 19: after a restart its health is not known yet, so it is left out (19b), and Traefik shows no step."""
    of = in_steps(1, shop(), shown=False)
    one = only(of)
    assert one.shown is not None
    left_out = replace(one, shown=replace(one.shown, served=((BLUE, 100),)))
    plan = decided(replace(of, members=(left_out,)), 1010.0)
    assert stepping.ends_mono_s(plan.group.rollout) is None  # type: ignore[arg-type]


def test_where_nobody_polls_the_time_of_a_step_begins_at_the_confirming_deadline() -> None:
    """Rule 19."""
    nobody = in_steps(1, shop(), shown=False)
    nobody = replace(nobody, members=(replace(only(nobody), fetched=None),))
    assert decided(nobody, 1029.9).wake_mono_s == 1030.0
    assert stepping.ends_mono_s(decided(nobody, 1030.0).group.rollout) == 1330.0  # type: ignore[arg-type]


def test_steps_follow_one_another_to_the_switch() -> None:
    """Rule 19: each is one decision, and nothing passes through 0 or 100 in between."""
    of, mono_s, seen = in_steps(1, shop()), 1000.0, []
    for _ in range(3):
        mono_s += 600.0
        plan = decided(of, mono_s)
        seen += [(row.event, weight(plan)) for row in plan.decisions]
        state = plan.group if plan.group.rollout and plan.group.rollout.is_switched else None
        of = after(of, plan)
        if state is None:
            shown = in_steps(of.state.rollout.step.number, shop()).members  # type: ignore[union-attr]
            of = replace(of, members=tuple(replace(one, state=plan.states["shop"]) for one in shown))
            of = replace(of, state=decided(of, mono_s).group)
    assert seen == [
        ("step-passed", 25),
        ("step-begun", 25),
        ("step-passed", 50),
        ("step-begun", 50),
        ("step-passed", 100),
        ("shifted", 100),
    ]


@pytest.mark.parametrize(
    "stopping",
    [
        {"of": service(canary=STEPS, hold=True)},
        {"health": member(blue=runs(OLD), green=FRESH, health={OLD: Health.UNHEALTHY, NEW: Health.UNHEALTHY}).health},
    ],
    ids=["held", "both colours bad"],
)
def test_a_clock_that_is_stopped_ends_no_step_and_goes_on_from_there(stopping: dict[str, Any]) -> None:
    """Rules 19c and 19d: the weights stay meanwhile."""
    of = in_steps(1, shop(**stopping))
    still = decided(of, 1100.0)
    assert still.group.rollout is not None
    assert (still.group.rollout.still_mono_s, weight(still)) == (1100.0, 5)
    late = after(of, still)
    assert decided(late, 99_000.0).decisions == ()
    goes_on = decided(replace(in_steps(1, shop()), state=decided(late, 99_000.0).group), 100_000.0)
    assert stepping.ends_mono_s(goes_on.group.rollout) == 1300.0 + 98_900.0  # type: ignore[arg-type]
    assert goes_on.decisions == ()


def test_an_engine_that_is_away_stops_the_clock_of_a_step() -> None:
    """Rule 19d."""
    of = replace(in_steps(1, shop()), docker_connected=False)
    assert decided(of, 1400.0).decisions == ()
    assert "clock stands still: Docker does not answer" in str(stepping.waits_for(of, at(1400.0)))


def test_a_restart_keeps_the_weight_and_begins_the_time_of_the_step_again() -> None:
    """Rule 19d."""
    resumed = clocks.resume(in_step(2), LIMITS, at(5.0))
    assert resumed.rollout is not None
    assert resumed.rollout.step is not None
    assert (resumed.rollout.weight, resumed.rollout.step.number) == (25, 2)
    assert resumed.rollout.step.shown_mono_s is None
    assert resumed.rollout.step.begun_utc == at(1000.0).utc


def test_the_active_colour_replaced_in_place_begins_the_step_again() -> None:
    """Rule 19c."""
    plan = decided(in_steps(1, replace(shop(), observed=shop().observed.put(BLUE, runs(server(1, "r9"))))), 1200.0)
    assert events(plan) == ["replaced"]
    assert plan.group.rollout is not None
    assert plan.group.rollout.step is not None
    assert plan.group.rollout.step.begun_mono_s == 1200.0


# --- how a step fails -----------------------------------------------------------------------------------------------


def sick(since_mono_s: float, passed: tuple[float, ...], **fields: Any) -> Member:
    """The candidate fails its checks, while the active colour passes."""
    one = shop(health=member(blue=runs(OLD), green=FRESH, health={NEW: Health.UNHEALTHY}).health, **fields)
    failing = Checks(since_mono_s, (), since_mono_s + 20.0)
    return replace(one, checks={NEW.key: failing, OLD.key: Checks(None, passed)})


def test_too_few_healthy_servers_take_the_traffic_away_while_the_active_passes() -> None:
    """Rules 8 and 19c: weight 0, quarantine."""
    plan = decided(in_steps(1, sick(1010.0, (1011.0, 1012.0, 1013.0))), 1040.0)
    assert events(plan) == ["gates-failed"]
    assert plan.decisions[0].outcome is Outcome.ABORTED
    assert plan.group.rollout is None
    assert plan.group.quarantined[0].candidates == (candidate(),)
    assert plan.states["shop"].active is BLUE


@pytest.mark.parametrize(("shared", "fails"), [(False, True), (True, False)])
def test_a_candidate_that_recovers_without_traffic_is_taken_back_unless_the_active_failed_too(
    shared: bool, fails: bool
) -> None:
    """Rules 8 and 19b: left out, it passes again, and would fail again with its share."""
    one = sick(1010.0, (1011.0, 1012.0, 1013.0))
    recovering = Checks(1010.0, (1033.0,), 1030.0)
    active = Checks(1009.0 if shared else None, (1011.0, 1012.0, 1013.0))
    of = in_steps(1, replace(one, checks={NEW.key: recovering, OLD.key: active}))
    assert events(decided(of, 1040.0)) == (["gates-failed"] if fails else [])


def test_the_second_death_of_a_container_fails_a_step_though_it_looks_well_now() -> None:
    """Rule 5."""
    dead = replace(NEW, deaths=2, died_mono_s=(1010.0, 1022.0))
    one = shop(green=runs(dead, listed_mono_s=1.0e6, changed_mono_s=1022.0))
    of = in_steps(1, replace(one, checks={OLD.key: Checks(None, (1012.0, 1014.0, 1016.0, 1018.0, 1020.0))}))
    plan = decided(of, 1023.0)
    assert events(plan) == ["gates-failed"]
    assert "container c2 died 2 times" in str(plan.decisions[0].detail)


def test_deaths_that_are_not_known_are_asked_about_in_a_step() -> None:
    """Rule 5, P2: of the candidate, which has the new traffic."""
    uncounted = runs(replace(NEW, deaths=None), listed_mono_s=1.0e6)
    assert decided(in_steps(1, shop(green=uncounted)), 1001.0).relist == {"shop"}
    assert decided(in_steps(1, replace(shop(), observed=shop().observed.put(BLUE, uncounted))), 1001.0).relist == set()


def test_an_outage_that_both_colours_share_decides_nothing() -> None:
    """Rule 19c: nothing automatic goes to a colour without healthy servers."""
    both = member(blue=runs(OLD), green=FRESH, health={OLD: Health.UNHEALTHY, NEW: Health.UNHEALTHY}).health
    of = in_steps(1, replace(sick(1010.0, ()), health=both))
    assert decided(of, 9_000.0).decisions == ()


def test_a_document_that_traefik_refuses_takes_the_step_back() -> None:
    """Rules 7 and 19c."""
    error = Applied(T1, answers=True, is_current=True, weights=(), errors=("service shop: no",), is_ours=True)
    of = in_steps(1, shop(applied=(error,)), shown=False)
    rollout = of.state.rollout
    assert rollout is not None
    of = replace(of, state=replace(of.state, rollout=replace(rollout, errors_before={T1: ()})))
    plan = decided(of, 1001.0)
    assert events(plan) == ["gates-failed"]
    assert plan.decisions[0].detail == f"Traefik at {T1} reports: service shop: no"


def test_another_smoke_test_is_made_in_the_step_and_its_failure_takes_the_traffic_away() -> None:
    """Rules 12 and 19c."""
    of = in_steps(1, shop(of=service(canary=STEPS, smoke_tests=(SmokeTest("home"),))))
    plan = decided(of, 1300.0)
    assert (plan.decisions, [run.release for run in plan.smoke]) == ((), ["r2"])
    result = SmokeResult("home", NEW.url, False, "500, expected 200", None, 0.1)
    failed = replace(of, members=(replace(only(of), smoke=Smoke(plan.smoke[0], (result,))),))
    assert events(decided(failed, 1301.0)) == ["smoke-failed", "gates-failed"]


def test_old_weights_that_are_seen_after_the_deadline_take_the_step_back() -> None:
    """Rules 7 and 19c: a Traefik that polls slowly shows that it refused the document when its time is running."""
    old_weights = (("shop-blue", 100),)
    stale = Applied(T1, answers=True, has_fetched=True, weights=old_weights, is_ours=True)
    of = in_steps(1, shop(applied=(stale,)))
    assert decided(of, 1029.9).decisions == ()
    plan = decided(of, 1031.0)
    assert events(plan) == ["gates-failed"]
    assert "fetched the document and did not apply it" in str(plan.decisions[0].detail)


def test_held_steps_still_fail() -> None:
    """Rule 19c."""
    of = in_steps(1, sick(1010.0, (1011.0, 1012.0, 1013.0), of=service(canary=STEPS, hold=True)))
    assert events(decided(of, 1040.0)) == ["gates-failed"]


def test_another_release_in_the_candidates_colour_begins_at_no_weight_in_the_same_plan() -> None:
    """Rule 19c: weight 0 and the new one from step 1, in one document."""
    plan = decided(in_steps(2, shop(green=runs(server(2, "r3"), listed_mono_s=1.0e6))), 1100.0)
    assert events(plan)[:2] == ["superseded", "begun"]
    assert plan.group.quarantined == ()
    assert weight(plan) <= 5
    assert plan.group.rollout is not None
    assert plan.group.rollout.canary == STEPS


def test_a_file_that_names_the_active_colour_takes_the_step_back() -> None:
    """Rule 19a."""
    plan = decided(in_steps(1, shop(of=service(canary=STEPS, active=Wish.BLUE))), 1100.0)
    assert "withdrawn" in events(plan)
    assert weight(plan) == 0


def test_a_step_that_waits_too_long_for_what_follows_expires() -> None:
    """Rules 19d and P10: `deadlines.step` counts from the end of the step's time."""
    of = in_steps(1, old(service(canary=STEPS, min_servers=100), green=FRESH))
    waits = after(of, decided(of, 1300.0))
    assert decided(waits, 4899.0).decisions == ()
    plan = decided(waits, 4900.0)
    assert (events(plan), plan.decisions[0].outcome) == (["expired"], Outcome.EXPIRED)


# --- an approval ----------------------------------------------------------------------------------------------------

ASKING = Canary((Step(5, 300.0, approval_is_manual=True), Step(50, 300.0)))


def test_a_step_that_lacks_only_its_approval_asks_for_it_once_its_time_is_over() -> None:
    """Rule 19d: it has `deadlines.approval` then."""
    of = in_steps(1, shop(of=service(canary=ASKING)), canary=ASKING)
    assert decided(of, 1299.0).decisions == ()
    plan = decided(of, 1300.0)
    assert (events(plan), weight(plan)) == (["approval-wanted"], 5)
    assert plan.group.rollout is not None
    assert plan.group.rollout.deadline_mono_s == 1300.0 + 86400.0
    said = stepping.waits_for(after(of, plan), at(1301.0))
    assert said == "step 1 of release r2 waits for approval: bluegreen approve shop --release r2 --step 1"


def test_a_clock_that_stops_voids_the_date_of_an_approval_which_is_asked_for_again() -> None:
    """Rules 14 and 19d, P5: the date is stored, so it may not move without a decision."""
    asked = decided(in_steps(1, shop(of=service(canary=ASKING)), canary=ASKING), 1300.0)
    of = after(in_steps(1, shop(of=service(canary=ASKING)), canary=ASKING), asked)
    away = decided(replace(of, docker_connected=False), 1400.0)
    assert events(away) == ["approval-held"]
    assert away.group.rollout is not None
    assert away.group.rollout.approval_until_utc is None
    back = decided(after(of, away), 99_000.0)
    assert events(back) == ["approval-wanted"]
    assert back.group.rollout is not None
    assert back.group.rollout.deadline_mono_s == 99_000.0 + 86400.0


def test_an_approval_of_a_step_keeps_its_date_over_a_restart_whatever_the_file_says_by_then() -> None:
    """Rules 12 and 14: who was asked until tomorrow has until tomorrow, also once Traefik shows the step again."""
    asking = in_steps(1, shop(of=service(canary=ASKING)), canary=ASKING)
    of = after(asking, decided(asking, 1300.0))
    state = clocks.resume(of.state, {**LIMITS, Phase.APPROVAL: 60.0}, Instant(5.0, at(5000.0).utc))
    assert state.rollout is not None
    assert state.rollout.deadline_mono_s == 5.0 + 1300.0 + 86400.0 - 5000.0
    shown = clocks.show_step(state, LIMITS, at(6.0))
    assert shown.rollout is not None
    assert shown.rollout.deadline_mono_s == state.rollout.deadline_mono_s


def test_the_active_colour_replaced_in_place_lets_an_approval_be_asked_for_again() -> None:
    """Rule 19c: the time of the step begins anew, and the date of its approval after it."""
    asking = in_steps(1, shop(of=service(canary=ASKING)), canary=ASKING)
    state = clocks.restart_step(decided(asking, 1300.0).group, LIMITS, at(2000.0))
    assert state.rollout is not None
    assert (state.rollout.approval_until_utc, state.rollout.asked) == (None, False)
    assert state.rollout.deadline_mono_s == 2000.0 + 30.0 + 300.0 + 3600.0


def test_the_approval_of_a_step_is_not_that_of_the_release_which_the_file_asks_for_meanwhile() -> None:
    """P1, rule 12: `approval` acts at once."""
    of = in_steps(1, shop(of=service(canary=ASKING, approval_is_manual=True)), canary=ASKING)
    rollout = of.state.rollout
    assert rollout is not None
    assert rollout.step is not None
    of_step = replace(rollout.step, approval=Approval(BOB, at(1100.0).utc))
    of = replace(of, state=replace(of.state, rollout=replace(rollout, approval=None, step=of_step)))
    assert events(decided(of, 1301.0)) == []
    assert stepping.waits_for(of, at(1301.0)) == "release r2 waits for approval: bluegreen approve shop --release r2"


# --- groups ---------------------------------------------------------------------------------------------------------


def test_a_group_steps_together() -> None:
    """Rule 19a: the one that is not ready holds up the others, and all get the same weight in one plan."""
    both = [old(service(name, group="front", canary=STEPS, min_servers=1), green=FRESH) for name in ("pay", "shop")]
    of = in_steps(1, *both)
    plan = decided(of, 1300.0)
    assert [(row.service, row.event) for row in plan.decisions] == [
        ("pay", "step-passed"),
        ("shop", "step-passed"),
        ("pay", "step-begun"),
        ("shop", "step-begun"),
    ]
    few = replace(both[0], service=service("pay", group="front", canary=STEPS, min_servers=100))
    held = decided(in_steps(1, few, both[1]), 1300.0)
    assert (events(held), weight(held)) == (["step-passed", "step-passed"], 5)


# --- who gets traffic -----------------------------------------------------------------------------------------------


def test_a_container_of_another_release_gets_none_of_the_traffic_of_a_step() -> None:
    """Rule 19b."""
    of = in_steps(1, shop(green=runs(NEW, server(3, "r3"))))
    served = serving.serve(only(of), of.state.rollout)
    assert served is not None
    assert [one.url for one in served.servers[GREEN]] == [NEW.url]


@pytest.mark.parametrize(
    ("blue", "green", "weights"),
    [
        (runs(OLD), NOTHING, ((BLUE, 100),)),
        (NOTHING, runs(NEW), ((GREEN, 100),)),
        (runs(OLD), runs(NEW), ((BLUE, 95), (GREEN, 5))),
        (runs(OLD), runs(server(3, "r3")), ((BLUE, 100),)),
    ],
    ids=["no candidate", "no active", "both", "another release"],
)
def test_a_colour_without_a_server_is_left_out_while_the_other_has_healthy_ones(
    blue: Any, green: Any, weights: Any
) -> None:
    """Rule 19b: by observation, without a commit; an empty entry answers 503 to its share."""
    of = in_steps(1, member(SHOP, blue=blue, green=green))
    served = serving.serve(only(of), of.state.rollout)
    assert served is not None
    assert served.weights == weights
    assert all(served.servers[colour] for colour, _ in served.weights)
