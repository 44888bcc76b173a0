"""The image, and deploy/ with it as it stands: `make image-test`. It takes minutes, so `make test` leaves it out."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from bench.engine import Engine
from provider import __version__
from provider.cli.client.compose import find_command
from provider.traefik.process import free_ports
from tests.support.images import Docker, Images
from tests.support.paths import ROOT
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif("BLUEGREEN_IMAGE_TEST" not in os.environ, reason="takes minutes: make image-test")

ENVIRONMENT = "image-test"
"""Nothing that production or staging on the same engine could have."""
HOST = "shop.example.com"
ADDED_BYTES_AT_MOST = 120_000_000
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges")
DESIRED = """\
environment: production
services:
  shop: {router: {rule: "Host(`shop.example.com`)"}, healthCheck: {path: /healthz}}
"""
APPLICATION = """\
services:
  app:
    environment: {BODY: "shop ${BLUEGREEN_COLOUR} ${VERSION}", LISTEN: "8080"}
    tmpfs: [/www]
"""
ASK = """\
import http.client, sys
connection = http.client.HTTPConnection("socket-proxy", 2375)
connection.request(*sys.argv[1:])
print(connection.getresponse().status)
"""


def size_bytes(docker: Docker, image: str) -> int:
    return int(docker("image", "inspect", "--format", "{{.Size}}", image))


def write_shared(file: Path, text: str) -> None:
    """Write a file that the user in a container can read."""
    file.write_text(text)
    file.parent.chmod(0o755)
    file.chmod(0o644)


async def until_healthy(docker: Docker, *containers: str) -> None:
    def look() -> bool:
        states = [json.loads(docker("inspect", "--format", "{{json .State}}", one)) for one in containers]
        assert all(state.get("Health", {}).get("Status") == "healthy" for state in states), states
        return True

    await eventually(look, limit_s=120)


# --- the image -----------------------------------------------------------------------------------------------------


def test_the_image_is_small_and_has_neither_pip_nor_a_compiler(docker: Docker, images: Images) -> None:
    added = size_bytes(docker, images.daemon) - size_bytes(docker, images.base)
    print(f"\n{images.daemon}: {size_bytes(docker, images.daemon) / 1e6:.0f} MB, {added / 1e6:.0f} of it ours")
    assert added < ADDED_BYTES_AT_MOST
    look = "for one in pip pip3 gcc cc make; do command -v $one; done; python -c 'import pip' 2>&1; true"
    found = docker("run", "--rm", "--network=none", "--entrypoint=sh", images.daemon, "-c", look)
    assert found.splitlines()[-1:] == ["ModuleNotFoundError: No module named 'pip'"]
    assert "/" not in found.replace("<", "").splitlines()[0]


def test_the_image_says_what_it_is_and_runs_as_a_user_of_its_own(docker: Docker, images: Images) -> None:
    settings = json.loads(docker("image", "inspect", "--format", "{{json .Config}}", images.daemon))
    assert settings["User"] == "8900:8900"
    assert set(settings["Volumes"]) == {"/var/lib/bluegreen"}
    assert settings["Healthcheck"]["Test"] == ["CMD", "bluegreen", "healthcheck"]
    assert settings["Labels"]["org.opencontainers.image.version"] == __version__
    assert docker("run", "--rm", "--network=none", images.daemon, "--version") == f"bluegreen, version {__version__}"


async def test_a_hardened_container_is_healthy_stops_in_order_and_goes_on_from_its_state(
    docker: Docker, images: Images, engine: Engine, tmp_path: Path
) -> None:
    """With the group of the socket, in place of a proxy."""
    write_shared(tmp_path / "production.yaml", DESIRED)
    name = volume = f"bluegreen-image-test-{os.getpid()}"
    mounts = [f"{docker.socket}:/var/run/docker.sock", f"{volume}:/var/lib/bluegreen", f"{tmp_path}:/etc/bluegreen:ro"]
    volumes = [word for mount in mounts for word in ("--volume", mount)]
    engine.run(f"{name}-blue", "shop", "blue", version="1")
    docker("run", "--detach", "--name", name, *HARDENED, "--group-add", docker.group, *volumes, images.daemon)
    try:
        await until_healthy(docker, name)
        before = json.loads(docker("exec", name, "bluegreen", "status", "shop", "--json"))
        assert (before["active"], before["colours"]["blue"]["version"]) == ("blue", "1")
        assert docker("exec", name, "bluegreen", "healthcheck", "--ready") == "ready"

        assert docker("exec", name, "id", "-u") == "8900"
        process = docker("exec", name, "cat", "/proc/1/status")
        assert re.findall(r"(CapEff|CapBnd|NoNewPrivs):\s+(\S+)", process) == [
            ("CapEff", "0" * 16),
            ("CapBnd", "0" * 16),
            ("NoNewPrivs", "1"),
        ]
        for place in ("/opt/bluegreen/new", "/etc/new", "/tmp/new"):
            assert "Read-only file system" in docker.refused("exec", name, "touch", place)

        docker("stop", "--time", "5", name)  # what is left after 5 s is killed, which is exit code 137
        assert docker("inspect", "--format", "{{.State.ExitCode}}", name) == "0"
        docker("start", name)
        await until_healthy(docker, name)
        after = json.loads(docker("exec", name, "bluegreen", "status", "shop", "--json"))
        assert after["active"] == "blue"
        assert after["revision"] >= before["revision"]
        history = json.loads(docker("exec", name, "bluegreen", "history", "shop", "--json"))
        assert [row["event"] for row in history].count("first-sight") == 1
    finally:
        docker("rm", "--force", name)
        docker("volume", "rm", volume)


# --- deploy/ -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Stack:
    """deploy/ in a folder of its own, started with Compose as its README says."""

    docker: Docker
    folder: Path
    environment: dict[str, str]
    ports: dict[str, int]

    def compose(self, *arguments: str) -> str:
        command = [*find_command(), *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False, timeout=300
        )
        assert done.returncode == 0, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def container(self, service: str) -> str:
        return self.compose("ps", "-q", service).strip()

    def asks_the_proxy(self, method: str, path: str) -> str:
        return self.docker("exec", self.container("bluegreen"), "python", "-c", ASK, method, path)

    async def bluegreen(self, *arguments: str) -> tuple[int, str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "provider", *arguments),
            cwd=self.folder,
            env=self.environment,
            stdout=PIPE,
            stderr=STDOUT,
        )
        text, _ = await process.communicate()
        return process.returncode or 0, text.decode()

    async def deploy(self, version: str) -> tuple[int, str]:
        files = ("-f", "shop/compose.yaml", "-f", "application.yaml")
        project = ("--project-prefix", f"{ENVIRONMENT}-shop")
        return await self.bluegreen("deploy", "shop", *project, *files, "-e", f"VERSION={version}")

    async def until(self, phase: str) -> dict[str, Any]:
        async def look() -> dict[str, Any]:
            code, text = await self.bluegreen("status", "shop", "--json")
            assert code == 0, text
            found = dict(json.loads(text))
            assert found["phase"] == phase, text
            return found

        return await eventually(look, limit_s=120)

    async def until_routed(self, body: str) -> None:
        async def look() -> bool:
            url = f"https://127.0.0.1:{self.ports['HTTPS_PORT']}/"
            async with (
                aiohttp.ClientSession() as session,
                session.get(url, headers={"Host": HOST}, ssl=False) as answer,
            ):
                assert (await answer.text()).strip() == body
            return True

        await eventually(look)

    async def targets(self) -> dict[str, str]:
        """Return the health of what Prometheus scrapes."""
        url = f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}/api/v1/targets"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            active = (await answer.json())["data"]["activeTargets"]
        return {target["labels"]["job"]: target["health"] for target in active}


@pytest.fixture
def stack(docker: Docker, images: Images, engine: Engine, tmp_path: Path) -> Iterator[Stack]:
    folder = tmp_path / "deploy"
    shutil.copytree(ROOT / "deploy", folder, ignore=shutil.ignore_patterns(".env", "secrets"))
    desired = (folder / "bluegreen" / "production.yaml").read_text()
    renamed = desired.replace("environment: production", f"environment: {ENVIRONMENT}")
    (folder / "bluegreen" / f"{ENVIRONMENT}.yaml").write_text(renamed)
    (folder / "application.yaml").write_text(APPLICATION)
    names = ("HTTP_PORT", "HTTPS_PORT", "ADMIN_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    settings = {
        "COMPOSE_PROJECT_NAME": f"bluegreen-{ENVIRONMENT}",
        "ENVIRONMENT": ENVIRONMENT,
        "DOCKER_GID": docker.group,
        "DOCKER_SOCKET": docker.socket,
        "BLUEGREEN_IMAGE": images.daemon,
        **images.stand_ins,
        **{name: str(port) for name, port in ports.items()},
    }
    (folder / ".env").write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    secrets = folder / "secrets" / ENVIRONMENT
    secrets.mkdir(parents=True)
    (secrets / "provider-token").write_text("0123456789abcdef" * 4 + "\n")
    (secrets / "grafana-password").write_text("fedcba9876543210\n")
    token = make_token(docker, images, secrets / "tokens")
    for file in secrets.iterdir():
        os.chown(file, -1, 8900)
        file.chmod(0o640)
    environment = {
        **docker.environment,
        "PYTHONPATH": str(ROOT),
        "BLUEGREEN_ADMIN": f"http://127.0.0.1:{ports['ADMIN_PORT']}",
        "BLUEGREEN_TOKEN": token,
        "ENVIRONMENT": ENVIRONMENT,
        "IMAGE": "bluegreen-test",
    }
    made = Stack(docker, folder, environment, ports)
    try:
        yield made
    finally:
        for colour in ("blue", "green"):
            project = {"label": f"com.docker.compose.project={ENVIRONMENT}-shop-{colour}"}
            engine.remove(*(found["Id"] for found in engine.api.containers(all=True, filters=project)))
        made.compose("down", "--volumes")


def make_token(docker: Docker, images: Images, file: Path) -> str:
    """Make a token with the image, put its line into the file, and return the token, which is shown on stderr."""
    made = docker(
        "run",
        "--rm",
        "--network=none",
        "--entrypoint=sh",
        images.daemon,
        "-c",
        "bluegreen token ann --scope operate 2>&1",
    )
    file.write_text(next(line for line in made.splitlines() if line.startswith("ann operate sha256:")) + "\n")
    return next(line.strip() for line in made.splitlines() if line.strip().startswith("bg_"))


async def test_the_stack_takes_a_release_to_green_and_back(stack: Stack, images: Images) -> None:
    """The real Traefik, the daemon through the socket proxy, Compose projects for the colours, P7."""
    without_grafana = ("traefik", "bluegreen", "socket-proxy", "prometheus")
    stack.compose("up", "-d", *(without_grafana if images.stand_ins else ()))
    await until_healthy(stack.docker, *map(stack.container, ("traefik", "bluegreen", "socket-proxy")))

    code, text = await stack.deploy("1")
    assert code == 0, text
    await stack.until_routed("shop blue 1")

    async with asyncio.TaskGroup() as tasks:
        deployment = tasks.create_task(stack.deploy("2"))
        waiting = await stack.until("approval")
        await stack.until_routed("shop blue 1")
        code, text = await stack.bluegreen("approve", "shop", "--release", waiting["rollout"]["release"])
        assert code == 0, text
        await stack.until_routed("shop green 2")
        switched = await stack.until("watching")
        assert (switched["active"], switched["confirmed"]) == ("green", True)
        code, text = await stack.bluegreen("rollback", "shop")
        assert code == 0, text
    await stack.until_routed("shop blue 1")
    code, text = deployment.result()
    assert code == 4, text
    assert "rolled back by ann" in text

    assert stack.asks_the_proxy("GET", "/version") == "200"
    assert stack.asks_the_proxy("POST", "/containers/create") in {"403", "405"}
    assert stack.asks_the_proxy("GET", f"/containers/{stack.container('traefik')}/archive?path=/") == "403"

    async def scraped() -> bool:
        return await stack.targets() == {"bluegreen": "up", "traefik": "up"}

    assert await eventually(scraped)

    stack.compose("up", "-d", "--force-recreate", "--no-deps", "bluegreen")
    await until_healthy(stack.docker, stack.container("bluegreen"))
    status = await stack.until("steady")
    assert (status["active"], status["colours"]["green"]["version"]) == ("blue", "2")
    assert [one["outcome"] for one in status["quarantined"]] == ["rolled-back"]
    await stack.until_routed("shop blue 1")
