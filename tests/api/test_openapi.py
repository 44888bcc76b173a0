"""The description of the admin API, and real answers of every kind against it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from provider.api import commands, connections
from provider.api import listen as listeners
from provider.api.about import About
from provider.api.admin import admin_app
from provider.api.events import Events
from provider.api.provider import provider_app
from provider.api.tokens import Scope, Token, digest
from provider.controller.publication import Published
from provider.controller.reload import Reload
from provider.controller.replica import Peer
from provider.controller.state import State
from provider.model import (
    Applied,
    ByColour,
    Decision,
    Event,
    GroupState,
    Health,
    Lease,
    Outcome,
    Override,
    Pause,
    Phase,
    Quarantine,
    ServerHealth,
    Smoke,
    SmokeEvidence,
    SmokeResult,
    SmokeTest,
    Snapshot,
    Trigger,
    condition,
)
from provider.model.analysed import Analysed, Answer, Interval, Sample, Tally
from provider.model.condition_catalogue import ConditionCode
from provider.model.errors import StoreError, StoreUncertain, StoreUnknown
from provider.model.problems import PROBLEMS, ProblemCode
from provider.rollout.gates.smoke import smoke_run
from provider.runtime.clock import clock
from provider.traefik.elsewhere import PollerElsewhere, ReplicaPolls
from provider.traefik.pollers import Poller
from tests.support.applying import Applying, applying
from tests.support.described import Described, reference
from tests.support.phases import OLD, UNDER_WAY, group, moved, old, with_state
from tests.support.running import Running, Stubborn, listening, running, shop, url
from tests.support.waiting import eventually
from tests.support.wire import wire
from tests.support.worlds import BLUE, EPOCH, GREEN, candidate, member, runs, server, service, snapshot

SHOP = "/api/v1/services/shop"
MANUAL = "    approval: manual\n    watch: 1h\n"
STEPS = """\
    canary: {steps: [{weight: 5, for: 1h, approval: manual}, {weight: 50, for: 1h}]}
    analysis:
      source: {prometheus: {url: "http://127.0.0.1:9"}}
      warmup: 0s
      errors: {max: 5%}
      queries: [{name: queue, query: max(queue_length), max: 100}]
    deadlines: {confirming: 10ms}
"""
BODIES = ("Body", "SwitchBody", "ApproveBody", "PromoteBody", "RollbackBody", "LeaseBody", "DesiredBody")
FAILED = SmokeResult("home", "http://10.0.0.2:80", False, "500, wanted 200", "oops", 0.1)
OPEN = SmokeResult("home", "http://10.0.0.2:80", None, "no answer yet", None, 0.1)
DECIDED = Decision(
    at_utc=EPOCH,
    service="shop",
    event=Event.EXPIRED,
    colour=GREEN,
    release="r2",
    rollout="r1",
    phase=Phase.STEADY,
    outcome=Outcome.EXPIRED,
    trigger=Trigger.TIMER,
    actor="ann",
    detail="too slow",
    evidence=("c2: unhealthy",),
)


class Open(asyncio.BaseTransport):
    """A connection that is not closing."""

    def is_closing(self) -> bool:
        return False


@asynccontextmanager
async def asking(
    daemon: Running, tokens: tuple[Token, ...] | None = None, events: Events | None = None, about: About | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Talk to the admin listener of a daemon."""
    app = admin_app(daemon.replica, (lambda: tokens) if tokens is not None else None, events, about)
    async with listening(app) as base, aiohttp.ClientSession(base) as client:
        yield client


async def test_the_description_names_every_request_that_is_answered(tmp_path: Path) -> None:
    async with running(tmp_path) as daemon:
        answered = {
            (route.method.lower(), route.resource.canonical)
            for route in admin_app(daemon.replica).router.routes()
            if route.resource is not None and route.method != "HEAD" and route.resource.canonical.startswith("/api/")
        }
    paths = Described().description["paths"]
    assert {(method, path) for path, methods in paths.items() for method in methods} == answered


