"""What Traefik adds to the labels of a container, or takes away for them.

That is pkg/provider/docker/config.go and pkg/provider/configuration.go: a service and a router where there is none,
the only service for a router without one, and the default rule. A server without a port has the lowest one.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from provider.docker.traefik_labels.default_rule import DEFAULT_RULE, Subject, render
from provider.docker.traefik_labels.tree import fault
from provider.model.errors import RuleError
from provider.model.routing import Fault

Section: TypeAlias = dict[str, Any]
PROTOCOLS = ("http", "tcp", "udp")


@dataclass(frozen=True, slots=True)
class ContainerFacts:
    """What counts of a container beside its labels. `name` is that of the implicit service and router, and `.Name` of
    the default rule. `ports` are all that it exposes, of any protocol, as Traefik takes the lowest of all.
    """

    name: str
    container_name: str
    ports: tuple[int, ...] = ()
    default_rule: str = DEFAULT_RULE


class Completion:
    """Completes the sections of a configuration in place, as Traefik does, and collects faults."""

    def __init__(self, facts: ContainerFacts, labels: Mapping[str, str], faults: list[Fault]) -> None:
        self._facts, self._faults = facts, faults
        self._subject = Subject(facts.name, facts.container_name, labels)

    def complete(self, sections: dict[str, Section]) -> None:
        """Complete http, tcp and udp; all of them are there, if empty."""
        http, tcp, udp = (sections[protocol] for protocol in PROTOCOLS)
        others = [(name, one) for name, one in (("tcp", tcp), ("udp", udp)) if _routers(one) or _services(one)]
        for protocol, section in others:
            self._services(protocol, section)
            self._routers(protocol, section)
        if others and not (_routers(http) or _services(http) or http.get("middlewares")):
            return
        self._services("http", http)
        if not _routers(http) and len(_services(http)) == 1:
            http["routers"] = {self._facts.name: {}}
        self._routers("http", http)

    def _services(self, protocol: str, section: Section) -> None:
        if not _services(section):
            section["services"] = {self._facts.name: {"loadBalancer": {}}}
        for name, service in _services(section).items():
            prefix = f"traefik.{protocol}.services.{name}"
            balancer = service.get("loadBalancer")
            if balancer is None:
                message = "the service has no load balancer, and Traefik drops the container for it"
                self._found(f"{prefix}.loadbalancer.server.port", None, message, "name the port, or remove the service")
                continue
            self._server(f"{prefix}.loadbalancer.server", balancer.setdefault("server", {}))

    def _server(self, label: str, server: dict[str, Any]) -> None:
        if server.get("url"):
            for key in ("scheme", "port"):
                if server.get(key):
                    message = "Traefik takes no scheme and no port beside server.url, and drops the container"
                    self._found(f"{label}.{key}", server[key], message, "remove it, or remove server.url")
            return
        if not server.get("port") and not self._facts.ports:
            message = "the container exposes no port, and no label names one, so Traefik drops it"
            self._found(f"{label}.port", None, message, "add this label")

    def _routers(self, protocol: str, section: Section) -> None:
        for name, reason in list(self._lost(protocol, section)):
            del section["routers"][name]
            self._faults.append(reason)

    def _lost(self, protocol: str, section: Section) -> Iterator[tuple[str, Fault]]:
        services = _services(section)
        for name, router in _routers(section).items():
            prefix = f"traefik.{protocol}.routers.{name}"
            if protocol != "udp" and not router.get("rule"):
                try:
                    router["rule"] = self._rule(protocol)
                except RuleError as error:
                    yield name, fault(f"{prefix}.rule", None, str(error), "write a rule", name)
                    continue
            if router.get("service"):
                continue
            if len(services) > 1:
                message = f"the container has several services ({', '.join(sorted(services))[:80]}): which is not said"
                yield name, fault(f"{prefix}.service", None, message, "name one of them", name)
                continue
            router["service"] = next(iter(services))

    def _rule(self, protocol: str) -> str:
        if protocol == "tcp":
            raise RuleError("the router has no rule, and Traefik has none by default for TCP")
        try:
            rule = render(self._facts.default_rule, self._subject)
        except RuleError as error:
            raise RuleError(f"the router has no rule, and of the default rule {error}") from None
        if not rule:
            raise RuleError("the router has no rule, and the default rule is empty")
        return rule

    def _found(self, label: str, value: str | None, message: str, fix: str) -> None:
        self._faults.append(fault(label, value, message, fix))


def _routers(section: Section) -> dict[str, Any]:
    routers: dict[str, Any] = section.get("routers") or {}
    return routers


def _services(section: Section) -> dict[str, Any]:
    services: dict[str, Any] = section.get("services") or {}
    return services
