"""What the daemon decides: each rule on its own, and whole stories that are interrupted after every step."""

from dataclasses import replace
from typing import Any

import pytest

from provider.model import (
    Applied,
    Approval,
    ByColour,
    Checks,
    Colour,
    GroupState,
    Health,
    Member,
    Observed,
    Outcome,
    Override,
    Phase,
    Plan,
    Quarantine,
    Server,
    Smoke,
    SmokeResult,
    SmokeTest,
    Snapshot,
    Trigger,
    Wish,
)
from provider.rollout import confirming as confirming_module
from provider.rollout import phases
from provider.rollout.reconcile import reconcile
from tests.support.phases import LIMITS, NEW, OLD, group, moved, old, see, with_state
from tests.support.worlds import BLUE, EPOCH, GREEN, NOTHING, at, candidate, member, runs, server, service, snapshot

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
    assert events(plan) == ["begun", "ready", "tested", "approved"]
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
    assert events(plan) == ["desired", "begun", "ready", "tested", "approved"]
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
    assert plan.decisions[0].evidence == ("shop green http://10.0.0.2:80: healthy",)
    assert plan.states["shop"].active is GREEN
    assert plan.group.rollout is not None
    assert (plan.group.rollout.phase, plan.relist) == (Phase.CONFIRMING, frozenset())


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


def test_a_hold_lifts_the_date_of_an_approval_and_says_so_once() -> None:
    """Rules 2 and 14: who waited for it finds in the history why it has another date."""
    manual = shop(runs(NEW), approval_is_manual=True)
    asked = seen_again(snapshot(manual), reconcile(snapshot(manual), at(1000.0)))
    held = replace(asked, members=tuple(replace(one, service=replace(one.service, hold=True)) for one in asked.members))
    plan = reconcile(held, at(1001.0))
    assert [(row.event, row.detail) for row in plan.decisions] == [
        ("approval-held", "shop has hold: true; remove it to go on")
    ]
    assert reconcile(seen_again(held, plan), at(99999.0)).decisions == ()
    freed = seen_again(asked, plan)
    assert events(reconcile(freed, at(99999.0))) == ["approval-wanted"]


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


def test_what_has_passed_does_not_expire_however_late_that_was_noticed() -> None:
    """P10: an approval that was given in time counts, also where nobody could look until after the deadline."""
    manual = service(approval_is_manual=True)
    of = group(Phase.APPROVAL, old(manual))
    given = phases.approve(of.state, Approval("ann", EPOCH), LIMITS)
    late = at(1000.0 + LIMITS[Phase.APPROVAL] + 1.0)
    assert events(reconcile(replace(of, state=given), late))[:1] == ["approved"]
    assert events(reconcile(of, late))[:1] == ["expired"]


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


# --- from phase to phase --------------------------------------------------------------------------------------------

HOME = SmokeTest("home")
TESTED = service(smoke_tests=(HOME,))
MANUAL = service(approval_is_manual=True)


def goes_on(before: Snapshot, *changed: Member, mono_s: float = 1000.0, times: int = 1) -> tuple[Snapshot, Plan]:
    """Decide, show the daemon what it committed, and decide again: nothing may follow from that alone."""
    seen = replace(before, members=changed or before.members)
    plan = reconcile(seen, at(mono_s))
    after = seen_again(seen, plan)
    assert reconcile(after, at(mono_s)).decisions == (), "what is decided once is not decided again"
    return after, plan


def answered(of: Snapshot, *passed: bool | None) -> Snapshot:
    """Give an answer to each smoke test that is asked for."""
    (run,) = reconcile(of, at()).smoke
    results = tuple(
        SmokeResult("home", url, result, None if result else "500, expected 200", "oops", 0.25)
        for url, result in zip(run.servers, passed, strict=True)
    )
    return replace(of, members=tuple(replace(each, smoke=Smoke(run, results)) for each in of.members))


def test_a_release_that_nobody_wants_proven_passes_on_to_its_list_at_once() -> None:
    """Rule 2."""
    plan = reconcile(snapshot(old(green=STALE)), at())
    assert events(plan) == ["begun", "ready", "tested", "approved"]
    assert [row.phase for row in plan.decisions] == [Phase.WAITING, Phase.TESTING, Phase.APPROVAL, Phase.SHIFTING]
    assert plan.decisions[1].evidence == ("shop green http://10.0.0.2:80: healthy",)


