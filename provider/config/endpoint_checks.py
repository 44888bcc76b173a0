"""Checks of the endpoints of services, and of what refers to them (rules 31 to 33).

Like `cross_checks` they read the raw values, and skip shapes that the schema reports.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from provider.config import endpoints, tcp_rules
from provider.config.defaults import effective
from provider.config.endpoints import ENDPOINTS
from provider.config.messages import Finding
from provider.config.routing import is_by_labels
from provider.config.tree import KeyPath, Tree
from provider.config.types import NO_SERVER_URL, shown
from provider.model import Colour, Protocol, listed
from provider.model.desired import DEFAULT_ENDPOINT
from provider.model.traefik_rule import only_server_names

_NEEDS_HTTP = {
    "testRoute": "requests are told apart by a header or a cookie, which only HTTP has",
    "analysis": "it counts requests, which only HTTP has",
    "sticky": "a client stays by a cookie, which only HTTP has",
    "healthCheck": "it is what endpoints of HTTP have in common: write it in the endpoint",
    "loadBalancer": "it is what endpoints of HTTP have in common: write it in the endpoint",
}
_SAID_ELSEWHERE = frozenset({"rule", "service", "servers", "healthCheck"})
_OF_OTHERS = {
    what: {
        spoken: frozenset(key for other in tables.values() for key in other.fields)
        - one.fields.keys()
        - _SAID_ELSEWHERE
        for spoken, one in tables.items()
    }
    for what, tables in (("router", endpoints.ROUTERS), ("load balancer", endpoints.BALANCERS))
}
"""The keys that Traefik has in such an object of another protocol alone."""
_OF_A_REQUEST = ("path", "scheme", "hostname", "method", "status", "headers", "followRedirects", "insecureSkipVerify")


@dataclass(frozen=True, slots=True)
class _Service:
    """A service with what the defaults add to it; `known` is what each of its endpoints speaks."""

    name: str
    keys: Mapping[str, Any]
    defaults: Mapping[str, Any]
    known: Mapping[str, Protocol | None]

    @property
    def path(self) -> KeyPath:
        return ("services", self.name)

    @property
    def choice(self) -> str:
        return listed(self.known)

    def path_of(self, key: str) -> KeyPath:
        """Return where a key that it has is written: here, or in the defaults."""
        return (*self.path, key) if key in self.keys else ("defaults", key)


def findings(value: object, tree: Tree) -> Iterator[Finding]:
    """Yield what is wrong with the endpoints of a file, and with what refers to them."""
    file = _mapping(value)
    defaults = _mapping(file.get("defaults"))
    yield from _bodies(("defaults", ENDPOINTS), defaults)
    found: list[Finding] = []
    for name, keys in _mapping(file.get("services")).items():
        if isinstance(keys, dict):
            one = _Service(name, keys, defaults, endpoints.protocols(keys, defaults))
            found += _of_service(one)
    yield from dict.fromkeys(found)  # what the defaults alone are to blame for, once
    yield from _udp_entry_points(file, tree)
    yield from _tcp_previews(file, tree)


def _of_service(one: _Service) -> Iterator[Finding]:
    if ENDPOINTS in one.keys:
        yield from _bodies((*one.path, ENDPOINTS), one.keys)
    if not endpoints.has_http(one.known):
        yield from _without_http(one)
    for router in endpoints.routers(one.name, one.keys):
        yield from _router(one, (*one.path, *router.path), router.body)
    tests = effective(one.keys, one.defaults, "smokeTests")
    for index, test in enumerate(tests if isinstance(tests, list) else ()):
        if isinstance(test, dict):
            yield from _test(one, (*one.path_of("smokeTests"), index), test)
    servers = _mapping(one.keys.get("servers"))
    for colour in Colour:
        if isinstance(fixed := servers.get(colour), dict):
            yield from _fixed(one, (*one.path, "servers", str(colour)), fixed)


# --- what an endpoint has ------------------------------------------------------------------------------------------


def _bodies(path: KeyPath, keys: Mapping[str, Any]) -> Iterator[Finding]:
    known = endpoints.protocols(keys, {})
    for name, body in _mapping(keys.get(ENDPOINTS)).items():
        spoken = known.get(name)
        if not isinstance(body, dict) or spoken is None:
            continue
        if spoken is not Protocol.HTTP and "scheme" in body:
            message = f"is of HTTP, and this endpoint speaks {spoken}: remove it"
            yield Finding((*path, name, "scheme"), message, on_key=True)
        balancer = _mapping(body.get("loadBalancer"))
        yield from _keys_of((*path, name, "loadBalancer"), balancer, spoken, "load balancer")
        if spoken is Protocol.UDP:
            yield from _udp_check((*path, name, "healthCheck"), _mapping(body.get("healthCheck")))


def _udp_check(path: KeyPath, check: dict[str, Any]) -> Iterator[Finding]:
    """Rule 33: a server of UDP is asked with bytes, or Docker checks it; else the other endpoints' health counts."""
    way_out = "write send and expect, or mode: docker, or nothing to have the health of the other endpoints count"
    if check.get("mode", "docker") != "docker":
        message = f"{shown(check['mode'])} is not possible with UDP, where nothing answers by itself: {way_out}"
        yield Finding((*path, "mode"), message)
    for key in (key for key in (*_OF_A_REQUEST, "service") if key in check):
        yield Finding((*path, key), f"is of a request, and UDP has none: {way_out}", on_key=True)
    if "expect" in check and "send" not in check:
        message = "needs 'send': a server of UDP answers what it is asked; write it, too"
        yield Finding((*path, "expect"), message, on_key=True)


