"""What `explain` says: what serves traffic, what blocks, since when, what happens next and when."""

import re
from dataclasses import replace
from datetime import timedelta

import pytest

from provider.model import (
    Analysis,
    Applied,
    Canary,
    Condition,
    ConditionCode,
    Instant,
    Lease,
    Override,
    Pause,
    Phase,
    Router,
    Service,
    Severity,
    Snapshot,
    Step,
)
from provider.rollout import clocks
from provider.rollout.candidates import limits
from provider.rollout.explain import AT_DEADLINE, NEXT, explain
from tests.support.phases import BEFORE_SWITCH, UNDER_WAY, facts, group, moved, old, stepping, with_state
from tests.support.worlds import BLUE, EPOCH, all_on, at, member, runs, server, service, snapshot

MANUAL = service(approval_is_manual=True)


def told(of: Snapshot, *conditions: Condition, mono_s: float = 1010.0) -> list[str]:
    return explain(facts(of, at(mono_s)), conditions)


def said(of: Snapshot, words: str, **more: float) -> str:
    return next(line for line in told(of, **more) if words in line)


def test_at_rest_it_says_who_has_the_traffic_and_that_nothing_is_wanted() -> None:
    lines = told(snapshot(member(blue=runs(server(1, "r1", version="1.4.1")))))
    assert lines == [
        "shop: blue serves traffic: release r1 (1.4.1), 1 server, healthy. green is the standby: no servers.",
        "No rollout is under way, and no release waits for one.",
        "No rollback is ready now: green has not been active.",
    ]


def test_it_says_what_is_wrong_with_the_service_itself() -> None:
    assert told(snapshot(member(blue=runs())))[-1].startswith("critical: blue is active and has no servers")
    undecided = told(snapshot(member(active=None, blue=runs(server(1, "r1")), green=runs(server(2, "r2")))))
    assert sum("both colours have servers" in line for line in undecided) == 1


def test_it_says_which_traefiks_show_what_was_decided() -> None:
    shows = Applied("http://a:8080", answers=True, is_current=True, weights=(("shop-blue", 100),), is_ours=True)
    refuses = Applied("http://b:8080", answers=True, weights=(("shop-green", 100),), is_ours=True)
    one = member(blue=runs(server(1, "r1")))
    of = snapshot(replace(one, applied=(shows, refuses), shown=all_on(BLUE), given=True))
    assert said(of, "Read back") == (
        "Read back: applied by 1 of 2 Traefiks: Traefik at http://b:8080 has fetched the document and does not show "
        "it; its log says why."
    )
    of = snapshot(replace(one, applied=(shows,), shown=all_on(BLUE)))
    assert said(of, "Read back") == "Read back: applied by 1 of 1 Traefiks."


def test_every_phase_that_waits_says_what_comes_next() -> None:
    assert set(NEXT) == set(AT_DEADLINE) == set(Phase) - {Phase.STEADY}


@pytest.mark.parametrize("phase", UNDER_WAY)
def test_a_rollout_says_since_when_and_until_when(phase: Phase) -> None:
    of = group(phase, moved() if phase in {Phase.CONFIRMING, Phase.WATCHING} else old(MANUAL))
    assert "brings release r2 to green. It began 10s ago (docker)" in said(of, "Rollout r1")
    assert f"is in phase {phase} for 10s." in said(of, "Rollout r1")
    line = said(of, "Next: ")
    assert NEXT[phase] in line
    assert AT_DEADLINE[phase] in line
    assert "It has until 2026-01-" in line


@pytest.mark.parametrize("phase", BEFORE_SWITCH)
def test_before_the_switch_each_gate_says_where_it_stands(phase: Phase) -> None:
    line = said(group(phase, old(MANUAL)), "Gates: ")
    assert "health passed (1 server healthy); smoke skipped; approval " in line


def test_what_an_approval_waits_for_comes_with_the_command() -> None:
    assert said(group(Phase.APPROVAL, old(MANUAL)), "It waits") == (
        "It waits: release r2 waits for approval: bluegreen approve shop --release r2."
    )


def test_a_held_rollout_has_no_deadline() -> None:
    of = group(Phase.WAITING, old())
    assert of.state.rollout is not None
    held = replace(of, state=replace(of.state, rollout=replace(of.state.rollout, deadline_mono_s=None)))
    assert said(held, "Next: ").endswith("; its deadline does not run while it is held.")


def test_a_step_whose_clock_stands_still_has_no_deadline_whatever_stops_it() -> None:
    """Rule 19d: a pause is not Docker's absence, and a date that moves along with the clock is none."""
    canary = Canary((Step(5, 300.0), Step(25, 600.0)))
    of = stepping(1, old(service(canary=canary)), canary=canary)
    paused = replace(
        of, state=clocks.stand_still(replace(of.state, paused=Pause("ann", "x", EPOCH)), still=True, now=at(1010.0))
    )
    assert said(paused, "Next: ", mono_s=1100.0).endswith(
        "; its deadline does not run while its clock stands still, with 1h 4m left."
    )
    assert facts(paused, at(1100.0)).deadline_utc is None


def test_a_member_that_its_groups_rollout_does_not_move_says_which_one_moves() -> None:
    """Rule 10: its commands are refused because of that rollout, and explain is where they lead."""
    other = member(service("api"), blue=runs(server(1, "r1")))
    of = stepping(1)
    lines = explain(facts(replace(of, members=(*of.members, other)), at(1010.0), other))
    assert "Rollout r1 of its group moves shop, not api, and is in phase shifting: bluegreen explain shop." in lines