def test_smoke_tests_are_asked_for_while_testing_and_at_no_other_time() -> None:
    of, plan = goes_on(snapshot(old(TESTED, health={})))
    assert plan.smoke == ()
    of, plan = goes_on(of, old(TESTED, runs(NEW, server(3, "r2"))))
    assert events(plan) == ["ready"]
    (run,) = plan.smoke
    assert (run.release, run.servers, run.tests) == ("r2", ("http://10.0.0.2:80", "http://10.0.0.3:80"), (HOME,))
    of, plan = goes_on(answered(of, True, True))
    assert plan.smoke == ()
    assert plan.states["shop"].active is GREEN


def test_smoke_tests_that_pass_are_kept_before_anything_rests_on_them() -> None:
    """P1, P5."""
    of, _ = goes_on(snapshot(old(TESTED)))
    of, plan = goes_on(answered(of, True))
    assert events(plan)[:2] == ["smoke-passed", "tested"]
    assert plan.decisions[0].evidence == ("home http://10.0.0.2:80: passed in 0.250 s: oops",)


def test_a_smoke_test_that_fails_gives_the_release_up_and_quarantines_it() -> None:
    """P9."""
    of, _ = goes_on(snapshot(old(TESTED)))
    _, plan = goes_on(answered(of, False))
    assert events(plan) == ["smoke-failed", "gates-failed"]
    row = plan.decisions[-1]
    assert row.outcome is Outcome.ABORTED
    assert row.detail == "gate smoke of shop: home failed on http://10.0.0.2:80: 500, expected 200"
    assert row.evidence == ("home http://10.0.0.2:80: failed in 0.250 s, 500, expected 200: oops",)
    assert [failed.candidates for failed in plan.group.quarantined] == [(candidate(),)]
    assert plan.states["shop"].active is BLUE


def test_a_smoke_test_without_an_answer_neither_passes_nor_fails_until_the_deadline() -> None:
    """P2, P10."""
    of, _ = goes_on(snapshot(old(TESTED)))
    of, plan = goes_on(answered(of, None))
    assert (plan.decisions, plan.wake_mono_s) == ((), 1300.0)
    late = reconcile(of, at(1300.0))
    assert [(row.event, row.outcome) for row in late.decisions] == [("expired", Outcome.EXPIRED)]
    assert late.decisions[0].detail == (
        "gate smoke of shop: 0 of 1 smoke tests passed; home on http://10.0.0.2:80: 500, expected 200"
    )


def test_another_definition_of_the_smoke_tests_has_them_made_again() -> None:
    """Rule 12, P1: while somebody thinks about the approval too."""
    both = service(smoke_tests=(HOME,), approval_is_manual=True)
    of, _ = goes_on(snapshot(old(both)))
    of, plan = goes_on(answered(of, True))
    assert events(plan) == ["smoke-passed", "tested", "approval-wanted"]
    edited = replace(of.members[0], service=replace(both, smoke_tests=(replace(HOME, status=201),)))
    of, plan = goes_on(of, edited)
    assert events(plan) == ["gates-lost", "ready"]
    assert [run.tests[0].status for run in plan.smoke] == [201]
    of, plan = goes_on(answered(of, True))
    assert events(plan) == ["smoke-passed", "tested"], "the approval is not asked for twice"


def test_a_forced_rollout_makes_no_smoke_tests() -> None:
    """P1."""
    forced = group(Phase.TESTING, old(TESTED), forced="it burns")
    plan = reconcile(forced, at())
    assert plan.smoke == ()
    assert plan.states["shop"].active is GREEN


def test_an_approval_is_asked_for_once_and_once_more_at_half_time() -> None:
    of, plan = goes_on(snapshot(old(MANUAL)))
    assert events(plan)[-1] == "approval-wanted"
    assert plan.decisions[-1].detail == "until 2026-01-02 00:16 UTC"
    assert plan.wake_mono_s == 1000.0 + 43200.0
    of, plan = goes_on(of, mono_s=1000.0 + 43199.0)
    assert plan.decisions == ()
    of, plan = goes_on(of, mono_s=1000.0 + 43200.0)
    assert events(plan) == ["approval-reminder"]
    assert plan.wake_mono_s == 1000.0 + 86400.0
    _, plan = goes_on(of, mono_s=1000.0 + 86400.0)
    assert [(row.event, row.outcome) for row in plan.decisions] == [("expired", Outcome.EXPIRED)]
    assert plan.decisions[0].detail == "release r2 waits for approval: bluegreen approve shop --release r2"


