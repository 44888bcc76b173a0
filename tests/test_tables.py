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
    "conditions": [],
}
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
    lines = shown({"services": [back, undecided], "conditions": [AWAY]}, capsys)
    assert lines == [
        "SERVICE ACTIVE PHASE BLUE GREEN ROLLBACK",
        "shop blue waiting 100% healthy 1.4.1 1/1 0% empty ready: green",
        "pay undecided steady 0% healthy 1.4.1 1/1 0% empty -",
        "warning: Docker does not answer [errno 2] :smile:",
        "shop: gate health of shop: green has no servers",
    ]


def test_one_service_is_told_with_its_servers_and_addresses_are_no_markup(capsys: pytest.CaptureFixture[str]) -> None:
    lines = shown(changed(conditions=[AWAY]), capsys)
    assert lines[2] == "COLOUR SERVER HEALTH SINCE CONTAINER RELEASE CAUSE"
    assert lines[3].startswith("blue http://[fd00::1]:8081 healthy ")
    assert lines[4:] == [
        "warning: Docker does not answer [errno 2] :smile:",
        "gate health of shop: green has no servers",
    ]


def test_what_blocks_a_service_is_not_told_twice(capsys: pytest.CaptureFixture[str]) -> None:
    words = "undecided: both colours have servers"
    undecided = {"code": "undecided", "severity": "warning", "message": words, "since": None}
    lines = shown(changed(blocking=words, conditions=[undecided]), capsys)
    assert lines[4:] == [f"warning: {words}"]


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
