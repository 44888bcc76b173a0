"""One service as it is drawn while it is followed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from provider.terminal import detail
from provider.terminal.layout import Size
from provider.terminal.seen import Seen, View
from provider.terminal.signs import DRAWN, PLAIN, signs_of
from tests.answers import AWAY, DECIDED, POLLERS, changed

NOW = datetime(2026, 1, 2, 0, 0, 10, tzinfo=UTC)
LARGE = Size(100, 60)
BLOCKS = "release 77b0e1d2 waits for approval: bluegreen approve shop --release 77b0e1d2"


def server(port: int, health: str = "healthy", cause: str | None = None) -> dict[str, Any]:
    return {
        "url": f"http://127.0.0.1:{port}",
        "health": health,
        "cause": cause,
        "since": "2026-01-02T00:00:00.000Z",
        "container": f"c{port}",
        "release": "77b0e1d2",
        "version": "1.4.2",
        "leaving": False,
        "published": False,
    }


def rolling(**more: Any) -> dict[str, Any]:
    """A service in the middle of a rollout that waits for an approval."""
    service = changed(
        environment="production",
        revision=42,
        phase="approval",
        blocking=BLOCKS,
        pollers=POLLERS,
        rollout={
            "id": "r17",
            "candidate": "green",
            "release": "77b0e1d2",
            "trigger": "docker",
            "actor": None,
            "since": "2026-01-02T00:00:00.000Z",
            "deadline": "2026-01-02T23:59:10.000Z",
            "forced": None,
            "approval": None,
            "gates": {
                "health": {"state": "passed"},
                "smoke": {"state": "passed"},
                "approval": {"state": "pending", "reason": BLOCKS},
            },
            "smoke": [
                {"test": "home", "server": "http://127.0.0.1:1", "passed": True, "cause": None, "duration": 0.0123},
                {"test": "pay", "server": "http://127.0.0.1:1", "passed": True, "cause": None, "duration": 0.001},
            ],
        },
    )
    service["colours"]["green"] = {
        "release": "77b0e1d2",
        "version": "1.4.2",
        "state": "healthy",
        "servers": [server(1), server(2)],
    }
    return {**service, **more}


def drawn(service: dict[str, Any], size: Size = LARGE, **seen: Any) -> list[str]:
    known = Seen(**{"answer": service, "history": DECIDED, "at_utc": NOW, "is_live": True, **seen})
    return [line.plain for line in detail.draw(View(known, size, NOW, DRAWN))]


def test_a_rollout_is_drawn_with_its_gates_their_evidence_and_a_countdown() -> None:
    told = "\n".join(drawn(rolling()))
    for words in (
        "shop  production",
        "revision 42, 00:00:10 UTC  ● live",
        "● blue   active     ██████████ 100%  1.4.1    3f2a91c0  ✓ healthy 1/1",
        "○ green  candidate  ··········   0%  1.4.2    77b0e1d2  ✓ healthy 2/2",
        "r17 brings 77b0e1d2 (1.4.2) to green; begun 10s ago (docker)",
        "✓ waiting > ✓ testing > [approval] > shifting > confirming > watching",
        "approval: 23h 59m left, until 2026-01-02 23:59:10 UTC",
        "✓ health    passed   2/2 servers of green healthy",
        "✓ smoke     passed   2 tests passed: home, pay; the slowest took 12 ms",
        "… approval  pending",
        f"▸ {BLOCKS}",
        "way back    none: green has not been active",
        "2 pollers, 1 behind",
        "! edge-2  polled 1d ago, revision 6, NOT the current one",
        "HISTORY, newest first",
        "00:00:03 ✗ r17: gates failed: home failed, aborted",
        "01-01 23:59:58 ○ r17: brings release 77b0e1d2 to green",
    ):
        assert words in told, told


def test_servers_that_are_not_healthy_stand_first_with_why() -> None:
    service = rolling()
    service["colours"]["green"]["servers"] = [server(1), server(2, "unhealthy", "500, wanted 200-399"), server(3)]
    lines = drawn(service)
    first = next(number for number, line in enumerate(lines) if line.startswith("COLOUR  SERVER")) + 1
    assert lines[first].split()[:4] == ["green", "http://127.0.0.1:2", "✗", "unhealthy"]
    assert lines[first + 1] == "    because: 500, wanted 200-399"
    small = drawn(service, Size(80, 24))
    assert "  and 2 more of 4 servers, all of them healthy" in small


def test_what_stands_against_the_file_is_drawn() -> None:
    since = "2026-01-02T00:00:00.000Z"
    told = "\n".join(
        drawn(
            rolling(
                rollout=None,
                phase="steady",
                confirmed=False,
                paused=True,
                override={"colour": "blue", "reason": "bad", "actor": "ann", "since": since, "rejected": "77b0e1d2"},
                lease={"id": "1", "holder": "ci", "until": since, "warning": None},
                rollback={"ready": True, "to": "green", "release": "77b0e1d2", "reason": None},
                quarantined=[
                    {"colour": "green", "release": "77b0e1d2", "outcome": "expired", "rollout": "r1", "since": since}
                ],
                conditions=[AWAY],
            )
        )
    )
    for words in (
        "steady: no rollout is under way",
        "○ green  way back",
        "override    blue, away from release 77b0e1d2 by ann",
        "paused      forward rollouts are paused or held",
        "confirmed   no: not every Traefik",
        "way back    ready, to release 77b0e1d2 in green: bluegreen rollback shop",
        "quarantine  release 77b0e1d2 in green: expired in r1",
        "lease       ci deploys it",
        "! warning: Docker does not answer",
    ):
        assert words in told, told


def test_a_daemon_that_is_lost_or_late_is_told_with_the_age_of_what_is_shown() -> None:
    ago = NOW - timedelta(seconds=12)
    lost = drawn(rolling(), Size(80, 24), at_utc=ago, trouble="no daemon answers at x: is it running?")
    assert lost[0].endswith("✗ LOST, last answer 12s ago")
    assert lost[1] == "no daemon answers at x: is it running?"
    assert drawn(rolling(), at_utc=ago)[0].endswith("! STALE, last answer 12s ago")
    assert drawn(rolling(), is_live=False)[0].endswith("○ asked every 1 s")


@pytest.mark.parametrize("signs", [DRAWN, PLAIN])
@pytest.mark.parametrize("width", [1, 20, 40, 79, 80, 132])
@pytest.mark.parametrize("height", [1, 2, 5, 12, 24, 50])
def test_it_fits_every_terminal(width: int, height: int, signs: Any) -> None:
    service = rolling(conditions=[AWAY, {**AWAY, "severity": "critical", "message": "long " * 100}])
    service["colours"]["green"]["servers"] = [server(port, "unhealthy", "why " * 90) for port in range(40)]
    seen = Seen(service, DECIDED * 30, NOW, "gone " * 50)
    lines = detail.draw(View(seen, Size(width, height), NOW, signs))
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
    if height >= 12 and width >= 80:
        told = "\n".join(line.plain for line in lines)
        assert "LOST" in told
        assert "approval" in told


def test_a_terminal_that_cannot_show_the_signs_gets_ascii() -> None:
    assert signs_of("utf-8") is DRAWN
    for encoding in ("ascii", "latin-1", "no-such-encoding"):
        assert signs_of(encoding) is PLAIN
    assert "".join(getattr(PLAIN, name) for name in PLAIN.__slots__).isascii()
