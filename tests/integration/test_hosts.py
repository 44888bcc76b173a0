"""Rule 38: two real engines with TLS, as `docs/hosts.md` describes them, each on a loopback address of its own."""

import asyncio
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bench.engine import PrivateEngine
from bench.machine import Missing
from provider.traefik.process import free_ports
from tests.support.certificates import Authority
from tests.support.components import missing
from tests.support.daemon import FAST_CHECKS, Daemon, StartDaemon
from tests.support.paths import ROOT
from tests.support.release import HOST, until_routed
from tests.support.traefik import Load, StartTraefik
from tests.support.waiting import eventually

ADDRESSES = {"a": "127.0.0.2", "b": "127.0.0.3"}
MAIL = """\
  mail:
    router: {rule: "Host(`mail.example.com`)", entryPoints: [web]}
    settle: 200ms
    watch: 0s
"""


class TwoEngines:
    """The engines `a` and `b`; `file` is the desired state of the page, with their addresses and certificates."""

    def __init__(self, folder: Path) -> None:
        self.authority, self.folder = Authority(folder), folder
        ports = dict(zip(ADDRESSES, free_ports(2), strict=True))
        self.file = page().replace("production\n", "production\nrelease: {ignoreEnv: [LISTEN]}\n", 1)
        self.renew()
        self.engines: dict[str, PrivateEngine] = {}
        for number, (name, address) in enumerate(ADDRESSES.items(), start=1):
            cert, key = self.authority.issue(f"engine-{name}", for_hosts=f"IP:{address}")
            tls = ("--tlsverify", f"--tlscacert={self.authority.ca}", f"--tlscert={cert}", f"--tlskey={key}")
            url = f"tcp://{address}:{ports[name]}"
            self.file = self.file.replace(f"tcp://10.0.0.{4 + number}:2376", url)
            self.file = self.file.replace(f"10.0.0.{4 + number}", address)
            self.engines[name] = PrivateEngine(number, "--host", url, *tls)
            self.engines[name].build()
        self.file = self.file.replace("/etc/bluegreen/docker", str(folder))
        self.file = self.file.replace("{path: /healthz}", f"{FAST_CHECKS}\n    settle: 200ms\n    watch: 0s")

    def renew(self) -> None:
        """Sign another certificate of the daemon, in the place of the one before."""
        cert, key = self.authority.issue("daemon")
        for path, name in ((self.authority.ca, "ca.pem"), (cert, "cert.pem"), (key, "key.pem")):
            (self.folder / name).write_bytes(path.read_bytes())

    def __getitem__(self, name: str) -> PrivateEngine:
        return self.engines[name]

    def run(self, engine: str, service: str, colour: str, version: str, *, publish: bool = True) -> str:
        """Start a container with a published port."""
        return self[engine].run(
            f"{service}-{colour}-{version}",
            service,
            colour,
            version=version,
            published_at=ADDRESSES[engine] if publish else None,
        )

    def cleanup(self) -> None:
        for engine in self.engines.values():
            engine.thaw()
            engine.start()
            engine.cleanup()

    def close(self) -> None:
        for engine in self.engines.values():
            engine.close()


def page() -> str:
    """Return the desired state of the page."""
    blocks = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/hosts.md").read_text(), re.DOTALL)
    return next(str(block) for block in blocks if block.startswith("environment:"))


@pytest.fixture(scope="module")
def two_engines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoEngines]:
    try:
        engines = TwoEngines(tmp_path_factory.mktemp("engines"))
    except Missing as absent:
        missing("docker", str(absent))
    try:
        yield engines
    finally:
        engines.close()


@pytest.fixture
def hosts(two_engines: TwoEngines) -> Iterator[TwoEngines]:
    yield two_engines
    two_engines.cleanup()


async def with_services(daemon: Daemon) -> Mapping[str, Any] | None:
    """Return the document, None before the first."""
    document = await daemon.document()
    return document if "http" in document else None


async def engines_of(daemon: Daemon, service: str, colour: str) -> Mapping[str, int]:
    """Return how many servers of a colour the document has on each engine."""
    document = await daemon.document()
    services = document.get("http", {}).get("services", {})  # before the first one there is a problem
    found = services.get(f"{service}-{colour}", {"loadBalancer": {"servers": []}})
    urls = [server["url"] for server in found["loadBalancer"]["servers"]]
    counts = {name: sum(f"//{address}:" in url for url in urls) for name, address in ADDRESSES.items()}
    return {name: count for name, count in counts.items() if count}


async def until_on(daemon: Daemon, service: str, colour: str, **engines: int) -> None:
    async def look() -> bool:
        assert await engines_of(daemon, service, colour) == engines
        return True

    await eventually(look)