async def test_real_answers_of_every_kind_are_as_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Section 6.3. At the end every field has had a value in some answer, and every problem has come."""
    described = Described()
    async with running(tmp_path / "one", docker=True) as daemon:
        await statuses(described, daemon, tmp_path)
        await streams(described, daemon)
    async with running(tmp_path / "two", store=Stubborn) as daemon:
        await released(described, daemon)
        await refused(described, daemon)
        await not_let_in(described, daemon)
        await failed(described, daemon, monkeypatch)
        await malformed(described, daemon, monkeypatch)
    async with running(tmp_path / "three") as daemon:
        await of_the_provider_listener(described, daemon)
    async with applying(tmp_path / "four") as term:
        await applied(described, term)
        await replicas(described, daemon)
    assert described.unseen(*BODIES) == set()
    assert described.codes == set(ProblemCode)


def snapshots() -> list[Snapshot]:
    """A service in each phase, with and without all that may be known of it."""
    preview = replace(service().routers[0], name="preview")
    full = service(approval_is_manual=True, smoke_tests=(SmokeTest("home"),), group="front", preview=preview)
    testing = group(Phase.TESTING, old(full))
    (only,) = testing.members
    run = smoke_run(only, candidate())
    assert run is not None
    assert testing.state.rollout is not None
    running_tests = replace(testing, members=(replace(only, smoke=Smoke(run, (OPEN,))),))
    evidence = SmokeEvidence("shop", "r2", full.smoke_definition, passed=False, results=(FAILED,))
    tested = replace(testing, state=replace(testing.state, rollout=replace(testing.state.rollout, smoke=(evidence,))))
    applied = (
        Applied("http://one:8080", answers=False),
        Applied("http://two:8080", answers=True, is_current=True, is_ours=True, weights=(("shop-blue", 100),)),
        Applied("http://three:8080", answers=True, is_current=True, weights=(("shop-green", 100),)),
    )
    taken_back = with_state(
        old(),
        override=Override(BLUE, "r2", "errors at the till", "ann", EPOCH),
        lease=Lease("l1", "ci", EPOCH, "green was rolled back by ann", until_mono_s=1e12),
    )
    quarantined = Quarantine((candidate(),), Outcome.ROLLED_BACK, "r7", EPOCH, "errors", "ann")
    leaving = replace(OLD, leaving_mono_s=1000.0)
    return [
        snapshot(member(active=None)),
        snapshot(old(full, green=runs(server(2, "r2", version="1.4.2")))),
        *(group(phase, trigger=trigger) for phase in UNDER_WAY for trigger in Trigger),
        *(group(phase, forced="it burns") for phase in UNDER_WAY),
        group(Phase.APPROVAL, old(full)),
        group(Phase.SHIFTING, old(full)),
        *(running_tests, tested),
        group(Phase.CONFIRMING, replace(moved(), applied=applied, fetched=True, given=True)),
        snapshot(taken_back, state=GroupState(None, 7, (quarantined,), Pause("bob", None, EPOCH))),
        snapshot(moved(blue=runs(leaving), green=runs(OLD), health={OLD: Health.UNHEALTHY})),
        snapshot(moved(green=runs())),
    ]


async def statuses(described: Described, daemon: Running, folder: Path) -> None:
    """Show a service in every state that it can be in, and the daemon."""
    daemon.load(shop())
    state = daemon.controller.state
    connection = Open()
    for _ in range(2):
        state.traefik.pollers.polled(connection, "10.0.0.1", "edge-1", clock())
        elsewhere = PollerElsewhere(Poller("edge-2", 1, 0.0))
        state.polled_elsewhere({"second": ReplicaPolls((elsewhere,))}, clock())
    state.traefik.revision = 7
    daemon.list_docker(web=ByColour((OLD,), ()))
    daemon.controller.conditions.put(condition(ConditionCode.DOCKER_AWAY, EPOCH, cause="refused"))
    about = About(
        docker_enabled=True,
        docker="unix:///run/docker.sock",
        docker_host_address="10.0.0.1",
        files={"state-dir": folder},
    )
    async with asking(daemon, about=about) as client:
        await eventually(lambda: state.tracked.unnamed)
        for of in snapshots():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(state, "snapshot", lambda *_, of=of: of)
                patch.setattr(state.services["shop"], "health", {OLD.key: ServerHealth(Health.HEALTHY, None, EPOCH)})
                for path in (SHOP, "/api/v1/services"):
                    assert (await described.ask(client, "GET", path))[0] == 200
        for path in ("daemon", "caller", "openapi.json"):
            assert (await described.ask(client, "GET", f"/api/v1/{path}"))[0] == 200


async def streams(described: Described, daemon: Running) -> None:
    """Follow the events."""
    events = Events()
    async with asking(daemon, events=events) as client, client.get("/api/v1/events") as stream:
        assert (stream.status, stream.content_type) == (200, "text/event-stream")
        await eventually(lambda: events.listeners)
        events.put(DECIDED)
        events.change(lambda: ["shop"])
        for name, kind in (("decision", "Decision"), ("changed", "Changed")):
            await stream.content.readuntil(f"event: {name}\ndata: ".encode())
            described.hold(reference(kind), orjson.loads(await stream.content.readuntil(b"\n")))


async def release_in_step(described: Described, daemon: Running, client: aiohttp.ClientSession) -> str:
    """Return the release in the first step, of which something is counted."""
    _, status = await described.ask(client, "GET", SHOP)
    assert status["rollout"]["step"]
    assert status["rollout"]["step"]["until"]
    assert status["rollout"]["step"]["weight"] == 5
    counted = ByColour(Tally(95, 1), Tally(5, 0))
    interval = Interval(1, (Sample("t1", clock().mono_s, counted),))
    daemon.controller.state.services["shop"].analysed = Analysed((interval,))
    _, status = await described.ask(client, "GET", SHOP)
    assert status["rollout"]["step"]["analysis"]["intervals"]
    for one in daemon.controller.state.followed["shop"]:
        daemon.controller.inputs.answered_query(Answer(one, "queue", clock().mono_s, 3.0))
    assert status["rollout"]["step"]["analysis"]["last"]
    return str(status["rollout"]["release"])


async def released(described: Described, daemon: Running) -> None:
    """Command all that there is."""

    async def command(verb: str, *statuses: int, **body: object) -> None:
        status, done = await described.ask(client, "POST", f"{SHOP}/{verb}", body)
        assert status in statuses, done

    async with asking(daemon) as client:
        daemon.load(shop(more=MANUAL))
        await daemon.judge(BLUE)
        await daemon.until_served(blue=[url("8081")])
        await command("switch", 409, colour="green")  # which has no servers
        await command("lease", 200, id="l1")
        assert (await described.ask(client, "DELETE", f"{SHOP}/lease?id=l1", {}))[0] == 200
        await command("pause", 200, reason="lunch")
        daemon.load(shop(green="8082", active="blue", more=MANUAL))
        await eventually(lambda: daemon.controller.state.services["shop"].observed.green.servers)
        await command("switch", 409, colour="green")  # while it is paused
        await command("resume", 200)
        await command("switch", 202, colour="green")
        await command("abort", 200)
        await command("retry", 202, 200)
        await command("switch", 202, colour="green")
        await daemon.judge(GREEN)

        async def waits() -> str:
            _, status = await described.ask(client, "GET", SHOP)
            assert status["phase"] == "approval"
            return str(status["rollout"]["release"])

        await command("approve", 200, 202, release=await eventually(waits))
        await daemon.until_served(green=[url("8082")])
        await command("rollback", 200, reason="too slow")
        await daemon.until_served(blue=[url("8081")])
        daemon.load(shop(green="8083", more=STEPS))
        await command("switch", 202, colour="green", reason="step by step")
        await daemon.judge(GREEN)
        release = await eventually(lambda: release_in_step(described, daemon, client))
        await command("approve", 200, 202, release=release, step=1)
        await command("promote", 200, 202, release=release, step=1)
        await command("promote", 200, 202, full=True)
        await command("abort", 200)
        daemon.load(shop(green="8083"))
        _, found = await described.ask(client, "GET", "/api/v1/history?limit=100")
        assert len(found["history"]) > 5


async def refused(described: Described, daemon: Running) -> None:
    """Command what is refused, for every reason that there is."""

    async def command(verb: str, code: str, **body: object) -> None:
        status, problem = await described.ask(client, "POST", f"{SHOP}/{verb}", body)
        assert (status, problem["code"]) == (PROBLEMS[ProblemCode(code)][0], code)

    async with asking(daemon) as client:
        await command("switch", "bad-request")
        await command("switch", "reason-wanted", colour="green", force=True)
        await command("switch", "stale", colour="green", release="another")
        await command("approve", "no-rollout", release="r1")
        await command("rollback", "not-ready")
        assert (await described.ask(client, "POST", f"{SHOP}/lease", {}))[0] == 200
        await command("lease", "leased")
        assert (await described.ask(client, "POST", f"{SHOP}/switch", {"colour": "green"}))[0] == 202
        await command("retry", "busy")
        for method, path in (("GET", "/api/v1/services/cart"), ("POST", "/api/v1/services/cart/abort")):
            assert (await described.ask(client, method, path, {} if method == "POST" else None))[1][
                "code"
            ] == "unknown-service"
        assert (await described.ask(client, "GET", "/api/v1/history?limit=0"))[1]["code"] == "bad-request"
        assert (await described.ask(client, "POST", f"{SHOP}/abort"))[1]["code"] == "json-wanted"


async def not_let_in(described: Described, daemon: Running) -> None:
    """Ask without a token, with one that is not for this, from another site, and for what is not there."""
    tokens = (Token("ci", frozenset({Scope.DEPLOY}), digest("ci")),)
    async with asking(daemon, tokens) as client:
        assert (await described.ask(client, "GET", SHOP))[1]["code"] == "token-wanted"
        bearer = {"Authorization": "Bearer ci"}
        assert (await described.ask(client, "POST", f"{SHOP}/rollback", {}, **bearer))[1]["code"] == "scope"
        assert (await described.ask(client, "DELETE", f"{SHOP}/lease", {}, **bearer))[1]["code"] == "scope"
        assert (await described.ask(client, "GET", SHOP, Origin="https://evil.example"))[1]["code"] == "cross-site"
    async with asking(daemon) as client:
        for method, path in (("GET", "/api/v2"), ("POST", "/api/v1/services")):
            async with client.request(method, path, headers={"Content-Type": "application/json"}) as answer:
                described.hold(reference("Problem"), orjson.loads(await answer.read()))


async def failed(described: Described, daemon: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Command while the store fails, hangs, or the program has a fault."""

    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    async def unsure(*_: object) -> None:
        raise StoreUncertain("the disk has not answered")

    async def unknown(*_: object) -> None:
        raise StoreUnknown("the store has not answered for 5 s")

    async def at_fault(*_: object) -> None:
        raise RuntimeError("a fault")

    store = daemon.store
    assert isinstance(store, Stubborn)
    monkeypatch.setattr(commands, "ANSWER_S", 5.0)
    async with asking(daemon) as client:
        store.full = True
        assert (await described.ask(client, "POST", f"{SHOP}/pause", {}))[1]["code"] == "store-failing"
        store.full = False
        monkeypatch.setattr(daemon.controller, "command", unsure)
        assert (await described.ask(client, "POST", f"{SHOP}/pause", {}))[1]["code"] == "outcome-unknown"
        monkeypatch.setattr(daemon.controller, "command", unknown)
        assert (await described.ask(client, "POST", f"{SHOP}/pause", {}))[1]["code"] == "store-unknown"
        monkeypatch.setattr(commands, "ANSWER_S", 0.1)
        monkeypatch.setattr(daemon.controller, "history", never)
        assert (await described.ask(client, "GET", "/api/v1/history"))[1]["code"] == "no-answer"
        monkeypatch.setattr(daemon.controller, "history", at_fault)
        assert (await described.ask(client, "GET", "/api/v1/history"))[1]["code"] == "internal-error"
        monkeypatch.setattr(commands, "EVENTS_MOST", 0)
        assert (await described.ask(client, "GET", "/api/v1/events"))[1]["code"] == "too-many-streams"
        daemon.replica.step_down()
        for path in ("services", "services/shop", "daemon", "history"):
            assert (await described.ask(client, "GET", f"/api/v1/{path}"))[1]["code"] == "no-leader"
        daemon.replica.lead(daemon.controller)
    monkeypatch.undo()


