"""Every Prometheus name in one place.

What is a matter of state (weights, phases, servers) is read from the controller when Prometheus scrapes, so that a
change costs nothing here; what is a matter of events is counted as it happens.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

from provider import __version__
from provider.model import Colour, Gate, GateState, Health, Phase
from provider.rollout.analysis_status import AnalysisReading

disable_created_metrics()  # type: ignore[no-untyped-call]  # half as many series, and nobody asked for them

AT_ONCE = 200
"""So many services are written together: the interpreter is held by one text at a time, and the event loop with it."""
PHASE_BUCKETS_S = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400, 86400)


@dataclass(frozen=True, slots=True)
class ServiceReading:
    """What one scrape has of one service; times are Unix seconds.

    During a rollout `gates` are their states, and `analysis` is what was counted since it began.
    """

    service: str
    active: Colour | None
    desired: Colour | None
    weights: Mapping[Colour, int]
    phase: Phase
    rollback_ready: bool
    confirmed: bool
    override_since_s: float | None
    way_back_lost: bool
    quarantined: bool
    servers: Mapping[tuple[Colour, Health], int]
    last_switch_s: float | None
    deadline_s: float | None = None
    step: int = 0
    step_until_s: float | None = None
    gates: Mapping[Gate, GateState] = field(default_factory=dict)
    analysis: AnalysisReading = field(default_factory=AnalysisReading)


class Metrics:
    """The registry and everything in it; `read` gives the state of all services at a scrape."""

    def __init__(self, *, with_docker: bool = True) -> None:
        self.registry = CollectorRegistry()
        self._state = _StateText()
        self.switches = self._counter("switches", "Switches of the active colour.", "service", "colour", "trigger")
        self.rollouts = self._counter("rollouts", "Rollouts that ended, by outcome.", "service", "outcome")
        self.health_checks = self._counter("health_checks", "Health checks made.", "service", "colour", "result")
        self.notifications = self._counter("notifications", "Notifications, by what became of them.", "result")
        self.polls = self._counter("polls", "Polls of the provider endpoint, by status code.", "code")
        self.docker_events = self._counter("docker_events", "Events received from Docker.", "action")
        self.phase_duration = Histogram(
            "bluegreen_rollout_phase_duration_seconds",
            "How long rollouts spent in a phase.",
            ["phase"],
            registry=self.registry,
            buckets=PHASE_BUCKETS_S,
        )
        for phase in Phase:  # from zero on: what a rate is taken of must not begin with its first event
            if phase is not Phase.STEADY:
                self.phase_duration.labels(phase)
        self.document_revision = self._gauge("document_revision", "Revision of the published document.")
        self.document_bytes = self._gauge("document_bytes", "Size of the published document.")
        self.document_render = self._gauge("document_render_seconds", "Time the last document took to render.")
        self.reload_success = self._gauge(
            "desired_state_last_reload_success", "Whether the desired-state file was accepted when last read."
        )
        self.reload_timestamp = self._gauge(
            "desired_state_last_reload_timestamp_seconds", "When the desired-state file was last accepted."
        )
        self.docker_connected = self._gauge("docker_connected", "Whether the Docker Engine answers.")
        if not with_docker:
            self.registry.unregister(self.docker_connected)  # 0 would call somebody out for nothing
        self._docker_engine = self._gauge(
            "docker_engine_connected", "Whether an engine of the desired-state file answers.", "engine"
        )
        self.store_failing = self._gauge("store_failing", "Whether decisions are frozen because the store fails.")
        self.write_file_failing = self._gauge("write_file_failing", "Whether the file of --write-file is out of date.")
        self.event_loop_lag = self._gauge(
            "event_loop_lag_seconds", "How late the event loop woke a timer at worst in the last 15 to 30 seconds."
        )
        self.poller_revision = self._gauge("poller_revision", "Revision a poller fetched last.", "poller")
        self.poller_last_poll = self._gauge(
            "poller_last_poll_timestamp_seconds", "When a poller last fetched the document.", "poller"
        )
        self.condition = self._gauge("condition", "Whether a condition of the whole daemon holds.", "code")
        self._leader: Gauge | None = None
        self._gauge("build_info", "Version of the daemon.", "version").labels(__version__).set(1)

    def follow_engines(self, answers: Mapping[str, bool]) -> None:
        """Show whether each engine of the file answers."""
        self._docker_engine.clear()
        for name, does in answers.items():
            self._docker_engine.labels(name).set(does)

    def follow_store(self, *, leads: bool, store_age_s: float) -> None:
        """Show whether this replica leads, and how old its word from the store is; of several replicas only."""
        if self._leader is None:
            self._leader = self._gauge("leader", "Whether this replica leads.")
            self._store_age = self._gauge("store_age_seconds", "How old the newest word from the store is.")
        self._leader.set(leads)
        self._store_age.set(store_age_s)

    def term_over(self) -> None:
        """Drop what only the leader counts (rule 61): who leads next counts on from zero."""
        for counted in (self.switches, self.rollouts, self.health_checks):
            counted.clear()

    def exposition(self, readings: Iterable[ServiceReading]) -> bytes:
        """Return all metrics in Prometheus' text format; the first time takes seconds for 10,000 services."""
        return self._state.text(readings) + generate_latest(self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"bluegreen_{name}", text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"bluegreen_{name}", text, labels, registry=self.registry)


