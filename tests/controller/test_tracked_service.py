"""What is noted of the checks of one server while somebody watches (rule 8)."""

from dataclasses import replace

import pytest

from provider.controller.tracked_service import TrackedService
from provider.model import (
    ByColour,
    Checks,
    Endpoint,
    Health,
    HealthCheck,
    Observed,
    Probe,
    ProbeMode,
    Protocol,
    Router,
    ServiceState,
)
from provider.model.observed import Result
from tests.support.worlds import BLUE, EPOCH, NOTHING, at, found, runs, server, service

ONE = server(1)
PASS, FAIL, ERROR = Result.PASS, Result.FAIL, Result.ERROR
PROBE = Probe("shop", BLUE, ONE.key, HealthCheck(mode=ProbeMode.TCP, healthy_after=2), None)


def tracked(health: Health = Health.UNHEALTHY, seen: Observed | None = None) -> TrackedService:
    made = TrackedService(service(), ServiceState(active=BLUE), ByColour(seen or runs(ONE), NOTHING), EPOCH)
    made.probed[ONE.key] = found(health)
    return made


@pytest.mark.parametrize(
    ("results", "noted"),
    [
        ([PASS], Checks(None, (1.0,))),
        ([PASS] * 5, Checks(None, (2.0, 3.0, 4.0, 5.0))),
        ([FAIL, FAIL], Checks(1.0, (), 2.0)),
        ([PASS, FAIL], Checks(2.0, (), 2.0)),
        ([FAIL, PASS], Checks(1.0, (2.0,), 1.0)),
        ([FAIL, PASS, FAIL, PASS, FAIL], Checks(1.0, (), 5.0)),
        ([FAIL, ERROR, FAIL], Checks(1.0, (), 3.0)),
    ],
)
def test_the_first_failure_and_the_passes_since_the_last_one_are_kept(results: list[Result], noted: Checks) -> None:
    """Rule 8: by when they started; an error of ours says nothing (P2).

    Two passes make it healthy, one more may start while a check of the other colour is under way, one is from before.
    """
    of = tracked()
    for number, result in enumerate(results, 1):
        assert of.check(PROBE, result, float(number)) is (result is not ERROR)
    assert of.checks[ONE.key] == noted


def test_a_failure_is_forgotten_when_a_healthy_server_passes() -> None:
    """Rule 8: a single failure of long ago is no part of an outage of now."""
    of = tracked(Health.HEALTHY)
    of.check(PROBE, FAIL, 1.0)
    of.check(PROBE, PASS, 2.0)
    of.check(PROBE, FAIL, 30.0)
    assert of.checks[ONE.key] == Checks(30.0, (), 30.0)


def test_of_a_container_that_docker_judges_the_moment_of_the_verdict_is_noted() -> None:
    judged = replace(ONE, docker_health=Health.HEALTHY)
    of = tracked(seen=runs(judged))
    sick = runs(replace(judged, docker_health=Health.UNHEALTHY))
    assert of.observe(BLUE, sick, at(1005.0))
    of.observe(BLUE, sick, at(1009.0))
    assert of.checks == {ONE.key: Checks(1005.0)}


def test_a_death_that_was_not_seen_begins_the_passes_again_and_the_time_to_settle() -> None:
    """Rule 5: it runs again, and looks as it did before."""
    of = tracked(Health.HEALTHY)
    of.adopt_probes()
    of.probed[ONE.key] = found(Health.HEALTHY)
    assert of.observe(BLUE, runs(replace(ONE, deaths=1, died_mono_s=(1005.0,))), at(1005.0))
    assert of.observed[BLUE].changed_mono_s == 1005.0
    assert ONE.key not in of.probed
    assert {probe.key for probe in of.voided} == {ONE.key}


def test_a_count_of_deaths_that_becomes_known_is_no_death() -> None:
    """P2."""
    of = tracked(Health.HEALTHY, runs(replace(ONE, deaths=None)))
    of.observe(BLUE, runs(replace(ONE, deaths=7)), at(1005.0))
    assert of.observed[BLUE].changed_mono_s == 0.0
    assert ONE.key in of.probed


@pytest.mark.parametrize(
    ("tls", "speaks_tls"), [({"passthrough": True}, True), ({"passthrough": False}, False), ({}, False), (None, False)]
)
def test_behind_a_router_that_passes_tls_through_a_check_speaks_it(
    tls: dict[str, object] | None, speaks_tls: bool
) -> None:
    """Rules 32 and 33."""
    mqtt = Endpoint("mqtt", Protocol.TCP)
    router = Router("mqtt", "HostSNI(`mqtt.test`)", {} if tls is None else {"tls": tls}, "mqtt")
    broker = replace(ONE, url="tcp://10.0.0.1:1883", endpoint="mqtt")
    shop = replace(service(), routers=(router,), endpoints=(mqtt,))
    made = TrackedService(shop, ServiceState(active=BLUE), ByColour(runs(broker), NOTHING), EPOCH)
    made.adopt_probes()
    check = replace(mqtt.health_check, mode=ProbeMode.TCP)
    assert made.probes == {Probe("shop", BLUE, broker.key, check, "mqtt.test", speaks_tls)}


def test_a_server_of_udp_is_asked_where_the_file_says_what_to_send() -> None:
    """Rule 33."""
    check = HealthCheck(mode=ProbeMode.TCP, send="ping")
    dns = Endpoint("dns", Protocol.UDP, health_check=check)
    resolver = replace(ONE, url="udp://10.0.0.1:53", endpoint="dns")
    shop = replace(service(), endpoints=(dns,))
    made = TrackedService(shop, ServiceState(active=BLUE), ByColour(runs(resolver), NOTHING), EPOCH)
    made.adopt_probes()
    assert {(probe.key, probe.check) for probe in made.probes} == {(resolver.key, replace(check, mode=ProbeMode.UDP))}
    made.service = replace(shop, endpoints=(replace(dns, health_check=HealthCheck()),))
    made.adopt_probes()
    assert made.probes == frozenset()