def test_a_pause_and_an_override_say_who_and_how_to_go_on() -> None:
    of = group(Phase.STEADY, old())
    paused = replace(of, state=replace(of.state, paused=Pause("ann", "lunch", EPOCH)))
    assert "paused by ann (lunch); go on with: bluegreen resume shop" in said(paused, "It waits")
    override = Override(BLUE, "r2", "too slow", "bob", EPOCH)
    assert "kept at blue by bob: too slow" in said(
        group(Phase.STEADY, with_state(old(), override=override)), "It waits"
    )


def test_the_rollback_target_is_said_with_its_command() -> None:
    """Rule 8: the rollback command is printed."""
    assert told(group(Phase.STEADY, moved()))[-1] == (
        "A rollback is ready, to release r1 in blue: bluegreen rollback shop"
    )


def test_a_lease_is_said_while_it_stands() -> None:
    lease = Lease("l1", "ci", at(1500.0).utc)
    of = group(Phase.STEADY, with_state(old(), lease=lease))
    assert said(of, "ci deploys it").endswith("at most.")
    assert not any("ci deploys it" in line for line in told(of, mono_s=1500.0))


def test_an_undecided_service_says_how_to_decide() -> None:
    of = snapshot(member(active=None, blue=runs(server(1)), green=runs(server(2))))
    assert told(of)[0] == "shop: no colour serves traffic yet."
    assert "bluegreen switch shop blue|green" in said(of, "It waits")


def test_what_holds_for_the_whole_daemon_comes_last() -> None:
    condition = Condition(ConditionCode.DOCKER_AWAY, Severity.WARNING, "Docker does not answer", EPOCH)
    assert told(group(Phase.STEADY, old()), condition)[-1] == "warning: Docker does not answer"


@pytest.mark.parametrize(
    ("passed_s", "words"), [(59.4, "59s ago"), (61.0, "1m 1s ago"), (3700.0, "1h 1m ago"), (-5.0, "0s ago")]
)
def test_times_are_reported_as_people_say_them(passed_s: float, words: str) -> None:
    lasting: Service = service(deadlines=replace(service().deadlines, waiting_s=9e9))
    assert words in said(group(Phase.WAITING, old(lasting)), "Rollout r1", mono_s=1000.0 + passed_s)


def test_a_restart_of_the_daemon_does_not_begin_a_phase_again_in_words() -> None:
    """Rule 14 gives a phase its time again; how long it has gone on is another thing."""
    of = group(Phase.WAITING)
    assert of.state.rollout is not None
    later = Instant(5.0, of.state.rollout.since_utc + timedelta(minutes=7))
    resumed = replace(of, state=clocks.resume(of.state, limits(of), later))
    assert "is in phase waiting for 7m 0s." in explain(facts(resumed, later))[1]


def test_who_approves_is_shown_where_to_look() -> None:
    preview = Router("shop-preview", "Host(`preview.shop.test`)", {"tls": {}})
    of = group(Phase.APPROVAL, old(service(approval_is_manual=True, preview=preview)))
    assert "Preview it before it gets the traffic: https://preview.shop.test/" in told(of)


def test_in_a_step_it_says_which_until_when_and_how_to_end_it() -> None:
    """Rules 19 and 20."""
    of = stepping(1, canary=Canary((Step(5, 300.0, approval_is_manual=True), Step(25, 600.0))))
    lines = told(of, mono_s=1060.0)
    (step,) = [line for line in lines if line.startswith("Step ")]
    assert step.startswith("Step 1 of 2 gives the candidate 5 % of the requests, for ")
    assert re.search(r"; its time lasts until [-0-9]+ [:0-9]+ UTC \(.+\)\.$", step)
    ways = lines[lines.index(step) + 1]
    assert ways == (
        "To end its time: bluegreen promote shop; to approve what follows: bluegreen approve shop --release r2 --step "
        "1; to take the traffic away from it: bluegreen abort shop."
    )
    (upcoming,) = [line for line in lines if line.startswith("Next: ")]
    assert upcoming.startswith(
        "Next: when its time is over and its gates have passed, step 2 with 25 % follows. It has"
    )
    assert upcoming.endswith(
        "otherwise it expires: it is quarantined, and the active colour has all of the traffic again."
    )


def test_of_a_step_it_says_why_its_time_does_not_run_and_who_ended_it() -> None:
    """Rule 19: the clock begins when Traefik shows it."""
    canary = Canary((Step(5, 300.0),))
    assert "; its time begins when Traefik shows it." in said(stepping(1, canary=canary, shown=False), "Step 1")
    of = stepping(1, canary=canary)
    rollout = of.state.rollout
    assert rollout is not None
    assert rollout.step is not None
    promoted = replace(rollout, step=replace(rollout.step, promoted="ann"))
    of = replace(of, state=replace(of.state, rollout=promoted))
    assert "; ann ended its time." in said(of, "Step 1")
    assert said(of, "Next:").startswith("Next: when its time is over and its gates have passed, it gets all of the")
    ways = "to go on without what is missing: bluegreen promote shop --force --reason WHY"
    assert any(ways in line.replace("To", "to") for line in told(of))


def test_a_step_that_lacks_nothing_but_requests_has_no_deadline() -> None:
    """Rule 19d: neither in words nor in the status."""
    canary = Canary((Step(5, 300.0), Step(25, 600.0)))
    of = stepping(1, old(service(canary=canary, analysis=Analysis())), canary=canary)
    assert facts(of, at(1290.0)).deadline_utc is not None
    one = of.members[0]
    of = replace(of, members=(replace(one, analysed=replace(one.analysed, is_read=True)),))
    assert facts(of, at(9000.0)).deadline_utc is None
    assert said(of, "Next:", mono_s=9000.0).endswith(
        "step 2 with 25 % follows; it has no deadline while it lacks nothing but requests."
    )
