# ruff: noqa: E501, ISC004  messages stand whole
"""Traefik's objects in the file: read as Traefik reads them, refused for what it refuses, and left alone on request."""

from textwrap import dedent
from typing import Any

import pytest

from provider.config import load, load_accepted
from provider.model import Desired, Service
from tests.support.desired_state import FILE, one, refused

RULE = "Host(`shop.example.com`)"


def passed(text: str) -> Desired:
    return load(f"environment: x\nservices: {{}}\n{dedent(text)}", FILE)


def shop(body: str, defaults: str = "{}") -> Service:
    text = f"environment: x\ndefaults: {defaults}\nservices: {{shop: {{{body}}}}}"
    return load(text, FILE).services["shop"]


class TestAsTraefikReads:
    def test_keys_in_any_case_are_the_documented_ones(self) -> None:
        """Traefik compares keys with strings.EqualFold."""
        text = "http: {Middlewares: {Sec: {HEADERS: {framedeny: true, customREQUESTheaders: {X-Mine: a}}}}}"
        assert passed(text).pass_through == {
            "http": {"middlewares": {"Sec": {"headers": {"frameDeny": True, "customRequestHeaders": {"X-Mine": "a"}}}}}
        }

    def test_the_objects_of_a_service_are_read_like_it(self) -> None:
        service = shop(f'router: {{RULE: "{RULE}", EntryPoints: [web], TLS: {{}}}}, sticky: {{Cookie: {{NAME: a}}}}')
        assert service.routers[0].rule == RULE
        assert service.routers[0].body == {"rule": RULE, "entryPoints": ["web"], "tls": {}}
        assert service.sticky == {"cookie": {"name": "a"}}

    @pytest.mark.parametrize(
        ("written", "read"),
        [
            ("{headers: {frameDeny: 'true'}}", {"headers": {"frameDeny": True}}),
            ("{headers: {stsSeconds: '60', frameDeny: 0}}", {"headers": {"stsSeconds": 60, "frameDeny": False}}),
            ("{headers: {customResponseHeaders: {X: 0, Y: true}}}", {"headers": {"customResponseHeaders": {"X": "0", "Y": "true"}}}),
            ("{chain: {middlewares: 'a@f, b@f'}}", {"chain": {"middlewares": ["a@f", "b@f"]}}),
            ("{errors: {status: [404, 500-599]}}", {"errors": {"status": ["404", "500-599"]}}),
            ("{retry: {attempts: 3.0, initialInterval: 5}}", {"retry": {"attempts": 3, "initialInterval": "5s"}}),
            ("{compress: true}", {"compress": {}}),
            ("{compress: false, addPrefix: {prefix: /a}}", {"compress": False, "addPrefix": {"prefix": "/a"}}),
        ],
    )  # fmt: skip
    def test_what_traefik_converts_is_what_it_makes_of_it(self, written: str, read: object) -> None:
        http: Any = passed(f"http: {{middlewares: {{m: {written}}}}}").pass_through["http"]
        assert http["middlewares"]["m"] == read

    def test_tls_true_is_tls_and_false_takes_that_of_the_defaults_away(self) -> None:
        assert shop("router: {rule: x, tls: true}").routers[0].body["tls"] == {}
        assert "tls" not in shop("router: {rule: x, tls: false}", "{router: {tls: {}}}").routers[0].body

    def test_a_string_is_taken_for_a_boolean_in_a_load_balancer(self) -> None:
        assert shop("router: {rule: x}, loadBalancer: {passHostHeader: 'false'}").endpoints[0].load_balancer == {
            "passHostHeader": False
        }

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            (
                "http: {services: {w: {weighted: {services: [{name: a@f, Weight: 0}]}}}}",
                "4:65: http.services.w.weighted.services[0].weight: must be a whole number from 1 on, not 0",
            ),
            (
                'http: {services: {w: {Weighted: {Services: [{name: a@f, weight: "0"}]}}}}',
                "4:65: http.services.w.weighted.services[0].weight: must be a whole number from 1 on, not 0",
            ),
            (
                'http: {services: {s: {loadBalancer: {servers: [{url: "http://a", WEIGHT: 0}]}}}}',
                "4:74: http.services.s.loadBalancer.servers[0].weight: must be a whole number from 1 on, not 0: Traefik mistreats any other weight, so leave out a server that gets no traffic",
            ),
            (
                "http: {routers: {r: {rule: x, Service: shop-blue}}}",
                "4:40: http.routers.r.service: refers to 'shop-blue'",
            ),
            ("HTTP: {routers: {r: {rule: x}}}", "4:1: HTTP: unknown key (did you mean 'http'?)"),
            ("http: {Routers: {shop: {rule: x}}}", "4:18: http.routers.shop: clashes with services.shop"),
            ("defaults: {router: {SERVICE: a}}", "4:21: defaults.router.service: a router's service is made by"),
            ("defaults: {loadBalancer: {Servers: []}}", "4:27: defaults.loadBalancer.servers: servers come from"),
        ],
    )
    def test_our_own_rules_see_a_key_as_traefik_reads_it(self, text: str, message: str) -> None:
        """Rule 15: weight 0, references to our generated names and names that clash."""
        (found,) = refused(f"environment: x\nservices:\n  shop: {{router: {{rule: x}}}}\n{text}")
        assert found.startswith(f"{FILE}:{message}")

    def test_an_object_that_has_no_keys_says_so(self) -> None:
        text = "http: {services: {w: {weighted: {services: [{name: a@f}], healthCheck: {interval: 1s}}}}}"
        (found,) = refused(f"environment: x\nservices: {{}}\n{text}")
        assert "http.services.w.weighted.healthCheck.interval: unknown key (no key is known here)" in found

    def test_a_service_in_another_case_is_refused_in_a_router(self) -> None:
        assert refused(one("router: {rule: x, Service: shop}")) == [
            f"{FILE}:4:23: services.shop.router.service: a router's service is made by the daemon from the name of the"
            " service: remove this key"
        ]

    def test_two_spellings_of_one_key_are_an_error_and_so_are_those_of_a_header(self) -> None:
        text = "http: {middlewares: {m: {headers: {frameDeny: true, FrameDeny: false, customRequestHeaders: {X-A: b, x-a: c}}}}}"
        assert refused(f"environment: x\nservices: {{}}\n{text}") == [
            f"{FILE}:3:53: http.middlewares.m.headers.FrameDeny: is the key 'frameDeny' once more to Traefik, which"
            " reads keys in any case: keep one of them",
            f"{FILE}:3:102: http.middlewares.m.headers.customRequestHeaders.x-a: is the header 'X-A' once more, and"
            " Traefik sends either: keep one of them",
        ]


