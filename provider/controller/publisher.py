"""Publishes: renders what is committed together with what is seen, each time that makes another document.

It never waits for a decision: a store that hangs or fails freezes decisions, while servers that fail still leave the
document. Nobody is told of a document before the store has published it; one that it could not publish is made again.
The pollers that are held have it before logs, metrics and the other loops: no switch waits for those.
"""

import asyncio
import time

import structlog

from provider.controller.daemon_conditions import DaemonConditions
from provider.controller.draft import Draft, Edition, Projected
from provider.controller.faults import Isolated
from provider.controller.journal import Journal
from provider.controller.outputs import Listeners, Outputs
from provider.controller.publication import Publication, Published, until_sent
from provider.controller.state import State
from provider.controller.work_queue import Queues
from provider.model import Health
from provider.model.errors import StoreUncertain
from provider.observability import log_events
from provider.observability.metrics import Metrics
from provider.runtime.clock import clock
from provider.runtime.timeslice import Timeslice

log = structlog.get_logger("bluegreen")

HELD_BACK_LOOK_S = 0.5
RETRY_S = 1.0


class Publisher:
    """The loop that makes documents, and puts each into `publication`."""

    def __init__(
        self,
        state: State,
        queues: Queues,
        journal: Journal,
        outputs: Outputs,
        listeners: Listeners,
        daemon_conditions: DaemonConditions,
        metrics: Metrics,
        isolated: Isolated,
        publication: Publication,
    ) -> None:
        self.publication = publication
        self.draft = Draft(state, clock(), is_first=journal.revision == 0)
        self._state, self._queues, self._journal, self._outputs = state, queues, journal, outputs
        self._listeners, self._daemon_conditions, self._metrics = listeners, daemon_conditions, metrics
        self._isolated = isolated

    async def run(self) -> None:
        """Publish a document each time what is committed and seen makes another one."""
        while True:
            if (rest_s := self._journal.rest_s()) > 0:
                await asyncio.sleep(rest_s)  # what changes meanwhile is in the same document
            keys = await self._queues.unpublished.take()
            followed = self._state.follow_rest(clock())
            self._queues.put(followed)
            if followed.save is not None:
                self._daemon_conditions.follow_rest(followed)
            if followed.publish is None:  # else everything is to be looked at again
                await self._publish(keys)

    async def _publish(self, keys: set[str]) -> None:
        now, edition, timeslice, draft = clock(), self.draft.edition(), Timeslice(), self.draft
        unprobed, self._state.unprobed = self._state.unprobed, set()
        for name in unprobed:
            self._outputs.prober.set_probes(name, frozenset())
        for projected in draft.project_held(now):
            self._ask(projected)
            self._report("", projected)
        looked, seen = list[str](), list[tuple[str, Projected]]()
        for key in self._state.ordered(keys):
            with self._isolated(key):
                for projected in draft.project(key, now):
                    self._ask(projected)
                    seen.append((key, projected))
                looked.append(key)
            await timeslice.give_way()
        published: Published | None = None
        if draft.published is None and draft.held_back(now) is not None:
            self._queues.unpublished.add_at("", now.mono_s + HELD_BACK_LOOK_S)
        elif draft.is_current(edition):  # else a reload came in between: its services have no fragments yet
            for _ in draft.join(edition):
                await timeslice.give_way()
            if draft.is_current(edition):  # likewise: old routers do not go with new middlewares
                published = await self._finish(edition, timeslice)
        for key, projected in seen:
            with self._isolated(key):
                self._report(key, projected)
            await timeslice.give_way()
        if published is not None:
            revision, document = published.revision, published.document
            log.info("document published", revision=revision, bytes=len(document.body), marker=document.marker)
        if looked:
            self._queues.unsaved.add(looked)
        self._queues.put(draft.counted())

    def _ask(self, projected: Projected) -> None:
        """Ask for the probes of a service."""
        for probes in projected.probes:
            self._outputs.prober.set_probes(projected.service, probes)

    def _report(self, key: str, projected: Projected) -> None:
        """Report what is new of a service."""
        name = projected.service
        for change in projected.health:
            if change.before is not None or change.after.health is not Health.UNKNOWN:
                log_events.health(name, change.colour, change.server, change.after)
        log_events.conditions(name, projected.came, projected.went)
        for found in projected.came:
            self._listeners.on_service_condition(name, found)
        if projected.wake_mono_s is not None:
            self._queues.unpublished.add_at(key, projected.wake_mono_s)

    async def _finish(self, edition: Edition, timeslice: Timeslice) -> Published | None:
        """Publish what was joined if it is new, and return that once it is sent; or have it made again."""
        begin_s = time.perf_counter()
        composed = self.draft.compose(edition)
        render_s = time.perf_counter() - begin_s
        if (until_mono_s := self.draft.waits_until_mono_s(composed, clock())) is not None:
            self._queues.unpublished.add_at("", until_mono_s)
            return None
        if composed.is_new and not await self._journal.publish(composed.document):
            if isinstance(self._journal.failure, StoreUncertain):
                self.draft.doubt()
            self._queues.unpublished.add_at("", clock().mono_s + RETRY_S)
            return None
        touched, wake_mono_s = self.draft.note(composed, self._journal.revision, clock())
        published = self.draft.published if composed.is_new else None
        if published is not None:
            self.publication.put(published)
            self._metrics.document_render.set(render_s)
            self._metrics.document_revision.set(published.revision)
            self._metrics.document_bytes.set(len(published.document.body))
        told = [touched]
        for touched in self.draft.show(clock()):
            told.append(touched)
            await timeslice.give_way()
        if published is not None:
            await until_sent()
            self._outputs.reader.set_document(published.document.marker)
        for touched in told:
            self._queues.put(touched)
        if wake_mono_s is not None:
            self._queues.unpublished.add_at("", wake_mono_s)
        return published
