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
        (15, signal.SIGTERM),
        ("SIGRTMIN+3", signal.SIGRTMIN + 3),
        ("rtmax-2", signal.SIGRTMAX - 2),
        (None, None),
        ("", None),
        ("SIGNONSENSE", None),
        ("TERM+", None),
        ("²", None),
        ("9" * 5000, None),
        ([], None),
    ],
)
def test_a_signal_is_understood_as_images_and_engines_write_it(written: object, number: int | None) -> None:
    """Whatever an engine says: a number that cannot be read must not end the reading of its events."""
    assert signal_number(written) == number
