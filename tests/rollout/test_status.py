"""What operators and pipelines are told of one service."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import orjson
import pytest

from provider.model import (
    Applied,
    Condition,
    ConditionCode,
    Decision,
    Event,
    GroupState,
    Health,
    Lease,
    Member,
    Observed,
    Outcome,
    Override,
    Pause,
    Phase,
    Quarantine,
    Replaced,
    ServerHealth,
    Severity,
    Smoke,
    SmokeEvidence,
    SmokeResult,
    SmokeTest,
    Snapshot,
    Wish,
)
from provider.rollout import clocks
from provider.rollout.facts import ServiceFacts
from provider.rollout.gates.smoke import smoke_run
from provider.rollout.health import assess
from provider.rollout.status import condition_status, decision_status, service_status
from tests.support.phases import AFTER_SWITCH, LIMITS, begun, facts, group, moved, old, with_state
from tests.support.worlds import BLUE, EPOCH, GREEN, all_on, at, candidate, member, runs, server, service, snapshot

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
    return snapshot(of, state=replace(begun(), **state))


def told(of: Snapshot, *conditions: Condition) -> dict[str, Any]:
    """Return the answer as a client reads it."""
    one = of.members[0]
    health = {
        each.key: ServerHealth(*assess(one, each), EPOCH)
        for _, observed in one.observed.items()
        for each in observed.servers
    }
    found = ServiceFacts(of, one, NOW, health, EPOCH)
    status = service_status(found, environment="production", revision=42, conditions=conditions)
    answer: dict[str, Any] = orjson.loads(orjson.dumps(status, option=orjson.OPT_NON_STR_KEYS))
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


def test_a_rollout_is_reported_with_its_gates_and_its_deadline() -> None:
    answer = told(releasing())
    assert (answer["active"], answer["phase"], answer["weights"]) == ("blue", "waiting", {"blue": 100, "green": 0})
    assert answer["colours"]["green"] == {
        "release": "r2",
        "version": "1.4.2",
        "state": "healthy",
        "servers": [
            {
                "url": "http://10.0.0.2:80",
                "endpoint": "default",
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
        "gates": {
            "health": {"state": "passed", "reason": "1 server healthy"},
            "smoke": {"state": "skipped"},
            "approval": {"state": "skipped"},
            "analysis": {"state": "skipped"},
        },
        "forced": None,
        "smoke": [],
        "approval": None,
        "step": None,
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
    of = replace(of, state=clocks.hold(of.state, held=True, limits=LIMITS, now=NOW))
    answer = told(of)
    assert (answer["paused"], answer["rollout"]["deadline"]) == (True, None)
    assert answer["blocking"] == "shop has hold: true; remove it to go on"


def test_a_service_at_rest_has_nulls_and_nothing_blocks_it() -> None:
    answer = told(snapshot(member(blue=runs(OLD))))
    assert (answer["phase"], answer["rollout"], answer["blocking"], answer["conditions"]) == ("steady", None, None, [])
    assert answer["colours"]["green"] == {"release": None, "version": None, "state": "empty", "servers": []}
    nowhere = {"ready": False, "to": None, "release": None, "reason": "green has not been active", "command": None}
    assert answer["rollback"] == nowhere
    assert answer["revision"] == 42


@pytest.mark.parametrize(
    ("of", "words"),
    [
        (
            member(service(hold=True), blue=runs(OLD), green=runs(NEW)),
            "release r2 in green waits: shop has hold: true;",
        ),
        (member(active=None, blue=runs(OLD), green=runs(NEW)), "name one: bluegreen switch shop blue|green"),
        (
            with_state(member(active=None, blue=runs(OLD)), undecided=True),
            "both colours were seen running; name one: bluegreen switch shop blue|green",
        ),
        (member(active=None), "no server of either colour was seen yet; start one"),
        (member(active=None, green=Observed(known=False)), "Docker has not listed its containers yet"),
    ],
)
def test_what_blocks_a_service_comes_with_the_way_out(of: Member, words: str) -> None:
    assert words in str(facts(snapshot(of), NOW).blocking)


@pytest.mark.parametrize("wish", [Wish.AUTO, Wish.GREEN])
def test_a_quarantined_release_is_reported_with_what_tries_it_again(wish: Wish) -> None:
    """P9."""
    failed = Quarantine((candidate(),), Outcome.EXPIRED, "r7", EPOCH, "green has no servers")
    of = snapshot(member(service(active=wish), blue=runs(OLD), green=runs(NEW)), state=GroupState(None, 7, (failed,)))
    answer = told(of)
    assert answer["blocking"] == (
        "release r2 in green is quarantined: rollout r7 ended as expired (green has no servers); start a new release "
        "in green, or try it again: bluegreen retry shop"
    )
    assert answer["quarantined"] == [
        {
            "colour": "green",
            "release": "r2",
            "outcome": "expired",
            "rollout": "r7",
            "reason": "green has no servers",
            "since": "2026-01-01T00:00:00.000Z",
        }
    ]


@pytest.mark.parametrize(
    ("of", "reason", "command"),
    [
        (moved(), None, "bluegreen rollback shop"),
        (moved(blue=runs()), "blue has no servers any more", None),
        (moved(blue=runs(server(3, "r3"))), "blue runs r3, not r1", "bluegreen switch shop blue"),
        (
            moved(health={OLD: Health.UNHEALTHY}),
            "blue is unhealthy: http://10.0.0.1:80 is unhealthy (refused)",
            "bluegreen rollback shop --force --reason WHY",
        ),
    ],
)
def test_the_rollback_target_is_reported_with_the_reason_why_it_is_not_ready(
    of: Member, reason: str | None, command: str | None
) -> None:
    """Rules 8 and 9; the cases are in test_rollback_target.py."""
    wanted = {"ready": reason is None, "to": BLUE, "release": "r1", "reason": reason, "command": command}
    assert told(snapshot(of))["rollback"] == wanted


def test_a_rollback_target_that_was_quarantined_is_not_ready() -> None:
    """Rule 9."""
    failed = GroupState(quarantined=(Quarantine((candidate("r1", BLUE),), Outcome.EXPIRED, "r1", EPOCH),))
    reason = "release r1 in blue is quarantined: the end of rollout r1 was expired"
    assert facts(snapshot(moved(), state=failed), NOW).rollback_reason == reason


# --- the phases of a rollout ----------------------------------------------------------------------------------------


def test_an_approval_that_is_waited_for_blocks_with_the_command_that_gives_it() -> None:
    """Section 6.3."""
    of = group(Phase.APPROVAL, old(service(approval_is_manual=True)))
    waits = told(of)
    assert waits["phase"] == "approval"
    assert waits["blocking"] == "release r2 waits for approval: bluegreen approve shop --release r2"
    assert waits["rollout"]["gates"]["approval"] == {"state": "pending", "reason": waits["blocking"]}
    assert waits["rollout"]["deadline"] == "2026-01-02T00:16:40.000Z"
    given = told(group(Phase.SHIFTING, *of.members))["rollout"]
    assert given["gates"]["approval"] == {"state": "passed", "reason": "approved by ann"}
    assert given["approval"] == {"actor": "ann", "at": "2026-01-01T00:00:00.000Z"}


RESULT = SmokeResult("home", "http://10.0.0.2:80", False, "500, expected 200", "oops", 0.12345)
TOLD = {
    "test": "home",
    "server": "http://10.0.0.2:80",
    "passed": False,
    "cause": "500, expected 200",
    "excerpt": "oops",
    "duration": 0.1235,
}


def test_the_smoke_tests_are_reported_while_they_run_and_as_they_are_kept() -> None:
    of = group(Phase.TESTING, old(service(smoke_tests=(SmokeTest("home"),))))
    assert told(of)["rollout"]["smoke"] == []
    one = of.members[0]
    run = smoke_run(one, candidate())
    assert run is not None
    live = replace(of, members=(replace(one, smoke=Smoke(run, (RESULT,))),))
    assert told(live)["rollout"]["smoke"] == [TOLD]
    assert of.state.rollout is not None
    evidence = SmokeEvidence("shop", "r2", one.service.smoke_definition, False, (RESULT,))
    kept = replace(of, state=replace(of.state, rollout=replace(of.state.rollout, smoke=(evidence,))))
    assert told(kept)["rollout"]["smoke"] == [TOLD]
    assert told(kept)["rollout"]["gates"]["smoke"]["state"] == "failed"


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_after_the_switch_the_gates_say_what_they_said_at_it(phase: Phase) -> None:
    of = service(approval_is_manual=True, smoke_tests=(SmokeTest("home"),))
    gates = told(group(phase, moved(of, health={NEW: Health.UNHEALTHY})))["rollout"]["gates"]
    passed = {"state": "passed"}
    assert gates == {"health": passed, "smoke": passed, "approval": passed, "analysis": {"state": "skipped"}}


@pytest.mark.parametrize("phase", AFTER_SWITCH)
def test_a_forced_switch_is_reported_with_the_reason(phase: Phase) -> None:
    """P1."""
    answer = told(group(phase, forced="it burns"))["rollout"]
    assert (answer["forced"], answer["actor"]) == ("it burns", "ann")
    assert answer["gates"]["health"] == {"state": "skipped", "reason": "waived by ann: it burns"}


@pytest.mark.parametrize(
    ("of", "confirmed", "blocking"),
    [
        (replace(moved(), fetched=True), True, "not confirmed yet: another service of the group is not"),
        (replace(moved(), fetched=False), False, "not confirmed yet: a poller has not fetched the document yet"),
        (replace(moved(), fetched=None), False, "not confirmed yet: nobody polls the document"),
        (
            replace(moved(), applied=(Applied("http://t:8080", answers=False),)),
            False,
            "not confirmed yet: the API of Traefik at http://t:8080 does not answer",
        ),
    ],
)
def test_a_switch_that_is_not_confirmed_says_what_is_missing(of: Member, confirmed: bool, blocking: str) -> None:
    """Rule 7."""
    answer = told(group(Phase.CONFIRMING, of))
    assert (answer["confirmed"], answer["blocking"]) == (confirmed, blocking)


def test_pollers_that_have_the_document_before_the_switch_do_not_count_as_those_that_have_it() -> None:
    """Rule 7: where the store takes a moment to publish, a command is answered before."""
    for shown in (GREEN, BLUE):
        answer = told(group(Phase.CONFIRMING, replace(moved(), fetched=True, shown=all_on(shown))))
        assert ("every poller has fetched it" in answer["applied"]["detail"]) is (shown is GREEN)


def test_a_watch_says_how_long_it_lasts() -> None:
    """Rule 8."""
    answer = told(group(Phase.WATCHING))
    assert (answer["phase"], answer["blocking"]) == ("watching", "release r2 is watched for 110 s more")
    assert answer["rollout"]["deadline"] == "2026-01-01T00:18:40.000Z"


@pytest.mark.parametrize("phase", AFTER_SWITCH)
@pytest.mark.parametrize(
    ("blue", "kept"),
    [
        (runs(OLD), "the rollback target has yet to pass its checks"),
        (runs(), "it stays, as no rollback is ready: blue has no servers any more"),
    ],
)
def test_a_release_that_fails_its_watch_says_why_it_is_still_there(phase: Phase, blue: Observed, kept: str) -> None:
    """Rule 8."""
    sick = moved(blue=blue, health={NEW: Health.UNHEALTHY})
    assert told(group(phase, sick))["blocking"] == (
        f"green has 0 of at least 1 servers (minServers): http://10.0.0.2:80: refused; {kept}"
    )


def test_what_waits_for_the_end_of_another_rollout_says_so() -> None:
    """Rule 11."""
    pay = old(service("pay"))
    of = group(Phase.WATCHING, moved())
    of = replace(of, members=(pay, *of.members))
    assert (
        facts(of, NOW, pay).blocking
        == "release r2 in green waits for the end of rollout r1, which is in phase watching"
    )


# --- what stands against the file -----------------------------------------------------------------------------------


def test_an_override_is_reported_with_what_ends_it() -> None:
    """Rule 10."""
    kept = with_state(old(), override=Override(BLUE, "r2", "errors at the till", "ann", EPOCH))
    answer = told(snapshot(kept))
    assert answer["override"] == {
        "colour": "blue",
        "reason": "errors at the till",
        "actor": "ann",
        "since": "2026-01-01T00:00:00.000Z",
        "rejected": "r2",
    }
    assert answer["blocking"] == (
        "traffic is kept at blue by ann: errors at the till; this ends with a new release in green, another `active` "
        "in the file, or bluegreen retry shop"
    )
    assert [(one["code"], one["severity"]) for one in answer["conditions"]] == [("override", "info")]


@pytest.mark.parametrize(("seconds", "stands"), [(0.0, True), (-1.0, False)])
def test_a_lease_is_reported_while_it_stands(seconds: float, stands: bool) -> None:
    """Rule 17."""
    until = NOW.utc + timedelta(seconds=seconds + 0.5)
    answer = told(snapshot(with_state(old(), lease=Lease("l1", "ci", until, "green was rolled back by ann: errors"))))
    if stands:  # its id is for who may take one
        assert answer["lease"] == {
            "holder": "ci",
            "until": "2026-01-01T00:16:50.500Z",
            "warning": "green was rolled back by ann: errors",
        }
    else:
        assert answer["lease"] is None


def test_a_paused_service_is_reported_so() -> None:
    """Rule 2."""
    answer = told(snapshot(old(), state=GroupState(paused=Pause("bob", "fair", EPOCH))))
    assert answer["paused"]
    assert answer["blocking"] == ("release r2 in green waits: paused by bob (fair); go on with: bluegreen resume shop")


def test_a_decision_is_reported_with_its_evidence() -> None:
    row = Decision(
        EPOCH, "shop", Event.READY, GREEN, "r2", rollout="r1", phase=Phase.TESTING, evidence=("c2: healthy",)
    )
    assert decision_status(row) == {
        "at": "2026-01-01T00:00:00.000Z",
        "service": "shop",
        "event": "ready",
        "colour": "green",
        "release": "r2",
        "rollout": "r1",
        "phase": "testing",
        "outcome": None,
        "trigger": None,
        "actor": None,
        "detail": None,
        "evidence": ["c2: healthy"],
    }


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
    away = Condition(ConditionCode.DOCKER_AWAY, Severity.WARNING, "Docker does not answer", EPOCH)
    assert told(snapshot(member(blue=runs(OLD))), away)["conditions"] == [condition_status(away)]


def test_a_member_that_moves_nothing_is_steady_while_its_group_moves() -> None:
    """Rule 11."""
    pay = member(service("pay", group="storefront"), blue=runs(server(5)))
    shop = member(service(group="storefront"), blue=runs(OLD), green=runs(NEW))
    of = snapshot(pay, shop, state=begun())
    assert [facts(of, NOW, one).phase for one in of.members] == [Phase.STEADY, Phase.WAITING]
    assert [facts(of, NOW, one).desired for one in of.members] == [BLUE, GREEN]
    assert told(of)["rollout"] is None


def test_the_desired_colour_is_the_one_the_file_names() -> None:
    of = member(service(active=Wish.GREEN), blue=runs(OLD))
    assert facts(snapshot(of), NOW).desired is GREEN
    nobody = member(active=None)
    assert facts(snapshot(nobody), NOW).desired is None


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
