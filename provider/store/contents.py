"""Everything that a store holds, and the one JSON text of it that `bluegreen store export` writes.

The rows are those of `records`. What a Python set holds is sorted, so that equal contents are equal bytes.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from provider.model import Decision
from provider.model.document import AppliedText
from provider.model.errors import BluegreenError, StoreError
from provider.store.records import DECISIONS, GROUPS, SERVERS, SERVICES, Rows, Stored

T = TypeVar("T")

FORMAT = 1
"""The format that is written. One that only adds keys, with a default, stays the same."""
LARGEST_BYTES = 512 * 1024 * 1024


class ContentsRefused(BluegreenError):  # noqa: N818
    """A text that is no export, or one of a newer version."""


@dataclass(frozen=True, slots=True)
class Contents:
    """What a store holds; `history` begins with the newest decision."""

    stored: Stored
    history: tuple[Decision, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing was ever put into the store, and no document published."""
        return self == Contents(Stored({}, {}, {}, None, 0), ())


class _Format(BaseModel):
    format: Annotated[int, Field(ge=1)]


class _Applied(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: str
    marker: str
    refused: str | None


class _Export(_Format):
    model_config = ConfigDict(extra="forbid")

    revision: Annotated[int, Field(ge=0, lt=2**63)]
    desired: str | None
    applied: _Applied | None
    services: dict[str, Any]
    groups: dict[str, Any]
    servers: dict[str, Any]
    history: list[Any]


def written(contents: Contents) -> bytes:
    """Write contents, a row a line."""
    stored = contents.stored
    applied = stored.applied
    parts = {
        "format": str(FORMAT),
        "revision": str(stored.revision),
        "desired": json.dumps(stored.desired_text),
        "applied": json.dumps(
            {"text": applied.text, "marker": applied.marker, "refused": applied.refused} if applied else None
        ),
        "services": _table(SERVICES, stored.services),
        "groups": _table(GROUPS, stored.groups),
        "servers": _table(SERVERS, stored.servers),
        "history": _lines("[]", [_row(DECISIONS.text(decision)) for decision in contents.history]),
    }
    return _lines("{}", [f"{json.dumps(name)}: {text}" for name, text in parts.items()]).encode() + b"\n"


def read(text: bytes) -> Contents:
    """Read what `written` wrote, of this version or an older one. Raises ContentsRefused."""
    try:
        found = _Format.model_validate_json(text).format
        if found > FORMAT:
            raise ContentsRefused(
                f"is written by a newer version: it has format {found}, and this bluegreen knows formats up to "
                f"{FORMAT}. Import it with the version that wrote it"
            )
        export = _Export.model_validate_json(text)
        return Contents(
            Stored(
                services=_read_table(SERVICES, export.services),
                groups=_read_table(GROUPS, export.groups),
                servers=_read_table(SERVERS, export.servers),
                desired_text=export.desired,
                revision=export.revision,
                applied=AppliedText(**export.applied.model_dump()) if export.applied else None,
            ),
            _load(DECISIONS, [(number, _dumped(row)) for number, row in enumerate(export.history, 1)]),
        )
    except StoreError as error:
        raise ContentsRefused(str(error)) from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the text"
        raise ContentsRefused(f"is no export of a store: {place}: {first['msg']}") from error


def _table(rows: Rows[Any], values: Mapping[str, Any]) -> str:
    return _lines("{}", [f"{json.dumps(name)}: {_row(rows.text(values[name]))}" for name in sorted(values)])


def _lines(brackets: str, lines: list[str]) -> str:
    joined = ",\n".join(lines)
    return f"{brackets[0]}\n{joined}\n{brackets[1]}" if lines else brackets


def _row(text: str) -> str:
    row = orjson.loads(text)
    for name in ("blue", "green"):
        if "settled" in row:
            row["settled"][name].sort()
    if isinstance(row.get("published"), list):
        row["published"].sort(key=orjson.dumps)
    return _dumped(row)


def _dumped(row: object) -> str:
    return orjson.dumps(row).decode()


def _read_table(rows: Rows[Any], found: Mapping[str, Any]) -> dict[str, Any]:
    return dict(zip(found, _load(rows, [(name, _dumped(row)) for name, row in found.items()]), strict=True))


def _load(rows: Rows[T], found: Sequence[tuple[str | int, str]]) -> tuple[T, ...]:
    return rows.load(found, place="is no export of a store", way_out="Export it again")
