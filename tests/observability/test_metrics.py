"""Every Prometheus name in one place: design, section 6.5."""

import re
import subprocess
from dataclasses import replace

from prometheus_client.parser import text_string_to_metric_families

from provider import __version__
from provider.model import Colour, Gate, GateState, Health, Phase
from provider.observability.metrics import Metrics, ServiceReading
from provider.rollout.analysis_status import AnalysisReading
from tests.support.components import program

NAMES = {
    "active_colour": {"service", "colour"},
    "desired_colour": {"service", "colour"},
    "weight": {"service", "colour"},
    "rollout_phase": {"service", "phase"},
    "rollback_ready": {"service"},
    "confirmed": {"service"},
    "override": {"service"},
    "override_timestamp_seconds": {"service"},
    "way_back_lost": {"service"},
    "quarantined": {"service"},
    "rollout_deadline_timestamp_seconds": {"service"},
    "step": {"service"},
    "step_until_timestamp_seconds": {"service"},
    "condition": {"code"},
    "switches": {"service", "colour", "trigger"},
    "rollouts": {"service", "outcome"},
    "rollout_phase_duration_seconds": {"phase"},
    "last_switch_timestamp_seconds": {"service"},
    "gate_state": {"service", "gate", "state"},
    "analysis_evidence": {"service", "test"},
    "analysis_limit": {"service", "test"},
    "analysis_requests": {"service", "colour"},
    "analysis_bad": {"service", "colour", "test"},
    "servers": {"service", "colour", "health"},
    "health_checks": {"service", "colour", "result"},
    "document_revision": set(),
    "document_bytes": set(),
    "document_render_seconds": set(),
    "polls": {"code"},
    "notifications": {"result"},
    "poller_revision": {"poller"},
    "poller_last_poll_timestamp_seconds": {"poller"},
    "desired_state_last_reload_success": set(),
    "desired_state_last_reload_timestamp_seconds": set(),
    "docker_connected": set(),
    "docker_engine_connected": set(),
    "docker_events": {"action"},
    "store_failing": set(),
    "write_file_failing": set(),
    "event_loop_lag_seconds": set(),
    "build_info": {"version"},
}
SHOP = ServiceReading(
    service="shop",
    active=Colour.BLUE,
    desired=Colour.GREEN,
    weights={Colour.BLUE: 100},
    phase=Phase.WAITING,
    rollback_ready=True,
    confirmed=False,
    override_since_s=1767225500.0,
    way_back_lost=True,
    quarantined=True,
    servers={(Colour.BLUE, Health.HEALTHY): 2},
    last_switch_s=1767225600.0,
    deadline_s=1767225700.0,
    step=2,
    step_until_s=1767225650.0,
    gates={Gate.HEALTH: GateState.PASSED},
    analysis=AnalysisReading(
        {"errors max": 1.5}, {Colour.BLUE: 100, Colour.GREEN: 5}, {(Colour.GREEN, "errors max"): 1}, {"errors max": 2.3}
    ),
)
UNDECIDED = ServiceReading(
    service="pay",
    active=None,
    desired=None,
    weights={},
    phase=Phase.STEADY,
    rollback_ready=False,
    confirmed=False,
    override_since_s=None,
    way_back_lost=False,
    quarantined=False,
    servers={},
    last_switch_s=None,
)


def exposition() -> str:
    """Expose two services, with one of everything that is counted."""
    metrics = Metrics()
    metrics.switches.labels("shop", Colour.BLUE, "docker").inc()
    metrics.rollouts.labels("shop", "switched").inc()
    metrics.health_checks.labels("shop", Colour.BLUE, "pass").inc()
    metrics.polls.labels("200").inc()
    metrics.notifications.labels("sent").inc()
    metrics.docker_events.labels("start").inc()
    metrics.condition.labels("docker-away").set(1)
    metrics.phase_duration.labels(Phase.WAITING).observe(3.0)
    metrics.poller_revision.labels("10.0.0.1").set(7)
    metrics.poller_last_poll.labels("10.0.0.1").set(1767225600.0)
    return metrics.exposition([SHOP, UNDECIDED]).decode()


