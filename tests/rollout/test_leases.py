"""The lease of a deployment: who gets it, for how long, and what it stands in the way of (rule 17)."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from provider.model import Instant, Lease, Phase, Snapshot, Verb
from provider.rollout import leases
from provider.rollout.commands import command
from provider.rollout.commands.types import Command, Done, Refusal, Refused
from provider.store.records import SERVICES
from tests.support.phases import AFTER_SWITCH, ANN, BEFORE_SWITCH, NEW, OLD, group, moved, only, stepping, with_state
from tests.support.worlds import GREEN, at, member, runs, service, snapshot

NOW = at(1010.0)


def lease(of: Snapshot, holder: str = "ci", number: str = "l1", now: Instant = NOW, *, force: bool = False) -> Any:
    reason = "it cannot wait" if force else None
    return leases.take(of, "shop", holder, number, now, force=force, reason=reason)


def test_who_forces_a_lease_gives_a_reason() -> None:
    """Rule 17: and a lease that is renewed keeps its warning."""
    refused = leases.take(group(Phase.WATCHING), "shop", "ci", "l1", NOW, force=True)
    assert isinstance(refused, Refused)
    assert refused.code is Refusal.REASON_WANTED


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_a_lease_is_renewed_while_its_own_release_is_watched(phase: Phase) -> None:
    """Rule 17: a deployment follows its release to the end; what came in between is not forgotten."""
    mine = Lease("l1", "ci", at(1100.0).utc, warning="green was rolled back by ann")
    of = group(phase, with_state(moved(), lease=mine))
    renewed = lease(of)
    assert isinstance(renewed, Done)
    assert renewed.decisions[0].event == "lease-renewed"
    assert only(renewed.snapshot).state.lease == replace(mine, until_utc=NOW.utc + timedelta(seconds=leases.LEASE_S))


@pytest.mark.parametrize("phase", [Phase.STEADY, *BEFORE_SWITCH])
def test_a_deployment_takes_a_lease_for_a_quarter_of_an_hour(phase: Phase) -> None:
    """Rule 17."""
    answer = lease(group(phase))
    assert isinstance(answer, Done)
    assert answer.detail == "green of shop is yours to change"
    assert only(answer.snapshot).state.lease == Lease("l1", "ci", NOW.utc + timedelta(minutes=15))
    (row,) = answer.decisions
    assert (row.event, row.colour, row.actor) == ("lease-taken", GREEN, "ci")


@pytest.mark.parametrize("force", [False, True])
def test_a_lease_is_refused_while_somebody_else_holds_it(force: bool) -> None:
    """Rule 17: with the holder."""
    taken = lease(group(Phase.STEADY))
    assert lease(taken.snapshot, "cd", "l2", force=force) == Refused(
        Refusal.LEASED, "ci deploys shop and holds its lease until 00:31:50 UTC; wait for that"
    )


def test_the_holder_may_take_its_lease_again() -> None:
    """Rule 17: a deployment that takes longer asks again."""
    taken = lease(group(Phase.STEADY))
    renewed = lease(taken.snapshot, now=at(1500.0))
    assert only(renewed.snapshot).state.lease == Lease("l1", "ci", at(1500.0 + leases.LEASE_S).utc)


def test_a_lease_that_ran_out_keeps_nobody_away() -> None:
    """Rule 17."""
    taken = lease(group(Phase.STEADY))
    assert isinstance(lease(taken.snapshot, "cd", "l2", at(NOW.mono_s + leases.LEASE_S - 1.0)), Refused)
    assert isinstance(lease(taken.snapshot, "cd", "l2", at(NOW.mono_s + leases.LEASE_S)), Done)


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_a_lease_is_refused_while_a_release_is_confirming_or_watching_unless_forced(phase: Phase) -> None:
    """Rule 17: its containers would take the place of the rollback target."""
    of = group(phase)
    answer = lease(of)
    assert answer.code is Refusal.BUSY
    assert f"rollout r1 is in phase {phase}" in answer.detail
    assert "bluegreen wait shop --until steady" in answer.detail
    assert isinstance(lease(of, force=True), Done)


@pytest.mark.parametrize("of", [stepping(1), group(Phase.WATCHING)])
def test_a_lease_that_is_refused_names_the_member_that_moves_in_its_way_out(of: Snapshot) -> None:
    """Rule 17: to wait for a member that its group's rollout does not move is over at once."""
    both = replace(of, members=(*of.members, member(service("api"), blue=runs(OLD))))
    refused = leases.take(both, "api", "ci", "l1", NOW)
    assert isinstance(refused, Refused)
    assert "bluegreen wait shop --until steady" in refused.detail
    assert "(bluegreen abort shop)" in refused.detail or "(bluegreen rollback shop)" in refused.detail


def test_a_lease_on_an_undecided_service_is_refused() -> None:
    """Rule 17: which colour stands by is not known."""
    undecided = with_state(member(active=None, blue=runs(OLD), green=runs(NEW)), undecided=True)
    answer = lease(snapshot(undecided))
    assert answer.code is Refusal.NOT_READY
    assert "bluegreen explain shop" in answer.detail


