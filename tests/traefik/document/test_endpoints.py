"""What the endpoints of one service are in Traefik's sections http, tcp and udp."""

from dataclasses import replace
from typing import Any

import orjson
import pytest
import yaml

from provider.model import Affinity, Canary, CandidateRoute, Endpoint, Protocol, Router, Served, Step
from provider.model.document import Document
from provider.traefik.document.render import assemble, render_pass_through, render_service
from tests.support.endpoints import ANY, DNS, ENDPOINTS, MQTT, ROUTERS, SNI, broker, broker_served, servers
from tests.support.worlds import BLUE, GREEN, server, service, whole

STEP = ((BLUE, 90), (GREEN, 10))
BOTH = {BLUE: servers(1), GREEN: servers(2, "r2")}


def document(*served: Served, split_above: int = 2000, **passed: object) -> Document:
    return assemble([render_service(one) for one in served], render_pass_through(passed), split_above=split_above)


def content(*served: Served, **passed: Any) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(document(*served, **passed).body)
    return found


def test_each_endpoint_has_a_weighted_service_in_the_section_of_its_protocol() -> None:
    """Rule 31: `default` keeps the short names."""
    found = content(broker_served(STEP, BOTH))
    assert set(found["http"]["services"]) == {"broker", "broker-blue", "broker-green"}
    assert found["tcp"]["services"] == {
        "broker-mqtt": {
            "weighted": {
                "services": [{"name": "broker-mqtt-blue", "weight": 90}, {"name": "broker-mqtt-green", "weight": 10}]
            }
        },
        "broker-mqtt-blue": {
            "loadBalancer": {"proxyProtocol": {"version": 2}, "servers": [{"address": "10.0.0.1:1883"}]}
        },
        "broker-mqtt-green": {
            "loadBalancer": {"proxyProtocol": {"version": 2}, "servers": [{"address": "10.0.0.2:1883"}]}
        },
        "broker-tls": {
            "weighted": {
                "services": [{"name": "broker-tls-blue", "weight": 90}, {"name": "broker-tls-green", "weight": 10}]
            }
        },
        "broker-tls-blue": {"loadBalancer": {"servers": [{"address": "10.0.0.1:8883"}]}},
        "broker-tls-green": {"loadBalancer": {"servers": [{"address": "10.0.0.2:8883"}]}},
    }
    assert found["udp"] == {
        "routers": {"broker-dns": {"entryPoints": ["dns"], "service": "broker-dns"}},
        "services": {
            "broker-dns": {
                "weighted": {
                    "services": [{"name": "broker-dns-blue", "weight": 90}, {"name": "broker-dns-green", "weight": 10}]
                }
            },
            "broker-dns-blue": {"loadBalancer": {"servers": [{"address": "10.0.0.1:53"}]}},
            "broker-dns-green": {"loadBalancer": {"servers": [{"address": "10.0.0.2:53"}]}},
        },
    }


def test_without_an_endpoint_named_default_all_names_are_long() -> None:
    """Rule 31."""
    endpoints = tuple(replace(one, name="web") if one.name == "default" else one for one in ENDPOINTS)
    routers = tuple(replace(one, endpoint="web") if one.endpoint == "default" else one for one in ROUTERS)
    some = {BLUE: tuple(replace(one, endpoint="web") if one.endpoint == "default" else one for one in servers(1))}
    found = content(Served(broker(endpoints=endpoints, routers=routers), whole(BLUE), some))
    assert set(found["http"]["services"]) == {"broker-web", "broker-web-blue"}
    assert found["http"]["routers"]["broker"]["service"] == "broker-web"


def test_a_colour_without_traffic_is_in_no_section() -> None:
    """Rule 32: never a weight of 0, there either."""
    body = document(broker_served()).body
    assert b"-green" not in body
    assert b'"weight":0}' not in body


def test_an_ipv6_address_of_a_server_keeps_its_brackets() -> None:
    found = content(broker_served(whole(BLUE), {BLUE: servers(1, host="[2001:db8::1]")}))
    assert found["tcp"]["services"]["broker-tls-blue"]["loadBalancer"]["servers"] == [{"address": "[2001:db8::1]:8883"}]
    assert found["udp"]["services"]["broker-dns-blue"]["loadBalancer"]["servers"] == [{"address": "[2001:db8::1]:53"}]


