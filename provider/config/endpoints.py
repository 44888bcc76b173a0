"""The endpoints of a service as its file has them, in raw values of which any may be wrong (rule 31)."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from provider.config.routing import is_by_labels
from provider.config.tree import KeyPath
from provider.model.desired import DEFAULT_ENDPOINT
from provider.model.traefik_schema import LOAD_BALANCER, ROUTER, Struct
from provider.model.traefik_schema.sections import TCP_LOAD_BALANCER, TCP_ROUTER, UDP_LOAD_BALANCER, UDP_ROUTER
from provider.model.vocabulary import Protocol

ENDPOINTS = "endpoints"
ROUTERS: Mapping[Protocol, Struct] = {Protocol.HTTP: ROUTER, Protocol.TCP: TCP_ROUTER, Protocol.UDP: UDP_ROUTER}
BALANCERS: Mapping[Protocol, Struct] = {
    Protocol.HTTP: LOAD_BALANCER,
    Protocol.TCP: TCP_LOAD_BALANCER,
    Protocol.UDP: UDP_LOAD_BALANCER,
}
"""Traefik's objects for what an endpoint speaks."""
_ONE: Mapping[str, Protocol | None] = {DEFAULT_ENDPOINT: Protocol.HTTP}
_PROTOCOLS = {str(one): one for one in Protocol}


def written(keys: Mapping[str, Any], defaults: Mapping[str, Any]) -> Any:
    """Return the endpoints that are written for a service, here or in the defaults; None where none are."""
    if is_by_labels(keys, defaults):
        return None
    return keys[ENDPOINTS] if ENDPOINTS in keys else defaults.get(ENDPOINTS)


def path_of(name: str, keys: Mapping[str, Any], endpoint: str) -> KeyPath:
    """Return where an endpoint that a service has is written; the service itself where none is."""
    return ("services", name, ENDPOINTS, endpoint) if ENDPOINTS in keys else ("defaults", ENDPOINTS, endpoint)


def protocols(keys: Mapping[str, Any], defaults: Mapping[str, Any]) -> Mapping[str, Protocol | None]:
    """Return what each endpoint of a service speaks, None where what is written is nothing that one can speak."""
    if ENDPOINTS not in keys and ENDPOINTS not in defaults:  # as nearly all are, and this is asked often
        return _ONE
    found = written(keys, defaults)
    if found is None:
        return _ONE
    return {name: _protocol(body) for name, body in found.items()} if isinstance(found, dict) else {}


def has_http(known: Mapping[str, Protocol | None]) -> bool:
    """Return whether an endpoint may speak HTTP; also where none is written as it should be."""
    return not known or not {Protocol.HTTP, None}.isdisjoint(known.values())


def endpoint_of(body: object) -> Any:
    """Return the endpoint that a router, a preview or a smoke test names."""
    return body.get("endpoint", DEFAULT_ENDPOINT) if isinstance(body, dict) else DEFAULT_ENDPOINT


def protocol_of(body: object, known: Mapping[str, Protocol | None]) -> Protocol | None:
    """Return what the endpoint of a router speaks; None where it names none of these."""
    name = endpoint_of(body)
    return known.get(name) if isinstance(name, str) else None


class Routed(NamedTuple):
    """A router of a service, or its preview: where it is in the service, and its name in Traefik."""

    path: KeyPath
    name: str
    body: dict[str, Any]

    @property
    def is_preview(self) -> bool:
        """Whether it is the preview."""
        return self.path == ("preview",)


def routers(service: str, keys: Mapping[str, Any]) -> Iterator[Routed]:
    """Yield the routers of a service, and last its preview."""
    if isinstance(body := keys.get("router"), dict):
        yield Routed(("router",), service, body)
    if isinstance(several := keys.get("routers"), dict):
        yield from (Routed(("routers", name), name, body) for name, body in several.items() if isinstance(body, dict))
    if isinstance(body := keys.get("preview"), dict):
        yield Routed(("preview",), f"{service}-preview", body)


def _protocol(body: object) -> Protocol | None:
    spoken = body.get("protocol", Protocol.HTTP) if isinstance(body, dict) else None
    return _PROTOCOLS.get(spoken) if isinstance(spoken, str) else None
