"""The stack files of deploy/swarm/; tests/integration/test_swarm.py starts that of the application."""

import os
import re
import subprocess
from functools import cache
from typing import Any

import pytest
import yaml

from provider import config
from provider.cli.doctor.checks import swarm
from provider.cli.doctor.checks.containers import Context
from provider.docker.labels import PORT
from tests.support.components import program
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
STACKS = ("bluegreen.yaml", "shop.yaml")


@cache
def composed(file: str) -> dict[str, Any]:
    """Return what Docker Compose makes of a stack file, or fail with what it has against it."""
    command = [program("docker-compose", "docker-compose"), "-f", file, "config"]
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    environment = clean | {"DOCKER_GID": "999"}
    done = subprocess.run(command, cwd=DEPLOY / "swarm", env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout))


@pytest.mark.parametrize("file", STACKS)
def test_everything_in_a_stack_is_locked_up_and_names_a_version(file: str) -> None:
    for name, service in composed(file)["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert re.search(r":v?\d", service["image"]), f"{name}: {service['image']} names no version"
        # docker stack deploy leaves these out in silence, or refuses them
        assert not {"restart", "container_name", "depends_on", "network_mode", "security_opt", "tmpfs"} & service.keys()


def test_doctor_has_nothing_against_the_application_in_production() -> None:
    """Rule 66."""
    desired = config.load((DEPLOY / "bluegreen" / "production.yaml").read_text(), "production.yaml")
    context = Context(desired=desired, environment=desired.environment)
    assert swarm.stack(composed("shop.yaml"), "shop.yaml", context) == ()


def test_both_colours_of_the_application_differ_in_nothing_but_colour_and_image() -> None:
    services = composed("shop.yaml")["services"]
    blue, green = (services[colour]["deploy"]["labels"] for colour in ("blue", "green"))
    assert blue | {"bluegreen.colour": "green"} == green
    assert blue[PORT] == services["blue"]["environment"]["WHOAMI_PORT_NUMBER"]
    assert services["blue"]["networks"] == services["green"]["networks"]
    assert [services[colour]["deploy"]["replicas"] for colour in ("blue", "green")] == [2, 0]


def test_traefik_and_the_daemon_stay_on_a_manager_and_share_the_applications_network() -> None:
    """Rule 18."""
    stack = composed("bluegreen.yaml")
    for name, service in stack["services"].items():
        assert "node.role == manager" in service["deploy"]["placement"]["constraints"], name
    on_web = {name for name, service in stack["services"].items() if "web" in service["networks"]}
    assert on_web == {"traefik", "bluegreen"}
    assert stack["services"]["bluegreen"]["environment"]["BLUEGREEN_DOCKER_MODE"] == "swarm"
    assert {each["mode"] for one in stack["services"].values() for each in one.get("ports", ())} == {"host"}


def test_only_the_socket_proxy_has_the_socket_and_it_lets_through_what_the_daemon_asks() -> None:
    services = yaml.safe_load((DEPLOY / "swarm" / "bluegreen.yaml").read_text())["services"]
    assert [name for name, one in services.items() if "docker.sock" in str(one.get("volumes"))] == ["socket-proxy"]
    (rule,) = (word.removeprefix("-allowGET=") for word in services["socket-proxy"]["command"] if "allowGET" in word)
    for path in ("_ping", "version", "events", "services", "tasks", "nodes", "containers/json"):
        assert re.fullmatch(rule, f"/v1.41/{path}"), path
    for path in ("secrets", "configs", "swarm", "swarm/unlockkey", "services/create", "containers/0a1b/logs", "info"):
        assert not re.fullmatch(rule, f"/v1.41/{path}"), path
