"""What an engine is asked; the questions are asked for real in tests/integration/test_containers.py."""

import signal

import pytest

from provider.listing import signal_number


@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("SIGWINCH", signal.SIGWINCH),
        ("winch", signal.SIGWINCH),
        ("28", 28),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        (None, None),
        ("SIGNONSENSE", None),
    ],
)
def test_a_stop_signal_is_understood_as_images_write_it(written: str | None, number: int | None) -> None:
    assert signal_number(written) == number
