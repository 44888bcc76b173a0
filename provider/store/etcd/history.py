"""The history: a row for each commit that has decisions, under the number of the last of them."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

import orjson

from provider.model import Decision
from provider.store.etcd.gateway import Gateway, Get, KeyValue
from provider.store.etcd.head import Head
from provider.store.etcd.keys import Keys
from provider.store.etcd.packing import RESTORE, damaged, packed, unpacked
from provider.store.records import DECISIONS

PAGE = 256
HISTORY_KEPT = 10_000
"""Decisions that the history keeps."""


def history_row(head: Head, decisions: Sequence[str]) -> bytes:
    """Return the row of a commit. It names the attempt, by which it is found that this one stands."""
    text = f'{{"seq":{head.seq},"id":"{head.id}","decisions":[{",".join(decisions)}]}}'
    return packed(text.encode())


async def read_history(
    gateway: Gateway,
    keys: Keys,
    *,
    service: str | None,
    since: datetime | None,
    limit: int,
    kept: int,
    is_serializable: bool = False,
) -> tuple[Decision, ...]:
    """Return decisions, newest first; of all there are, the last `kept`. Raises StoreError.

    With `is_serializable` as one member has them, also without a quorum.
    """
    found: list[Decision] = []
    async for row in _rows(gateway, keys, is_serializable=is_serializable):
        if kept <= 0 or len(found) >= limit:
            break
        decisions = decisions_of(row)[::-1][:kept]
        kept -= len(decisions)
        found += [
            each for each in decisions if service in {None, each.service} and (since is None or each.at_utc >= since)
        ]
    return tuple(found[:limit])


def decisions_of(row: KeyValue) -> tuple[Decision, ...]:
    """Read a row of the history. Raises StoreError."""
    try:
        decisions = orjson.loads(unpacked(row.value, row.key))["decisions"]
        texts = [orjson.dumps(each).decode() for each in decisions]
    except (ValueError, KeyError, TypeError) as error:
        raise damaged(row.key, str(error)) from error
    return DECISIONS.load([(row.key.decode(errors="replace"), text) for text in texts], place="etcd", way_out=RESTORE)


async def _rows(gateway: Gateway, keys: Keys, *, is_serializable: bool) -> AsyncIterator[KeyValue]:
    """Read the rows from the newest on, in pages."""
    start, end = keys.history
    while True:
        answer = await gateway.transact(
            (), [Get(start, end, limit=PAGE, is_descending=True, is_serializable=is_serializable)]
        )
        for row in answer.found[0]:
            yield row
        if len(answer.found[0]) < PAGE:
            return
        end = answer.found[0][-1].key
