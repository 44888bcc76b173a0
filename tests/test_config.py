import json
import re
import string
from dataclasses import replace
from textwrap import dedent, indent
from typing import ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from provider import config
from provider.config import fixed_release, load, parse_duration
from provider.errors import DesiredStateError, Problem
from provider.model import (
    ByColour,
    Colour,
    Deadlines,
    Desired,
    FixedServers,
    HealthCheck,
    ProbeMode,
    Router,
    Service,
    SmokeTest,
    Wish,
)

RULE = "Host(`shop.example.com`)"
FILE = "production.yaml"
EVERYTHING = """\
    environment: production
    requireEnvironmentLabel: true
    traefik:
      api: ["http://traefik:8080", "https://[::1]:8080/behind/a/proxy"]
      defaultCertificate: none
    services:
      shop:
        active: green
        initial: blue
        group: storefront
        hold: true
        routers:
          shop:
            rule: Host(`shop.example.com`)
            entryPoints: [websecure]
            middlewares: [compress@file]
            priority: 5
            tls: {}
            observability: {accessLogs: false, metrics: true, tracing: true, traceVerbosity: detailed}
          shop-api:
            rule: PathPrefix(`/api`)
            tls: {options: modern, certResolver: le, domains: [{main: example.com, sans: ["*.example.com"]}]}
        preview: {rule: Host(`preview.shop.example.com`)}
        loadBalancer:
          passHostHeader: false
          strategy: p2c
          serversTransport: internal
          responseForwarding: {flushInterval: -1ms}
          passiveHealthCheck: {failureWindow: 10s, maxFailedAttempts: 3}
          sticky: {cookie: {}}
        sticky:
          cookie: {name: shop, secure: true, httpOnly: true, sameSite: lax, maxAge: 60, path: /, domain: example.com}
        servers:
          blue: {urls: ["http://127.0.0.1:8081", "h2c://app.internal"], version: "1.4.1"}
          green: {urls: ["https://[::1]:8082/"]}
        minServers: 2
        settle: 0s
        healthCheck:
          mode: http
          path: /healthz?deep=1
          interval: 1m30s
          timeout: 250ms
          healthyAfter: 2
          unhealthyAfter: 4
          scheme: https
          port: 9000
          hostname: shop.internal:80
          method: HEAD
          status: 204
          headers: {X-Probe: "1"}
          followRedirects: true
          insecureSkipVerify: true
        smokeTests:
          - name: home
            path: /
            method: POST
            headers: {Accept: text/html}
            status: 201
            contains: Welcome
            json: {state: null, count: 2}
            timeout: 3s
            retries: 1
        approval: manual
        deadlines: {waiting: 1m, testing: 2m, approval: 3h, confirming: 4s}
        watch: 0s
    """


def one(body: str) -> str:
    """Return a file with one service that has these further keys; the service's keys stand at line 4, column 5."""
    return "environment: production\nservices:\n  shop:\n" + indent(dedent(body), "    ")


def shop(body: str) -> Service:
    return load(one(f"router: {{rule: {RULE}}}\n{dedent(body)}"), FILE).services["shop"]


def refused(text: str) -> list[str]:
    with pytest.raises(DesiredStateError) as error:
        load(text, FILE)
    return str(error.value).splitlines()


