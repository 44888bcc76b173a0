"""Reads the containers that run on an engine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provider.cli.importing.compose import SECOND_COLOUR, TRAEFIK
from provider.cli.importing.found import Found, Left
from provider.docker.container import HOST_MODE, UNREADABLE, Container, container_from
from provider.docker.engine import Engine
from provider.docker.labels import COMPOSE_COLOUR, COMPOSE_PROJECT, COMPOSE_SERVICE, PREFIX, SERVICE

TIMEOUT_S = 10.0
SWARM_SERVICE = "com.docker.swarm.service.name"


async def find(url: str | None) -> tuple[list[Found], list[Left]]:
    """Return the services of the containers that run; `url` is as `Engine` takes it. Raises DockerUnavailable."""
    engine = Engine(url, timeout_s=TIMEOUT_S, silence_s=TIMEOUT_S)
    connection = await engine.connect()
    try:
        listed: Sequence[Mapping[str, Any]] = await connection.ask(lambda client: client.containers())
    finally:
        connection.close()
    return of_listed(listed)


def of_listed(listed: Sequence[Mapping[str, Any]]) -> tuple[list[Found], list[Left]]:
    """Return the services of an engine's list of containers, and what was left."""
    lefts: list[Left] = []
    containers = sorted(_readable(listed, lefts), key=lambda one: one.name)
    plain: dict[str, set[str]] = {}
    for one in containers:
        plain.setdefault(_name(one), set()).add(_project(one))
    return [_found(one, is_taken=len(plain[_name(one)]) > 1) for one in containers], lefts


def _found(container: Container, *, is_taken: bool) -> Found:
    """Return a container as a service; where its name is taken it has that of the project before it."""
    labels, name = container.labels, _name(container)
    project, service = labels.get(COMPOSE_PROJECT), labels.get(COMPOSE_SERVICE)
    return Found(
        where=f"container {container.name}",
        name=f"{_project(container)}-{name}" if is_taken and SERVICE not in labels else name,
        traefik_name=f"{service}_{project}" if project and service else container.name,
        container_name=container.name,
        labels=labels,
        ports=tuple(sorted({*container.exposed, *container.exposed_udp})),
        obstacles=tuple(_obstacles(container)),
    )


def _readable(listed: Sequence[Mapping[str, Any]], lefts: list[Left]) -> Iterator[Container]:
    for each in listed:
        try:
            container = container_from(each)
        except UNREADABLE:
            lefts.append(Left("a container", "", "the engine describes it in a way that cannot be read"))
            continue
        if any(label.lower().startswith((TRAEFIK, PREFIX)) for label in container.labels):
            yield container
        elif (service := container.labels.get(SWARM_SERVICE)) is not None:
            message = "its containers do not have the labels of the service, which were not read"
            left = Left(f"Swarm service {service}", "", message, "import its stack file")
            lefts += [left] if left not in lefts else []


def _name(container: Container) -> str:
    labels = container.labels
    return labels.get(SERVICE) or labels.get(COMPOSE_SERVICE) or container.name


def _project(container: Container) -> str:
    """Return the Compose project without its colour."""
    return COMPOSE_COLOUR.sub("", container.labels.get(COMPOSE_PROJECT, ""))


def _obstacles(container: Container) -> Iterator[Left]:
    where = f"container {container.name}"
    project, service = container.labels.get(COMPOSE_PROJECT), container.labels.get(COMPOSE_SERVICE)
    if service is not None and not container.name.startswith((f"{project}-{service}-", f"{project}_{service}_")):
        message = f"two containers cannot have one name, so {SECOND_COLOUR}"
        yield Left(where, f"container_name: {container.name}", message, "remove it from the compose file")
    for public in sorted({one.public for one in container.bindings}):
        message = f"a port of the host belongs to one container, so {SECOND_COLOUR}"
        yield Left(where, f"ports: {public}", message, "remove it: Traefik reaches the container itself")
    if container.network_mode == HOST_MODE:
        message = f"both colours would listen on the same ports of the host, so {SECOND_COLOUR}"
        yield Left(where, "network_mode: host", message, "give it a network that Traefik is in")
