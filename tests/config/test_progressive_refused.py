# ruff: noqa: E501  messages stand whole, as an operator reads and searches them
"""What an operator is told about wrong steps, analyses and test routes, word for word (P11)."""

import json
from typing import Any

import pytest

from provider.config import load
from provider.config.names import made_by_rollouts, of_service
from provider.model import Protocol
from tests.support.desired_state import FILE, refused

BEFORE = (
    "environment: production\ntraefik: {api: [http://traefik:8080]}\nservices:\n  shop:\n    router: {rule: a}\n    "
)

OF_A_SERVICE = {
    "unknown keys of a canary": (
        "canary: {stps: [{weight: 5, For: 5m, wait: 3m}]}",
        [
            "6:14: services.shop.canary.stps: unknown key (did you mean 'steps'?)",
            "6:33: services.shop.canary.stps[0].For: unknown key (did you mean 'for'?)",
            "6:42: services.shop.canary.stps[0].wait: unknown key (did you mean 'weight'?)",
            "6:48: services.shop.canary.stps[0].weight: '3m' is no weight of a step: write a whole number from 1 to 99; 100 follows the last step by itself",
        ],
    ),
    "weights outside 1 to 99": (
        "canary: {steps: [{weight: 0}, {weight: 100}, {weight: -5}, {weight: 5.5}, {weight: 5%}, {weight: ~}, {weight: true}, {for: 5m}]}",
        [
            "6:31: services.shop.canary.steps[0].weight: 0 is no weight of a step: write a whole number from 1 to 99; 100 follows the last step by itself",
            "6:44: services.shop.canary.steps[1].weight: 100 is no weight of a step: write a whole number from 1 to 99; 100 follows the last step by itself",
            "6:59: services.shop.canary.steps[2].weight: -5 is no weight of a step: write a whole number from 1 to 99; 100 follows the last step by itself",
            "6:73: services.shop.canary.steps[3].weight: 5.5 is no weight of a step: write a whole number from 1 to 99; 100 follows the last step by itself",
            "6:88: services.shop.canary.steps[4].weight: '5%' is no weight of a step: write a whole number from 1 to 99; 100 follows the last step by itself",
            "6:102: services.shop.canary.steps[5].weight: nothing is no weight of a step: write a whole number from 1 to 99; 100 follows the last step by itself",
            "6:115: services.shop.canary.steps[6].weight: true is no weight of a step: write a whole number from 1 to 99; 100 follows the last step by itself",
            "6:122: services.shop.canary.steps[7].weight: required key is missing: The share of requests for the new release, in per cent; higher than before, such as 5",
        ],
    ),
    "weights that do not rise": (
        "canary: {steps: [{weight: 25}, {weight: 5}, {weight: 5}, {weight: 50}]}",
        [
            "6:45: services.shop.canary.steps[1].weight: 5 is not more than the 25 of the step before: weights rise from step to step; put them in order",
            "6:58: services.shop.canary.steps[2].weight: 5 is not more than the 5 of the step before: weights rise from step to step; put them in order",
        ],
    ),
    "an empty list of steps": ("canary: {steps: []}", ["6:21: services.shop.canary.steps: needs at least one entry"]),
    "an affinity without steps": (
        "canary: {affinity: client}",
        ["6:5: services.shop.canary: has no steps: write steps: [{weight: 5, for: 5m}], or false for one switch"],
    ),
    "an empty canary": (
        "canary: {}",
        ["6:5: services.shop.canary: has no steps: write steps: [{weight: 5, for: 5m}], or false for one switch"],
    ),
    "something else than a mapping": (
        "canary: true\n    analysis: yes\n    testRoute: 5",
        [
            "6:13: services.shop.canary: must be a mapping, not true",
            "7:15: services.shop.analysis: must be a mapping, not 'yes'",
            "8:16: services.shop.testRoute: must be a mapping, not 5",
        ],
    ),
    "a step's time without unit, its approval, and an affinity": (
        "canary: {steps: [{weight: 5, for: 5, approval: maybe}], affinity: ip}",
        [
            "6:39: services.shop.canary.steps[0].for: 5 has no unit: write 5s for seconds",
            "6:52: services.shop.canary.steps[0].approval: must be 'automatic' or 'manual', not 'maybe'",
            "6:71: services.shop.canary.affinity: must be 'none', 'client' or 'cookie', not 'ip'",
        ],
    ),
    "an analysis without a test": (
        "analysis: {every: 5s}",
        [
            "6:5: services.shop.analysis: tests nothing: write errors, slow or queries, such as errors: {worseThanActive: 0.99}"
        ],
    ),
    "tests without a limit": (
        "analysis: {errors: {status: 500}, slow: {over: 1.2s}}",
        [
            "6:16: services.shop.analysis.errors: tests nothing: write worseThanActive: 0.99, or max: 5%",
            "6:39: services.shop.analysis.slow: tests nothing: write worseThanActive: 0.99, or max: 5%",
        ],
    ),
    "limits that are none": (
        "analysis: {errors: {worseThanActive: 1, max: 5}, slow: {over: 2s, worseThanActive: 0.5, max: 100%}}",
        [
            "6:42: services.shop.analysis.errors.worseThanActive: 1 is no confidence that the candidate is worse: write a number above 0.5 and below 1, such as 0.99",
            "6:50: services.shop.analysis.errors.max: 5 is no rate: write a share of the requests above 0 % and below 100 %, such as 5%",
            "6:67: services.shop.analysis.slow.over: '2s' is no bound of a bucket of Traefik's histogram, which counts requests up to 0.1s, 0.3s, 1.2s, 5s: write one of these, or in traefik.buckets those of Traefik's metrics.prometheus.buckets",
            "6:88: services.shop.analysis.slow.worseThanActive: 0.5 is no confidence that the candidate is worse: write a number above 0.5 and below 1, such as 0.99",
            "6:98: services.shop.analysis.slow.max: '100%' is no rate: write a share of the requests above 0 % and below 100 %, such as 5%",
        ],
    ),
    "limits of other types, and a time without unit": (
        "analysis: {errors: {worseThanActive: 99%, max: 0%}, slow: {over: 2, worseThanActive: 1.5, max: 0}}",
        [
            "6:42: services.shop.analysis.errors.worseThanActive: '99%' is no confidence that the candidate is worse: write a number above 0.5 and below 1, such as 0.99",
            "6:52: services.shop.analysis.errors.max: '0%' is no rate: write a share of the requests above 0 % and below 100 %, such as 5%",
            "6:70: services.shop.analysis.slow.over: 2 has no unit: write 2s for seconds",
            "6:90: services.shop.analysis.slow.worseThanActive: 1.5 is no confidence that the candidate is worse: write a number above 0.5 and below 1, such as 0.99",
            "6:100: services.shop.analysis.slow.max: 0 is no rate: write a share of the requests above 0 % and below 100 %, such as 5%",
        ],
    ),
    "a range of status codes upside down": (
        "analysis: {errors: {status: 599-500, max: 5%}}",
        [
            "6:33: services.shop.analysis.errors.status: '599-500' is no range of status codes: write codes from 100 to 599, the lower one first, such as 500-599 or 500-504,429"
        ],
    ),
    "status codes that are none": (
        "analysis: {errors: {status: '500-504,4xx', max: 5%}}",
        [
            "6:33: services.shop.analysis.errors.status: '4xx' is no range of status codes: write codes from 100 to 599, the lower one first, such as 500-599 or 500-504,429"
        ],
    ),
    "no status code": (
        "analysis: {errors: {status: [], max: 5%}}",
        [
            "6:33: services.shop.analysis.errors.status: names no status code: write codes from 100 to 599, such as 500-599"
        ],
    ),
    "status codes in lists of lists": (
        "analysis: {errors: {status: [[500]], max: 5%}}",
        [
            "6:33: services.shop.analysis.errors.status: a list is no range of status codes: write codes from 100 to 599, the lower one first, such as 500-599 or 500-504,429"
        ],
    ),
    "a status code too low": (
        "analysis: {errors: {status: 99, max: 5%}}",
        [
            "6:33: services.shop.analysis.errors.status: '99' is no range of status codes: write codes from 100 to 599, the lower one first, such as 500-599 or 500-504,429"
        ],
    ),
    "queries": (
        "analysis: {source: {prometheus: {url: 'http://p:9090'}}, queries: [{name: a, query: up}, {name: a, query: up, max: 1, min: 2}, {name: errors, query: '', max: .inf}, {query: 'up{c=\"{{color}}\"}', max: '5', failures: 0, every: 0s}]}",
        [
            "6:72: services.shop.analysis.queries[0]: can never fail: write max, min or both, between which its result must be",
            "6:101: services.shop.analysis.queries[1].name: 'a' is the name of an earlier query: give each its own",
            "6:128: services.shop.analysis.queries[1].min: 2 is more than max, 1: no result is between them; exchange them",
            "6:139: services.shop.analysis.queries[2].name: 'errors' is no name of a query: write 1 to 100 characters, and not errors or slow, which are tests already",
            "6:154: services.shop.analysis.queries[2].query: '' is no query: write PromQL whose result is one number",
            "6:163: services.shop.analysis.queries[2].max: '.inf' is no number that the result of a query can be compared with: write one such as 100",
            "6:163: services.shop.analysis.queries[2].max: .inf is no number that JSON can hold: put it in quotes if it is text",
            "6:170: services.shop.analysis.queries[3].name: required key is missing: The name of the query in messages, such as queue",
            "6:178: services.shop.analysis.queries[3].query: has '{{color}}', which nothing replaces: what is replaced is {{colour}} by the colour of the candidate, and {{service}} by the name of the service",
            "6:204: services.shop.analysis.queries[3].max: '5' is no number that the result of a query can be compared with: write one such as 100",
            "6:219: services.shop.analysis.queries[3].failures: must be at least 1, not 0",
            "6:229: services.shop.analysis.queries[3].every: must be longer than zero, not '0s'",
        ],
    ),
    "the URL of a Prometheus": (
        "analysis: {source: {prometheus: {url: 'ftp://p'}}, queries: [{name: a, query: up, max: 1}]}",
        [
            "6:43: services.shop.analysis.source.prometheus.url: 'ftp://p' is no URL of a Prometheus: write one such as http://prometheus:9090"
        ],
    ),
    "a source by its name alone": (
        "analysis: {source: prometheus, errors: {max: 5%}}",
        [
            "6:24: services.shop.analysis.source: must be traefik, or a mapping such as {prometheus: {url: http://prometheus:9090}}, not 'prometheus'"
        ],
    ),
    "a misspelt source": (
        "analysis: {source: {promtheus: {url: 'http://p:9090'}}, errors: {max: 5%}}",
        ["6:25: services.shop.analysis.source.promtheus: unknown key (did you mean 'prometheus'?)"],
    ),
    "a source in the wrong place": (
        "analysis: {prometheus: {url: 'http://p:9090'}, errors: {max: 5%}}",
        [
            "6:16: services.shop.analysis.prometheus: is for queries, and there are none: to count requests by it, write source: {prometheus: {url: ...}}"
        ],
    ),
    "noData, minRequests and every": (
        "analysis: {noData: fail, minRequests: 0, every: 0s, errors: {max: 5%}}",
        [
            "6:24: services.shop.analysis.noData: must be 'wait' or 'pass', not 'fail'",
            "6:43: services.shop.analysis.minRequests: must be at least 1, not 0",
            "6:53: services.shop.analysis.every: must be longer than zero, not '0s'",
        ],
    ),
    "a test route of nothing": (
        "testRoute: {}",
        [
            "6:5: services.shop.testRoute: has neither a header nor a cookie: write one of them, such as header: {name: ..., value: ...}"
        ],
    ),
    "a test route of both": (
        "testRoute: {header: {name: X-Release, value: a}, cookie: {name: release, value: a}}",
        [
            "6:5: services.shop.testRoute: has both a header and a cookie: write one of them, such as header: {name: ..., value: ...}"
        ],
    ),
    "a value and a file": (
        "testRoute: {header: {name: X-Release, value: a, valueFile: a}}",
        ["6:17: services.shop.testRoute.header: has both 'value' and 'valueFile': write one of them"],
    ),
    "no value": (
        "testRoute: {cookie: {name: release}}",
        ["6:17: services.shop.testRoute.cookie: has neither 'value' nor 'valueFile': write one of them"],
    ),
    "the name of a cookie": (
        "testRoute: {cookie: {name: 'a b', value: a}}",
        ["6:32: services.shop.testRoute.cookie.name: 'a b' is no name of a cookie"],
    ),
    "the name of a header": (
        "testRoute: {header: {name: 'a b', value: a}}",
        ["6:32: services.shop.testRoute.header.name: 'a b' is no name of an HTTP header"],
    ),
    "the header Host": (
        "testRoute: {header: {name: Host, value: a}}",
        [
            "6:32: services.shop.testRoute.header.name: 'Host' cannot be matched as a header: Traefik keeps it apart from the other headers; use another"
        ],
    ),
    "the header Cookie": (
        "testRoute: {header: {name: cookie, value: a}}",
        [
            "6:32: services.shop.testRoute.header.name: 'cookie' cannot be matched as a header: write testRoute.cookie for a cookie; use another"
        ],
    ),
    "a variable as the value": (
        "testRoute: {header: {name: X-Release, value: '${TOKEN_OF_TEST}'}}",
        [
            "6:50: services.shop.testRoute.header.value: has a variable, and nothing replaces variables in this file: write the value itself, or valueFile"
        ],
    ),
    "a deadline without unit": (
        "deadlines: {step: 5}",
        ["6:23: services.shop.deadlines.step: 5 has no unit: write 5s for seconds"],
    ),
}

