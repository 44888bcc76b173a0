"""Releases in steps on a real Traefik under load: none loses a request, and a kill neither moves nor skips a step."""

import asyncio
import os
import random
from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from tests.support.daemon import Daemon, StartDaemon, Watcher
from tests.support.release import HOST, fixed, until_routed
from tests.support.traefik import Backend, Load, StartBackend, StartTraefik
from tests.support.waiting import eventually

ROLLOUTS = int(os.environ.get("BLUEGREEN_ROLLOUTS", "2"))
KILLS = int(os.environ.get("BLUEGREEN_STEP_KILLS", "10"))
WEIGHTS = (5, 25, 50, 75)
FAILS_EVERY = 33
CHECKS = "{mode: http, path: /healthz, interval: 100ms, timeout: 2s, healthyAfter: 2, unhealthyAfter: 2}"


def file(versions: Mapping[str, tuple[Backend, int]], for_: str, *, api: str | None = None, more: str = "") -> str:
    steps = ", ".join(f"{{weight: {weight}, for: {for_}}}" for weight in WEIGHTS)
    blue, green = (versions.get(colour, (None, 0))[0] for colour in ("blue", "green"))
    text = fixed(blue, green, health=CHECKS, api=api, more=f"    canary: {{steps: [{steps}]}}\n{more}")
    for backend, version in versions.values():
        text = text.replace(f"version: '{backend.name}'", f"version: '{version}'")
    return text


def weights(document: Mapping[str, Any]) -> dict[str, int]:
    """Return the weights of shop in a document."""
    children = document["http"]["services"]["shop"]["weighted"]["services"]
    return {child["name"].removeprefix("shop-"): child["weight"] for child in children}


def shares(documents: list[dict[str, Any]], colour: str) -> list[int]:
    """Return the shares that a colour had in documents, one after the other."""
    found = [weights(document).get(colour, 0) for document in documents]
    return [share for before, share in pairwise([-1, *found]) if share != before]


@pytest.mark.takes(40)
async def test_releases_in_steps_lose_no_request_and_pass_through_every_weight(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 19, P3: 200 requests a second; each step is a document, and nothing passes through 0 or 100 in between."""
    backends = {"blue": await start_backend("one"), "green": await start_backend("two")}
    versions = {"blue": (backends["blue"], 0)}
    daemon = await start_daemon(file(versions, "300ms"))
    traefik = await start_traefik(daemon.endpoint)
    daemon.write(file(versions, "300ms", api=traefik.api))
    await until_routed(daemon, traefik.url("web"), "one")
    async with Load(traefik.url("web"), HOST, clients=8, pause_s=0.04) as load:
        for number in range(1, ROLLOUTS + 1):
            colour = ("blue", "green")[number % 2]
            versions[colour] = (backends[colour], number)
            watcher = Watcher(daemon)
            async with watcher.watching():
                daemon.write(file(versions, "300ms", api=traefik.api))
                await daemon.until("shop", active=colour, rollout=None)
                await eventually(partial(_ends_with, watcher, {colour: 100}))
            assert shares(watcher.documents, colour) == [0, *WEIGHTS, 100]
            rows = [row["event"] for row in await daemon.history("shop", rollout=f"r{number}")][::-1]
            assert [event for event in rows if event.startswith(("step", "shift"))] == [
                *["step-begun", "step-passed"] * len(WEIGHTS),
                "shifted",
            ]
            await load.until_all(backends[colour].name)
    print(f"{ROLLOUTS} rollouts in {len(WEIGHTS)} steps, {load.requests} requests, {len(load.failures)} lost")
    assert load.failures == []


def _ends_with(watcher: Watcher, wanted: Mapping[str, int]) -> bool:
    return weights(watcher.documents[-1]) == wanted


@pytest.mark.takes(40)
async def test_kills_in_steps_keep_the_weights_and_skip_no_step(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 19d, P5: killed at any instant, beside a command that ends the step."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    backends = {"blue": await start_backend("one"), "green": await start_backend("two")}
    versions = {"blue": (backends["blue"], 0)}
    daemon = await start_daemon(file(versions, "1h"))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    number = 0
    async with Load(traefik.url("web"), HOST, clients=8, pause_s=0.04) as load:
        for _ in range(KILLS):
            if (await daemon.status("shop"))["rollout"] is None:
                number += 1
                colour = ("blue", "green")[number % 2]
                versions[colour] = (backends[colour], number)
                daemon.write(file(versions, "1h"))
                await daemon.until_event("shop", "step-begun", rollout=f"r{number}")
            promoting = asyncio.create_task(daemon.command("shop", "promote"))
            await asyncio.sleep(dice.random() * 0.6)  # any instant of it
            await daemon.kill()
            await promoting
            await daemon.start()
            await assert_goes_on(daemon, f"r{number}")
    print(f"{KILLS} kills in {number} rollouts, {load.requests} requests, {len(load.failures)} lost")
    assert load.failures == []


async def assert_goes_on(daemon: Daemon, rollout: str) -> None:
    """Hold what the new process serves against the history: the last weight in it, and every step once, in order."""
    rows = (await daemon.history("shop", rollout=rollout))[::-1]
    begun = [row["detail"] for row in rows if row["event"] == "step-begun"]
    assert begun == [
        f"step {number} of {len(WEIGHTS)}: {WEIGHTS[number - 1]} % for the candidate"
        for number in range(1, len(begun) + 1)
    ]
    is_switched = any(row["event"] == "shifted" for row in rows)
    colour, wanted = rows[0]["colour"], 100 if is_switched else WEIGHTS[len(begun) - 1]

    async def serves() -> bool:
        found = weights(await daemon.document()).get(colour, 0)
        return found in {wanted, *_next(await daemon.history("shop", "step-begun", rollout=rollout), len(begun))}

    await eventually(serves)


def _next(begun: list[dict[str, Any]], known: int) -> list[int]:
    """Return the weights of steps that have begun since the history was read."""
    return [WEIGHTS[number] for number in range(known, len(begun))] + [100] * (len(begun) == len(WEIGHTS))


@pytest.mark.takes(60)
@pytest.mark.skipif(ROLLOUTS < 20, reason="takes minutes: make hunt; the demo plays one such release")
async def test_bad_releases_are_caught_before_their_second_step(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """Rule 23: 3 % of errors at 5 % of 200 requests a second, which no health check sees."""
    good, bad = await start_backend("one"), await start_backend("two")
    bad.fails_every = FAILS_EVERY
    more = "    analysis: {every: 1s, warmup: 1s, minRequests: 200, errors: {worseThanActive: 0.99}}\n"
    daemon = await start_daemon(file({"blue": (good, 0)}, "10s"))
    traefik = await start_traefik(daemon.endpoint)
    await until_routed(daemon, traefik.url("web"), "one")
    async with Load(traefik.url("web"), HOST, clients=8, pause_s=0.04) as load:
        seen = []
        for number in range(1, ROLLOUTS + 1):
            before = len(load.failures)
            daemon.write(file({"blue": (good, 0), "green": (bad, number)}, "10s", api=traefik.api, more=more))
            end = await daemon.until_event("shop", "gates-failed", rollout=f"r{number}")
            assert len(await daemon.history("shop", "step-begun", rollout=f"r{number}")) == 1, end
            seen.append(len(load.failures) - before)
    print(f"{ROLLOUTS} bad releases; clients that saw an error: {sorted(seen)}")
    assert all("500" in failure for failure in load.failures)