@pytest.mark.parametrize(
    ("rule", "written", "priority"),
    [
        (ANY, None, None),
        (' ( hostSNI( "*" ) ) ', None, None),
        (ANY, 0, 0),
        (ANY, 7, 7),
        (SNI, None, len(SNI) + 1),
        (SNI, 7, 7),
        ("ALPN(`h2`)", None, 11),
        ("HostSNI(`*`) && ALPN(`h2`)", None, len("HostSNI(`*`) && ALPN(`h2`)") + 1),
    ],
)
def test_a_tcp_router_has_a_priority_unless_it_takes_what_is_left(
    rule: str, written: int | None, priority: int | None
) -> None:
    """Rules 15 and 32: Traefik's own is -1 there, and one of ours would beat ALPN."""
    body = {"rule": rule} | ({} if written is None else {"priority": written})
    found = content(broker_served(routers=(Router("broker-mqtt", rule, body, "mqtt"),)))
    assert found["tcp"]["routers"]["broker-mqtt"].get("priority") == priority


def test_tls_of_a_tcp_router_is_traefiks_own_object_and_udp_has_neither_rule_nor_priority() -> None:
    """Rule 32."""
    found = content(broker_served())
    assert found["tcp"]["routers"]["broker-tls"] == {
        "rule": SNI,
        "entryPoints": ["mqtt"],
        "tls": {"passthrough": True},
        "priority": len(SNI) + 1,
        "service": "broker-tls",
    }
    assert found["udp"]["routers"] == {"broker-dns": {"entryPoints": ["dns"], "service": "broker-dns"}}


def test_sessions_affinity_and_the_test_route_are_of_http_only() -> None:
    """Rules 31 and 32."""
    canary, route = Canary((Step(10),), Affinity.CLIENT), CandidateRoute("X-Release", "candidate")
    of = broker(canary=canary, test_route=route, sticky={"cookie": {"name": "broker"}})
    one = Served(of, STEP, BOTH, affinity=Affinity.CLIENT, test=servers(2, "r2"), test_colour=GREEN)
    found = content(one)
    assert set(found["http"]["routers"]) == {"broker", "broker-test"}
    assert "highestRandomWeight" in found["http"]["services"]["broker"]
    assert found["http"]["services"]["broker-green-test"]["loadBalancer"]["servers"] == [
        {"url": "http://10.0.0.2:8080"}
    ]
    assert {"tcp": found["tcp"], "udp": found["udp"]} == {
        name: content(broker_served(STEP, BOTH))[name] for name in ("tcp", "udp")
    }


@pytest.mark.parametrize(
    ("preview", "section", "router"),
    [
        (
            Router("p", SNI, {"rule": SNI}, "tls"),
            "tcp",
            {"rule": SNI, "priority": len(SNI) + 101, "service": "broker-tls-green"},
        ),
        (
            Router("p", ANY, {"rule": ANY}, "mqtt"),
            "tcp",
            {"rule": ANY, "priority": len(SNI) + 101, "service": "broker-mqtt-green"},
        ),
        (Router("p", "", {"entryPoints": ["p"]}, "dns"), "udp", {"entryPoints": ["p"], "service": "broker-dns-green"}),
    ],
)
def test_a_preview_is_in_the_section_of_its_endpoint(preview: Router, section: str, router: dict[str, Any]) -> None:
    """Rules 15 and 32."""
    one = Served(broker(preview=preview), whole(BLUE), BOTH, preview=GREEN)
    found = content(one)
    assert found[section]["routers"]["p"] == router
    assert router["service"] in found[section]["services"]
    assert sum("p" in part.get("routers", {}) for part in found.values()) == 1
    assert sum(json.count(b"-green") for json in [orjson.dumps(part) for part in found.values()]) == 2


