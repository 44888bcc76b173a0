"""The desired state that a takeover finds ready."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from provider.controller.lasting import Lasting
from provider.controller.prepared import Prepared
from provider.controller.replica import Replica
from provider.model.errors import DesiredStateError
from tests.support.running import running, shop
from tests.support.waiting import eventually

NAME = "desired.yaml"


@asynccontextmanager
async def preparing(replica: Replica) -> AsyncIterator[Prepared]:
    prepared = Prepared(replica)
    task = asyncio.create_task(prepared.run())
    try:
        yield prepared
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def is_ready(prepared: Prepared, text: str) -> bool:
    """Return whether a text is validated once, and not each time that it is asked for."""
    return await prepared.load(text, NAME) is await prepared.load(text, NAME)


async def is_validated_anew(prepared: Prepared, text: str) -> bool:
    return not await is_ready(prepared, text)


async def test_a_follower_has_what_is_stored_validated_before_it_is_asked_for() -> None:
    """Rules 50, 62: a takeover of 10,000 services does not wait for that."""
    async with preparing(Replica(Lasting())) as prepared:
        prepared.put(shop())
        await eventually(lambda: is_ready(prepared, shop()))
        assert await is_validated_anew(prepared, shop(green="8082"))
        prepared.put(shop(green="8082"))
        await eventually(lambda: is_ready(prepared, shop(green="8082")))
        assert await is_validated_anew(prepared, shop())
        prepared.put(None)
        await eventually(lambda: is_validated_anew(prepared, shop(green="8082")))


async def test_a_stored_text_that_is_refused_is_reported_to_who_asks_for_it() -> None:
    """P11: with the name that the asker gives it."""
    async with preparing(Replica(Lasting())) as prepared:
        prepared.put("environment: production\n")
        with pytest.raises(DesiredStateError, match=rf"^{NAME}:1:1: services: "):
            await prepared.load("environment: production\n", NAME)


async def test_what_is_applied_while_this_replica_leads_is_prepared_when_its_term_is_over(tmp_path: Path) -> None:
    """Rule 62: the term has validated it."""
    async with running(tmp_path) as daemon:
        replica = Replica(Lasting(), daemon.controller)
        async with preparing(replica) as prepared:
            prepared.put(shop())
            assert await is_validated_anew(prepared, shop())
            replica.step_down()
            await eventually(lambda: is_ready(prepared, shop()))
