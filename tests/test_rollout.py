"""The transition table, and what each step does to the durable state."""

import pytest

from provider import rollout
from provider.errors import IllegalEvent
from provider.model import (
    ByColour,
    Colour,
    GroupState,
    Outcome,
    Phase,
    Quarantine,
    ServiceState,
    Trigger,
    WayBack,
)
from provider.rollout import Event
from tests.worlds import BLUE, EPOCH, GREEN, at, candidate

BUILT = (Phase.STEADY, Phase.WAITING, Phase.SHIFTING)
LEGAL = {
    (Phase.STEADY, Event.BEGUN): (Phase.WAITING, None),
    (Phase.WAITING, Event.GATES_PASSED): (Phase.SHIFTING, None),
    (Phase.WAITING, Event.EXPIRED): (Phase.STEADY, Outcome.EXPIRED),
    (Phase.WAITING, Event.SUPERSEDED): (Phase.STEADY, Outcome.SUPERSEDED),
    (Phase.WAITING, Event.WITHDRAWN): (Phase.STEADY, Outcome.ABORTED),
    (Phase.SHIFTING, Event.SHIFTED): (Phase.STEADY, Outcome.SWITCHED),
    (Phase.SHIFTING, Event.GATES_LOST): (Phase.WAITING, None),
    (Phase.SHIFTING, Event.EXPIRED): (Phase.STEADY, Outcome.EXPIRED),
    (Phase.SHIFTING, Event.SUPERSEDED): (Phase.STEADY, Outcome.SUPERSEDED),
    (Phase.SHIFTING, Event.WITHDRAWN): (Phase.STEADY, Outcome.ABORTED),
}
QUARANTINES = {Outcome.EXPIRED, Outcome.ABORTED}


def begun(*candidates: str, state: GroupState | None = None) -> GroupState:
    wanted = tuple(candidate(release) for release in candidates or ("r2",))
    return rollout.begin(state or GroupState(), wanted, ("shop",), Trigger.DOCKER, 600.0, at(1000.0))


def in_phase(phase: Phase) -> GroupState:
    match phase:
        case Phase.STEADY:
            return GroupState(rollouts=7)
        case Phase.WAITING:
            return begun()
        case _:
            return rollout.advance(begun(), Event.GATES_PASSED, at(1010.0))[0]


@pytest.mark.parametrize(("phase", "event"), [pair for pair in LEGAL if pair != (Phase.STEADY, Event.BEGUN)])
def test_a_legal_event_leads_where_the_table_says(phase: Phase, event: Event) -> None:
    to, outcome = LEGAL[phase, event]
    state, ended = rollout.advance(in_phase(phase), event, at(1020.0))
    assert (rollout.phase(state), ended) == (to, outcome)
    assert (state.rollout is None) == (outcome is not None)
    assert bool(state.quarantined) == (outcome in QUARANTINES)


@pytest.mark.parametrize(
    ("phase", "event"), [(phase, event) for phase in BUILT for event in Event if (phase, event) not in LEGAL]
)
def test_an_illegal_event_raises_and_names_event_and_phase(phase: Phase, event: Event) -> None:
    before = in_phase(phase)
    with pytest.raises(IllegalEvent, match=f"{event}.*{phase}"):
        rollout.advance(before, event, at(1020.0))
    assert before == in_phase(phase)


def test_only_begin_leaves_steady() -> None:
    with pytest.raises(IllegalEvent, match="none is under way"):
        rollout.advance(GroupState(), Event.BEGUN, at())


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.SHIFTING])
def test_a_second_rollout_does_not_begin_beside_the_first(phase: Phase) -> None:
    with pytest.raises(IllegalEvent, match="begun"):
        begun(state=in_phase(phase))


def test_the_table_has_exactly_the_steps_listed_here() -> None:
    assert {pair: (step.to, step.outcome) for pair, step in rollout.TABLE.items()} == LEGAL
    assert {step.outcome for step in rollout.TABLE.values() if step.quarantines} == QUARANTINES


def test_every_phase_can_end_and_every_rollout_phase_expires() -> None:
    """P10: no phase of a rollout is without a deadline's action."""
    under_way = {phase for phase, _ in rollout.TABLE} - {Phase.STEADY}
    assert under_way == {phase for phase, event in rollout.TABLE if event is Event.EXPIRED}
    assert {step.to for step in rollout.TABLE.values()} <= {phase for phase, _ in rollout.TABLE}


def test_a_rollout_begins_with_a_number_of_its_own_and_a_deadline() -> None:
    state = begun(state=GroupState(rollouts=7))
    assert state.rollout is not None
    assert (state.rollouts, state.rollout.id) == (8, "r8")
    assert (state.rollout.entered_mono_s, state.rollout.deadline_mono_s) == (1000.0, 1600.0)
    assert state.rollout.since_utc == at(1000.0).utc


def test_gates_that_come_and_go_win_no_time() -> None:
    """P10: the deadline stays that of waiting, however often the gates are lost."""
    state = in_phase(Phase.SHIFTING)
    state, _ = rollout.advance(state, Event.GATES_LOST, at(1100.0))
    assert state.rollout is not None
    assert (state.rollout.entered_mono_s, state.rollout.deadline_mono_s) == (1100.0, 1600.0)


