"""A release after its switch, on a real Traefik: confirmed or refused by it, watched, and rolled back."""

import asyncio
import time
from collections.abc import Callable
from functools import partial

import pytest

from bench.engine import Engine
from provider.traefik.process import LOOPBACK, Traefik, free_ports
from tests.support.daemon import Daemon, StartDaemon, Watcher, colours
from tests.support.release import HOST, HTTP_CHECKS, IN_DOCKER, fixed, is_healthy, until_routed
from tests.support.traefik import Backend, Load, Relay, StartBackend, StartTraefik
from tests.support.waiting import eventually

REFUSED = "entryPoints: [web], middlewares: [nope@file]"
WORDS = 'router shop: middleware "nope@file" does not exist'
UNDECODABLE = "http: {middlewares: {odd: {headers: {nope: 1}}}}\n"
UNCHECKED = ("traefik: {", "traefik: {unchecked: [http.middlewares.odd], ")


# --- watching ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", ["answers 500", "stops"])
async def test_a_release_that_goes_bad_in_the_watch_is_left_and_only_its_own_requests_fail(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, way: str
) -> None:
    """Rule 8, P9."""
    blue, green = await start_backend("one"), await start_backend("two")
    file = partial(fixed, blue, health=HTTP_CHECKS, watch="1h")
    daemon = await start_daemon(file(None))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    async with Load(traefik.url("web"), HOST) as load:
        daemon.write(file(green))
        await load.until_all("two")
        release = (await daemon.until("shop", phase="watching"))["rollout"]["release"]
        assert load.failures == []
        if way == "stops":
            await green.stop()
        else:
            green.status = 500
        await load.until_all("one")
        its_own = len(load.failures)
        await load.until_answer("one", count=100)
    assert its_own > 0
    assert set(load.failures) <= ({"502 'Bad Gateway'"} if way == "stops" else {"500 'two'"})
    assert len(load.failures) == its_own
    status = await daemon.until("shop", active="blue", phase="steady", rollout=None)
    (quarantined,) = status["quarantined"]
    assert (quarantined["colour"], quarantined["release"], quarantined["outcome"]) == ("green", release, "rolled-back")
    (row,) = await daemon.history("shop", outcome="rolled-back")
    assert (row["event"], row["trigger"], row["rollout"], row["actor"]) == ("rolled-back", "watch", "r1", None)
    assert "green has 0 of at least 1 servers (minServers)" in row["detail"]
    assert status["override"]["reason"] == row["detail"]
    assert await daemon.metric("bluegreen_switches_total", service="shop", colour="blue", trigger="watch") == 1


