"""What a container was created with (rule 40)."""

from typing import Any

import pytest

from provider.docker.container import UNREADABLE, Binding, container_from
from provider.docker.inspected import Created, as_listed, created_from
from provider.model import Health

VOLUME = {"Type": "volume", "Name": "a" * 64, "Source": "/var/lib/docker/volumes/a/_data", "Destination": "/data"}
BIND = {"Type": "bind", "Source": "/srv/shop", "Destination": "/etc/shop", "RW": True}


def inspected(mounts: list[dict[str, Any]] | None = None, **config: object) -> Created:
    return created_from({"Config": {"Env": ["PATH=/bin", "KEY=secret"], "Cmd": ["serve"]} | config, "Mounts": mounts})


@pytest.mark.parametrize(
    "other",
    [
        inspected(Env=["PATH=/bin", "KEY=other"]),
        inspected(Env=["PATH=/bin"]),
        inspected(Env=["PATH=/bin", "KEY"]),
        inspected(Cmd=["serve", "--fast"]),
        inspected(Cmd=None),
        inspected(Entrypoint=["/entry"]),
        inspected([BIND]),
        inspected([VOLUME]),
    ],
    ids=[
        "a value",
        "a variable less",
        "one without a value",
        "an argument",
        "no command",
        "entrypoint",
        "bind",
        "volume",
    ],
)
def test_other_settings_are_other_parts(other: Created) -> None:
    assert other.parts != inspected().parts


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (inspected(), inspected(Env=["KEY=secret", "PATH=/bin"])),
        (inspected(Entrypoint=None), inspected(Entrypoint=[])),
        (inspected(Hostname="c1", Env=["HOSTNAME=c1"]), inspected(Hostname="c2", Env=["HOSTNAME=c2"])),
        (inspected([VOLUME]), inspected([VOLUME | {"Name": "b" * 64, "Source": "/elsewhere"}])),
        (inspected([VOLUME | {"Name": "shop"}]), inspected([VOLUME | {"Name": "shop", "Source": "/moved/_data"}])),
        (inspected([BIND, VOLUME]), inspected([VOLUME, BIND])),
    ],
    ids=["order", "nothing", "Podman's host name", "anonymous volume", "named volume", "order of mounts"],
)
def test_what_differs_between_two_equal_runs_is_no_part(one: Created, other: Created) -> None:
    assert one.parts == other.parts


@pytest.mark.parametrize(
    "other", [BIND | {"Source": "/srv/other"}, BIND | {"Destination": "/etc/other"}, VOLUME | {"Name": "shop"}]
)
def test_a_mount_is_its_type_destination_and_source(other: dict[str, Any]) -> None:
    assert inspected([BIND, VOLUME]).parts != inspected([BIND, other]).parts


def test_a_part_never_shows_its_value() -> None:
    """An environment holds passwords, and parts are compared, and named, for people."""
    assert "secret" not in repr(inspected().parts)


@pytest.mark.parametrize("raw", [{}, {"Config": {}}, {"Config": {"ExposedPorts": {"x/tcp": {}, "80/tcp": {}}}}])
def test_an_inspection_that_says_little_is_no_error(raw: dict[str, Any]) -> None:
    assert created_from(raw).parts == ()
    assert created_from(raw).exposed in {(), (80,)}


def test_how_a_container_is_to_be_stopped_is_read() -> None:
    """Rule 4."""
    created = inspected(StopSignal="SIGQUIT", StopTimeout=300)
    assert (created.stop_signal, created.stop_timeout_s) == (3, 300.0)
    assert (inspected().stop_signal, inspected().stop_timeout_s) == (None, None)


RUNNING = {
    "Id": "ff8b7a6877816503babb6d719b433471aec07e204eaafd686a81fa082da381b3",
    "Name": "/shop-blue-1",
    "Image": "sha256:03c294b9",
    "State": {"Status": "running", "Health": {"Status": "starting"}},
    "Config": {"Labels": {"bluegreen.service": "shop"}},
    "HostConfig": {"NetworkMode": "proxy"},
    "NetworkSettings": {
        "Networks": {"proxy": {"IPAddress": "172.18.0.2"}},
        "Ports": {"8080/tcp": None, "80/tcp": [{"HostIp": "::", "HostPort": "32768"}], "53/udp": None},
    },
}
"""As Docker 20.10 writes it; tests/integration/test_containers.py compares the engine's own."""


def test_an_inspection_is_read_as_an_entry_of_a_list() -> None:
    container = container_from(as_listed(RUNNING))
    assert (container.id, container.name, container.image_id) == ("ff8b7a687781", "shop-blue-1", "sha256:03c294b9")
    assert (container.running, container.health, container.network_mode) == (True, Health.UNKNOWN, "proxy")
    assert (container.exposed, container.bindings) == ((80, 8080), (Binding(80, "::", 32768),))
    assert container.exposed_udp == (53,)
    assert (dict(container.labels), dict(container.addresses)) == (
        {"bluegreen.service": "shop"},
        {"proxy": "172.18.0.2"},
    )


@pytest.mark.parametrize(
    "odd",
    [
        {"State": None},
        {"State": {}},
        {"Id": 1},
        {"Name": None},
        {"NetworkSettings": {"Ports": {"80/tcp": [{"HostPort": "9" * 5000}]}}},
        {"NetworkSettings": {"Ports": {"80/tcp": [{"HostPort": 80}]}}},
        {"NetworkSettings": {"Ports": {"http/tcp": None}}},
        {"NetworkSettings": {"Ports": [80]}},
    ],
)
def test_an_inspection_of_another_form_is_unreadable(odd: dict[str, object]) -> None:
    """An engine may say anything: then a list decides."""
    with pytest.raises(UNREADABLE):
        container_from(as_listed(RUNNING | odd))
