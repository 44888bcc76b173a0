"""From the labels of one container to the routing of its blue-green service (rule 34).

What Traefik would drop, or a router with an error, is refused here, and so is what a service of ours cannot have.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import Any

from provider.docker.traefik_labels import decode, has_routing
from provider.docker.traefik_labels.endpoints import ServiceKey, endpoint_names, endpoint_of
from provider.docker.traefik_labels.implicit import ContainerFacts
from provider.docker.traefik_labels.texts import unreadable
from provider.docker.traefik_labels.tree import fault, routing_labels
from provider.model.desired import DEFAULT_ENDPOINT, PRIORITY_MOST, Endpoint, HealthCheck, Router
from provider.model.errors import RuleError
from provider.model.routing import (
    DOCKER,
    Fault,
    Reference,
    Refers,
    Routing,
    chained,
    renamed_middleware,
    renamed_router,
)
from provider.model.traefik_rule import parse
from provider.model.vocabulary import JsonObject, Protocol

RESERVED = "bluegreen-"
"""Middlewares of the daemon's own begin so: its markers."""
_NO_NAME = re.compile(r"[/\s]")
_DEFAULT_CHECK = HealthCheck()


def routing_of(
    labels: Mapping[str, str], facts: ContainerFacts, health_check: HealthCheck = _DEFAULT_CHECK
) -> Routing | tuple[Fault, ...]:
    """Return the routing of the service `facts.name`, or every label that cannot be taken.

    Labels of `healthcheck` win over the keys of `health_check`.
    """
    if not has_routing(labels):
        label = f"traefik.http.routers.{facts.name}.rule"
        return (fault(label, None, "no label of the container has routing", "add this one, or write it in the file"),)
    faults = list(_unreadable(labels))
    decoded = decode(labels, facts)
    if faults or decoded.faults:
        return (*faults, *decoded.faults)
    taking = _Taking(facts.name, decoded.sections, health_check, list(decoded.ignored))
    routing = taking.routing()
    return tuple(taking.faults) or routing


