"""Puts what was taken of several services into one desired state."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from provider.cli.importing.found import Left
from provider.cli.importing.taking import NETWORKS, Taken
from provider.config.health_checks import mode_of
from provider.docker.labels import ENVIRONMENT
from provider.docker.traefik_labels.endpoints import ServiceKey
from provider.model import Endpoint, HealthCheck, JsonObject, ProbeMode, Protocol, Router
from provider.model.desired import DEFAULT_ENDPOINT, PRIORITY_MOST
from provider.model.durations import parse_duration
from provider.model.durations import written as duration
from provider.model.routing import DOCKER, Refers, Routing, renamed_middleware, renamed_router

PRODUCTION = "production"
ROUTER_KEYS = ("endpoint", "rule", "entryPoints", "middlewares", "tls", "priority")
"""Their order, before any other key."""
_CHECK_KEYS = {
    "interval_s": "interval",
    "timeout_s": "timeout",
    "healthy_after": "healthyAfter",
    "unhealthy_after": "unhealthyAfter",
    "follow_redirects": "followRedirects",
    "insecure_skip_verify": "insecureSkipVerify",
}


@dataclass(frozen=True, slots=True)
class Composed:
    """A desired state, and which services each of its middlewares comes from, by section and name."""

    file: dict[str, Any]
    owners: Mapping[tuple[str, str, str], tuple[Taken, ...]]


def compose(taken: Sequence[Taken], environment: str | None, lefts: list[Left], *, by_labels: bool) -> Composed:
    """Return the desired state of what was taken; with `by_labels` the routing of services stays in their labels."""
    return _Composing(taken, lefts, by_labels=by_labels).composed(environment)


class _Composing:
    def __init__(self, taken: Sequence[Taken], lefts: list[Left], *, by_labels: bool) -> None:
        self._taken, self._lefts, self._by_labels = taken, lefts, by_labels
        self._defined: dict[tuple[Protocol, str], list[tuple[Taken, object]]] = {}
        for one in taken:
            for protocol, bodies in one.middlewares.items():
                for name, body in bodies.items():
                    self._defined.setdefault((protocol, name), []).append((one, body))
        self._services = {
            key: one.found.name if endpoint == DEFAULT_ENDPOINT else f"{one.found.name}-{endpoint}"
            for one in taken
            for key, endpoint in one.services.items()
        }
        self._own_names = dict(_own_names(self._defined))
        self._routers: dict[tuple[Protocol, str], str] = {}

    def composed(self, environment: str | None) -> Composed:
        file: dict[str, Any] = {"environment": environment or self._environment()}
        if (network := self._network()) is not None:
            file["docker"] = {"network": network}
        file["services"] = {one.found.name: self._service(one, one.routing) for one in self._taken if one.routing}
        passed: dict[str, dict[str, Any]] = {}
        owners: dict[tuple[str, str, str], tuple[Taken, ...]] = {}
        for one in self._taken:
            for protocol, routers in one.others.items():
                for name, body in routers.items():
                    into = passed.setdefault(str(protocol), {}).setdefault("routers", {})
                    into[name] = _ordered(renamed_router(protocol, body, self._raw(one)))  # type: ignore[arg-type]
                    owners[str(protocol), "routers", name] = (one,)
        for one in self._taken:
            if self._by_labels and one.routing is not None and not one.others:
                continue
            for protocol, bodies in one.middlewares.items():
                into = passed.setdefault(str(protocol), {}).setdefault("middlewares", {})
                for name, body in bodies.items():
                    final = self._middleware(protocol, name, one)
                    into[final] = renamed_middleware(protocol, body, self._raw(one))
                    place = (str(protocol), "middlewares", final)
                    owners[place] = (*owners.get(place, ()), one)
        return Composed(file | passed, owners)

    def _environment(self) -> str:
        named = {value for one in self._taken if (value := one.found.labels.get(ENVIRONMENT))}
        return named.pop() if len(named) == 1 else PRODUCTION

    def _network(self) -> str | None:
        routed = [one for one in self._taken if one.routing is not None]
        named = {one.network for one in routed if one.network is not None}
        if len(named) == 1:
            (network,) = named
            for one in routed:
                if one.network is None:
                    message = f"no label names its network, and the daemon reaches it in {network} like the others"
                    fix = "add the label bluegreen.network=NAME, if it is in another"
                    self._lefts.append(Left(one.found.where, NETWORKS[0], message, fix))
            return network
        for one in routed:
            if one.network is not None:
                label = next(label for label in NETWORKS if one.found.labels.get(label))
                message = "the services have several networks, and docker.network of the desired state is one"
                fix = f"add the label bluegreen.network={one.network}"
                self._lefts.append(Left(one.found.where, f"{label}={one.network}", message, fix))
        return None

    # --- services

    def _service(self, one: Taken, routing: Routing) -> dict[str, Any]:
        if self._by_labels:
            self._note_unbounded(one, routing)
            return {"routing": _trusted(routing)}
        keys = self._of_routers(one, routing)
        only = routing.endpoints[0]
        if len(routing.endpoints) == 1 and only.protocol is Protocol.HTTP:
            keys |= {"endpoints": {only.name: place}} if (place := _place(only)) else {}
            return keys | _served(only)
        return keys | {"endpoints": {each.name: _place(each) | _served(each) for each in routing.endpoints}}

    def _of_routers(self, one: Taken, routing: Routing) -> dict[str, Any]:
        protocols = {endpoint.name: endpoint.protocol for endpoint in routing.endpoints}
        written = {}
        for router in routing.routers:
            protocol = protocols[router.endpoint]
            name = self._router_name(one, protocol, router.name)
            written[name] = self._router(one, router, protocol)
        if list(written) == [one.found.name]:
            return {"router": written[one.found.name]}
        return {"routers": written}

    def _note_unbounded(self, one: Taken, routing: Routing) -> None:
        for claim in routing.claims:
            if not claim.hosts and not claim.entry_points:
                what = f"traefik.{claim.protocol}.routers.{claim.router}.entrypoints"
                message = "the rule has no host, and such a rule counts only on entry points that the file names"
                self._lefts.append(Left(one.found.where, what, message, "add this label, or name hosts in the rule"))

    def _router_name(self, one: Taken, protocol: Protocol, name: str) -> str:
        first = self._routers.setdefault((protocol, name), one.found.name)
        if first == one.found.name:
            return name
        message = f"{first} has a router of this name too, and Traefik keeps neither"
        fix = f"it is {one.found.name}-{name} here"
        self._lefts.append(Left(one.found.where, f"traefik.{protocol}.routers.{name}", message, fix))
        return f"{one.found.name}-{name}"

    def _router(self, one: Taken, router: Router, protocol: Protocol) -> dict[str, Any]:
        own = len(f"{one.found.name}-")

        def rename(kind: Refers, of: Protocol, name: str) -> str:
            """Name a reference of the routing; one without a provider is the service's own, with its name before it."""
            if "@" not in name:
                return self._middleware(of, name[own:], one)
            return self._outside(kind, of, name, one)

        body: dict[str, Any] = {**renamed_router(protocol, router.body, rename)}
        if router.endpoint != DEFAULT_ENDPOINT:
            body["endpoint"] = router.endpoint
        priority = body.get("priority")
        if isinstance(priority, int) and priority not in {0, -1, PRIORITY_MOST}:
            body["priority"] = priority + 1
            what = f"traefik.{protocol}.routers.{router.name}.priority={priority}"
            message = f"it is {priority + 1} here, above the router of the labels while that is there"
            self._lefts.append(Left(one.found.where, what, message))
        elif priority == 0:
            del body["priority"]
        return _ordered(body)

    # --- names

    def _middleware(self, protocol: Protocol, name: str, one: Taken) -> str:
        """Return the name of a service's own middleware: that of its label, unless another is defined by it."""
        return self._own_names.get((protocol, name, one.found.name), name)

    def _raw(self, one: Taken) -> Any:
        def rename(kind: Refers, protocol: Protocol, name: str) -> str:
            """Name a reference as labels have it."""
            if "@" in name and not name.endswith(DOCKER):
                return name
            plain = name.removesuffix(DOCKER)
            if kind is Refers.MIDDLEWARE and any(each is one for each, _ in self._defined.get((protocol, plain), [])):
                return self._middleware(protocol, plain, one)
            return self._outside(kind, protocol, f"{plain}{DOCKER}", one)

        return rename

    def _outside(self, kind: Refers, protocol: Protocol, name: str, one: Taken) -> str:
        """Return the name here of what another service defines; note one that none of these does."""
        if not name.endswith(DOCKER):
            return name
        plain = name.removesuffix(DOCKER)
        if kind is Refers.SERVICE and (found := self._services.get(ServiceKey(protocol, plain))) is not None:
            return found
        defined = self._defined.get((protocol, plain), []) if kind is Refers.MIDDLEWARE else []
        if defined and _are_one(defined):
            return plain
        message = "several define it, each otherwise" if defined else "nothing that was imported defines it"
        fix = (
            f"import what does as well, or define {plain} in the desired state: it goes with the container that has it"
        )
        left = Left(one.found.where, f"{kind} {name}", message, fix)
        if left not in self._lefts:
            self._lefts.append(left)
        return name


