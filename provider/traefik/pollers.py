"""Which Traefiks fetch documents, by their connections (rule 16), and which polls may be held."""

import asyncio
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from math import inf

from provider.model import Instant
from provider.model.text import NAME_MOST, one_line

LABELS_MOST = 64
OTHER = "other"
NOT_HELD_S = 600.0
"""How long polls of a client that went away during a hold are answered at once."""
GAPS_KEPT = 8
GIVEN_MOST = 256
"""Maximum number of connections remembered as given one document."""
BEFORE_NEXT_S, BEFORE_NEXT = 0.02, 0.02
"""How long before the next poll a hold ends: in seconds, or as a share of the interval where that is more."""


@dataclass(frozen=True, slots=True)
class Poller:
    """One Traefik that fetches documents: what it fetched last and when it last asked (Unix seconds).

    `interval_s` is what its `pollInterval` seems to be, None until it has asked twice.
    """

    label: str
    revision: int
    last_poll_s: float
    interval_s: float | None = field(default=None, compare=False)


@dataclass(slots=True, eq=False, kw_only=True)
class Fetcher:
    """Somebody who polls, here or at another replica; `revision` is that of the document it was given last, 0 for none.

    `received` is what it surely has, since `received_mono_s`: the answer after a hold counts once it polls again, as
    its machine may be gone. `before` is the document that it was given before the last one; both may be the same.
    `has_ticker` says that it polls as Traefik does.
    """

    has_ticker: bool = False
    revision: int = 0
    before: int = 0
    received: int = 0
    received_mono_s: float = 0.0


@dataclass(slots=True, eq=False)
class Connection(Fetcher):
    """One connection that polls; `gaps_s` has the times between its last polls."""

    transport: asyncio.BaseTransport
    address: str
    name: str | None = None
    polls: int = 0
    last_poll_s: float = 0.0
    asked_mono_s: float = 0.0
    gaps_s: deque[float] = field(default_factory=lambda: deque(maxlen=GAPS_KEPT))

    @property
    def is_poller(self) -> bool:
        """A connection counts from its second poll on, or when it names itself."""
        return self.polls >= 2 or self.name is not None

    @property
    def who(self) -> str:
        """The name in its header, else its address."""
        return self.name or self.address

    def give(self, revision: int, now: Instant, *, was_held: bool) -> None:
        """Note the document that a poll is answered with."""
        self.before, self.revision = self.revision, revision
        if not was_held:
            self.receive(now)

    def receive(self, now: Instant) -> None:
        """Note that it has the document that it was given last."""
        if self.received != self.revision:
            self.received, self.received_mono_s = self.revision, now.mono_s

    @property
    def max_hold_s(self) -> float:
        """Return for how long a poll may safely be held: for Traefik, until just before its next one is due.

        Its ticker keeps a tick that comes during a poll. A Traefik that is stopped then chooses by chance between
        that tick and its end; after 10 s of such polls it panics. With holds of 4 s at an interval of 1 s, 6 of 10 did.
        """
        if not self.has_ticker or not self.gaps_s:
            return inf
        interval_s = min(self.gaps_s)
        return max(0.0, interval_s - max(BEFORE_NEXT_S, interval_s * BEFORE_NEXT))


@dataclass(slots=True)
class Pollers:
    """The open connections that poll, and the clients whose polls are not held, with the time when that ends."""

    _connections: dict[int, Connection] = field(default_factory=dict)
    _given: list[Connection] = field(default_factory=list)
    _given_revision: int = 0
    _not_held: dict[str, float] = field(default_factory=dict)

    def polled(
        self,
        transport: asyncio.BaseTransport,
        address: str,
        name: str | None,
        now: Instant,
        *,
        has_ticker: bool = False,
    ) -> Connection:
        """Note a poll as it arrives; return its connection."""
        connection = self._over(transport)
        if connection is None:
            self._forget_closed()
            connection = self._connections[id(transport)] = Connection(transport, address, has_ticker=has_ticker)
        else:
            connection.gaps_s.append(now.mono_s - connection.asked_mono_s)
        connection.name = one_line(name or "", NAME_MOST) or None
        connection.last_poll_s, connection.asked_mono_s = now.utc.timestamp(), now.mono_s
        connection.polls += 1
        connection.receive(now)
        return connection

    def answered(self, connection: Connection, revision: int, now: Instant, *, was_held: bool) -> None:
        """Note which document a poll is answered with."""
        connection.give(revision, now, was_held=was_held)
        if revision > self._given_revision:
            self._given_revision, self._given = revision, []
        if revision == self._given_revision and connection not in self._given[-GIVEN_MOST:]:
            self._given = [*self._given[-GIVEN_MOST:], connection]

    def given(self, revision: int) -> tuple[Connection, ...]:
        """Return who was given a document, also over connections closed since; none where they are too many."""
        is_known = revision == self._given_revision and len(self._given) <= GIVEN_MOST
        return tuple(self._given) if is_known else ()

    def polling(self) -> tuple[Connection, ...]:
        """Return the connections of all pollers: two Traefiks behind one NAT or proxy have one label and two of them.

        One whose machine is gone counts until the kernel has found that out, within half a minute.
        """
        self._forget_closed()
        return tuple(connection for connection in self._connections.values() if connection.is_poller)

    def received(self, transport: asyncio.BaseTransport) -> int:
        """Return the revision that the other end of a connection surely has, 0 where it never polled."""
        connection = self._over(transport)
        return connection.received if connection is not None else 0

    def hold_s(self, connection: Connection, revision: int, limit_s: float, now: Instant) -> float:
        """Return how long a poll may wait for a newer document than this one: 0 unless its sender has this one."""
        if connection.revision != revision or self._not_held.get(connection.who, 0.0) > now.mono_s:
            return 0.0
        return min(limit_s, connection.max_hold_s)

    def left(self, connection: Connection, now: Instant) -> None:
        """Note that a client went away during a hold: its next polls are answered at once."""
        self._not_held = {who: until_s for who, until_s in self._not_held.items() if until_s > now.mono_s}
        if len(self._not_held) < LABELS_MOST:
            self._not_held[connection.who] = now.mono_s + NOT_HELD_S

    def not_held(self, now: Instant) -> list[str]:
        """Return the clients whose polls are not held for now, because they went away during a hold."""
        return [who for who, until_s in self._not_held.items() if until_s > now.mono_s]

    def __iter__(self) -> Iterator[Poller]:
        """Iterate over the pollers there are now, one a label: of several, the oldest revision."""
        found: dict[str, Poller] = {}
        # In order of arrival, so that a label stays with its poller.
        for one in self.polling():
            label = one.who if one.who in found or len(found) < LABELS_MOST else OTHER
            poller = Poller(label, one.received, one.last_poll_s, min(one.gaps_s, default=None))
            before = found.get(label, poller)
            newest = max(before, poller, key=lambda each: each.last_poll_s)
            found[label] = replace(newest, revision=min(before.revision, poller.revision))
        return iter(found.values())

    def _over(self, transport: asyncio.BaseTransport) -> Connection | None:
        """Find the connection of a transport; another one may have its place in memory by now."""
        connection = self._connections.get(id(transport))
        return connection if connection is not None and connection.transport is transport else None

    def _forget_closed(self) -> None:
        self._connections = {
            key: connection for key, connection in self._connections.items() if not connection.transport.is_closing()
        }