class TestLoaded:
    def test_every_key_reaches_the_model(self) -> None:
        shop_router = {
            "rule": RULE,
            "entryPoints": ["websecure"],
            "middlewares": ["compress@file"],
            "priority": 5,
            "tls": {},
            "observability": {"accessLogs": False, "metrics": True, "tracing": True, "traceVerbosity": "detailed"},
        }
        domains = [{"main": "example.com", "sans": ["*.example.com"]}]
        api_router = {
            "rule": "PathPrefix(`/api`)",
            "tls": {"options": "modern", "certResolver": "le", "domains": domains},
        }
        cookie = {
            "name": "shop",
            "secure": True,
            "httpOnly": True,
            "sameSite": "lax",
            "maxAge": 60,
            "path": "/",
            "domain": "example.com",
        }
        blue = ("http://127.0.0.1:8081", "h2c://app.internal")
        green = ("https://[::1]:8082/",)
        service = Service(
            name="shop",
            routers=(
                Router("shop", RULE, shop_router),
                Router("shop-api", "PathPrefix(`/api`)", api_router),
            ),
            active=Wish.GREEN,
            initial=Colour.BLUE,
            group="storefront",
            hold=True,
            preview=Router(
                "shop-preview", "Host(`preview.shop.example.com`)", {"rule": "Host(`preview.shop.example.com`)"}
            ),
            load_balancer={
                "passHostHeader": False,
                "strategy": "p2c",
                "serversTransport": "internal",
                "responseForwarding": {"flushInterval": "-1ms"},
                "passiveHealthCheck": {"failureWindow": "10s", "maxFailedAttempts": 3},
                "sticky": {"cookie": {}},
            },
            sticky={"cookie": cookie},
            servers=ByColour(
                blue=FixedServers(blue, "1.4.1", fixed_release(blue, "1.4.1")),
                green=FixedServers(green, None, fixed_release(green, None)),
            ),
            min_servers=2,
            settle_s=0.0,
            health_check=HealthCheck(
                mode=ProbeMode.HTTP,
                path="/healthz?deep=1",
                interval_s=90.0,
                timeout_s=0.25,
                healthy_after=2,
                unhealthy_after=4,
                scheme="https",
                port=9000,
                hostname="shop.internal:80",
                method="HEAD",
                status=204,
                headers=(("X-Probe", "1"),),
                follow_redirects=True,
                insecure_skip_verify=True,
            ),
            smoke_tests=(
                SmokeTest(
                    name="home",
                    path="/",
                    method="POST",
                    headers=(("Accept", "text/html"),),
                    status=201,
                    contains="Welcome",
                    json=(("state", None), ("count", 2)),
                    timeout_s=3.0,
                    retries=1,
                ),
            ),
            approval_is_manual=True,
            deadlines=Deadlines(waiting_s=60.0, testing_s=120.0, approval_s=10800.0, confirming_s=4.0),
            watch_s=0.0,
        )
        assert load(dedent(EVERYTHING), FILE) == Desired(
            environment="production",
            services={"shop": service},
            require_environment_label=True,
            traefik_api=("http://traefik:8080", "https://[::1]:8080/behind/a/proxy"),
        )

    def test_what_is_not_written_is_the_default_of_the_model(self) -> None:
        assert shop("") == Service(name="shop", routers=(Router("shop", RULE, {"rule": RULE}),))

    def test_no_services_are_accepted_in_so_many_words(self) -> None:
        """Rule 12."""
        assert load("environment: x\nservices: {}", FILE).services == {}

    @pytest.mark.parametrize("key", ["path: /", "status: 200", "headers: {A: b}", "scheme: https"])
    def test_a_key_of_an_http_request_makes_the_check_http(self, key: str) -> None:
        assert shop(f"healthCheck: {{{key}}}").health_check.mode is ProbeMode.HTTP

    def test_a_check_without_such_a_key_is_left_to_docker_or_tcp(self) -> None:
        assert shop("healthCheck: {interval: 3s, port: 81}").health_check == HealthCheck(interval_s=3.0, port=81)

    @pytest.mark.parametrize(
        ("written", "version"),
        [
            ("1.10", "1.10"),
            ("2", "2"),
            ("0x1F", "0x1F"),
            ("on", "on"),
            ("true", "true"),
            ("1e3", "1e3"),
            ("2026-01-02", "2026-01-02"),
            ("12:30:45", "12:30:45"),
            ("1_000", "1_000"),
            ("'1.10'", "1.10"),
        ],
    )
    def test_a_version_is_the_text_as_written(self, written: str, version: str) -> None:
        servers = shop(f"servers: {{blue: {{urls: [http://a:1], version: {written}}}}}").servers.blue
        assert servers is not None
        assert servers.version == version

    def test_a_version_through_an_alias_is_the_text_as_written(self) -> None:
        service = shop(
            "servers: {blue: {urls: [http://a:1], version: &v 1.10}, green: {urls: [http://b:1], version: *v}}"
        )
        assert service.servers.green == FixedServers(("http://b:1",), "1.10", fixed_release(["http://b:1"], "1.10"))

    def test_merge_keys_give_way_to_written_ones_and_earlier_mappings_win(self) -> None:
        text = """\
            environment: x
            services:
              one: &one {router: {rule: a}, minServers: 1, settle: 1s}
              two: &two {<<: *one, minServers: 2, watch: 2s}
              three: {<<: [*two, *one], group: g}
            """
        services = load(dedent(text), FILE).services
        assert (services["two"].min_servers, services["two"].settle_s) == (2, 1.0)
        assert services["three"] == replace(
            services["two"], name="three", group="g", routers=(replace(services["one"].routers[0], name="three"),)
        )

    def test_a_byte_order_mark_and_windows_line_ends_are_no_matter(self) -> None:
        assert load("\ufeffenvironment: x\r\nservices: {}\r\n", FILE).environment == "x"


