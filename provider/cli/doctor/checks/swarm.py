"""Checks the services of a Swarm, as they are or as a stack file would create them."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from provider.cli.doctor.checks.containers import Context
from provider.cli.doctor.checks.rendered import ComposeService, Config, compose_services
from provider.cli.doctor.findings import Code, Finding
from provider.docker.container import HOST_MODE
from provider.docker.labels import ENVIRONMENT, KNOWN, NETWORK, PREFIX, SERVICE, VERSION, Ignored, Scope, is_known
from provider.docker.sighting import Sighting
from provider.docker.swarm.servers import misplaced_labels, settings_of, sight
from provider.docker.swarm.tasks import SwarmService, Task
from provider.model import DockerMode

LABELS_FIX = "write them under deploy: labels: of the stack file, or run docker service update --label-add"
STACK = "stack"


@dataclass(frozen=True, slots=True)
class Missed:
    """A task of a slot that does not run, and why in Swarm's words."""

    slot: str
    state: str
    error: str


@dataclass(frozen=True, slots=True)
class SwarmState:
    """A Swarm service with our labels, its running tasks, and the slots without one."""

    service: SwarmService
    tasks: tuple[Task, ...]
    missed: tuple[Missed, ...]


@dataclass(frozen=True, slots=True)
class SwarmFacts:
    """What a manager knows: services, and the address of each node by its id."""

    url: str
    services: tuple[SwarmState, ...]
    nodes: Mapping[str, str]
    left_out: int = 0


def check(facts: SwarmFacts, context: Context, mode: DockerMode | None) -> Iterator[Finding]:
    """Yield what is wrong with the services of a Swarm; `mode` is the daemon's, None where it is not known."""
    followed = [state for state in facts.services if SERVICE in state.service.labels]
    if mode is DockerMode.ENGINE and followed:
        names = ", ".join(state.service.name for state in followed)
        what = f"it has services with labels for the daemon ({names}), which runs with --docker-mode engine"
        yield Finding(Code.SWARM_NOT_FOLLOWED, f"Swarm {facts.url}", what, "start it with --docker-mode swarm or auto")
    for state in facts.services:
        yield from _labels(state.service, f"Swarm service {state.service.name}", context)
        yield from _tasks(state, facts.nodes, context)


def no_manager(url: str, why: str) -> Finding:
    """Return the finding for a daemon in Swarm mode whose engine is no manager."""
    fix = "start the daemon with --docker and the address of a manager, or with --docker-mode engine"
    return Finding(Code.SWARM_NO_MANAGER, f"Docker {url}", f"{why}, and the daemon runs with --docker-mode swarm", fix)


def stack(rendered: Config, file: str, context: Context) -> tuple[Finding, ...]:
    """Return what is wrong with a stack file, as compose renders it."""
    parts = compose_services(rendered, STACK)
    found: list[Finding] = []
    for name, part in parts.items():
        service = SwarmService(name, name, part.deploy_labels, part.labels)
        where = f"{file}, service {name}"
        found += _labels(service, where, context)
        if SERVICE in service.labels:
            found += _ingress_only(part, where)
    if not any(SERVICE in part.deploy_labels or SERVICE in part.labels for part in parts.values()):
        what = f"none of its services has the label {SERVICE}, so the daemon ignores all that it starts"
        fix = f"add deploy: {{labels: {{{SERVICE}: NAME, ...}}}} to a service for each colour"
        found.append(Finding(Code.COMPOSE_WITHOUT_SERVICE, file, what, fix))
    return tuple(found)


