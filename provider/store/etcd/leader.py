"""Who leads: the value of the key `leader`, and the term that it stands for (rule 50)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from provider.model.errors import LeadershipLost
from provider.store.etcd.gateway import Compare, Gateway, Get, KeyValue, Target
from provider.store.etcd.keys import Keys


@dataclass(frozen=True, slots=True)
class Identity:
    """This replica. `id` is never another's, `name` is for people, `address` is where others reach its admin API.

    `process` is never another process's, "" where that is not known.
    """

    id: str
    name: str
    address: str = ""
    process: str = ""


class LeaderInfo(BaseModel):
    """The value of the key `leader`: who leads. `attempt` tells its election from all others."""

    model_config = ConfigDict(frozen=True)

    id: Annotated[str, Field(max_length=255)]
    name: Annotated[str, Field(max_length=255)]
    address: Annotated[str, Field(max_length=1024)] = ""
    process: Annotated[str, Field(max_length=255)] = ""
    attempt: Annotated[str, Field(max_length=255)] = ""


def read_leader(found: Sequence[KeyValue]) -> LeaderInfo | None:
    """Return who a read of the key found; None where nobody leads, or the value is none of ours."""
    if not found:
        return None
    try:
        return LeaderInfo.model_validate_json(found[0].value)
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True)
class Term:
    """The time for which this replica leads; every write of it compares `leads`. `lost` is set when it is over."""

    gateway: Gateway
    keys: Keys
    epoch: int
    lost: asyncio.Event

    @property
    def leads(self) -> Compare:
        """The condition that this term is in force."""
        return Compare(self.keys.leader, Target.CREATE, self.epoch)

    @property
    def who(self) -> Get:
        """The question who leads; `is_over` takes the answer."""
        return Get(self.keys.leader)

    def is_over(self, found: Sequence[KeyValue]) -> bool:
        """Return whether this term is over, and note it. An epoch never comes back."""
        if not found or found[0].create_revision != self.epoch:
            self.lost.set()
        return self.lost.is_set()

    def ended(self, found: Sequence[KeyValue] = ()) -> LeadershipLost:
        """Return the error for what is surely not done, and never will be."""
        self.lost.set()
        leader = read_leader(found)
        who = f"replica {leader.name} leads now" if leader is not None else "this replica does not lead any more"
        return LeadershipLost(f"{who}: nothing was changed. Ask again, the leader answers")
