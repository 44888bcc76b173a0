"""What a document is noted as that the store takes its time to publish, or does not publish."""

import asyncio
from pathlib import Path

import orjson
import pytest

from provider.controller.publication import Published
from provider.model import Health
from provider.model.document import Document, text_key
from provider.model.errors import ChangeTooLarge, StoreError, StoreUncertain
from provider.store.sqlite import SqliteStore
from tests.support.running import Running, running, shop, url
from tests.support.waiting import eventually
from tests.support.worlds import BLUE, GREEN, all_on


class Gated(SqliteStore):
    """A store that waits with a document while `gate` is closed, and then raises `failure`, once.

    `entered` is set while one waits, `bodies` are those that it has published. With `stands` a document is published
    although the answer is lost.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.gate, self.entered = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.failure: StoreError | None = None
        self.stands = False
        self.bodies: list[bytes] = []

    def close_gate(self) -> None:
        self.gate.clear()
        self.entered.clear()

    async def publish(self, document: Document) -> int:
        self.entered.set()
        await self.gate.wait()
        failure, self.failure = self.failure, None
        if failure is not None and not self.stands:
            raise failure
        self.bodies.append(document.body)
        revision = await super().publish(document)
        if failure is not None:
            raise failure
        return revision


def gated(daemon: Running) -> Gated:
    assert isinstance(daemon.store, Gated)
    return daemon.store


async def serve_shop(daemon: Running, ports: str = "8081") -> Gated:
    daemon.load(shop(blue=ports))
    await daemon.judge(BLUE)
    await daemon.until_served(blue=[url(port) for port in ports.split()])
    await eventually(lambda: daemon.controller.queues.unpublished.is_at_rest)
    return gated(daemon)


def servers(body: bytes) -> set[str]:
    return {
        one["url"]
        for service in orjson.loads(body)["http"]["services"].values()
        for one in service.get("loadBalancer", {}).get("servers", ())
    }


async def test_nobody_is_told_of_a_document_before_the_store_has_published_it(tmp_path: Path) -> None:
    """Rule 53: nobody serves what is not in the store; a switch is proven by what is served only."""
    async with running(tmp_path, store=Gated) as daemon:
        store, state = await serve_shop(daemon), daemon.controller.state
        before, marker = daemon.controller.published, state.traefik.readings.marker
        store.close_gate()
        daemon.load(shop(green="8082"))
        await daemon.judge(GREEN)
        await store.entered.wait()
        await eventually(lambda: state.states["shop"].active is GREEN)
        tracked = state.services["shop"]
        assert daemon.controller.published is before
        assert before is not None
        assert (state.traefik.revision, state.traefik.readings.marker) == (before.revision, marker)
        assert daemon.metric("document_revision") == before.revision
        assert tracked.shown == all_on(BLUE)
        assert {key.url for key in tracked.published} == {url("8081")}
        store.gate.set()
        after = await daemon.until_served(green=[url("8082")])
        assert after.document.body == store.bodies[-1]
        assert (state.traefik.revision, state.traefik.readings.marker) == (after.revision, after.document.marker)
        await eventually(lambda: tracked.shown == all_on(GREEN))
        assert {key.url for key in tracked.published} == {url("8082")}


@pytest.mark.parametrize(
    "failure",
    [StoreError("etcd: no quorum"), StoreUncertain("etcd: no answer"), ChangeTooLarge("etcd: 2 MB is too much")],
)
async def test_a_document_that_is_not_published_changes_nothing_and_is_tried_again(
    tmp_path: Path, failure: StoreError
) -> None:
    """P4, rule 56."""
    async with running(tmp_path, store=Gated) as daemon:
        store = await serve_shop(daemon, "8081 8083")
        before = daemon.controller.published
        assert before is not None
        store.failure = failure
        store.close_gate()
        await daemon.judge(BLUE, Health.UNHEALTHY, port="8083")
        await store.entered.wait()
        store.gate.set()
        await eventually(lambda: "store-failing" in daemon.codes())
        assert str(failure) in daemon.codes()["store-failing"]
        assert daemon.metric("store_failing") == 1
        assert daemon.controller.published is before
        assert {key.url for key in daemon.controller.state.services["shop"].published} == {url("8081"), url("8083")}
        after = await daemon.until_served(blue=[url("8081")])
        assert after.revision == before.revision + 1
        assert daemon.codes().keys().isdisjoint({"store-failing"})
        assert daemon.metric("store_failing") == 0


async def test_that_decisions_are_written_hides_not_that_documents_are_not(tmp_path: Path) -> None:
    async with running(tmp_path, store=Gated) as daemon:
        store = await serve_shop(daemon, "8081 8083")
        store.failure = StoreError("etcd: no room")
        store.close_gate()
        await daemon.judge(BLUE, Health.UNHEALTHY, port="8083")
        await store.entered.wait()
        store.gate.set()
        await eventually(lambda: "store-failing" in daemon.codes())
        store.close_gate()
        await store.entered.wait()  # it is tried again
        assert await daemon.controller._journal.save(daemon.controller.state.texts, {})
        assert "store-failing" in daemon.codes()
        store.gate.set()
        await eventually(lambda: "store-failing" not in daemon.codes())


async def test_where_it_is_unknown_which_document_stands_the_next_is_published_whatever_it_says(tmp_path: Path) -> None:
    """Rule 51: others may serve the one whose answer was lost, though all is as it was before by now."""
    async with running(tmp_path, store=Gated) as daemon:
        store = await serve_shop(daemon, "8081 8083")
        before = daemon.controller.published
        assert before is not None
        store.failure, store.stands = StoreUncertain("etcd: no answer"), True
        store.close_gate()
        await daemon.judge(BLUE, Health.UNHEALTHY, port="8083")
        await store.entered.wait()
        await daemon.judge(BLUE, Health.HEALTHY, port="8083")
        store.gate.set()
        await eventually(lambda: daemon.controller.published is not before)
        after = daemon.controller.published
        assert after is not None
        assert after.document.body == before.document.body == store.bodies[-1] != store.bodies[-2]
        assert after.revision == before.revision + 2


async def test_a_document_is_noted_as_of_the_file_that_it_was_made_of(tmp_path: Path) -> None:
    """Rule 15: nobody waits for Traefik to apply a file that no document was made of."""
    async with running(tmp_path, store=Gated) as daemon:
        store, rest = await serve_shop(daemon), daemon.controller.state.rest
        store.close_gate()
        middle, newest = (shop().replace("router: {", f"router: {{priority: {priority}, ") for priority in (7, 8))
        daemon.load(middle)
        await store.entered.wait()
        daemon.load(newest)
        with daemon.recording():
            store.gate.set()
            await eventually(lambda: b'"priority":8' in daemon.documents[-1].document.body)
        (old,) = [one for one in daemon.documents if b'"priority":7' in one.document.body]
        assert rest._keys[old.document.marker] == text_key(middle)
        assert rest._keys[daemon.documents[-1].document.marker] == text_key(newest)


async def test_nobody_waits_for_traefik_to_apply_a_file_that_no_document_was_made_of(tmp_path: Path) -> None:
    """Rule 15."""
    async with running(tmp_path, store=Gated) as daemon:
        store, rest = await serve_shop(daemon), daemon.controller.state.rest
        daemon.load(shop().replace("router: {", "router: {priority: 7, "))
        store.close_gate()
        await store.entered.wait()
        daemon.load(shop().replace("router: {", "router: {priority: 8, "))
        store.gate.set()
        store.close_gate()
        await store.entered.wait()  # the document of 7 is noted, the one of 8 is not published
        assert daemon.content()["http"]["routers"]["shop"]["priority"] == 7
        assert rest._since_mono_s is None
        store.gate.set()
        await eventually(lambda: rest._since_mono_s is not None)


async def test_a_service_that_leaves_the_file_while_its_document_is_published_leaves_with_the_next(
    tmp_path: Path,
) -> None:
    """P4."""
    async with running(tmp_path, store=Gated) as daemon:
        store = await serve_shop(daemon, "8081 8083")
        store.close_gate()
        await daemon.judge(BLUE, Health.UNHEALTHY, port="8083")
        await store.entered.wait()
        daemon.load(shop().replace("  shop:", "  store:"))
        with daemon.recording():
            store.gate.set()
            await daemon.judge(BLUE, service="store")
            await daemon.until_served("store", blue=[url("8081")])
            await eventually(lambda: "shop" not in daemon.content()["http"]["routers"])
        assert all(orjson.loads(one.document.body)["http"].get("routers") for one in daemon.documents)
        assert {key.url for key in daemon.controller.state.services["store"].published} == {url("8081")}


async def test_a_server_that_fails_while_a_document_is_published_leaves_with_the_next(tmp_path: Path) -> None:
    """P4."""
    async with running(tmp_path, store=Gated) as daemon:
        store = await serve_shop(daemon, "8081 8083 8084")
        store.close_gate()
        await daemon.judge(BLUE, Health.UNHEALTHY, port="8083")
        await store.entered.wait()
        await daemon.judge(BLUE, Health.UNHEALTHY, port="8084")
        with daemon.recording():
            store.gate.set()
            await daemon.until_served(blue=[url("8081")])
        shown = [servers(one.document.body) for one in daemon.documents]
        assert shown[-2:] == [{url("8081"), url("8084")}, {url("8081")}]


async def test_a_service_that_comes_while_the_first_document_is_published_keeps_the_servers_it_had(
    tmp_path: Path,
) -> None:
    """Rule 3: servers in the last document stay after a restart until they are proven unhealthy."""
    both = shop(more="  cart: {router: {rule: Host(`c`)}, servers: {blue: {urls: ['http://127.0.0.1:8090']}}}\n")
    async with running(tmp_path, store=Gated) as daemon:
        daemon.load(both)
        await daemon.judge(BLUE)
        await daemon.judge(BLUE, service="cart")
        await daemon.until_served("cart", blue=[url("8090")])
        await daemon.until_served(blue=[url("8081")])
    async with running(tmp_path, store=Gated) as daemon:
        store = gated(daemon)
        store.close_gate()
        daemon.load(shop())
        await store.entered.wait()
        daemon.load(both)
        store.gate.set()
        store.close_gate()
        await store.entered.wait()  # the first document is noted, the one with the cart is not published
        assert {key.url for key in daemon.controller.state.services["cart"].published} == {url("8090")}
        store.gate.set()
        await daemon.until_served("cart", blue=[url("8090")])  # without a health check since


async def test_a_daemon_ends_while_a_document_waits_for_the_store(tmp_path: Path) -> None:
    """Rule 13: what was not published is not counted either."""
    async with running(tmp_path, store=Gated) as daemon:
        store = await serve_shop(daemon)
        before = daemon.controller.published
        store.close_gate()
        daemon.load(shop().replace("router: {", "router: {priority: 7, "))
        await store.entered.wait()
    assert daemon.controller.published is before is not None
    async with running(tmp_path) as daemon:
        assert daemon.stored.revision == before.revision


# --- while a step is on ----------------------------------------------------------------------------------------------

STEP = "    canary: {steps: [{weight: 5, for: 1h}]}\n"
CART = """\
  cart:
    router: {rule: 'Host(`cart.example.com`)'}
    preview: {rule: 'Host(`preview.example.com`)'}
    hold: true
    active: blue
    servers: {blue: {urls: ['http://127.0.0.1:8091']}, green: {urls: ['http://127.0.0.1:8092']}}
