"""What operators command: each verb in every phase, and where it is not as easy as that."""

from dataclasses import replace
from typing import Any

import pytest

from provider.model import (
    Approval,
    Candidate,
    Colour,
    GroupState,
    Health,
    Instant,
    Observed,
    Outcome,
    Override,
    Pause,
    Phase,
    Plan,
    Quarantine,
    RollbackTarget,
    Rollout,
    Snapshot,
    Trigger,
    Verb,
    Wish,
)
from provider.rollout.commands import command
from provider.rollout.commands.types import Command, Done, Refusal, Refused
from provider.rollout.reconcile import reconcile
from tests.support.phases import (
    AFTER_SWITCH,
    ANN,
    BEFORE_SWITCH,
    BOB,
    NEW,
    OLD,
    UNDER_WAY,
    begun,
    carried,
    group,
    moved,
    old,
    only,
    see,
    with_state,
)
from tests.support.worlds import (
    BLUE,
    EPOCH,
    GREEN,
    NOTHING,
    all_on,
    at,
    candidate,
    member,
    runs,
    server,
    service,
    snapshot,
)

NOW = at(1010.0)
SICK = {NEW: Health.UNHEALTHY}
FAILED = GroupState(None, 7, (Quarantine((candidate(),), Outcome.ABORTED, "r7", EPOCH),))


def given(of: Snapshot, verb: Verb, now: Instant = NOW, **fields: Any) -> Done | Refused:
    fields = {"service": of.members[-1].service.name, "actor": ANN} | fields
    before = of
    answer = command(of, Command(verb, **fields), now)
    assert of == before
    return answer


def done(of: Snapshot, verb: Verb, now: Instant = NOW, **fields: Any) -> Done:
    answer = given(of, verb, now, **fields)
    assert isinstance(answer, Done), answer
    assert answer.detail
    assert answer.already is not (answer.snapshot != of), "nothing to do, and nothing but that, changes nothing"
    assert bool(answer.decisions) is (answer.snapshot != of), "what changed is committed, or would be lost"
    return answer


def refused(of: Snapshot, verb: Verb, now: Instant = NOW, **fields: Any) -> Refused:
    answer = given(of, verb, now, **fields)
    assert isinstance(answer, Refused), answer
    return answer


def followed(answer: Done, now: Instant = NOW) -> Plan:
    return reconcile(answer.snapshot, now, answer.decisions)


def events(answer: Done) -> list[str]:
    return [row.event for row in answer.decisions]


def under_way(of: Snapshot) -> Rollout:
    assert of.state.rollout is not None
    return of.state.rollout


def actives(of: Snapshot) -> dict[str, Colour | None]:
    return {each.service.name: each.state.active for each in of.members}


# --- who forces says why --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [None, ""])
@pytest.mark.parametrize("verb", Verb)
def test_who_forces_says_why(verb: Verb, reason: str | None) -> None:
    """P1: a named operator, with a reason."""
    answer = refused(group(Phase.STEADY), verb, colour=GREEN, force=True, reason=reason)
    assert answer == Refused(Refusal.REASON_WANTED, "who forces says why: give a reason (--reason)")


# --- switch ---------------------------------------------------------------------------------------------------------


def test_switch_begins_a_rollout_that_passes_every_gate() -> None:
    """P1: a command is no way past the gates."""
    sick = snapshot(old(health=member(green=runs(NEW), health=SICK).health))
    answer = done(sick, Verb.SWITCH, colour=GREEN, release="r2")
    assert answer.pending
    assert answer.detail == "rollout r1 to green has begun"
    rollout = under_way(answer.snapshot)
    assert (rollout.candidates, rollout.trigger, rollout.actor) == ((candidate(),), Trigger.COMMAND, ANN)
    plan = followed(answer)
    assert plan.group.rollout is not None
    assert plan.group.rollout.phase is Phase.WAITING
    assert plan.states["shop"].active is BLUE


def test_switch_brings_what_the_file_would_not() -> None:
    """Rule 2: also a release that is settled, and one that is quarantined; that it is asked for is enough."""
    settled = old().state.settled.put(GREEN, frozenset({"r2"}))
    of = snapshot(with_state(old(), settled=settled), state=FAILED)
    assert reconcile(of, NOW).decisions == ()
    plan = followed(done(of, Verb.SWITCH, colour=GREEN))
    assert plan.group.rollout is not None
    assert plan.group.quarantined == ()


@pytest.mark.parametrize("phase", BEFORE_SWITCH)
def test_switch_to_what_is_on_its_way_changes_nothing(phase: Phase) -> None:
    answer = done(group(phase), Verb.SWITCH, colour=GREEN)
    assert (answer.already, answer.pending) == (True, True)
    assert answer.detail == "rollout r1 is on its way to green"


@pytest.mark.parametrize("phase", BEFORE_SWITCH)
def test_switch_with_force_takes_the_place_of_a_rollout_that_waits(phase: Phase) -> None:
    """P1."""
    answer = done(group(phase), Verb.SWITCH, colour=GREEN, force=True, reason="it burns")
    assert events(answer) == ["superseded", "begun"]
    assert answer.decisions[1].detail == "gates waived: it burns"
    assert (under_way(answer.snapshot).id, under_way(answer.snapshot).forced) == ("r2", "it burns")


def test_force_waives_the_gates_and_never_the_release() -> None:
    """P1: health, smoke and approval; but what is not there cannot be switched to."""
    of = service(approval_is_manual=True)
    sick = snapshot(old(of, runs(NEW, from_docker=False), health=member(green=runs(NEW), health=SICK).health))
    assert followed(done(sick, Verb.SWITCH, colour=GREEN)).states["shop"].active is BLUE
    forced = done(sick, Verb.SWITCH, colour=GREEN, force=True, reason="it burns")
    assert followed(forced).states["shop"].active is GREEN
    other = see(forced.snapshot, "shop", GREEN, runs(server(3, "r3"), from_docker=False))
    assert reconcile(other, NOW).states["shop"].active is BLUE


