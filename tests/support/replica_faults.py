"""A story as in `replica_story`, but real: replicas in processes of their own, three nodes of etcd, proxies between."""

import asyncio
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from itertools import count
from typing import Protocol

import orjson

from provider.model.errors import StoreError
from provider.store.etcd.client import JsonGateway
from provider.store.etcd.gateway import Put
from tests.support.etcd import Cluster, Node, after
from tests.support.etcd_network import CALM, ROUGH, STORM
from tests.support.etcd_proxy import Proxy
from tests.support.paths import ROOT
from tests.support.replica_story import ANSWER_S, GROUPS, PREFIX, Told
from tests.support.replicas import Asked, Fresh, Outcome, Published, Served, Took
from tests.support.waiting import eventually

SETTLES_S = 60.0
ENDS_S = 60.0
END = f"{PREFIX}/the-end".encode()
RECORDS: dict[str, type[Took | Fresh | Published]] = {kind.__name__: kind for kind in (Took, Fresh, Published)}


class Host(Protocol):
    """Where a replica runs: one process after the other, and its own ways to etcd; `revision` is what it serves."""

    name: str
    proxies: Sequence[Proxy]
    revision: int

    async def start(self) -> None:
        """Start a process; the one before has ended."""
        ...

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the process, and hear what it said until then."""
        ...

    def send(self, number: signal.Signals) -> None:
        """Send a signal, if the process still runs."""
        ...

    async def decide(self, number: int, group: str) -> Outcome:
        """Ask for a decision; UNKNOWN where no answer comes in time."""
        ...


Make = Callable[[str, Sequence[Proxy], Told], Host]


async def play(seed: int, cluster: Cluster, make: Make, *, lasts_s: float) -> Told:
    """Play for so long what a seed draws, on three nodes that run; `make` makes a host of its name and its proxies."""
    async with AsyncExitStack() as stack:
        story = _Faults(random.Random(seed), cluster, stack, make)
        await story.begin()
        return await story.play(lasts_s)


class SmallHost:
    """A host of `replica_process`; `broken` names a build of `etcd_broken`."""

    def __init__(self, name: str, proxies: Sequence[Proxy], told: Told, *, broken: str | None = None) -> None:
        self.name, self.proxies = name, proxies
        self.revision = 0
        self._broken, self._told = broken, told
        self._process: Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._answers: dict[int, asyncio.Future[Outcome]] = {}

    async def start(self) -> None:
        broken = ("--broken", self._broken) if self._broken else ()
        options = ("--etcd", *(proxy.url for proxy in self.proxies), "--prefix", PREFIX, "--name", self.name, *broken)
        command = (sys.executable, "-m", "tests.support.replica_process", *options)
        self._process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, cwd=ROOT)
        self._reading = asyncio.create_task(self._read(self._process))

    async def end(self, number: signal.Signals = signal.SIGKILL) -> None:
        if self._process is not None and self._reading is not None:
            self.send(signal.SIGCONT)
            self.send(number)
            async with asyncio.timeout(ENDS_S):
                await self._process.wait()
            await self._reading
            for answer in self._answers.values():
                answer.cancel()

    def send(self, number: signal.Signals) -> None:
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def decide(self, number: int, group: str) -> Outcome:
        assert self._process is not None
        assert self._process.stdin is not None
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        self._process.stdin.write(orjson.dumps([number, group]) + b"\n")
        await asyncio.wait([answer], timeout=ANSWER_S)
        del self._answers[number]
        return answer.result() if answer.done() and not answer.cancelled() else Outcome.UNKNOWN

    async def _read(self, process: Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            kind, *fields = orjson.loads(line)
            if kind == "Answer":
                number, outcome = fields
                answer = self._answers.get(number)
                if answer is not None and not answer.done():
                    answer.set_result(Outcome(outcome))
            elif kind == "Served":
                name, at_s, self.revision, body = fields
                self._told.records.append(Served(name, at_s, self.revision, body.encode()))
            else:
                self._told.records.append(RECORDS[kind](*fields))
                self._told.leading = self.name if kind == "Took" else self._told.leading


class _Faults:
    """See `play`."""

    def __init__(self, rng: random.Random, cluster: Cluster, stack: AsyncExitStack, make: Make) -> None:
        self._rng, self._cluster, self._stack, self._make = rng, cluster, stack, make
        self._told = Told()
        self._hosts: list[Host] = []
        self._resting: set[Host | Node] = set()
        self._numbers = count(1)
        self._recorded = 0
        self._gateway = JsonGateway([node.url for node in cluster.nodes])

    async def begin(self) -> None:
        """Start the proxies and the replicas."""
        self._stack.push_async_callback(self._gateway.close)
        for name in ("replica1", "replica2", "replica3"):
            proxies = [Proxy(node.port, random.Random(self._rng.random())) for node in self._cluster.nodes]
            for proxy in proxies:
                await self._stack.enter_async_context(proxy.running())
            self._rng.shuffle(proxies)
            host = self._make(name, proxies, self._told)
            self._hosts.append(host)
            await host.start()
            self._stack.push_async_callback(host.end)

    async def play(self, lasts_s: float) -> Told:
        """Let clients ask, and troubles come, for so long; then wait until all is well."""
        end_s = _now_s() + lasts_s
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(self._record())
            clients = [group.create_task(self._ask()) for _ in range(3)]
            await asyncio.gather(*(self._trouble(end_s) for _ in range(2)))
            self._told.is_settled = await self._settles()
            for client in clients:
                client.cancel()
            await asyncio.wait(clients)
            for host in self._hosts:
                await host.end(signal.SIGTERM)
            last = await self._gateway.transact((), [Put(END, b"")])
            await eventually(lambda: self._recorded >= last.revision)
            recording.cancel()
        return self._told

    async def _record(self) -> None:
        """Read all that happens in etcd, past every node that does not answer."""
        key_range = PREFIX.encode(), after(PREFIX.encode())
        while True:
            with suppress(StoreError):
                async with self._gateway.watch([key_range], self._recorded + 1) as changes:
                    async for one in changes:
                        self._told.history.append(one)
                        self._recorded = one.revision
            await asyncio.sleep(0.1)

    # --- clients ------------------------------------------------------------------------------------------------------

    async def _ask(self) -> None:
        while True:
            await asyncio.sleep(self._rng.uniform(0.02, 0.2))
            leading = [host for host in self._hosts if host.name == self._told.leading]
            host = self._rng.choice(leading or self._hosts)
            if host not in self._resting:
                await self._ask_one(host)

    async def _ask_one(self, host: Host) -> Outcome:
        number, began_s = next(self._numbers), _now_s()
        outcome = await host.decide(number, self._rng.choice(GROUPS))
        self._told.records.append(Asked(number, began_s, _now_s(), outcome))
        return outcome

    # --- troubles -----------------------------------------------------------------------------------------------------

    async def _trouble(self, end_s: float) -> None:
        troubles: dict[Callable[[], Awaitable[None]], int] = {
            self._freeze: 4,
            self._end: 3,
            self._cut_off: 3,
            self._have_weather: 5,
            self._freeze_node: 2,
            self._end_node: 2,
            self._lose_quorum: 1,
            self._compact: 2,
        }
        while _now_s() < end_s:
            await asyncio.sleep(self._rng.uniform(0.1, 2))
            (trouble,) = self._rng.choices(list(troubles), list(troubles.values()))
            await trouble()

    def _some_host(self) -> Host:
        leading = [host for host in self._hosts if host.name == self._told.leading]
        return self._rng.choice(leading if leading and self._rng.random() < 0.5 else self._hosts)

    async def _freeze(self) -> None:
        host = self._some_host()
        host.send(signal.SIGSTOP)
        await asyncio.sleep(self._rng.choice((0.5, 2.5, 4, 6)) + self._rng.random())
        host.send(signal.SIGCONT)

    async def _end(self) -> None:
        host = self._some_host()
        if host in self._resting:
            return
        self._resting.add(host)
        await host.end(self._rng.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        await asyncio.sleep(self._rng.uniform(0, 2))
        await host.start()
        self._resting.discard(host)

    async def _cut_off(self) -> None:
        host = self._some_host()
        for proxy in host.proxies:
            proxy.cut(is_cut=True)
        await asyncio.sleep(self._rng.uniform(0.2, 6))
        for proxy in host.proxies:
            proxy.cut(is_cut=False)

    async def _have_weather(self) -> None:
        weather = self._rng.choice((ROUGH, ROUGH, STORM))
        for proxy in self._proxies():
            proxy.weather = weather
        await asyncio.sleep(self._rng.uniform(1, 6))
        for proxy in self._proxies():
            proxy.weather = CALM

    def _proxies(self) -> list[Proxy]:
        return [proxy for host in self._hosts for proxy in host.proxies]

    async def _freeze_node(self) -> None:
        await self._without(1, self._rng.uniform(0.5, 5), Node.freeze, Node.thaw)

    async def _end_node(self) -> None:
        await self._without(1, self._rng.uniform(0, 3), Node.kill, self._cluster.start)

    async def _lose_quorum(self) -> None:
        await self._without(2, self._rng.uniform(1, 5), Node.freeze, Node.thaw)

    async def _without(
        self, number: int, lasts_s: float, end: Callable[[Node], None], begin: Callable[[Node], None]
    ) -> None:
        """Be without so many of the nodes that no other trouble has; their leader is as likely among them as not."""
        there = [node for node in self._cluster.nodes if node not in self._resting]
        taken = self._rng.sample(there, min(number, len(there)))
        self._resting.update(taken)
        for node in taken:
            await asyncio.to_thread(end, node)
        await asyncio.sleep(lasts_s)
        for node in taken:
            await asyncio.to_thread(begin, node)
        self._resting.difference_update(taken)

    async def _compact(self) -> None:
        """Forget what was recorded, while a replica sleeps that may not know it yet."""
        host = self._some_host()
        host.send(signal.SIGSTOP)
        await asyncio.sleep(self._rng.uniform(0.2, 3))
        if self._recorded and not self._resting & set(self._cluster.nodes):
            with suppress(OSError):
                body = {"revision": self._recorded}
                await asyncio.to_thread(self._cluster.nodes[0].call, "/v3/kv/compaction", body, "", 2.0)
        host.send(signal.SIGCONT)

    # --- the end ------------------------------------------------------------------------------------------------------

    async def _settles(self) -> bool:
        """Wait until a decision is taken and all serve the same document; tell whether it came to that."""
        until_s = _now_s() + SETTLES_S
        is_decided = False
        while _now_s() < until_s:
            for host in self._hosts:
                if not is_decided and self._told.leading in {host.name, ""}:
                    is_decided = await self._ask_one(host) is Outcome.DONE
            if is_decided and len({host.revision for host in self._hosts}) == 1:
                return True
            await asyncio.sleep(0.2)
        return False


def _now_s() -> float:
    return asyncio.get_running_loop().time()
