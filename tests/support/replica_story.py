"""A simulated story: three replicas over the model of etcd, clients that ask for decisions, and all that may go wrong.

One seed is one story, to the letter: a story that went wrong is played again by its seed.
"""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count

import structlog.testing

from provider.store.etcd.gateway import Changes, Gateway
from tests.support.etcd_network import CALM, ROUGH, STORM, ModelGateway, Network
from tests.support.replicas import Asked, Disk, Outcome, Record, Replica
from tests.support.virtual_loop import Process, run

LASTS_S = 15.0
SETTLES_S = 30.0
"""So long after everything works again all replicas serve the last document, and a decision is taken."""
ANSWER_S = 4.0
PREFIX = "/bluegreen/production"
GROUPS = ("shop", "cart", "search")


@dataclass(slots=True)
class Told:
    """What there is to check of a story: etcd's whole history, what clients and replicas saw, and every request."""

    history: list[Changes] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    trace: list[tuple[float, str, str, str]] = field(default_factory=list)
    leading: str = ""
    restored_s: float = 0.0
    is_settled: bool = False


class Ending(StrEnum):
    """What comes after the troubles: nothing, a backup of etcd from the middle that is put back, or an empty etcd."""

    CALM = "calm"
    RESTORED = "restored"
    EMPTY = "empty"


def play(seed: int, build: Callable[[Gateway], Gateway] | None = None, ending: Ending = Ending.CALM) -> Told:
    """Play the story of a seed; with a `build` every replica's way to etcd goes through that."""
    with structlog.testing.capture_logs():
        return run(_Story(random.Random(seed), build or (lambda gateway: gateway)).play(ending))


@dataclass(slots=True)
class _Host:
    """Where a replica runs: one process after the other."""

    name: str
    disk: Disk
    process: Process
    replica: Replica


