"""The transition table, the time each phase has, and what each transition does to the durable state."""

from dataclasses import replace
from datetime import timedelta

import pytest

from provider.model import (
    Approval,
    ByColour,
    Canary,
    Event,
    GroupState,
    Instant,
    Outcome,
    Override,
    Phase,
    Replaced,
    RollbackTarget,
    Rollout,
    ServiceState,
    Step,
)
from provider.model.errors import IllegalEvent
from provider.rollout import clocks, phases
from provider.rollout.phases import Transition
from tests.support.phases import (
    AFTER_SWITCH,
    ANN,
    BEFORE_SWITCH,
    LIMITS,
    UNDER_WAY,
    advanced,
    begun,
    in_phase,
    in_step,
)
from tests.support.worlds import BLUE, EPOCH, GREEN, at, candidate

FOUR = Canary((Step(5), Step(25), Step(50), Step(75)))
ABORTED = Transition(Phase.STEADY, Outcome.ABORTED, quarantines=True)
EXPIRED = Transition(Phase.STEADY, Outcome.EXPIRED, quarantines=True)
ROLLED_BACK = Transition(Phase.STEADY, Outcome.ROLLED_BACK, quarantines=True)
SUPERSEDED = Transition(Phase.STEADY, Outcome.SUPERSEDED, quarantines=False)
LEFT = Transition(Phase.STEADY, Outcome.ABORTED, quarantines=False)

LEGAL = {
    (Phase.STEADY, Event.BEGUN): Transition(Phase.WAITING),
    (Phase.WAITING, Event.READY): Transition(Phase.TESTING),
    (Phase.WAITING, Event.ABORTED): ABORTED,
    (Phase.WAITING, Event.EXPIRED): EXPIRED,
    (Phase.WAITING, Event.SUPERSEDED): SUPERSEDED,
    (Phase.WAITING, Event.WITHDRAWN): ABORTED,
    (Phase.TESTING, Event.TESTED): Transition(Phase.APPROVAL),
    (Phase.TESTING, Event.GATES_FAILED): ABORTED,
    (Phase.TESTING, Event.ABORTED): ABORTED,
    (Phase.TESTING, Event.EXPIRED): EXPIRED,
    (Phase.TESTING, Event.SUPERSEDED): SUPERSEDED,
    (Phase.TESTING, Event.WITHDRAWN): ABORTED,
    (Phase.APPROVAL, Event.APPROVED): Transition(Phase.SHIFTING),
    (Phase.APPROVAL, Event.GATES_LOST): Transition(Phase.WAITING),
    (Phase.APPROVAL, Event.ABORTED): ABORTED,
    (Phase.APPROVAL, Event.EXPIRED): EXPIRED,
    (Phase.APPROVAL, Event.SUPERSEDED): SUPERSEDED,
    (Phase.APPROVAL, Event.WITHDRAWN): ABORTED,
    (Phase.SHIFTING, Event.STEP_BEGUN): Transition(Phase.SHIFTING),
    (Phase.SHIFTING, Event.SHIFTED): Transition(Phase.CONFIRMING),
    (Phase.SHIFTING, Event.GATES_LOST): Transition(Phase.WAITING),
    (Phase.SHIFTING, Event.ABORTED): ABORTED,
    (Phase.SHIFTING, Event.EXPIRED): EXPIRED,
    (Phase.SHIFTING, Event.SUPERSEDED): SUPERSEDED,
    (Phase.SHIFTING, Event.WITHDRAWN): ABORTED,
    (Phase.CONFIRMING, Event.CONFIRMED): Transition(Phase.WATCHING),
    (Phase.CONFIRMING, Event.UNCONFIRMED): Transition(Phase.WATCHING),
    (Phase.CONFIRMING, Event.ROLLED_BACK): ROLLED_BACK,
    (Phase.CONFIRMING, Event.SUPERSEDED): SUPERSEDED,
    (Phase.CONFIRMING, Event.WITHDRAWN): LEFT,
    (Phase.WATCHING, Event.WATCHED): Transition(Phase.STEADY, Outcome.SWITCHED, quarantines=False),
    (Phase.WATCHING, Event.WATCH_RESTARTED): Transition(Phase.WATCHING),
    (Phase.WATCHING, Event.ROLLED_BACK): ROLLED_BACK,
    (Phase.WATCHING, Event.SUPERSEDED): SUPERSEDED,
    (Phase.WATCHING, Event.WITHDRAWN): LEFT,
}
LEGAL_IN_STEPS = {
    Event.STEP_BEGUN: Transition(Phase.SHIFTING),
    Event.STEP_PASSED: Transition(Phase.SHIFTING),
    Event.SHIFTED: Transition(Phase.CONFIRMING),
    Event.GATES_FAILED: ABORTED,
    Event.ABORTED: ABORTED,
    Event.EXPIRED: EXPIRED,
    Event.SUPERSEDED: SUPERSEDED,
    Event.WITHDRAWN: ABORTED,
}
ILLEGAL = [(phase, event) for phase in Phase for event in Event if (phase, event) not in LEGAL]