@pytest.mark.parametrize("phase", BEFORE_SWITCH)
def test_switch_to_the_active_colour_aborts_what_is_on_its_way(phase: Phase) -> None:
    """Rule 10: an explicit switch is an operator's last word."""
    answer = done(group(phase), Verb.SWITCH, colour=BLUE)
    assert [(row.event, row.detail) for row in answer.decisions] == [("aborted", "blue was asked for")]
    assert answer.snapshot.state.rollout is None


@pytest.mark.parametrize("phase", [Phase.STEADY, *AFTER_SWITCH])
def test_switch_to_the_active_colour_is_done_already(phase: Phase) -> None:
    answer = done(group(phase, moved()), Verb.SWITCH, colour=GREEN)
    assert (answer.already, answer.detail) == (True, "green of shop is active")


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_switch_back_leaves_the_watch_and_quarantines_nothing(phase: Phase) -> None:
    """Rule 9: choosing the rollback target by `switch` needs only its present health; only `rollback` quarantines."""
    answer = done(group(phase), Verb.SWITCH, colour=BLUE)
    assert events(answer) == ["superseded", "begun"]
    plan = followed(answer)
    assert plan.group.quarantined == ()
    assert plan.group.rollout is not None
    assert plan.group.rollout.phase is Phase.SHIFTING


def test_the_rollback_target_by_switch_asks_for_its_health_alone() -> None:
    """Rule 9: no settle, no approval; but healthy."""
    of = service(approval_is_manual=True, settle_s=3600.0)
    fresh = runs(OLD, changed_mono_s=1005.0, listed_mono_s=1010.0)
    plan = followed(done(snapshot(moved(of, blue=fresh)), Verb.SWITCH, colour=BLUE))
    assert plan.states["shop"].active is BLUE
    sick = snapshot(moved(of, blue=fresh, health={OLD: Health.UNHEALTHY}))
    assert followed(done(sick, Verb.SWITCH, colour=BLUE)).states["shop"].active is GREEN


def test_switch_lifts_an_override() -> None:
    """Rule 10: what stood stands no longer after an explicit switch."""
    kept = with_state(old(), override=Override(BLUE, "r2", "it was slow", BOB, EPOCH))
    there = done(snapshot(kept), Verb.SWITCH, colour=BLUE)
    assert (events(there), only(there.snapshot).state.override) == (["override-lifted"], None)
    away = done(snapshot(kept), Verb.SWITCH, colour=GREEN)
    assert only(away.snapshot).state.override is None


def test_switch_against_the_file_stands_as_an_override() -> None:
    """Rule 10: `active: blue` in the file does not take it back."""
    of = service(active=Wish.BLUE)
    answer = done(snapshot(old(of)), Verb.SWITCH, colour=GREEN, reason="blue leaks")
    override = Override(GREEN, "r1", "blue leaks", ANN, NOW.utc)
    assert only(answer.snapshot).state.override == override
    plan = followed(answer)
    assert plan.group.rollout is not None
    assert plan.group.rollout.phase is Phase.SHIFTING
    assert plan.states["shop"].override == override
    there = snapshot(with_state(moved(of), override=override))
    assert reconcile(there, NOW).decisions == (), "and stands when it is done"
    again = done(there, Verb.SWITCH, colour=GREEN)
    assert (again.already, again.decisions, again.snapshot) == (True, (), there), "also when it is asked for once more"


def test_an_override_of_a_switch_against_the_file_names_its_cause_by_itself() -> None:
    answer = done(snapshot(old(service(active=Wish.BLUE))), Verb.SWITCH, colour=GREEN)
    override = only(answer.snapshot).state.override
    assert override is not None
    assert override.reason == "switched to green by command, while the file says active: blue"


def test_a_switch_against_the_file_that_comes_to_nothing_leaves_no_override() -> None:
    """Rule 10: it stands for the colour that has traffic, or for nothing."""
    sick = snapshot(old(service(active=Wish.BLUE), health=member(green=runs(NEW), health=SICK).health))
    begun = done(sick, Verb.SWITCH, colour=GREEN)
    assert followed(begun).states["shop"].override is not None
    late = at(NOW.mono_s + 600.0)
    plan = reconcile(begun.snapshot, late)
    assert [row.event for row in plan.decisions] == ["expired", "override-lifted"]
    assert plan.states["shop"].override is None


def test_an_edit_back_to_the_active_colour_ends_a_commanded_rollout() -> None:
    """Rule 10: the effective `active` changed, so the command stands no longer; traffic must not go there and back."""
    begun = done(snapshot(old(health={})), Verb.SWITCH, colour=GREEN)
    edited = replace(begun.snapshot, members=(replace(only(begun.snapshot), service=service(active=Wish.BLUE)),))
    plan = reconcile(edited, NOW)
    assert [row.event for row in plan.decisions] == ["desired", "withdrawn"]
    assert plan.group.rollout is None


def test_an_edit_to_auto_leaves_a_commanded_rollout_alone() -> None:
    begun = done(snapshot(old(service(active=Wish.BLUE), health={})), Verb.SWITCH, colour=GREEN)
    edited = replace(begun.snapshot, members=(replace(only(begun.snapshot), service=service()),))
    plan = reconcile(edited, NOW)
    assert [row.event for row in plan.decisions] == ["desired"]
    assert plan.group.rollout is not None


