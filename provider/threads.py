"""Blocking calls beside the event loop.

Each has a daemon thread of its own, because the threads of an executor are joined when the interpreter exits: an engine
or a disk that hangs would hold that up.
"""

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


async def in_thread(call: Callable[[], T], *, name: str) -> T:
    """Return what a blocking call returns; cancelled, it leaves the call to itself. The thread is named `name`."""
    future: concurrent.futures.Future[T] = concurrent.futures.Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001  raised again where the answer is awaited
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return await asyncio.wrap_future(future)