def test_only_the_members_that_ask_for_it_ask() -> None:
    """Rule 11."""
    plan = reconcile(snapshot(old(service("pay")), old(MANUAL)), at())
    assert [row.service for row in plan.decisions if row.event == "approval-wanted"] == ["shop"]


def test_an_edit_to_automatic_acts_at_once() -> None:
    """Rule 12."""
    of, _ = goes_on(snapshot(old(MANUAL)))
    _, plan = goes_on(of, old(service()))
    assert plan.states["shop"].active is GREEN


def test_health_lost_while_somebody_thinks_takes_no_approval_back() -> None:
    """P1: all gates count at the switch; what was approved need not be approved again."""
    of = group(Phase.SHIFTING, old(MANUAL, STALE))
    _, plan = goes_on(see(of, "shop", GREEN, STALE, {NEW: Health.UNHEALTHY}))
    assert events(plan) == ["gates-lost"]
    assert plan.group.rollout is not None
    assert plan.group.rollout.approval is not None
    _, plan = goes_on(seen_again(of, plan))
    assert events(plan) == ["ready", "tested", "approved"]
    assert [row.detail for row in plan.decisions[1:]] == ["gate smoke skipped: the file asks for none", None]


# --- after the switch -----------------------------------------------------------------------------------------------

WATCHED = service(watch_s=120.0)
T1 = "http://10.9.0.1:8080"
SHOWS = Applied(T1, answers=True, is_current=True, has_fetched=True, weights=(("shop-green", 100),))
STALE_THERE = Applied(T1, answers=True, has_fetched=True, weights=(("shop-blue", 100),))
SICK_NEW = {NEW: Health.UNHEALTHY}


def confirming(*members: Member) -> Snapshot:
    return group(Phase.CONFIRMING, *(members or (moved(WATCHED),)))


def test_the_errors_of_before_the_switch_are_kept_with_it() -> None:
    """Rule 7."""
    there = replace(old(), applied=(replace(SHOWS, errors=("an old one",)),))
    plan = reconcile(snapshot(there), at())
    assert "shifted" in events(plan)
    assert plan.group.rollout is not None
    assert plan.group.rollout.errors_before == {T1: ("an old one",)}


@pytest.mark.parametrize(
    ("seen", "proof"),
    [
        (replace(moved(WATCHED), applied=(SHOWS,)), (f"Traefik at {T1} shows it",)),
        (replace(moved(WATCHED), fetched=True), ("every poller fetched the document",)),
    ],
)
def test_a_switch_is_confirmed_on_evidence_and_then_watched(seen: Member, proof: tuple[str, ...]) -> None:
    """Rules 7 and 8."""
    of, plan = goes_on(confirming(seen), mono_s=1005.0)
    (row,) = plan.decisions
    assert (row.event, row.evidence, row.phase) == ("confirmed", proof, Phase.WATCHING)
    assert plan.wake_mono_s == 1125.0
    _, plan = goes_on(of, mono_s=1125.0)
    (row,) = plan.decisions
    assert (row.event, row.outcome) == ("watched", Outcome.SWITCHED)
    assert plan.states["shop"].active is GREEN


@pytest.mark.parametrize(
    "seen",
    [
        moved(WATCHED),
        replace(moved(WATCHED), fetched=False),
        replace(moved(WATCHED), applied=(Applied(T1, answers=False),)),
        replace(moved(WATCHED), applied=(replace(STALE_THERE, has_fetched=False),)),
    ],
    ids=["nobody polls", "slow polls", "API unreachable", "API shows the old, not fetched"],
)
def test_without_evidence_a_switch_stays_and_is_watched_unconfirmed(seen: Member) -> None:
    """Rule 7."""
    of, plan = goes_on(confirming(seen), mono_s=1029.9)
    assert (plan.decisions, plan.wake_mono_s) == ((), 1030.0)
    of, plan = goes_on(of, mono_s=1030.0)
    (row,) = plan.decisions
    assert (row.event, row.detail) == ("unconfirmed", confirming_module.unconfirmed(seen, None))
    assert plan.states["shop"].active is GREEN
    _, plan = goes_on(of, mono_s=1150.0)
    assert events(plan) == ["watched"]


