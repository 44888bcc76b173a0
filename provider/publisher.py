"""Publishes: renders what is committed together with what is seen, each time that makes another document.

It never waits for a decision: a store that hangs or fails freezes decisions, while servers that fail still leave the
document.
"""

import time
from collections.abc import Awaitable, Callable, Mapping

import structlog

from provider import telling
from provider.clock import clock
from provider.composition import Composition
from provider.edit import group_key
from provider.entry import Entry
from provider.intake import Intake
from provider.journal import Journal
from provider.metrics import Metrics
from provider.model import Condition, Desired, GroupState, Health, Instant, Member, Probe, Service
from provider.publication import Publication, Published
from provider.render import Document, compose, render_service
from provider.rest import Text
from provider.serving import first_document_waits_for, serve, wake_mono_s
from provider.turns import Turn

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
        self._composed: tuple[Mapping[str, Entry], ...] = ({}, {}, {})

    @property
    def published(self) -> Published | None:
        """The last document; None before the first."""
        return self.publication.last

    async def run(self) -> None:
        """Publish a document each time what is committed and seen makes another one."""
        while True:
            keys = await self._intake.unpublished.take()
            if self._intake.follow_rest():  # everything is to be looked at anew
                continue
            now, desired, replaced, turn = clock(), self._world.desired, self.replaced, Turn()
            rest = self._intake.rest.shown
            self._project_held(now)
            for key in self._world.ordered(keys - self._intake.set_aside):
                self._intake.at = key
                self._project(key, now)
                self._intake.at = None
                await turn.rest()
            if not self.has_begun and not await self._may_begin(now):
                self._intake.unpublished.add_at("", now.mono_s + HELD_BACK_LOOK_S)
            elif self._is_of(desired, rest):  # else a reload came in between: its services have no fragments yet
                if self._world.retired is replaced:
                    self._world.retired = {}
                self._drop_gone()
                for _ in self._composition.join():
                    await turn.rest()
                if self._is_of(desired, rest):  # likewise: old routers do not go with new middlewares
                    self._publish()
                    await self._show(turn)
            counted, self._counted = self._counted, set()
            self._intake.undecided.add_some(counted)  # who waits for the document comes first

    def _project(self, key: str, now: Instant) -> None:
        """Follow the committed state and what is seen: fragments, probes, and the health that people are told."""
        self._world.refresh(key, now)
        for name in self._world.members.get(key, ()):
            entry = self._world.entries[name]
            member = self._checked(name, entry, now)
            self._projected.add(name)
            if self._render(name, entry, member, self._intake.rest.service(entry.service)):
                self._counted.add(key)  # the health gate counts them
            if self.has_begun:
                for condition in telling.conditions(entry, self._world.groups.get(key, GroupState())):
                    self.on_condition(name, condition)
            wake = wake_mono_s(member, now)
            if wake is not None:
                self._intake.unpublished.add_at(key, wake)
        self._intake.unsaved.add([key])

    def _project_held(self, now: Instant) -> None:
        """Follow what is seen of services that the file has no more, while the document has them (rule 15)."""
        self._world.refresh_held(now)
        for name, entry in self._world.held.items():
            self._render(name, entry, self._checked(name, entry, now), entry.service)

    def _checked(self, name: str, entry: Entry, now: Instant) -> Member:
        """Have the servers of a service checked, tell what is new of their health, and return what is known of it."""
        if entry.asked is not entry.probes:
            if entry.voided & entry.probes:  # gone and back before the checks heard of it: they begin anew
                self._probe(name, entry.probes - entry.voided)
            entry.asked, entry.voided = entry.probes, frozenset()
            self._probe(name, entry.probes)
        member = entry.member()
        for colour, server, health, before in entry.assess(member, now):
            if before is not None or health.health is not Health.UNKNOWN:
                telling.health(name, colour, server, health)
        return member

    def _render(self, name: str, entry: Entry, member: Member, service: Service | None) -> bool:
        """Render what the document says of a service; tell whether other servers than before have a part in it."""
        served = serve(member, service) if service is not None else None
        if service is None:  # what Traefik refuses is all there is of it
            entry.fragment, entry.fragment_active, entry.served = None, None, frozenset()
        elif served is not None:
            entry.fragment, entry.fragment_active = render_service(served), entry.state.active
            entry.served = frozenset(server.key for servers in served.servers.values() for server in servers)
        self._composition.put(name, entry.fragment)
        if not self.has_begun or entry.published == entry.served or (served is None and service is not None):
            return False
        entry.published = entry.served
        return True

    def _is_of(self, desired: Desired | None, rest: Text | None) -> bool:
        """Tell whether a document would still be of this file, and its rest of this text."""
        return self._world.desired is desired and self._intake.rest.shown is rest

    def _probe(self, service: str, probes: frozenset[Probe]) -> None:
        if self._intake.prober is not None:
            self._intake.prober.set_probes(service, probes)

    def _drop_gone(self) -> None:
        """Leave out the services that a reload took away; a reload brings other dictionaries."""
        world = self._world
        now = (world.entries, world.retired, world.held)
        if any(one is not other for one, other in zip(now, self._composed, strict=True)):
            self._composed = now
            self._composition.keep({name for some in now for name in some})

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
        now = clock()
        self._intake.rest.published(document.marker, self._journal.revision, now)
        wake = self._intake.rest.wake_mono_s(now)
        if wake is not None:
            self._intake.unpublished.add_at("", wake)

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
        reason = reason or self._unrendered()
        if (
            reason is None
            and self._world.entries
            and not self._composition
            and not self._intake.pass_through.has_routers
        ):
            reason = "no service has an active colour yet"
        return reason

    def _unrendered(self) -> str | None:
        """Name a service that was decided while the others were rendered; the next look has all of them (P4)."""
        for name, entry in self._world.entries.items():
            active = entry.state.active
            is_decided = active is not None and entry.observed[active].known
            if is_decided and entry.fragment is None and group_key(entry.service) not in self._intake.set_aside:
                return f"service {name} was decided just now"
        return None

    async def resume(self, document: Document) -> None:
        """Publish the document that the store gives, as a start has found it there."""
        if await self._journalled(self._journal.reserve()):
            self._put(Published(document, self._journal.next_revision(), is_resumed=True))
            self._world.traefiks.remember(document.marker)  # an earlier process has given it to whoever shows it
