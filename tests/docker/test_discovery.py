import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from provider.docker.container import Container, container_from
from provider.docker.discovery import Containers
from provider.docker.inspected import Created, created_from
from provider.docker.labels import NETWORK, Scope
from provider.docker.sighting import Sighting, sight
from provider.docker.traefik_labels import ContainerFacts, decode
from provider.docker.traefik_labels.tree import VALUE_MOST
from provider.model import Colour, Health
from provider.model.errors import DockerUnavailable
from tests.support.waiting import eventually

HOST = "host.docker.internal"
PRODUCTION = Scope("production", required=False)
SHOP = {"bluegreen.service": "shop", "bluegreen.colour": "blue"}
EXPOSED = {"PrivatePort": 8080, "Type": "tcp"}


def listed(
    labels: Mapping[str, str] | None = None,
    *,
    ports: tuple[Mapping[str, Any], ...] = (EXPOSED,),
    networks: Mapping[str, str] | None = None,
    mode: str = "default",
    status: str = "Up 3 seconds",
    created: Created | None = None,
    **more: object,
) -> Container:
    """One entry of the engine's list, as Docker 20.10 writes it, read."""
    addresses = {"bridge": "172.17.0.2"} if networks is None else networks
    raw: dict[str, Any] = {
        "Id": "ff8b7a6877816503babb6d719b433471aec07e204eaafd686a81fa082da381b3",
        "Names": ["/shop-blue-1"],
        "ImageID": "sha256:03c294b9",
        "Ports": list(ports),
        "Labels": SHOP | dict(labels or {}),
        "State": "running",
        "Status": status,
        "HostConfig": {"NetworkMode": mode},
        "NetworkSettings": {
            "Networks": {
                name: {"IPAddress": address, "GlobalIPv6Address": ""}
                if ":" not in address
                else {"IPAddress": "", "GlobalIPv6Address": address}
                for name, address in addresses.items()
            }
        },
    }
    return replace(container_from(raw | more), created=created or inspected())


def inspected(**config: object) -> Created:
    """One answer to an inspection, as Docker 20.10 writes it, read; `Mounts` are beside the configuration there."""
    mounts = config.pop("Mounts", [])
    default = {"Hostname": "ff8b7a687781", "Env": ["PATH=/bin"], "Cmd": ["httpd"], "Entrypoint": None}
    return created_from({"Config": default | config, "Mounts": mounts})


def seen(container: Container, scope: Scope = PRODUCTION) -> Sighting:
    sighting = sight(container, scope, HOST)
    assert sighting is not None
    return sighting


def url(container: Container) -> str:
    server = seen(container).server
    assert server is not None
    return server.url


def release(container: Container, scope: Scope = PRODUCTION) -> str:
    server = seen(container, scope).server
    assert server is not None
    return server.release


def published(private: int, ip: str, public: int) -> dict[str, Any]:
    return {"PrivatePort": private, "IP": ip, "PublicPort": public, "Type": "tcp"}


def test_a_labelled_container_is_a_server_of_its_service_and_colour() -> None:
    sighting = seen(listed({"bluegreen.version": "1.4.1"}))
    assert (sighting.service, sighting.colour, sighting.name) == ("shop", Colour.BLUE, "shop-blue-1")
    assert sighting.warning is None
    server = sighting.server
    assert server is not None
    assert (server.url, server.version, server.container) == ("http://172.17.0.2:8080", "1.4.1", "ff8b7a687781")


@pytest.mark.parametrize(
    ("labels", "options", "expected"),
    [
        ({"bluegreen.port": "9000"}, {}, "http://172.17.0.2:9000"),
        ({"bluegreen.scheme": "h2c"}, {}, "h2c://172.17.0.2:8080"),
        ({}, {"ports": (EXPOSED, {"PrivatePort": 80, "Type": "tcp"}, {"PrivatePort": 53, "Type": "udp"})}, ":80"),
        ({}, {"networks": {"front": "fd00::2"}}, "http://[fd00::2]:8080"),
        (
            {"bluegreen.network": "front"},
            {"networks": {"back": "10.0.0.2", "front": "10.1.0.2"}},
            "http://10.1.0.2:8080",
        ),
        ({}, {"mode": "host", "networks": {"host": ""}}, f"http://{HOST}:8080"),
    ],
    ids=["written port", "scheme", "lowest exposed TCP port", "IPv6 only", "written network", "host networking"],
)
def test_the_address_is_as_traefik_sees_it(labels: dict[str, str], options: dict[str, Any], expected: str) -> None:
    """Rule 18."""
    assert url(listed(labels, **options)).endswith(expected)


