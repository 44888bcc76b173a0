"""Rule 15: a text that Traefik refuses keeps no decision from clients."""

from functools import partial
from pathlib import Path

import pytest

from provider.traefik.process import LOOPBACK, free_ports
from tests.support.daemon import Daemon, StartDaemon
from tests.support.release import HOST, fixed, until_routed
from tests.support.traefik import Backend, Load, StartBackend, StartTraefik
from tests.support.waiting import eventually

REFUSED = "http: {middlewares: {sec: {headers: {frameDenyy: true}}, more: {headers: {frameDeny: true}}}}\n"
UNCHECKED = ", unchecked: [http.middlewares.sec]"
SOON = "confirming: 1s"
"""Then a refused text is let go of after the seven seconds that Traefik may need."""


def file(*apis: str, refused: bool = False, more: str = "", **options: object) -> str:
    """Write a file whose release is switched to; `refused` has a typing error that is passed on unchecked."""
    named = ", ".join(f"'{api}'" for api in apis)
    text = fixed(*options.pop("backends"), deadlines=SOON, more=more + (REFUSED if refused else ""), **options)  # type: ignore[misc, arg-type]
    return text.replace("services:\n", f"traefik: {{api: [{named}]{UNCHECKED if refused else ''}}}\nservices:\n", 1)


class Site:
    """A daemon with blue and green, switched to green, and a Traefik that shows it."""

    def __init__(self, daemon: Daemon, web: str, api: str, write: "partial[str]") -> None:
        self.daemon, self.web, self.api, self.text = daemon, web, api, write

    async def settled(self, body: str) -> None:
        """Wait until clients get this, and Traefik is known to show it."""
        await until_routed(self.daemon, self.web, body)
        await self.daemon.until("shop", phase="steady", confirmed=True)


@pytest.fixture
async def site(start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend) -> Site:
    (api_port,) = free_ports(1)
    api = f"http://{LOOPBACK}:{api_port}"
    text = partial(file, api, backends=(blue, green))
    daemon = await start_daemon(text(active="blue"))
    traefik = await start_traefik(daemon.endpoint, api_port=api_port)
    made = Site(daemon, traefik.url("web"), api, text)
    await made.settled("blue")
    daemon.write(text(active="green"))
    await made.settled("green")
    daemon.write(text())
    await made.daemon.until("shop", desired="auto")
    return made


@pytest.mark.takes(25)
async def test_a_rollback_reaches_clients_though_traefik_refuses_the_file(site: Site) -> None:
    """Also after a kill, and until the file changes; what else was changed is not in force, and that is told."""
    daemon = site.daemon
    daemon.write(site.text(refused=True))
    condition = await daemon.until_condition("traefik-refuses-file")
    assert condition["severity"] == "critical"
    assert "Not in force is what was changed since: http.middlewares.more, http.middlewares.sec" in condition["message"]
    document = await daemon.document()
    assert {"sec", "more"} & document["http"]["middlewares"].keys() == set()
    async with Load(site.web, HOST) as load:
        code, answer = await daemon.command("shop", "rollback", reason="incident")
        assert (code, answer["status"]["active"]) == (200, "blue")
        await load.until_all("blue")
    assert load.failures == []
    await daemon.until("shop", active="blue", confirmed=True)
    assert (await daemon.status("shop"))["applied"]["detail"] == "applied by 1 of 1 Traefiks"
    revision = (await daemon.status())["revision"]

    await daemon.kill()
    await daemon.start()
    await daemon.until("shop", active="blue", confirmed=True)
    assert await daemon.condition("traefik-refuses-file")
    assert (await daemon.document())["http"]["middlewares"].keys() & {"sec", "more"} == set()
    assert (await daemon.status())["revision"] > revision

    daemon.write(site.text(refused=True).replace("frameDenyy", "frameDeny"))
    await daemon.until_condition("traefik-refuses-file", holds=False)
    await daemon.until("shop", active="blue", confirmed=True)
    assert {"sec", "more"} <= (await daemon.document())["http"]["middlewares"].keys()


