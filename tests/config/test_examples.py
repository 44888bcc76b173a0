"""The files under config/ that operators start from."""

import asyncio
import json
from pathlib import Path

import aiohttp
import pytest
import yaml

from provider import config
from provider.model.errors import TraefikError
from provider.traefik.process import find_binary, free_ports
from tests.support.components import missing
from tests.support.paths import ROOT
from tests.support.waiting import eventually

CONFIG = ROOT / "config"
STATIC = yaml.safe_load((CONFIG / "traefik.yaml").read_text())


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_an_example_loads_and_ignores_containers_of_other_environments(environment: str) -> None:
    """Rule 18."""
    desired = config.load((CONFIG / f"{environment}.yaml").read_text(), f"{environment}.yaml")
    assert desired.environment == environment
    assert desired.require_environment_label
    assert desired.generate_certificate
    assert set(desired.services) == {"shop", "shop-api", "billing"}


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_the_routers_of_an_example_use_what_the_files_define(environment: str) -> None:
    desired = config.load((CONFIG / f"{environment}.yaml").read_text(), f"{environment}.yaml")
    http = desired.pass_through.get("http", {})
    middlewares = http.get("middlewares", {}) if isinstance(http, dict) else {}
    for service in desired.services.values():
        for router in (*service.routers, *([service.preview] if service.preview else ())):
            body = json.loads(json.dumps(router.body))
            assert set(body["entryPoints"]) <= set(STATIC["entryPoints"])
            assert set(body.get("middlewares", [])) <= set(middlewares)
            assert body["tls"].get("certResolver", "le") in STATIC["certificatesResolvers"]


def test_production_asks_for_approval_and_staging_does_not() -> None:
    production, staging = (
        config.load((CONFIG / f"{environment}.yaml").read_text(), f"{environment}.yaml")
        for environment in ("production", "staging")
    )
    assert {name for name, service in production.services.items() if service.approval_is_manual} == {"shop", "shop-api"}
    assert not any(service.approval_is_manual for service in staging.services.values())


def test_staging_proves_a_release_by_the_smoke_tests_of_production() -> None:
    production, staging = (
        config.load((CONFIG / f"{environment}.yaml").read_text(), f"{environment}.yaml")
        for environment in ("production", "staging")
    )
    tests = {name: service.smoke_tests for name, service in production.services.items()}
    assert tests["shop"]
    assert tests == {name: service.smoke_tests for name, service in staging.services.items()}


def test_an_example_names_the_schema_beside_it() -> None:
    for environment in ("production", "staging"):
        first = (CONFIG / f"{environment}.yaml").read_text().splitlines()[0]
        assert first == "# yaml-language-server: $schema=desired-state.schema.json"


def test_the_schema_file_is_what_the_command_prints() -> None:
    """After a change of the schema: bluegreen schema > config/desired-state.schema.json."""
    assert (CONFIG / "desired-state.schema.json").read_text() == json.dumps(config.schema(), indent=2) + "\n"


def test_traefik_polls_the_daemon_where_it_listens_and_is_asked_where_it_answers() -> None:
    assert STATIC["providers"]["http"]["endpoint"] == "http://bluegreen:8900/traefik"
    desired = config.load((CONFIG / "production.yaml").read_text(), "production.yaml")
    assert desired.traefik_api == ("http://traefik:8080",)
    assert STATIC["entryPoints"]["traefik"]["address"] == ":8080"
    assert STATIC["api"]["insecure"]


async def test_a_real_traefik_starts_with_the_static_configuration(tmp_path: Path) -> None:
    try:
        binary = find_binary()
    except TraefikError as error:
        missing("traefik", str(error))
    static = yaml.safe_load((CONFIG / "traefik.yaml").read_text())
    ports = dict(zip(static["entryPoints"], free_ports(len(static["entryPoints"])), strict=True))
    for name, port in ports.items():
        static["entryPoints"][name]["address"] = f"127.0.0.1:{port}"
    static["certificatesResolvers"]["le"]["acme"]["storage"] = str(tmp_path / "acme.json")
    static["providers"]["http"]["endpoint"] = f"http://127.0.0.1:{free_ports(1)[0]}/traefik"
    static["global"] = {"checkNewVersion": False, "sendAnonymousUsage": False}
    file = tmp_path / "traefik.yaml"
    file.write_text(yaml.safe_dump(static))
    process = await asyncio.create_subprocess_exec(
        binary, f"--configFile={file}", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{ports['traefik']}") as client:

            async def overview() -> bool:
                assert process.returncode is None
                try:
                    async with client.get("/api/overview") as answer:
                        return bool((await answer.json())["providers"] == ["HTTP"])
                except aiohttp.ClientError:
                    return False

            came: bool = await eventually(overview)
            assert came
            async with client.get("/api/entrypoints") as answer:
                assert {entry_point["name"] for entry_point in await answer.json()} == set(ports)
    finally:
        process.kill()
        await process.communicate()