@pytest.mark.takes(8)
async def test_an_outage_that_both_colours_share_rolls_nothing_back(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 8: also not when it ends, for each of several; what then befalls the release alone does."""
    blue, green = await start_backend("one"), await start_backend("two")
    file = partial(fixed, blue, health=HTTP_CHECKS, watch="1h")
    daemon = await start_daemon(file(None))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    daemon.write(file(green))
    await until_routed(daemon, traefik.url("web"), "two")
    await daemon.until("shop", phase="watching")
    for _ in range(10):
        blue.status = green.status = 500
        for colour in ("blue", "green"):
            await eventually(partial(has_state, daemon, colour, "unhealthy"))
        enough = blue.requests["/healthz"] + 3
        await eventually(partial(checked, blue, enough))
        status = await daemon.until("shop", active="green", phase="watching")
        assert "it stays" in status["blocking"]
        blue.status = green.status = 200
        for colour in ("blue", "green"):
            await eventually(partial(has_state, daemon, colour, "healthy"))
        await daemon.until("shop", active="green", phase="watching", quarantined=[])
    green.status = 500
    await daemon.until_event("shop", "rolled-back", trigger="watch")
    await until_routed(daemon, traefik.url("web"), "one")


@pytest.mark.parametrize("when", ["in the watch", "after it"])
async def test_stopping_the_old_colour_takes_the_rollback_target_and_says_so(
    start_daemon: StartDaemon, start_traefik: StartTraefik, engine: Engine, when: str
) -> None:
    """Rule 9: it is there again when the same release is."""
    blue_port, green_port = free_ports(2)
    blue = await asyncio.to_thread(engine.run, "shop-blue", "shop", "blue", version="1", host_port=blue_port)
    in_the_watch = when == "in the watch"
    text = IN_DOCKER.replace("watch: 0s", "watch: 1h") if in_the_watch else IN_DOCKER
    daemon = await start_daemon(text, docker=engine.url)
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "shop blue 1\n")
    async with Load(traefik.url("web"), HOST) as load:
        await asyncio.to_thread(engine.run, "shop-green", "shop", "green", version="2", host_port=green_port)
        await load.until_all("shop green 2\n")
        phase = "watching" if in_the_watch else "steady"
        before = await daemon.until("shop", phase=phase, active="green")
        rollback_target = before["rollback"]["release"]
        command = "bluegreen rollback shop"
        assert before["rollback"] == {
            "ready": True,
            "to": "blue",
            "release": rollback_target,
            "reason": None,
            "command": command,
        }
        await asyncio.to_thread(engine.api.stop, blue, timeout=0)
        lost = await daemon.until_event("shop", "way-back-lost", colour="blue", release=rollback_target)
        status = await daemon.until("shop", phase=phase, active="green")
        (condition,) = [one for one in status["conditions"] if one["code"] == "way-back-lost"]
        assert (
            condition["message"] == f"the rollback target, release {rollback_target} in blue, is lost: {lost['detail']}"
        )
        assert condition["severity"] == ("warning" if in_the_watch else "info")
        assert not status["rollback"]["ready"]
        for force in (False, True):
            code, problem = await daemon.command("shop", "rollback", force=force, reason="3 a.m.")
            assert (code, problem["code"]) == (409, "not-ready")
            assert "blue has no servers any more" in problem["detail"]
        await load.until_answer("shop green 2\n", count=50)
        await asyncio.to_thread(engine.api.start, blue)
        await daemon.until_event("shop", "way-back-found", release=rollback_target)
        code, answer = await daemon.command("shop", "rollback")
        assert (code, answer["status"]["active"]) == (200, "blue")
        await load.until_all("shop blue 1\n")
    assert load.failures == []


# --- back by hand -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("watch", ["1h", "0s"])
async def test_a_rollback_is_the_next_document_and_a_second_one_does_nothing(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, watch: str
) -> None:
    """P7, rule 9: in the watch and after it."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, None, watch=watch))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    watcher = Watcher(daemon)
    async with watcher.watching(), Load(traefik.url("web"), HOST) as load:
        daemon.write(fixed(blue, green, watch=watch))
        await load.until_all("two")
        status = await daemon.until("shop", phase="steady" if watch == "0s" else "watching")
        release = status["colours"]["green"]["release"]
        revision = status["revision"]
        begin_s = time.monotonic()
        code, answer = await daemon.command("shop", "rollback", **{"from": release}, reason="it is slow")
        done_s = time.monotonic()
        await load.until_answer("one")
        first_s = time.monotonic()
        await load.until_all("one")
        assert (code, answer["already"], answer["status"]["active"]) == (200, False, "blue")
        again, told = await daemon.command("shop", "rollback", **{"from": release})
        assert (again, told["already"]) == (200, True)
        refused, problem = await daemon.command("shop", "rollback")
        assert (refused, problem["code"]) == (409, "not-ready")
        await load.until_answer("one", count=100)
    seen_s = next(poll.at_s for poll in watcher.answers if poll.revision > revision)
    print(
        f"rollback: served after {1000 * (seen_s - begin_s):.1f} ms, answered after {1000 * (done_s - begin_s):.1f} "
        f"ms, the old colour's first answer after {1000 * (first_s - begin_s):.1f} ms (poll interval 100 ms)"
    )
    assert load.failures == []
    documents = [colours(document)["shop"] for document in watcher.documents]
    assert documents == ["blue", "green"]  # the last one has the bytes of the first (P6)
    assert {poll.revision for poll in watcher.answers if poll.revision > revision} == {revision + 1}
    assert colours(await daemon.document()) == {"shop": "blue"}
    assert [row["detail"] for row in await daemon.history("shop", "rolled-back")] == ["it is slow"]


async def test_naming_the_old_colour_in_the_file_goes_back_without_quarantine(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 9: in the watch; it needs no smoke test and no approval, and `auto` lets it be."""
    blue, green = await start_backend("one"), await start_backend("two")
    file = partial(fixed, blue, watch="1h")
    daemon = await start_daemon(file(None))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    async with Load(traefik.url("web"), HOST) as load:
        daemon.write(file(green))
        await load.until_all("two")
        await daemon.until("shop", phase="watching")
        gates = "    approval: manual\n    smokeTests: [{name: never, path: /never, contains: nothing}]\n"
        daemon.write(file(green, active="blue", more=gates))
        await load.until_all("one")
        await daemon.until_event("shop", "superseded", rollout="r1", outcome="superseded")
        status = await daemon.until("shop", active="blue", phase="watching", quarantined=[], override=None)
        assert status["rollback"]["to"] == "green"
        daemon.write(file(green))
        await daemon.until("shop", active="blue", desired="auto")
        await load.until_answer("one", count=50)
    assert load.failures == []
    assert "/never" not in blue.requests
    assert [row["rollout"] for row in await daemon.history("shop", "begun")] == ["r2", "r1"]


# --- what Traefik says ------------------------------------------------------------------------------------------------


async def read_back_shop(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, *, confirming: str
) -> tuple[Callable[..., str], Daemon, Traefik, str]:
    """Start shop with blue routed by a Traefik that is read back; return its file, daemon, Traefik and API."""
    blue, green = await start_backend("one"), await start_backend("two")
    (api_port,) = free_ports(1)
    api = f"http://{LOOPBACK}:{api_port}"
    file = partial(fixed, blue, green, watch="1h", deadlines=f"confirming: {confirming}", api=api)
    daemon = await start_daemon(file(active="blue"))
    traefik = await start_traefik(daemon.endpoint, api_port=api_port)
    await until_routed(daemon, traefik.url("web"), "one")
    return file, daemon, traefik, api


async def test_a_switch_that_traefik_refuses_is_reported_in_its_words_and_rolled_back(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 7: the edit that names the colour names a middleware, too, that does not exist."""
    file, daemon, traefik, api = await read_back_shop(start_daemon, start_traefik, start_backend, confirming="1h")
    await eventually(partial(is_healthy, daemon, "green"))
    await daemon.until("shop", confirmed=True, phase="steady")
    daemon.write(file(active="green").replace("entryPoints: [web]", REFUSED))
    row = await daemon.until_event("shop", "rolled-back", outcome="rolled-back", trigger="watch")
    assert row["detail"] == f"Traefik at {api} reports: {WORDS}"
    status = await daemon.until("shop", active="blue", phase="steady", rollout=None)
    assert [one["outcome"] for one in status["quarantined"]] == ["rolled-back"]
    assert status["override"]["reason"] == row["detail"]
    condition = await daemon.until_condition("traefik-errors")
    assert condition["message"] == f"Traefik reports: {WORDS}"
    daemon.write(file(active="green"))
    await until_routed(daemon, traefik.url("web"), "one")
    await daemon.until_condition("traefik-errors", holds=False)
    await daemon.until("shop", active="blue", phase="steady", confirmed=True)


@pytest.mark.takes(12)
async def test_a_document_that_traefik_fetched_and_does_not_apply_is_reported_and_rolled_back_at_the_deadline(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 7: the requests stay with the old colour all the time."""
    file, daemon, traefik, _ = await read_back_shop(start_daemon, start_traefik, start_backend, confirming="10s")
    await daemon.until("shop", confirmed=True, phase="steady")
    async with Load(traefik.url("web"), HOST) as load:
        daemon.write(file(active="green", more=UNDECODABLE).replace(*UNCHECKED))
        row = await daemon.until_event("shop", "rolled-back", outcome="rolled-back", trigger="watch")
        assert "fetched the document and did not apply it: it still shows shop-blue 100" in row["detail"]
        await daemon.until("shop", active="blue", phase="steady", rollout=None)
        await load.until_answer("one", count=50)
    assert load.failures == []
    assert set(load.answers) == {"one"}
    daemon.write(file(active="green"))
    await daemon.until("shop", active="blue", phase="steady", confirmed=True)


async def test_a_switch_that_nobody_can_confirm_stays_and_goes_on_to_the_watch(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 7: Traefik polls, and its API is away for longer than the deadline. It is confirmed when that is back."""
    blue, green = await start_backend("one"), await start_backend("two")
    (api_port,) = free_ports(1)
    async with Relay(api_port) as relay:
        file = partial(fixed, blue, watch="1h", deadlines="confirming: 500ms", api=relay.url)
        daemon = await start_daemon(file(None))
        traefik = await start_traefik(daemon.endpoint, api_port=api_port)
        await until_routed(daemon, traefik.url("web"), "one")
        await daemon.until("shop", confirmed=True)
        await relay.stop()
        async with Load(traefik.url("web"), HOST) as load:
            daemon.write(file(green))
            await load.until_all("two")
            row = await daemon.until_event("shop", "unconfirmed")
            assert row["phase"] == "watching"
            assert row["detail"] == f"the API of Traefik at {relay.url} does not answer"
            away = await daemon.until_condition("traefik-away")
            assert f"{relay.url} (connection refused)" in away["message"]
            await daemon.until("shop", active="green", phase="watching", confirmed=False, quarantined=[])
            assert await daemon.metric("bluegreen_confirmed", service="shop") == 0
            await relay.start()
            await daemon.until_condition("traefik-away", holds=False)
            await daemon.until("shop", active="green", phase="watching", confirmed=True)
        assert load.failures == []
    assert await daemon.history("shop", "rolled-back") == []


def checked(backend: Backend, times: int) -> bool:
    """Tell whether a backend has had so many health checks."""
    return backend.requests["/healthz"] >= times


async def has_state(daemon: Daemon, colour: str, state: str) -> bool:
    """Tell whether a colour of the shop is in this state."""
    return bool((await daemon.status("shop"))["colours"][colour]["state"] == state)
