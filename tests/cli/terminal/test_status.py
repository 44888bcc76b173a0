"""The status as people see it."""

import io
from typing import Any

import pytest
from rich.console import Console

from provider.cli.terminal import status, words
from tests.support.answers import AWAY, POLLERS, ROLLOUT, SHOP, changed


def shown(answer: Any, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """Show an answer to a pipe; return its lines without the blanks that align them."""
    status.show(answer)
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
            f"polled by {poller['poller']} {words.age(poller['last_poll'])} ago, revision {text}"
            for poller, text in zip(POLLERS, ("7", "6, not the current one"), strict=True)
        ),
    ]


def test_one_service_is_reported_with_its_servers_and_addresses_are_no_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = shown(changed(conditions=[AWAY]), capsys)
    assert lines[2] == "COLOUR SERVER HEALTH SINCE CONTAINER RELEASE"
    assert lines[3].startswith("blue http://[fd00::1]:8081 healthy ")
    assert lines[4:] == [
        "service https://shop.example.com/",
        "confirmed yes",
        "rollback none: green has not been active",
        "warning: Docker does not answer [errno 2] :smile:",
        "gate health of shop: green has no servers",
    ]


def test_what_blocks_a_service_is_not_shown_twice(capsys: pytest.CaptureFixture[str]) -> None:
    words = "undecided: both colours have servers"
    undecided = {"code": "undecided", "severity": "warning", "message": words, "since": None}
    lines = shown(changed(blocking=words, conditions=[undecided]), capsys)
    assert lines[7:] == [f"warning: {words}"]


def test_of_many_services_the_first_few_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    many = [changed(service=f"shop-{number}", confirmed=False) for number in range(500)]
    lines = shown({"services": many, "conditions": [], "pollers": []}, capsys)
    (text,) = [line for line in lines if line.startswith("not confirmed by Traefik yet")]
    assert text.endswith("shop-8, shop-9 and 490 more")


def test_nothing_is_cut_off_or_wrapped_in_a_pipe(capsys: pytest.CaptureFixture[str]) -> None:
    long = "production.yaml:8:7: services.shop.healthCheck.timout: unknown key; " * 30
    refused = {"code": "desired-state-refused", "severity": "warning", "message": long.strip(), "since": None}
    assert f"warning: {long.strip()}" in shown(changed(conditions=[refused]), capsys)


def test_a_rollout_is_reported_with_its_gates_and_the_time_it_has(capsys: pytest.CaptureFixture[str]) -> None:
    green = {"release": "77b0e1d2", "version": "1.4.2", "state": "healthy", "servers": []}
    one = changed(phase="approval", rollout=ROLLOUT, colours={**SHOP["colours"], "green": green}, confirmed=False)
    lines = shown(one, capsys)
    assert lines[1].startswith("shop blue approval 5h ")
    facts = dict(line.split(" ", 1) for line in lines if line.split(" ", 1)[0] in {"rollout", "gates", "deadline"})
    assert facts["rollout"].startswith("r17 brings 77b0e1d2 (1.4.2) to green, approval; begun ")
    assert facts["rollout"].endswith(" ago by ci")
    assert facts["gates"] == "health passed, smoke skipped, approval pending"
    assert facts["deadline"].startswith("5h ")
    assert "confirmed no: not every Traefik has applied the decision" in lines
    overview = shown({"services": [one], "conditions": [], "pollers": []}, capsys)
    assert "shop: r17 brings 77b0e1d2 (1.4.2) to green: health passed, smoke skipped, approval pending" in overview
    assert overview[-1] == "not confirmed by Traefik yet: shop"
    held = shown({**one, "paused": True, "rollout": {**ROLLOUT, "deadline": None}}, capsys)
    assert "deadline does not run while the rollout is held" in held
    assert "paused rollouts are paused or held" in held
    still = shown({**one, "rollout": {**ROLLOUT, "deadline": None}}, capsys)
    assert "deadline does not run until Docker answers" in still


def test_an_override_is_reported_with_who_and_why(capsys: pytest.CaptureFixture[str]) -> None:
    since = "2026-01-01T00:00:00.000Z"
    override = {"colour": "blue", "reason": "it is bad", "actor": "ann", "since": since, "rejected": "77b0e1d2"}
    lease = {"id": "1", "holder": "ci", "until": since, "warning": "green was rolled back"}
    failed = {"colour": "green", "release": "77b0e1d2", "outcome": "rolled-back", "rollout": "r17", "since": since}
    lines = shown(changed(override=override, lease=lease, quarantined=[failed]), capsys)
    at = "2026-01-01 00:00:00 UTC"
    assert f"override blue, away from release 77b0e1d2 by ann, {at}: it is bad" in lines
    assert f"lease ci is deploying, until {at} at most; green was rolled back" in lines
    assert f"quarantined release 77b0e1d2 in green: rolled-back in r17, {at}" in lines


def test_on_a_narrow_terminal_no_name_or_address_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(status, "console", lambda: console)
    services = [changed(service="shop-production-api", phase="confirming")]
    everything: Any = {"services": services, "conditions": [], "pollers": []}
    status.show(everything)
    status.show(changed())
    drawn = screen.getvalue()
    assert all(len(line) <= 80 for line in drawn.splitlines())
    assert all(word in drawn for word in ("shop-production-api", "confirming", "http://[fd00::1]:8081"))
    assert "…" not in drawn