def under_way(state: GroupState) -> Rollout:
    assert state.rollout is not None
    return state.rollout


def times(state: GroupState) -> tuple[float, float | None]:
    return under_way(state).entered_mono_s, under_way(state).deadline_mono_s


# --- the table ------------------------------------------------------------------------------------------------------


def test_the_table_has_exactly_the_transitions_listed_here() -> None:
    assert dict(phases.TABLE) == LEGAL
    assert dict(phases.IN_STEPS) == LEGAL_IN_STEPS
    assert len(LEGAL) + len(ILLEGAL) == len(Phase) * len(Event)


@pytest.mark.parametrize(("phase", "event"), [pair for pair in LEGAL if pair != (Phase.STEADY, Event.BEGUN)])
def test_a_legal_event_leads_where_the_table_says(phase: Phase, event: Event) -> None:
    found = LEGAL[phase, event]
    before = in_phase(phase)
    state, ended = phases.advance(before, event, LIMITS, at(1020.0))
    assert (phases.phase(state), ended) == (found.to, found.outcome)
    assert (state.rollout is None) == (found.outcome is not None)
    assert bool(state.quarantined) == found.quarantines
    assert state.rollouts == before.rollouts


@pytest.mark.parametrize(("phase", "event"), ILLEGAL)
def test_an_illegal_event_raises_names_event_and_phase_and_changes_nothing(phase: Phase, event: Event) -> None:
    before = in_phase(phase)
    with pytest.raises(IllegalEvent, match=f"event {event} is not allowed in phase {phase}"):
        phases.advance(before, event, LIMITS, at(1020.0))
    assert before == in_phase(phase)


@pytest.mark.parametrize("number", [1, 2, 3])
@pytest.mark.parametrize("event", LEGAL_IN_STEPS)
def test_an_event_in_a_step_leads_where_the_table_says(event: Event, number: int) -> None:
    """Rule 19."""
    found, before = LEGAL_IN_STEPS[event], in_step(number, canary=FOUR)
    state, ended = phases.advance(before, event, LIMITS, at(1020.0))
    assert (phases.phase(state), ended) == (found.to, found.outcome)
    assert (state.rollout is None) == (found.outcome is not None)
    assert bool(state.quarantined) == found.quarantines


@pytest.mark.parametrize("event", [event for event in Event if event not in LEGAL_IN_STEPS])
def test_an_illegal_event_in_a_step_raises_and_changes_nothing(event: Event) -> None:
    """Rule 19c: nothing goes back to waiting with traffic on it."""
    before = in_step(2)
    with pytest.raises(IllegalEvent, match=f"event {event} is not allowed in a step"):
        phases.advance(before, event, LIMITS, at(1020.0))
    assert before == in_step(2)


def test_a_step_is_followed_by_a_higher_one_or_by_all_of_the_traffic() -> None:
    """Rule 19a: between steps nothing passes through 0 or 100."""
    state, seen = in_phase(Phase.SHIFTING), []
    state = replace(state, rollout=replace(under_way(state), canary=FOUR))
    for _ in FOUR.steps:
        assert under_way(state).next_weight > under_way(state).weight
        state = advanced(state, Event.STEP_BEGUN)
        seen.append(under_way(state).weight)
        state = advanced(state, Event.STEP_PASSED)
        assert under_way(state).weight == seen[-1]
    state = advanced(state, Event.SHIFTED)
    assert (seen, under_way(state).weight) == ([5, 25, 50, 75], 100)


def test_only_begin_leaves_steady() -> None:
    with pytest.raises(IllegalEvent, match="none is under way"):
        phases.advance(GroupState(), Event.BEGUN, LIMITS, at())


@pytest.mark.parametrize("phase", UNDER_WAY)
def test_a_second_rollout_does_not_begin_beside_the_first(phase: Phase) -> None:
    with pytest.raises(IllegalEvent, match="begun"):
        begun(state=in_phase(phase))


def test_no_phase_of_a_rollout_waits_for_ever() -> None:
    """P10: each has a named action for when its time is over, and each can end."""
    overdue = {Event.EXPIRED, Event.UNCONFIRMED, Event.WATCHED}
    assert {phase for phase, event in LEGAL if event in overdue} == set(UNDER_WAY)
    assert {found.to for found in LEGAL.values()} == set(Phase)


