"""What a Docker Engine is asked about containers; each question runs in a thread of its own, on the client it is given.

Every function raises what Docker's SDK does.
"""

import re
import signal
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from docker.errors import NotFound

from provider.deaths import Life
from provider.engine import Client
from provider.errors import DockerUnavailable
from provider.labels import (
    HOST_MODE,
    JOINED_MODE,
    PORT,
    SERVICE,
    UNREADABLE,
    Container,
    Scope,
    Sighting,
    container_from,
    sight,
    unreadable,
)

STOP_MOST_S = 10**9
SIGNAL_NAME_MOST = 16
"""The longest name that a signal has, and some: Docker's API takes any text."""


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
        listed = client.containers(filters={"label": [label]})
        sightings = (self._sighting(client, one, scope, host_address) for one in entries(listed))
        return tuple(sorted(filter(None, sightings), key=lambda sighting: sighting.name))

    def _sighting(self, client: Client, listed: Any, scope: Scope, host_address: str) -> Sighting | None:
        """Read one entry; what is wrong with it concerns this one container, and no other."""
        try:
            container = container_from(listed)
            return sight(self.completed(client, container), scope, host_address) if container.running else None
        except UNREADABLE:
            return unreadable(listed)

    def completed(self, client: Client, container: Container) -> Container:
        """Add what the list does not say of a container that has no network of its own."""
        joined = container.network_mode.startswith(JOINED_MODE)
        if (joined or container.network_mode == HOST_MODE) and PORT not in container.labels:
            container = replace(container, exposed=self._exposed_ports(client, container.id))
        if joined:
            other = container.network_mode.removeprefix(JOINED_MODE)
            for owner in map(container_from, entries(client.containers(filters={"id": [other]}))):
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


def entries(listed: object) -> list[Any]:
    """Return the entries of an engine's list. Raises DockerUnavailable for an answer that is no list."""
    if not isinstance(listed, list):
        raise DockerUnavailable("it answers /containers/json with something else than a list: is this a Docker Engine?")
    return listed


def started_since(client: Client, stopped: Mapping[str, int]) -> frozenset[str]:
    """Return which containers were started after the moment given for each, in ns by the engine's clock."""
    return frozenset(id_ for id_, engine_ns in stopped.items() if _started_ns(client, id_) > engine_ns)


def lives(client: Client, containers: Collection[str]) -> dict[str, Life]:
    """Return how often each container was restarted, and since when it runs; those that are gone are left out.

    Of an engine that does not say so in Docker's words, only its events tell.
    """
    found = {}
    for id_ in containers:
        try:
            told = client.inspect_container(id_)
            runs = told["State"]["Running"] and not told["State"].get("Restarting")
            found[id_] = Life(int(told["RestartCount"]), _ns(told["State"]["StartedAt"]) if runs else 0)
        except NotFound:
            continue
        except (OverflowError, *UNREADABLE):
            found[id_] = Life(0, 0)
    return found


class StopSettings(NamedTuple):
    """By which signal a container wants to be stopped, and how long Docker waits for it; None where it does not say."""

    signal: int | None
    timeout_s: float | None


def asked_how(client: Client, id_: str) -> StopSettings:
    """Return how a container is to be asked to stop, as it or its image says."""
    config = _config(client, id_)
    timeout_s = config.get("StopTimeout")
    return StopSettings(
        signal_number(config.get("StopSignal")),
        float(timeout_s) if isinstance(timeout_s, int) and 0 <= timeout_s < STOP_MOST_S else None,
    )


def signal_number(name: object) -> int | None:
    """Return the number of a signal as an image or an engine may write it: SIGWINCH, winch, 28, RTMIN+3, RTMAX-1."""
    plain = str(name).upper().removeprefix("SIG") if isinstance(name, int | str) else ""
    if not plain.isascii() or len(plain) > SIGNAL_NAME_MOST:
        return None
    if plain.isdecimal():
        return int(plain)
    found = re.fullmatch(r"([A-Z0-9]+)(?:([+-]\d+))?", plain)
    if found is None or f"SIG{found[1]}" not in signal.Signals.__members__:
        return None
    return signal.Signals[f"SIG{found[1]}"] + int(found[2] or 0)


def _config(client: Client, id_: str) -> Mapping[str, Any]:
    """Return the `Config` of a container, empty for one that is gone."""
    try:
        config = client.inspect_container(id_)["Config"]
    except (NotFound, *UNREADABLE):
        return {}
    return config if isinstance(config, dict) else {}


def _started_ns(client: Client, id_: str) -> int:
    """Return when a container was last started, by the engine's clock; 0 for one that is gone."""
    try:
        return _ns(client.inspect_container(id_)["State"]["StartedAt"])
    except (NotFound, OverflowError, *UNREADABLE):
        return 0


def _ns(written: str) -> int:
    return int(datetime.fromisoformat(written).timestamp() * 1e9)
