"""What services claim of Traefik: hosts, and the names of routers, services and middlewares (rules 34 and 35)."""

from collections.abc import Mapping
from enum import IntEnum
from typing import NamedTuple

from provider.model import Desired, Protocol, Service
from provider.model.traefik_rule import named_hosts

THE_FILE = ""
"""Who claims what the file passes through."""


class Claimed(NamedTuple):
    """One thing that only one service can have; names are of a protocol, hosts of all."""

    kind: str
    name: str
    protocol: Protocol | None = None


class Rank(IntEnum):
    """By what a service has something, the strongest first."""

    FILE = 0
    DECIDED = 1
    SEEN = 2


def of_service(service: Service) -> frozenset[Claimed]:
    """Return what a service claims, its preview and test route included."""
    found = {Claimed("service", name, each) for each in Protocol for name in service.services_in_traefik(each)}
    protocols = {endpoint.name: endpoint.protocol for endpoint in service.endpoints}
    found |= {Claimed("router", name, each) for each in Protocol for name in service.routers_in_traefik(each)}
    for router in (*service.routers, *((service.preview,) if service.preview else ())):
        protocol = protocols.get(router.endpoint, Protocol.HTTP)
        found |= {Claimed("host", host) for host in named_hosts(router.rule)}
        if protocol is Protocol.UDP:
            found |= _entry_points(router.body)
    for protocol, bodies in service.middlewares.items():
        found |= {Claimed("middleware", name, protocol) for name in bodies}
    return frozenset(found)


def passed(desired: Desired) -> frozenset[Claimed]:
    """Return what the file passes through: routers with their hosts, services and middlewares."""
    found: set[Claimed] = set()
    for protocol in Protocol:
        section = desired.pass_through.get(protocol)
        for kind in ("router", "service", "middleware"):
            bodies = section.get(f"{kind}s") if isinstance(section, Mapping) else None
            for name, body in bodies.items() if isinstance(bodies, Mapping) else ():
                found.add(Claimed(kind, str(name), protocol))
                if protocol is Protocol.UDP and kind == "router":
                    found |= _entry_points(body)
                rule = body.get("rule") if isinstance(body, Mapping) else None
                if isinstance(rule, str):
                    found |= {Claimed("host", host) for host in named_hosts(rule)}
    return frozenset(found)


def _entry_points(body: object) -> set[Claimed]:
    """Return the entry points of a router of UDP: of two on one the last by name would win (rule 32)."""
    named = body.get("entryPoints") if isinstance(body, Mapping) else None
    return {Claimed("entry point", str(one), Protocol.UDP) for one in (named if isinstance(named, list) else ())}