def test_every_name_of_the_design_is_exposed_with_its_labels_and_no_other() -> None:
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(exposition()):
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        found[family.name.removeprefix("bluegreen_")] = labels
    assert found == NAMES


def test_the_names_stand_in_an_exposition_before_anything_has_happened() -> None:
    text = Metrics().exposition([]).decode()
    assert {name for name in NAMES if f"# TYPE bluegreen_{name}" not in text} == set()


def samples(name: str) -> dict[tuple[str, ...], float]:
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition())
        for sample in family.samples
        if sample.name == f"bluegreen_{name}"
    }


def test_one_of_each_closed_set_is_1_and_an_undecided_service_has_none() -> None:
    assert samples("active_colour") == {
        ("blue", "shop"): 1,
        ("green", "shop"): 0,
        ("blue", "pay"): 0,
        ("green", "pay"): 0,
    }
    assert samples("desired_colour")["green", "shop"] == 1
    assert samples("weight") == {("blue", "shop"): 100, ("green", "shop"): 0, ("blue", "pay"): 0, ("green", "pay"): 0}
    phases = samples("rollout_phase")
    assert {key for key, value in phases.items() if value} == {("waiting", "shop"), ("steady", "pay")}
    assert len(phases) == 2 * len(Phase)
    assert samples("servers")["blue", "healthy", "shop"] == 2
    assert samples("servers")["green", "unhealthy", "shop"] == 0
    assert samples("rollback_ready") == {("shop",): 1, ("pay",): 0}
    assert samples("override") == samples("way_back_lost") == samples("quarantined") == {("shop",): 1, ("pay",): 0}
    assert samples("last_switch_timestamp_seconds") == {("shop",): 1767225600.0}
    assert samples("override_timestamp_seconds") == {("shop",): 1767225500.0}
    assert samples("rollout_deadline_timestamp_seconds") == {("shop",): 1767225700.0}
    assert samples("build_info") == {(__version__,): 1}


def test_phases_are_timed_from_zero_on_or_their_first_rollout_would_be_in_no_rate() -> None:
    text = Metrics().exposition([]).decode()
    timed = re.findall(r'bluegreen_rollout_phase_duration_seconds_count\{phase="(\w+)"\} 0.0', text)
    assert timed == [phase for phase in Phase if phase is not Phase.STEADY]


def test_promtool_finds_nothing_to_criticise() -> None:
    promtool = program("promtool", "promtool")
    done = subprocess.run(
        [promtool, "check", "metrics"], input=exposition(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_without_docker_nobody_is_notified_that_it_is_away() -> None:
    assert b"docker_connected" not in Metrics(with_docker=False).exposition([])


ODD_NAMES = (
    *('quo"ted', "back\\slash", "ends in \\", "two\nlines", "re\rturn", "\\n"),
    *("x# HELP bluegreen_weight y", "{a=b,}", "ünïcode\u2028"),
)


def test_whatever_a_service_is_called_its_samples_are_read_back_under_that_name() -> None:
    """A quote or a backslash in a name made every scrape fail."""
    metrics = Metrics()
    metrics.switches.labels(ODD_NAMES[0], Colour.BLUE, "docker").inc()
    for _ in range(2):  # written, and as it is known from then on
        text = metrics.exposition([replace(SHOP, service=name) for name in ODD_NAMES]).decode()
        found: dict[str, set[str]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                found.setdefault(sample.labels.get("service", ""), set()).add(sample.name)
        assert found.keys() - {""} == set(ODD_NAMES)
        assert len({frozenset(found[name]) for name in ODD_NAMES[1:]}) == 1


def test_promtool_takes_the_metrics_of_services_with_odd_names() -> None:
    text = Metrics().exposition([replace(SHOP, service=name) for name in ODD_NAMES])
    checked = subprocess.run(
        [program("promtool", "promtool"), "check", "metrics"], input=text, capture_output=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, b"")
