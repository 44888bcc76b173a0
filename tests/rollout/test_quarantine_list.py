"""Releases that failed: which sets are kept out, and what forgives them."""

from dataclasses import replace

from provider.model import Event, GroupState, Outcome, Quarantine
from provider.rollout import phases, quarantine_list
from tests.support.phases import LIMITS, begun
from tests.support.worlds import BLUE, EPOCH, GREEN, at, candidate


def test_a_failed_rollout_quarantines_exactly_its_candidates() -> None:
    """P9."""
    both = (candidate("r2"), candidate("r3", of="pay"))
    state, _ = phases.advance(begun(*both), Event.EXPIRED, LIMITS, at(1600.0))
    assert state.quarantined == (Quarantine(both, Outcome.EXPIRED, "r1", at(1600.0).utc),)


def test_what_was_switched_before_can_be_put_aside() -> None:
    """P9: a rollback after the watch quarantines too."""
    failed = Quarantine((candidate("r2"),), Outcome.ROLLED_BACK, "r3", at().utc, "too slow")
    state = quarantine_list.put_aside(GroupState(rollouts=4), failed)
    assert state.quarantined == (failed,)
    assert quarantine_list.put_aside(state, replace(failed, candidates=())) == state


def test_why_a_rollout_failed_is_kept_with_what_it_brought() -> None:
    """P9."""
    state, _ = phases.advance(begun(), Event.EXPIRED, LIMITS, at(1600.0), "green has no servers")
    assert [failed.reason for failed in state.quarantined] == ["green has no servers"]


def test_a_part_of_a_failed_set_is_quarantined_and_more_than_it_is_not() -> None:
    """Rule 11: a failure quarantines that set."""
    shop, pay, new = candidate("r2"), candidate("r2", of="pay"), candidate("r3", of="pay")
    state = GroupState(quarantined=(Quarantine((pay, shop), Outcome.EXPIRED, "r1", EPOCH),))
    assert quarantine_list.quarantine_of(state, (shop, pay)) is state.quarantined[0]
    assert quarantine_list.quarantine_of(state, (shop,)) is state.quarantined[0]
    assert quarantine_list.quarantine_of(state, (new, shop)) is None


def test_a_colour_that_runs_no_release_counts_as_what_failed_in_it() -> None:
    """P9: a crash loop does not begin a rollout at each of its gaps."""
    state = GroupState(quarantined=(Quarantine((candidate("r2"),), Outcome.EXPIRED, "r1", EPOCH),))
    assert quarantine_list.quarantine_of(state, (candidate(None),)) is state.quarantined[0]
    assert quarantine_list.quarantine_of(state, (candidate(None, BLUE),)) is None
    assert quarantine_list.quarantine_of(state, (candidate(None, of="pay"),)) is None


def test_naming_a_colour_forgives_the_sets_that_hold_it_and_no_others() -> None:
    failed = [
        Quarantine((one,), Outcome.EXPIRED, "r1", EPOCH)
        for one in (candidate("r2"), candidate("r2", BLUE), candidate("r2", of="pay"))
    ]
    state = GroupState(quarantined=tuple(failed))
    assert quarantine_list.release_from_quarantine(state, "shop", GREEN).quarantined == tuple(failed[1:])
    assert quarantine_list.release_from_quarantine(state, "cart", GREEN) is state


def test_what_failed_together_with_a_forgiven_candidate_is_not_forgiven() -> None:
    """P9: the rest of the set is tried again by its own name."""
    both = Quarantine((candidate("r2", of="pay"), candidate("r2")), Outcome.ABORTED, "r1", EPOCH)
    left = quarantine_list.release_from_quarantine(GroupState(quarantined=(both,)), "shop", GREEN).quarantined
    assert left == (replace(both, candidates=(candidate("r2", of="pay"),)),)


def test_the_newest_failures_are_kept_when_there_are_too_many() -> None:
    state = GroupState()
    for number in range(quarantine_list.QUARANTINES_KEPT + 1):
        failing = begun(candidate(f"r{number}"), state=state)
        state, _ = phases.advance(failing, Event.EXPIRED, LIMITS, at())
    assert len(state.quarantined) == quarantine_list.QUARANTINES_KEPT
    assert quarantine_list.quarantine_of(state, (candidate("r0"),)) is None
    assert quarantine_list.quarantine_of(state, (candidate("r1"),)) is not None
