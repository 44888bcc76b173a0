"""Stories of one etcd and one replica, on a virtual clock over the model of etcd."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from math import inf
from typing import Any, TypeVar

from provider.store import Stored
from provider.store.etcd.store import EtcdStore
from tests.support.etcd_network import Network
from tests.support.virtual_loop import run


class EtcdWorld:
    """One etcd and the way to it."""

    def __init__(self) -> None:
        self.network = Network(random.Random(1))


W = TypeVar("W", bound=EtcdWorld)


def tell(make: Callable[[], W], main: Callable[[W], Coroutine[Any, Any, None]]) -> None:
    """Run a story in a world of its own, to its end."""

    async def play() -> None:
        world = make()
        etcd = asyncio.ensure_future(world.network.run())
        try:
            await main(world)
        finally:
            etcd.cancel()

    run(play())


@asynccontextmanager
async def opened(store: EtcdStore, *, with_loops: bool = True) -> AsyncIterator[Stored]:
    """Wait until this store leads, and run its loops until the block is left."""
    stored = await store.open(wait_s=inf)
    loops = [asyncio.ensure_future(loop()) for loop in store.loops().values()] if with_loops else []
    try:
        yield stored
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)
        await store.close()
