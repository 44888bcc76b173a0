"""A follower passes requests on to the leader (rule 60)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web

from provider.api import forwarding
from provider.api.admin import admin_app
from provider.api.events import Events
from provider.api.listen import listen
from provider.api.tls import TlsFiles, read_context, read_peer_context
from provider.api.tokens import Scope, make_token
from provider.controller.lasting import Lasting
from provider.controller.outputs import Listeners
from provider.controller.replica import Leader, Replica
from provider.model import Event
from provider.model.errors import LeadershipLost
from provider.store import Change
from provider.store.sqlite import SqliteStore
from provider.traefik.process import free_ports
from tests.support.certificates import Authority
from tests.support.running import Running, listening, running, shop
from tests.support.waiting import eventually


class Waiting(Replica):
    """A replica that shows how often a request has begun to wait for what another one does."""

    def __init__(self, lasting: Lasting, *, name: str) -> None:
        super().__init__(lasting, name=name)
        self.waits = asyncio.Queue[None]()

    @contextmanager
    def telling(self, listener: Callable[[], None]) -> Iterator[None]:
        with super().telling(listener):
            self.waits.put_nowait(None)
            yield


class Superseded(SqliteStore):
    """A store whose commits are refused once its term `is_over`."""

    is_over = False

    async def commit(self, change: Change) -> None:
        if self.is_over:
            raise LeadershipLost("replica third leads now")
        await super().commit(change)


def follower(leader: str | None) -> Replica:
    found = Replica(Lasting(), name="second")
    if leader is not None:
        found.follow(Leader("first", leader))
    return found


@asynccontextmanager
async def leading(folder: Path, events: Events | None = None) -> AsyncIterator[tuple[Running, str]]:
    listeners = Listeners(on_decision=events.put) if events is not None else None
    async with (
        running(folder, listeners=listeners) as daemon,
        listening(admin_app(daemon.replica, events=events)) as url,
    ):
        daemon.load(shop(blue="8081", green="8082", active="blue"))
        await eventually(lambda: daemon.controller.state.services["shop"].state.active)
        yield daemon, url


@asynccontextmanager
async def following(replica: Replica) -> AsyncIterator[aiohttp.ClientSession]:
    async with listening(admin_app(replica)) as url, aiohttp.ClientSession(url) as client:
        yield client


async def test_a_follower_answers_what_the_leader_says(tmp_path: Path) -> None:
    """Rule 60: reading, the query, a name with letters of its own, and what nobody knows."""
    async with leading(tmp_path) as (_, url), following(follower(url)) as client, aiohttp.ClientSession(url) as direct:
        for path in (
            "services",
            "services/shop",
            "services/sh%2Fop%3Fx",
            "history?service=shop&limit=1",
            "history?a=b",
        ):
            async with client.get(f"/api/v1/{path}") as answer, direct.get(f"/api/v1/{path}") as wanted:
                assert (answer.status, answer.content_type) == (wanted.status, wanted.content_type)
                assert (await answer.json(content_type=None)).keys() == (await wanted.json(content_type=None)).keys()
        async with client.get("/api/v1/services/shop") as answer:
            assert (await answer.json())["active"] == "blue"


async def test_a_command_is_done_once_by_the_leader_in_the_callers_name(tmp_path: Path) -> None:
    """Rule 60."""
    async with leading(tmp_path) as (daemon, url), following(follower(url)) as client:
        body, headers = {"reason": "lunch"}, {"X-Bluegreen-Actor": "ann"}
        async with client.post("/api/v1/services/shop/pause", json=body, headers=headers) as answer:
            assert (answer.status, (await answer.json())["already"]) == (200, False)
        rows = await daemon.controller.history("shop", None, 10)
        assert [(row.event, row.actor) for row in rows if row.event == "paused"] == [("paused", "ann")]


async def test_events_come_through_as_they_happen(tmp_path: Path) -> None:
    """Rule 60."""
    events = Events()
    async with (
        leading(tmp_path, events) as (_, url),
        following(follower(url)) as client,
        client.get("/api/v1/events") as stream,
    ):
        assert await stream.content.readline() == b": listening\n"
        async with client.post("/api/v1/services/shop/pause", json={}) as answer:
            assert answer.status == 200
        while (line := await stream.content.readline()) != b"event: decision\n":
            assert line
        assert b'"paused"' in await stream.content.readline()
        events.close()
        assert await stream.content.read() in {b"", b"\n"}


async def test_a_request_takes_one_hop(tmp_path: Path) -> None:
    """Rule 60: two followers that name each other send nothing round."""
    second, third = follower(None), follower(None)
    async with listening(admin_app(second)) as one, listening(admin_app(third)) as two:
        second.follow(Leader("third", two))
        third.follow(Leader("second", one))
        async with aiohttp.ClientSession(one) as client:
            headers = {forwarding.HOP_HEADER: "fourth"}
            async with client.post("/api/v1/services/shop/pause", json={}, headers=headers) as answer:
                assert (answer.status, (await answer.json())["code"]) == (503, "no-leader")


async def test_what_was_surely_not_done_is_sent_once_more_to_who_leads_by_now(tmp_path: Path) -> None:
    """Rule 60: the leader that is named has stepped down, or is gone."""
    (dead,) = free_ports(1)
    async with leading(tmp_path) as (daemon, url), listening(admin_app(follower(None))) as stepped_down:
        for former in (stepped_down, f"http://127.0.0.1:{dead}"):
            second = Waiting(Lasting(), name="second")
            second.follow(Leader("first", former))
            async with following(second) as client, asyncio.TaskGroup() as tasks:
                asked = tasks.create_task(client.post("/api/v1/services/shop/pause", json={}))
                await second.waits.get()  # for an answer of the former one
                await second.waits.get()  # for another one
                second.follow(Leader("third", url))
                assert (await asked).status == 200
        rows = await daemon.controller.history("shop", None, 10)
        assert [row.event for row in rows].count(Event.PAUSED) == 1


async def test_a_leader_that_has_lost_its_term_passes_what_it_did_not_do_on(tmp_path: Path) -> None:
    """Rule 60: its commit was refused, and it finds out only then that another one leads."""
    async with leading(tmp_path / "next") as (daemon, url), running(tmp_path / "former", store=Superseded) as former:
        former.load(shop(blue="8081", green="8082", active="blue"))
        await eventually(lambda: former.controller.state.services["shop"].state.active)
        assert isinstance(former.store, Superseded)
        former.store.is_over = True
        replica = Waiting(Lasting(), name="second")
        replica.lead(former.controller)
        async with following(replica) as client, asyncio.TaskGroup() as tasks:
            asked = tasks.create_task(client.post("/api/v1/services/shop/pause", json={}))
            await replica.waits.get()
            replica.follow(Leader("third", url))
            assert (await asked).status == 200
        rows = await daemon.controller.history("shop", None, 10)
        assert [row.event for row in rows].count(Event.PAUSED) == 1


async def test_a_question_for_the_head_of_an_answer_gets_no_more(tmp_path: Path) -> None:
    """Rule 60: a body behind it would be read as the next answer of the connection."""
    async with leading(tmp_path) as (_, url), listening(admin_app(follower(url))) as second:
        for asked in map(urlsplit, (url, second)):
            reader, writer = await asyncio.open_connection(asked.hostname, asked.port)
            for path in ("services", "events", "services/shop"):
                writer.write(f"HEAD /api/v1/{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK")
            writer.write(b"GET /api/v1/caller HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
            writer.close()


async def test_without_a_leader_a_command_is_not_done(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rule 60."""
    monkeypatch.setattr(forwarding, "ELECTION_S", 0.05)
    async with following(follower(None)) as client:
        for method, path in (("POST", "services/shop/pause"), ("GET", "services")):
            async with client.request(method, f"/api/v1/{path}", json={}) as answer:
                assert (answer.status, (await answer.json())["code"]) == (503, "no-leader")
                assert answer.content_type == "application/problem+json"
        async with client.get("/api/v1/caller") as answer:
            assert answer.status == 200


