"""From labels to the routing of a blue-green service."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck as Slow
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from provider.docker.traefik_labels import ContainerFacts
from provider.docker.traefik_labels.routing import routing_of
from provider.model import HealthCheck, ProbeMode, Protocol, Router
from provider.model.routing import Claim, Fault, Reference, Refers, Routing
from tests.docker.traefik_labels.test_decode import KEYS, VALUES
from tests.support.labelled import SETS

FACTS = ContainerFacts("shop", "shop-blue-1", (80,))
R, S, M = "traefik.http.routers.shop", "traefik.http.services.shop", "traefik.http.middlewares"
RULE = {f"{R}.rule": "Host(`shop.example.com`)"}
KEPT = TypeAdapter(Routing)
PORT = {f"{S}.loadbalancer.server.port": "8080"}


def routing(*labels: Mapping[str, str], **options: Any) -> Routing:
    found = routing_of({key: value for one in labels for key, value in one.items()}, FACTS, **options)
    assert isinstance(found, Routing), list(map(str, found))
    return found


def faults(*labels: Mapping[str, str]) -> tuple[Fault, ...]:
    found = routing_of({key: value for one in labels for key, value in one.items()}, FACTS)
    assert isinstance(found, tuple)
    return found


def test_the_only_service_is_the_endpoint_default_whatever_its_name() -> None:
    """Rule 34."""
    found = routing(
        {
            "traefik.http.routers.web.rule": "Host(`a`)",
            "traefik.http.routers.web.entrypoints": "websecure",
            "traefik.http.routers.web.tls": "true",
            "traefik.http.services.web.loadbalancer.server.port": "8080",
            "traefik.http.services.web.loadbalancer.server.scheme": "h2c",
            "traefik.http.services.web.loadbalancer.passhostheader": "false",
            "traefik.http.services.web.loadbalancer.sticky.cookie.name": "s",
        }
    )
    (endpoint,) = found.endpoints
    assert (endpoint.name, endpoint.protocol, endpoint.port, endpoint.scheme) == ("default", "http", 8080, "h2c")
    assert endpoint.load_balancer == {"passHostHeader": False, "sticky": {"cookie": {"name": "s"}}}
    body = {"rule": "Host(`a`)", "entryPoints": ["websecure"], "tls": {}}
    assert found.routers == (Router("web", "Host(`a`)", body),)


def test_several_services_are_endpoints_and_the_one_named_like_the_service_is_default() -> None:
    """Rules 31 and 34: protocols come from the sections."""
    found = routing(
        RULE,
        PORT,
        {
            f"{R}.service": "shop",
            "traefik.http.routers.admin.rule": "Host(`admin`)",
            "traefik.http.routers.admin.service": "admin@docker",
            "traefik.http.services.admin.loadbalancer.server.port": "9000",
            "traefik.tcp.routers.mqtt.rule": "HostSNI(`*`)",
            "traefik.tcp.services.mqtt.loadbalancer.server.port": "1883",
            "traefik.udp.routers.dns.entrypoints": "dns",
            "traefik.udp.services.shop.loadbalancer.server.port": "53",
        },
    )
    assert {(one.name, one.protocol, one.port) for one in found.endpoints} == {
        ("default", "http", 8080),
        ("admin", "http", 9000),
        ("mqtt", "tcp", 1883),
        ("udp", "udp", 53),
    }
    assert {(router.name, router.endpoint, router.rule) for router in found.routers} == {
        ("shop", "default", "Host(`shop.example.com`)"),
        ("admin", "admin", "Host(`admin`)"),
        ("mqtt", "mqtt", "HostSNI(`*`)"),
        ("dns", "udp", ""),
    }
    assert all("service" not in router.body for router in found.routers)


def test_a_service_without_a_port_leaves_it_to_the_container() -> None:
    (endpoint,) = routing(RULE).endpoints
    assert (endpoint.port, endpoint.scheme) == (None, None)


def test_middlewares_are_copied_with_the_name_of_the_service_before_theirs() -> None:
    """Rule 34: `x` and `x@docker` are this container's, and what others define stays as it is."""
    found = routing(
        RULE,
        {
            f"{R}.middlewares": "auth, chain@docker,office@file",
            f"{M}.auth.basicauth.users": "a:b",
            f"{M}.chain.chain.middlewares": "auth@docker,errors",
            f"{M}.errors.errors.status": "500",
            f"{M}.errors.errors.service": "shop",
            f"{M}.errors.errors.query": "/",
            "traefik.tcp.routers.raw.rule": "HostSNI(`raw`)",
            "traefik.tcp.routers.raw.middlewares": "auth",
            "traefik.tcp.middlewares.auth.ipallowlist.sourcerange": "10.0.0.0/8",
        },
    )
    http = next(router for router in found.routers if router.name == "shop")
    assert http.body["middlewares"] == ["shop-auth", "shop-chain", "office@file"]
    assert found.middlewares[Protocol.HTTP] == {
        "shop-auth": {"basicAuth": {"users": ["a:b"]}},
        "shop-chain": {"chain": {"middlewares": ["shop-auth", "shop-errors"]}},
        "shop-errors": {"errors": {"status": ["500"], "service": "shop", "query": "/"}},
    }
    assert found.middlewares[Protocol.TCP] == {"shop-auth": {"ipAllowList": {"sourceRange": ["10.0.0.0/8"]}}}
    assert found.references == ()