@pytest.mark.parametrize(
    ("labels", "ports", "expected"),
    [
        ({}, [published(8080, "127.0.0.1", 40001)], "http://127.0.0.1:40001"),
        ({}, [published(8080, "0.0.0.0", 40001), published(8080, "::", 40002)], f"http://{HOST}:40001"),
        ({}, [published(8080, "127.0.0.1", 40001), published(8080, "0.0.0.0", 40002)], f"http://{HOST}:40002"),
        ({}, [EXPOSED, published(9090, "::1", 40003)], "http://[::1]:40003"),
        ({"bluegreen.port": "9090"}, [published(80, "127.0.0.1", 1), published(9090, "127.0.0.1", 2)], ":2"),
    ],
    ids=["one address", "every address", "every address before one", "lowest published port", "written port"],
)
def test_a_published_port_is_used_where_the_label_asks_for_it(
    labels: dict[str, str], ports: list[dict[str, Any]], expected: str
) -> None:
    assert url(listed({"bluegreen.use-bind-port": "true"} | labels, ports=tuple(ports))).endswith(expected)


@pytest.mark.parametrize(
    ("labels", "options", "words"),
    [
        ({"bluegreen.colour": "red"}, {}, ["bluegreen.colour=red", "blue or green"]),
        ({"bluegreen.color": "green"}, {}, ["bluegreen.colour=blue and bluegreen.color=green"]),
        ({"bluegreen.service": ""}, {}, ["bluegreen.service is empty"]),
        ({"bluegreen.port": "http"}, {}, ["bluegreen.port=http", "1 to 65535"]),
        ({"bluegreen.port": "65536"}, {}, ["bluegreen.port=65536"]),
        ({"bluegreen.scheme": "ftp"}, {}, ["bluegreen.scheme=ftp", "http, https, h2c"]),
        ({"bluegreen.use-bind-port": "yes"}, {}, ["bluegreen.use-bind-port=yes", "true or false"]),
        ({"bluegreen.use-bind-port": "true"}, {}, ["no TCP port is published"]),
        ({"bluegreen.use-bind-port": "true", "bluegreen.port": "80"}, {}, ["TCP port 80 is not published"]),
        (
            {"bluegreen.network": "front"},
            {},
            ["bluegreen.network=front: it has no address there", "write bluegreen.network=bridge"],
        ),
        ({}, {"ports": ()}, ["exposes no TCP port", "bluegreen.port=PORT"]),
        ({}, {"networks": {"none": ""}, "mode": "none"}, ["no address"]),
        ({}, {"networks": {}, "mode": "container:abc"}, ["shares the network of container abc"]),
    ],
)
def test_a_container_that_cannot_serve_is_ignored_with_the_reason(
    labels: dict[str, str], options: dict[str, Any], words: list[str]
) -> None:
    sighting = seen(listed(labels, **options))
    assert sighting.server is None
    assert sighting.warning is not None
    assert sighting.warning.startswith("ignored: ")
    for word in words:
        assert word in sighting.warning


def test_the_american_spelling_of_the_label_counts() -> None:
    labels = {"bluegreen.service": "shop", "bluegreen.color": "green"}
    assert seen(listed(Labels=labels)).colour is Colour.GREEN


def test_without_a_colour_a_container_is_ignored() -> None:
    assert "no label bluegreen.colour" in str(seen(listed(Labels={"bluegreen.service": "shop"})).warning)