def _keys_of(path: KeyPath, body: Mapping[str, Any], spoken: Protocol, what: str) -> Iterator[Finding]:
    """Yield the keys that Traefik has in such an object of another protocol alone."""
    of_others = _OF_OTHERS[what][spoken]
    for key in body if not of_others.isdisjoint(body) else ():
        if key in of_others:
            why = f"is no key of a {what} of {spoken.upper()}, for which Traefik refuses the whole document"
            if key == "sticky":
                why = f"keeps clients by a cookie, and {spoken.upper()} has none: each connection stays where it is"
            elif key == "priority":
                why = "is not possible with UDP, where one router takes all of an entry point"
            yield Finding((*path, key), f"{why}; remove it", on_key=True)


def _without_http(one: _Service) -> Iterator[Finding]:
    has_none = f"and no endpoint of this service speaks HTTP ({one.choice})"
    for key, why in _NEEDS_HTTP.items():
        if isinstance(one.keys.get(key), dict):
            way_out = "" if "write it" in why else ": remove it"
            yield Finding((*one.path, key), f"concerns HTTP only, {has_none}: {why}{way_out}", on_key=True)
    affinity = _mapping(one.keys.get("canary")).get("affinity", "none")
    if affinity != "none":
        why = "Traefik keeps no client of TCP or UDP at a colour, but each connection stays where it is"
        message = f"{shown(affinity)} concerns HTTP only, {has_none}: {why}; remove it"
        yield Finding((*one.path, "canary", "affinity"), message)


# --- what refers to an endpoint --------------------------------------------------------------------------------------


def _reference(one: _Service, path: KeyPath, body: Mapping[str, Any]) -> Iterator[Finding]:
    """Rule 31: without `endpoint` it is `default`, else an error."""
    name = endpoints.endpoint_of(body)
    if is_by_labels(one.keys, one.defaults):  # they say which there are
        return
    if not one.known or not isinstance(name, str) or name in one.known:
        return
    if "endpoint" not in body:
        message = f"names no endpoint, and this service has none named default: write 'endpoint', of {one.choice}"
        yield Finding(path, message, on_key=True)
    elif endpoints.written(one.keys, one.defaults) is None:
        message = f"{shown(name)} is no endpoint of this service, which has no 'endpoints': write it there"
        yield Finding((*path, "endpoint"), f"{message}, or remove this key")
    else:
        message = f"{shown(name)} is no endpoint of this service: write one of {one.choice}"
        yield Finding((*path, "endpoint"), message)


