"""One service of the file, with everything known of it."""

from collections.abc import Iterable, Iterator, Set
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf
from typing import NamedTuple, assert_never

from provider.docker.networks import Served
from provider.model import (
    Applied,
    ByColour,
    Checks,
    Colour,
    Condition,
    Health,
    Instant,
    Laggard,
    Member,
    Observed,
    Probe,
    Server,
    ServerHealth,
    ServerKey,
    Service,
    ServiceState,
    Shown,
    Smoke,
)
from provider.model.analysed import NOTHING_ANALYSED, Analysed
from provider.model.observed import Result, ServerPlace
from provider.model.routing import Routing
from provider.rollout.health import assess, endpoint_of, network_check
from provider.rollout.labelled import described, of_server
from provider.rollout.serving import Rendered
from provider.traefik.document.render import Fragment

GONE_KNOWN = 16


class HealthChange(NamedTuple):
    """A server whose health is another one; `before` is None where nobody had judged it."""

    colour: Colour
    server: Server
    after: ServerHealth
    before: ServerHealth | None


@dataclass(slots=True)
class TrackedService:
    """One service of the file, with everything known of it.

    `service` is the one that is `written` in the file, as the `routing` describes it: what may be served of what was
    decided on (rule 34). `unlabelled` is what the file had in its place.
    `asked` are the probes that the health checks were asked for last, `voided` those that went since, even if they came
    back; `health` is the joined verdict on each server.
    `served` are the servers in `fragment`, and `published` those in the last document: before the first one, those that
    the store remembers. `fragment_shown` and `shown` are likewise the weights there, `rendered` and `in_document` all
    that is said of it. `checks` are kept while the service is confirming or watching.
    `reported` are the codes of the conditions that were reported.
    `stayed` are the containers that were asked to stop and did not, each with when they were asked.
    `known` are the servers that are containers, as they were last seen. `unlisted` are the engines that have not listed
    their containers yet.
    While `is_stale` the service or Docker's list is newer than what was made of them: `TrackedServices.refresh` comes
    first.
    """

    written: Service
    state: ServiceState
    observed: ByColour[Observed]
    since_utc: datetime
    published: frozenset[ServerKey] = frozenset()
    probed: dict[ServerKey, ServerHealth] = field(default_factory=dict)
    probes: frozenset[Probe] = frozenset()
    asked: frozenset[Probe] = frozenset()
    voided: frozenset[Probe] = frozenset()
    health: dict[ServerKey, ServerHealth] = field(default_factory=dict)
    fragment: Fragment | None = None
    served: frozenset[ServerKey] = frozenset()
    fragment_shown: Shown | None = None
    shown: Shown | None = None
    rendered: Rendered | None = None
    in_document: Rendered | None = None
    checks: dict[ServerKey, Checks] = field(default_factory=dict)
    smoke: Smoke | None = None
    analysed: Analysed = NOTHING_ANALYSED
    reported: Set[str] = frozenset()
    stayed: dict[str | None, float] = field(default_factory=dict)
    known: dict[ServerPlace, Server] = field(default_factory=dict)
    is_stale: bool = True
    unlisted: tuple[str, ...] = ()
    unlabelled: Routing | None = None
    routing: Routing | None = field(init=False)
    service: Service = field(init=False)

    def __post_init__(self) -> None:
        """Describe the service by the routing that is decided already."""
        self.routing = self.state.routing
        self.service = described(self.written, self.routing)

    def write(self, written: Service) -> None:
        """Take what the file says now; the routing that it leaves to labels stays until theirs is decided (P4)."""
        before, self.written, self.is_stale = self.written, written, True
        if written.labels is None:
            self.unlabelled, self.routing = None, self.state.routing
        elif before.labels is None and before.routers and self.state.active is not None:
            self.unlabelled = self.routing = Routing(before.routers, before.endpoints)
        self.service = described(written, self.routing)

    def route(self, routing: Routing | None) -> None:
        """Take what is served of the routing that is decided."""
        if routing is not self.routing:
            self.routing, self.is_stale = routing, True
            self.service = described(self.written, routing)

    def described(self, written: Service) -> Service | None:
        """Return the service as another text of the file has it; None where nothing of it is to be served."""
        service = described(written, self.routing)
        is_over = service.labels is not None and not service.routers and self.routing is not None
        return None if is_over else service

    def decide(self, state: ServiceState) -> None:
        """Take what was decided, once it is committed."""
        if state.routing is not self.state.routing:
            self.unlabelled = None
            self.route(state.routing)
        # Which colour is active has a say in where its servers are reached.
        self.is_stale |= self.state.active is not state.active
        self.state = state

    @property
    def as_shown(self) -> Service | None:
        """The service as the last document has it; None where that is not known."""
        return self.in_document.served.service if self.in_document is not None else None

    def member(
        self,
        *,
        applied: tuple[Applied, ...] = (),
        fetched: bool | None = None,
        given: bool | None = None,
        laggard: Laggard | None = None,
    ) -> Member:
        """Return the frozen view of this service that the core works on."""
        return Member(
            service=self.service,
            state=self.state,
            observed=self.observed,
            health=self.probed,
            published=self.published,
            shown=self.shown,
            as_shown=self.as_shown,
            checks=self.checks,
            smoke=self.smoke,
            analysed=self.analysed,
            applied=applied,
            fetched=fetched,
            given=given,
            laggard=laggard,
            unlisted=self.unlisted,
            unlabelled=self.unlabelled,
        )

    @property
    def has_left_behind(self) -> bool:
        """Whether a server stays only until another one of its colour is in the document (rule 38)."""
        return any(server.is_left_behind for _, seen in self.observed.items() for server in seen.servers)

    def adopt_probes(self) -> bool:
        """Work out which servers to probe; evidence of a probe that is no more is void. Return whether they changed."""
        probes = frozenset(self._probes())
        if probes == self.probes:
            return False
        for gone in self.probes - probes:
            self.probed.pop(gone.key, None)
        self.voided |= self.probes - probes
        self.probes = probes
        return True

    def _probes(self) -> Iterator[Probe]:
        member = self.member()
        known: dict[tuple[Colour, str], tuple[str | None, bool]] = {}
        for colour, observed in self.observed.items():
            for server in observed.servers:
                endpoint = endpoint_of(member, server)
                check = network_check(endpoint, server)
                if check is None:
                    continue
                place = (colour, endpoint.name)
                if place not in known:
                    service = of_server(member, server)
                    known[place] = service.host(endpoint), service.passes_tls_on(endpoint)
                host, speaks_tls = known[place]
                yield Probe(member.service.name, colour, server.key, check, host, speaks_tls)

    def ask_probes(self) -> tuple[frozenset[Probe], ...]:
        """Return the probes to ask the health checks for, set after set; none where they have been asked for."""
        if self.asked is self.probes:
            return ()
        again = self.voided & self.probes  # gone and back before the checks heard of it: they begin again
        asked = (*((self.probes - self.voided,) if again else ()), self.probes)
        self.asked, self.voided = self.probes, frozenset()
        return asked

    def report(self, found: Iterable[Condition]) -> tuple[tuple[Condition, ...], frozenset[str]]:
        """Return the conditions that came since the last report, and the codes of those that went."""
        by_code: dict[str, Condition] = {condition.code: condition for condition in found}
        came = tuple(by_code[code] for code in sorted(by_code.keys() - self.reported))
        went = frozenset(self.reported - by_code.keys())
        self.reported = frozenset(by_code)
        return came, went

    def assess(self, member: Member, now: Instant) -> tuple[HealthChange, ...]:
        """Join the verdicts on each server; return those whose health is not what it was, with what it was."""
        joined: dict[ServerKey, ServerHealth] = {}
        changed = []
        for colour, observed in self.observed.items():
            for server in observed.servers:
                found, before = assess(member, server), self.health.get(server.key)
                if before is not None and (before.health, before.cause) == found:
                    joined[server.key] = before
                    continue
                since_utc = before.since_utc if before and before.health is found.health else now.utc
                joined[server.key] = after = ServerHealth(found.health, found.cause, since_utc)
                if before is None or before.health is not after.health:
                    changed.append(HealthChange(colour, server, after, before))
        self.health = joined
        return tuple(changed)

    def recognise(self, servers: ByColour[tuple[Server, ...]]) -> ByColour[tuple[Server, ...]]:
        """Give each container the ids that its release has had, and put the present one in their place (rule 40).

        One that is known by another id has not changed, as no container does: what an id covers has.
        """
        recognised = ByColour(*(tuple(map(self._recognised, some)) for _, some in servers.items()))
        there = [server for _, some in recognised.items() for server in some]
        renamed = {each.key._replace(release=old): each.key for each in there for old in each.former}
        if not renamed.keys().isdisjoint(self.published | self.served):
            self.published = frozenset(renamed.get(key, key) for key in self.published)
            self.served = frozenset(renamed.get(key, key) for key in self.served)
        return recognised

    def _recognised(self, server: Server) -> Server:
        before = self.known.get(server.place)
        if before is None or (before.release == server.release and before.former == server.former):
            return server
        former = {*server.former, *before.former, before.release} - {server.release}
        return replace(server, former=tuple(sorted(former)))

    def where_served(self) -> dict[ServerPlace, Served]:
        """Return where each container has been served, by the last document and by what was known before."""
        served = {each.place: Served(each.url, each.network) for each in self.known.values() if each.was_served}
        for key in self.published:
            place = ServerPlace(key.container, key.endpoint)
            before = self.known.get(place)
            served[place] = Served(key.url, before.network if before and before.url == key.url else None)
        return served

    def know(self, servers: ByColour[tuple[Server, ...]]) -> None:
        """Remember containers as they are now seen, and some of those that are gone: a restart brings them back."""
        containers = [each for each in (*servers.blue, *servers.green) if each.container]
        if not containers and not self.known:
            return
        there = {each.place: each for each in containers}
        gone = [each for each in self.known.items() if each[0] not in there]
        self.known = dict(gone[-GONE_KNOWN:]) | there

    def observe(self, colour: Colour, seen: Observed | None, now: Instant) -> bool:
        """Put what was seen in place, dating a changed set; return whether anything but the time of the list is new.

        `adopt_probes` has to follow before anybody looks.
        """
        before = self.observed[colour]
        if seen is None:
            return False
        if self.stayed:
            seen = replace(seen, servers=tuple(self._staying(server) for server in seen.servers))
        same = (
            before.known
            and before.from_docker is seen.from_docker
            and (before.servers == seen.servers or _identity(before) == _identity(seen))
        )
        died = _died(before, seen)
        if died:  # it came back before its death was known: its passes begin again, and the time to settle (rule 5)
            same = False
            self.voided |= {probe for probe in self.probes if probe.key in died}
            for key in died:
                self.probed.pop(key, None)
        changed_mono_s = before.changed_mono_s if same else now.mono_s
        seen = Observed(seen.known, seen.servers, seen.from_docker, changed_mono_s, seen.listed_mono_s)
        failing = {server.key for server in before.servers if server.docker_health is Health.UNHEALTHY}
        for server in seen.servers:  # Docker reports its checks when their verdict changes, and not when they started
            if server.docker_health is Health.UNHEALTHY and server.key not in failing:
                self.checks[server.key] = Checks(now.mono_s)
        self.observed = self.observed.put(colour, seen)
        return not same or before.servers != seen.servers

    def take_back(self, now: Instant) -> None:
        """Rule 4: what was asked to stop, and runs and passes its checks when its time is over, was not stopped."""
        member, servers = self.member(), [server for _, seen in self.observed.items() for server in seen.servers]
        there = {server.container for server in servers}
        self.stayed = {container: asked for container, asked in self.stayed.items() if container in there}
        for server in servers:
            if _is_over(server, now) and assess(member, server).health is Health.HEALTHY:
                self.stayed[server.container] = server.leaving_mono_s or 0.0
        for colour, observed in self.observed.items():
            self.observe(colour, observed, now)

    def _staying(self, server: Server) -> Server:
        is_asked = server.leaving_mono_s is not None
        stays = is_asked and self.stayed.get(server.container) == server.leaving_mono_s
        return replace(server, leaving_mono_s=None) if stays else server

    def check(self, probe: Probe, result: Result, started_mono_s: float) -> bool:
        """Take one health check; return whether it says anything of the server."""
        before = self.checks.get(probe.key, Checks())
        match result:
            case Result.PASS:
                kept = (*before.passed_mono_s, started_mono_s)[-probe.check.passes_noted :]
                verdict = self.probed.get(probe.key)
                is_healthy = verdict is not None and verdict.health is Health.HEALTHY
                self.checks[probe.key] = replace(
                    before, failed_mono_s=None if is_healthy else before.failed_mono_s, passed_mono_s=kept
                )
            case Result.FAIL:
                first = started_mono_s if before.failed_mono_s is None else before.failed_mono_s
                self.checks[probe.key] = Checks(first, failed_last_mono_s=started_mono_s)
            case Result.ERROR:
                return False
            case _:
                assert_never(result)
        return True


def _is_over(server: Server, now: Instant) -> bool:
    return server.returns_mono_s is not None and now.mono_s >= server.returns_mono_s


def _identity(observed: Observed) -> frozenset[tuple[ServerKey, str, bool]]:
    return frozenset((server.key, server.release, server.leaving_mono_s is None) for server in observed.servers)


def _died(before: Observed, seen: Observed) -> frozenset[ServerKey]:
    known = {server.key: server.deaths for server in before.servers if server.deaths is not None}
    return frozenset(server.key for server in seen.servers if (server.deaths or 0) > known.get(server.key, inf))