def test_a_failed_rollout_quarantines_exactly_its_candidates() -> None:
    """P9."""
    state, _ = rollout.advance(begun("r2", "r3"), Event.EXPIRED, at(1600.0))
    failed = Quarantine((candidate("r2"), candidate("r3")), Outcome.EXPIRED, "r1", at(1600.0).utc)
    assert state.quarantined == (failed,)


def test_a_part_of_a_failed_set_is_quarantined_and_more_than_it_is_not() -> None:
    """Rule 11: a failure quarantines that set."""
    shop, pay, new = candidate("r2"), candidate("r2", of="pay"), candidate("r3", of="pay")
    state = GroupState(quarantined=(Quarantine((pay, shop), Outcome.EXPIRED, "r1", EPOCH),))
    assert rollout.quarantine_of(state, (shop, pay)) is state.quarantined[0]
    assert rollout.quarantine_of(state, (shop,)) is state.quarantined[0]
    assert rollout.quarantine_of(state, (new, shop)) is None


def test_a_colour_that_runs_no_release_counts_as_what_failed_in_it() -> None:
    """P9: a crash loop does not begin a rollout at each of its gaps."""
    state = GroupState(quarantined=(Quarantine((candidate("r2"),), Outcome.EXPIRED, "r1", EPOCH),))
    assert rollout.quarantine_of(state, (candidate(None),)) is state.quarantined[0]
    assert rollout.quarantine_of(state, (candidate(None, BLUE),)) is None
    assert rollout.quarantine_of(state, (candidate(None, of="pay"),)) is None


def test_naming_a_colour_forgives_the_sets_that_hold_it_and_no_others() -> None:
    failed = [
        Quarantine((one,), Outcome.EXPIRED, "r1", EPOCH)
        for one in (candidate("r2"), candidate("r2", BLUE), candidate("r2", of="pay"))
    ]
    state = GroupState(quarantined=tuple(failed))
    assert rollout.release_from_quarantine(state, "shop", GREEN).quarantined == tuple(failed[1:])
    assert rollout.release_from_quarantine(state, "cart", GREEN) is state


def test_the_newest_failures_are_kept_when_there_are_too_many() -> None:
    state = GroupState()
    for number in range(rollout.QUARANTINES_KEPT + 1):
        state, _ = rollout.advance(begun(f"r{number}", state=state), Event.EXPIRED, at())
    assert len(state.quarantined) == rollout.QUARANTINES_KEPT
    assert rollout.quarantine_of(state, (candidate("r0"),)) is None
    assert rollout.quarantine_of(state, (candidate("r1"),)) is not None


def test_hold_stops_the_clock_and_gives_the_whole_time_again() -> None:
    """Rule 2."""
    held = rollout.hold(begun(), held=True, waiting_s=600.0, now=at(1500.0))
    assert held.rollout is not None
    assert held.rollout.deadline_mono_s is None
    assert rollout.hold(held, held=True, waiting_s=600.0, now=at(9000.0)) is held
    freed = rollout.hold(held, held=False, waiting_s=600.0, now=at(9000.0))
    assert freed.rollout is not None
    assert freed.rollout.deadline_mono_s == 9600.0


def test_hold_without_a_rollout_changes_nothing() -> None:
    state = GroupState()
    assert rollout.hold(state, held=True, waiting_s=600.0, now=at()) is state


@pytest.mark.parametrize("phase", [Phase.WAITING, Phase.SHIFTING])
def test_a_restart_begins_the_phase_anew_on_the_new_clock(phase: Phase) -> None:
    """Rule 14: being down neither passes nor expires anything."""
    before = in_phase(phase)
    after = rollout.resume(before, 600.0, at(3.0))
    assert after.rollout is not None
    assert before.rollout is not None
    assert rollout.phase(after) is phase
    assert (after.rollout.entered_mono_s, after.rollout.deadline_mono_s) == (3.0, 603.0)
    assert after.rollout.since_utc == before.rollout.since_utc


def test_a_restart_without_a_rollout_changes_nothing() -> None:
    state = GroupState(rollouts=3)
    assert rollout.resume(state, 600.0, at()) is state


def test_a_switch_settles_the_candidate_and_keeps_the_way_back() -> None:
    before = ServiceState(active=BLUE, settled=ByColour(frozenset({"r1"}), frozenset({"r0"})))
    after = rollout.switch(before, candidate("r2"), at())
    assert after.active is GREEN
    assert after.settled == ByColour(frozenset({"r1"}), frozenset({"r2"}))
    assert after.way_back == WayBack(BLUE, "r1")
    assert after.switched_utc == at().utc


def test_a_mixed_colour_leaves_no_exact_way_back() -> None:
    before = ServiceState(active=BLUE, settled=ByColour(frozenset({"r0", "r1"}), frozenset()))
    assert rollout.switch(before, candidate("r2"), at()).way_back == WayBack(BLUE, None)


@pytest.mark.parametrize("colour", Colour)
def test_the_colour_without_traffic_has_no_weight_at_all(colour: Colour) -> None:
    """traefik-facts, rule 1: never emit a weight of 0."""
    assert rollout.weights(colour) == ((colour, 100),)
