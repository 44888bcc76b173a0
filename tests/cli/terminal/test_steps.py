"""What a terminal draws of a rollout in steps."""

from typing import Any

import pytest
from rich.console import Console

from provider.cli.terminal import live_detail, live_overview, steps
from provider.cli.terminal.layout import Size
from provider.cli.terminal.status import draw
from provider.cli.terminal.symbols import DRAWN, PLAIN, Signs
from provider.cli.terminal.view import LiveStatus, View
from tests.support.answers import POLLERS
from tests.support.drawn import NOW, in_step, rolling


def step(**more: Any) -> Any:
    return in_step(**more)["rollout"]["step"]


def detail(service: Any, width: int = 80, height: int = 24, signs: Signs = DRAWN) -> list[str]:
    lines = live_detail.draw(View(LiveStatus(service, [], NOW, is_live=True), Size(width, height), NOW, signs))
    assert len(lines) <= height
    assert all(line.cell_len <= width for line in lines)
    return [line.plain for line in lines]


def printed(answer: Any) -> str:
    console = Console(width=200, markup=False, highlight=False)
    with console.capture() as captured:
        console.print(draw(answer))
    return captured.get()


def test_a_screen_of_80_columns_has_the_steps_their_time_and_the_evidence() -> None:
    lines = detail(in_step())
    assert "  step 2 of 3: ✓ 5% > [25%] > 50% > 100%" in lines
    assert "  ██········ 4m 0s left, until 2026-01-02 00:04:10 UTC" in lines
    assert "      ███████··· 137 of 200 requests" in lines
    assert "      █········· errors over-active: 1.4 of 300; bad: blue 1/2603, green 3/137" in lines
    assert "      ██████████ slow max: 10^9 of 300; bad: blue 1/2603, green 3/137" in lines
    assert "      ███······· queue: 12, 1 of 3 failed" in lines


def test_a_narrow_screen_keeps_the_meters_and_drops_the_counts() -> None:
    assert "      █········· errors over-active: 1.4 of 300" in detail(in_step(), width=50)


def test_a_terminal_without_such_signs_draws_the_same_in_ascii() -> None:
    lines = detail(in_step(), signs=PLAIN)
    assert "  step 2 of 3: + 5% > [25%] > 50% > 100%" in lines
    assert all(line.isascii() for line in lines if "step" in line)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"promoted": "ann"}, "██████████ its time was ended by ann"),
        ({"until": None}, "·········· its time does not run"),
        ({"until": "2026-01-02T00:00:00.000Z"}, "██████████ its time is over"),
    ],
)
def test_a_clock_that_does_not_run_says_why(more: Any, words: str) -> None:
    assert f"  {words}" in detail(in_step(**more))
    assert steps.left(in_step(**more), NOW) == ("" if "until" in more else "4m 0s")


def test_of_many_steps_those_to_come_are_drawn_as_far_as_they_fit() -> None:
    many = step(number=12, of=40, weight=24, weights=list(range(2, 82, 2)))
    drawn = steps.way(many, DRAWN, 40)
    assert drawn.cell_len <= 40
    assert "> [24%] > 26% >" in drawn.plain
    assert (drawn.plain[0], drawn.plain[-1]) == ("…", "…")
    assert steps.way(many, DRAWN, 5).plain == "… > [24%] > …", "the present one is never left out"


def test_the_overview_names_the_step_and_its_time_in_place_of_the_deadline() -> None:
    answer: Any = {"services": [in_step()], "conditions": [], "pollers": POLLERS, "environment": "", "revision": 1}
    lines = live_overview.draw(View(LiveStatus(answer, [], NOW), Size(80, 24), NOW, DRAWN))
    text = "\n".join(line.plain for line in lines)
    assert "blue 75%  shifting 2/3 4m 0s" in text
    assert "step 2 of 3: ✓ 5% > [25%] > 50% > 100%" in text
    assert "shop: step 2 of 3: " in printed(answer)


def test_a_status_that_is_printed_once_has_the_same() -> None:
    text = printed(in_step())
    assert "step       2 of 3: " in text
    assert "[25%] > 50% > 100%" in text
    assert "137 of 200 requests" in text
    assert "does not run while the rollout is held" not in text


def test_a_rollout_without_steps_and_a_daemon_of_an_earlier_version_draw_none() -> None:
    for service in (rolling(), {**rolling(), "rollout": {**rolling()["rollout"], "step": None}}):
        assert not any("step" in line for line in detail(service))
    assert any("step 2 of 3" in line for line in detail(in_step(analysis={"state": "pending"})))
