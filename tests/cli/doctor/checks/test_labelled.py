"""What the doctor says of containers whose labels are the routing of their service (rules 34 and 35)."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from provider.cli.doctor.checks.containers import Context, ServiceContainer, check, read
from provider.cli.doctor.checks.labelled import routers, services
from provider.cli.doctor.checks.traefik import Expected, TraefikFacts
from provider.cli.doctor.checks.traefik import check as check_traefik
from provider.cli.doctor.findings import Code, Finding
from provider.config import load
from provider.docker.container import Container

AUTO = "environment: production\nservices: auto\ndefaults: {healthCheck: {mode: http, path: /}}\n"
FILE = "  pay: {router: {rule: Host(`pay.example.com`)}}\n"
BOTH = AUTO.replace("services: auto\n", f"services:\n  '*': auto\n{FILE}")
RULE = "traefik.http.routers.shop.rule"
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def container(name: str = "shop-blue") -> ServiceContainer:
    """Return a container in good order."""
    service, _, colour = name.partition("-")
    labels = {
        "bluegreen.service": service,
        "bluegreen.environment": "production",
        "com.docker.compose.project": f"{service}-{colour[:5].rstrip('2')}",
        RULE: f"Host(`{service}.example.com`)",
    }
    docker = Container(
        id=name,
        name=name,
        image_id="sha256:1",
        labels=labels,
        running=True,
        health=None,
        network_mode="front",
        addresses={"front": "172.18.0.2"},
        exposed=(80,),
        bindings=(),
    )
    return ServiceContainer(f"container {name}", docker, has_healthcheck=True, restarts=True, image="shop:1")


def labelled(name: str = "shop-blue", /, **labels: str | None) -> ServiceContainer:
    """Return a container with further labels; None leaves one out."""
    one = container(name)
    every = {**one.docker.labels, **labels}
    return replace(one, docker=replace(one.docker, labels={k: v for k, v in every.items() if v is not None}))


def found(*containers: ServiceContainer, text: str = AUTO) -> list[Finding]:
    return list(check(containers, Context(desired=load(text, "file"), environment="production")))


def test_both_colours_in_good_order_are_no_finding() -> None:
    """Rule 36: by their projects; labels for Traefik are what routes them."""
    assert found(container(), container("shop-green")) == []


def test_labels_that_cannot_be_taken_are_critical_with_the_label() -> None:
    (one,) = found(labelled(**{"traefik.http.routers.shop.priorty": "3"}))
    assert (one.code, one.where) == (Code.LABELS_REFUSED, "container shop-blue")
    assert "traefik.http.routers.shop.priorty" in one.what
    (bare,) = found(labelled(**{RULE: None}))
    assert (bare.code, RULE in bare.what) == (Code.LABELS_REFUSED, True)


def test_a_colour_whose_containers_have_different_labels_is_mixed() -> None:
    path = {RULE: "Host(`shop.example.com`) && PathPrefix(`/a`)"}
    (one,) = found(container(), labelled("shop-blue2", **path))
    assert (one.code, one.where) == (Code.LABELS_DIFFER, "container shop-blue and container shop-blue2")
    assert f"differ in {RULE}" in one.what
    assert found(container(), labelled("shop-green", **path)) == [], "a release may change them"


def test_containers_that_are_not_used_are_told_of_by_what_is_wrong() -> None:
    """Rules 31 and 35."""
    (one,) = found(labelled(**{"bluegreen.environment": None}))
    assert (one.code, one.fix) == (Code.ENVIRONMENT_LABEL_MISSING, "add bluegreen.environment=production")
    (one,) = found(labelled(**{"bluegreen.port.admin": "81"}))
    assert (one.code, one.fix) == (Code.ENDPOINT_UNKNOWN, "name one of its endpoints (default)")
    (one,) = found(labelled(**{"bluegreen.port": "x"}))
    assert one.code is Code.CONTAINER_IGNORED


def test_a_host_of_another_service_is_critical() -> None:
    """Rule 35: one of the file wins, else the first."""
    (one,) = found(labelled(**{RULE: "Host(`pay.example.com`)"}), text=BOTH)
    assert (one.code, "service pay has in the file" in one.what) == (Code.HOST_TAKEN, True)
    (one,) = found(container(), labelled("a-blue", **{RULE: "Host(`SHOP.example.com`)"}))
    assert one.code is Code.HOST_TAKEN
    assert "labels of a and shop name the host shop.example.com" in one.what


def described(**labels: str) -> Any:
    context = Context(desired=load(AUTO, "file"), environment="production")
    (service,) = services(read([labelled(**labels)], context))
    return service


TCP = {"traefik.tcp.services.mqtt.loadbalancer.server.port": "1883", "traefik.tcp.routers.mqtt.service": "mqtt"}


def test_a_router_of_tcp_that_names_a_host_needs_tls() -> None:
    tcp = {**TCP, "traefik.tcp.routers.mqtt.rule": "HostSNI(`mqtt.example.com`)"}
    (one,) = routers(described(**tcp), "service shop")
    assert (one.code, "traefik.tcp.routers.mqtt.tls=true" in one.fix) == (Code.HOST_SNI_WITHOUT_TLS, True)
    assert list(routers(described(**tcp, **{"traefik.tcp.routers.mqtt.tls": "true"}), "a")) == []
    assert list(routers(described(**{**tcp, "traefik.tcp.routers.mqtt.rule": "HostSNI(`*`)"}), "a")) == []


def test_the_entry_points_of_labels_are_there_and_speak_the_protocol() -> None:
    """Rule 32."""
    traefik = TraefikFacts("http://t", entry_points=frozenset({"web", "dns"}), udp=frozenset({"dns"}), marker="m")

    def wrong(**labels: str) -> list[tuple[Code, str]]:
        seen = check_traefik(traefik, Expected(labelled=(described(**labels),)), NOW)
        return [(one.code, one.what.partition(" of ")[0]) for one in seen]

    missing = wrong(**{"traefik.http.routers.shop.entrypoints": "websecure"})
    assert missing == [(Code.ENTRY_POINT_MISSING, "router shop")]
    tcp = {**TCP, "traefik.tcp.routers.mqtt.rule": "HostSNI(`*`)"}
    assert wrong(**tcp, **{"traefik.tcp.routers.mqtt.entrypoints": "dns"}) == [
        (Code.ENTRY_POINT_PROTOCOL, "router mqtt")
    ]
    udp = {"traefik.udp.services.d.loadbalancer.server.port": "53", "traefik.udp.routers.d.service": "d"}
    assert wrong(**udp, **{"traefik.udp.routers.d.entrypoints": "web"}) == [(Code.ENTRY_POINT_PROTOCOL, "router d")]
    assert wrong(**udp, **{"traefik.udp.routers.d.entrypoints": "dns"}) == []
