"""Turns the tasks of a Swarm service into servers, by the labels of the service (rule 66)."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from provider.docker.labels import (
    COLOR,
    COLOUR,
    ENVIRONMENT,
    NETWORK,
    PORT,
    PREFIX,
    SERVICE,
    SHOWN_MOST,
    USE_BIND_PORT,
    VERSION,
    Ignored,
    Scope,
    check_scope,
    colour_of,
    port_label,
    uses_bind_port,
)
from provider.docker.places import Wanted, another_network, kind_of, url_at, wanted
from provider.docker.release import release_id
from provider.docker.sighting import Sighting, labelled_of
from provider.docker.swarm import spec
from provider.docker.swarm.tasks import RUNNING, SwarmService, Task, tag_of
from provider.docker.traefik_labels import ContainerFacts
from provider.model import Colour, Health, Protocol, Route, Server
from provider.model.observed import Labelled
from provider.model.text import clean

LEAVING_LIMIT_S = 86_400.0
"""A task that is to stop never serves again; Swarm gives up one on a lost node after a day."""
ON_SERVICE = "write it under deploy: labels: of the stack file, or run docker service update --label-add"
ON_CONTAINER = "write it under labels: of the stack file, or run docker service update --container-label-add"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the labels of a Swarm service say of the servers of all its tasks."""

    colour: Colour
    endpoints: tuple[Wanted, ...]
    labelled: Labelled | None
    network: str | None
    use_bind_port: bool


def sight(service: SwarmService, tasks: Iterable[Task], nodes: Mapping[str, str], scope: Scope) -> Iterator[Sighting]:
    """Yield a sighting for each task that runs, and one without a server for a Swarm service that is ignored.

    `nodes` has the address of each node by its id. One of another environment yields nothing.
    """
    labels = service.labels
    if SERVICE not in labels:
        if (misplaced := misplaced_labels(service)) is not None:
            yield _warned(service, misplaced)
        return
    if labels.get(ENVIRONMENT, scope.environment) != scope.environment:
        return
    try:
        settings = settings_of(service, scope)
    except Ignored as reason:
        yield _warned(service, reason)
        return
    for task in tasks:
        if task.state == RUNNING:
            yield _sighting(service, task, settings, nodes, scope)


def misplaced_labels(service: SwarmService) -> Ignored | None:
    """Return what is wrong with a Swarm service that has our labels on its containers alone; None for any other."""
    found = sorted(label for label in service.container_labels if label.startswith(f"{PREFIX}."))
    if SERVICE in service.labels or SERVICE not in found:
        return None
    names = ", ".join(found)
    return Ignored(f"its labels {names} are on the containers, and Swarm's have to be on the service", ON_SERVICE)


def version_of(task: Task) -> str | None:
    """Return what people call the release of a task: its container's label, else the tag of its image."""
    return task.labels.get(VERSION) or tag_of(task.image)


def settings_of(service: SwarmService, scope: Scope) -> Settings:
    """Read the labels of a Swarm service. Raises Ignored where its tasks cannot serve."""
    labels = service.labels
    for label in (COLOUR, PORT):
        if label in service.container_labels and not labels.keys() & {label, COLOR if label == COLOUR else label}:
            raise Ignored(f"{label} is on its containers, not on the service", ON_SERVICE)
    check_scope(labels, scope)
    labelled = labelled_of(labels, scope, ContainerFacts(labels[SERVICE], service.name))
    endpoints = wanted(labels, scope, labelled)
    for each in endpoints:
        if each.port is None:
            label = port_label(each.endpoint)
            raise Ignored(f"no label {label}, which a Swarm service needs", f"add {label}=PORT under deploy: labels:")
    return Settings(colour_of(labels), endpoints, labelled, labels.get(NETWORK), uses_bind_port(labels))


