"""Whatever labels say: what is printed reads back as the routing that they have (rule 37)."""

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from provider import config
from provider.cli.importing.found import Found
from provider.cli.importing.imported import Options, imported
from provider.cli.importing.text import written
from provider.docker.traefik_labels import ContainerFacts, decode
from provider.docker.traefik_labels.routing import routing_of
from provider.model import Endpoint, ProbeMode, Protocol, Router
from provider.model.desired import PRIORITY_MOST
from provider.model.routing import DOCKER, Routing
from tests.support.labelled import SETS, drawn

NAME, PORTS = "shop", (80,)
FACTS = ContainerFacts(NAME, "shop-1", PORTS)
DRAWN, TAKEN_AT_LEAST = 1500, 150


def found(labels: Mapping[str, str]) -> Found:
    return Found("a container", NAME, NAME, "shop-1", labels, PORTS)


def read_back(router: Router) -> Router:
    """Return a router of labels as the desired state has it: its own middlewares by their own names."""
    body: dict[str, Any] = {key: value for key, value in router.body.items() if (key, value) != ("priority", 0)}
    if (priority := body.get("priority")) not in {None, -1, PRIORITY_MOST}:
        body["priority"] = priority + 1
    if "middlewares" in body:
        names = body["middlewares"]
        body["middlewares"] = [one if "@" in one else one.removeprefix(f"{NAME}-") for one in names]
    return replace(router, body=body)


def read_check(endpoint: Endpoint) -> Endpoint:
    """Return an endpoint of labels likewise: http is what is not written, and only a check over HTTP has redirects."""
    check = endpoint.health_check
    if check.mode is not ProbeMode.HTTP:
        check = replace(check, follow_redirects=False)
    scheme = None if endpoint.scheme == "http" else endpoint.scheme
    return replace(endpoint, health_check=check, scheme=scheme)


def is_the_same(labels: Mapping[str, str]) -> bool:
    """Check what is printed for labels; return whether it is the whole routing, and not left for a reason."""
    routing = routing_of(labels, FACTS)
    result = imported([found(labels)], "labels", Options())
    if not isinstance(routing, Routing) or result.text is None:
        assert result.text is not None or result.lefts or not labels
        return False
    desired = config.load(result.text, "printed.yaml")
    if NAME not in desired.services:
        assert result.lefts or set(desired.pass_through) <= {"http", "tcp"}
        return False
    service = desired.services[NAME]
    assert {one.name: one for one in service.routers} == {one.name: read_back(one) for one in routing.routers}
    assert {one.name: one for one in service.endpoints} == {one.name: read_check(one) for one in routing.endpoints}
    sections: Any = decode(labels, FACTS).sections
    passed: Any = desired.pass_through
    for protocol in (Protocol.HTTP, Protocol.TCP):
        ours, theirs = (one.get(protocol, {}).get("middlewares", {}) for one in (passed, sections))
        assert ours.keys() == theirs.keys()
        for name, body in ours.items():
            if not {"chain", "errors"} & body.keys() and DOCKER not in str(body):
                assert body == theirs[name]
    return True


@pytest.mark.parametrize("name", SETS)
def test_labels_as_people_write_them_are_read_back(name: str) -> None:
    is_the_same(SETS[name].named(NAME))


def test_labels_drawn_from_traefiks_tables_are_read_back() -> None:
    random = Random(0)
    taken = sum(
        is_the_same({key.replace("NAME", NAME): value for key, value in drawn(random).items()}) for _ in range(DRAWN)
    )
    assert taken > TAKEN_AT_LEAST


@given(value=st.text(), other=st.text(), regex=st.text())
def test_any_text_in_a_label_survives_or_is_left(value: str, other: str, regex: str) -> None:
    is_the_same(
        {
            "traefik.http.routers.shop.rule": "Host(`shop`)",
            "traefik.http.routers.shop.middlewares": "a,b,c",
            "traefik.http.middlewares.a.basicauth.users": value,
            "traefik.http.middlewares.b.headers.customrequestheaders.X-Any": other,
            "traefik.http.middlewares.c.redirectregex.regex": regex,
            "traefik.http.middlewares.c.redirectregex.replacement": value,
        }
    )


BORDERLINE = (
    *("yes", "0o17", "1e3", "1_000", "12:30", "007", "~", "=", "<<", "2001-01-01", ".5", "+1", "0x1F", "0b1", "null"),
    *(".inf", "!x", "*a", "&a", "{", "%a", "@a", "`a`", "'", '"', "", "- a", "a: b", "a #b", "a\nb", " a", "a "),
)
TEXTS = st.one_of(st.text(), st.sampled_from(BORDERLINE))
VALUES = st.one_of(TEXTS, st.booleans(), st.integers(-5, 5), st.lists(TEXTS, max_size=3))


@given(texts=st.dictionaries(TEXTS, VALUES, max_size=5))
def test_what_is_written_reads_back_as_the_same_values(texts: dict[str, Any]) -> None:
    """Also for readers of YAML 1.1, such as PyYAML."""
    file = {"environment": "x", "services": {"shop": {"value": texts}}}
    text = written(file, "a\nlist of # files")
    assert yaml.safe_load(text) == file
    if all(map(str.isprintable, texts)) and "<<" not in texts:
        assert config.yaml.read(text, "printed.yaml").value == file
