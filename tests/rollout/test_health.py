"""What is known of the health of a server and of a colour."""

from dataclasses import replace

import pytest

from provider.model import ColourState, Health, HealthCheck, Observed, ProbeMode
from provider.rollout import health
from tests.support.phases import NEW
from tests.support.worlds import GREEN, NOTHING, member, runs, server, service

HEALTHY, UNHEALTHY, UNKNOWN = Health.HEALTHY, Health.UNHEALTHY, Health.UNKNOWN


def judged(mode: ProbeMode | None, docker: Health | None, probe: Health) -> health.Assessment:
    one = replace(NEW, docker_health=docker)
    of = member(service(health_check=HealthCheck(mode=mode)), green=runs(one), health={one: probe})
    return health.assess(of, one)


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
    assert health.colour_state(member(green=green), GREEN) is state


@pytest.mark.parametrize(("second", "state"), [(UNKNOWN, ColourState.STARTING), (UNHEALTHY, ColourState.UNHEALTHY)])
def test_one_bad_server_names_the_state_of_its_colour(second: Health, state: ColourState) -> None:
    other = server(3, "r2")
    assert health.colour_state(member(green=runs(NEW, other), health={other: second}), GREEN) is state
