"""Compose files read from disk: what they extend and include, and any shape at all."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provider import config
from provider.cli.importing.compose import find
from provider.cli.importing.files import ComposeFiles, UnreadableError
from provider.cli.importing.imported import Options, imported
from provider.cli.importing.merging import extended, merged
from provider.cli.importing.variables import Variables
from provider.cli.main import main
from tests.support.components import program

COMMON = """\
services:
  base:
    image: example/base
    extends: {service: root}
    labels:
      - traefik.http.routers.web.entrypoints=websecure
      - traefik.http.routers.web.tls=true
  root:
    image: example/root
    labels: {traefik.http.services.web.loadbalancer.server.port: "8080"}
"""
EXTENDING = """\
services:
  web:
    extends: {file: parts/common.yaml, service: base}
    labels:
      traefik.http.routers.web.rule: Host(`web`)
"""
NAMES = """services web labels deploy ports volumes depends_on extends service file image container_name networks
profiles links environment name source type published scale replicas external driver_opts label_file target network_mode
traefik.enable traefik.http.routers.web.rule"""
KEYS = st.sampled_from(NAMES.split())
NUMBERS = st.one_of(st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False))
TEXTS = st.sampled_from(
    [
        "traefik.enable=true",
        "1-x:1",
        "1-999999999:1",
        "9" * 5000 + ":1",
        "traefik.http.routers.web.rule=Host(`web`)",
        "80:80",
        "a:/b",
        "host",
    ]
)
LEAVES = st.one_of(st.none(), NUMBERS, st.text(max_size=8), KEYS, TEXTS)
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=20,
)
BODIES = st.dictionaries(KEYS, ANYTHING, max_size=6)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["import", *arguments])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "common.yaml").write_text(COMMON)
    (tmp_path / "compose.yaml").write_text(EXTENDING)
    return tmp_path


@pytest.mark.parametrize("compose", ["none", "docker-compose"])
def test_a_service_has_what_it_extends_in_another_file(project: Path, compose: str) -> None:
    command = compose if compose == "none" else program("docker-compose", compose)
    result = run("--compose", command, str(project / "compose.yaml"))
    service = config.load(result.stdout, "printed.yaml").services["web"]
    assert service.routers[0].body == {"rule": "Host(`web`)", "entryPoints": ["websecure"], "tls": {}}
    assert [endpoint.port for endpoint in service.endpoints] == [8080]


def test_what_cannot_be_extended_or_included_is_listed(project: Path) -> None:
    file = project / "compose.yaml"
    file.write_text(f"include: [other.yaml]\n{EXTENDING.replace('parts', 'nowhere')}")
    result = run("--compose", "none", str(file))
    extends, include, *_ = result.stderr.splitlines()
    assert extends == (
        f"{file}, service web: extends: base of nowhere/common.yaml: cannot be read: import the whole project"
    )
    assert include.startswith(f"{file}: include: what it includes was not read, for which Compose is needed: ")


def test_services_that_extend_each_other_end() -> None:
    services = {"a": {"extends": "b"}, "b": {"extends": {"service": "a"}}}
    _, lefts = extended({"services": services}, lambda _: None, "compose.yaml")
    assert {left.message for left in lefts} == {"cannot be read"}


def test_a_compose_that_fails_or_is_not_there_is_named_and_the_file_is_read_without(project: Path) -> None:
    file = str(project / "compose.yaml")
    plain = run("--compose", "none", file).stdout
    for command in ("false", "/nowhere/docker-compose", "echo services"):
        result = run("--compose", command, file)
        assert result.stdout == plain
    assert "Compose does not render it, so it was read without: " in run("--compose", "false", file).stderr


@given(
    files=st.lists(st.dictionaries(KEYS, st.one_of(ANYTHING, st.dictionaries(KEYS, BODIES, max_size=3)), max_size=4))
)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_any_shape_is_taken_or_left(files: list[dict[str, Any]]) -> None:
    whole, _ = extended(merged(files), lambda _: None, "compose.yaml")
    founds, lefts = find(whole, "project", "compose.yaml", Variables({}))
    result = imported(founds, "compose.yaml", Options())
    if result.text is not None:
        assert config.load(result.text, "printed.yaml").environment
    assert all(map(str, (*lefts, *result.lefts)))


@given(body=BODIES)
def test_any_service_is_taken_or_left(body: dict[str, Any]) -> None:
    labels = {"traefik.http.routers.web.rule": "Host(`web`)"}
    founds, _ = find({"services": {"web": {**body, "labels": labels}}}, "project", "compose.yaml", Variables({}))
    assert imported(founds, "compose.yaml", Options()).text is not None


@given(content=st.one_of(st.binary(max_size=100), ANYTHING.map(lambda value: json.dumps({"services": value}).encode())))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "compose.yaml"
    file.write_bytes(content)
    try:
        ComposeFiles((file,), None).find()
    except UnreadableError as error:
        assert str(file) in str(error)  # noqa: PT017  most are read