@pytest.mark.parametrize(
    ("green", "release", "code", "says"),
    [
        (NOTHING, None, Refusal.NO_RELEASE, "green of shop has no servers; start one first"),
        (Observed(), None, Refusal.NO_RELEASE, "green of shop has no servers; start one first"),
        (
            runs(NEW, server(3, "r3")),
            None,
            Refusal.NO_RELEASE,
            "green of shop is mixed: it runs r2, r3; give it one release first",
        ),
        (runs(NEW), "r3", Refusal.STALE, "green of shop runs release r2, not r3"),
    ],
)
def test_switch_is_refused_where_there_is_nothing_to_switch_to(
    green: Observed, release: str | None, code: Refusal, says: str
) -> None:
    """Force does not help: identity is never waived."""
    of = snapshot(old(green=green))
    assert refused(of, Verb.SWITCH, colour=GREEN, release=release) == Refused(code, says)
    forced = refused(of, Verb.SWITCH, colour=GREEN, release=release, force=True, reason="it burns")
    assert forced == Refused(code, says)


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (snapshot(old(service(hold=True))), "shop has hold: true; remove it to go on"),
        (
            snapshot(old(), state=GroupState(paused=Pause(BOB, "fair", EPOCH))),
            "paused by bob (fair); go on with: bluegreen resume shop",
        ),
    ],
)
def test_switch_is_refused_while_the_group_is_held_and_can_be_forced(of: Snapshot, says: str) -> None:
    """Rule 2."""
    answer = refused(of, Verb.SWITCH, colour=GREEN)
    assert answer == Refused(Refusal.HELD, f"{says}; or force it with a reason")
    forced = done(of, Verb.SWITCH, colour=GREEN, force=True, reason="it burns")
    plan = followed(forced)
    assert plan.group.rollout is not None
    assert plan.group.rollout.deadline_mono_s is not None, "who forces means it"
    assert plan.group.rollout.phase is Phase.SHIFTING


@pytest.mark.parametrize("hold", [True, False])
def test_the_rollback_target_may_be_switched_to_while_the_group_is_held(hold: bool) -> None:
    """Rule 2: the rollback target is not forward."""
    state = GroupState(paused=None if hold else Pause(BOB, None, EPOCH))
    answer = done(snapshot(moved(service(hold=hold)), state=state), Verb.SWITCH, colour=BLUE)
    plan = followed(answer)
    assert plan.group.rollout is not None
    assert plan.group.rollout.phase is Phase.SHIFTING


def test_switch_names_a_colour() -> None:
    with pytest.raises(AssertionError, match="names a colour"):
        given(group(Phase.STEADY), Verb.SWITCH)


# --- switch: a service that is undecided ----------------------------------------------------------------------------


def undecided(blue: Observed, green: Observed) -> Snapshot:
    return snapshot(with_state(member(active=None, blue=blue, green=green), undecided=True))


@pytest.mark.parametrize("colour", Colour)
def test_switch_settles_an_undecided_service(colour: Colour) -> None:
    """Rule 1: the colour named is active; what then stands by is settled, and not rolled out by itself."""
    answer = done(undecided(runs(OLD), runs(NEW)), Verb.SWITCH, colour=colour, reason="blue has the customers")
    state = only(answer.snapshot).state
    assert (state.active, state.undecided, state.wish) == (colour, False, Wish.AUTO)
    (row,) = answer.decisions
    assert (row.event, row.actor, row.detail) == ("first-sight", ANN, "blue has the customers")
    assert followed(answer).decisions == answer.decisions


@pytest.mark.parametrize(
    ("of", "code", "says"),
    [
        (undecided(runs(OLD), Observed()), Refusal.NOT_READY, "Docker has not listed its containers yet"),
        (undecided(runs(OLD), NOTHING), Refusal.NO_RELEASE, "green of shop has no servers; start one first"),
    ],
)
def test_an_undecided_service_is_not_settled_on_what_is_not_there(of: Snapshot, code: Refusal, says: str) -> None:
    """Rule 1: before the first complete list Docker's servers are unknown, not none."""
    answer = refused(of, Verb.SWITCH, colour=GREEN)
    assert answer.code is code
    assert says in answer.detail


@pytest.mark.parametrize("verb", [verb for verb in Verb if verb is not Verb.SWITCH])
def test_an_undecided_service_has_nothing_to_go_forward_or_back_to(verb: Verb) -> None:
    answer = given(undecided(runs(OLD), runs(NEW)), verb, release="r2")
    match verb:
        case Verb.PAUSE:
            assert isinstance(answer, Done)
        case Verb.RETRY | Verb.RESUME | Verb.ABORT:
            assert isinstance(answer, Done)
            assert answer.already
        case _:
            assert isinstance(answer, Refused)


# --- approve --------------------------------------------------------------------------------------------------------

MANUAL = service(approval_is_manual=True)


def awaiting(phase: Phase = Phase.APPROVAL) -> Snapshot:
    return group(phase, old(MANUAL, runs(NEW, from_docker=False)))


def test_an_approval_lets_the_release_through() -> None:
    """P1."""
    assert reconcile(awaiting(), NOW).states["shop"].active is BLUE
    answer = done(awaiting(), Verb.APPROVE, release="r2", reason="looks good")
    assert not answer.pending
    assert under_way(answer.snapshot).approval == Approval(ANN, NOW.utc)
    (row,) = answer.decisions
    assert (row.event, row.actor, row.release, row.detail) == ("approval-given", ANN, "r2", "looks good")
    plan = followed(answer)
    assert plan.states["shop"].active is GREEN
    assert next(row.actor for row in plan.decisions if row.event == "approved") == ANN


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.TESTING])
def test_an_early_approval_is_kept_until_it_is_asked_for(phase: Phase) -> None:
    of = awaiting(phase)
    sick = replace(of, members=(replace(only(of), health=member(green=runs(NEW), health=SICK).health),))
    answer = done(sick, Verb.APPROVE, release="r2")
    assert answer.pending
    assert under_way(answer.snapshot).phase is phase
    healthy = replace(answer.snapshot, members=of.members)
    plan = reconcile(healthy, NOW)
    assert plan.states["shop"].active is GREEN
    assert "approval-wanted" not in [row.event for row in plan.decisions]


