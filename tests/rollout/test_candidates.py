"""What a group wants, and what keeps it from getting it."""

from dataclasses import replace

import pytest

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
    Override,
    Pause,
    Phase,
    Quarantine,
    Rollout,
    Snapshot,
    Trigger,
    Wish,
)
from provider.rollout import candidates
from provider.rollout.gates import OF_PHASE
from tests.support.phases import AFTER_SWITCH, BEFORE_SWITCH, NEW, OLD, group, moved, old, with_state
from tests.support.worlds import BLUE, EPOCH, GREEN, NOTHING, at, candidate, member, runs, server, service, snapshot

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
    assert candidates.candidates(snapshot(of)) == (candidate(release),)


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
    assert candidates.candidates(snapshot(of)) == ()


def test_the_same_id_in_the_other_colour_is_not_settled() -> None:
    """Section 2: ids are never compared across colours."""
    assert candidates.candidates(snapshot(shop(green=runs(server(2, "r1"))))) == (candidate("r1"),)


@pytest.mark.parametrize("green", [NOTHING, MIXED, Observed()], ids=["empty", "mixed", "unknown"])
@pytest.mark.parametrize("wish", [Wish.AUTO, Wish.GREEN])
def test_a_candidate_under_way_stays_wanted_while_its_colour_is_replaced(green: Observed, wish: Wish) -> None:
    state = under_way(candidate("r2"))
    assert candidates.candidates(snapshot(shop(wish, green), state=state)) == (candidate("r2"),)


@pytest.mark.parametrize("release", [None, "r9"])
def test_auto_does_not_go_on_with_what_it_would_not_have_begun(release: str | None) -> None:
    """Rule 2: `active` was edited from green to auto while nothing, or what green last ran, was under way."""
    state = under_way(candidate(release))
    assert candidates.candidates(snapshot(shop(settled="r9"), state=state)) == ()


def test_each_member_moves_to_its_own_standby() -> None:
    """Rule 11: colours may differ, and a member without a candidate does not move."""
    cart = member(service("cart"), blue=runs(OLD))
    pay = member(service("pay"), active=GREEN, blue=runs(NEW), green=runs(OLD))
    assert candidates.candidates(snapshot(cart, pay, shop(green=runs(NEW)))) == (
        candidate("r2", BLUE, "pay"),
        candidate("r2", GREEN, "shop"),
    )


def test_a_quarantined_set_and_a_part_of_it_are_found() -> None:
    """P9."""
    pay = member(service("pay"), blue=runs(OLD), green=runs(NEW))
    failed = Quarantine((candidate(of="pay"), candidate()), Outcome.EXPIRED, "r1", EPOCH)
    state = GroupState(quarantined=(failed,))
    assert candidates.quarantine(snapshot(pay, shop(green=runs(NEW)), state=state)) is failed
    assert candidates.quarantine(snapshot(shop(green=runs(NEW)), state=state)) is failed
    assert candidates.quarantine(snapshot(shop(green=runs(server(2, "r3"))), state=state)) is None
    assert candidates.quarantine(snapshot(shop(), state=state)) is None


def test_the_hold_of_one_member_holds_the_group() -> None:
    """Rules 2 and 11."""
    held = member(service("pay", hold=True), blue=runs(OLD))
    assert candidates.held_by(snapshot(held, shop())) == "pay has hold: true; remove it to go on"
    assert candidates.held_by(snapshot(shop())) is None
    assert [candidates.is_held(snapshot(held, shop())), candidates.is_held(snapshot(shop()))] == [True, False]


@pytest.mark.parametrize(("reason", "says"), [("fair", " (fair)"), (None, "")])
def test_pause_holds_the_group_until_resume(reason: str | None, says: str) -> None:
    """Rule 2."""
    state = GroupState(paused=Pause("bob", reason, EPOCH))
    told = candidates.held_by(snapshot(shop(green=runs(NEW)), state=state))
    assert told == f"paused by bob{says}; go on with: bluegreen resume shop"
    assert candidates.is_held(snapshot(shop(), state=state))


