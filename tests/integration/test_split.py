"""Large documents are split with YAML's merge keys: a real Traefik must make the same of both forms."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provider.model import JsonObject, Router, Served
from provider.model.document import Document
from provider.traefik.document.render import SPLIT_ABOVE, assemble, render_pass_through, render_service
from provider.traefik.process import Traefik
from tests.support.endpoints import broker_served
from tests.support.traefik import DocumentServer, StartTraefik
from tests.support.waiting import eventually
from tests.support.worlds import BLUE, GREEN, server, service, whole

NAMES = st.from_regex(r"[a-z]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
WORDS = st.text(st.characters(codec="utf-8", exclude_characters="`\x00", exclude_categories=["C"]), max_size=20)
MIDDLEWARES = st.dictionaries(
    NAMES.map("mw-{}".format),
    st.fixed_dictionaries({"headers": st.fixed_dictionaries({"customRequestHeaders": st.just({"X-A": "<<: [1]"})})})
    | st.builds(lambda text: {"headers": {"customResponseHeaders": {"X-Text": text}}}, WORDS),
    max_size=5,
)


@st.composite
def all_served(draw: st.DrawFn) -> list[Served]:
    found = []
    for number, name in enumerate(sorted(draw(st.sets(NAMES, min_size=1, max_size=6)))):
        rule = f"Host(`{name}.example.com`)"
        routers = [Router(name, rule, {"rule": rule, "entryPoints": ["web"]})]
        if draw(st.booleans()):
            api = f"{rule} && PathPrefix(`/api`)"
            routers.append(Router(f"{name}-api", api, {"rule": api, "entryPoints": ["web"], "tls": {}}))
        preview = Router(f"{name}-preview", f"Host(`preview.{name}`)", {"rule": f"Host(`preview.{name}`)"})
        of = service(name, routers=tuple(routers), preview=draw(st.sampled_from([None, preview])))
        servers = {BLUE: (server(1 + 2 * number),), GREEN: (server(2 + 2 * number),)}
        previewed = GREEN if of.preview is not None else None
        found.append(Served(of, whole(BLUE), servers if previewed else {BLUE: servers[BLUE]}, previewed))
    return [*found, broker_served()] if draw(st.booleans()) else found


@pytest.fixture
async def traefik(start_traefik: StartTraefik, documents: DocumentServer) -> Traefik:
    return await start_traefik(documents.url)


async def applied(document: Document, documents: DocumentServer, traefik: Traefik) -> Mapping[str, Any]:
    """Have Traefik apply a document; return what it has of it."""
    documents.publish(document.body)
    await eventually(lambda: traefik.middleware(document.marker))
    raw = await traefik.raw_data()
    return {
        kind: {name: body for name, body in members.items() if name.endswith("@http")} for kind, members in raw.items()
    }


NOTHING = assemble([], render_pass_through({}))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(served=all_served(), middlewares=MIDDLEWARES)
async def test_traefik_makes_the_same_of_both_forms(
    served: list[Served], middlewares: JsonObject, documents: DocumentServer, traefik: Traefik
) -> None:
    http = {"middlewares": middlewares} if middlewares else {}
    parts = [render_service(one) for one in served], render_pass_through({"http": http} if http else {})
    plain, split = assemble(*parts), assemble(*parts, split_above=0)
    assert plain.is_json
    assert not split.is_json
    first = await applied(plain, documents, traefik)
    await applied(NOTHING, documents, traefik)  # the two have one marker
    assert await applied(split, documents, traefik) == first
    await applied(NOTHING, documents, traefik)


async def test_a_fleet_large_enough_to_be_split_is_routed(documents: DocumentServer, traefik: Traefik) -> None:
    names = [f"shop-{number:04}" for number in range(SPLIT_ABOVE)]
    router = {"rule": "PathPrefix(`/`)", "entryPoints": ["web"]}
    fleet = [
        Served(service(name, routers=(Router(name, "PathPrefix(`/`)", router),)), whole(BLUE), {BLUE: (server(1),)})
        for name in names
    ]
    document = assemble([render_service(one) for one in fleet], render_pass_through({}))
    assert not document.is_json
    found = await applied(document, documents, traefik)
    assert len(found["routers"]) == SPLIT_ABOVE
    assert {one["status"] for one in found["routers"].values()} == {"enabled"}
    assert found["services"][f"{names[-1]}-blue@http"]["loadBalancer"]["servers"] == [{"url": server(1).url}]
