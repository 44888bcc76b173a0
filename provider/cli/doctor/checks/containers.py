"""Checks the containers of a service, as they are or as compose would create them."""

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from provider.cli.doctor.checks import labelled
from provider.cli.doctor.findings import Code, Finding
from provider.docker.container import HOST_MODE, Container
from provider.docker.labels import (
    COLOR,
    COLOUR,
    COMPOSE_COLOUR,
    COMPOSE_PROJECT,
    ENVIRONMENT,
    KNOWN,
    NETWORK,
    PREFIX,
    SERVICE,
    Scope,
    is_known,
)
from provider.docker.networks import TO_FIX_IT, TraefikNetwork, choose
from provider.docker.sighting import Sighting, sight
from provider.model import ByColour, Colour, Desired, ProbeMode, Server, Service

THE_DAEMON = "the daemon "
NAME_FIX = "remove container_name, or include the colour: container_name: NAME-${BLUEGREEN_COLOUR}"
PORT_FIX = "publish no port (Traefik reaches the container on its network), or another one for each colour"
TRAEFIK_ROUTING = ("traefik.http.", "traefik.tcp.", "traefik.udp.")


@dataclass(frozen=True, slots=True)
class Port:
    """A published port of the host; `ip` is "" for all of its addresses."""

    ip: str
    number: int
    protocol: str = "tcp"

    def collides_with(self, other: "Port") -> bool:
        """Return whether only one of the two can be published at a time."""
        same = (self.number, self.protocol) == (other.number, other.protocol)
        return same and (self.ip == other.ip or "" in {self.ip, other.ip})

    def __str__(self) -> str:
        return f"{f'{self.ip}:' if self.ip else ''}{self.number}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class ServiceContainer:
    """One container of a service in a colour. `where` names it, `docker` has its labels, networks and exposed ports.

    `writable` has the volumes and host directories that it may write to; `fixed_name` is set if its name was chosen
    rather than generated. `address` is that of its engine in the file. What is not known is None.
    """

    where: str
    docker: Container
    fixed_name: str | None = None
    published: tuple[Port, ...] = ()
    writable: frozenset[str] = frozenset()
    has_healthcheck: bool | None = None
    restarts: bool | None = None
    image: str | None = None
    address: str | None = None

    @property
    def service(self) -> str:
        """The service that it names, "" where it names none."""
        return self.docker.labels.get(SERVICE, "")

    @property
    def colour(self) -> str:
        """The colour that it names, "" where it names none."""
        labels = self.docker.labels
        written = labels.get(COLOUR) or labels.get(COLOR)
        found = COMPOSE_COLOUR.search(labels.get(COMPOSE_PROJECT, "")) if self.service else None
        return written or (found[1] if found else "")


@dataclass(frozen=True, slots=True)
class Context:
    """What containers must fit; what is not known is None.

    `peers` are the networks of those that must reach the containers, Traefik and the daemon, by name.
    """

    desired: Desired | None = None
    environment: str | None = None
    host_address: str = "127.0.0.1"
    has_docker_provider: bool | None = None
    peers: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def takes_labels(self, service: str) -> bool:
        """Return whether the routing of a service is that of the labels of its containers."""
        return self.desired is not None and Scope.of(self.desired).labelled_as(service) is not None


def check(containers: Iterable[ServiceContainer], context: Context) -> Iterator[Finding]:
    """Yield what is wrong with containers, each by itself and together with those of the other colour."""
    containers, counted = list(containers), []
    guesses = _guesses(containers, context)
    for container in containers:
        yield from _unknown_labels(container)
        environment = container.docker.labels.get(ENVIRONMENT)
        if environment is not None and context.environment not in {None, environment}:
            yield _elsewhere(container, environment, context.environment or "")
        elif container.service or SERVICE in container.docker.labels:
            counted.append(container)
            yield from _one(container, context, guesses.get(container.where))
    yield from labelled.check(tuple(read(counted, context)), context.desired)
    yield from collisions(counted)
    yield from _names_without_colour(counted)


def read(containers: Iterable[ServiceContainer], context: Context) -> Iterator[labelled.Read]:
    """Yield the containers of services that run, as the daemon reads them."""
    for container in containers:
        if container.docker.running and (sighting := _sighting(container, context)) is not None:
            yield labelled.Read(container.where, container.docker.labels, sighting)


def collisions(containers: Iterable[ServiceContainer]) -> Iterator[Finding]:
    """Yield what both colours of a service need, and only one can have."""
    by_colour: dict[str, dict[str, list[ServiceContainer]]] = {}
    for container in containers:
        by_colour.setdefault(container.service, {}).setdefault(container.colour, []).append(container)
    for colours in by_colour.values():
        blue, green = (colours.get(colour, []) for colour in Colour)
        if blue and green:
            yield from _between(blue, green)


