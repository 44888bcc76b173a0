# ruff: noqa: E501  messages stand whole, as an operator reads and searches them
"""Services whose routing is in the labels of their containers, and services that only containers name (rules 34 and 35)."""

import json
from textwrap import dedent

import jsonschema
import pytest
import yaml

from provider import config
from provider.cli.offline import document
from provider.config import load
from provider.config.changes import Changed, changes
from provider.config.diff import edit
from provider.model import Endpoint, HealthCheck, ProbeMode, Router, Service
from provider.model.desired import LabelRouting
from provider.model.vocabulary import ChangeKind
from tests.support.desired_state import FILE, one, refused


def shop(body: str) -> Service:
    return load(one(dedent(body)), FILE).services["shop"]


class TestLoaded:
    def test_routing_by_labels_needs_no_router(self) -> None:
        """Rule 34."""
        assert shop("routing: labels") == Service("shop", (), labels=LabelRouting())

    def test_its_bounds_reach_the_model(self) -> None:
        """Rule 35."""
        body = """\
            routing:
              labels: true
              hosts: [shop.example.com, "*.shop.example.com"]
              entryPoints: [mqtt]
              defaultRule: Host(`{{ normalize .Name }}.example.com`)
            """
        hosts = ("shop.example.com", "*.shop.example.com")
        rule = "Host(`{{ normalize .Name }}.example.com`)"
        assert shop(body).labels == LabelRouting(hosts, ("mqtt",), rule)

    def test_what_is_not_in_labels_stands_in_the_file(self) -> None:
        body = """\
            routing: labels
            preview: {rule: Host(`next.example.com`), endpoint: admin}
            smokeTests: [{name: a, endpoint: admin}]
            healthCheck: {path: /up}
            sticky: {cookie: {name: x}}
            testRoute: {header: {name: X-A, value: b}}
            """
        found = shop(body)
        rule = "Host(`next.example.com`)"
        assert found.preview == Router("shop-preview", rule, {"rule": rule}, "admin")
        assert (found.smoke_tests[0].endpoint, found.routers) == ("admin", ())
        assert found.endpoints == (Endpoint(health_check=HealthCheck(ProbeMode.HTTP, "/up")),)

    def test_it_may_be_a_default_which_a_service_takes_away(self) -> None:
        text = """\
            environment: x
            defaults: {routing: labels, router: {entryPoints: [web]}, loadBalancer: {strategy: p2c}, endpoints: {web: {}}}
            services:
              found: {}
              written: {routing: false, router: {rule: a, endpoint: web}}
            """
        services = load(dedent(text), FILE).services
        assert services["found"] == Service("found", (), labels=LabelRouting())
        assert services["written"].labels is None

    @pytest.mark.parametrize("written", ["auto", "{'*': auto, shop: {router: {rule: a}}}"])
    def test_auto_is_what_each_service_is_like_that_containers_name(self, written: str) -> None:
        """Rule 35."""
        text = f"environment: x\ndefaults: {{hold: true, endpoints: {{web: {{}}}}, router: {{tls: {{}}}}}}\nservices: {written}\n"
        text = text.replace("rule: a", "rule: a, endpoint: web")
        desired = load(text, FILE)
        assert desired.auto == Service("", (), hold=True, labels=LabelRouting())
        assert desired.require_environment_label
        assert list(desired.services) == ([] if written == "auto" else ["shop"])

    def test_the_routing_of_the_defaults_is_that_of_services_that_are_found(self) -> None:
        text = "environment: x\ndefaults: {routing: {labels: true, hosts: [a.example.com]}}\nservices: auto\n"
        found = load(text, FILE).auto
        assert found is not None
        assert found.labels == LabelRouting(("a.example.com",))

    def test_without_auto_nothing_is_found(self) -> None:
        desired = load("environment: x\nservices: {}\n", FILE)
        assert (desired.auto, desired.require_environment_label) == (None, False)


@pytest.mark.parametrize(
    ("hosts", "host", "may"),
    [
        ((), "any.example.com", True),
        (("shop.example.com",), "Shop.Example.com", True),
        (("shop.example.com",), "a.shop.example.com", False),
        (("*.example.com",), "a.b.example.com", True),
        (("*.example.com",), "example.com", False),
        (("*.example.com",), "badexample.com", False),
        (("*.example.com",), "*.example.com", True),
    ],
)
def test_labels_may_name_the_hosts_of_the_file(hosts: tuple[str, ...], host: str, may: bool) -> None:
    """Rule 35."""
    assert LabelRouting(hosts).may_name(host) is may


