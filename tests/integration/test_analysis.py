"""An analysis of steps on a real Traefik and a real Prometheus: what is counted, and what fails (rule 23)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest

from provider.model import Affinity, Colour
from tests.support.daemon import FAST_CHECKS, Daemon, StartDaemon
from tests.support.traefik import Backend, FileTraefik, StartBackend, StartTraefik
from tests.support.waiting import eventually

HOST = "shop.example.com"
ERRORS = "errors: {worseThanActive: 0.99, max: 50%}"


def file(
    blue: str,
    green: str | None,
    *traefiks: FileTraefik,
    analysis: str = ERRORS,
    canary: str = "[{weight: 50, for: 1h}]",
) -> str:
    colours = f"blue: {{urls: ['{blue}'], version: '1'}}"
    colours += f", green: {{urls: ['{green}'], version: '2'}}" if green else ""
    apis = ", ".join(f"'{traefik.api}'" for traefik in traefiks)
    tested = f"    analysis: {{every: 1s, warmup: 0s, minRequests: 20, {analysis}}}\n" if traefiks else ""
    return (
        f"environment: production\ntraefik: {{api: [{apis}]}}\nservices:\n"
        f"  shop:\n    router: {{rule: 'Host(`{HOST}`)', entryPoints: [web]}}\n    watch: 10m\n    settle: 100ms\n"
        f"    healthCheck: {FAST_CHECKS}\n    deadlines: {{confirming: 5s}}\n"
        f"    servers: {{{colours}}}\n    canary: {{steps: {canary}}}\n"
        f"{tested}"
    )


async def analysed(daemon: Daemon) -> dict[str, Any]:
    """Return the analysis of the step that is on."""
    status = await daemon.status("shop")
    assert status["rollout"], status
    assert status["rollout"]["step"], status
    found: dict[str, Any] = status["rollout"]["step"]["analysis"]
    return found


async def until(daemon: Daemon, holds: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    async def look() -> dict[str, Any]:
        found = await analysed(daemon)
        assert holds(found), found
        return found

    return await eventually(look, limit_s=15.0)


def counted(found: dict[str, Any], test: str = "errors over-active") -> dict[str, tuple[int, int]]:
    counts = next(one["counts"] for one in found["tests"] if one["name"] == test)
    return {colour: (counts[colour]["requests"], counts[colour]["bad"]) for colour in Colour}


async def send(traefik: FileTraefik, many: int) -> None:
    """Send requests, one after the other."""
    async with aiohttp.ClientSession(headers={"Host": HOST}) as session:
        for _ in range(many):
            async with session.get(traefik.url("web")) as answer:
                await answer.read()


async def in_step(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend, **keys: str
) -> tuple[Daemon, FileTraefik]:
    """Bring a service into its first step, with a reading from which the next ones count."""
    daemon = await start_daemon(file(blue.url, None))
    traefik = await start_traefik(daemon.endpoint)
    daemon.write(file(blue.url, None, traefik, **keys))
    await daemon.until("shop", confirmed=True)
    daemon.write(file(blue.url, green.url, traefik, **keys))
    await daemon.until_event("shop", "step-begun")
    await shown(daemon)
    return daemon, traefik


async def shown(daemon: Daemon) -> None:
    """Wait until the time of the step runs and two more scrapes have been made."""

    async def look() -> bool:
        status = await daemon.status("shop")
        return bool(status["rollout"]["step"]["until"])

    await eventually(look, limit_s=15.0)
    await asyncio.sleep(0)


@pytest.mark.takes(25)
async def test_what_is_counted_are_the_requests_that_were_sent(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend
) -> None:
    """Rule 23: of each colour, and its bad ones; status, history and metrics say so. Kept over kill -9 (rule 19d)."""
    daemon, traefik = await in_step(start_daemon, start_traefik, blue, green)
    before = blue.requests["/"], green.requests["/"]
    await send(traefik, 5)  # what comes before the first reading of the step is not counted

    async def counts_on() -> int:
        await send(traefik, 2)
        return int((await analysed(daemon))["requests"])

    await eventually(counts_on, limit_s=15.0)
    await send(traefik, 60)

    def sent() -> dict[str, int]:
        return {"blue": blue.requests["/"] - before[0], "green": green.requests["/"] - before[1]}

    last = await settled(daemon)
    for colour, (requests, bad) in counted(last).items():
        assert 30 <= requests <= sent()[colour]
        assert bad == 0
    await send(traefik, 40)
    after = await until(daemon, lambda found: sum(each[0] for each in counted(found).values()) >= 40 + total(last))
    assert total(after) == total(last) + 40
    assert await daemon.metric("bluegreen_analysis_requests_total", service="shop", colour="green") == after["requests"]
    assert await daemon.metric("bluegreen_gate_state", service="shop", gate="analysis", state="running") == 1
    await daemon.kill()
    await daemon.start()
    await shown(daemon)
    kept = await analysed(daemon)
    assert counted(kept) == counted(after)
    # A restart begins the step's clock anew, and counts on from there.
    await eventually(counts_on)
    assert (await daemon.status("shop"))["phase"] == "shifting"


def total(found: dict[str, Any]) -> int:
    return sum(requests for requests, _ in counted(found).values())


async def settled(daemon: Daemon) -> dict[str, Any]:
    """Wait until nothing more is counted over two scrapes."""
    seen: list[int] = []

    async def look() -> dict[str, Any]:
        found = await analysed(daemon)
        await asyncio.sleep(0.7)
        seen.append(total(found))
        assert len(seen) > 5 and len(set(seen[-5:])) == 1, seen  # noqa: PT018  one claim
        return found

    return await eventually(look, limit_s=15.0)


@pytest.mark.takes(12)
async def test_a_candidate_that_is_worse_is_given_up_and_the_active_colour_keeps_all(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend
) -> None:
    """Rules 19c and 23a: quarantined, with what was counted in the history."""
    daemon, traefik = await in_step(start_daemon, start_traefik, blue, green)
    green.status = 500
    load = asyncio.create_task(endless(traefik))
    try:
        row = await daemon.until_event("shop", "gates-failed")
    finally:
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
    assert row["outcome"] == "aborted"
    assert "gate analysis of shop: errors" in row["detail"]
    assert any("shop errors over-active: evidence" in line for line in row["evidence"])
    status = await daemon.until("shop", weights={"blue": 100, "green": 0})
    assert status["quarantined"]


async def endless(traefik: FileTraefik) -> None:
    while True:
        await send(traefik, 5)
        await asyncio.sleep(0.05)


@pytest.mark.takes(12)
@pytest.mark.parametrize("affinity", [Affinity.NONE, Affinity.COOKIE])
async def test_a_good_candidate_passes_its_steps_once_it_had_its_requests(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend, affinity: Affinity
) -> None:
    """Rule 23d: too few requests never fail it. Requests count behind aliases, too (rule 21).

    `client` is left out: all requests come from one address, so all of them go to one colour.
    """
    steps = f"[{{weight: 20, for: 1s}}, {{weight: 50, for: 1s}}], affinity: {affinity}"
    daemon, traefik = await in_step(start_daemon, start_traefik, blue, green, canary=steps)
    waits = await until(daemon, lambda found: "minRequests" in found.get("reason", ""))
    assert waits["state"] == "running"
    load = asyncio.create_task(endless(traefik))
    try:
        await daemon.until_event("shop", "shifted")
    finally:
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
    passed = await daemon.history("shop", "step-passed")
    assert len(passed) == 2
    assert all("errors max" in " ".join(row["evidence"]) for row in passed)


@pytest.mark.takes(14)
async def test_a_traefik_that_starts_anew_or_goes_is_counted_for_what_it_answered(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 23: two Traefiks; never more is counted than there was, and the one that is away is told."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(file(blue.url, None))
    one, other = await start_traefik(daemon.endpoint), await start_traefik(daemon.endpoint)
    daemon.write(file(blue.url, None, one, other))
    await daemon.until("shop", confirmed=True)
    daemon.write(file(blue.url, green.url, one, other))
    await daemon.until_event("shop", "step-begun")
    await shown(daemon)

    async def counts_on() -> int:
        await send(one, 2)
        await send(other, 2)
        return int((await analysed(daemon))["requests"])

    await eventually(counts_on, limit_s=15.0)
    await other.end()

    async def lacks() -> bool:
        conditions = (await daemon.status("shop"))["conditions"]
        return any(each["code"] == "analysis-no-data" and other.api in each["message"] for each in conditions)

    await eventually(lacks, limit_s=15.0)
    before = await settled(daemon)
    await send(one, 40)
    after = await until(daemon, lambda found: total(found) >= total(before) + 40)
    assert total(after) == total(before) + 40
    answered = blue.requests["/"] + green.requests["/"]
    assert total(after) <= answered


async def test_in_the_watch_a_release_beyond_its_rate_is_rolled_back(
    start_daemon: StartDaemon, start_traefik: StartTraefik, blue: Backend, green: Backend
) -> None:
    """Rule 23b: without steps, as the rollback target passes its checks (rule 8)."""
    daemon = await start_daemon(file(blue.url, None))
    traefik = await start_traefik(daemon.endpoint)

    def text(green_url: str | None) -> str:
        written = file(blue.url, green_url, traefik, analysis="errors: {max: 20%}")
        return written.replace("    canary: {steps: [{weight: 50, for: 1h}]}\n", "")

    daemon.write(text(None))
    await daemon.until("shop", confirmed=True)
    daemon.write(text(green.url))
    await daemon.until("shop", phase="watching")
    green.status = 500  # its port is open, so its checks pass on
    load = asyncio.create_task(endless(traefik))
    try:
        row = await daemon.until_event("shop", "rolled-back")
    finally:
        load.cancel()
        with suppress(asyncio.CancelledError):
            await load
    assert "errors max: evidence" in row["detail"]
    await daemon.until("shop", active="blue")
