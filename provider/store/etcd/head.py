"""The head: which commit was the last one (rule 51)."""

from collections.abc import Sequence
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from provider.model.errors import StoreError
from provider.store.etcd.gateway import KeyValue

Count = Annotated[int, Field(ge=0, lt=2**63)]


class Head(BaseModel):
    """The value of the key `head`. `seq` counts commits and `decisions` those in the history, from 1 on.

    `id` is the attempt that put it: a commit, or the fence that made the attempt `voids` impossible for ever.
    """

    model_config = ConfigDict(frozen=True)

    seq: Count = 0
    epoch: Count = 0
    id: Annotated[str, Field(max_length=255)] = ""
    decisions: Count = 0
    voids: Annotated[str, Field(max_length=255)] | None = None

    def text(self) -> bytes:
        """Return the JSON of the key's value."""
        return self.model_dump_json(exclude_none=True).encode()


def read_head(found: Sequence[KeyValue]) -> tuple[Head, int]:
    """Return the head that a read found, and its revision: 0 before the first commit. Raises StoreError."""
    if not found:
        return Head(), 0
    try:
        return Head.model_validate_json(found[0].value), found[0].mod_revision
    except ValidationError as error:
        key = found[0].key.decode(errors="replace")
        raise StoreError(f"etcd: key {key} is no head of ours: {error.errors()[0]['msg']}. Restore a backup") from error
