"""What a Docker Engine is asked about containers; each question runs in a thread of its own, on the client it is given.

Every function raises what Docker's SDK does.
"""

import signal
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from docker.errors import NotFound

from provider.engine import Client
from provider.labels import HOST_MODE, JOINED_MODE, PORT, SERVICE, Container, Scope, Sighting, container_from, sight


class Listing:
    """Lists running containers by their labels; remembers what their images expose, which never changes."""

    def __init__(self) -> None:
        self._exposed: dict[str, tuple[int, ...]] = {}

    def all(self, client: Client, scope: Scope, host_address: str) -> tuple[Sighting, ...]:
        """List the containers of every service."""
        return self._labelled(client, SERVICE, scope, host_address)

    def of_service(self, client: Client, service: str, scope: Scope, host_address: str) -> tuple[Sighting, ...]:
        """List the containers of one service."""
        return self._labelled(client, f"{SERVICE}={service}", scope, host_address)

    def forget_all_but(self, containers: Collection[str]) -> None:
        """Forget what is known of other containers than these."""
        for id_ in self._exposed.keys() - set(containers):
            del self._exposed[id_]

    def _labelled(self, client: Client, label: str, scope: Scope, host_address: str) -> tuple[Sighting, ...]:
        listed = map(container_from, client.containers(filters={"label": [label]}))
        containers = (self.completed(client, container) for container in listed if container.running)
        sightings = (sight(container, scope, host_address) for container in containers)
        return tuple(sorted(filter(None, sightings), key=lambda sighting: sighting.name))

    def completed(self, client: Client, container: Container) -> Container:
        """Add what the list does not say of a container that has no network of its own."""
        joined = container.network_mode.startswith(JOINED_MODE)
        if (joined or container.network_mode == HOST_MODE) and PORT not in container.labels:
            container = replace(container, exposed=self._exposed_ports(client, container.id))
        if joined:
            other = container.network_mode.removeprefix(JOINED_MODE)
            for owner in map(container_from, client.containers(filters={"id": [other]})):
                container = replace(
                    container,
                    network_mode=owner.network_mode,
                    addresses=owner.addresses,
                    bindings=owner.bindings,
                )
        return container

    def _exposed_ports(self, client: Client, id_: str) -> tuple[int, ...]:
        if id_ not in self._exposed:
            ports = (port.partition("/") for port in _config(client, id_).get("ExposedPorts") or {})
            self._exposed[id_] = tuple(sorted(int(number) for number, _, kind in ports if kind == "tcp"))
        return self._exposed[id_]


def started_since(client: Client, stopped: Mapping[str, int]) -> frozenset[str]:
    """Return which containers were started after the moment given for each, in ns by the engine's clock."""
    return frozenset(id_ for id_, engine_ns in stopped.items() if _started_ns(client, id_) > engine_ns)


def stop_signal(client: Client, id_: str) -> int | None:
    """Return the number of the signal by which a container's image wants to be stopped; None where it names none."""
    return signal_number(_config(client, id_).get("StopSignal"))


def signal_number(name: str | None) -> int | None:
    """Return the number of a signal as an image may write it: SIGWINCH, WINCH, 28, RTMIN+3."""
    plain = (name or "").upper().removeprefix("SIG")
    if plain.isdecimal():
        return int(plain)
    base, _, offset = plain.partition("+")
    try:
        return signal.Signals[f"SIG{base}"] + int(offset or 0)
    except (KeyError, ValueError):
        return None


def _config(client: Client, id_: str) -> Mapping[str, Any]:
    """Return the `Config` of a container, empty for one that is gone."""
    try:
        config: Mapping[str, Any] = client.inspect_container(id_)["Config"]
    except NotFound:
        return {}
    return config


def _started_ns(client: Client, id_: str) -> int:
    """Return when a container was last started, by the engine's clock; 0 for one that is gone."""
    try:
        started = datetime.fromisoformat(client.inspect_container(id_)["State"]["StartedAt"])
    except NotFound:
        return 0
    return int(started.timestamp() * 1e9)
