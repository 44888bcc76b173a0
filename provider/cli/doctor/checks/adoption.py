"""Checks what goes wrong while Traefik's own provider reads the containers of our services, too (rule 36).

It does so until its constraints leave them out. Till then its routers stand beside ours; afterwards everything that
those containers defined in Traefik is gone, for whoever refers to it.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Self

from provider.cli.doctor.checks.applied import DOCKER_PROVIDERS, OURS, Applied, Name
from provider.cli.doctor.checks.containers import ServiceContainer
from provider.cli.doctor.findings import Code, Finding
from provider.model import Protocol
from provider.model.routing import Refers
from provider.model.traefik_rule import named_hosts

CONSTRAINT = "!LabelRegex(`bluegreen.service`, `.+`)"
ENABLE = "traefik.enable"
WAY_OUT = f"add {CONSTRAINT} to the constraints of Traefik's Docker provider, and restart Traefik"
NAMED_MOST = 3
_NAME = re.compile(r"traefik\.(http|tcp|udp)\.(services|middlewares)\.([^.\[]+)\.", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Adopted:
    """What containers of our services define in Traefik. `servers` has the addresses of each service, HOST:PORT;
    `defined` what their labels define, with the service; `kept` what the labels of other containers define. `hosts` are
    the addresses of each service's containers in all of their networks: Traefik's own provider may choose another."""

    servers: Mapping[str, frozenset[str]]
    defined: Mapping[Name, str]
    kept: frozenset[Name] = frozenset()
    hosts: Mapping[str, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        servers: Mapping[str, frozenset[str]],
        containers: Iterable[ServiceContainer],
        others: Iterable[Mapping[str, str]],
    ) -> Self:
        """Return what the containers of services define; `others` are the labels of all others."""
        defined: dict[Name, str] = {}
        hosts: dict[str, frozenset[str]] = {}
        for one in containers:
            defined |= dict.fromkeys(names(one.docker.labels), one.service)
            hosts[one.service] = hosts.get(one.service, frozenset()).union(one.docker.addresses.values())
        return cls(servers, defined, frozenset(name for some in others for name in names(some)), hosts)

    @property
    def owners(self) -> dict[str, str]:
        """The service of each address, HOST:PORT, and of each address of a container."""
        return {place: service for some in (self.servers, self.hosts) for service in some for place in some[service]}


def names(labels: Mapping[str, str]) -> Iterator[Name]:
    """Yield the services and middlewares that labels define for Traefik's provider."""
    if labels.get(ENABLE, "").lower() == "false":
        return
    for label in labels:
        if found := _NAME.match(label):
            kind = Refers.SERVICE if found[2].lower() == "services" else Refers.MIDDLEWARE
            yield Name(kind, Protocol(found[1].lower()), found[3])


def seen(objects: Iterable[Applied], adopted: Adopted) -> dict[str, list[str]]:
    """Return which services Traefik's own provider sees: its services that lead to a server of each."""
    found: dict[str, list[str]] = {}
    owners = adopted.owners
    for one in objects:
        if one.kind == "service" and one.is_of_docker:
            for service in sorted({owner for server in one.servers if (owner := _owner(owners, server))}):
                found.setdefault(service, []).append(one.name)
    return found


def _owner(owners: Mapping[str, str], server: str) -> str | None:
    return owners.get(server) or owners.get(server.rpartition(":")[0].strip("[]"))


def check(where: str, objects: tuple[Applied, ...], adopted: Adopted) -> Iterator[Finding]:
    """Yield what is wrong in one Traefik, `where`."""
    for service, by in seen(objects, adopted).items():
        what = f"Traefik's own provider sees the containers of {service}, too: {_listed(by)}"
        fix = f"{WAY_OUT}; until then `bluegreen deploy {service}` starts no second colour"
        yield Finding(Code.SEEN_BY_TRAEFIK, where, what, fix)
    yield from _tls_options(where, objects)
    yield from _references(where, objects, adopted)
    yield from _udp(where, objects)


