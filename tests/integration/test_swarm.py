"""A Swarm of two nodes, with the daemon and a real Traefik at its edge (rules 66 to 68)."""

import asyncio
import json
import os
import sys
from functools import partial
from typing import Any

import pytest

from tests.support.daemon import Daemon, StartDaemon
from tests.support.paths import ROOT
from tests.support.release import HOST, HTTP_CHECKS, until_routed
from tests.support.swarm import Swarm
from tests.support.traefik import Load, StartTraefik
from tests.support.waiting import eventually

IN_SWARM = ("--docker-mode", "swarm")
LIMIT_S = 180.0
"""Swarm takes its time to move a task, and more on a busy machine."""


def desired(service: str) -> str:
    """Return a desired state with one service."""
    return f"""\
environment: production
services:
  {service}:
    router: {{rule: "Host(`{HOST}`)", entryPoints: [web]}}
    settle: 200ms
    healthCheck: {HTTP_CHECKS}
    deadlines: {{confirming: 200ms}}
    watch: 0s
"""


def stack(service: str, *, blue: int) -> str:
    """Return a stack file with both colours of a service, of which green has no tasks yet."""
    return f"""\
version: "3.8"
networks:
  web: {{external: true}}
x-application: &application
  image: shop:1
  networks: [web]
  labels: {{bluegreen.version: "1"}}
services:
  blue:
    <<: *application
    deploy:
      replicas: {blue}
      labels: {{bluegreen.service: {service}, bluegreen.colour: blue, bluegreen.port: "8080"}}
  green:
    <<: *application
    deploy:
      replicas: 0
      labels: {{bluegreen.service: {service}, bluegreen.colour: green, bluegreen.port: "8080"}}
"""


def example() -> str:
    """Return deploy/swarm/shop.yaml with our image, which writes a file at its start."""
    text = (ROOT / "deploy" / "swarm" / "shop.yaml").read_text()
    for colour in ("BLUE", "GREEN"):
        text = text.replace(f"${{{colour}_IMAGE:-traefik/whoami:v1.10}}", "shop:1")
    assert text.count("shop:1") == 2
    return text.replace("read_only: true", "read_only: false")


@pytest.mark.takes(35)
async def test_releases_scaling_and_a_drained_node_lose_no_request(
    edge: Swarm, start_daemon: StartDaemon, start_traefik: StartTraefik
) -> None:
    """Rules 66 to 68: create, update, scale, drain a node, roll back, with a service that has tasks on both nodes."""
    await asyncio.to_thread(edge.build, "2", "3")
    await asyncio.to_thread(edge.deploy, "shop", example())
    daemon = await start_daemon(desired("shop"), *IN_SWARM, docker=edge.url)
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "shop 1\n")
    async with Load(traefik.url("web"), HOST) as load:
        await load.until_all("shop 1\n", limit_s=LIMIT_S)
        await asyncio.to_thread(edge.update, "shop_green", "--image", "shop:2", "--replicas", "2")
        await load.until_all("shop 2\n", limit_s=LIMIT_S)
        await daemon.until("shop", active="green", rollout=None)

        await asyncio.to_thread(edge.update, "shop_green", "--replicas", "4")
        await eventually(partial(serving, daemon, 4), limit_s=LIMIT_S)
        await asyncio.to_thread(edge.update, "shop_green", "--replicas", "2")
        await eventually(partial(serving, daemon, 2), limit_s=LIMIT_S)
        await asyncio.to_thread(edge.docker, "node", "update", "--availability", "drain", edge.worker_id())
        await eventually(partial(moved, edge, daemon), limit_s=LIMIT_S)

        # One task after the other: the colour is mixed until the last one, and is not switched to.
        await asyncio.to_thread(edge.update, "shop_blue", "--image", "shop:3", "--update-delay", "1h")
        status = await eventually(partial(mixed, daemon), limit_s=LIMIT_S)
        assert (status["active"], status["rollout"]) == ("green", None)
        await daemon.until_checked(20)
        assert (await daemon.status("shop"))["active"] == "green"
        await asyncio.to_thread(edge.update, "shop_blue", "--update-delay", "0s")
        await load.until_all("shop 3\n", limit_s=LIMIT_S)
        await daemon.until("shop", active="blue", rollout=None)

        code, _ = await daemon.command("shop", "rollback")
        assert code == 200
        await load.until_all("shop 2\n", limit_s=LIMIT_S)
    assert load.failures == []
    assert set(load.answers) == {"shop 1\n", "shop 2\n", "shop 3\n"}
    assert [row["colour"] for row in await daemon.history("shop", "begun")] == ["blue", "green"]


