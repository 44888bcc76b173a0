import copy
from typing import Any

import pytest

from provider.docker.labels import Scope
from provider.docker.release import release_id
from provider.docker.swarm.servers import sight
from provider.docker.swarm.spec import parts_of
from provider.docker.swarm.tasks import task_from
from provider.model import Observed
from provider.rollout.health import mixture
from tests.support.swarm_answers import NODES, PRODUCTION, entries, service


def blue() -> dict[str, Any]:
    return entries("rec_blue")[0]


def release(entry: dict[str, Any], scope: Scope = PRODUCTION) -> str:
    (found,) = sight(service("rec_blue"), [task_from(entry)], NODES, scope)
    assert found.server is not None
    return found.server.release


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Image", "shop:1@sha256:" + "0" * 64),
        ("Args", ["--debug"]),
        ("Command", ["/application"]),
        ("Env", ["BODY=other"]),
        ("User", "nobody"),
        ("Hostname", "shop"),
        ("StopGracePeriod", 30_000_000_000),
        ("Mounts", []),
        ("Secrets", []),
        ("Configs", []),
        ("Healthcheck", {"Test": ["NONE"]}),
        ("Labels", {"bluegreen.version": "1.1"}),
        ("Labels", {"bluegreen.version": "1.0", "owner": "somebody"}),
    ],
)
def test_what_a_container_is_made_of_is_its_release(key: str, value: object) -> None:
    """Rule 68."""
    changed = blue()
    changed["Spec"]["ContainerSpec"][key] = value
    assert release(changed) != release(blue())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("ForceUpdate", 7),
        ("Placement", {"Constraints": ["node.role==worker"]}),
        ("Resources", {"Limits": {"MemoryBytes": 1}}),
        ("RestartPolicy", {"Condition": "none"}),
        ("LogDriver", {"Name": "none"}),
        ("Networks", []),
    ],
)
def test_where_and_how_often_it_runs_is_not(key: str, value: object) -> None:
    """Rule 68."""
    changed = blue()
    changed["Spec"][key] = value
    assert release(changed) == release(blue())


@pytest.mark.parametrize(("key", "value"), [("TTY", False), ("Sysctls", {}), ("Groups", None), ("OomScoreAdj", 0)])
def test_what_an_engine_adds_at_an_upgrade_without_a_value_makes_no_other_release(key: str, value: object) -> None:
    changed = blue()
    changed["Spec"]["ContainerSpec"][key] = value
    assert release(changed) == release(blue())


def test_our_other_labels_and_those_of_a_stack_make_no_other_release() -> None:
    changed = blue()
    changed["Spec"]["ContainerSpec"]["Labels"] |= {"com.docker.stack.namespace": "other", "bluegreen.port": "80"}
    assert release(changed) == release(blue())


def test_variables_that_the_file_ignores_make_no_other_release() -> None:
    changed = blue()
    changed["Spec"]["ContainerSpec"]["Env"] = ["BODY=other", "LISTEN=80"]
    ignoring = Scope("production", required=False, ignored=frozenset({"BODY"}))
    assert release(changed) != release(blue())
    assert release(changed, ignoring) == release(blue(), ignoring)


def test_a_mixed_colour_names_what_differs_and_no_value() -> None:
    """Rule 40."""
    changed = copy.deepcopy(blue())
    changed["Spec"]["ContainerSpec"]["Env"] = ["BODY=secret", "LISTEN=80"]
    found = sight(service("rec_blue"), map(task_from, (blue(), changed)), NODES, PRODUCTION)
    mixed = Observed(known=True, servers=tuple(one.server for one in found if one.server is not None))
    assert mixed.release is None
    assert mixture(mixed.servers).startswith(", which differ in environment BODY")


def test_the_order_in_which_an_engine_lists_keys_does_not_matter() -> None:
    spec = blue()["Spec"]["ContainerSpec"]
    turned = dict(
        reversed(
            [(key, dict(reversed(value.items())) if isinstance(value, dict) else value) for key, value in spec.items()]
        )
    )
    assert release_id(parts_of(turned)) == release_id(parts_of(spec))