def test_an_approval_of_another_release_is_stale() -> None:
    """P1: an approval is for one release, never for one that came in the meantime."""
    answer = refused(awaiting(), Verb.APPROVE, release="r1")
    assert answer.code is Refusal.STALE
    assert answer.detail.endswith("look at that, then bluegreen approve shop --release r2")


def test_an_approval_does_not_outlive_the_rollout_it_was_given_in() -> None:
    """P1: evidence is bound to the release."""
    approved = done(awaiting(), Verb.APPROVE, release="r2")
    other = see(approved.snapshot, "shop", GREEN, runs(server(3, "r3"), from_docker=False))
    plan = reconcile(other, NOW)
    assert plan.group.rollout is not None
    assert (plan.group.rollout.candidates, plan.group.rollout.approval) == ((candidate("r3"),), None)
    assert plan.group.rollout.phase is Phase.APPROVAL


def test_a_second_approval_changes_nothing() -> None:
    first = done(awaiting(), Verb.APPROVE, release="r2", actor=BOB)
    assert done(first.snapshot, Verb.APPROVE, release="r2").detail == "release r2 was approved by bob"


@pytest.mark.parametrize("phase", BEFORE_SWITCH)
def test_what_needs_no_approval_says_so(phase: Phase) -> None:
    of = group(phase)
    of = replace(of, state=replace(of.state, rollout=replace(under_way(of), approval=None)))
    assert done(of, Verb.APPROVE, release="r2").detail == "release r2 needs no approval"


@pytest.mark.parametrize("phase", [Phase.STEADY, *AFTER_SWITCH])
def test_without_a_rollout_that_waits_there_is_nothing_to_approve(phase: Phase) -> None:
    of = group(phase, moved(MANUAL))
    answer = refused(of, Verb.APPROVE, release="r3")
    assert answer.code is Refusal.NO_ROLLOUT
    assert "bluegreen explain shop" in answer.detail
    assert done(of, Verb.APPROVE, release="r2").detail == "release r2 is active", "two people approve at once"


# --- abort ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sight", ["healthy", "gone", "unknown", "Docker away", "held"])
@pytest.mark.parametrize("phase", BEFORE_SWITCH)
def test_abort_always_wins_before_the_switch(phase: Phase, sight: str) -> None:
    """P8: it never depends on the candidate. P9: what was aborted is quarantined."""
    of = group(phase, old(service(hold=sight == "held")))
    of = see(of, "shop", GREEN, {"gone": NOTHING, "unknown": Observed()}.get(sight, runs(NEW)))
    of = replace(of, docker_connected=sight != "Docker away")
    answer = done(of, Verb.ABORT, reason="wrong build")
    assert answer.detail == "rollout r1 is aborted"
    (row,) = answer.decisions
    assert (row.event, row.outcome, row.actor, row.detail, row.trigger) == (
        "aborted",
        Outcome.ABORTED,
        ANN,
        "wrong build",
        Trigger.COMMAND,
    )
    plan = followed(answer)
    assert plan.group.rollout is None
    assert [failed.candidates for failed in plan.group.quarantined] == [(candidate(),)]
    assert plan.states["shop"].active is BLUE
    assert plan.states["shop"].override == Override(BLUE, "r2", "wrong build", ANN, NOW.utc)
    assert plan.decisions == answer.decisions, "and nothing begins again"


def test_abort_wins_over_a_file_that_names_the_colour() -> None:
    """P8, rule 10: until the file says something else."""
    of = group(Phase.WAITING, old(service(active=Wish.GREEN)))
    plan = followed(done(of, Verb.ABORT))
    assert plan.group.rollout is None
    assert plan.states["shop"].override is not None


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_abort_after_the_switch_is_rollback(phase: Phase) -> None:
    """P8."""
    answer = done(group(phase), Verb.ABORT)
    assert events(answer) == ["rolled-back"]
    assert answer.detail == "blue of shop is active again"
    assert answer.snapshot.state.rollout is None
    assert actives(answer.snapshot) == {"shop": BLUE}


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_abort_after_the_switch_is_refused_where_rollback_is(phase: Phase) -> None:
    """Rule 9: it is a rollback, so identity counts."""
    answer = refused(group(phase, moved(blue=NOTHING)), Verb.ABORT)
    assert answer == Refused(Refusal.NOT_READY, "shop cannot be rolled back: blue has no servers any more")


def test_abort_without_a_rollout_is_done_already() -> None:
    assert done(group(Phase.STEADY), Verb.ABORT).detail == "no rollout of shop is under way"


# --- rollback -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.STEADY, *AFTER_SWITCH])
def test_rollback_goes_back_at_once_quarantines_what_it_leaves_and_stands(phase: Phase) -> None:
    """P7: one switch, no gates. P9, rule 10."""
    of = service(approval_is_manual=True, settle_s=3600.0, active=Wish.GREEN)
    answer = done(group(phase, moved(of)), Verb.ROLLBACK, leaving="r2", reason="errors at the till")
    state = only(answer.snapshot).state
    assert (answer.pending, answer.detail) == (False, "blue of shop is active again")
    assert (state.active, state.switched_utc) == (BLUE, NOW.utc)
    assert state.override == Override(BLUE, "r2", "errors at the till", ANN, NOW.utc)
    (row,) = answer.decisions
    assert (row.event, row.colour, row.release, row.actor) == ("rolled-back", GREEN, "r2", ANN)
    assert [failed.candidates for failed in answer.snapshot.state.quarantined] == [(candidate(),)]
    assert answer.snapshot.state.rollout is None
    assert followed(answer).decisions == answer.decisions, "and nothing begins again, whatever the file says"


