"""Rules as Traefik reads them: tests/integration/test_traefik_facts.py asks a real one about the same texts."""

from dataclasses import replace

import pytest

from provider.model import Endpoint, HealthCheck, Protocol, Router
from provider.model.errors import RuleError
from provider.model.traefik_rule import (
    Every,
    Matcher,
    Not,
    Some,
    are_apart,
    first_host,
    first_server_name,
    only_hosts,
    only_server_names,
    parse,
)
from tests.support.traefik_rules import REFUSED, RULES
from tests.support.worlds import service


@pytest.mark.parametrize(("rule", "host"), RULES.items())
def test_a_check_asks_for_the_first_host_that_the_rule_lets_in(rule: str, host: str | None) -> None:
    assert first_host(rule) == host


@pytest.mark.parametrize("rule", REFUSED)
def test_what_is_no_rule_is_refused_at_its_column_and_names_no_host(rule: str) -> None:
    with pytest.raises(RuleError, match=r"^column \d+: "):
        parse(rule)
    assert first_host(rule) is None


@pytest.mark.parametrize(
    ("rule", "hosts"),
    [
        ("Host(`Shop.test`, `b.test`)", {"shop.test", "b.test"}),
        ("Host(`a.test`) && PathPrefix(`/api`)", {"a.test"}),
        ("Host(`a.test`) || Host(`b.test`) && Path(`/`)", {"a.test", "b.test"}),
        ("(Host(`a.test`) || Host(`b.test`)) && Host(`b.test`)", {"b.test"}),
        ("Host(`a.test`) || Path(`/`)", None),
        ("!Host(`a.test`)", None),
        ("HostRegexp(`.*`)", None),
        ("Host(`", None),
    ],
)
def test_the_only_hosts_of_a_rule_are_known_where_each_way_to_match_names_some(
    rule: str, hosts: set[str] | None
) -> None:
    assert only_hosts(rule) == hosts


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        ("Host(`a.test`)", "Host(`b.test`)", True),
        ("Host(`a.test`)", "Host(`A.test`)", False),
        ("Host(`a.test`)", "HostRegexp(`.*`)", False),
        ("Host(`a.test`)", "Host(`b.test`) || Path(`/`)", False),
        ("PathPrefix(`/shop`)", "PathPrefix(`/cart`)", True),
        ("PathPrefix(`/shop`)", "PathPrefix(`/shop-api`)", False),
        ("PathPrefix(`/shop`)", "Path(`/cart`) || Path(`/shop`)", False),
        ("PathPrefix(`/{any}`)", "Path(`/cart`)", False),
        ("Host(`a.test`) && PathPrefix(`/shop`)", "Host(`a.test`) && PathPrefix(`/cart`)", True),
        ("Host(`a.test`)", "Host(`", False),
    ],
)
def test_rules_are_apart_where_no_request_can_match_both(one: str, other: str, apart: bool) -> None:
    assert are_apart(one, other) is apart
    assert are_apart(other, one) is apart


def test_not_binds_tighter_than_and_and_that_tighter_than_or() -> None:
    names = [Matcher("Path", (letter,), at) for letter, at in zip("abc", (1, 14, 27), strict=True)]
    rule = parse("!Path(`a`) || Path(`b`) && Path(`c`)")
    assert rule == Some((Not(names[0]), Every((names[1], names[2]))))


def test_all_values_of_a_matcher_are_read() -> None:
    assert parse('Query(`a`, "b\\t\\x41")') == Matcher("Query", ("a", "b\tA"), 0)


@pytest.mark.parametrize("text", ["(" * 100_000, "!" * 100_000])
def test_a_rule_without_end_is_refused_and_not_recursed_into(text: str) -> None:
    with pytest.raises(RuleError):
        parse(text)


def test_a_rule_may_name_thousands_of_hosts() -> None:
    rule = " || ".join(f"Host(`h{number}.test`)" for number in range(5_000))
    assert first_host(f"!Host(`h0.test`) && ({rule})") == "h1.test"