def test_old_weights_are_taken_back_at_the_deadline_and_not_before() -> None:
    """Rule 7: a slow Traefik has its time."""
    of, plan = goes_on(confirming(replace(moved(WATCHED), applied=(STALE_THERE,))), mono_s=1029.9)
    assert plan.decisions == ()
    _, plan = goes_on(of, mono_s=1030.0)
    (row,) = plan.decisions
    assert (row.event, row.outcome, row.trigger, row.actor) == (
        "rolled-back",
        Outcome.ROLLED_BACK,
        Trigger.WATCH,
        None,
    )
    assert "fetched the document and did not apply it" in str(row.detail)
    assert plan.states["shop"].active is BLUE
    assert [failed.candidates for failed in plan.group.quarantined] == [(candidate(),)]


def refusing(*errors: str, before: dict[str, tuple[str, ...]]) -> Snapshot:
    of = confirming(replace(moved(WATCHED), applied=(replace(SHOWS, errors=errors),)))
    assert of.state.rollout is not None
    return replace(of, state=replace(of.state, rollout=replace(of.state.rollout, errors_before=before)))


def test_a_new_error_of_traefiks_is_taken_back_at_once() -> None:
    """Rule 7."""
    _, plan = goes_on(refusing("service not found", before={T1: ()}))
    (row,) = plan.decisions
    assert (row.event, row.detail) == ("rolled-back", f"Traefik at {T1} reports: service not found")
    assert plan.states["shop"].active is BLUE


@pytest.mark.parametrize("before", [{T1: ("service not found",)}, {}], ids=["there before", "did not answer before"])
def test_an_error_that_the_switch_did_not_bring_confirms_what_is_shown(before: dict[str, tuple[str, ...]]) -> None:
    """Rule 7."""
    _, plan = goes_on(refusing("service not found", before=before))
    assert events(plan) == ["confirmed"]


def test_what_traefik_refuses_stays_where_the_rollback_target_is_gone() -> None:
    """Rule 11: staying is the lesser evil."""
    of = refusing("service not found", before={T1: ()})
    of, plan = goes_on(see(of, "shop", BLUE, NOTHING))
    assert "rolled-back" not in events(plan)
    assert plan.states["shop"].active is GREEN


def failing(of: Snapshot, first_mono_s: float, *passed: float, blue: Health = Health.HEALTHY) -> Snapshot:
    """Let green fail since a moment, and blue pass at these."""
    members = tuple(
        replace(
            each,
            health=member(blue=runs(OLD), green=runs(NEW), health={**SICK_NEW, OLD: blue}).health,
            checks={NEW.key: Checks(first_mono_s), OLD.key: Checks(None, passed)},
        )
        for each in of.members
    )
    return replace(of, members=members)


@pytest.mark.parametrize("phase", [Phase.CONFIRMING, Phase.WATCHING])
def test_a_release_that_fails_while_the_rollback_target_passes_is_left(phase: Phase) -> None:
    """Rule 8: from the commit on."""
    of = group(phase, moved(WATCHED))
    _, plan = goes_on(failing(of, 1005.0, 1006.0, 1008.0, 1010.0), mono_s=1010.5)
    (row,) = [row for row in plan.decisions if row.outcome]
    assert (row.event, row.trigger) == ("rolled-back", Trigger.WATCH)
    assert row.detail == "green has 0 of at least 1 servers (minServers): http://10.0.0.2:80: refused"
    state = plan.states["shop"]
    assert state.active is BLUE
    assert state.override is not None
    assert (state.override.rejected, state.override.actor) == ("r2", None)


