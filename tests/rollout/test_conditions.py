"""What an operator should know of one service, and the command that helps."""

from dataclasses import replace

from provider.model import (
    Analysis,
    Canary,
    GroupState,
    Health,
    Member,
    Observed,
    Outcome,
    Phase,
    Quarantine,
    RollbackTarget,
    ServerHealth,
    Snapshot,
    Step,
)
from provider.model.analysed import Analysed
from provider.rollout.conditions import service_conditions
from provider.rollout.health import assess
from tests.support.phases import group, moved, old, stepping, with_state
from tests.support.worlds import BLUE, EPOCH, at, candidate, member, runs, server, service, snapshot

OLD, NEW = server(1, "r1", version="1.4.1"), server(2, "r2", version="1.4.2")


def codes(of: Member) -> dict[str, str]:
    return codes_of(snapshot(of))


def codes_of(of: Snapshot, mono_s: float = 1000.0) -> dict[str, str]:
    one = of.members[0]
    health = {
        each.key: ServerHealth(*assess(one, each), EPOCH)
        for _, observed in one.observed.items()
        for each in observed.servers
    }
    found = service_conditions(one, of.state, health, EPOCH, at(mono_s))
    return {each.code: f"{each.severity}: {each.message}" for each in found}


def test_a_rollback_target_that_is_lost_is_warned_of() -> None:
    """Rule 8: nobody should learn of it when it is needed."""
    sick = with_state(
        moved(health={OLD: Health.UNHEALTHY}), rollback_target=RollbackTarget(BLUE, "r1", "r1", "blue is unhealthy")
    )
    assert codes(sick)["way-back-lost"].startswith("warning: the rollback target, release r1 in blue, is lost: blue is")
    gone = with_state(
        moved(blue=runs()), rollback_target=RollbackTarget(BLUE, "r1", "r1", "blue has no servers any more")
    )
    watched = replace(group(Phase.WATCHING), members=(gone,))
    assert codes_of(watched)["way-back-lost"].startswith("warning: ")


def test_a_rollback_target_that_made_room_for_the_next_release_is_no_warning() -> None:
    """Rule 8. That is how a release goes: its old colour is stopped after the watch, and used again by the next one."""
    stopped = with_state(
        moved(blue=runs()), rollback_target=RollbackTarget(BLUE, "r1", "r1", "blue has no servers any more")
    )
    assert codes(stopped) == {
        "way-back-lost": "info: the rollback target, release r1 in blue, is lost: blue has no servers any more"
    }


def test_a_rollback_target_that_is_lost_is_reported_as_it_is_now() -> None:
    """What was found when it was lost may be over: blue ran two releases while one took the other's place."""
    lost = with_state(
        moved(blue=runs(server(3, "r3"))), rollback_target=RollbackTarget(BLUE, "r1", "r1", "blue runs r1, r3, not r1")
    )
    assert codes(lost)["way-back-lost"].endswith("is lost: blue runs r3, not r1")


def test_an_active_colour_that_fails_after_its_watch_prints_the_command_that_goes_back() -> None:
    """Rule 8: outside the watch there is no automatic failover."""
    sick = moved(health={NEW: Health.UNHEALTHY})
    assert codes(sick)["none-healthy"].endswith("refused; to go back: bluegreen rollback shop")
    gone = moved(green=runs())
    assert codes(gone)["no-servers"].endswith("start one; to go back: bluegreen rollback shop")
    nowhere = with_state(moved(blue=runs(), health={NEW: Health.UNHEALTHY}))
    assert codes(nowhere)["none-healthy"].endswith("refused")
    taken_back = Quarantine((candidate("r1", BLUE),), Outcome.ROLLED_BACK, "r1", EPOCH, "incident", "ann")
    by_hand = snapshot(sick, state=GroupState(quarantined=(taken_back,)))
    assert codes_of(by_hand)["none-healthy"].endswith("refused; to go back: bluegreen switch shop blue")


def test_an_active_colour_that_serves_nobody_well_is_critical() -> None:
    """Rules 3 and 4."""
    assert codes(member()) == {
        "no-servers": "critical: blue is active and has no servers: requests are answered with 503; start one"
    }
    assert codes(member(blue=runs(OLD, NEW), health={OLD: Health.UNHEALTHY, NEW: Health.UNHEALTHY})) == {
        "none-healthy": "critical: blue is active and none of its 2 servers is healthy; all are served: refused"
    }
    assert codes(member(blue=runs(OLD, NEW), health={OLD: Health.UNHEALTHY, NEW: Health.UNKNOWN})) == {}
    assert codes(member(blue=Observed(known=False))) == {}, "unknown is not none"


def test_a_step_that_has_too_few_requests_when_its_time_is_over_is_told_of() -> None:
    """Rule 19d: the words stay the same while it goes on, so that it is told once."""
    canary = Canary((Step(5, 300.0), Step(25, 600.0)))
    of = stepping(1, old(service(canary=canary, analysis=Analysis())), canary=canary)
    assert "too-few-requests" not in codes_of(of, 1300.0), "nothing could be counted"
    of = replace(of, members=(replace(of.members[0], analysed=Analysed(is_read=True)),))
    assert "too-few-requests" not in codes_of(of, 1299.0)
    assert codes_of(of, 1300.0)["too-few-requests"] == (
        "warning: the time of step 1 is over, and green has answered fewer than 200 requests in it (minRequests): the "
        "step goes on until it has; what clients gave up waiting for (499) does not count; see that it answers; to go "
        "on without them: bluegreen promote shop --force --reason WHY"
    )
    assert codes_of(of, 9000.0) == codes_of(of, 1300.0)
    assert "too-few-requests" not in codes_of(stepping(1, canary=canary), 1300.0), "nothing is analysed"
