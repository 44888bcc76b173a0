"""Labels decoded by us and by a real Traefik's Docker provider: it makes the same of both.

What is decoded here is served to the same Traefik as a document: its routers, services and middlewares of both
providers have to be equal, with defaults, errors and all.
"""

import asyncio
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

import pytest

from bench.engine import IMAGE, Engine
from provider.docker.traefik_labels import ContainerFacts, Decoded, decode
from provider.docker.traefik_labels.default_rule import normalize
from provider.docker.traefik_labels.routing import routing_of
from provider.docker.traefik_labels.texts import unreadable
from provider.docker.traefik_labels.tree import NAME_MOST
from provider.model import JsonObject, Protocol
from provider.model.routing import DOCKER, Routing
from provider.traefik.process import LOOPBACK, Traefik, free_ports
from tests.support.decoder import Decoder
from tests.support.labelled import SETS, Labelled, drawn
from tests.support.labelled_engine import LabelledEngine
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
SEED = 0
COMPARED = 600
GENERATED = re.compile('"name": "_[0-9a-f]{5}"')
"""The name of a cookie without one: a hash of the service's name with its provider."""
Objects: TypeAlias = dict[str, Any]


def decoded(name: str, labels: Mapping[str, str]) -> Decoded:
    return decode(labels, ContainerFacts(normalize(f"/{name}"), name, PORTS, DEFAULT_RULE))


def start(engine: Engine, name: str, labelled: Labelled) -> str | None:
    """Start a container of these labels; return its address. One that needs no server is created, and has none."""
    labels = {**labelled.named(name), "traefik.enable": "true"}
    if not labelled.needs_server:
        labels["traefik.docker.allownonrunning"] = "true"
    id_ = engine.api.create_container(IMAGE, name=name, labels=labels, ports=[(53, "udp")])["Id"]
    engine.adopt(id_)
    if not labelled.needs_server:
        return None
    engine.api.start(id_)
    return str(engine.api.inspect_container(id_)["NetworkSettings"]["Networks"]["bridge"]["IPAddress"])


def document(read: Decoded, address: str | None) -> dict[str, Any]:
    """Return a configuration as a document, with the server that Traefik makes of its label; none without address."""
    sections: dict[str, Any] = json.loads(json.dumps(read.sections).replace("@docker", "@http"))
    for protocol, section in sections.items():
        for service in section.get("services", {}).values():
            balancer = service["loadBalancer"]
            server = balancer.pop("server")
            port, scheme = server.pop("port", None) or min(PORTS), server.pop("scheme", None) or "http"
            if protocol == "http" and not server.get("url"):
                server["url"] = f"{scheme}://{address}:{port}"
            elif protocol != "http":
                server["address"] = f"{address}:{port}"
            balancer["servers"] = [] if address is None else [server]
    return sections


def as_yaml(document: JsonObject) -> bytes:
    """Write a document of texts in which YAML sees the end of a line: JSON has them as they are."""
    text = json.dumps(document, ensure_ascii=False)
    return re.sub("[\u0085\u2028\u2029]", lambda found: f"\\u{ord(found[0]):04x}", text).encode()


def of_provider(raw: Mapping[str, Any], provider: str) -> dict[str, Any]:
    """Return all that Traefik has of a provider, as if that were another."""
    found: dict[str, Any] = {}
    for names in SECTIONS.values():
        for section in names:
            for name, body in raw.get(section, {}).items():
                if name.endswith(f"@{provider}") and not name.startswith("marker@"):
                    found[f"{section} {name.removesuffix(f'@{provider}')}"] = without_provider(body, provider)
    return found


def without_provider(body: JsonObject, provider: str) -> object:
    body = {key: value for key, value in body.items() if key != "serverStatus"}  # what it found by then
    text = GENERATED.sub('"name": "_"', json.dumps(body, sort_keys=True))
    return json.loads(re.sub(rf"@{provider}\b", "@x", text))


