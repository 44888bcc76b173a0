"""docs/adoption.md, step by step, under load: from Traefik's Docker provider to the daemon, and back from each step."""

import asyncio

from bench.engine import IMAGE, Engine
from provider.traefik.process import free_ports
from tests.support.daemon import FAST_CHECKS, StartDaemon
from tests.support.release import HOST
from tests.support.traefik import FileTraefik, Load, StartTraefik
from tests.support.waiting import eventually

NOTHING = "environment: production\nservices: {}\n"
ADOPTED = f"""\
environment: production
services:
  shop:
    router: {{rule: "Host(`{HOST}`)", entryPoints: [web], middlewares: [secure-headers]}}
    settle: 200ms
    healthCheck: {FAST_CHECKS}
    deadlines: {{confirming: 200ms}}
    watch: 1s
http:
  middlewares:
    secure-headers: {{headers: {{frameDeny: true}}}}
"""
OLD, BLUE, GREEN = "shop old\n", "shop blue 1\n", "shop green 2\n"


def start_old(engine: Engine, port: int) -> str:
    """Start a container as Traefik's Docker provider wants it, on a port of 127.0.0.1; return its id."""
    container = engine.api.create_container(
        IMAGE,
        name="shop",
        environment={"BODY": OLD.strip(), "LISTEN": f"127.0.0.1:{port}"},
        labels={
            "traefik.enable": "true",
            "traefik.http.routers.shop.rule": f"Host(`{HOST}`)",
            "traefik.http.routers.shop.entrypoints": "web",
            "traefik.http.routers.shop.middlewares": "secure-headers",
            "traefik.http.middlewares.secure-headers.headers.frameDeny": "true",
            "traefik.http.services.shop.loadbalancer.server.port": str(port),
        },
        host_config=engine.api.create_host_config(network_mode="host"),
    )["Id"]
    engine.adopt(container)
    engine.api.start(container)
    return str(container)


async def routers(traefik: FileTraefik) -> dict[str, object]:
    """Return the priority of each router that has our rule, by its name with the provider."""
    found = (await traefik.raw_data()).get("routers", {})
    return {name: body["priority"] for name, body in found.items() if body.get("rule") == f"Host(`{HOST}`)"}


async def test_every_step_of_the_adoption_and_every_step_back_loses_no_request(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """Rule 15: with the same rule our router wins, by one."""
    old_port, blue_port, green_port = free_ports(3)
    old = start_old(engine, old_port)
    daemon = await start_daemon(NOTHING, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint, docker=engine.url)
    await eventually(lambda: routed(traefik, "shop@docker"))
    async with Load(traefik.url("web"), HOST) as load:
        await load.until_all(OLD)

        await asyncio.to_thread(engine.run, "shop-blue", "shop", "blue", version="1", host_port=blue_port)
        await daemon.until_condition("not-in-file")
        daemon.write(ADOPTED)
        await load.until_all(BLUE)
        assert await routers(traefik) == {"shop@docker": len(HOST) + 8, "shop@http": len(HOST) + 9}
        daemon.write(NOTHING)
        await load.until_all(OLD)
        daemon.write(ADOPTED)
        await load.until_all(BLUE)

        await asyncio.to_thread(engine.run, "shop-green", "shop", "green", version="2", host_port=green_port)
        await load.until_all(GREEN)
        assert (await daemon.command("shop", "rollback"))[0] == 200
        await load.until_all(BLUE)

        await asyncio.to_thread(engine.api.stop, old, timeout=30)
        await eventually(lambda: routed(traefik, "shop@http"))
        await load.until_answer(BLUE, count=50)
        await asyncio.to_thread(engine.api.start, old)
        await eventually(lambda: routed(traefik, "shop@docker", "shop@http"))
        daemon.write(NOTHING)
        await load.until_all(OLD)
    assert load.failures == []
    assert set(load.answers) == {OLD, BLUE, GREEN}


async def routed(traefik: FileTraefik, *names: str) -> bool:
    return (await routers(traefik)).keys() == set(names)