def test_a_host_of_a_later_router_is_asked_for_where_the_first_names_none() -> None:
    shop = service()
    routers = (replace(shop.routers[0], rule="PathPrefix(`/api`)"), *shop.routers)
    assert replace(shop, routers=routers).smoke_host == "shop.example.com"


@pytest.mark.parametrize(
    ("rule", "name"),
    [
        ("HostSNI(`mqtt.test`)", "mqtt.test"),
        ("hostsni(`a.test`, `b.test`)", "a.test"),
        ("HostSNI(`*`)", None),
        ("HostSNI(`*`) && ClientIP(`10.0.0.0/8`)", None),
        ("HostSNI(`*`) || HostSNI(`b.test`)", "b.test"),
        ("!HostSNI(`a.test`) && (HostSNI(`a.test`) || HostSNI(`b.test`))", "b.test"),
        ("HostSNI(`*`) && HostSNI(`b.test`)", "b.test"),
        ("HostSNIRegexp(`^.+$`)", None),
        ("Host(`web.test`)", None),
        ("HostSNI(", None),
    ],
)
def test_a_check_in_tls_asks_for_the_first_server_name_that_the_rule_lets_in(rule: str, name: str | None) -> None:
    """Rule 32."""
    assert first_server_name(rule) == name


def test_an_endpoint_of_tcp_is_asked_for_by_its_own_server_name_and_no_other() -> None:
    """Rule 32: the host of a web page beside it is no name that its servers have a certificate for."""
    mqtt = Endpoint("mqtt", Protocol.TCP)
    web = Router("web", "Host(`web.test`)", {}, "web")

    def host(rule: str, endpoint: Endpoint = mqtt) -> str | None:
        routers = (web, Router("mqtt", rule, {}, "mqtt"))
        return replace(service(), routers=routers, endpoints=(Endpoint("web"), endpoint)).host(endpoint)

    assert host("HostSNI(`mqtt.test`)") == "mqtt.test"
    assert host("HostSNI(`*`)") is None
    assert host("HostSNI(`*`)", replace(mqtt, health_check=HealthCheck(hostname="a.test"))) == "a.test"
    assert host("HostSNI(`*`)", Endpoint("web")) == "web.test"


@pytest.mark.parametrize(
    ("rule", "body", "url"),
    [
        ("Host(`shop.test`)", {}, "http://shop.test/"),
        ("Host(`shop.test`)", {"tls": {}}, "https://shop.test/"),
        ("HOST(`shop.test`) && PathPrefix(`/api`)", {"TLS": {"certResolver": "le"}}, "https://shop.test/api"),
        ("Host(`shop.test`)", {"entryPoints": ["websecure"]}, "https://shop.test/"),
        ("Host(`shop.test`) && !Path(`/x`)", {"entryPoints": ["web"]}, "http://shop.test/"),
        ("(Host(`shop.test`) && Path(`/a`)) || Host(`www.test`)", {}, "http://shop.test/"),
        ("PathPrefix(`/api`)", {}, None),
    ],
)
def test_a_router_says_where_people_find_it(rule: str, body: dict[str, object], url: str | None) -> None:
    assert Router("shop", rule, body).url == url


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        ("HostSNI(`A.example.com.`)", {"a.example.com"}),
        ("HostSNI(`*`)", None),
        ("HostSNI(`*`) && HostSNI(`a`)", {"a"}),
        ("HostSNI(`a`) || HostSNI(`b`)", {"a", "b"}),
        ("HostSNI(`a`) || ALPN(`h2`)", None),
        ("HostSNIRegexp(`a`)", None),
        ("HostSNI(", None),
    ],
)
def test_the_only_server_names_of_a_rule_of_tcp_are_known_where_it_names_them(
    rule: str, names: set[str] | None
) -> None:
    """Rule 35: `*` is any, beside another name as well."""
    assert only_server_names(rule) == names
