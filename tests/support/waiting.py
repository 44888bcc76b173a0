"""Waiting for a condition, with a generous limit: the machines that run the tests are shared and noisy."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")


@overload
async def eventually(look: Callable[[], Awaitable[T]], *, limit_s: float = 120.0) -> T: ...
@overload
async def eventually(look: Callable[[], T], *, limit_s: float = 120.0) -> T: ...
async def eventually(look: Callable[[], Any], *, limit_s: float = 120.0) -> Any:
    """Call `look` until it returns something true; the last AssertionError or value is the failure's text."""
    end = time.monotonic() + limit_s
    last: object = None
    while time.monotonic() < end:
        try:
            value = look()
            last = await value if isinstance(value, Awaitable) else value
        except AssertionError as failure:
            last = failure
        else:
            if last:
                return last
        await asyncio.sleep(0.02)
    raise AssertionError(f"still not after {limit_s:g} s: {last!r}")
