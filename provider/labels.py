"""Reads one container of the engine's list as a server of a service: labels, address, port, release, health."""

import hashlib
import ipaddress
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from provider.created import Created
from provider.errors import BluegreenError
from provider.model import Colour, Health, Part, Route, Server
from provider.text import NAME_MOST, clean

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
PREFIX = "bluegreen"
"""No label of ours begins otherwise; one that does, and is not known, is a slip of somebody's pen."""
COMPOSE_CONFIG_HASH = "com.docker.compose.config-hash"
COMPOSE_PROJECT = "com.docker.compose.project"
COMPOSE_SERVICE = "com.docker.compose.service"


SCHEMES = ("http", "https", "h2c")
KIN = 2
"""So many of a release's parts are its image and version."""
COMPOSES_SETTINGS = "settings of Compose's service"
SHOW_IT = "let the proxy before Docker's socket pass GET /containers/ID/json"
UNTOLD = (
    f"what it was created with cannot be read, so its command, environment and mounts make no other release: {SHOW_IT}"
)
HOST_MODE = "host"
JOINED_MODE = "container:"
SHORT_ID = 12
PORT_DIGITS = 20
SHOWN_MOST = 80
"""So many characters of a label's value are quoted."""
UNREADABLE = (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError)
"""What reading an engine's answer raises where it is built otherwise than Docker's are."""


class Binding(NamedTuple):
    """A TCP port of a container and where the engine publishes it."""

    private: int
    ip: str
    public: int

    @property
    def is_wildcard(self) -> bool:
        """Whether it is published on every address of the host."""
        return not self.ip or ipaddress.ip_address(self.ip).is_unspecified


@dataclass(frozen=True, slots=True)
class Container:
    """What the engine lists of one container. `addresses` has its networks by name, `exposed` its TCP ports.

    `created` is what only an inspection tells; None where nobody asked, or the engine does not say. One that
    `is_joined` has the network of another container, and that one's mode, addresses and bindings.
    """

    id: str
    name: str
    image_id: str
    labels: Mapping[str, str]
    running: bool
    health: Health | None
    network_mode: str
    addresses: Mapping[str, str]
    exposed: tuple[int, ...]
    bindings: tuple[Binding, ...]
    created: Created | None = None
    is_joined: bool = False

    @property
    def has_config_hash(self) -> bool:
        """Whether Compose says by a label what the container was created with."""
        return COMPOSE_CONFIG_HASH in self.labels


@dataclass(frozen=True, slots=True)
class Scope:
    """Which environment's containers count; `required` refuses those that do not name one.

    `ignored` are the variables of a container's environment that make no other release.
    """

    environment: str
    required: bool
    ignored: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Sighting:
    """A container of a service. One that cannot serve has a warning and no server; one that can may have both.

    A warning ends with `: FIX`; `fix` has that part by itself.
    """

    service: str
    container: str
    name: str
    colour: Colour | None = None
    server: Server | None = None
    warning: str | None = None
    fix: str | None = None


class _Unusable(BluegreenError):  # noqa: N818  the word for the container, not for the code
    """The container cannot serve: what is wrong with it, and which label or setting to change."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(f"{what}: {fix}")
        self.fix = fix


def container_from(listed: Mapping[str, Any]) -> Container:
    """Read one entry of the engine's `GET /containers/json`. Raises one of UNREADABLE for what is none."""
    ports = [port for port in listed.get("Ports") or () if port.get("Type") == "tcp"]
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    id_ = clean(listed["Id"][:SHORT_ID])
    return Container(
        id=id_,
        name=clean((listed.get("Names") or [id_])[0].lstrip("/"), NAME_MOST),
        image_id=clean(listed["ImageID"], NAME_MOST),
        labels={clean(name, NAME_MOST): clean(value) for name, value in (listed.get("Labels") or {}).items()},
        running=listed.get("State") in {"running", "paused"},
        health=_health(listed),
        network_mode=clean((listed.get("HostConfig") or {}).get("NetworkMode") or "", NAME_MOST),
        addresses={
            clean(name, NAME_MOST): clean(address, NAME_MOST)
            for name, network in sorted(networks.items())
            if (address := network.get("IPAddress") or network.get("GlobalIPv6Address"))
        },
        exposed=tuple(sorted({_listed_port(port["PrivatePort"]) for port in ports})),
        bindings=tuple(
            Binding(
                _listed_port(port["PrivatePort"]),
                clean(port.get("IP") or "", NAME_MOST),
                _listed_port(port["PublicPort"]),
            )
            for port in ports
            if port.get("PublicPort")
        ),
    )


