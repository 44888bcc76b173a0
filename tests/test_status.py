"""What operators and pipelines are told of one service."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from provider import rollout
from provider.gates import assess
from provider.model import (
    Condition,
    GroupState,
    Health,
    Member,
    Observed,
    Outcome,
    Phase,
    Quarantine,
    Replaced,
    ServerHealth,
    Severity,
    Snapshot,
    Trigger,
    WayBack,
    Wish,
)
from provider.status import Standing, blocking, condition_status, desired_colour, phase_of, service_status, way_back
from tests.worlds import BLUE, EPOCH, GREEN, at, candidate, member, runs, server, service, snapshot

OLD, NEW = server(1, "r1", version="1.4.1"), server(2, "r2", version="1.4.2")
NOW = at(1010.0)

EXAMPLE = """
{"service": "shop", "environment": "production", "desired": "auto", "active": "blue", "phase": "approval",
 "weights": {"blue": 100, "green": 0}, "revision": 42, "confirmed": true, "paused": false,
 "colours": {"blue": {"release": "3f2a91c0", "version": "1.4.1", "state": "healthy",
     "servers": [{"url": "http://127.0.0.1:8081", "health": "healthy", "cause": null, "since": "2026-01-01T00:00:00Z",
       "container": "9c1f2e"}]},
   "green": {"release": "77b0e1d2", "version": "1.4.2", "state": "healthy", "servers": []}},
 "rollout": {"id": "r17", "candidate": "green", "release": "77b0e1d2", "trigger": "docker", "actor": null,
   "since": "...", "deadline": "...",
   "gates": {"health": {"state": "passed"}, "smoke": {"state": "passed"}, "approval": {"state": "pending"}}},
 "blocking": "release 77b0e1d2 waits for approval: bluegreen approve shop --release 77b0e1d2",
 "rollback": {"ready": false, "to": null, "release": null, "reason": "green has not been active"},
 "override": null, "quarantined": [], "conditions": []}
"""


def releasing(of: Member | None = None, **state: Any) -> Snapshot:
    """A rollout of green's r2 under way since mono 1000, that has 600 s."""
    of = of or member(blue=runs(OLD), green=runs(NEW), published=(OLD,))
    begun = rollout.begin(GroupState(), (candidate(),), (of.service.name,), Trigger.DOCKER, 600.0, at(1000.0))
    return snapshot(of, state=replace(begun, **state))


def told(of: Snapshot, *conditions: Condition) -> dict[str, Any]:
    """Return the answer as a client reads it."""
    one = of.members[0]
    health = {
        each.key: ServerHealth(*assess(one, each), EPOCH)
        for _, observed in one.observed.items()
        for each in observed.servers
    }
    standing = Standing(of, one, "production", 42, health, EPOCH, conditions)
    answer: dict[str, Any] = orjson.loads(orjson.dumps(service_status(standing, NOW), option=orjson.OPT_NON_STR_KEYS))
    return answer


def missing_keys(wanted: object, found: object, path: str = "") -> list[str]:
    if isinstance(wanted, dict):
        assert isinstance(found, dict), path
        return [
            missed
            for key, inner in wanted.items()
            for missed in (
                missing_keys(inner, found[key], f"{path}.{key}") if key in found else [f"{path}.{key} is missing"]
            )
        ]
    if isinstance(wanted, list) and wanted:
        assert isinstance(found, list), path
        return [missed for one in found for missed in missing_keys(wanted[0], one, f"{path}[]")]
    return []


def test_the_answer_has_every_field_of_the_design() -> None:
    """Section 6.3; more fields may come, none may go."""
    assert missing_keys(json.loads(EXAMPLE), told(releasing())) == []


def test_a_rollout_is_told_with_its_gates_and_its_deadline() -> None:
    answer = told(releasing())
    assert (answer["active"], answer["phase"], answer["weights"]) == ("blue", "waiting", {"blue": 100, "green": 0})
    assert answer["colours"]["green"] == {
        "release": "r2",
        "version": "1.4.2",
        "state": "healthy",
        "servers": [
            {
                "url": "http://10.0.0.2:80",
                "health": "healthy",
                "cause": None,
                "since": "2026-01-01T00:00:00.000Z",
                "container": "c2",
                "release": "r2",
                "version": "1.4.2",
                "leaving": False,
                "published": False,
            }
        ],
    }
    assert answer["rollout"] == {
        "id": "r1",
        "candidate": "green",
        "release": "r2",
        "trigger": "docker",
        "actor": None,
        "since": "2026-01-01T00:16:40.000Z",
        "deadline": "2026-01-01T00:26:40.000Z",
        "gates": {"health": {"state": "passed"}, "smoke": {"state": "skipped"}, "approval": {"state": "skipped"}},
    }
    assert answer["blocking"] is None


