"""Labels decoded by us and by a real Traefik's Docker provider: it makes the same of both.

What is decoded here is served to the same Traefik as a document: its routers, services and middlewares of both
providers have to be equal, with defaults, errors and all.
"""

import asyncio
import json
import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.engine import IMAGE, Engine
from provider.docker.traefik_labels import ContainerFacts, Decoded, decode
from provider.docker.traefik_labels.default_rule import normalize
from provider.traefik.process import LOOPBACK, free_ports
from tests.support.labelled import SETS, Labelled
from tests.support.traefik import DocumentServer, StartTraefik
from tests.support.waiting import eventually

DEFAULT_RULE = 'Host(`{{ normalize .Name }}.{{ .ContainerName | trimPrefix "s" | upper }}`) {{- index .Labels `end` -}}'
PORTS = (53, 80)
"""The image exposes 80/tcp, and every container 53/udp besides: Traefik takes the lowest of all protocols."""
SECTIONS = {
    "http": ("routers", "services", "middlewares"),
    "tcp": ("tcpRouters", "tcpServices", "tcpMiddlewares"),
    "udp": ("udpRouters", "udpServices"),
}
CHANGES_S = 60.0


def start(engine: Engine, name: str, labelled: Labelled) -> str:
    """Start a container of these labels; return its address. One that needs no server is only created."""
    labels = {**labelled.named(name), "traefik.enable": "true"}
    if not labelled.needs_server:
        labels["traefik.docker.allownonrunning"] = "true"
    id_ = engine.api.create_container(IMAGE, name=name, labels=labels, ports=[(53, "udp")])["Id"]
    engine.adopt(id_)
    if not labelled.needs_server:
        return LOOPBACK
    engine.api.start(id_)
    return str(engine.api.inspect_container(id_)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"])


def document(decoded: Decoded, address: str) -> dict[str, Any]:
    """Return a configuration as a document, with the server that Traefik makes of its label."""
    sections: dict[str, Any] = json.loads(json.dumps(decoded.sections).replace("@docker", "@http"))
    for protocol, section in sections.items():
        for service in section.get("services", {}).values():
            balancer = service["loadBalancer"]
            server = balancer.pop("server")
            port, scheme = server.pop("port", min(PORTS)), server.pop("scheme", "http")
            if protocol == "http" and not server.get("url"):
                server["url"] = f"{scheme}://{address}:{port}"
            elif protocol != "http":
                server["address"] = f"{address}:{port}"
            balancer["servers"] = [server]
    return sections


def of_provider(raw: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """Return all that Traefik has of a provider, as if that were another."""
    found: dict[str, Any] = {}
    for names in SECTIONS.values():
        for section in names:
            for name, body in raw.get(section, {}).items():
                if name.endswith(f"@{provider}") and not name.startswith("marker@"):
                    found[f"{section} {name.removesuffix(f'@{provider}')}"] = without_provider(body, provider)
    return found


def without_provider(body: object, provider: str) -> object:
    return json.loads(re.sub(rf"@{provider}\b", "@x", json.dumps(body, sort_keys=True)))


async def test_traefik_makes_the_same_of_labels_as_of_what_we_decode(
    engine: Engine, start_traefik: StartTraefik, documents: DocumentServer
) -> None:
    """Rule 34: the syntax of Traefik's own labels, all of it."""
    names = {f"s{number:03}": labelled for number, labelled in enumerate(SETS.values())}
    with ThreadPoolExecutor(8) as threads:
        started = threads.map(lambda one: start(engine, *one), names.items())
        addresses = await asyncio.to_thread(list, started)
    merged: dict[str, Any] = {"http": {"middlewares": {"marker": {"compress": {}}}}}
    wrong: dict[str, object] = {}
    for (name, labelled), set_name, address in zip(names.items(), SETS, addresses, strict=True):
        labels = labelled.named(name)
        decoded = decode(labels, ContainerFacts(normalize(f"/{name}"), name, PORTS, DEFAULT_RULE))
        dropped = any(fault.router is None for fault in decoded.faults)
        if (dropped, bool(decoded.faults)) != (labelled.is_dropped, labelled.is_dropped or labelled.loses_routers):
            wrong[set_name] = list(map(str, decoded.faults))
        for protocol, section in document(decoded, address).items():
            for kind, objects in section.items():
                merged.setdefault(protocol, {}).setdefault(kind, {}).update(objects)
    assert wrong == {}, json.dumps(wrong, indent=1)
    documents.publish(json.dumps(merged).encode())  # ASCII: Traefik reads it as YAML, where U+2028 ends a line
    (udp_port,) = free_ports(1)
    traefik = await start_traefik(
        documents.url,
        docker=engine.url,
        default_rule=DEFAULT_RULE,
        udp_entry_points={"datagrams": udp_port},
        address=LOOPBACK,
    )

    async def both() -> Mapping[str, Any] | None:
        raw = await traefik.raw_data()
        both_are_there = "marker@http" in raw.get("middlewares", {}) and "s000@docker" in raw.get("routers", {})
        return raw if both_are_there else None

    raw = await eventually(both, limit_s=CHANGES_S)
    theirs, ours = of_provider(raw, "docker"), of_provider(raw, "http")
    for (name, labelled), set_name in zip(names.items(), SETS, strict=True):
        its = {key: body for key, body in theirs.items() if name in key}
        own = {key: body for key, body in ours.items() if name in key}
        if its != own or (not its) != labelled.is_dropped:
            wrong[set_name] = {key: (its.get(key), own.get(key)) for key in its | own if its.get(key) != own.get(key)}
    assert wrong == {}, json.dumps(wrong, indent=1)
    assert theirs.keys() == ours.keys()
    with ThreadPoolExecutor(8) as threads:  # one after the other they take longer than all of the above
        await asyncio.to_thread(list, threads.map(engine.remove, names))
