"""What the `traefik.*` labels of a container say, decoded (rule 34).

A `Routing` is made of values that JSON has, but for its dataclasses. What is wrong with a label is a `Fault`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TypeAlias

from provider.model.desired import Endpoint, Router
from provider.model.traefik_rule import only_hosts, only_server_names
from provider.model.vocabulary import JsonObject, Protocol

DOCKER = "@docker"
"""Traefik's name for its Docker provider, behind the names of what that has."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A label that cannot be taken: its name, its value, what is wrong with it, and what to do.

    `label` is one that is missing where its value is None. `router` is the one that goes for it, where others stay.
    """

    label: str
    value: str | None
    message: str
    fix: str
    router: str | None = None

    def __str__(self) -> str:
        written = self.label if self.value is None else f"{self.label}={self.value}"
        return f"{written}: {self.message}: {self.fix}"


class Refers(StrEnum):
    """What a reference names."""

    MIDDLEWARE = "middleware"
    SERVICE = "service"


@dataclass(frozen=True, slots=True)
class Reference:
    """A name of Traefik's Docker provider, without `@docker`, that is not of this container; `by` is who refers to it.

    In the routing it is written with `@docker`.
    """

    kind: Refers
    protocol: Protocol
    name: str
    by: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Claim:
    """What traffic a router takes: of only these hosts, or of any (None), on these entry points, by this priority.

    No entry point means Traefik's default ones; UDP has no hosts.
    """

    router: str
    protocol: Protocol
    hosts: frozenset[str] | None
    priority: int | None
    entry_points: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Routing:
    """Routers and endpoints of a service, and its middlewares by protocol and name, which begins with the service's.

    `ignored` are labels without effect, in Traefik itself or here.
    """

    routers: tuple[Router, ...]
    endpoints: tuple[Endpoint, ...]
    middlewares: Mapping[Protocol, JsonObject] = field(default_factory=dict)
    references: tuple[Reference, ...] = ()
    ignored: tuple[str, ...] = ()

    @property
    def claims(self) -> tuple[Claim, ...]:
        """What each router claims; rule 35 has what may be."""
        protocols = {endpoint.name: endpoint.protocol for endpoint in self.endpoints}
        return tuple(_claim(router, protocols[router.endpoint]) for router in self.routers)

    def resolved(self, names: Mapping[Reference, str]) -> "Routing":
        """Return a copy in which these references have these names; the others stay with Traefik's provider."""

        def rename(kind: Refers, protocol: Protocol, name: str) -> str:
            reference = Reference(kind, protocol, name.removesuffix(DOCKER))
            return names.get(reference, name) if name.endswith(DOCKER) else name

        protocols = {endpoint.name: endpoint.protocol for endpoint in self.endpoints}
        return replace(
            self,
            routers=tuple(
                replace(router, body=renamed_router(protocols[router.endpoint], router.body, rename))
                for router in self.routers
            ),
            middlewares={
                protocol: {name: renamed_middleware(protocol, body, rename) for name, body in bodies.items()}
                for protocol, bodies in self.middlewares.items()
            },
            references=tuple(reference for reference in self.references if reference not in names),
        )


Rename: TypeAlias = Callable[[Refers, Protocol, str], str]


def renamed_router(protocol: Protocol, body: JsonObject, rename: Rename) -> JsonObject:
    """Return a router whose middlewares have the names that `rename` returns."""
    return _renamed_list(protocol, body, rename)


def renamed_middleware(protocol: Protocol, body: object, rename: Rename) -> JsonObject:
    """Return a middleware whose references have the names that `rename` returns."""
    renamed = dict(body) if isinstance(body, Mapping) else {}
    if isinstance(chain := renamed.get("chain"), Mapping):
        renamed["chain"] = _renamed_list(protocol, chain, rename)
    if isinstance(errors := renamed.get("errors"), Mapping) and isinstance(service := errors.get("service"), str):
        renamed["errors"] = {**errors, "service": rename(Refers.SERVICE, protocol, service)}
    return renamed


def chained(body: object) -> list[str]:
    """Return the middlewares that a router or a chain names."""
    names = body.get("middlewares") if isinstance(body, Mapping) else None
    return list(map(str, names)) if isinstance(names, list) else []


def _renamed_list(protocol: Protocol, body: JsonObject, rename: Rename) -> JsonObject:
    names = body.get("middlewares")
    if not isinstance(names, list):
        return body
    return {**body, "middlewares": [rename(Refers.MIDDLEWARE, protocol, str(name)) for name in names]}


def _claim(router: Router, protocol: Protocol) -> Claim:
    hosts = None
    if protocol is not Protocol.UDP:
        hosts = only_hosts(router.rule) if protocol is Protocol.HTTP else only_server_names(router.rule)
    priority, entry_points = router.body.get("priority"), router.body.get("entryPoints")
    return Claim(
        router.name,
        protocol,
        hosts,
        priority if isinstance(priority, int) else None,
        tuple(map(str, entry_points)) if isinstance(entry_points, list) else (),
    )