class TestDefaults:
    TEXT = """\
        environment: x
        defaults:
          hold: true
          settle: 9s
          sticky: {cookie: {name: common, secure: true}}
          router: {entryPoints: [websecure], tls: {certResolver: le}, priority: 7}
          loadBalancer: {passHostHeader: false, strategy: p2c}
          healthCheck: {path: /common, interval: 9s}
          deadlines: {waiting: 9m, approval: 9h}
        services:
          plain: {router: {rule: a}}
          own:
            hold: false
            settle: 1s
            sticky: {cookie: {name: own}}
            routers: {one: {rule: b, tls: {}}, two: {rule: c, priority: 1}}
            preview: {rule: d}
            loadBalancer: {strategy: wrr}
            healthCheck: {interval: 1s}
            deadlines: {waiting: 1m}
        """

    def test_a_service_has_them_where_it_says_nothing(self) -> None:
        plain = load(dedent(self.TEXT), FILE).services["plain"]
        assert plain == Service(
            name="plain",
            routers=(
                Router(
                    "plain",
                    "a",
                    {"rule": "a", "entryPoints": ["websecure"], "tls": {"certResolver": "le"}, "priority": 7},
                ),
            ),
            hold=True,
            settle_s=9.0,
            sticky={"cookie": {"name": "common", "secure": True}},
            load_balancer={"passHostHeader": False, "strategy": "p2c"},
            health_check=HealthCheck(mode=ProbeMode.HTTP, path="/common", interval_s=9.0),
            deadlines=Deadlines(waiting_s=540.0, approval_s=32400.0),
        )

    def test_a_services_own_key_wins_and_three_objects_merge_key_by_key(self) -> None:
        own = load(dedent(self.TEXT), FILE).services["own"]
        assert (own.hold, own.settle_s, own.sticky) == (False, 1.0, {"cookie": {"name": "own"}})
        assert own.load_balancer == {"passHostHeader": False, "strategy": "wrr"}
        assert own.health_check == HealthCheck(mode=ProbeMode.HTTP, path="/common", interval_s=1.0)
        assert own.deadlines == Deadlines(waiting_s=60.0, approval_s=32400.0)

    def test_router_keys_go_to_every_router_and_preview_that_does_not_have_them(self) -> None:
        own = load(dedent(self.TEXT), FILE).services["own"]
        common = {"entryPoints": ["websecure"], "tls": {"certResolver": "le"}, "priority": 7}
        assert [router.body for router in own.routers] == [
            {**common, "rule": "b", "tls": {}},
            {**common, "rule": "c", "priority": 1},
        ]
        assert own.preview is not None
        assert own.preview.body == {**common, "rule": "d"}

    def test_a_problem_in_them_is_reported_once_and_at_their_place(self) -> None:
        text = "environment: x\ndefaults: {settle: 5}\nservices: {a: {router: {rule: a}}, b: {router: {rule: b}}}"
        assert refused(text) == ["production.yaml:2:20: defaults.settle: 5 has no unit: write 5s for seconds"]


class TestPassThrough:
    def load(self, text: str) -> object:
        return load("environment: x\nservices: {}\n" + dedent(text), FILE).pass_through

    def test_empty_sections_are_dropped_and_nothing_inside_an_object_is(self) -> None:
        text = """\
            http: {routers: {}, middlewares: {zip: {compress: {}}, none: {}}, services: {a: {loadBalancer: {servers: []}}}}
            tcp: {routers: {}, services: {}}
            udp: {}
            tls: {certificates: [], options: {default: {}}}
            """
        assert self.load(text) == {
            "http": {
                "middlewares": {"zip": {"compress": {}}, "none": {}},
                "services": {"a": {"loadBalancer": {"servers": []}}},
            },
            "tls": {"options": {"default": {}}},
        }

    def test_scalars_are_those_of_yaml_1_2_and_fit_json(self) -> None:
        text = """\
            http:
              middlewares:
                m:
                  plugin: {a: on, b: 2001-01-01, c: 12:30:45, d: 1_000, e: 007, f: 0x10, g: 0o17, h: -1.5e3, i: ~, j: True,
                    1: one, off: zero, "k": "2", l: !!str 3, m: yes, n: 18446744073709551615s}
            """
        passed = self.load(text)
        assert json.loads(json.dumps(passed)) == {
            "http": {
                "middlewares": {
                    "m": {
                        "plugin": {
                            "a": "on",
                            "b": "2001-01-01",
                            "c": "12:30:45",
                            "d": "1_000",
                            "e": "007",
                            "f": 16,
                            "g": 15,
                            "h": -1500.0,
                            "i": None,
                            "j": True,
                            "1": "one",
                            "off": "zero",
                            "k": "2",
                            "l": "3",
                            "m": "yes",
                            "n": "18446744073709551615s",
                        }
                    }
                }
            }
        }

    def test_it_may_have_services_and_references_of_its_own(self) -> None:
        text = """\
            http:
              routers: {docs: {rule: "PathPrefix(`/docs`)", service: both}}
              services:
                both: {weighted: {services: [{name: a, weight: 1}, {name: b@docker, weight: 3}]}}
                a: {loadBalancer: {servers: [{url: "http://a:1"}]}}
            """
        assert self.load(text)