@pytest.mark.parametrize("phase", [Phase.CONFIRMING, Phase.WATCHING])
def test_an_outage_that_both_share_rolls_nothing_back(phase: Phase) -> None:
    """Rule 8: whose passes are all from before it."""
    of = group(phase, moved(WATCHED))
    _, plan = goes_on(failing(of, 1005.0, 1001.0, 1003.0, 1004.9), mono_s=1010.0)
    assert plan.states["shop"].active is GREEN
    _, plan = goes_on(failing(of, 1005.0, blue=Health.UNHEALTHY), mono_s=1010.0)
    assert plan.states["shop"].active is GREEN


def test_a_forced_switch_is_not_taken_back_for_its_health() -> None:
    """Rule 8: it was forced although it is not healthy; an operator takes it back."""
    of = group(Phase.WATCHING, moved(WATCHED), forced="it burns")
    _, plan = goes_on(failing(of, 1005.0, 1006.0, 1008.0, 1010.0), mono_s=1010.0)
    assert plan.decisions == ()


def test_a_watch_that_ends_over_a_failing_release_goes_on_as_long_again() -> None:
    """Rule 8: the passes of the rollback target may be on their way; and then it says so and ends."""
    of = failing(group(Phase.WATCHING, moved(WATCHED)), 1110.0)
    of, plan = goes_on(of, mono_s=1120.0)
    assert (plan.decisions, plan.wake_mono_s) == ((), 1240.0)
    _, late = goes_on(of, mono_s=1240.0)
    (row,) = late.decisions
    assert (row.event, row.outcome) == ("watched", Outcome.SWITCHED)
    assert str(row.detail).startswith("watched to the end, and failing: green has 0 of at least 1 servers")
    _, back = goes_on(failing(of, 1110.0, 1111.0, 1113.0, 1115.0), mono_s=1130.0)
    assert events(back) == ["rolled-back"]


def test_after_the_watch_there_is_no_automatic_failover() -> None:
    """Rule 8."""
    of = failing(group(Phase.STEADY, moved(WATCHED)), 1005.0, 1006.0, 1008.0, 1010.0)
    assert reconcile(of, at(1011.0)).decisions == ()


def test_a_replacement_in_place_restarts_the_watch() -> None:
    """Rule 3."""
    of = group(Phase.WATCHING, moved(WATCHED))
    of, plan = goes_on(see(of, "shop", GREEN, runs(server(9, "r9"))), mono_s=1100.0)
    assert events(plan) == ["replaced", "watch-restarted"]
    assert plan.wake_mono_s == 1220.0
    _, plan = goes_on(of, mono_s=1220.0)
    assert events(plan) == ["watched"]


def test_a_replacement_of_a_member_that_did_not_move_restarts_nothing() -> None:
    """Rules 3 and 11."""
    watch = group(Phase.WATCHING, moved(WATCHED))
    pay = replace(old(service("pay"), NOTHING), observed=ByColour(runs(server(9, "r9")), NOTHING))
    rollout = replace(watch.state.rollout, members=("pay", "shop")) if watch.state.rollout else None
    of = Snapshot((pay, *watch.members), replace(watch.state, rollout=rollout))
    assert events(reconcile(of, at(1100.0))) == ["replaced"]


@pytest.mark.parametrize("phase", [Phase.CONFIRMING, Phase.WATCHING])
def test_a_new_release_waits_for_the_end_of_the_watch(phase: Phase) -> None:
    of = see(group(phase, moved(WATCHED)), "shop", BLUE, runs(server(5, "r5")))
    of, plan = goes_on(of, mono_s=1010.0)
    assert events(plan) == ["way-back-lost"]
    if phase is Phase.WATCHING:
        assert events(goes_on(of, mono_s=1120.0)[1])[:2] == ["watched", "begun"]


@pytest.mark.parametrize("phase", [Phase.CONFIRMING, Phase.WATCHING])
def test_a_file_that_names_the_other_colour_goes_back_and_quarantines_nothing(phase: Phase) -> None:
    """Rule 9."""
    of = group(phase, moved(WATCHED))
    edited = replace(of.members[0], service=replace(WATCHED, active=Wish.BLUE))
    _, plan = goes_on(of, edited, mono_s=1010.0)
    assert events(plan)[:3] == ["desired", "superseded", "begun"]
    assert plan.decisions[1].detail == "the file names the other colour of shop"
    assert plan.group.quarantined == ()


