"""A broker with endpoints of every kind, as values of the core."""

from collections.abc import Mapping

from provider.model import Colour, Endpoint, Protocol, Router, Served, Server, Service, Weights
from tests.support.worlds import BLUE, described, service, whole

HOST = "Host(`broker.example.com`)"
SNI = "HostSNI(`mqtt.example.com`)"
ANY = "HostSNI(`*`)"
WEB = Endpoint("default", port=8080)
MQTT = Endpoint("mqtt", Protocol.TCP, 1883, load_balancer={"proxyProtocol": {"version": 2}})
TLS = Endpoint("tls", Protocol.TCP, 8883)
DNS = Endpoint("dns", Protocol.UDP, 53)
ALL_BLUE = whole(BLUE)
ENDPOINTS = (WEB, MQTT, TLS, DNS)
ROUTERS = (
    Router("broker", HOST, {"rule": HOST, "entryPoints": ["web"]}),
    Router("broker-mqtt", ANY, {"rule": ANY, "entryPoints": ["mqtt"]}, "mqtt"),
    Router("broker-tls", SNI, {"rule": SNI, "entryPoints": ["mqtt"], "tls": {"passthrough": True}}, "tls"),
    Router("broker-dns", "", {"entryPoints": ["dns"]}, "dns"),
)


def broker(**fields: object) -> Service:
    """Describe a service with an HTTP, two TCP and a UDP endpoint, each with a router."""
    return described(service("broker"), **{"endpoints": ENDPOINTS, "routers": ROUTERS, **fields})


def servers(number: int, release: str = "r1", host: str = "") -> tuple[Server, ...]:
    """Run a container that speaks at every endpoint."""
    host = host or f"10.0.0.{number}"
    return tuple(
        Server(f"{one.protocol}://{host}:{one.port}", release, container=f"c{number}", deaths=0, endpoint=one.name)
        for one in ENDPOINTS
    )


def broker_served(
    weights: Weights = ALL_BLUE, some: Mapping[Colour, tuple[Server, ...]] | None = None, **fields: object
) -> Served:
    """Serve the broker with these weights, by default from one server of blue."""
    return Served(broker(**fields), weights, some or {BLUE: servers(1)})
