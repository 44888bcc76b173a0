"""A validated file -> Desired; every default that is not written here is that of `model.desired`."""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from provider.config import engines, pass_through, progressive_build
from provider.config.defaults import merged
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
    Router,
    Service,
    SmokeTest,
    Wish,
)
from provider.model.traefik_schema import later_keys

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
    return Desired(
        environment=file["environment"],
        services={name: _service(name, keys, defaults, fields, tree) for name, keys in file["services"].items()},
        require_environment_label=file.get("requireEnvironmentLabel", False),
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
    )


def fixed_release(urls: Iterable[str], version: str | None) -> str:
    """Return the release id of fixed servers: 8 hex digits of SHA-256 over the URLs, in any order, and the version."""
    text = "\n".join([*sorted(urls), version or ""])
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _service(
    name: str, keys: ServiceObject, defaults: Mapping[str, Any], fields: Mapping[str, Any], tree: Tree
) -> Service:
    """Return a service whose own keys win over the `defaults`; `fields` are the model's fields of the defaults."""
    written: dict[str, Any] = {key: merged(key, value, defaults.get(key)) for key, value in keys.items()}
    common = defaults.get("router", {})
    own = _fields(written)
    if "preview" in keys:
        own["preview"] = _router(f"{name}-preview", common, keys["preview"])
    if "servers" in keys:
        path, servers = ("services", name, "servers"), keys["servers"]
        own["servers"] = ByColour(
            blue=_fixed(servers.get("blue"), (*path, "blue"), tree),
            green=_fixed(servers.get("green"), (*path, "green"), tree),
        )
    routers = keys["routers"] if "routers" in keys else {name: keys["router"]}
    own["routers"] = tuple(_router(router, common, body) for router, body in routers.items())
    values = {**fields, **own}
    endpoint = Endpoint(**{key: values.pop(key) for key in ("load_balancer", "health_check") if key in values})
    return Service(name=name, **values, endpoints=(endpoint,))


def _router(name: str, common: Mapping[str, object], body: RouterObject) -> Router:
    merged = {**common, **body}
    if merged.get("tls") is False:  # removes that of the defaults
        del merged["tls"]
    return Router(name, body["rule"], merged)


def _fixed(keys: FixedColour | None, path: tuple[str, ...], tree: Tree) -> FixedServers | None:
    if keys is None:
        return None
    version = keys.get("version")
    if version is not None and not isinstance(version, str):
        version = tree.written((*path, "version"))
    return FixedServers(tuple(keys["urls"]), version, fixed_release(keys["urls"], version))


def _fields(keys: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of `model.Service` that are written in a service or in the defaults."""
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
