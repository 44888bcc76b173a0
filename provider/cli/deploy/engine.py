"""Asks the engine that Compose uses: whose containers are in a project that is to be started, and where some are.

Its `up` would replace those of another environment.

Each daemon sees the containers of its own environment only. Compose knows a project by its name, and the same compose
file has the same project in every environment on one engine unless a prefix tells them apart. So the engine is asked.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from provider.cli.doctor.facts.docker import address
from provider.docker.container import SHORT_ID, container_from
from provider.docker.engine import Engine
from provider.docker.labels import COLOUR, ENVIRONMENT, SERVICE
from provider.model.errors import DockerUnavailable
from provider.model.text import clean

TIMEOUT_S = 10.0


def of_others(containers: frozenset[str], environment: str) -> Iterator[str]:
    """Yield the containers, by their short ids, that are labelled for another environment than the daemon's.

    Nothing is known, and nothing refused, where the engine does not answer.
    """
    if not containers:
        return
    for container, labels in sorted(asyncio.run(_labels(address(None))).items()):
        found = labels.get(ENVIRONMENT)
        if container in containers and SERVICE in labels and found is not None and found != environment:
            of = f"{clean(labels[SERVICE])} in {clean(labels.get(COLOUR, 'no colour'))}"
            yield f"container {container} is a server of {of} of environment {clean(found)}"


def addresses_of(containers: frozenset[str]) -> frozenset[str]:
    """Return the addresses of containers in all of their networks; none where the engine does not answer."""
    listed = asyncio.run(_listed(address(None))) if containers else ()
    ours = (container_from(each) for each in listed if str(each["Id"])[:SHORT_ID] in containers)
    return frozenset(one for container in ours for one in container.addresses.values())


async def _labels(url: str) -> Mapping[str, Mapping[str, str]]:
    return {str(each["Id"])[:SHORT_ID]: each.get("Labels") or {} for each in await _listed(url)}


async def _listed(url: str) -> Sequence[Mapping[str, Any]]:
    try:
        connection = await Engine(url, timeout_s=TIMEOUT_S, silence_s=TIMEOUT_S).connect()
    except DockerUnavailable:
        return ()
    try:
        return await connection.ask(lambda client: client.containers(all=True))
    except DockerUnavailable:
        return ()
    finally:
        connection.close()