@dataclass(slots=True)
class _Taking:
    """Takes decoded sections one after the other, and collects faults."""

    service: str
    sections: JsonObject
    health_check: HealthCheck
    ignored: list[str]
    faults: list[Fault] = field(default_factory=list)
    references: dict[Reference, Reference] = field(default_factory=dict)
    names: dict[ServiceKey, str] = field(default_factory=dict)

    def routing(self) -> Routing:
        self._refuse_sections()
        self.names = endpoint_names(self.service, [key for key, _ in self._services()], self.faults)
        endpoints = tuple(self._endpoints())
        routers = tuple(self._routers())
        middlewares = {
            protocol: bodies for protocol in (Protocol.HTTP, Protocol.TCP) if (bodies := self._middlewares(protocol))
        }
        return Routing(routers, endpoints, middlewares, tuple(self.references), tuple(self.ignored))

    def _section(self, protocol: Protocol, kind: str) -> dict[str, Any]:
        section = self.sections.get(protocol)
        found = section.get(kind) if isinstance(section, Mapping) else None
        return dict(found) if isinstance(found, Mapping) else {}

    def _services(self) -> Iterator[tuple[ServiceKey, dict[str, Any]]]:
        for protocol in Protocol:
            for name, body in self._section(protocol, "services").items():
                yield ServiceKey(protocol, name), body

    def _refuse_sections(self) -> None:
        if "tls" in self.sections:
            self._found(
                "traefik.tls.stores.default", None, "the default store is of all services", "write it in the file"
            )
        for name in self._section(Protocol.HTTP, "models"):
            self._found(f"traefik.http.models.{name}", None, "models are Traefik's own", "remove the label")

    # --- services

    def _endpoints(self) -> Iterator[Endpoint]:
        for key, body in self._services():
            if key in self.names:
                yield endpoint_of(key, self.names[key], body, self.health_check, self.faults, self.ignored)

    # --- routers

    def _routers(self) -> Iterator[Router]:
        for protocol in Protocol:
            for name, body in sorted(self._section(protocol, "routers").items()):
                label = f"traefik.{protocol}.routers.{name}"
                self._check_router(label, name, body)
                endpoint = self._endpoint(protocol, f"{label}.service", body.pop("service"))
                kept = {key: value for key, value in body.items() if (key, value) != ("tls", False)}
                renamed = renamed_router(protocol, kept, self._renaming(f"router {name}", f"{label}.middlewares"))
                yield Router(name, body.get("rule", ""), renamed, endpoint)

    def _endpoint(self, protocol: Protocol, label: str, service: str) -> str:
        key = ServiceKey(protocol, service.removesuffix(DOCKER))
        if key not in dict(self._services()):
            message = "a router may lead only to services of its own container"
            self._found(label, service, message, f"name one of them, or define traefik.{protocol}.services.{key.name}")
        return self.names.get(key, DEFAULT_ENDPOINT)

    def _check_router(self, label: str, name: str, body: Mapping[str, Any]) -> None:
        self._check_name(label, name)
        if _NO_NAME.search(name) or name in {".", ".."}:
            self._found(label, None, "the name of a router has neither '/' nor white space here", "choose another")
        if "rule" in body:
            try:
                parse(body["rule"])
            except RuleError as error:
                self._found(f"{label}.rule", body["rule"], f"it is no rule: {error}", "correct it")
        if body.get("priority", 0) > PRIORITY_MOST:
            message = f"Traefik keeps the priorities above {PRIORITY_MOST} for itself"
            self._found(f"{label}.priority", str(body["priority"]), message, "write a lower one")
        tls = body.get("tls")
        options = tls.get("options") if isinstance(tls, Mapping) else None
        if options and options != "default" and ("@" not in options or options.endswith(DOCKER)):
            message = "labels cannot define TLS options, so these have to be of another provider"
            self._found(f"{label}.tls.options", options, message, f"write {options.removesuffix(DOCKER)}@file or @http")

    # --- middlewares

    def _middlewares(self, protocol: Protocol) -> JsonObject:
        found = {}
        for name, body in sorted(self._section(protocol, "middlewares").items()):
            label = f"traefik.{protocol}.middlewares.{name}"
            self._check_name(label, name)
            kinds = [kind for kind, value in body.items() if value is not False]
            if len(kinds) != 1:
                message = f"a middleware has one kind, and this has {len(kinds)}"
                self._found(label, None, message, "write each as a middleware of its own")
            found[self._own(name)] = renamed_middleware(protocol, body, self._renaming(f"middleware {name}", label))
        for name in _circle(found):
            label = f"traefik.{protocol}.middlewares.{name.removeprefix(self._own(''))}.chain.middlewares"
            message = "the chain leads back to itself, and Traefik disables every router that uses it"
            self._found(label, None, message, "take itself out of it")
        return found

    def _own(self, name: str) -> str:
        return f"{self.service}-{name}"

    def _renaming(self, by: str, label: str) -> "_Renaming":
        return _Renaming(self, by, label)

    def refer(self, kind: Refers, protocol: Protocol, name: str, by: str, label: str) -> str:
        """Return the name of a reference in our document, and note one that is not of this container."""
        if not name.removesuffix(DOCKER):
            self._found(label, name, "a reference is empty", "write a name, or remove the comma")
        if "@" in name and not name.endswith(DOCKER):
            return name
        own = name.removesuffix(DOCKER)
        if kind is Refers.MIDDLEWARE and own in self._section(protocol, "middlewares"):
            return self._own(own)
        if kind is Refers.SERVICE and (endpoint := self.names.get(ServiceKey(protocol, own))):
            return self.service if endpoint == DEFAULT_ENDPOINT else f"{self.service}-{endpoint}"
        reference = Reference(kind, protocol, own, by)
        self.references.setdefault(reference, reference)
        return f"{own}{DOCKER}"

    def _check_name(self, label: str, name: str) -> None:
        if "@" in name:
            self._found(label, None, "a name has no @, which stands before a provider", "choose another")
        elif name.startswith(RESERVED):
            self._found(label, None, f"names that begin with {RESERVED} are the daemon's", "choose another")

    def _found(self, label: str, value: str | None, message: str, fix: str) -> None:
        self.faults.append(fault(label, value, message, fix))


def _circle(middlewares: Mapping[str, JsonObject]) -> list[str]:
    """Return chains of which each leads to the next, and the last to the first; none where there are none."""
    try:
        TopologicalSorter({name: chained(body.get("chain")) for name, body in middlewares.items()}).prepare()
    except CycleError as error:
        return sorted(set(error.args[1]))
    return []


@dataclass(frozen=True, slots=True)
class _Renaming:
    taking: _Taking
    by: str
    label: str

    def __call__(self, kind: Refers, protocol: Protocol, name: str) -> str:
        return self.taking.refer(kind, protocol, name, self.by, self.label)


def _unreadable(labels: Mapping[str, str]) -> Iterator[Fault]:
    for label, value in routing_labels(labels).items():
        found = unreadable(label) or unreadable(value)
        if found is not None:
            yield fault(label, value, f"Traefik does not read {found} in a document", "remove it")
