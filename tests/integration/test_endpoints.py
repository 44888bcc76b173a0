"""Endpoints of HTTP, TCP and UDP through a real Traefik, and the facts about it that their document relies on."""

import ssl
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from provider.model import Colour, Endpoint, Protocol, Router, Served, Server, Service, Weights
from provider.traefik.document.render import assemble, render_pass_through, render_service
from provider.traefik.process import Traefik, free_ports
from provider.traefik.shown import Traefiks
from provider.traefik.validation import Validation, validate
from tests.support.answering import self_signed
from tests.support.documents import Json, marked
from tests.support.endpoints import ANY, broker_served
from tests.support.reading_back import reading_back
from tests.support.sockets import (
    Application,
    NewLoad,
    TcpBackend,
    TcpClient,
    applications,
    ask_tcp,
    ask_udp,
    kept_alive,
)
from tests.support.traefik import DocumentServer, Load, StartBackend, StartTraefik
from tests.support.waiting import eventually
from tests.support.worlds import BLUE, GREEN, service, whole

HTTP, TCP, UDP = Protocol
HOST = "broker.test"
RULE = f"Host(`{HOST}`)"
SPLIT = ((BLUE, 90), (GREEN, 10))


@dataclass(frozen=True, slots=True)
class Stage:
    """A Traefik with an entry point for each protocol, and both colours of the broker behind it."""

    traefik: Traefik
    documents: DocumentServer
    colours: dict[Colour, Application]
    mqtt: int
    dns: int

    async def show(self, weights: Weights, of: Service | None = None) -> None:
        """Have Traefik apply these weights, in one document."""
        some = {colour: self.colours[colour].servers(f"r-{colour}") for colour, _ in weights}
        await self.serve(Served(of or broker(), weights, some))

    async def serve(self, served: Served) -> None:
        """Have Traefik apply a document of this service."""
        document = assemble([render_service(served)], render_pass_through({}))
        await self.apply(document.body, document.marker)

    async def apply(self, document: object, marker: str) -> None:
        """Have Traefik apply a document: it changes its entry points one after the other, that of its API not last."""
        self.documents.publish(document)
        await eventually(partial(self.traefik.middleware, marker))
        await self.documents.polled()

    async def ask_web(self) -> str:
        async with aiohttp.request("GET", self.traefik.url("web"), headers={"Host": HOST}) as response:
            return await response.text()

    async def ask_mqtt(self) -> str:
        return await ask_tcp(self.mqtt)

    async def ask_dns(self) -> str:
        return await ask_udp(self.dns)

    async def all(self) -> set[str]:
        """Return who answers at each endpoint."""
        return {await self.ask_web(), await self.ask_mqtt(), await self.ask_dns()}


def broker(**tcp: object) -> Service:
    """Describe the service; `tcp` are options of the load balancers of its TCP endpoint."""
    endpoints = (Endpoint(), Endpoint("mqtt", TCP, load_balancer=tcp), Endpoint("dns", UDP))
    routers = (
        Router("broker", RULE, {"rule": RULE, "entryPoints": ["web"]}),
        Router("broker-mqtt", ANY, {"rule": ANY, "entryPoints": ["mqtt"]}, "mqtt"),
        Router("broker-dns", "", {"entryPoints": ["dns"]}, "dns"),
    )
    return service("broker", endpoints=endpoints, routers=routers)


@pytest.fixture
async def stage(
    start_traefik: StartTraefik, start_backend: StartBackend, documents: DocumentServer
) -> AsyncIterator[Stage]:
    web, mqtt, dns = free_ports(3)
    async with applications(*[await start_backend(colour) for colour in Colour]) as (blue, green):
        colours = {BLUE: blue, GREEN: green}
        entry_points: dict[str, Any] = {"entry_points": {"web": web, "mqtt": mqtt}, "udp_entry_points": {"dns": dns}}
        traefik = await start_traefik(documents.url, **entry_points)
        yield Stage(traefik, documents, colours, mqtt, dns)


# --- switches -------------------------------------------------------------------------------------------------------


async def test_all_endpoints_switch_in_one_document(stage: Stage) -> None:
    """Rule 31."""
    for colour in (BLUE, GREEN, BLUE):
        await stage.show(whole(colour))
        assert await stage.all() == {colour}


@pytest.mark.takes(15)
async def test_no_client_of_any_endpoint_is_lost_over_twenty_switches(stage: Stage) -> None:
    """P3 and rule 31: requests on kept-alive connections, new connections and new sessions."""
    await stage.show(whole(BLUE))
    async with (
        Load(stage.traefik.url("web"), HOST, clients=4) as web,
        NewLoad(stage.ask_mqtt) as mqtt,
        NewLoad(stage.ask_dns) as dns,
    ):
        for number in range(20):
            colour = (GREEN, BLUE)[number % 2]
            await stage.show(whole(colour))
            await web.until_answer(colour)
            await mqtt.until_answer(colour, 5)
            await dns.until_answer(colour, 5)
    assert (web.failures, mqtt.failures, dns.failures) == ([], [], [])