@pytest.mark.parametrize("phase", [Phase.STEADY, *AFTER_SWITCH])
def test_a_second_rollback_changes_nothing(phase: Phase) -> None:
    """Rule 9: two operators at 3 a.m. name the same release to leave."""
    first = done(group(phase, moved()), Verb.ROLLBACK, leaving="r2")
    second = done(first.snapshot, Verb.ROLLBACK, leaving="r2", actor=BOB)
    assert second.already
    assert second.detail == "release r2 of shop is not active any more"


def test_a_second_rollback_that_names_nothing_is_refused_and_not_a_way_forward() -> None:
    """Rule 9, P9: what was rolled back is quarantined, so back and forth is not possible."""
    first = done(group(Phase.STEADY, moved()), Verb.ROLLBACK)
    answer = refused(first.snapshot, Verb.ROLLBACK)
    assert answer == Refused(
        Refusal.NOT_READY,
        "shop cannot be rolled back: release r2 in green is quarantined: it was rolled back by ann; green runs release "
        "r2, healthy: to switch to it, bluegreen switch shop green",
    )


def test_what_was_rolled_back_by_hand_is_one_switch_away_when_the_other_colour_fails_too() -> None:
    """Rules 8 and 9. In an outage a refusal names the command that works, and that one takes the traffic at once."""
    first = done(group(Phase.STEADY, moved()), Verb.ROLLBACK, reason="incident")
    answer = refused(first.snapshot, Verb.ROLLBACK, force=True, reason="blue is down, too")
    assert "is quarantined: it was rolled back by ann (incident); green runs release r2, healthy" in answer.detail
    assert answer.detail.endswith("bluegreen switch shop green")
    plan = followed(done(first.snapshot, Verb.SWITCH, colour=GREEN, reason="blue is down, too"))
    assert plan.group.rollout is not None
    assert plan.group.rollout.phase is Phase.SHIFTING, "of the rollback target only its present health is asked"
    assert [row.detail for row in plan.decisions if row.event == "begun"] == ["blue is down, too"]


def test_the_reason_of_a_switch_stands_in_the_history() -> None:
    answer = done(group(Phase.STEADY), Verb.SWITCH, colour=GREEN, reason="the fix for orders")
    assert [(row.event, row.actor, row.detail) for row in answer.decisions] == [("begun", ANN, "the fix for orders")]
    instead = done(group(Phase.WAITING), Verb.SWITCH, colour=GREEN, force=True, reason="it burns")
    assert [row.detail for row in instead.decisions] == ["ann asked for green: it burns", "gates waived: it burns"]


NO_ROLLBACK_TARGET = {
    "never active": (old(), "green has not been active"),
    "gone": (moved(blue=NOTHING), "blue has no servers any more"),
    "another release": (moved(blue=runs(server(3, "r3"))), "blue runs r3, not r1"),
    "mixed": (moved(blue=runs(OLD, server(3, "r3"))), "blue runs r1, r3, not r1"),
    "being stopped": (moved(blue=runs(replace(OLD, leaving_mono_s=990.0))), "blue has no servers any more"),
    "several when left": (
        with_state(moved(), rollback_target=RollbackTarget(BLUE, None, "r1")),
        "blue ran several releases when it was left",
    ),
}


@pytest.mark.parametrize("force", [False, True])
@pytest.mark.parametrize("case", NO_ROLLBACK_TARGET)
def test_rollback_is_refused_where_the_rollback_target_is_not_that_release(case: str, force: bool) -> None:
    """Rule 9: force waives health, never identity."""
    of, reason = NO_ROLLBACK_TARGET[case]
    answer = refused(snapshot(of), Verb.ROLLBACK, force=force, reason="it burns")
    assert answer.code is Refusal.NOT_READY
    assert answer.detail.partition(";")[0] == f"shop cannot be rolled back: {reason}"


@pytest.mark.parametrize(
    ("health", "says"),
    [
        (Health.UNHEALTHY, "blue is unhealthy: http://10.0.0.1:80 is unhealthy (refused)"),
        (Health.UNKNOWN, "blue is starting: http://10.0.0.1:80 is unknown (not checked yet)"),
    ],
)
@pytest.mark.parametrize("phase", [Phase.STEADY, *AFTER_SWITCH])
def test_an_unhealthy_rollback_target_is_refused_says_how_to_force_it_and_can_be_forced(
    phase: Phase, health: Health, says: str
) -> None:
    """Rule 9, P7."""
    of = group(phase, moved(health={OLD: health}))
    answer = refused(of, Verb.ROLLBACK)
    assert answer == Refused(
        Refusal.NOT_READY, f"shop cannot be rolled back: {says}; --force with a --reason waives its health"
    )
    forced = done(of, Verb.ROLLBACK, force=True, reason="it burns")
    assert actives(forced.snapshot) == {"shop": BLUE}


@pytest.mark.parametrize("docker_connected", [True, False])
def test_rollback_does_not_need_docker(docker_connected: bool) -> None:
    """P7, rule 4: the last known servers count, and their health is checked without it."""
    of = replace(group(Phase.STEADY, moved()), docker_connected=docker_connected)
    assert actives(done(of, Verb.ROLLBACK).snapshot) == {"shop": BLUE}