def test_what_holds_a_rollout_up_is_named_with_the_server_and_the_cause() -> None:
    sick = member(blue=runs(OLD), green=runs(NEW), health={NEW: Health.UNHEALTHY})
    answer = told(releasing(sick))
    reason = "0 of 1 servers healthy; http://10.0.0.2:80 is unhealthy: refused"
    assert answer["blocking"] == f"gate health of shop: {reason}"
    assert answer["rollout"]["gates"]["health"] == {"state": "running", "reason": reason}
    assert answer["colours"]["green"]["servers"][0]["cause"] == "refused"


def test_a_held_rollout_has_no_deadline_and_is_paused() -> None:
    held = member(service(hold=True), blue=runs(OLD), green=runs(NEW))
    of = releasing(held)
    of = replace(of, state=rollout.hold(of.state, held=True, waiting_s=600.0, now=NOW))
    answer = told(of)
    assert (answer["paused"], answer["rollout"]["deadline"]) == (True, None)
    assert answer["blocking"] == "shop has hold: true; remove it to go on"


def test_a_service_at_rest_has_nulls_and_nothing_blocks_it() -> None:
    answer = told(snapshot(member(blue=runs(OLD))))
    assert (answer["phase"], answer["rollout"], answer["blocking"], answer["conditions"]) == ("steady", None, None, [])
    assert answer["colours"]["green"] == {"release": None, "version": None, "state": "empty", "servers": []}
    assert answer["rollback"] == {"ready": False, "to": None, "release": None, "reason": "green has not been active"}
    assert answer["revision"] == 42


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (
            member(service(hold=True), blue=runs(OLD), green=runs(NEW)),
            "release r2 in green waits: shop has hold: true;",
        ),
        (member(active=None, blue=runs(OLD), green=runs(NEW)), "write initial: blue or initial: green"),
        (member(active=None), "no server of either colour was seen yet; start one"),
        (member(active=None, green=Observed(known=False)), "Docker has not listed its containers yet"),
    ],
)
def test_what_blocks_a_service_comes_with_the_way_out(of: Member, words: str) -> None:
    assert words in str(blocking(snapshot(of), of, NOW))


@pytest.mark.parametrize(
    ("wish", "way_out"),
    [(Wish.AUTO, "or write active: green in the file"), (Wish.GREEN, "or change active to blue and back in the file")],
)
def test_a_quarantined_release_is_told_with_what_tries_it_again(wish: Wish, way_out: str) -> None:
    """P9. A file that names the colour already must name the other one first."""
    failed = Quarantine((candidate(),), Outcome.EXPIRED, "r7", EPOCH)
    of = snapshot(member(service(active=wish), blue=runs(OLD), green=runs(NEW)), state=GroupState(None, 7, (failed,)))
    answer = told(of)
    assert answer["blocking"] == (
        f"release r2 in green is quarantined: rollout r7 ended as expired; start a new release in green, {way_out}"
    )
    assert answer["quarantined"] == [
        {"colour": "green", "release": "r2", "outcome": "expired", "rollout": "r7", "since": "2026-01-01T00:00:00.000Z"}
    ]


def switched(green: Observed, **fields: Any) -> Member:
    """Blue was active with r1 before green; `green` stands for what blue's place looks like now."""
    of = member(active=GREEN, blue=green, green=runs(NEW), **fields)
    return replace(of, state=replace(of.state, way_back=WayBack(BLUE, "r1")))


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        (switched(runs(OLD)), None),
        (switched(runs()), "blue has no servers any more"),
        (switched(runs(server(3, "r3"))), "blue runs r3, not r1"),
        (switched(runs(OLD, server(3, "r3"))), "blue runs r1, r3, not r1"),
        (switched(runs(OLD), health={OLD: Health.UNHEALTHY}), "blue is unhealthy"),
        (switched(runs(OLD), health={OLD: Health.UNKNOWN}), "blue is starting"),
    ],
)
def test_the_way_back_is_ready_only_with_exactly_that_release_healthy(of: Member, reason: str | None) -> None:
    """Rule 9."""
    assert way_back(of, snapshot(of)) == {"ready": reason is None, "to": BLUE, "release": "r1", "reason": reason}


