# ruff: noqa: E501  messages stand whole, as an operator reads and searches them
"""Services with several ports and protocols: what is loaded of them, and what is refused (rules 31 to 33)."""

import json
from textwrap import dedent, indent
from typing import Any

import jsonschema
import pytest
import yaml

from provider import config
from provider.cli.offline import document
from provider.config import fixed_release, load
from provider.model import ByColour, Colour, Endpoint, FixedServers, HealthCheck, ProbeMode, Protocol, Router, Service
from provider.model.errors import TraefikError
from provider.model.traefik_schema.versions import Later
from provider.traefik.process import find_binary
from provider.traefik.validation import validate
from tests.support.components import missing
from tests.support.desired_state import FILE, WITH_ENDPOINTS, refused


def broker() -> Service:
    return load(WITH_ENDPOINTS, FILE).services["broker"]


class TestLoaded:
    def test_every_key_reaches_the_model(self) -> None:
        web, admin, mqtt, dns = broker().endpoints
        balancer = {"passHostHeader": False, "serversTransport": "inner"}
        check = HealthCheck(mode=ProbeMode.HTTP, path="/healthz", interval_s=9.0, timeout_s=2.0)
        assert web == Endpoint("web", Protocol.HTTP, 8080, "https", {**balancer, "strategy": "p2c"}, check)
        assert admin == Endpoint("admin", Protocol.HTTP, 9000, None, balancer, HealthCheck(None, "/", 9.0, 2.0))
        of_tcp = {"proxyProtocol": {}, "terminationDelay": 50, "serversTransport": "slow"}
        assert mqtt == Endpoint("mqtt", Protocol.TCP, 1883, None, of_tcp, HealthCheck(interval_s=3.0))
        assert dns == Endpoint("dns", Protocol.UDP, 53, None, {}, HealthCheck(ProbeMode.DOCKER))

    def test_routers_have_their_endpoint_and_those_of_http_the_keys_of_the_defaults(self) -> None:
        """Rule 32."""
        rule = "Host(`broker.example.com`)"
        web = {"entryPoints": ["websecure"], "middlewares": ["zip"], "rule": rule, "priority": 7}
        mqtt = {"rule": "HostSNI(`*`)", "entryPoints": ["mqtt"], "middlewares": ["few"], "tls": {"passthrough": True}}
        assert broker().routers == (
            Router("broker", rule, web, "web"),
            Router("broker-mqtt", "HostSNI(`*`)", mqtt, "mqtt"),
            Router("broker-dns", "", {"entryPoints": ["dns"]}, "dns"),
        )
        assert broker().preview == Router(
            "broker-preview",
            "HostSNI(`next.example.com`)",
            {"rule": "HostSNI(`next.example.com`)", "tls": {}},
            "mqtt",
        )
        assert [test.endpoint for test in broker().smoke_tests] == ["web"]

    def test_fixed_servers_of_other_endpoints_have_urls_of_their_protocol_and_count_for_the_release(self) -> None:
        """Rule 31."""
        others = (
            ("web", ("https://10.0.0.1:8080",)),
            ("admin", ("http://10.0.0.1:8080",)),
            ("mqtt", ("tcp://10.0.0.1:1883", "tcp://[::1]:1883")),
            ("dns", ("udp://10.0.0.1:53",)),
        )
        release = fixed_release([], "1", others)
        assert broker().servers == ByColour(FixedServers((), "1", release, others), None)
        moved = [("web", others[0][1]), ("admin", others[1][1]), ("dns", others[2][1]), ("mqtt", others[3][1])]
        assert (
            len({release, fixed_release([], "1"), fixed_release([], "2", others), fixed_release([], "1", moved)}) == 4
        )

    def test_the_default_endpoint_may_speak_tcp(self) -> None:
        text = """\
            environment: production
            services:
              mail:
                endpoints: {default: {protocol: tcp}, metrics: {port: 9100}}
                routers: {mail: {rule: HostSNI(`*`)}, mail-metrics: {rule: Path(`/metrics`), endpoint: metrics}}
                servers: {green: {urls: ["10.0.0.1:25"], endpoints: {metrics: ["http://10.0.0.1:9100"]}}}
            """
        mail = load(dedent(text), FILE).services["mail"]
        green = mail.servers[Colour.GREEN]
        assert green is not None
        assert (green.urls, green.others) == (("tcp://10.0.0.1:25",), (("metrics", ("http://10.0.0.1:9100",)),))
        assert [router.endpoint for router in mail.routers] == ["default", "metrics"]

    def test_endpoints_of_the_defaults_are_those_of_services_without_any(self) -> None:
        text = """\
            environment: production
            defaults:
              endpoints: {web: {port: 8080}, admin: {port: 9000}}
              smokeTests: [{name: home, endpoint: web}]
            services:
              one: {router: {rule: a, endpoint: web}}
              two: {endpoints: {web: {port: 80}}, router: {rule: b, endpoint: web}}
            """
        services = load(dedent(text), FILE).services
        assert [one.port for one in services["one"].endpoints] == [8080, 9000]
        assert [one.port for one in services["two"].endpoints] == [80]

    def test_what_the_defaults_have_of_http_does_nothing_where_no_endpoint_speaks_it(self) -> None:
        text = """\
            environment: production
            defaults:
              sticky: {cookie: {name: x}}
              healthCheck: {path: /}
              testRoute: {header: {name: X-A, value: b}}
              analysis: {source: {prometheus: {url: "http://p"}}, errors: {max: 5%}}
            services:
              mail: {endpoints: {default: {protocol: tcp}}, router: {rule: HostSNI(`*`)}}
            """
        mail = load(dedent(text), FILE).services["mail"]
        assert (mail.sticky, mail.test_route, mail.analysis) == (None, None, None)
        assert mail.endpoints[0].health_check == HealthCheck()

    def test_a_key_that_came_later_is_one_of_the_endpoint(self) -> None:
        assert load(WITH_ENDPOINTS, FILE).later_keys == (
            Later("services.broker.endpoints.web.loadBalancer.strategy", (3, 4)),
        )

    def test_an_editor_accepts_it(self) -> None:
        schema = json.loads(json.dumps(config.schema()))
        text = WITH_ENDPOINTS.replace("ProxyProtocol: true", "proxyProtocol: true").replace('"50"', "50")
        text = text.replace("proxyProtocol: true", "proxyProtocol: {version: 2}").replace('"true"', "true")
        text = text.replace("entryPoints: mqtt", "entryPoints: [mqtt]")
        jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))