def test_rollback_works_while_the_group_is_held() -> None:
    """Rule 2."""
    of = snapshot(moved(service(hold=True)), state=GroupState(paused=Pause(BOB, None, EPOCH)))
    assert actives(done(of, Verb.ROLLBACK).snapshot) == {"shop": BLUE}


@pytest.mark.parametrize("phase", BEFORE_SWITCH)
def test_rollback_while_the_next_release_waits_needs_the_rollback_target_to_be_there(phase: Phase) -> None:
    """Rule 9: the next candidate runs where the rollback target was."""
    of = group(Phase.STEADY, moved(blue=runs(server(3, "r3"))))
    waiting = group(phase, *of.members)
    answer = refused(waiting, Verb.ROLLBACK, leaving="r2")
    assert answer.detail == (
        "shop cannot be rolled back: blue runs r3, not r1; blue runs release r3, healthy: to switch to it, bluegreen "
        "switch shop blue"
    )


def test_rollback_supersedes_a_rollout_that_had_yet_to_switch() -> None:
    """P7: the rollback target itself was chosen by the file, and waits."""
    named = moved(service(active=Wish.BLUE), health={OLD: Health.UNKNOWN})
    plan = reconcile(snapshot(named), NOW)
    assert plan.group.rollout is not None
    waiting = snapshot(moved(service(active=Wish.BLUE)), state=plan.group)
    answer = done(waiting, Verb.ROLLBACK)
    assert events(answer) == ["superseded", "rolled-back"]
    assert answer.snapshot.state.rollout is None
    assert [failed.candidates for failed in answer.snapshot.state.quarantined] == [(candidate(),)]


# --- retry ----------------------------------------------------------------------------------------------------------


def test_retry_tries_what_failed_again() -> None:
    """P9, rule 10."""
    kept = with_state(old(), override=Override(BLUE, "r2", "slow", BOB, EPOCH))
    of = snapshot(kept, state=FAILED)
    assert reconcile(of, NOW).decisions == ()
    answer = done(of, Verb.RETRY)
    assert (answer.pending, answer.detail) == (True, "tried again: shop green r2")
    assert events(answer) == ["retry", "begun"]
    assert answer.snapshot.state.quarantined == ()
    assert only(answer.snapshot).state.override is None


def test_what_was_rolled_back_passes_every_gate_when_it_is_tried_again() -> None:
    """P1: it is the release that was active before, and still no rollback target whose gates are waived."""
    of = moved(service(approval_is_manual=True))
    back = done(group(Phase.STEADY, of), Verb.ROLLBACK)
    plan = followed(done(back.snapshot, Verb.RETRY))
    assert plan.group.rollout is not None
    assert plan.group.rollout.phase is Phase.APPROVAL
    assert plan.states["shop"].active is BLUE


@pytest.mark.parametrize("phase", UNDER_WAY)
def test_retry_waits_for_the_end_of_what_is_under_way(phase: Phase) -> None:
    answer = refused(group(phase), Verb.RETRY)
    assert answer == Refused(
        Refusal.BUSY,
        f"rollout r1 is in phase {phase}. Wait until it is over (bluegreen wait shop --until steady), or abort it "
        "(bluegreen abort shop)",
    )


def test_retry_without_a_failure_is_done_already() -> None:
    answer = done(group(Phase.STEADY), Verb.RETRY)
    assert answer.detail == "no standby release of shop is quarantined"


@pytest.mark.parametrize("hold", [True, False])
def test_retry_of_what_is_not_to_begin_lifts_what_kept_it_out(hold: bool) -> None:
    """Rule 2: it does not begin while it is held, nor against the file."""
    of = snapshot(old(service(hold=hold, active=Wish.AUTO if hold else Wish.BLUE)), state=FAILED)
    answer = done(of, Verb.RETRY)
    assert (answer.pending, answer.detail) == (False, "no longer kept out: shop green r2")
    assert answer.snapshot.state.quarantined == ()
    assert answer.snapshot.state.rollout is None


def test_retry_of_a_colour_that_runs_nothing_forgives_it() -> None:
    answer = done(snapshot(old(green=NOTHING), state=FAILED), Verb.RETRY)
    assert answer.detail == "no longer kept out: shop green (nothing runs there)"


# --- pause and resume -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [Phase.STEADY, *BEFORE_SWITCH])
def test_pause_stops_forward_rollouts_until_resume(phase: Phase) -> None:
    """Rule 2."""
    paused = done(group(phase, old(green=runs(NEW, from_docker=False))), Verb.PAUSE, reason="fair")
    assert paused.snapshot.state.paused == Pause(ANN, "fair", NOW.utc)
    plan = followed(paused)
    assert plan.states["shop"].active is BLUE
    assert plan.wake_mono_s is None
    again = done(paused.snapshot, Verb.PAUSE, actor=BOB)
    assert again.detail == "shop was paused by ann"
    resumed = done(paused.snapshot, Verb.RESUME)
    assert resumed.snapshot.state.paused is None
    assert followed(resumed).states["shop"].active is GREEN


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_pause_does_not_stop_a_watch(phase: Phase) -> None:
    """Rule 2: what has traffic is watched as ever."""
    paused = done(group(phase, replace(moved(), fetched=True)), Verb.PAUSE)
    assert "watched" in [row.event for row in followed(paused, at(5000.0)).decisions]


def test_resume_of_what_is_not_paused_is_done_already() -> None:
    assert done(group(Phase.STEADY), Verb.RESUME).detail == "shop is not paused"


def test_resume_does_not_lift_the_hold_of_the_file() -> None:
    """Rule 2."""
    held = snapshot(old(service(hold=True)), state=GroupState(paused=Pause(BOB, None, EPOCH)))
    assert followed(done(held, Verb.RESUME)).group.rollout is None


