"""What `bluegreen import` prints, in a real Traefik beside the labels that it was made from (rule 37)."""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bench.engine import Engine
from provider import config
from provider.cli import offline
from provider.cli.importing.files import ComposeFiles
from provider.cli.importing.found import Found
from provider.cli.main import main
from provider.docker.traefik_labels import has_routing
from provider.model import Desired, Protocol
from provider.traefik import validation
from provider.traefik.process import free_ports
from tests.support.compose_files import NAMES, NOTHING_TAKEN, expected, paths
from tests.support.labelled_engine import LabelledEngine
from tests.support.traefik import DocumentServer, StartTraefik
from tests.support.waiting import eventually

TAKEN = sorted({*NAMES} - NOTHING_TAKEN)
SECTIONS = {
    "routers": ("middlewares", "services"),
    "tcpRouters": ("tcpMiddlewares", "tcpServices"),
    "udpRouters": ("", "udpServices"),
}
KEPT = ("rule", "entryPoints", "tls", "ruleSyntax", "parentRefs")
CHANGES_S = 60.0
EXPOSED = 80
PROJECT = "files"
PROVIDERS = ("@docker", "@http")


def entry_points(desired: Desired, *protocols: Protocol) -> dict[str, int]:
    of_services = [
        one.body for service in desired.services.values() for each in protocols for one in service.routers_of(each)
    ]
    passed: Any = desired.pass_through
    of_others = [body for each in protocols for body in passed.get(each, {}).get("routers", {}).values()]
    named: set[Any] = {name for body in (*of_services, *of_others) for name in body.get("entryPoints", ())}
    names = sorted(named or ({"web"} if Protocol.HTTP in protocols else ()))
    return dict(zip(names, free_ports(len(names)), strict=True))


def labels_of(found: Found) -> dict[str, str]:
    service, project = found.traefik_name.removesuffix(f"_{PROJECT}"), PROJECT
    if service == found.traefik_name:  # of a Swarm service, whose stack comes first
        service, project = found.traefik_name.removeprefix(f"{PROJECT}_"), PROJECT
    compose = {"com.docker.compose.project": project, "com.docker.compose.service": service}
    enabled = {"traefik.enable": "true"} if has_routing(found.labels) else {}
    return {**compose, **enabled, **found.labels}


def routers(raw: Mapping[str, Any], provider: str) -> list[dict[str, Any]]:
    """Return the routers of a provider without their names, each with its middlewares and the port that it leads to."""
    found = []
    for section, (middlewares, services) in SECTIONS.items():
        for name, body in raw.get(section, {}).items():
            if name.endswith(f"@{provider}"):
                used = [
                    raw.get(middlewares, {}).get(qualified(one, provider), one) for one in body.get("middlewares", ())
                ]
                router = {key: body[key] for key in KEPT if key in body}
                router |= {"section": section, "middlewares": [plain(one) for one in used]}
                router |= {"priority": body.get("priority"), "leads": body["service"]}
                router["port"] = port_of(raw.get(services, {}).get(qualified(body["service"], provider), {}))
                found.append(router)
    return sorted(found, key=lambda one: json.dumps(one.get("rule", "")) + json.dumps(one.get("entryPoints")))


def qualified(name: str, provider: str) -> str:
    return name if "@" in name else f"{name}@{provider}"


def plain(middleware: object) -> object:
    if not isinstance(middleware, dict):
        return middleware
    body = {key: value for key, value in middleware.items() if key not in {"status", "usedBy", "error", "type"}}
    return json.loads(re.sub(r"@(docker|http)\b", "", json.dumps(body)))


def port_of(service: Mapping[str, Any]) -> str | None:
    servers = service.get("loadBalancer", {}).get("servers", [])
    return (servers[0].get("url") or servers[0]["address"]).rpartition(":")[2] if servers else None


def ports(desired: Desired) -> dict[str, str]:
    """Return the port of each weighted service."""
    return {
        service.weighted_in_traefik(endpoint.name): str(endpoint.port or EXPOSED)
        for service in desired.services.values()
        for endpoint in service.endpoints
    }


@pytest.mark.parametrize("name", TAKEN)
async def test_a_real_traefik_takes_what_is_printed(name: str, traefik_binary: Path) -> None:
    """Rule 37: as `bluegreen validate --traefik` does."""
    text = expected(name).text
    document, _ = offline.document(config.load(text or "", "printed.yaml"))
    found = await validation.validate(document.body, binary=traefik_binary)
    assert found.errors == ()


@pytest.mark.parametrize("name", TAKEN)
async def test_a_real_traefik_makes_the_same_routers_of_it_as_of_the_labels(
    name: str, start_traefik: StartTraefik, documents: DocumentServer
) -> None:
    """Rule 37: ours are one priority above, so that they win while both are there."""
    founds, _ = ComposeFiles(paths(name), None).find()
    containers = {f"c{number}": labels_of(one) for number, one in enumerate(founds) if not one.missing}
    desired = config.load(expected(name).text or "", "printed.yaml")
    documents.publish(json.loads(offline.document(desired)[0].body))
    async with LabelledEngine(containers, (f"{EXPOSED}/tcp",)) as engine:
        traefik = await start_traefik(
            documents.url,
            docker=engine.url.replace("http:", "tcp:"),
            entry_points=entry_points(desired, Protocol.HTTP, Protocol.TCP),
            udp_entry_points=entry_points(desired, Protocol.UDP),
        )

        async def both() -> Mapping[str, Any] | None:
            raw = await traefik.raw_data()
            every = {name: one for section in SECTIONS for name, one in raw.get(section, {}).items()}
            is_built = all("priority" in one for one in raw.get("routers", {}).values())
            return raw if is_built and all(any(name.endswith(end) for name in every) for end in PROVIDERS) else None

        raw = await eventually(both, limit_s=CHANGES_S)
    theirs, ours = routers(raw, "docker"), routers(raw, "http")
    assert len(theirs) == len(ours) > 0
    for of_labels, of_file in zip(theirs, ours, strict=True):
        leads, priority = of_file.pop("leads"), of_file.pop("priority")
        of_file["port"] = ports(desired).get(leads.removesuffix("@http"))
        before = of_labels.pop("priority")
        is_passed = of_labels.pop("leads") == leads and "@" in leads
        assert of_file == of_labels
        is_any = of_labels.get("rule") == "HostSNI(`*`)"
        assert priority == (before if before is None or is_any or is_passed else before + 1)


def test_what_runs_on_an_engine_is_printed(engine: Engine) -> None:
    """Rule 37: the image exposes port 80."""
    labels = {"traefik.http.routers.shop.rule": "Host(`shop`)", "traefik.http.routers.shop.middlewares": "auth"}
    labels |= {"traefik.http.middlewares.auth.basicauth.users": "a:$apr1$x$y", "traefik.enable": "false"}
    for colour in ("blue", "green"):
        engine.run(f"shop-{colour}", "shop", colour, labels={**labels, "bluegreen.environment": "staging"})
    result = CliRunner().invoke(main, ["import", "--docker", engine.url])
    desired = config.load(result.stdout, "printed.yaml")
    assert (desired.environment, list(desired.services), result.exit_code) == ("staging", ["shop"], 0)
    assert desired.services["shop"].routers[0].body == {"rule": "Host(`shop`)", "middlewares": ["auth"]}
    assert desired.pass_through == {"http": {"middlewares": {"auth": {"basicAuth": {"users": ["a:$apr1$x$y"]}}}}}
    assert result.stderr == ""
