"""Several replicas of the daemon over one store in etcd, with a Traefik beside each."""

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from provider.cli.demo.daemon import DaemonProcess
from provider.cli.demo.etcd import Etcd, find_etcd
from provider.cli.demo.stage import READ_S, SHOP, Setting, Stage, started, weights_of
from provider.cli.demo.wait import StoryFailed
from provider.model import Colour
from provider.traefik.process import Traefik, free_ports

NAMES = ("a", "b", "c")


@dataclass(slots=True)
class Replica:
    """A replica, and the Traefik that polls it; `revisions` are those of its documents, in the order of reading."""

    name: str
    daemon: DaemonProcess
    traefik: Traefik
    revisions: list[int] = field(default_factory=list)
    is_killed: bool = False

    @property
    def entry(self) -> str:
        """Where its Traefik takes requests."""
        return self.traefik.url("web")

    @property
    def is_ever_rising(self) -> bool:
        """Whether its documents never went back."""
        return self.revisions == sorted(self.revisions)


class ReplicatedStage(Stage):
    """A replica for each of NAMES. The one of them that is asked by the steps of every story is `daemon`."""

    starts = "Starting three nodes of etcd, three replicas of the daemon, and three Traefiks, on free ports."
    follows_file = False

    def __init__(self, binary: Path, setting: Setting) -> None:
        super().__init__(binary, setting)
        self.replicas: dict[str, Replica] = {}
        self._etcd_binary = find_etcd()

    @property
    def other_entries(self) -> tuple[str, ...]:
        """The URLs of further Traefiks that get requests."""
        return tuple(one.entry for one in list(self.replicas.values())[1:])

    @property
    def alive(self) -> list[Replica]:
        """Those that have not been killed."""
        return [one for one in self.replicas.values() if not one.is_killed]

    async def leader(self) -> Replica:
        """Wait until one of those that live leads, by its own account."""
        while True:
            for one in self.alive:
                if any(known["leads"] and known["replica"] == one.name for known in await one.daemon.replicas()):
                    return one
            await asyncio.sleep(READ_S)

    async def kill(self, one: Replica) -> None:
        """End a replica as a power cut does."""
        one.is_killed = True
        self.daemon = self.alive[0].daemon
        await one.daemon.kill()

    async def start_again(self, one: Replica) -> None:
        """Start a replica that was killed; it has a document when this returns."""
        await one.daemon.start_again()
        one.is_killed = False

    async def update(self) -> None:
        """Read the status, from whichever replica leads, and what every Traefik has applied."""
        found = {name: await self.daemon.status(name) for name in self.setting.services}
        if all("active" in status for status in found.values()):  # else nobody leads for a moment
            self.statuses = found
        applied = [await self._applied(one.traefik) for one in self.replicas.values()]
        if all(one == applied[0] for one in applied):
            self.applied = applied[0]

    async def read_documents(self) -> None:
        """Read the document of every replica again and again, and note its revision."""
        while True:
            for one in self.alive:
                try:
                    one.revisions.append(await one.daemon.revision())
                except StoryFailed:
                    if not one.is_killed:  # it was, while it was asked
                        raise
            await asyncio.sleep(READ_S)

    async def _applied(self, traefik: Traefik) -> dict[str, dict[str, int]]:
        raw = (await traefik.raw_data()).get("services", {})
        found = {name: raw.get(f"{name}@http", {}).get("weighted") for name in self.setting.services}
        return {name: weights_of(name, one["services"]) for name, one in found.items() if isinstance(one, dict)}

    async def _begin(self, stack: AsyncExitStack, folder: Path) -> None:
        """Start everything. The first file seeds the store, so it names both versions and every Traefik."""
        (folder / "etcd").mkdir()
        etcd = await started(stack, lambda: Etcd(self._etcd_binary, folder / "etcd"))
        new = await self.start(SHOP, Colour.GREEN, "2")
        new.is_warm = False
        self.edit(new)
        attempts = itertools.count(1)
        await started(stack, lambda: self._running(etcd, folder / f"attempt-{next(attempts)}"))

    @asynccontextmanager
    async def _running(self, etcd: Etcd, folder: Path) -> AsyncIterator[None]:
        """Run the replicas and their Traefiks.

        Before a replica starts, its Traefik names its port, and the file names the API of every Traefik: where somebody
        takes one of these ports in between, all start over, with another prefix in etcd.
        """
        async with AsyncExitStack() as stack:
            self.replicas = {}
            for name in NAMES:
                (folder / name).mkdir(parents=True)
                store = f"etcd://{etcd.addresses}/bluegreen/{folder.name}"
                flags = ("--store", store, "--replica", name)
                self.daemon = DaemonProcess(self.file, folder / name, *free_ports(2), more=flags)
                self.traefik = await stack.enter_async_context(self._new_traefik())
                self.replicas[name] = Replica(name, self.daemon, self.traefik)
            self._apis = [one.traefik.api for one in self.replicas.values()]
            self.edit()
            for one in self.replicas.values():
                await stack.enter_async_context(one.daemon)
            first = self.alive[0]
            self.daemon, self.traefik = first.daemon, first.traefik
            yield
