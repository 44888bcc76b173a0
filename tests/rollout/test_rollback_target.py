"""The rollback target: when it could be taken, who takes it together, and what taking it does."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from provider.model import (
    GroupState,
    Health,
    Lease,
    Member,
    Observed,
    Outcome,
    Override,
    Phase,
    Quarantine,
    RollbackTarget,
    Server,
    Snapshot,
    Trigger,
)
from provider.rollout import rollback_target
from tests.support.phases import AFTER_SWITCH, ANN, NEW, OLD, group, moved, old, with_state
from tests.support.worlds import BLUE, EPOCH, GREEN, NOTHING, at, candidate, runs, server, service, snapshot

UNHEALTHY, UNKNOWN = Health.UNHEALTHY, Health.UNKNOWN
OTHER = server(3, "r3")
NOW = at(1010.0)


def seen(health: Mapping[Server, Health] | None = None, *servers: Server) -> Member:
    return moved(blue=runs(*(servers or (OLD,))), health=health)


# --- ready ----------------------------------------------------------------------------------------------------------


def test_the_rollback_target_is_ready_with_exactly_that_release_healthy() -> None:
    """Rule 9."""
    assert rollback_target.not_ready(seen(), GroupState()) is None
    assert rollback_target.not_ready(seen(None, OLD, server(4, "r1")), GroupState()) is None


IDENTITY = {
    "never active": (old(), "green has not been active"),
    "undecided": (with_state(old(), active=None), "the standby has not been active"),
    "gone": (moved(blue=NOTHING), "blue has no servers any more"),
    "not known": (moved(blue=Observed()), "what blue runs is not known yet"),
    "leaving": (seen(None, replace(OLD, leaving_mono_s=990.0)), "blue has no servers any more"),
    "another": (seen(None, OTHER), "blue runs r3, not r1"),
    "mixed": (seen(None, OLD, OTHER), "blue runs r1, r3, not r1"),
    "several when left": (
        with_state(seen(), rollback_target=RollbackTarget(BLUE, None)),
        "blue ran several releases when it was left",
    ),
}


@pytest.mark.parametrize("waive_health", [False, True])
@pytest.mark.parametrize("case", IDENTITY)
def test_identity_is_never_waived(case: str, waive_health: bool) -> None:
    """Rule 9."""
    of, reason = IDENTITY[case]
    assert rollback_target.not_ready(of, GroupState(), waive_health=waive_health) == reason


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (seen({OLD: UNHEALTHY}), "blue is unhealthy: http://10.0.0.1:80 is unhealthy (refused)"),
        (seen({OLD: UNKNOWN}), "blue is starting: http://10.0.0.1:80 is unknown (not checked yet)"),
        (
            seen({server(4, "r1"): UNHEALTHY}, OLD, server(4, "r1")),
            "blue is unhealthy: http://10.0.0.4:80 is unhealthy (refused)",
        ),
    ],
)
def test_the_health_of_the_rollback_target_can_be_waived(of: Member, reason: str) -> None:
    """Rule 9, P2: not known to be healthy is not healthy."""
    assert rollback_target.not_ready(of, GroupState()) == reason
    assert rollback_target.not_ready(of, GroupState(), waive_health=True) is None


@pytest.mark.parametrize("waive_health", [False, True])
@pytest.mark.parametrize(
    ("outcome", "reason", "actor", "words"),
    [
        (Outcome.ROLLED_BACK, "rolled back by ann", "ann", "it was rolled back by ann"),
        (Outcome.ROLLED_BACK, "orders are lost", "ann", "it was rolled back by ann (orders are lost)"),
        (Outcome.ROLLED_BACK, "2 of 2 fail", None, "it failed and was rolled back (2 of 2 fail)"),
        (Outcome.ABORTED, "aborted by ann", "ann", "it was aborted by ann"),
        (Outcome.ABORTED, "home failed", None, "the end of rollout r1 was aborted (home failed)"),
        (Outcome.EXPIRED, None, None, "the end of rollout r1 was expired"),
    ],
)
def test_a_quarantined_release_is_no_rollback_target(
    outcome: Outcome, reason: str | None, actor: str | None, words: str, waive_health: bool
) -> None:
    """Rule 9, P9. What somebody took back by hand is not said to have failed."""
    failed = Quarantine((candidate("r1", BLUE),), outcome, "r1", EPOCH, reason, actor)
    of = snapshot(seen(), state=GroupState(quarantined=(failed,)))
    assert rollback_target.not_ready(of.members[0], of.state, waive_health=waive_health) == (
        f"release r1 in blue is quarantined: {words}"
    )


# --- lost and found -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (seen(), None),
        (seen({OLD: UNKNOWN}), None),
        (moved(blue=Observed()), None),
        (old(), None),
        (seen({OLD: UNHEALTHY}), "blue is unhealthy: http://10.0.0.1:80 is unhealthy (refused)"),
        (moved(blue=NOTHING), "blue has no servers any more"),
        (seen(None, OTHER), "blue runs r3, not r1"),
    ],
)
def test_a_rollback_target_is_lost_by_what_is_surely_known(of: Member, reason: str | None) -> None:
    """P2: what is not known is neither lost nor found."""
    assert rollback_target.lost(of, GroupState()) == reason


def test_a_release_that_was_rolled_back_is_no_way_that_could_be_lost() -> None:
    """P9: nobody is to be told that what failed is not healthy."""
    back = moved(blue=NOTHING)
    failed = Quarantine((candidate("r1", BLUE),), Outcome.ROLLED_BACK, "r1", EPOCH)
    assert rollback_target.lost(back, GroupState(quarantined=(failed,))) is None


@pytest.mark.parametrize(
    ("of", "found"),
    [
        (seen(), True),
        (seen({OLD: UNKNOWN}), False),
        (moved(blue=Observed()), False),
        (moved(blue=NOTHING), False),
        (old(), False),
    ],
)
def test_a_rollback_target_is_found_again_when_it_is_healthy(of: Member, found: bool) -> None:
    assert rollback_target.is_found_again(of) is found


# --- together -------------------------------------------------------------------------------------------------------


def named(of: tuple[Member, ...]) -> list[str]:
    return [each.service.name for each in of]


def test_members_that_moved_together_go_back_together() -> None:
    """Rule 11: those of another rollout, and those that never moved, stay."""
    cart, pay, shop = moved(service("cart"), by="r3"), moved(service("pay"), by="r4"), moved(by="r4")
    news = old(service("news"))
    of = snapshot(cart, news, pay, shop)
    assert named(rollback_target.together(of, "shop")) == ["pay", "shop"] == named(rollback_target.together(of, "pay"))
    assert named(rollback_target.together(of, "cart")) == ["cart"]
    assert rollback_target.together(of, "news") == ()


def test_ways_back_of_no_known_rollout_are_not_taken_for_one() -> None:
    of = snapshot(moved(service("pay"), by=None), moved(by=None))
    assert named(rollback_target.together(of, "shop")) == ["shop"]


# --- taking it ------------------------------------------------------------------------------------------------------


def taken(of: Snapshot, **fields: Any) -> tuple[Snapshot, list[tuple[str, str, str | None]]]:
    fields = {"trigger": Trigger.COMMAND, "actor": ANN} | fields
    after, rows = rollback_target.roll_back(of, of.members, NOW, "errors", **fields)
    return after, [(row.service, row.event, row.rollout) for row in rows]


@pytest.mark.parametrize("phase", [Phase.STEADY, *AFTER_SWITCH])
def test_all_go_back_in_one_step(phase: Phase) -> None:
    """P3, P7, P9, rule 10 and rule 11."""
    after, rows = taken(group(phase, moved(service("pay")), moved()))
    assert rows == [("pay", "rolled-back", "r1"), ("shop", "rolled-back", "r1")]
    assert [each.state.active for each in after.members] == [BLUE, BLUE]
    assert [each.state.override for each in after.members] == [Override(BLUE, "r2", "errors", ANN, NOW.utc)] * 2
    assert [each.state.rollback_target for each in after.members] == [RollbackTarget(GREEN, "r2", "r1")] * 2
    (failed,) = after.state.quarantined
    assert failed.candidates == (candidate(of="pay"), candidate())
    assert (failed.outcome, failed.rollout, failed.since_utc) == (Outcome.ROLLED_BACK, "r1", NOW.utc)
    assert after.state.rollout is None


def test_a_rollout_of_another_member_goes_on() -> None:
    """Rule 11: it concerns only what moved together."""
    waiting = group(Phase.WAITING, old(service("pay"))).state
    of = snapshot(old(service("pay")), moved(by="r0"), state=waiting)
    after, rows = rollback_target.roll_back(of, of.members[1:], NOW, "errors", trigger=Trigger.COMMAND, actor=ANN)
    assert after.state.rollout == waiting.rollout
    assert [row.event for row in rows] == ["rolled-back"]


def test_a_switched_rollout_of_another_member_goes_on() -> None:
    watching = group(Phase.WATCHING, moved(service("pay"))).state
    of = snapshot(moved(service("pay")), moved(by="r0"), state=watching)
    after, _ = rollback_target.roll_back(of, of.members[1:], NOW, "errors", trigger=Trigger.COMMAND, actor=ANN)
    assert after.state.rollout == watching.rollout
    assert [failed.candidates for failed in after.state.quarantined] == [(candidate(),)]


def test_a_rollout_that_had_yet_to_switch_is_superseded() -> None:
    """P9: it has not failed."""
    waiting = group(Phase.WAITING, old()).state
    of = snapshot(moved(by="r0"), state=replace(waiting, rollouts=9))
    after, rows = taken(of)
    assert rows == [("shop", "superseded", "r1"), ("shop", "rolled-back", "r0")]
    assert [failed.candidates for failed in after.state.quarantined] == [(candidate(),)]


@pytest.mark.parametrize(
    ("green", "left", "rejected"),
    [
        (runs(NEW), "r2", "r2"),
        (runs(server(2, "r9")), "r9", "r9"),
        (NOTHING, "r2", "r2"),
        (runs(NEW, server(3, "r9")), "r2", "r2, r9"),
    ],
    ids=["what was switched to", "what came in its place", "gone", "mixed"],
)
def test_what_is_left_is_what_runs_else_what_ran(green: Observed, left: str, rejected: str) -> None:
    """P9: the release in place of the one that was switched to is the one that failed."""
    after, _ = taken(snapshot(moved(green=green)))
    assert after.state.quarantined[0].candidates == (candidate(left),)
    assert after.members[0].state.override is not None
    assert after.members[0].state.override.rejected == rejected


@pytest.mark.parametrize(("actor", "by"), [(ANN, " by ann"), (None, "")])
def test_the_holder_of_a_lease_is_warned(actor: str | None, by: str) -> None:
    """Rule 17."""
    held = with_state(moved(), lease=Lease("l1", "ci", EPOCH))
    after, _ = taken(snapshot(held), actor=actor)
    assert after.members[0].state.lease == Lease("l1", "ci", EPOCH, f"green was rolled back{by}: errors")