async def test_where_the_leader_dies_over_a_command_its_outcome_is_unknown() -> None:
    """Rule 60: it is not sent again, as it may have been done."""
    asked = 0

    async def dies(request: web.Request) -> web.StreamResponse:
        nonlocal asked
        asked += 1
        await request.read()
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    dying = web.Application()
    dying.router.add_route("*", "/{path:.*}", dies)
    async with (
        listening(dying) as url,
        following(follower(url)) as client,
        client.post("/api/v1/services/shop/pause", json={}) as answer,
    ):
        body = await answer.json()
        assert (answer.status, body["code"]) == (503, "outcome-unknown")
        assert "replica first led and did not answer" in body["detail"]
    assert asked == 1


@asynccontextmanager
async def frozen() -> AsyncIterator[tuple[str, asyncio.Queue[str]]]:
    """A server that takes requests and answers none; yields its URL, and the requests as they arrive."""
    arrived, thawed = asyncio.Queue[str](), asyncio.Event()

    async def wait(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        if request.path.endswith("/events"):
            await answer.prepare(request)
        arrived.put_nowait(request.path)
        await thawed.wait()
        return answer

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", wait)
    async with listening(app) as url:
        try:
            yield url, arrived
        finally:
            thawed.set()


async def test_a_frozen_leader_is_not_waited_for_when_another_one_leads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 60: what reads asks the new one, a command's outcome is unknown, and a stream of events ends."""
    monkeypatch.setattr(forwarding, "SUPERSEDED_S", 0.01)
    async with leading(tmp_path) as (_, url), frozen() as (ice, arrived):
        second = follower(ice)
        async with following(second) as client, asyncio.TaskGroup() as tasks:
            for method, path, status in (
                ("GET", "services/shop", 200),
                ("POST", "services/shop/pause", 503),
                ("GET", "events", 200),
            ):
                second.follow(Leader("first", ice))
                asked = tasks.create_task(client.request(method, f"/api/v1/{path}", json={}))
                await arrived.get()
                second.follow(None)
                second.follow(Leader("third", url))
                async with await asked as answer:
                    assert answer.status == status
                    if status == 503:
                        assert (await answer.json())["code"] == "outcome-unknown"
                    elif path == "events":
                        with pytest.raises(aiohttp.ClientPayloadError):
                            await answer.read()
                    else:
                        assert (await answer.json())["active"] == "blue"


async def test_a_replica_that_takes_over_answers_what_waited_for_the_former_leader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 60: it waits neither for a frozen one nor for an election that it has won."""
    monkeypatch.setattr(forwarding, "SUPERSEDED_S", 0.01)
    async with running(tmp_path) as daemon, frozen() as (ice, arrived):
        daemon.load(shop(blue="8081", green="8082", active="blue"))
        await eventually(lambda: daemon.controller.state.services["shop"].state.active)
        second = Waiting(Lasting(), name="second")
        async with following(second) as client, asyncio.TaskGroup() as tasks:
            for leader in (Leader("first", ice), None):
                second.step_down()
                second.follow(leader)
                asked = tasks.create_task(client.get("/api/v1/services/shop"))
                await second.waits.get()
                if leader is not None:
                    await arrived.get()
                second.follow(None)
                second.lead(daemon.controller)
                async with await asked as answer:
                    assert (answer.status, (await answer.json())["active"]) == (200, "blue")


async def test_a_follower_verifies_the_token_itself_and_sends_it_on(tmp_path: Path) -> None:
    """Rule 60: a token that it does not know never leaves it."""
    text, token = make_token("ann", frozenset({Scope.OPERATE}))
    seen: list[str | None] = []

    async def note(request: web.Request) -> web.StreamResponse:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({})

    noting = web.Application()
    noting.router.add_route("*", "/{path:.*}", note)
    async with (
        listening(noting) as url,
        listening(admin_app(follower(url), lambda: (token,))) as own,
        aiohttp.ClientSession(own) as client,
    ):
        for shown, status in (("wrong", 401), (text, 200)):
            headers = {"Authorization": f"Bearer {shown}"}
            async with client.post("/api/v1/services/shop/pause", json={}, headers=headers) as answer:
                assert answer.status == status
    assert seen == [f"Bearer {text}"]


async def test_a_leader_with_mutual_tls_is_asked_with_the_certificate_of_the_follower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rule 60: both have certificates of one CA, which is also that of their clients."""
    monkeypatch.setattr(forwarding, "ELECTION_S", 0.05)
    authority = Authority(tmp_path)
    files = [TlsFiles(*authority.issue(name), authority.ca) for name in ("first", "second")]
    async with running(tmp_path / "state") as daemon:
        daemon.load(shop())
        runner = web.AppRunner(admin_app(daemon.replica))
        await runner.setup()
        try:
            site = await listen(runner, "127.0.0.1:0", read_context(files[0]))
            second = follower(f"https://127.0.0.1:{site.port}")
            for context, status in ((None, 503), (read_peer_context(files[1]), 200)):
                app = admin_app(second, tls=partial(lambda given: given, context))
                async with (
                    listening(app) as url,
                    aiohttp.ClientSession(url) as client,
                    client.get("/api/v1/services") as answer,
                ):
                    assert answer.status == status
        finally:
            await runner.cleanup()
