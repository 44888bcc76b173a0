"""Takes every input: each replaces a part of the world and wakes the loops of the controller. None of them waits."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Protocol

import structlog

from provider.agenda import Agenda
from provider.certificate import Certificate, with_certificate
from provider.clock import clock
from provider.conditions import Conditions
from provider.durations import written
from provider.edit import Edit
from provider.errors import DesiredStateError, Problem
from provider.health import Result
from provider.journal import Journal
from provider.metrics import Metrics
from provider.model import (
    ByColour,
    ConditionCode,
    Desired,
    Probe,
    Server,
    ServerHealth,
    Severity,
    Smoke,
    SmokeRun,
    listed,
)
from provider.pollers import NOT_HELD_S, Connection
from provider.rarely import Rarely
from provider.readback import Reading
from provider.render import NO_PASS_THROUGH, PassThrough, render_pass_through
from provider.rest import Applied, Rest
from provider.store import Stored
from provider.world import World

log = structlog.get_logger("bluegreen")

PROBLEMS_TOLD = 10
OUTDATED_TOLD = 20
LOOK_EVERY_S = 2.0
QUIET_S = 30.0
TRAEFIK_CODES: tuple[ConditionCode, ...] = (
    "traefik-away",
    "traefik-unproven",
    "traefik-older",
    "not-applied",
    "traefik-errors",
)


class Prober(Protocol):
    """What is asked of the health checks."""

    def void(self) -> None:
        """Begin all evidence again."""

    def set_probes(self, service: str, probes: frozenset[Probe]) -> None:
        """Replace the probes of a service."""


class Lister(Protocol):
    """What is asked of Docker's edge."""

    def void(self) -> None:
        """List everything again, and tell nothing that was asked before."""

    def set_scope(self, environment: str, *, required: bool, ignored: frozenset[str]) -> None:
        """Name the environment whose containers count."""

    def relist(self, service: str) -> None:
        """Ask for one more list of a service."""


class Tester(Protocol):
    """What is asked of the smoke tests."""

    def void(self) -> None:
        """Begin all runs again."""

    def set_runs(self, group: str, runs: tuple[SmokeRun, ...]) -> None:
        """Replace the runs of a group."""


class Reader(Protocol):
    """What is asked of those who read back what Traefik applied."""

    def set_apis(self, urls: tuple[str, ...]) -> None:
        """Name the Traefiks to ask."""

    def set_document(self, marker: str) -> None:
        """Name the document to look for."""

    def set_attentive(self, attentive: bool) -> None:
        """Have everything read often, while a switch is to be proven."""