@pytest.mark.takes(15)
async def test_services_that_a_refused_file_adds_or_removes_stay_as_traefik_has_them(
    site: Site, start_backend: StartBackend
) -> None:
    """Rule 15: nothing else changes for anybody."""
    daemon, pay = site.daemon, await start_backend("pay")
    service = (
        "  {0}: {{router: {{rule: 'Host(`{0}.test`)', entryPoints: [web]}}, settle: 100ms, initial: blue,"
        " servers: {{blue: {{urls: ['{1}']}}}}}}\n"
    )
    daemon.write(site.text(more=service.format("pay", pay.url)))
    await until_routed(daemon, site.web, "pay", host="pay.test")
    await daemon.until("pay", confirmed=True)
    daemon.write(site.text(refused=True, more=service.format("new", pay.url)))
    condition = await daemon.until_condition("traefik-refuses-file")
    assert "services.new, services.pay" in condition["message"]
    services = (await daemon.document())["http"]["services"]
    assert {"shop", "pay", "pay-blue"} <= services.keys()
    assert "new" not in services
    await until_routed(daemon, site.web, "pay", host="pay.test")
    await daemon.command("shop", "rollback", reason="incident")
    await site.settled("blue")
    await until_routed(daemon, site.web, "pay", host="pay.test")
    daemon.write(site.text(more=service.format("new", pay.url)))
    await until_routed(daemon, site.web, "pay", host="new.test")
    assert "pay" not in (await daemon.document())["http"]["services"]


NEWER = "http: {services: {more: {loadBalancer: {strategy: p2c, servers: [{url: 'http://127.0.0.1:1'}]}}}}\n"
"""Traefik 3.0 does not know the strategy."""


@pytest.mark.takes(20)
async def test_the_newer_text_stays_where_one_traefik_applied_it_and_the_other_is_named(
    site: Site, start_traefik: StartTraefik, older: Path
) -> None:
    """Rule 15: of two Traefiks one took the file, and must not lose it for the other."""
    (api_port,) = free_ports(1)
    api = f"http://{LOOPBACK}:{api_port}"
    other = await start_traefik(site.daemon.endpoint, binary=older, api_port=api_port)
    text = partial(file, site.api, api, backends=site.text.keywords["backends"])
    site.daemon.write(text())
    await until_routed(site.daemon, other.url("web"), "green")
    await site.settled("green")
    site.daemon.write(text(more=NEWER))
    await eventually(lambda: any("strategy" in line for line in other.errors()))
    condition = await site.daemon.until_condition("not-applied")
    assert f"{api} (shows " in condition["message"]
    assert f"; it stays, as it is shown at {site.api}" in condition["message"]
    assert await site.daemon.condition("traefik-refuses-file") is None
    assert "more" in (await site.daemon.document())["http"]["services"]


@pytest.mark.takes(20)
async def test_a_key_that_an_older_traefik_does_not_know_keeps_no_rollback_from_clients(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend, older: Path
) -> None:
    """It is valid, and Traefik is named with its version."""
    (api_port,) = free_ports(1)
    api = f"http://{LOOPBACK}:{api_port}"
    text = partial(file, api, backends=(blue, green))
    daemon = await start_daemon(text(active="blue"))
    traefik = await start_traefik(daemon.endpoint, binary=older, api_port=api_port)
    site = Site(daemon, traefik.url("web"), api, text)
    await site.settled("blue")
    daemon.write(text(more=NEWER))
    condition = await daemon.until_condition("traefik-refuses-file")
    assert f"{api} is 3.0" in condition["message"]
    assert "http.services.more.loadBalancer.strategy" in condition["message"]
    code, _ = await daemon.command("shop", "switch", colour="green", force=True, reason="incident")
    assert code == 202
    await site.settled("green")
