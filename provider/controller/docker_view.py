"""What Docker said last, and what that says of the servers of a service."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from provider.controller.tracked_service import TrackedService
from provider.model import ByColour, Colour, Observed, Server
from provider.model.observed import fixed_servers
from provider.store import StoredServers

EMPTY: ByColour[tuple[Server, ...]] = ByColour((), ())


@dataclass(slots=True)
class DockerView:
    """Docker's lists. `services` is None before the first complete one.

    `own_networks` are those that the daemon's own container is on.
    """

    enabled: bool
    connected: bool = False
    services: dict[str, ByColour[tuple[Server, ...]]] | None = None
    listed_mono_s: float | None = None
    own_networks: frozenset[str] = frozenset()

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
        servers = self.services.get(of.service.name, EMPTY)[colour]
        times_s = (of.observed[colour].listed_mono_s, self.listed_mono_s, listed_mono_s)
        return Observed(
            known=True, servers=servers, listed_mono_s=max(time_s for time_s in times_s if time_s is not None)
        )