def _are_one(defined: Sequence[tuple[Taken, object]]) -> bool:
    return all(body == defined[0][1] for _, body in defined)


def _own_names(
    defined: Mapping[tuple[Protocol, str], Sequence[tuple[Taken, object]]],
) -> Iterator[tuple[tuple[Protocol, str, str], str]]:
    """Yield a name for each middleware whose own is that of another, different one: with its service's before it."""
    used = set(defined)
    for (protocol, name), every in defined.items():
        if _are_one(every):
            continue
        for one, _ in every:
            own = f"{one.found.name}-{name}"
            while (protocol, own) in used:
                own += "-2"
            used.add((protocol, own))
            yield (protocol, name, one.found.name), own


# --- keys of the desired state


def _ordered(body: Mapping[str, Any]) -> dict[str, Any]:
    first = {key: body[key] for key in ROUTER_KEYS if key in body}
    return first | {key: value for key, value in body.items() if key not in first}


def _place(endpoint: Endpoint) -> dict[str, Any]:
    place: dict[str, Any] = {}
    if endpoint.port is not None:
        place["port"] = endpoint.port
    if endpoint.protocol is not Protocol.HTTP:
        place["protocol"] = str(endpoint.protocol)
    if endpoint.scheme not in {None, "http"}:
        place["scheme"] = endpoint.scheme
    return place