def _tls_options(where: str, objects: Iterable[Applied]) -> Iterator[Finding]:
    """Find hosts for which our router and another one have different TLS options: Traefik uses its default ones."""
    secure = [one for one in objects if one.kind == "router" and one.protocol is Protocol.HTTP and one.tls_options]
    others: dict[str, list[Applied]] = {}
    for one in secure:
        if one.provider != OURS:
            for host in named_hosts(one.rule):
                others.setdefault(host, []).append(one)
    for ours in secure:
        for host in sorted(named_hosts(ours.rule)) if ours.provider == OURS else ():
            for other in others.get(host, ()):
                mine, theirs = _options(ours), _options(other)
                if mine != theirs and ours.entry_points & other.entry_points:
                    what = (
                        f"{ours.name} has the TLS options {mine}, and {other.name} has {theirs} for the same host "
                        f"{host}: Traefik uses its default options for both, so client certificates, versions and "
                        "ciphers that they ask for do not count"
                    )
                    fix = f"write the same tls.options at both, or remove {other.name}"
                    yield Finding(Code.TLS_OPTIONS_DIFFER, f"{where}, host {host}", what, fix)


def _options(router: Applied) -> str:
    options = router.tls_options or ""
    return options if "@" in options or options == "default" else f"{options}@{router.provider}"


def _references(where: str, objects: tuple[Applied, ...], adopted: Adopted) -> Iterator[Finding]:
    """Find what outside refers to names that go with the adoption."""
    going = {name: service for name, service in adopted.defined.items() if name not in adopted.kept}
    owners = adopted.owners
    for one in objects:
        service = Name(Refers.SERVICE, one.protocol, one.plain)
        if one.kind == "service" and one.is_of_docker and one.servers and service not in adopted.kept:
            first, *more = {_owner(owners, server) for server in one.servers}
            if first is not None and not more:
                going.setdefault(service, first)
    own = {(f"{name.name}@{provider}", name.kind) for name in going for provider in DOCKER_PROVIDERS}
    for one in objects:
        if (one.name, one.kind) in own or _is_of_ours(one, going):
            continue
        for kind, written in sorted(one.refers):
            name, _, provider = written.rpartition("@")
            owner = going.get(Name(kind, one.protocol, name)) if provider in DOCKER_PROVIDERS else None
            if owner is not None:
                what = (
                    f"it refers to the {kind} {written}, which only containers of {owner} define: it is gone once "
                    "Traefik's own provider does not read them, and then this does not work"
                )
                fix = f"define {name} elsewhere, as in a file, and refer to that, before the constraint is added"
                yield Finding(Code.REFERENCE_LOST, f"{where}, {one.kind} {one.name}", what, fix)


def _is_of_ours(one: Applied, going: Mapping[Name, str]) -> bool:
    """Return whether a router of Traefik's own provider goes, too: it leads to a service that does."""
    return (
        one.kind == "router"
        and one.is_of_docker
        and any(
            kind is Refers.SERVICE and Name(kind, one.protocol, written.rpartition("@")[0]) in going
            for kind, written in one.refers
        )
    )


def _udp(where: str, objects: Iterable[Applied]) -> Iterator[Finding]:
    """Find entry points that our router of UDP shares: it has no rule, no priority, and the last by name wins."""
    routers = [one for one in objects if one.kind == "router" and one.protocol is Protocol.UDP]
    for ours in routers:
        for other in routers if ours.provider == OURS else ():
            if other.provider != OURS and (shared := sorted(ours.entry_points & other.entry_points)):
                what = f"{ours.name} and {other.name} are both on the entry point {shared[0]}: one of them gets all"
                fix = f"remove {other.name}, or give it an entry point of its own"
                if other.is_of_docker:
                    fix = f"{WAY_OUT}; of UDP do that before the daemon routes the service"
                yield Finding(Code.UDP_ENTRY_POINT_SHARED, f"{where}, entry point {shared[0]}", what, fix)


def _listed(some: list[str]) -> str:
    more = f" and {len(some) - NAMED_MOST} more" if len(some) > NAMED_MOST else ""
    return f"{', '.join(sorted(some)[:NAMED_MOST])}{more}"
