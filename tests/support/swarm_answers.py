"""Answers of a real manager (20.10.24) of two nodes: `GET /services`, `/tasks` and `/nodes`, without what is not read.

`updating` are the tasks of one service in the middle of an update to another image.
"""

import copy
import json
from collections.abc import Mapping
from typing import Any

from provider.docker.labels import SERVICE, Scope
from provider.docker.sighting import Sighting
from provider.docker.swarm.listing import Listed
from provider.docker.swarm.servers import sight
from provider.docker.swarm.tasks import SwarmService, node_address, service_from, task_from
from provider.model import Server
from tests.support.paths import ROOT

ANSWERS: Mapping[str, Any] = json.loads((ROOT / "tests/docker/swarm/answers.json").read_text())
PRODUCTION = Scope("production", required=False)
NODES = dict(map(node_address, ANSWERS["nodes"]))


def service(name: str, **labels: str | None) -> SwarmService:
    """Return a service of the Swarm, with these labels changed (`_` for `.` and `-`), None taking one away."""
    found = copy.deepcopy(next(one for one in ANSWERS["services"] if one["Spec"]["Name"] == name))
    for label, value in labels.items():
        named = f"bluegreen.{label.replace('_', '-')}"
        found["Spec"]["Labels"].pop(named, None)
        if value is not None:
            found["Spec"]["Labels"][named] = value
    return service_from(found)


def entries(name: str, key: str = "tasks") -> list[dict[str, Any]]:
    """Return copies of what is listed of the tasks of a service."""
    return copy.deepcopy([one for one in ANSWERS[key] if one["ServiceID"] == service(name).id])


def sightings(of: SwarmService, scope: Scope = PRODUCTION) -> list[Sighting]:
    """Return what the tasks of a service are seen as."""
    return list(sight(of, map(task_from, entries(of.name)), NODES, scope))


def servers(of: SwarmService, scope: Scope = PRODUCTION) -> list[Server]:
    """Return the servers of a service."""
    return [found.server for found in sightings(of, scope) if found.server is not None]


def warning(of: SwarmService, scope: Scope = PRODUCTION) -> str:
    """Return the one warning about a service, which has no server."""
    (found,) = sightings(of, scope)
    assert found.server is None
    return found.warning or ""


def listed(name: str, *tasks: dict[str, Any]) -> Listed:
    """Return a list of one service and these tasks."""
    found = service(name)
    assert SERVICE in found.labels
    return Listed((found,), {found.id: tuple(map(task_from, tasks))}, NODES)