# What stands at which place of which file, word for word: the specification of the messages.
REFUSED = {
    "no mapping": ("[]", ["1:1: must be a mapping, not a list"]),
    "a bare word": ("hello", ["1:1: must be a mapping, not 'hello'"]),
    "an empty file": ("", ["1:1: the file is empty: it needs at least 'environment' and 'services'"]),
    "comments only": ("# later\n---\n", ["1:1: the file is empty: it needs at least 'environment' and 'services'"]),
    "two documents": (
        "environment: x\n---\nservices: {}",
        ["2:1: a second document: the file is one, so remove this '---'"],
    ),
    "a tab": (
        "environment: x\nservices:\n\tshop: {}",
        ["3:1: not valid YAML: a tab where only spaces may indent"],
    ),
    "a backtick": (
        "environment: x\nservices: {shop: {router: {rule: `x`}}}",
        ["2:34: not valid YAML: a value cannot begin with '`': put it in quotes"],
    ),
    "a colon in a value": (
        "environment: a: b",
        [
            (
                "1:15: not valid YAML: mapping values are not allowed in this context"
                " (quote a value that contains ': ', or check the indentation)"
            )
        ],
    ),
    "an open bracket": (
        "environment: [x\nservices: {}",
        ["2:9: not valid YAML: did not find expected ',' or ']' while parsing a flow sequence, begun in line 1"],
    ),
    "an open quote": (
        "environment: 'x",
        [
            (
                "1:16: not valid YAML: found unexpected end of stream while scanning a quoted scalar, begun in line 1"
                " (is a closing quote missing?)"
            )
        ],
    ),
    "a control character": ("é: ü\x07", ["1:5: not valid YAML: control characters are not allowed"]),
    "a surrogate": ("environment: \udc80", ["1:14: not UTF-8 text: a lone surrogate"]),
    "a template": (
        "environment: {{ env }}",
        ["1:15: a key must be a word, not a mapping or list: quote text that begins with { or ["],
    ),
    "an alias of nothing": ("environment: *env", ["1:14: the alias *env has no anchor &env above it"]),
    "an alias as a key": ("a: &a b\n*a : c", ["2:1: a key must be written out, not be the alias *a"]),
    "an alias of itself": (
        "environment: x\nservices: &all {shop: *all}",
        ["2:22: the alias *all stands inside the value that it repeats"],
    ),
    "a merge of no mapping": (
        "environment: x\nservices: {<<: [a]}",
        ["2:12: services: '<<' takes an alias of a mapping, or a list of them"],
    ),
    "depth": ("[" * 200_000, ["1:101: nested more than 100 deep"]),
    "tags": (
        "environment: !!binary aGk=\nservices: !shops {}",
        [
            "1:14: environment: the tag !!binary is not supported: write the value without it",
            "2:11: services: the tag !shops is not supported: write the value without it",
        ],
    ),
    "numbers that JSON cannot hold": (
        (
            "environment: x\nservices: {}\n"
            "http: {middlewares: {m: {a: .inf, b: -.Inf, c: .nan, d: 1e999, e: 9223372036854775808}}}"
        ),
        [
            "3:29: http.middlewares.m.a: .inf is no number that JSON can hold: put it in quotes if it is text",
            "3:38: http.middlewares.m.b: -.Inf is no number that JSON can hold: put it in quotes if it is text",
            "3:48: http.middlewares.m.c: .nan is no number that JSON can hold: put it in quotes if it is text",
            "3:57: http.middlewares.m.d: 1e999 is too large a number: put it in quotes if it is text",
            "3:67: http.middlewares.m.e: 9223372036854775808 is no 64-bit number: put it in quotes if it is text",
        ],
    ),
    "duplicate keys": (
        "services: {}\nenvironment: x\nservices: {}\nhttp: {routers: {a: {rule: x}, a: {rule: y}}}",
        [
            "3:1: services: duplicate key, first written at production.yaml:1:1",
            "4:32: http.routers.a: duplicate key, first written at production.yaml:4:18",
        ],
    ),
    "no services": (
        "environment: x",
        [
            "1:1: services: required key is missing: Every application under blue-green; write 'services: {}' to have none."
        ],
    ),
    "null services": (
        "environment: x\nservices:\n",
        ["2:10: services: names no services: write 'services: {}' if that is what is meant"],
    ),
    "no environment": (
        "services: {}",
        [
            (
                "1:1: environment: required key is missing: The name that containers carry as bluegreen.environment,"
                " such as production."
            )
        ],
    ),
    "types at the top": (
        "environment: 5\nrequireEnvironmentLabel: yes\nservices: []\ntls:\n",
        [
            '1:14: environment: must be a string, not 5: put it in quotes ("5")',
            "2:26: requireEnvironmentLabel: must be true or false, not 'yes'",
            "3:11: services: must be a mapping, not a list",
            "4:5: tls: has no value: write one ({} for an empty mapping), or remove the key",
        ],
    ),
    "unknown keys at the top": (
        "enviroment: x\nenvironment: x\nservices: {}\nmiddlewares: {}",
        [
            "1:1: enviroment: unknown key (did you mean 'environment'?)",
            (
                "4:1: middlewares: unknown key (known here: environment, requireEnvironmentLabel, traefik, defaults,"
                " services, http, tcp, udp, tls)"
            ),
        ],
    ),
    "the addresses of Traefik": (
        "environment: x\nservices: {}\ntraefik: {api: ['traefik:8080'], defaultCertificate: generated}",
        [
            "3:17: traefik.api[0]: 'traefik:8080' is no URL of a Traefik API: write one such as http://traefik:8080",
            (
                "3:54: traefik.defaultCertificate: this version cannot generate a certificate yet: write 'none', and give"
                " Traefik one of your own under tls.stores.default.defaultCertificate"
            ),
        ],
    ),
    "what is no default": (
        "environment: x\nservices: {}\ndefaults: {routers: {}, aktiv: blue, router: {rule: x}}",
        [
            "3:12: defaults.routers: no default: every service would get the same, so write it in each service",
            "3:25: defaults.aktiv: unknown key (did you mean 'active'?)",
            (
                "3:47: defaults.router.rule: unknown key (known here: entryPoints, middlewares, priority, tls,"
                " observability, parentRefs, ruleSyntax)"
            ),
        ],
    ),
    "names": (
        "environment: x\nservices:\n"
        + "".join(f"  {name}: {{router: {{rule: x}}}}\n" for name in ["a@b", "bluegreen-a", '""']),
        [
            f"2:{column}: services.{name}: '{name}' is no name: it needs a character or more, none of them '@', '/' or"
            " white space, and must not begin with 'bluegreen-'"
            for column, name in ((12, "a@b"), (38, "bluegreen-a"), (72, ""))
        ],
    ),
    "no router": (one("{}"), ["3:3: services.shop: has no router: write router: {rule: Host(`shop.example.com`)}"]),
    "both router and routers": (
        one("router: {rule: x}\nrouters: {shop: {rule: x}}"),
        ["3:3: services.shop: has both 'router' and 'routers': keep one of them"],
    ),
    "no routers": (one("routers: {}"), ["4:14: services.shop.routers: needs at least one entry"]),
    "a router without a rule": (
        one("router: {tls: {}}"),
        [
            (
                "4:5: services.shop.router.rule: required key is missing: What the router matches, such as"
                " Host(`shop.example.com`)"
            )
        ],
    ),
    "an empty rule": (
        one("routers: {a: {rule: '  '}}"),
        [
            (
                "4:25: services.shop.routers.a.rule: '  ' is no rule: write what the router matches, such as"
                " Host(`shop.example.com`)"
            )
        ],
    ),
    "what Traefik would refuse in a router": (
        one("""\
            router:
              rule: x
              service: shop
              entrypoints: [web]
              middlewares: compress
              priority: 1.5
              tls:
              observability: {}
              ruleSyntax: v4
            """),
        [
            (
                "6:7: services.shop.router.service: a router's service is made by the daemon from the name of the"
                " service: remove this key"
            ),
            "7:7: services.shop.router.entrypoints: unknown key (did you mean 'entryPoints'?)",
            "8:20: services.shop.router.middlewares: must be a list, not 'compress'",
            "9:17: services.shop.router.priority: must be a whole number, not 1.5",
            "10:11: services.shop.router.tls: has no value: write one ({} for an empty mapping), or remove the key",
            (
                "11:22: services.shop.router.observability: is empty, which Traefik refuses here: write a key into it or"
                " remove it"
            ),
            "12:19: services.shop.router.ruleSyntax: must be 'v2' or 'v3', not 'v4' (did you mean 'v3'?)",
        ],
    ),
    "what Traefik would refuse in a load balancer": (
        one("""\
            router: {rule: x}
            loadBalancer:
              servers: []
              healthCheck: {path: /}
              passHostHeader: 'true'
              strategy: random
              responseForwarding: {flushInterval: 5}
              passiveHealthCheck: {}
            sticky: {cookie: {name: 5, httponly: true, maxAge: 1.5}}
            """),
        [
            (
                "6:7: services.shop.loadBalancer.servers: servers come from Docker's labels or from 'servers' of the"
                " service: remove this key"
            ),
            (
                "7:7: services.shop.loadBalancer.healthCheck: health is checked by the daemon, since Traefik forgets its"
                " own results at every change: use 'healthCheck' of the service"
            ),
            "8:23: services.shop.loadBalancer.passHostHeader: must be true or false, not 'true'",
            "9:17: services.shop.loadBalancer.strategy: must be 'wrr', 'p2c', 'hrw' or 'leasttime', not 'random'",
            (
                "10:43: services.shop.loadBalancer.responseForwarding.flushInterval: must be a string, not 5: put it in"
                ' quotes ("5")'
            ),
            (
                "11:27: services.shop.loadBalancer.passiveHealthCheck: is empty, which Traefik refuses here: write a key"
                " into it or remove it"
            ),
            '12:29: services.shop.sticky.cookie.name: must be a string, not 5: put it in quotes ("5")',
            "12:32: services.shop.sticky.cookie.httponly: unknown key (did you mean 'httpOnly'?)",
            "12:56: services.shop.sticky.cookie.maxAge: must be a whole number, not 1.5",
        ],
    ),
    "keys of a service": (
        one("""\
            router: {rule: x}
            active: bleu
            initial: red
            hold: yes
            group: a b
            minServers: 0
            healthChek: {}
            approval: auto
            """),
        [
            "5:13: services.shop.active: must be 'auto', 'blue' or 'green', not 'bleu' (did you mean 'blue'?)",
            "6:14: services.shop.initial: must be 'blue' or 'green', not 'red'",
            "7:11: services.shop.hold: must be true or false, not 'yes'",
            (
                "8:12: services.shop.group: 'a b' is no name: it needs a character or more, none of them '@', '/' or white"
                " space, and must not begin with 'bluegreen-'"
            ),
            "9:17: services.shop.minServers: must be at least 1, not 0",
            "10:5: services.shop.healthChek: unknown key (did you mean 'healthCheck'?)",
            "11:15: services.shop.approval: must be 'automatic' or 'manual', not 'auto' (did you mean 'automatic'?)",
        ],
    ),
    "durations": (
        one("""\
            router: {rule: x}
            settle: 5
            watch: -5s
            healthCheck: {timout: 1s, interval: 0s, timeout: 5 s}
            deadlines: {waiting: true, testing: 0.5, approval: 9999999h, confirming: 10}
            """),
        [
            "5:13: services.shop.settle: 5 has no unit: write 5s for seconds",
            "6:12: services.shop.watch: '-5s' is negative: a duration here is not",
            "7:19: services.shop.healthCheck.timout: unknown key (did you mean 'timeout'?)",
            "7:41: services.shop.healthCheck.interval: must be longer than zero, not '0s'",
            (
                "7:54: services.shop.healthCheck.timeout: '5 s' is no duration: write numbers with units, such as 300ms, 5s"
                " or 1m30s"
            ),
            "8:26: services.shop.deadlines.waiting: true is no duration: write one such as 5s or 1m30s",
            "8:41: services.shop.deadlines.testing: 0.5 has no unit: write 0.5s for seconds",
            "8:56: services.shop.deadlines.approval: '9999999h' is too long: Go's durations end at 2562047h, 292 years",
            "8:78: services.shop.deadlines.confirming: 10 has no unit: write 10s for seconds",
        ],
    ),
    "health checks": (
        one("""\
            router: {rule: x}
            healthCheck: {mode: tcp, path: x, port: 70000, status: 99, method: get, headers: {a b: c, d: 1}}
            """),
        [
            "5:30: services.shop.healthCheck.path: has no meaning with mode tcp: remove it, or write mode: http",
            (
                "5:36: services.shop.healthCheck.path: 'x' is no path: write one that begins with '/', without white space,"
                " and beyond ASCII as %xx"
            ),
            "5:45: services.shop.healthCheck.port: must be at most 65535, not 70000",
            "5:52: services.shop.healthCheck.status: has no meaning with mode tcp: remove it, or write mode: http",
            "5:60: services.shop.healthCheck.status: must be at least 100, not 99",
            "5:64: services.shop.healthCheck.method: has no meaning with mode tcp: remove it, or write mode: http",
            "5:72: services.shop.healthCheck.method: 'get' is no HTTP method: write one such as GET",
            "5:77: services.shop.healthCheck.headers: has no meaning with mode tcp: remove it, or write mode: http",
            "5:87: services.shop.healthCheck.headers.a b: 'a b' is no name of an HTTP header",
            '5:98: services.shop.healthCheck.headers.d: must be a string, not 1: put it in quotes ("1")',
        ],
    ),
    "an http check under a default of tcp": (
        (
            "environment: x\ndefaults: {healthCheck: {mode: tcp}}\n"
            "services: {shop: {router: {rule: x}, healthCheck: {path: /}}}"
        ),
        ["3:52: services.shop.healthCheck.path: has no meaning with mode tcp: remove it, or write mode: http"],
    ),
    "smoke tests": (
        one("router: {rule: x}\nsmokeTests: [{name: a}, {name: a}, {status: 1000}]"),
        [
            "5:36: services.shop.smokeTests[1].name: 'a' is the name of an earlier test: give each its own",
            "5:40: services.shop.smokeTests[2].name: required key is missing: What messages call this test.",
            "5:49: services.shop.smokeTests[2].status: must be at most 599, not 1000",
        ],
    ),
    "servers": (
        one("""\
            router: {rule: x}
            servers:
              blue: {urls: [], version: [1]}
              green: {version: ''}
              red: {}
            """),
        [
            "6:20: services.shop.servers.blue.urls: needs at least one entry",
            "6:33: services.shop.servers.blue.version: must be a version such as 1.4.2",
            "7:7: services.shop.servers.green.urls: required key is missing: Addresses as Traefik sees them.",
            "7:24: services.shop.servers.green.version: must be a version such as 1.4.2",
            "8:7: services.shop.servers.red: unknown key (known here: blue, green)",
        ],
    ),
    "a server twice": (
        one("router: {rule: x}\nservers: {blue: {urls: ['http://a:1', 'http://a:1']}, green: {urls: ['http://a:1/']}}"),
        [
            (
                "5:43: services.shop.servers.blue.urls[1]: 'http://a:1' is a server of this colour already: each server has"
                " one colour"
            ),
            (
                "5:74: services.shop.servers.green.urls[0]: 'http://a:1/' is a server of blue already: each server has one"
                " colour"
            ),
        ],
    ),
    "clashing names": (
        dedent("""\
            environment: x
            services:
              shop: {router: {rule: a}}
              shop-blue: {router: {rule: b}}
              shop-preview: {router: {rule: c}}
              other: {routers: {shop: {rule: d}}}
            http:
              services: {shop-green: {loadBalancer: {}}}
              routers: {other-preview: {rule: e}}
            """),
        [
            (
                "4:3: services.shop-blue: clashes with services.shop (production.yaml:3:3): both are the service"
                " 'shop-blue' in Traefik; rename one"
            ),
            (
                "5:3: services.shop-preview: clashes with services.shop (production.yaml:3:3): both are the router"
                " 'shop-preview' in Traefik; rename one"
            ),
            (
                "6:21: services.other.routers.shop: clashes with services.shop (production.yaml:3:3): both are the router"
                " 'shop' in Traefik; rename one"
            ),
            (
                "8:14: http.services.shop-green: clashes with services.shop (production.yaml:3:3): both are the service"
                " 'shop-green' in Traefik; rename one"
            ),
            (
                "9:13: http.routers.other-preview: clashes with services.other (production.yaml:6:3): both are the router"
                " 'other-preview' in Traefik; rename one"
            ),
        ],
    ),
    "unknown sections": (
        "environment: x\nservices: {}\nhttp: {router: {}}\ntcp: {models: {}}\nudp: {middlewares: {}}\ntls: {store: {}}",
        [
            "3:8: http.router: unknown key (did you mean 'routers'?)",
            "4:7: tcp.models: unknown key (known here: routers, services, middlewares, serversTransports)",
            "5:7: udp.middlewares: unknown key (known here: routers, services)",
            "6:7: tls.store: unknown key (did you mean 'stores'?)",
        ],
    ),
    "names in what is passed through": (
        "environment: x\nservices: {}\nhttp: {middlewares: {bluegreen-0: {}, a@b: {}}, routers: {a: b}}",
        [
            (
                "3:22: http.middlewares.bluegreen-0: 'bluegreen-0' is reserved: middlewares named bluegreen-... mark the"
                " daemon's documents"
            ),
            "3:39: http.middlewares.a@b: 'a@b' is no name in Traefik: it needs a character or more, none of them '@'",
            "3:62: http.routers.a: must be a mapping, not 'b'",
        ],
    ),
    "weights": (
        dedent("""\
            environment: x
            services: {}
            http: {services: {a: {weighted: {services: [{name: b, weight: 0}, {name: c, weight: 0.5}]}}}}
            tcp: {services: {a: {weighted: {services: [{name: b, weight: -1}]}}}}
            udp: {services: {a: {weighted: {services: [{name: b, weight: "1"}]}}}}
            """),
        [
            f"{place}.services.a.weighted.services[{index}].weight: must be a whole number from 1 on, not {weight}:"
            " Traefik mistreats any other weight, so leave out a service that gets no traffic"
            for place, index, weight in (
                ("3:63: http", 0, "0"),
                ("3:85: http", 1, "0.5"),
                ("4:62: tcp", 0, "-1"),
                ("5:62: udp", 0, "1"),
            )
        ],
    ),
    "aliases that were forgotten": (
        "environment: x\nservices: {shop: &a {router: {rule: x, tsl: {}}}, two: *a}",
        [
            "2:39: services.shop.router.tsl: unknown key (did you mean 'tls'?)",
            "2:39: services.two.router.tsl: unknown key (did you mean 'tls'?)",
        ],
    ),
}