def test_of_several_networks_each_is_reported_and_none_is_chosen() -> None:
    """Rule 38: `networks.choose` decides, which knows the file, the document and the other colour."""
    networks = {"front": "10.1.0.2", "back": "10.0.0.2"}
    free, labelled = seen(listed(networks=networks)).server, seen(listed({NETWORK: "front"}, networks=networks)).server
    assert free is not None
    assert labelled is not None
    assert free.routes == labelled.routes == (("back", "http://10.0.0.2:8080"), ("front", "http://10.1.0.2:8080"))
    assert (free.is_labelled, labelled.is_labelled, labelled.url) == (False, True, "http://10.1.0.2:8080")


def test_another_environments_container_is_none_of_ours() -> None:
    """Rule 18: staging and production share one engine."""
    staging = listed({"bluegreen.environment": "staging"})
    assert sight(staging, PRODUCTION, HOST) is None
    assert seen(staging, Scope("staging", required=True)).server is not None


def test_a_container_without_an_environment_counts_unless_a_label_is_required() -> None:
    assert seen(listed()).server is not None
    refused = seen(listed(), Scope("production", required=True))
    assert refused.server is None
    assert "bluegreen.environment=production" in str(refused.warning)


@pytest.mark.parametrize(
    ("said", "health"),
    [
        ({"status": "Up 3 seconds"}, None),
        ({"status": "Up 3 seconds (healthy)"}, Health.HEALTHY),
        ({"status": "Up About a minute (unhealthy)"}, Health.UNHEALTHY),
        ({"status": "Up Less than a second (health: starting)"}, Health.UNKNOWN),
        ({"status": "Up 2 hours (Paused)", "State": "paused"}, Health.UNHEALTHY),
        ({"Health": {"Status": "starting", "FailingStreak": 0}}, Health.UNKNOWN),
        ({"Health": {"Status": "none", "FailingStreak": 0}}, None),
    ],
)
def test_health_is_what_docker_says_of_the_healthcheck(said: dict[str, Any], health: Health | None) -> None:
    assert listed(**said).health is health


@pytest.mark.parametrize(
    ("state", "runs"), [("running", True), ("paused", True), ("restarting", False), ("exited", False)]
)
def test_only_running_and_paused_containers_run(state: str, runs: bool) -> None:
    assert listed(State=state).running is runs


def test_a_release_is_image_version_and_configuration() -> None:
    releases = {
        release(listed()),
        release(listed(ImageID="sha256:77b0")),
        release(listed({"bluegreen.version": "x"})),
        release(listed({"com.docker.compose.config-hash": "x"})),
        release(listed({"bluegreen.version": "x", "com.docker.compose.config-hash": ""})),
    }
    assert len(releases) == 5
    assert all(len(each) == 8 and int(each, 16) >= 0 for each in releases)


@pytest.mark.parametrize(
    ("labels", "image", "expected"),
    [
        ({"bluegreen.version": "1.4.1", "com.docker.compose.config-hash": "8f14e45f"}, "sha256:03c294b9", "5341b543"),
        ({"com.docker.compose.config-hash": "8f14e45f"}, "sha256:03c294b9", "65c20754"),
    ],
)
def test_the_id_of_a_compose_container_stays_as_it_was_in_0_1(
    labels: dict[str, str], image: str, expected: str
) -> None:
    """Rule 40: bit for bit, whatever the container was created with."""
    server = seen(listed(labels, ImageID=image, created=inspected(Env=["A=1"]))).server
    assert server is not None
    assert (server.release, server.former) == (expected, ())


def test_a_container_without_composes_hash_also_carries_its_id_of_0_1() -> None:
    """Rule 40: as tests/states/0.1.sql has it."""
    image = "sha256:f74b5ef7de0ea6d07e6871ed928309f9a39c5e62e6ca4a678e1c64a4a765ac51"
    server = seen(listed({"bluegreen.version": "1"}, ImageID=image)).server
    assert server is not None
    assert server.former == ("28d52244",)


def test_other_settings_without_composes_hash_are_another_release() -> None:
    """Rule 40: the environment, unless a variable is named in the file; command, entrypoint and mounts."""
    plain, other = listed(), listed(created=inspected(Env=["PATH=/bin", "NODE=2"]))
    mount = {"Type": "bind", "Source": "/srv", "Destination": "/data"}
    assert len({release(each) for each in (plain, other, listed(created=inspected(Mounts=[mount])))}) == 3
    ignoring = Scope("production", required=False, ignored=frozenset({"NODE"}))
    assert release(plain, ignoring) == release(other, ignoring) == release(plain)


