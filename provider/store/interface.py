"""What the controller needs of a store, and what copies of stores need.

One that is added is a folder beside `sqlite` and `etcd`, and a line in the table of `provider.store.kinds`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from provider.model import Decision
from provider.model.document import AppliedText, Document
from provider.store.records import Change, Stored, StoredServers


class Store(Protocol):
    """The store of one term: from `open` until it is closed or `lost`.

    Every method raises StoreError when what it was asked for is surely not done, and may be called again. It raises
    ChangeTooLarge where it never can be, StoreUncertain where it is unknown, and LeadershipLost where another replica
    leads: then nothing of this term is ever done again.

    One commit may have `most_groups` groups, and one group `most_members` services. Whoever waits for a commit longer
    than `patience_s` is told that its outcome is unknown. `lost` is set when the term is over; that of a daemon alone
    never is.
    """

    patience_s: float
    most_groups: int
    most_members: int
    lost: asyncio.Event

    async def open(self, *, wait_s: float) -> Stored:
        """Wait until nobody else decides, and return what is stored."""
        ...

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return what must run, by name, from `open` until `close`."""
        ...

    async def commit(self, change: Change) -> None:
        """Put states and add decisions to the history, all or nothing; durable when this returns (P5).

        Its texts are there before, or with them. It takes as long as it takes to find out. What raised does not take
        effect, and the controller goes on without it: StoreUncertain says that a crash of this process may yet leave it
        there.
        """
        ...

    async def save_servers(self, servers: Mapping[str, StoredServers]) -> None:
        """Put the servers last seen of each service named; `StoredServers()` forgets them."""
        ...

    async def save_desired(self, text: str, *, expect: str | None = None) -> None:
        """Put the text of the last good desired state; with `expect` only in place of the text with that hash.

        Raises StoreConflict, naming the hash of the text that is there, where it is another one.
        """
        ...

    async def save_applied(self, applied: AppliedText) -> None:
        """Put the text that every Traefik applied last."""
        ...

    async def publish(self, document: Document) -> int:
        """Return the revision of a document that may be served from now on; no later one is lower (P6).

        One that raised may be tried again, with another document. After StoreUncertain others may serve this one.
        """
        ...

    def rest_s(self) -> float:
        """Return how long the next `publish` had better wait, so that the store keeps up; 0 where it may come."""
        ...

    async def history(
        self, *, service: str | None = None, since: datetime | None = None, limit: int = 100
    ) -> tuple[Decision, ...]:
        """Return decisions, newest first."""
        ...

    async def close(self) -> None:
        """Leave everything in order, and let others decide; the store stays closed."""
        ...


class RestorableStore(Store, Protocol):
    """A store that can take over what another one has."""

    async def restore(self, stored: Stored, history: Sequence[Decision]) -> None:
        """Fill this store; `history` begins with the newest decision.

        Raises StoreConflict where it is not empty. What is not done to the end is nothing that opens as a store.
        """
        ...


class SharedStore(Store, Protocol):
    """A store of several replicas, which has what a daemon alone keeps in files."""

    @property
    def certificate(self) -> str | None:
        """The default certificate and its key, as one text (rule 63); None where there is none."""
        ...

    async def save_certificate(self, text: str) -> None:
        """Put another default certificate with its key."""
        ...

    @property
    def notified(self) -> datetime | None:
        """Up to when people were notified of all decisions (rule 63); None before the first."""
        ...

    async def save_notified(self, at_utc: datetime) -> None:
        """Put up to when people were notified."""
        ...
