"""Reads the controller's world for those who ask: the admin API and Prometheus.

All of ten thousand services take a second to read, so that is done in turns with everything else: what is said of one
service is of one moment, what is said of all of them need not be.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from operator import is_
from urllib.parse import quote

import orjson

from provider import status
from provider.conditions import Conditions
from provider.edit import group_key
from provider.entry import Entry
from provider.explain import explain
from provider.metrics import ServiceReading
from provider.model import Colour, GroupState, Health, Instant, Member, ServerHealth, ServerKey, Snapshot
from provider.notices import Context
from provider.rollout import weights
from provider.status import Standing, condition_status, desired_colour, phase_of, service_status, time_status, way_back
from provider.text import whole
from provider.turns import Turn
from provider.wanted import candidate_of, candidates, member_of, quarantine
from provider.watching import unconfirmed
from provider.wayback import made_room
from provider.world import World

PIECE_BYTES = 64 * 1024


def json(answer: object) -> bytes:
    """Write an answer of the admin API."""
    try:
        return orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate that slipped in costs its text a character, and nobody the answer
        return orjson.dumps(whole(answer), option=orjson.OPT_NON_STR_KEYS)


def service(
    world: World, conditions: Conditions, name: str, now: Instant, *, shows_lease_id: bool = False
) -> dict[str, object] | None:
    """Return the status of one service, None where the file has none of that name."""
    standing = _standing(world, conditions, name, shows_lease_id=shows_lease_id)
    return service_status(standing, now) if standing is not None else None


def applied(world: World, name: str) -> dict[str, object] | None:
    """Return which Traefiks show what was decided of a service, None where the file has none of that name."""
    entry = world.entries.get(name)
    return status.applied(world.member(entry, world.fetched())) if entry is not None else None


def explained(
    world: World, conditions: Conditions, name: str, now: Instant, *, shows_lease_id: bool = False
) -> dict[str, object] | None:
    """Return the status of one service with who polls and sentences that explain it, None where there is none."""
    standing = _standing(world, conditions, name, shows_lease_id=shows_lease_id)
    if standing is None:
        return None
    return {**service_status(standing, now), "pollers": _pollers(world), "explanation": explain(standing, now)}


def _standing(world: World, conditions: Conditions, name: str, *, shows_lease_id: bool) -> Standing | None:
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
        shows_lease_id=shows_lease_id,
    )


async def services(world: World, conditions: Conditions, now: Instant) -> AsyncIterator[bytes]:
    """Yield the overview with the status of every service, by name, as pieces of one JSON object."""
    yield json(overview(world, conditions))[:-1] + b',"services":['
    pieces: list[bytes] = []
    is_first, size = True, 0
    async for name in _in_turns(world):
        status = json(service(world, conditions, name, now))
        pieces += [status] if is_first else [b",", status]
        is_first, size = False, size + len(status)
        if size > PIECE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join((*pieces, b"]}"))


def overview(world: World, conditions: Conditions) -> dict[str, object]:
    """Return what holds for the whole daemon."""
    return {
        "environment": world.desired.environment if world.desired else None,
        "revision": world.revision,
        "docker": {"enabled": world.docker.enabled, "connected": world.docker.connected},
        "pollers": _pollers(world),
        "unnamed": list(world.unnamed),
        "conditions": [condition_status(condition) for condition in conditions],
    }


def _pollers(world: World) -> list[dict[str, object]]:
    return [
        {
            "poller": poller.label,
            "revision": poller.revision,
            "current": poller.revision == world.revision,
            "last_poll": time_status(datetime.fromtimestamp(poller.last_poll_s, UTC)),
        }
        for poller in world.pollers
    ]


def context(world: World, name: str, public_url: str | None = None) -> Context | None:
    """Return what a notice about a service says besides its decision; None where the file has none of that name.

    `public_url` is where people find the console.
    """
    entry = world.entries.get(name)
    if entry is None or world.desired is None:
        return None
    versions = {
        colour: next((server.version for server in observed.servers if server.version), None)
        for colour, observed in entry.observed.items()
    }
    key = group_key(entry.service)
    return Context(
        world.desired.environment,
        versions,
        entry.state.active,
        world.members[key],
        made_room=made_room(entry.member(), world.groups.get(key, GroupState())),
        url=entry.service.url,
        preview_url=entry.service.preview_url,
        console_url=f"{public_url.rstrip('/')}/#/{quote(name, safe='')}" if public_url else None,
    )


async def _in_turns(world: World) -> AsyncIterator[str]:
    """Yield the names of the services there are, with a turn for everything else between every few."""
    turn = Turn()
    for name in tuple(world.entries):
        await turn.rest()
        if name in world.entries:
            yield name


class Readings:
    """What Prometheus is told of each service; it is worked out anew only where something has changed since."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: dict[str, tuple[tuple[object, ...], ServiceReading]] = {}

    async def read(self, now: Instant) -> list[ServiceReading]:
        """Read all services, by name."""
        fetched, known = self._world.fetched(), {}
        async for name in _in_turns(self._world):
            entry = self._world.entries[name]
            parts = self._parts(entry)
            before, reading = self._known.get(name, (None, None))
            if reading is None or before is None or not _same(before, parts):
                snapshot = self._world.snapshot(group_key(entry.service), fetched)
                reading = _reading(snapshot, member_of(snapshot, name), entry.health, now)
            else:
                applied = self._world.traefiks.applied(entry.service)
                is_confirmed = unconfirmed(entry.member(applied=applied, fetched=fetched.by_pollers)) is None
                reading = reading if reading.confirmed is is_confirmed else replace(reading, confirmed=is_confirmed)
            known[name] = (parts, reading)
        self._known = known
        return [reading for _, reading in known.values()]

    def _parts(self, entry: Entry) -> tuple[object, ...]:
        """Return all that a reading is made of, but for what the Traefiks have; nothing of it is changed in place.

        A member of a group hangs on the others, and a rollout on the time: these are worked out at each scrape.
        """
        key, world = group_key(entry.service), self._world
        if len(world.members[key]) > 1 or key in world.with_rollout:
            return (object(),)
        return (entry.service, entry.state, entry.observed, entry.health, world.groups.get(key), world.docker.connected)