def test_two_http_endpoints_keep_their_clients_by_cookies_of_their_own() -> None:
    """Rule 31: on one host they would overwrite each other's, as their children differ."""
    of = replace(broker(sticky={"cookie": {"name": "s", "secure": True}}), endpoints=(*ENDPOINTS, Endpoint("admin")))
    found = content(Served(of, whole(BLUE), {BLUE: servers(1)}))["http"]["services"]
    assert found["broker"]["weighted"]["sticky"] == {"cookie": {"name": "s", "secure": True}}
    assert found["broker-admin"]["weighted"]["sticky"] == {"cookie": {"name": "s-admin", "secure": True}}
    of = replace(of, sticky={"cookie": {}})
    found = content(Served(of, whole(BLUE), {BLUE: servers(1)}))["http"]["services"]
    assert found["broker-admin"]["weighted"]["sticky"] == {"cookie": {}}


# --- beside what is passed through ----------------------------------------------------------------------------------

PASSED: dict[str, Any] = {
    "tcp": {
        "routers": {"db": {"rule": ANY, "service": "db"}},
        "services": {"db": {"loadBalancer": {"servers": [{"address": "10.0.0.9:5432"}]}}},
        "middlewares": {"lan": {"ipAllowList": {"sourceRange": ["10.0.0.0/8"]}}},
        "serversTransports": {"slow": {"dialTimeout": "9s"}},
    },
    "udp": {"services": {"log": {"loadBalancer": {"servers": [{"address": "10.0.0.9:514"}]}}}},
    "tls": {"options": {"strict": {"sniStrict": True}}},
}


def test_what_is_passed_through_is_joined_with_ours_section_by_section() -> None:
    """Rule 32."""
    ours, theirs, both = content(broker_served()), content(**PASSED), content(broker_served(), **PASSED)
    assert list(both) == ["http", "tcp", "tls", "udp"]
    for section in ("tcp", "udp"):
        for kind in ("routers", "services", "middlewares", "serversTransports"):
            wanted = theirs[section].get(kind, {}) | ours[section].get(kind, {})
            assert both[section].get(kind, {}) == wanted
            assert wanted or kind not in both[section]
    assert both["tls"] == PASSED["tls"]


@pytest.mark.parametrize("split_above", [0, 1, 2, 4, 2000])
def test_the_split_form_of_every_section_says_the_same(split_above: int) -> None:
    plain, split = document(broker_served(), **PASSED), document(broker_served(), split_above=split_above, **PASSED)
    assert yaml.safe_load(split.body) == orjson.loads(plain.body)
    assert split.is_json is (split_above == 2000) is (b"<<: " not in split.body)
    assert (split.etag, split.marker) == (plain.etag, plain.marker)


def test_a_section_that_is_the_files_alone_is_as_it_always_was() -> None:
    """P12: the order of its kinds is that of their names, and it is never split."""
    shop = Served(service("shop"), whole(BLUE), {BLUE: (server(1),)})
    body = document(shop, split_above=0, **PASSED).body
    assert orjson.dumps(PASSED, option=orjson.OPT_SORT_KEYS)[1:] == body[-len(orjson.dumps(PASSED)) + 1 :]


def test_an_endpoint_more_makes_another_marker() -> None:
    """Rule 31: equal documents have equal markers, others have others."""
    ports = {}
    for endpoints in ((MQTT,), (DNS,), (MQTT, DNS), (replace(MQTT, name="dns"),)):
        of = broker(endpoints=endpoints, routers=())
        ports[document(Served(of, whole(BLUE), {BLUE: servers(1)})).marker] = endpoints
    assert len(ports) == 4


def test_the_names_of_a_service_are_those_of_its_sections() -> None:
    """Rule 31: read-back and retired services know them by section."""
    route = CandidateRoute("X-Release", "candidate")
    preview = Router("broker-preview", SNI, {"rule": SNI}, "tls")
    of = broker(canary=Canary((Step(10),)), test_route=route, preview=preview)
    one = Served(of, STEP, BOTH, preview=GREEN, test=servers(2, "r2"), test_colour=GREEN)
    for protocol in Protocol:
        section = content(one)[protocol]
        assert set(section["routers"]) == set(of.routers_in_traefik(protocol))
        assert set(section["services"]) <= set(of.services_in_traefik(protocol))