# --- groups ---------------------------------------------------------------------------------------------------------

PAY, SHOP = service("pay", group="storefront"), service(group="storefront")
BOTH = (candidate(of="pay"), candidate())


def both(phase: Phase, **fields: Any) -> Snapshot:
    make = moved if phase in {Phase.STEADY, *AFTER_SWITCH} else old
    return group(phase, make(PAY), make(SHOP, **fields))


PAY_FAILED = Quarantine((candidate(of="pay"),), Outcome.ABORTED, "r1", EPOCH, "gate smoke of pay: home failed")


def test_force_takes_no_other_member_along() -> None:
    """P1: the gates are waived for the release that was named, with a reason, and for no other."""
    of = snapshot(old(PAY), old(SHOP), state=GroupState(None, 1, (PAY_FAILED,)))
    answer = done(of, Verb.SWITCH, colour=GREEN, force=True, reason="it burns")
    assert under_way(answer.snapshot).candidates == (candidate(),)
    assert answer.snapshot.state.quarantined == (PAY_FAILED,)
    plan = followed(answer)
    assert plan.group.rollout is not None
    assert (plan.group.rollout.phase, plan.group.rollout.candidates) == (Phase.SHIFTING, (candidate(),))


def test_a_switch_takes_no_member_along_whose_release_has_failed() -> None:
    """P9, rule 11: it is tried again when it is named, or by retry."""
    of = snapshot(old(PAY), old(SHOP), state=GroupState(None, 1, (PAY_FAILED,)))
    answer = done(of, Verb.SWITCH, colour=GREEN)
    assert under_way(answer.snapshot).candidates == (candidate(),)
    assert answer.snapshot.state.quarantined == (PAY_FAILED,)
    named = done(of, Verb.SWITCH, colour=GREEN, service="pay")
    assert under_way(named.snapshot).candidates == BOTH
    assert named.snapshot.state.quarantined == ()


@pytest.mark.parametrize("force", [True, False])
def test_what_failed_together_is_forgiven_by_its_own_name_only(force: bool) -> None:
    """P9: the other release of a set that failed is not tried again because somebody wants this one."""
    failed = Quarantine(BOTH, Outcome.ABORTED, "r1", EPOCH, "gate smoke of pay: home failed")
    of = snapshot(old(PAY), old(SHOP), state=GroupState(None, 1, (failed,)))
    answer = done(of, Verb.SWITCH, colour=GREEN, force=force, reason="it burns")
    assert under_way(answer.snapshot).candidates == (candidate(),)
    assert answer.snapshot.state.quarantined == (replace(failed, candidates=(candidate(of="pay"),)),)


@pytest.mark.parametrize("force", [True, False])
def test_a_rollback_target_that_failed_is_not_taken_along(force: bool) -> None:
    """P1, P9: both were rolled back; whoever means one of them says nothing of the other."""
    back = done(group(Phase.STEADY, moved(PAY), moved(SHOP)), Verb.ROLLBACK).snapshot
    assert actives(back) == {"pay": BLUE, "shop": BLUE}
    answer = done(back, Verb.SWITCH, colour=GREEN, force=force, reason="it burns")
    assert under_way(answer.snapshot).candidates == (candidate(),)
    assert [failed.candidates for failed in answer.snapshot.state.quarantined] == [(candidate(of="pay"),)]


@pytest.mark.parametrize("force", [True, False])
def test_a_rollback_target_that_did_not_fail_is_taken_along(force: bool) -> None:
    """Rules 9 and 11: what left together comes back together."""
    of = group(Phase.STEADY, moved(PAY), moved(SHOP))
    answer = done(of, Verb.SWITCH, colour=BLUE, force=force, reason="it burns")
    assert under_way(answer.snapshot).candidates == (candidate("r1", BLUE, "pay"), candidate("r1", BLUE))


def test_force_does_not_wait_for_another_members_standby() -> None:
    """Rule 11: a group waits for a standby that is starting, and who forces means it."""
    starting = old(PAY, health={})
    of = snapshot(starting, old(SHOP))
    phases = []
    ways: list[dict[str, Any]] = [{}, {"force": True, "reason": "it burns"}]
    for more in ways:
        plan = followed(done(of, Verb.SWITCH, colour=GREEN, **more))
        assert plan.group.rollout is not None
        phases.append(plan.group.rollout.phase)
    assert phases == [Phase.WAITING, Phase.SHIFTING]


def test_a_switch_of_one_member_takes_along_what_the_others_want() -> None:
    """Rule 11: a command on a member acts on all."""
    of = snapshot(old(replace(PAY, hold=False)), old(SHOP))
    answer = done(of, Verb.SWITCH, colour=GREEN, service="pay")
    assert under_way(answer.snapshot).candidates == BOTH
    alone = snapshot(old(PAY, green=NOTHING), old(SHOP))
    answer = done(alone, Verb.SWITCH, colour=GREEN, service="shop")
    assert under_way(answer.snapshot).candidates == (candidate(),)


@pytest.mark.parametrize("phase", BEFORE_SWITCH)
def test_an_abort_of_one_member_aborts_all(phase: Phase) -> None:
    """Rule 11: a failure quarantines that set."""
    answer = done(both(phase), Verb.ABORT, service="pay")
    assert [row.service for row in answer.decisions] == ["pay", "shop"]
    assert all(each.state.override is not None for each in answer.snapshot.members)
    assert [failed.candidates for failed in answer.snapshot.state.quarantined] == [BOTH]