def test_a_lease_is_given_back_by_its_holder_alone() -> None:
    """Rule 17."""
    taken = lease(group(Phase.STEADY)).snapshot
    strange = leases.give_back(taken, "shop", "l2", NOW)
    assert isinstance(strange, Done)
    assert (strange.already, strange.snapshot) == (True, taken)
    back = leases.give_back(taken, "shop", "l1", NOW)
    assert isinstance(back, Done)
    assert only(back.snapshot).state.lease is None
    assert [row.event for row in back.decisions] == ["lease-ended"]
    assert leases.give_back(back.snapshot, "shop", "l1", NOW) == replace(strange, snapshot=back.snapshot)


def test_who_may_operate_ends_the_lease_of_another_who_learns_it_at_its_next_renewal() -> None:
    """Rule 17: the history names who ended it."""
    taken = lease(group(Phase.STEADY)).snapshot
    refused = leases.give_back(taken, "shop", "l1", NOW, actor="cd")
    assert refused == Refused(Refusal.SCOPE, "the lease on shop is held by ci: only ci or the scope operate ends it")
    ended = leases.give_back(taken, "shop", None, NOW, actor=ANN, may_end_any=True, reason="its runner is gone")
    assert isinstance(ended, Done)
    (row,) = ended.decisions
    assert (row.event, row.actor, row.detail) == ("lease-ended", "ann", "it was held by ci: its runner is gone")
    assert lease(ended.snapshot) == Refused(
        Refusal.LEASED, "the lease that ci held on shop was ended by ann: its runner is gone"
    )
    told = leases.give_back(ended.snapshot, "shop", "l1", NOW, actor="ci")
    assert isinstance(told, Done)
    assert (told.already, "was ended by ann" in told.detail) == (True, True)
    assert isinstance(lease(ended.snapshot, "cd", "l2"), Done)


def test_a_lease_is_ended_without_its_id_by_the_scope_operate_alone() -> None:
    """Rule 17: two deployments may share a token, and its name."""
    taken = lease(group(Phase.STEADY)).snapshot
    refused = leases.give_back(taken, "shop", None, NOW, actor="ci")
    assert isinstance(refused, Refused)
    assert refused.code is Refusal.SCOPE


def test_a_lease_is_renewed_by_its_holder_alone() -> None:
    """Rule 17: to know the id is not to hold it."""
    taken = lease(group(Phase.STEADY)).snapshot
    refused = lease(taken, "cd", "l1")
    assert (type(refused), refused.code) == (Refused, Refusal.LEASED)


@pytest.mark.parametrize("hours", [-2, 2])
def test_a_clock_that_is_set_neither_ends_a_lease_nor_makes_it_longer(hours: int) -> None:
    """Rule 14: 15 minutes are 15 minutes."""
    taken = only(lease(group(Phase.STEADY)).snapshot)
    later = at(NOW.mono_s + leases.LEASE_S - 1.0)
    moved_clock = replace(later, utc=later.utc + timedelta(hours=hours))
    assert leases.current(taken, moved_clock) is not None
    assert leases.current(taken, replace(moved_clock, mono_s=NOW.mono_s + leases.LEASE_S)) is None


def test_after_a_restart_a_lease_goes_by_its_date_and_never_for_longer_than_a_lease_lasts() -> None:
    """Rule 14: the monotonic clock of the process before means nothing here."""
    (kept,) = SERVICES.load([("shop", SERVICES.text(only(lease(group(Phase.STEADY)).snapshot).state))])
    assert kept.lease is not None
    assert kept.lease.until_mono_s is None
    again = with_state(moved(), lease=kept.lease)
    assert leases.current(again, Instant(1.0, NOW.utc + timedelta(minutes=14))) is not None
    assert leases.current(again, Instant(1.0, NOW.utc + timedelta(minutes=15))) is None
    assert leases.current(again, Instant(1.0, NOW.utc - timedelta(hours=2))) is None


def test_a_rollback_ignores_the_lease_and_warns_its_holder() -> None:
    """Rule 17."""
    taken = lease(group(Phase.STEADY, moved())).snapshot
    answer = command(taken, Command(Verb.ROLLBACK, "shop", ANN, reason="errors"), NOW)
    assert isinstance(answer, Done)
    kept = only(answer.snapshot).state.lease
    assert kept is not None
    assert (kept.holder, kept.warning) == ("ci", "green was rolled back by ann: errors")


def test_a_lease_stands_in_the_way_of_no_command() -> None:
    """Rule 17: it is a word between deployments; operators have the last one."""
    taken = lease(group(Phase.WAITING)).snapshot
    assert isinstance(command(taken, Command(Verb.ABORT, "shop", ANN), NOW), Done)
    assert isinstance(command(taken, Command(Verb.SWITCH, "shop", ANN, colour=GREEN), NOW), Done)