@pytest.mark.parametrize(("text", "messages"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_refused_with_its_place_and_the_way_out(text: str, messages: list[str]) -> None:
    """P11: everything at once, in the order of the file."""
    assert refused(text) == [f"{FILE}:{message}" for message in messages]


@pytest.mark.parametrize(
    "url",
    [
        "127.0.0.1:80",
        "http://",
        "ftp://a",
        "http://a:0",
        "http://a:65536",
        "http://a/path",
        "http://a?q",
        "http://a b",
        "http://user@a",
        "http://[::1",
        "//a",
        "http://a:b",
        "http://ü",
    ],
)
def test_a_server_that_is_no_url_is_refused(url: str) -> None:
    assert refused(one(f"router: {{rule: x}}\nservers: {{blue: {{urls: ['{url}']}}}}")) == [
        (
            f"production.yaml:5:29: services.shop.servers.blue.urls[0]: '{url}' is no server URL: write http, https or h2c,"
            " a host, a port and no path, such as http://10.0.0.5:8080"
        )
    ]


@pytest.mark.parametrize("name", ["shop", "shop-blue", "shop-green", "shop@http"])
@pytest.mark.parametrize(
    ("place", "path"),
    [
        ("routers: {r: {service: NAME}}", "routers.r.service"),
        ("middlewares: {m: {errors: {service: NAME}}}", "middlewares.m.errors.service"),
        ("services: {s: {mirroring: {service: NAME}}}", "services.s.mirroring.service"),
        ("services: {s: {mirroring: {mirrors: [{name: NAME}]}}}", "services.s.mirroring.mirrors[0].name"),
        ("services: {s: {failover: {service: NAME}}}", "services.s.failover.service"),
        ("services: {s: {failover: {fallback: NAME}}}", "services.s.failover.fallback"),
        ("services: {s: {weighted: {services: [{name: NAME}]}}}", "services.s.weighted.services[0].name"),
        (
            "services: {s: {highestRandomWeight: {services: [{name: NAME}]}}}",
            "services.s.highestRandomWeight.services[0].name",
        ),
    ],
)
def test_a_reference_to_what_the_daemon_makes_is_refused(place: str, path: str, name: str) -> None:
    """Rule 15."""
    line = f"http: {{{place.replace('NAME', name)}}}"
    assert refused(f"environment: x\nservices: {{shop: {{router: {{rule: x}}}}}}\n{line}") == [
        (
            f"production.yaml:3:{line.index(name) + 1}: http.{path}: refers to {name!r}, which the daemon makes for"
            " services.shop and changes with every switch: give that service a further router under 'routers' instead"
        )
    ]


class TestLimits:
    def test_a_text_above_5_mib_is_refused_before_it_is_parsed(self) -> None:
        assert refused("{" * (config.MAX_BYTES + 1)) == [
            "production.yaml:1:1: 5.0 MiB are too much: a desired-state file has 5 MiB at most"
        ]

    def test_aliases_that_expand_past_100_000_nodes_are_refused(self) -> None:
        laughs = ["a0: &a0 [" + ", ".join("x" * 10) + "]"]
        laughs += [f"a{n}: &a{n} [" + ", ".join([f"*a{n - 1}"] * 10) + "]" for n in range(1, 30)]
        (message,) = refused("\n".join(laughs))
        assert re.fullmatch(
            r"production.yaml:5:\d+: aliases repeat more than 100,000 values: write less with them", message
        )

    def test_a_plain_file_of_10_000_services_loads(self) -> None:
        one_service = "{router: {rule: Host(`a`)}, servers: {blue: {urls: [http://10.0.0.1:80]}}}"
        services = "".join(f"  s{number}: {one_service}\n" for number in range(10_000))
        assert len(load(f"environment: x\nservices:\n{services}", FILE).services) == 10_000


class TestRelease:
    def test_a_fixed_release_is_eight_hex_digits_that_never_change(self) -> None:
        """Stored releases are compared with it after an upgrade of the daemon."""
        assert fixed_release(["http://a:1", "http://b:1"], "1.4.2") == "5e6b1d3c"

    def test_the_order_of_the_urls_does_not_matter_and_everything_else_does(self) -> None:
        base = fixed_release(["http://a:1", "http://b:1"], "1")
        assert fixed_release(["http://b:1", "http://a:1"], "1") == base
        others = [(["http://a:1"], "1"), (["http://a:1", "http://b:1"], "2"), (["http://a:1", "http://b:1"], None)]
        assert len({base, *(fixed_release(urls, version) for urls, version in others)}) == 4


class TestDuration:
    UNITS: ClassVar = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 10_000),
                st.none() | st.text(string.digits, max_size=9),
                st.sampled_from(sorted(UNITS)),
            ),
            min_size=1,
            max_size=8,
        )
    )
    def test_it_is_the_sum_of_its_parts(self, parts: list[tuple[int, str | None, str]]) -> None:
        text = "".join(f"{whole}{'' if part is None else f'.{part}'}{unit}" for whole, part, unit in parts)
        wanted = sum(float(f"{whole}.{part or 0}") * self.UNITS[unit] for whole, part, unit in parts)
        assert parse_duration(text) == pytest.approx(wanted, rel=1e-9, abs=1e-8)

    @pytest.mark.parametrize(
        ("text", "seconds"), [("0", 0.0), ("+5s", 5.0), (".5s", 0.5), ("1.s", 1.0), ("-0s", 0.0), ("1h2m3.5s", 3723.5)]
    )
    def test_it_takes_what_go_takes(self, text: str, seconds: float) -> None:
        assert parse_duration(text) == seconds

    @given(st.text(alphabet="0123456789.+-hmsunµ ", max_size=12))
    @example("5")
    @example("")
    @example(".s")
    @example("1e3s")
    @example("1d")
    @example("9" * 5000 + "h")
    def test_it_gives_seconds_or_says_why_not(self, text: str) -> None:
        try:
            seconds, why_not = parse_duration(text), ""
        except ValueError as error:
            seconds, why_not = 0.0, str(error)
        assert seconds >= 0
        assert re.match(r"is no duration|is too long|is negative|has more digits|$", why_not)