def _same(before: tuple[object, ...], after: tuple[object, ...]) -> bool:
    return len(before) == len(after) and all(map(is_, before, after))


def _reading(
    snapshot: Snapshot, member: Member, health: Mapping[ServerKey, ServerHealth], now: Instant
) -> ServiceReading:
    servers: dict[tuple[Colour, Health], int] = {}
    for colour, observed in member.observed.items():
        for server in observed.servers:
            found = health.get(server.key)
            place = (colour, found.health if found else Health.UNKNOWN)
            servers[place] = servers.get(place, 0) + 1
    active, back, override = member.state.active, member.state.way_back, member.state.override
    return ServiceReading(
        service=member.service.name,
        active=active,
        desired=desired_colour(snapshot, member),
        weights=dict(weights(active)) if active else {},
        phase=phase_of(snapshot, member),
        rollback_ready=bool(way_back(member, snapshot)["ready"]),
        confirmed=unconfirmed(member) is None,
        override_since_s=override.since_utc.timestamp() if override else None,
        way_back_lost=back is not None and back.lost is not None and not made_room(member, snapshot.state),
        quarantined=_is_quarantined(snapshot, member),
        servers=servers,
        last_switch_s=member.state.switched_utc.timestamp() if member.state.switched_utc else None,
        deadline_s=_deadline_s(snapshot, member, now),
    )


def _is_quarantined(snapshot: Snapshot, member: Member) -> bool:
    state = snapshot.state
    if state.rollout is not None or not state.quarantined:
        return False
    return any(one.service == member.service.name for one in candidates(snapshot)) and quarantine(snapshot) is not None


def _deadline_s(snapshot: Snapshot, member: Member, now: Instant) -> float | None:
    """Return when the phase of a service's own candidate is to end, to the second; None while it is held."""
    under_way = snapshot.state.rollout
    if under_way is None or under_way.deadline_mono_s is None or not candidate_of(snapshot, member.service.name):
        return None
    return round(now.utc.timestamp() + under_way.deadline_mono_s - under_way.clock_mono_s(now))
