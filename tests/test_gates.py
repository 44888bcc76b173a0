"""What is known of a server, and when a release may take traffic."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from provider import gates
from provider.model import ColourState, Gate, GateState, Health, HealthCheck, Member, Observed, ProbeMode, SmokeTest
from tests.worlds import BLUE, GREEN, NOTHING, at, candidate, found, member, runs, server, service

OLD = server(1, "r1")
NEW = server(2, "r2")
HEALTHY, UNHEALTHY, UNKNOWN = Health.HEALTHY, Health.UNHEALTHY, Health.UNKNOWN


def judged(mode: ProbeMode | None, docker: Health | None, probe: Health) -> gates.Assessment:
    one = replace(NEW, docker_health=docker)
    of = member(service(health_check=HealthCheck(mode=mode)), green=runs(one), health={one: probe})
    return gates.assess(of, one)


@pytest.mark.parametrize(
    ("mode", "docker", "probe", "verdict"),
    [
        (None, None, UNKNOWN, UNKNOWN),
        (None, None, HEALTHY, HEALTHY),
        (None, None, UNHEALTHY, UNHEALTHY),
        (None, HEALTHY, UNKNOWN, HEALTHY),
        (None, HEALTHY, UNHEALTHY, HEALTHY),
        (None, UNKNOWN, HEALTHY, UNKNOWN),
        (None, UNHEALTHY, HEALTHY, UNHEALTHY),
        (ProbeMode.DOCKER, None, HEALTHY, UNKNOWN),
        (ProbeMode.DOCKER, UNKNOWN, HEALTHY, UNKNOWN),
        (ProbeMode.DOCKER, HEALTHY, UNHEALTHY, HEALTHY),
        (ProbeMode.DOCKER, UNHEALTHY, HEALTHY, UNHEALTHY),
        (ProbeMode.HTTP, None, UNKNOWN, UNKNOWN),
        (ProbeMode.HTTP, None, HEALTHY, HEALTHY),
        (ProbeMode.HTTP, HEALTHY, UNKNOWN, UNKNOWN),
        (ProbeMode.HTTP, HEALTHY, UNHEALTHY, UNHEALTHY),
        (ProbeMode.HTTP, UNKNOWN, HEALTHY, UNKNOWN),
        (ProbeMode.HTTP, UNKNOWN, UNHEALTHY, UNHEALTHY),
        (ProbeMode.TCP, UNHEALTHY, HEALTHY, UNHEALTHY),
        (ProbeMode.TCP, HEALTHY, HEALTHY, HEALTHY),
    ],
)
def test_a_server_is_healthy_only_when_everything_that_counts_says_so(
    mode: ProbeMode | None, docker: Health | None, probe: Health, verdict: Health
) -> None:
    """Rule 5: without a mode Docker's HEALTHCHECK where present, else the probe; with a mode both (section 6.2)."""
    answer = judged(mode, docker, probe)
    assert answer.health is verdict
    assert (answer.cause is None) == (verdict is HEALTHY)


@pytest.mark.parametrize(
    ("green", "state"),
    [
        (Observed(), ColourState.UNKNOWN),
        (NOTHING, ColourState.EMPTY),
        (runs(NEW, server(3, "r3")), ColourState.MIXED),
        (runs(NEW, server(3, "r2")), ColourState.HEALTHY),
    ],
)
def test_a_colour_is_summed_up_in_one_word(green: Observed, state: ColourState) -> None:
    assert gates.colour_state(member(green=green), GREEN) is state


@pytest.mark.parametrize(("second", "state"), [(UNKNOWN, ColourState.STARTING), (UNHEALTHY, ColourState.UNHEALTHY)])
def test_one_bad_server_names_the_state_of_its_colour(second: Health, state: ColourState) -> None:
    other = server(3, "r2")
    assert gates.colour_state(member(green=runs(NEW, other), health={other: second}), GREEN) is state


def verdict(of: Member, mono_s: float = 1000.0, *, connected: bool = True, release: str = "r2") -> gates.Verdict:
    return gates.health_gate(of, candidate(release), at(mono_s), docker_connected=connected)


def ready(**fields: Any) -> Member:
    return member(fields.pop("of", None), blue=runs(OLD), green=fields.pop("green", runs(NEW)), **fields)