def unreadable(listed: object) -> Sighting:
    """Return what is known of an entry of the engine's list that cannot be read: it is no server, and says so."""
    known = listed if isinstance(listed, dict) else {}
    labels = known.get("Labels")
    service = labels.get(SERVICE) if isinstance(labels, dict) else None
    id_ = clean(known.get("Id", "?"), SHORT_ID)
    names = known.get("Names")
    name = names[0].lstrip("/") if isinstance(names, list) and names and isinstance(names[0], str) else id_
    told = "ignored: the engine describes it in a way that cannot be read: is this a Docker Engine?"
    return Sighting(clean(service or "", NAME_MOST), id_, clean(name, NAME_MOST), warning=told)


def sight(container: Container, scope: Scope, host_address: str) -> Sighting | None:
    """Return what a container is to us, None where it belongs to another environment.

    `host_address` is where Traefik reaches the engine's host. A container that joined another's network must
    come with that one's mode, addresses and bindings.
    """
    if container.labels.get(ENVIRONMENT, scope.environment) != scope.environment:
        return None
    service = container.labels[SERVICE]
    try:
        _check_scope(container.labels, scope)
        colour = _colour(container.labels)
        url, routes = _urls(container, host_address)
    except _Unusable as reason:
        return Sighting(service, container.id, container.name, warning=f"ignored: {reason}", fix=reason.fix)
    parts, former = _parts(container, scope.ignored), former_id(container)
    release = former if container.has_config_hash or container.created is None else release_id(parts)
    unit = container.labels.get(COMPOSE_SERVICE)
    server = Server(
        url=url,
        release=release,
        version=container.labels.get(VERSION),
        container=container.id,
        docker_health=container.health,
        former=() if release == former else (former,),
        parts=parts,
        unit=unit and f"{container.labels.get(COMPOSE_PROJECT, '')}/{unit}",
        kin=unit and release_id(parts[:KIN]),
        routes=routes,
        is_told=NETWORK in container.labels,
    )
    return Sighting(service, container.id, container.name, colour, server)


def release_id(parts: Iterable[Part]) -> str:
    """Return what tells the releases of containers apart that Compose gave no hash: all that they were created with.

    A moved tag or other settings change it, a restart does not.
    """
    return hashlib.sha256(json.dumps(list(parts)).encode()).hexdigest()[:8]


def former_id(container: Container) -> str:
    """Return what tells releases apart where Compose's hash covers the settings; it stays as it is, bit for bit.

    It was once the id of containers without that hash, too, and is stored as such (rule 40).
    """
    labels = container.labels
    parts = [container.image_id, labels.get(VERSION), labels.get(COMPOSE_CONFIG_HASH)]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:8]


def _listed_port(port: object) -> int:
    """Return a port as the engine lists it; raise ValueError for what is none."""
    if not isinstance(port, int) or not 0 <= port < 65536:
        raise ValueError("a port that is none")
    return port


def _parts(container: Container, ignored: frozenset[str]) -> tuple[Part, ...]:
    """Return what the release of a container covers, image and version first."""
    hashed = container.labels.get(COMPOSE_CONFIG_HASH)
    created = container.created.parts if container.created and hashed is None else ()
    return (
        Part("image", "", container.image_id),
        Part(VERSION, "", container.labels.get(VERSION, "")),
        *([] if hashed is None else [Part(COMPOSES_SETTINGS, container.labels.get(COMPOSE_SERVICE, ""), hashed)]),
        *(part for part in created if part.kind != "environment" or part.name not in ignored),
    )


def _health(listed: Mapping[str, Any]) -> Health | None:
    """Return what the HEALTHCHECK says, None without one.

    Engines before API 1.52 say it only in `Status`, as in "Up 3 seconds (health: starting)". While a container is
    paused they say nothing of its health; it answers nobody.
    """
    if listed.get("State") == "paused":
        return Health.UNHEALTHY
    status = (listed.get("Health") or {}).get("Status") or listed.get("Status", "").rpartition("(")[2].rstrip(")")
    match status:
        case "healthy":
            return Health.HEALTHY
        case "unhealthy":
            return Health.UNHEALTHY
        case "starting" | "health: starting":
            return Health.UNKNOWN
        case _:
            return None


def _check_scope(labels: Mapping[str, str], scope: Scope) -> None:
    if scope.required and ENVIRONMENT not in labels:
        wanted = f"{ENVIRONMENT}={scope.environment}"
        raise _Unusable(f"no label {ENVIRONMENT}, which the desired state requires", f"add {wanted}")
    if not labels[SERVICE]:
        raise _Unusable(f"{SERVICE} is empty", "name a service of the desired state")