class Intake:
    """See the module. `undecided`, `unpublished` and `unsaved` are what the controller's loops have yet to look at.

    `at` is the group that one of them looks at just now, `set_aside` are those on which one of them failed.
    """

    def __init__(self, stored: Stored, journal: Journal, metrics: Metrics, *, docker_enabled: bool) -> None:
        self.world = World(stored, docker_enabled=docker_enabled)
        self.conditions = Conditions()
        self.rest = Rest()
        self.pass_through = NO_PASS_THROUGH
        self.at: str | None = None
        self.undecided, self.unpublished, self.unsaved = Agenda(), Agenda(), Agenda()
        self.set_aside: set[str] = set()
        self.prober: Prober | None = None
        self.lister: Lister | None = None
        self.tester: Tester | None = None
        self.reader: Reader | None = None
        self.journal, self._metrics, self._left = journal, metrics, Rarely()
        self._certificate: Certificate | None = None

    def attach(
        self, prober: Prober, lister: Lister | None, tester: Tester | None = None, reader: Reader | None = None
    ) -> None:
        """Name the edges that are told what to look at; they tell this intake what they see."""
        self.prober, self.lister, self.tester, self.reader = prober, lister, tester, reader

    def desired_loaded(self, edit: Edit, text: str) -> None:
        """Take a new desired state; `text` is kept in the store for a start without a readable file."""
        now, desired = clock(), edit.desired
        was_refused = self.rest.is_refused
        self.rest.load(text, desired)
        self.touch(self.world.load(edit, now))
        self.world.keep_left(self.rest.applied.desired.services if self.rest.applied is not None else ())
        if self.rest.is_refused or was_refused:
            self._take_rest()
        else:
            self.pass_through = self._passed(desired)
        for gone in edit.gone:
            if self.prober is not None:
                self.prober.set_probes(gone, frozenset())
        self.journal.text = text
        self.unsaved.add(())
        self.world.traefiks.expect(desired.traefik_api, desired.environment, desired.later_keys)
        if self.reader is not None:
            self.reader.set_apis(desired.traefik_api)
        if self.lister is not None:
            required = desired.require_environment_label
            self.lister.set_scope(desired.environment, required=required, ignored=desired.ignored_environment)
        self.touch(self.set_aside)
        self.set_aside = set()
        self.conditions.clear("internal-error")
        self.conditions.clear("desired-state-refused")
        self.conditions.clear("desired-state-outdated")
        self.tell_rest()
        self._tell_unnamed()
        self._metrics.reload_success.set(1)
        self._metrics.reload_timestamp.set(now.utc.timestamp())
        log.info("desired state loaded", environment=desired.environment, services=len(desired.services))

    def desired_outdated(self, problems: Sequence[Problem]) -> None:
        """Say of each place that only newer rules find wrong that it is served as it was (rule 13)."""
        now = clock().utc
        why = "an older version accepted this, so it is served as it was; any new edit is refused until it is corrected"
        for problem in problems[:OUTDATED_TOLD]:
            message = f"{problem} ({why})"
            if self.conditions.put("desired-state-outdated", Severity.WARNING, message, now, subject=str(problem)):
                log.warning("newer rules refuse what is loaded", problem=str(problem))
        if len(problems) > OUTDATED_TOLD:
            more = f"and {len(problems) - OUTDATED_TOLD} more: bluegreen validate shows them all"
            self.conditions.put("desired-state-outdated", Severity.WARNING, more, now)

    def applied_known(self, applied: Applied, desired: Desired) -> None:
        """Take what every Traefik had applied when an earlier process ended; it comes before any file."""
        self.rest.remember(applied, desired)
        self.world.traefiks.remember(applied.marker)

    def desired_refused(self, error: DesiredStateError) -> None:
        """Keep what runs and say what is wrong with the file (P11)."""
        self._metrics.reload_success.set(0)
        told = [str(problem) for problem in error.problems[:PROBLEMS_TOLD]]
        if len(error.problems) > PROBLEMS_TOLD:
            told.append(f"and {len(error.problems) - PROBLEMS_TOLD} more: bluegreen validate shows them all")
        message = f"the desired state was refused, what ran before keeps running: {'; '.join(told)}"
        if self.conditions.put("desired-state-refused", Severity.WARNING, message, clock().utc):
            log.error("desired state refused, what ran before keeps running", problems=told)

    def certificate_renewed(self, certificate: Certificate) -> None:
        """Take a generated default certificate; it is in the document while the file wants one."""
        self._certificate = certificate
        shown = self.rest.shown
        if shown is not None and shown.desired.generate_certificate:
            self.pass_through = self._passed(shown.desired)
            self.unpublished.add(())

    def certificate_fault(self, cause: str | None) -> None:
        """Take why there is no good default certificate, or None: what is served goes on (P4)."""
        if cause is None:
            if self.conditions.clear("default-certificate-failing"):
                log.info("no longer", condition="default-certificate-failing")
            return
        served = "none is served, so Traefik makes an RSA key at every change, some 45 ms"
        if self._certificate is not None:
            served = "the one before is served on"
        message = (
            f"the default certificate could not be made anew, {served}: {cause}. Make room, or the directory writable:"
            " it is tried again every few seconds; or write 'defaultCertificate: none'"
        )
        if self.conditions.put("default-certificate-failing", Severity.WARNING, message, clock().utc):
            log.warning("default certificate failing", cause=cause)

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        """Take Docker's complete list."""
        self.touch(self.world.list_docker(services, listed_mono_s))
        self._tell_unnamed()

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        """Take Docker's list of one service."""
        self.touch(self.world.list_service(service, colours, listed_mono_s, clock()))
        if service not in self.world.entries:
            self._tell_unnamed()

    def docker_networks(self, networks: frozenset[str]) -> None:
        """Take the networks of the daemon's own container."""
        self.touch(self.world.name_networks(networks))

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        """Take Docker's presence or absence; the last known servers stay (rule 4)."""
        docker = self.world.docker
        if connected:
            if not docker.connected:
                log.info("docker answers")
            self.conditions.clear("docker-away")
        else:
            if "docker-away" not in self.conditions:
                log.warning("docker does not answer", cause=cause)
            message = f"Docker does not answer ({cause}): the last known servers are served, no release is switched to"
            self.conditions.put("docker-away", Severity.WARNING, message, clock().utc)
        docker.connected = connected
        self._metrics.docker_connected.set(connected)
        self.touch(self.world.with_rollout)

    def slept(self, gap_s: float) -> None:
        """Take that this process did not run for a while: what was seen before proves nothing now (rule 14).

        Nothing is decided on Docker before it has listed again. What is served stays.
        """
        log.warning("this process did not run for a while; all evidence begins again", seconds=round(gap_s, 1))
        self.world.void()
        for edge in (self.prober, self.lister, self.tester):
            if edge is not None:
                edge.void()
        self.touch(self.world.members.keys() | self.world.with_rollout)

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        """Take what is wrong with containers, by their names: most are ignored for it."""
        told = listed((f"{name}: {why}" for name, why in sorted(warnings.items())), separator="; ")
        if not told:
            self.conditions.clear("containers")
        elif self.conditions.put("containers", Severity.WARNING, told, clock().utc):
            log.warning("containers need a look", containers=dict(warnings))

    def docker_event(self, action: str) -> None:
        """Count an event of Docker's."""
        self._metrics.docker_events.labels(action).inc()

    def health_verdict(self, probe: Probe, health: ServerHealth) -> None:
        """Take a verdict of the health checks."""
        self.touch(self.world.judge(probe, health))

    @property
    def desired_is_refused(self) -> bool:
        """Whether the file as it is now is not what runs."""
        return "desired-state-refused" in self.conditions

    def health_checked(self, probe: Probe, result: Result, started_mono_s: float) -> None:
        """Take one health check, `started_mono_s` on the monotonic clock."""
        self._metrics.health_checks.labels(probe.service, probe.colour, result).inc()
        self.undecided.add_some(self.world.check(probe, result, started_mono_s))

    def smoked(self, smoke: Smoke) -> None:
        """Take what the smoke tests of a candidate have come to so far."""
        self.undecided.add_some(self.world.smoked(smoke))

    def traefik_read(self, reading: Reading) -> None:
        """Take what one Traefik shows."""
        is_new = self.world.read(reading, clock().mono_s)
        if not self.rest.is_settled or is_new:
            self.follow_rest()
        if is_new:
            self.undecided.add_some(self.world.switched)
            self.tell_traefiks()

    def traefik_gone(self, traefik: str) -> None:
        """Forget a Traefik whose address is gone."""
        self.world.traefik_gone(traefik)
        self.rest.gone(traefik)
        self.undecided.add_some(self.world.switched)
        self.tell_traefiks()

    def follow_rest(self) -> bool:
        """Follow from which text the rest of the document comes; tell whether it is another one now (rule 15)."""
        before, rest = self.rest.kept, self.rest
        is_other = rest.look(self.world.traefiks.showing(), self.world.has_fetched_twice, clock())
        if is_other:
            log.info("the rest of the document comes from another text", is_refused=rest.is_refused)
            self._take_rest()
        if rest.is_settled:
            self.world.keep_left(())
        if rest.kept != before:
            self.journal.applied = rest.kept
            self.unsaved.add(())
            self.tell_rest()
        return is_other

    def _take_rest(self) -> None:
        """Have every service rendered anew by the text whose rest goes out."""
        shown = self.rest.shown
        if shown is None:
            return
        self.pass_through = self._passed(shown.desired)
        for gone in self.world.hold(shown.desired.services if self.rest.is_refused else {}, clock()):
            if self.prober is not None and gone not in self.world.entries:
                self.prober.set_probes(gone, frozenset())
        self.unpublished.add(self.world.members.keys())

    def tell_rest(self) -> None:
        """Say which part of the file Traefik refuses, and what goes out instead."""
        if not self.rest.is_refused:
            if self.conditions.clear("traefik-refuses-file"):
                log.info("no longer", condition="traefik-refuses-file")
            return
        older = "".join(f" ({why})" for why in self.world.traefiks.older())
        message = (
            f"Traefik has fetched the file as it is now and does not apply it{older}; its log says why. Decisions and "
            "servers reach clients all the same, with the rest of the file as it was before. Not in force is what was "
            f"changed since: {self.rest.changed}. Correct it (bluegreen validate FILE --traefik says what is wrong): "
            "the file is tried again when it changes"
        )
        if self.conditions.put("traefik-refuses-file", Severity.CRITICAL, message, clock().utc):
            log.error("traefik-refuses-file", message=message)

    def polled(
        self, transport: asyncio.BaseTransport, address: str, name: str | None, *, has_ticker: bool
    ) -> Connection:
        """Note a poll as it comes in; return the connection that it came over."""
        now, pollers = clock(), self.world.pollers
        received = pollers.received(transport)
        connection = pollers.asked(transport, address, name, now, has_ticker=has_ticker)
        if connection.polls <= 2 or connection.received != received:  # it counts as a poller now, or has another one
            self.undecided.add_some(self.world.switched)
        return connection

    def hold_s(self, connection: Connection, revision: int, limit_s: float) -> float:
        """Return how long a poll may wait for a newer document than this one, 0 where it may not."""
        return self.world.pollers.hold_s(connection, revision, limit_s, clock())

    def answered(self, connection: Connection, revision: int, *, was_held: bool) -> None:
        """Note which document a poll is answered with."""
        received = connection.received
        self.world.pollers.answered(connection, revision, clock(), was_held=was_held)
        if connection.received != received:
            self.undecided.add_some(self.world.switched)

    def gave(self, revision: int) -> None:
        """Note that somebody was given a document, a poller or not: only then can a Traefik have it from here."""
        if revision == self.world.revision and not self.world.traefiks.is_given:
            self.world.traefiks.is_given = True
            self.undecided.add_some(self.world.switched)

    def left(self, connection: Connection, held_s: float) -> None:
        """Note that a client went away while its poll was held: it is not held again for a while."""
        self.world.pollers.left(connection, clock())
        if (left_out := self._left.left_out()) is not None:
            log.warning(
                "a poller went away during a hold", poller=connection.who, held_s=round(held_s, 3), before=left_out
            )
        self.tell_hasty()

    def tell_hasty(self) -> None:
        """Follow who is not held because it went away during a hold."""
        now = clock()
        hasty = self.world.pollers.hasty(now)
        if not hasty:
            self.conditions.clear("hold-left")
            return
        message = (
            f"{', '.join(hasty)} went away while a poll was held and is answered at once for {written(NOT_HELD_S)}, so "
            "that a switch reaches it with its next poll only: its pollTimeout is shorter than --poll-hold, or it was "
            "stopped meanwhile"
        )
        self.conditions.put("hold-left", Severity.WARNING, message, now.utc)

    async def look(self) -> None:
        """Follow what only time changes: that nobody polls, and that a document is long not shown."""
        quiet_since_s = clock().mono_s
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            now = clock()
            if self.world.revision is None or any(True for _ in self.world.pollers):
                quiet_since_s = now.mono_s
                self.conditions.clear("nobody-polls")
            elif now.mono_s >= quiet_since_s + QUIET_S:
                message = f"no Traefik has polled for {QUIET_S:g} s: is it running, and is its endpoint this daemon's?"
                if self.conditions.put("nobody-polls", Severity.WARNING, message, now.utc):
                    log.warning("nobody polls")
            self.tell_traefiks()
            self.tell_hasty()

    def tell_traefiks(self) -> None:
        """Follow what operators should know of the Traefiks."""
        now = clock()
        found = self.world.traefiks.conditions(now.mono_s, given=self.world.fetched().given is True)
        standing = {condition.code: condition for condition in found}
        for code in TRAEFIK_CODES:
            condition = standing.get(code)
            if condition is None:
                if self.conditions.clear(code):
                    log.info("no longer", condition=code)
            elif self.conditions.put(code, condition.severity, condition.message, now.utc):
                log.warning(code, message=condition.message)
        self.tell_rest()

    # --- what inputs have in common ---------------------------------------------------------------------------------

    def touch(self, keys: Collection[str]) -> None:
        """Have groups decided on and published anew."""
        self.undecided.add(keys)
        self.unpublished.add(keys)

    def _passed(self, desired: Desired) -> PassThrough:
        passed = desired.pass_through
        if desired.generate_certificate and self._certificate is not None:
            passed = with_certificate(passed, self._certificate)
        return render_pass_through(passed, desired.environment)

    def _tell_unnamed(self) -> None:
        unnamed = listed(self.world.unnamed)
        if not unnamed:
            self.conditions.clear("not-in-file")
        else:
            message = f"containers name services that the file does not: {unnamed}"
            self.conditions.put("not-in-file", Severity.WARNING, message, clock().utc)