"""


async def in_a_step(daemon: Running) -> Published:
    """Serve a shop with one of its three blue servers, whose green has 5 %, and a cart with a preview."""
    blue = "8081 8083 8084"
    daemon.load(shop(blue=blue, more=STEP + CART))
    await daemon.judge(BLUE, port="8081")
    for colour in (BLUE, GREEN):
        await daemon.judge(colour, service="cart")
    await daemon.until_served(blue=[url("8081")])
    await eventually(lambda: "cart-preview" in daemon.content()["http"]["routers"])
    daemon.load(shop(blue=blue, green="8082", more="    minServers: 1\n" + STEP + CART))
    await daemon.judge(GREEN)
    return await daemon.until_served(blue=[url("8081")], green=[url("8082")])


async def at_rest(daemon: Running) -> Published | None:
    """Let everything that was delivered be looked at."""
    queues = daemon.controller.queues
    await eventually(lambda: queues.undecided.is_at_rest and queues.unpublished.is_at_rest)
    return daemon.controller.published


async def test_while_a_step_is_on_what_may_wait_goes_out_with_what_must_not(tmp_path: Path) -> None:
    """Rule 22: each document starts Traefik's round over, and the smaller colour comes late in it."""
    async with running(tmp_path) as daemon:
        before = await in_a_step(daemon)
        for port in ("8083", "8084"):
            await daemon.judge(BLUE, port=port)
            assert await at_rest(daemon) is before
        await daemon.judge(GREEN, Health.UNHEALTHY, service="cart")
        assert await at_rest(daemon) is before
        await daemon.judge(GREEN, service="cart")
        assert await at_rest(daemon) is before
        await daemon.judge(BLUE, Health.UNHEALTHY, port="8083")  # it was not in the document yet
        assert await at_rest(daemon) is before
        await daemon.judge(BLUE, Health.UNHEALTHY, port="8081")
        after = await daemon.until_served(blue=[url("8084")], green=[url("8082")])
        assert after.revision == before.revision + 1