BESIDE = "does not go with 'routing' here"
REFUSED = {
    "what comes from labels": (
        one(
            "routing: labels\nrouter: {rule: a}\nrouters: {a: {rule: b}}\nloadBalancer: {strategy: wrr}\nendpoints: {a: {}}\nservers: {blue: {urls: [http://a:1]}}\n"
        ),
        [
            f"5:5: services.shop.router: {BESIDE}: its routers come from the labels of its containers; remove this key, or remove that one",
            f"6:5: services.shop.routers: {BESIDE}: its routers come from the labels of its containers; remove this key, or remove that one",
            f"7:5: services.shop.loadBalancer: {BESIDE}: its load balancers come from the labels of its containers; remove this key, or remove that one",
            f"8:5: services.shop.endpoints: {BESIDE}: its endpoints come from the labels of its containers, one for each service there; remove this key, or remove that one",
            f"9:5: services.shop.servers: {BESIDE}: fixed servers have no labels to take it from; remove this key, or remove that one",
        ],
    ),
    "what comes from labels by the defaults": (
        "environment: x\ndefaults: {routing: labels}\nservices: {shop: {router: {rule: a}}}",
        [
            "3:19: services.shop.router: does not go with 'routing' in defaults: its routers come from the labels of its containers; remove this key, or write routing: false"
        ],
    ),
    "odd values": (
        one(
            "routing:\n  labels: false\n  hosts: ['${HOST}', 'a:80', '*']\n  entryPoints: []\n  defaultRule: Host(`${X}`)\n  names: x\npreview: {}\n"
        ),
        [
            "5:15: services.shop.routing.labels: must be true, not false",
            "6:15: services.shop.routing.hosts[0]: '${HOST}' is no host: write a name without a port, such as shop.example.com, or *.example.com for all below one ('${HOST}' stays as it is: nothing replaces variables in this file)",
            "6:26: services.shop.routing.hosts[1]: 'a:80' is no host: write a name without a port, such as shop.example.com, or *.example.com for all below one",
            "6:34: services.shop.routing.hosts[2]: '*' is no host: write a name without a port, such as shop.example.com, or *.example.com for all below one",
            "7:20: services.shop.routing.entryPoints: needs at least one entry",
            "8:20: services.shop.routing.defaultRule: 'Host(`${X}`)' is no rule for routers without one: write one such as Host(`{{ normalize .Name }}`), without ${...} ('${X}' stays as it is: nothing replaces variables in this file)",
            "9:7: services.shop.routing.names: unknown key (known here: labels, hosts, entryPoints, defaultRule)",
            "10:5: services.shop.preview.rule: required key is missing: What the router matches, such as Host(`next.shop.example.com`)",
        ],
    ),
    "another word": (
        one("routing: label"),
        [
            "4:14: services.shop.routing: must be labels, or a mapping such as {labels: true, hosts: [shop.example.com]}, not 'label'"
        ],
    ),
    "another word for services": (
        "environment: x\nservices: all\n",
        ["2:11: services: must be auto, or a mapping of services by their names, not 'all'"],
    ),
    "what does not go with auto": (
        "environment: x\nrequireEnvironmentLabel: false\ndefaults: {routing: false}\nservices: auto\n",
        [
            "2:26: requireEnvironmentLabel: must be true with 'services: auto', or two daemons on one engine would both route a container: remove it",
            "3:21: defaults.routing: does not go with 'services: auto', whose services take their routing from labels: remove it",
        ],
    ),
    "keys of every other service": (
        "environment: x\nservices: {'*': {router: {rule: a}}}\n",
        [
            "2:17: services.*: stands for every service that containers name: write auto, and what they have in common in defaults"
        ],
    ),
    "defaults that the found ones cannot have": (
        "environment: x\ndefaults: {analysis: {errors: {max: 5%}}}\nservices: auto\n",
        [
            "2:12: defaults.analysis: counts requests at Traefik, and neither traefik.api nor traefik.metrics says where one is: write one of them, or a source"
        ],
    ),
}


@pytest.mark.parametrize(("text", "messages"), REFUSED.values(), ids=REFUSED)
def test_it_is_refused_with_its_place_and_the_way_out(text: str, messages: list[str]) -> None:
    """P11, rules 34 and 35: everything at once, in the order of the file."""
    assert refused(text) == [f"{FILE}:{message}" for message in messages]


@pytest.mark.parametrize(
    "text",
    [
        "environment: x\nservices: auto\n",
        "environment: x\nservices: {'*': auto, shop: {routing: labels}}\n",
        "environment: x\ndefaults: {routing: {labels: true, hosts: [a]}}\nservices: {shop: {routing: false, router: {rule: a}}}\n",
    ],
)
def test_an_editor_accepts_it(text: str) -> None:
    schema = json.loads(json.dumps(config.schema()))
    jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(text))


class TestChanges:
    BEFORE = "environment: x\ndefaults: {hold: true}\nservices: {}\n"

    def changes(self, before: str, after: str) -> tuple[Changed, ...]:
        was = load(before, FILE)
        return changes(was, before, edit(was, load(after, FILE)), after)

    def test_auto_changes_what_belongs_to_no_service(self) -> None:
        after = self.BEFORE.replace("{}", "auto")
        paths = ("requireEnvironmentLabel", "services.*")
        assert self.changes(self.BEFORE, after) in {
            (Changed(None, ChangeKind.CHANGED, paths[1:]),),
            (Changed(None, ChangeKind.CHANGED, paths),),
        }

    def test_defaults_change_services_that_are_found(self) -> None:
        before = self.BEFORE.replace("{}", "auto")
        assert self.changes(before, before.replace("hold: true", "hold: false")) == (
            Changed(None, ChangeKind.CHANGED, ("defaults.hold",)),
        )

    def test_two_ways_to_write_auto_are_one(self) -> None:
        before = self.BEFORE.replace("{}", "auto")
        assert self.changes(before, before.replace("auto", "{'*': auto}")) == ()


def test_what_a_file_alone_does_not_show_is_said() -> None:
    _, assumed = document(load("environment: x\nservices: {'*': auto, shop: {routing: labels, initial: blue}}\n", FILE))
    assert assumed == (
        "services: those that only containers name are not known here; none are shown",
        "shop: its routers come from the labels of its containers; none are shown",
        "shop: the servers of blue come from Docker; none are shown",
    )
