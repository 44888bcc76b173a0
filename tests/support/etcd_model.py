"""A model of etcd: revisions, transactions, leases, compaction, and all that ever happened.

It is one state that changes in one order, as Raft makes of a cluster; what a network and processes do to that is in
`etcd_network`. A test holds it against a real etcd (tests/integration/test_etcd_model.py).
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import assert_never

from provider.store.etcd.gateway import (
    Answer,
    Changes,
    Compare,
    Delete,
    EtcdRefused,
    Get,
    KeyValue,
    Operation,
    Put,
    Target,
)

OPERATIONS_MOST = 128
REQUEST_BYTES_MOST = 3 << 19
"""1.5 MiB, as etcd has it."""


LOST_TTL_S = 3
"""What a lease that has ended gets when a backup has it."""


@dataclass(slots=True)
class Lease:
    """Ends at `ends_s`, or when etcd looks next."""

    ttl_s: int
    ends_s: float
    keys: dict[bytes, None] = field(default_factory=dict)


class Etcd:
    """See the module. Times are the caller's; `log` has every revision there was, compacted or not."""

    def __init__(self) -> None:
        self.revision = 1
        self.compacted = 0
        self.log: list[Changes] = []
        self.on_revision: list[Callable[[Changes], None]] = []
        self._now: dict[bytes, KeyValue] = {}
        self._past: dict[bytes, list[tuple[int, KeyValue | None]]] = {}
        self._sorted: list[bytes] = []
        self._leases: dict[int, Lease] = {}
        self._granted = 0

    # --- keys ---------------------------------------------------------------------------------------------------------

    def transact(
        self, compares: Sequence[Compare], then: Sequence[Operation], otherwise: Sequence[Operation] = ()
    ) -> Answer:
        """Do what `Gateway.transact` says."""
        for operations in (compares, then, otherwise):
            if len(operations) > OPERATIONS_MOST:
                raise EtcdRefused("too many operations in txn request")
        _refuse_doubles(then)
        _refuse_doubles(otherwise)
        if _size(then) + _size(otherwise) > REQUEST_BYTES_MOST:
            raise EtcdRefused("request is too large")
        succeeded = all(self._holds(compare) for compare in compares)
        taken = then if succeeded else otherwise
        for operation in taken:
            if isinstance(operation, Put) and operation.lease and operation.lease not in self._leases:
                raise EtcdRefused("requested lease not found")
            if isinstance(operation, Get) and not self._is_readable(operation.revision):
                raise EtcdRefused(f"revision {operation.revision} is compacted or not yet there")
        changed: dict[bytes, KeyValue | None] = {}
        found = tuple(self._do(operation, changed) for operation in taken)
        self._end_revision(changed)
        return Answer(succeeded, self.revision, found, "model")

    def compact(self, revision: int) -> None:
        """Forget how keys were before a revision."""
        if not self.compacted < revision <= self.revision:
            raise EtcdRefused(f"revision {revision} is compacted or not yet there")
        self.compacted = revision

    def since(self, revision: int) -> Sequence[Changes]:
        """Return what happened from a revision on; raise EtcdRefused where that is compacted.

        Of the very revision that it was compacted to etcd 3.4 does not know any more which keys that deleted.
        """
        if revision < self.compacted:
            raise EtcdRefused(f"revision {revision} is compacted, up to {self.compacted}")
        found = self.log[bisect_left(self.log, revision, key=lambda changes: changes.revision) :]
        if found and found[0].revision == self.compacted:
            found[0] = replace(found[0], deleted=())
        return found

    def _holds(self, compare: Compare) -> bool:
        found = self._now.get(compare.key)
        match compare.target:
            case Target.CREATE:
                return (found.create_revision if found else 0) == compare.revision
            case Target.MOD:
                return (found.mod_revision if found else 0) == compare.revision
            case _:
                assert_never(compare.target)

    def _do(self, operation: Operation, changed: dict[bytes, KeyValue | None]) -> tuple[KeyValue, ...]:
        match operation:
            case Get():
                found = self._read(operation)
                if operation.is_descending:
                    found.reverse()
                return tuple(found[: operation.limit or None])
            case Put():
                self._put(operation, changed)
            case Delete():
                for key in self._range(operation.key, operation.end):
                    self._delete(key, changed)
            case _:
                assert_never(operation)
        return ()

    def _is_readable(self, revision: int) -> bool:
        return revision == 0 or self.compacted <= revision <= self.revision

    def _read(self, get: Get) -> list[KeyValue]:
        if get.revision == 0:
            return [self._now[key] for key in self._range(get.key, get.end)]
        end = get.key + b"\0" if get.end is None else get.end
        keys = sorted(key for key in self._past if get.key <= key < end)
        found = [self._at(key, get.revision) for key in keys]
        return [one for one in found if one is not None]

    def _at(self, key: bytes, revision: int) -> KeyValue | None:
        versions = self._past[key]
        place = bisect_right(versions, revision, key=lambda version: version[0])
        return versions[place - 1][1] if place else None

    def _put(self, put: Put, changed: dict[bytes, KeyValue | None]) -> None:
        was, revision = self._now.get(put.key), self.revision + 1
        if was is None:
            insort(self._sorted, put.key)
            now = KeyValue(put.key, put.value, revision, revision, 1, put.lease)
        else:
            if was.lease:
                del self._leases[was.lease].keys[put.key]
            now = replace(was, value=put.value, mod_revision=revision, version=was.version + 1, lease=put.lease)
        if put.lease:
            self._leases[put.lease].keys[put.key] = None
        self._now[put.key] = changed[put.key] = now

    def _delete(self, key: bytes, changed: dict[bytes, KeyValue | None]) -> None:
        was = self._now.pop(key)
        del self._sorted[bisect_left(self._sorted, key)]
        if was.lease:
            del self._leases[was.lease].keys[key]
        changed[key] = None

    def _end_revision(self, changed: dict[bytes, KeyValue | None]) -> None:
        if not changed:
            return
        self.revision += 1
        for key, now in changed.items():
            self._past.setdefault(key, []).append((self.revision, now))
        put = tuple(after for after in changed.values() if after is not None)
        deleted = tuple(key for key, after in changed.items() if after is None)
        changes = Changes(self.revision, put, deleted)
        self.log.append(changes)
        for tell in tuple(self.on_revision):
            tell(changes)

    def _range(self, key: bytes, end: bytes | None) -> list[bytes]:
        if end is None:
            return [key] if key in self._now else []
        return self._sorted[bisect_left(self._sorted, key) : bisect_left(self._sorted, end)]

    # --- leases -------------------------------------------------------------------------------------------------------

    def grant(self, ttl_s: int, now_s: float) -> int:
        """Do what `Gateway.grant` says."""
        self._granted += 1
        self._leases[self._granted] = Lease(ttl_s, now_s + ttl_s)
        return self._granted

    def keep_alive(self, lease: int, now_s: float) -> bool:
        """Do what `Gateway.keep_alive` says."""
        found = self._leases.get(lease)
        if found is not None:
            found.ends_s = now_s + found.ttl_s
        return found is not None

    def revoke(self, lease: int) -> None:
        """Do what `Gateway.revoke` says: the keys go at one revision."""
        found = self._leases.get(lease)
        if found is None:
            return
        changed: dict[bytes, KeyValue | None] = {}
        for key in sorted(found.keys):
            self._delete(key, changed)
        del self._leases[lease]
        self._end_revision(changed)

    def restore(self, revision: int, now_s: float) -> None:
        """Become what a backup of a revision has. The leases of its keys begin again; revisions go on from there."""
        ttls = {lease: found.ttl_s for lease, found in self._leases.items()}
        self.revision, self.compacted = revision, min(self.compacted, revision)
        self.log = [changes for changes in self.log if changes.revision <= revision]
        for key, versions in self._past.items():
            self._past[key] = [version for version in versions if version[0] <= revision]
        kept = {key: versions[-1][1] for key, versions in self._past.items() if versions}
        self._now = {key: found for key, found in kept.items() if found is not None}
        self._sorted = sorted(self._now)
        self._leases = {}
        for key, found in self._now.items():
            if found.lease:
                ttl_s = ttls.get(found.lease, LOST_TTL_S)
                lease = self._leases.setdefault(found.lease, Lease(ttl_s, now_s + ttl_s))
                lease.keys[key] = None

    def lease_of(self, key: bytes) -> int:
        """Return the lease that a key hangs on, 0 for none."""
        found = self._now.get(key)
        return found.lease if found is not None else 0

    def expire(self, now_s: float) -> None:
        """Revoke the leases that have ended."""
        for lease in [lease for lease, found in self._leases.items() if found.ends_s <= now_s]:
            self.revoke(lease)

    def extend(self, now_s: float) -> None:
        """Let every lease begin again, as a new leader of etcd does, who does not know when they were kept alive."""
        for lease in self._leases:
            self.keep_alive(lease, now_s)


def within(changes: Changes, key: bytes, end: bytes) -> Changes | None:
    """Return what concerns a range of keys, None where nothing does."""
    put = tuple(one for one in changes.put if key <= one.key < end)
    deleted = tuple(one for one in changes.deleted if key <= one < end)
    return Changes(changes.revision, put, deleted) if put or deleted else None


def _size(operations: Sequence[Operation]) -> int:
    return sum(len(one.key) + (len(one.value) if isinstance(one, Put) else 0) for one in operations)


def _refuse_doubles(operations: Sequence[Operation]) -> None:
    """Refuse what puts a key twice, or puts and deletes it: etcd has no order within a transaction."""
    puts = [one.key for one in operations if isinstance(one, Put)]
    deletes = [(one.key, one.end or one.key + b"\0") for one in operations if isinstance(one, Delete)]
    if len(set(puts)) < len(puts) or any(start <= key < end for key in puts for start, end in deletes):
        raise EtcdRefused("duplicate key given in txn request")
