"""The documents that Traefik gets: golden files, and what holds for all of them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from provider import config
from provider.cli import offline
from provider.model import Colour, JsonObject, Router, Served
from provider.model.document import MARKER, Document
from provider.model.errors import TraefikError
from provider.traefik.document.render import NO_PASS_THROUGH, assemble, render_pass_through, render_service
from provider.traefik.process import find_binary
from provider.traefik.validation import validate
from tests.support.components import missing
from tests.support.paths import ROOT
from tests.support.worlds import BLUE, GREEN, server, service, whole

FOLDER = ROOT / "tests" / "golden"
GOLDEN = sorted(FOLDER.glob("*.yaml"))


def golden(file: Path) -> Document:
    document, _ = offline.document(config.load(file.read_text(), file.name))
    return document


@pytest.mark.parametrize("file", GOLDEN, ids=lambda file: file.stem)
def test_a_file_gives_the_very_bytes_of_its_golden_document(file: Path) -> None:
    body = golden(file).body
    expected = file.with_suffix(".json").read_text()
    assert json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n" == expected
    assert body == orjson.dumps(orjson.loads(expected))


@pytest.mark.parametrize("name", ["nothing", "pass-through", "routers", "endpoints"])
async def test_traefik_accepts_the_unusual_documents(name: str) -> None:
    try:
        binary = find_binary()
    except TraefikError as error:
        missing("traefik", str(error))
    assert (await validate(golden(FOLDER / f"{name}.yaml").body, binary=binary)).errors == ()


# --- the preview ----------------------------------------------------------------------------------------------------

PREVIEW_RULE = "Host(`preview.shop.example.com`)"


def with_preview(colour: Colour | None, **body: object) -> dict[str, Any]:
    preview = Router("shop-preview", PREVIEW_RULE, {"rule": PREVIEW_RULE, "entryPoints": ["web"], **body})
    rule = "Host(`shop.example.com`)"
    long = rule + " && PathPrefix(`/api`)"
    routers = (Router("shop", rule, {"rule": rule}), Router("shop-api", long, {"rule": long}))
    servers = {BLUE: (server(1),)} | ({colour: (server(2, "r2"),)} if colour else {})
    of = service(routers=routers, preview=preview)
    content: dict[str, Any] = orjson.loads(document([Served(of, whole(BLUE), servers, colour)], {}).body)["http"]
    return content


def test_a_preview_routes_to_its_colour_above_the_routers_of_its_service() -> None:
    """Rule 15: named after the service, a hundred above its highest router."""
    content = with_preview(GREEN)
    highest = max(content["routers"][name]["priority"] for name in ("shop", "shop-api"))
    assert content["routers"]["shop-preview"] == {
        "entryPoints": ["web"],
        "priority": highest + 100,
        "rule": PREVIEW_RULE,
        "service": "shop-green",
    }
    assert content["services"]["shop-green"] == {"loadBalancer": {"servers": [{"url": "http://10.0.0.2:80"}]}}
    assert content["services"]["shop"] == {"weighted": {"services": [{"name": "shop-blue", "weight": 100}]}}


def test_a_priority_that_is_written_for_a_preview_counts() -> None:
    """Rule 15: the file's."""
    assert with_preview(GREEN, priority=7)["routers"]["shop-preview"]["priority"] == 7


def test_without_a_standby_to_lead_to_there_is_no_preview() -> None:
    """Rule 15."""
    content = with_preview(None)
    assert set(content["routers"]) == {"shop", "shop-api"}
    assert set(content["services"]) == {"shop", "shop-blue"}


async def test_traefik_accepts_a_preview() -> None:
    try:
        binary = find_binary()
    except TraefikError as error:
        missing("traefik", str(error))
    preview = Router("shop-preview", PREVIEW_RULE, {"rule": PREVIEW_RULE})
    of = service(routers=(Router("shop", "Host(`a.example`)", {"rule": "Host(`a.example`)"}),), preview=preview)
    made = document([Served(of, whole(BLUE), {BLUE: (server(1),), GREEN: (server(2),)}, GREEN)], {})
    assert (await validate(made.body, binary=binary)).errors == ()


# --- properties ----------------------------------------------------------------------------------------------------

names = st.sampled_from(["a", "shop", "z-é", "a-b", "B"])
bodies = st.sampled_from([{}, {"é": {}, "list": []}, {"b": {"z": 1, "a": [{"y": "", "x": None}]}, "a": True}])
objects = st.dictionaries(names, bodies, min_size=1, max_size=2)
sections = st.dictionaries(st.sampled_from(["middlewares", "routers", "services", "transports"]), objects, min_size=1)
pass_throughs = st.dictionaries(st.sampled_from(["http", "tcp", "tls"]), sections)


@st.composite
def all_served(draw: st.DrawFn) -> list[Served]:
    """Some services, each with one colour active and up to three servers."""
    found = []
    for name in sorted(draw(st.sets(names, max_size=3))):
        active = draw(st.sampled_from(Colour))
        rule = f"Host(`{name}.example.com`)"
        router = Router(name, rule, {"rule": rule, **draw(objects)})
        of = service(name, routers=(router,), load_balancer=draw(st.just({}) | objects))
        servers = tuple(server(number) for number in range(1, draw(st.integers(0, 3)) + 1))
        found.append(Served(of, whole(active), {active: servers}))
    return found


def document(served: list[Served], pass_through: JsonObject) -> Document:
    return assemble([render_service(one) for one in served], render_pass_through(pass_through))