def test_services_of_a_compose_file_are_distinguished_and_known_as_one_kin() -> None:
    """Rule 40."""
    hashed = {"com.docker.compose.project": "p", "com.docker.compose.config-hash": "x"}
    web1, web2 = (seen(listed(hashed | {"com.docker.compose.service": name})).server for name in ("web1", "web2"))
    assert web1 is not None
    assert web2 is not None
    assert (web1.unit, web2.unit) == ("p/web1", "p/web2")
    assert web1.kin == web2.kin is not None


def test_a_restart_is_the_same_release() -> None:
    restarted = listed(Id="0" * 64, status="Up 1 second", networks={"bridge": "172.17.0.9"})
    assert release(restarted) == release(listed())


@pytest.mark.parametrize(
    "address", ["ftp://example.com", "ssh://example.com", "tcp://example.com", "npipe:////./pipe/x"]
)
def test_what_cannot_be_an_engines_address_is_refused_at_once(address: str) -> None:
    """P11."""
    with pytest.raises(DockerUnavailable, match="Docker cannot be used"):
        Containers(Deaf(), base_url=address)


def test_tls_without_its_certificates_is_refused_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:2376")
    monkeypatch.setenv("DOCKER_TLS_VERIFY", "1")
    monkeypatch.setenv("DOCKER_CERT_PATH", str(tmp_path))
    with pytest.raises(DockerUnavailable, match="certificate"):
        Containers(Deaf(), base_url=None)


@pytest.mark.parametrize(("kind", "words"), [("absent", "no such file or directory"), ("dead", "connection refused")])
async def test_an_absent_engine_is_reported_with_the_systems_message(tmp_path: Path, kind: str, words: str) -> None:
    path = tmp_path / "socket"
    if kind == "dead":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
    sink = Deaf()
    containers = Containers(sink, base_url=f"unix://{path}")
    containers.set_scope(Scope("production"))
    task = asyncio.create_task(containers.run())
    cause = await asyncio.wait_for(sink.cause, 60)
    task.cancel()
    await asyncio.wait([task])
    assert cause.startswith(f"unix://{path}: {words}; next attempt in ")


CANCELLED_WHILE_ASKING = """
import asyncio, sys
from provider.docker.discovery import Containers
from provider.docker.labels import Scope

async def main():
    containers = Containers(None, base_url=sys.argv[1], timeout_s=3600)
    containers.set_scope(Scope("production"))
    task = asyncio.create_task(containers.run())
    await asyncio.to_thread(sys.stdin.readline)
    task.cancel()
    await asyncio.wait([task])

asyncio.run(main())
"""


