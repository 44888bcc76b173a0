"""Rule 14: a clock that waits for evidence of an engine that is away stands still, and goes on from where it was."""

from dataclasses import replace

import pytest

from provider.model import Health, Phase, Rollout, Snapshot
from provider.rollout import watching
from provider.rollout.explain import explain
from provider.rollout.reconcile import settle
from tests.support.phases import LIMITS, NEW, OLD, UNDER_WAY, facts, group, moved, old
from tests.support.worlds import GREEN, at, runs, snapshot

STILL = (Phase.WAITING, Phase.SHIFTING)
SICK = old(health={NEW.key: replace(old().health[NEW.key], health=Health.UNHEALTHY)})
DEADLINE_S = LIMITS[Phase.WAITING]


def rollout(of: Snapshot) -> Rollout:
    assert of.state.rollout is not None
    return of.state.rollout


def away(of: Snapshot, from_s: float, *, until_s: float | None = None) -> Snapshot:
    """Lose Docker, and find it again."""
    gone, _ = settle(replace(of, docker_connected=False), at(from_s))
    return gone if until_s is None else settle(replace(gone, docker_connected=True), at(until_s))[0]


def test_docker_away_for_longer_than_a_deadline_quarantines_nothing() -> None:
    """P2, P9: no evidence is no failure; be the release approved or not."""
    seen = group(Phase.WAITING, SICK)
    gone = away(seen, 1010.0)
    later, told = settle(gone, at(1010.0 + 10 * DEADLINE_S))
    assert (told, later.state.quarantined) == ((), ())
    assert rollout(later).phase is Phase.WAITING
    assert "its deadline does not run until Docker answers" in (facts(later, at(9_000.0)).blocking or "")
    end = "its deadline does not run until Docker answers, with 9m 50s left."
    assert any(line.endswith(end) for line in explain(facts(later, at(9_000.0))))


def test_its_time_goes_on_from_where_it_was_when_docker_is_back() -> None:
    """P10, rule 14."""
    back = away(group(Phase.WAITING, SICK), 1010.0, until_s=5010.0)
    due_s = 1000.0 + DEADLINE_S + 4000.0
    assert rollout(back).deadline_mono_s == due_s
    assert settle(back, at(due_s - 1.0))[0].state.rollout is not None
    ended, _ = settle(back, at(due_s))
    assert ended.state.rollout is None
    assert ended.state.quarantined


def test_docker_that_comes_and_goes_delays_a_deadline_by_no_more_than_it_was_away() -> None:
    """P10: a deadline that moves for ever is none."""
    seen = group(Phase.WAITING, SICK)
    for start_s in (1010.0, 1110.0, 1210.0):
        seen = away(seen, start_s, until_s=start_s + 50.0)
    assert rollout(seen).deadline_mono_s == 1000.0 + DEADLINE_S + 150.0


def test_an_approved_release_whose_switch_waits_for_docker_keeps_its_time() -> None:
    """Rule 6: gates are lost with Docker, and what was left of the time for health is left when it is back."""
    gone = away(group(Phase.SHIFTING), 1060.0)
    assert rollout(gone).phase is Phase.WAITING
    later, _ = settle(gone, at(1060.0 + 10 * DEADLINE_S))
    assert rollout(later).phase is Phase.WAITING
    back, _ = settle(replace(later, docker_connected=True), at(20_000.0))
    deadline_s = rollout(back).deadline_mono_s
    assert deadline_s is not None
    assert deadline_s - 20_000.0 <= DEADLINE_S


@pytest.mark.parametrize("phase", [phase for phase in UNDER_WAY if phase not in {Phase.SHIFTING}])
def test_what_does_not_wait_for_the_engine_goes_on(phase: Phase) -> None:
    """Rules 7 and 14: Traefik confirms, an application is tested and somebody approves without Docker."""
    gone = away(group(phase, *((SICK,) if phase is Phase.WAITING else ())), 1001.0)
    assert (rollout(gone).still_mono_s is not None) is (rollout(gone).phase in STILL)


def test_fixed_servers_wait_for_no_engine() -> None:
    fixed = replace(SICK, observed=SICK.observed.put(GREEN, runs(NEW, from_docker=False, listed_mono_s=None)))
    gone = away(group(Phase.WAITING, fixed), 1001.0)
    assert rollout(gone).still_mono_s is None
    assert settle(gone, at(1000.0 + DEADLINE_S))[0].state.rollout is None


def test_what_docker_said_before_it_was_away_rolls_nothing_back() -> None:
    """Rule 14: its HEALTHCHECKs may have passed long since."""
    sick, well = replace(NEW, docker_health=Health.UNHEALTHY), replace(OLD, docker_health=Health.HEALTHY)
    member = replace(moved(blue=runs(well), green=runs(sick)), health={})
    seen = snapshot(member, state=group(Phase.WATCHING).state)
    assert watching.rests_on_docker(member)
    gone, _ = settle(replace(seen, docker_connected=False), at(1000.0 + 10 * watching.DOCKER_PATIENCE_S))
    assert gone.members[0].state.active is GREEN
