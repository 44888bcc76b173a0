"""Builds that are broken on purpose: a way to etcd that takes out what rule 51 asks for. A checker must find them."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from provider.store.etcd.gateway import (
    Answer,
    Changes,
    Compare,
    EtcdRefused,
    EtcdUncertain,
    Gateway,
    Get,
    KeyRange,
    Operation,
    Put,
)

LAGS_S = 4.0


class Sound:
    """Passes everything on."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        return await self._gateway.transact(compares, then, otherwise)

    async def grant(self, ttl_s: int) -> int:
        return await self._gateway.grant(ttl_s)

    async def keep_alive(self, lease: int) -> bool:
        return await self._gateway.keep_alive(lease)

    async def revoke(self, lease: int) -> None:
        await self._gateway.revoke(lease)

    def watch(
        self, ranges: Sequence[KeyRange], from_revision: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Changes]]:
        return self._gateway.watch(ranges, from_revision)

    async def close(self) -> None:
        await self._gateway.close()


class NoCompareOfTheHead(Sound):
    """Commits whatever the head is by now."""

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        kept = [compare for compare in compares if not compare.key.endswith(b"/head")]
        return await self._gateway.transact(kept, then, otherwise)


class NoCompareOfTheLeader(Sound):
    """Commits whoever leads by now."""

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        kept = [compare for compare in compares if not compare.key.endswith(b"/leader") or compare.revision == 0]
        return await self._gateway.transact(kept, then, otherwise)


class NoFence(Sound):
    """Reports a commit without an answer as not done."""

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        try:
            return await self._gateway.transact(compares, then, otherwise)
        except EtcdUncertain as unknown:
            if _is_commit(then):
                raise EtcdRefused("reported as not done") from unknown
            raise


class SentAgain(Sound):
    """Sends a commit without an answer once more."""

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        try:
            return await self._gateway.transact(compares, then, otherwise)
        except EtcdUncertain:
            if _is_commit(then):
                return await self._gateway.transact(compares, then, otherwise)
            raise


class StaleReads(Sound):
    """Reads what some member knows, which may lag behind."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(gateway)
        self._answers: dict[tuple[Operation, ...], tuple[float, Answer]] = {}

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        asked, now_s = (*then, *otherwise), asyncio.get_running_loop().time()
        if not all(isinstance(one, Get) for one in asked):
            return await self._gateway.transact(compares, then, otherwise)
        read_s, answer = self._answers.get(asked, (-math.inf, None))
        if answer is None or now_s - read_s > LAGS_S:
            answer = await self._gateway.transact(compares, then, otherwise)
            self._answers[asked] = now_s, answer
        return answer


def _is_commit(then: Sequence[Operation]) -> bool:
    return any(isinstance(one, Put) and one.key.endswith(b"/head") for one in then)


BROKEN: tuple[Callable[[Gateway], Gateway], ...] = (
    NoCompareOfTheHead,
    NoCompareOfTheLeader,
    NoFence,
    SentAgain,
    StaleReads,
)