class _StateText:
    """The text of the state of all services: each service's own is kept until its reading is another one."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[ServiceReading, list[bytes]]] = {}

    def text(self, readings: Iterable[ServiceReading]) -> bytes:
        """Return the families one after the other, each with the samples of every service."""
        all_ = tuple(readings)
        known = {one.service: self._known[one.service] for one in all_ if self._is_known(one)}
        fresh = tuple(one for one in all_ if one.service not in known)
        samples: dict[str, list[bytes]] = {}
        for start in range(0, len(fresh), AT_ONCE):
            samples |= _by_service(fresh[start : start + AT_ONCE])
        self._known = {one.service: known.get(one.service) or (one, samples[one.service]) for one in all_}
        parts = []
        for number, heading in enumerate(HEADINGS):
            parts += [heading, *[lines[number] for _, lines in self._known.values()]]
        return b"".join(parts)

    def _is_known(self, reading: ServiceReading) -> bool:
        before = self._known.get(reading.service)
        return before is not None and (before[0] is reading or before[0] == reading)


def _by_service(readings: tuple[ServiceReading, ...]) -> dict[str, list[bytes]]:
    """Write the samples of some services, a text for each family: together, which takes half as long as one by one."""
    found = {one.service: [b""] * len(HEADINGS) for one in readings}
    for number, family in enumerate(_families(readings)):
        for service, own in groupby(family.samples, key=lambda sample: sample.labels["service"]):
            found[service][number] = "".join(map(_line, own)).encode(errors="replace")
    return found


def _line(sample: Sample) -> str:
    """Write a sample in Prometheus' text format."""
    labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in sorted(sample.labels.items()))
    return f"{sample.name}{{{labels}}} {_number(sample.value)}\n"


def _escaped(value: str) -> str:
    """Write the value of a label: https://prometheus.io/docs/instrumenting/exposition_formats/."""
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _number(value: float) -> str:
    text: str = floatToGoString(value)  # type: ignore[no-untyped-call]
    return text


def _heading(family: Metric) -> bytes:
    name = f"{family.name}_total" if family.type == "counter" else family.name
    return f"# HELP {name} {family.documentation}\n# TYPE {name} {family.type}\n".encode()