def test_references_to_others_wait_for_who_knows_them() -> None:
    found = routing(
        RULE,
        {
            f"{R}.middlewares": "theirs,other@docker,theirs@docker",
            f"{M}.e.errors.service": "pages@docker",
            f"{M}.e.errors.status": "500",
        },
    )
    theirs = Reference(Refers.MIDDLEWARE, Protocol.HTTP, "theirs")
    other = Reference(Refers.MIDDLEWARE, Protocol.HTTP, "other")
    pages = Reference(Refers.SERVICE, Protocol.HTTP, "pages")
    assert found.references == (theirs, other, pages)
    assert found.references[0].by == "router shop"
    assert found.routers[0].body["middlewares"] == ["theirs@docker", "other@docker", "theirs@docker"]
    resolved = found.resolved({theirs: "web-theirs", pages: "pages"})
    assert resolved.references == (other,)
    assert resolved.routers[0].body["middlewares"] == ["web-theirs", "other@docker", "web-theirs"]
    assert resolved.middlewares[Protocol.HTTP] == {"shop-e": {"errors": {"service": "pages", "status": ["500"]}}}


def test_labels_of_health_checks_become_ours_and_leave_the_load_balancer() -> None:
    prefix = f"{S}.loadbalancer.healthcheck"
    found = routing(
        RULE,
        {
            f"{prefix}.path": "/health",
            f"{prefix}.interval": "10",
            f"{prefix}.timeout": "500ms",
            f"{prefix}.hostname": "shop.internal",
            f"{prefix}.port": "81",
            f"{prefix}.scheme": "https",
            f"{prefix}.method": "HEAD",
            f"{prefix}.status": "204",
            f"{prefix}.headers.X-Check": "1",
            f"{prefix}.unhealthyinterval": "1s",
        },
        health_check=HealthCheck(healthy_after=7),
    )
    (endpoint,) = found.endpoints
    assert endpoint.load_balancer == {}
    assert endpoint.health_check == HealthCheck(
        mode=ProbeMode.HTTP,
        path="/health",
        interval_s=10.0,
        timeout_s=0.5,
        healthy_after=7,
        scheme="https",
        port=81,
        hostname="shop.internal",
        method="HEAD",
        status=204,
        headers=(("X-Check", "1"),),
        follow_redirects=True,
    )
    assert found.ignored == (f"{prefix}.unhealthyinterval",)


def test_a_check_of_tcp_sends_the_bytes_of_its_label() -> None:
    prefix = "traefik.tcp.services.shop.loadbalancer.healthcheck"
    found = routing(
        {"traefik.tcp.routers.a.rule": "HostSNI(`*`)", f"{prefix}.send": "PING\r\nä\\", f"{prefix}.expect": "+"}
    )
    check = found.endpoints[0].health_check
    assert (check.mode, check.send, check.expect) == (ProbeMode.TCP, r"PING\r\n\xc3\xa4\\", "+")


