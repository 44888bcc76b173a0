"""The rows of a term as they are in etcd: a rollout group has one of its decisions, one of its servers (rule 52).

A row is put as a whole, so it is composed of what is known of the others in its group, in the store's own turn. A
service that moves to another group is in the row of both until there is room to put the old one, too; the newer counts.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NotRequired, TypeVar

import orjson
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from provider.model import GroupState, ServiceState
from provider.model.desired import key_of
from provider.model.errors import ChangeTooLarge, StoreError
from provider.store.etcd.gateway import KeyValue, Put
from provider.store.etcd.keys import Keys
from provider.store.etcd.limits import MEMBERS_MOST, OPERATIONS_MOST
from provider.store.etcd.packing import RESTORE, damaged, packed, unpacked
from provider.store.records import GROUPS, ROW, SERVERS, SERVICES, Change, StoredServers

T = TypeVar("T")

SPARE = 8
"""Operations of a commit that are no rows, and a few more."""
ROWS_AT_ONCE = 100
"""Read before others have their turn: some two milliseconds. Those of 50,000 services take longer than half a lease."""


@dataclass(frozen=True, slots=True)
class Row:
    """The JSON of a group's own state (None: it has none, or this row is about servers) and of each member."""

    members: Mapping[str, str] = field(default_factory=dict)
    own: str | None = None

    def text(self, name: str) -> bytes:
        """Return the JSON of the row; `name` is what it calls its members."""
        members = ",".join(f"{orjson.dumps(member).decode()}:{text}" for member, text in self.members.items())
        own = f'"group":{self.own},' if self.own is not None else ""
        return packed(f'{{{own}"{name}":{{{members}}}}}'.encode())