class TestUnchecked:
    def test_a_part_that_it_names_is_passed_on_unchanged(self) -> None:
        text = """\
            traefik: {unchecked: [http.middlewares.new.one, HTTP.Middlewares.half.headers.brandNew]}
            http:
              middlewares:
                new.one: {brandNew: {Some: [1, {}]}}
                half: {headers: {brandNew: {}, frameDeny: true}}
            """
        assert passed(text).pass_through == {
            "http": {
                "middlewares": {
                    "new.one": {"brandNew": {"Some": [1, {}]}},
                    "half": {"headers": {"brandNew": {}, "frameDeny": True}},
                }
            }
        }

    def test_everything_beside_it_is_checked(self) -> None:
        text = "http: {middlewares: {a: {new: {}}, b: {new: {}}}}"
        (found,) = refused(f"environment: x\nservices: {{}}\ntraefik: {{unchecked: [http.middlewares.a]}}\n{text}")
        assert "http.middlewares.b.new: unknown key" in found

    def test_a_key_of_a_router_may_be_unchecked(self) -> None:
        text = "environment: x\ntraefik: {unchecked: [services.shop.router.fresh]}\n"
        text += "services: {shop: {router: {rule: x, fresh: {a: 1}}}}"
        assert load(text, FILE).services["shop"].routers[0].body == {"rule": "x", "fresh": {"a": 1}}

    @pytest.mark.parametrize(
        "name", ["http.middlewares.nope", "http", "http.middlewares", "services.shop", "services.shop.router.rule", "x"]
    )
    def test_a_name_of_nothing_of_traefiks_is_refused(self, name: str) -> None:
        text = f"environment: x\nservices: {{shop: {{router: {{rule: x}}}}}}\ntraefik: {{unchecked: [{name}]}}\n"
        assert refused(f"{text}http: {{middlewares: {{}}}}") == [
            f"{FILE}:3:23: traefik.unchecked[0]: {name!r} is no part of an object of Traefik's in this file: write one"
            " such as http.middlewares.NAME"
        ]

    @pytest.mark.parametrize(
        ("name", "text"),
        [
            ("http.services.w", "http: {services: {w: {weighted: {services: [{name: a, weight: 0}]}}}}"),
            ("http.routers.r", "http: {routers: {r: {rule: x, service: shop-blue}}}"),
            ("http.routers.shop", "http: {routers: {shop: {rule: x}}}"),
            ("http.middlewares.bluegreen-x", "http: {middlewares: {bluegreen-x: {}}}"),
        ],
    )
    def test_the_daemons_own_rules_hold_for_it_all_the_same(self, name: str, text: str) -> None:
        body = f"environment: x\nservices: {{shop: {{router: {{rule: x}}}}}}\ntraefik: {{unchecked: [{name}]}}\n{text}"
        assert len(refused(body)) == 1


