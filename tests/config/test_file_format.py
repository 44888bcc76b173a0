import json
import re
import string
from dataclasses import replace
from textwrap import dedent
from typing import Any, ClassVar

import jsonschema
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from provider import config
from provider.config import fixed_release, load, parse_duration
from provider.model import (
    ByColour,
    Colour,
    Deadlines,
    Desired,
    Endpoint,
    FixedServers,
    HealthCheck,
    JsonObject,
    ProbeMode,
    Router,
    Service,
    SmokeTest,
    Wish,
)
from provider.model.errors import DesiredStateError, Problem, TraefikError
from provider.model.traefik_schema.versions import Later
from provider.traefik.process import find_binary
from provider.traefik.validation import validate
from tests.support.components import missing
from tests.support.desired_state import FILE, one, refused

RULE = "Host(`shop.example.com`)"
EVERYTHING = """\
    environment: production
    requireEnvironmentLabel: true
    traefik:
      api: ["http://traefik:8080", "https://[::1]:8080/behind/a/proxy"]
      defaultCertificate: generated
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
            tls: {options: modern@file, certResolver: le, domains: [{main: example.com, sans: ["*.example.com"]}]}
        preview: {rule: Host(`preview.shop.example.com`)}
        loadBalancer:
          passHostHeader: false
          strategy: p2c
          serversTransport: internal@file
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


def shop(body: str) -> Service:
    return load(one(f"router: {{rule: {RULE}}}\n{dedent(body)}"), FILE).services["shop"]


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
            "tls": {"options": "modern@file", "certResolver": "le", "domains": domains},
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
            endpoints=(
                Endpoint(
                    load_balancer={
                        "passHostHeader": False,
                        "strategy": "p2c",
                        "serversTransport": "internal@file",
                        "responseForwarding": {"flushInterval": "-1ms"},
                        "passiveHealthCheck": {"failureWindow": "10s", "maxFailedAttempts": 3},
                        "sticky": {"cookie": {}},
                    },
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
                ),
            ),
            sticky={"cookie": cookie},
            servers=ByColour(
                blue=FixedServers(blue, "1.4.1", fixed_release(blue, "1.4.1")),
                green=FixedServers(green, None, fixed_release(green, None)),
            ),
            min_servers=2,
            settle_s=0.0,
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
            generate_certificate=True,
            later_keys=(
                Later("services.shop.routers.shop.observability", (3, 3)),
                Later("services.shop.routers.shop.observability.traceVerbosity", (3, 5)),
                Later("services.shop.loadBalancer.strategy", (3, 4)),
                Later("services.shop.loadBalancer.passiveHealthCheck", (3, 6)),
                Later("services.shop.sticky.cookie.path", (3, 3)),
                Later("services.shop.sticky.cookie.domain", (3, 4)),
            ),
        )

    def test_what_is_not_written_is_the_default_of_the_model(self) -> None:
        assert shop("") == Service(name="shop", routers=(Router("shop", RULE, {"rule": RULE}),))

    def test_no_services_are_accepted_in_so_many_words(self) -> None:
        """Rule 12."""
        assert load("environment: x\nservices: {}", FILE).services == {}

    @pytest.mark.parametrize("key", ["path: /", "status: 200", "headers: {A: b}", "scheme: https"])
    def test_a_key_of_an_http_request_makes_the_check_http(self, key: str) -> None:
        assert shop(f"healthCheck: {{{key}}}").endpoints[0].health_check.mode is ProbeMode.HTTP

    def test_a_check_without_such_a_key_is_left_to_docker_or_tcp(self) -> None:
        assert shop("healthCheck: {interval: 3s, port: 81}").endpoints[0].health_check == HealthCheck(
            interval_s=3.0, port=81
        )

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
            endpoints=(
                Endpoint(
                    load_balancer={"passHostHeader": False, "strategy": "p2c"},
                    health_check=HealthCheck(mode=ProbeMode.HTTP, path="/common", interval_s=9.0),
                ),
            ),
            deadlines=Deadlines(waiting_s=540.0, approval_s=32400.0),
        )

    def test_a_services_own_key_wins_and_three_objects_merge_key_by_key(self) -> None:
        own = load(dedent(self.TEXT), FILE).services["own"]
        assert (own.hold, own.settle_s, own.sticky) == (False, 1.0, {"cookie": {"name": "own"}})
        assert own.endpoints[0].load_balancer == {"passHostHeader": False, "strategy": "wrr"}
        assert own.endpoints[0].health_check == HealthCheck(mode=ProbeMode.HTTP, path="/common", interval_s=1.0)
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
            http:
              routers: {}
              middlewares: {zip: {compress: {}}, none: {}}
              services: {a: {loadBalancer: {servers: []}}}
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
                  plugin: {a: on, b: 2001-01-01, c: 12:30:45, d: 1_000, e: 007, f: 0x10, g: 0o17, h: -1.5e3, i: ~,
                    j: True, 1: one, off: zero, "k": "2", l: !!str 3, m: yes, n: 18446744073709551615s}
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


class TestRealTraefik:
    """What is accepted here must decode there, since one wrong key makes Traefik refuse the whole document."""

    async def validate(
        self, router: JsonObject, load_balancer: JsonObject, sticky: JsonObject | None
    ) -> tuple[str, ...]:
        services = {
            "shop": {"weighted": {"services": [{"name": "shop-blue", "weight": 1}], "sticky": sticky}},
            "shop-blue": {"loadBalancer": {**load_balancer, "servers": [{"url": "http://127.0.0.1:1"}]}},
        }
        transport = {"internal": {"insecureSkipVerify": True}}
        routers = {"shop": {**router, "service": "shop"}}
        options = {"tls": {"options": {"modern": {"minVersion": "VersionTLS13"}}}}
        mark = {"bluegreen-0123456789ab": {"headers": {"customResponseHeaders": {"X-Document": "x"}}}}
        http = {"routers": routers, "services": services, "serversTransports": transport, "middlewares": mark}
        try:
            binary = find_binary()
        except TraefikError as error:
            missing("traefik", str(error))
        return (await validate(json.dumps({"http": http, **options}).encode(), binary=binary)).errors

    async def test_it_takes_every_key_of_its_own_that_is_accepted(self) -> None:
        service = load(dedent(EVERYTHING), FILE).services["shop"]
        body: dict[str, object] = {}
        for router in service.routers:
            body |= router.body
        body |= {"ruleSyntax": "v3"}
        del body["middlewares"]  # of another provider
        body |= {"rule": RULE, "tls": {"options": "modern"}}
        load_balancer = {**service.endpoints[0].load_balancer, "serversTransport": "internal"}
        assert not await self.validate(body, load_balancer, service.sticky)

    @pytest.mark.parametrize(
        ("router", "load_balancer"),
        [
            ({"observability": {}}, {}),
            ({"entryPoint": ["web"]}, {}),
            ({"priority": 1.5}, {}),
            ({}, {"responseForwarding": {}}),
            ({}, {"passiveHealthCheck": {}}),
            ({}, {"passHostHeader": "yes"}),
        ],
    )
    async def test_it_refuses_what_is_refused_here(
        self, router: dict[str, object], load_balancer: dict[str, object]
    ) -> None:
        written = json.dumps({"router": {"rule": "x", **router}, "loadBalancer": load_balancer})
        assert len(refused(f'{{"environment": "x", "services": {{"shop": {written}}}}}')) == 1
        (error,) = await self.validate({"rule": RULE, **router}, load_balancer, {"cookie": {}})
        assert "cannot be a standalone element" in error or "field not found" in error or "invalid syntax" in error


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
        assert fixed_release(["http://a:1", "http://b:1"], "1.4.2") == "b13940bb"

    def test_the_order_of_the_urls_does_not_matter_and_everything_else_does(self) -> None:
        base = fixed_release(["http://a:1", "http://b:1"], "1")
        assert fixed_release(["http://b:1", "http://a:1"], "1") == base
        others = [(["http://a:1"], "1"), (["http://a:1", "http://b:1"], "2"), (["http://a:1", "http://b:1"], None)]
        assert len({base, *(fixed_release(urls, version) for urls, version in others)}) == 4


class TestDuration:
    UNITS: ClassVar = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}

    @settings(deadline=None)
    @given(
        st.lists(
            st.tuples(
                st.integers(0, 10_000),
                st.none() | st.text(string.digits, max_size=4),
                st.sampled_from(sorted(UNITS)),
            ),
            min_size=1,
            max_size=8,
        )
    )
    def test_it_is_the_sum_of_its_parts(self, parts: list[tuple[int, str | None, str]]) -> None:
        text = "".join(f"{whole}{'' if part is None else f'.{part}'}{unit}" for whole, part, unit in parts)
        expected = sum(float(f"{whole}.{part or 0}") * self.UNITS[unit] for whole, part, unit in parts)
        assert parse_duration(text) == pytest.approx(expected, rel=1e-9, abs=1e-8)

    @pytest.mark.parametrize(
        ("text", "seconds"), [("0", 0.0), ("+5s", 5.0), (".5s", 0.5), ("1.s", 1.0), ("-0s", 0.0), ("1h2m3.5s", 3723.5)]
    )
    def test_it_takes_what_go_takes(self, text: str, seconds: float) -> None:
        assert parse_duration(text) == seconds

    @settings(deadline=None)
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

    def stated(self, name: str) -> dict[str, object]:
        return {key: each["default"] for key, each in self.properties(name).items() if "default" in each}

    def test_the_defaults_that_it_states_are_those_that_hold(self) -> None:
        plain: dict[str, Any] = {
            "environment": "production",
            "services": {"shop": {"router": {"rule": RULE}, "healthCheck": {"mode": "http"}}},
        }
        plain["services"]["shop"]["smokeTests"] = [{"name": "home"}]
        written = json.loads(json.dumps(plain))
        shop = written["services"]["shop"]
        shop |= {**self.stated("ServiceObject"), "deadlines": self.stated("DeadlineKeys")}
        shop["healthCheck"] |= self.stated("HealthCheckKeys")
        shop["smokeTests"][0] |= self.stated("SmokeTestKeys")
        written["traefik"] = self.stated("TraefikKeys")
        written["requireEnvironmentLabel"] = config.schema()["properties"]["requireEnvironmentLabel"]["default"]  # type: ignore[index]
        assert set(shop) >= {"active", "hold", "settle", "approval", "watch"}
        assert load(json.dumps(written), FILE) == load(json.dumps(plain), FILE)

    def test_every_key_has_a_description_and_its_examples_are_valid(self) -> None:
        schema: dict[str, Any] = json.loads(json.dumps(config.schema()))
        validator = jsonschema.Draft202012Validator
        validator.check_schema(schema)
        for name, holder in {"the file": schema, **schema["$defs"]}.items():
            for key, each in holder.get("properties", {}).items():
                assert each.get("description"), f"{name}: {key}"
                for value in [*each.get("examples", []), *([each["default"]] if "default" in each else [])]:
                    validator({**each, "$defs": schema["$defs"]}).validate(value)


WORDS = sorted({*re.findall(r"[a-zA-Z-]+(?=:)", EVERYTHING), "http", "tcp", "weighted", "blue"})
STRUCTURES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=4),
    max_leaves=20,
)


class TestAnyText:
    @settings(deadline=None)
    @given(st.text())
    def test_it_is_loaded_or_refused(self, text: str) -> None:
        """P4: a bad file is never more than a message."""
        loaded_or_refused(text)

    @settings(deadline=None)
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

    @settings(deadline=None)
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