@pytest.mark.parametrize("phase", BEFORE_SWITCH)
def test_abort_is_allowed_in_every_phase_before_the_switch(phase: Phase) -> None:
    """P8; after it, only a rollback takes it back."""
    assert (phase, Event.ABORTED) in phases.TABLE
    assert all((after, Event.ABORTED) not in phases.TABLE for after in AFTER_SWITCH)


def test_only_what_failed_is_quarantined() -> None:
    """P9, rule 6: not what was superseded, and not what runs on although its service left the file."""
    kept = {(phase, event) for (phase, event), found in LEGAL.items() if found.outcome and not found.quarantines}
    assert kept == {
        *((phase, Event.SUPERSEDED) for phase in UNDER_WAY),
        *((phase, Event.WITHDRAWN) for phase in AFTER_SWITCH),
        (Phase.WATCHING, Event.WATCHED),
    }


# --- the beginning --------------------------------------------------------------------------------------------------


def test_a_rollout_begins_with_a_number_of_its_own_and_a_deadline() -> None:
    state = begun(state=GroupState(rollouts=7))
    assert (state.rollouts, under_way(state).id) == (8, "r8")
    assert times(state) == (1000.0, 1600.0)
    assert under_way(state).since_utc == at(1000.0).utc
    assert not under_way(state).is_switched


def test_who_forces_a_rollout_is_kept_with_it() -> None:
    """P1: only a named operator, with a reason."""
    kept = under_way(begun(actor=ANN, forced="the fix cannot wait"))
    assert (kept.actor, kept.forced) == (ANN, "the fix cannot wait")


@pytest.mark.parametrize("phase", UNDER_WAY)
def test_the_candidates_are_active_from_confirming_on(phase: Phase) -> None:
    assert under_way(in_phase(phase)).is_switched == (phase in AFTER_SWITCH)


# --- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phase", "limit_s"),
    [
        (Phase.WAITING, 600.0),
        (Phase.TESTING, 300.0),
        (Phase.APPROVAL, 86400.0),
        (Phase.SHIFTING, 600.0),
        (Phase.CONFIRMING, 30.0),
        (Phase.WATCHING, 120.0),
    ],
)
def test_each_phase_has_a_deadline_of_its_own(phase: Phase, limit_s: float) -> None:
    """P10."""
    assert times(in_phase(phase)) == (1000.0, 1000.0 + limit_s)


def test_waiting_and_shifting_share_one_time_that_runs_in_no_other_phase() -> None:
    """P10: a candidate whose gates come and go has no more time than another."""
    state = advanced(begun(), Event.READY, 1100.0)
    assert times(state) == (1100.0, 1400.0)
    state = advanced(state, Event.TESTED, 1300.0)
    state = advanced(state, Event.APPROVED, 5000.0)
    assert times(state) == (5000.0, 5500.0)
    state = advanced(state, Event.GATES_LOST, 5100.0)
    assert (phases.phase(state), times(state)) == (Phase.WAITING, (5100.0, 5500.0))


def test_gates_lost_ever_again_win_no_time() -> None:
    """P10."""
    state, now_s = begun(), 1000.0
    for _ in range(5):
        for event in (Event.READY, Event.TESTED, Event.APPROVED, Event.GATES_LOST):
            now_s += 50.0
            state = advanced(state, event, now_s)
    assert now_s + under_way(state).waiting_left_s == times(state)[1] == 1600.0 + 5 * 100.0, "but for 5 times 100 s"


def test_a_time_that_is_used_up_does_not_become_a_debt() -> None:
    state = advanced(begun(), Event.READY, 1700.0)
    assert under_way(state).waiting_left_s == 0.0


def test_the_time_for_an_approval_is_a_date_that_gates_lost_do_not_move() -> None:
    """Rule 14."""
    state = in_phase(Phase.APPROVAL)
    until = at(1000.0 + 86400.0).utc
    assert under_way(state).approval_until_utc == until
    state = advanced(state, Event.GATES_LOST, 2000.0)
    for event in (Event.READY, Event.TESTED):
        state = advanced(state, event, 2100.0)
    assert under_way(state).approval_until_utc == until
    assert times(state) == (2100.0, 1000.0 + 86400.0)


