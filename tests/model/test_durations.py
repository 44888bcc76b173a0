"""Durations in words."""

import pytest

from provider.model.durations import spoken, written


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(-5, "0s"), (0.4, "0s"), (59, "59s"), (60, "1m 0s"), (119.6, "2m 0s"), (3_599, "59m 59s"), (86_399, "23h 59m")],
)
def test_a_duration_is_spoken_to_the_second_and_one_that_is_over_is_none(seconds: float, words: str) -> None:
    assert spoken(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.05, "50ms"), (0.5, "500ms"), (1, "1s"), (2.5, "2.5s"), (60, "1m0s"), (150, "2m30s")]
)
def test_a_duration_is_written_as_go_does(seconds: float, words: str) -> None:
    assert written(seconds) == words
