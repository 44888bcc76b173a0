"""One process among those that share a store: what it serves and who polls it, whether it leads or follows.

While it leads it has a controller, which hears of every poll. A daemon alone leads for all of its life.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import structlog

from provider.controller.controller import Controller
from provider.controller.lasting import Lasting
from provider.controller.publication import Publication, Published
from provider.controller.state import State
from provider.model import ConditionCode, Decision
from provider.model.errors import LeadershipLost, StoreError
from provider.observability.active_conditions import Conditions
from provider.runtime.clock import clock
from provider.runtime.log_limit import LogLimit
from provider.traefik.pollers import Connection, Pollers

log = structlog.get_logger("bluegreen")

STORE_TROUBLES = frozenset({ConditionCode.STORE_AWAY, ConditionCode.STORE_FAILING})


@dataclass(frozen=True, slots=True)
class Leader:
    """The replica that leads, and the URL of its admin API."""

    name: str
    admin: str


@dataclass(frozen=True, slots=True)
class Peer:
    """One of several replicas, this one too: what is known of it in the store.

    One that `is_away` has vanished and not been forgotten. `revision` is the document that it serves, 0 before the
    first; `behind` of its `pollers` may have an older one.
    """

    name: str
    admin: str | None
    version: str | None
    is_away: bool
    leads: bool
    revision: int
    pollers: int
    behind: int


class Peers(Protocol):
    """What connects a process with the other replicas."""

    @property
    def store_age_s(self) -> float:
        """How old the newest word from the store is; infinite before the first."""
        ...

    async def fresh(self) -> bool:
        """Return whether what is served rests on word from the store that is young enough, which may be asked for."""
        ...

    def known(self) -> Sequence[Peer]:
        """Return all replicas that are known, by name."""
        ...

    async def committed(self, published: Published | None) -> State:
        """Return what is committed, for reading while nobody leads; it may be old. Raises StoreError."""
        ...

    async def history(self, service: str | None, since: datetime | None, limit: int) -> tuple[Decision, ...]:
        """Return decisions, newest first; they may be old. Raises StoreError."""
        ...

    async def forget(self, name: str) -> bool:
        """Forget who polled a replica that is gone for good; return whether it is: one that lives is not forgotten.

        Raises StoreError.
        """
        ...


class Replica:
    """See the module. `peers` connects it with the others; None where it is alone."""

    def __init__(
        self,
        lasting: Lasting,
        controller: Controller | None = None,
        *,
        name: str = "",
        peers: Peers | None = None,
    ) -> None:
        self.name, self.peers = name, peers
        self._lasting, self._controller = lasting, controller
        self._leader: Leader | None = None
        self._listeners = set[Callable[[], None]]()
        self._left = LogLimit()

    @property
    def publication(self) -> Publication:
        """What is served here."""
        return self._lasting.publication

    @property
    def published(self) -> Published | None:
        """The last document; None before the first."""
        return self._lasting.publication.last

    @property
    def pollers(self) -> Pollers:
        """Who polls here."""
        return self._lasting.pollers

    @property
    def conditions(self) -> Conditions:
        """The conditions of this process, and of the term while it leads."""
        return self._lasting.conditions

    @property
    def known(self) -> Sequence[Peer]:
        """All replicas that are known; none where this one is alone."""
        return self.peers.known() if self.peers is not None else ()

    async def state(self) -> State | None:
        """Return what the term knows, else what is committed; None where neither can be had (rule 60)."""
        if self.controller is not None:
            return self.controller.state
        try:
            return await self.peers.committed(self.published) if self.peers is not None else None
        except StoreError as failure:
            log.warning("what is committed cannot be read", cause=str(failure))
            return None

    async def history(self, service: str | None, since: datetime | None, limit: int) -> tuple[Decision, ...]:
        """Return decisions, newest first; without a leader or a quorum they may be old. Raises StoreError."""
        try:
            return await self.leading.history(service, since, limit)
        except StoreError:
            if self.peers is None:
                raise
        return await self.peers.history(service, since, limit)

    @property
    def leading(self) -> Controller:
        """The controller of the term. Raises LeadershipLost where another replica leads, or none does."""
        if self.controller is None:
            raise LeadershipLost("this replica does not lead, so nothing was done")
        return self.controller

    @property
    def store_trouble(self) -> str:
        """Why no replica may be able to lead, as far as is known here; "" where nothing is."""
        return next((one.message for one in self.conditions if one.code in STORE_TROUBLES), "")

    async def fresh(self) -> bool:
        """Return whether what is served rests on word from the store that is young enough (rule 54)."""
        return self.peers is None or await self.peers.fresh()

    def not_ready(self) -> str:
        """Say why there is no document yet."""
        if ConditionCode.NO_DESIRED_STATE in self.conditions:
            return "the store has no desired state yet: bluegreen apply FILE"
        held_back = self.controller.publisher.draft.held_back(clock()) if self.controller is not None else None
        if self.controller is None and self.peers is not None:
            return "no document is in the store yet, or the store does not answer"
        return held_back or "the first document is being made"

    # --- who leads ------------------------------------------------------------------------------------------------

    @property
    def controller(self) -> Controller | None:
        """The controller of the term; None while another replica leads, or none does."""
        return self._controller

    @property
    def leader(self) -> Leader | None:
        """Which other replica leads, as far as is known here; None where none does."""
        return self._leader

    def lead(self, controller: Controller) -> None:
        """Take that this replica leads from now on, and by which controller."""
        self._controller = controller
        self._tell()

    def step_down(self) -> None:
        """Take that this replica leads no longer."""
        self._controller = None
        self._tell()

    def follow(self, leader: Leader | None) -> None:
        """Take that another replica leads from now on, or none."""
        self._leader = leader
        self._tell()

    def is_superseded(self, former: Leader | None, term: Controller | None = None) -> bool:
        """Return whether another one than `former` leads by now, or this replica in another term than `term`."""
        return self.controller not in {None, term} or self.leader not in {None, former}

    @contextmanager
    def telling(self, listener: Callable[[], None]) -> Iterator[None]:
        """Call `listener` whenever it changes who leads, until the block is left."""
        self._listeners.add(listener)
        try:
            yield
        finally:
            self._listeners.discard(listener)

    def _tell(self) -> None:
        for listener in tuple(self._listeners):
            listener()

    # --- polls ----------------------------------------------------------------------------------------------------

    def polled(
        self, transport: asyncio.BaseTransport, address: str, name: str | None, *, has_ticker: bool
    ) -> Connection:
        """Note a poll as it comes in; return the connection that it came over."""
        if self.controller is not None:
            return self.controller.inputs.polled(transport, address, name, has_ticker=has_ticker)
        return self._lasting.pollers.polled(transport, address, name, clock(), has_ticker=has_ticker)

    def hold_s(self, connection: Connection, revision: int, limit_s: float) -> float:
        """Return how long a poll may wait for a newer document than this one, 0 where it may not."""
        return self._lasting.pollers.hold_s(connection, revision, limit_s, clock())

    def answered(self, connection: Connection, revision: int, *, was_held: bool) -> None:
        """Note which document a poll is answered with."""
        if self.controller is not None:
            self.controller.inputs.answered(connection, revision, was_held=was_held)
        else:
            self._lasting.pollers.answered(connection, revision, clock(), was_held=was_held)

    def gave(self, revision: int) -> None:
        """Note that somebody was given a document, a poller or not."""
        if self.controller is not None:
            self.controller.inputs.gave(revision)

    def left(self, connection: Connection, held_s: float) -> None:
        """Note that a client went away while its poll was held: it is not held again for a while."""
        self._lasting.pollers.left(connection, clock())
        if (left_out := self._left.skipped()) is not None:
            log.warning(
                "a poller went away during a hold", poller=connection.who, held_s=round(held_s, 3), before=left_out
            )
        if self.controller is not None:
            self.controller.daemon_conditions.follow_not_held()