@pytest.mark.parametrize("phase", [Phase.STEADY, *AFTER_SWITCH])
def test_a_rollback_of_one_member_rolls_back_all_that_moved_together(phase: Phase) -> None:
    """Rule 11."""
    answer = done(both(phase), Verb.ROLLBACK, service="pay", leaving="r2")
    assert actives(answer.snapshot) == {"pay": BLUE, "shop": BLUE}
    assert [failed.candidates for failed in answer.snapshot.state.quarantined] == [BOTH]
    assert done(answer.snapshot, Verb.ROLLBACK, service="shop", leaving="r2").already


@pytest.mark.parametrize("phase", [Phase.STEADY, *AFTER_SWITCH])
def test_no_member_is_rolled_back_where_the_way_of_another_is_not_ready(phase: Phase) -> None:
    """Rule 11: roll back all, or none."""
    answer = refused(both(phase, blue=NOTHING), Verb.ROLLBACK, service="pay")
    assert answer.detail == "shop cannot be rolled back: blue has no servers any more"


def test_an_approval_of_one_member_is_for_all() -> None:
    """Rule 11."""
    of = group(Phase.APPROVAL, old(replace(PAY, approval_is_manual=True)), old(SHOP))
    answer = done(of, Verb.APPROVE, service="shop", release="r2")
    assert [row.service for row in answer.decisions] == ["pay", "shop"]
    assert done(answer.snapshot, Verb.APPROVE, service="pay", release="r2").already


def test_a_retry_of_one_member_tries_all_that_failed_with_it() -> None:
    """Rule 11: what one of them had settled meanwhile does not leave it behind."""
    back = done(both(Phase.STEADY), Verb.ROLLBACK).snapshot
    edited = replace(back, members=(back.members[0], with_state(back.members[1], override=None)))
    answer = done(edited, Verb.RETRY, service="pay")
    assert answer.detail == "tried again: pay green r2, shop green r2"
    assert under_way(answer.snapshot).candidates == BOTH


def test_the_rollback_target_by_switch_takes_along_what_left_with_it() -> None:
    """Rules 9 and 11."""
    answer = done(both(Phase.STEADY), Verb.SWITCH, service="shop", colour=BLUE)
    assert under_way(answer.snapshot).candidates == (candidate("r1", BLUE, "pay"), candidate("r1", BLUE))


def test_a_switch_against_the_file_stands_for_all_that_it_moves() -> None:
    """Rules 10 and 11: or the file would take one of them back, and part the group."""
    named = [replace(each, active=Wish.GREEN) for each in (PAY, SHOP)]
    of = group(Phase.STEADY, *(moved(each, blue=runs(OLD, from_docker=False)) for each in named))
    answer = done(of, Verb.SWITCH, service="shop", colour=BLUE)
    assert [each.state.override is not None for each in answer.snapshot.members] == [True, True]
    plan = followed(answer)
    states, shows = plan.states, all_on(BLUE)
    shown = [replace(each, state=states[each.service.name], shown=shows, fetched=True) for each in of.members]
    after = reconcile(snapshot(*shown, state=plan.group), at(2000.0))
    assert {name: state.active for name, state in after.states.items()} == {"pay": BLUE, "shop": BLUE}


def test_an_abort_takes_back_what_moved_also_where_a_member_that_stayed_is_named() -> None:
    """P8, rule 11: the rollback target of the member that stayed is of another rollout."""
    stayed = with_state(moved(service("shop"), by="r0"), switched_utc=at(500.0).utc)
    state = carried(begun(candidate(of="cart")), Phase.WATCHING)
    of = snapshot(moved(service("cart"), by="r1"), stayed, state=state)
    answer = command(of, Command(Verb.ABORT, "shop", ANN), NOW)
    assert isinstance(answer, Done)
    assert {each.service.name: each.state.active for each in answer.snapshot.members} == {"cart": BLUE, "shop": GREEN}
    assert answer.snapshot.state.rollout is None


def test_a_switch_to_another_release_than_the_active_one_is_stale() -> None:
    """P1: what a pipeline asks for is what it gets, or a refusal."""
    of = group(Phase.STEADY, old())
    answer = command(of, Command(Verb.SWITCH, "shop", ANN, colour=BLUE, release="r9"), NOW)
    assert isinstance(answer, Refused)
    assert (answer.code, "is active with release r1, not r9" in answer.detail) == (Refusal.STALE, True)


# --- all of them ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", Verb)
@pytest.mark.parametrize("phase", [Phase.STEADY, *UNDER_WAY])
@pytest.mark.parametrize("docker", ["answers", "away"])
def test_every_verb_is_done_or_refused_in_every_phase_and_leaves_a_world_that_comes_to_rest(
    verb: Verb, phase: Phase, docker: str
) -> None:
    """P8, P9: and what is refused says why."""
    of = replace(group(phase), docker_connected=docker == "answers")
    forced: dict[str, Any] = {"force": True, "reason": "it burns"}
    for fields in ({}, forced):
        for colour in Colour:
            answer = given(of, verb, colour=colour, release=None, **fields)
            if isinstance(answer, Refused):
                assert len(answer.detail) > len("shop")
                continue
            plan = followed(answer)
            after = replace(
                answer.snapshot,
                state=plan.group,
                members=tuple(replace(each, state=plan.states[each.service.name]) for each in answer.snapshot.members),
            )
            assert reconcile(after, NOW).decisions == (), "it has come to rest"


def test_candidates_of_a_command_are_in_the_order_of_their_names() -> None:
    """P12: another order would be another set."""
    zoo = service("zoo", group="storefront")
    answer = done(snapshot(old(SHOP), old(zoo)), Verb.SWITCH, service="zoo", colour=GREEN)
    assert under_way(answer.snapshot).candidates == (candidate(), Candidate("zoo", GREEN, "r2"))