@pytest.mark.parametrize("phase", [Phase.CONFIRMING, Phase.WATCHING])
def test_removing_a_service_after_its_switch_ends_the_rollout_and_leaves_what_runs(phase: Phase) -> None:
    """Rule 12."""
    plan = reconcile(replace(group(phase, moved(WATCHED)), members=()), at(1010.0))
    assert [(row.event, row.outcome) for row in plan.decisions] == [("withdrawn", Outcome.ABORTED)]
    assert plan.group.quarantined == ()


@pytest.mark.parametrize("phase", [Phase.CONFIRMING, Phase.WATCHING])
def test_changed_membership_supersedes_a_watch(phase: Phase) -> None:
    """Rule 11."""
    of = group(phase, moved(WATCHED))
    _, plan = goes_on(of, old(service("pay"), NOTHING), *of.members, mono_s=1010.0)
    assert events(plan) == ["superseded"]
    assert plan.states["shop"].active is GREEN


def test_all_members_that_moved_are_taken_back_or_none() -> None:
    """Rule 11."""
    of = failing(group(Phase.WATCHING, moved(service("pay")), moved(WATCHED)), 1005.0, 1006.0, 1008.0, 1010.0)
    _, plan = goes_on(of, mono_s=1010.0)
    assert {state.active for state in plan.states.values()} == {BLUE}
    assert [failed.candidates for failed in plan.group.quarantined] == [(candidate(of="pay"), candidate())]
    lost = replace(of.members[0], observed=of.members[0].observed.put(BLUE, NOTHING))
    _, plan = goes_on(of, lost, of.members[1], mono_s=1010.0)
    assert {state.active for state in plan.states.values()} == {GREEN}


# --- overrides and the rollback target ------------------------------------------------------------------------------

OVERRIDE = Override(BLUE, "r2", "errors", "ann", EPOCH)


def overridden(green: Observed, **fields: Any) -> Snapshot:
    return snapshot(with_state(old(service(**fields), green), override=OVERRIDE))


@pytest.mark.parametrize("green", [runs(NEW), NOTHING, Observed(), runs(NEW, server(3, "r3"))])
@pytest.mark.parametrize("wish", [Wish.AUTO, Wish.BLUE])
def test_an_override_stands(green: Observed, wish: Wish) -> None:
    """Rule 10: also while the rejected release is restarted, or its colour is mixed."""
    assert reconcile(overridden(green, active=wish), at()).states["shop"].override == OVERRIDE


def test_a_new_release_in_the_rejected_colour_ends_an_override() -> None:
    """Rule 10."""
    plan = reconcile(overridden(runs(server(3, "r3"))), at())
    assert events(plan)[:2] == ["override-lifted", "begun"]
    assert plan.decisions[0].detail == "green runs another release than the one rejected"


def test_an_edit_of_active_ends_an_override_and_no_other_edit_does() -> None:
    """Rule 10."""
    other = overridden(runs(NEW), min_servers=1, settle_s=1.0, hold=False)
    assert reconcile(other, at()).states["shop"].override == OVERRIDE
    named = overridden(runs(NEW), active=Wish.GREEN)
    edited = replace(named, members=(with_state(named.members[0], wish=Wish.AUTO),))
    plan = reconcile(edited, at())
    assert plan.states["shop"].override is None
    assert events(plan)[:2] == ["desired", "begun"]


def test_a_rollback_target_that_is_lost_is_recorded_once_and_so_is_that_it_is_there_again() -> None:
    of = snapshot(moved())
    of, plan = goes_on(see(of, "shop", BLUE, NOTHING))
    (row,) = plan.decisions
    assert (row.event, row.colour, row.release, row.detail) == (
        "way-back-lost",
        BLUE,
        "r1",
        "blue has no servers any more",
    )
    of, plan = goes_on(see(of, "shop", BLUE, runs(OLD), {OLD: Health.UNKNOWN}))
    assert plan.decisions == (), "not known to be healthy is not found again (P2)"
    _, plan = goes_on(see(of, "shop", BLUE, runs(OLD)))
    assert events(plan) == ["way-back-found"]


def test_a_rollback_target_that_is_not_known_is_neither_lost_nor_found() -> None:
    """P2: a restart of the daemon."""
    of = snapshot(moved())
    assert reconcile(see(of, "shop", BLUE, Observed()), at()).decisions == ()
