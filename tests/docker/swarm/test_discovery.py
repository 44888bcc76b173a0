"""What lists add up to; `tests/integration/test_swarm.py` follows a real manager."""

from collections.abc import Mapping
from typing import Any

import pytest

from provider.docker.swarm.discovery import Tasks
from provider.docker.swarm.listing import Listed, NoManager
from provider.model import ByColour, Server
from provider.model.errors import DockerUnavailable
from tests.support.swarm_answers import PRODUCTION, entries, listed


class Nobody:
    """A sink that nothing reports to."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def follower(*, may_be_none: bool = False) -> Tasks:
    return Tasks(Nobody(), base_url="unix:///nonexistent", may_be_none=may_be_none)


def take(tasks: Tasks, found: Listed) -> dict[str, ByColour[tuple[Server, ...]]]:
    return tasks._take(found, PRODUCTION, is_complete=True)[0]


def blue(tasks: Tasks, *found: dict[str, Any]) -> Mapping[str, Server]:
    """Return the servers of blue by their slots."""
    colours = take(tasks, listed("rec_blue", *found)).get("shop", ByColour((), ()))
    return {server.slot or "": server for server in colours.blue}


def test_a_task_that_fails_is_a_death_of_its_slot() -> None:
    """Rule 5: another container takes its place."""
    tasks, (one, two) = follower(), entries("rec_blue")
    assert [server.deaths for server in blue(tasks, one, two).values()] == [0, 0]
    failed = one | {"DesiredState": "shutdown", "Status": one["Status"] | {"State": "failed"}}
    assert list(blue(tasks, failed, two)) == ["rec_blue.2"]
    container = {"ContainerID": "f" * 64}
    next_one = one | {"ID": "next", "Status": one["Status"] | {"ContainerStatus": container}}
    found = blue(tasks, next_one, two)
    assert [(server.deaths, len(server.died_mono_s)) for server in found.values()] == [(1, 1), (0, 0)]
    assert found["rec_blue.1"].container == "f" * 12


def test_a_task_that_was_asked_to_stop_leaves_and_is_no_death() -> None:
    """Rules 5 and 67."""
    tasks, (one, two) = follower(), entries("rec_blue")
    blue(tasks, one, two)
    leaving = one | {"DesiredState": "shutdown"}
    first = blue(tasks, leaving, two)["rec_blue.1"].leaving_mono_s
    assert first is not None
    again = blue(tasks, leaving, two)["rec_blue.1"]
    assert again.leaving_mono_s == first
    assert again.returns_mono_s is not None
    assert again.returns_mono_s >= first + 86_400
    for state in ("failed", "shutdown"):
        assert list(blue(tasks, leaving | {"Status": one["Status"] | {"State": state}}, two)) == ["rec_blue.2"]
    assert tasks._deaths.count("rec_blue.1") == 0


def test_tasks_of_a_service_that_was_removed_leave_and_are_gone_when_they_end() -> None:
    """Rule 4."""
    tasks, (one, _) = follower(), entries("rec_blue")
    blue(tasks, one)
    ended = listed("rec_blue", one | {"DesiredState": "remove"})
    found = take(tasks, Listed((), ended.tasks, {}))["shop"].blue
    assert [server.leaving_mono_s is not None for server in found] == [True]
    assert take(tasks, Listed((), {}, {})) == {}


def test_an_engine_that_manages_no_swarm_is_away_unless_that_is_allowed() -> None:
    """P4."""
    absent = NoManager("it is no manager of a Swarm")
    with pytest.raises(DockerUnavailable, match=r"it is no manager of a Swarm: name a manager \(--docker\)"):
        follower()._check_absence(absent)
    tasks = follower(may_be_none=True)
    tasks._check_absence(absent)
    blue(tasks, *entries("rec_blue"))
    with pytest.raises(DockerUnavailable, match="was a manager of a Swarm"):
        tasks._check_absence(absent)
