"""A validated file -> Desired; every default that is not written here is that of `model.desired`."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from provider.config import endpoints, engines, pass_through, progressive_build, routing
from provider.config.defaults import effective, merged
from provider.config.health_checks import mode_of
from provider.config.schema import File, FixedColour, ServiceObject
from provider.config.traefik_objects import RouterObject
from provider.config.tree import Tree, dotted
from provider.model import (
    ByColour,
    Colour,
    Deadlines,
    Desired,
    Endpoint,
    FixedServers,
    HealthCheck,
    ProbeMode,
    Protocol,
    Router,
    Service,
    SmokeTest,
    Wish,
)
from provider.model.desired import DEFAULT_ENDPOINT, LabelRouting
from provider.model.traefik_schema import later_keys

_OF_HTTP = frozenset({"sticky", "analysis", "test_route"})
"""What the defaults add to services with an endpoint of HTTP alone."""
_HEALTH_CHECK = {
    "interval": "interval_s",
    "timeout": "timeout_s",
    "healthyAfter": "healthy_after",
    "unhealthyAfter": "unhealthy_after",
    "followRedirects": "follow_redirects",
    "insecureSkipVerify": "insecure_skip_verify",
}


def desired(file: File, tree: Tree) -> Desired:
    """Return the desired state that a file without findings describes."""
    defaults: dict[str, Any] = {**file.get("defaults", {})}
    fields = _fields(defaults)
    is_auto = routing.is_auto(tree.value.get("services") if isinstance(tree.value, dict) else None)
    return Desired(
        environment=file["environment"],
        services={name: _service(name, keys, defaults, fields, tree) for name, keys in file["services"].items()},
        require_environment_label=is_auto or file.get("requireEnvironmentLabel", False),
        traefik_api=tuple(file.get("traefik", {}).get("api", ())),
        generate_certificate=file.get("traefik", {}).get("defaultCertificate") == "generated",
        pass_through=_pass_through(file),
        later_keys=(
            *(
                key
                for path, kind, found in pass_through.kinds_of(file)
                for key in later_keys(kind, found, dotted(path))
            ),
            *progressive_build.later_keys(file["services"], defaults),
        ),
        docker_network=file.get("docker", {}).get("network"),
        ignored_environment=frozenset(file.get("release", {}).get("ignoreEnv", ())),
        traefik_metrics=progressive_build.metrics(file.get("traefik", {}).get("metrics", ())),
        engines=engines.engines(file.get("docker", {}).get("engines", ())),
        auto=_found(defaults, fields, tree) if is_auto else None,
    )


def fixed_release(urls: Iterable[str], version: str | None, others: Iterable[tuple[str, tuple[str, ...]]] = ()) -> str:
    """Return the release id of fixed servers: 8 hex digits of SHA-256 over the URLs, in any order, and the version.

    The URLs of the other endpoints count, each with the name of its endpoint.
    """
    of_others = (f"{endpoint} {url}" for endpoint, named in others for url in named)
    text = "\n".join([*sorted(urls), *sorted(of_others), version or ""])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _found(defaults: Mapping[str, Any], fields: Mapping[str, Any], tree: Tree) -> Service:
    """Return what each service is like that containers name and the file does not (rule 35); it has no name."""
    keys: Any = {routing.ROUTING: defaults.get(routing.ROUTING) or routing.LABELS}
    return _service("", keys, defaults, fields, tree)


def _service(
    name: str, keys: ServiceObject, defaults: Mapping[str, Any], fields: Mapping[str, Any], tree: Tree
) -> Service:
    """Return a service whose own keys win over the `defaults`; `fields` are the model's fields of the defaults."""
    written: dict[str, Any] = {key: merged(key, value, defaults.get(key)) for key, value in keys.items()}
    common, known = defaults.get("router", {}), endpoints.protocols(keys, defaults)
    own = _fields(written)
    if "preview" in keys:
        own["preview"] = _router(f"{name}-preview", common, keys["preview"], known)
    if "servers" in keys:
        path, servers = ("services", name, "servers"), keys["servers"]
        own["servers"] = ByColour(
            blue=_fixed(servers.get("blue"), (*path, "blue"), tree, known),
            green=_fixed(servers.get("green"), (*path, "green"), tree, known),
        )
    is_by_labels = routing.is_by_labels(keys, defaults)
    if is_by_labels:
        own["labels"] = _labels(effective(keys, defaults, routing.ROUTING))
    routers = keys["routers"] if "routers" in keys else {} if is_by_labels else {name: keys["router"]}
    own["routers"] = tuple(_router(router, common, body, known) for router, body in routers.items())
    values = {**fields, **own}
    if is_by_labels:
        values.pop("load_balancer", None)
    usual = {key: values.pop(key) for key in ("load_balancer", "health_check") if key in values}
    if endpoints.written(keys, defaults) is None:
        return Service(name=name, **values, endpoints=(Endpoint(**usual),))
    if not endpoints.has_http(known):
        values = {key: value for key, value in values.items() if key not in _OF_HTTP}
    balancer, check = (effective(keys, defaults, key) or {} for key in ("loadBalancer", "healthCheck"))
    every = (
        _endpoint(one, body, known[one], balancer, check) for one, body in endpoints.written(keys, defaults).items()
    )
    return Service(name=name, **values, endpoints=tuple(every))


