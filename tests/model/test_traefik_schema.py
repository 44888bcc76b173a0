"""The objects of a service against the tables of Traefik's keys, from which the rest of the file's types are made."""

from textwrap import dedent
from typing import Any

import pytest

from provider import config
from provider.model.traefik_schema import (
    LOAD_BALANCER,
    ROUTER,
    STICKY,
    Many,
    Struct,
    Version,
    parse_version,
    unknown_to,
)
from provider.model.traefik_schema.sections import (
    ROUTER_TLS,
    TCP_LOAD_BALANCER,
    TCP_ROUTER,
    TCP_ROUTER_TLS,
    UDP_LOAD_BALANCER,
    UDP_ROUTER,
)

SCHEMA: dict[str, Any] = config.schema()


def differences(schema: dict[str, Any], struct: Struct, path: str) -> list[str]:
    """Return where an object of the JSON Schema has other keys than a struct, or may be empty where that may not."""
    own = resolved(schema)
    found = [f"{path}: {key}" for key in own["properties"].keys() ^ struct.fields.keys()]
    for key, field in struct.fields.items():
        here = own["properties"].get(key, {})
        inner = field.kind.item if isinstance(field.kind, Many) else field.kind
        of_key = resolved(here.get("items", here))
        if isinstance(inner, Struct) and "properties" in of_key:
            found += differences(of_key, inner, f"{path}.{key}")
    return found


def resolved(schema: dict[str, Any]) -> dict[str, Any]:
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return SCHEMA["$defs"][name] if name else schema


@pytest.mark.parametrize(
    ("name", "struct", "also"),
    [
        ("RouterKeys", ROUTER, {"rule"}),
        ("RouterObject", ROUTER, {"endpoint", "passthrough"}),
        ("LoadBalancer", LOAD_BALANCER, set()),
        ("EndpointBalancer", LOAD_BALANCER, TCP_LOAD_BALANCER.fields.keys() - LOAD_BALANCER.fields.keys()),
        ("Sticky", STICKY, set()),
    ],
)
def test_the_objects_of_a_service_have_the_keys_of_traefik(name: str, struct: Struct, also: set[str]) -> None:
    """Those of several protocols are in one object, which `endpoint_checks` holds against what an endpoint speaks."""
    assert {found.rpartition(": ")[2] for found in differences({"$ref": f"#/$defs/{name}"}, struct, name)} == also


def test_the_keys_of_tcp_and_udp_are_those_of_http_but_for_a_few() -> None:
    """Rule 32."""
    assert TCP_ROUTER.fields.keys() <= ROUTER.fields.keys() >= UDP_ROUTER.fields.keys()
    assert TCP_ROUTER_TLS.fields.keys() - ROUTER_TLS.fields.keys() == {"passthrough"}
    assert UDP_LOAD_BALANCER.fields.keys() <= LOAD_BALANCER.fields.keys()


def test_an_editor_learns_every_key_of_what_is_passed_through() -> None:
    headers = SCHEMA["$defs"]["TraefikHeaders"]
    assert headers["additionalProperties"] is False
    assert headers["properties"]["frameDeny"] == {"type": "boolean", "description": "True or false."}
    retry = SCHEMA["$defs"]["TraefikMiddleware"]["properties"]["retry"]
    assert retry["minProperties"] == 1
    assert "from Traefik 3.7 on" in SCHEMA["$defs"]["TraefikRetry"]["properties"]["status"]["description"]


class TestVersions:
    FILE = """
        environment: x
        defaults: {router: {observability: {traceVerbosity: minimal}}}
        services:
          shop:
            router: {rule: x, parentRefs: [a@file]}
            sticky: {cookie: {name: a, Domain: example.com}}
        http:
          middlewares: {r: {Retry: {attempts: 2, status: ["500"]}}, c: {compress: {}}}
          services: {s: {loadBalancer: {servers: [{url: "http://a", preservePath: true}]}}}
        tcp: {serversTransports: {t: {proxyProtocol: {version: 2}}}}
        """

    @pytest.mark.parametrize(
        ("version", "paths"),
        [
            ("3.7.15", []),
            ("v3.6.2-rc.1", ["http.middlewares.r.retry.status"]),
            ("3.5.2", ["http.middlewares.r.retry.status", "services.shop.router.parentRefs"]),
            (
                "3.4.1",
                [
                    "http.middlewares.r.retry.status",
                    "tcp.serversTransports.t.proxyProtocol",
                    "defaults.router.observability.traceVerbosity",
                    "services.shop.router.parentRefs",
                ],
            ),
            (
                "3.0.4",
                [
                    "http.services.s.loadBalancer.servers[0].preservePath",
                    "http.middlewares.r.retry.status",
                    "tcp.serversTransports.t.proxyProtocol",
                    "defaults.router.observability",
                    "defaults.router.observability.traceVerbosity",
                    "services.shop.router.parentRefs",
                    "services.shop.sticky.cookie.domain",
                ],
            ),
        ],
    )
    def test_what_a_traefik_does_not_know_yet_is_reported_by_its_path(self, version: str, paths: list[str]) -> None:
        keys = config.load(dedent(self.FILE), "file").later_keys
        found = parse_version(version)
        assert found is not None
        assert sorted(key.path for key in unknown_to(found, keys)) == sorted(paths)

    @pytest.mark.parametrize(
        ("text", "version"), [("3.7.15", (3, 7, 15)), ("v3.6", (3, 6)), ("dev", None), ("", None), ("3", None)]
    )
    def test_a_version_is_read_as_the_api_reports_it(self, text: str, version: Version | None) -> None:
        assert parse_version(text) == version
