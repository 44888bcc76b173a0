"""What is shown while one service is followed."""

import io

import pytest
from rich.console import Console
from rich.text import Text

from provider.cli.terminal import progress as module
from provider.cli.terminal.progress import Progress
from tests.support.answers import ROLLOUT, changed
from tests.support.drawn import in_step


def test_progress_in_a_pipe_is_one_line_a_change_and_numbers_that_run_are_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Progress() as progress:
        for blocking in ("1 of 2 servers healthy", "2 of 2 servers healthy", "1 of 2 servers healthy", "it is held"):
            progress.show(changed(blocking=blocking, phase="testing"))
        for left in (119, 118):
            progress.show(changed(blocking=f"watched for {left} s more", phase="watching", rollout=ROLLOUT))
    first, second, third = capsys.readouterr().out.splitlines()
    assert (first, second) == ("shop: 1 of 2 servers healthy", "shop: it is held")
    assert third.startswith("shop: watching until ")
    with Progress(quiet=True) as silent:
        silent.show(changed())
        silent.log("x")
    assert capsys.readouterr().out == ""


def test_progress_on_a_terminal_is_a_live_display_below_the_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = io.StringIO()
    monkeypatch.setattr(module, "console", lambda: Console(file=screen, force_terminal=True, width=100))
    with Progress() as progress:
        progress.log("first")
        progress.show(changed(phase="approval", rollout=ROLLOUT))
        progress.log("second")
    drawn = screen.getvalue()
    assert drawn.index("first") < drawn.index("approval pending"[:8]) < drawn.rindex("second")
    assert "r17 brings 77b0e1d2 to green" in drawn


def test_on_a_terminal_the_steps_are_part_of_the_live_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """Below a live display standard output has no encoding."""
    screen = io.StringIO()
    monkeypatch.setattr(module, "console", lambda: Console(file=screen, force_terminal=True, width=100))
    with Progress() as progress:
        for _ in range(2):
            progress.show(in_step())
    assert "50% > 100%" in Text.from_ansi(screen.getvalue()).plain


def test_in_a_pipe_what_blocks_is_said_once_in_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        for number in (1, 1, 2):
            progress.show(in_step(number=number) | {"blocking": f"step {number} lasts until 00:04:10 UTC"})
    lines = capsys.readouterr().out.splitlines()
    assert lines == [f"shop: step {number} lasts until 00:04:10 UTC" for number in (1, 2)]