def test_after_an_approval_the_health_gate_has_its_whole_time_again() -> None:
    """P10: a rollout that was approved late does not expire at once because its servers waited too."""
    state = advanced(begun(), Event.READY, 1550.0)
    state = advanced(state, Event.TESTED, 1560.0)
    state = phases.approve(state, Approval(ANN, EPOCH), LIMITS)
    assert under_way(state).approval == Approval(ANN, EPOCH)
    state = advanced(state, Event.APPROVED, 9000.0)
    assert times(state) == (9000.0, 9600.0)


def test_an_approval_without_a_rollout_changes_nothing() -> None:
    state = GroupState(rollouts=3)
    assert phases.approve(state, Approval(ANN, EPOCH), LIMITS) is state


@pytest.mark.parametrize("event", [Event.CONFIRMED, Event.UNCONFIRMED])
def test_the_watch_counts_from_the_confirmation_or_its_deadline(event: Event) -> None:
    """Rule 8."""
    assert times(advanced(in_phase(Phase.CONFIRMING), event, 1030.0)) == (1030.0, 1150.0)


def test_a_restarted_watch_has_its_whole_time_again() -> None:
    """Rule 3."""
    assert times(advanced(in_phase(Phase.WATCHING), Event.WATCH_RESTARTED, 1100.0)) == (1100.0, 1220.0)


def test_deadlines_of_the_file_count_from_the_next_phase() -> None:
    """Rule 12."""
    edited = {**LIMITS, Phase.WAITING: 10.0, Phase.TESTING: 20.0}
    state, _ = phases.advance(begun(), Event.READY, edited, at(1100.0))
    assert times(state) == (1100.0, 1120.0)
    assert under_way(state).waiting_left_s == 500.0


# --- hold -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", BEFORE_SWITCH)
def test_hold_stops_the_clock_and_gives_the_whole_time_again(phase: Phase) -> None:
    """Rule 2."""
    held = clocks.hold(in_phase(phase), held=True, limits=LIMITS, now=at(1500.0))
    assert times(held) == (1000.0, None)
    assert phases.phase(held) is phase
    assert clocks.hold(held, held=True, limits=LIMITS, now=at(9000.0)) is held
    freed = clocks.hold(held, held=False, limits=LIMITS, now=at(9000.0))
    assert phases.phase(freed) is phase
    whole_s = {**LIMITS, Phase.SHIFTING: LIMITS[Phase.WAITING]}[phase]
    assert times(freed) == (9000.0, 9000.0 + whole_s)


@pytest.mark.parametrize("events", [(), (Event.GATES_LOST,), (Event.GATES_LOST, Event.READY)], ids=str)
@pytest.mark.parametrize("restarted", [False, True])
def test_an_approval_that_was_held_gets_another_date_and_is_asked_for_again(
    events: tuple[Event, ...], restarted: bool
) -> None:
    """Rules 2 and 14: whatever phase it was held in, and though the hold ended while the daemon was down."""
    asked = in_phase(Phase.APPROVAL)
    asked = replace(asked, rollout=replace(under_way(asked), asked=True, reminded=True))
    for event in events:
        asked = advanced(asked, event)
    held = clocks.hold(asked, held=True, limits=LIMITS, now=at(1500.0))
    assert under_way(held).approval_until_utc is None
    if restarted:
        held = clocks.resume(held, LIMITS, at(200_000.0))
    freed = clocks.hold(held, held=False, limits=LIMITS, now=at(200_000.0))
    for event in (Event.READY, Event.TESTED):
        freed = freed if (phases.phase(freed), event) not in phases.TABLE else advanced(freed, event, 200_000.0)
    assert phases.phase(freed) is Phase.APPROVAL
    assert under_way(freed).approval_until_utc == at(200_000.0 + 86400.0).utc
    assert times(freed) == (200_000.0, 200_000.0 + 86400.0)
    assert (under_way(freed).asked, under_way(freed).reminded) == (False, False)


def test_a_rollout_that_is_held_for_an_approval_is_held_after_a_restart() -> None:
    """Rules 2 and 14: it has no date that could pass before it is known whether it still is."""
    held = clocks.hold(in_phase(Phase.APPROVAL), held=True, limits=LIMITS, now=at(1500.0))
    resumed = clocks.resume(held, LIMITS, at(3.0))
    assert times(resumed) == (3.0, None)
    assert under_way(resumed).approval_until_utc is None


def test_what_was_approved_has_no_date_any_more() -> None:
    """P10: should its gates be lost, an approval that is wanted again has its whole time."""
    again = advanced(in_phase(Phase.SHIFTING), Event.GATES_LOST)
    assert under_way(again).approval_until_utc is None


