"""What a group wants, and what keeps it from getting it."""

from dataclasses import replace

import pytest

from provider import wanted
from provider.model import (
    ByColour,
    Candidate,
    Colour,
    Deadlines,
    Gate,
    GroupState,
    Health,
    Member,
    Observed,
    Outcome,
    Phase,
    Quarantine,
    Rollout,
    Snapshot,
    Trigger,
    Wish,
)
from tests.worlds import BLUE, EPOCH, GREEN, NOTHING, at, candidate, member, runs, server, service, snapshot

OLD, NEW = server(1, "r1"), server(2, "r2")
MIXED = runs(NEW, server(3, "r3"))


def under_way(*candidates: Candidate, phase: Phase = Phase.WAITING) -> GroupState:
    members = tuple(sorted(one.service for one in candidates))
    rollout = Rollout("r1", phase, candidates, members, Trigger.DOCKER, None, EPOCH, 990.0, 1600.0)
    return GroupState(rollout=rollout, rollouts=1)


def shop(wish: Wish = Wish.AUTO, green: Observed = NOTHING, settled: str | None = None) -> Member:
    known = ByColour(frozenset({"r1"}), frozenset({settled} if settled else ()))
    return member(service(active=wish), blue=runs(OLD), green=green, settled=known)


@pytest.mark.parametrize(
    ("of", "release"),
    [
        (shop(green=runs(NEW)), "r2"),
        (shop(green=runs(NEW), settled="r9"), "r2"),
        (shop(green=runs(NEW, server(3, "r9", leaving_mono_s=990.0))), "r2"),
        (shop(Wish.GREEN, runs(NEW), settled="r2"), "r2"),
        (shop(Wish.GREEN), None),
        (shop(Wish.GREEN, MIXED), None),
    ],
)
def test_a_standby_is_wanted(of: Member, release: str | None) -> None:
    """Rule 2: auto wants a uniform release it has not settled; a named colour is wanted whatever it runs."""
    assert wanted.candidates(snapshot(of)) == (candidate(release),)


@pytest.mark.parametrize(
    "of",
    [
        shop(),
        shop(green=MIXED),
        shop(green=runs(NEW), settled="r2"),
        shop(green=Observed()),
        shop(Wish.GREEN, Observed()),
        shop(Wish.BLUE, runs(NEW)),
        replace(shop(Wish.GREEN, runs(NEW)), state=member(active=None).state),
    ],
    ids=["empty", "mixed", "settled", "unknown", "named but unknown", "active is named", "undecided"],
)
def test_nothing_is_wanted(of: Member) -> None:
    """Rule 2."""
    assert wanted.candidates(snapshot(of)) == ()


def test_the_same_id_in_the_other_colour_is_not_settled() -> None:
    """Section 2: ids are never compared across colours."""
    assert wanted.candidates(snapshot(shop(green=runs(server(2, "r1"))))) == (candidate("r1"),)


@pytest.mark.parametrize("green", [NOTHING, MIXED, Observed()], ids=["empty", "mixed", "unknown"])
@pytest.mark.parametrize("wish", [Wish.AUTO, Wish.GREEN])
def test_a_candidate_under_way_stays_wanted_while_its_colour_is_replaced(green: Observed, wish: Wish) -> None:
    state = under_way(candidate("r2"))
    assert wanted.candidates(snapshot(shop(wish, green), state=state)) == (candidate("r2"),)


@pytest.mark.parametrize("release", [None, "r9"])
def test_auto_does_not_go_on_with_what_it_would_not_have_begun(release: str | None) -> None:
    """Rule 2: `active` was edited from green to auto while nothing, or what green last ran, was under way."""
    state = under_way(candidate(release))
    assert wanted.candidates(snapshot(shop(settled="r9"), state=state)) == ()


def test_each_member_moves_to_its_own_standby() -> None:
    """Rule 11: colours may differ, and a member without a candidate does not move."""
    cart = member(service("cart"), blue=runs(OLD))
    pay = member(service("pay"), active=GREEN, blue=runs(NEW), green=runs(OLD))
    assert wanted.candidates(snapshot(cart, pay, shop(green=runs(NEW)))) == (
        candidate("r2", BLUE, "pay"),
        candidate("r2", GREEN, "shop"),
    )


def test_a_quarantined_set_and_a_part_of_it_are_found() -> None:
    """P9."""
    pay = member(service("pay"), blue=runs(OLD), green=runs(NEW))
    failed = Quarantine((candidate(of="pay"), candidate()), Outcome.EXPIRED, "r1", EPOCH)
    state = GroupState(quarantined=(failed,))
    assert wanted.quarantine(snapshot(pay, shop(green=runs(NEW)), state=state)) is failed
    assert wanted.quarantine(snapshot(shop(green=runs(NEW)), state=state)) is failed
    assert wanted.quarantine(snapshot(shop(green=runs(server(2, "r3"))), state=state)) is None
    assert wanted.quarantine(snapshot(shop(), state=state)) is None


def test_the_hold_of_one_member_holds_the_group() -> None:
    """Rules 2 and 11."""
    held = member(service("pay", hold=True), blue=runs(OLD))
    assert wanted.held_by(snapshot(held, shop())) == "pay"
    assert wanted.held_by(snapshot(shop())) is None


def test_the_longest_deadline_of_the_members_counts() -> None:
    slow = member(service("pay", deadlines=Deadlines(waiting_s=900.0)))
    assert wanted.waiting_s(snapshot(slow, shop())) == 900.0
    assert wanted.waiting_s(snapshot()) == 0.0


def ready(*others: Member, docker_connected: bool = True) -> Snapshot:
    members = sorted((*others, shop(green=runs(NEW))), key=lambda one: one.service.name)
    return snapshot(*members, state=under_way(candidate()), docker_connected=docker_connected)


def test_nothing_holds_up_a_proven_candidate() -> None:
    assert wanted.holding_up(ready(), at()) is None
    assert wanted.holding_up(ready(member(service("pay"), blue=runs(OLD))), at()) is None


def test_nothing_is_held_up_without_a_rollout() -> None:
    assert wanted.holding_up(snapshot(shop()), at()) is None


def test_what_holds_a_rollout_up_is_said() -> None:
    pay = service("pay")
    for world, says in (
        (ready(member(replace(pay, hold=True))), "pay has hold: true; remove it to go on"),
        (ready(docker_connected=False), "gate health of shop: Docker does not answer, so what runs is not known"),
        (ready(member(pay, green=MIXED)), "the standby of pay, of the same group, is mixed"),
        (
            ready(member(pay, green=runs(NEW), health={NEW: Health.UNKNOWN})),
            "the standby of pay, of the same group, is starting",
        ),
        (ready(member(pay, green=Observed())), "the standby of pay, of the same group, is unknown"),
        (ready(member(pay, active=None, green=Observed())), "the standby of pay, of the same group, is unknown"),
    ):
        assert wanted.holding_up(world, at()) == says


def test_a_member_pinned_to_its_active_colour_holds_nothing_up() -> None:
    """Rule 11: whatever its standby does, it is no candidate."""
    pinned = member(service("pay", active=Wish.BLUE), blue=runs(OLD), green=MIXED)
    assert wanted.holding_up(ready(pinned), at()) is None


@pytest.mark.parametrize("colour", Colour)
def test_the_gates_of_a_candidate_are_those_of_its_service(colour: Colour) -> None:
    world = ready(member(service("pay"), active=colour.other))
    gates = wanted.gates_of(world, candidate("r2", colour, "pay"), at())
    assert gates[Gate.HEALTH].reason == f"{colour} has no servers"