async def test_weights_share_out_new_connections_and_new_sessions(stage: Stage) -> None:
    """Rule 32: in rounds, as with HTTP; a reload of Traefik begins one again."""
    await stage.show(SPLIT)
    for ask in (stage.ask_mqtt, stage.ask_dns):
        found = Counter([await ask() for _ in range(100)])
        assert found.keys() == {BLUE, GREEN}
        assert abs(found[GREEN] - 10) <= 2


async def test_what_is_established_stays_after_a_switch_and_after_a_rollback(stage: Stage) -> None:
    """Rule 32: connections of TCP and sessions of UDP."""
    await stage.show(whole(BLUE))
    async with TcpClient(stage.mqtt) as old, kept_alive(stage.dns) as old_session:
        await old_session.until_answer(BLUE)
        assert await old.ask() == BLUE
        await stage.show(whole(GREEN))
        async with TcpClient(stage.mqtt) as new, kept_alive(stage.dns) as session:
            await session.until_answer(GREEN)
            await old_session.until_answer(BLUE)
            assert (await old.ask(), await new.ask()) == (BLUE, GREEN)
            await stage.show(whole(BLUE))
            await session.until_answer(GREEN)
            await old_session.until_answer(BLUE)
            assert (await old.ask(), await new.ask()) == (BLUE, GREEN)
            assert await stage.all() == {BLUE}
    assert (list(old_session.answers), list(session.answers)) == (["blue"], ["green"])


async def test_an_endpoint_whose_colour_has_no_server_leaves_the_others_as_they_are(stage: Stage) -> None:
    """Rule 31: its clients are let in and let go of at once."""
    some = {BLUE: stage.colours[BLUE].servers("r1")[:1]}
    await stage.serve(Served(broker(), whole(BLUE), some))
    assert await stage.ask_web() == BLUE
    with pytest.raises(ConnectionError):
        await stage.ask_mqtt()


# --- TCP ------------------------------------------------------------------------------------------------------------


async def test_a_proxy_protocol_of_the_file_reaches_the_servers(stage: Stage) -> None:
    """Rule 31: the options of an endpoint are those of its load balancers."""
    async with TcpBackend("proxied", preface=28) as proxied:
        some = {BLUE: (Server(f"tcp://127.0.0.1:{proxied.port}", "r1", endpoint="mqtt"),)}
        await stage.serve(Served(broker(proxyProtocol={"version": 2}), whole(BLUE), some))
        assert await stage.ask_mqtt() == "proxied"
        (preface,) = proxied.prefaces
        assert preface.startswith(b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\x7f\x00\x00\x01")


async def test_traefik_passes_tls_on_and_tells_servers_apart_by_the_name_that_is_asked_for(
    stage: Stage, tmp_path: Path
) -> None:
    """Rule 32: two endpoints on one entry point, the certificates are those of the servers."""
    names = {"a": "a.test", "b": "b.test"}
    async with AsyncExitStack() as stack:
        found, clients = {}, {}
        for endpoint, name in names.items():
            certificate = self_signed(tmp_path / f"{endpoint}.pem", name)
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate)
            found[endpoint] = await stack.enter_async_context(TcpBackend(endpoint, tls=context))
            clients[endpoint] = ssl.create_default_context(cafile=certificate.with_suffix(".crt"))
        of = service(
            "broker",
            endpoints=tuple(Endpoint(endpoint, TCP) for endpoint in names),
            routers=tuple(
                Router(f"broker-{endpoint}", rule, {"rule": rule, "tls": {"passthrough": True}}, endpoint)
                for endpoint, name in names.items()
                for rule in [f"HostSNI(`{name}`)"]
            ),
        )
        some = {BLUE: tuple(Server(f"tcp://127.0.0.1:{one.port}", "r1", endpoint=name) for name, one in found.items())}
        await stage.serve(Served(of, whole(BLUE), some))
        for endpoint, name in names.items():
            assert await ask_tcp(stage.mqtt, tls=clients[endpoint], sni=name) == endpoint
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask_tcp(stage.mqtt, tls=clients["b"], sni="a.test")


def beside_alpn(backends: dict[str, TcpBackend], priority: int | None) -> Json:
    """Build a document with a router of ALPN and one of HostSNI(`*`), which has this priority."""
    last = {"rule": ANY, "service": "last", "tls": {}} | ({} if priority is None else {"priority": priority})
    alpn = {"rule": "ALPN(`h2`)", "service": "alpn", "tls": {}}
    services = {
        name: {"loadBalancer": {"servers": [{"address": f"127.0.0.1:{one.port}"}]}} for name, one in backends.items()
    }
    return {"http": {}, "tcp": {"routers": {"last": last, "alpn": alpn}, "services": services}}


