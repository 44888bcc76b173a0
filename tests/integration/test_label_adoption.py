"""From Traefik's Docker provider to the daemon with the labels as they are, on a real engine under load (rule 36)."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from bench.engine import IMAGE, SECOND_NS, Engine
from provider.cli.deploy.engine import addresses_of
from provider.cli.doctor.checks.adoption import CONSTRAINT
from tests.support.commands import Operator, cleared
from tests.support.daemon import FAST_CHECKS, StartDaemon
from tests.support.release import HOST
from tests.support.sockets import NewLoad
from tests.support.traefik import FileTraefik, Relay, StartTraefik
from tests.support.waiting import eventually

RULE = f"Host(`{HOST}`)"
AUTO = f"""\
environment: production
services: auto
defaults:
  settle: 200ms
  healthCheck: {FAST_CHECKS}
  deadlines: {{confirming: 200ms}}
  watch: 0s
"""
LABELS = {
    "traefik.enable": "true",
    "traefik.http.routers.shop.rule": RULE,
    "traefik.http.routers.shop.entrypoints": "web",
    "traefik.http.routers.shop.middlewares": "frame",
    "traefik.http.middlewares.frame.headers.framedeny": "true",
}
OURS = {"bluegreen.service": "shop", "bluegreen.environment": "production", "com.docker.compose.project": "shop-blue"}
COMPOSE = f"""\
services:
  app:
    image: {IMAGE}
    environment: {{BODY: "shop ${{TAG}}"}}
    network_mode: bridge
    labels:
      bluegreen.service: shop
      bluegreen.environment: production
      {{labels}}
