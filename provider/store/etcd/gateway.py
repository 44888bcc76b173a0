"""What the store needs of etcd, whoever answers: etcd's JSON gateway, or a model of it.

Keys and values are bytes, revisions are etcd's (one for the whole cluster, from 1 on). Every method sends its request
once and never again: whether it was done, surely was not, or is unknown is the caller's to deal with.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

from provider.model.errors import StoreError, StoreUncertain


class EtcdRefused(StoreError):  # noqa: N818
    """A request that was surely not done: nothing was sent, or etcd refused it before it did anything."""


class EtcdUncertain(StoreUncertain):
    """A request whose outcome is unknown: no answer came, or one that does not say (a timeout, a reset, a 5xx)."""


@dataclass(frozen=True, slots=True)
class KeyValue:
    """A key as it is at one revision of the store; `lease` is 0 where it hangs on none."""

    key: bytes
    value: bytes
    create_revision: int
    mod_revision: int
    version: int = 1
    lease: int = 0


class Target(StrEnum):
    """What of a key a transaction compares: a key that is not there has 0 for both."""

    CREATE = "CREATE"
    MOD = "MOD"


@dataclass(frozen=True, slots=True)
class Compare:
    """The condition that a key's revision is exactly this one."""

    key: bytes
    target: Target
    revision: int


@dataclass(frozen=True, slots=True)
class Get:
    """Read a key, or all keys from `key` up to `end` (not with it); `limit` 0 is no limit.

    With a `revision` it reads what was there then; EtcdRefused where that is compacted. Where all of a transaction is
    `is_serializable` reading, the member that is asked answers from what it has, also without a quorum: it may be old.
    """

    key: bytes
    end: bytes | None = None
    limit: int = 0
    is_descending: bool = False
    revision: int = 0
    is_serializable: bool = False


@dataclass(frozen=True, slots=True)
class Put:
    """Put a key; with a `lease` it goes when that ends."""

    key: bytes
    value: bytes
    lease: int = 0


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a key, or all keys from `key` up to `end`."""

    key: bytes
    end: bytes | None = None


Operation: TypeAlias = Get | Put | Delete
KeyRange: TypeAlias = tuple[bytes, bytes]
"""The keys from the first up to the second, not with it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a transaction did: `found` has what each operation of the branch taken has read, () for those that write.

    `revision` is that of the store afterwards; `member` is who answered, for the log.
    """

    succeeded: bool
    revision: int
    found: tuple[tuple[KeyValue, ...], ...]
    member: str = ""


@dataclass(frozen=True, slots=True)
class Changes:
    """All that one revision changed in one range of a watch: keys that were put, and keys that were deleted."""

    revision: int
    put: tuple[KeyValue, ...] = ()
    deleted: tuple[bytes, ...] = ()


class Gateway(Protocol):
    """See the module. Every method raises EtcdRefused or EtcdUncertain, within its own limit of time."""

    async def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        """Do all of `then` at one revision if every compare holds, else all of `otherwise`.

        It is linearizable where it has a Put, a Delete or a Get; etcd answers one that only compares from what the
        member happens to know.
        """
        ...

    async def grant(self, ttl_s: int) -> int:
        """Make a lease; return its id."""
        ...

    async def keep_alive(self, lease: int) -> bool:
        """Have a lease begin again; return whether it is still there."""
        ...

    async def revoke(self, lease: int) -> None:
        """End a lease, and delete the keys that hang on it."""
        ...

    def watch(
        self, ranges: Sequence[KeyRange], from_revision: int
    ) -> AbstractAsyncContextManager[AsyncIterator[Changes]]:
        """Follow ranges of keys from a revision on, until the block is left; it begins once etcd has confirmed all.

        Changes come in the order of their revisions within a range, but not from one range to another. The block or
        the iterator raises EtcdUncertain when the connection ends or the member has no leader, and EtcdRefused where
        the revision is compacted. Each watch goes to another member than the one before, where there is one.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