def _labels(written: Mapping[str, Any] | str) -> LabelRouting:
    if isinstance(written, str):
        return LabelRouting()
    hosts, entry_points = (tuple(written.get(key, ())) for key in ("hosts", "entryPoints"))
    return LabelRouting(hosts, entry_points, written.get("defaultRule"))


def _endpoint(
    name: str, body: Mapping[str, Any], spoken: Protocol | None, balancer: Mapping[str, Any], check: Mapping[str, Any]
) -> Endpoint:
    """Return an endpoint. What stands beside `endpoints` is added to those of HTTP, key by key (rule 31)."""
    is_http = spoken is Protocol.HTTP
    checked = {**(check if is_http else {}), **body.get("healthCheck", {})}
    return Endpoint(
        name=name,
        protocol=spoken or Protocol.HTTP,
        load_balancer={**(balancer if is_http else {}), **body.get("loadBalancer", {})},
        health_check=_health_check(checked) if checked else HealthCheck(),
        **{key: body[key] for key in ("port", "scheme") if key in body},
    )


def _router(
    name: str, common: Mapping[str, object], body: RouterObject, known: Mapping[str, Protocol | None]
) -> Router:
    """Return a router; `common` are keys of HTTP's."""
    endpoint = body.get("endpoint", DEFAULT_ENDPOINT)
    is_http = known.get(endpoint) is Protocol.HTTP
    merged: dict[str, Any] = {**(common if is_http else {}), **body}
    merged.pop("endpoint", None)
    if merged.get("tls") is False:  # removes that of the defaults
        del merged["tls"]
    return Router(name, body.get("rule", ""), merged, endpoint)


def _fixed(
    keys: FixedColour | None, path: tuple[str, ...], tree: Tree, known: Mapping[str, Protocol | None]
) -> FixedServers | None:
    if keys is None:
        return None
    version = keys.get("version")
    if version is not None and not isinstance(version, str):
        version = tree.written((*path, "version"))
    urls = _urls(keys.get("urls", ()), known.get(DEFAULT_ENDPOINT))
    others = tuple((name, _urls(named, known.get(name))) for name, named in keys.get("endpoints", {}).items())
    return FixedServers(urls, version, fixed_release(urls, version, others), others)


def _urls(addresses: Iterable[str], spoken: Protocol | None) -> tuple[str, ...]:
    return tuple(each if "://" in each or spoken is None else f"{spoken}://{each}" for each in addresses)


def _fields(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `model.Service` that are written in a service or in the defaults.

    Those of its endpoints are among them: `load_balancer` and `health_check`.
    """
    fields = progressive_build.fields(keys)
    for key, value in keys.items():
        match key:
            case "active":
                fields["active"] = Wish(value)
            case "initial":
                fields["initial"] = Colour(value)
            case "group" | "hold" | "sticky":
                fields[key] = value
            case "loadBalancer":
                fields["load_balancer"] = value
            case "minServers":
                fields["min_servers"] = value
            case "settle" | "watch":
                fields[f"{key}_s"] = value
            case "healthCheck":
                fields["health_check"] = _health_check(value)
            case "smokeTests":
                fields["smoke_tests"] = tuple(_smoke_test(test) for test in value)
            case "approval":
                fields["approval_is_manual"] = value == "manual"
            case "deadlines":
                fields["deadlines"] = Deadlines(**{f"{phase}_s": wait for phase, wait in value.items()})
    return fields


def _health_check(keys: dict[str, Any]) -> HealthCheck:
    fields = {_HEALTH_CHECK.get(key, key): value for key, value in keys.items()}
    mode = mode_of(keys)
    if mode is not None:
        fields["mode"] = ProbeMode(mode)
    if "headers" in fields:
        fields["headers"] = tuple(fields["headers"].items())
    return HealthCheck(**fields)


def _smoke_test(keys: dict[str, Any]) -> SmokeTest:
    names = {"timeout": "timeout_s", "insecureSkipVerify": "insecure_skip_verify"}
    fields = {names.get(key, key): value for key, value in keys.items()}
    for key in ("headers", "json"):
        if key in fields:
            fields[key] = tuple(fields[key].items())
    return SmokeTest(**fields)


def _pass_through(file: File) -> dict[str, object]:
    """Return the sections for Traefik without the empty ones, which it refuses; nothing inside an object is dropped."""
    sections = {
        "http": {**file.get("http", {})},
        "tcp": {**file.get("tcp", {})},
        "udp": {**file.get("udp", {})},
        "tls": {**file.get("tls", {})},
    }
    filled = {name: {kind: body for kind, body in kinds.items() if body} for name, kinds in sections.items()}
    return {name: kinds for name, kinds in filled.items() if kinds}
