"""What the edges report: each input replaces a part of the state and wakes the loops that must look. None waits."""

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from provider.controller.daemon_conditions import DaemonConditions
from provider.controller.state import State
from provider.controller.work_queue import Queues
from provider.model import (
    ByColour,
    ConditionCode,
    Desired,
    EngineSeen,
    Probe,
    Server,
    ServerHealth,
    Smoke,
    condition,
    listed,
)
from provider.model.analysed import Answer, Scrape
from provider.model.document import AppliedText
from provider.model.errors import DesiredStateError, Problem
from provider.model.observed import Result
from provider.observability.active_conditions import Conditions
from provider.observability.metrics import Metrics
from provider.runtime.clock import clock
from provider.traefik.certificate import Certificate
from provider.traefik.elsewhere import ReplicaPolls
from provider.traefik.pollers import Connection
from provider.traefik.readback import Reading

log = structlog.get_logger("bluegreen")

PROBLEMS_SHOWN = 10
OUTDATED_SHOWN = 20
GO_ON = "services that have no server there go on"
MORE = "and {} more: bluegreen validate shows them all"


class Inputs:
    """The methods that edges call, on the event loop's thread."""

    def __init__(
        self,
        state: State,
        queues: Queues,
        conditions: Conditions,
        daemon_conditions: DaemonConditions,
        metrics: Metrics,
    ) -> None:
        self._state, self._queues, self._metrics = state, queues, metrics
        self._conditions, self._daemon_conditions = conditions, daemon_conditions

    # --- the file -------------------------------------------------------------------------------------------------

    def applied_known(self, applied: AppliedText, desired: Desired) -> None:
        """Take what every Traefik had applied when an earlier process ended; it comes before any file."""
        self._state.applied_known(applied, desired)

    def desired_refused(self, error: DesiredStateError) -> None:
        """Keep what runs and say what is wrong with the file (P11)."""
        self._metrics.reload_success.set(0)
        problems = [str(problem) for problem in error.problems[:PROBLEMS_SHOWN]]
        if len(error.problems) > PROBLEMS_SHOWN:
            problems.append(MORE.format(len(error.problems) - PROBLEMS_SHOWN))
        found = condition(ConditionCode.DESIRED_STATE_REFUSED, clock().utc, problems="; ".join(problems))
        if self._conditions.put(found):
            log.error("desired state refused, what ran before keeps running", problems=problems)

    def desired_missing(self) -> None:
        """Say that there is no desired state yet: nothing can be served before one is applied (rule 62)."""
        if self._conditions.put(condition(ConditionCode.NO_DESIRED_STATE, clock().utc)):
            log.warning("the store has no desired state yet", way_out="bluegreen apply FILE")

    def desired_outdated(self, problems: Sequence[Problem]) -> None:
        """Say of each place that only newer rules find wrong that it is served as it was (rule 13)."""
        now_utc = clock().utc
        for problem in problems[:OUTDATED_SHOWN]:
            found = condition(ConditionCode.DESIRED_STATE_OUTDATED, now_utc, problem=problem)
            if self._conditions.put(found, subject=str(problem)):
                log.warning("newer rules refuse what is loaded", problem=str(problem))
        if len(problems) > OUTDATED_SHOWN:
            more = MORE.format(len(problems) - OUTDATED_SHOWN)
            self._conditions.put(condition(ConditionCode.DESIRED_STATE_OUTDATED, now_utc, problem=more))

    @property
    def desired_is_refused(self) -> bool:
        """Whether the file as it is now is not what runs."""
        return ConditionCode.DESIRED_STATE_REFUSED in self._conditions

    def certificate_renewed(self, certificate: Certificate) -> None:
        """Take a generated default certificate; it is in the document while the file wants one."""
        self._queues.put(self._state.certificate_renewed(certificate))

    def certificate_fault(self, cause: str | None) -> None:
        """Take why there is no good default certificate, or None: what is served goes on (P4)."""
        if cause is None:
            if self._conditions.clear(ConditionCode.DEFAULT_CERTIFICATE_FAILING):
                log.info("no longer", condition=ConditionCode.DEFAULT_CERTIFICATE_FAILING)
            return
        served = "none is served, so Traefik makes an RSA key at every change, some 45 ms"
        if self._state.certificate is not None:
            served = "the one before is served on"
        found = condition(ConditionCode.DEFAULT_CERTIFICATE_FAILING, clock().utc, served=served, cause=cause)
        if self._conditions.put(found):
            log.warning("default certificate failing", cause=cause)

    # --- Docker ---------------------------------------------------------------------------------------------------

    def docker_listed(self, services: Mapping[str, ByColour[tuple[Server, ...]]], listed_mono_s: float) -> None:
        """Take Docker's complete list."""
        self._queues.put(self._state.docker_listed(services, listed_mono_s, clock()))
        self._daemon_conditions.follow_unnamed()

    def docker_service(self, service: str, colours: ByColour[tuple[Server, ...]], listed_mono_s: float) -> None:
        """Take Docker's list of one service."""
        self._queues.put(self._state.docker_service(service, colours, listed_mono_s, clock()))
        if service not in self._state.services:
            self._daemon_conditions.follow_unnamed()

    def docker_networks(self, networks: frozenset[str]) -> None:
        """Take the networks of the daemon's own container."""
        self._queues.put(self._state.docker_networks(networks))

    def docker_engines(self, engines: Mapping[str, EngineSeen]) -> None:
        """Take what is known of the engines of the file; that of `--docker` says itself whether it answers."""
        self._queues.put(self._state.docker_engines(engines))
        self._metrics.follow_engines({name: seen.answers for name, seen in engines.items()})
        if not engines:
            return
        causes = [f"engine {name}: {seen.cause}" for name, seen in engines.items() if seen.cause is not None]
        is_connected = self._state.docker.connected
        self._metrics.docker_connected.set(is_connected)
        if causes or is_connected:
            self._tell_connected("; ".join([*causes, GO_ON]) if causes else None)

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        """Take Docker's presence or absence; the last known servers stay (rule 4)."""
        if connected and not self._state.docker.connected:
            log.info("docker answers")
        self._tell_connected(None if connected else cause)
        self._metrics.docker_connected.set(connected)
        self._queues.put(self._state.docker_connected(connected=connected))

    def _tell_connected(self, cause: str | None) -> None:
        if cause is None:
            self._conditions.clear(ConditionCode.DOCKER_AWAY)
            return
        if ConditionCode.DOCKER_AWAY not in self._conditions:
            log.warning("docker does not answer", cause=cause)
        self._conditions.put(condition(ConditionCode.DOCKER_AWAY, clock().utc, cause=cause))

    def docker_warnings(self, warnings: Mapping[str, str]) -> None:
        """Take what is wrong with containers, by their names: most are ignored for it."""
        containers = listed((f"{name}: {why}" for name, why in sorted(warnings.items())), separator="; ")
        if not containers:
            self._conditions.clear(ConditionCode.CONTAINERS)
        elif self._conditions.put(condition(ConditionCode.CONTAINERS, clock().utc, containers=containers)):
            log.warning("containers need a look", containers=dict(warnings))

    def docker_event(self, action: str) -> None:
        """Count an event of Docker's."""
        self._metrics.docker_events.labels(action).inc()

    # --- checks ---------------------------------------------------------------------------------------------------

    def health_verdict(self, probe: Probe, health: ServerHealth) -> None:
        """Take a verdict of the health checks."""
        self._queues.put(self._state.health_verdict(probe, health))

    def health_checked(self, probe: Probe, result: Result, started_mono_s: float) -> None:
        """Take one health check, `started_mono_s` on the monotonic clock."""
        self._metrics.health_checks.labels(probe.service, probe.colour, result).inc()
        self._queues.put(self._state.health_checked(probe, result, started_mono_s))

    def smoked(self, smoke: Smoke) -> None:
        """Take what the smoke tests of a candidate have come to so far."""
        self._queues.put(self._state.smoked(smoke))

    def scraped(self, scrape: Scrape) -> None:
        """Take what every Traefik has counted of the services that are analysed."""
        self._queues.put(self._state.scraped(scrape, clock()))

    def answered_query(self, answer: Answer) -> None:
        """Take what a query of an analysis came to."""
        self._queues.put(self._state.answered_query(answer))

    # --- Traefik --------------------------------------------------------------------------------------------------

    def traefik_read(self, reading: Reading) -> None:
        """Take what one Traefik shows."""
        touched = self._state.traefik_read(reading, clock())
        self._queues.put(touched)
        self._daemon_conditions.follow_rest(touched)
        self._daemon_conditions.follow_traefiks()

    def traefik_gone(self, traefik: str) -> None:
        """Forget a Traefik whose address is gone."""
        self._queues.put(self._state.traefik_gone(traefik))
        self._daemon_conditions.follow_traefiks()

    def polled_elsewhere(self, replicas: Mapping[str, ReplicaPolls]) -> None:
        """Take who polls the other replicas."""
        self._queues.put(self._state.polled_elsewhere(replicas, clock()))
        self._daemon_conditions.follow_replicas()

    def polled(
        self, transport: asyncio.BaseTransport, address: str, name: str | None, *, has_ticker: bool
    ) -> Connection:
        """Note a poll as it comes in; return the connection that it came over."""
        connection, touched = self._state.polled(transport, address, name, clock(), has_ticker=has_ticker)
        self._queues.put(touched)
        return connection

    def answered(self, connection: Connection, revision: int, *, was_held: bool) -> None:
        """Note which document a poll is answered with."""
        self._queues.put(self._state.answered(connection, revision, clock(), was_held=was_held))

    def gave(self, revision: int) -> None:
        """Note that somebody was given a document, a poller or not."""
        self._queues.put(self._state.gave(revision))