def needs_healthcheck(container: ServiceContainer, desired: Desired | None) -> bool | None:
    """Return whether a container lacks the HEALTHCHECK that its service relies on; None if not known."""
    service = (desired.services.get(container.service) or desired.auto) if desired is not None else None
    over_network = {ProbeMode.HTTP, ProbeMode.GRPC, ProbeMode.TCP}
    if service is not None and service.endpoints[0].health_check.mode in over_network:
        return False
    return None if container.has_healthcheck is None else not container.has_healthcheck


def _one(container: ServiceContainer, context: Context, guess: str | None) -> Iterator[Finding]:
    desired = context.desired
    service = (desired.services.get(container.service) or desired.auto) if desired is not None else None
    if desired is not None and service is None and container.service:
        close = difflib.get_close_matches(container.service, desired.services, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        what = f"{SERVICE}={container.service}, but the desired state has no such service{meant}"
        yield Finding(
            Code.SERVICE_NOT_IN_FILE,
            container.where,
            what,
            "add the service to the desired state, or correct the label",
        )
    if container.docker.running:
        yield from _as_sighted(container, context, guess)
    if service is not None:
        is_auto = context.desired is not None and service is context.desired.auto
        yield from _health(container, service, "defaults" if is_auto else f"services.{service.name}")
    yield from _traefik_labels(container, context)
    yield from _keeping(container)


def _guesses(containers: Iterable[ServiceContainer], context: Context) -> dict[str, str]:
    """Return a guess of the network for each container whose network is not known, by `where`."""
    own = next((networks for peer, networks in context.peers.items() if peer.startswith(THE_DAEMON)), frozenset[str]())
    traefik_network = TraefikNetwork(context.desired.docker_network if context.desired else None, own)
    by_service: dict[str, dict[Colour, list[tuple[str, Server]]]] = {}
    for container in containers:
        sighting = _sighting(container, context)
        if container.docker.running and sighting is not None and sighting.colour:
            colours = by_service.setdefault(sighting.service, {colour: [] for colour in Colour})
            colours[sighting.colour] += [(container.where, server) for server in sighting.servers]
    found: dict[str, str] = {}
    for colours in by_service.values():
        blue, green = (tuple(server for _, server in colours[colour]) for colour in Colour)
        for colour, placed in choose(ByColour(blue, green), traefik_network, None, {}).items():
            guesses = zip(colours[colour], placed, strict=True)
            found |= {where: server.guess for (where, _), server in guesses if server.guess is not None}
    return found


def _sighting(container: ServiceContainer, context: Context) -> Sighting | None:
    environment = context.environment or container.docker.labels.get(ENVIRONMENT, "")
    if SERVICE not in container.docker.labels:
        return None
    scope = Scope.of(context.desired, environment) if context.desired else Scope(environment)
    return sight(container.docker, replace(scope, address=container.address), context.host_address)


def _as_sighted(container: ServiceContainer, context: Context, guess: str | None) -> Iterator[Finding]:
    """Yield why the daemon would ignore a container, or would guess its network."""
    sighting = _sighting(container, context)
    if sighting is None:
        return
    fix = sighting.fix or "correct its labels or networks"
    warning = (sighting.warning or "").removeprefix("ignored: ").removesuffix(f": {fix}")
    if not sighting.servers:
        code = labelled.why_ignored(container.docker.labels, sighting, context.desired)
        yield Finding(code, container.where, f"the daemon ignores it: {warning}", fix)
        return
    if guess is not None:
        what, _, fix = guess.partition(TO_FIX_IT)
        yield Finding(Code.NETWORK_AMBIGUOUS, container.where, what, fix)
    yield from _reach(container, sighting, context)


def _reach(container: ServiceContainer, sighting: Sighting, context: Context) -> Iterator[Finding]:
    address = urlsplit(sighting.servers[0].url).hostname if sighting.servers else None
    network = next((name for name, has in container.docker.addresses.items() if has == address), None)
    if network is None:  # on a published port, or in the network of the host
        return
    for peer, networks in context.peers.items():
        if network in networks or HOST_MODE in networks:
            continue
        shared = sorted(networks & container.docker.addresses.keys())
        what = f"its address is on the network {network}, where {peer} is not (it is on {_names(networks)})"
        fix = (
            f"choose a network that both are on: add the label {NETWORK}={shared[0]}"
            if shared
            else f"docker network connect {network} {peer.rpartition(' ')[2]}, and add the network where it is started"
        )
        yield Finding(Code.NETWORK_NOT_SHARED, container.where, what, fix)


def _names(networks: Iterable[str]) -> str:
    return ", ".join(sorted(networks)) or "none"


def _unknown_labels(container: ServiceContainer) -> Iterator[Finding]:
    for label in sorted(container.docker.labels):
        if label.lower().startswith(PREFIX) and not is_known(label):
            close = difflib.get_close_matches(label.lower(), KNOWN, 1)
            fix = f"write {close[0]}" if close else f"remove it; known labels are {', '.join(sorted(KNOWN))}"
            yield Finding(Code.LABEL_UNKNOWN, container.where, f"unknown label {label}", fix)


def _elsewhere(container: ServiceContainer, environment: str, ours: str) -> Finding:
    what = f"it belongs to the environment {environment}; this daemon's is {ours}, so it ignores the container"
    return Finding(
        Code.OTHER_ENVIRONMENT, container.where, what, f"nothing, if that is intended; else write {ENVIRONMENT}={ours}"
    )


def _health(container: ServiceContainer, service: Service, place: str) -> Iterator[Finding]:
    if container.has_healthcheck is not False:
        return
    match service.endpoints[0].health_check.mode:
        case ProbeMode.DOCKER:
            what = f"{place}.healthCheck says mode: docker, but it has no HEALTHCHECK: never healthy"
            fix = "give the image or the container a HEALTHCHECK, or write {mode: http, path: /healthz} in the file"
            yield Finding(Code.DOCKER_HEALTH_MISSING, container.where, what, fix)
        case None:
            what = "it has no HEALTHCHECK and its service no healthCheck, so an open port counts as healthy"
            fix = f"write healthCheck: {{mode: http, path: /healthz}} under {place}"
            yield Finding(Code.NO_HEALTH_CHECK, container.where, what, fix)
        case _:
            return


def _traefik_labels(container: ServiceContainer, context: Context) -> Iterator[Finding]:
    labels = container.docker.labels
    routing = sorted(label for label in labels if label.lower().startswith(TRAEFIK_ROUTING))
    if not routing or labels.get("traefik.enable", "").lower() == "false" or context.has_docker_provider is False:
        return
    if context.desired is None or context.takes_labels(
        container.service
    ):  # checks.adoption has what Traefik's own provider makes of them
        return
    what = (
        f"it also has labels for Traefik's Docker provider ({routing[0]}), so both colours get traffic past the daemon"
    )
    fix = "remove the traefik.* labels once the router of the desired state answers, or set traefik.enable=false"
    yield Finding(Code.TRAEFIK_LABELS, container.where, what, fix)


def _keeping(container: ServiceContainer) -> Iterator[Finding]:
    if container.restarts is False:
        what = "it does not restart after a crash or a reboot"
        fix = "docker update --restart unless-stopped CONTAINER, and write restart: unless-stopped in the compose file"
        yield Finding(Code.RESTART_POLICY, container.where, what, fix)
    name, at, _ = (container.image or "").rpartition("/")[2].partition("@")
    if container.image and not at and name.partition(":")[2] in {"", "latest"}:
        what = f"its image {container.image} is a moving tag: once it moves, the rollback target cannot start again"
        fix = "use a tag that does not move, such as shop:1.4.2"
        if name.endswith(":"):
            fix = "set the variable of the compose file: -e TAG=1.4.2"
        yield Finding(Code.IMAGE_MOVES, container.where, what, fix)


def _names_without_colour(containers: list[ServiceContainer]) -> Iterator[Finding]:
    """Find chosen names without the colour, while the other colour is not there to collide with."""
    there = {(container.service, container.colour) for container in containers}
    for container in containers:
        alone = not all((container.service, colour) in there for colour in Colour)
        if container.fixed_name is not None and alone and container.colour not in container.fixed_name:
            what = f"its container name {container.fixed_name} has no colour, so the other colour cannot start with it"
            yield Finding(Code.CONTAINER_NAME_FIXED, container.where, what, NAME_FIX)


def _between(blue: list[ServiceContainer], green: list[ServiceContainer]) -> Iterator[Finding]:
    """Find what containers of both colours need, once for all replicas."""
    seen: set[str] = set()
    for one, other in itertools.product(blue, green):
        for finding in _pair(one, other):
            if finding.what not in seen:
                seen.add(finding.what)
                yield finding


def _pair(one: ServiceContainer, other: ServiceContainer) -> Iterator[Finding]:
    where = f"{one.where} and {other.where}"
    if one.fixed_name is not None and one.fixed_name == other.fixed_name:
        what = f"both colours need the container name {one.fixed_name}, so the second cannot start"
        yield Finding(Code.CONTAINER_NAME_FIXED, where, what, NAME_FIX)
    for port in dict.fromkeys(one.published):
        if any(port.collides_with(wanted) for wanted in other.published):
            what = f"both colours publish port {port} of the host, so the second cannot start"
            yield Finding(Code.PORT_COLLIDES, where, what, PORT_FIX)
    for volume in sorted(one.writable & other.writable):
        what = f"both colours can write to {volume}: two releases that run side by side change the same data"
        fix = "mount it read-only, or one for each colour; if both releases can share it, --ignore volume-shared"
        yield Finding(Code.VOLUME_SHARED, where, what, fix)
