"""Follows an engine's own containers, and the tasks of its Swarm where it manages one, as one Docker.

A service may have servers of both kinds, as while it moves from one to the other. What is reported of one kind is
reported together with what is known of the other, and is as old as the older of both.
"""

import asyncio

from provider.docker.discovery import Containers
from provider.docker.inventory import Sink
from provider.docker.joined import Joined
from provider.docker.labels import Scope
from provider.docker.swarm.discovery import Tasks
from provider.model import Engine


class Auto:
    """Follows both kinds of one engine; arguments are as those of `Containers`."""

    def __init__(self, sink: Sink, *, base_url: str | Engine | None, docker_host_address: str | None = None) -> None:
        self._joined = joined = Joined(sink)
        self._containers = Containers(joined.part(), base_url=base_url, docker_host_address=docker_host_address)
        self._tasks = Tasks(joined.part(), base_url=base_url, may_be_none=True, on_services=self._containers.leave_out)

    def set_scope(self, scope: Scope) -> None:
        """Use only the containers and services of this environment."""
        self._containers.set_scope(scope)
        self._tasks.set_scope(scope)

    def relist(self, service: str) -> None:
        """List a service again; the sink gets the result even when nothing has changed."""
        self._containers.relist(service)
        self._tasks.relist(service)

    def void(self) -> None:
        """List everything again over new subscriptions, and drop the result of lists that are under way."""
        self._joined.void()
        self._containers.void()
        self._tasks.void()

    async def run(self) -> None:
        """Follow both until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._containers.run(), name="containers")
            group.create_task(self._tasks.run(), name="swarm")