OF_A_FILE = {
    "a cookie of two": (
        "services:\n  shop: {router: {rule: a}, sticky: {cookie: {name: c}}, testRoute: {cookie: {name: c, value: b}}}\n",
        [
            "3:85: services.shop.testRoute.cookie.name: 'c' is the cookie of sticky, too, and a client has one of a name: give each its own"
        ],
    ),
    "members of a group that do not agree": (
        "services:\n  shop: {router: {rule: a}, group: g, canary: {steps: [{weight: 5, for: 5m}]}}\n  api: {router: {rule: bbbbbbbb}, group: g, canary: {steps: [{weight: 5, for: 300s}]}}\n  web: {router: {rule: c}, group: g}\n",
        [
            "5:3: services.web: members of group 'g' do not agree on canary (5 % for 5m: shop, api; one switch: web), and a group moves in the same steps: write the same for all of them, in defaults or in each"
        ],
    ),
    "members of a group with different affinity": (
        "defaults: {group: g, canary: {steps: [{weight: 5, for: 5m}]}}\nservices:\n  shop: {router: {rule: a}}\n  api: {router: {rule: bbbbbbbb}, canary: {affinity: client}}\n",
        [
            "4:3: services.shop: members of group 'g' do not agree on canary (5 % for 5m: shop; 5 % for 5m by client: api), and a group moves in the same steps: write the same for all of them, in defaults or in each"
        ],
    ),
    "defaults that nothing adds to": (
        "defaults: {canary: {affinity: client}, analysis: {every: 5s}}\nservices:\n  shop: {router: {rule: a}}\n",
        [
            "2:12: defaults.canary: has no steps, and no service has any: write steps: [{weight: 5, for: 5m}], or remove it",
            "2:40: defaults.analysis: tests nothing, nor does any service: write errors, slow or queries, or remove it",
        ],
    ),
    "defaults that are wrong for each service": (
        "defaults: {analysis: {errors: {max: 5%}, queries: [{name: a, query: up, max: 1}]}, router: {ruleSyntax: v2}, testRoute: {header: {name: X-A, value: b}}}\nservices:\n  shop: {router: {rule: a}}\n  api: {router: {rule: bbbbbbbb}}\n",
        [
            "2:12: defaults.analysis: counts requests at Traefik, and neither traefik.api nor traefik.metrics says where one is: write one of them, or a source",
            "2:105: defaults.router.ruleSyntax: v2 is not possible here: testRoute adds a matcher to its rule, in the syntax of v3; write the rule for v3, and remove this key",
        ],
    ),
    "a rule for version 2 with sessions in steps": (
        "services:\n  shop: {router: {rule: a, ruleSyntax: v2}, canary: {steps: [{weight: 5}]}, sticky: {cookie: {}}}\n  api: {router: {rule: bbbbbbbb, ruleSyntax: v2}, canary: {steps: [{weight: 5}]}}\n",
        [
            "3:40: services.shop.router.ruleSyntax: v2 is not possible here: sticky with steps adds a matcher for its sessions to the rule, in the syntax of v3; write the rule for v3, and remove this key"
        ],
    ),
    "names that clash": (
        'services:\n  shop: {router: {rule: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa}, testRoute: {header: {name: X-A, value: b}}, preview: {rule: x}, canary: {affinity: cookie, steps: [{weight: 5}]}}\n  shop-test: {router: {rule: bbbbbbbb}}\n  shop-green-test: {router: {rule: bbbbbbbb}}\n  shop-blue-preview: {router: {rule: bbbbbbbb}}\n  shop-r17-1: {router: {rule: bbbbbbbb}}\n  shop-green-r17: {router: {rule: bbbbbbbb}}\n  cart: {router: {rule: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa}, sticky: {cookie: {}}, canary: {affinity: cookie, steps: [{weight: 5}]}}\n  cart-r17-1: {router: {rule: bbbbbbbb}}\n  cart-green-r17: {router: {rule: bbbbbbbb}}\n  two: {routers: {one: {rule: aaaaaaaaaaaaaaaaaaaaaaaaaaaaa}, one-test: {rule: bbbbbbbb}}, testRoute: {header: {name: X-A, value: b}}}\nhttp:\n  services: {cart-blue-r1: {loadBalancer: {servers: [{url: "http://a"}]}}}\n  routers: {r: {rule: ccc, service: shop-green-test}}\n',
        [
            "4:3: services.shop-test: clashes with services.shop (production.yaml:3:3): both are the router 'shop-test' in Traefik; rename one",
            "5:3: services.shop-green-test: clashes with services.shop (production.yaml:3:3): both are the service 'shop-green-test' in Traefik; rename one",
            "6:3: services.shop-blue-preview: clashes with services.shop (production.yaml:3:3): both are the service 'shop-blue-preview' in Traefik; rename one",
            "7:3: services.shop-r17-1: clashes with services.shop (production.yaml:3:3): its rollouts make the service 'shop-r17-1' in Traefik; rename one",
            "11:3: services.cart-green-r17: clashes with services.cart (production.yaml:9:3): its rollouts make the service 'cart-green-r17' in Traefik; rename one",
            "12:63: services.two.routers.one-test: clashes with services.two (production.yaml:12:3): both are the router 'one-test' in Traefik; rename one",
            "14:14: http.services.cart-blue-r1: clashes with services.cart (production.yaml:9:3): its rollouts make the service 'cart-blue-r1' in Traefik; rename one",
            "15:37: http.routers.r.service: refers to 'shop-green-test', which the daemon makes for services.shop and changes with every switch: give that service a further router under 'routers' instead",
        ],
    ),
    "priorities within two": (
        'services:\n  shop: {router: {rule: "Host(`a`)", priority: 10, entryPoints: [web]}, testRoute: {header: {name: X-A, value: b}}}\n  api: {router: {rule: "Host(`a`) && PathPrefix(`/api`)", priority: 12, entryPoints: [web]}}\n  cart: {routers: {cart: {rule: "Host(`b`)"}}, testRoute: {header: {name: X-A, value: b}}}\n  b: {router: {rule: "Host(`c`)", priority: 11}}\n  c: {router: {rule: "PathPrefix(`/`)", priority: 12, entryPoints: [websecure]}}\nhttp:\n  routers: {docs: {rule: "Host(`b`)", priority: 11, service: x@file}}\n',
        [
            "3:10: services.shop.router: has priority 10, and its test route 12: router 'api' of services.api has 12 on the same entry point, and may match the same requests; write 'priority' for one of them, so that they are 3 or more apart",
            "5:20: services.cart.routers.cart: has priority 10, and its test route 12: router 'docs' of http.routers has 11 on the same entry point, and may match the same requests; write 'priority' for one of them, so that they are 3 or more apart",
        ],
    ),
    "buckets": (
        'traefik: {api: ["http://t"], buckets: [100ms, 50ms, 2s], metrics: ["t:80"]}\nservices:\n  shop: {router: {rule: a}, analysis: {slow: {over: 1.2s, max: 5%}}}\n',
        [
            "2:47: traefik.buckets[1]: '50ms' is not more than the bound before: bounds of a histogram rise; put them in order",
            "2:68: traefik.metrics[0]: 't:80' is no URL of Traefik's metrics: write one such as http://traefik:8082",
            "4:53: services.shop.analysis.slow.over: '1.2s' is no bound of a bucket of Traefik's histogram, which counts requests up to 0.1s, 0.05s, 2s: write one of these, or in traefik.buckets those of Traefik's metrics.prometheus.buckets",
        ],
    ),
}


