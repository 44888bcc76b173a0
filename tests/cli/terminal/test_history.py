"""The history as people see it."""

import io

import pytest
from rich.console import Console

from provider.cli.terminal import history
from tests.support.answers import DECIDED


def test_in_a_pipe_a_decision_is_one_line_with_its_detail(capsys: pytest.CaptureFixture[str]) -> None:
    history.show(DECIDED)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert lines == [
        "TIME SERVICE EVENT COLOUR RELEASE ROLLOUT OUTCOME ACTOR DETAIL",
        "2026-01-01 23:59:58Z shop begun green 77b0e1d2 r17",
        "2026-01-02 00:00:03Z shop gates-failed green 77b0e1d2 r17 aborted home failed",
    ]
    history.show(DECIDED, verbose=True)
    assert capsys.readouterr().out.endswith("    home http://a: 500\n")


def test_on_a_terminal_a_day_is_named_once_and_what_has_no_information_is_left_out() -> None:
    screen = io.StringIO()
    Console(file=screen, width=80).print(history.draw([DECIDED[0], *DECIDED], is_terminal=True))
    lines = [" ".join(line.split()) for line in screen.getvalue().splitlines()]
    assert lines == [
        "TIME EVENT COLOUR RELEASE ROLLOUT OUTCOME",
        "2026-01-01 UTC",
        "23:59:58Z begun green 77b0e1d2 r17",
        *("2026-01-02 UTC", "00:00:03Z gates-failed green 77b0e1d2 r17 aborted", "home failed"),
        *("00:00:03Z gates-failed green 77b0e1d2 r17 aborted", "home failed"),
    ]
