"""Turns one container into a server of a service, by its labels: colour, address, port and release."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple, Self

from provider.docker.container import COMPOSE_CONFIG_HASH, HOST_MODE, JOINED_MODE, SHORT_ID, Binding, Container
from provider.docker.inspected import digest
from provider.docker.traefik_labels import ContainerFacts
from provider.docker.traefik_labels.routing import routing_of
from provider.docker.traefik_labels.tree import routing_labels
from provider.model import Colour, Desired, Endpoint, Engine, HealthCheck, Part, Protocol, Route, Server, Service
from provider.model.desired import DEFAULT_ENDPOINT
from provider.model.errors import BluegreenError
from provider.model.observed import Labelled
from provider.model.routing import Routing
from provider.model.text import NAME_MOST, clean

SERVICE = "bluegreen.service"
COLOUR = "bluegreen.colour"
COLOR = "bluegreen.color"
PORT = "bluegreen.port"
SCHEME = "bluegreen.scheme"
NETWORK = "bluegreen.network"
VERSION = "bluegreen.version"
ENVIRONMENT = "bluegreen.environment"
USE_BIND_PORT = "bluegreen.use-bind-port"
KNOWN = frozenset({SERVICE, COLOUR, COLOR, PORT, SCHEME, NETWORK, VERSION, ENVIRONMENT, USE_BIND_PORT})
OF_ENDPOINT = f"{PORT}."
"""The label of the port of an endpoint other than `default` begins so (rule 31)."""
PREFIX = "bluegreen"
"""Every label of ours begins so; one that is not known is a typing mistake."""
COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"
LABELS_REMEMBERED = 4096
COMPOSE_COLOUR = re.compile(r"(?:^|[-_])(blue|green)$")


SCHEMES = ("http", "https", "h2c")
KIN = 2
"""How many of a release's parts are its image and version."""
LABEL = "label"
COMPOSE_SETTINGS = "settings of Compose's service"
ALLOW_INSPECT = "let the proxy before Docker's socket pass GET /containers/ID/json"
NOT_INSPECTED = (
    "what it was created with cannot be read, so its command, environment and mounts make no other release: "
    f"{ALLOW_INSPECT}"
)
PORT_DIGITS = 20
SHOWN_MOST = 80
"""Maximum number of characters quoted of a label's value."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Which environment's containers are used; `required` refuses those that do not name one.

    `ignored` are the variables of a container's environment that do not change its release. `endpoints` are those of
    each service for which the file has some. `labelled` are the services whose routing is that of their labels, and
    `auto` what those are like that the file does not name, where they are services. `engines` are those of the file.
    Of one engine alone: containers are reached by their published ports at `address`, where there is one, and `is_one`
    of several, whose releases are told by what all of them have in common.
    """

    environment: str
    required: bool = False
    ignored: frozenset[str] = frozenset()
    endpoints: Mapping[str, tuple[Endpoint, ...]] = field(default_factory=dict)
    labelled: Mapping[str, Service] = field(default_factory=dict)
    auto: Service | None = None
    named: frozenset[str] = frozenset()
    engines: tuple[Engine, ...] = ()
    address: str | None = None
    is_one: bool = False

    @classmethod
    def of(cls, desired: Desired, environment: str | None = None) -> Self:
        """Return what a desired state asks Docker for; `environment` stands in place of its own."""
        return cls(
            environment or desired.environment,
            desired.require_environment_label,
            desired.ignored_environment,
            {name: service.endpoints for name, service in desired.services.items() if _are_written(service.endpoints)},
            {name: service for name, service in desired.services.items() if service.labels is not None},
            desired.auto,
            frozenset(desired.services) if desired.auto is not None else frozenset(),
            desired.engines,
        )

    def labelled_as(self, service: str) -> Service | None:
        """Return what the file says of a service whose routing is that of its labels; None for any other."""
        return self.labelled.get(service) or (None if service in self.named else self.auto)

    def endpoints_of(self, service: str) -> tuple[Endpoint, ...]:
        """Return the endpoints of a service; one of HTTP where the file says nothing of them."""
        return self.endpoints.get(service, ONLY_HTTP)


