"""A release on its way to the switch, on a real Traefik: its gates, its approval, its group, and what stops it."""

import asyncio
from datetime import datetime
from functools import partial

import pytest

from bench.engine import Engine, PrivateEngine
from provider.traefik.process import LOOPBACK, free_ports
from tests.support.daemon import StartDaemon, Watcher, colours
from tests.support.release import HOST, HTTP_CHECKS, IN_DOCKER, fixed, is_healthy, until_routed
from tests.support.traefik import Backend, Load, StartBackend, StartTraefik
from tests.support.waiting import eventually

SMOKE = "    smokeTests: [{name: version, path: /version, contains: three, timeout: 1h}]\n"
MANUAL = "    approval: manual\n"
PREVIEW_HOST = f"preview.{HOST}"
EVERY_GATE = f"""\
    preview: {{rule: "Host(`{PREVIEW_HOST}`)", entryPoints: [web]}}
    smokeTests: [{{name: home, path: /, contains: shop green 2}}, {{name: health, path: /healthz}}]
    approval: manual
"""
WHOLE_WAY = (
    *("begun", "ready", "smoke-passed", "tested", "approval-wanted", "approval-given", "approved", "shifted"),
    *("confirmed", "watched"),
)


async def test_a_release_of_containers_goes_the_whole_way_through_every_gate_and_fails_no_request(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine
) -> None:
    """P1, P3, rules 6 to 8: in the order of the phases, and each with what it rests on."""
    blue_port, green_port, api_port = free_ports(3)
    api = f"http://{LOOPBACK}:{api_port}"
    await asyncio.to_thread(engine.run, "shop-blue", "shop", "blue", version="1", host_port=blue_port)
    watched = IN_DOCKER.replace("watch: 0s", "watch: 2s").replace("confirming: 200ms", "confirming: 30s")
    daemon = await start_daemon(f"traefik: {{api: ['{api}']}}\n{watched}{EVERY_GATE}", docker=engine.url)
    traefik = await start_traefik(daemon.endpoint, api_port=api_port)
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    green = partial(engine.run, "shop-green", "shop", "green", version="2", host_port=green_port, healthcheck=True)
    async with Load(traefik.url("web"), HOST) as load:
        await load.until_all("shop blue 1\n")
        await asyncio.to_thread(green)
        waiting = await daemon.until("shop", phase="approval", active="blue")
        release = waiting["rollout"]["release"]
        assert waiting["blocking"].endswith(f"bluegreen approve shop --release {release}")
        gates = {gate: found["state"] for gate, found in waiting["rollout"]["gates"].items()}
        assert gates == {"health": "passed", "smoke": "passed", "approval": "pending", "analysis": "skipped"}
        await until_routed(daemon, traefik.url("web"), "shop green 2\n", host=PREVIEW_HOST)
        assert set(load.answers) == {"shop blue 1\n"}
        code, answer = await daemon.command("shop", "approve", release=release)
        assert (code, answer["already"]) == (200, False)
        await load.until_all("shop green 2\n")
        confirmed = await daemon.until_event("shop", "confirmed")
        assert confirmed["evidence"] == [f"Traefik at {api} shows it"]
        await daemon.until("shop", phase="steady", active="green", confirmed=True)
    assert load.failures == []
    assert set(load.answers) == {"shop blue 1\n", "shop green 2\n"}
    told = [row for row in reversed(await daemon.history("shop")) if row["rollout"] == "r1"]
    assert [row["event"] for row in told] == list(WHOLE_WAY)
    assert [row["outcome"] for row in told if row["outcome"]] == ["switched"]
    (smoke,) = (row["evidence"] for row in told if row["event"] == "smoke-passed")
    assert [line.partition(":")[0] for line in smoke] == ["home http", "health http"]
    status = await daemon.status("shop")
    assert (status["rollback"]["ready"], status["rollback"]["to"]) == (True, "blue")
    assert await daemon.metric("bluegreen_rollouts_total", service="shop", outcome="switched") == 1


