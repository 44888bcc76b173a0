"""The admin API's commands, history, events and description, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from structlog.testing import capture_logs
from yarl import URL

from provider.api import bodies, commands
from provider.api.admin import admin_app
from provider.api.events import BEHIND_MOST, Events, Listener
from provider.api.tokens import Scope, Token, digest
from provider.controller import controller
from provider.controller.outputs import Listeners
from provider.model import Decision, Event, Instant, Snapshot, Verb
from provider.rollout.commands import command
from provider.rollout.commands.types import Command, Done, Refused
from tests.support.running import Running, Stubborn, listening, running, shop, url
from tests.support.waiting import eventually
from tests.support.wire import wire
from tests.support.worlds import BLUE, EPOCH, GREEN

SHOP = "/api/v1/services/shop"
WATCHED = "    watch: 1h\n"


@pytest.fixture
def events() -> Events:
    return Events()


@pytest.fixture
async def daemon(tmp_path: Path, events: Events) -> AsyncIterator[Running]:
    async with running(tmp_path, listeners=Listeners(on_decision=events.put)) as running_daemon:
        yield running_daemon


@pytest.fixture
async def client(daemon: Running, events: Events) -> AsyncIterator[aiohttp.ClientSession]:
    async with listening(admin_app(daemon.replica, events=events)) as base, aiohttp.ClientSession(base) as session:
        yield session


async def post(
    client: aiohttp.ClientSession, verb: str, body: Mapping[str, object] | None = None, *, service: str = "shop"
) -> tuple[int, dict[str, Any]]:
    async with client.post(f"/api/v1/services/{service}/{verb}", json=dict(body or {})) as answer:
        return answer.status, orjson.loads(await answer.read())


def abort(snapshot: Snapshot, now: Instant) -> Done | Refused:
    return command(snapshot, Command(Verb.ABORT, "shop", "ann"), now)


async def get(client: aiohttp.ClientSession, path: str) -> dict[str, Any]:
    async with client.get(path) as answer:
        assert answer.status == 200, await answer.text()
        return dict(orjson.loads(await answer.read()))


async def released(daemon: Running, more: str = WATCHED) -> str:
    """Bring green to active and return the release of blue, which was active before."""
    daemon.load(shop(more=more))
    await daemon.judge(BLUE)
    await daemon.until_served(blue=[url("8081")])
    before = daemon.controller.state.services["shop"].observed.blue.release
    daemon.load(shop(green="8082", more=more))
    await daemon.judge(GREEN)
    await daemon.until_served(green=[url("8082")])
    assert before is not None
    return before


async def test_a_rollback_is_done_once_and_named_in_the_history(daemon: Running, client: aiohttp.ClientSession) -> None:
    """P7, rule 9: the release to leave is named; that it is not active any more is success."""
    blue = await released(daemon)
    green = daemon.controller.state.services["shop"].observed.green.release
    status, done = await post(client, "rollback", {"reason": "too slow", "from": green})
    assert (status, done["already"]) == (200, False)
    assert (done["status"]["active"], done["status"]["override"]["colour"]) == ("blue", "blue")
    await daemon.until_served(blue=[url("8081")])
    status, again = await post(client, "rollback", {"from": green})
    assert (status, again["already"]) == (200, True)
    history = (await get(client, "/api/v1/history?service=shop"))["history"]
    assert [(row["event"], row["actor"], row["detail"]) for row in history[:1]] == [
        ("rolled-back", "local", "too slow")
    ]
    assert history[0]["release"] == green
    status, refused = await post(client, "rollback", {"from": blue})
    assert (status, refused["code"]) == (409, "not-ready")


@pytest.mark.parametrize(
    ("verb", "body", "told"),
    [
        ("switch", {}, "colour: Field required"),
        ("switch", {"colour": "red"}, "colour: Input should be 'blue' or 'green'"),
        ("switch", {"colour": "green", "force": "yes"}, "force: Input should be a valid boolean"),
        ("switch", {"color": "green", "colour": "green"}, "color: Extra inputs are not permitted"),
        ("approve", {}, "release: Field required"),
        ("approve", {"release": " "}, "release: String should have at least 1 character"),
        ("rollback", {"leaving": "r1"}, "leaving: Extra inputs are not permitted"),
        ("abort", {"reason": 7}, "reason: Input should be a valid string"),
        ("pause", {"reason": "x" * 1001}, "reason: String should have at most 1000 characters"),
        ("lease", {"force": 1}, "force: Input should be a valid boolean"),
    ],
)
async def test_a_body_that_cannot_be_understood_is_reported_field_by_field(
    daemon: Running, client: aiohttp.ClientSession, verb: str, body: dict[str, object], told: str
) -> None:
    """P11 for commands."""
    daemon.load(shop())
    status, answer = await post(client, verb, body)
    assert (status, answer["code"]) == (400, "bad-request")
    assert told in answer["detail"]


async def test_who_forces_gives_a_reason(daemon: Running, client: aiohttp.ClientSession) -> None:
    """P1."""
    daemon.load(shop())
    status, answer = await post(client, "switch", {"colour": "green", "force": True})
    assert (status, answer["code"]) == (400, "reason-wanted")


async def test_a_command_for_a_service_that_is_not_there_names_those_that_are(
    daemon: Running, client: aiohttp.ClientSession
) -> None:
    daemon.load(shop())
    for verb in ("abort", "lease"):
        status, answer = await post(client, verb, service="cart")
        assert (status, answer["code"]) == (404, "unknown-service")
        assert answer["detail"].endswith("it has: shop")


async def test_a_command_that_begins_something_is_accepted_and_not_done(
    daemon: Running, client: aiohttp.ClientSession
) -> None:
    daemon.load(shop(green="8082", active="blue"))
    await daemon.judge(BLUE)
    await daemon.until_served(blue=[url("8081")])
    status, begun = await post(client, "switch", {"colour": "green", "reason": "by hand"})
    assert (status, begun["already"], begun["status"]["phase"]) == (202, False, "waiting")
    assert begun["status"]["rollout"]["trigger"] == "command"
    status, again = await post(client, "switch", {"colour": "green"})
    assert (status, again["already"]) == (202, True)
    await daemon.judge(GREEN)
    await daemon.until_served(green=[url("8082")])


async def test_a_lease_has_one_holder(daemon: Running, client: aiohttp.ClientSession) -> None:
    """Rule 17."""
    daemon.load(shop())
    await daemon.judge(BLUE)
    await daemon.until_served(blue=[url("8081")])
    status, taken = await post(client, "lease")
    lease = taken["status"]["lease"]
    assert (status, lease["holder"]) == (200, "local")
    status, refused = await post(client, "lease")
    assert (status, refused["code"]) == (409, "leased")
    assert "local deploys shop" in refused["detail"]
    assert (await post(client, "lease", {"id": lease["id"]}))[0] == 200
    async with client.delete(f"{SHOP}/lease?id={lease['id']}", headers={"Content-Type": "application/json"}) as answer:
        assert answer.status == 200
    assert (await get(client, SHOP))["lease"] is None
    assert (await post(client, "lease"))[0] == 200


TOKENS = tuple(Token(scope.value, frozenset({scope}), digest(scope.value)) for scope in Scope)


@asynccontextmanager
async def with_token(daemon: Running, scope: Scope) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {scope.value}"}
    async with (
        listening(admin_app(daemon.replica, tokens=lambda: TOKENS)) as base,
        aiohttp.ClientSession(base, headers=headers) as session,
    ):
        yield session


async def test_the_id_of_a_lease_is_shown_to_who_may_take_one_and_ended_by_holder_or_operator(daemon: Running) -> None:
    """Rule 17: the holder is told who ended it."""
    daemon.load(shop())
    await daemon.judge(BLUE)
    await daemon.until_served(blue=[url("8081")])
    json = {"Content-Type": "application/json"}
    async with (
        with_token(daemon, Scope.READ) as reader,
        with_token(daemon, Scope.APPROVE) as approver,
        with_token(daemon, Scope.DEPLOY) as pipeline,
        with_token(daemon, Scope.OPERATE) as operator,
    ):
        _, taken = await post(pipeline, "lease", {"id": "0123456789abcdef"})
        assert taken["status"]["lease"]["id"] == "0123456789abcdef"
        for session, shown in ((reader, False), (approver, False), (pipeline, True), (operator, True)):
            for path in (SHOP, "/api/v1/services", "/api/v1/history"):
                async with session.get(path) as answer:
                    assert (b"0123456789abcdef" in await answer.read()) is (shown and path == SHOP)
        async with pipeline.delete(f"{SHOP}/lease", headers=json) as answer:
            assert (answer.status, (await answer.json())["code"]) == (403, "scope")
        body = b'{"reason": "its runner is gone"}'
        async with operator.delete(f"{SHOP}/lease", headers=json, data=body) as answer:
            assert answer.status == 200
        status, told = await post(pipeline, "lease", {"id": "0123456789abcdef"})
        assert (status, told["code"]) == (409, "leased")
        assert told["detail"] == "the lease that deploy held on shop was ended by operate: its runner is gone"
        row = (await get(reader, "/api/v1/history?limit=1"))["history"][0]
        assert (row["event"], row["actor"]) == ("lease-ended", "operate")


async def test_a_pipelines_switch_to_the_rollback_target_is_refused_like_a_rollback(daemon: Running) -> None:
    """It would be one without gates and approval; docs/security.md."""
    text = shop(green="8082", more="    approval: manual\n    watch: 1ms\n    deadlines: {confirming: 1ms}\n")
    daemon.load(shop())
    await daemon.judge(BLUE)
    await daemon.until_served(blue=[url("8081")])
    daemon.load(text)
    await daemon.judge(GREEN)
    async with with_token(daemon, Scope.DEPLOY) as pipeline, with_token(daemon, Scope.OPERATE) as operator:

        async def stands(phase: str) -> str:
            async def look() -> str:
                found = await get(operator, SHOP)
                assert found["phase"] == phase
                return str(found["colours"]["green"]["release"])

            return await eventually(look)

        release = await stands("approval")
        status, answer = await post(pipeline, "switch", {"colour": "green", "release": release})
        assert (status, answer["already"]) == (202, True)
        assert (await post(operator, "approve", {"release": release}))[0] in {200, 202}
        await daemon.until_served(green=[url("8082")])
        await stands("steady")
        await daemon.judge(BLUE)
        status, refused = await post(pipeline, "switch", {"colour": "blue"})
        assert (status, refused["code"]) == (403, "scope")
        assert "is a rollback, without gates and approval, and needs the scope operate" in refused["detail"]
        assert (await post(operator, "switch", {"colour": "blue"}))[0] == 202


async def test_a_store_that_fails_refuses_a_command_and_nothing_is_changed(tmp_path: Path) -> None:
    """P5: a command is durable or refused, never half done."""
    async with (
        running(tmp_path, store=Stubborn) as daemon,
        listening(admin_app(daemon.replica)) as base,
        aiohttp.ClientSession(base) as client,
    ):
        await released(daemon)
        store = daemon.store
        assert isinstance(store, Stubborn)
        store.full = True
        status, answer = await post(client, "rollback")
        assert (status, answer["code"]) == (503, "store-failing")
        assert (await get(client, SHOP))["active"] == "green"
        assert daemon.served() == {"green": [url("8082")]}
        store.full = False
        assert (await post(client, "rollback"))[0] == 200
        await daemon.until_served(blue=[url("8081")])


async def test_the_history_is_filtered_by_service_and_time(daemon: Running, client: aiohttp.ClientSession) -> None:
    await released(daemon)
    everything = (await get(client, "/api/v1/history"))["history"]
    assert {row["event"] for row in everything} >= {"first-sight", "begun", "ready", "shifted"}
    shifted = next(row for row in everything if row["event"] == "shifted")
    assert shifted["evidence"] == [f"shop green {url('8082')}: healthy"]
    assert (await get(client, "/api/v1/history?limit=1"))["history"] == everything[:1]
    assert (await get(client, "/api/v1/history?service=cart"))["history"] == []
    later = (await get(client, "/api/v1/history?since=2999-01-01T00:00:00Z"))["history"]
    assert later == []


@pytest.mark.parametrize("query", ["limit=0", "limit=many", "since=yesterday", "since=2026-01-01T00:00:00", "of=shop"])
async def test_a_question_to_the_history_that_makes_no_sense_is_refused(
    client: aiohttp.ClientSession, query: str
) -> None:
    async with client.get(f"/api/v1/history?{query}") as answer:
        problem = orjson.loads(await answer.read())
    assert (answer.status, problem["code"]) == (400, "bad-request")
    assert query.partition("=")[0] in problem["detail"]


@pytest.mark.parametrize(
    ("since", "found"),
    [
        ("0001-01-01T00:00:00Z", True),
        ("0001-01-01T00:00:00%2B14:00", True),
        ("9999-12-31T23:59:59Z", False),
        ("9999-12-31T23:59:59-14:00", False),
        ("9999-12-31T23:59:59.999999-23:59", False),
        ("0", True),
        ("-1", True),
    ],
)
async def test_a_date_at_either_end_of_time_is_answered(
    daemon: Running, client: aiohttp.ClientSession, since: str, found: bool
) -> None:
    """0001-01-01 with an offset east of UTC, and 9999-12-31 with one west of it, have no date in UTC."""
    await released(daemon)
    history = (await get(client, f"/api/v1/history?since={since}"))["history"]
    assert bool(history) is found


NONSENSE = (
    *("NaN", "inf", "-inf", "1e400", "-1e400", "99999999999999999999999", "9" * 4000, "0x10", "%00", "%ED%A0%80"),
    *("%FF%FE", "%F0%9F%92%A9", "10000-01-01T00:00:00Z", "-9999-01-01T00:00:00Z", "'; DROP TABLE decisions", "", "%20"),
)


@pytest.mark.parametrize("name", ["since", "limit", "service", "of", "%ED%A0%80"])
async def test_no_text_in_a_query_is_answered_with_a_fault(
    daemon: Running, client: aiohttp.ClientSession, name: str
) -> None:
    daemon.load(shop())
    for text in NONSENSE:
        query = URL(f"{client._base_url}/api/v1/history?{name}={text}".replace(" ", "+"), encoded=True)
        async with client.get(query) as answer:
            assert answer.status in {200, 400}, (text, await answer.text())
            assert answer.status == 400 or name == "service"
            orjson.loads(await answer.read())


async def test_every_decision_is_sent_to_those_who_listen(
    daemon: Running, events: Events, client: aiohttp.ClientSession
) -> None:
    daemon.load(shop())
    async with client.get("/api/v1/events") as answer:
        assert answer.content_type == "text/event-stream"
        await eventually(lambda: events.listeners)
        assert (await post(client, "pause", {"reason": "lunch"}))[0] == 200
        lines = b""
        while b'"paused"' not in lines:
            lines += await answer.content.readuntil(b"\n\n")
        assert b"event: decision\ndata: " in lines
        events.close()
        assert (await answer.content.read()).count(b"event") <= 1
    await eventually(lambda: not events.listeners)


async def test_an_events_stream_ends_with_its_token(
    daemon: Running, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A token that was taken out of the file reads nothing more, also over a connection that it opened before."""
    monkeypatch.setattr(commands, "REVOKED_WITHIN_S", 0.01)
    ann, bob = (Token(name, frozenset({Scope.READ}), digest(name)) for name in ("ann", "bob"))
    known = [ann, bob]
    app = admin_app(daemon.replica, lambda: tuple(known), events)
    async with listening(app) as base, aiohttp.ClientSession(base) as session:
        streams = [
            await session.get("/api/v1/events", headers={"Authorization": f"Bearer {name}"}) for name in ("ann", "bob")
        ]
        await eventually(lambda: events.listeners == 2)
        known.remove(ann)
        assert b"event" not in await streams[0].content.read()
        daemon.load(shop())
        events.put(Decision(EPOCH, "shop", Event.BEGUN))
        assert b"event: decision" in await streams[1].content.readuntil(b"decision")
        streams[1].close()