def _served(endpoint: Endpoint) -> dict[str, Any]:
    served: dict[str, Any] = {}
    if endpoint.load_balancer:
        served["loadBalancer"] = endpoint.load_balancer
    if check := dict(_check(endpoint.health_check)):
        served["healthCheck"] = check
    return served


def _check(check: HealthCheck) -> Iterator[tuple[str, Any]]:
    usual, keys = HealthCheck(), {}
    for one in fields(HealthCheck):
        value = getattr(check, one.name)
        if value == getattr(usual, one.name) or one.name == "mode":
            continue
        if one.name == "follow_redirects" and check.mode is not ProbeMode.HTTP:  # which alone has redirects
            continue
        if one.name.endswith("_s"):
            value = _duration(value)
        keys[_CHECK_KEYS.get(one.name, one.name)] = dict(value) if one.name == "headers" else value
    if check.mode is not None and (check.mode is ProbeMode.GRPC or mode_of(keys) != check.mode):
        yield "mode", str(check.mode)
    yield from keys.items()


def _duration(seconds: float) -> str:
    text = duration(seconds)
    return text if parse_duration(text) == seconds else f"{round(seconds * 10**9)}ns"


def _trusted(routing: Routing) -> str | JsonObject:
    """Return the key `routing`: with the bounds that rule 35 wants where a router has a priority, or no host."""
    claims = routing.claims
    hosts = sorted({host for claim in claims for host in claim.hosts or ()})
    entry_points = sorted({name for claim in claims if not claim.hosts for name in claim.entry_points})
    bounds = {key: names for key, names in (("hosts", hosts), ("entryPoints", entry_points)) if names}
    if not bounds or all(claim.hosts and claim.priority is None for claim in claims):
        return "labels"
    return {"labels": True, **bounds}
