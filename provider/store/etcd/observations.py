"""The servers last seen: rows of their own, which no commit waits for (rule 52).

A put compares the revision of each row that it replaces. So one that comes late changes nothing, and it does not matter
whether one was done of which that is unknown: it is put once more, on what is there.
"""

import asyncio
from collections.abc import Mapping

from provider.model.errors import StoreUncertain
from provider.runtime.clock import loop_s
from provider.store.etcd.gateway import Compare, EtcdRefused, EtcdUncertain, Get, Target
from provider.store.etcd.leader import Term
from provider.store.etcd.limits import REQUEST_BYTES, check_size
from provider.store.etcd.rows import Book, Entry, batches
from provider.store.records import StoredServers

RETRY_S = 0.1
ANSWER_S = 4.0
ROWS_MOST = 100


class Observations:
    """Puts rows of servers, in as many transactions as it takes."""

    def __init__(self, term: Term, book: Book) -> None:
        self._term, self._book = term, book

    async def save(self, servers: Mapping[str, StoredServers]) -> None:
        """Put the servers of services. Raises StoreError, StoreUncertain and LeadershipLost; some may be there then."""
        rows = [Entry(each, put) for each in self._book.compose_servers(servers) for put in self._book.puts(each)]
        for batch in batches(rows, ROWS_MOST, REQUEST_BYTES // 2):
            await self._put(batch)

    async def _put(self, batch: list[Entry]) -> None:
        check_size([each.put for each in batch])
        self._book.doubt_servers(each.composed for each in batch)
        end_s = loop_s() + ANSWER_S
        doubt: EtcdUncertain | None = None
        while True:
            try:
                if await self._try(batch):
                    return
            except EtcdUncertain as failure:
                doubt = failure
            except EtcdRefused:
                if doubt is None:
                    raise
            if loop_s() >= end_s:
                raise StoreUncertain(f"it is unknown whether the servers were written: {doubt}") from doubt
            await asyncio.sleep(RETRY_S)

    async def _try(self, batch: list[Entry]) -> bool:
        """Put rows once; return False where they are not as they were known."""
        known = self._book.revisions
        compares = [Compare(each.put.key, Target.MOD, known.get(each.put.key, 0)) for each in batch]
        answer = await self._term.gateway.transact(
            [self._term.leads, *compares],
            [each.put for each in batch],
            [self._term.who, *(Get(each.put.key) for each in batch)],
        )
        if answer.succeeded:
            for each in batch:
                self._book.adopt(each.composed, answer.revision)
            return True
        leader, *found = answer.found
        if self._term.is_over(leader):
            raise self._term.ended(leader)
        for each, row in zip(batch, found, strict=True):
            known[each.put.key] = row[0].mod_revision if row else 0
        return False
