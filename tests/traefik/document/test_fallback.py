"""The file for a Traefik without a daemon, as far as it does not take a Traefik."""

from typing import Any

import orjson
import pytest

from provider.model import Affinity, CandidateRoute, Child, Desired, Router, Served
from provider.traefik.document.fallback import block_in_file, extra_in_file, file_content, left_out, parts_of, refused
from provider.traefik.document.render import (
    SPLIT_ABOVE,
    Fragment,
    assemble,
    compose,
    join,
    render_pass_through,
    render_service,
)
from tests.support.endpoints import broker, broker_served
from tests.support.worlds import BLUE, GREEN, server, service, whole

RULE = "Host(`shop.example.com`)"


def fragment(**options: Any) -> Fragment:
    preview = Router("shop-preview", "Host(`p`)", {"rule": "Host(`p`)"})
    of = service(routers=(Router("shop", RULE, {"rule": RULE, "tls": {}}),), preview=preview, **options)
    return render_service(Served(of, whole(BLUE), {BLUE: (server(1),), GREEN: (server(2),)}, GREEN))


def file_of(*fragments: Fragment, **passed: object) -> bytes:
    return file_content([block_in_file(join(fragments))], extra_in_file(render_pass_through(passed)))


def content(*fragments: Fragment, **passed: object) -> dict[str, Any]:
    """Return what is in the file besides the marker."""
    parsed: dict[str, Any] = orjson.loads(file_of(*fragments, **passed))
    middlewares = parsed["http"]["middlewares"]
    (marker,) = (name for name in middlewares if name.startswith("bluegreen-"))
    del middlewares[marker]
    return parsed


def test_a_service_is_as_in_the_document_but_for_the_priorities_of_its_routers() -> None:
    document = orjson.loads(assemble([fragment()], render_pass_through({})).body)["http"]
    file = orjson.loads(file_of(fragment()))["http"]
    assert file["middlewares"] == document["middlewares"]
    assert file["services"] == document["services"]
    for name, router in document["routers"].items():
        assert file["routers"][name] == {**router, "priority": router["priority"] - 1}
    assert set(file["routers"]) == {"shop", "shop-preview"}


