"""The requests about services, tasks and nodes; they run in a thread, on the client they are given.

Every function raises what Docker's SDK does, and what reading an answer raises.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from docker.errors import APIError, NotFound

from provider.docker.container import UNREADABLE
from provider.docker.engine import Client
from provider.docker.labels import SERVICE, USE_BIND_PORT
from provider.docker.listing import FORBIDDEN
from provider.docker.swarm.tasks import RUNNING, SwarmService, Task, node_address, service_from, task_from
from provider.model.errors import DockerUnavailable
from provider.model.text import one_line

ASKED_AT_ONCE = 50
"""How many services or tasks one request names: each is looked up by the manager."""
ATTEMPTS = 3
NO_MANAGER = "not a swarm manager"
UNAVAILABLE = frozenset({406, 503})
NOT_FOUND = 404


class NoManager(Exception):  # noqa: N818  a state of the engine, not an error of ours
    """The engine is no manager of a Swarm, or what is before it keeps Swarm from us; the text says which."""


@dataclass(frozen=True, slots=True)
class Listed:
    """What a manager lists: services with our labels, tasks by the id of their service, addresses of nodes by theirs.

    Tasks are those that are to run, and those that ran at the last list and are to run no more: one that the manager
    has forgotten is not there. `unreadable` says of how many entries nothing is known.
    """

    services: tuple[SwarmService, ...]
    tasks: Mapping[str, tuple[Task, ...]]
    nodes: Mapping[str, str]
    unreadable: int = 0


class Listing:
    """Lists what has our labels, and remembers how it read each task: a task that did not change is read once."""

    def __init__(self) -> None:
        self._read: dict[str, tuple[object, Task]] = {}
        self._unreadable = 0

    def listed(self, client: Client, running: Collection[str], *, every: bool) -> Listed:
        """List services, tasks and nodes; `running` are tasks that ran at the last list, and may do so no more.

        With `every`, services are read that have our labels only on their containers, too. Raises NoManager.
        """
        for _ in range(ATTEMPTS - 1):
            try:
                return self._listed(client, running, every=every)
            except NotFound:  # a service was removed between two requests
                continue
        return self._listed(client, running, every=every)

    def _listed(self, client: Client, running: Collection[str], *, every: bool) -> Listed:
        self._unreadable = 0
        services = tuple(self._services(client, every=every))
        ours = [service for service in services if SERVICE in service.labels]
        tasks = list(self._tasks(client, "service", [service.id for service in ours], desired=RUNNING))
        there = {task.id for task in tasks}
        ended = [*self._tasks(client, "id", [id_ for id_ in running if id_ not in there])]
        self._forget_all_but({*there, *(task.id for task in ended)})
        by_service: dict[str, list[Task]] = {service.id: [] for service in ours}
        for task in (*tasks, *ended):
            by_service.setdefault(task.service, []).append(task)
        return Listed(
            services,
            {id_: tuple(found) for id_, found in by_service.items()},
            dict(self._nodes(client)) if any(_needs_node(one, by_service[one.id]) for one in ours) else {},
            self._unreadable,
        )

    def _services(self, client: Client, *, every: bool) -> Iterator[SwarmService]:
        try:
            filters = None if every else {"label": [SERVICE]}
            listed = client.services(filters=filters)  # type: ignore[no-untyped-call]
        except APIError as error:
            text = one_line(error.explanation or error)
            if error.status_code in FORBIDDEN or error.status_code == NOT_FOUND:
                raise NoManager(f"it refuses GET /services: {text}") from error
            if error.status_code in UNAVAILABLE and NO_MANAGER in text:
                raise NoManager("it is no manager of a Swarm") from error
            raise
        for entry in _entries(listed, "/services"):
            try:
                service = service_from(entry)
            except UNREADABLE:
                self._unreadable += 1
                continue
            if SERVICE in service.labels or SERVICE in service.container_labels:
                yield service

    def _tasks(self, client: Client, by: str, names: Sequence[str], *, desired: str | None = None) -> Iterator[Task]:
        more = {} if desired is None else {"desired-state": [desired]}
        for first in range(0, len(names), ASKED_AT_ONCE):
            filters = {by: names[first : first + ASKED_AT_ONCE], **more}
            for entry in _entries(client.tasks(filters=filters), "/tasks"):  # type: ignore[no-untyped-call]
                try:
                    yield self._task(entry)
                except UNREADABLE:
                    self._unreadable += 1

    def _nodes(self, client: Client) -> Iterator[tuple[str, str]]:
        for entry in _entries(client.nodes(), "/nodes"):
            try:
                yield node_address(entry)
            except UNREADABLE:
                self._unreadable += 1

    def _task(self, entry: Any) -> Task:
        version = entry["Version"]["Index"]
        known = self._read.get(entry["ID"])
        if known is None or known[0] != version:
            known = self._read[entry["ID"]] = (version, task_from(entry))
        return known[1]

    def _forget_all_but(self, tasks: set[str]) -> None:
        for id_ in self._read.keys() - tasks:
            del self._read[id_]


def _needs_node(service: SwarmService, tasks: Iterable[Task]) -> bool:
    return any(task.host_ports or task.uses_host_network for task in tasks) or USE_BIND_PORT in service.labels


def _entries(listed: object, path: str) -> list[Any]:
    if not isinstance(listed, list):
        raise DockerUnavailable(f"it answers {path} with something else than a list: is this a Docker Engine?")
    return listed