def test_an_engine_that_hangs_does_not_hold_up_the_exit(tmp_path: Path) -> None:
    """Section 6.4: SIGTERM ends in exit 0. No thread that still waits for an answer is waited for."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        listener.listen()
        command = [sys.executable, "-c", CANCELLED_WHILE_ASKING, f"unix://{tmp_path}/socket"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, env=os.environ | {"PYTHONPATH": "."}) as process:
            listener.settimeout(60)
            connection, _ = listener.accept()
            with connection:
                assert connection.recv(4) == b"GET "
                process.communicate(b"\n", timeout=60)
    assert process.returncode == 0


class Deaf:
    """A sink that only keeps why the engine is away."""

    def __init__(self) -> None:
        self._cause: asyncio.Future[str] | None = None

    @property
    def cause(self) -> "asyncio.Future[str]":
        self._cause = self._cause or asyncio.get_running_loop().create_future()
        return self._cause

    def docker_listed(self, services: object, listed_mono_s: float) -> None: ...

    def docker_service(self, service: str, colours: object, listed_mono_s: float) -> None: ...

    def docker_networks(self, networks: frozenset[str]) -> None: ...

    def docker_connected(self, connected: bool, cause: str | None) -> None:
        assert not connected
        if not self.cause.done():
            self.cause.set_result(cause or "")

    def docker_warnings(self, warnings: object) -> None: ...

    def docker_event(self, action: str) -> None: ...


class Reports(Deaf):
    """A sink that counts what it is reported of each service."""

    def __init__(self) -> None:
        super().__init__()
        self.services: list[str] = []

    def docker_connected(self, connected: bool, cause: str | None) -> None: ...

    def docker_service(self, service: str, colours: object, listed_mono_s: float) -> None:  # noqa: ARG002
        self.services.append(service)


async def test_of_a_service_in_a_storm_of_events_is_reported_once_for_those_that_came_together(tmp_path: Path) -> None:
    """Nothing from outside is without a bound: each telling costs all containers of the service."""
    sink = Reports()
    containers = Containers(sink, base_url=f"unix://{tmp_path}/none")
    containers._scope = PRODUCTION
    sightings = tuple(
        replace(seen(listed()), container=f"{number:012x}", name=f"shop-{number}") for number in range(50)
    )
    containers._inventory.put_all(sightings, frozenset(), 1.0)
    del sink.services[:]
    containers._on_events(
        [
            {
                "Type": "container",
                "Action": "die",
                "Actor": {"ID": each.container, "Attributes": {"bluegreen.service": "shop"}},
                "timeNano": number,
            }
            for number, each in enumerate(sightings)
        ]
    )
    assert sink.services == ["shop"]


def test_a_label_of_traefiks_is_read_whole_or_refused_as_too_long() -> None:
    """Rule 34: one that was cut would be another rule, or another header."""
    name = "traefik.http.middlewares.m.headers.contentsecuritypolicy"
    assert listed(labels={name: "x" * VALUE_MOST}).labels[name] == "x" * VALUE_MOST
    (fault,) = decode(listed(labels={name: "x" * (VALUE_MOST + 9)}).labels, ContainerFacts("a", "a", (80,))).faults
    assert "longer" in fault.message


@pytest.mark.parametrize(
    ("said", "inspected"),
    [
        ({"Action": "health_status: healthy"}, []),
        ({"Action": "health_status: unhealthy"}, ["ff8b7a687781"]),
        ({"Action": "health_status", "HealthStatus": "healthy"}, []),
        ({"Action": "health_status", "HealthStatus": "unhealthy"}, ["ff8b7a687781"]),
        ({"Action": "health_status"}, ["ff8b7a687781"]),
    ],
    ids=["as before", "changed", "as before, of Podman", "changed, of Podman", "unknown"],
)
async def test_an_event_of_health_costs_one_inspection_where_it_says_something_new(
    tmp_path: Path, said: dict[str, str], inspected: list[str]
) -> None:
    """Rule 38: Podman sends one with each check. While anything is read of the engine, that may be older."""
    containers = Containers(Reports(), base_url=f"unix://{tmp_path}/none")
    containers._scope = PRODUCTION
    containers._listing._agrees["another"] = True
    containers._inventory.put_all([seen(listed(status="Up 3 seconds (healthy)"))], frozenset(), 1.0)
    event = {"Type": "container", "Actor": {"ID": "ff8b7a687781", "Attributes": SHOP}, "timeNano": 1} | said
    containers._on_events([event])
    assert list(containers._changed) == inspected
    assert containers._due == set()
    containers._is_listing = True
    containers._on_events([event | {"timeNano": 2}])
    assert list(containers._changed) == ["ff8b7a687781"]


async def test_where_an_inspection_says_something_else_than_a_list_health_is_listed_later(tmp_path: Path) -> None:
    """Rule 38: Podman's list leaves out health, so that each event of it seems new."""
    containers = Containers(Reports(), base_url=f"unix://{tmp_path}/none")
    containers._scope = PRODUCTION
    containers._listing._agrees |= {"one": True, "another": False}
    containers._inventory.put_all([seen(listed())], frozenset(), 1.0)
    event = {"Type": "container", "Actor": {"ID": "ff8b7a687781", "Attributes": SHOP}}
    for number in range(100):
        containers._on_events([event | {"Action": "health_status", "HealthStatus": "healthy", "timeNano": number}])
    assert (containers._changed, containers._due) == ({}, set())
    await eventually(lambda: containers._due == {"shop"})