"""
OTHER = {
    "http": {
        "routers": {"admin": {"rule": "Host(`admin.example.com`)", "service": "none", "middlewares": ["frame@docker"]}},
        "services": {"none": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:9"}]}}},
    }
}


def start(engine: Engine, name: str, body: str, labels: Mapping[str, str]) -> str:
    """Start a container as its operator does, with a HEALTHCHECK: Traefik's provider sends it nothing before."""
    test = ["CMD", "/bin/busybox", "wget", "-q", "-O", "-", "http://127.0.0.1:80/healthz"]
    id_ = str(
        engine.api.create_container(
            IMAGE,
            name=name,
            environment={"BODY": body},
            labels=dict(labels),
            healthcheck={"test": test, "interval": SECOND_NS // 4, "timeout": 30 * SECOND_NS, "retries": 1},
        )["Id"]
    )
    engine.adopt(id_)
    engine.api.start(id_)
    return id_


async def routers(traefik: FileTraefik) -> dict[str, object]:
    """Return the priority of each router with the rule, by its name with the provider."""
    found = (await traefik.raw_data()).get("routers", {})
    return {name: body["priority"] for name, body in found.items() if body.get("rule") == RULE}


def port_of(traefik: FileTraefik) -> int:
    return URL(traefik.url("web")).port or 80


async def has(traefik: FileTraefik, *names: str) -> bool:
    return (await routers(traefik)).keys() == set(names)


class Site:
    """Clients before a relay that leads to one Traefik, or to another that stands for its restart."""

    def __init__(self, operator: Operator, engine: Engine, traefik: FileTraefik, relay: Relay) -> None:
        self.operator, self.engine, self.traefik, self.relay = operator, engine, traefik, relay

    async def ask(self) -> str:
        """Ask on a connection of its own; every answer has been through the middleware of the labels."""
        url, headers = self.relay.url, {"Host": HOST}
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
            body = (await answer.text()).strip()
            assert (answer.status, answer.headers.get("X-Frame-Options")) == (200, "DENY"), body
            return body

    async def restart(self, after: FileTraefik) -> None:
        """Lead new connections to a Traefik that is ready, and end the other when it has none any more."""
        await eventually(lambda: has(after, "shop@http"))
        self.relay.lead(port_of(after))
        await self.relay.idle()
        await self.traefik.end()
        self.traefik = after

    async def doctor(self) -> dict[str, str]:
        """Return each finding by its code."""
        command = f"bluegreen doctor --json --traefik {self.traefik.api} --docker {self.engine.url}"
        _, said = await self.operator.run(command)
        return {one["code"]: f"{one['where']}: {one['what']}" for one in json.loads(said)["findings"]}

    async def deploy(self) -> tuple[int | None, str]:
        """Start release 2 in the standby colour."""
        return await self.operator.run(f"bluegreen deploy shop -f compose.yaml -e TAG=2 --traefik {self.traefik.api}")


@pytest.fixture
def folder(engine: Engine, tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "shop"
    made.mkdir()
    labels = "\n      ".join(map(written, LABELS.items()))
    (made / "compose.yaml").write_text(COMPOSE.replace("{labels}", labels))
    with cleared(engine):
        yield made


@pytest.mark.takes(45)
async def test_containers_that_traefik_reads_are_adopted_without_a_lost_request(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine, folder: Path, tmp_path: Path
) -> None:
    """Rules 15 and 36: the daemon beside Traefik's provider, then the constraint, then a second colour."""
    files = tmp_path / "dynamic"
    files.mkdir()
    (files / "admin.yaml").write_text(json.dumps(OTHER))
    start(engine, "shop-blue", "shop 1", LABELS | OURS)
    daemon = await start_daemon(AUTO, docker=engine.url, start=False)
    traefik = await start_traefik(daemon.endpoint, docker=engine.url, files=files)
    await eventually(lambda: has(traefik, "shop@docker"))
    async with Relay(port_of(traefik)) as relay:
        site = Site(Operator(daemon, engine.url, folder), engine, traefik, relay)
        async with NewLoad(site.ask) as load:
            await load.until_answer("shop 1", 20)
            await daemon.start()
            await eventually(lambda: has(traefik, "shop@docker", "shop@http"))
            assert await routers(traefik) == {"shop@docker": len(RULE), "shop@http": len(RULE) + 1}
            await load.until_answer("shop 1", 50)

            code, said = await site.deploy()
            assert (code, f"add {CONSTRAINT} to the constraints" in said) == (3, True), said
            found = await site.doctor()
            assert {"seen-by-traefik", "reference-lost", "router-doubled"} <= found.keys()
            assert "router admin@file" in found["reference-lost"]
            (files / "admin.yaml").write_text(json.dumps(OTHER).replace("frame@docker", "shop-frame@http"))

            constrained = await start_traefik(daemon.endpoint, docker=engine.url, files=files, constraints=CONSTRAINT)
            await site.restart(constrained)
            assert await has(constrained, "shop@http")
            await load.until_answer("shop 1", 50)
            found = await site.doctor()
            assert not {"seen-by-traefik", "reference-lost", "router-doubled", "router-broken"} & found.keys(), found

            code, said = await site.deploy()
            assert code == 0, said
            await load.until_answer("shop 2", 50)
            code, said = await site.operator.run("bluegreen rollback shop")
            assert code == 0, said
            await load.until_answer("shop 1", 50)
    assert load.failures == []
    assert set(load.answers) == {"shop 1", "shop 2"}


@pytest.mark.takes(30)
async def test_blue_takes_over_from_an_old_container_where_the_constraint_was_there_first(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine, folder: Path
) -> None:
    """Rule 36: otherwise Traefik finds two definitions of the router, and deletes it."""
    old = start(engine, "shop", "old", LABELS)
    daemon = await start_daemon(AUTO, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint, docker=engine.url, constraints=CONSTRAINT)
    await eventually(lambda: has(traefik, "shop@docker"))
    async with Relay(port_of(traefik)) as relay:
        site = Site(Operator(daemon, engine.url, folder), engine, traefik, relay)
        async with NewLoad(site.ask) as load:
            await load.until_answer("old", 20)
            await asyncio.to_thread(start, engine, "shop-blue", "shop 1", LABELS | OURS)
            await eventually(lambda: has(traefik, "shop@docker", "shop@http"))
            await load.until_answer("shop 1", 50)
            await asyncio.to_thread(engine.api.stop, old, timeout=30)
            await eventually(lambda: has(traefik, "shop@http"))
            code, said = await site.deploy()
            assert code == 0, said
            await load.until_answer("shop 2", 50)
    assert load.failures == []
    assert set(load.answers) == {"old", "shop 1", "shop 2"}


def test_a_container_is_known_in_all_of_its_networks(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 36: Traefik's own provider may reach it in another one than the daemon does."""
    networks = [engine.network(f"adoption-{name}") for name in ("front", "back")]
    id_ = engine.run("shop-1", "shop", "blue", networks=networks)
    monkeypatch.setenv("DOCKER_HOST", engine.url)
    found = engine.api.inspect_container(id_)["NetworkSettings"]["Networks"]
    assert addresses_of(frozenset({id_[:12]})) == {found[name]["IPAddress"] for name in networks}
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")
    assert addresses_of(frozenset({id_[:12]})) == frozenset()


def written(label: tuple[str, str]) -> str:
    """Write a label of the release; what concerns Traefik's own provider is nothing to the daemon."""
    name, value = label
    return f"{name}: {json.dumps('false' if name == 'traefik.enable' else value)}"
