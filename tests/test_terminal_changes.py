"""What is told in a pipe while services are followed."""

from typing import Any

from provider.terminal.changes import Changes
from provider.terminal.seen import Seen
from tests.answers import AWAY, changed
from tests.test_terminal_detail import NOW


def told(changes: Changes, answer: dict[str, Any], trouble: str | None = None) -> list[str]:
    return [line.split(" ", 1)[1] for line in changes.of(Seen(answer, [], NOW, trouble))]


def test_each_change_is_a_line_and_numbers_that_run_are_none() -> None:
    changes = Changes()
    first = "shop: blue is active with release 3f2a91c0 (1.4.1), confirmed, waiting; blue 100% 3f2a91c0 (1.4.1) healthy"
    assert told(changes, changed(blocking="watched for 9 s more")) == [
        f"{first} 1/1; green 0% empty; watched for 9 s more"
    ]
    assert told(changes, changed(blocking="watched for 8 s more")) == []
    assert told(changes, changed(blocking=None, phase="steady", conditions=[AWAY]))[0] == f"warning: {AWAY['message']}"
    assert told(changes, changed(blocking=None, phase="steady")) == ["over: docker-away"]


def test_of_all_services_only_the_one_that_changes_is_told() -> None:
    changes = Changes()
    pay = changed(service="pay", conditions=[{**AWAY, "code": "replaced", "message": "replaced"}])
    answer = {"services": [changed(), pay], "conditions": []}
    assert [line.split(":")[0] for line in told(changes, answer)] == ["shop", "pay", "pay"]
    assert told(changes, answer) == []
    assert [line.split(";")[0] for line in told(changes, {**answer, "services": [changed(active=None), pay]})] == [
        "shop: no colour is active yet"
    ]
    assert told(changes, {**answer, "services": [pay]}) == ["over: shop"]


def test_a_lost_daemon_is_told_once_and_so_is_its_return() -> None:
    changes = Changes()
    told(changes, changed())
    assert told(changes, changed(), "no daemon answers at x") == ["LOST: no daemon answers at x"]
    assert told(changes, changed(), "no daemon answers at x (2)") == []
    assert told(changes, changed()) == ["it answers again"]