async def compared(
    start_traefik: StartTraefik,
    documents: DocumentServer,
    engine_url: str,
    containers: Mapping[str, tuple[Decoded, str | None]],
) -> dict[str, tuple[Objects, Objects]]:
    """Return what Traefik has of each container by its labels, and by what was decoded of them; it has an address."""
    merged: dict[str, Any] = {"http": {"middlewares": {"marker": {"compress": {}}}}}
    for read, address in containers.values():
        for protocol, section in document(read, address).items():
            for kind, objects in section.items():
                merged.setdefault(protocol, {}).setdefault(kind, {}).update(objects)
    documents.publish(as_yaml(merged))
    (udp_port,) = free_ports(1)
    traefik = await start_traefik(
        documents.url, docker=engine_url, default_rule=DEFAULT_RULE, udp_entry_points={"datagrams": udp_port}
    )

    async def both() -> Mapping[str, Any] | None:
        raw = await traefik.raw_data()
        is_listed = any(name.endswith("@docker") for name in raw.get("routers", {}))
        return raw if is_listed and "marker@http" in raw.get("middlewares", {}) else None

    raw = await eventually(both, limit_s=CHANGES_S)
    theirs, ours = of_provider(raw, "docker"), of_provider(raw, "http")
    assert all(any(name in key for name in containers) for key in theirs | ours)
    return {name: (of_container(name, theirs), of_container(name, ours)) for name in containers}


def of_container(name: str, objects: Objects) -> Objects:
    return {key: body for key, body in objects.items() if name in key}


def drops(decoded: Decoded) -> bool:
    return any(fault.router is None for fault in decoded.faults)


async def test_traefik_makes_the_same_of_labels_as_of_what_we_decode(
    engine: Engine, start_traefik: StartTraefik, documents: DocumentServer
) -> None:
    """Rule 34: the syntax of Traefik's own labels, all of it."""
    names = {f"s{number:03}": labelled for number, labelled in enumerate(SETS.values())}
    addresses = await asyncio.to_thread(lambda: [start(engine, *one) for one in names.items()])
    containers = {
        name: (decoded(name, labelled.named(name)), address)
        for (name, labelled), address in zip(names.items(), addresses, strict=True)
    }
    found = await compared(start_traefik, documents, engine.url, containers)
    wrong = {
        set_name: {key: (theirs.get(key), ours.get(key)) for key in theirs | ours if theirs.get(key) != ours.get(key)}
        for set_name, (theirs, ours) in zip(SETS, found.values(), strict=True)
        if theirs != ours
    }
    assert wrong == {}, json.dumps(wrong, indent=1)
    for (name, labelled), set_name in zip(names.items(), SETS, strict=True):
        read = containers[name][0]
        assert drops(read) == (not found[name][0]) == labelled.is_dropped, set_name
        assert (bool(read.faults) and not drops(read)) == labelled.loses_routers, set_name


async def test_traefik_makes_the_same_of_labels_drawn_at_random(
    start_traefik: StartTraefik, documents: DocumentServer
) -> None:
    """Rule 34. What a document cannot carry is left out; unlike Docker, the engine here only has what Traefik reads."""
    random = Random(SEED)
    labels: dict[str, dict[str, str]] = {}
    while len(labels) < COMPARED:
        name = f"s{len(labels):04}"
        one = Labelled(drawn(random)).named(name)
        if not any(map(is_left_out, [*one, *one.values()])):
            labels[name] = {**one, "traefik.enable": "true"}
    containers = {name: (decoded(name, one), LOOPBACK) for name, one in labels.items()}
    async with LabelledEngine(labels, ("80/tcp", "53/udp")) as engine:
        found = await compared(start_traefik, documents, engine.url.replace("http:", "tcp:"), containers)
    for name, (theirs, ours) in found.items():
        assert theirs == ours, labels[name]
    assert 0 < sum(map(drops, (read for read, _ in containers.values()))) < COMPARED // 2


