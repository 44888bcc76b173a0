"""Publishes: renders what is committed together with what is seen, each time that makes another document.

It never waits for a decision: a store that hangs or fails freezes decisions, while servers that fail still leave the
document.
"""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING

import structlog

from provider import telling
from provider.composition import Composition
from provider.edit import group_key
from provider.intake import Intake, clock
from provider.journal import Journal
from provider.metrics import Metrics
from provider.model import Condition, GroupState, Health, Instant, Probe
from provider.publication import Publication, Published
from provider.render import Document, compose, render_service
from provider.serving import first_document_waits_for, serve, wake_mono_s
from provider.turns import Turn

if TYPE_CHECKING:
    from provider.entry import Entry

log = structlog.get_logger("bluegreen")

DOCKER_AT_START_S = 0.5
HELD_BACK_LOOK_S = 0.5


class Publisher:
    """The half of the controller that makes documents; `journalled` does a work of the journal's, and tells operators.

    `has_begun` once a document of our own making was the first; one that was found in the store may come before it.
    `replaced` are the retired services in whose place all is decided. `on_condition` hears of each condition of a
    service that came.
    """

    def __init__(
        self,
        intake: Intake,
        journal: Journal,
        metrics: Metrics,
        journalled: Callable[[Awaitable[None]], Awaitable[bool]],
    ) -> None:
        self._intake, self._world = intake, intake.world
        self._journal, self._metrics, self._journalled = journal, metrics, journalled
        self.publication = Publication()
        self.on_condition: Callable[[str, Condition], None] = lambda _service, _condition: None
        self.has_begun = False
        self.replaced: dict[str, Entry] | None = None
        self._started = clock()
        self._empty_store = journal.revision == 0
        self._projected: set[str] = set()
        self._counted: set[str] = set()
        self._composition = Composition()
        self._composed: tuple[Mapping[str, Entry], Mapping[str, Entry]] = ({}, {})

    @property
    def published(self) -> Published | None:
        """The last document; None before the first."""
        return self.publication.last

    async def run(self) -> None:
        """Publish a document each time what is committed and seen makes another one."""
        while True:
            keys = await self._intake.unpublished.take()
            now, desired, replaced, turn = clock(), self._world.desired, self.replaced, Turn()
            for key in self._world.ordered(keys - self._intake.set_aside):
                self._intake.at = key
                self._project(key, now)
                self._intake.at = None
                await turn.rest()
            if not self.has_begun and not await self._may_begin(now):
                self._intake.unpublished.add_at("", now.mono_s + HELD_BACK_LOOK_S)
            elif self._world.desired is desired:  # else a reload came in between: its services have no fragments yet
                if self._world.retired is replaced:
                    self._world.retired = {}
                self._drop_gone()
                for _ in self._composition.join():
                    await turn.rest()
                if self._world.desired is desired:  # likewise: old routers do not go with new middlewares
                    self._publish()
                    await self._show(turn)
            counted, self._counted = self._counted, set()
            self._intake.undecided.add_some(counted)  # who waits for the document comes first

    def _project(self, key: str, now: Instant) -> None:
        """Follow the committed state and what is seen: fragments, probes, and the health that people are told."""
        self._world.refresh(key, now)
        for name in self._world.members.get(key, ()):
            entry = self._world.entries[name]
            if entry.asked is not entry.probes:
                if entry.voided & entry.probes:  # gone and back before the checks heard of it: they begin anew
                    self._probe(name, entry.probes - entry.voided)
                entry.asked, entry.voided = entry.probes, frozenset()
                self._probe(name, entry.probes)
            member = entry.member()
            for colour, server, health, before in entry.assess(member, now):
                if before is not None or health.health is not Health.UNKNOWN:
                    telling.health(name, colour, server, health)
            self._projected.add(name)
            served = serve(member)
            if served is not None:
                entry.fragment = render_service(served)
                entry.fragment_active = entry.state.active
                entry.served = frozenset(server.key for servers in served.servers.values() for server in servers)
                if self.has_begun and entry.published != entry.served:
                    entry.published = entry.served
                    self._counted.add(key)  # the health gate counts them
            self._composition.put(name, entry.fragment)
            if self.has_begun:
                for condition in telling.conditions(entry, self._world.groups.get(key, GroupState())):
                    self.on_condition(name, condition)
            wake = wake_mono_s(member, now)
            if wake is not None:
                self._intake.unpublished.add_at(key, wake)
        self._intake.unsaved.add([key])

    def _probe(self, service: str, probes: frozenset[Probe]) -> None:
        if self._intake.prober is not None:
            self._intake.prober.set_probes(service, probes)

    def _drop_gone(self) -> None:
        """Leave out the services that a reload took away; a reload brings other dictionaries."""
        entries, retired = self._composed
        if entries is not self._world.entries or retired is not self._world.retired:
            self._composed = entries, retired = self._world.entries, self._world.retired
            self._composition.keep(entries.keys() | retired.keys())

    def _publish(self) -> None:
        begin_s = time.perf_counter()
        blocks, extra = self._composition.blocks(), self._intake.pass_through
        document = compose(blocks, extra)
        if not self.has_begun:
            self.has_begun = True
            for entry in self._world.entries.values():
                entry.published = entry.served
            self._intake.undecided.add(self._world.members.keys())
            self._intake.unsaved.add(self._world.members.keys())
        before = self.published
        if before is None or before.document.etag != document.etag:
            self._metrics.document_render.set(time.perf_counter() - begin_s)
            self._put(Published(document, self._journal.next_revision(), blocks, extra))
        elif before.is_resumed:  # the same, and now it is known what it is composed of
            self.publication.put(Published(document, before.revision, blocks, extra))

    def _put(self, published: Published) -> None:
        document, revision = published.document, published.revision
        self.publication.put(published)
        self._world.published(revision, document.marker, clock().mono_s)
        if self._intake.reader is not None:
            self._intake.reader.set_document(document.marker)
        self._metrics.document_revision.set(revision)
        self._metrics.document_bytes.set(len(document.body))
        log.info("document published", revision=revision, bytes=len(document.body), marker=document.marker)

    async def _show(self, turn: Turn) -> None:
        """Note which colours the published document gives the traffic to; a switch can be proven from now on."""
        projected, self._projected = self._projected, set()
        for name in projected:
            await turn.rest()
            entry = self._world.entries.get(name)
            if entry is not None and entry.shown is not entry.fragment_active:
                entry.shown = entry.fragment_active
                self._intake.undecided.add_some(self._world.switched & {group_key(entry.service)})

    async def _may_begin(self, now: Instant) -> bool:
        """Tell whether the first document may be published; its number is on disk first (P6)."""
        return self.held_back(now) is None and await self._journalled(self._journal.reserve())

    def held_back(self, now: Instant) -> str | None:
        """Say why the first document must wait: rule 1 for an empty store, rule 4 for one that knows servers."""
        if self._world.desired is None:
            return "no desired state was accepted yet"
        waited_s = now.mono_s - self._started.mono_s
        docker = self._world.docker
        if self._empty_store:
            reason = first_document_waits_for((entry.member() for entry in self._world.entries.values()), waited_s)
        elif docker.enabled and docker.services is None and waited_s < DOCKER_AT_START_S:
            reason = "waiting for Docker's first list"
        else:
            reason = None
        if (
            reason is None
            and self._world.entries
            and not self._composition
            and not self._intake.pass_through.has_routers
        ):
            reason = "no service has an active colour yet"
        return reason

    async def resume(self, document: Document) -> None:
        """Publish the document that the store gives, as a start has found it there."""
        if await self._journalled(self._journal.reserve()):
            self._put(Published(document, self._journal.next_revision(), is_resumed=True))
