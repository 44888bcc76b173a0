"""What comes in while the owner of the state is in the middle of something else: a reload, a command, the end."""

import asyncio
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pytest
from structlog.testing import capture_logs

from provider import config
from provider.config.diff import edit
from provider.model import Event, Instant, Snapshot, Verb
from provider.model.errors import StoreError, StoreUncertain, StoreUnknown
from provider.rollout import commands
from provider.rollout.commands.types import Command, Done, Refused
from provider.store import Change
from provider.store.sqlite import SqliteStore
from tests.support.running import Running, running, shop, url
from tests.support.waiting import eventually
from tests.support.worlds import BLUE


class Held(SqliteStore):
    """A store that waits with a commit while `gate` is closed; `entered` is set while one waits."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate, self.entered = asyncio.Event(), asyncio.Event()
        self.gate.set()

    async def commit(self, change: Change) -> None:
        self.entered.set()
        await self.gate.wait()
        await super().commit(change)


def held(daemon: Running) -> Held:
    """Close the gate of the daemon's store."""
    assert isinstance(daemon.store, Held)
    daemon.store.gate.clear()
    daemon.store.entered.clear()
    return daemon.store


def pause(service: str) -> Callable[[Snapshot, Instant], Done | Refused]:
    return lambda snapshot, now: commands.command(snapshot, Command(Verb.PAUSE, service, "ann"), now)


async def test_a_service_that_is_renamed_while_a_command_is_committed_is_dark_at_no_moment(tmp_path: Path) -> None:
    """P4: the old name stays in the document until the new one is in it, also where the loop that decides is busy."""
    async with running(tmp_path, store=Held) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        store = held(daemon)
        with daemon.recording():
            command = asyncio.create_task(daemon.controller.command("shop", pause("shop")))
            await store.entered.wait()
            daemon.load(shop().replace("  shop:", "  store:"))
            daemon.controller.queues.put(daemon.controller.state.everything)
            await asyncio.sleep(0)
            store.gate.set()
            await daemon.until_served("store", blue=[url("8081")])
            await eventually(lambda: "shop" not in daemon.content()["http"]["routers"])
            await asyncio.gather(command, return_exceptions=True)
        assert all(orjson.loads(one.document.body)["http"].get("routers") for one in daemon.documents)


async def test_a_command_that_is_on_disk_is_answered_as_done_though_the_daemon_ends(tmp_path: Path) -> None:
    """P5: who reads that it was not done would do it again."""

    class Ending(SqliteStore):
        deciding: asyncio.Task[Any] | None = None

        async def commit(self, change: Change) -> None:
            await super().commit(change)
            if self.deciding is not None:
                asyncio.get_running_loop().call_soon(self.deciding.cancel)

    async with running(tmp_path, store=Ending) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        deciding = next(task for task in asyncio.all_tasks() if "Controller.decide" in str(task.get_coro()))
        assert isinstance(daemon.store, Ending)
        daemon.store.deciding = deciding
        assert isinstance(await daemon.controller.command("shop", pause("shop")), Done)
        await eventually(deciding.cancelled)
        assert [row.event for row in await daemon.store.history(limit=1)] == ["paused"]


async def test_a_command_that_cannot_be_committed_is_answered_as_not_done(tmp_path: Path) -> None:
    """P5, rule 13."""

    class Full(Held):
        async def commit(self, change: Change) -> None:
            if not self.gate.is_set():
                raise StoreError("/state: No space left on device")
            await super().commit(change)

    async with running(tmp_path, store=Full) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        held(daemon)
        with pytest.raises(StoreError, match="nothing was changed"):
            await daemon.controller.command("shop", pause("shop"))
        assert daemon.controller.state.groups.keys() <= {"shop"}
        assert not daemon.controller.state.snapshot("shop").state.paused


async def test_of_a_command_whose_commit_hung_it_is_said_that_its_outcome_is_unknown(tmp_path: Path) -> None:
    """P5: "nothing was changed" is said only where that is known; a kill may leave this one standing."""

    class Hung(Held):
        async def commit(self, change: Change) -> None:
            if not self.gate.is_set():
                raise StoreUncertain("/state: the disk has not answered for 10 s")
            await super().commit(change)

    async with running(tmp_path, store=Hung) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        held(daemon)
        with pytest.raises(StoreUncertain) as told:
            await daemon.controller.command("shop", pause("shop"))
        assert "nothing was changed" not in str(told.value)
        assert "it is unknown whether this was written" in str(told.value)
        assert "bluegreen status shop, bluegreen history shop" in str(told.value)


async def test_of_a_command_that_waits_for_its_store_too_long_it_is_said_that_its_outcome_is_unknown(
    tmp_path: Path,
) -> None:
    """Rule 51: until it is known nothing else is decided, and what is not begun is not done."""

    class Impatient(Held):
        patience_s = 0.1

    async with running(tmp_path, store=Impatient) as daemon:
        daemon.load(shop())
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        store = held(daemon)
        with pytest.raises(StoreUnknown, match="it is unknown whether this is done") as told:
            await daemon.controller.command("shop", pause("shop"))
        assert "bluegreen status shop, bluegreen history shop" in str(told.value)
        with pytest.raises(StoreError, match="nothing was changed") as dropped:
            await daemon.controller.command("shop", pause("shop"))
        assert not isinstance(dropped.value, StoreUncertain)
        assert "it has not answered for 0.1 s" in daemon.codes()["store-failing"]
        store.gate.set()
        await eventually(lambda: daemon.controller.state.snapshot("shop").state.paused)
        await eventually(lambda: daemon.controller.queues.undecided.is_at_rest)
        await eventually(lambda: "store-failing" not in daemon.codes())
        assert [row.event for row in await store.history()].count(Event.PAUSED) == 1


def many(middleware: str, entry_point: str = "web") -> str:
    """Write a file whose routers all name one middleware, which is defined beside them."""
    router = f"entryPoints: [{entry_point}], middlewares: [{middleware}]"
    services = "".join(
        f"  s{number}: {{active: blue, router: {{rule: 'Host(`s{number}`)', {router}}}, "
        f"servers: {{blue: {{urls: ['http://127.0.0.1:{9000 + number}']}}}}}}\n"
        for number in range(450)
    )
    extra = f"http: {{middlewares: {{{middleware}: {{compress: {{}}}}}}}}\n"
    return f"environment: production\nservices:\n{services}{extra}"


@pytest.mark.parametrize("step", range(5))
async def test_no_document_has_routers_of_one_file_and_middlewares_of_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """P3: a reload may come between any two steps of the joining of a document."""
    async with running(tmp_path, orderly=False) as daemon:
        texts = many("old"), many("old", "websecure"), many("new")
        old, middle, new = (config.load(text, "desired.yaml") for text in texts)
        composition = daemon.controller.publisher.draft._assembly
        join, steps = composition.join, count()

        def joining() -> Iterator[None]:
            for _ in join():
                if next(steps) == step:
                    daemon.controller.desired_loaded(edit(middle, new), "new")
                yield

        with capture_logs():
            daemon.controller.desired_loaded(edit(None, old), "old")
            for name in old.services:
                await daemon.judge(BLUE, service=name)
            await eventually(daemon.content)
            monkeypatch.setattr(composition, "join", joining)
            with daemon.recording():
                daemon.controller.desired_loaded(edit(old, middle), "middle")
                await eventually(lambda: b'"new"' in daemon.documents[-1].document.body)
        for one in daemon.documents:
            http = orjson.loads(one.document.body)["http"]
            named = {name for router in http["routers"].values() for name in router["middlewares"]}
            assert named == http["middlewares"].keys() - {one.document.marker}
