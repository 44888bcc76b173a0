"""Asks a Docker Engine for the containers of our services, running or not, and for who must reach them."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from docker.errors import NotFound

from provider import model
from provider.cli.doctor.checks.containers import Port, ServiceContainer
from provider.cli.doctor.checks.rendered import host_address, is_special
from provider.cli.doctor.findings import Skipped
from provider.docker.container import HOST_MODE, JOINED_MODE, SHORT_ID, Container, container_from
from provider.docker.engine import DEFAULT_URL, Client, Engine
from provider.docker.labels import PREFIX, SERVICE
from provider.docker.listing import Listing

TIMEOUT_S = 10.0
INSPECTED_MOST = 500
RUNNING = "running"
PROJECT, COMPOSE_SERVICE = "com.docker.compose.project", "com.docker.compose.service"


@dataclass(frozen=True, slots=True)
class Peer:
    """A container that must reach those of the services; its networks by name, HOST_MODE for those of the host."""

    name: str
    networks: frozenset[str]

    @property
    def has_own_network(self) -> bool:
        """Whether its loopback is its own."""
        return HOST_MODE not in self.networks


@dataclass(frozen=True, slots=True)
class DockerFacts:
    """What an engine has: containers of our services, all short ids, the Traefiks, the daemon, and the labels of all
    other containers that run."""

    url: str
    containers: tuple[ServiceContainer, ...]
    ids: frozenset[str]
    traefiks: tuple[Peer, ...]
    daemon: Peer | None
    skipped: tuple[Skipped, ...]
    other_labels: tuple[Mapping[str, str], ...] = ()

    def with_more(self, other: "DockerFacts") -> "DockerFacts":
        """Return what two engines have together."""
        return replace(
            self,
            containers=(*self.containers, *other.containers),
            ids=self.ids | other.ids,
            traefiks=(*self.traefiks, *other.traefiks),
            daemon=self.daemon or other.daemon,
            skipped=(*self.skipped, *other.skipped),
            other_labels=(*self.other_labels, *other.other_labels),
        )


def address(url: str | None) -> str:
    """Return the address of an engine, as `Engine` takes it."""
    return url or os.environ.get("DOCKER_HOST") or DEFAULT_URL


def is_here() -> bool:
    """Return whether there may be an engine at the default address."""
    return bool(os.environ.get("DOCKER_HOST")) or Path(DEFAULT_URL.removeprefix("unix://")).exists()


async def gather(url: str | model.Engine | None, *, traefik_addresses: frozenset[str], daemon_host: str) -> DockerFacts:
    """Inspect the containers of an engine; `url` is as `Engine` takes it.

    A Traefik is found by its address or its image, the daemon by its host name, which is its container's id unless
    somebody chose another. Raises DockerUnavailable.
    """
    engine = Engine(url, timeout_s=TIMEOUT_S, silence_s=TIMEOUT_S)
    connection = await engine.connect()
    try:
        listed: Sequence[Mapping[str, Any]] = await connection.ask(lambda client: client.containers(all=True))
        wanted = [
            each for each in listed if any(label.lower().startswith(PREFIX) for label in each.get("Labels") or {})
        ]
        containers = [
            container
            for each in sorted(wanted, key=lambda one: str(one["Names"]))[:INSPECTED_MOST]
            if (container := await connection.ask(_service_container, container_from(each), url)) is not None
        ]
    finally:
        connection.close()
    left = len(wanted) - INSPECTED_MOST
    return DockerFacts(
        url=engine.url,
        containers=tuple(containers),
        ids=frozenset(str(each["Id"])[:SHORT_ID] for each in listed),
        traefiks=tuple(_peer(each) for each in listed if _is_traefik(each, traefik_addresses)),
        daemon=next((_peer(each) for each in listed if daemon_host and str(each["Id"]).startswith(daemon_host)), None),
        skipped=(Skipped(f"Docker {engine.url}", f"{left} containers beyond the first {INSPECTED_MOST}"),)
        if left > 0
        else (),
        other_labels=tuple(
            labels
            for each in listed
            if SERVICE not in (labels := each.get("Labels") or {}) and each.get("State") == RUNNING
        ),
    )


def _service_container(
    client: Client, container: Container, engine: str | model.Engine | None = None
) -> ServiceContainer | None:
    try:
        found: Mapping[str, Any] = client.inspect_container(container.id)
        completed = Listing().complete(client, container)
    except NotFound:  # it was removed in between
        return None
    config, host = found["Config"], found["HostConfig"]
    return ServiceContainer(
        where=f"container {container.name}" + (f" on {engine.name}" if isinstance(engine, model.Engine) else ""),
        address=engine.address if isinstance(engine, model.Engine) else None,
        docker=completed,
        fixed_name=container.name if _name_was_chosen(container) else None,
        published=tuple(_published(host.get("PortBindings") or {})),
        writable=frozenset(filter(None, map(_written, found.get("Mounts") or ()))),
        has_healthcheck=_has_healthcheck(config),
        restarts=(host.get("RestartPolicy") or {}).get("Name") not in {None, "", "no"},
        image=config.get("Image"),
    )


def _name_was_chosen(container: Container) -> bool:
    """Return whether the name comes from `container_name`: a generated one ends with the number of the replica."""
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
