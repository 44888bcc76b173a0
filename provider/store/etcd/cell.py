"""A key that only the leader writes, and as a whole: the document, the desired state, what was applied (rule 53).

A put compares who leads and the revision of the key that it replaces, so one that comes late replaces nothing. Where
the outcome of one is unknown, the same value is put once more under the same conditions: whichever comes first makes
the other impossible, and as the value is the same it does not matter which.
"""

import asyncio
from collections.abc import Callable

from provider.model.errors import LeadershipLost, StoreUncertain
from provider.runtime.clock import loop_s
from provider.store.etcd.gateway import Compare, EtcdRefused, EtcdUncertain, Get, KeyValue, Operation, Put, Target
from provider.store.etcd.leader import Term
from provider.store.etcd.limits import check_value

RETRY_S = 0.1
ANSWER_S = 4.0
"""How long a put that may have been done is tried again."""


class Cell:
    """One key of a term, as it is known; `guard` is a key that may not have changed either, such as `floor`."""

    def __init__(self, term: Term, key: bytes, found: KeyValue | None, guard: KeyValue | bytes | None = None) -> None:
        self._term, self._key = term, key
        self._one_at_a_time = asyncio.Lock()
        self.value: bytes | None = None
        self._revision = 0
        self._take(found)
        self._guard_key = guard.key if isinstance(guard, KeyValue) else guard
        self.guard = guard if isinstance(guard, KeyValue) else None

    async def put(self, make: Callable[["Cell"], bytes | None]) -> None:
        """Put what `make` makes of the key as it is; None where it is well as it is.

        `make` is called again where the key turns out to have changed. Raises what it raises, StoreError where
        nothing was done, StoreUncertain and LeadershipLost.
        """
        async with self._one_at_a_time:
            end_s = loop_s() + ANSWER_S
            doubt: EtcdUncertain | None = None
            while not self._term.lost.is_set() or doubt is not None:
                value = make(self)
                if value is None:
                    return
                try:
                    if await self._try(value, is_in_doubt=doubt is not None):
                        return
                    continue
                except EtcdUncertain as failure:
                    doubt = failure
                except EtcdRefused:
                    if doubt is None:
                        raise
                if loop_s() >= end_s:
                    raise StoreUncertain(f"it is unknown whether it was written: {doubt}") from doubt
                await asyncio.sleep(RETRY_S)
            raise self._term.ended()

    async def _try(self, value: bytes, *, is_in_doubt: bool) -> bool:
        """Put a value once; return False where the key, or its guard, is not as it was known."""
        put = Put(self._key, value)
        check_value(self._key, value)
        compares = [self._term.leads, Compare(self._key, Target.MOD, self._revision)]
        questions: list[Operation] = [self._term.who, Get(self._key)]
        if self._guard_key is not None:
            compares.append(Compare(self._guard_key, Target.MOD, self.guard.mod_revision if self.guard else 0))
            questions.append(Get(self._guard_key))
        answer = await self._term.gateway.transact(compares, [put], questions)
        if answer.succeeded:
            self.value, self._revision = value, answer.revision
            return True
        leader, found, *guard = answer.found
        is_over = self._term.is_over(leader)
        self._take(found[0] if found else None)
        if guard:
            self.guard = guard[0][0] if guard[0] else None
        if self.value == value and is_in_doubt:
            return True
        if is_over:
            raise self._over(leader, is_in_doubt=is_in_doubt)
        return False

    def _over(self, leader: tuple[KeyValue, ...], *, is_in_doubt: bool) -> StoreUncertain | LeadershipLost:
        if is_in_doubt:
            return StoreUncertain("another replica leads now, and it is unknown whether this was written before")
        return self._term.ended(leader)

    def _take(self, found: KeyValue | None) -> None:
        self.value = found.value if found is not None else None
        self._revision = found.mod_revision if found is not None else 0