def _router(one: _Service, path: KeyPath, body: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _reference(one, path, body)
    spoken = endpoints.protocol_of(body, one.known)
    if spoken is None or is_by_labels(one.keys, one.defaults):
        return
    yield from _keys_of(path, body, spoken, "router")
    if spoken is Protocol.UDP:
        if "rule" in body:
            message = "is not possible with UDP, where one router takes all of an entry point: remove it"
            yield Finding((*path, "rule"), message, on_key=True)
        return
    if "rule" not in body:
        example = "Host(`shop.example.com`)" if spoken is Protocol.HTTP else "HostSNI(`*`)"
        message = f"required key is missing: What the router matches, such as {example}"
        yield Finding((*path, "rule"), message, on_key=True)
    if spoken is Protocol.TCP:
        yield from tcp_rules.findings(path, body)
    elif "passthrough" in _mapping(body.get("tls")):
        message = "is of TCP, and Traefik would refuse the whole document for it: name an endpoint that speaks tcp"
        yield Finding((*path, "tls", "passthrough"), f"{message}, or remove it", on_key=True)


def _test(one: _Service, path: KeyPath, test: Mapping[str, Any]) -> Iterator[Finding]:
    yield from _reference(one, path, test)
    spoken = endpoints.protocol_of(test, one.known)
    if spoken in {Protocol.TCP, Protocol.UDP}:
        at = (*path, "endpoint") if "endpoint" in test else path
        message = f"asks endpoint {endpoints.endpoint_of(test)!r}, which speaks {spoken}, and a smoke test is of HTTP"
        yield Finding(at, f"{message}: name one of HTTP, or check the bytes with healthCheck", on_key=at is path)


def _fixed(one: _Service, path: KeyPath, fixed: Mapping[str, Any]) -> Iterator[Finding]:
    """Rule 31: `urls` belong to `default`, `endpoints` to the others; each has some, or it would never be healthy."""
    known, others = one.known, _mapping(fixed.get(ENDPOINTS))
    if "urls" in fixed and known and DEFAULT_ENDPOINT not in known:
        message = f"are of the endpoint default, and this service has none: write endpoints, of {one.choice}"
        yield Finding((*path, "urls"), message, on_key=True)
    for name in others:
        if name == DEFAULT_ENDPOINT:
            yield Finding((*path, ENDPOINTS, name), "has its servers in 'urls': write them there", on_key=True)
        elif known and name not in known:
            message = f"is no endpoint of this service: write one of {one.choice}"
            yield Finding((*path, ENDPOINTS, name), message, on_key=True)
    for name, spoken in known.items():
        if name == DEFAULT_ENDPOINT and "urls" not in fixed:
            example = '["http://10.0.8.11:8080"]' if spoken is Protocol.HTTP else '["10.0.8.11:1883"]'
            message = f"required key is missing: Addresses as Traefik sees them, such as {example}"
            yield Finding((*path, "urls"), message, on_key=True)
        elif name != DEFAULT_ENDPOINT and name not in others and isinstance(fixed.get(ENDPOINTS, {}), dict):
            message = f"has no servers of endpoint {name!r}, which has to be healthy, too"
            yield Finding(path, f"{message}: write endpoints: {{{name}: [...]}}", on_key=True)
        at: KeyPath = ("urls",) if name == DEFAULT_ENDPOINT else (ENDPOINTS, name)
        addresses = fixed.get("urls") if name == DEFAULT_ENDPOINT else others.get(name)
        for index, address in enumerate(addresses if isinstance(addresses, list) else ()):
            if isinstance(address, str) and spoken is not None:
                yield from _address((*path, *at, index), address, spoken)


def _address(path: KeyPath, address: str, spoken: Protocol) -> Iterator[Finding]:
    is_url = "://" in address
    if spoken is Protocol.HTTP and not is_url:
        yield Finding(path, f"{shown(address)} {NO_SERVER_URL}")
    elif spoken is not Protocol.HTTP and is_url and not address.startswith(("tcp://", "udp://")):
        message = (
            f"{shown(address)} is a URL, and this endpoint speaks {spoken}: write HOST:PORT, such as 10.0.0.5:1883"
        )
        yield Finding(path, message)


# --- entry points --------------------------------------------------------------------------------------------------


def _udp_entry_points(file: Mapping[str, Any], tree: Tree) -> Iterator[Finding]:
    """Rule 32: UDP has no rules, so that of two routers on an entry point the last by name would take everything."""
    first: dict[str, KeyPath] = {}
    anywhere: KeyPath | None = None
    for path, body in _routers_of(Protocol.UDP, file):
        listens = _listens(body)
        met = [first[name] for name in listens if name in first] if listens else list(first.values())
        other = met[0] if met else anywhere
        if other is not None:
            shared = next((f"entry point {name!r}" for name in listens if first.get(name) is other), None)
            also = f"{'.'.join(map(str, other))} ({tree.place(other)})"
            message = f"listens on {shared or 'every entry point of UDP'}, and so does {also}: one router of UDP takes"
            yield Finding(path, f"{message} all of it; write entryPoints that no other one has", on_key=True)
            continue
        if not listens:
            anywhere = path
        first |= dict.fromkeys(listens, path)


def _tcp_previews(file: Mapping[str, Any], tree: Tree) -> Iterator[Finding]:
    """Rule 32: a preview is above all routers, so that one for any server name would take their connections."""
    routers = list(_routers_of(Protocol.TCP, file))
    for path, body in routers:
        rule, listens = body.get("rule"), set(_listens(body))
        if path[-1] != "preview" or not isinstance(rule, str) or only_server_names(rule) is not None:
            continue
        for other, its in routers:
            at = set(_listens(its))
            if other is not path and (not listens or not at or listens & at):
                also = f"{'.'.join(map(str, other))} ({tree.place(other)})"
                message = f"takes every connection that is meant for {also}, as a preview is above all routers: write"
                yield Finding(path, f"{message} entryPoints that no other one has, or HostSNI of a name", on_key=True)
                break


def _listens(body: Mapping[str, Any]) -> list[str]:
    names = body.get("entryPoints")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def _routers_of(protocol: Protocol, file: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    defaults = _mapping(file.get("defaults"))
    for name, keys in _mapping(file.get("services")).items():
        known = endpoints.protocols(_mapping(keys), defaults)
        if protocol in known.values():
            for router in endpoints.routers(name, _mapping(keys)):
                if endpoints.protocol_of(router.body, known) is protocol:
                    yield ("services", name, *router.path), router.body
    for name, body in _mapping(_mapping(file.get(protocol)).get("routers")).items():
        if isinstance(body, dict):
            yield (protocol, "routers", name), body


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