def is_left_out(text: str) -> bool:
    """Return whether a document cannot have this text; names with @docker have two of them, and Traefik's panics."""
    is_unbalanced = any(part.endswith("]") and "[" not in part for part in text.split("."))
    return unreadable(text) is not None or DOCKER in text or is_unbalanced or len(text) > NAME_MOST


DRAWN = 8000
TAKEN_AT_LEAST = 1000


def published(routings: Sequence[Routing]) -> JsonObject:
    """Return a document of all of these, with a server for each endpoint, as the daemon makes one."""
    merged: dict[Protocol, dict[str, dict[str, Any]]] = {}
    for number, routing in enumerate(routings):
        protocols = {endpoint.name: endpoint.protocol for endpoint in routing.endpoints}
        for endpoint in routing.endpoints:
            server = {"url": "http://127.0.0.1:1"} if endpoint.protocol == "http" else {"address": "127.0.0.1:1"}
            services = merged.setdefault(endpoint.protocol, {}).setdefault("services", {})
            services[f"s{number}-{endpoint.name}"] = {"loadBalancer": {**endpoint.load_balancer, "servers": [server]}}
        for router in routing.routers:
            routers = merged.setdefault(protocols[router.endpoint], {}).setdefault("routers", {})
            routers[f"{router.name} {number}"] = {**router.body, "service": f"s{number}-{router.endpoint}"}
        for protocol, bodies in routing.middlewares.items():
            middlewares = merged.setdefault(protocol, {}).setdefault("middlewares", {})
            middlewares.update({f"{name} {number}": body for name, body in bodies.items()})
    return {protocol.value: section for protocol, section in merged.items()}


async def test_a_document_of_any_labels_that_are_taken_decodes(traefik_binary: Path) -> None:
    """Rule 34: one that Traefik refused as a whole would hold every other service."""
    random = Random(SEED)
    routings = []
    for _ in range(DRAWN):
        labels = Labelled(drawn(random)).named("shop")
        routing = routing_of(labels, ContainerFacts("shop", "shop-1", (80,)))
        if isinstance(routing, Routing):
            routings.append((labels, routing))
    assert len(routings) > TAKEN_AT_LEAST
    async with Decoder(traefik_binary) as decoder:
        while await decoder.refusal(published([routing for _, routing in routings])) is not None:
            half = len(routings) // 2
            is_left = await decoder.refusal(published([routing for _, routing in routings[:half]])) is not None
            routings = routings[:half] if is_left else routings[half:]
            if len(routings) == 1:
                labels, routing = routings[0]
                raise AssertionError(f"{await decoder.refusal(published([routing]))}: {labels}")


@pytest.mark.parametrize(("name", "is_fatal"), [("a]", True), ("a[", False)])
async def test_a_bracket_that_is_only_closed_takes_every_container_from_traefik(
    start_traefik: StartTraefik, documents: DocumentServer, name: str, is_fatal: bool
) -> None:
    """Rule 34: its provider panics, so such a label is named; one that only opens is a name as any other."""
    label = f"traefik.http.middlewares.{name}.compress"
    labels = {"s0": {"traefik.enable": "true"}, "s1": {"traefik.enable": "true", label: "true"}}
    assert bool(decoded("s1", labels["s1"]).faults) == is_fatal
    async with LabelledEngine(labels, ("80/tcp",)) as engine:
        traefik = await start_traefik(documents.url, docker=engine.url.replace("http:", "tcp:"))
        if is_fatal:
            await eventually(lambda: any("panic" in error for error in traefik.errors()), limit_s=CHANGES_S)
        else:
            await eventually(lambda: has_router(traefik, "s0@docker"), limit_s=CHANGES_S)
        assert await has_router(traefik, "s0@docker") != is_fatal


async def has_router(traefik: Traefik, name: str) -> bool:
    return name in (await traefik.raw_data()).get("routers", {})
