"""Three replicas over three etcd nodes with a Traefik each: whatever happens to the leader and to etcd, none is lost.

`BLUEGREEN_SWITCHES` is how often the shop switches, `BLUEGREEN_AWAY_S` how long etcd has no quorum.
"""

import asyncio
import os
import random
import time
from collections import Counter
from contextlib import suppress

import pytest

from tests.support.replicated import Replica, Replicas
from tests.support.waiting import eventually

SWITCHES = int(os.environ.get("BLUEGREEN_SWITCHES", "7"))
AWAY_S = float(os.environ.get("BLUEGREEN_AWAY_S", "5"))
LEASE_S = 3.0
HARMS = ("killed", "stopped", "killed", "frozen", "killed", "nothing", "killed")


@pytest.mark.takes(30)
async def test_switches_go_on_while_leaders_are_killed_stopped_and_frozen(replicas: Replicas) -> None:
    """Rules 50, 51, 53, 60, and P3: no request is lost, each switch is one decision, and no Traefik goes back."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    before = await replicas.all[0].daemon.history("shop", "shifted")
    for number in range(SWITCHES):
        colour = ("green", "blue")[number % 2]
        harming = asyncio.create_task(harm(replicas, HARMS[number % len(HARMS)], dice.uniform(0, 0.4)))
        await asyncio.sleep(dice.uniform(0, 0.2))
        await replicas.switch(colour, dice)
        await harming
        await replicas.served(colour)
    for one in replicas.all:
        await eventually(one.daemon.alive)
    assert replicas.failures == []
    rows = await replicas.all[0].daemon.history("shop", "shifted")
    shifted = [row["colour"] for row in reversed(rows)][len(before) :]
    assert shifted == [("green", "blue")[number % 2] for number in range(SWITCHES)]
    for one in replicas.all:
        assert one.revisions == sorted(one.revisions)
        assert len(set(one.revisions)) > 1
    assert len({one.revisions[-1] for one in replicas.all}) == 1


async def harm(replicas: Replicas, how: str, after_s: float) -> None:
    """Do this to the leader after a while, and let the next one lead before it is back."""
    await asyncio.sleep(after_s)
    leader = await replicas.leader()
    match how:
        case "killed":
            await leader.daemon.kill()
        case "stopped":
            assert await leader.daemon.stop() == 0
        case "frozen":
            with replicas.frozen(leader):
                await asyncio.sleep(LEASE_S)
                await replicas.leader()
        case _:
            return
    await replicas.leader()
    if leader.pid is None:
        await leader.daemon.start(wait=False)


@pytest.mark.skipif("BLUEGREEN_AWAY_S" not in os.environ, reason="takes minutes: make hunt")
async def test_every_poll_is_answered_while_etcd_has_no_quorum(replicas: Replicas) -> None:
    """Rules 54 and 56: the last document for all, no decision, and deciding goes on with the quorum."""
    polls = Polls(replicas)
    async with asyncio.timeout(AWAY_S + 120):
        polling = asyncio.create_task(polls.run())
        for node in replicas.etcd.followers():
            node.kill()
        asked = asyncio.create_task(replicas.all[1].daemon.command("shop", "switch", colour="green"))
        await asyncio.sleep(AWAY_S)
        status, _, _ = await replicas.all[0].daemon.get("/readyz")
        assert status == 503
        assert (await asked)[0] == 503
        assert [one.load.answers["two"] for one in replicas.all] == [0, 0, 0]
        replicas.etcd.start(*[node for node in replicas.etcd.nodes if node.pid is None])
        await replicas.switch("green", random.Random(1))
        await replicas.served("green")
        polling.cancel()
        with suppress(asyncio.CancelledError):
            await polling
    print(polls.words())
    assert polls.statuses.keys() == {200}
    assert replicas.failures == []
    assert [one.load.statuses.keys() for one in replicas.all] == [{200}] * 3
    for one in replicas.all:
        assert one.revisions == sorted(one.revisions)


class Polls:
    """Polls every replica as a Traefik does that never waits, and notes each answer."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self.statuses: Counter[int] = Counter()
        self.took_s: list[float] = []

    async def run(self) -> None:
        await asyncio.gather(*[self._poll(one) for one in self._replicas.all])

    def words(self) -> str:
        """Return how long the answers took."""
        found = sorted(self.took_s)
        p99 = found[len(found) * 99 // 100]
        return f"{len(found)} polls: {dict(self.statuses)}, p99 {p99 * 1e3:.1f} ms, slowest {found[-1] * 1e3:.1f} ms"

    async def _poll(self, one: Replica) -> None:
        while True:
            begun_s = time.monotonic()
            status, _, _ = await one.daemon.get("/traefik?hold=0")
            self.statuses[status] += 1
            self.took_s.append(time.monotonic() - begun_s)
            await asyncio.sleep(0.02)
