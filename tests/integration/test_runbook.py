"""docs/replicas.md, played as written: three nodes and a fourth, each with etcd, a replica and a Traefik of its own.

The machines are namespaces, with addresses that are not loopback: TLS, certificates, users and passwords are what the
page makes. Docker is left out, the desired state has fixed servers.
"""

import json
import os
import re
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.machine import Missing, program
from provider.traefik.process import find_binary
from tests.support.components import missing
from tests.support.etcd import etcd_program
from tests.support.machines import Machine, Site
from tests.support.namespace import Namespace
from tests.support.pages import blocks_by_heading
from tests.support.paths import ROOT
from tests.support.runbook import Operator

PAGE = (ROOT / "docs" / "replicas.md").read_text()
NODES = ("node1", "node2", "node3")
TRAEFIK = """
[Service]
ExecStart=/usr/local/bin/traefik --configFile=/etc/traefik/traefik.yaml
"""
DESIRED = """
environment: production
traefik:
  api: [http://node1:8080, http://node2:8080, http://node3:8080]
  defaultCertificate: generated
services:
  shop:
    initial: blue
    router: {rule: "Host(`shop.example.com`)", entryPoints: [websecure], tls: {}}
    healthCheck: {mode: tcp, interval: 500ms}
    settle: 100ms
    watch: 1s
    servers:
      blue: {urls: ["http://192.0.2.10:8081"], version: "1"}
      green: {urls: ["http://192.0.2.10:8082"], version: "2"}
"""


IN_A_SWARM = "A Docker Swarm"
BLOCKS = {heading: found for heading, found in blocks_by_heading(PAGE, "sh").items() if heading != IN_A_SWARM}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    etcd_program()
    for name in ("etcdctl", "openssl"):
        try:
            program(name)
        except Missing as absent:
            missing("etcd" if name == "etcdctl" else name, str(absent))
    try:
        made = Site(tmp_path, (*NODES, "node4"), [ROOT / ".venv" / "bin", find_binary().parent])
    except Missing as absent:
        missing("mount", str(absent))
    with made:
        for machine in made.machines.values():
            has_traefik(machine)
        yield made


