"""The status as people see it."""

import copy
import io
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from rich.console import Console

from provider import tables

SHOP: dict[str, Any] = {
    "service": "shop",
    "active": "blue",
    "phase": "waiting",
    "weights": {"blue": 100, "green": 0},
    "colours": {
        "blue": {
            "release": "3f2a91c0",
            "version": "1.4.1",
            "state": "healthy",
            "servers": [
                {
                    "url": "http://[fd00::1]:8081",
                    "health": "healthy",
                    "cause": None,
                    "since": "2026-01-01T00:00:00.000Z",
                    "container": "9c1f2e",
                    "release": "3f2a91c0",
                }
            ],
        },
        "green": {"release": None, "version": None, "state": "empty", "servers": []},
    },
    "blocking": "gate health of shop: green has no servers",
    "rollback": {"ready": False, "to": None, "release": None, "reason": "green has not been active"},
    "rollout": None,
    "confirmed": True,
    "paused": False,
    "override": None,
    "lease": None,
    "quarantined": [],
    "conditions": [],
}
POLLERS: list[dict[str, Any]] = [
    {"poller": "edge-1", "revision": 7, "current": True, "last_poll": "2026-01-01T00:00:00.000Z"},
    {"poller": "edge-2", "revision": 6, "current": False, "last_poll": "2026-01-01T00:00:00.000Z"},
]
SOON = (datetime.now(UTC) + timedelta(hours=5, minutes=50)).isoformat()
ROLLOUT: dict[str, Any] = {
    "id": "r17",
    "candidate": "green",
    "release": "77b0e1d2",
    "actor": "ci",
    "since": "2026-01-01T00:00:00.000Z",
    "deadline": SOON,
    "gates": {"health": {"state": "passed"}, "smoke": {"state": "skipped"}, "approval": {"state": "pending"}},
    "approval": None,
}
DECIDED: list[dict[str, Any]] = [
    {
        "at": at,
        "service": "shop",
        "event": event,
        "colour": "green",
        "release": "77b0e1d2",
        "rollout": "r17",
        "phase": phase,
        "outcome": outcome,
        "trigger": "docker",
        "actor": None,
        "detail": detail,
        "evidence": evidence,
    }
    for at, event, phase, outcome, detail, evidence in (
        ("2026-01-02T00:00:03.000Z", "gates-failed", "steady", "aborted", "home failed", ["home http://a: 500"]),
        ("2026-01-01T23:59:58.000Z", "begun", "waiting", None, None, []),
    )
]

AWAY = {
    "code": "docker-away",
    "severity": "warning",
    "message": "Docker does not answer [errno 2] :smile:",
    "since": None,
}


def changed(**fields: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SHOP), **fields}


