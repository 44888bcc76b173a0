"""What the doctor says while Traefik's own provider reads the containers of services, too (rule 36)."""

from typing import Any

import pytest

from provider.cli.doctor.checks.adoption import Adopted, check, names, seen
from provider.cli.doctor.checks.applied import Applied, Name
from provider.cli.doctor.facts.applied import applied
from provider.cli.doctor.findings import Code, Finding
from provider.model import Protocol
from provider.model.routing import Refers

WEB, RULE = frozenset({"websecure"}), "Host(`shop.example.com`)"
AUTH = Name(Refers.MIDDLEWARE, Protocol.HTTP, "auth")
NOBODY = Adopted({}, {})
SHOP = Adopted({"shop": frozenset({"10.0.0.2:80"})}, {AUTH: "shop"})


def router(name: str, refers: Any = (), protocol: Protocol = Protocol.HTTP, **fields: Any) -> Applied:
    return Applied("router", protocol, name, frozenset(refers), **{"entry_points": WEB, "rule": RULE, **fields})


def found(*objects: Applied, adopted: Adopted = NOBODY) -> list[Finding]:
    return list(check("Traefik a", objects, adopted))


def codes(*objects: Applied, adopted: Adopted = NOBODY) -> list[Code]:
    return [one.code for one in found(*objects, adopted=adopted)]


@pytest.mark.parametrize(
    ("ours", "theirs", "expected"),
    [
        ("strict@file", "strict@file", []),
        ("default", "default", []),
        (None, "strict@file", []),
        ("default", "strict@file", [Code.TLS_OPTIONS_DIFFER]),
        ("strict", "strict", [Code.TLS_OPTIONS_DIFFER]),
        ("strict@docker", "strict", []),
    ],
)
def test_different_tls_options_of_one_host_are_critical(
    ours: str | None, theirs: str | None, expected: list[Code]
) -> None:
    """Options without a provider are of the router's own."""
    assert codes(router("shop@http", tls_options=ours), router("shop@docker", tls_options=theirs)) == expected


def test_tls_options_of_other_hosts_and_other_entry_points_do_not_meet() -> None:
    other = {"rule": "Host(`other.example.com`)"}, {"entry_points": frozenset({"internal"})}
    for fields in other:
        assert codes(router("shop@http", tls_options="default"), router("a@file", tls_options="s", **fields)) == []


def test_what_refers_to_a_name_that_goes_is_critical_and_named() -> None:
    auth = Refers.MIDDLEWARE, "auth@docker"
    admin, other = router("admin@file", [auth]), router("other@docker", [auth, (Refers.SERVICE, "other@docker")])
    own = router("shop@docker", [auth, (Refers.SERVICE, "shop@docker")])
    shop = Applied("service", Protocol.HTTP, "shop@docker", servers=frozenset({"10.0.0.2:80"}))
    split = Applied("service", Protocol.HTTP, "split@file", frozenset({(Refers.SERVICE, "shop@docker")}))
    lost = [one.where for one in found(admin, other, own, shop, split, adopted=SHOP) if one.code is Code.REFERENCE_LOST]
    assert lost == [f"Traefik a, {name}" for name in ("router admin@file", "router other@docker", "service split@file")]


def test_a_name_that_another_container_defines_as_well_stays() -> None:
    kept = Adopted({}, {AUTH: "shop"}, frozenset({AUTH}))
    assert codes(router("admin@file", [(Refers.MIDDLEWARE, "auth@docker")]), adopted=kept) == []
    assert codes(router("admin@file", [(Refers.MIDDLEWARE, "auth@file")]), adopted=SHOP) == []


def test_a_service_is_seen_by_the_addresses_of_its_servers() -> None:
    some = frozenset({"10.0.0.2:80", "10.0.0.9:80"})
    objects = [Applied("service", Protocol.TCP, name, servers=some) for name in ("a@docker", "a@http", "b@swarm")]
    assert seen(objects, SHOP) == {"shop": ["a@docker", "b@swarm"]}
    assert seen(objects, Adopted({"shop": frozenset({"10.0.0.3:80"})}, {})) == {}
    assert seen(objects, Adopted({}, {}, hosts={"shop": frozenset({"10.0.0.9"})})).keys() == {"shop"}
    (one,) = found(objects[0], adopted=SHOP)
    assert one.code is Code.SEEN_BY_TRAEFIK
    assert "add !LabelRegex(`bluegreen.service`, `.+`) to the constraints" in one.fix


def test_an_entry_point_of_udp_has_one_router() -> None:
    dns: dict[str, Any] = {"protocol": Protocol.UDP, "rule": ""}
    (one,) = found(router("dns@http", **dns), router("dns@docker", **dns), router("web@docker"))
    assert one.code is Code.UDP_ENTRY_POINT_SHARED
    assert "before the daemon routes the service" in one.fix
    assert codes(router("dns@http", **dns), router("dns2@http", **dns)) == []


def test_names_are_read_from_labels_as_traefik_reads_them() -> None:
    labels = {
        "traefik.HTTP.middlewares.Auth.basicauth.users": "x",
        "traefik.tcp.services.mqtt.loadbalancer.server.port": "1883",
        "traefik.http.routers.shop.middlewares": "Auth",
        "bluegreen.service": "shop",
    }
    expected = {Name(Refers.MIDDLEWARE, Protocol.HTTP, "Auth"), Name(Refers.SERVICE, Protocol.TCP, "mqtt")}
    assert set(names(labels)) == expected
    assert set(names({**labels, "traefik.enable": "False"})) == set()


def test_objects_are_read_from_any_answer_of_traefik() -> None:
    raw = b"""{"routers": {"shop@docker": {"rule": "r", "service": "shop", "middlewares": ["a", "b@file"],
        "using": ["web"], "tls": {"options": "s"}}, "odd": []},
        "services": {"m@file": {"mirroring": {"service": "x", "mirrors": [{"name": "y@docker"}, 3]}},
        "s@docker": {"loadBalancer": {"servers": [{"url": "http://10.0.0.2:80"}, {}]}}},
        "middlewares": {"c@file": {"chain": {"middlewares": ["d"]}}, "e@file": {"errors": {"service": "f@docker"}}},
        "udpServices": {"u@docker": {"loadBalancer": {"servers": [{"address": "10.0.0.2:53"}]}}}, "tcpRouters": 7}"""
    shop, mirror, served, chain, errors, udp = applied(raw)
    middle, service = Refers.MIDDLEWARE, Refers.SERVICE
    assert shop.refers == {(middle, "a@docker"), (middle, "b@file"), (service, "shop@docker")}
    assert (shop.tls_options, set(shop.entry_points), shop.rule) == ("s", {"web"}, "r")
    assert mirror.refers == {(service, "x@file"), (service, "y@docker")}
    assert served.servers == {"10.0.0.2:80"}
    assert chain.refers | errors.refers == {(middle, "d@file"), (service, "f@docker")}
    assert (udp.protocol, set(udp.servers)) == (Protocol.UDP, {"10.0.0.2:53"})
    assert applied(b"[]") == ()