class _Story:
    def __init__(self, rng: random.Random, build: Callable[[Gateway], Gateway]) -> None:
        self._rng, self._build = rng, build
        self._network = Network(rng)
        self._told = Told()
        self._hosts: list[_Host] = []
        self._numbers, self._ids = count(1), count(1)
        self._is_over = False

    async def play(self, ending: Ending) -> Told:
        self._told.trace = self._network.trace
        async with asyncio.TaskGroup() as group:
            around = group.create_task(self._network.run())
            self._hosts = [self._start(f"replica{number}", Disk()) for number in (1, 2, 3)]
            clients = [group.create_task(self._ask()) for _ in range(3)]
            troubles = [group.create_task(self._trouble()) for _ in range(2)]
            await asyncio.sleep(self._rng.uniform(0, LASTS_S))
            backup = self._network.etcd.revision
            await asyncio.wait(troubles)
            if ending is not Ending.CALM:
                await self._restore(backup if ending is Ending.RESTORED else 1)
            self._told.is_settled = await self._settles()
            self._is_over = True
            await asyncio.wait(clients)
            for host in self._hosts:
                await host.process.kill(self._rng)
            around.cancel()
        self._told.history = self._network.etcd.log
        return self._told

    def _start(self, name: str, disk: Disk) -> _Host:
        process = Process(name)

        def tell(record: Record) -> None:
            if not process.is_dead:
                self._told.records.append(record)

        gateway = self._build(ModelGateway(self._network, process))
        replica = Replica(gateway, PREFIX, name, disk, tell, lambda: f"{name}-{next(self._ids)}")
        process.start(replica.run())
        return _Host(name, disk, process, replica)

    # --- clients ------------------------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        while not self._is_over:
            await asyncio.sleep(self._rng.uniform(0.05, 0.6))
            leading = [host for host in self._hosts if host.replica.is_leading and not host.process.is_dead]
            if leading:
                await self._ask_one(self._rng.choice(leading))

    async def _ask_one(self, host: _Host) -> Outcome:
        number, began_s = next(self._numbers), asyncio.get_running_loop().time()
        process, outcome = host.process, Outcome.UNKNOWN
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await host.replica.decide(number, self._rng.choice(GROUPS))
            if not process.is_dead:  # what it says on its way out reaches nobody
                outcome = answer
        except TimeoutError:
            pass
        self._told.records.append(Asked(number, began_s, asyncio.get_running_loop().time(), outcome))
        return outcome

    # --- troubles -----------------------------------------------------------------------------------------------------

    async def _trouble(self) -> None:
        troubles = {
            self._freeze: 4,
            self._kill: 3,
            self._stop: 1,
            self._cut_off: 3,
            self._lose_quorum: 2,
            self._compact: 2,
            self._revoke: 1,
            self._have_weather: 5,
        }
        while asyncio.get_running_loop().time() < LASTS_S:
            await asyncio.sleep(self._rng.uniform(0.05, 1.5))
            (trouble,) = self._rng.choices(list(troubles), list(troubles.values()))
            await trouble()

    def _some_host(self) -> _Host:
        leading = [host for host in self._hosts if host.replica.is_leading]
        return self._rng.choice(leading if leading and self._rng.random() < 0.5 else self._hosts)

    async def _freeze(self) -> None:
        process = self._some_host().process
        process.freeze()
        await asyncio.sleep(self._rng.choice((0.5, 2.5, 4, 7)) + self._rng.random())
        process.thaw(self._rng)

    async def _kill(self) -> None:
        host = self._some_host()
        await host.process.kill(self._rng)
        await self._come_back(host)

    async def _stop(self) -> None:
        host = self._some_host()
        host.process.thaw(self._rng)
        await host.process.stop()
        host.process.is_dead = True
        await self._come_back(host)

    async def _come_back(self, host: _Host) -> None:
        if host not in self._hosts:  # the other trouble ended it, too, and sees to it
            return
        place = self._hosts.index(host)
        await asyncio.sleep(self._rng.uniform(0.05, 3))
        if host in self._hosts:
            self._hosts[place] = self._start(host.name, host.disk)

    async def _cut_off(self) -> None:
        process = self._some_host().process
        self._network.cut_off(process)
        await asyncio.sleep(self._rng.uniform(0.2, 8))
        self._network.cut.discard(process)

    async def _lose_quorum(self) -> None:
        self._network.lose_quorum()
        await asyncio.sleep(self._rng.choice((0.2, 1, 5)) + self._rng.random())
        self._network.find_quorum()

    async def _compact(self) -> None:
        self._network.compact()

    async def _revoke(self) -> None:
        """End the leader's lease, as a follower does that takes it for dead."""
        self._network.etcd.revoke(self._network.etcd.lease_of(f"{PREFIX}/leader".encode()))

    async def _have_weather(self) -> None:
        self._network.weather = self._rng.choice((ROUGH, ROUGH, STORM))
        await asyncio.sleep(self._rng.uniform(0.5, 6))
        self._network.weather = CALM

    async def _restore(self, backup: int) -> None:
        """Put a backup back; a replica may sleep or be down meanwhile."""
        self._network.lose_quorum()
        troubles = [asyncio.create_task(self._rng.choice((self._freeze, self._kill, self._cut_off))())]
        await asyncio.sleep(self._rng.uniform(0.5, 4))
        self._told.restored_s = asyncio.get_running_loop().time()
        self._network.restore(backup)
        self._network.find_quorum()
        await asyncio.wait(troubles)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def _settles(self) -> bool:
        """Wait until a decision is taken and all serve the same document; tell whether it came to that."""
        until_s = asyncio.get_running_loop().time() + SETTLES_S
        is_decided = False
        while asyncio.get_running_loop().time() < until_s:
            await asyncio.sleep(0.5)
            for host in self._hosts:
                if host.process.failure is not None:
                    raise host.process.failure
                if not is_decided and host.replica.is_leading:
                    is_decided = await self._ask_one(host) is Outcome.DONE
            self._is_over = is_decided
            if is_decided and len({(host.replica.revision, host.replica.body) for host in self._hosts}) == 1:
                return True
        return False