def shown(answer: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Show an answer to a pipe; return its lines without the blanks that align them."""
    tables.show(answer)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def test_all_services_are_a_line_each_with_what_to_know_below(capsys: pytest.CaptureFixture[str]) -> None:
    undecided = changed(service="pay", active=None, phase="steady", weights={"blue": 0, "green": 0}, blocking=None)
    back = changed(rollback={"ready": True, "to": "green"}, conditions=[AWAY])
    lines = shown({"services": [back, undecided], "conditions": [AWAY], "pollers": POLLERS}, capsys)
    assert lines == [
        "SERVICE ACTIVE PHASE BLUE GREEN ROLLBACK",
        "shop blue waiting 100% healthy 1.4.1 1/1 0% empty ready: green",
        "pay undecided steady 0% healthy 1.4.1 1/1 0% empty -",
        "warning: Docker does not answer [errno 2] :smile:",
        "shop: gate health of shop: green has no servers",
        *(
            f"polled by {poller['poller']}, {tables._age(poller['last_poll'])} ago, which has revision {told}"
            for poller, told in zip(POLLERS, ("7", "6 and not the last one"), strict=True)
        ),
    ]


def test_one_service_is_told_with_its_servers_and_addresses_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(changed(conditions=[AWAY]), capsys)
    assert lines[2] == "COLOUR SERVER HEALTH SINCE CONTAINER RELEASE"
    assert lines[3].startswith("blue http://[fd00::1]:8081 healthy ")
    assert lines[4:] == [
        "confirmed yes",
        "way back none: green has not been active",
        "warning: Docker does not answer [errno 2] :smile:",
        "gate health of shop: green has no servers",
    ]


def test_what_blocks_a_service_is_not_told_twice(capsys: pytest.CaptureFixture[str]) -> None:
    words = "undecided: both colours have servers"
    undecided = {"code": "undecided", "severity": "warning", "message": words, "since": None}
    lines = shown(changed(blocking=words, conditions=[undecided]), capsys)
    assert lines[6:] == [f"warning: {words}"]


def test_nothing_is_cut_off_or_wrapped_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    long = "production.yaml:8:7: services.shop.healthCheck.timout: unknown key; " * 30
    refused = {"code": "desired-state-refused", "severity": "warning", "message": long.strip(), "since": None}
    assert f"warning: {long.strip()}" in shown(changed(conditions=[refused]), capsys)


@pytest.mark.parametrize(
    ("ago", "told"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=59.5), "59s"),
        (timedelta(minutes=59.5), "59m"),
        (timedelta(hours=23.5), "23h"),
        (timedelta(days=400), "400d"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_that_fits(ago: timedelta, told: str) -> None:
    assert tables._age((datetime.now(UTC) - ago).isoformat()) == told


def test_watching_ends_with_an_interrupt_and_draws_what_is_answered_then() -> None:
    answers = iter([changed(), changed(phase="shifting")])

    def ask() -> dict[str, Any]:
        try:
            return next(answers)
        except StopIteration:
            raise KeyboardInterrupt from None

    screen = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "REDRAW_S", 0)
        patch.setattr(tables, "_console", lambda: Console(file=screen, force_terminal=True, width=100))
        tables.watch(ask)
    assert "shifting" in screen.getvalue()


def test_a_rollout_is_told_with_its_gates_and_the_time_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    green = {"release": "77b0e1d2", "version": "1.4.2", "state": "healthy", "servers": []}
    one = changed(phase="approval", rollout=ROLLOUT, colours={**SHOP["colours"], "green": green}, confirmed=False)
    lines = shown(one, capsys)
    assert lines[1].startswith("shop blue approval 5h ")
    facts = dict(line.split(" ", 1) for line in lines if line.split(" ", 1)[0] in {"rollout", "gates", "deadline"})
    assert facts["rollout"].startswith("r17 brings 77b0e1d2 (1.4.2) to green, approval; begun ")
    assert facts["rollout"].endswith(" ago by ci")
    assert facts["gates"] == "health passed, smoke skipped, approval pending"
    assert facts["deadline"].startswith("5h ")
    assert "confirmed no: not every Traefik was seen to have applied what was decided" in lines
    overview = shown({"services": [one], "conditions": [], "pollers": []}, capsys)
    assert "shop: r17 brings 77b0e1d2 (1.4.2) to green: health passed, smoke skipped, approval pending" in overview
    assert overview[-1] == "not confirmed by Traefik yet: shop"
    held = shown({**one, "paused": True, "rollout": {**ROLLOUT, "deadline": None}}, capsys)
    assert "deadline stands still while the rollout is held" in held
    assert "paused forward rollouts are paused or held" in held


def test_what_stands_against_the_file_is_told_with_who_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    since = "2026-01-01T00:00:00.000Z"
    override = {"colour": "blue", "reason": "it is bad", "actor": "ann", "since": since, "rejected": "77b0e1d2"}
    lease = {"id": "1", "holder": "ci", "until": since, "warning": "green was rolled back"}
    failed = {"colour": "green", "release": "77b0e1d2", "outcome": "rolled-back", "rollout": "r17", "since": since}
    lines = shown(changed(override=override, lease=lease, quarantined=[failed]), capsys)
    at = "2026-01-01 00:00:00 UTC"
    assert f"override blue, away from release 77b0e1d2 by ann, {at}: it is bad" in lines
    assert f"lease ci deploys it, until {at} at most; green was rolled back" in lines
    assert f"quarantined release 77b0e1d2 in green: rolled-back in r17, {at}" in lines


def test_on_a_narrow_terminal_no_name_or_address_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(tables, "_console", lambda: console)
    tables.show(
        {"services": [changed(service="shop-production-api", phase="confirming")], "conditions": [], "pollers": []}
    )
    tables.show(changed())
    drawn = screen.getvalue()
    assert all(len(line) <= 80 for line in drawn.splitlines())
    assert all(word in drawn for word in ("shop-production-api", "confirming", "http://[fd00::1]:8081"))
    assert "…" not in drawn


def test_in_a_pipe_a_decision_is_one_line_with_its_detail(capsys: pytest.CaptureFixture[str]) -> None:
    tables.show_history({"history": DECIDED})
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "TIME SERVICE EVENT COLOUR RELEASE ROLLOUT OUTCOME ACTOR DETAIL",
        "2026-01-01 23:59:58 shop begun green 77b0e1d2 r17",
        "2026-01-02 00:00:03 shop gates-failed green 77b0e1d2 r17 aborted home failed",
    ]
    tables.show_history({"history": DECIDED}, verbose=True)
    assert capsys.readouterr().out.endswith("    home http://a: 500\n")


def test_on_a_terminal_a_day_is_named_once_and_what_tells_nothing_is_left_out() -> None:
    screen = io.StringIO()
    Console(file=screen, width=80).print(tables.draw_history([DECIDED[0], *DECIDED], is_terminal=True))
    lines = [" ".join(line.split()) for line in screen.getvalue().splitlines()]
    assert lines == [
        "TIME EVENT COLOUR RELEASE ROLLOUT OUTCOME",
        "2026-01-01 UTC",
        "23:59:58 begun green 77b0e1d2 r17",
        *("2026-01-02 UTC", "00:00:03 gates-failed green 77b0e1d2 r17 aborted", "home failed"),
        *("00:00:03 gates-failed green 77b0e1d2 r17 aborted", "home failed"),
    ]


def test_progress_in_a_pipe_is_one_line_a_change_and_numbers_that_run_are_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with tables.Progress() as progress:
        for blocking in ("1 of 2 servers healthy", "2 of 2 servers healthy", "1 of 2 servers healthy", "it is held"):
            progress.show(changed(blocking=blocking, phase="testing"))
        for left in (119, 118):
            progress.show(changed(blocking=f"watched for {left} s more", phase="watching", rollout=ROLLOUT))
    first, second, third = capsys.readouterr().out.splitlines()
    assert (first, second) == ("shop: 1 of 2 servers healthy", "shop: it is held")
    assert third.startswith("shop: watching until ")
    with tables.Progress(quiet=True) as silent:
        silent.show(changed())
        silent.tell("x")
    assert capsys.readouterr().out == ""


def test_progress_on_a_terminal_is_a_live_display_below_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(tables, "_console", lambda: Console(file=screen, force_terminal=True, width=100))
    with tables.Progress() as progress:
        progress.tell("first")
        progress.show(changed(phase="approval", rollout=ROLLOUT))
        progress.tell("second")
    drawn = screen.getvalue()
    assert drawn.index("first") < drawn.index("approval pending"[:8]) < drawn.rindex("second")
    assert "r17 brings 77b0e1d2 to green" in drawn


def test_where_a_service_stands_fits_a_line() -> None:
    assert tables.standing(changed()) == "shop: blue is active with release 3f2a91c0 (1.4.1), confirmed, waiting"
    assert tables.standing(changed(active=None)) == "shop: no colour is active yet"
