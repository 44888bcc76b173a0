"""What a replica says of itself: that it lives, on a lease, and who polls it, which outlives it (rules 58, 59, 64)."""

from typing import Annotated, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from provider.store.etcd.format import NEWEST
from provider.store.etcd.gateway import KeyValue

M = TypeVar("M", bound=BaseModel)

POLLERS_MOST = 65
"""Sixty-four labels, and the others together."""

Name = Annotated[str, Field(max_length=255)]
Address = Annotated[str, Field(max_length=1024)]
Revision = Annotated[int, Field(ge=0, lt=2**63)]


class ReplicaInfo(BaseModel):
    """A replica that lives. `address` is where others reach its admin API, `format` the newest that it knows.

    `has_docker` is None where it does without. `process` tells it from another one that is given the same name.
    """

    model_config = ConfigDict(frozen=True)

    id: Name
    name: Name
    address: Address = ""
    version: Name = ""
    format: Annotated[int, Field(ge=1, lt=2**31)] = NEWEST
    has_docker: bool | None = None
    process: Name = ""


class PollerInfo(BaseModel):
    """One poller: the document that it surely has, the one before, and when it asked last (Unix seconds)."""

    model_config = ConfigDict(frozen=True)

    label: Name
    revision: Revision = 0
    before: Revision = 0
    last_poll_s: Annotated[float, Field(ge=0, lt=1e12)] = 0.0


class PollersInfo(BaseModel):
    """Who polls one replica, which is named as it was when it wrote this; `revision` is the document that it serves."""

    model_config = ConfigDict(frozen=True)

    name: Name
    revision: Revision = 0
    pollers: Annotated[tuple[PollerInfo, ...], Field(max_length=POLLERS_MOST)] = ()

    def has_same_documents(self, other: "PollersInfo") -> bool:
        """Return whether both say the same but for the time of the last polls."""
        return self.revision == other.revision and [(one.label, one.revision, one.before) for one in self.pollers] == [
            (one.label, one.revision, one.before) for one in other.pollers
        ]


def read_info(model: type[M], found: KeyValue) -> M | None:
    """Read what a replica says; None where this version cannot."""
    try:
        return model.model_validate_json(found.value)
    except ValidationError:
        return None
