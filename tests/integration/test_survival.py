"""Traefik and the daemon killed and started again, in any order, under load: the table in docs/operations.md holds."""

import asyncio
import random
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from pathlib import Path
from typing import NamedTuple, assert_never

import aiohttp
import pytest

from provider.traefik.process import free_ports
from tests.support.daemon import Daemon, StartDaemon
from tests.support.paths import ROOT
from tests.support.release import HOST, fixed
from tests.support.traefik import Backend, FileTraefik, StartBackend, StartTraefik
from tests.support.waiting import eventually

TABLE = ROOT / "docs/operations.md"
HEADING = "## What a client sees when something dies"
CLIENTS = 4
PAUSE_S = 0.02
BETWEEN = 40
"""Requests with an outcome between two steps of a case."""
TRAEFIK_IS_AWAY = frozenset({"refused", "cut"})


class Sight(StrEnum):
    """What a client sees, in the words of the table."""

    NOTHING = "0 failed"
    A_MOMENT = "refused, 404 for a moment"
    UNTIL_DAEMON = "refused, 404 until the daemon is back"


class Step(Enum):
    KILL_DAEMON = auto()
    STOP_DAEMON = auto()
    START_DAEMON = auto()
    KILL_TRAEFIK = auto()
    STOP_TRAEFIK = auto()
    START_TRAEFIK = auto()


CASES: Mapping[str, tuple[Step, ...]] = {
    "The daemon is killed and comes back": (Step.KILL_DAEMON, Step.START_DAEMON),
    "The daemon is stopped and comes back": (Step.STOP_DAEMON, Step.START_DAEMON),
    "Traefik is killed and comes back": (Step.KILL_TRAEFIK, Step.START_TRAEFIK),
    "Traefik is stopped and comes back": (Step.STOP_TRAEFIK, Step.START_TRAEFIK),
    "Both are killed, the daemon comes back first": (
        *(Step.KILL_DAEMON, Step.KILL_TRAEFIK),
        *(Step.START_DAEMON, Step.START_TRAEFIK),
    ),
    "Both are killed, Traefik comes back first": (
        *(Step.KILL_TRAEFIK, Step.KILL_DAEMON),
        *(Step.START_TRAEFIK, Step.START_DAEMON),
    ),
    "Traefik is stopped and comes back while the daemon is down": (
        *(Step.STOP_DAEMON, Step.STOP_TRAEFIK),
        *(Step.START_TRAEFIK, Step.START_DAEMON),
    ),
}


class Seen(NamedTuple):
    """One request: the body of a good answer, the status of another, `refused`, or `cut` where it got none."""

    begun_s: float
    ended_s: float
    what: str