ONLY_HTTP = (Endpoint(),)


def _are_written(endpoints: tuple[Endpoint, ...]) -> bool:
    """Return whether endpoints say anything about containers that one of HTTP does not."""
    only = endpoints[0]
    return len(endpoints) > 1 or replace(only, load_balancer={}, health_check=ONLY_HTTP[0].health_check) != ONLY_HTTP[0]


class Wanted(NamedTuple):
    """Where the servers of an endpoint listen; without a port that is the lowest one which its container exposes."""

    endpoint: str
    protocol: Protocol
    scheme: str
    port: int | None


@dataclass(frozen=True, slots=True)
class Sighting:
    """A container of a service, with a server for each endpoint. One that cannot serve has a warning and no server; one
    that can may have both.

    A warning ends with `: FIX`; `fix` has that part by itself.
    """

    service: str
    container: str
    name: str
    colour: Colour | None = None
    servers: tuple[Server, ...] = ()
    warning: str | None = None
    fix: str | None = None

    @property
    def server(self) -> Server | None:
        """The server of its first endpoint; None where it cannot serve."""
        return self.servers[0] if self.servers else None


def is_known(label: str) -> bool:
    """Return whether a label is one of ours."""
    return label in KNOWN or label.startswith(OF_ENDPOINT)


class Ignored(BluegreenError):  # noqa: N818  the state of a container or task, not an error of ours
    """What is labelled is ignored: what is wrong with it, and which label or setting to change."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}: {fix}")
        self.fix = fix


def unreadable(listed: object) -> Sighting:
    """Return a sighting without a server, with a warning, for an entry of the engine's list that cannot be read."""
    known = listed if isinstance(listed, dict) else {}
    labels = known.get("Labels")
    service = labels.get(SERVICE) if isinstance(labels, dict) else None
    id_ = clean(known.get("Id", "?"), SHORT_ID)
    names = known.get("Names")
    name = names[0].lstrip("/") if isinstance(names, list) and names and isinstance(names[0], str) else id_
    warning = "ignored: the engine describes it in a way that cannot be read: is this a Docker Engine?"
    return Sighting(clean(service or "", NAME_MOST), id_, clean(name, NAME_MOST), warning=warning)


def sight(container: Container, scope: Scope, host_address: str) -> Sighting | None:
    """Read a container as a server, or a warning; None where it belongs to another environment.

    `host_address` is where Traefik reaches the engine's host. A container that joined another's network must
    come with that one's mode, addresses and bindings.
    """
    if container.labels.get(ENVIRONMENT, scope.environment) != scope.environment:
        return None
    service = container.labels[SERVICE]
    try:
        check_scope(container.labels, scope)
        colour = colour_of(container.labels)
        labelled = labelled_of(container.labels, scope, _facts(container))
        listening = wanted(container.labels, scope, labelled)
        reached = [(each, *_urls(container, each, host_address, scope.address)) for each in listening]
    except Ignored as reason:
        return Sighting(service, container.id, container.name, warning=f"ignored: {reason}", fix=reason.fix)
    said = _said(container) if labelled is not None else ()
    parts, ids = _parts(container, scope.ignored), [former_id(container)]
    if not (container.has_config_hash or container.created is None):
        ids.append(release_id(parts))
        if labelled is not None:
            ids.append(release_id((*parts, *said)))
    if scope.is_one:
        parts = _on_any_engine(container, parts)
        ids.append(release_id((*parts, *said)))
    kin, parts = (*parts[:KIN], *said), (*parts, *said)
    unit = container.labels.get(COMPOSE_SERVICE)
    server = Server(
        url="",
        release=ids[-1],
        version=container.labels.get(VERSION),
        container=container.id,
        docker_health=container.health,
        former=tuple(id_ for id_ in dict.fromkeys(ids) if id_ != ids[-1]),
        parts=parts,
        unit=unit and f"{container.labels.get(COMPOSE_PROJECT, '')}/{unit}",
        kin=unit and release_id(kin),
        is_labelled=NETWORK in container.labels,
        labelled=labelled,
        untold=_untold(container) if scope.is_one else None,
    )
    servers = tuple(replace(server, url=url, routes=routes, endpoint=each.endpoint) for each, url, routes in reached)
    return Sighting(service, container.id, container.name, colour, servers)


