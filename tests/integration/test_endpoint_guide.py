"""docs/endpoints.md as it is written: its files and commands, through a real Traefik, containers on a real engine."""

from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml

from bench.engine import Engine
from provider.traefik.process import LOOPBACK, free_ports
from tests.support.commands import Operator, cleared
from tests.support.daemon import StartDaemon
from tests.support.pages import PAGES, blocks_by_heading
from tests.support.sockets import Application, NewLoad, applications, ask_tcp, ask_udp
from tests.support.traefik import Backend, Load, StartTraefik
from tests.support.waiting import eventually

PAGE = PAGES["docs/endpoints.md"].read_text()
YAML, TYPED = blocks_by_heading(PAGE, "yaml"), blocks_by_heading(PAGE, "console")
PORTS, SOCKETS, LABELS = "Several ports", "TCP and UDP", "From labels"
SHOP, BROKER = "registry.example.com/shop", "registry.example.com/broker"
BOTH_PORTS = """\
EXPOSE 8080 9090
CMD ["/bin/busybox", "sh", "-c", "B=/bin/busybox; $B mkdir /www; echo $BODY >/www/index.html; echo well >/www/healthz; \
$B httpd -p 8080 -h /www; exec $B httpd -f -p 9090 -h /www"]
"""
WEB_AND_TCP = """\
EXPOSE 8080 1883
CMD ["/bin/busybox", "sh", "-c", "B=/bin/busybox; $B mkdir /www; echo $BODY >/www/index.html; \
$B httpd -p 8080 -h /www; exec $B nc -ll -p 1883 -e $B sh -c 'while read line; do echo $BODY; done'"]
"""


def typed(heading: str) -> list[str]:
    """Return the commands under a heading of the page."""
    return [line.removeprefix("$ ") for block in TYPED[heading] for line in block.splitlines()]


async def ask_web(url: str, host: str) -> str:
    async with aiohttp.request("GET", url, headers={"Host": host}) as answer:
        body = (await answer.text()).strip()
        assert answer.status == 200, body
        return body


@pytest.fixture
def web_engine(engine: Engine) -> Iterator[Engine]:
    """An engine with the network of the page."""
    engine.network("web")
    with cleared(engine):
        yield engine


@pytest.mark.takes(45)
async def test_several_ports_of_one_application_switch_together(
    start_daemon: StartDaemon, start_traefik: StartTraefik, web_engine: Engine, tmp_path: Path
) -> None:
    """Rule 31."""
    engine = web_engine
    for tag in ("1.4.1", "1.4.2"):
        engine.build(f"{SHOP}:{tag}", more=f"ENV BODY={tag}\n{BOTH_PORTS}")
    file, compose = YAML[PORTS]
    (tmp_path / "compose.yaml").write_text(compose)
    daemon = await start_daemon(file, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    operator = Operator(daemon, engine.url, tmp_path)
    first, second, rollback = typed(PORTS)
    code, said = await operator.run(first)
    assert code == 0, said
    url = traefik.url("web")

    async def ask() -> str:
        return await ask_web(url, "admin.example.com")

    await eventually(ask)
    async with NewLoad(ask) as admin, Load(url, "shop.example.com", clients=2) as shop:
        deployment = await operator.begin(second)
        await shop.until_all("1.4.2\n")
        await admin.until_answer("1.4.2", 20)
        code, said = await operator.run(rollback)
        assert code == 0, said
        await shop.until_all("1.4.1\n")
        await admin.until_answer("1.4.1", 20)
        code, said = await operator.end(deployment)
        assert code == 4, said
    assert (admin.failures, shop.failures) == ([], [])


@pytest.mark.takes(25)
async def test_an_application_of_http_tcp_and_udp_switches_and_goes_back(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend, tmp_path: Path
) -> None:
    """Rules 31 and 32."""
    file, static = YAML[SOCKETS]
    assert {name: each["address"].endswith("/udp") for name, each in yaml.safe_load(static)["entryPoints"].items()} == {
        "web": False,
        "mqtt": False,
        "dns": True,
    }
    mqtt, dns = free_ports(2)
    async with applications(blue, green) as (one, other):
        text = at(at(file, "10.0.8.11", one), "10.0.8.12", other)
        daemon = await start_daemon(text)
        (web,) = free_ports(1)
        traefik = await start_traefik(
            daemon.endpoint, entry_points={"web": web, "mqtt": mqtt}, udp_entry_points={"dns": dns}
        )
        operator = Operator(daemon, "", tmp_path)

        async def answers(colour: str) -> bool:
            try:
                answer = await ask_web(traefik.url("web"), "broker.example.com")
                return {answer, await ask_tcp(mqtt), await ask_udp(dns)} == {colour}
            except OSError:
                return False

        await eventually(lambda: answers("blue"))
        daemon.write(text.replace("active: blue", "active: green"))
        await eventually(lambda: answers("green"))
        await daemon.until("broker", active="green", phase="watching")
        (rollback,) = typed(SOCKETS)
        code, said = await operator.run(rollback)
        assert code == 0, said
        await eventually(lambda: answers("blue"))


def at(file: str, address: str, application: Application) -> str:
    """Put one colour of the page at the addresses of an application."""
    ports = {8080: application.web.port, 1883: application.mqtt.port, 53: application.dns.port}
    for port, own in ports.items():
        file = file.replace(f'{address}:{port}"', f'{LOOPBACK}:{own}"')
    return file


@pytest.mark.takes(30)
async def test_labels_of_http_and_tcp_make_one_service(
    start_daemon: StartDaemon, start_traefik: StartTraefik, web_engine: Engine, tmp_path: Path
) -> None:
    """Rules 34 and 35."""
    engine = web_engine
    engine.build(f"{BROKER}:2.1", more=f"ENV BODY=2.1\n{WEB_AND_TCP}")
    compose, file = YAML[LABELS]
    (tmp_path / "compose.yaml").write_text(compose)
    daemon = await start_daemon(file, docker=engine.url)
    web, mqtt = free_ports(2)
    traefik = await start_traefik(daemon.endpoint, entry_points={"web": web, "mqtt": mqtt})
    (deploy,) = typed(LABELS)
    code, said = await Operator(daemon, engine.url, tmp_path).run(deploy)
    assert code == 0, said

    async def look() -> bool:
        answer = await ask_web(traefik.url("web"), "broker.example.com")
        return {answer, await ask_tcp(mqtt)} == {"2.1"}

    await eventually(look)
