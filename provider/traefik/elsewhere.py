"""Who polls the other replicas, as these say (rule 59).

A replica that vanished may have left a Traefik with the document it got last: its pollers stay, unproven, until it is
back or is forgotten.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provider.model import Laggard
from provider.traefik.pollers import Fetcher, Poller


@dataclass(frozen=True, slots=True)
class PollerElsewhere:
    """One poller of another replica; `before` is the document that it was given before the last one."""

    poller: Poller
    before: int = 0


@dataclass(frozen=True, slots=True)
class ReplicaPolls:
    """Who polls one replica; `is_away` says that it has vanished."""

    pollers: tuple[PollerElsewhere, ...] = ()
    is_away: bool = False


class Elsewhere:
    """The pollers of the other replicas, by the names of these."""

    def __init__(self) -> None:
        self._replicas: Mapping[str, ReplicaPolls] = {}
        self._fetchers: dict[tuple[str, str], Fetcher] = {}

    def put(self, replicas: Mapping[str, ReplicaPolls], now_mono_s: float) -> bool:
        """Take what all other replicas say; return whether any of it is new."""
        before, self._replicas = self._replicas, dict(replicas)
        known, self._fetchers = self._fetchers, {}
        for name, polls in replicas.items():
            for one in polls.pollers:
                key = (name, one.poller.label)
                fetcher = self._fetchers[key] = known.get(key) or Fetcher(has_ticker=True)
                fetcher.revision, fetcher.before = one.poller.revision, one.before
                if fetcher.received != fetcher.revision:
                    fetcher.received, fetcher.received_mono_s = fetcher.revision, now_mono_s
        return before != self._replicas

    def polling(self) -> tuple[Fetcher, ...]:
        """Return all the pollers."""
        return tuple(self._fetchers.values())

    def laggard(self, revision: int) -> Laggard | None:
        """Return a poller that has not a document yet, first one of a replica that has vanished."""
        behind = [
            Laggard(each.poller.label, name, one.is_away)
            for name, one in self
            for each in one.pollers
            if each.poller.revision < revision
        ]
        return max(behind, key=lambda one: one.is_away, default=None)

    def away(self, revision: int) -> list[str]:
        """Return the replicas that have vanished, with how many of their pollers may not have a document."""
        return [
            f"{name} ({sum(each.poller.revision < revision for each in one.pollers)} of its {len(one.pollers)} pollers)"
            if one.pollers
            else name
            for name, one in self
            if one.is_away
        ]

    def __iter__(self) -> Iterator[tuple[str, ReplicaPolls]]:
        return iter(sorted(self._replicas.items()))