@pytest.mark.parametrize("case", OF_A_SERVICE)
def test_the_message_about_the_keys_of_a_service(case: str) -> None:
    """Rules 19, 21, 23 and 24."""
    body, expected = OF_A_SERVICE[case]
    assert refused(BEFORE + body) == [f"{FILE}:{line}" for line in expected]


@pytest.mark.parametrize("case", OF_A_FILE)
def test_the_message_about_several_keys_of_a_file(case: str) -> None:
    """Rules 19, 21, 23 and 24."""
    body, expected = OF_A_FILE[case]
    assert refused(f"environment: production\n{body}") == [f"{FILE}:{line}" for line in expected]


@pytest.mark.parametrize(
    "body",
    [
        # other hosts, other paths, other entry points, three apart, or nothing to test
        "a: {router: {rule: Host(`a`)}, testRoute: *r}\n  b: {router: {rule: Host(`bb`)}}",
        "a: {router: {rule: PathPrefix(`/shop`)}, testRoute: *r}\n  b: {router: {rule: PathPrefix(`/carts`)}}",
        "a: {router: {rule: Host(`a`), priority: 5, entryPoints: [x]}, testRoute: *r}\n  b: {router: {rule: Host(`a`), priority: 6, entryPoints: [y]}}",
        "a: {router: {rule: Host(`a`), priority: 5}, testRoute: *r}\n  b: {router: {rule: Host(`a`), priority: 8}}",
        "a: {router: {rule: Host(`a`), priority: 5}}\n  b: {router: {rule: Host(`a`), priority: 6}}",
        "a: {routers: {one: {rule: Host(`a`), priority: 5}, two: {rule: Host(`a`), priority: 6}}, testRoute: *r}",
    ],
)
def test_routers_that_cannot_take_each_others_requests_may_have_any_priority(body: str) -> None:
    """Rule 24."""
    anchor = "  z: {router: {rule: Host(`z`), priority: 90}, testRoute: &r {header: {name: X-A, value: b}}}"
    assert load(f"environment: production\nservices:\n{anchor}\n  {body}", FILE).services["a"]