class TestOneCookie:
    WHY = "is the cookie of 'sticky' and of 'loadBalancer.sticky': each overwrites the other's, so no client stays;"

    @pytest.mark.parametrize(
        ("defaults", "body", "place"),
        [
            ("{}", "sticky: {cookie: {name: a}}, loadBalancer: {sticky: {cookie: {name: a}}}", "shop.loadBalancer.sticky"),
            ("{sticky: {cookie: {name: a}}}", "loadBalancer: {sticky: {cookie: {name: a}}}", "shop.loadBalancer.sticky"),
            ("{loadBalancer: {sticky: {cookie: {name: a}}}}", "sticky: {cookie: {name: a}}", "shop.sticky"),
        ],
    )  # fmt: skip
    def test_a_name_for_a_colour_and_for_a_server_is_refused(self, defaults: str, body: str, place: str) -> None:
        (found,) = refused(f"environment: x\ndefaults: {defaults}\nservices: {{shop: {{router: {{rule: x}}, {body}}}}}")
        assert f"services.{place}.cookie.name: 'a' {self.WHY}" in found

    def test_in_the_defaults_it_is_refused_once(self) -> None:
        both = "{sticky: {cookie: {name: a}}, loadBalancer: {sticky: {cookie: {name: a}}}}"
        (found,) = refused(f"environment: x\ndefaults: {both}\nservices: {{shop: {{router: {{rule: x}}}}}}")
        assert "defaults.loadBalancer.sticky.cookie.name" in found

    def test_of_a_weighted_service_and_its_child_it_is_refused(self) -> None:
        cookie = "sticky: {cookie: {name: a}}"
        text = f"w: {{weighted: {{services: [{{name: b@http}}], {cookie}}}}}, b: {{loadBalancer: {{{cookie}}}}}"
        (found,) = refused(f"environment: x\nservices: {{}}\nhttp: {{services: {{{text}}}}}")
        assert "http.services.b.loadBalancer.sticky.cookie.name: 'a' is the cookie of 'w' and of its child 'b'" in found

    def test_two_names_or_none_are_accepted(self) -> None:
        two = "sticky: {cookie: {name: a}}, loadBalancer: {sticky: {cookie: {name: b}}}"
        assert shop(f"router: {{rule: x}}, {two}").sticky
        assert shop("router: {rule: x}, sticky: {cookie: {}}, loadBalancer: {sticky: {cookie: {}}}").sticky


class TestAcceptedOnce:
    """Rule 13: a stored text that only newer rules refuse is loaded all the same."""

    TEXT = """\
        environment: x
        services:
          shop: {router: {rule: "Host(`${DOMAIN}`)"}, sticky: {}, loadBalancer: {sticky: {cookie: {name: a}}}}
        http:
          middlewares: {sec: {headers: {frameDenyy: true}}, ok: {compress: {}}}
          services: {w: {loadBalancer: {servers: [{url: "http://a", wieght: 1}]}}}
        tls: {certificates: [{certfil: a}]}
        """

    def test_what_traefik_may_refuse_stays_as_it_was(self) -> None:
        desired, problems = load_accepted(dedent(self.TEXT), FILE)
        assert desired.services["shop"].sticky == {}
        assert desired.services["shop"].routers[0].rule == "Host(`${DOMAIN}`)"
        assert desired.pass_through == {
            "http": {
                "middlewares": {"sec": {"headers": {"frameDenyy": True}}, "ok": {"compress": {}}},
                "services": {"w": {"loadBalancer": {"servers": [{"url": "http://a", "wieght": 1}]}}},
            },
            "tls": {"certificates": [{"certfil": "a"}]},
        }
        assert [str(problem) for problem in problems] == refused(dedent(self.TEXT))
        assert len(problems) == 5

    def test_a_text_without_faults_has_no_problems(self) -> None:
        text = one("router: {rule: x}")
        assert load_accepted(text, FILE) == (load(text, FILE), ())

    def test_what_the_daemon_does_not_understand_itself_is_refused(self) -> None:
        text = one("router: {rule: x}\nwatchh: 5s")
        with pytest.raises(Exception, match="did you mean 'watch'"):
            load_accepted(text, FILE)
