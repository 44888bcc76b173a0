"""What the store keeps, and its JSON: one text a row, written and read by pydantic.

A new field needs a default; older rows then load as they are. A field that goes, or means something else than before,
needs a migration in `database.py`: a key that no field knows is refused, it may be a decision with a slip of the pen.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from provider.errors import StoreError
from provider.model import ByColour, Decision, GroupState, Server, ServerKey, ServiceState
from provider.render import Document
from provider.rest import Applied

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StoredServers:
    """The servers of one service as last seen; `published` are those in the last document.

    Monotonic times do not outlive a process: `leaving_mono_s` is not kept and loads as None. Nor is kept what the next
    list tells.
    """

    colours: ByColour[tuple[Server, ...]] = field(default_factory=lambda: ByColour((), ()))
    published: frozenset[ServerKey] = frozenset()


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """The document that all else in the store gives; `terms` are the circumstances under which it was made."""

    document: Document
    terms: str


@dataclass(frozen=True, slots=True)
class Stored:
    """All that a start needs. No document had a revision above `revision`; `desired_text` is the last good file.

    There is a `document` only where nothing was written after it. `applied` is the text that every Traefik applied
    last.
    """

    services: Mapping[str, ServiceState]
    groups: Mapping[str, GroupState]
    servers: Mapping[str, StoredServers]
    desired_text: str | None
    revision: int
    document: StoredDocument | None = None
    applied: Applied | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Whole states, to be put in place of the stored ones, and the decisions that explain them."""

    services: Mapping[str, ServiceState] = field(default_factory=dict)
    groups: Mapping[str, GroupState] = field(default_factory=dict)
    servers: Mapping[str, StoredServers] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()


class Rows(Generic[T]):
    """One table of JSON rows."""

    def __init__(self, table: str, adapter: TypeAdapter[list[T]]) -> None:
        self.table = table
        self._adapter = adapter

    def text(self, value: T) -> str:
        """Return the JSON of one row."""
        return self._adapter.dump_json([value], exclude=PROCESS_BOUND)[1:-1].decode()

    def load(self, rows: Sequence[tuple[str | int, str]]) -> tuple[T, ...]:
        """Read rows of (key, JSON), all in one go; raise StoreError naming the first that cannot be read."""
        try:
            return tuple(self._adapter.validate_json("[" + ",".join(text for _, text in rows) + "]"))
        except ValidationError:
            for key, text in rows:
                self._read(key, text)
            raise

    def _read(self, key: str | int, text: str) -> None:
        try:
            self._adapter.validate_json(f"[{text}]")
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"][1:])
            raise StoreError(
                f"bluegreen.db: row {key!r} of table {self.table} cannot be read: {place or 'the row'}: "
                f"{first['msg']}. Correct the row with sqlite3, or restore bluegreen.db from a backup"
            ) from error


OF_THE_PROCESS = {"leaving_mono_s", "leaving_limit_s", "died_mono_s"}
OF_THE_NEXT_LIST = {"parts", "routes", "is_told", "guess", "twin"}
PROCESS_BOUND: Mapping[str, Any] = {
    "__all__": {
        "colours": {colour: {"__all__": OF_THE_PROCESS | OF_THE_NEXT_LIST} for colour in ("blue", "green")},
        "lease": {"until_mono_s"},
    }
}
ROW = ConfigDict(extra="forbid")
SERVICES = Rows("services", TypeAdapter(list[ServiceState], config=ROW))
GROUPS = Rows("groups", TypeAdapter(list[GroupState], config=ROW))
SERVERS = Rows("servers", TypeAdapter(list[StoredServers], config=ROW))
DECISIONS = Rows("decisions", TypeAdapter(list[Decision], config=ROW))