def test_names_of_a_test_route_and_of_steps_are_free_without_them() -> None:
    """Rule 15: a file that was valid before these keys is valid now."""
    names = ("shop", "shop-test", "shop-green-test", "shop-blue-preview", "shop-r17-1", "shop-green-r17")
    services = "".join(f"  {name}: {{router: {{rule: Host(`{name}`)}}}}\n" for name in names)
    assert set(load(f"environment: production\nservices:\n{services}", FILE).services) == set(names)


def test_the_names_that_are_kept_free_are_those_of_the_document() -> None:
    """Rules 21, 23 and 24."""
    keys: dict[str, Any] = {
        "routers": {"one": {"rule": "a"}, "two": {"rule": "b"}},
        "preview": {"rule": "c"},
        "canary": {"steps": [{"weight": 5}]},
        "testRoute": {"header": {"name": "X-A", "value": "b"}},
    }
    of_tcp = {"preview": {"rule": "HostSNI(`*`)", "endpoint": "mqtt"}}
    several = {"endpoints": {"default": {}, "web": {}, "mqtt": {"protocol": "tcp"}}}
    for added in ({}, several, {**several, **of_tcp}):
        written = {**keys, **added}
        service = load(json.dumps({"environment": "production", "services": {"shop": written}}), FILE).services["shop"]
        assert {taken[:3] for taken in of_service("shop", written, {})} == {
            *((section, "service", name) for section in Protocol for name in service.services_in_traefik(section)),
            *((section, "router", name) for section in Protocol for name in service.routers_in_traefik(section)),
        }


@pytest.mark.parametrize("sticky", [True, False])
def test_the_names_of_a_rollout_are_those_that_it_makes(sticky: bool) -> None:
    """Rule 21."""
    keys: dict[str, Any] = {"router": {"rule": "a"}, "canary": {"affinity": "cookie", "steps": [{"weight": 5}]}}
    keys |= {"sticky": {"cookie": {"name": "x"}}} if sticky else {}
    ((of, pattern, _),) = made_by_rollouts("shop", keys, {})
    assert (found := pattern.fullmatch("shop-green-r17" if sticky else "shop-r17-1")) is not None
    assert found[1] == of == "shop"