async def test_a_decision_is_not_reported_to_a_token_that_was_revoked_before_it(
    daemon: Running, events: Events, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "REVOKED_WITHIN_S", 3600.0)
    known = [Token("ann", frozenset({Scope.READ}), digest("ann"))]
    app = admin_app(daemon.replica, lambda: tuple(known), events)
    async with (
        listening(app) as base,
        aiohttp.ClientSession(base) as session,
        session.get("/api/v1/events", headers={"Authorization": "Bearer ann"}) as stream,
    ):
        await eventually(lambda: events.listeners)
        known.clear()
        events.put(Decision(EPOCH, "shop", Event.BEGUN))
        assert await stream.content.read() == b": listening\n\n"


async def test_a_console_that_is_closed_leaves_nothing_in_the_log(
    daemon: Running, events: Events, client: aiohttp.ClientSession, caplog: pytest.LogCaptureFixture
) -> None:
    with capture_logs() as logged:
        for _ in range(3):
            async with client.get("/api/v1/events"):
                await eventually(lambda: events.listeners)

            def gone() -> bool:
                events.put(Decision(EPOCH, "shop", Event.BEGUN))
                return not events.listeners

            await eventually(gone)
    assert [line for line in logged if line["log_level"] in {"error", "warning"}] == []
    assert caplog.records == []


