"""Reads the objects of every provider from Traefik's `/api/rawdata`; as in Traefik 3.7.15."""

import json
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

from provider.cli.doctor.checks.applied import Applied
from provider.model import Protocol
from provider.model import api_types as api
from provider.model.routing import Refers
from provider.traefik.process import RAW_DATA_SECTIONS

DEFAULT_TLS = "default"


def applied(raw_data: bytes | bytearray) -> tuple[Applied, ...]:
    """Return all objects; what has another form is left out. Raises ValueError for what is no JSON."""
    found = _mapping(json.loads(raw_data))
    return tuple(
        _applied(words.split()[-1], _protocol(words), str(name), body)
        for section, words in RAW_DATA_SECTIONS.items()
        for name, body in _mapping(found.get(section)).items()
        if isinstance(body, dict)
    )


def _protocol(words: str) -> Protocol:
    first, _, rest = words.partition(" ")
    return Protocol(first) if rest else Protocol.HTTP


def _applied(kind: str, protocol: Protocol, name: str, body: Mapping[str, object]) -> Applied:
    provider = name.rpartition("@")[2]
    refers = ((each, one if "@" in one else f"{one}@{provider}") for each, one in _refers(kind, body))
    tls = body.get("tls")
    return Applied(
        kind,
        protocol,
        name,
        frozenset(refers),
        frozenset(_servers(body)),
        frozenset(_texts(body.get("using") or body.get("entryPoints"))),
        str(body.get("rule") or ""),
        str(tls.get("options") or DEFAULT_TLS) if isinstance(tls, dict) else None,
    )


def _refers(kind: str, body: Mapping[str, object]) -> Iterator[tuple[Refers, str]]:
    for name in (*_texts(body.get("middlewares")), *_texts(_mapping(body.get("chain")).get("middlewares"))):
        yield Refers.MIDDLEWARE, name
    mirroring, failover = _mapping(body.get("mirroring")), _mapping(body.get("failover"))
    named: list[object] = [
        body.get("service") if kind == "router" else None,
        _mapping(body.get("errors")).get("service"),
        mirroring.get("service"),
        failover.get("service"),
        failover.get("fallback"),
    ]
    for spread in ("weighted", "highestRandomWeight"):
        named += [_mapping(child).get("name") for child in _list(_mapping(body.get(spread)).get("services"))]
    named += [_mapping(mirror).get("name") for mirror in _list(mirroring.get("mirrors"))]
    for one in named:
        if isinstance(one, str) and one:
            yield Refers.SERVICE, one


def _servers(body: Mapping[str, object]) -> Iterator[str]:
    for server in _list(_mapping(body.get("loadBalancer")).get("servers")):
        written = str(_mapping(server).get("url") or _mapping(server).get("address") or "")
        if address := place(written):
            yield address


def adopted_servers(services: Iterable[api.Service]) -> dict[str, frozenset[str]]:
    """Return the addresses of the containers of each service, as its status has them."""
    return {
        service["service"]: frozenset(
            place(server["url"])
            for found in service["colours"].values()
            for server in found["servers"]
            if server["container"] is not None
        )
        for service in services
    }


def place(address: str) -> str:
    """Return HOST:PORT of a server's URL or address; "" where it has none."""
    try:
        return urlsplit(address).netloc.rpartition("@")[2] if "//" in address else address
    except ValueError:
        return ""


def _mapping(found: object) -> Mapping[str, object]:
    return found if isinstance(found, dict) else {}


def _list(found: object) -> list[object]:
    return found if isinstance(found, list) else []


def _texts(found: object) -> Iterable[str]:
    return [one for one in _list(found) if isinstance(one, str)]
