"""Reads one container of the engine's list."""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from provider.docker.inspected import Created
from provider.docker.traefik_labels.tree import VALUE_MOST, is_routing
from provider.model import Health
from provider.model.text import LINE_MOST, NAME_MOST, clean

COMPOSE_CONFIG_HASH = "com.docker.compose.config-hash"
HOST_MODE = "host"
JOINED_MODE = "container:"
SHORT_ID = 12
ROUTING_MOST = VALUE_MOST + 1
"""One that was cut is refused as too long, and not read as another."""
UNREADABLE = (AttributeError, KeyError, IndexError, TypeError, ValueError, RecursionError)
"""What reading an answer raises that does not have the form of Docker's."""


class Binding(NamedTuple):
    """A port of a container and where the engine publishes it."""

    private: int
    ip: str
    public: int
    is_udp: bool = False

    @property
    def is_wildcard(self) -> bool:
        """Whether it is published on every address of the host."""
        return not self.ip or ipaddress.ip_address(self.ip).is_unspecified

    def is_reached_at(self, address: str) -> bool:
        """Whether it is published at an address of the host; what a name leads to is left to whoever wrote it."""
        if self.is_wildcard or self.ip == address:
            return True
        try:
            return ipaddress.ip_address(self.ip) == ipaddress.ip_address(address)
        except ValueError:
            return not ipaddress.ip_address(self.ip).is_loopback


@dataclass(frozen=True, slots=True)
class Container:
    """What the engine lists of one container. `addresses` has its networks by name, `exposed` its TCP ports and
    `exposed_udp` those of UDP.

    `created` comes from an inspection; None where there was none, or the engine forbids it. One that `is_joined` has
    the network of another container, and that one's mode, addresses and bindings. `digest` is that of its image in a
    repository, where it was asked for.
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
    exposed_udp: tuple[int, ...] = ()
    digest: str | None = None

    @property
    def has_config_hash(self) -> bool:
        """Whether Compose's label covers what the container was created with."""
        return COMPOSE_CONFIG_HASH in self.labels


def container_from(listed: Mapping[str, Any]) -> Container:
    """Read one entry of the engine's `GET /containers/json`. Raises one of UNREADABLE for an invalid one."""
    ports = [port for port in listed.get("Ports") or () if port.get("Type") in {"tcp", "udp"}]
    networks = (listed.get("NetworkSettings") or {}).get("Networks") or {}
    id_ = clean(listed["Id"][:SHORT_ID])
    return Container(
        id=id_,
        name=clean((listed.get("Names") or [id_])[0].lstrip("/"), NAME_MOST),
        image_id=clean(listed["ImageID"], NAME_MOST),
        labels={
            clean(name, NAME_MOST): clean(value, ROUTING_MOST if is_routing(name) else LINE_MOST)
            for name, value in (listed.get("Labels") or {}).items()
        },
        running=listed.get("State") in {"running", "paused"},
        health=_health(listed),
        network_mode=clean((listed.get("HostConfig") or {}).get("NetworkMode") or "", NAME_MOST),
        addresses={
            clean(name, NAME_MOST): clean(address, NAME_MOST)
            for name, network in sorted(networks.items())
            if (address := network.get("IPAddress") or network.get("GlobalIPv6Address"))
        },
        exposed=_exposed(ports, "tcp"),
        bindings=tuple(
            Binding(
                _listed_port(port["PrivatePort"]),
                clean(port.get("IP") or "", NAME_MOST),
                _listed_port(port["PublicPort"]),
                port["Type"] == "udp",
            )
            for port in ports
            if port.get("PublicPort")
        ),
        exposed_udp=_exposed(ports, "udp"),
    )


def _exposed(ports: Iterable[Mapping[str, Any]], kind: str) -> tuple[int, ...]:
    return tuple(sorted({_listed_port(port["PrivatePort"]) for port in ports if port["Type"] == kind}))


def _listed_port(port: object) -> int:
    """Return a port of the engine's list; raise ValueError for an invalid one."""
    if not isinstance(port, int) or not 0 <= port < 65536:
        raise ValueError("invalid port")
    return port


def _health(listed: Mapping[str, Any]) -> Health | None:
    """Return the health of a listed container.

    Engines before API 1.52 have it only in `Status`, as in "Up 3 seconds (health: starting)". A paused container has
    none there; it answers no request.
    """
    if listed.get("State") == "paused":
        return Health.UNHEALTHY
    return health_from(
        (listed.get("Health") or {}).get("Status") or listed.get("Status", "").rpartition("(")[2].rstrip(")")
    )


def health_from(status: object) -> Health | None:
    """Return the health that the HEALTHCHECK reports, in one of the engine's words; None without one."""
    match status:
        case "healthy":
            return Health.HEALTHY
        case "unhealthy":
            return Health.UNHEALTHY
        case "starting" | "health: starting":
            return Health.UNKNOWN
        case _:
            return None
