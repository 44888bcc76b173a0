"""A daemon whose service has endpoints of HTTP, TCP and UDP, before a Traefik that it reads back."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from provider.traefik.process import LOOPBACK, Traefik, free_ports
from tests.support.daemon import Daemon, StartDaemon
from tests.support.sockets import Application, NewLoad, TcpClient, applications, ask_tcp, ask_udp, kept_alive
from tests.support.traefik import Backend, Load, StartTraefik
from tests.support.waiting import eventually

HOST = "broker.test"
REFUSED = "http: {middlewares: {sec: {headers: {frameDenyy: true}}}}\n"
CHECK = "{interval: 100ms, timeout: 1s, healthyAfter: 2, unhealthyAfter: 2}"


@dataclass
class Site:
    """The broker, both of its colours, and the ports of a Traefik."""

    blue: Application
    green: Application
    path: Path
    api: int
    web: int
    mqtt: int
    dns: int
    daemon: Daemon = field(init=False)
    traefik: Traefik = field(init=False)

    def text(self, active: str = "auto", *, more: str = "") -> str:
        """Write the file; `more` is what Traefik refuses."""
        unchecked = ", unchecked: [http.middlewares.sec]" if more else ""
        return f"""\
environment: production
traefik: {{api: ['http://{LOOPBACK}:{self.api}']{unchecked}}}
services:
  broker:
    active: {active}
    endpoints: {{default: {{}}, mqtt: {{protocol: tcp}}, dns: {{protocol: udp}}}}
    routers:
      broker: {{rule: "Host(`{HOST}`)", entryPoints: [web]}}
      broker-mqtt: {{rule: "HostSNI(`*`)", entryPoints: [mqtt], endpoint: mqtt}}
      broker-dns: {{entryPoints: [dns], endpoint: dns}}
    settle: 100ms
    healthCheck: {CHECK}
    deadlines: {{confirming: 1s}}
    watch: 0s
    servers: {{blue: {self.blue.written}, green: {self.green.written}}}
{more}"""

    async def all(self) -> set[str]:
        """Return who answers at each endpoint."""
        async with aiohttp.request("GET", self.traefik.url("web"), headers={"Host": HOST}) as response:
            web = await response.text()
        return {web, await ask_tcp(self.mqtt), await ask_udp(self.dns)}

    async def until(self, colour: str) -> dict[str, Any]:
        """Wait until a colour is active, and Traefik shows it at every endpoint."""
        return await self.daemon.until("broker", active=colour, phase="steady", confirmed=True)


@pytest.fixture
async def site(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend, tmp_path: Path
) -> AsyncIterator[Site]:
    async with applications(blue, green) as (one, other):
        made = Site(one, other, tmp_path / "fallback.yaml", *free_ports(4))
        made.daemon = await start_daemon(made.text("blue"), "--write-file", str(made.path))
        made.traefik = await start_traefik(
            made.daemon.endpoint,
            api_port=made.api,
            entry_points={"web": made.web, "mqtt": made.mqtt},
            udp_entry_points={"dns": made.dns},
        )
        await made.until("blue")
        yield made


@pytest.mark.takes(15)
async def test_a_release_switches_at_all_endpoints_and_goes_back_at_all_of_them(site: Site) -> None:
    """Rules 7 and 31, P7: confirmed by the weights of each, without a client lost; what is established stays."""
    assert await site.all() == {"blue"}
    async with (
        Load(site.traefik.url("web"), HOST, clients=2) as web,
        NewLoad(lambda: ask_tcp(site.mqtt), clients=2) as mqtt,
        NewLoad(lambda: ask_udp(site.dns), clients=2) as dns,
        TcpClient(site.mqtt) as connection,
        kept_alive(site.dns) as session,
    ):
        assert await connection.ask() == "blue"
        await session.until_answer("blue")
        site.daemon.write(site.text("green"))
        await site.until("green")
        assert await site.all() == {"green"}
        assert await connection.ask() == "blue"
        await session.until_answer("blue")
        code, answer = await site.daemon.command("broker", "rollback", reason="incident")
        assert (code, answer["status"]["active"]) == (200, "blue")
        await site.until("blue")
        assert await site.all() == {"blue"}
        assert await connection.ask() == "blue"
        await session.until_answer("blue")
    assert (web.failures, mqtt.failures, dns.failures) == ([], [], [])
    assert session.answers.keys() == {"blue"}
    assert (await site.daemon.status("broker"))["applied"]["detail"] == "applied by 1 of 1 Traefiks"


@pytest.mark.takes(25)
async def test_an_endpoint_of_a_file_that_traefik_refuses_keeps_no_switch_unproven(site: Site) -> None:
    """Rules 15 and 31: the weights that are wanted are those of the endpoints that the document has."""
    text = site.text("green", more=REFUSED).replace(
        "dns: {protocol: udp}", "dns: {protocol: udp}, other: {protocol: tcp}"
    )
    for colour in (site.blue, site.green):
        address = f"'{LOOPBACK}:{colour.mqtt.port}'"
        text = text.replace(f"mqtt: [{address}]", f"mqtt: [{address}], other: [{address}]")
    site.daemon.write(site.text("green"))
    await site.until("green")
    site.daemon.write(text)
    condition = await site.daemon.until_condition("traefik-refuses-file")
    assert "services.broker.endpoints" in condition["message"]
    assert "broker-other" not in (await site.daemon.document())["tcp"]["services"]
    await site.daemon.command("broker", "switch", colour="blue", reason="test")
    await site.until("blue")
    assert await site.all() == {"blue"}
    assert await site.daemon.condition("traefik-refuses-file")


async def test_the_written_file_has_the_endpoints_of_tcp(site: Site) -> None:
    """Rule 32: UDP routers have no priority by which those of the document would win."""

    def written() -> dict[str, Any]:
        return yaml.safe_load(site.path.read_text()) if site.path.exists() else {}

    await eventually(lambda: "tcp" in written())
    assert written().keys() == {"http", "tcp"}
    assert written()["tcp"]["routers"]["broker-mqtt"]["priority"] == -2
    assert site.daemon.logged("the written file does not have all of the document", left_out=["udp"])