async def applied(described: Described, term: Applying) -> None:
    """Apply a desired state, and others that are refused."""

    async def put(text: str, **more: object) -> tuple[int, Any]:
        return await described.ask(client, "PUT", "/api/v1/desired", {"text": text, **more})

    async with asking(term.daemon) as client:
        assert (await put(shop(active="blue")))[0] == 200
        assert (await put(shop(active="green"), dryRun=True))[1]["changes"][0]["paths"] == ["active"]
        assert (await described.ask(client, "GET", "/api/v1/desired"))[1]["text"] == shop(active="blue")
        assert (await put("services: {shop: {activ: blue}}"))[1]["code"] == "invalid-desired-state"
        assert (await put(shop(), expect="0" * 64))[1]["code"] == "desired-changed"
        controller = term.daemon.controller
        controller.desired_source = Reload(Path("desired.yaml"), term.desired._loader, controller.inputs)
        assert (await put(shop()))[1]["code"] == "follows-file"


async def malformed(described: Described, daemon: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send what is no request, one that never ends, and one that comes too slowly."""
    monkeypatch.setattr(connections, "HEAD_S", 0.2)
    monkeypatch.setattr(listeners, "LOOK_EVERY_S", 0.02)
    long = b"GET / HTTP/1.1\r\n" + b"".join(b"A%d: %b\r\n" % (number, b"a" * 4000) for number in range(60))
    async with listening(admin_app(daemon.replica)) as base:
        for head in (b"no request\r\n\r\n", long, b"GET / HTTP/1.1\r\nHost: a\r\n"):
            async with wire(base) as peer:
                await peer.send(head)
                _, _, body = (await peer.rest()).partition(b"\r\n\r\n")
            described.hold(reference("Problem"), orjson.loads(body))


class ThreePeers:
    """This replica and two others, one of which is away."""

    @property
    def store_age_s(self) -> float:
        return 0.25

    async def fresh(self) -> bool:
        return True

    def known(self) -> tuple[Peer, ...]:
        second = Peer(
            "second", "http://second:8901", "0.1.0", is_away=False, leads=False, revision=7, pollers=1, behind=0
        )
        third = Peer("third", None, None, is_away=True, leads=False, revision=6, pollers=2, behind=1)
        return (replace(second, name="first", leads=True), second, third)

    async def committed(self, _: Published | None) -> State:
        raise StoreError("etcd does not answer")

    async def history(self, *_: object) -> tuple[Decision, ...]:
        raise StoreError("etcd does not answer")

    async def forget(self, name: str) -> bool:
        return name == "third"


async def replicas(described: Described, daemon: Running) -> None:
    """Ask for the replicas, and forget one."""
    daemon.replica.peers = ThreePeers()
    async with asking(daemon) as client:
        await described.ask(client, "GET", "/api/v1/services")
        assert len((await described.ask(client, "GET", "/api/v1/replicas"))[1]["replicas"]) == 3
        for name, code in (("third", None), ("second", "replica-lives"), ("fourth", "unknown-replica")):
            _, answer = await described.ask(client, "POST", f"/api/v1/replicas/{name}/forget", {})
            assert answer.get("code") == code


async def of_the_provider_listener(described: Described, daemon: Running) -> None:
    """Ask the other listener, whose problems are alike."""
    app = provider_app(daemon.replica, daemon.metrics, hosts=frozenset())
    async with listening(app) as base, aiohttp.ClientSession(base) as client:
        for headers in ({}, {"Host": "evil.example"}):
            async with client.get("/traefik", headers=headers) as answer:
                described.hold(reference("Problem"), orjson.loads(await answer.read()))