def service(body: str, more: str = "") -> str:
    """Return a file with one service that has these endpoints and further keys, which stand at line 8, column 5."""
    head = """\
        environment: production
        services:
          shop:
            endpoints:
              web: {}
              mqtt: {protocol: tcp}
              dns: {protocol: udp}
        """
    return dedent(head) + indent(dedent(body), "    ") + dedent(more)


ROUTER = "router: {rule: x, endpoint: web}\n"
IS_NO_NAME = "is no name of an endpoint: write up to 63 letters, digits, '-' and '_', and not blue, green or preview, which names in Traefik end in already"
OF_UDP = "write send and expect, or mode: docker, or nothing to have the health of the other endpoints count"
ALONE = (
    "environment: x\nservices:\n  mail:\n    endpoints: {default: {protocol: tcp}}\n    router: {rule: HostSNI(`*`)}\n"
)
NO_HTTP = "concerns HTTP only, and no endpoint of this service speaks HTTP (default)"
REFUSED = {
    "a router without an endpoint": (
        service("router: {rule: x}"),
        [
            "8:5: services.shop.router: names no endpoint, and this service has none named default: write 'endpoint', of web, mqtt, dns"
        ],
    ),
    "an endpoint that is not there": (
        service(
            """\
            routers: {shop: {rule: x, endpoint: wbe}}
            preview: {rule: y, endpoint: x}
            smokeTests: [{name: a, endpoint: y}, {name: b}, {name: c, endpoint: mqtt}]
            """
        ),
        [
            "8:41: services.shop.routers.shop.endpoint: 'wbe' is no endpoint of this service: write one of web, mqtt, dns",
            "9:34: services.shop.preview.endpoint: 'x' is no endpoint of this service: write one of web, mqtt, dns",
            "10:38: services.shop.smokeTests[0].endpoint: 'y' is no endpoint of this service: write one of web, mqtt, dns",
            "10:42: services.shop.smokeTests[1]: names no endpoint, and this service has none named default: write 'endpoint', of web, mqtt, dns",
            "10:73: services.shop.smokeTests[2].endpoint: asks endpoint 'mqtt', which speaks tcp, and a smoke test is of HTTP: name one of HTTP, or check the bytes with healthCheck",
        ],
    ),
    "an endpoint without endpoints": (
        "environment: x\nservices: {shop: {router: {rule: x, endpoint: web}}}",
        [
            "2:47: services.shop.router.endpoint: 'web' is no endpoint of this service, which has no 'endpoints': write it there, or remove this key"
        ],
    ),
    "names of endpoints": (
        "environment: x\nservices: {shop: {router: {rule: x}, endpoints: {default: {}, blue: {}, green: {}, preview: {}, a.b: {}}}}",
        [
            f"2:{column}: services.shop.endpoints.{name}: {name!r} {IS_NO_NAME}"
            for column, name in ((63, "blue"), (73, "green"), (84, "preview"), (97, "a.b"))
        ],
    ),
    "names that are taken in a section": (
        """\
environment: x
services:
  shop:
    endpoints: {default: {}, web: {}, web-blue: {}, mqtt: {protocol: tcp}}
    routers: {shop: {rule: x}, shop-mqtt: {rule: HostSNI(`*`), endpoint: mqtt}}
  shop-web: {router: {rule: y}}
tcp:
  services: {shop-mqtt-green: {}, shop: {}, shop-web: {}}
  routers: {shop-mqtt: {}, shop: {}}
""",
        [
            "4:39: services.shop.endpoints.web-blue: clashes with services.shop.endpoints.web (production.yaml:4:30): both are the service 'shop-web-blue' in Traefik; rename one",
            "6:3: services.shop-web: clashes with services.shop.endpoints.web (production.yaml:4:30): both are the service 'shop-web' in Traefik; rename one",
            "6:3: services.shop-web: clashes with services.shop.endpoints.web (production.yaml:4:30): both are the service 'shop-web-blue' in Traefik; rename one",
            "6:3: services.shop-web: clashes with services.shop.endpoints.web (production.yaml:4:30): both are the service 'shop-web-green' in Traefik; rename one",
            "8:14: tcp.services.shop-mqtt-green: clashes with services.shop.endpoints.mqtt (production.yaml:4:53): both are the TCP service 'shop-mqtt-green' in Traefik; rename one",
            "9:13: tcp.routers.shop-mqtt: clashes with services.shop.routers.shop-mqtt (production.yaml:5:32): both are the TCP router 'shop-mqtt' in Traefik; rename one",
        ],
    ),
    "names that a rollout makes": (
        """\
environment: x
services:
  shop:
    endpoints: {web: {}, mqtt: {protocol: tcp}}
    router: {rule: x, endpoint: web}
    canary: {affinity: cookie, steps: [{weight: 5}]}
http: {services: {shop-web-r1-2: {}, shop-r1-2: {}, shop-mqtt-r1-2: {}}}
tcp: {services: {shop-mqtt-r1-2: {}}}
""",
        [
            "7:19: http.services.shop-web-r1-2: clashes with services.shop.endpoints.web (production.yaml:4:17): its rollouts make the service 'shop-web-r1-2' in Traefik; rename one"
        ],
    ),
    "references to what the daemon makes": (
        service(
            ROUTER,
            "tcp: {routers: {a: {rule: HostSNI(`*`), service: shop-mqtt}}}\nudp: {services: {b: {weighted: {services: [{name: shop-dns-blue}]}}}}\n",
        ),
        [
            "9:50: tcp.routers.a.service: refers to 'shop-mqtt', which the daemon makes for services.shop.endpoints.mqtt and changes with every switch: give that service a further router under 'routers' instead",
            "10:51: udp.services.b.weighted.services[0].name: refers to 'shop-dns-blue', which the daemon makes for services.shop.endpoints.dns and changes with every switch: give that service a further router under 'routers' instead",
        ],
    ),
    "references within the section of the protocol": (
        service(
            "routers: {shop: {rule: HostSNI(`*`), endpoint: mqtt, middlewares: [zip]}}\n",
            "http: {middlewares: {zip: {compress: {}}}}\n",
        ),
        [
            "8:72: services.shop.routers.shop.middlewares[0]: 'zip' is not in tcp.middlewares: define it there, or name its provider, as in zip@file"
        ],
    ),
    "a UDP router with a rule and a priority": (
        service("routers: {dns: {rule: x, priority: 5, tls: {}, entryPoints: [dns], endpoint: dns}}"),
        [
            "8:21: services.shop.routers.dns.rule: is not possible with UDP, where one router takes all of an entry point: remove it",
            "8:30: services.shop.routers.dns.priority: is not possible with UDP, where one router takes all of an entry point; remove it",
            "8:43: services.shop.routers.dns.tls: is no key of a router of UDP, for which Traefik refuses the whole document; remove it",
        ],
    ),
    "two UDP routers on one entry point": (
        service(
            """\
            routers:
              a: {entryPoints: [dns, x], endpoint: dns}
              b: {entryPoints: [y, x], endpoint: dns}
            preview: {endpoint: dns}
            """,
            "udp: {routers: {c: {entryPoints: [dns], service: s}}, services: {s: {loadBalancer: {servers: []}}}}\n",
        ),
        [
            "10:7: services.shop.routers.b: listens on entry point 'x', and so does services.shop.routers.a (production.yaml:9:7): one router of UDP takes all of it; write entryPoints that no other one has",
            "11:5: services.shop.preview: listens on every entry point of UDP, and so does services.shop.routers.a (production.yaml:9:7): one router of UDP takes all of it; write entryPoints that no other one has",
            "12:17: udp.routers.c: listens on entry point 'dns', and so does services.shop.routers.a (production.yaml:9:7): one router of UDP takes all of it; write entryPoints that no other one has",
        ],
    ),
    "a preview of TCP that would take production's connections": (
        service(
            """\
            router: {rule: HostSNI(`*`), entryPoints: [mqtt, x], endpoint: mqtt}
            preview: {rule: HostSNI(`*`), entryPoints: [x], endpoint: mqtt}
            """,
        ),
        [
            "9:5: services.shop.preview: takes every connection that is meant for services.shop.router (production.yaml:8:5), as a preview is above all routers: write entryPoints that no other one has, or HostSNI of a name",
        ],
    ),
    "rules of TCP": (
        service(
            """\
            routers:
              a: {rule: Host(`x`), endpoint: mqtt}
              b: {rule: HostSNI(`x`), endpoint: mqtt}
              c: {rule: HostSNI(`*`) &&, endpoint: mqtt}
              d: {endpoint: mqtt, observability: {metrics: true}}
              e: {rule: ALPN(`h2`) || !HostSNIRegexp(`x`) || (ClientIP(`1.1.1.1`) && hostsni(`*`)), endpoint: mqtt}
            """
        ),
        [
            "9:17: services.shop.routers.a.rule: has Host, which is no matcher of TCP: write HostSNI, HostSNIRegexp, ClientIP or ALPN, or name an endpoint that speaks http",
            "10:17: services.shop.routers.b.rule: names 'x', which only TLS tells Traefik, and the router has no 'tls': write tls: {}, tls: {passthrough: true}, or HostSNI(`*`)",
            "11:17: services.shop.routers.c.rule: 'HostSNI(`*`) &&' cannot be read: column 16: the rule ends where a matcher such as Host(`shop.example.com`) should follow; write one such as HostSNI(`*`)",
            "12:7: services.shop.routers.d.rule: required key is missing: What the router matches, such as HostSNI(`*`)",
            "12:27: services.shop.routers.d.observability: is no key of a router of TCP, for which Traefik refuses the whole document; remove it",
        ],
    ),
    "passthrough of HTTP": (
        service("router: {rule: x, endpoint: web, tls: {passthrough: true}}"),
        [
            "8:44: services.shop.router.tls.passthrough: is of TCP, and Traefik would refuse the whole document for it: name an endpoint that speaks tcp, or remove it"
        ],
    ),
    "keys of other protocols": (
        """\
environment: x
services:
  shop:
    endpoints:
      web: {loadBalancer: {terminationDelay: 5}, healthCheck: {mode: tcp, path: /}}
      mqtt: {protocol: tcp, scheme: http, loadBalancer: {sticky: {cookie: {}}, passHostHeader: true}}
      dns: {protocol: udp, loadBalancer: {serversTransport: a@file}, healthCheck: {mode: tcp, path: /}}
      sip: {protocol: sctp}
    router: {rule: x, endpoint: web}
""",
        [
            "5:28: services.shop.endpoints.web.loadBalancer.terminationDelay: is no key of a load balancer of HTTP, for which Traefik refuses the whole document; remove it",
            "5:75: services.shop.endpoints.web.healthCheck.path: has no meaning with mode tcp: remove it, or write mode: http",
            "6:29: services.shop.endpoints.mqtt.scheme: is of HTTP, and this endpoint speaks tcp: remove it",
            "6:58: services.shop.endpoints.mqtt.loadBalancer.sticky: keeps clients by a cookie, and TCP has none: each connection stays where it is; remove it",
            "6:80: services.shop.endpoints.mqtt.loadBalancer.passHostHeader: is no key of a load balancer of TCP, for which Traefik refuses the whole document; remove it",
            "7:43: services.shop.endpoints.dns.loadBalancer.serversTransport: is no key of a load balancer of UDP, for which Traefik refuses the whole document; remove it",
            f"7:90: services.shop.endpoints.dns.healthCheck.mode: 'tcp' is not possible with UDP, where nothing answers by itself: {OF_UDP}",
            f"7:95: services.shop.endpoints.dns.healthCheck.path: is of a request, and UDP has none: {OF_UDP}",
            "8:23: services.shop.endpoints.sip.protocol: must be 'http', 'tcp' or 'udp', not 'sctp'",
        ],
    ),
    "what concerns HTTP only": (
        ALONE
        + indent(
            dedent("""\
            sticky: {cookie: {name: x}}
            testRoute: {header: {name: X-A, value: b}}
            analysis: {source: {prometheus: {url: "http://p"}}, errors: {max: 5%}}
            canary: {affinity: client, steps: [{weight: 5}]}
            healthCheck: {mode: tcp}
            loadBalancer: {strategy: wrr}
            """),
            "    ",
        ),
        [
            f"6:5: services.mail.sticky: {NO_HTTP}: a client stays by a cookie, which only HTTP has: remove it",
            f"7:5: services.mail.testRoute: {NO_HTTP}: requests are told apart by a header or a cookie, which only HTTP has: remove it",
            f"8:5: services.mail.analysis: {NO_HTTP}: it counts requests, which only HTTP has: remove it",
            f"9:24: services.mail.canary.affinity: 'client' {NO_HTTP}: Traefik keeps no client of TCP or UDP at a colour, but each connection stays where it is; remove it",
            f"10:5: services.mail.healthCheck: {NO_HTTP}: it is what endpoints of HTTP have in common: write it in the endpoint",
            f"11:5: services.mail.loadBalancer: {NO_HTTP}: it is what endpoints of HTTP have in common: write it in the endpoint",
        ],
    ),
    "fixed servers": (
        service(
            ROUTER
            + """\
servers:
  blue: {urls: ["http://a:1"], endpoints: {web: ["a:1"], mqtt: ["tcp://a:2", "http://a:2", "a"], x: ["a:3"]}}
  green: {endpoints: {web: ["http://a:1"], mqtt: ["b:2", "b:2"], dns: ["b:2"], default: ["b:3"]}}
"""
        ),
        [
            "10:7: services.shop.servers.blue: has no servers of endpoint 'dns', which has to be healthy, too: write endpoints: {dns: [...]}",
            "10:14: services.shop.servers.blue.urls: are of the endpoint default, and this service has none: write endpoints, of web, mqtt, dns",
            "10:54: services.shop.servers.blue.endpoints.web[0]: 'a:1' is no server URL: write http, https or h2c, a host, a port and no path, such as http://10.0.0.5:8080",
            "10:69: services.shop.servers.blue.endpoints.mqtt[0]: 'tcp://a:2' is no address of a server: write HOST:PORT for TCP and UDP, such as 10.0.0.5:1883, and a URL for HTTP",
            "10:82: services.shop.servers.blue.endpoints.mqtt[1]: 'http://a:2' is a URL, and this endpoint speaks tcp: write HOST:PORT, such as 10.0.0.5:1883",
            "10:82: services.shop.servers.blue.endpoints.mqtt[1]: 'http://a:2' is a server of this colour already, at services.shop.servers.blue.endpoints.mqtt.0 (production.yaml:10:69): each server has one colour, and an address of its own",
            "10:96: services.shop.servers.blue.endpoints.mqtt[2]: 'a' is no address of a server: write HOST:PORT for TCP and UDP, such as 10.0.0.5:1883, and a URL for HTTP",
            "10:102: services.shop.servers.blue.endpoints.x: is no endpoint of this service: write one of web, mqtt, dns",
            "11:33: services.shop.servers.green.endpoints.web[0]: 'http://a:1' is a server of blue already, at services.shop.servers.blue.urls.0 (production.yaml:10:21): each server has one colour, and an address of its own",
            "11:62: services.shop.servers.green.endpoints.mqtt[1]: 'b:2' is a server of this colour already, at services.shop.servers.green.endpoints.mqtt.0 (production.yaml:11:55): each server has one colour, and an address of its own",
            "11:84: services.shop.servers.green.endpoints.default: has its servers in 'urls': write them there",
        ],
    ),
}


