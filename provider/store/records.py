"""What every store keeps, and its JSON: one text per row, written and read by pydantic.

A new field needs a default; older rows then load as they are. A field that goes, or means something else than before,
needs a migration in `sqlite/schema.py` and another format in `etcd/format.py`: an unknown key is refused, as it may be
a misspelt decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from provider.model import ByColour, Decision, GroupState, Server, ServerKey, ServiceState
from provider.model.document import AppliedText, text_key
from provider.model.errors import StoreConflict, StoreError

T = TypeVar("T")

CORRECT = "Correct the row with sqlite3, or restore bluegreen.db from a backup"


@dataclass(frozen=True, slots=True)
class StoredServers:
    """The servers of one service as last seen; `published` are those in the last document.

    Monotonic times do not outlive a process: `leaving_mono_s` is not kept and loads as None. What the next list has is
    not kept either.
    """

    colours: ByColour[tuple[Server, ...]] = field(default_factory=lambda: ByColour((), ()))
    published: frozenset[ServerKey] = frozenset()


@dataclass(frozen=True, slots=True)
class Stored:
    """Everything that a start needs. No document had a revision above `revision`; `desired_text` is the last good file.

    `applied` is the text that every Traefik applied last.
    """

    services: Mapping[str, ServiceState]
    groups: Mapping[str, GroupState]
    servers: Mapping[str, StoredServers]
    desired_text: str | None
    revision: int
    applied: AppliedText | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Whole states, to be put in place of the stored ones, and the decisions that explain them.

    `desired_text` and `applied` are texts that the store does not have yet: a start on those before would undo the
    decisions. They stay true where the decisions are undone.
    """

    services: Mapping[str, ServiceState] = field(default_factory=dict)
    groups: Mapping[str, GroupState] = field(default_factory=dict)
    servers: Mapping[str, StoredServers] = field(default_factory=dict)
    decisions: tuple[Decision, ...] = ()
    desired_text: str | None = None
    applied: AppliedText | None = None


def refuse_other(text: str | None, expect: str) -> None:
    """Raise StoreConflict unless the stored text is the one with this hash."""
    if text is None:
        raise StoreConflict(f"no desired state is stored, and {expect} was expected; nothing was changed")
    if text_key(text) != expect:
        raise StoreConflict(
            f"the desired state that is stored is {text_key(text)}, and {expect} was expected; nothing was changed"
        )


class Rows(Generic[T]):
    """One table of JSON rows."""

    def __init__(self, table: str, adapter: TypeAdapter[list[T]]) -> None:
        self.table = table
        self._adapter = adapter

    def text(self, value: T) -> str:
        """Return the JSON of one row."""
        return self._adapter.dump_json([value], exclude=EXCLUDED)[1:-1].decode()

    def load(
        self, rows: Sequence[tuple[str | int, str]], *, place: str = "bluegreen.db", way_out: str = CORRECT
    ) -> tuple[T, ...]:
        """Read rows of (key, JSON), all in one go; raise StoreError naming the first that cannot be read."""
        try:
            return tuple(self._adapter.validate_json("[" + ",".join(text for _, text in rows) + "]"))
        except ValidationError:
            for key, text in rows:
                self._read(key, text, place, way_out)
            raise

    def _read(self, key: str | int, text: str, place: str, way_out: str) -> None:
        try:
            self._adapter.validate_json(f"[{text}]")
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"][1:])
            raise StoreError(
                f"{place}: row {key!r} of table {self.table} cannot be read: {field or 'the row'}: "
                f"{first['msg']}. {way_out}"
            ) from error


PROCESS_FIELDS = {"leaving_mono_s", "leaving_limit_s", "died_mono_s"}
LIST_FIELDS = {"parts", "routes", "is_labelled", "guess", "twin", "slot", "untold"}
EXCLUDED: Mapping[str, Any] = {
    "__all__": {
        "colours": {colour: {"__all__": PROCESS_FIELDS | LIST_FIELDS} for colour in ("blue", "green")},
        "lease": {"until_mono_s"},
    }
}
ROW = ConfigDict(extra="forbid")
SERVICES = Rows("services", TypeAdapter(list[ServiceState], config=ROW))
GROUPS = Rows("groups", TypeAdapter(list[GroupState], config=ROW))
SERVERS = Rows("servers", TypeAdapter(list[StoredServers], config=ROW))
DECISIONS = Rows("decisions", TypeAdapter(list[Decision], config=ROW))
