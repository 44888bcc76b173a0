"""The model of etcd that the simulation runs on answers as a real etcd does."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from provider.store.etcd.client import JsonGateway
from provider.store.etcd.gateway import (
    Answer,
    Changes,
    Compare,
    Delete,
    EtcdRefused,
    Gateway,
    Get,
    KeyRange,
    KeyValue,
    Operation,
    Put,
    Target,
)
from tests.support.etcd import Cluster
from tests.support.etcd_network import ModelGateway, Network
from tests.support.seeds import SEEDS
from tests.support.virtual_loop import Process

T = TypeVar("T")

KEYS = [f"/bluegreen/{name}".encode() for name in ("head", "leader", "groups/a", "groups/b", "history/1", "history/2")]
ENDS = [*sorted(KEYS), b"/bluegreen0"]
OPERATIONS = 300


@pytest.mark.takes(6)
@pytest.mark.parametrize("seed", SEEDS[::200])
async def test_the_model_answers_a_script_as_a_real_etcd_does(tmp_path: Path, seed: int) -> None:
    with Cluster(tmp_path) as cluster:
        real = JsonGateway([cluster.nodes[0].url])
        try:
            await Script(random.Random(seed), real, cluster).play()
        finally:
            await real.close()


class Script:
    """Random operations, each done by both; a lease is known by its place in `leases`."""

    def __init__(self, rng: random.Random, real: Gateway, cluster: Cluster) -> None:
        network = Network(random.Random(0))
        self.rng, self.etcd, self.cluster = rng, network.etcd, cluster
        self.model: Gateway = ModelGateway(network, Process("model"))
        self.real = real
        self.leases: list[tuple[int, int]] = [(0, 0)]
        self.revisions = [0, 1]

    async def play(self) -> None:
        steps = [self.transact, self.grant, self.keep_alive, self.revoke, self.compact, self.watch]
        for _ in range(OPERATIONS):
            (step,) = self.rng.choices(steps, [80, 3, 3, 2, 2, 10])
            await step()
        self.revisions = [self.etcd.compacted or 1]
        await self.watch()

    async def both(self, ask: Callable[[Gateway, int], Awaitable[T]]) -> tuple[T | str, T | str]:
        """Ask the model, then etcd; a refusal is the answer "refused"."""
        answers: list[T | str] = []
        for side, gateway in enumerate((self.model, self.real)):
            try:
                answers.append(await ask(gateway, side))
            except EtcdRefused:
                answers.append("refused")
        return answers[0], answers[1]

    async def transact(self) -> None:
        targets = list(Target)
        compares = [
            Compare(self.rng.choice(KEYS), self.rng.choice(targets), self.rng.choice([*self.revisions[-8:], 0]))
            for _ in range(self.rng.choice((0, 1, 1, 2)))
        ]
        then, otherwise = self.operations(), self.operations()
        modelled, real = await self.both(
            lambda gateway, side: gateway.transact(compares, self.leased(then, side), self.leased(otherwise, side))
        )
        if isinstance(modelled, Answer) and isinstance(real, Answer):
            assert self.known(modelled, 0) == self.known(real, 1), (compares, then, otherwise)
            self.revisions.append(modelled.revision)
        else:
            assert modelled == real, (compares, then, otherwise)

    def operations(self) -> list[Operation]:
        return [self.operation() for _ in range(self.rng.choice((0, 1, 1, 2, 3)))]

    def operation(self) -> Operation:
        key, end = self.rng.choice(KEYS), self.rng.choice((None, None, self.rng.choice(ENDS)))
        match self.rng.randrange(5):
            case 0:
                return Delete(key, end)
            case 1:
                return Get(key, end, self.rng.choice((0, 1, 2)), self.rng.random() < 0.5)
            case 2:
                return Get(key, end, revision=self.rng.choice(self.revisions) + self.rng.choice((0, 0, 0, 5)))
            case _:
                lease = self.rng.randrange(len(self.leases)) if self.rng.random() < 0.3 else 0
                return Put(key, str(self.rng.random()).encode(), lease)

    def leased(self, operations: Sequence[Operation], side: int) -> list[Operation]:
        """Put the lease's id of a side in place of its number."""
        return [replace(one, lease=self.leases[one.lease][side]) if isinstance(one, Put) else one for one in operations]

    def known(self, answer: Answer, side: int) -> Answer:
        """Put a lease's number in place of its id."""
        return replace(answer, found=tuple(self.unleased(found, side) for found in answer.found), member="")

    def unleased(self, found: Sequence[KeyValue], side: int) -> tuple[KeyValue, ...]:
        numbers = {pair[side]: number for number, pair in enumerate(self.leases)}
        return tuple(replace(one, lease=numbers[one.lease]) for one in found)

    async def grant(self) -> None:
        modelled, real = await self.both(lambda gateway, _: gateway.grant(600))
        assert isinstance(modelled, int)
        assert isinstance(real, int)
        self.leases.append((modelled, real))

    async def keep_alive(self) -> None:
        pair = self.rng.choice(self.leases[1:] or [(77, 77)])
        modelled, real = await self.both(lambda gateway, side: gateway.keep_alive(pair[side]))
        assert modelled == real

    async def revoke(self) -> None:
        pair = self.rng.choice(self.leases[1:] or [(77, 77)])
        modelled, real = await self.both(lambda gateway, side: gateway.revoke(pair[side]))
        assert modelled == real

    async def compact(self) -> None:
        revision = self.etcd.revision - self.rng.choice((0, 5, 40))
        try:
            self.etcd.compact(revision)
        except EtcdRefused:
            return
        await asyncio.to_thread(self.cluster.call, "/v3/kv/compaction", {"revision": revision})

    async def watch(self) -> None:
        revision = max(1, self.rng.choice(self.revisions))
        # Of the compacted revision itself etcd 3.4 forgets what it deleted, as the model does; 3.5 does not.
        revision += revision == self.etcd.compacted
        ranges = [(b"/bluegreen/groups/", b"/bluegreen/groups0"), (b"/bluegreen/h", b"/bluegreen/m")]
        expected = self.expected(ranges, revision)
        count = 1 if expected is None else len(expected)
        modelled, real = await self.both(lambda gateway, side: self.seen(gateway, side, ranges, revision, count))
        assert modelled == real
        assert (modelled == "refused") == (expected is None)

    def expected(self, ranges: Sequence[KeyRange], revision: int) -> list[Changes] | None:
        if revision < self.etcd.compacted:
            return None
        return [changes for changes in self.etcd.since(revision) for key_range in ranges if touches(changes, key_range)]

    async def seen(
        self, gateway: Gateway, side: int, ranges: Sequence[KeyRange], revision: int, count: int
    ) -> list[tuple[int, tuple[KeyValue, ...], tuple[bytes, ...]]]:
        async with gateway.watch(ranges, revision) as changes:
            found = [(one.revision, self.unleased(one.put, side), one.deleted) async for one in first(changes, count)]
        return sorted(found, key=str)


def touches(changes: Changes, key_range: KeyRange) -> bool:
    start, end = key_range
    return any(start <= key < end for key in (*(one.key for one in changes.put), *changes.deleted))


async def first(changes: AsyncIterator[Changes], count: int) -> AsyncIterator[Changes]:
    while count:
        count -= 1
        yield await anext(changes)
