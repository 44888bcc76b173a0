"""What holds for the whole daemon."""

from datetime import datetime, timedelta

from provider.model import Condition, ConditionCode, Severity
from provider.observability.active_conditions import Conditions
from tests.support.worlds import EPOCH

LATER = EPOCH + timedelta(minutes=5)


def put(conditions: Conditions, code: str, message: str, now_utc: datetime, *, subject: str = "") -> bool:
    return conditions.put(Condition(ConditionCode(code), Severity.WARNING, message, now_utc), subject=subject)


def test_a_condition_that_stands_keeps_its_date_and_its_place_and_takes_the_newer_words() -> None:
    conditions = Conditions()
    assert put(conditions, "docker-away", "refused", EPOCH)
    assert put(conditions, "store-failing", "disk full", EPOCH)
    assert not put(conditions, "docker-away", "refused", LATER), "nothing new is said"
    assert put(conditions, "docker-away", "timed out", LATER)
    assert list(conditions) == [
        Condition(ConditionCode.DOCKER_AWAY, Severity.WARNING, "timed out", EPOCH),
        Condition(ConditionCode.STORE_FAILING, Severity.WARNING, "disk full", EPOCH),
    ]


def test_a_condition_that_comes_again_is_dated_again() -> None:
    conditions = Conditions()
    put(conditions, "docker-away", "refused", EPOCH)
    assert conditions.clear("docker-away")
    assert "docker-away" not in conditions
    assert not conditions.clear("docker-away")
    assert put(conditions, "docker-away", "refused", LATER)
    assert [one.since_utc for one in conditions] == [LATER]


def test_conditions_may_come_and_go_while_they_are_read() -> None:
    conditions = Conditions()
    put(conditions, "containers", "a", EPOCH)
    put(conditions, "hold-left", "b", EPOCH)
    assert [one.code for one in conditions if conditions.clear("hold-left") or True] == ["containers", "hold-left"]


def test_a_code_may_have_a_condition_for_each_subject_and_they_go_together() -> None:
    conditions = Conditions()
    assert put(conditions, "desired-state-outdated", "a", EPOCH, subject="one")
    assert put(conditions, "desired-state-outdated", "b", LATER, subject="two")
    assert not put(conditions, "desired-state-outdated", "a", LATER, subject="one")
    assert [(one.message, one.since_utc) for one in conditions] == [("a", EPOCH), ("b", LATER)]
    assert "desired-state-outdated" in conditions
    assert conditions.clear("desired-state-outdated")
    assert list(conditions) == []
