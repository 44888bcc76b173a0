"""Reads the controller's state for the admin API, Prometheus and notices.

To read 10,000 services takes a second, so that is done in timeslices: the answer about one service is of one moment,
the answer about all of them need not be.
"""

from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from urllib.parse import quote

import orjson

from provider.controller.replica import Peer
from provider.controller.state import State
from provider.controller.traefik_view import Fetched
from provider.model import Colour, Instant
from provider.model import api_types as api
from provider.model.dates import time_status
from provider.model.desired import group_key
from provider.model.text import whole
from provider.observability.active_conditions import Conditions
from provider.observability.notices import Context
from provider.rollout import status
from provider.rollout.candidates import member_of
from provider.rollout.explain import explain
from provider.rollout.facts import ServiceFacts
from provider.rollout.status import condition_status
from provider.runtime.clock import clock
from provider.runtime.timeslice import Timeslice

PIECE_BYTES = 64 * 1024


def json(answer: object) -> bytes:
    """Write an answer of the admin API."""
    try:
        return orjson.dumps(answer, option=orjson.OPT_NON_STR_KEYS)
    except TypeError:  # a lone surrogate that slipped in costs its text a character, and nobody the answer
        return orjson.dumps(whole(answer), option=orjson.OPT_NON_STR_KEYS)


def facts_of(state: State, name: str, now: Instant, fetched: Fetched | None = None) -> ServiceFacts | None:
    """Return the facts of one service, None where the file has none of that name."""
    tracked = state.services.get(name)
    if tracked is None:
        return None
    snapshot = state.snapshot(group_key(tracked.service), fetched)
    return ServiceFacts(snapshot, member_of(snapshot, name), now, tracked.health, tracked.since_utc)


def service(
    state: State, conditions: Conditions, name: str, now: Instant, *, shows_lease_id: bool = False
) -> api.Service | None:
    """Return the status of one service, None where the file has none of that name."""
    facts = facts_of(state, name, now)
    return _status(state, facts, conditions, shows_lease_id=shows_lease_id) if facts is not None else None


def applied(state: State, name: str, now: Instant) -> api.Applied | None:
    """Return which Traefiks show what was decided of a service, None where the file has none of that name."""
    facts = facts_of(state, name, now)
    return status.applied(facts) if facts is not None else None


def explained(
    state: State, conditions: Conditions, name: str, now: Instant, *, shows_lease_id: bool = False
) -> api.Service | None:
    """Return the status of one service with its pollers and its explanation, None where there is none."""
    facts = facts_of(state, name, now)
    if facts is None:
        return None
    found = _status(state, facts, conditions, shows_lease_id=shows_lease_id)
    return {**found, "pollers": _pollers(state), "explanation": explain(facts, conditions)}


def _status(state: State, facts: ServiceFacts, conditions: Conditions, *, shows_lease_id: bool) -> api.Service:
    return status.service_status(
        facts,
        environment=state.desired.environment if state.desired else "",
        revision=state.traefik.revision,
        conditions=conditions,
        shows_lease_id=shows_lease_id,
    )


async def services(
    state: State, conditions: Conditions, now: Instant, peers: Iterable[Peer] = ()
) -> AsyncIterator[bytes]:
    """Yield the overview with the status of every service, by name, as pieces of one JSON object."""
    yield json(overview(state, conditions, peers)).removesuffix(b"]}")
    pieces: list[bytes] = []
    is_first, size, fetched = True, 0, state.traefik.fetched()
    async for name in each_service(state):
        facts = facts_of(state, name, now, fetched)
        if facts is None:
            continue
        status = json(_status(state, facts, conditions, shows_lease_id=False))
        pieces += [status] if is_first else [b",", status]
        is_first, size = False, size + len(status)
        if size > PIECE_BYTES:
            yield b"".join(pieces)
            pieces, size = [], 0
    yield b"".join((*pieces, b"]}"))


def overview(state: State, conditions: Conditions, peers: Iterable[Peer] = ()) -> api.Overview:
    """Return the status of the daemon; `services` adds its services."""
    return {
        "environment": state.desired.environment if state.desired else None,
        "revision": state.traefik.revision,
        "docker": {"enabled": state.docker.enabled, "connected": state.docker.connected},
        "pollers": _pollers(state),
        "replicas": replicas(peers),
        "unnamed": list(state.tracked.unnamed),
        "conditions": [condition_status(condition) for condition in conditions],
        "services": [],
    }


def replicas(peers: Iterable[Peer]) -> list[api.Replica]:
    """Return what is known of each replica."""
    known = tuple(peers)
    newest = max((one.revision for one in known), default=0)
    return [
        {
            "replica": one.name,
            "leads": one.leads,
            "away": one.is_away,
            "admin": one.admin,
            "version": one.version,
            "revision": one.revision,
            "current": one.revision == newest,
            "pollers": one.pollers,
            "behind": one.behind,
        }
        for one in known
    ]


def _pollers(state: State) -> list[api.Poller]:
    here = ((None, poller) for poller in state.traefik.pollers)
    elsewhere = ((name, one.poller) for name, polls in state.traefik.elsewhere for one in polls.pollers)
    return [
        {
            "poller": poller.label,
            "revision": poller.revision,
            "current": poller.revision == state.traefik.revision,
            "last_poll": time_status(datetime.fromtimestamp(poller.last_poll_s, UTC)),
            "replica": replica,
        }
        for replica, poller in (*here, *elsewhere)
    ]


def context(state: State, name: str, public_url: str | None = None) -> Context | None:
    """Return what a notice about a service shows beside its decision; None where the file has none of that name.

    `public_url` is where people find the console.
    """
    facts = facts_of(state, name, clock())
    if facts is None or state.desired is None:
        return None
    service = facts.member.service
    return Context(
        state.desired.environment,
        {colour: _version(facts, colour) for colour in Colour},
        facts.active,
        state.members[group_key(service)],
        made_room=facts.made_room,
        url=service.url,
        preview_url=service.preview_url,
        console_url=f"{public_url.rstrip('/')}/#/{quote(name, safe='')}" if public_url else None,
    )


def _version(facts: ServiceFacts, colour: Colour) -> str | None:
    servers = facts.member.observed[colour].servers
    return next((server.version for server in servers if server.version), None)


async def each_service(state: State) -> AsyncIterator[str]:
    """Yield the names of all services, with a turn for everything else between every few."""
    timeslice = Timeslice()
    for name in tuple(state.services):
        await timeslice.give_way()
        if name in state.services:
            yield name