async def test_so_many_listen_to_the_events_and_no_more(
    daemon: Running, events: Events, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "EVENTS_MOST", 1)
    async with client.get("/api/v1/events"):
        await eventually(lambda: events.listeners)
        async with client.get("/api/v1/events") as refused:
            assert (refused.status, (await refused.json(content_type=None))["code"]) == (503, "too-many-streams")


# --- bodies ----------------------------------------------------------------------------------------------------------

HEAD = b"POST /api/v1/services/shop/pause HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
REASON = b'{"reason": "in pieces"}'
CHUNKS = (*(b"%x\r\n%b\r\n" % (len(one), one) for one in (REASON[:9], REASON[9:])), b"0\r\n\r\n")


@pytest.mark.parametrize(
    ("head", "pieces"),
    [
        (b"Content-Length: %d\r\n" % len(REASON), (REASON[:9], REASON[9:])),
        (b"Content-Length: %d\r\n" % len(REASON), tuple(REASON[at : at + 1] for at in range(len(REASON)))),
        (b"Transfer-Encoding: chunked\r\n", CHUNKS),
        (b"Transfer-Encoding: chunked\r\n", tuple(b"".join(CHUNKS)[at : at + 1] for at in range(40))),
    ],
    ids=["two segments", "byte by byte", "chunked", "chunked byte by byte"],
)
async def test_a_body_may_come_in_pieces(
    daemon: Running, events: Events, head: bytes, pieces: tuple[bytes, ...]
) -> None:
    """A proxy passes a body on as it gets it: a rollback behind one was refused with 400."""
    daemon.load(shop())
    async with listening(admin_app(daemon.replica, events=events)) as base, wire(base) as peer:
        # By its answer to Expect the listener tells that it has read the head, and the first piece with it.
        await peer.send(HEAD + head + b"Expect: 100-continue\r\nConnection: close\r\n\r\n" + pieces[0])
        assert b"100 Continue" in await peer.until(b"\r\n\r\n")
        for piece in pieces[1:]:
            await peer.send(piece)
            await asyncio.sleep(0)
        answer = await peer.rest()
        assert answer.startswith(b"HTTP/1.1 200 "), answer
    assert daemon.controller.state.groups["shop"].paused