@pytest.mark.takes(25)
async def test_deploy_updates_the_service_of_the_standby_and_follows_its_rollout(
    edge: Swarm, start_daemon: StartDaemon
) -> None:
    """Rules 17 and 68: exit codes and messages are those of a deployment with Compose."""
    await asyncio.to_thread(edge.build, "2")
    await asyncio.to_thread(edge.deploy, "mail", stack("mail", blue=1))
    daemon = await start_daemon(desired("mail"), docker=edge.url)  # by default it follows what the engine has
    await daemon.until("mail", active="blue")
    code, text = await bluegreen(edge, daemon, "deploy", "mail", "--swarm", "--image", "shop:2", "-e", "GREETING=hello")
    assert code == 0, text
    assert "$ docker service update" in text
    assert "mail: blue is active; the standby green is empty" in text
    assert "is active in green, and its watch is over; blue is the rollback target while it runs" in text
    status = await daemon.until("mail", active="green", phase="steady")
    assert (status["colours"]["green"]["version"], len(status["colours"]["green"]["servers"])) == ("2", 1)

    # A task that dies is another container in the same slot.
    before = status["colours"]["green"]["servers"][0]["container"]
    await asyncio.to_thread(edge.kill_task, "mail_green")
    await eventually(lambda: daemon.logged("a task died", service="mail", slot="1"), limit_s=LIMIT_S)

    code, text = await bluegreen(edge, daemon, "deploy", "mail", "--swarm", "--image", "missing:1")
    assert code == 1, text
    assert "docker failed with exit code 1, and nothing was switched" in text
    assert "docker service ps --no-trunc mail_blue" in text
    status = await daemon.until("mail", active="green", rollout=None)
    assert [server["container"] for server in status["colours"]["green"]["servers"]] != [before]

    await asyncio.to_thread(edge.update, "mail_blue", "--label-rm", "bluegreen.port")
    code, text = await bluegreen(edge, daemon, "deploy", "mail", "--swarm", "--image", "shop:2")
    assert code == 3, text
    assert "mail: not started; mail_blue: no label bluegreen.port, which a Swarm service needs" in text
    condition = await daemon.until_condition("containers")
    assert condition["message"].startswith("mail_blue: ignored: no label")
    flags = ("--docker", edge.url, "--traefik", "none", "--json")
    code, text = await bluegreen(edge, daemon, "doctor", *flags)
    assert code == 3, text
    found = {(one["code"], one["where"]): one["what"] for one in json.loads(text)["findings"]}
    ignored = found["swarm-service-ignored", "Swarm service mail_blue"]
    assert ignored == "the daemon ignores it: no label bluegreen.port, which a Swarm service needs"
    assert "No such image: missing:1" in found["swarm-tasks-fail", "Swarm service mail_blue"]


@pytest.mark.takes(10)
async def test_while_the_manager_is_away_its_last_tasks_are_served_and_nothing_is_switched(
    edge: Swarm, start_daemon: StartDaemon
) -> None:
    """P4, rules 4 and 6."""
    await asyncio.to_thread(edge.deploy, "news", stack("news", blue=1))
    daemon = await start_daemon(desired("news"), *IN_SWARM, docker=edge.url)
    (before,) = await eventually(partial(published, daemon), limit_s=LIMIT_S)
    with edge.frozen():
        away = await daemon.until_condition("docker-away")
        assert "no release is switched to" in away["message"]
        await daemon.until_checked(2)
        assert await published(daemon) == [before]
    await daemon.until_condition("docker-away", holds=False)
    await asyncio.to_thread(edge.docker, "service", "rm", "news_blue")
    await eventually(partial(gone, daemon), limit_s=LIMIT_S)


async def published(daemon: Daemon) -> list[str]:
    """Return the containers of blue that are in the document and healthy."""
    servers = (await daemon.status("news"))["colours"]["blue"]["servers"]
    return [one["container"] for one in servers if one["published"] and one["health"] == "healthy"]


async def gone(daemon: Daemon) -> bool:
    """Tell whether blue has no servers left, and keeps its place."""
    status = await daemon.status("news")
    return status["active"] == "blue" and not status["colours"]["blue"]["servers"]


async def bluegreen(swarm: Swarm, daemon: Daemon, *arguments: str) -> tuple[int, str]:
    """Run a verb of a client, whose docker is that of the manager."""
    own = {"DOCKER_HOST": swarm.url, "BLUEGREEN_ADMIN": daemon.admin_url, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "provider", *arguments),
        env={**os.environ, **own},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    text, _ = await process.communicate()
    return process.returncode or 0, text.decode()


async def serving(daemon: Daemon, count: int) -> bool:
    """Tell whether so many tasks of green are to stay, and are healthy."""
    servers = (await daemon.status("shop"))["colours"]["green"]["servers"]
    staying = [server["health"] for server in servers if not server["leaving"]]
    return staying == ["healthy"] * count


async def mixed(daemon: Daemon) -> dict[str, Any]:
    """Return the status while blue is mixed, else nothing."""
    status = await daemon.status("shop")
    return status if status["colours"]["blue"]["state"] == "mixed" else {}


async def moved(swarm: Swarm, daemon: Daemon) -> bool:
    """Tell whether no task is left on the worker, and green has two elsewhere."""
    filters = ("--filter", "desired-state=running")
    there = await asyncio.to_thread(swarm.docker, "node", "ps", "--quiet", *filters, swarm.worker_id())
    return not there and await serving(daemon, 2)
