"""One service as it is drawn while it is followed."""

from datetime import timedelta
from typing import Any

import pytest

from provider.cli.terminal import live_detail
from provider.cli.terminal.layout import Size
from provider.cli.terminal.symbols import DRAWN, PLAIN, signs_of
from provider.cli.terminal.view import LiveStatus, View
from tests.support.answers import AWAY, DECIDED
from tests.support.drawn import BLOCKS, NOW, rolling, server

LARGE = Size(100, 60)


def drawn(service: Any, size: Size = LARGE, **seen: Any) -> list[str]:
    known = LiveStatus(**{"answer": service, "history": DECIDED, "at_utc": NOW, "is_live": True, **seen})
    return [line.plain for line in live_detail.draw(View(known, size, NOW, DRAWN))]


def test_a_rollout_is_drawn_with_its_gates_their_evidence_and_a_countdown() -> None:
    text = "\n".join(drawn(rolling()))
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
        "rollback    none: green has not been active",
        "2 pollers, 1 behind",
        "! edge-2  polled 1d ago, revision 6, NOT the current one",
        "HISTORY, newest first",
        "00:00:03 ✗ r17: gates failed: home failed, aborted",
        "01-01 23:59:58 ○ r17: brings release 77b0e1d2 to green",
    ):
        assert words in text, text


def test_servers_that_are_not_healthy_come_first_with_why() -> None:
    service = rolling()
    service["colours"]["green"]["servers"] = [server(1), server(2, "unhealthy", "500, expected 200-399"), server(3)]
    lines = drawn(service)
    first = next(number for number, line in enumerate(lines) if line.startswith("COLOUR  SERVER")) + 1
    assert lines[first].split()[:4] == ["green", "http://127.0.0.1:2", "✗", "unhealthy"]
    assert lines[first + 1] == "    cause: 500, expected 200-399"
    small = drawn(service, Size(80, 24))
    assert "  and 2 more of 4 servers, all of them healthy" in small


def test_an_override_is_drawn() -> None:
    since = "2026-01-02T00:00:00.000Z"
    text = "\n".join(
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
        "○ green  rollback target",
        "override    blue, away from release 77b0e1d2 by ann",
        "paused      rollouts are paused or held",
        "confirmed   no: not every Traefik",
        "rollback    ready: release 77b0e1d2 in green: bluegreen rollback shop",
        "quarantine  release 77b0e1d2 in green: expired in r1",
        "lease       ci is deploying",
        "! warning: Docker does not answer",
    ):
        assert words in text, text


def test_a_daemon_that_is_lost_or_late_is_reported_with_the_age_of_what_is_shown() -> None:
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
    seen = LiveStatus(service, DECIDED * 30, NOW, "gone " * 50)
    lines = live_detail.draw(View(seen, Size(width, height), NOW, signs))
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
    if height >= 12 and width >= 80:
        text = "\n".join(line.plain for line in lines)
        assert "LOST" in text
        assert "approval" in text


def test_a_terminal_that_cannot_show_the_signs_gets_ascii() -> None:
    assert signs_of("utf-8") is DRAWN
    for encoding in ("ascii", "latin-1", "no-such-encoding"):
        assert signs_of(encoding) is PLAIN
    assert "".join(getattr(PLAIN, name) for name in PLAIN.__slots__).isascii()
