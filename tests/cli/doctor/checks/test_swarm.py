"""Findings about the services of a Swarm, on what a real manager listed."""

from dataclasses import replace
from typing import Any

import pytest

from provider import config
from provider.cli.doctor.checks import swarm
from provider.cli.doctor.checks.containers import Context
from provider.cli.doctor.checks.swarm import Missed, SwarmFacts, SwarmState
from provider.cli.doctor.findings import Code, Finding
from provider.docker.swarm.tasks import SwarmService, task_from
from provider.model import DockerMode
from tests.support.swarm_answers import NODES, entries, service

DESIRED = config.load(
    "environment: production\nservices:\n  shop:\n    router: {rule: 'Host(`shop.example.com`)'}\n", "production.yaml"
)
ANYWHERE = Context(desired=DESIRED, environment="production")
STACK: dict[str, Any] = {
    "services": {
        "blue": {
            "image": "shop:1",
            "networks": ["web"],
            "deploy": {"labels": {"bluegreen.service": "shop", "bluegreen.colour": "blue", "bluegreen.port": "80"}},
        },
        "green": {
            "image": "shop:1",
            "networks": ["web"],
            "deploy": {"labels": {"bluegreen.service": "shop", "bluegreen.colour": "green", "bluegreen.port": "80"}},
        },
    }
}


def found(
    *services: SwarmService,
    context: Context = ANYWHERE,
    mode: DockerMode | None = None,
    missed: tuple[Missed, ...] = (),
) -> list[Finding]:
    states = tuple(SwarmState(one, tuple(map(task_from, entries(one.name))), missed) for one in services)
    return list(swarm.check(SwarmFacts("unix:///socket", states, NODES), context, mode))


def codes(*services: SwarmService, **more: object) -> list[Code]:
    return [one.code for one in found(*services, **more)]  # type: ignore[arg-type]


def test_a_service_with_its_labels_in_place_has_no_findings() -> None:
    assert found(service("rec_blue")) == []


def test_labels_on_the_containers_are_found() -> None:
    """Rule 66."""
    (one,) = found(service("rec_misplaced"))
    assert one.code is Code.SWARM_LABELS_ON_CONTAINERS
    assert one.what.startswith("bluegreen.colour, bluegreen.port, bluegreen.service on its containers")
    both = replace(service("rec_blue"), container_labels={"bluegreen.colour": "blue", "bluegreen.version": "1"})
    (one,) = found(both)
    assert one.what == "bluegreen.colour on its containers: in a Swarm the labels of the service count"


def test_a_service_without_a_port_is_ignored() -> None:
    """Rule 66."""
    (one,) = found(service("rec_portless", service="shop"))
    assert (one.code, one.where) == (Code.SWARM_SERVICE_IGNORED, "Swarm service rec_portless")
    assert one.what == "the daemon ignores it: no label bluegreen.port, which a Swarm service needs"
    assert one.fix == "add bluegreen.port=PORT under deploy: labels:"


@pytest.mark.parametrize(
    ("name", "words"), [("only-ingress", "the ingress network alone"), ("nowhere", "it is on no network")]
)
def test_a_service_that_nothing_reaches_is_ignored(name: str, words: str) -> None:
    """Rule 66."""
    (one,) = found(service(name, service="shop"))
    assert one.code is Code.SWARM_SERVICE_IGNORED
    assert words in one.what


def test_a_network_that_is_missing_or_not_shared_is_found() -> None:
    """Rule 66."""
    (one,) = found(service("rec_blue", network="edge"))
    assert "bluegreen.network=edge: it has no address there" in one.what
    beside = replace(ANYWHERE, peers={"Traefik traefik": frozenset({"rec_back"})})
    (one,) = found(service("rec_blue"), context=beside)
    assert one.code is Code.NETWORK_NOT_SHARED
    assert one.what == "its tasks are reached on the network web, where Traefik traefik is not"
    assert one.fix.endswith("name it with bluegreen.network=rec_back")


def test_tasks_that_do_not_run_are_found_with_what_swarm_says() -> None:
    missed = Missed("1", "rejected", "No such image: missing:1"), Missed("2", "pending", "no suitable node")
    (one,) = found(service("rec_blue"), missed=missed)
    assert one.code is Code.SWARM_TASKS_FAIL
    assert one.what == "task rec_blue.1 does not run (rejected): No such image: missing:1; and 1 more"


def test_a_daemon_that_does_not_follow_the_swarm_is_found() -> None:
    assert codes(service("rec_blue"), mode=DockerMode.ENGINE) == [Code.SWARM_NOT_FOLLOWED]
    assert codes(service("rec_blue"), mode=DockerMode.AUTO) == []
    assert swarm.no_manager("unix:///socket", "it is no manager of a Swarm").code is Code.SWARM_NO_MANAGER


def test_other_names_and_environments_are_found() -> None:
    assert codes(service("rec_host")) == [Code.SERVICE_NOT_IN_FILE]
    assert codes(service("rec_blue", environment="staging")) == [Code.OTHER_ENVIRONMENT]
    assert codes(service("rec_blue", sevice="x")) == [Code.LABEL_UNKNOWN]


def test_a_stack_file_has_both_colours_and_its_labels_under_deploy() -> None:
    """Rule 66."""
    assert swarm.stack(STACK, "stack.yaml", ANYWHERE) == ()
    (blue, green) = (STACK["services"][colour] for colour in ("blue", "green"))
    moved = {"services": {"blue": {**blue, "labels": blue["deploy"]["labels"], "deploy": {}}, "green": green}}
    (one,) = swarm.stack(moved, "stack.yaml", ANYWHERE)
    assert (one.code, one.where) == (Code.SWARM_LABELS_ON_CONTAINERS, "stack.yaml, service blue")
    (one,) = swarm.stack({"services": {"app": {"image": "shop:1"}}}, "stack.yaml", ANYWHERE)
    assert one.code is Code.COMPOSE_WITHOUT_SERVICE