class Table:
    """Rows by group. `stale` are those of which etcd has, or may have, another one: a member has moved away."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._rows: dict[str, Row | KeyValue] = {}
        self._places: dict[str, str] = {}
        self.stale: set[str] = set()

    def place(self, member: str) -> str | None:
        """Return the group whose row a member is in."""
        return self._places.get(member)

    def load(self, key: str, found: KeyValue) -> None:
        """Take a row from etcd; it is read by `texts`, or when it is needed."""
        self._rows[key] = found

    def texts(self) -> list[tuple[str, bytes]]:
        """Return the JSON of the rows that were loaded, older ones first. Raises StoreError."""
        rows = [(key, row) for key, row in self._rows.items() if isinstance(row, KeyValue)]
        rows.sort(key=lambda row: row[1].mod_revision)
        return [(key, unpacked(row.value, row.key)) for key, row in rows]

    def hold(self, key: str, members: Iterable[str]) -> None:
        """Note that members are in this row, and not in an older one."""
        for member in members:
            before = self._places.get(member)
            if before is not None and before != key:
                self._leave(member, before)
            self._places[member] = key

    def row(self, key: str) -> Row:
        """Return a row; one that was loaded is read when it is needed. Raises StoreError."""
        row = self._rows.get(key, Row())
        if isinstance(row, KeyValue):
            row = self._rows[key] = self._read(row)
        return row

    def _read(self, found: KeyValue) -> Row:
        try:
            read = orjson.loads(unpacked(found.value, found.key))
            own = read.get("group")
            members = {name: orjson.dumps(text).decode() for name, text in read[self._name].items()}
        except (ValueError, KeyError, AttributeError) as error:
            raise damaged(found.key, str(error) or "it is no row") from error
        return Row(members, None if own is None else orjson.dumps(own).decode())

    def composed(self, members: Mapping[str, Mapping[str, str]], own: Mapping[str, str]) -> dict[str, Row]:
        """Return rows with these members (by group, then name), and states of groups, in place of those there are.

        Raises ChangeTooLarge for a group that has too many.
        """
        rows: dict[str, Row] = {}
        for key in {**members, **own}:
            before = self.row(key)
            row = rows[key] = Row({**before.members, **members.get(key, {})}, own.get(key, before.own))
            if len(row.members) > MEMBERS_MOST:
                raise ChangeTooLarge(
                    f"group {key.removeprefix('@')} has {len(row.members)} services, and a group in etcd may have "
                    f"{MEMBERS_MOST}, with those that it once had: nothing was changed. Make it two groups"
                )
        return rows

    def adopt(self, rows: Mapping[str, Row]) -> None:
        """Take rows over that are in etcd now."""
        self.stale -= rows.keys()
        for key, row in rows.items():
            self._rows[key] = row
            self.hold(key, row.members)

    def leftover(self, but: Iterable[str]) -> dict[str, Row]:
        """Return rows that etcd has with a member that moved away."""
        return {key: self.row(key) for key in sorted(self.stale - set(but))}

    def _leave(self, member: str, key: str) -> None:
        row = self.row(key)
        self._rows[key] = Row({name: text for name, text in row.members.items() if name != member}, row.own)
        self.stale.add(key)


@dataclass(frozen=True, slots=True)
class Composed:
    """Rows to put, and to take over once they are there."""

    groups: Mapping[str, Row]
    servers: Mapping[str, Row]


class _GroupRow(TypedDict):
    group: NotRequired[GroupState | None]
    services: dict[str, ServiceState]


class _ServerRow(TypedDict):
    servers: dict[str, StoredServers]


_GROUP_ROWS = TypeAdapter(list[_GroupRow], config=ROW)
_SERVER_ROWS = TypeAdapter(list[_ServerRow], config=ROW)


def _slices(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[begin : begin + ROWS_AT_ONCE] for begin in range(0, len(rows), ROWS_AT_ONCE))


def _valid(adapter: TypeAdapter[list[T]], rows: Sequence[tuple[str, bytes]]) -> list[T]:
    """Read the JSON of rows, all in one go. Raises StoreError naming the first that cannot be read."""
    try:
        return adapter.validate_json(b"[" + b",".join(text for _, text in rows) + b"]")
    except ValidationError:
        for key, text in rows:
            try:
                adapter.validate_json(b"[" + text + b"]")
            except ValidationError as error:
                first = error.errors(include_url=False)[0]
                raise StoreError(
                    f"etcd: the row of group {key} cannot be read: {_field(first['loc'])}: {first['msg']}. {RESTORE}"
                ) from error
        raise


def _field(place: Sequence[int | str]) -> str:
    """Return a place in a row without the names that lead to the state of a service or a group."""
    return ".".join(map(str, place[3:] if place[1:2] != ("group",) else place[2:])) or "the row"


class Book:
    """Both tables of a term. `revisions` are those of the rows of servers, by key."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._groups, self._servers = Table("services"), Table("servers")
        self.revisions: dict[bytes, int] = {}

    def load(self, groups: Iterable[KeyValue], servers: Iterable[KeyValue]) -> None:
        """Take all rows that etcd has. Raises StoreError."""
        for table, rows, (start, _) in (
            (self._groups, groups, self._keys.groups),
            (self._servers, servers, self._keys.servers),
        ):
            for found in rows:
                table.load(found.key[len(start) :].decode(errors="replace"), found)
                if table is self._servers:
                    self.revisions[found.key] = found.mod_revision

    async def stored(self) -> tuple[dict[str, ServiceState], dict[str, GroupState], dict[str, StoredServers]]:
        """Read all rows that were loaded, some at a time, so that the lease is kept meanwhile. Raises StoreError."""
        services: dict[str, ServiceState] = {}
        groups: dict[str, GroupState] = {}
        servers: dict[str, StoredServers] = {}
        for of_groups in _slices(self._groups.texts()):
            for (key, _), row in zip(of_groups, _valid(_GROUP_ROWS, of_groups), strict=True):
                self._groups.hold(key, row["services"])
                services |= row["services"]
                if (state := row.get("group")) is not None:
                    groups[key] = state
            await asyncio.sleep(0)
        for of_servers in _slices(self._servers.texts()):
            for (key, _), seen in zip(of_servers, _valid(_SERVER_ROWS, of_servers), strict=True):
                self._servers.hold(key, seen["servers"])
                servers |= seen["servers"]
            await asyncio.sleep(0)
        return services, groups, servers

    def compose(self, change: Change) -> Composed:
        """Return the rows that a change makes. Raises StoreError."""
        members: dict[str, dict[str, str]] = {}
        places: dict[str, str] = {}
        for name, state in change.services.items():
            places[name] = key_of(name, state.group)
            members.setdefault(places[name], {})[name] = SERVICES.text(state)
        own = {key: GROUPS.text(state) for key, state in change.groups.items()}
        return self._with_leftovers(
            Composed(self._groups.composed(members, own), self._rows_of_servers(change.servers, places))
        )

    def doubt_servers(self, composed: Iterable[Composed]) -> None:
        """Take that etcd may have these rows, until they are adopted."""
        self._servers.stale.update(key for each in composed for key in each.servers)

    def compose_servers(self, servers: Mapping[str, StoredServers]) -> list[Composed]:
        """Return the rows that servers make and etcd does not surely have, each by itself. Raises StoreError."""
        table, rows = self._servers, self._rows_of_servers(servers, {})
        rows = {key: row for key, row in rows.items() if key in table.stale or row != table.row(key)}
        return [Composed({}, {key: row}) for key, row in {**rows, **table.leftover(rows)}.items()]

    def puts(self, composed: Composed) -> list[Put]:
        """Return the operations that put rows."""
        return [
            *(Put(self._keys.group(key), row.text("services")) for key, row in composed.groups.items()),
            *(Put(self._keys.seen(key), row.text("servers")) for key, row in composed.servers.items()),
        ]

    def adopt(self, composed: Composed, revision: int) -> None:
        """Take rows over that etcd has since a revision."""
        self._groups.adopt(composed.groups)
        self._servers.adopt(composed.servers)
        self.revisions |= dict.fromkeys((self._keys.seen(key) for key in composed.servers), revision)

    def _rows_of_servers(self, servers: Mapping[str, StoredServers], places: Mapping[str, str]) -> dict[str, Row]:
        members: dict[str, dict[str, str]] = {}
        for name, seen in servers.items():
            key = places.get(name) or self._groups.place(name) or name
            members.setdefault(key, {})[name] = SERVERS.text(seen)
        return self._servers.composed(members, {})

    def _with_leftovers(self, composed: Composed) -> Composed:
        """Add rows of groups that a member has left, as far as there is room; they can wait."""
        room = OPERATIONS_MOST - SPARE - len(composed.groups) - len(composed.servers)
        left = dict(list(self._groups.leftover(composed.groups).items())[: max(0, room)])
        return Composed({**composed.groups, **left}, composed.servers)


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of servers, and the operation that puts it."""

    composed: Composed
    put: Put


def batches(rows: Iterable[Entry], most: int, most_bytes: int) -> Iterable[list[Entry]]:
    """Split rows into transactions of so many keys and bytes."""
    batch: list[Entry] = []
    size = 0
    for row in rows:
        if batch and (len(batch) >= most or size + len(row.put.value) > most_bytes):
            yield batch
            batch, size = [], 0
        batch.append(row)
        size += len(row.put.value)
    if batch:
        yield batch