@pytest.mark.parametrize(("text", "messages"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_with_its_place_and_the_way_out(text: str, messages: list[str]) -> None:
    """P11, rules 31 to 33: everything at once, in the order of the file."""
    assert refused(text) == [f"{FILE}:{message}" for message in messages]


def test_keys_of_a_newer_traefik_go_out_unchecked() -> None:
    text = service(
        "routers: {mqtt: {rule: HostSNI(`*`), endpoint: mqtt, observability: {metrics: true}}}\n",
        "traefik: {unchecked: [services.shop.routers.mqtt.observability, services.shop.endpoints.mqtt.loadBalancer.novel]}\n",
    ).replace("mqtt: {protocol: tcp}", "mqtt: {protocol: tcp, loadBalancer: {novel: 5}}")
    shop = load(text, FILE).services["shop"]
    assert shop.routers[0].body["observability"] == {"metrics": True}
    mqtt = shop.endpoint("mqtt")
    assert mqtt is not None
    assert mqtt.load_balancer == {"novel": 5}


def test_endpoints_of_one_colour_may_have_one_address() -> None:
    """Rule 39: two load balancers over one server."""
    text = service(ROUTER, "").replace("mqtt: {protocol: tcp}", "api: {}").replace("      dns: {protocol: udp}\n", "")
    text += "    servers: {blue: {endpoints: {web: [http://a:1], api: [http://a:1]}}}\n"
    assert load(text, FILE)


def test_what_is_wrong_with_the_defaults_alone_is_said_once() -> None:
    text = """\
        environment: x
        defaults: {endpoints: {web: {}}, smokeTests: [{name: a, endpoint: x}]}
        services: {a: {router: {rule: x, endpoint: web}}, b: {router: {rule: y, endpoint: web}}}
        """
    assert refused(dedent(text)) == [
        "production.yaml:2:67: defaults.smokeTests[0].endpoint: 'x' is no endpoint of this service: write one of web"
    ]


class TestRealTraefik:
    """What is accepted here must decode there, since one wrong key makes Traefik refuse the whole document."""

    async def errors(self, body: bytes) -> tuple[str, ...]:
        try:
            binary = find_binary()
        except TraefikError as error:
            missing("traefik", str(error))
        return (await validate(body, binary=binary)).errors

    async def test_it_takes_every_key_that_is_accepted(self) -> None:
        assert await self.errors(document(load(WITH_ENDPOINTS, FILE))[0].body) == ()

    @pytest.mark.parametrize(
        ("section", "kind", "body"),
        [
            ("udp", "routers", {"entryPoints": ["x"], "service": "s", "priority": 5}),
            ("udp", "routers", {"entryPoints": ["x"], "service": "s", "rule": "x"}),
            ("tcp", "routers", {"rule": "HostSNI(`*`)", "service": "s", "observability": {"metrics": True}}),
            ("tcp", "services", {"loadBalancer": {"sticky": {"cookie": {}}, "servers": [{"address": "127.0.0.1:1"}]}}),
            ("udp", "services", {"loadBalancer": {"serversTransport": "x", "servers": [{"address": "127.0.0.1:1"}]}}),
            ("http", "routers", {"rule": "Path(`/`)", "service": "s", "tls": {"passthrough": True}}),
        ],
    )
    async def test_it_refuses_what_is_refused_here(self, section: str, kind: str, body: dict[str, object]) -> None:
        """Rule 32."""
        mark = {"bluegreen-0123456789ab": {"headers": {"customResponseHeaders": {"X-Document": "x"}}}}
        whole: dict[str, Any] = {"http": {"middlewares": mark}}
        whole.setdefault(section, {})[kind] = {"x": body}
        (error,) = await self.errors(json.dumps(whole).encode())
        assert "field not found" in error
