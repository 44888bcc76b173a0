"""Of many lines alike one is written now and then."""

from provider.runtime.log_limit import LogLimit


def test_the_first_line_is_written_and_those_that_follow_are_counted() -> None:
    limit = LogLimit(every_s=3600.0)
    assert [limit.skipped() for _ in range(4)] == [0, None, None, None]


def test_the_next_line_says_how_many_were_left_out() -> None:
    limit = LogLimit(every_s=3600.0)
    for _ in range(3):
        limit.skipped()
    limit._next_s = 0.0
    assert [limit.skipped(), limit.skipped()] == [2, None]