def _labels(service: SwarmService, where: str, context: Context) -> Iterator[Finding]:
    """Yield what is wrong with the labels of a Swarm service."""
    for label in sorted(service.labels):
        if label.lower().startswith(PREFIX) and not is_known(label):
            close = difflib.get_close_matches(label.lower(), KNOWN, 1)
            fix = f"write {close[0]}" if close else f"remove it; known labels are {', '.join(sorted(KNOWN))}"
            yield Finding(Code.LABEL_UNKNOWN, where, f"unknown label {label}", fix)
    misplaced = sorted(label for label in service.container_labels if label in KNOWN - {VERSION})
    if misplaced:
        what = f"{', '.join(misplaced)} on its containers: in a Swarm the labels of the service count"
        yield Finding(Code.SWARM_LABELS_ON_CONTAINERS, where, what, LABELS_FIX)
    if SERVICE not in service.labels:
        return
    environment = service.labels.get(ENVIRONMENT, "")
    if environment and context.environment not in {None, environment}:
        what = f"it belongs to the environment {environment}; this daemon's is {context.environment}, so it ignores it"
        fix = f"nothing, if that is intended; else write {ENVIRONMENT}={context.environment}"
        yield Finding(Code.OTHER_ENVIRONMENT, where, what, fix)
        return
    desired = context.desired
    try:
        settings_of(service, _scope(service, context))
    except Ignored as reason:
        if misplaced_labels(service) is None:
            what = str(reason).removesuffix(f": {reason.fix}")
            yield Finding(Code.SWARM_SERVICE_IGNORED, where, f"the daemon ignores it: {what}", reason.fix)
    named = service.labels[SERVICE]
    if desired is not None and named and named not in desired.services:
        close = difflib.get_close_matches(named, desired.services, 1)
        meant = f"; did you mean {close[0]}?" if close else ""
        what = f"{SERVICE}={named}, but the desired state has no such service{meant}"
        yield Finding(
            Code.SERVICE_NOT_IN_FILE, where, what, "add the service to the desired state, or correct the label"
        )


def _tasks(state: SwarmState, nodes: Mapping[str, str], context: Context) -> Iterator[Finding]:
    """Yield why tasks do not run, or are not reached."""
    where = f"Swarm service {state.service.name}"
    if state.missed:
        first = state.missed[0]
        more = f"; and {len(state.missed) - 1} more" if len(state.missed) > 1 else ""
        what = f"task {state.service.name}.{first.slot} does not run ({first.state}): {first.error}{more}"
        fix = f"correct the image, the placement or the command; see docker service ps --no-trunc {state.service.name}"
        yield Finding(Code.SWARM_TASKS_FAIL, where, what, fix)
    sightings = [*sight(state.service, state.tasks, nodes, _scope(state.service, context))]
    ignored = {one.fix or "": one for one in sightings if not one.servers and one.container != state.service.id}
    for way_out, one in ignored.items():
        what = (one.warning or "").removeprefix("ignored: ").removesuffix(f": {way_out}")
        yield Finding(Code.SWARM_SERVICE_IGNORED, where, f"the daemon ignores its tasks: {what}", way_out)
    yield from dict.fromkeys(found for one in sightings for found in _reach(one, where, context))


def _scope(service: SwarmService, context: Context) -> Scope:
    environment = context.environment or service.labels.get(ENVIRONMENT, "")
    return Scope.of(context.desired, environment) if context.desired is not None else Scope(environment)


def _reach(sighting: Sighting, where: str, context: Context) -> Iterator[Finding]:
    """Yield who is not on the network of a task. Only containers on the manager itself are known."""
    server = sighting.servers[0] if sighting.servers else None
    network = next((route.network for route in server.routes if route.url == server.url), None) if server else None
    if server is None or network is None:
        return
    there = {route.network for route in server.routes}
    for peer, networks in context.peers.items():
        if network in networks or HOST_MODE in networks:
            continue
        shared = sorted(networks & there)
        if shared and not server.is_labelled:
            continue  # the daemon chooses the network that it shares
        what = f"its tasks are reached on the network {network}, where {peer} is not"
        fix = f"attach both to one overlay network, and name it with {NETWORK}={shared[0] if shared else 'NETWORK'}"
        yield Finding(Code.NETWORK_NOT_SHARED, where, what, fix)


def _ingress_only(part: ComposeService, where: str) -> Iterator[Finding]:
    if not part.networks and not part.published:
        what = "it is on no network, so nothing reaches its tasks"
        yield Finding(
            Code.SWARM_SERVICE_IGNORED, where, what, "attach it to an overlay network that Traefik is on as well"
        )
