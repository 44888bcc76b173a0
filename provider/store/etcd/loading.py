"""What a term begins with: everything of the store at one revision, in pages."""

from collections.abc import Sequence
from dataclasses import dataclass

from provider.runtime.timeslice import uncollected
from provider.store.etcd.documents import known_head, read_applied, read_desired
from provider.store.etcd.gateway import Gateway, Get, KeyRange, KeyValue
from provider.store.etcd.head import Head, read_head
from provider.store.etcd.keys import Keys
from provider.store.etcd.leader import Term
from provider.store.etcd.packing import damaged
from provider.store.etcd.rows import Book
from provider.store.records import Stored

PAGE = 512


@dataclass(frozen=True, slots=True)
class Loaded:
    """What the store needs, and `stored` what the controller needs."""

    stored: Stored
    book: Book
    head: Head
    head_revision: int
    singles: dict[bytes, KeyValue]


async def load(term: Term) -> Loaded:
    """Read everything while this term is in force. Raises StoreError, LeadershipLost."""
    keys = term.keys
    stated = (keys.head, keys.document, keys.desired, keys.applied, keys.floor, keys.format)
    names = (*stated, keys.certificate, keys.notified)
    answer = await term.gateway.transact([term.leads], [Get(name) for name in names], [term.who])
    if not answer.succeeded:
        raise term.ended(answer.found[0])
    singles = {name: found[0] for name, found in zip(names, answer.found, strict=True) if found}
    book = Book(keys)
    book.load(*await read_ranges(term.gateway, (keys.groups, keys.servers), answer.revision))
    head, head_revision = read_head(_of(singles, keys.head))
    return Loaded(await stored_of(keys, book, singles), book, head, head_revision, singles)


async def load_committed(gateway: Gateway, keys: Keys) -> Stored:
    """Read what is committed, as one member has it, also without a quorum; it may be old. Raises StoreError."""
    names = (keys.document, keys.desired, keys.applied, keys.floor)
    answer = await gateway.transact((), [Get(name, is_serializable=True) for name in names])
    singles = {name: found[0] for name, found in zip(names, answer.found, strict=True) if found}
    book = Book(keys)
    book.load(*await read_ranges(gateway, (keys.groups, keys.servers), answer.revision, is_serializable=True))
    return await stored_of(keys, book, singles)


async def stored_of(keys: Keys, book: Book, singles: dict[bytes, KeyValue]) -> Stored:
    """Read what the controller needs. Raises StoreError."""
    with uncollected():
        services, groups, servers = await book.stored()
    desired, applied, document = (singles.get(key) for key in (keys.desired, keys.applied, keys.document))
    head = known_head(document.value, document.key) if document is not None else None
    revision = head.revision if head is not None else 0
    return Stored(
        services=services,
        groups=groups,
        servers=servers,
        desired_text=read_desired(desired.value, desired.key) if desired is not None else None,
        revision=max(revision, read_floor(singles.get(keys.floor))),
        applied=read_applied(applied.value, applied.key) if applied is not None else None,
    )


def read_floor(found: KeyValue | None) -> int:
    """Return the revision that every document has to be above, 0 where there is none (rule 57). Raises StoreError."""
    if found is None:
        return 0
    if not found.value.isdigit() or len(found.value) > 18:
        raise damaged(found.key, "it is no revision")
    return int(found.value)


async def read_range(gateway: Gateway, keys: KeyRange, revision: int) -> list[KeyValue]:
    """Read all keys of a range as they were at a revision. Raises StoreError."""
    (found,) = await read_ranges(gateway, (keys,), revision)
    return found


async def read_ranges(
    gateway: Gateway, ranges: Sequence[KeyRange], revision: int, *, is_serializable: bool = False
) -> list[list[KeyValue]]:
    """Read all keys of ranges as they were at a revision, a page of each at a time. Raises StoreError."""
    found: list[list[KeyValue]] = [[] for _ in ranges]
    left = dict(enumerate(ranges))
    while left:
        gets = [
            Get(start, end, PAGE, revision=revision, is_serializable=is_serializable) for start, end in left.values()
        ]
        answer = await gateway.transact((), gets)
        for number, page in zip(tuple(left), answer.found, strict=True):
            found[number] += page
            if len(page) < PAGE:
                del left[number]
            else:
                left[number] = (page[-1].key + b"\0", ranges[number][1])
    return found


def _of(singles: dict[bytes, KeyValue], key: bytes) -> Sequence[KeyValue]:
    found = singles.get(key)
    return (found,) if found is not None else ()
