"""The files under deploy/ that people start: compose files, the unit of systemd, and what they mount."""

import json
import os
import re
import shlex
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from provider import config
from provider.cli.commands.serve import serve
from provider.store.etcd.address import check_protected, parse_address
from tests.support.components import missing, program
from tests.support.paths import ROOT

DEPLOY = ROOT / "deploy"
UNIT = DEPLOY / "systemd" / "bluegreen.service"
STAGING_ENV = dict(line.split("=") for line in (DEPLOY / "staging.env").read_text().splitlines() if line[0] != "#")
EXPOSURE_AT_MOST = 1.5
"""Of systemd's 0 (locked up) to 10 (does as it likes)."""

PRODUCTION = ("-p", "bluegreen", "-f", "compose.yaml")
STAGING = ("-p", "staging", "--env-file", "staging.env", "-f", "compose.yaml", "-f", "compose.staging.yaml")


@cache
def composed(*arguments: str, **environment: str) -> dict[str, Any]:
    """Return what Docker Compose makes of files, or fail with what it has against them."""
    command = [program("docker-compose", "docker-compose"), *arguments, "config"]
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    done = subprocess.run(command, cwd=DEPLOY, env=clean | environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return dict(yaml.safe_load(done.stdout))


def on_loopback(port: str | dict[str, Any]) -> bool:
    """Tell of a published port, which versions of Compose write in two ways, whether only this host reaches it."""
    return (port.startswith("127.0.0.1:")) if isinstance(port, str) else port.get("host_ip") == "127.0.0.1"


def published(port: str | dict[str, Any]) -> str:
    return port.split(":")[-2] if isinstance(port, str) else str(port["published"])


def allowed_paths() -> str:
    """Return the expression that the socket proxy holds whole paths against."""
    command = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["socket-proxy"]["command"]
    (rule,) = (word.removeprefix("-allowGET=") for word in command if word.startswith("-allow") and "/" in word)
    return str(rule)


# --- compose -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [PRODUCTION, STAGING], ids=["production", "staging"])
def test_compose_accepts_the_stack_and_everything_in_it_is_locked_up(arguments: tuple[str, ...]) -> None:
    stack = composed(*arguments, DOCKER_GID="999")
    assert set(stack["services"]) == {"traefik", "bluegreen", "socket-proxy", "prometheus", "grafana"}
    for name, service in stack["services"].items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["restart"] == "unless-stopped", name
        assert re.search(r":v?\d", service["image"]), f"{name}: {service['image']} names no version"
        assert not {"privileged", "pid", "network_mode", "container_name"} & service.keys()


def test_only_the_socket_proxy_has_the_socket_and_only_the_daemon_reaches_it() -> None:
    stack = composed(*PRODUCTION, DOCKER_GID="999")
    with_socket = {name for name, one in stack["services"].items() if "docker.sock" in str(one.get("volumes"))}
    assert with_socket == {"socket-proxy"}
    assert {name for name, one in stack["services"].items() if "engine" in one["networks"]} == {
        "socket-proxy",
        "bluegreen",
    }
    assert stack["networks"]["engine"]["internal"]
    assert "ports" not in stack["services"]["socket-proxy"]


def test_the_group_of_the_socket_has_to_be_named() -> None:
    with pytest.raises(AssertionError, match=r"stat -c %g /var/run/docker\.sock"):
        composed(*PRODUCTION)


@pytest.mark.parametrize(
    "path",
    [
        *("/_ping", "/version", "/v1.41/_ping", "/v1.47/version", "/v1.41/events", "/v1.41/containers/json"),
        *("/containers/json", f"/v1.41/containers/{'0a' * 32}/json"),
    ],
)
def test_the_socket_proxy_lets_through_what_the_daemon_asks(path: str) -> None:
    assert re.fullmatch(allowed_paths(), path)


@pytest.mark.parametrize(
    "path",
    [
        *("/containers/create", "/v1.41/containers/0a1b/archive", "/v1.41/containers/0a1b/export", "/v1.41/info"),
        *(
            "/containers/0a1b/logs",
            "/containers/0a1b/top",
            "/images/json",
            "/secrets",
            "/v1.41/containers/json/../../x",
        ),
    ],
)
def test_the_socket_proxy_lets_nothing_else_through(path: str) -> None:
    assert not re.fullmatch(allowed_paths(), path)


def test_only_traefik_is_open_to_the_outside() -> None:
    stack = composed(*PRODUCTION, DOCKER_GID="999")
    opened = {name for name, one in stack["services"].items() for port in one.get("ports", ()) if not on_loopback(port)}
    assert opened == {"traefik"}
    assert [published(port) for port in stack["services"]["traefik"]["ports"]] == ["80", "443"]


def test_staging_shares_no_port_network_or_secret_with_production() -> None:
    """Rule 18: the two often share one engine."""
    production, staging = composed(*PRODUCTION, DOCKER_GID="999"), composed(*STAGING, DOCKER_GID="999")
    for name, service in staging["services"].items():
        assert not set(map(str, service.get("ports", ()))) & set(
            map(str, production["services"][name].get("ports", ()))
        )
    for kind, key in (("secrets", "file"), ("networks", "name")):
        assert not {one.get(key) for one in staging[kind].values() if one.get(key)} & {
            one.get(key) for one in production[kind].values()
        }
    assert staging["services"]["bluegreen"]["environment"]["BLUEGREEN_DESIRED_STATE"] == "/etc/bluegreen/staging.yaml"
    assert {name for name, one in staging["services"].items() if one.get("profiles")} == {"prometheus", "grafana"}


# --- what the compose files mount ----------------------------------------------------------------------------------


def test_everything_that_is_mounted_is_there() -> None:
    stack = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    sources = [
        volume.partition(":")[0]
        for one in stack["services"].values()
        for volume in one.get("volumes", ())
        if "./" in volume
    ]
    assert {"./bluegreen", "./traefik", "./prometheus", "./grafana/dashboards"} <= set(sources)
    assert all(any((DEPLOY / source).iterdir()) for source in sources)


def test_prometheus_and_grafana_find_their_parts_where_compose_puts_them() -> None:
    stack = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    scraping = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    hosts = {config["static_configs"][0]["targets"][0] for config in scraping}
    assert hosts == {"bluegreen:8900", "traefik:8080"}
    files = {config["authorization"]["credentials_file"] for config in scraping if "authorization" in config}
    assert files == {f"/run/secrets/{name}" for name in stack["prometheus"]["secrets"]}
    provisioning = DEPLOY / "grafana" / "provisioning"
    (provider,) = yaml.safe_load((provisioning / "dashboards" / "bluegreen.yml").read_text())["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in stack["grafana"]["volumes"]
    (source,) = yaml.safe_load((provisioning / "datasources" / "prometheus.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"


@pytest.mark.parametrize("environment", ["production", "staging"])
def test_the_desired_state_takes_only_containers_of_its_environment(environment: str) -> None:
    """Rule 18."""
    file = DEPLOY / "bluegreen" / f"{environment}.yaml"
    desired = config.load(file.read_text(), file.name)
    assert desired.environment == environment
    assert desired.require_environment_label
    assert set(desired.services) == {"shop"}


def test_traefik_polls_the_daemon_with_the_token_that_compose_puts_in() -> None:
    text = (DEPLOY / "traefik" / "traefik.yaml").read_text()
    static = yaml.safe_load(text)
    stack = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert static["providers"]["http"]["endpoint"] == "http://bluegreen:8900/traefik"
    assert static["providers"]["http"]["headers"] == {"Authorization": "Bearer PROVIDER_TOKEN"}
    assert text.count("PROVIDER_TOKEN") == 1
    assert "s|PROVIDER_TOKEN|$$(cat /run/secrets/provider-token)|" in stack["services"]["traefik"]["entrypoint"][-1]
    desired = config.load((DEPLOY / "bluegreen" / "production.yaml").read_text(), "production.yaml")
    assert desired.traefik_api == (f"http://traefik{static['entryPoints']['traefik']['address']}",)
    routers = [router for service in desired.services.values() for router in service.routers]
    assert [list(json.loads(json.dumps(router.body))["entryPoints"]) for router in routers] == [["websecure"]]
    assert "websecure" in static["entryPoints"]


def test_the_example_application_is_a_project_for_each_colour_that_collides_with_nothing() -> None:
    arguments = ("-f", "shop/compose.yaml")
    blue, green = (
        composed("-p", f"shop-{colour}", *arguments, BLUEGREEN_COLOUR=colour, VERSION="1.4.2")["services"]["app"]
        for colour in ("blue", "green")
    )
    assert blue["labels"] | {"bluegreen.colour": "green"} == green["labels"]
    assert blue["labels"]["bluegreen.environment"] == "production"
    assert not {"ports", "container_name", "volumes"} & blue.keys()
    assert list(blue["networks"]) == ["edge"]
    staging = composed(*arguments, BLUEGREEN_COLOUR="blue", VERSION="1", ENVIRONMENT=STAGING_ENV["ENVIRONMENT"])
    assert staging["networks"]["edge"]["name"] == "staging-edge"
    with pytest.raises(AssertionError, match="set by bluegreen deploy"):
        composed(*arguments, VERSION="1")


# --- systemd -------------------------------------------------------------------------------------------------------


def analyze(folder: Path, *arguments: str) -> str:
    """Let systemd judge the unit, with a program in the place of what an installation puts there."""
    command = program("systemd", "systemd-analyze")
    unit = folder / UNIT.name
    unit.write_text(UNIT.read_text().replace("/opt/bluegreen/bin/bluegreen", "/bin/true"))
    done = subprocess.run([command, *arguments, str(unit)], capture_output=True, text=True, check=False)
    said = done.stdout + done.stderr
    if "Unknown option" in said or "unrecognized option" in said:
        missing("systemd", f"{shlex.join(arguments)}: too old")
    assert done.returncode == 0, said
    return said


def test_systemd_has_nothing_against_the_unit(tmp_path: Path) -> None:
    assert analyze(tmp_path, "verify") == ""


def test_the_unit_exposes_the_host_little(tmp_path: Path) -> None:
    found = re.search(r"Overall exposure level for \S+: ([\d.]+)", analyze(tmp_path, "security", "--offline=true"))
    assert found
    assert float(found[1]) <= EXPOSURE_AT_MOST


# --- replicas ------------------------------------------------------------------------------------------------------

REPLICAS = DEPLOY / "replicas"
STACK = ("-f", "replicas/stack.yaml")
MEMBERS = {
    "ETCD_CLUSTER": "node1=https://node1:2380,node2=https://node2:2380,node3=https://node3:2380",
    "ETCD_CLIENTS": "node1:2379,node2:2379,node3:2379",
    "DOCKER_GID": "999",
}


def filled(name: str) -> str:
    """Return a template of deploy/replicas/ with the names of a node, as `install` fills it."""
    values = {"NODE": "node1", "CLUSTER": MEMBERS["ETCD_CLUSTER"], "CLIENTS": MEMBERS["ETCD_CLIENTS"], "STATE": "new"}
    text = re.sub(r"@(\w+)@", lambda found: values.get(found[1], "bg_0"), (REPLICAS / name).read_text())
    assert "@" not in re.sub(r"(?m)^ *#.*$", "", text)
    return text


def variables(text: str) -> dict[str, str]:
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    return dict(line.split("=", 1) for line in lines)


LEFT_OUT = {"container_name", "depends_on", "restart", "security_opt", "build", "links", "network_mode", "tmpfs"}


@pytest.mark.parametrize("file", ["replicas/stack.yaml", "swarm/bluegreen.yaml", "swarm/shop.yaml"])
def test_a_stack_is_read_by_docker_as_it_is_meant(file: str) -> None:
    """Docker 20.10 refuses a file without a version, and takes a minus in a message for the mark of a default."""
    text = (DEPLOY / file).read_text()
    assert yaml.safe_load(text)["version"] == "3.8"
    assert not [message for message in re.findall(r"\$\{\w+:\?([^}]*)\}", text) if "-" in message]


def test_the_stack_puts_everything_on_each_manager_and_updates_one_at_a_time() -> None:
    stack = composed(*STACK, **MEMBERS)
    assert set(stack["services"]) == {"etcd", "bluegreen", "traefik", "socket-proxy"}
    for name, service in stack["services"].items():
        deploy = service["deploy"]
        assert deploy["mode"] == "global", name
        assert deploy["placement"]["constraints"] == ["node.role == manager", "node.labels.bluegreen == true"], name
        update = deploy["update_config"]
        assert (update["parallelism"], update["order"], update["failure_action"]) == (1, "stop-first", "rollback"), name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert re.search(r":v?\d", service["image"]), f"{name}: {service['image']} names no version"
        assert not LEFT_OUT & service.keys(), f"{name}: a Swarm leaves these out"
    with_socket = {name for name, one in stack["services"].items() if "docker.sock" in str(one.get("volumes"))}
    assert with_socket == {"socket-proxy"}
    assert {port["mode"] for one in stack["services"].values() for port in one.get("ports", ())} == {"host"}
    published = {
        name: [one["published"] for one in stack["services"][name].get("ports", ())] for name in stack["services"]
    }
    assert published == {"etcd": [], "bluegreen": [8901], "traefik": [80, 443], "socket-proxy": []}


def test_docker_accepts_the_stack() -> None:
    command = [program("docker", "docker"), "stack", "config", "--compose-file", "replicas/stack.yaml"]
    clean = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME"}}
    done = subprocess.run(command, cwd=DEPLOY, env=clean | MEMBERS, capture_output=True, text=True, check=False)
    if "docker stack" in done.stderr and "unknown" in done.stderr.lower():
        missing("docker-stack-config", "docker stack config is part of Docker 23 and later")
    assert done.returncode == 0, done.stderr


def test_every_file_of_the_stack_is_made_by_the_runbook_or_there() -> None:
    stack = yaml.safe_load((REPLICAS / "stack.yaml").read_text())
    page = (ROOT / "docs" / "replicas.md").read_text()
    files = [one["file"] for kind in ("secrets", "configs") for one in stack[kind].values()]
    for file in files:
        name = file.replace("${ENVIRONMENT:-production}", "production")
        if name.startswith("./secrets/"):
            stem = {
                "client-bluegreen": "client secrets bluegreen",
                "nodes": "node secrets nodes",
                "replicas": "node secrets replicas",
            }
            made = stem.get(Path(name).stem, name.removeprefix("./"))
            assert made in page or Path(name).stem in {"ca", "clients"}, name
        else:
            assert (REPLICAS / name).exists(), name


def options_of_serve() -> set[str]:
    return {str(one.envvar) for one in serve.params if getattr(one, "envvar", None)}


def test_every_setting_of_a_replica_is_an_option_of_serve() -> None:
    stack = yaml.safe_load((REPLICAS / "stack.yaml").read_text())
    drop_in = set(re.findall(r"(?m)^Environment=(\w+)=", UNIT.read_text()))
    used = variables(filled("bluegreen.env")).keys() | stack["services"]["bluegreen"]["environment"].keys() | drop_in
    of_others = {"SSL_CERT_FILE", "BLUEGREEN_ADMIN", "BLUEGREEN_CA"}  # of OpenSSL, and of a client in the container
    assert used - options_of_serve() <= of_others
    assert {"BLUEGREEN_STORE", "BLUEGREEN_STORE_CREDENTIALS", "BLUEGREEN_REPLICA", "BLUEGREEN_ADVERTISE"} <= used


@pytest.mark.parametrize("where", ["settings", "stack"])
def test_the_store_of_a_replica_is_protected(where: str) -> None:
    """Rule 63."""
    settings = (
        variables(filled("bluegreen.env"))
        if where == "settings"
        else composed(*STACK, **MEMBERS)["services"]["bluegreen"]["environment"]
    )
    address = parse_address(settings["BLUEGREEN_STORE"])
    check_protected(address, Path(settings["BLUEGREEN_STORE_CREDENTIALS"]))
    assert len(address.endpoints) == 3
    assert len(address.certificates) == 3
    assert address.prefix == "/bluegreen/production"


@pytest.mark.parametrize("where", ["settings", "stack"])
def test_etcd_asks_members_and_clients_for_certificates(where: str) -> None:
    """Rule 63."""
    settings = (
        variables(filled("etcd.env"))
        if where == "settings"
        else {
            name: str(value) for name, value in composed(*STACK, **MEMBERS)["services"]["etcd"]["environment"].items()
        }
    )
    assert settings["ETCD_PEER_CLIENT_CERT_AUTH"] == settings["ETCD_CLIENT_CERT_AUTH"] == "true"
    assert settings["ETCD_PEER_TRUSTED_CA_FILE"].endswith("/ca.crt"), "a client cannot pose as a member"
    assert settings["ETCD_TRUSTED_CA_FILE"].endswith("/clients.crt")
    plain = [name for name, value in settings.items() if "http://" in value]
    assert plain == ["ETCD_LISTEN_METRICS_URLS"]
    assert settings["ETCD_LISTEN_METRICS_URLS"].startswith("http://127.0.0.1:")
    assert settings["ETCD_AUTO_COMPACTION_RETENTION"] == "5m"
    assert settings["ETCD_SNAPSHOT_COUNT"] == "5000", "each entry of the log may be a whole document"


def test_traefik_polls_the_replica_of_its_own_node() -> None:
    static = yaml.safe_load(filled("traefik.yaml"))
    provider = static["providers"]["http"]
    assert provider["endpoint"] == "https://127.0.0.1:8900/traefik"
    assert provider["headers"] == {"Authorization": "Bearer bg_0", "X-Bluegreen-Poller": "node1"}
    stack = yaml.safe_load((REPLICAS / "stack.yaml").read_text())["services"]
    (fill,) = re.findall(r'(sed ".*?") /etc/traefik/traefik.yaml >', stack["traefik"]["entrypoint"][-1])
    script = fill.replace("$$", "$").replace("$(cat /run/secrets/provider-token)", "bg_0")
    script += f" {REPLICAS / 'traefik.yaml'}"
    done = subprocess.run(["sh", "-ec", script], env={"NODE": "node1"}, capture_output=True, text=True, check=True)
    inside = yaml.safe_load(done.stdout)["providers"]["http"]
    assert (
        inside["endpoint"]
        == f"https://{stack['bluegreen']['hostname'].replace('{{.Node.Hostname}}', 'node1')}:8900/traefik"
    )
    assert (inside["headers"], inside["tls"]) == (provider["headers"], provider["tls"])
    (ca,) = (one["target"] for one in stack["traefik"]["configs"] if one["source"] == "ca")
    assert ca == inside["tls"]["ca"]


def test_the_socket_proxy_of_the_stack_lets_through_what_a_swarm_is_asked_and_nothing_else() -> None:
    """Rule 67."""
    command = yaml.safe_load((REPLICAS / "stack.yaml").read_text())["services"]["socket-proxy"]["command"]
    (rule,) = (word.removeprefix("-allowGET=") for word in command if word.startswith("-allowGET"))
    for path in ("/_ping", "/version", "/v1.41/events", "/v1.41/services", "/v1.41/tasks", "/v1.41/nodes"):
        assert re.fullmatch(rule, path), path
    for path in ("/secrets", "/v1.41/configs", "/v1.41/services/create", "/containers/json", "/v1.41/swarm"):
        assert not re.fullmatch(rule, path), path


def test_systemd_has_nothing_against_the_unit_of_a_replica(tmp_path: Path) -> None:
    drop_ins = tmp_path / f"{UNIT.name}.d"
    drop_ins.mkdir()
    (drop_ins / "replica.conf").write_text((REPLICAS / "replica.conf").read_text())
    assert analyze(tmp_path, "verify") == ""
