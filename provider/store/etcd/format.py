"""The format of what is stored, so that replicas of two versions can share it during an upgrade (rule 64).

`writes` is the format of what is there, `readable_from` the lowest that reads it well. The leader writes the lowest
format that every replica which lives knows; a replica that does not know what is written serves, and does not lead.
"""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from provider.store.etcd.gateway import KeyValue

NEWEST = 1
"""The newest format that this version knows; it knows all before it."""

Number = Annotated[int, Field(ge=1, lt=2**31)]


class Format(BaseModel):
    """The value of the key `format`."""

    model_config = ConfigDict(frozen=True)

    writes: Number = 1
    readable_from: Number = 1
    is_unfinished: bool = False

    @property
    def is_known(self) -> bool:
        """Whether this version can go on with what is stored."""
        return self.readable_from <= NEWEST

    def text(self) -> bytes:
        """Return the JSON of the key's value."""
        return self.model_dump_json(exclude=None if self.is_unfinished else {"is_unfinished"}).encode()

    @property
    def hindrance(self) -> str:
        """Why a replica of this version does not lead, where it does not know the format."""
        if self.is_unfinished:
            return "is half filled, as a store import or copy did not end: delete all keys below it, and begin again"
        return (
            f"is written by a newer version (format {self.writes}, readable from {self.readable_from} on): upgrade "
            f"this replica"
        )


UNFINISHED = Format(writes=2**31 - 1, readable_from=2**31 - 1, is_unfinished=True)
"""What is there while a store is filled: no version leads with a part of one."""


def read_format(found: Sequence[KeyValue]) -> Format:
    """Return the format that a read found; what cannot be read is none that this version knows."""
    return format_of(found[0].value) if found else Format()


def format_of(value: bytes) -> Format:
    """Read the value of the key; what cannot be read is none that this version knows."""
    try:
        return Format.model_validate_json(value)
    except ValidationError:
        return Format(writes=2**31 - 1, readable_from=2**31 - 1)


def format_for(known: Sequence[int]) -> Format:
    """Return what to write for replicas that know these formats, each up to its own."""
    lowest = min((NEWEST, *known))
    return Format(writes=lowest, readable_from=lowest)