@pytest.mark.takes(40)
async def test_a_service_lives_on_two_engines_and_each_silence_concerns_what_lives_there(
    start_daemon: StartDaemon, start_traefik: StartTraefik, hosts: TwoEngines
) -> None:
    """P4: one engine frozen, then gone, then back with other containers."""
    for engine in ADDRESSES:
        hosts.run(engine, "shop", "blue", "1")
    hosts.run("a", "mail", "blue", "1")
    daemon = await start_daemon(hosts.file + MAIL, docker="unix:///nowhere.sock")
    traefik = await start_traefik(daemon.endpoint)
    await until_on(daemon, "shop", "blue", a=1, b=1)
    await daemon.until("mail", active="blue")
    assert await daemon.metric("bluegreen_docker_connected") == 1
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    async with Load(traefik.url("web"), HOST) as load:
        for engine in ADDRESSES:  # one release, though each engine built its image
            await asyncio.to_thread(hosts.run, engine, "shop", "green", "2")
        await daemon.until("shop", active="green", rollout=None)
        await until_on(daemon, "shop", "green", a=1, b=1)
        await load.until_answer("shop green 2\n", count=50)
        hosts["b"].freeze()
        away = await daemon.until_condition("docker-away")
        assert "engine b: " in away["message"]
        assert await daemon.metric("bluegreen_docker_engine_connected", engine="a") == 1
        assert await daemon.metric("bluegreen_docker_engine_connected", engine="b") == 0
        await asyncio.to_thread(hosts.run, "a", "mail", "green", "2")
        await daemon.until("mail", active="green", rollout=None)
        await until_on(daemon, "shop", "green", a=1, b=1)
        await load.until_answer("shop green 2\n", count=50)
    assert load.failures == []
    hosts["b"].thaw()
    await daemon.until_condition("docker-away", holds=False)
    await asyncio.to_thread(hosts["b"].stop)
    await daemon.until_condition("docker-away")
    await until_on(daemon, "shop", "green", a=1)  # the engine took its containers with it, which checks show
    await asyncio.to_thread(hosts["b"].start)
    await asyncio.to_thread(hosts["b"].cleanup)
    for number in (1, 2):
        await asyncio.to_thread(
            hosts["b"].run, f"another-{number}", "shop", "green", version="2", published_at=ADDRESSES["b"]
        )
    await until_on(daemon, "shop", "green", a=1, b=2)
    assert (await daemon.status("shop"))["rollout"] is None


@pytest.mark.takes(20)
async def test_from_docker_to_engines_and_one_engine_out_of_the_file(
    start_daemon: StartDaemon, hosts: TwoEngines
) -> None:
    """Rule 40: nothing rolls out. What leaves with its engine is not needed, or the last."""
    hosts["a"].run("shop-1", "shop", "blue", version="1", publish=True)
    hosts.run("b", "mail", "blue", "1")
    several = hosts.file.replace("address: 127.0.0.2", "address: 127.0.0.1") + MAIL
    alone = re.sub(r"docker:.*?\nservices:", "services:", several, flags=re.DOTALL)
    daemon = await start_daemon(alone, docker=hosts["a"].url)
    status = await daemon.until("shop", active="blue")
    before = status["colours"]["blue"]["release"]
    document = await eventually(lambda: with_services(daemon))
    daemon.write(several)
    await daemon.until("mail", active="blue")
    status = await daemon.until("shop", active="blue", rollout=None)
    assert status["colours"]["blue"]["release"] != before
    assert [condition["code"] for condition in status["conditions"]] == []
    shop = document["http"]["services"]["shop-blue"]
    assert (await daemon.document())["http"]["services"]["shop-blue"] == shop
    assert not daemon.logged("begun")
    assert not daemon.logged("replaced")
    only_a = re.sub(r"    - name: b\n.*?services:", "services:", several, flags=re.DOTALL)
    daemon.write(only_a)

    async def left_behind() -> bool:
        codes = [condition["code"] for condition in (await daemon.status("mail"))["conditions"]]
        return codes == ["engine-gone"]

    await eventually(left_behind)
    await until_on(daemon, "mail", "blue", b=1)
    await asyncio.to_thread(hosts.run, "a", "mail", "green", "2", publish=False)
    await daemon.until_condition("containers")
    await asyncio.to_thread(hosts["a"].run, "mail-new", "mail", "green", version="2", published_at="127.0.0.1")
    await daemon.until("mail", active="green", rollout=None)


@pytest.mark.takes(10)
async def test_who_has_no_certificate_is_told_and_a_renewed_one_is_read(
    start_daemon: StartDaemon, hosts: TwoEngines, tmp_path: Path
) -> None:
    hosts.run("a", "shop", "blue", "1")
    stranger = Authority(tmp_path, "stranger").issue("daemon")
    for path, name in zip(stranger, ("cert.pem", "key.pem"), strict=True):
        (hosts.folder / name).write_bytes(path.read_bytes())
    daemon = await start_daemon(hosts.file, docker="unix:///nowhere.sock")
    away = await daemon.until_condition("docker-away")
    assert re.search(r"engine a: tcp://127.0.0.2:\d+: .*(certificate|ssl)", away["message"], re.IGNORECASE)
    hosts.renew()
    await daemon.until_condition("docker-away", holds=False)
    await until_on(daemon, "shop", "blue", a=1)


@pytest.mark.takes(10)
async def test_doctor_names_engines_that_do_not_answer_and_ports_that_are_not_published(
    hosts: TwoEngines, tmp_path: Path
) -> None:
    hosts.run("a", "shop", "blue", "1", publish=False)
    file = tmp_path / "desired.yaml"
    file.write_text(re.sub(r"tcp://127.0.0.3:\d+", "tcp://127.0.0.3:1", hosts.file))
    doctor = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "provider", "doctor", "--desired-state", str(file), "--admin", "none"),
        *("--traefik", "none", "--json"),
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await doctor.communicate()
    found = {one["code"]: one for one in json.loads(said)["findings"]}
    assert found["docker-unreachable"]["where"] == "engine b (tcp://127.0.0.3:1)"
    assert found["container-ignored"]["where"] == "container shop-blue-1 on a"
    assert "published at 127.0.0.2, where its engine is reached" in found["container-ignored"]["what"]