def _families(readings: tuple[ServiceReading, ...]) -> Iterator[Metric]:
    yield _family(
        "active_colour",
        "Whether a colour takes production traffic.",
        ("service", "colour"),
        (((r.service, colour), colour is r.active) for r in readings for colour in Colour),
    )
    yield _family(
        "desired_colour",
        "Whether a colour is the one that is wanted active.",
        ("service", "colour"),
        (((r.service, colour), colour is r.desired) for r in readings for colour in Colour),
    )
    yield _family(
        "weight",
        "Share of the traffic a colour gets.",
        ("service", "colour"),
        (((r.service, colour), r.weights.get(colour, 0)) for r in readings for colour in Colour),
    )
    yield _family(
        "rollout_phase",
        "The phase a service is in.",
        ("service", "phase"),
        (((r.service, phase), phase is r.phase) for r in readings for phase in Phase),
    )
    yield _family(
        "servers",
        "Servers of a colour by health.",
        ("service", "colour", "health"),
        (
            ((r.service, colour, health), r.servers.get((colour, health), 0))
            for r in readings
            for colour in Colour
            for health in Health
        ),
    )
    for name, text in (
        ("rollback_ready", "Whether a rollback is ready now."),
        ("confirmed", "Whether Traefik was seen to apply the published weights."),
        ("way_back_lost", "Whether the release before could not be gone back to when that was last found out."),
        ("quarantined", "Whether the release that is wanted failed before, so that no rollout of it begins."),
    ):
        yield _family(name, text, ("service",), (((r.service,), getattr(r, name)) for r in readings))
    yield _family(
        "override",
        "Whether a rollback or an abort overrides the file.",
        ("service",),
        (((r.service,), r.override_since_s is not None) for r in readings),
    )
    for name, text, times in (
        ("last_switch", "When the active colour last changed.", ((r.service, r.last_switch_s) for r in readings)),
        ("override", "Since when an override holds.", ((r.service, r.override_since_s) for r in readings)),
        ("rollout_deadline", "When the phase of a rollout is to end.", ((r.service, r.deadline_s) for r in readings)),
        ("step_until", "When the time of a step is over.", ((r.service, r.step_until_s) for r in readings)),
    ):
        samples = (((service,), time_s) for service, time_s in times if time_s is not None)
        yield _family(f"{name}_timestamp_seconds", text, ("service",), samples)
    yield _family(
        "step",
        "The step that a rollout is in, 0 without one.",
        ("service",),
        (((r.service,), r.step) for r in readings),
    )
    yield from _analysis(readings)


def _analysis(readings: tuple[ServiceReading, ...]) -> Iterator[Metric]:
    """Yield what there is during a rollout alone."""
    yield _family(
        "gate_state",
        "Whether a gate of a rollout is in a state.",
        ("service", "gate", "state"),
        (
            ((r.service, gate, state), state is found)
            for r in readings
            for gate, found in r.gates.items()
            for state in GateState
        ),
    )
    yield _family(
        "analysis_evidence",
        "Evidence of a test against the candidate as a power of ten.",
        ("service", "test"),
        (((r.service, test), power) for r in readings for test, power in r.analysis.evidence.items()),
    )
    yield _family(
        "analysis_limit",
        "The evidence that fails a test, as a power of ten.",
        ("service", "test"),
        (((r.service, test), power) for r in readings for test, power in r.analysis.limits.items()),
    )
    yield _family(
        "analysis_requests",
        "Requests that an analysis counted since its rollout began.",
        ("service", "colour"),
        (((r.service, colour), count) for r in readings for colour, count in r.analysis.requests.items()),
        CounterMetricFamily,
    )
    yield _family(
        "analysis_bad",
        "Bad answers that a test counted since its rollout began.",
        ("service", "colour", "test"),
        (((r.service, *place), count) for r in readings for place, count in r.analysis.bad.items()),
        CounterMetricFamily,
    )


def _family(
    name: str,
    text: str,
    labels: tuple[str, ...],
    samples: Iterable[tuple[tuple[str, ...], float]],
    kind: type[CounterMetricFamily] | type[GaugeMetricFamily] = GaugeMetricFamily,
) -> Metric:
    family = kind(f"bluegreen_{name}", text, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family


HEADINGS = tuple(map(_heading, _families(())))
