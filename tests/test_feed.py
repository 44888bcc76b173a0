"""What those who listen are told, and how often."""

import asyncio

import pytest

from provider.feed import NAMED_MOST, Changed, Feed


async def test_what_changes_again_and_again_is_told_once_in_a_while() -> None:
    feed = Feed()
    with feed.listening() as listener:
        for _ in range(50):
            feed.change(lambda: ["shop"])
            feed.change(lambda: ["cart", "shop"])
        assert await listener.next_within(60) == Changed(("cart", "shop"))
        feed.change(lambda: ["pay"])
        assert await listener.next_within(60) == Changed(("pay",))


async def test_so_many_changes_that_naming_them_is_no_use_are_told_as_all() -> None:
    feed = Feed()
    with feed.listening() as listener:
        feed.change(lambda: (f"s{number}" for number in range(NAMED_MOST + 1)))
        assert await listener.next_within(60) == Changed(None)


async def test_where_nobody_listens_nobody_works_out_what_changed() -> None:
    feed = Feed()
    feed.change(lambda: pytest.fail("nobody wants to know"))
    with feed.listening():
        pass
    feed.change(lambda: pytest.fail("nobody wants to know any more"))


async def test_the_end_is_told_although_changes_are_gathered() -> None:
    feed = Feed()
    with feed.listening() as listener:
        feed.change(lambda: ["shop"])
        feed.close()
        assert await listener.next_within(60) is None
        assert listener.is_over
        await asyncio.sleep(0)