async def test_what_may_wait_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 22: it is collected for a while."""
    monkeypatch.setattr("provider.controller.draft.COLLECT_S", 0.2)
    async with running(tmp_path) as daemon:
        await in_a_step(daemon)
        await daemon.judge(BLUE, port="8083")
        await daemon.judge(BLUE, port="8084")
        await daemon.until_served(blue=[url(port) for port in ("8081", "8083", "8084")], green=[url("8082")])


async def test_edits_and_decisions_do_not_wait_for_the_end_of_a_step(tmp_path: Path) -> None:
    """Rule 22."""
    async with running(tmp_path) as daemon:
        before = await in_a_step(daemon)
        await daemon.judge(BLUE, port="8083")
        assert await at_rest(daemon) is before
        text = shop(blue="8081 8083 8084", green="8082", more="    minServers: 1\n" + STEP + CART)
        daemon.load(text + "http: {middlewares: {late: {stripPrefix: {prefixes: [/a]}}}}\n")
        after = await daemon.until_served(blue=[url("8081"), url("8083")], green=[url("8082")])
        assert after.revision == before.revision + 1
        await daemon.judge(BLUE, port="8084")
        assert await at_rest(daemon) is after
        daemon.load(shop(blue="8081 8083 8084", green="8082", more="    minServers: 1\n" + STEP + CART, active="blue"))
        aborted = await daemon.until_served(blue=[url(port) for port in ("8081", "8083", "8084")])
        assert aborted.revision > after.revision
