"""The daemon on a real Docker Engine that goes away, and with containers that restart, or are labelled badly."""

import asyncio
import subprocess
from functools import partial
from typing import Any

from bench.engine import Engine, PrivateEngine
from provider.traefik.process import Traefik, free_ports
from tests.support.components import program
from tests.support.daemon import Daemon, StartDaemon
from tests.support.release import HOST, IN_DOCKER, until_routed
from tests.support.traefik import Load, StartTraefik
from tests.support.waiting import eventually

SETTLING = IN_DOCKER.replace("settle: 200ms", "settle: 5s")


async def two_that_drain(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> tuple[Daemon, Traefik, dict[int, str]]:
    """Start two containers of blue that drain, and wait until both are routed; return the containers by port."""
    ports = free_ports(2)
    containers = {
        port: engine.run(f"shop-{port}", "shop", "blue", version="1", host_port=port, drains=True) for port in ports
    }
    daemon = await start_daemon(IN_DOCKER, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await eventually(lambda: routed(traefik, *ports))
    return daemon, traefik, containers


async def test_restarting_the_active_containers_one_by_one_fails_no_request(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """Rule 4: a server leaves at once when it is asked to stop, and is back when it is healthy again."""
    daemon, traefik, containers = await two_that_drain(start_daemon, start_traefik, engine)
    ports = list(containers)
    async with Load(traefik.url("web"), HOST) as load:
        for port, container in containers.items():
            restart = asyncio.create_task(asyncio.to_thread(engine.api.restart, container, timeout=60))
            await eventually(partial(routed, traefik, *(other for other in ports if other != port)))
            await load.until_answer("shop blue 1\n", count=50)
            await asyncio.to_thread(engine.drained, container)
            await restart
            await eventually(lambda: routed(traefik, *ports))
            await load.until_answer("shop blue 1\n", count=50)
    assert load.failures == []
    assert (await daemon.until("shop", active="blue", rollout=None))["conditions"] == []


async def test_the_last_server_of_the_active_colour_stays_while_its_container_runs(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """Rule 4; when it is gone by Docker's own word the colour keeps its place without servers."""
    daemon, traefik, containers = await two_that_drain(start_daemon, start_traefik, engine)
    ports = list(containers)
    async with Load(traefik.url("web"), HOST) as load:
        for port, container in containers.items():
            await asyncio.to_thread(engine.api.kill, container, signal="TERM")
            await eventually(partial(leaving, daemon, port))
            await eventually(lambda: routed(traefik, ports[1]))
        await load.until_answer("shop blue 1\n", count=50)
    assert load.failures == []
    for container in containers.values():
        await asyncio.to_thread(engine.drained, container)
    await eventually(lambda: routed(traefik))
    status = await daemon.until("shop", active="blue", rollout=None)
    assert [condition["code"] for condition in status["conditions"]] == ["no-servers"]


async def test_replacing_the_active_colour_in_place_is_recorded_and_starts_no_rollout(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """Rule 3."""
    (port,) = free_ports(1)
    old = engine.run("shop-old", "shop", "blue", version="1", host_port=port)
    daemon = await start_daemon(IN_DOCKER, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    before = (await daemon.status("shop"))["colours"]["blue"]["release"]
    await asyncio.to_thread(engine.remove, old)
    await asyncio.to_thread(engine.run, "shop-new", "shop", "blue", version="2", host_port=port)
    await until_routed(daemon, traefik.url("web"), "shop blue 2\n")
    await eventually(lambda: daemon.logged("replaced"))
    status = await daemon.until("shop", active="blue", rollout=None)
    after = status["colours"]["blue"]["release"]
    (condition,) = status["conditions"]
    assert condition["code"] == "replaced"
    assert after in condition["message"]
    assert before in condition["message"]
    assert [(line["service"], line["release"]) for line in daemon.logged("replaced")] == [("shop", after)]
    assert daemon.logged("begun") == []


async def test_while_the_engine_is_stopped_nothing_is_lost_or_switched_and_it_recovers_by_itself(
    start_daemon: StartDaemon, start_traefik: StartTraefik, restartable_engine: PrivateEngine
) -> None:
    """Rules 4 and 6. The engine stops its containers with it."""
    engine = restartable_engine
    blue_port, green_port = free_ports(2)
    blue = engine.run("shop-blue", "shop", "blue", version="1", host_port=blue_port)
    daemon = await start_daemon(SETTLING, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await eventually(lambda: routed(traefik, blue_port))
    assert await daemon.metric("bluegreen_docker_connected") == 1
    green = await asyncio.to_thread(engine.run, "shop-green", "shop", "green", version="2", host_port=green_port)
    await daemon.until("shop", phase="waiting")
    await asyncio.to_thread(engine.stop)
    away = await daemon.until_condition("docker-away")
    assert "no release is switched to" in away["message"]
    assert await daemon.metric("bluegreen_docker_connected") == 0
    document = await daemon.document()
    assert document["http"]["services"]["shop"]["weighted"]["services"] == [{"name": "shop-blue", "weight": 100}]
    await asyncio.to_thread(engine.start)
    await daemon.until_condition("docker-away", holds=False)
    assert await daemon.metric("bluegreen_docker_connected") == 1
    assert (await daemon.status("shop"))["active"] == "blue"
    engine.api.start(blue)
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    engine.api.start(green)
    await until_routed(daemon, traefik.url("web"), "shop green 2\n")
    assert len(daemon.logged("docker does not answer")) == 1
    assert len(daemon.logged("docker answers")) == 2


async def test_a_frozen_engine_switches_nothing_until_it_answers_again(
    start_daemon: StartDaemon, start_traefik: StartTraefik, restartable_engine: PrivateEngine
) -> None:
    """Rule 6: the candidate passes its checks, and cannot be listed once more."""
    engine = restartable_engine
    blue_port, green_port = free_ports(2)
    engine.run("shop-blue", "shop", "blue", version="1", host_port=blue_port)
    daemon = await start_daemon(SETTLING, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    async with Load(traefik.url("web"), HOST) as load:
        await load.until_all("shop blue 1\n")
        await asyncio.to_thread(engine.run, "shop-green", "shop", "green", version="2", host_port=green_port)
        await daemon.until("shop", phase="waiting")
        engine.freeze()
        await eventually(lambda: daemon.logged("ready"))
        await daemon.until_condition("docker-away")
        assert await daemon.metric("bluegreen_docker_connected") == 0
        status = await daemon.until("shop", phase="waiting", active="blue")
        assert "Docker does not answer" in status["blocking"]
        assert set(load.answers) == {"shop blue 1\n"}
        engine.thaw()
        await load.until_all("shop green 2\n")
        await daemon.until_condition("docker-away", holds=False)
    assert load.failures == []
    assert set(load.answers) == {"shop blue 1\n", "shop green 2\n"}


async def test_a_release_of_containers_survives_a_kill_at_each_of_its_moments(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """P4, P5, rule 6."""
    ports = free_ports(4)
    old = engine.run("shop-0", "shop", "blue", version="0", host_port=ports[0])
    daemon = await start_daemon(IN_DOCKER, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "shop blue 0\n")
    async with Load(traefik.url("web"), HOST) as load:
        for number, moment in enumerate(("begun", "ready", "shifted"), 1):
            colour = ("blue", "green")[number % 2]
            start = partial(engine.run, version=str(number), host_port=ports[number])
            new = await asyncio.to_thread(start, f"shop-{number}", "shop", colour)
            await eventually(partial(daemon.logged, moment, rollout=f"r{number}"))
            await daemon.kill()
            await daemon.start()
            await load.until_all(f"shop {colour} {number}\n")
            await asyncio.to_thread(engine.remove, old)
            old = new
    assert load.failures == []
    assert [line["rollout"] for line in daemon.logged("begun")] == ["r1", "r2", "r3"]


async def test_a_start_without_the_engine_serves_what_was_last_seen_and_is_corrected_later(
    start_daemon: StartDaemon, restartable_engine: PrivateEngine
) -> None:
    """Rule 4."""
    engine = restartable_engine
    (port,) = free_ports(1)
    blue = engine.run("shop-blue", "shop", "blue", version="1", host_port=port)
    daemon = await start_daemon(IN_DOCKER, docker=engine.url)
    document = await eventually(daemon.document)
    await daemon.stop()
    await asyncio.to_thread(engine.stop)
    await daemon.start()
    assert await eventually(daemon.document) == document
    await daemon.until_condition("docker-away")
    assert await daemon.document() == document
    await asyncio.to_thread(engine.start)
    engine.remove(blue)
    status = await eventually(lambda: without_servers(daemon))
    assert (status["active"], [condition["code"] for condition in status["conditions"]]) == ("blue", ["no-servers"])


async def test_before_the_first_list_nothing_is_known_and_nothing_served(start_daemon: StartDaemon) -> None:
    """Rule 1."""
    daemon = await start_daemon(IN_DOCKER, docker="unix:///nonexistent/docker.sock")
    await daemon.until_condition("docker-away")
    for path in ("/traefik", "/readyz"):
        status, body, _ = await daemon.get(path)
        assert status == 503
        assert "service shop waits for Docker's first complete list" in body.decode()
    assert (await daemon.status("shop"))["colours"]["blue"]["state"] == "unknown"


async def test_a_container_with_bad_labels_is_ignored_and_named_once(start_daemon: StartDaemon, engine: Engine) -> None:
    """P11: the others are served."""
    (port,) = free_ports(1)
    engine.run("shop-good", "shop", "blue", version="1", host_port=port)
    red = engine.run("shop-red", "shop", "red", version="1")
    named = engine.run("shop-named", "shop", "blue", version="1", labels={"bluegreen.port": "http"})
    ghost = engine.run("ghost-blue", "ghost", "blue", version="1")
    daemon = await start_daemon(IN_DOCKER, docker=engine.url)
    await eventually(daemon.document)
    condition = await daemon.until_condition("containers")
    expected = {
        "shop-red": "ignored: bluegreen.colour=red: the colour must be blue or green",
        "shop-named": "ignored: bluegreen.port=http: the port must be a number from 1 to 65535",
    }
    assert condition["message"] == "; ".join(f"{name}: {why}" for name, why in sorted(expected.items()))
    assert [line["containers"] for line in daemon.logged("containers need a look")] == [expected]
    status = await daemon.status("shop")
    assert [server["url"] for server in status["colours"]["blue"]["servers"]] == [f"http://127.0.0.1:{port}"]
    assert (await daemon.status())["unnamed"] == ["ghost"]
    assert "ghost" in (await daemon.until_condition("not-in-file"))["message"]
    engine.remove(red, named, ghost)
    await daemon.until_condition("containers", holds=False)
    await daemon.until_condition("not-in-file", holds=False)
    assert (await daemon.status())["unnamed"] == []


async def test_promtool_finds_nothing_wrong_with_the_metrics(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """After a release of containers, with a Traefik that polls."""
    promtool = program("promtool", "promtool")
    blue_port, green_port = free_ports(2)
    engine.run("shop-blue", "shop", "blue", version="1", host_port=blue_port)
    daemon = await start_daemon(IN_DOCKER, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    await asyncio.to_thread(engine.run, "shop-green", "shop", "green", version="2", host_port=green_port)
    await until_routed(daemon, traefik.url("web"), "shop green 2\n")
    await eventually(lambda: daemon.metric("bluegreen_poller_revision", poller="127.0.0.1"))
    _, scrape, _ = await daemon.get("/metrics")
    for name in ("rollout_phase_duration_seconds_bucket", "docker_events_total", "polls_total", "switches_total"):
        assert f"\nbluegreen_{name}{{" in scrape.decode()
    found = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=scrape, capture_output=True, check=False
    )
    assert (found.returncode, found.stdout, found.stderr) == (0, b"", b"")


async def routed(traefik: Traefik, *ports: int) -> bool:
    """Tell whether exactly the servers on these ports are what Traefik routes the shop's blue colour to."""
    service: Any = await traefik.service("shop-blue") or {}
    found = {server["url"] for server in service.get("loadBalancer", {}).get("servers") or ()}
    return found == {f"http://127.0.0.1:{port}" for port in ports}


async def leaving(daemon: Daemon, port: int) -> bool:
    """Tell whether the server on a port was asked to stop."""
    servers = (await daemon.status("shop"))["colours"]["blue"]["servers"]
    return any(server["leaving"] for server in servers if server["url"].endswith(f":{port}"))


async def without_servers(daemon: Daemon) -> dict[str, Any] | None:
    """Return the status of the shop once blue has no servers in the document."""
    blue = (await daemon.document())["http"]["services"]["shop-blue"]
    return None if blue["loadBalancer"]["servers"] else await daemon.status("shop")
