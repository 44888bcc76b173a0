"""The doctor as an operator calls it: a real daemon, Traefik, Docker Engine and compose, in good order and in bad."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from bench.engine import IMAGE, Engine
from provider.cli.client.compose import find_command
from provider.model.errors import BluegreenError
from provider.traefik import certificate
from provider.traefik.process import free_ports
from tests.support.components import missing
from tests.support.daemon import StartDaemon
from tests.support.release import HOST, fixed
from tests.support.sockets import applications
from tests.support.traefik import Backend, DocumentServer, StartBackend, StartTraefik
from tests.support.waiting import eventually

SHOP = 'environment: production\nservices:\n  shop: {router: {rule: "Host(`shop.example.com`)"}}\n'
NOBODY = ("--admin", "none", "--traefik", "none", "--docker", "none")


@dataclass(frozen=True, slots=True)
class Output:
    """The exit code of the doctor, and its JSON."""

    code: int
    report: Mapping[str, Any]

    @property
    def codes(self) -> list[str]:
        """Every finding that is worse than an info, most severe first."""
        return [one["code"] for one in self.report["findings"] if one["severity"] != "info"]

    def of(self, code: str) -> list[Mapping[str, Any]]:
        return [one for one in self.report["findings"] if one["code"] == code]

    @property
    def skipped(self) -> dict[str, str]:
        return {one["what"]: one["because"] for one in self.report["not_looked_at"]}


async def doctor(*arguments: object) -> Output:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "provider", "doctor", "--json", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(120):
        out, err = await process.communicate()
    assert out, err.decode()
    assert process.returncode is not None
    return Output(process.returncode, orjson.loads(out))


async def test_a_set_up_in_good_order_has_no_finding_worse_than_an_info(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    backend = await start_backend("one")
    daemon = await start_daemon(fixed(backend, None))
    daemon.state.chmod(0o700)
    traefik = await start_traefik(daemon.endpoint, poll_interval_s=0.5, entry_point_http={"tls": {}})
    text = fixed(backend, None, api=traefik.api)
    daemon.write(text.replace("traefik: {", "traefik: {defaultCertificate: generated, "))
    await daemon.until("shop", confirmed=True, phase="steady")

    async def look() -> Output:
        found = await doctor("--admin", daemon.admin_url)
        assert (found.code, found.report["findings"]) == (0, []), found.report
        return found

    output = await eventually(look)
    assert output.skipped == {"Docker": "the daemon was started with --docker none"}
    assert [one.partition(" ")[0] for one in output.report["looked_at"]] == [
        "daemon",
        "desired-state",
        "state-dir",
        "Traefik",
    ]


async def test_what_a_real_traefik_shows_of_itself_is_checked(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, tmp_path: Path
) -> None:
    """Its settings, another provider's router that wins, an entry point that is not there, two default certificates."""
    files = tmp_path / "dynamic"
    files.mkdir()
    nearly_over = certificate.make(datetime.now(UTC) - timedelta(hours=9), timedelta(hours=10))
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    cert.write_text(nearly_over.cert_pem)
    key.write_text(nearly_over.key_pem)
    rival = {
        "http": {
            "routers": {"shop": {"rule": f"Host(`{HOST}`)", "service": "old", "priority": 1000}},
            "services": {"old": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:9"}]}}},
        },
        "tls": {
            "certificates": [{"certFile": str(cert), "keyFile": str(key)}],
            "stores": {"default": {"defaultCertificate": {"certFile": str(cert), "keyFile": str(key)}}},
        },
    }
    (files / "rival.yaml").write_text(json.dumps(rival))
    backend = await start_backend("one")
    text = fixed(backend, None)
    daemon = await start_daemon(f"traefik: {{defaultCertificate: generated}}\n{text}", "--poll-hold", "2s")
    traefik = await start_traefik(
        daemon.endpoint,
        files=files,
        poll_interval_s=30,
        poll_timeout_s=1,
        throttle_s=6,
        entry_point_http={"tls": {}},
    )
    other = text.replace("entryPoints: [web]", "entryPoints: [web, nowhere]")
    daemon.write(f"traefik: {{defaultCertificate: generated}}\n{other}")

    async def look() -> Output:
        found = await doctor("--admin", daemon.admin_url, "--traefik", traefik.api)
        assert found.of("router-shadowed"), found.report
        return found

    output = await eventually(look)
    assert output.code == 3
    assert {
        *("router-shadowed", "entry-point-missing", "poll-timeout-short"),
        *("default-certificate-conflict", "certificate-expires", "poll-slow", "throttle-long"),
    } <= set(output.codes)
    assert "router shop@file" in output.of("router-shadowed")[0]["where"]
    assert "its priority 1000 is above" in output.of("router-shadowed")[0]["what"]
    assert "certificate bluegreen default certificate" in output.of("certificate-expires")[0]["where"]


async def test_a_traefik_without_our_document_and_one_that_does_not_answer_are_different_findings(
    start_traefik: StartTraefik, documents: DocumentServer, tmp_path: Path
) -> None:
    """P2: what did not answer was not checked, and that is no pass."""
    traefik = await start_traefik(documents.url)
    nobody = f"unix:{tmp_path / 'none'}"
    output = await doctor(
        "--admin", nobody, "--docker", "none", "--traefik", traefik.api, "--traefik", "http://127.0.0.1:1"
    )
    assert (output.code, output.codes) == (6, ["no-daemon", "no-document-applied", "traefik-unreachable"])
    assert "default certificate" in " ".join(output.skipped)
    assert "the desired state" in output.skipped


async def test_the_files_of_a_daemon_are_checked_where_it_says_they_are(
    start_daemon: StartDaemon, start_backend: StartBackend, tmp_path: Path
) -> None:
    tokens = tmp_path / "tokens"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "provider", "token", "ann", "--scope", "read"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    line, shown = await process.communicate()
    tokens.write_bytes(line)
    tokens.chmod(0o644)
    daemon = await start_daemon(fixed(await start_backend("one"), None), "--tokens-file", str(tokens))
    daemon.file.chmod(0o666)
    daemon.state.chmod(0o755)
    refused = await doctor("--admin", daemon.admin_url, "--docker", "none")
    assert (refused.code, refused.codes) == (3, ["daemon-refuses"])
    token = shown.decode().splitlines()[1].strip()
    output = await doctor("--admin", daemon.admin_url, "--token", token)
    places = [
        (one["code"], one["where"])
        for one in output.report["findings"]
        if one["code"] in {"secret-readable", "file-writable"}
    ]
    assert places == [
        ("secret-readable", f"state-dir {daemon.state}"),
        ("secret-readable", f"tokens-file {tokens}"),
        ("file-writable", f"desired-state {daemon.file}"),
    ]
    daemon.file.unlink()
    assert (await doctor("--admin", daemon.admin_url, "--token", token)).of("file-missing")
    ignored = await doctor(*NOBODY, "--state-dir", daemon.state, "--ignore", "secret-readable")
    assert (ignored.code, ignored.report["summary"]["ignored"]) == (0, 1)


# --- Docker ----------------------------------------------------------------------------------------------------------


def make(
    engine: Engine, name: str, labels: Mapping[str, str], *, start: bool = True, image: str = IMAGE, **host: Any
) -> None:
    ports = list(host.get("port_bindings", ())) or None
    config = engine.api.create_host_config(**host)
    id_ = engine.api.create_container(image, name=name, labels=dict(labels), ports=ports, host_config=config)["Id"]
    engine.adopt(id_)
    if start:
        engine.api.start(id_)


async def test_containers_that_do_not_go_together_are_found_on_a_real_engine(engine: Engine, tmp_path: Path) -> None:
    file, data = tmp_path / "production.yaml", tmp_path / "data"
    file.write_text(SHOP)
    front, back = engine.network("doctor-front"), engine.network("doctor-back")
    engine.api.tag(IMAGE, "traefik", "doctor")
    engine.adopt_image("traefik:doctor")
    make(engine, "doctor-edge", {}, image="traefik:doctor", network_mode=front)

    def shop(colour: str, **more: str) -> dict[str, str]:
        return {"bluegreen.service": "shop", "bluegreen.colour": colour, **more}

    both: dict[str, Any] = {"binds": [f"{data}:/data"], "port_bindings": {80: ("127.0.0.1", 18999)}}
    make(engine, "doctor-blue", shop("blue"), network_mode=back, **both)
    make(engine, "doctor-green", shop("green", **{"bluegreen.prot": "80"}), network_mode=front, start=False, **both)
    make(engine, "doctor-teal", shop("teal"), network_mode=front, restart_policy={"Name": "always"})
    output = await doctor("--admin", "none", "--traefik", "none", "--docker", engine.url, "--desired-state", file)
    assert output.code == 3
    assert set(output.codes) == {
        *("network-not-shared", "port-collides", "volume-shared", "container-ignored", "label-unknown"),
        *("no-health-check", "restart-policy"),
    }
    (far,) = output.of("network-not-shared")
    assert (far["where"], far["what"]) == (
        "container doctor-blue",
        "its address is on the network doctor-back, where Traefik doctor-edge is not (it is on doctor-front)",
    )
    assert output.of("container-ignored")[0]["where"] == "container doctor-teal"
    assert output.of("volume-shared")[0]["what"].startswith(f"both colours can write to {data}: ")
    assert output.of("label-unknown")[0]["fix"] == "write bluegreen.port"
    assert {one["where"] for one in output.of("restart-policy")} == {"container doctor-blue", "container doctor-green"}


async def test_containers_in_good_order_are_no_finding_and_an_engine_that_is_away_is_one(
    start_daemon: StartDaemon, engine: Engine, tmp_path: Path
) -> None:
    """The engine is the one that the daemon follows."""
    policy: Any = {"Name": "unless-stopped"}
    for colour in ("blue", "green"):
        id_ = engine.run(f"doctor-{colour}", "shop", colour, version="1", healthcheck=True)
        engine.api.update_container(id_, restart_policy=policy)
    daemon = await start_daemon(SHOP.replace("router:", "initial: blue, router:"), docker=engine.url)
    await daemon.until("shop", active="blue")
    output = await doctor("--admin", daemon.admin_url)
    assert (output.code, output.codes) == (0, []), output.report
    assert {one["code"] for one in output.report["findings"]} == {"no-read-back", "image-moves"}
    assert f"Docker {engine.url} (2 of " in " ".join(output.report["looked_at"])
    assert "the daemon's Docker Engine" not in output.skipped
    away = await doctor("--admin", daemon.admin_url, "--docker", f"unix://{tmp_path}/none.sock")
    assert (away.code, away.codes) == (3, ["docker-unreachable"])


# --- compose ---------------------------------------------------------------------------------------------------------

COMPOSE = """\
version: "2.4"
services:
  web:
    image: shop:${TAG}
    restart: unless-stopped
    labels:
      bluegreen.service: shop
      bluegreen.colour: COLOUR
    volumes: [data:/data, ./conf:/conf:ro]
volumes:
  data: {}
"""


@pytest.mark.takes(13)
async def test_a_real_compose_shows_what_it_would_start_in_each_colour(tmp_path: Path) -> None:
    try:
        find_command()
    except BluegreenError as error:
        missing("docker", str(error))
    file = tmp_path / "compose.yaml"

    async def look(text: str, *more: object) -> Output:
        file.write_text(text)
        return await doctor(*NOBODY, "-f", file, *more)

    own = COMPOSE.replace("COLOUR", "${BLUEGREEN_COLOUR}")
    (split,) = (await look(own, "-e", "TAG=1")).of("volume-per-colour")
    assert split["severity"] == "critical"
    assert "compose service web (shop:1)" in split["where"]
    assert "data of its own (" in split["what"]
    good = own.replace("data: {}", "data: {name: 'data-${BLUEGREEN_COLOUR}'}")
    output = await look(good, "-e", "TAG=1")
    assert (output.code, output.report["findings"]) == (0, [])
    assert f"HEALTHCHECK of the images in compose file {file}" in output.skipped
    alike = good.replace("  web:\n", "  web:\n    container_name: shop\n    ports: ['8080:80']\n")
    alike = alike.replace("data: {name: 'data-${BLUEGREEN_COLOUR}'}", "data: {external: true}")
    assert (await look(alike, "-e", "TAG=1")).codes == ["container-name-fixed", "port-collides", "volume-shared"]
    fixed = good.replace("colour: ${BLUEGREEN_COLOUR}", "colour: blue")
    assert (await look(fixed, "-e", "TAG=1")).codes == ["compose-colour-fixed"]
    twins = f"{good}\n".replace(
        "volumes:\n", "  db: {image: 'postgres:16', volumes: ['dbdata:/d']}\nvolumes:\n  dbdata: {}\n"
    )
    (twin,) = (await look(twins, "-e", "TAG=1")).of("database-per-colour")
    assert twin["where"] == "compose service db (postgres:16)"
    loud = tmp_path / "loud-compose"
    loud.write_text(f'#!/bin/sh\necho "WARNING: The PW variable is not set."\nexec {" ".join(find_command())} "$@"\n')
    loud.chmod(0o755)
    assert (await look(good, "-e", "TAG=1", "--compose", loud)).codes == []
    probed = tmp_path / "production.yaml"
    probed.write_text(SHOP.replace("router:", "healthCheck: {mode: http}, router:"))
    judged = await look(good, "-e", "TAG=1", "--desired-state", probed)
    assert judged.codes == []
    assert not any("HEALTHCHECK" in one for one in judged.skipped), "its service does not go by it"
    assert (await look("services: {web: {imagee: shop}}")).codes == ["compose-refused"]


async def test_steps_that_are_valid_and_unwise_are_told_of(
    start_traefik: StartTraefik, documents: DocumentServer, tmp_path: Path
) -> None:
    """Rules 21, 23c and 24: the value may be guessed where only this machine reaches the entry point."""
    file = tmp_path / "production.yaml"
    file.write_text(
        "environment: production\ntraefik: {api: [http://127.0.0.1:1]}\nservices:\n"
        "  shop:\n    router: {rule: Host(`shop.example.com`), entryPoints: [web]}\n"
        "    canary: {affinity: client, steps: [{weight: 5}]}\n    analysis: {errors: {max: 5%}}\n"
        "    testRoute: {header: {name: X-Release, value: candidate}}\n"
    )
    alone = await doctor(*NOBODY, "--desired-state", file)
    assert alone.code == 3
    assert sorted(alone.codes) == ["analysis-false-alarms", "test-value-guessable"]
    assert len(alone.of("affinity-by-address")) == 1
    traefik = await start_traefik(documents.url)
    arguments = ("--admin", "none", "--docker", "none", "--traefik", traefik.api, "--desired-state", file)
    beside = await doctor(*arguments, "--ignore", "no-document-applied")
    assert "test-value-guessable" not in beside.codes
    assert "analysis-false-alarms" in beside.codes


async def test_tls_options_that_differ_for_one_host_are_found_while_traefik_uses_neither(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, tmp_path: Path
) -> None:
    """Rule 36: Traefik lists both routers under other names then, with the options that they were written with."""
    other = {
        "http": {
            "routers": {"old": {"rule": f"Host(`{HOST}`)", "service": "old", "tls": {"options": "strict"}}},
            "services": {"old": {"loadBalancer": {"servers": [{"url": "http://127.0.0.1:9"}]}}},
        },
        "tls": {"options": {"strict": {"clientAuth": {"clientAuthType": "RequireAnyClientCert"}}}},
    }
    (tmp_path / "other.yaml").write_text(json.dumps(other))
    text = fixed(await start_backend("one"), None).replace("entryPoints: [web]", "entryPoints: [web], tls: {}")
    daemon = await start_daemon(text)
    traefik = await start_traefik(daemon.endpoint, files=tmp_path)

    async def look() -> Mapping[str, Any]:
        found = await doctor("--admin", daemon.admin_url, "--traefik", traefik.api)
        assert found.of("tls-options-differ"), found.report
        return found.of("tls-options-differ")[0]

    finding = await eventually(look)
    assert finding["severity"] == "critical"
    assert f"for the same host {HOST}" in finding["what"]
    assert "strict@file" in finding["what"]


async def test_routers_of_tcp_and_udp_that_another_provider_has_too_are_found(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, tmp_path: Path
) -> None:
    """Rules 32 and 36: a rule of TCP without a host has one priority in all providers, UDP has none."""
    nowhere = {"old": {"loadBalancer": {"servers": [{"address": "127.0.0.1:9"}]}}}
    other = {
        "tcp": {
            "routers": {"old": {"rule": "HostSNI(`*`)", "service": "old", "entryPoints": ["mqtt"]}},
            "services": nowhere,
        },
        "udp": {"routers": {"old": {"service": "old", "entryPoints": ["dns"]}}, "services": nowhere},
    }
    (tmp_path / "other.yaml").write_text(json.dumps(other))
    mqtt, dns = free_ports(2)
    async with applications(blue) as (application,):
        daemon = await start_daemon(f"""\
            environment: production
            services:
              broker:
                endpoints: {{default: {{}}, mqtt: {{protocol: tcp}}, dns: {{protocol: udp}}}}
                routers:
                  broker: {{rule: "Host(`{HOST}`)", entryPoints: [web]}}
                  broker-mqtt: {{rule: "HostSNI(`*`)", entryPoints: [mqtt], endpoint: mqtt}}
                  broker-dns: {{entryPoints: [dns], endpoint: dns}}
                servers: {{blue: {application.written}}}
            """)
        (web,) = free_ports(1)
        traefik = await start_traefik(
            daemon.endpoint,
            files=tmp_path,
            entry_points={"web": web, "mqtt": mqtt},
            udp_entry_points={"dns": dns},
        )

        async def look() -> Output:
            found = await doctor("--admin", daemon.admin_url, "--traefik", traefik.api)
            assert found.of("router-tie"), found.report
            return found

        output = await eventually(look)
    assert [one["where"].partition(", ")[2] for one in output.of("router-tie")] == ["router old@file"]
    (shared,) = output.of("udp-entry-point-shared")
    assert shared["where"].endswith("entry point dns")
    assert not {"router-broken", "entry-point-missing", "entry-point-protocol"} & set(output.codes)
