"""The next document: what is committed together with what is seen, without asyncio, clock, log or metrics.

`project` follows one group, `join` puts all of them together, and `compose` makes the document. Once that is published,
`note` and `show` note what it has of each service. A reload may come between any two of these. What was begun on
another `edition` is not composed; what was composed is noted as what it is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from operator import is_
from typing import NamedTuple

from provider.controller.publication import Published
from provider.controller.state import State
from provider.controller.touched import NOTHING, Touched
from provider.controller.tracked_service import HealthChange, TrackedService
from provider.controller.tracked_services import names_in_traefik
from provider.model import Condition, ConditionCode, Desired, GroupState, Instant, Member, Probe, Rollout, Service
from provider.model.desired import group_key
from provider.model.document import Document
from provider.rollout.conditions import service_conditions
from provider.rollout.labelled import routing_of
from provider.rollout.serving import (
    FIRST_HEALTH_LIMIT_S,
    Rendered,
    first_document_waits_for,
    may_wait,
    serve,
    shown,
    wake_mono_s,
)
from provider.traefik.document.assembly import Assembly
from provider.traefik.document.render import Block, PassThrough, compose, render_service
from provider.traefik.document.rest import Text

DOCKER_AT_START_S = 0.5
COLLECT_S = 10.0
"""How long changes that may wait are collected while a step is on. Each reload may cost the smaller colour one request:
one of a hundred at 10 requests a second."""
RECORDED = frozenset({ConditionCode.REPLACED, ConditionCode.UNDECIDED})
"""These are decisions as well, and reported as such."""


class Edition(NamedTuple):
    """What a document is of: the file, the text whose rest goes out, and the retired services that it may leave out."""

    desired: Desired | None
    text: Text | None
    replaced: dict[str, TrackedService] | None


@dataclass(frozen=True, slots=True)
class Composed:
    """A document that is not published yet, and what it was made of; `is_new` says that it is another than the last."""

    document: Document
    edition: Edition
    blocks: tuple[Block, ...]
    extra: PassThrough
    services: Mapping[str, TrackedService]
    is_new: bool


@dataclass(frozen=True, slots=True)
class Projected:
    """What is new of one service: the `probes` to ask for, set after set, its health, and conditions by their codes.

    `wake_mono_s` is when time alone changes what is served of it.
    """

    service: str
    probes: tuple[frozenset[Probe], ...] = ()
    health: tuple[HealthChange, ...] = ()
    came: tuple[Condition, ...] = ()
    went: frozenset[str] = frozenset()
    wake_mono_s: float | None = None


class Draft:
    """The document in the making; `started` is when this process did, `is_first` says that the store knew no document.

    `published` is the last document; None before the first.
    """

    def __init__(self, state: State, started: Instant, *, is_first: bool) -> None:
        self.published: Published | None = None
        self._state, self._started, self._is_first = state, started, is_first
        self._assembly = Assembly()
        self._composed: tuple[object, ...] = ()
        self._noted: tuple[object, ...] = ()
        self._waiting_since_mono_s: float | None = None
        self._projected: set[str] = set()
        self._rendered: dict[str, TrackedService] = {}
        self._counted: set[str] = set()
        self._is_unsure = False

    def edition(self) -> Edition:
        """Return what a document that is begun now is of."""
        return Edition(self._state.desired, self._state.rest.shown, self._state.replaced)

    def is_current(self, edition: Edition) -> bool:
        """Return whether a document would still be of this edition: fragments of two do not go together."""
        return self._state.desired is edition.desired and self._state.rest.shown is edition.text

    # --- one group ------------------------------------------------------------------------------------------------

    def project(self, key: str, now: Instant) -> Iterator[Projected]:
        """Follow what is committed and seen of a group: its fragments, its probes, and what people should know."""
        state = self._state
        state.tracked.refresh(key, now)
        group = state.groups.get(key, GroupState())
        for name in state.members.get(key, ()):
            tracked = state.services[name]
            member = tracked.member()
            health = tracked.assess(member, now)
            self._projected.add(name)
            self._render(name, tracked, member, group.rollout, _described(tracked, state.rest.service(tracked.written)))
            came: tuple[Condition, ...] = ()
            went: frozenset[str] = frozenset()
            if self.published is not None:
                found = service_conditions(tracked.member(), group, tracked.health, tracked.since_utc, now)
                came, went = tracked.report(one for one in found if one.code not in RECORDED)
            yield Projected(name, tracked.ask_probes(), health, came, went, wake_mono_s(member, now))

    def project_held(self, now: Instant) -> Iterator[Projected]:
        """Follow what is seen of services that the file has no more, while the document has them (rule 15)."""
        self._state.tracked.refresh_held(now)
        for name, tracked in self._state.tracked.held.items():
            member = tracked.member()
            health = tracked.assess(member, now)
            self._render(name, tracked, member, None, tracked.service)
            yield Projected(name, tracked.ask_probes(), health)

    def _render(
        self, name: str, tracked: TrackedService, member: Member, under_way: Rollout | None, service: Service | None
    ) -> None:
        """Render what the document says of a service."""
        served = serve(member, under_way, service) if service is not None else None
        if service is None:  # what Traefik refuses is all there is of it
            tracked.fragment, tracked.fragment_shown, tracked.served = None, None, frozenset()
            tracked.rendered = None
        elif served is not None:
            tracked.fragment, tracked.fragment_shown = render_service(served), shown(member, under_way, served)
            tracked.rendered = Rendered(served, tracked.fragment_shown)
            tracked.served = frozenset(server.key for servers in served.servers.values() for server in servers)
        self._assembly.put(name, tracked.fragment)
        retired = self._state.tracked.retired
        if retired and served is not None and served.service.labels is not None:
            self._make_room(retired, served.service)
        if served is not None or service is None:
            self._rendered[name] = tracked

    def _make_room(self, retired: Mapping[str, TrackedService], service: Service) -> None:
        """Leave out the retired services whose names have come to a service by its labels: none is there twice."""
        taken = names_in_traefik(service)
        for name, gone in retired.items():
            if name not in self._state.services and not taken.isdisjoint(names_in_traefik(gone.service)):
                self._assembly.put(name, None)

    # --- the document ---------------------------------------------------------------------------------------------

    def held_back(self, now: Instant) -> str | None:
        """Say why the first document must wait: rule 1 for an empty store, rule 4 for one that knows servers."""
        state = self._state
        if state.desired is None:
            return "no desired state was accepted yet"
        waited_s = now.mono_s - self._started.mono_s
        reason: str | None = None
        if self._is_first and state.desired.auto is not None and state.docker.services is None:
            reason = "the services are those that containers name, and Docker has not listed any yet"
        elif self._is_first:
            reason = first_document_waits_for((tracked.member() for tracked in state.services.values()), waited_s)
        elif state.docker.enabled and not state.docker.is_complete and waited_s < DOCKER_AT_START_S:
            reason = "waiting for Docker's first list"
        reason = reason or self._unrendered() or (self._unrouted() if waited_s < FIRST_HEALTH_LIMIT_S else None)
        if reason is None and state.services and not self._assembly and not state.pass_through.has_routers:
            reason = "no service has an active colour yet"
        return reason

    def _unrendered(self) -> str | None:
        """Name a service that was decided while the others were rendered; the next look has all of them (P4)."""
        for name, tracked in self._state.services.items():
            active = tracked.state.active
            is_decided = active is not None and tracked.observed[active].known and bool(tracked.service.routers)
            if is_decided and tracked.fragment is None and group_key(tracked.service) not in self._state.set_aside:
                return f"service {name} was decided just now"
        return None

    def _unrouted(self) -> str | None:
        """Name a service that was served before its routing came to be that of labels, which are not decided on yet.

        Traefik keeps what it has while it gets no document (P4).
        """
        for name, tracked in self._state.services.items():
            active = tracked.state.active
            if active is None or tracked.written.labels is None or tracked.routing is not None:
                continue
            if not self._state.docker.enabled or group_key(tracked.service) in self._state.set_aside:
                continue
            if not self._state.docker.is_complete or routing_of(tracked.observed[active]) is not None:
                return f"the labels of service {name} are not known yet"
        return None

    def join(self, edition: Edition) -> Iterator[None]:
        """Put the fragments of all services together, some at each step; leave out the services that are replaced."""
        tracked = self._state.tracked
        if tracked.retired is edition.replaced:
            tracked.retired = {}
        now = (tracked.services, tracked.retired, tracked.held)  # a reload brings other dictionaries
        if len(self._composed) != len(now) or any(a is not b for a, b in zip(now, self._composed, strict=True)):
            self._composed = now
            self._assembly.keep({name for some in now for name in some})
        yield from self._assembly.join()

    def compose(self, edition: Edition) -> Composed:
        """Make the document of what was joined; where that is all as it was, it is the last one."""
        blocks, extra, last = self._assembly.blocks(), self._state.pass_through, self.published
        if last is not None and last.extra is extra and _are_same(last.blocks, blocks):
            document = last.document  # most verdicts of health checks change nothing, and there may be a hundred blocks
        else:
            document = compose(blocks, extra)
        is_new = last is None or last.document.etag != document.etag or self._is_unsure
        return Composed(document, edition, blocks, extra, self._state.services, is_new)

    def waits_until_mono_s(self, composed: Composed, now: Instant) -> float | None:
        """Return until when a document waits for more that changes; None where it is to be published now.

        Rule 22: while a step is on, Traefik is given no document for what nobody misses until then.
        """
        if self._waiting_since_mono_s is None:
            self._waiting_since_mono_s = now.mono_s
        until_mono_s = self._waiting_since_mono_s + COLLECT_S
        waits = composed.is_new and self._is_in_step() and now.mono_s < until_mono_s and self._may_wait(composed)
        if not waits:
            self._waiting_since_mono_s = None
        return until_mono_s if waits else None

    def _is_in_step(self) -> bool:
        under_way = (self._state.groups[key].rollout for key in self._state.rollouts.under_way)
        return any(one is not None and one.step is not None and not one.is_switched for one in under_way)

    def _may_wait(self, composed: Composed) -> bool:
        last = self.published
        if last is None or self._is_unsure or composed.extra is not last.extra or self._composed is not self._noted:
            return False
        for tracked in self._rendered.values():
            before, after = tracked.in_document, tracked.rendered
            if before is None or after is None or not may_wait(tracked.member(), before, after):
                return False
        return True

    def doubt(self) -> None:
        """Take that the document in the store may be another than the last: the next one is new, whatever it says."""
        self._is_unsure = True

    def note(self, composed: Composed, revision: int, now: Instant) -> tuple[Touched, float | None]:
        """Take that a document is `published` under this revision, or would be the same as the one that is.

        Inputs may have come since it was composed. Returns what that touched, and when to look again whether Traefik
        takes it.
        """
        state, document, touched = self._state, composed.document, NOTHING
        self._is_unsure = False
        if self.published is None:
            for tracked in composed.services.values():
                tracked.published = tracked.served
            touched = Touched(decide=state.members.keys(), save=state.members.keys())
        self._note_servers()
        if composed.is_new:
            self.published = Published(document, revision, composed.blocks, composed.extra)
            state.traefik.published(revision, document.marker, now.mono_s)
            state.counting.published(document.marker)
        state.rest.published(composed.edition.text, document.marker, revision, now)
        return touched, state.rest.wake_mono_s(now)

    def _note_servers(self) -> None:
        rendered, self._rendered, self._noted = self._rendered, {}, self._composed
        for name, tracked in rendered.items():
            tracked.in_document = tracked.rendered
            if tracked.published == tracked.served:
                continue
            tracked.published = tracked.served
            if self._state.services.get(name) is tracked:
                self._counted.add(group_key(tracked.service))  # the health gate counts them

    def show(self, now: Instant) -> Iterator[Touched]:
        """Note which weights the document has; a switch can be proven from now on."""
        projected, self._projected = self._projected, set()
        for name in projected:
            tracked = self._state.services.get(name)
            if tracked is not None and tracked.shown != tracked.fragment_shown:
                tracked.shown = tracked.fragment_shown
                self._state.counting.weights_changed(name, self._state.traefik.readings.marker, now)
                yield Touched(self._state.rollouts.watched & {group_key(tracked.service)} or None)
            else:
                yield NOTHING

    def counted(self) -> Touched:
        """Have decided on whose servers in the document are others: the health gate counts them."""
        counted, self._counted = self._counted, set()
        return Touched(counted or None)


def _described(tracked: TrackedService, written: Service | None) -> Service | None:
    return tracked.described(written) if written is not None else None


def _are_same(before: tuple[Block, ...], after: tuple[Block, ...]) -> bool:
    return len(before) == len(after) and all(map(is_, before, after))