async def test_a_router_of_what_is_left_comes_last_only_without_a_priority(stage: Stage) -> None:
    """Rule 32: Traefik's own is -1, and what rule 15 would give it is above that of ALPN."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    async with TcpBackend("last") as last, TcpBackend("alpn") as alpn:
        for priority, expected in ((None, "alpn"), (len(ANY) + 1, "last"), (-1, "alpn")):
            await stage.apply(*marked(beside_alpn({"last": last, "alpn": alpn}, priority)))
            routers = (await stage.traefik.raw_data())["tcpRouters"]
            assert routers["last@http"]["priority"] == (-1 if priority is None else priority)
            assert await ask_tcp(stage.mqtt, tls=context, sni="any.test") == expected


def is_logged(traefik: Traefik, words: str, since: int) -> bool:
    return any(words in line for line in traefik.errors(since))


# --- UDP ------------------------------------------------------------------------------------------------------------


async def test_a_priority_of_a_udp_router_makes_traefik_refuse_the_whole_document(stage: Stage) -> None:
    """Rule 32; a rule does, too."""
    await stage.show(whole(BLUE))
    for key, value in (("priority", 7), ("rule", ANY)):
        served = Served(broker(), whole(GREEN), {GREEN: stage.colours[GREEN].servers("r2")})
        content = orjson.loads(assemble([render_service(served)], render_pass_through({})).body)
        content["udp"]["routers"]["broker-dns"][key] = value
        before = stage.traefik.log_size()
        stage.documents.publish(content)
        await eventually(partial(is_logged, stage.traefik, f"field not found, node: {key}", before))
        assert await stage.all() == {BLUE}


async def test_of_two_udp_routers_on_one_entry_point_the_last_by_name_wins(stage: Stage) -> None:
    """Rule 32: the name has its provider, so that `a@http` comes after `a-z@http`."""
    for names in (("a", "b"), ("b", "a"), ("a-z", "a")):
        content: dict[str, Any] = {"http": {}, "udp": {"routers": {}, "services": {}}}
        for name, colour in zip(names, Colour, strict=True):
            content["udp"]["routers"][name] = {"entryPoints": ["dns"], "service": f"{colour}"}
            server = {"address": f"127.0.0.1:{stage.colours[colour].dns.port}"}
            content["udp"]["services"][f"{colour}"] = {"loadBalancer": {"servers": [server]}}
        await stage.apply(*marked(content))
        last = max(names, key=lambda name: f"{name}@http")
        assert await stage.ask_dns() == dict(zip(names, Colour, strict=True))[last]


# --- what Traefik's API has -----------------------------------------------------------------------------------------


async def read_back(traefik: Traefik, documents: DocumentServer) -> None:
    """Rule 32: the weights of all endpoints, and errors, by their sections."""
    wrong = Router("broker-mqtt", ANY, {"rule": ANY, "entryPoints": ["mqtt"], "middlewares": ["nope"]}, "mqtt")
    some = {BLUE: (Server("http://127.0.0.1:1", "r1"),), GREEN: (Server("http://127.0.0.1:2", "r2"),)}
    for of, errors in (
        (broker(), ()),
        (service("broker", endpoints=broker().endpoints, routers=(wrong,)), ("tcp router broker-mqtt: ",)),
    ):
        document = assemble([render_service(Served(of, SPLIT, some))], render_pass_through({}))
        documents.publish(document.body)
        async with reading_back(traefik.api, marker=document.marker) as (_, record):
            last = await record.shows(traefik.api, document.marker)
        traefiks = Traefiks()
        traefiks.published(document.marker, 0.0)
        traefiks.read(last, 1.0)
        (shown,) = traefiks.applied(of)
        assert sorted(shown.weights or ()) == sorted(
            (of.in_traefik(colour, name), weight) for name in ("default", "mqtt", "dns") for colour, weight in SPLIT
        )
        assert [error.startswith(begins) for error, begins in zip(shown.errors, errors, strict=True)] == [True] * len(
            errors
        )
        assert {protocol for protocol, name in last.weights if name.startswith("broker")} == {HTTP, TCP, UDP}


async def test_traefik_shows_the_weights_and_the_errors_of_every_section(
    start_traefik: StartTraefik, documents: DocumentServer
) -> None:
    """Rules 7 and 32."""
    web, mqtt, dns = free_ports(3)
    ports: dict[str, Any] = {"entry_points": {"web": web, "mqtt": mqtt}, "udp_entry_points": {"dns": dns}}
    await read_back(await start_traefik(documents.url, **ports), documents)


async def test_so_does_the_oldest_traefik(start_traefik: StartTraefik, documents: DocumentServer, older: Path) -> None:
    """Rules 7 and 32."""
    web, mqtt, dns = free_ports(3)
    ports: dict[str, Any] = {"entry_points": {"web": web, "mqtt": mqtt}, "udp_entry_points": {"dns": dns}}
    await read_back(await start_traefik(documents.url, binary=older, **ports), documents)


async def test_the_validation_knows_the_entry_points_of_every_section(traefik_binary: Path) -> None:
    document = assemble([render_service(broker_served())], render_pass_through({}))
    assert await validate(document.body, binary=traefik_binary) == Validation((), ())


async def test_the_validation_gives_udp_routers_an_entry_point_where_they_name_none(traefik_binary: Path) -> None:
    routers = (Router("broker-dns", "", {}, "dns"),)
    document = assemble([render_service(broker_served(routers=routers))], render_pass_through({}))
    assert await validate(document.body, binary=traefik_binary) == Validation((), ())