def test_the_way_back_is_not_ready_while_docker_is_away_or_the_release_is_quarantined() -> None:
    of = switched(runs(OLD))
    assert way_back(of, snapshot(of, docker_connected=False))["reason"] == (
        "Docker does not answer, so what runs is not known"
    )
    failed = GroupState(quarantined=(Quarantine((candidate("r1", BLUE),), Outcome.EXPIRED, "r1", EPOCH),))
    assert way_back(of, snapshot(of, state=failed))["reason"] == "release r1 is quarantined"
    of = replace(of, state=replace(of.state, way_back=WayBack(BLUE, None)))
    assert way_back(of, snapshot(of))["reason"] == "blue ran several releases when it was left"


def codes(of: Member) -> dict[str, str]:
    return {one["code"]: f"{one['severity']}: {one['message']}" for one in told(snapshot(of))["conditions"]}


def test_an_active_colour_that_serves_nobody_well_is_critical() -> None:
    """Rules 3 and 4."""
    assert codes(member()) == {
        "no-servers": "critical: blue is active and has no servers: requests are answered with 503; "
        "start one, or write active: green"
    }
    assert codes(member(blue=runs(OLD, NEW), health={OLD: Health.UNHEALTHY, NEW: Health.UNHEALTHY})) == {
        "none-healthy": "critical: blue is active and none of its 2 servers is healthy; all are served: refused"
    }
    assert codes(member(blue=runs(OLD, NEW), health={OLD: Health.UNHEALTHY, NEW: Health.UNKNOWN})) == {}
    assert codes(member(blue=Observed(known=False))) == {}, "unknown is not none"


def test_a_release_that_came_without_a_rollout_is_warned_of_and_dated() -> None:
    """Rule 3."""
    of = member(blue=runs(OLD))
    of = replace(of, state=replace(of.state, replaced=Replaced("r1", "r0", EPOCH)))
    assert told(snapshot(of))["conditions"] == [
        {
            "code": "replaced",
            "severity": "warning",
            "message": "blue was replaced in place: it runs r1 instead of r0",
            "since": "2026-01-01T00:00:00.000Z",
        }
    ]


def test_what_holds_for_the_whole_daemon_stands_with_each_service() -> None:
    away = Condition("docker-away", Severity.WARNING, "Docker does not answer", EPOCH)
    assert told(snapshot(member(blue=runs(OLD))), away)["conditions"] == [condition_status(away)]


def test_a_member_that_moves_nothing_is_steady_while_its_group_moves() -> None:
    """Rule 11."""
    pay = member(service("pay", group="storefront"), blue=runs(server(5)))
    shop = member(service(group="storefront"), blue=runs(OLD), green=runs(NEW))
    begun = rollout.begin(GroupState(), (candidate(),), ("pay", "shop"), Trigger.DOCKER, 600.0, at(1000.0))
    of = snapshot(pay, shop, state=begun)
    assert [phase_of(of, one) for one in of.members] == [Phase.STEADY, Phase.WAITING]
    assert [desired_colour(of, one) for one in of.members] == [BLUE, GREEN]
    assert told(of)["rollout"] is None


def test_the_desired_colour_is_the_one_the_file_names() -> None:
    of = member(service(active=Wish.GREEN), blue=runs(OLD))
    assert desired_colour(snapshot(of), of) is GREEN
    nobody = member(active=None)
    assert desired_colour(snapshot(nobody), nobody) is None


def test_versions_of_a_mixed_colour_are_all_named_and_times_are_utc() -> None:
    east = timezone(timedelta(hours=2))
    of = member(blue=runs(OLD, NEW))
    of = replace(of, state=replace(of.state, switched_utc=datetime(2026, 1, 1, 2, 0, 0, 1234, tzinfo=east)))
    answer = told(snapshot(of))
    assert (answer["colours"]["blue"]["state"], answer["colours"]["blue"]["release"]) == ("mixed", None)
    assert answer["colours"]["blue"]["version"] == "1.4.1, 1.4.2"
    assert answer["switched"] == "2026-01-01T00:00:00.001Z"
    assert datetime.fromisoformat(answer["switched"]).tzinfo == UTC


def test_a_server_asked_to_stop_is_shown_leaving() -> None:
    leaving = replace(OLD, leaving_mono_s=1000.0)
    answer = told(snapshot(member(blue=runs(leaving), published=(leaving,))))
    assert [(one["leaving"], one["published"]) for one in answer["colours"]["blue"]["servers"]] == [(True, True)]