@pytest.mark.parametrize("phase", AFTER_SWITCH)
@pytest.mark.parametrize("held", [True, False])
def test_hold_changes_nothing_after_the_switch(phase: Phase, held: bool) -> None:
    """Rule 2: it stops forward rollouts only; what has traffic is watched as ever."""
    state = in_phase(phase)
    assert clocks.hold(state, held=held, limits=LIMITS, now=at(1500.0)) is state


@pytest.mark.parametrize("phase", UNDER_WAY)
def test_a_rollout_that_is_not_held_is_not_freed(phase: Phase) -> None:
    state = in_phase(phase)
    assert clocks.hold(state, held=False, limits=LIMITS, now=at(1500.0)) is state


def test_hold_without_a_rollout_changes_nothing() -> None:
    state = GroupState()
    assert clocks.hold(state, held=True, limits=LIMITS, now=at()) is state


# --- restarts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", [phase for phase in UNDER_WAY if phase is not Phase.APPROVAL])
def test_a_restart_begins_the_phase_again_on_the_new_clock(phase: Phase) -> None:
    """Rule 14: being down neither passes nor expires anything."""
    before = in_phase(phase)
    after = clocks.resume(before, LIMITS, Instant(3.0, EPOCH + timedelta(days=9)))
    whole_s = {**LIMITS, Phase.SHIFTING: LIMITS[Phase.WAITING]}[phase]
    assert phases.phase(after) is phase
    assert times(after) == (3.0, 3.0 + whole_s)
    assert under_way(after).since_utc == under_way(before).since_utc
    assert under_way(after).approval == under_way(before).approval


@pytest.mark.parametrize("down_s", [60.0, 86_000.0, 90_000.0])
def test_an_approval_keeps_its_date_over_a_restart(down_s: float) -> None:
    """Rule 14: the one deadline that goes on while the daemon is down."""
    before = in_phase(Phase.APPROVAL)
    after = under_way(clocks.resume(before, LIMITS, Instant(3.0, at(1000.0 + down_s).utc)))
    assert after.approval_until_utc == under_way(before).approval_until_utc == at(1000.0 + 86400.0).utc
    assert after.deadline_mono_s == 3.0 + 86400.0 - down_s


def test_an_approval_keeps_its_date_over_a_restart_with_a_shorter_deadline_in_the_file() -> None:
    """Rules 12 and 14: who was asked until tomorrow has until tomorrow; the file counts from the next approval."""
    after = under_way(clocks.resume(in_phase(Phase.APPROVAL), {**LIMITS, Phase.APPROVAL: 60.0}, at(2000.0)))
    assert after.deadline_mono_s == 1000.0 + 86400.0


def test_a_wall_clock_that_goes_back_gives_an_approval_no_more_time_than_it_had() -> None:
    """P10, rule 14."""
    after = under_way(clocks.resume(in_phase(Phase.APPROVAL), LIMITS, Instant(3.0, at(1000.0 - 5000.0).utc)))
    assert after.deadline_mono_s == 3.0 + 86400.0


def test_time_used_up_before_a_restart_is_given_back() -> None:
    """Rule 14: waiting begins again."""
    spent = advanced(begun(), Event.READY, 1590.0)
    after = advanced(clocks.resume(spent, LIMITS, at(3.0)), Event.TESTED, 4.0)
    assert under_way(after).waiting_left_s == 600.0


def test_a_restart_without_a_rollout_changes_nothing() -> None:
    state = GroupState(rollouts=3)
    assert clocks.resume(state, LIMITS, at()) is state


# --- the switch -----------------------------------------------------------------------------------------------------


def test_a_switch_settles_the_candidate_and_keeps_the_rollback_target() -> None:
    """Rule 9: the exact release, and the rollout that left it."""
    before = ServiceState(
        active=BLUE,
        settled=ByColour(frozenset({"r1"}), frozenset({"r0"})),
        replaced=Replaced("r1", "r0", EPOCH),
        override=Override(GREEN, "r1", "asked for", ANN, EPOCH),
    )
    after = phases.switch(before, candidate("r2"), "r7", at())
    assert after.active is GREEN
    assert after.settled == ByColour(frozenset({"r1"}), frozenset({"r2"}))
    assert after.rollback_target == RollbackTarget(BLUE, "r1", "r7")
    assert after.switched_utc == at().utc
    assert after.replaced is None
    assert after.override == before.override


def test_a_mixed_colour_leaves_no_exact_rollback_target() -> None:
    before = ServiceState(active=BLUE, settled=ByColour(frozenset({"r0", "r1"}), frozenset()))
    assert phases.switch(before, candidate("r2"), "r7", at()).rollback_target == RollbackTarget(BLUE, None, "r7")