class TestSchema:
    def properties(self, name: str) -> dict[str, dict[str, object]]:
        return json.loads(json.dumps(config.schema()))["$defs"][name]["properties"]  # type: ignore[no-any-return]

    def test_editors_learn_of_unknown_keys_choices_and_what_is_refused(self) -> None:
        assert config.schema()["additionalProperties"] is False
        assert self.properties("ServiceObject")["active"]["enum"] == ["auto", "blue", "green"]
        assert self.properties("RouterObject")["service"]["not"] == {}
        assert self.properties("TraefikKeys")["defaultCertificate"]["enum"] == ["none", "generated"]

    @pytest.mark.parametrize("text", ["5s", "1m30s", "0.5h", "300ms"])
    def test_its_pattern_of_a_duration_fits(self, text: str) -> None:
        assert re.search(str(self.properties("DeadlineKeys")["waiting"]["pattern"]), text)


WORDS = sorted({*re.findall(r"[a-zA-Z-]+(?=:)", EVERYTHING), "http", "tcp", "weighted", "blue"})
STRUCTURES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=20,
)


class TestAnyText:
    @given(st.text())
    def test_it_is_loaded_or_refused(self, text: str) -> None:
        """P4: a bad file is never more than a message."""
        loaded_or_refused(text)

    @given(st.data())
    def test_a_damaged_file_is_loaded_or_refused(self, data: st.DataObject) -> None:
        text = dedent(EVERYTHING)
        for _ in range(data.draw(st.integers(1, 3))):
            start = data.draw(st.integers(0, len(text)))
            end = data.draw(st.integers(start, min(len(text), start + 30)))
            pieces = st.sampled_from(
                [*list("{}[]:,*&!|>'\"%@`#?-~\n\t "), "<<: *a", "&a ", "!!set ", "\n- ", ": ", "5"]
            )
            text = text[:start] + data.draw(pieces | st.text(max_size=3)) + text[end:]
        loaded_or_refused(text)

    @given(STRUCTURES)
    def test_any_structure_is_loaded_or_refused(self, value: object) -> None:
        loaded_or_refused(
            json.dumps({"environment": "x", "services": {"shop": value}, "http": value, "defaults": value})
        )


def loaded_or_refused(text: str) -> None:
    """Load a text; problems are in order, and each is at a place that the text has."""
    problems: tuple[Problem, ...] = ()
    try:
        load(text, FILE)
    except DesiredStateError as error:
        problems = error.problems or pytest.fail("refused without a problem")
    assert list(problems) == sorted(problems)
    lines = text.split("\n")
    for problem in problems:
        assert 1 <= problem.line <= len(lines)
        assert 1 <= problem.column <= len(lines[problem.line - 1]) + 1
