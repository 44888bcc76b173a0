"""The input of the core, and its output."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from provider.model.analysed import NOTHING_ANALYSED, Analysed, Followed
from provider.model.decided import Decision, GroupState, ServiceState
from provider.model.desired import DEFAULT_ENDPOINT, Service
from provider.model.observed import Applied, Checks, Observed, Server, ServerHealth, ServerKey, Smoke, SmokeRun
from provider.model.routing import Routing
from provider.model.vocabulary import Affinity, ByColour, Colour, Weights


@dataclass(frozen=True, slots=True)
class Laggard:
    """A poller of another replica that has not fetched the last document; `is_away` says that replica has vanished."""

    poller: str
    replica: str
    is_away: bool


@dataclass(frozen=True, slots=True)
class Shown:
    """The weights of a service in a document: as decided, and without a colour that had no server to serve.

    `apart` are the served ones of each endpoint where they are others than at the first one.
    """

    decided: Weights
    served: Weights
    apart: tuple[tuple[str, Weights], ...] = ()

    def at(self, endpoint: str) -> Weights:
        """Return the served weights of an endpoint."""
        return dict(self.apart).get(endpoint, self.served)


@dataclass(frozen=True, slots=True)
class Member:
    """Everything known of one service at one moment.

    `published` are its servers in the last document, and `shown` the weights there; `as_shown` is the service as that
    has it, which may go by another text of the file (rule 15), None where it is as in the file. `fetched` says
    whether every poller has that document; None without pollers. `given` says whether every poller was given it, which
    may still be on its way: None where only some were, False where none was. `laggard` is one that has it not.
    `unlisted` are the engines that have not listed their containers yet. `unlabelled` is the routing that the file had
    until it left that to labels, while nothing of them is decided (rule 34).
    """

    service: Service
    state: ServiceState
    observed: ByColour[Observed]
    health: Mapping[ServerKey, ServerHealth]
    published: frozenset[ServerKey] = frozenset()
    shown: Shown | None = None
    as_shown: Service | None = None
    checks: Mapping[ServerKey, Checks] = field(default_factory=dict)
    smoke: Smoke | None = None
    analysed: Analysed = NOTHING_ANALYSED
    applied: tuple[Applied, ...] = ()
    fetched: bool | None = None
    given: bool | None = None
    laggard: Laggard | None = None
    unlisted: tuple[str, ...] = ()
    unlabelled: Routing | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything known of one rollout group at one moment; members are sorted by name.

    `left` has the earlier group's state of each member that the file has moved here, until that is acted on. `gone` are
    the members of the rollout under way that the file has moved to another group. `docker_connected` says whether every
    engine answers that has servers of a member, and `engines_away` names those of the file that do not.
    """

    members: tuple[Member, ...]
    state: GroupState
    docker_connected: bool = True
    engines_away: tuple[str, ...] = ()
    left: Mapping[str, GroupState] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Plan:
    """The output of `reconcile`: states and decisions to commit together, services to list again, smoke tests.

    `decisions` is empty exactly when no durable value changed, but for the evidence of an analysis: `is_kept` says that
    this has changed, which no row of the history tells. Monotonic times inside `group` may have changed in any case.
    `followed` are the services that are analysed now.
    """

    group: GroupState
    states: Mapping[str, ServiceState]
    decisions: tuple[Decision, ...] = ()
    relist: frozenset[str] = frozenset()
    smoke: tuple[SmokeRun, ...] = ()
    wake_mono_s: float | None = None
    is_kept: bool = False
    followed: tuple[Followed, ...] = ()

    @property
    def is_durable(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self.decisions) or self.is_kept


@dataclass(frozen=True, slots=True)
class Child:
    """An entry of an endpoint's weighted service in Traefik: its name, its weight, and the colour that it leads to.

    One whose name is not that of the colour's servers is an alias: a weighted service of that one entry.
    """

    name: str
    weight: int
    colour: Colour
    endpoint: str = DEFAULT_ENDPOINT


@dataclass(frozen=True, slots=True)
class Served:
    """One service in the document.

    `weights` are those of the colours at the first endpoint, and `children` how Traefik is to keep them at each: by
    `affinity`, for a cookie by the name of `cookie`. A colour is in `servers`, which are those of all endpoints, only
    while it has traffic, or while the `preview` routes to it. `test` are the servers of `test_colour` that the test
    route leads to; without any there is none.
    """

    service: Service
    weights: Weights
    servers: Mapping[Colour, tuple[Server, ...]]
    preview: Colour | None = None
    children: tuple[Child, ...] = ()
    affinity: Affinity = Affinity.NONE
    cookie: str | None = None
    test: tuple[Server, ...] = ()
    test_colour: Colour | None = None

    def children_at(self, endpoint: str) -> tuple[Child, ...]:
        """Return the entries of an endpoint's weighted service; where none are given, one for each colour."""
        return tuple(child for child in self.children if child.endpoint == endpoint) or tuple(
            Child(self.service.in_traefik(colour, endpoint), weight, colour, endpoint)
            for colour, weight in self.weights
        )

    def servers_at(self, endpoint: str, colour: Colour) -> tuple[Server, ...]:
        """Return the servers of a colour at an endpoint."""
        return tuple(server for server in self.servers.get(colour, ()) if server.endpoint == endpoint)
