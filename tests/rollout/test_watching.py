"""When a release fails after the switch, and when its rollback target passes."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from provider.model import Checks, Health, HealthCheck, Member, Observed, ProbeMode
from provider.rollout import watching
from tests.support.phases import NEW, OLD, moved, old, with_state
from tests.support.worlds import BLUE, GREEN, NOTHING, at, found, member, runs, server, service

HEALTHY, UNHEALTHY, UNKNOWN = Health.HEALTHY, Health.UNHEALTHY, Health.UNKNOWN


def failing(seen: Member, deaths_before: Mapping[str, int] | None = None) -> watching.Failing | None:
    return watching.failing(seen, seen.state.active, deaths_before or {})


# --- health after the switch ----------------------------------------------------------------------------------------

TWO = (NEW, server(3, "r2"))


def checked(seen: Member, **checks: Checks) -> Member:
    """Date the checks of servers, named c1, c2 and so on by their containers."""
    servers = (*seen.observed.blue.servers, *seen.observed.green.servers)
    return replace(
        seen, checks={each.key: checks[each.container or ""] for each in servers if each.container in checks}
    )


@pytest.mark.parametrize(
    "seen",
    [
        moved(),
        moved(health={NEW: UNKNOWN}),
        moved(green=runs(*TWO), health={NEW: UNHEALTHY}),
        moved(service(min_servers=2), green=runs(*TWO), health={NEW: UNKNOWN}),
        moved(green=Observed()),
        moved(green=runs(replace(NEW, leaving_mono_s=990.0), TWO[1])),
        member(active=None),
    ],
    ids=["healthy", "not judged", "one of two", "not judged, two wanted", "not known", "one is leaving", "undecided"],
)
def test_a_release_that_has_enough_servers_is_not_failing(seen: Member) -> None:
    """Rule 8: servers minus unhealthy against minServers, 1 where none is written; P2: unknown is no failure."""
    assert failing(seen) is None


@pytest.mark.parametrize(
    ("seen", "since", "says"),
    [
        (
            checked(moved(health={NEW: UNHEALTHY}), c2=Checks(1005.0)),
            1005.0,
            "green has 0 of at least 1 servers (minServers): http://10.0.0.2:80: refused",
        ),
        (
            checked(
                moved(service(min_servers=2), green=runs(*TWO), health={NEW: UNHEALTHY}),
                c2=Checks(1006.0),
                c3=Checks(None, (1007.0,)),
            ),
            1006.0,
            "green has 1 of at least 2 servers (minServers): http://10.0.0.2:80: refused",
        ),
        (
            moved(green=replace(NOTHING, changed_mono_s=1008.0)),
            1008.0,
            "green has 0 of at least 1 servers (minServers): 0 servers left",
        ),
        (
            moved(service(min_servers=2), green=runs(NEW, changed_mono_s=1009.0)),
            1009.0,
            "green has 1 of at least 2 servers (minServers): 1 servers left",
        ),
        (
            moved(green=runs(replace(NEW, leaving_mono_s=1004.0), changed_mono_s=1004.0)),
            1004.0,
            "green has 0 of at least 1 servers (minServers): 0 servers left",
        ),
    ],
    ids=["unhealthy", "one of two", "all lost", "one lost", "all leaving"],
)
def test_a_release_that_lacks_servers_is_failing_since_it_first_did(seen: Member, since: float, says: str) -> None:
    """Rule 8: lost containers count as unhealthy."""
    assert failing(seen) == watching.Failing(since, says)


def test_of_several_failures_the_last_one_counts() -> None:
    """Rule 8: the rollback target has to pass after all of them."""
    seen = moved(green=runs(*TWO), health=dict.fromkeys(TWO, UNHEALTHY))
    told = failing(checked(seen, c2=Checks(1005.0), c3=Checks(1009.0)))
    assert told is not None
    assert told.since_mono_s == 1009.0


def test_where_no_check_reports_when_it_failed_the_last_change_does() -> None:
    told = failing(moved(green=runs(NEW, changed_mono_s=1003.0), health={NEW: UNHEALTHY}))
    assert told is not None
    assert told.since_mono_s == 1003.0


def test_one_that_passes_again_and_is_not_healthy_yet_is_recovering() -> None:
    """Rule 8: when an outage that both colours shared is over, the rollback target may be healthy first."""
    told = failing(checked(moved(health={NEW: UNHEALTHY}), c2=Checks(1003.0, (1007.0,))))
    assert told is not None
    assert (told.since_mono_s, told.is_recovering) == (1003.0, True)


def test_one_that_passes_now_and_then_fails_when_its_last_check_does() -> None:
    """Rule 8: every second answer of a release may be good, and it is bad all the same."""
    told = failing(checked(moved(health={NEW: UNHEALTHY}), c2=Checks(1003.0)))
    assert told is not None
    assert (told.since_mono_s, told.is_recovering) == (1003.0, False)


def passes(
    seen: Member, since_mono_s: float, now_s: float = 1050.0, still_mono_s: float | None = None
) -> tuple[bool, float | None]:
    return watching.target_passes(seen, watching.Failing(since_mono_s, "", still_mono_s=still_mono_s), at(now_s))


@pytest.mark.parametrize(
    ("passed", "enough"),
    [
        ((1006.0, 1008.0, 1010.0), True),
        ((1005.0, 1008.0, 1010.0), False),
        ((1001.0, 1003.0, 1006.0, 1008.0, 1010.0), True),
        ((1006.0, 1008.0), False),
        ((), False),
    ],
    ids=["three after", "one at the very moment", "three of five after", "two after", "none"],
)
def test_the_rollback_target_passes_after_as_many_passes_as_make_it_healthy(
    passed: tuple[float, ...], enough: bool
) -> None:
    """Rule 8: passes that started after the first failure, so that a shared outage is no reason."""
    assert passes(checked(moved(), c1=Checks(None, passed)), 1005.0) == (enough, None)


def test_healthyafter_of_the_file_counts() -> None:
    """Rule 8."""
    once = service(health_check=HealthCheck(healthy_after=1))
    assert passes(checked(moved(once), c1=Checks(None, (1006.0,))), 1005.0)[0]


@pytest.mark.parametrize(
    ("passed", "still", "enough"),
    [
        ((1006.0,), 1005.0, False),
        ((1006.0,), 1006.0, False),
        ((1006.0,), 1007.0, True),
        ((1006.0, 1008.0), 1007.0, True),
        ((1004.0, 1008.0), 1007.0, False),
    ],
    ids=[
        "not since",
        "at the same moment",
        "once more",
        "once more, and the rollback target has passed again",
        "a new outage",
    ],
)
def test_the_active_colour_has_to_fail_again_after_the_rollback_target_passed(
    passed: tuple[float, ...], still: float, enough: bool
) -> None:
    """Rule 8: at the end of an outage that both shared, the target may be checked first, and one pass be enough."""
    once = service(health_check=HealthCheck(healthy_after=1))
    seen = checked(moved(once), c1=Checks(None, passed))
    assert passes(seen, 1005.0, still_mono_s=still)[0] is enough


def test_until_when_each_server_failed_is_reported() -> None:
    """Rule 8: each of them counts, so the one that was checked first of all does."""
    seen = moved(green=runs(*TWO), health=dict.fromkeys(TWO, UNHEALTHY))
    told = failing(
        checked(seen, c2=Checks(1005.0, failed_last_mono_s=1011.0), c3=Checks(1009.0, failed_last_mono_s=1010.0))
    )
    assert told is not None
    assert (told.since_mono_s, told.still_mono_s) == (1009.0, 1010.0)


def test_every_server_of_the_rollback_target_has_to_pass() -> None:
    """Rule 8."""
    seen = moved(blue=runs(OLD, server(4, "r1")))
    passed = Checks(None, (1006.0, 1008.0, 1010.0))
    assert not passes(checked(seen, c1=passed), 1005.0)[0]
    assert not passes(checked(seen, c1=passed, c4=Checks(1006.0)), 1005.0)[0]
    assert passes(checked(seen, c1=passed, c4=passed), 1005.0)[0]


@pytest.mark.parametrize("health", [UNHEALTHY, UNKNOWN])
def test_a_rollback_target_that_is_not_healthy_does_not_pass(health: Health) -> None:
    """Rule 8: both bad, so it stays."""
    seen = checked(moved(health={OLD: health}), c1=Checks(None, (1006.0, 1008.0, 1010.0)))
    assert passes(seen, 1005.0) == (False, None)


def test_without_a_rollback_target_nothing_passes() -> None:
    assert passes(with_state(moved(), rollback_target=None), 1005.0) == (False, None)
    assert passes(old(), 1005.0) == (False, None)


@pytest.mark.parametrize("mode", [None, ProbeMode.DOCKER])
def test_a_rollback_target_that_docker_judges_passes_when_docker_had_time_to_find_fault(
    mode: ProbeMode | None,
) -> None:
    """Rule 8: Docker tells of no passes, so it is waited for as long as it takes to call a container unhealthy."""
    judged = replace(OLD, docker_health=HEALTHY)
    seen = replace(moved(service(health_check=HealthCheck(mode=mode)), blue=runs(judged)), health={})
    assert passes(seen, 1005.0, 1094.9) == (False, 1095.0)
    assert passes(seen, 1005.0, 1095.0) == (True, None)
    sick = replace(seen, observed=seen.observed.put(BLUE, runs(replace(OLD, docker_health=UNHEALTHY))))
    assert passes(sick, 1005.0, 2000.0) == (False, None)


def test_a_container_that_is_checked_both_ways_has_to_pass_the_checks_that_report_when() -> None:
    """Rule 8."""
    both = replace(OLD, docker_health=HEALTHY)
    seen = moved(service(health_check=HealthCheck(mode=ProbeMode.HTTP)), blue=runs(both))
    seen = replace(seen, health={**seen.health, both.key: found(HEALTHY)})
    assert passes(seen, 1005.0, 9000.0) == (False, None)
    assert passes(checked(seen, c1=Checks(None, (1006.0, 1008.0, 1010.0))), 1005.0) == (True, None)


def test_the_active_colour_that_docker_judges_fails_by_dockers_word() -> None:
    """Rule 8."""
    judged = replace(NEW, docker_health=UNHEALTHY)
    seen = checked(moved(green=runs(judged)), c2=Checks(1007.0))
    assert failing(seen) == watching.Failing(
        1007.0, f"{GREEN} has 0 of at least 1 servers (minServers): http://10.0.0.2:80: Docker's HEALTHCHECK fails"
    )


# --- deaths -----------------------------------------------------------------------------------------------------------


def dying(count: int, *times_s: float, before: int = 0) -> Member:
    """A candidate that is healthy now, and whose container died so often in all; it had died `before` times."""
    return moved(green=runs(replace(NEW, deaths=before + count, died_mono_s=times_s), changed_mono_s=times_s[-1]))


def test_the_second_death_of_a_container_is_a_failure_though_it_looks_well_now() -> None:
    """Rule 5."""
    told = failing(dying(2, 1010.0, 1022.0))
    assert told is not None
    assert (told.since_mono_s, told.is_recovering, told.still_mono_s) == (1010.0, False, 1022.0)
    assert "container c2 died 2 times since it got traffic" in told.reason


def test_one_death_is_none() -> None:
    """Rule 5."""
    assert failing(dying(1, 1010.0)) is None


def test_what_a_container_died_before_the_switch_does_not_count_after_it() -> None:
    """Rule 5: in waiting its passes begin again, no more."""
    assert failing(dying(1, 900.0, 910.0, 1010.0, before=7), {"c2": 7}) is None
    assert failing(dying(-7, 900.0, 910.0, before=7), {"c2": 7}) is None  # started by hand: Docker counts from 0 again
    told = failing(dying(2, 900.0, 1010.0, 1022.0, before=7), {"c2": 7})
    assert told is not None
    assert told.since_mono_s == 1010.0


def test_two_containers_that_died_once_each_are_no_failure() -> None:
    """Rule 5: of a container."""
    once = tuple(replace(each, deaths=1, died_mono_s=(1010.0,)) for each in TWO)
    assert failing(moved(service(min_servers=2), green=runs(*once))) is None


def test_a_crash_loop_is_left_when_the_rollback_target_passed_between_the_deaths() -> None:
    """Rules 5 and 8."""
    told = failing(dying(2, 1010.0, 1022.0))
    assert told is not None
    seen = checked(moved(), c1=Checks(None, (1012.0, 1014.0, 1016.0, 1018.0, 1020.0)))
    assert watching.target_passes(seen, told, at(1022.5)) == (True, None)


def test_a_crash_loop_that_an_outage_of_both_made_is_no_reason() -> None:
    """Rule 8: the rollback target passes since the outage is over, and the release has not died since."""
    told = failing(dying(3, 1010.0, 1011.0, 1013.0))
    assert told is not None
    seen = checked(moved(), c1=Checks(None, (1020.0, 1022.0, 1024.0)))
    assert watching.target_passes(seen, told, at(1025.0)) == (False, None)


def test_deaths_that_are_not_known_are_asked_about_while_it_is_watched() -> None:
    """P2: a list of Docker's does not tell of them."""
    told = replace(NEW, deaths=None)
    assert watching.is_uncounted(runs(told))
    assert not watching.is_uncounted(runs(NEW))
    assert not watching.is_uncounted(replace(runs(told), from_docker=False))
