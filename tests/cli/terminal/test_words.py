"""What an answer of the admin API says."""

from datetime import UTC, datetime, timedelta

import pytest

from provider.cli.terminal import words
from tests.support.answers import changed


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=59.5), "59s"),
        (timedelta(minutes=59.5), "59m"),
        (timedelta(hours=23.5), "23h"),
        (timedelta(days=400), "400d"),
    ],
)
def test_an_age_is_reported_in_the_largest_unit_that_fits(ago: timedelta, text: str) -> None:
    assert words.age((datetime.now(UTC) - ago).isoformat()) == text


def test_the_summary_of_a_service_fits_a_line() -> None:
    assert words.summary(changed()) == "shop: blue is active with release 3f2a91c0 (1.4.1), confirmed, waiting"
    assert words.summary(changed(active=None)) == "shop: no colour is active yet"


def test_what_an_application_answered_cannot_command_the_terminal() -> None:
    answer = {"colours": [{"cause": "500: \x1b[2J\x07 gone\nnext", "health": None, "count": 2}]}
    assert words.printable(answer) == {
        "colours": [{"cause": "500: \\x1b[2J\\x07 gone next", "health": None, "count": 2}]
    }