@pytest.fixture
def operator(site: Site, tmp_path: Path) -> Iterator[Operator]:
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy", ignore=shutil.ignore_patterns("secrets", ".env"))
    (tmp_path / "deploy" / "bluegreen" / "production.yaml").write_text(DESIRED)
    settings = tmp_path / "deploy" / "replicas" / "bluegreen.env"
    settings.write_text(settings.read_text() + "BLUEGREEN_DOCKER=none\n")
    serving = []
    for port in ("8081", "8082"):
        site.admin.do(f"mkdir {port} && echo {port} >{port}/index.html")
        serve = site.admin.command(sys.executable, "-m", "http.server", port, "--directory", f"/root/{port}")
        serving.append(subprocess.Popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
    made = Operator(site.admin, tmp_path / "deploy" / "replicas", BLOCKS)
    yield made
    made.close()
    for process in serving:
        process.kill()
        process.wait()


def has_traefik(machine: Machine) -> None:
    """Install Traefik, which the page takes for granted."""
    machine.do(f"cat >/etc/systemd/system/traefik.service <<'END'{TRAEFIK}END")


def answer(site: Site, node: str) -> str:
    """Return the body that a client of a node's Traefik gets."""
    script = (
        "import ssl, urllib.request as u; c = ssl._create_unverified_context(); "
        "print(u.urlopen(u.Request('https://127.0.0.1/', headers={'Host': 'shop.example.com'}), context=c).read())"
    )
    return site.machines[node].do(f'{sys.executable} -c "{script}"')


def status(site: Site, token: str) -> dict[str, Any]:
    """Return what `bluegreen status --json` shows, without a start of the command."""
    trusted = ssl.create_default_context(cafile=site.folder / "deploy" / "replicas" / "secrets" / "ca.crt")
    trusted.check_hostname = False
    url = f"https://{site.machines['node1'].address}:8901/api/v1/services"
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    network = Namespace.of(site.admin.pid)
    try:
        with network.entered(), urllib.request.urlopen(request, context=trusted, timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
            return found
    except OSError as failure:
        return {"failure": str(failure)}
    finally:
        network.close()


def settled(site: Site, token: str, replicas: int = 3) -> dict[str, Any]:
    """Wait until so many replicas have the current document, and their Traefiks show it; return the status of shop."""
    end = time.monotonic() + 60
    while True:
        found = status(site, token)
        here = [one for one in found.get("replicas", ()) if one["current"] and not one["away"] and one["pollers"]]
        if len(here) == replicas and found["services"][0]["confirmed"]:
            shop: dict[str, Any] = found["services"][0]
            return shop
        assert time.monotonic() < end, found
        time.sleep(0.05)


@pytest.mark.skipif("BLUEGREEN_RUNBOOK" not in os.environ, reason="takes minutes: make runbook")
def test_the_runbook_of_replicas_is_played_as_written(site: Site, operator: Operator) -> None:
    """Rules 50 to 65."""
    (token,) = re.findall(r"bg_[\w-]+", operator.plays("Install", 0))
    for number in range(1, 5):
        operator.plays("Install", number)
    said = operator.plays("Install", 5, token=token)
    assert "replica node1 leads" in said
    settled(site, token)
    assert "8081" in answer(site, "node3")
    assert "applied by 3 of 3 Traefiks" in operator.does("bluegreen switch shop green 2>&1")
    assert "8082" in answer(site, "node3")
    only_its_prefix(operator)

    assert "nothing to do" in operator.plays("Change the desired state")
    edited = site.folder / "deploy" / "bluegreen" / "production.yaml"
    edited.write_text(DESIRED.replace("watch: 1s", "watch: 2s"))
    assert "watch" in operator.does(f"bluegreen apply {edited} 2>&1")

    operator.plays("Add a node", 0)
    settled(site, token, 4)
    operator.plays("Add a node", 1)
    for number in range(2):
        operator.plays("Upgrade", number)
    operator.plays("Renew certificates")
    operator.plays("Back up and restore", 0)
    settled(site, token)

    site.lose("node3")
    has_traefik(site.boot("node3"))
    for number in range(2):
        operator.plays("Lose a node", number)
    settled(site, token)
    operator.does("bluegreen switch shop blue 2>&1")
    before = settled(site, token)

    operator.plays("Back up and restore", 1)
    after = settled(site, token)
    assert (before["active"], after["active"]) == ("blue", "green"), "as it was when the backup was made"
    assert after["revision"] > before["revision"]
    operator.plays("What happens when")
    operator.plays("Back up and restore", 2)
    assert settled(site, token)["active"] == "green"
    assert "8082" in answer(site, "node3")

    operator.does("for node in $NODES; do ssh $node systemctl stop bluegreen & done; wait")
    stored = operator.does("bluegreen store export -")
    operator.plays("Move from one daemon, and back", 1)
    operator.does("./etcd-users root secrets/users del --prefix /bluegreen/production/; mv new-state state")
    operator.plays("Move from one daemon, and back", 0)
    assert json.loads(operator.does("bluegreen store export -")) == json.loads(stored)
    assert {block for blocks in BLOCKS.values() for block in blocks} == operator.played, "every block of the page"


def only_its_prefix(operator: Operator) -> None:
    """Rule 63: the user reads and writes below its prefix alone, and nobody does without a password or certificate."""
    for variables, key, can in (
        ("ETCDCTL_USER=$(cat secrets/users/bluegreen)", "/bluegreen/production/head", True),
        ("ETCDCTL_USER=$(cat secrets/users/bluegreen)", "/bluegreen/staging/head", False),
        ("", "/bluegreen/production/head", False),
        ("ETCDCTL_USER=$(cat secrets/users/bluegreen) ETCDCTL_CERT= ETCDCTL_KEY=", "/bluegreen/production/head", False),
    ):
        got = operator.does(f"{variables} etcdctl get --dial-timeout=1s {key} 2>&1 || echo refused")
        assert ("refused" not in got) is can, (variables, key, got)
