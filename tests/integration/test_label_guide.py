"""docs/labels.md as it is written: its compose file and its commands on a real engine, through a real Traefik."""

import json
from pathlib import Path

import aiohttp
import pytest
import yaml

from bench.engine import Engine
from provider.traefik.process import LOOPBACK, free_ports
from tests.support.commands import Operator, cleared
from tests.support.daemon import Daemon, StartDaemon
from tests.support.pages import PAGES, blocks_by_heading
from tests.support.sockets import NewLoad
from tests.support.traefik import StartTraefik
from tests.support.waiting import eventually

PAGE = PAGES["docs/labels.md"].read_text()
WITHOUT, WITH = "Without a file", "With a file"
YAML, TYPED = blocks_by_heading(PAGE, "yaml"), blocks_by_heading(PAGE, "console")
IMAGE = "registry.example.com/shop"


def typed(heading: str) -> list[str]:
    """Return the commands under a heading of the page."""
    return [line.removeprefix("$ ") for block in TYPED[heading] for line in block.splitlines()]


def served(daemon: Daemon, line: str) -> None:
    """Have the daemon be started as the page says, but for the places."""
    options = line.split()
    assert options[:2] == ["bluegreen", "serve"]
    own = {"--desired-state": str(daemon.file), "--state-dir": str(daemon.state)}
    given = [own.get(option, value) for option, value in zip(options[2::2], options[3::2], strict=True)]
    daemon.arguments[:4] = [word for pair in zip(options[2::2], given, strict=True) for word in pair]


@pytest.mark.takes(60)
async def test_the_guide_of_labels_runs_as_it_is_written(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine, tmp_path: Path
) -> None:
    """Rules 34 to 36: two releases and a rollback without a file, then the same service with one."""
    for tag in ("1.4.1", "1.4.2"):
        engine.build(f"{IMAGE}:{tag}", more=f"ENV BODY={tag}\n")
    engine.network("web")
    compose, static = YAML[WITHOUT]
    (tmp_path / "compose.yaml").write_text(compose)
    serve, first, second, rollback = typed(WITHOUT)
    daemon = await start_daemon("", docker=engine.url, start=False)
    served(daemon, serve)
    await daemon.start()
    (secure,) = free_ports(1)
    constraints = yaml.safe_load(static)["providers"]["docker"]["constraints"]
    traefik = await start_traefik(
        daemon.endpoint, docker=engine.url, constraints=constraints, entry_points={"websecure": secure}
    )
    operator = Operator(daemon, engine.url, tmp_path)

    async def ask() -> str:
        url, headers = f"https://{LOOPBACK}:{secure}", {"Host": "shop.example.com"}
        async with aiohttp.ClientSession() as session, session.get(url, headers=headers, ssl=False) as answer:
            assert (answer.status, answer.headers.get("X-Frame-Options")) == (200, "DENY")
            return (await answer.text()).strip()

    with cleared(engine):
        code, said = await operator.run(first)
        assert code == 0, said
        await daemon.until("shop", active="blue")
        await eventually(ask)
        await in_good_order(operator, traefik.api)
        async with NewLoad(ask) as load:
            await load.until_answer("1.4.1", 20)
            (tmp_path / "wrong.yaml").write_text(compose.replace("routers.shop.entrypoints", "routers.shop.entrypoint"))
            code, said = await operator.run(second.replace("compose.yaml", "wrong.yaml"))
            assert (code, "traefik.http.routers.shop.entrypoint=websecure" in said) == (3, True), said

            deployment = await operator.begin(second)
            await load.until_answer("1.4.2", 20)
            code, said = await operator.run(rollback)
            assert code == 0, said
            await load.until_answer("1.4.1", 20)
            code, said = await operator.end(deployment)
            assert (code, "rolled back" in said or "rolled-back" in said) == (4, True), said

            await daemon.stop()
            file = YAML[WITH][0].replace("http://127.0.0.1:8080", traefik.api)
            daemon.write(file)
            (with_file,) = typed(WITH)
            served(daemon, with_file)
            await daemon.start()
            await daemon.until("shop", active="blue", confirmed=True)
            await load.until_answer("1.4.1", 20)
            daemon.write(YAML[WITH][1])
            await daemon.until("pay", active=None)
            await load.until_answer("1.4.1", 20)
        assert load.failures == []
        assert set(load.answers) == {"1.4.1", "1.4.2"}


async def in_good_order(operator: Operator, api: str) -> None:
    """Have the doctor check the set-up of the page, which says nothing of health and of the places of files."""
    _, said = await operator.run(f"bluegreen doctor --json --traefik {api} --docker {operator.engine}")
    found = {one["code"]: one["what"] for one in json.loads(said)["findings"] if one["severity"] != "info"}
    assert found.keys() <= {"no-health-check", "secret-readable"}, found
