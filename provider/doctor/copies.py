"""Checks the copies of a service: its containers as they are, or as compose would make them."""

import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from provider.doctor.findings import Code, Finding
from provider.labels import (
    COLOR,
    COLOUR,
    ENVIRONMENT,
    HOST_MODE,
    KNOWN,
    NETWORK,
    PREFIX,
    SERVICE,
    Container,
    Scope,
    Sighting,
    sight,
)
from provider.model import ByColour, Colour, Desired, ProbeMode, Server, Service
from provider.reach import TO_FIX_IT, Word, choose

COLOURS = ("blue", "green")
THE_DAEMON = "the daemon "
NAME_MEND = "remove container_name, or write it with the colour: container_name: NAME-${BLUEGREEN_COLOUR}"
PORT_MEND = "publish no port (Traefik reaches the container in its network), or another one for each colour"
TRAEFIK_ROUTING = ("traefik.http.", "traefik.tcp.", "traefik.udp.")


@dataclass(frozen=True, slots=True)
class Port:
    """A published port of the host; `ip` is "" for all of its addresses."""

    ip: str
    number: int
    protocol: str = "tcp"

    def collides_with(self, other: "Port") -> bool:
        """Tell whether only one of the two can be published at a time."""
        same = (self.number, self.protocol) == (other.number, other.protocol)
        return same and (self.ip == other.ip or "" in {self.ip, other.ip})

    def __str__(self) -> str:
        return f"{f'{self.ip}:' if self.ip else ''}{self.number}/{self.protocol}"


