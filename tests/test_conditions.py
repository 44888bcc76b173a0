"""What holds for the whole daemon."""

from datetime import timedelta

from provider.conditions import Conditions
from provider.model import Condition, Severity
from tests.worlds import EPOCH

LATER = EPOCH + timedelta(minutes=5)


def test_a_condition_that_stands_keeps_its_date_and_its_place_and_takes_the_newer_words() -> None:
    conditions = Conditions()
    assert conditions.put("docker-away", Severity.WARNING, "refused", EPOCH)
    assert conditions.put("store-failing", Severity.CRITICAL, "disk full", EPOCH)
    assert not conditions.put("docker-away", Severity.WARNING, "refused", LATER), "nothing new is said"
    assert conditions.put("docker-away", Severity.WARNING, "timed out", LATER)
    assert list(conditions) == [
        Condition("docker-away", Severity.WARNING, "timed out", EPOCH),
        Condition("store-failing", Severity.CRITICAL, "disk full", EPOCH),
    ]


def test_a_condition_that_comes_again_is_dated_anew() -> None:
    conditions = Conditions()
    conditions.put("docker-away", Severity.WARNING, "refused", EPOCH)
    assert conditions.clear("docker-away")
    assert "docker-away" not in conditions
    assert not conditions.clear("docker-away")
    assert conditions.put("docker-away", Severity.WARNING, "refused", LATER)
    assert [one.since_utc for one in conditions] == [LATER]


def test_conditions_may_come_and_go_while_they_are_read() -> None:
    conditions = Conditions()
    conditions.put("containers", Severity.INFO, "a", EPOCH)
    conditions.put("hold-left", Severity.INFO, "b", EPOCH)
    assert [one.code for one in conditions if conditions.clear("hold-left") or True] == ["containers", "hold-left"]


def test_a_code_may_have_a_condition_for_each_subject_and_they_go_together() -> None:
    conditions = Conditions()
    assert conditions.put("desired-state-outdated", Severity.WARNING, "a", EPOCH, subject="one")
    assert conditions.put("desired-state-outdated", Severity.WARNING, "b", LATER, subject="two")
    assert not conditions.put("desired-state-outdated", Severity.WARNING, "a", LATER, subject="one")
    assert [(one.message, one.since_utc) for one in conditions] == [("a", EPOCH), ("b", LATER)]
    assert "desired-state-outdated" in conditions
    assert conditions.clear("desired-state-outdated")
    assert list(conditions) == []