async def test_a_release_that_fails_its_smoke_test_gets_no_request_and_the_next_one_is_tried_by_itself(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P1, P9: green's own count has nothing but the checks and the tests."""
    blue, green = await start_backend("one"), await start_backend("two")
    file = partial(fixed, blue, health=HTTP_CHECKS, more=SMOKE)
    daemon = await start_daemon(file(None))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    async with Load(traefik.url("web"), HOST) as load:
        daemon.write(file(green))
        failed = await daemon.until_event("shop", "gates-failed", outcome="aborted")
        assert "version failed on" in failed["detail"]
        assert "does not contain 'three'" in failed["evidence"][0]
        status = await daemon.until("shop", active="blue", phase="steady", rollout=None)
        assert [(one["colour"], one["outcome"]) for one in status["quarantined"]] == [("green", "aborted")]
        assert "quarantined" in status["blocking"]
        await load.until_answer("one", count=50)
        assert green.requests.keys() == {"/healthz", "/version"}
        assert green.requests["/version"] == 1
        green.name = "three"
        daemon.write(file(green))
        await load.until_all("three")
    assert load.failures == []
    await daemon.until("shop", active="green", phase="steady")
    assert [row["rollout"] for row in await daemon.history("shop", "begun")] == ["r2", "r1"]


async def test_an_approval_of_an_older_release_is_refused_and_the_rollout_goes_on_waiting(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P1."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, None, more=MANUAL))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    daemon.write(fixed(blue, green, more=MANUAL))
    older = (await daemon.until("shop", phase="approval"))["rollout"]
    green.name = "three"
    daemon.write(fixed(blue, green, more=MANUAL))
    await daemon.until_event("shop", "superseded", rollout=older["id"], outcome="superseded")
    newer = (await daemon.until("shop", phase="approval"))["rollout"]
    code, problem = await daemon.command("shop", "approve", release=older["release"])
    assert (code, problem["code"]) == (409, "stale")
    assert f"bluegreen approve shop --release {newer['release']}" in problem["detail"]
    status = await daemon.until("shop", phase="approval", active="blue", quarantined=[])
    assert status["rollout"]["gates"]["approval"]["state"] == "pending"
    assert green.requests == {}
    assert (await daemon.command("shop", "approve", release=newer["release"]))[0] == 200
    await until_routed(daemon, traefik.url("web"), "three")


async def test_a_group_of_which_one_fails_stays_and_then_moves_in_one_document(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P3, rule 11."""
    old = await start_backend("shop one"), await start_backend("cart one")
    new = await start_backend("shop two"), await start_backend("cart two")

    def file(*standby: Backend | None) -> str:
        tests = "    group: storefront\n    smokeTests: [{name: home, path: /smoke}]\n"
        shop, cart = (fixed(blue, green, more=tests) for blue, green in zip(old, standby, strict=True))
        services = cart.partition("services:\n")[2].replace("  shop:", "  cart:").replace(HOST, "cart.example.com")
        return shop + services

    daemon = await start_daemon(file(None, None))
    traefik = await start_traefik(daemon.endpoint)
    for service, host in (("shop", HOST), ("cart", "cart.example.com")):
        await until_routed(daemon, traefik.url("web"), f"{service} one", host=host)
    watcher = Watcher(daemon)
    async with (
        watcher.watching(),
        Load(traefik.url("web"), HOST, clients=3) as shop,
        Load(traefik.url("web"), "cart.example.com", clients=3) as cart,
    ):
        new[1].status = 500
        daemon.write(file(*new))
        for service in ("shop", "cart"):
            await daemon.until_event(service, "gates-failed", outcome="aborted", rollout="r1")
            status = await daemon.until(service, active="blue", phase="steady")
            assert [(one["colour"], one["rollout"]) for one in status["quarantined"]] == [("green", "r1")]
        new[1].status, new[1].name = 200, "cart three"
        daemon.write(file(*new))
        await shop.until_all("shop two")
        await cart.until_all("cart three")
    assert shop.failures == cart.failures == []
    moved = [colours(document) for document in watcher.documents]
    assert moved == [{"shop": colour, "cart": colour} for colour in ("blue", "green")]
    assert new[0].requests.keys() == new[1].requests.keys() == {"/", "/smoke"}


# --- abort ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["waiting", "testing", "approval", "confirming", "watching"])
async def test_abort_ends_a_rollout_in_every_phase_and_blue_has_the_traffic(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, phase: str
) -> None:
    """P8, P9, rule 10: where servers never come, a smoke test hangs, nobody approves, an API does not answer."""
    blue, green = await start_backend("one"), await start_backend("two")
    (unused,) = free_ports(1)
    more = {"testing": SMOKE, "approval": MANUAL}.get(phase, "")
    api = f"http://{LOOPBACK}:{unused}" if phase == "confirming" else None
    file = partial(fixed, blue, watch="1h", deadlines="confirming: 1h", api=api, more=more)
    daemon = await start_daemon(file(None))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    if phase == "waiting":
        await green.stop()
    green.hold()
    async with Load(traefik.url("web"), HOST) as load:
        daemon.write(file(green))
        if phase in {"confirming", "watching"}:
            green.release()
            await load.until_all("two")
        release = (await daemon.until("shop", phase=phase))["rollout"]["release"]
        code, answer = await daemon.command("shop", "abort", reason="looks wrong")
        assert (code, answer["already"]) == (200, False)
        status = await daemon.until("shop", active="blue", phase="steady", rollout=None)
        await load.until_all("one")
        await load.until_answer("one", count=50)
        assert (await daemon.command("shop", "abort"))[1]["already"]
        await daemon.until("shop", active="blue", phase="steady", rollout=None)
    assert load.failures == []
    outcome = "rolled-back" if phase in {"confirming", "watching"} else "aborted"
    (quarantined,) = status["quarantined"]
    assert (quarantined["colour"], quarantined["release"], quarantined["outcome"]) == ("green", release, outcome)
    assert (status["override"]["colour"], status["override"]["reason"]) == ("blue", "looks wrong")
    rows = await daemon.history("shop")
    assert [(row["outcome"], row["actor"], row["trigger"]) for row in rows if row["outcome"]] == [
        (outcome, "local", "command")
    ]
    assert colours(await daemon.document()) == {"shop": "blue"}


async def test_abort_ends_a_rollout_whose_containers_cannot_be_listed_once_more(
    start_daemon: StartDaemon, start_traefik: StartTraefik, restartable_engine: PrivateEngine
) -> None:
    """P8, rule 6: in the phase shifting, which Docker's answer would end."""
    engine = restartable_engine
    blue_port, green_port = free_ports(2)
    await asyncio.to_thread(engine.run, "shop-blue", "shop", "blue", version="1", host_port=blue_port)
    daemon = await start_daemon(IN_DOCKER + MANUAL, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    async with Load(traefik.url("web"), HOST) as load:
        await asyncio.to_thread(engine.run, "shop-green", "shop", "green", version="2", host_port=green_port)
        release = (await daemon.until("shop", phase="approval"))["rollout"]["release"]
        engine.freeze()
        _, approved = await daemon.command("shop", "approve", release=release)
        assert approved["status"]["phase"] == "shifting"
        code, aborted = await daemon.command("shop", "abort")
        assert (code, aborted["status"]["phase"], aborted["status"]["active"]) == (200, "steady", "blue")
        engine.thaw()
        await daemon.until_condition("docker-away", holds=False)
        await load.until_answer("shop blue 1\n", count=50)
    assert load.failures == []
    assert set(load.answers) == {"shop blue 1\n"}
    status = await daemon.until("shop", active="blue", phase="steady", rollout=None)
    assert [(one["release"], one["outcome"]) for one in status["quarantined"]] == [(release, "aborted")]
    assert [row["event"] for row in await daemon.history("shop", outcome="aborted")] == ["aborted"]


# --- in between -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["pause", "hold"])
async def test_a_rollout_that_is_held_goes_no_further_until_it_is_let_go_on(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, way: str
) -> None:
    """Rule 2: by the command and by the file; it has no deadline meanwhile."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, None))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    await green.stop()
    daemon.write(fixed(blue, green))
    await daemon.until("shop", phase="waiting", paused=False)
    if way == "pause":
        assert (await daemon.command("shop", "pause", reason="lunch"))[0] == 200
    else:
        daemon.write(fixed(blue, green, more="    hold: true\n"))
    await daemon.until("shop", paused=True)
    await green.start()
    await eventually(partial(is_healthy, daemon, "green"))
    await daemon.until_checked(20)
    status = await daemon.until("shop", phase="waiting", active="blue")
    assert status["rollout"]["deadline"] is None
    expected = "paused by local (lunch)" if way == "pause" else "shop has hold: true"
    assert status["blocking"].startswith(expected)
    if way == "pause":
        assert (await daemon.command("shop", "resume"))[0] == 200
    else:
        daemon.write(fixed(blue, green))
    await until_routed(daemon, traefik.url("web"), "two")
    assert [row["rollout"] for row in await daemon.history("shop", "shifted")] == ["r1"]


@pytest.mark.parametrize("end", ["kill", "stop"])
async def test_an_approval_keeps_its_date_and_the_smoke_tests_their_evidence_when_the_daemon_starts_again(
    start_daemon: StartDaemon, start_backend: StartBackend, end: str
) -> None:
    """P5, rule 14: what was tested is not tested again."""
    blue, green = await start_backend("one"), await start_backend("three")
    more = SMOKE + MANUAL
    daemon = await start_daemon(fixed(blue, None, more=more))
    await eventually(daemon.document)
    daemon.write(fixed(blue, green, more=more))
    before = (await daemon.until("shop", phase="approval"))["rollout"]
    await (daemon.kill() if end == "kill" else daemon.stop())
    await daemon.start()
    status = await daemon.until("shop", phase="approval", active="blue")
    after = status["rollout"]
    moved = datetime.fromisoformat(after["deadline"]) - datetime.fromisoformat(before["deadline"])
    assert abs(moved.total_seconds()) < 1
    kept = ("id", "release", "since", "smoke")
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    assert after["gates"]["smoke"]["state"] == "passed"
    assert (await daemon.command("shop", "approve", release=after["release"]))[0] == 200
    await daemon.until("shop", active="green", phase="steady")
    assert green.requests["/version"] == 1
    assert [row["rollout"] for row in await daemon.history("shop", "approval-wanted")] == ["r1"]
