"""Turns one container into servers of a service: what an operator is told of one that cannot serve."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from provider.docker.container import SHORT_ID, Container
from provider.docker.labels import (
    COMPOSE_PROJECT,
    COMPOSE_SERVICE,
    ENVIRONMENT,
    NETWORK,
    SERVICE,
    VERSION,
    Ignored,
    Scope,
    check_scope,
    colour_of,
)
from provider.docker.places import urls_of, wanted
from provider.docker.release import KIN, former_id, on_any_engine, parts_of, release_id, said_by, untold
from provider.docker.traefik_labels import ContainerFacts
from provider.docker.traefik_labels.routing import routing_of
from provider.model import Colour, HealthCheck, Server
from provider.model.observed import Labelled
from provider.model.routing import Routing
from provider.model.text import NAME_MOST, clean

LABELS_REMEMBERED = 4096


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
        reached = [(each, *urls_of(container, each, host_address, scope.address)) for each in listening]
    except Ignored as reason:
        return Sighting(service, container.id, container.name, warning=f"ignored: {reason}", fix=reason.fix)
    said = said_by(container) if labelled is not None else ()
    parts, ids = parts_of(container, scope.ignored), [former_id(container)]
    if not (container.has_config_hash or container.created is None):
        ids.append(release_id(parts))
        if labelled is not None:
            ids.append(release_id((*parts, *said)))
    if scope.is_one:
        parts = on_any_engine(container, parts)
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
        untold=untold(container) if scope.is_one else None,
    )
    servers = tuple(replace(server, url=url, routes=routes, endpoint=each.endpoint) for each, url, routes in reached)
    return Sighting(service, container.id, container.name, colour, servers)


def _facts(container: Container) -> ContainerFacts:
    ports = tuple(sorted({*container.exposed, *container.exposed_udp}))
    return ContainerFacts(container.labels[SERVICE], container.name, ports)


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
