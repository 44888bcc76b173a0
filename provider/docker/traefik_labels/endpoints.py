"""Services of labels as endpoints of a blue-green service (rules 31 and 34)."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from provider.docker.traefik_labels.health import health_check_of
from provider.docker.traefik_labels.tree import fault
from provider.model.desired import DEFAULT_ENDPOINT, Endpoint, HealthCheck
from provider.model.routing import DOCKER, Fault
from provider.model.vocabulary import JsonObject, ProbeMode, Protocol

TAKEN = frozenset({"blue", "green", "preview"})
"""They stand behind the service's name already."""
SCHEMES = ("http", "https", "h2c")
PORT_MOST = 65535
NAME_MOST = 200


class ServiceKey(NamedTuple):
    """A service of labels: Traefik has a section for each protocol."""

    protocol: Protocol
    name: str


def endpoint_names(service: str, keys: Sequence[ServiceKey], faults: list[Fault]) -> dict[ServiceKey, str]:
    """Return the name of the endpoint of each service.

    The only one is `default`, of several the one named like the blue-green service. A name in several sections gets
    the protocol behind it, but for the first.
    """
    if len(keys) == 1:
        return {keys[0]: DEFAULT_ENDPOINT}
    names: dict[ServiceKey, str] = {}
    for key in keys:
        is_more = key.name in {one.name for one in names}
        own = "" if key.name == service else key.name
        name = "-".join(filter(None, (own, key.protocol))) if is_more else own or DEFAULT_ENDPOINT
        names[key] = name
    counts = Counter(names.values())
    for key, name in names.items():
        wrong = _wrong_name(name, counts[name])
        if wrong is not None:
            label = f"traefik.{key.protocol}.services.{key.name}"
            faults.append(fault(label, None, f"as an endpoint of {service} it is {name!r}, {wrong}", "rename it"))
    return names


def _wrong_name(name: str, count: int) -> str | None:
    if count > 1:
        return "and so is another service of the container"
    if name in TAKEN:
        return "which is taken for the servers of a colour"
    if "@" in name or "/" in name or name in {".", ".."} or any(one.isspace() for one in name):
        return "which has a character that no name of an endpoint may have: '@', '/' or white space"
    return f"which is longer than {NAME_MOST} characters" if len(name) > NAME_MOST else None


def endpoint_of(
    key: ServiceKey,
    name: str,
    body: Mapping[str, Any],
    health_check: HealthCheck,
    faults: list[Fault],
    ignored: list[str],
) -> Endpoint:
    """Return the endpoint that a service of labels is; its load balancer is without server and health check."""
    prefix = f"traefik.{key.protocol}.services.{key.name}"
    if body.get("middlewares"):
        message = "middlewares of a service are of its routers here"
        faults.append(fault(f"{prefix}.middlewares", None, message, "write them on each router"))
    balancer = {key: value for key, value in body["loadBalancer"].items() if not _is_off(key, value)}
    server = balancer.pop("server", {})
    check = balancer.pop("healthCheck", None)
    prefix = f"{prefix}.loadbalancer"
    health_check = _of_protocol(key.protocol, health_check)
    faults += _server_faults(f"{prefix}.server", server)
    faults += _transport_faults(prefix, balancer)
    if isinstance(check, Mapping):
        health_check = health_check_of(key.protocol, f"{prefix}.healthcheck", check, health_check, faults, ignored)
    ignored += [f"{prefix}.server.{label}" for label in ("weight", "preservePath") if label in server]
    return Endpoint(name, key.protocol, _port(server), server.get("scheme") or None, balancer, health_check)


def _of_protocol(protocol: Protocol, check: HealthCheck) -> HealthCheck:
    """Return the check of a service for one of its endpoints: of one for HTTP the others have only how often."""
    own = {Protocol.HTTP: check.mode, Protocol.TCP: ProbeMode.TCP, Protocol.UDP: ProbeMode.UDP}[protocol]
    if check.mode in (None, ProbeMode.DOCKER, own):
        return check
    return HealthCheck(
        interval_s=check.interval_s,
        timeout_s=check.timeout_s,
        healthy_after=check.healthy_after,
        unhealthy_after=check.unhealthy_after,
    )


def _is_off(key: str, value: object) -> bool:
    """Return whether an object is off, as `sticky=false` is, and `sticky.cookie=false` for lack of a cookie."""
    return key in {"sticky", "proxyProtocol"} and value in (False, {"cookie": False})


def _port(server: Mapping[str, Any]) -> int | None:
    written = str(server.get("port") or "")
    return int(written) if _is_port(written) else None


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 5 and 0 < int(text) <= PORT_MOST


def _server_faults(label: str, server: Mapping[str, Any]) -> Iterator[Fault]:
    if url := server.get("url"):
        message = "the address of a server is that of its container"
        yield fault(f"{label}.url", url, message, "remove the label, or write 'servers' in the file")
    port = server.get("port")
    if port and not _is_port(port):
        yield fault(f"{label}.port", port, "it is no port", f"write a number from 1 to {PORT_MOST}")
    scheme = server.get("scheme")
    if scheme and scheme not in SCHEMES:
        yield fault(f"{label}.scheme", scheme, "it is no scheme of a server", f"write one of {', '.join(SCHEMES)}")
    if server.get("weight", 1) < 1:
        message = "Traefik may hang with a weight below 1"
        yield fault(f"{label}.weight", str(server["weight"]), message, "remove the label")
    if server.get("tls"):
        message = "TLS to a server is of a transport"
        yield fault(f"{label}.tls", "true", message, "write loadbalancer.serverstransport=NAME@file, and define that")


def _transport_faults(label: str, balancer: JsonObject) -> Iterator[Fault]:
    transport = str(balancer.get("serversTransport") or "")
    if transport and ("@" not in transport or transport.endswith(DOCKER)):
        message = "labels cannot define a transport, so it has to be of another provider"
        fix = f"write {transport.removesuffix(DOCKER)}@file or @http"
        yield fault(f"{label}.serverstransport", transport, message, fix)