def test_neither_the_rollback_target_nor_a_forced_switch_is_held() -> None:
    """Rule 2: it stops forward rollouts; who forces means it."""
    back = snapshot(moved(service(hold=True, active=Wish.BLUE)))
    assert candidates.candidates(back) == (candidate("r1", BLUE),)
    assert (candidates.held_by(back), candidates.is_held(back)) == (None, True)
    held = old(service(hold=True))
    forced = group(Phase.WAITING, held, forced="it burns", trigger=Trigger.COMMAND)
    assert candidates.held_by(forced) is None
    assert candidates.held_by(group(Phase.WAITING, held)) is not None


def test_a_rollback_target_beside_a_candidate_is_held() -> None:
    pay = moved(service("pay", hold=True, active=Wish.BLUE))
    assert candidates.held_by(snapshot(pay, shop(green=runs(NEW)))) is not None


OVERRIDE = Override(BLUE, "r2", "slow", "bob", EPOCH)


@pytest.mark.parametrize("wish", Wish)
def test_an_override_keeps_the_rejected_colour_out(wish: Wish) -> None:
    """Rule 10: whatever the file says; what stood there before it was written is no new word."""
    kept = with_state(shop(wish, runs(NEW)), override=OVERRIDE)
    assert candidates.candidates(snapshot(kept)) == ()
    assert candidates.candidates(snapshot(kept, state=under_way(candidate()))) == ()


def commanded(of: Member, release: str | None = "r2") -> Snapshot:
    state = under_way(candidate(release))
    assert state.rollout is not None
    return snapshot(of, state=replace(state, rollout=replace(state.rollout, trigger=Trigger.COMMAND)))


@pytest.mark.parametrize(
    "of",
    [
        shop(green=runs(NEW), settled="r2"),
        shop(green=NOTHING),
        shop(green=MIXED),
        shop(green=Observed()),
        with_state(shop(Wish.BLUE, runs(NEW)), override=Override(GREEN, "r1", "leaks", "ann", EPOCH)),
    ],
    ids=["settled", "gone for now", "mixed for now", "not known", "against the file"],
)
def test_what_was_commanded_stays_wanted(of: Member) -> None:
    """Rule 2: the file wants nothing of it, and need not."""
    assert candidates.candidates(commanded(of)) == (candidate(),)


@pytest.mark.parametrize(
    "of",
    [shop(green=runs(server(2, "r3")), settled="r3"), shop(Wish.BLUE, runs(NEW))],
    ids=["another release came that nobody wants", "the file was edited to the active colour"],
)
def test_what_was_commanded_is_wanted_no_longer(of: Member) -> None:
    """Rules 6 and 10."""
    assert candidates.candidates(commanded(of)) == ()


def test_a_member_joins_what_was_commanded_of_another_one() -> None:
    """Rule 11."""
    pay = member(service("pay"), blue=runs(OLD), green=runs(NEW))
    of = commanded(shop(green=runs(NEW), settled="r2"))
    assert candidates.candidates(replace(of, members=(pay, *of.members))) == (candidate(of="pay"), candidate())


def test_the_longest_time_that_a_member_allows_counts() -> None:
    """Rule 11, P10."""
    slow = member(service("pay", deadlines=Deadlines(waiting_s=900.0, confirming_s=1.0), watch_s=7.0))
    assert candidates.limits(snapshot(slow, shop())) == {
        Phase.WAITING: 900.0,
        Phase.TESTING: 300.0,
        Phase.APPROVAL: 86400.0,
        Phase.SHIFTING: 3600.0,
        Phase.CONFIRMING: 30.0,
        Phase.WATCHING: 7.0,
    }