def _colour(labels: Mapping[str, str]) -> Colour:
    written = {label: labels[label] for label in (COLOUR, COLOR) if label in labels}
    match sorted(set(written.values())):
        case []:
            raise _Unusable(f"no label {COLOUR}", f"add {COLOUR}=blue or {COLOUR}=green")
        case ["blue"]:
            return Colour.BLUE
        case ["green"]:
            return Colour.GREEN
        case _:
            found = " and ".join(f"{label}={clean(value, SHOWN_MOST)}" for label, value in written.items())
            raise _Unusable(found, "the colour must be blue or green")


def _urls(container: Container, host_address: str) -> tuple[str, tuple[Route, ...]]:
    """Return where Traefik reaches the container, and each network of its own with its address there.

    Of several without a label that names one, the first by name stands until somebody chooses: see `reach`.
    """
    scheme = container.labels.get(SCHEME, "http")
    if scheme not in SCHEMES:
        raise _Unusable(f"{SCHEME}={clean(scheme, SHOWN_MOST)}", f"the scheme must be one of {', '.join(SCHEMES)}")
    port = _written_port(container.labels)
    if _uses_bind_port(container.labels):
        binding = _binding(container.bindings, port)
        return _at(scheme, host_address if binding.is_wildcard else binding.ip, binding.public), ()
    port = port or min(container.exposed, default=None)
    if port is None:
        raise _Unusable("it exposes no TCP port", f"add {PORT}=PORT")
    if container.network_mode == HOST_MODE:
        return _at(scheme, host_address, port), ()
    routes = tuple(Route(name, _at(scheme, address, port)) for name, address in container.addresses.items())
    return _at(scheme, _address(container), port), routes


def _at(scheme: str, address: str, port: int) -> str:
    return f"{scheme}://{f'[{address}]' if ':' in address else address}:{port}"


def _written_port(labels: Mapping[str, str]) -> int | None:
    written = labels.get(PORT)
    if written is None:
        return None
    # Python refuses to read an integer of thousands of digits, and that would concern every container.
    port = int(written) if written.isascii() and written.isdigit() and len(written) <= PORT_DIGITS else 0
    if not 0 < port < 65536:
        raise _Unusable(f"{PORT}={clean(written, SHOWN_MOST)}", "the port must be a number from 1 to 65535")
    return port


def _uses_bind_port(labels: Mapping[str, str]) -> bool:
    written = labels.get(USE_BIND_PORT, "false")
    if written not in {"true", "false"}:
        raise _Unusable(f"{USE_BIND_PORT}={clean(written, SHOWN_MOST)}", "it must be true or false")
    return written == "true"


def _binding(bindings: tuple[Binding, ...], port: int | None) -> Binding:
    """Return the published port to use: of the lowest port, on every address before one, IPv4 before IPv6."""
    usable = [binding for binding in bindings if port in {None, binding.private}]
    if not usable:
        fact = "no TCP port is published" if port is None else f"TCP port {port} is not published"
        raise _Unusable(f"{USE_BIND_PORT}=true, but {fact}", "publish it, or remove the label")
    return min(usable, key=lambda b: (b.private, not b.is_wildcard, ":" in b.ip, b))


def _address(container: Container) -> str:
    if container.network_mode.startswith(JOINED_MODE):
        other = container.network_mode.removeprefix(JOINED_MODE)[:SHORT_ID]
        raise _Unusable(
            f"it shares the network of container {other}, which is not running or has no network of its own",
            f"start {other}, or attach this container to a network that Traefik reaches",
        )
    addresses, wanted = container.addresses, container.labels.get(NETWORK)
    if wanted is not None:
        if wanted not in addresses:
            raise _Unusable(
                f"{NETWORK}={clean(wanted, SHOWN_MOST)}: it has no address there",
                another_network(clean(wanted, SHOWN_MOST), list(addresses)),
            )
        return addresses[wanted]
    if not addresses:
        raise _Unusable("it has no address on any network", "attach it to one that Traefik reaches")
    return next(iter(addresses.values()))


def another_network(wanted: str, names: list[str]) -> str:
    """Say which network to name instead; Compose puts the project before the name that its file has."""
    whole = [name for name in names if name.endswith(f"_{wanted}")]
    if len(whole) == 1:
        return f"write the whole name as Docker has it: {NETWORK}={whole[0]}"
    if len(names) == 1:
        return f"write {NETWORK}={names[0]}, its only network, or attach it to {wanted}"
    if names:
        return f"write {NETWORK}= one of its networks ({', '.join(whole or names)}), or attach it to {wanted}"
    return f"attach it to {wanted}; it has an address on no network"
