"""What is done with a store while no daemon uses it: reading all of it, and filling an empty one."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from provider.model.errors import StoreConflict
from provider.store.contents import Contents
from provider.store.interface import RestorableStore, Store
from provider.store.records import Stored

WAIT_S = 5.0
"""Longer than it takes until the lock, or the lease, of a daemon that ended is free."""
EVERYTHING = 1 << 31


@asynccontextmanager
async def held(store: Store) -> AsyncIterator[Stored]:
    """Keep all daemons from a store, and yield what it holds. Raises StoreLocked where one uses it."""
    try:
        stored = await store.open(wait_s=WAIT_S)
        async with asyncio.TaskGroup() as group:
            loops = [group.create_task(_run(store, name), name=name) for name in store.loops()]
            try:
                yield stored
            finally:
                for loop in loops:
                    loop.cancel()
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    finally:
        await store.close()


async def read_all(store: Store) -> Contents:
    """Return everything that a store holds. Raises StoreError."""
    async with held(store) as stored:
        return Contents(stored, await store.history(limit=EVERYTHING))


async def fill(store: RestorableStore, contents: Contents) -> None:
    """Put everything into an empty store. Raises StoreError, StoreConflict where it is not empty."""
    async with held(store):
        await store.restore(contents.stored, contents.history)


async def copy(source: Store, target: RestorableStore) -> Contents:
    """Put everything into an empty store, and return it; nobody decides in either meanwhile.

    Raises StoreError, StoreConflict where there is nothing to copy.
    """
    async with held(source) as stored:
        contents = Contents(stored, await source.history(limit=EVERYTHING))
        if contents.is_empty:
            raise StoreConflict(
                "there is no store to copy, or nothing in it: look whether the first URL is the right one"
            )
        await fill(target, contents)
    return contents


async def _run(store: Store, name: str) -> None:
    await store.loops()[name]()
