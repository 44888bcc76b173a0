"""Reads the containers that run on an engine."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provider.cli.importing.compose import SECOND_COLOUR, TRAEFIK
from provider.cli.importing.found import Found, Left
from provider.docker.container import HOST_MODE, UNREADABLE, Container, container_from
from provider.docker.engine import Engine
from provider.docker.labels import COMPOSE_COLOUR, COMPOSE_PROJECT, COMPOSE_SERVICE, PREFIX, SERVICE
from provider.docker.traefik_labels.tree import routing_labels

TIMEOUT_S = 10.0


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
    plain = {_name(one): {_project(each) for each in containers if _name(each) == _name(one)} for one in containers}
    services: dict[str, list[Container]] = {}
    for one in containers:
        name = _name(one)
        is_taken = len(plain[name]) > 1 and SERVICE not in one.labels
        services.setdefault(f"{_project(one)}-{name}" if is_taken else name, []).append(one)
    founds = []
    for name, every in services.items():
        first = every[0]
        for other in every[1:]:
            lefts += _differences(first, other)
        project, service = first.labels.get(COMPOSE_PROJECT), first.labels.get(COMPOSE_SERVICE)
        founds.append(
            Found(
                where=f"container {first.name}",
                name=name,
                traefik_name=f"{service}_{project}" if project and service else first.name,
                container_name=first.name,
                labels=first.labels,
                ports=tuple(sorted({*first.exposed, *first.exposed_udp})),
                obstacles=tuple(_obstacles(first)),
            )
        )
    return founds, lefts


def _readable(listed: Sequence[Mapping[str, Any]], lefts: list[Left]) -> Iterator[Container]:
    for each in listed:
        try:
            container = container_from(each)
        except UNREADABLE:
            lefts.append(Left("a container", "", "the engine describes it in a way that cannot be read"))
            continue
        if any(label.lower().startswith((TRAEFIK, PREFIX)) for label in container.labels):
            yield container


def _name(container: Container) -> str:
    labels = container.labels
    return labels.get(SERVICE) or labels.get(COMPOSE_SERVICE) or container.name


def _project(container: Container) -> str:
    """Return the Compose project without its colour."""
    return COMPOSE_COLOUR.sub("", container.labels.get(COMPOSE_PROJECT, ""))


def _differences(first: Container, other: Container) -> Iterator[Left]:
    theirs, ours = routing_labels(other.labels), routing_labels(first.labels)
    differing = Counter(label for label in theirs | ours if theirs.get(label) != ours.get(label))
    if differing:
        message = f"differs from that of container {first.name}, which was taken"
        what = ", ".join(sorted(differing))[:200]
        yield Left(f"container {other.name}", what, message, "check which of them is right")


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
