"""Which Traefiks fetch documents, told by their connections (rule 16)."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass

LABELS_MOST = 64
OTHER = "other"


@dataclass(frozen=True, slots=True)
class Poller:
    """One Traefik that fetches documents: what it fetched last and when (Unix seconds)."""

    label: str
    revision: int
    last_poll_s: float


@dataclass(slots=True)
class _Connection:
    transport: asyncio.BaseTransport
    address: str
    polls: int = 0
    name: str | None = None
    revision: int = 0
    last_poll_s: float = 0.0


class Pollers:
    """The open connections that poll. A connection counts from its second poll on, or when it names itself."""

    def __init__(self) -> None:
        self._connections: dict[int, _Connection] = {}

    def polled(
        self, transport: asyncio.BaseTransport, address: str, name: str | None, revision: int, now_s: float
    ) -> bool:
        """Note a poll that was answered with a document; tell whether it is one more, or fetched another revision."""
        connection = self._connections.get(id(transport))
        if connection is None or connection.transport is not transport:
            self._forget_closed()
            connection = self._connections[id(transport)] = _Connection(transport, address)
        is_new = connection.revision != revision or (connection.polls == 1 and not name)
        connection.polls += 1
        connection.name, connection.revision, connection.last_poll_s = name, revision, now_s
        return is_new

    def __iter__(self) -> Iterator[Poller]:
        """Iterate over the pollers there are now, one a label; the newest poll speaks for a label."""
        self._forget_closed()
        counted = [one for one in self._connections.values() if one.name or one.polls >= 2]
        latest: dict[str, Poller] = {}
        for one in counted:  # in the order in which they came, so that a label stays with whom it was given to
            wanted = one.name or one.address
            label = wanted if wanted in latest or len(latest) < LABELS_MOST else OTHER
            if label not in latest or latest[label].last_poll_s <= one.last_poll_s:
                latest[label] = Poller(label, one.revision, one.last_poll_s)
        return iter(latest.values())

    def _forget_closed(self) -> None:
        self._connections = {
            key: connection for key, connection in self._connections.items() if not connection.transport.is_closing()
        }
