"""What is printed in a pipe while services are followed."""

from typing import Any

from provider.cli.terminal.changes import Changes
from provider.cli.terminal.view import LiveStatus
from tests.support.answers import AWAY, REPLICAS, changed
from tests.support.drawn import NOW, in_step


def printed(changes: Changes, answer: Any, trouble: str | None = None) -> list[str]:
    return [line.split(" ", 1)[1] for line in changes.of(LiveStatus(answer, [], NOW, trouble))]


def test_each_change_is_a_line_and_numbers_that_run_are_none() -> None:
    changes = Changes()
    first = "shop: blue is active with release 3f2a91c0 (1.4.1), confirmed, waiting; blue 100% 3f2a91c0 (1.4.1) healthy"
    assert printed(changes, changed(blocking="watched for 9 s more")) == [
        f"{first} 1/1; green 0% empty; watched for 9 s more"
    ]
    assert printed(changes, changed(blocking="watched for 8 s more")) == []
    assert (
        printed(changes, changed(blocking=None, phase="steady", conditions=[AWAY]))[0] == f"warning: {AWAY['message']}"
    )
    assert printed(changes, changed(blocking=None, phase="steady")) == ["over: docker-away"]


def test_of_all_services_only_the_one_that_changes_is_reported() -> None:
    changes = Changes()
    pay = changed(service="pay", conditions=[{**AWAY, "code": "replaced", "message": "replaced"}])
    answer = {"services": [changed(), pay], "conditions": []}
    assert [line.split(":")[0] for line in printed(changes, answer)] == ["shop", "pay", "pay"]
    assert printed(changes, answer) == []
    assert [line.split(";")[0] for line in printed(changes, {**answer, "services": [changed(active=None), pay]})] == [
        "shop: no colour is active yet"
    ]
    assert printed(changes, {**answer, "services": [pay]}) == ["over: shop"]


def test_a_change_of_the_leader_is_reported() -> None:
    changes, (one, two, _) = Changes(), REPLICAS
    answer: Any = {"services": [], "conditions": [], "replicas": [one, two]}
    assert printed(changes, answer) == ["2 replicas, node-1 leads"]
    assert printed(changes, {**answer, "replicas": [one, {**two, "current": False}]}) == []
    assert printed(changes, {**answer, "replicas": [{**one, "leads": False}, {**two, "leads": True}]}) == [
        "2 replicas, node-2 leads"
    ]


def test_a_lost_daemon_is_reported_once_and_so_is_its_return() -> None:
    changes = Changes()
    printed(changes, changed())
    assert printed(changes, changed(), "no daemon answers at x") == ["LOST: no daemon answers at x"]
    assert printed(changes, changed(), "no daemon answers at x (2)") == []
    assert printed(changes, changed()) == ["the daemon answers again"]


def test_what_an_analysis_counts_and_the_end_of_a_step_are_no_change_and_the_next_step_is_one() -> None:
    changes = Changes()
    step = in_step()
    assert len(printed(changes, step)) == 1
    for blocking in (
        "step 2 of 3 (25 %) lasts until 00:04:11 UTC",
        "gate analysis of shop: 137 of 200 requests; errors 0.2 % against 0.1 %, evidence 1.4 of 300",
        "gate analysis of shop: 138 of 200 requests; errors 0.3 % against 0.1 %, evidence 12.9 of 300",
    ):
        last = printed(changes, step | {"blocking": blocking})
    assert last == []
    assert len(printed(changes, step | {"blocking": blocking, "weights": {"blue": 50, "green": 50}})) == 1