def test_a_uniform_healthy_settled_colour_passes() -> None:
    """Rule 5."""
    assert verdict(ready()).state is GateState.PASSED


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (ready(green=NOTHING), "green has no servers"),
        (ready(green=Observed()), "Docker does not answer"),
        (ready(green=runs(NEW, server(3, "r3"))), "green is mixed: it runs releases r2, r3"),
        (ready(green=runs(server(2, "r9"))), "green runs release r9, not r2"),
        (ready(green=runs(NEW, server(3, "r2", leaving_mono_s=990.0))), "a server of green is being stopped"),
        (ready(green=runs(server(3, "r2", leaving_mono_s=990.0))), "green has no servers"),
        (ready(health={NEW: UNHEALTHY}), "0 of 1 servers healthy; http://10.0.0.2:80 is unhealthy: refused"),
        (ready(health={NEW: UNKNOWN}), "0 of 1 servers healthy; http://10.0.0.2:80 is unknown: not checked yet"),
        (ready(of=service(min_servers=2)), "1 of at least 2 servers (minServers)"),
    ],
)
def test_the_health_gate_stays_shut_and_says_why(of: Member, says: str) -> None:
    """Rule 5 and P2: unknown neither passes nor fails."""
    answer = verdict(of)
    assert answer.state in {GateState.PENDING, GateState.RUNNING}
    assert not answer.lets_through
    assert answer.reason is not None
    assert says in answer.reason


def test_docker_away_shuts_the_gate_for_containers_only() -> None:
    """Rule 6."""
    assert not verdict(ready(), connected=False).lets_through
    assert verdict(ready(green=runs(NEW, from_docker=False)), connected=False).lets_through


def test_settle_passes_at_its_moment_and_not_before() -> None:
    """Rule 5: the set unchanged for `settle`."""
    of = ready(green=runs(NEW, changed_mono_s=998.0))
    assert verdict(of, 1002.9).state is GateState.RUNNING
    assert verdict(of, 1002.9).wake_mono_s == 1003.0
    assert verdict(of, 1003.0).state is GateState.PASSED


@pytest.mark.parametrize(
    ("published", "passes"), [((), True), ((OLD,), True), ((OLD, server(3)), False)], ids=["none", "one", "two"]
)
def test_without_minservers_as_many_are_needed_as_the_active_colour_has_published(
    published: tuple[Any, ...], passes: bool
) -> None:
    """Rule 5."""
    of = member(blue=runs(OLD, server(3)), green=runs(NEW), published=published)
    assert verdict(of).lets_through is passes


def test_a_published_server_that_is_gone_is_not_waited_for() -> None:
    assert verdict(member(blue=runs(OLD), green=runs(NEW), published=(OLD, server(3)))).lets_through


def test_evidence_of_another_container_at_the_same_address_does_not_count() -> None:
    """P1: evidence is bound to what was checked."""
    of = ready(green=runs(replace(NEW, container="another")))
    of = replace(of, health={NEW.key: found(HEALTHY)})
    assert verdict(of).state is GateState.RUNNING


@pytest.mark.parametrize(
    ("asked", "gate", "key"),
    [
        ({"smoke_tests": (SmokeTest("home"),)}, Gate.SMOKE, "smokeTests"),
        ({"approval_is_manual": True}, Gate.APPROVAL, "approval: manual"),
    ],
)
def test_a_gate_that_cannot_be_run_stays_shut_where_it_is_asked_for(
    asked: Mapping[str, Any], gate: Gate, key: str
) -> None:
    """P2: missing checks never count as passed."""
    answers = gates.verdicts(ready(of=service(**asked)), candidate(), at(), docker_connected=True)
    assert not answers[gate].lets_through
    assert key in str(answers[gate].reason)
    assert [other.lets_through for name, other in answers.items() if name is not gate] == [True, True]


def test_a_gate_that_nobody_asks_for_is_skipped() -> None:
    answers = gates.verdicts(ready(), candidate(), at(), docker_connected=True)
    assert {gate: answer.state for gate, answer in answers.items()} == {
        Gate.HEALTH: GateState.PASSED,
        Gate.SMOKE: GateState.SKIPPED,
        Gate.APPROVAL: GateState.SKIPPED,
    }


def test_the_gate_looks_at_the_colour_of_the_candidate() -> None:
    of = member(active=GREEN, blue=runs(OLD), green=runs(NEW))
    assert gates.health_gate(of, candidate("r1", BLUE), at(), docker_connected=True).lets_through
