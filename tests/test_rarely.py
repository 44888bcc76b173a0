"""Of many lines alike one is written now and then."""

from provider.rarely import Rarely


def test_the_first_line_is_written_and_those_that_follow_are_counted() -> None:
    rarely = Rarely(every_s=3600.0)
    assert [rarely.left_out() for _ in range(4)] == [0, None, None, None]


def test_the_next_line_says_how_many_were_left_out() -> None:
    rarely = Rarely(every_s=3600.0)
    for _ in range(3):
        rarely.left_out()
    rarely._next_s = 0.0
    assert [rarely.left_out(), rarely.left_out()] == [2, None]