@dataclass(frozen=True, slots=True)
class Copy:
    """One copy of a service in a colour. `where` names it, `container` has its labels, networks and exposed ports.

    `writable` has the volumes and host directories that it may write to; `fixed_name` is set where whoever starts it
    chose the name. What is not known is None.
    """

    where: str
    container: Container
    fixed_name: str | None = None
    published: tuple[Port, ...] = ()
    writable: frozenset[str] = frozenset()
    has_healthcheck: bool | None = None
    restarts: bool | None = None
    image: str | None = None

    @property
    def service(self) -> str:
        """The service that it names, "" where it names none."""
        return self.container.labels.get(SERVICE, "")

    @property
    def colour(self) -> str:
        """The colour that it names, "" where it names none."""
        labels = self.container.labels
        return labels.get(COLOUR) or labels.get(COLOR, "")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What copies have to go with; what is not known is None.

    `peers` are the networks of whoever must reach the copies, by what it is called: Traefik, and the daemon.
    """

    desired: Desired | None = None
    environment: str | None = None
    host_address: str = "127.0.0.1"
    has_docker_provider: bool | None = None
    peers: Mapping[str, frozenset[str]] = field(default_factory=dict)


def check(copies: Iterable[Copy], around: Surroundings) -> Iterator[Finding]:
    """Yield what is wrong with copies, each by itself and with those of the other colour."""
    copies, counted = list(copies), []
    guesses = _guesses(copies, around)
    for copy in copies:
        yield from _unknown_labels(copy)
        environment = copy.container.labels.get(ENVIRONMENT)
        if environment is not None and around.environment not in {None, environment}:
            yield _elsewhere(copy, environment, around.environment or "")
        elif copy.service or SERVICE in copy.container.labels:
            counted.append(copy)
            yield from _one(copy, around, guesses.get(copy.where))
    yield from collisions(counted)
    yield from _names_without_colour(counted)


def collisions(copies: Iterable[Copy]) -> Iterator[Finding]:
    """Yield what the two colours of a service both want, and only one can have."""
    by_colour: dict[str, dict[str, list[Copy]]] = {}
    for copy in copies:
        by_colour.setdefault(copy.service, {}).setdefault(copy.colour, []).append(copy)
    for colours in by_colour.values():
        blue, green = (colours.get(colour, []) for colour in COLOURS)
        if blue and green:
            yield from _between(blue, green)


def needs_healthcheck(copy: Copy, desired: Desired | None) -> bool | None:
    """Tell whether a copy lacks the HEALTHCHECK that its service goes by; None where nobody knows."""
    service = desired.services.get(copy.service) if desired is not None else None
    if service is not None and service.health_check.mode in {ProbeMode.HTTP, ProbeMode.TCP}:
        return False
    return None if copy.has_healthcheck is None else not copy.has_healthcheck


def _one(copy: Copy, around: Surroundings, guess: str | None) -> Iterator[Finding]:
    desired = around.desired
    service = desired.services.get(copy.service) if desired is not None else None
    if desired is not None and service is None and copy.service:
        close = difflib.get_close_matches(copy.service, desired.services, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        what = f"{SERVICE}={copy.service}, and the desired state has no such service{meant}"
        yield Finding(Code.SERVICE_NOT_IN_FILE, copy.where, what, "add the service to the file, or correct the label")
    if copy.container.running:
        yield from _as_sighted(copy, around, guess)
    if service is not None:
        yield from _health(copy, service)
    yield from _traefik_labels(copy, around)
    yield from _keeping(copy)


def _guesses(copies: Iterable[Copy], around: Surroundings) -> dict[str, str]:
    """Say of each copy of whose network nothing tells which one Traefik is in, by where it is."""
    own = next((networks for peer, networks in around.peers.items() if peer.startswith(THE_DAEMON)), frozenset[str]())
    word = Word(around.desired.docker_network if around.desired else None, own)
    by_service: dict[str, dict[Colour, dict[str, Server]]] = {}
    for copy in copies:
        sighting = _sighting(copy, around)
        if copy.container.running and sighting is not None and sighting.server is not None and sighting.colour:
            colours = by_service.setdefault(sighting.service, {colour: {} for colour in Colour})
            colours[sighting.colour][copy.where] = sighting.server
    found: dict[str, str] = {}
    for colours in by_service.values():
        blue, green = (tuple(colours[colour].values()) for colour in Colour)
        for colour, placed in choose(ByColour(blue, green), word, None, {}).items():
            guesses = zip(colours[colour], placed, strict=True)
            found |= {where: server.guess for where, server in guesses if server.guess is not None}
    return found


def _sighting(copy: Copy, around: Surroundings) -> Sighting | None:
    required = around.desired.require_environment_label if around.desired else False
    own = copy.container.labels.get(ENVIRONMENT, "")
    if SERVICE not in copy.container.labels:
        return None
    return sight(copy.container, Scope(around.environment or own, required), around.host_address)


def _as_sighted(copy: Copy, around: Surroundings, guess: str | None) -> Iterator[Finding]:
    """Judge a copy as the daemon would, which may do without it, or without the certainty of its network."""
    sighting = _sighting(copy, around)
    if sighting is None:
        return
    fix = sighting.fix or "correct its labels or networks"
    told = (sighting.warning or "").removeprefix("ignored: ").removesuffix(f": {fix}")
    if sighting.server is None:
        yield Finding(Code.CONTAINER_IGNORED, copy.where, f"the daemon does not use it: {told}", fix)
        return
    if guess is not None:
        told, _, fix = guess.partition(TO_FIX_IT)
        yield Finding(Code.NETWORK_AMBIGUOUS, copy.where, told, fix)
    yield from _reach(copy, sighting, around)


def _reach(copy: Copy, sighting: Sighting, around: Surroundings) -> Iterator[Finding]:
    address = urlsplit(sighting.server.url).hostname if sighting.server else None
    network = next((name for name, has in copy.container.addresses.items() if has == address), None)
    if network is None:  # on a published port, or on the host itself
        return
    for peer, networks in around.peers.items():
        if network in networks or HOST_MODE in networks:
            continue
        shared = sorted(networks & copy.container.addresses.keys())
        what = f"its address is on the network {network}, where {peer} is not (it is on {_names(networks)})"
        mend = (
            f"choose one that both are on: add the label {NETWORK}={shared[0]}"
            if shared
            else f"docker network connect {network} {peer.rpartition(' ')[2]}, and say so where it is started"
        )
        yield Finding(Code.NETWORK_NOT_SHARED, copy.where, what, mend)


def _names(networks: Iterable[str]) -> str:
    return ", ".join(sorted(networks)) or "none"


def _unknown_labels(copy: Copy) -> Iterator[Finding]:
    for label in sorted(copy.container.labels):
        if label.lower().startswith(PREFIX) and label not in KNOWN:
            close = difflib.get_close_matches(label.lower(), KNOWN, 1)
            mend = f"write {close[0]}" if close else f"remove it; there are {', '.join(sorted(KNOWN))}"
            yield Finding(Code.LABEL_UNKNOWN, copy.where, f"the label {label} means nothing here", mend)


def _elsewhere(copy: Copy, environment: str, ours: str) -> Finding:
    what = f"it is of the environment {environment}, this daemon's is {ours}, so it does not count here"
    return Finding(
        Code.OTHER_ENVIRONMENT, copy.where, what, f"nothing, where that is meant; else write {ENVIRONMENT}={ours}"
    )


def _health(copy: Copy, service: Service) -> Iterator[Finding]:
    if copy.has_healthcheck is not False:
        return
    match service.health_check.mode:
        case ProbeMode.DOCKER:
            what = f"services.{service.name}.healthCheck says mode: docker, and it has no HEALTHCHECK: never healthy"
            mend = "give the image or the container a HEALTHCHECK, or write {mode: http, path: /healthz} in the file"
            yield Finding(Code.DOCKER_HEALTH_MISSING, copy.where, what, mend)
        case None:
            what = "neither it has a HEALTHCHECK nor its service a healthCheck: a port that connects counts as healthy"
            mend = f"write healthCheck: {{mode: http, path: /healthz}} under services.{service.name}"
            yield Finding(Code.NO_HEALTH_CHECK, copy.where, what, mend)
        case _:
            return


def _traefik_labels(copy: Copy, around: Surroundings) -> Iterator[Finding]:
    labels = copy.container.labels
    routing = sorted(label for label in labels if label.lower().startswith(TRAEFIK_ROUTING))
    if not routing or labels.get("traefik.enable", "").lower() == "false" or around.has_docker_provider is False:
        return
    what = f"it has labels for Traefik's Docker provider, too ({routing[0]}): both colours get traffic past the daemon"
    mend = "remove the traefik.* labels, once the router of the desired state answers; or write traefik.enable=false"
    yield Finding(Code.TRAEFIK_LABELS, copy.where, what, mend)


def _keeping(copy: Copy) -> Iterator[Finding]:
    if copy.restarts is False:
        what = "nothing starts it again after a crash or a restart of the machine"
        mend = "docker update --restart unless-stopped CONTAINER, and restart: unless-stopped in a compose file"
        yield Finding(Code.RESTART_POLICY, copy.where, what, mend)
    name, at, _ = (copy.image or "").rpartition("/")[2].partition("@")
    if copy.image and not at and name.partition(":")[2] in {"", "latest"}:
        what = f"its image {copy.image} is a name that moves: the way back cannot be started again once it has moved"
        mend = "name a version that stays, such as shop:1.4.2"
        if name.endswith(":"):
            mend = "give what the compose file takes from the environment: -e TAG=1.4.2"
        yield Finding(Code.IMAGE_MOVES, copy.where, what, mend)


def _names_without_colour(copies: list[Copy]) -> Iterator[Finding]:
    """Find names that were chosen without the colour in mind, while the other colour is not there to collide with."""
    there = {(copy.service, copy.colour) for copy in copies}
    for copy in copies:
        alone = not all((copy.service, colour) in there for colour in COLOURS)
        if copy.fixed_name is not None and alone and copy.colour not in copy.fixed_name:
            what = (
                f"its name {copy.fixed_name} was chosen for it and has no colour: the other colour cannot have it, too"
            )
            yield Finding(Code.CONTAINER_NAME_FIXED, copy.where, what, NAME_MEND)


def _between(blue: list[Copy], green: list[Copy]) -> Iterator[Finding]:
    """Find what a copy of each colour wants, once however many replicas there are; the two that want it are named."""
    seen: set[str] = set()
    for one, other in itertools.product(blue, green):
        for finding in _pair(one, other):
            if finding.what not in seen:
                seen.add(finding.what)
                yield finding


def _pair(one: Copy, other: Copy) -> Iterator[Finding]:
    where = f"{one.where} and {other.where}"
    if one.fixed_name is not None and one.fixed_name == other.fixed_name:
        what = f"both colours want the container name {one.fixed_name}: the second cannot be started"
        yield Finding(Code.CONTAINER_NAME_FIXED, where, what, NAME_MEND)
    for port in dict.fromkeys(one.published):
        if any(port.collides_with(wanted) for wanted in other.published):
            what = f"both colours want the port {port} of the host: the second cannot be started"
            yield Finding(Code.PORT_COLLIDES, where, what, PORT_MEND)
    for volume in sorted(one.writable & other.writable):
        what = f"both colours may write to {volume}: while they run side by side, two releases change the same data"
        mend = "mount it read-only, or one for each colour; where both releases can share it: --ignore volume-shared"
        yield Finding(Code.VOLUME_SHARED, where, what, mend)
