"""`GET /metrics`: the state of every service, read once for each scrape."""

import asyncio
from dataclasses import replace
from operator import is_

from aiohttp import web
from aiohttp.typedefs import Handler

from provider.api.answers import each_service, facts_of
from provider.api.problems import problem
from provider.controller.replica import Replica
from provider.controller.state import State
from provider.controller.tracked_service import TrackedService
from provider.model import Instant
from provider.model.condition_catalogue import OF_DAEMON
from provider.model.desired import group_key
from provider.model.problems import ProblemCode
from provider.observability.metrics import Metrics, ServiceReading
from provider.rollout.analysis_status import readings_of
from provider.rollout.confirming import unconfirmed
from provider.rollout.facts import ServiceFacts
from provider.runtime.clock import clock

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
METRICS_LIMIT_S = 30.0


def metrics_handler(replica: Replica, metrics: Metrics) -> Handler:
    """Return the handler of a scrape; the series of services are there only while this replica leads (rule 61)."""
    one_at_a_time, readings = asyncio.Lock(), Readings(None)

    async def text() -> bytes:
        """Write all metrics in a thread: those of 10,000 services take seconds, and polls do not wait for them."""
        nonlocal readings
        state = replica.controller.state if replica.controller is not None else None
        if readings.state is not state:
            readings = Readings(state)
        metrics.poller_revision.clear()
        metrics.poller_last_poll.clear()
        if (published := replica.published) is not None:
            metrics.document_revision.set(published.revision)
        if replica.peers is not None:
            metrics.follow_store(leads=replica.controller is not None, store_age_s=replica.peers.store_age_s)
        for poller in replica.pollers:
            metrics.poller_revision.labels(poller.label).set(poller.revision)
            metrics.poller_last_poll.labels(poller.label).set(poller.last_poll_s)
        for code in OF_DAEMON:
            metrics.condition.labels(code).set(code in replica.conditions)
        read = await readings.read(clock())
        return await asyncio.to_thread(metrics.exposition, read)

    async def scrape(_: web.Request) -> web.StreamResponse:
        """Answer one scrape at a time: a text of 10,000 services is not made for many at once."""
        try:
            async with asyncio.timeout(METRICS_LIMIT_S), one_at_a_time:
                return web.Response(body=await text(), headers={"Content-Type": METRICS_TYPE})
        except TimeoutError:
            return problem(ProblemCode.NO_ANSWER, f"the metrics were not written within {METRICS_LIMIT_S:g} s")

    return scrape


class Readings:
    """The readings of all services; a service is read again only where something has changed since.

    There are none without a state.
    """

    def __init__(self, state: State | None) -> None:
        self.state = state
        self._known: dict[str, tuple[tuple[object, ...], ServiceReading]] = {}

    async def read(self, now: Instant) -> list[ServiceReading]:
        """Read all services, by name."""
        state, known = self.state, dict[str, tuple[tuple[object, ...], ServiceReading]]()
        if state is None:
            return []
        fetched = state.traefik.fetched()
        async for name in each_service(state):
            tracked = state.services[name]
            parts = _parts(state, tracked)
            before, reading = self._known.get(name, (None, None))
            if reading is None or before is None or not _same(before, parts):
                facts = facts_of(state, name, now, fetched)
                if facts is None:
                    continue
                reading = _reading(facts)
            else:
                applied = state.traefik.readings.applied(tracked.as_shown or tracked.service)
                member = tracked.member(applied=applied, fetched=fetched.by_pollers)
                is_confirmed = unconfirmed(member, None) is None
                reading = reading if reading.confirmed is is_confirmed else replace(reading, confirmed=is_confirmed)
            known[name] = (parts, reading)
        self._known = known
        return [reading for _, reading in known.values()]


def _parts(state: State, tracked: TrackedService) -> tuple[object, ...]:
    """Return all that a reading is made of, but for what the Traefiks show; nothing of it is changed in place.

    A member of a group depends on the others, and a rollout on the time: these are read at each scrape.
    """
    key = group_key(tracked.service)
    if len(state.members[key]) > 1 or key in state.rollouts.under_way:
        return (object(),)
    return (
        tracked.service,
        tracked.state,
        tracked.observed,
        tracked.health,
        state.groups.get(key),
        state.docker.connected,
    )


def _same(before: tuple[object, ...], after: tuple[object, ...]) -> bool:
    return len(before) == len(after) and all(map(is_, before, after))


def _reading(facts: ServiceFacts) -> ServiceReading:
    state = facts.member.state
    return ServiceReading(
        service=facts.name,
        active=facts.active,
        desired=facts.desired,
        weights=facts.weights,
        phase=facts.phase,
        rollback_ready=facts.rollback_reason is None,
        confirmed=facts.unconfirmed is None,
        override_since_s=state.override.since_utc.timestamp() if state.override else None,
        way_back_lost=facts.is_target_lost,
        quarantined=facts.quarantine is not None,
        servers=facts.servers_by_health,
        last_switch_s=state.switched_utc.timestamp() if state.switched_utc else None,
        step_until_s=round(facts.step_until_utc.timestamp()) if facts.step_until_utc else None,
        step=facts.rollout.step.number if facts.rollout is not None and facts.rollout.step is not None else 0,
        deadline_s=round(facts.deadline_utc.timestamp()) if facts.deadline_utc else None,
        gates={gate: verdict.state for gate, verdict in facts.gates.items()},
        analysis=readings_of(facts),
    )
