"""Asks a manager for the Swarm services with our labels, and for what keeps their tasks from running."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from docker.errors import APIError

from provider.cli.doctor.checks.swarm import Missed, SwarmFacts, SwarmState
from provider.docker.container import UNREADABLE
from provider.docker.engine import Client, Engine
from provider.docker.labels import SERVICE
from provider.docker.swarm.listing import Listing, NoManager
from provider.docker.swarm.tasks import LEAVING, RUNNING, SwarmService
from provider.model.errors import DockerUnavailable
from provider.model.text import LINE_MOST, NAME_MOST, clean, one_line

TIMEOUT_S = 10.0
CHECKED_MOST = 100


async def gather(url: str | None) -> SwarmFacts | str:
    """Return what a manager knows, or why this engine does not say. Raises DockerUnavailable."""
    engine = Engine(url, timeout_s=TIMEOUT_S, silence_s=TIMEOUT_S)
    connection = await engine.connect()
    try:
        return await connection.ask(_facts, engine.shown_url)
    finally:
        connection.close()


def _facts(client: Client, url: str) -> SwarmFacts | str:
    try:
        listed = Listing().listed(client, (), every=True)
    except NoManager as absent:
        return str(absent)
    states = tuple(
        SwarmState(service, listed.tasks.get(service.id, ()), tuple(_missed(client, service)))
        for service in listed.services[:CHECKED_MOST]
    )
    return SwarmFacts(url, states, listed.nodes, left_out=len(listed.services) - len(states))


def _missed(client: Client, service: SwarmService) -> Iterator[Missed]:
    """Yield the slots of a service whose newest task does not run, and the last error that Swarm has for it."""
    if SERVICE not in service.labels:
        return
    try:
        tasks = client.tasks(filters={"service": [service.id]})  # type: ignore[no-untyped-call]
    except APIError:  # it was removed in between
        return
    try:
        for slot, found in _by_slot(tasks).items():
            statuses = [task["Status"] for task in found]
            failed = next((status for status in statuses if status.get("Err")), None)
            if statuses[0]["State"] != RUNNING and failed is not None:
                yield Missed(slot, clean(failed["State"], NAME_MOST), one_line(failed["Err"], LINE_MOST))
    except UNREADABLE as mistake:
        raise DockerUnavailable(f"it lists a task in a way that cannot be read: {mistake!r}") from mistake


def _by_slot(tasks: Sequence[Mapping[str, Any]]) -> dict[str, list[Mapping[str, Any]]]:
    """Return the tasks of each slot, the newest first; of a slot to be left none."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for task in sorted(tasks, key=lambda task: str(task["CreatedAt"]), reverse=True):
        found.setdefault(clean(str(task.get("Slot") or task.get("NodeID") or ""), NAME_MOST), []).append(task)
    return {slot: some for slot, some in sorted(found.items()) if not _is_left(some[0])}


def _is_left(newest: Mapping[str, Any]) -> bool:
    return newest["DesiredState"] in LEAVING and newest["Status"]["State"] == "shutdown"
