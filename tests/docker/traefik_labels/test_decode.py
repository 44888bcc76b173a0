"""Traefik's labels, decoded. tests/integration/test_traefik_labels.py compares with a real Traefik."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import HealthCheck as Slow
from hypothesis import given, settings
from hypothesis import strategies as st

from provider.docker.traefik_labels import ContainerFacts, Decoded, decode, has_routing
from provider.docker.traefik_labels.tree import DEPTH_MOST, LABELS_MOST, NAME_MOST, SHOWN_MOST, VALUE_MOST
from provider.model.traefik_schema.labels import LABELS
from tests.support.labelled import SETS

FACTS = ContainerFacts("shop", "shop-1", (80,))


def decoded(labels: Mapping[str, str], facts: ContainerFacts = FACTS) -> Decoded:
    return decode(labels, facts)


@pytest.mark.parametrize("name", SETS)
def test_each_set_is_taken_or_refused_as_traefik_does(name: str) -> None:
    """Rule 34."""
    labelled = SETS[name]
    result = decoded(labelled.named("x"))
    assert any(fault.router is None for fault in result.faults) == labelled.is_dropped
    assert bool(result.faults) == (labelled.is_dropped or labelled.loses_routers)
    assert bool(result.sections) != labelled.is_dropped


def test_a_container_gets_a_router_by_the_default_rule_and_a_service() -> None:
    assert decoded({}).sections == {
        "http": {
            "routers": {"shop": {"rule": "Host(`shop`)", "service": "shop"}},
            "services": {"shop": {"loadBalancer": {"server": {}}}},
        }
    }


def test_without_any_port_the_label_to_add_is_named() -> None:
    (fault,) = decoded({"traefik.tcp.routers.a.rule": "HostSNI(`*`)"}, ContainerFacts("shop", "shop-1")).faults
    assert (fault.label, fault.value) == ("traefik.tcp.services.shop.loadbalancer.server.port", None)


def test_every_fault_is_told_at_once_with_its_label_and_value() -> None:
    """Rule 34: Traefik logs only the first."""
    labels = {
        "traefik.http.routers.a.rulle": "Host(`a`)",
        "traefik.http.routers.a.priority": "high",
        "traefik.http.services.a.loadbalancer.passhostheader": "yes",
        "traefik.http.middlewares.a.stripprefix": "true",
        "traefik.http.middlewares..b": "x",
    }
    faults = decoded(labels).faults
    assert {(fault.label, fault.value) for fault in faults} == set(labels.items())
    assert all(str(fault).startswith(f"{fault.label}={fault.value}: ") and fault.fix for fault in faults)


def test_a_router_without_its_service_goes_and_the_others_stay() -> None:
    result = decoded(
        {
            "traefik.http.routers.a.rule": "Host(`a`)",
            "traefik.http.routers.b.rule": "Host(`b`)",
            "traefik.http.routers.b.service": "two",
            "traefik.http.services.one.loadbalancer.server.port": "1",
            "traefik.http.services.two.loadbalancer.server.port": "2",
        }
    )
    (fault,) = result.faults
    assert (fault.label, fault.router) == ("traefik.http.routers.a.service", "a")
    assert "one, two" in fault.message
    assert json.dumps(result.sections).count('"rule"') == 1


def test_what_labels_cannot_set_is_named_as_ignored() -> None:
    label = "traefik.http.serversTransports.a.insecureSkipVerify"
    result = decoded({label: "true"})
    assert result.ignored == ("traefik.http.serversTransports.a.insecureSkipVerify",)
    assert result.faults == ()


def test_the_default_tls_store_is_decoded() -> None:
    labels = {"traefik.tls.stores.default.defaultgeneratedcert.resolver": "le"}
    assert decoded(labels).sections["tls"] == {"stores": {"default": {"defaultGeneratedCert": {"resolver": "le"}}}}


@pytest.mark.parametrize(
    ("name", "is_routing"),
    [
        ("traefik.http.routers.a.rule", True),
        ("TRAEFIK.UDP", True),
        ("traefik.enable", False),
        ("traefik.docker.network", False),
        ("traefik.tls.options.a.minversion", False),
        ("traefi\u212a.http.routers.a.rule", False),
    ],
)
def test_only_labels_of_sections_are_routing(name: str, is_routing: bool) -> None:
    assert has_routing({name: "x"}) == is_routing


@pytest.mark.parametrize(
    "labels",
    [
        {f"traefik.http.routers.r{number}.rule": "x" for number in range(LABELS_MOST + 1)},
        {f"traefik.http.routers.{'r' * NAME_MOST}.rule": "x"},
        {"traefik.http.routers.r.rule": "x" * (VALUE_MOST + 1)},
        {f"traefik.http.middlewares.m{number}.headers.featurepolicy": "x" * VALUE_MOST for number in range(3)},
        {"traefik.http.middlewares.m.plugin.p" + ".x" * DEPTH_MOST: "x"},
        {"traefik.http.middlewares.m]": "x"},
    ],
)
def test_a_label_out_of_bounds_is_a_fault_of_a_length_that_a_line_can_take(labels: Mapping[str, str]) -> None:
    result = decoded(labels)
    assert len(result.faults) == 1
    assert len(str(result.faults[0])) < 5 * SHOWN_MOST
    assert result.sections == {}


WORDS = st.sampled_from(
    [
        *(key for kind in (LABELS, *(field.kind for field in LABELS.fields.values())) for key in kind.fields),  # type: ignore[union-attr]
        *("traefik", "rule", "tls", "domains[0]", "main", "loadbalancer", "server", "port", "plugin", "chain", "", "["),
    ]
)
KEYS = st.one_of(
    st.text(max_size=40),
    st.lists(st.one_of(WORDS, st.text(max_size=5)), max_size=8).map(lambda parts: ".".join(["traefik", *parts])),
)
VALUES = st.one_of(st.text(max_size=40), st.sampled_from(["true", "false", "1", "-1", "5s", "a,b", ",", "9" * 30]))


@settings(deadline=None, suppress_health_check=[Slow.too_slow])
@given(
    labels=st.dictionaries(KEYS, VALUES, max_size=12),
    name=st.text(max_size=20),
    template=st.text(max_size=60),
    ports=st.lists(st.integers(0, 70000), max_size=3),
)
def test_no_labels_raise_and_all_that_is_decoded_is_json(
    labels: dict[str, str], name: str, template: str, ports: list[int]
) -> None:
    result = decoded(labels, ContainerFacts(name, name, tuple(ports), template))
    assert json.loads(json.dumps(result.sections)) == result.sections
    assert all(len(str(fault)) < 1500 for fault in result.faults)
    assert result == decoded(dict(reversed(labels.items())), ContainerFacts(name, name, tuple(ports), template))