def test_a_large_section_is_split_as_in_the_document() -> None:
    blocks = [join([fragment()])]
    assert (
        b"<<: [{"
        in compose([block_in_file(one) for one in blocks * (SPLIT_ABOVE // 2 + 1)], render_pass_through({})).body
    )


@pytest.mark.parametrize(
    ("section", "rule", "priority", "lowered"),
    [
        ("http", RULE, 30, 29),
        ("http", RULE, 2, 1),
        ("http", RULE, 1, -1),
        ("http", RULE, -1, -2),
        ("http", RULE, "7", 6),
        ("http", RULE, 7.0, 6),
        ("http", RULE, "high", len(RULE) - 1),
        ("http", RULE, 0, len(RULE) - 1),
        ("http", RULE, None, len(RULE) - 1),
        ("http", "Host(`é`)", None, len("Host(`é`)")),
        ("http", RULE, -(2**63), -(2**63)),
        ("tcp", "HostSNI(`a.example`)", None, len("HostSNI(`a.example`)") - 1),
        ("tcp", "HostSNI(`*`)", None, -2),
        ("tcp", ' ( HostSNI( "*" ) ) ', None, -2),
        ("tcp", "HostSNI(`*`)", 5, 4),
    ],
)
def test_a_router_that_is_passed_through_comes_right_below_its_twin(
    section: str, rule: str, priority: object, lowered: int
) -> None:
    """0 and none mean the rule's length in bytes to Traefik, and -1 for a catch-all over TCP."""
    router = {"rule": rule, "service": "s"} | ({} if priority is None else {"priority": priority})
    assert content(**{section: {"routers": {"r": router}}})[section]["routers"]["r"]["priority"] == lowered


def test_what_refers_to_the_document_refers_to_the_file() -> None:
    file = content(
        fragment(load_balancer={"serversTransport": "mine@http"}),
        http={
            "middlewares": {
                "c": {"chain": {"middlewares": ["a@http", "b@file", "c"]}},
                "h": {"headers": {"customRequestHeaders": {"From": "me@http"}}},
            },
            "routers": {"r": {"rule": "R", "service": "w@http", "middlewares": ["c@http"], "parentRefs": ["p@http"]}},
            "services": {"w": {"weighted": {"services": [{"name": "s@http", "weight": 1}]}}},
            "serversTransports": {"mine": {"insecureSkipVerify": True}},
        },
        tcp={"services": {"t": {"loadBalancer": {"serversTransport": "mine@http"}}}},
    )
    http = file["http"]
    assert http["services"]["shop-blue"]["loadBalancer"]["serversTransport"] == "mine"
    assert http["middlewares"]["c"] == {"chain": {"middlewares": ["a", "b@file", "c"]}}
    assert http["middlewares"]["h"]["headers"]["customRequestHeaders"] == {"From": "me@http"}
    assert http["routers"]["r"] == {
        "rule": "R",
        "service": "w",
        "middlewares": ["c"],
        "parentRefs": ["p"],
        "priority": -1,
    }
    assert http["services"]["w"]["weighted"]["services"] == [{"name": "s", "weight": 1}]
    assert http["serversTransports"] == {"mine": {"insecureSkipVerify": True}}
    assert file["tcp"]["services"]["t"]["loadBalancer"]["serversTransport"] == "mine"


def in_a_step(**fields: Any) -> Fragment:
    """A shop whose test route leads to green, beside its step."""
    route = CandidateRoute("X-Release", "candidate")
    routers = (Router("shop", f"{RULE}\n", {"rule": f"{RULE}\n"}), Router("a-test", "Host(`a`)", {"rule": "Host(`a`)"}))
    of = service(routers=routers, test_route=route, **fields)
    shares = (Child("shop-r1-1", 5, GREEN), Child("shop-r1-2", 95, BLUE))
    servers = {BLUE: (server(1),), GREEN: (server(2),)}
    share = {"children": shares, "affinity": Affinity.COOKIE, "cookie": "bluegreen-shop-r1"}
    candidate = {"test": (server(2),), "test_colour": GREEN}
    return render_service(Served(of, ((BLUE, 95), (GREEN, 5)), servers, **share, **candidate))  # type: ignore[arg-type]


def test_a_test_route_is_not_in_the_file_and_the_shares_of_a_step_are() -> None:
    """Rules 19 and 24: it is above the routers of the document, and would outlive its own there."""
    document = orjson.loads(assemble([in_a_step()], render_pass_through({})).body)["http"]
    assert set(document["routers"]) == {"shop", "shop-test", "a-test", "a-test-test"}
    file = content(in_a_step())["http"]
    assert set(file["routers"]) == {"shop", "a-test"}
    left_out = document["services"].pop("shop-green-test")
    assert left_out == {"loadBalancer": {"servers": [{"url": server(2).url}]}}
    assert file["services"] == document["services"]


def test_a_document_of_another_replica_is_taken_apart_without_its_test_routes() -> None:
    """Rule 24."""
    passed = {"http": {"routers": {"mine-test": {"rule": "Host(`m`)", "service": "mine-green-test"}}}}
    document = orjson.loads(assemble([in_a_step()], render_pass_through(passed)).body)
    file = orjson.loads(file_content([], extra_in_file(parts_of(document))))["http"]
    assert set(file["routers"]) == {"shop", "a-test", "mine-test"}
    assert set(file["services"]) == {"shop", "shop-blue", "shop-green", "shop-r1-1", "shop-r1-2"}


def test_no_two_braces_follow_each_other_and_the_text_stays_the_same() -> None:
    text = "{{.Name}} {{{{ {"
    passed = {"http": {"middlewares": {"m": {"headers": {"customResponseHeaders": {"X": text}}}}}}
    assert b"{{" not in file_of(**passed)
    assert content(**passed) == passed


def test_what_two_providers_cannot_both_have_is_left_out_or_refused() -> None:
    certificates = [{"certFile": "a", "keyFile": "b"}]
    passed = {
        "udp": {"routers": {"dns": {"service": "dns"}}},
        "tls": {"certificates": certificates, "stores": {"default": {}}, "options": {"default": {}, "strong": {}}},
    }
    assert content(**passed) == {"http": {"middlewares": {}}, "tls": {"certificates": certificates}}
    assert left_out(Desired("production", {}, pass_through=passed)) == ("tls.stores", "udp")
    assert refused(passed) == ("tls.options.default", "tls.options.strong")
    assert (
        left_out(Desired("production", {"shop": service()})) == refused({"tls": {"certificates": certificates}}) == ()
    )


def test_endpoints_of_tcp_are_in_the_file_right_below_the_document_and_those_of_udp_are_not() -> None:
    """Rule 32: UDP routers have no priority, and an entry point has room for one."""
    mine = {"routers": {"db": {"rule": "HostSNI(`*`)", "service": "db"}}, "services": {"db": {}}}
    made = assemble([render_service(broker_served())], render_pass_through({"tcp": mine}))
    document, file = orjson.loads(made.body), content(render_service(broker_served()), tcp=mine)
    assert file.keys() == {"http", "tcp"}
    assert file["tcp"]["services"] == document["tcp"]["services"]
    routers = file["tcp"]["routers"]
    assert {name: router["priority"] for name, router in routers.items()} == {
        "broker-mqtt": -2,
        "broker-tls": document["tcp"]["routers"]["broker-tls"]["priority"] - 1,
        "db": -2,
    }
    assert left_out(Desired("production", {"broker": broker()})) == ("udp",)


def test_endpoints_in_a_document_of_another_replica_make_the_same_file() -> None:
    """Rule 32."""
    document = orjson.loads(assemble([render_service(broker_served())], render_pass_through({})).body)
    file = orjson.loads(file_content([], extra_in_file(parts_of(document))))
    assert file["tcp"] == content(render_service(broker_served()))["tcp"]
    assert "udp" not in file
