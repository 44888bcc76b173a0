"""What Docker said last, and what that says of the servers of a service."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from math import inf

from provider.controller.tracked_service import TrackedService
from provider.model import ByColour, Colour, EngineSeen, Observed, Server
from provider.model.observed import LEAVING_LIMIT_S, fixed_servers
from provider.store import StoredServers

EMPTY: ByColour[tuple[Server, ...]] = ByColour((), ())


@dataclass(slots=True)
class DockerView:
    """Docker's lists. `services` is None before the first one of an engine.

    `own_networks` are those that the daemon's own container is on. `engines` are those of the file; without any there
    is one without a name.
    """

    enabled: bool
    connected: bool = False
    services: dict[str, ByColour[tuple[Server, ...]]] | None = None
    listed_mono_s: float | None = None
    own_networks: frozenset[str] = frozenset()
    engines: Mapping[str, EngineSeen] = field(default_factory=dict)

    @property
    def unlisted(self) -> tuple[str, ...]:
        """The engines of the file that have not listed their containers yet."""
        return tuple(name for name, seen in self.engines.items() if not seen.is_listed)

    @property
    def is_complete(self) -> bool:
        """Whether every engine has listed its containers."""
        return self.services is not None and not self.unlisted

    @property
    def answers_at_all(self) -> bool:
        """Whether any engine answers: where one of several does not, another replica need not reach it either."""
        return self.connected or any(seen.answers for seen in self.engines.values())

    def take_engines(self, engines: Mapping[str, EngineSeen]) -> bool:
        """Take what is known of the engines; return whether there are others, or others have listed theirs."""
        were, self.engines = (self.engines.keys(), self.unlisted), engines
        if engines:
            self.connected = all(seen.answers for seen in engines.values())
        return (engines.keys(), self.unlisted) != were

    def void(self) -> None:
        """Take no engine as connected before it says so again."""
        self.connected = False
        self.engines = {name: replace(seen, answers=False) for name, seen in self.engines.items()}

    def away_of(self, servers: Iterable[Server]) -> tuple[str, ...]:
        """Name the engines that do not answer and have some of these servers, or may have.

        Those of an engine that the file does not have may be found on another one that has not listed yet.
        """
        lives = {server.engine for server in servers if not server.is_left_behind}
        unlisted = self.unlisted if not lives <= self.engines.keys() else ()
        return tuple(
            name for name, seen in self.engines.items() if name in unlisted or (name in lives and not seen.answers)
        )

    @property
    def named(self) -> tuple[str, ...]:
        """The services that containers name which can serve: what is ignored brings no service."""
        return tuple(name for name, seen in (self.services or {}).items() if any(some for _, some in seen.items()))

    def list_all(
        self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float, known: Iterable[str]
    ) -> Iterator[str]:
        """Take a complete list; yield which of the `known` services it says anything new of."""
        before, self.services, self.listed_mono_s = self.services, dict(services), listed_mono_s
        for name in known:
            was, is_now = before.get(name, EMPTY) if before is not None else None, services.get(name, EMPTY)
            if was is not is_now and was != is_now:
                yield name

    def list_service(self, name: str, colours: ByColour[tuple[Server, ...]]) -> bool:
        """Take the list of one service; return whether it counts: before the first complete list it does not."""
        if self.services is None:
            return False
        if any(servers for _, servers in colours.items()):
            self.services[name] = colours
        else:
            self.services.pop(name, None)
        return True

    def seen(
        self, of: TrackedService, colour: Colour, stored: StoredServers | None, listed_mono_s: float | None
    ) -> Observed | None:
        """Return the servers of a colour from their source; None while Docker has not listed them and none is known.

        `stored` are the servers that an earlier process has seen. `listed_mono_s` is when the service was listed on
        its own.
        """
        if any(fixed is not None for _, fixed in of.service.servers.items()):
            return Observed(known=True, servers=fixed_servers(of.service.servers[colour]), from_docker=False)
        if not self.enabled:
            return Observed(known=True, from_docker=False)
        if self.services is None:
            if of.observed[colour].known or stored is None or of.state.active is None:
                return None
            # The last servers stand until Docker answers (rule 4); where one was asked to leave is forgotten.
            return Observed(known=True, servers=stored.colours[colour])
        if self.unlisted and (of.state.active is None or not (of.observed[colour].known or stored)):
            return None  # complete means that every engine has listed (rule 38)
        servers = self._joined(of, colour, stored)
        times_s = (of.observed[colour].listed_mono_s, self.listed_mono_s, listed_mono_s)
        return Observed(
            known=True, servers=servers, listed_mono_s=max(time_s for time_s in times_s if time_s is not None)
        )

    def _joined(self, of: TrackedService, colour: Colour, stored: StoredServers | None) -> tuple[Server, ...]:
        """Return the servers that are listed, with those of earlier that no engine has said anything of (rule 38)."""
        listed = (self.services or {}).get(of.service.name, EMPTY)
        before = of.observed[colour].servers
        if not of.observed[colour].known and stored is not None:
            before = stored.colours[colour]
        unlisted, there = self.unlisted, {server.container for _, some in listed.items() for server in some}
        kept = []
        for server in before:
            is_gone = server.engine not in self.engines if self.engines else server.engine is not None
            if server.container in there or not (is_gone or server.engine in unlisted):
                continue
            if not is_gone or unlisted:
                kept.append(_as_it_was(server))
            elif _may_stay(server, of, colour, listed[colour]):
                kept.append(_left_behind(server, self.listed_mono_s or 0.0))
        return tuple(sorted((*listed[colour], *kept), key=lambda server: server.key)) if kept else listed[colour]


def _as_it_was(server: Server) -> Server:
    return replace(server, leaving_mono_s=None, leaving_limit_s=LEAVING_LIMIT_S) if server.is_left_behind else server


def _left_behind(server: Server, now_mono_s: float) -> Server:
    """Return a server whose engine the file has no more: it leaves, and stays only as the last one (rule 4)."""
    if server.is_left_behind:
        return server
    return replace(server, leaving_mono_s=now_mono_s, leaving_limit_s=inf)


def _may_stay(server: Server, of: TrackedService, colour: Colour, listed: Iterable[Server]) -> bool:
    """Return whether a server may be the last of its endpoint with traffic: no other one is in the document."""
    has_traffic = of.state.active is colour or (of.shown is not None and colour in dict(of.shown.served))
    others = (one for one in listed if one.endpoint == server.endpoint and one.leaving_mono_s is None)
    return has_traffic and not any(one.key in of.published for one in others)
