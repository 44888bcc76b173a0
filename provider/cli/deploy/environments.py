"""Finds containers of another environment in a project that is to be started: its `up` would replace them.

Each daemon sees the containers of its own environment only. Compose knows a project by its name, and the same compose
file has the same project in every environment on one engine unless a prefix tells them apart. So the engine is asked.
"""

import asyncio
from collections.abc import Iterator, Mapping

from provider.cli.doctor.facts.docker import address
from provider.docker.container import SHORT_ID
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


async def _labels(url: str) -> Mapping[str, Mapping[str, str]]:
    try:
        connection = await Engine(url, timeout_s=TIMEOUT_S, silence_s=TIMEOUT_S).connect()
    except DockerUnavailable:
        return {}
    try:
        listed = await connection.ask(lambda client: client.containers(all=True))
    except DockerUnavailable:
        return {}
    finally:
        connection.close()
    return {str(each["Id"])[:SHORT_ID]: each.get("Labels") or {} for each in listed}
