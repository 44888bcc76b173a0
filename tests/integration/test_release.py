"""The main job on a real Traefik: a release takes over after its gates, and nothing is lost on the way."""

import asyncio
from functools import partial
from typing import Any

from bench.engine import Engine
from provider.traefik.process import free_ports
from tests.support.daemon import FAST_CHECKS, Daemon, StartDaemon
from tests.support.release import HOST, IN_DOCKER, fixed, routed_shop, until_routed
from tests.support.traefik import Load, StartBackend, StartTraefik
from tests.support.waiting import eventually


async def test_a_new_release_takes_over_after_its_checks_and_loses_nothing(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """The daemon's main job, P1 and P3, with fixed servers."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, None))
    traefik = await start_traefik(daemon.endpoint)
    await daemon.until("shop", active="blue", phase="steady")
    async with Load(traefik.url("web"), HOST) as warm_up:
        await warm_up.until_answer("one")
    async with Load(traefik.url("web"), HOST) as load:
        await load.until_all("one")
        daemon.write(fixed(blue, green))
        await load.until_all("two")
        assert (await daemon.status("shop"))["active"] == "green"
    assert load.failures == []
    assert set(load.answers) == {"one", "two"}


async def test_twenty_switches_under_load_fail_no_request(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P3, P4: the file names one colour after the other."""
    daemon, traefik, blue, green = await routed_shop(start_daemon, start_traefik, start_backend)
    async with Load(traefik.url("web"), HOST) as load:
        for number in range(20):
            colour, body = ("green", "two") if number % 2 == 0 else ("blue", "one")
            daemon.write(fixed(blue, green, active=colour))
            await load.until_all(body)
    assert load.failures == []
    assert await daemon.metric("bluegreen_switches_total", service="shop", colour="green", trigger="file") == 10


async def test_a_release_that_never_gets_healthy_never_gets_traffic(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P1, P9, P10: it expires, is quarantined, and is not tried again."""
    blue, green = await start_backend("one"), await start_backend("two")
    green.hangs_up = True
    checks = FAST_CHECKS.replace("{", "{mode: http, ", 1)
    strict = partial(fixed, blue, health=checks, deadlines="waiting: 1s, confirming: 200ms")
    daemon = await start_daemon(strict(None))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    async with Load(traefik.url("web"), HOST) as load:
        daemon.write(strict(green))
        status = await eventually(lambda: quarantined(daemon))
        assert status["active"] == "blue"
        assert status["phase"] == "steady"
        assert "quarantined" in status["blocking"]
        await load.until_answer("one", count=50)
    assert load.failures == []
    assert green.requests.keys() == {"/"}
    assert await daemon.metric("bluegreen_rollouts_total", service="shop", outcome="expired") == 1
    green.hangs_up = False
    daemon.write(strict(green).replace("version: 'two'", "version: 'three'"))
    await daemon.until("shop", active="green", phase="steady")


async def test_a_container_in_the_standby_colour_is_released(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """The daemon's main job on a real Docker Engine; load goes to host networking on loopback."""
    blue_port, green_port = free_ports(2)
    engine.run("shop-blue", "shop", "blue", version="1", host_port=blue_port)
    daemon = await start_daemon(IN_DOCKER, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    async with Load(traefik.url("web"), HOST) as load:
        await load.until_all("shop blue 1\n")
        await asyncio.to_thread(engine.run, "shop-green", "shop", "green", version="2", host_port=green_port)
        await load.until_all("shop green 2\n")
        status = await daemon.status("shop")
        assert status["active"] == "green"
        assert status["colours"]["green"]["version"] == "2"
    assert load.failures == []
    assert await daemon.metric("bluegreen_switches_total", service="shop", colour="green", trigger="docker") == 1


async def quarantined(daemon: Daemon) -> dict[str, Any] | None:
    """Return the status of the shop once something of it is quarantined."""
    status = await daemon.status("shop")
    return status if status["quarantined"] else None
