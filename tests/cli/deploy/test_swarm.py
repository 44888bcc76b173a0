"""Which service of a Swarm a deployment updates: a real daemon, and a played docker; a real one is in integration/."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from provider.api.admin import admin_app
from provider.cli.client.admin_api import Admin
from provider.cli.client.swarm import SwarmError, SwarmUpdate
from provider.cli.deploy.options import DeployRefused, SwarmOptions
from provider.cli.deploy.swarm import SwarmInspection
from provider.model import ByColour, Colour, Server
from tests.support.programs import program
from tests.support.running import listening, running
from tests.support.swarm_answers import ANSWERS

DESIRED = "environment: production\nservices:\n  shop:\n    router: {rule: 'Host(`shop.example.com`)'}\n"
OLD = Server("http://old", "aaaa", container="old", deaths=0)
STRANGE = Server("http://strange", "bbbb", container="strange", deaths=0)
DOCKER = """\
case "$*" in
"service ls"*) cat ids ;;
"service inspect"*) cat services ;;
"service ps"*) echo task ;;
"inspect task") echo '[{"Status": {"ContainerStatus": {"ContainerID": "ours"}}}]' ;;
*) exit 1 ;;
esac
"""


class Stage:
    """A daemon with blue active, and what the manager lists."""

    def __init__(self, admin: Admin) -> None:
        self.admin = admin

    def lists(self, *services: dict[str, Any]) -> None:
        Path("ids").write_text("".join(f"{number}\n" for number, _ in enumerate(services)))
        Path("services").write_text(json.dumps(services))

    async def start_line(self, image: str = "shop:2", colour: Colour = Colour.GREEN, **options: Any) -> str:
        """Return the command that updates the service of a colour."""
        inspection = SwarmInspection(self.admin, "shop", SwarmOptions(image, **options), {})
        await asyncio.to_thread(inspection.check_file, colour)
        return inspection.start(colour).start_line

    async def refusal(self, **options: Any) -> str:
        with pytest.raises(DeployRefused) as refused:
            await self.start_line(**options)
        return str(refused.value)


@pytest.fixture
async def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    monkeypatch.chdir(tmp_path)
    docker = program(tmp_path / "bin" / "docker", DOCKER)
    monkeypatch.setenv("PATH", str(docker.parent), prepend=":")
    async with (
        running(tmp_path / "state", docker=True) as daemon,
        listening(admin_app(daemon.replica)) as address,
    ):
        daemon.load(DESIRED)
        daemon.controller.inputs.docker_connected(True, None)
        daemon.list_docker(shop=ByColour((OLD,), (STRANGE,)))
        yield Stage(Admin(address))


def listed(name: str, colour: str, *, replicas: int | None = 2, **labels: str | None) -> dict[str, Any]:
    """Return what `docker service inspect` prints of a service."""
    (found,) = [one for one in ANSWERS["services"] if one["Spec"]["Name"] == "rec_green"]
    written = {"service": "shop", "colour": colour, "port": "80", **labels}
    mode: dict[str, Any] = {"Global": {}} if replicas is None else {"Replicated": {"Replicas": replicas}}
    kept = {f"bluegreen.{label}": value for label, value in written.items() if value is not None}
    return {**found, "Spec": {**found["Spec"], "Name": name, "Labels": kept, "Mode": mode}}


async def test_the_service_of_the_standby_is_found_by_its_labels(stage: Stage) -> None:
    """Rule 68."""
    stage.lists(listed("shop_blue", "blue"), listed("shop_green", "green"))
    line = await stage.start_line()
    assert line == "docker service update --detach=false --quiet --image shop:2 shop_green"
    assert "shop_blue" in await stage.start_line(colour=Colour.BLUE)


async def test_without_such_a_service_or_with_several_it_is_refused(stage: Stage) -> None:
    """Rule 17."""
    stage.lists(listed("shop_blue", "blue"))
    assert "no Swarm service has the labels bluegreen.service=shop and bluegreen.colour=green" in await stage.refusal()
    stage.lists(listed("one", "green"), listed("two", "green"), listed("staging", "green", environment="staging"))
    assert "several Swarm services have the labels" in await stage.refusal()
    assert "two. Name one with --swarm-service" in await stage.refusal()
    assert (await stage.start_line(service="two")).endswith(" two")
    assert "no Swarm service staging has the labels" in await stage.refusal(service="staging")


async def test_labels_that_keep_tasks_from_traffic_are_a_reason_to_refuse(stage: Stage) -> None:
    """Rule 17."""
    stage.lists(listed("shop_green", "green", port=None))
    assert await stage.refusal() == (
        "shop: not started; shop_green: no label bluegreen.port, which a Swarm service needs: add bluegreen.port=PORT "
        "under deploy: labels:"
    )


@pytest.mark.parametrize(
    ("green", "options", "added"),
    [
        (0, {}, ["--replicas", "3"]),
        (2, {}, []),
        (2, {"replicas": 5}, ["--replicas", "5"]),
        (None, {}, []),
        (2, {"with_registry_auth": True}, ["--with-registry-auth"]),
    ],
)
async def test_a_service_with_no_tasks_gets_as_many_as_the_other_colour(
    stage: Stage, green: int | None, options: dict[str, Any], added: list[str]
) -> None:
    stage.lists(listed("shop_blue", "blue", replicas=3), listed("shop_green", "green", replicas=green))
    words = (await stage.start_line(**options)).split()
    assert words[words.index("shop:2") + 1 : -1] == added


async def test_a_version_on_the_containers_becomes_the_tag_of_the_image(stage: Stage) -> None:
    """Rule 68."""
    labelled = listed("shop_green", "green")
    template = labelled["Spec"]["TaskTemplate"]
    labels = {"bluegreen.version": "1"}
    spec = {**template, "ContainerSpec": {**template["ContainerSpec"], "Labels": labels}}
    labelled["Spec"]["TaskTemplate"] = spec
    stage.lists(labelled)
    assert "--container-label-add bluegreen.version=1.4.2" in await stage.start_line("registry:5000/shop:1.4.2")
    assert "--container-label-add" not in await stage.start_line("registry:5000/shop@sha256:" + "0" * 64)


async def test_variables_are_set_in_the_containers(stage: Stage) -> None:
    stage.lists(listed("shop_green", "green"))
    inspection = SwarmInspection(stage.admin, "shop", SwarmOptions("shop:2"), {"GREETING": "good day"})
    await asyncio.to_thread(inspection.check_file, Colour.GREEN)
    assert "--env-add 'GREETING=good day' shop_green" in inspection.start(Colour.GREEN).start_line


async def test_what_else_runs_in_the_standby_is_a_reason_to_refuse(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 17: the colour would be mixed."""
    monkeypatch.setattr("provider.cli.deploy.inspection.CHECK_EVERY_S", 0.01)
    stage.lists(listed("shop_green", "green"))
    inspection = SwarmInspection(stage.admin, "shop", SwarmOptions("shop:2"), {})
    await asyncio.to_thread(inspection.check_file, Colour.GREEN)
    assert await asyncio.to_thread(inspection.containers, Colour.GREEN) == {"ours"}
    with pytest.raises(DeployRefused, match=r"green has containers that are not of shop_green \(strange\)"):
        await asyncio.to_thread(inspection.check_containers, Colour.GREEN)


def test_a_docker_that_fails_is_reported_with_what_it_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    update = SwarmUpdate("shop_green", Colour.GREEN, "shop:2")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SwarmError, match=r"docker cannot run, and nothing was started: .* let it ask a manager"):
        update.containers()
    script = 'echo "This node is not a swarm manager." >&2; exit 1'
    monkeypatch.setenv("PATH", str(program(tmp_path / "bin" / "docker", script).parent), prepend=":")
    with pytest.raises(SwarmError, match=r"cannot list the tasks of shop_green: .* This node is not a swarm manager"):
        update.containers()
    with pytest.raises(SwarmError, match="docker failed with exit code 1, and nothing was switched"):
        update.up(lambda: None)
