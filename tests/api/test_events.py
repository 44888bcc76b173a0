"""What those who listen are told, and how often."""

import asyncio

import pytest

from provider.api.events import NAMED_MOST, Changed, Events


async def test_what_changes_again_and_again_is_reported_once_in_a_while() -> None:
    events = Events()
    with events.listening() as listener:
        for _ in range(50):
            events.change(lambda: ["shop"])
            events.change(lambda: ["cart", "shop"])
        assert await listener.next_within(60) == Changed(("cart", "shop"))
        events.change(lambda: ["pay"])
        assert await listener.next_within(60) == Changed(("pay",))


async def test_so_many_changes_that_naming_them_is_no_use_are_reported_as_all() -> None:
    events = Events()
    with events.listening() as listener:
        events.change(lambda: (f"s{number}" for number in range(NAMED_MOST + 1)))
        assert await listener.next_within(60) == Changed(None)


async def test_where_nobody_listens_nobody_works_out_what_changed() -> None:
    events = Events()
    events.change(lambda: pytest.fail("nobody wants to know"))
    with events.listening():
        pass
    events.change(lambda: pytest.fail("nobody wants to know any more"))


async def test_the_end_is_reported_although_changes_are_gathered() -> None:
    events = Events()
    with events.listening() as listener:
        events.change(lambda: ["shop"])
        events.close()
        assert await listener.next_within(60) is None
        assert listener.is_over
        await asyncio.sleep(0)