def _sighting(
    service: SwarmService, task: Task, settings: Settings, nodes: Mapping[str, str], scope: Scope
) -> Sighting:
    name = f"{service.name}.{task.slot}"
    try:
        reached = [(each, *_urls(task, settings, each, nodes)) for each in settings.endpoints]
    except Ignored as reason:
        return Sighting(service.labels[SERVICE], task.id, name, warning=f"ignored: {reason}", fix=reason.fix)
    parts = tuple(part for part in task.parts if part.kind != spec.ENVIRONMENT or part.name not in scope.ignored)
    version = version_of(task)
    server = Server(
        url="",
        release=release_id(parts),
        version=version,
        container=task.container or task.id,
        docker_health=Health.HEALTHY if task.has_healthcheck else None,
        deaths=0,
        parts=parts,
        unit=service.name,
        kin=release_id([*parts[:1], *(part for part in parts if part.name == VERSION)]),
        is_labelled=settings.network is not None,
        slot=name,
        labelled=settings.labelled,
    )
    if task.is_leaving:
        server = replace(server, leaving_mono_s=0.0, leaving_limit_s=LEAVING_LIMIT_S)
    servers = tuple(replace(server, url=url, routes=routes, endpoint=each.endpoint) for each, url, routes in reached)
    found = Sighting(service.labels[SERVICE], task.id, name, settings.colour, servers)
    if VERSION in service.labels and VERSION not in task.labels:
        what = f"{VERSION} is on the service, whose labels change before its tasks do, so it is not used"
        found = replace(found, warning=f"{what}: {ON_CONTAINER}", fix=ON_CONTAINER)
    return found


def _urls(task: Task, settings: Settings, wanted: Wanted, nodes: Mapping[str, str]) -> tuple[str, tuple[Route, ...]]:
    """Return where Traefik reaches an endpoint of a task, and each of its networks with its address: never ingress.

    Without a network, and with `bluegreen.use-bind-port`, that is the port that its node publishes in host mode.
    """
    port, scheme = wanted.port or 0, wanted.scheme
    addresses = {
        each.network: each.address for each in task.attachments if each.address is not None and not each.is_ingress
    }
    if task.uses_host_network:
        return url_at(scheme, _node(task, nodes), port), ()
    if settings.use_bind_port or not addresses:
        is_udp = wanted.protocol is Protocol.UDP
        there = (each for each in task.host_ports if each.target == port and each.is_udp is is_udp)
        published = next((each.published for each in there), None)
        if published is None:
            raise _not_reached(task, settings, wanted)
        return url_at(scheme, _node(task, nodes), published), ()
    if settings.network is not None and settings.network not in addresses:
        named = clean(settings.network, SHOWN_MOST)
        raise Ignored(f"{NETWORK}={named}: it has no address there", another_network(named, list(addresses)))
    routes = tuple(Route(name, url_at(scheme, address, port)) for name, address in sorted(addresses.items()))
    chosen = settings.network or min(addresses)
    return url_at(scheme, addresses[chosen], port), routes


def _not_reached(task: Task, settings: Settings, wanted: Wanted) -> Ignored:
    if settings.use_bind_port:
        fix = f"publish it with mode: host, or remove the label {USE_BIND_PORT}"
        return Ignored(
            f"{USE_BIND_PORT}=true, but {kind_of(wanted.protocol)} port {wanted.port} is not published in host mode",
            fix,
        )
    has_ingress = any(each.is_ingress for each in task.attachments)
    fact = "it is on the ingress network alone, which Traefik does not reach" if has_ingress else "it is on no network"
    return Ignored(fact, "attach the service to an overlay network that Traefik is on as well")


def _node(task: Task, nodes: Mapping[str, str]) -> str:
    address = nodes.get(task.node)
    if not address:
        raise Ignored(
            f"the manager does not say the address of node {task.node}",
            "let the proxy before Docker's socket pass GET /nodes",
        )
    return address


def _warned(service: SwarmService, reason: Ignored) -> Sighting:
    named = service.labels.get(SERVICE) or service.container_labels.get(SERVICE) or ""
    return Sighting(named, service.id, service.name, warning=f"ignored: {reason}", fix=reason.fix)