def test_a_check_by_http_is_of_the_endpoints_of_http() -> None:
    """Rule 31."""
    check = HealthCheck(mode=ProbeMode.HTTP, path="/health", interval_s=9.0, healthy_after=7)
    labels = {**RULE, "traefik.tcp.routers.a.rule": "HostSNI(`*`)"}
    found = {one.protocol: one.health_check for one in routing(labels, health_check=check).endpoints}
    assert found == {Protocol.HTTP: check, Protocol.TCP: HealthCheck(interval_s=9.0, healthy_after=7)}
    check = HealthCheck(mode=ProbeMode.TCP, send="a", expect="b")
    assert {one.health_check for one in routing(labels, health_check=check).endpoints} == {check}


def test_objects_that_are_off_are_absent() -> None:
    found = routing(RULE, PORT, {f"{R}.tls": "false", f"{S}.loadbalancer.sticky.cookie": "false"})
    assert "tls" not in found.routers[0].body
    assert found.endpoints[0].load_balancer == {}


@pytest.mark.parametrize(
    ("label", "value"),
    [
        (f"{R}.service", "other"),
        (f"{R}.service", "shop@file"),
        (f"{R}.service", "api@internal"),
        (f"{R}.rule", "Host(`a`"),
        (f"{R}.tls.options", "strict"),
        (f"{R}.tls.options", "strict@docker"),
        (f"{R}.priority", str(2**63 - 1)),
        (f"{R}.middlewares", "a,,b"),
        (f"{S}.loadbalancer.server.port", "http"),
        (f"{S}.loadbalancer.server.port", "65536"),
        (f"{S}.loadbalancer.server.scheme", "ftp"),
        (f"{S}.loadbalancer.server.url", "http://10.0.0.1"),
        (f"{S}.loadbalancer.server.weight", "0"),
        (f"{S}.loadbalancer.serverstransport", "mine"),
        (f"{S}.loadbalancer.healthcheck.interval", "0"),
        (f"{S}.loadbalancer.healthcheck.timeout", "-1s"),
        (f"{S}.loadbalancer.healthcheck.mode", "tcp"),
        (f"{S}.loadbalancer.healthcheck.status", "99"),
        (f"{S}.loadbalancer.healthcheck.path", "health"),
        (f"{S}.loadbalancer.healthcheck.port", "-1"),
        ("traefik.http.models.a.middlewares", "a"),
        ("traefik.tls.stores.default.defaultgeneratedcert.resolver", "le"),
        ("traefik.http.middlewares.bluegreen-1.compress", "true"),
        ("traefik.http.middlewares.a@b.compress", "true"),
        ("traefik.http.middlewares.m", "x"),
        ("traefik.http.middlewares.m.compress", "false"),
        ("traefik.http.routers.a/b.priority", "1"),
        ("traefik.http.middlewares.m.headers.referrerpolicy", "a\u2028b"),
        ("traefik.http.middlewares.m.headers.referrerpolicy", "a\x07"),
        ("traefik.http.middlewares.m.stripprefix.prefixes", "a║b"),
    ],
)
def test_a_label_that_cannot_be_taken_is_a_fault_with_a_way_out(label: str, value: str) -> None:
    """Rule 34."""
    (fault,) = faults(RULE, {label: value})
    assert label.lower().startswith(fault.label.lower()) or fault.label.lower().startswith(label.lower())
    assert fault.message
    assert fault.fix


def test_middlewares_of_a_service_belong_on_its_routers() -> None:
    (fault,) = faults(RULE, PORT, {f"{S}.middlewares": "a"})
    assert fault.label == f"{S}.middlewares"