def turned(value: Any) -> Any:
    """Return an equal value whose objects have their keys in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(inner) for key, inner in reversed(value.items())}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


def turned_service(one: Served) -> Served:
    of = one.service
    routers = tuple(Router(router.name, router.rule, turned(router.body)) for router in reversed(of.routers))
    return Served(
        service(of.name, routers=routers, load_balancer=turned(of.endpoints[0].load_balancer)), one.weights, one.servers
    )


def empty_sections(content: dict[str, dict[str, object]]) -> Iterator[str]:
    """Yield what Traefik would refuse as a standalone element."""
    for name, kinds in content.items():
        yield from [name] if not kinds else (f"{name}.{kind}" for kind, members in kinds.items() if not members)


@given(all_served(), pass_throughs)
def test_the_same_state_gives_the_same_bytes_whatever_the_order_of_its_keys(
    served: list[Served], pass_through: JsonObject
) -> None:
    """P6, P12."""
    assert document(served, pass_through) == document([turned_service(one) for one in served], turned(pass_through))


@given(all_served(), pass_throughs)
def test_a_document_is_json_without_weight_0_and_without_an_empty_section(
    served: list[Served], pass_through: JsonObject
) -> None:
    """Rule 15, and rules 1 and 3 of the facts on Traefik."""
    content = orjson.loads(document(served, pass_through).body)
    for one in served:
        children = content["http"]["services"][one.service.name]["weighted"]["services"]
        assert [child["weight"] for child in children] == [100]
        assert children[0]["name"] in content["http"]["services"]
    assert list(empty_sections(content)) == []


@given(all_served(), pass_throughs)
def test_nothing_inside_an_object_is_dropped(served: list[Served], pass_through: JsonObject) -> None:
    """Rule 15: `tls: {}` in a router means TLS."""
    content = orjson.loads(document(served, pass_through).body)
    for one in served:
        router = content["http"]["routers"][one.service.name]
        (written,) = one.service.routers
        assert router == {"priority": len(written.rule.encode()) + 1, **written.body, "service": one.service.name}
    for name, kinds in pass_through.items():
        assert isinstance(kinds, dict)
        for kind, members in kinds.items():
            ours = {one.service.name for one in served} | {f"{one.service.name}-{c}" for one in served for c in Colour}
            kept = {key: body for key, body in content[name][kind].items() if name != "http" or key not in ours}
            expected = {key: body for key, body in members.items() if name != "http" or key not in ours}
            assert {key: body for key, body in kept.items() if not MARKER.fullmatch(key)} == expected


@given(all_served().filter(bool), pass_throughs, st.data())
def test_one_changed_fragment_changes_marker_and_etag_and_back(
    served: list[Served], pass_through: JsonObject, data: st.DataObject
) -> None:
    """Rule 15: the marker names the content, so going back brings the same name back."""
    place = data.draw(st.integers(0, len(served) - 1))
    changed = list(served)
    active = served[place].weights[0][0]
    changed[place] = Served(served[place].service, whole(active.other), {active.other: (server(9),)})
    before, after = document(served, pass_through), document(changed, pass_through)
    assert (before.etag, before.marker) != (after.etag, after.marker)
    assert before.marker != after.marker
    assert document(served, pass_through) == before


@given(all_served(), pass_throughs, st.integers(0, 3))
def test_a_split_document_means_the_same_under_the_same_name(
    served: list[Served], pass_through: JsonObject, split_above: int
) -> None:
    """Facts on Traefik, "Size"; what Traefik makes of both forms is tested in integration/test_split.py."""
    ours = {one.service.name for one in served} | {f"{one.service.name}-{c}" for one in served for c in Colour}
    http = pass_through.get("http")
    assume(not isinstance(http, dict) or not any(ours & set(http.get(kind, ())) for kind in ("routers", "services")))
    parts = [render_service(one) for one in served], render_pass_through(pass_through)
    plain, split = assemble(*parts), assemble(*parts, split_above=split_above)
    assert yaml.safe_load(split.body) == orjson.loads(plain.body)
    assert (split.etag, split.marker) == (plain.etag, plain.marker)
    is_large = any(
        len(members) > split_above
        for name, members in orjson.loads(plain.body)["http"].items()
        if name in {"middlewares", "routers", "services"}
    )
    assert split.is_json is not is_large
    assert (b"<<: [" in split.body) is is_large


def test_what_moves_from_one_service_to_another_is_another_document() -> None:
    """The hash is over the parts with their lengths: no joint between them is ambiguous."""
    first = Served(service("a"), whole(BLUE), {BLUE: (server(1),)})
    second = Served(service("b"), whole(GREEN), {GREEN: (server(1),)})
    documents = [document([first], {}), document([second], {}), document([first, second], {}), document([], {})]
    assert len({one.marker for one in documents}) == 4


def test_the_marker_is_a_middleware_named_by_the_etag_that_no_router_uses() -> None:
    made = golden(FOLDER / "routers.yaml")
    content = orjson.loads(made.body)
    assert MARKER.fullmatch(made.marker)
    assert made.etag.strip('"').startswith(made.marker.removeprefix("bluegreen-"))
    assert made.marker in content["http"]["middlewares"]
    assert all(made.marker not in router.get("middlewares", ()) for router in content["http"]["routers"].values())


def test_only_routers_of_its_own_make_the_pass_through_configuration_send_traffic_anywhere() -> None:
    """P4: it takes the controller's own decision to publish a document that routes nothing."""
    assert not NO_PASS_THROUGH.has_routers
    assert not render_pass_through({"tls": {"stores": {"default": {}}}, "http": {"middlewares": {"a": {}}}}).has_routers
    assert render_pass_through({"udp": {"routers": {"dns": {}}}}).has_routers