@pytest.mark.parametrize(
    ("more", "status", "told"),
    [
        (b"Content-Length: 70000\r\n\r\n" + b" " * 70000, 400, b"longer than 65536 bytes"),
        (b"Content-Length: 70000\r\n\r\n", 400, b"did not arrive within"),
        (b"Transfer-Encoding: chunked\r\n\r\n5\r\n", 400, b"did not arrive within"),
        (b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", 400, b""),
        (b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", 400, b"is compressed"),
        (b"Content-Length: 2\r\n\r\n\xff\xfe", 400, b"bad-request"),
        (b'Content-Length: 23\r\n\r\n{"reason":"\\ud800 day"}', 400, b"bad-request"),
    ],
    ids=["long", "never sent", "chunk never sent", "broken chunk", "gzip", "no UTF-8", "surrogate"],
)
async def test_a_body_that_is_none_is_refused(
    daemon: Running, events: Events, monkeypatch: pytest.MonkeyPatch, more: bytes, status: int, told: bytes
) -> None:
    monkeypatch.setattr(bodies, "BODY_S", 0.2)
    daemon.load(shop())
    async with listening(admin_app(daemon.replica, events=events)) as base, wire(base) as peer:
        await peer.send(HEAD + b"Connection: close\r\n" + more)
        answer = await peer.rest()
        assert answer.split(b" ", 2)[1] == b"%d" % status, answer
        assert told in answer
    assert not any(group.paused for group in daemon.controller.state.groups.values())


async def test_a_listener_that_does_not_keep_up_is_let_go() -> None:
    listener = Listener()
    for _ in range(BEHIND_MOST + 1):
        listener.put(Decision(EPOCH, "shop", Event.BEGUN))
    assert listener.is_over
    told = [await listener.next_within(1.0) for _ in range(BEHIND_MOST + 1)]
    assert told[-1] is None
    assert None not in told[:-1]


async def test_of_many_questions_to_the_history_the_store_is_asked_one_at_a_time(
    daemon: Running, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P7: the store's one thread also commits, and a rollback must not wait behind a hundred of these."""
    asked, most = 0, 0
    history = daemon.store.history

    async def counted(**filters: Any) -> tuple[Decision, ...]:
        nonlocal asked, most
        asked += 1
        most = max(most, asked)
        found = await history(**filters)
        asked -= 1
        return found

    monkeypatch.setattr(daemon.store, "history", counted)
    await asyncio.gather(*(get(client, "/api/v1/history?limit=10000") for _ in range(20)))
    assert most == 1


async def test_an_answer_that_takes_too_long_is_reported_to_have_no_end_yet(
    daemon: Running, client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(*_: object) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(commands, "ANSWER_S", 0.1)
    monkeypatch.setattr(daemon.controller, "history", never)
    async with client.get("/api/v1/history") as answer:
        problem = orjson.loads(await answer.read())
        assert (answer.status, problem["code"]) == (503, "no-answer")
        assert "may still be done: bluegreen status" in problem["detail"]


async def test_an_abort_that_comes_before_a_switch_that_is_due_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """P8: the switch could not be committed yet, so it has not been, and it is not made up for first."""
    monkeypatch.setattr(controller, "RETRY_S", 1.0)
    async with (
        running(tmp_path, store=Stubborn) as daemon,
        listening(admin_app(daemon.replica)) as base,
        aiohttp.ClientSession(base) as client,
    ):
        store = daemon.store
        assert isinstance(store, Stubborn)
        daemon.load(shop(more=WATCHED))
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        daemon.load(shop(green="8082", more=WATCHED))
        await eventually(lambda: daemon.controller.state.rollouts.under_way)
        store.full = True
        await daemon.judge(GREEN)
        await eventually(lambda: "store-failing" in daemon.controller.conditions)
        monkeypatch.setattr(controller, "RETRY_S", 0.0)
        aborted = asyncio.create_task(daemon.controller.command("shop", abort))
        await asyncio.sleep(0)  # it is queued; the loop that decides sleeps still
        store.full = False
        done = await aborted
        assert isinstance(done, Done)
        assert done.detail == "rollout r1 is aborted"
        assert (await get(client, SHOP))["active"] == "blue"
        assert daemon.served() == {"blue": [url("8081")]}


async def test_commands_sent_at_once_are_done_one_after_the_other(
    daemon: Running, client: aiohttp.ClientSession
) -> None:
    """Rule 9: two operators at 3 a.m."""
    await released(daemon)
    green = daemon.controller.state.services["shop"].observed.green.release
    answers = await asyncio.gather(*(post(client, "rollback", {"from": green}) for _ in range(5)))
    assert [status for status, _ in answers] == [200] * 5
    assert sorted(done["already"] for _, done in answers) == [False, True, True, True, True]
