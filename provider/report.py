"""Reads the controller's world for those who ask: the admin API and Prometheus.

All of ten thousand services take a second to read, so that is done in turns with everything else: what is said of one
service is of one moment, what is said of all of them need not be.
"""

import asyncio
from collections.abc import AsyncIterator

from provider.conditions import Conditions
from provider.entry import Entry
from provider.explain import explain
from provider.metrics import ServiceReading
from provider.model import Colour, Health, Instant
from provider.notices import Context
from provider.rollout import weights
from provider.status import Standing, condition_status, desired_colour, phase_of, service_status, way_back
from provider.wanted import member_of
from provider.watching import unconfirmed
from provider.world import World, group_key

AT_ONCE = 100


def service(world: World, conditions: Conditions, name: str, now: Instant) -> dict[str, object] | None:
    """Return the status of one service, None where the file has none of that name."""
    standing = _standing(world, conditions, name)
    return service_status(standing, now) if standing is not None else None


def explained(world: World, conditions: Conditions, name: str, now: Instant) -> dict[str, object] | None:
    """Return the status of one service with sentences that explain it, None where the file has none of that name."""
    standing = _standing(world, conditions, name)
    if standing is None:
        return None
    return {**service_status(standing, now), "explanation": explain(standing, now)}


def _standing(world: World, conditions: Conditions, name: str) -> Standing | None:
    entry = world.entries.get(name)
    if entry is None or world.desired is None:
        return None
    snapshot = world.snapshot(group_key(entry.service))
    return Standing(
        snapshot=snapshot,
        member=member_of(snapshot, name),
        environment=world.desired.environment,
        revision=world.revision,
        health=entry.health,
        since_utc=entry.since_utc,
        conditions=tuple(conditions),
    )


async def services(world: World, conditions: Conditions, now: Instant) -> list[dict[str, object]]:
    """Return the status of every service, by name."""
    found = [service(world, conditions, name, now) async for name in _in_turns(world)]
    return [status for status in found if status is not None]


def overview(world: World, conditions: Conditions) -> dict[str, object]:
    """Return what holds for the whole daemon."""
    return {
        "environment": world.desired.environment if world.desired else None,
        "revision": world.revision,
        "docker": {"enabled": world.docker.enabled, "connected": world.docker.connected},
        "pollers": [
            {"poller": poller.label, "revision": poller.revision, "last_poll": poller.last_poll_s}
            for poller in world.pollers
        ],
        "unnamed": list(world.unnamed),
        "conditions": [condition_status(condition) for condition in conditions],
    }


def context(world: World, name: str) -> Context | None:
    """Return what a notice about a service says besides its decision; None where the file has none of that name."""
    entry = world.entries.get(name)
    if entry is None or world.desired is None:
        return None
    versions = {
        colour: next((server.version for server in observed.servers if server.version), None)
        for colour, observed in entry.observed.items()
    }
    return Context(world.desired.environment, versions, entry.state.active, world.members[group_key(entry.service)])


async def readings(world: World) -> list[ServiceReading]:
    """Return what Prometheus is told of each service."""
    return [_reading(world, world.entries[name]) async for name in _in_turns(world)]


async def _in_turns(world: World) -> AsyncIterator[str]:
    """Yield the names of the services there are, with a turn for everything else between every few."""
    for number, name in enumerate(tuple(world.entries)):
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
        if name in world.entries:
            yield name


def _reading(world: World, entry: Entry) -> ServiceReading:
    snapshot = world.snapshot(group_key(entry.service))
    member = member_of(snapshot, entry.service.name)
    servers: dict[tuple[Colour, Health], int] = {}
    for colour, observed in member.observed.items():
        for server in observed.servers:
            found = entry.health.get(server.key)
            place = (colour, found.health if found else Health.UNKNOWN)
            servers[place] = servers.get(place, 0) + 1
    active, switched = member.state.active, member.state.switched_utc
    return ServiceReading(
        service=entry.service.name,
        active=active,
        desired=desired_colour(snapshot, member),
        weights=dict(weights(active)) if active else {},
        phase=phase_of(snapshot, member),
        rollback_ready=bool(way_back(member, snapshot)["ready"]),
        confirmed=unconfirmed(member) is None,
        override=member.state.override is not None,
        servers=servers,
        last_switch_s=switched.timestamp() if switched else None,
    )