@pytest.mark.parametrize("name", ["blue", "preview", "a@b", "a b", "default"])
def test_an_endpoint_has_a_name_that_is_free(name: str) -> None:
    found = faults(
        RULE,
        PORT,
        {f"{R}.service": "shop", f"traefik.tcp.services.{name}.loadbalancer.server.port": "1"},
    )
    assert {fault.label.rpartition(".")[2] for fault in found} <= {name, "shop"}


def test_without_labels_of_routing_the_one_to_add_is_named() -> None:
    (fault,) = faults({"traefik.enable": "true", "bluegreen.service": "shop"})
    assert fault.label == f"{R}.rule"


def test_a_router_claims_hosts_entry_points_and_a_priority() -> None:
    """Rule 35."""
    found = routing(
        RULE,
        {
            f"{R}.priority": "7",
            f"{R}.entrypoints": "web",
            "traefik.http.routers.open.rule": "PathPrefix(`/`)",
            "traefik.tcp.routers.a.rule": "HostSNI(`B.example.com.`) && !ClientIP(`10.0.0.1`)",
            "traefik.tcp.routers.b.rule": "HostSNI(`*`) && HostSNI(`c`)",
            "traefik.udp.routers.u.entrypoints": "dns",
        },
    )
    assert {claim.router: claim for claim in found.claims} == {
        "shop": Claim("shop", Protocol.HTTP, frozenset({"shop.example.com"}), 7, ("web",)),
        "open": Claim("open", Protocol.HTTP, None, None, ()),
        "a": Claim("a", Protocol.TCP, frozenset({"b.example.com"}), None, ()),
        "b": Claim("b", Protocol.TCP, frozenset({"c"}), None, ()),
        "u": Claim("u", Protocol.UDP, None, None, ("dns",)),
    }


@pytest.mark.parametrize("name", [name for name, one in SETS.items() if not one.is_dropped and not one.loses_routers])
def test_a_routing_is_stored_and_read_as_it_was(name: str) -> None:
    found = routing_of(SETS[name].named("shop"), FACTS)
    if isinstance(found, Routing):
        assert KEPT.validate_json(KEPT.dump_json(found)) == found


def test_of_what_traefik_takes_only_this_is_refused() -> None:
    """Rule 34: an address that is not the container's, what comes out with an error, and names that ours cannot be."""
    kept = {name: one.named("shop") for name, one in SETS.items() if not (one.is_dropped or one.loses_routers)}
    assert {name for name, labels in kept.items() if not isinstance(routing_of(labels, FACTS), Routing)} == {
        "nothing",
        "docker-labels-only",
        "url",
        "escapes",
        "odd-names",
        "off-with-a-bad-value",
        "a-middleware-without-a-kind",
        "tcp-passthrough",
    }


@settings(deadline=None, suppress_health_check=[Slow.too_slow])
@given(labels=st.dictionaries(KEYS, VALUES, max_size=12), ports=st.lists(st.integers(0, 70000), max_size=3))
def test_no_labels_raise(labels: dict[str, str], ports: list[int]) -> None:
    found = routing_of({**RULE, **labels}, ContainerFacts("shop", "c", tuple(ports)))
    if isinstance(found, Routing):
        assert found.claims
        assert KEPT.validate_json(KEPT.dump_json(found)) == found
    else:
        assert all(len(str(fault)) < 1500 for fault in found)


@pytest.mark.parametrize(
    ("chains", "named"),
    [
        ({"a": "a"}, ["a"]),
        ({"a": "b", "b": "c@docker", "c": "x@file,a", "d": "a"}, ["a", "b", "c"]),
        ({"a": "b,c", "b": "d", "c": "d", "d": "a@file"}, []),
    ],
)
def test_a_chain_that_leads_back_to_itself_is_refused(chains: dict[str, str], named: list[str]) -> None:
    """Rule 34: Traefik disables every router that uses it."""
    labels = RULE | {f"{M}.{name}.chain.middlewares": text for name, text in chains.items()}
    found = routing_of(labels, FACTS)
    if named:
        assert isinstance(found, tuple)
        assert [one.label for one in found] == [f"{M}.{name}.chain.middlewares" for name in named]
    else:
        assert isinstance(found, Routing)
