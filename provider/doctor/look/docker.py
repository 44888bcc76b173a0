"""Asks a Docker Engine for the copies that it has, running or not, and who else must reach them."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from provider.doctor.copies import Copy, Port
from provider.doctor.findings import Unseen
from provider.doctor.rendered import host_address, is_special
from provider.engine import DEFAULT_URL, Client, Engine
from provider.labels import HOST_MODE, JOINED_MODE, PREFIX, SHORT_ID, Container, container_from
from provider.listing import Listing

TIMEOUT_S = 10.0
INSPECTED_MOST = 500
PROJECT, COMPOSE_SERVICE = "com.docker.compose.project", "com.docker.compose.service"


@dataclass(frozen=True, slots=True)
class Peer:
    """A container that must reach the copies; its networks by name, HOST_MODE where it shares those of the host."""

    name: str
    networks: frozenset[str]

    @property
    def has_own_network(self) -> bool:
        """Whether its loopback is its own."""
        return HOST_MODE not in self.networks


@dataclass(frozen=True, slots=True)
class Docker:
    """What an engine has: copies, all containers by short id, those of Traefiks, and that of the daemon."""

    url: str
    copies: tuple[Copy, ...]
    ids: frozenset[str]
    traefiks: tuple[Peer, ...]
    daemon: Peer | None
    unseen: tuple[Unseen, ...]


def address(url: str | None) -> str:
    """Return where an engine is, as `Engine` takes it."""
    return url or os.environ.get("DOCKER_HOST") or DEFAULT_URL


def is_here() -> bool:
    """Tell whether there may be an engine where one is looked for when nobody says where."""
    return bool(os.environ.get("DOCKER_HOST")) or Path(DEFAULT_URL.removeprefix("unix://")).exists()


async def look(url: str | None, *, traefik_addresses: frozenset[str], daemon_host: str) -> Docker:
    """Look at the containers of an engine; `url` is as `Engine` takes it.

    A Traefik is known by its address or its image, the daemon by its host name, which is its container's id where
    nobody chose another. Raises DockerUnavailable.
    """
    engine = Engine(url, timeout_s=TIMEOUT_S, silence_s=TIMEOUT_S)
    connection = await engine.connect()
    try:
        listed: Sequence[Mapping[str, Any]] = await connection.ask(lambda client: client.containers(all=True))
        wanted = [
            each for each in listed if any(label.lower().startswith(PREFIX) for label in each.get("Labels") or {})
        ]
        copies = [
            copy
            for each in sorted(wanted, key=lambda one: str(one["Names"]))[:INSPECTED_MOST]
            if (copy := await connection.ask(_copy, container_from(each))) is not None
        ]
    finally:
        connection.close()
    left = len(wanted) - INSPECTED_MOST
    return Docker(
        url=engine.url,
        copies=tuple(copies),
        ids=frozenset(str(each["Id"])[:SHORT_ID] for each in listed),
        traefiks=tuple(_peer(each) for each in listed if _is_traefik(each, traefik_addresses)),
        daemon=next((_peer(each) for each in listed if daemon_host and str(each["Id"]).startswith(daemon_host)), None),
        unseen=(Unseen(f"Docker {engine.url}", f"{left} more containers than are looked at"),) if left > 0 else (),
    )


def _copy(client: Client, container: Container) -> Copy | None:
    try:
        found: Mapping[str, Any] = client.inspect_container(container.id)
        completed = Listing().completed(client, container)
    except NotFound:  # it ended in between
        return None
    config, host = found["Config"], found["HostConfig"]
    return Copy(
        where=f"container {container.name}",
        container=completed,
        fixed_name=container.name if _name_was_chosen(container) else None,
        published=tuple(_published(host.get("PortBindings") or {})),
        writable=frozenset(filter(None, map(_written, found.get("Mounts") or ()))),
        has_healthcheck=_has_healthcheck(config),
        restarts=(host.get("RestartPolicy") or {}).get("Name") not in {None, "", "no"},
        image=config.get("Image"),
    )


def _name_was_chosen(container: Container) -> bool:
    """Tell whether compose was told this name by `container_name`: its own end with the number of the replica."""
    project, service = container.labels.get(PROJECT), container.labels.get(COMPOSE_SERVICE)
    if project is None or service is None:
        return False
    return not re.fullmatch(rf"{re.escape(project)}[-_]{re.escape(service)}[-_](run[-_])?\w+", container.name)


def _published(bindings: Mapping[str, Any]) -> list[Port]:
    found = []
    for target, places in bindings.items():
        for place in places or ():
            number = str(place.get("HostPort") or "")
            if number.isdecimal() and int(number):  # without one, the engine picks a free port
                ip = place.get("HostIp") or ""
                found.append(Port(host_address(ip), int(number), target.partition("/")[2] or "tcp"))
    return found


def _written(mount: Mapping[str, Any]) -> str | None:
    if not mount.get("RW"):
        return None
    match mount.get("Type"):
        case "volume":
            return f"the volume {mount.get('Name')}"
        case "bind" if not is_special(source := str(mount.get("Source") or "")):
            return source
        case _:
            return None


def _has_healthcheck(config: Mapping[str, Any]) -> bool:
    test = (config.get("Healthcheck") or {}).get("Test")
    return bool(test) and test != ["NONE"]


def _is_traefik(listed: Mapping[str, Any], addresses: frozenset[str]) -> bool:
    container = container_from(listed)
    image = str(listed.get("Image") or "").partition("@")[0].rpartition("/")[2].partition(":")[0]
    return container.running and (image == "traefik" or not addresses.isdisjoint(container.addresses.values()))


def _peer(listed: Mapping[str, Any]) -> Peer:
    container = container_from(listed)
    is_elsewhere = container.network_mode == HOST_MODE or container.network_mode.startswith(JOINED_MODE)
    return Peer(container.name, frozenset({HOST_MODE}) if is_elsewhere else frozenset(container.addresses))