def test_a_group_without_members_has_a_time_for_each_phase_too() -> None:
    """P10: a rollout whose services left the file has to be ended, not to raise."""
    assert candidates.limits(snapshot()).keys() == candidates.limits(snapshot(shop())).keys()


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_a_file_that_names_the_other_colour_of_what_was_switched_is_heard(phase: Phase) -> None:
    """Rule 9."""
    assert candidates.other_colour(group(phase, moved(service(active=Wish.BLUE)))) == "shop"
    assert candidates.other_colour(group(phase, moved(service(active=Wish.GREEN)))) is None
    assert candidates.other_colour(group(phase, moved())) is None
    over = with_state(moved(service(active=Wish.BLUE)), override=Override(GREEN, "r1", "leaks", "ann", EPOCH))
    assert candidates.other_colour(group(phase, over)) is None, "a switch against the file stands"


@pytest.mark.parametrize("phase", [Phase.STEADY, *BEFORE_SWITCH])
def test_before_the_switch_no_colour_is_the_other_one(phase: Phase) -> None:
    assert candidates.other_colour(group(phase, old(service(active=Wish.GREEN)))) is None


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_a_member_that_did_not_move_says_nothing_of_what_was_switched(phase: Phase) -> None:
    """Rule 11."""
    of = group(phase, moved())
    pinned = old(service("pay", active=Wish.GREEN), NOTHING)
    assert candidates.other_colour(replace(of, members=(pinned, *of.members))) is None


@pytest.mark.parametrize(
    ("phase", "gates"),
    [
        (Phase.WAITING, (Gate.HEALTH,)),
        (Phase.TESTING, (Gate.SMOKE,)),
        (Phase.APPROVAL, (Gate.SMOKE, Gate.APPROVAL)),
        (Phase.SHIFTING, (Gate.HEALTH, Gate.SMOKE, Gate.APPROVAL)),
    ],
)
def test_each_phase_has_its_gates_and_the_switch_has_all(phase: Phase, gates: tuple[Gate, ...]) -> None:
    """P1: passed, and passed at that moment."""
    assert OF_PHASE[phase] == gates


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_after_the_switch_no_gate_holds_anything_up(phase: Phase) -> None:
    sick = moved(service(approval_is_manual=True), health={NEW: Health.UNHEALTHY})
    assert candidates.holding_up(group(phase, sick), at()) is None


def test_the_command_that_gives_an_approval_is_reported_as_it_is() -> None:
    of = group(Phase.APPROVAL, old(service(approval_is_manual=True)))
    assert candidates.holding_up(of, at()) == "release r2 waits for approval: bluegreen approve shop --release r2"


def ready(*others: Member, docker_connected: bool = True) -> Snapshot:
    members = sorted((*others, shop(green=runs(NEW))), key=lambda one: one.service.name)
    return snapshot(*members, state=under_way(candidate()), docker_connected=docker_connected)


def test_nothing_holds_up_a_proven_candidate() -> None:
    assert candidates.holding_up(ready(), at()) is None
    assert candidates.holding_up(ready(member(service("pay"), blue=runs(OLD))), at()) is None


def test_nothing_is_held_up_without_a_rollout() -> None:
    assert candidates.holding_up(snapshot(shop()), at()) is None


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
        assert candidates.holding_up(world, at()) == says


def test_a_member_pinned_to_its_active_colour_holds_nothing_up() -> None:
    """Rule 11: whatever its standby does, it is no candidate."""
    pinned = member(service("pay", active=Wish.BLUE), blue=runs(OLD), green=MIXED)
    assert candidates.holding_up(ready(pinned), at()) is None


@pytest.mark.parametrize("colour", Colour)
def test_the_gates_of_a_candidate_are_those_of_its_service(colour: Colour) -> None:
    world = ready(member(service("pay"), active=colour.other))
    gates = candidates.gates_of(world, candidate("r2", colour, "pay"), at())
    assert gates[Gate.HEALTH].reason == f"{colour} has no servers"
