"""Takes the routing of one service from its labels."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from provider.cli.importing.found import Found, Left, left_of
from provider.docker.labels import SERVICE
from provider.docker.traefik_labels import DEFAULT_RULE, ContainerFacts, decode, has_routing
from provider.docker.traefik_labels.default_rule import Subject, normalize, render
from provider.docker.traefik_labels.endpoints import ServiceKey, endpoint_names
from provider.docker.traefik_labels.routing import routing_of
from provider.docker.traefik_labels.tree import folded_name, is_routing
from provider.model import JsonObject, Protocol
from provider.model.errors import RuleError
from provider.model.routing import DOCKER, Routing
from provider.model.text import clean
from provider.model.traefik_rule import parse
from provider.model.traefik_schema.scalars import read_bool

ENABLE = "traefik.enable"
NETWORKS = ("traefik.docker.network", "traefik.swarm.network")
STORE = "traefik.tls."
SETTINGS = frozenset({ENABLE, *NETWORKS, "traefik.constraint-label"})
OF_TRAEFIK_1 = ("frontend", "backend", "port", "protocol", "weight", "domain", "tags")
SHOWN_MOST = 120
STANDIN = "Host(`x`)"
"""Stands for the rule of a router that is left, where only middlewares are taken."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What was taken of one service.

    `routing` is None where no router leads to a service of its own. `others` are routers by protocol that lead to a
    service of another provider, such as `api@internal`. `middlewares` have the names of their labels, in which
    references are as in the labels; `services` is the endpoint of each service of its labels.
    """

    found: Found
    routing: Routing | None
    others: Mapping[Protocol, JsonObject] = field(default_factory=dict)
    middlewares: Mapping[Protocol, JsonObject] = field(default_factory=dict)
    services: Mapping[ServiceKey, str] = field(default_factory=dict)
    network: str | None = None


def take(found: Found, default_rule: str | None, lefts: list[Left]) -> Taken | None:
    """Return what a desired state can have of a service; None where that is nothing. What was left goes to `lefts`.

    A label that cannot be taken leaves the whole service, as Traefik does: without one of its labels a router may send
    requests past what guards them.
    """
    return _Taking(found, default_rule or DEFAULT_RULE, lefts).take()


class _Taking:
    def __init__(self, found: Found, default_rule: str, lefts: list[Left]) -> None:
        self._found, self._default_rule, self._lefts = found, default_rule, lefts

    def take(self) -> Taken | None:
        labels = self._readable()
        if labels is None:
            return None
        facts = self._facts(labels)
        if facts is None:
            return None
        decoded = decode(labels, facts)
        others = {} if decoded.faults else _others(decoded.sections)
        left = {label: value for label, value in labels.items() if not _is_of(label, others)}
        is_service = has_routing(left) and not _has_only_middlewares(left)
        routed = left if is_service else {**left, f"traefik.http.routers.{self._found.name}.rule": STANDIN}
        routing = routing_of(routed, facts)
        if not isinstance(routing, Routing):
            self._lefts += [left_of(self._found.where, fault) for fault in routing]
            return None
        if not (self._are_rules(others) and (is_service or self._has_middlewares(routing, others))):
            return None
        self._lefts += [self._left(label, None, "it has no effect", "remove it") for label in routing.ignored]
        if is_service:
            self._note_default_rules(left, routing)
        keys = [ServiceKey(protocol, name) for protocol in Protocol for name in _named(decoded, protocol, "services")]
        return Taken(
            self._found,
            routing if is_service else None,
            others,
            {protocol: bodies for protocol in Protocol if (bodies := _named(decoded, protocol, "middlewares"))},
            endpoint_names(self._found.name, keys, []) if is_service else {},
            next((labels[label] for label in NETWORKS if labels.get(label)), None) if is_service else None,
        )

    def _readable(self) -> dict[str, str] | None:
        """Return the labels that have routing or bear on it; None where the service is left."""
        labels = {label: value for label, value in self._found.labels.items() if label.lower().startswith("traefik.")}
        if read_bool(labels.get(ENABLE, "true")) is not True and SERVICE not in self._found.labels:
            message = "Traefik leaves it alone, so nothing routes to it"
            self._lefts.append(self._left(ENABLE, labels[ENABLE], message, "remove the label, and import it again"))
            return None
        missing = {label: names for label, names in self._found.missing.items() if label in labels}
        for label, names in missing.items():
            message = f"no value for {', '.join(names)}, and nothing replaces variables in a desired state"
            fix = "set it in the environment, or in .env beside the file, and import again"
            self._lefts.append(self._left(label, labels[label], message, fix))
        if missing:
            return None
        kept = {}
        for label, value in labels.items():
            if label.lower().startswith(STORE):
                self._lefts.append(
                    self._left(label, value, "the default store is of all services", "write tls: stores")
                )
            elif is_routing(label) or label in SETTINGS:
                kept[label] = value
            else:
                self._lefts.append(self._left(label, value, *_unknown(label)))
        if has_routing(kept) or read_bool(kept.get(ENABLE, "false")) is True:
            return kept
        if SERVICE in self._found.labels:
            fix = f"write a router for {self._found.name}"
            self._lefts.append(self._left(SERVICE, self._found.name, "no label of it has a router", fix))
        return None

    def _facts(self, labels: dict[str, str]) -> ContainerFacts | None:
        """Return what counts beside labels; `labels` get a rule by default where they have no routing at all."""
        found = self._found
        subject = Subject(normalize(found.traefik_name), found.container_name, found.labels)
        try:
            rule = render(self._default_rule, subject)
        except RuleError as error:
            self._lefts.append(self._left("", None, f"of the default rule {error}", "write a rule in the labels"))
            return None
        if not has_routing(labels):
            labels[f"traefik.http.routers.{found.name}.rule"] = rule
            self._note_rule(found.name, rule)
        return ContainerFacts(found.name, found.container_name, found.ports, rule.replace("{{", ""))

    def _are_rules(self, others: Mapping[Protocol, JsonObject]) -> bool:
        wrong = list(_wrong_rules(others))
        self._lefts += [
            self._left(label, rule, f"it is no rule: {error}", "correct it") for label, rule, error in wrong
        ]
        return not wrong

    def _has_middlewares(self, routing: Routing, others: Mapping[Protocol, JsonObject]) -> bool:
        """Return whether middlewares or other routers are all that there is; note the router that is not taken."""
        if not others:
            message = "no label has a router, and the one that Traefik makes by its default rule is left"
            self._lefts.append(self._left("", None, message, "write a label with its rule, if it is wanted"))
        return bool(routing.middlewares or others)

    def _note_default_rules(self, labels: Mapping[str, str], routing: Routing) -> None:
        parts = [label.split(".") for label in labels]
        ruled = {folded_name(one[3]) for one in parts if len(one) == 5 and folded_name(one[4]) == "rule"}
        http = {endpoint.name for endpoint in routing.endpoints if endpoint.protocol is Protocol.HTTP}
        for router in routing.routers:
            if router.endpoint in http and folded_name(router.name) not in ruled:
                self._note_rule(router.name, router.rule)

    def _note_rule(self, router: str, rule: str) -> None:
        message = f"no label has it, so it is {rule}, as Traefik's default rule has it"
        fix = "name yours with --default-rule, if Traefik has another"
        self._lefts.append(self._left(f"traefik.http.routers.{router}.rule", None, message, fix))

    def _left(self, label: str, value: str | None, message: str, fix: str) -> Left:
        written = label if value is None else f"{label}={clean(value, SHOWN_MOST)}"
        return Left(self._found.where, written, message, fix)


def _unknown(label: str) -> tuple[str, str]:
    parts = label.split(".")
    if len(parts) > 1 and (parts[1] in OF_TRAEFIK_1 or parts[-1] in OF_TRAEFIK_1 or "frontend" in parts):
        return "it is of Traefik 1, which later ones ignore", "write it for Traefik 3"
    return "it has no meaning here", "remove it, if nothing else reads it"


def _named(decoded: Any, protocol: Protocol, kind: str) -> dict[str, Any]:
    section = decoded.sections.get(protocol)
    found = section.get(kind) if isinstance(section, Mapping) else None
    return dict(found) if isinstance(found, Mapping) else {}


def _others(sections: JsonObject) -> dict[Protocol, JsonObject]:
    """Return the routers that lead to services of other providers."""
    found: dict[Protocol, JsonObject] = {}
    for protocol in Protocol:
        section = sections.get(protocol)
        routers: Any = section.get("routers") if isinstance(section, Mapping) else None
        own = {name: body for name, body in (routers or {}).items() if _is_elsewhere(body.get("service"))}
        if own:
            found[protocol] = own
    return found


def _is_elsewhere(service: object) -> bool:
    name, _, provider = service.rpartition("@") if isinstance(service, str) else ("", "", "")
    return bool(name and provider) and f"@{provider}" != DOCKER


def _is_of(label: str, routers: Mapping[Protocol, Iterable[str]]) -> bool:
    """Return whether a label is one of these routers."""
    parts = [folded_name(part) for part in label.split(".")]
    return parts[2:3] == ["routers"] and any(
        parts[1] == protocol and parts[3:4] == [folded_name(name)] for protocol in routers for name in routers[protocol]
    )


def _has_only_middlewares(labels: Mapping[str, str]) -> bool:
    kinds = {folded_name(part[2]) for label in labels if is_routing(label) and len(part := label.split(".")) > 2}
    return kinds <= {"middlewares"}


def _wrong_rules(others: Mapping[Protocol, JsonObject]) -> Iterator[tuple[str, str, RuleError]]:
    for protocol, routers in others.items():
        for name, body in routers.items():
            rule = body.get("rule") if isinstance(body, Mapping) else None
            try:
                if isinstance(rule, str):
                    parse(rule)
            except RuleError as error:
                yield f"traefik.{protocol}.routers.{name}.rule", rule or "", error