class Crowd:
    """Clients that each keep a connection while they can, and ask whatever becomes of Traefik."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[Seen] = []

    async def until(self, what: str, count: int = BETWEEN) -> None:
        """Wait for so many further requests with this outcome."""
        begun = len(self.seen)
        await eventually(lambda: sum(one.what == what for one in self.seen[begun:]) >= count)

    async def more(self) -> None:
        wanted = len(self.seen) + BETWEEN
        await eventually(lambda: len(self.seen) >= wanted)

    @asynccontextmanager
    async def asking(self) -> AsyncIterator[None]:
        clients = [asyncio.create_task(self._client()) for _ in range(CLIENTS)]
        try:
            yield
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)

    async def _client(self) -> None:
        async with aiohttp.ClientSession(headers={"Host": HOST}) as session:
            session._retry_connection = False  # a lost answer counts, also on a kept-alive connection
            while True:
                begun_s = time.monotonic()
                what = await self._outcome(session)
                self.seen.append(Seen(begun_s, time.monotonic(), what))
                await asyncio.sleep(PAUSE_S)

    async def _outcome(self, session: aiohttp.ClientSession) -> str:
        try:
            async with session.get(self.url) as answer:
                body = await answer.text()
                return body if answer.status == 200 else str(answer.status)
        except aiohttp.ClientConnectorError:
            return "refused"
        except aiohttp.ClientError:
            return "cut"


@dataclass
class Lives:
    """When Traefik began to end and answered again, and when the daemon was started again; 0 where it was not."""

    traefik_ends_s: float = 0.0
    traefik_is_back_s: float = 0.0
    daemon_starts_s: float = 0.0


class Front:
    """A Traefik that may read `files`, too, the crowd in front of it, and what is claimed of each case."""

    def __init__(self, start: StartTraefik, endpoint: str, column: str, files: Path | None) -> None:
        self.claims = table(column)
        self._start, self._endpoint, self._files = start, endpoint, files
        self._api_port, self._port = free_ports(2)
        self._traefik: FileTraefik
        self.crowd = Crowd(f"http://127.0.0.1:{self._port}/")
        self.lives = Lives()

    async def start(self) -> None:
        self._traefik = await self._start(
            self._endpoint, files=self._files, api_port=self._api_port, entry_points={"web": self._port}
        )
        self.lives.traefik_is_back_s = time.monotonic()

    async def end(self, number: signal.Signals) -> None:
        self.lives.traefik_ends_s = time.monotonic()
        await self._traefik.end(number)

    async def alone(self, active: str, claim: Sight) -> None:
        """Give Traefik the time to route by itself, or to ask for a document in vain."""
        if claim is Sight.UNTIL_DAEMON:
            await eventually(lambda: any("connection refused" in line for line in self._traefik.errors()))
        await self.crowd.until("404" if claim is Sight.UNTIL_DAEMON else active)


class Stage:
    """A daemon that writes its file, and two Traefiks that poll it; one of them reads the file as well."""

    def __init__(self, daemon: Daemon, fronts: Sequence[Front]) -> None:
        self.daemon, self.fronts = daemon, fronts

    async def play(self, case: str, active: str) -> list[list[Seen]]:
        """Play a case; return what each crowd saw from its begin to the time when all is well again."""
        begun = [len(front.crowd.seen) for front in self.fronts]
        for front in self.fronts:
            front.lives = Lives()
        for step in CASES[case]:
            await self._do(step)
            if step is Step.START_TRAEFIK and self.daemon.process is None:
                await asyncio.gather(*(front.alone(active, front.claims[case]) for front in self.fronts))
            await asyncio.gather(*(front.crowd.more() for front in self.fronts))
        await asyncio.gather(*(front.crowd.until(active) for front in self.fronts))
        return [front.crowd.seen[since:] for front, since in zip(self.fronts, begun, strict=True)]

    async def _do(self, step: Step) -> None:
        match step:
            case Step.KILL_DAEMON:
                await self.daemon.kill()
            case Step.STOP_DAEMON:
                assert await self.daemon.stop() == 0
            case Step.START_DAEMON:
                for front in self.fronts:
                    front.lives.daemon_starts_s = time.monotonic()
                await self.daemon.start()
            case Step.KILL_TRAEFIK | Step.STOP_TRAEFIK:
                number = signal.SIGKILL if step is Step.KILL_TRAEFIK else signal.SIGTERM
                await asyncio.gather(*(front.end(number) for front in self.fronts))
            case Step.START_TRAEFIK:
                await asyncio.gather(*(front.start() for front in self.fronts))
            case _:
                assert_never(step)


@pytest.mark.takes(25)
async def test_what_a_client_sees_is_what_the_table_says(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend, tmp_path: Path
) -> None:
    """P4, P5. The cases in any order, each after a switch; nobody is ever answered by the colour that is not active.

    Both columns of the table are seen at once: of the two Traefiks that poll the daemon one reads its file, too.
    """
    seed = random.randrange(1 << 32)
    print("seed", seed)
    backends = {"blue": await start_backend("one"), "green": await start_backend("two")}
    file = tmp_path / "files" / "bluegreen.yaml"
    file.parent.mkdir()
    daemon = await start_daemon(desired(backends, "blue"), "--write-file", str(file))
    columns = {"What a client sees": None, "With `--write-file`": file.parent}
    fronts = [Front(start_traefik, daemon.endpoint, column, files) for column, files in columns.items()]
    assert all(front.claims.keys() == CASES.keys() for front in fronts)
    stage = Stage(daemon, fronts)
    async with AsyncExitStack() as stack:
        for front in fronts:
            await front.start()
            await stack.enter_async_context(front.crowd.asking())
            await front.crowd.until("one")
        active = "blue"
        for case in random.Random(seed).sample(sorted(CASES), len(CASES)):
            active = "green" if active == "blue" else "blue"
            await switched(stage, backends, active, file)
            for front, seen in zip(fronts, await stage.play(case, backends[active].name), strict=True):
                print(case, dict(Counter(one.what for one in seen)), moment(seen, backends[active].name))
                assert sight(seen, front.lives, backends[active].name) is front.claims[case], case
            assert (await daemon.until("shop", active=active, phase="steady"))["weights"][active] == 100


def sight(seen: list[Seen], lives: Lives, active: str) -> Sight:
    """Judge what was seen; anything that the table has no words for is a failure."""
    failed = [one for one in seen if one.what != active]
    if not failed:
        return Sight.NOTHING
    assert lives.traefik_ends_s, failed
    assert {one.what for one in failed} <= {*TRAEFIK_IS_AWAY, "404"}
    away = [one for one in failed if one.what in TRAEFIK_IS_AWAY]
    assert away
    assert all(one.ended_s >= lives.traefik_ends_s and one.begun_s <= lives.traefik_is_back_s for one in away), (
        "only while Traefik is down"
    )
    routed_s = min(one.ended_s for one in seen if one.what == active and one.begun_s > away[-1].begun_s)
    assert all(one.begun_s <= routed_s for one in failed), "none once one was routed again"
    waits_for_daemon = lives.traefik_is_back_s < lives.daemon_starts_s < routed_s
    return Sight.UNTIL_DAEMON if waits_for_daemon else Sight.A_MOMENT


def moment(seen: list[Seen], active: str) -> str:
    """Say how long Traefik had no route once it answered."""
    answered = [one.ended_s for one in seen if one.what == "404"]
    routed = [one.ended_s for one in seen if one.what == active and answered and one.ended_s > answered[0]]
    return f"404 for {(routed[0] - answered[0]) * 1000:.0f} ms" if answered else ""


def table(column: str) -> dict[str, Sight]:
    """Read a column of the table."""
    section = TABLE.read_text().partition(f"{HEADING}\n")[2].partition("\n## ")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in re.findall(r"^\|.*\|$", section, re.M)]
    (names, _, *cells) = rows
    return {row[0]: Sight(row[names.index(column)]) for row in cells}


def desired(backends: Mapping[str, Backend], active: str) -> str:
    return fixed(backends["blue"], backends["green"], active=active)


async def switched(stage: Stage, backends: Mapping[str, Backend], active: str, file: Path) -> None:
    """Switch, and wait until every client and the file know it."""
    stage.daemon.write(desired(backends, active))
    await stage.daemon.until("shop", active=active, phase="steady")

    def all_know() -> bool:
        last = [one.what for front in stage.fronts for one in front.crowd.seen[-5 * CLIENTS :]]
        return set(last) == {backends[active].name}

    await eventually(all_know)
    await eventually(lambda: f'"shop-{active}"' in file.read_text())