def _said(container: Container) -> tuple[Part, ...]:
    """Return what labels say of the routing, which is a part of the release (rule 40)."""
    return tuple(Part(LABEL, name, digest(value)) for name, value in sorted(routing_labels(container.labels).items()))


def _on_any_engine(container: Container, parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return the parts of a release by what engines have in common: images built on each have ids of their own.

    Rule 38: the image by its digest in a repository, else by the version; where there is neither it is told apart.
    """
    image = Part("image", "", container.image_id) if _untold(container) else Part("digest", "", container.digest or "")
    return (image, *parts[1:])


def _untold(container: Container) -> str | None:
    """Say why it cannot be told whether containers of several engines are one release; None where it can."""
    if container.digest is not None or container.labels.get(VERSION):
        return None
    return (
        f"container {container.id}: its image has no digest of a repository, and the container no label {VERSION}, so "
        "that nothing tells whether other engines run the same"
    )


def _facts(container: Container) -> ContainerFacts:
    ports = tuple(sorted({*container.exposed, *container.exposed_udp}))
    return ContainerFacts(container.labels[SERVICE], container.name, ports)


def release_id(parts: Iterable[Part]) -> str:
    """Return the release id of containers without Compose's hash, from all that they were created with.

    A moved tag or other settings change it, a restart does not.
    """
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:8]


def former_id(container: Container) -> str:
    """Return the release id where Compose's hash covers the settings. It is stored and must not change.

    Containers without that hash once had it too, and it is stored for them as well (rule 40).
    """
    labels = container.labels
    parts = [container.image_id, labels.get(VERSION), labels.get(COMPOSE_CONFIG_HASH)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def _parts(container: Container, ignored: frozenset[str]) -> tuple[Part, ...]:
    """Return what the release of a container covers, image and version first."""
    hashed = container.labels.get(COMPOSE_CONFIG_HASH)
    created = container.created.parts if container.created and hashed is None else ()
    return (
        Part("image", "", container.image_id),
        Part(VERSION, "", container.labels.get(VERSION, "")),
        *([] if hashed is None else [Part(COMPOSE_SETTINGS, container.labels.get(COMPOSE_SERVICE, ""), hashed)]),
        *(part for part in created if part.kind != "environment" or part.name not in ignored),
    )


def check_scope(labels: Mapping[str, str], scope: Scope) -> None:
    """Raise Ignored where the labels name no service, or not the environment that is required."""
    if scope.required and ENVIRONMENT not in labels:
        label = f"{ENVIRONMENT}={scope.environment}"
        raise Ignored(f"no label {ENVIRONMENT}, which the desired state requires", f"add {label}")
    if not labels[SERVICE]:
        raise Ignored(f"{SERVICE} is empty", "name a service of the desired state")


def colour_of(labels: Mapping[str, str]) -> Colour:
    """Return the colour of the labels: else the last word of the Compose project, as in shop-blue (rule 36).

    Raises Ignored where they name none, or another.
    """
    written = {label: labels[label] for label in (COLOUR, COLOR) if label in labels}
    match sorted(set(written.values())):
        case []:
            colour = COMPOSE_COLOUR.search(labels.get(COMPOSE_PROJECT, ""))
            if colour is None:
                raise Ignored(f"no label {COLOUR}", f"add {COLOUR}=blue or {COLOUR}=green")
            return Colour(colour[1])
        case ["blue"]:
            return Colour.BLUE
        case ["green"]:
            return Colour.GREEN
        case _:
            found = " and ".join(f"{label}={clean(value, SHOWN_MOST)}" for label, value in written.items())
            raise Ignored(found, "the colour must be blue or green")


def labelled_of(labels: Mapping[str, str], scope: Scope, facts: ContainerFacts) -> Labelled | None:
    """Return what labels say of the routing of their service; None where the file has it (rule 34)."""
    service = scope.labelled_as(labels[SERVICE])
    if service is None or service.labels is None:
        return None
    rule = service.labels.default_rule
    facts = replace(facts, default_rule=rule) if rule is not None else facts
    return _labelled(tuple(labels.items()), facts, service.endpoints[0].health_check)


@lru_cache(maxsize=LABELS_REMEMBERED)
def _labelled(labels: tuple[tuple[str, str], ...], facts: ContainerFacts, health_check: HealthCheck) -> Labelled:
    found = routing_of(dict(labels), facts, health_check)
    return Labelled(found) if isinstance(found, Routing) else Labelled(None, tuple(map(str, found)))


def wanted(labels: Mapping[str, str], scope: Scope, labelled: Labelled | None = None) -> tuple[Wanted, ...]:
    """Return where the servers of each endpoint of a service listen. Raises Ignored for labels that do not say so."""
    if labelled is not None:
        endpoints = labelled.routing.endpoints if labelled.routing is not None else ONLY_HTTP
    else:
        endpoints = scope.endpoints_of(labels[SERVICE])
    names = {port_label(one.name) for one in endpoints}
    for label in labels:
        if label.startswith(OF_ENDPOINT) and label not in names:
            known = ", ".join(one.name for one in endpoints)
            raise Ignored(f"{label}: the service has no such endpoint", f"name one of its endpoints ({known})")
    return tuple(_wanted(labels, one) for one in endpoints)


def _wanted(labels: Mapping[str, str], endpoint: Endpoint) -> Wanted:
    port = written_port(labels, endpoint.name) or endpoint.port
    if endpoint.protocol is not Protocol.HTTP:
        return Wanted(endpoint.name, endpoint.protocol, endpoint.protocol.value, port)
    scheme = scheme_of(labels) if endpoint.name == DEFAULT_ENDPOINT and SCHEME in labels else endpoint.scheme
    return Wanted(endpoint.name, endpoint.protocol, scheme or "http", port)


def _urls(
    container: Container, wanted: Wanted, host_address: str, published_at: str | None = None
) -> tuple[str, tuple[Route, ...]]:
    """Return where Traefik reaches an endpoint of the container, and each network of its own with its address there.

    Of several without a label that names one, the first by name is used until `networks.choose` decides. On an engine
    with an address, where its ports are `published_at`, there is no other way (rule 38).
    """
    scheme, port, protocol = wanted.scheme, wanted.port, wanted.protocol
    if published_at is not None and container.network_mode != HOST_MODE:
        public = published_port(container, port, protocol, published_at)
        return url_at(scheme, published_at, public), ()
    if published_at is None and uses_bind_port(container.labels):
        binding = _binding(container.bindings, port, protocol)
        return url_at(scheme, host_address if binding.is_wildcard else binding.ip, binding.public), ()
    port = port or min(container.exposed_udp if protocol is Protocol.UDP else container.exposed, default=None)
    if port is None:
        raise Ignored(f"it exposes no {kind_of(protocol)} port", f"add {port_label(wanted.endpoint)}=PORT")
    if container.network_mode == HOST_MODE:
        return url_at(scheme, published_at or host_address, port), ()
    routes = tuple(Route(name, url_at(scheme, address, port)) for name, address in container.addresses.items())
    return url_at(scheme, _address(container), port), routes


def published_port(container: Container, port: int | None, protocol: Protocol, address: str) -> int:
    """Return the port of the engine's address at which a port of a container is published.

    Raises Ignored where it is not published there: on no address, or on another one.
    """
    try:
        there = tuple(one for one in container.bindings if one.is_reached_at(address))
        return _binding(there, port, protocol).public
    except Ignored:
        kind = kind_of(protocol)
        what = f"no {kind} port of it is" if port is None else f"its {kind} port {port} is not"
        raise Ignored(
            f"{what} published at {address}, where its engine is reached",
            f"publish it on every address of the host, or on {address}",
        ) from None


def scheme_of(labels: Mapping[str, str]) -> str:
    """Return the scheme of a label, http without one. Raises Ignored for an unknown one."""
    scheme = labels.get(SCHEME, "http")
    if scheme not in SCHEMES:
        raise Ignored(f"{SCHEME}={clean(scheme, SHOWN_MOST)}", f"the scheme must be one of {', '.join(SCHEMES)}")
    return scheme


def url_at(scheme: str, address: str, port: int) -> str:
    """Return the URL of a server."""
    return f"{scheme}://{f'[{address}]' if ':' in address else address}:{port}"


def port_label(endpoint: str) -> str:
    """Return the label that has the port of an endpoint."""
    return PORT if endpoint == DEFAULT_ENDPOINT else f"{OF_ENDPOINT}{endpoint}"


def written_port(labels: Mapping[str, str], endpoint: str = DEFAULT_ENDPOINT) -> int | None:
    """Return the port of a label, None without one. Raises Ignored for one that is no port."""
    label = port_label(endpoint)
    written = labels.get(label)
    if written is None:
        return None
    # Python refuses an integer of thousands of digits, which would fail the whole list.
    port = int(written) if written.isascii() and written.isdigit() and len(written) <= PORT_DIGITS else 0
    if not 0 < port < 65536:
        raise Ignored(f"{label}={clean(written, SHOWN_MOST)}", "the port must be a number from 1 to 65535")
    return port


def uses_bind_port(labels: Mapping[str, str]) -> bool:
    """Return whether a server is reached on its published port. Raises Ignored for another value than true or false."""
    written = labels.get(USE_BIND_PORT, "false")
    if written not in {"true", "false"}:
        raise Ignored(f"{USE_BIND_PORT}={clean(written, SHOWN_MOST)}", "it must be true or false")
    return written == "true"


def kind_of(protocol: Protocol) -> str:
    """Return what Docker calls the ports of a protocol."""
    return "UDP" if protocol is Protocol.UDP else "TCP"


def _binding(bindings: tuple[Binding, ...], port: int | None, protocol: Protocol) -> Binding:
    """Return the published port to use: of the lowest port, on every address before one, IPv4 before IPv6."""
    usable = [one for one in bindings if port in {None, one.private} and one.is_udp is (protocol is Protocol.UDP)]
    if not usable:
        kind = kind_of(protocol)
        fact = f"no {kind} port is published" if port is None else f"{kind} port {port} is not published"
        raise Ignored(f"{USE_BIND_PORT}=true, but {fact}", "publish it, or remove the label")
    return min(usable, key=lambda b: (b.private, not b.is_wildcard, ":" in b.ip, b))


def _address(container: Container) -> str:
    if container.network_mode.startswith(JOINED_MODE):
        other = container.network_mode.removeprefix(JOINED_MODE)[:SHORT_ID]
        raise Ignored(
            f"it shares the network of container {other}, which is not running or has no network of its own",
            f"start {other}, or attach this container to a network that Traefik reaches",
        )
    addresses, named = container.addresses, container.labels.get(NETWORK)
    if named is not None:
        if named not in addresses:
            raise Ignored(
                f"{NETWORK}={clean(named, SHOWN_MOST)}: it has no address there",
                another_network(clean(named, SHOWN_MOST), list(addresses)),
            )
        return addresses[named]
    if not addresses:
        raise Ignored("it has no address on any network", "attach it to one that Traefik reaches")
    return next(iter(addresses.values()))


def another_network(named: str, names: list[str]) -> str:
    """Return the fix that names another network; Compose puts the project before the name in its file."""
    whole = [name for name in names if name.endswith(f"_{named}")]
    if len(whole) == 1:
        return f"write the whole name as Docker has it: {NETWORK}={whole[0]}"
    if len(names) == 1:
        return f"write {NETWORK}={names[0]}, its only network, or attach it to {named}"
    if names:
        return f"write {NETWORK}= one of its networks ({', '.join(whole or names)}), or attach it to {named}"
    return f"attach it to {named}; it has an address on no network"
