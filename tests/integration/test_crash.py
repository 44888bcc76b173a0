"""The daemon killed, stopped and started again: it goes on from what it committed, and Traefik notices nothing."""

import asyncio
import random
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from provider.model import Decision
from provider.store import Store, Stored
from tests.integration.daemon import Daemon, StartDaemon
from tests.integration.test_release import HOST, fixed, until_routed
from tests.integration.traefik import Backend, Load, StartBackend, StartTraefik
from tests.waiting import eventually

KILLS = 50
PUBLISHED = "document published"
MOMENTS = ("begun", "server healthy", "gates-passed", "shifted", PUBLISHED)


class Poll(NamedTuple):
    """What one poll brought: revision 0 and no document where nobody answered."""

    at_s: float
    revision: int
    document: bytes


class Watcher:
    """Polls a daemon without a pause, whether it runs or not."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon
        self.polls: list[Poll] = []

    @property
    def answers(self) -> list[Poll]:
        return [poll for poll in self.polls if poll.revision]

    async def until_gone(self) -> None:
        """Wait for a poll that nobody answers: all that the last process said has been heard."""
        await eventually(lambda: self.polls and not self.polls[-1].revision)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            _, document, headers = await self._daemon.get("/traefik")
            self.polls.append(Poll(time.monotonic(), int(headers.get("X-Bluegreen-Revision", 0)), document))
            await asyncio.sleep(0.01)


async def test_fifty_kills_in_the_middle_of_rollouts_change_no_decision_and_fail_no_request(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P4, P5, P6, rule 14. Beside the daemon that is killed another one gets the same edits and is left in peace."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    dice = random.Random(seed)
    backends = await start_backend("one"), await start_backend("two")
    killed = await start_daemon(releases(*backends, 0))
    spared = await start_daemon(releases(*backends, 0))
    traefik = await start_traefik(killed.endpoint)
    await until_routed(killed, traefik.url("web"), "one")
    documents = {"blue": await document_of(spared, "blue")}
    number, waits_s, watcher = 0, [], Watcher(killed)

    async with watcher.watching(), Load(traefik.url("web"), HOST, clients=4, pause_s=0.02) as load:
        await killed.kill()
        for life in range(KILLS):
            await watcher.until_gone()
            disk, _ = await on_disk(killed)
            done = disk.groups["shop"].rollout is None and disk.groups["shop"].rollouts == number
            number += done
            edited_alive = done and dice.random() < 0.5
            if not edited_alive:
                killed.write(releases(*backends, number))
            heard, said, begin_s = len(watcher.answers), len(killed.logged(PUBLISHED)), time.monotonic()
            await killed.start(wait=edited_alive)
            killed.write(releases(*backends, number))
            await some_instant(killed, dice)
            await killed.kill()
            colour = "blue" if number % 2 == 0 else "green"
            spared.write(releases(*backends, number))
            documents[colour] = await document_of(spared, colour)
            committed = documents[str(disk.services["shop"].active)].decode()
            for first in killed.logged(PUBLISHED)[said : said + 1]:
                assert first["marker"] in committed, (seed, life)
            waits_s += [answer.at_s - begin_s for answer in watcher.answers[heard : heard + 1]]
        await killed.start()
        await document_of(killed, colour)
        number += 1 - number % 2  # the last one is green: Traefik, which tries ever less often, has to follow at last
        for daemon in (killed, spared):
            daemon.write(releases(*backends, number))
            await document_of(daemon, "green")
        await load.until_all("two")

    print(f"{number} rollouts, {len(waits_s)} first documents after {max(waits_s):.2f} s at most")
    assert load.failures == []
    assert set(load.answers) == {"one", "two"}
    revisions = [poll.revision for poll in watcher.answers]
    assert revisions == sorted(revisions)
    assert {poll.document for poll in watcher.answers} == set(documents.values())
    assert number > 10
    assert await killed.stop() == await spared.stop() == 0
    assert decided(*await on_disk(killed)) == decided(*await on_disk(spared))


async def test_two_restarts_in_a_row_serve_the_same_bytes_under_higher_numbers(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """P6; SIGTERM ends with exit code 0."""
    blue, green = await start_backend("one"), await start_backend("two")
    daemon = await start_daemon(fixed(blue, None))
    await eventually(daemon.document)
    daemon.write(fixed(blue, green))
    await document_of(daemon, "green")
    seen = []
    for _ in range(3):
        await eventually(daemon.document)
        seen.append(await daemon.get("/traefik"))
        assert await daemon.stop() == 0
        await daemon.start()
    assert len({(body, headers["ETag"]) for _, body, headers in seen}) == 1
    revisions = [int(headers["X-Bluegreen-Revision"]) for _, _, headers in seen]
    assert revisions == [revisions[0], revisions[0] + 1, revisions[0] + 2]


async def test_nothing_is_published_while_nothing_changes(
    start_daemon: StartDaemon, start_backend: StartBackend
) -> None:
    """P12."""
    daemon = await start_daemon(fixed(await start_backend("one"), await start_backend("two"), active="blue"))
    await daemon.until("shop", active="blue", rollout=None)
    await eventually(lambda: len(daemon.logged("server healthy")) == 2)
    revision = await daemon.metric("bluegreen_document_revision")
    watcher = Watcher(daemon)
    async with watcher.watching():
        await daemon.until_checked(30)
    assert {poll.revision for poll in watcher.polls} == {revision}
    assert len(daemon.logged(PUBLISHED)) == revision


async def test_a_state_copied_from_a_crash_goes_on_elsewhere_with_the_same_decisions(
    start_daemon: StartDaemon, start_backend: StartBackend, tmp_path: Path
) -> None:
    """Rule 13, rule 14: the rollout that was under way goes on."""
    blue, green = await start_backend("one"), await start_backend("two")
    await green.stop()
    daemon = await start_daemon(fixed(blue, green, active="blue"))
    await eventually(daemon.document)
    daemon.write(fixed(blue, green, active="green"))
    before, document = await daemon.until("shop", phase="waiting"), await daemon.document()
    await daemon.kill()
    shutil.copytree(daemon.state, tmp_path / "copy")
    other = await start_daemon(daemon.file.read_text(), state=tmp_path / "copy")
    assert await eventually(other.document) == document
    after = await other.status("shop")
    for told in (before, after):
        told["rollout"] = {key: told["rollout"][key] for key in ("id", "candidate", "release", "trigger", "since")}
    kept = ("active", "desired", "phase", "weights", "rollout", "quarantined", "switched")
    assert {key: after[key] for key in kept} == {key: before[key] for key in kept}
    await green.start()
    await other.until("shop", active="green", phase="steady")


def releases(blue: Backend, green: Backend, number: int) -> str:
    """A file with release `number`: even ones run in blue, odd ones in green, beside the one before."""
    text = fixed(blue, green if number else None)
    for name, offset in (("one", number % 2), ("two", (number + 1) % 2)):
        text = text.replace(f"version: '{name}'", f"version: '{number - offset}'")
    return text


async def some_instant(daemon: Daemon, dice: random.Random) -> None:
    """Wait for an instant to kill a starting daemon at: any at all, or soon after it tells of a certain moment."""
    if dice.random() < 0.2:
        await asyncio.sleep(dice.uniform(0, 1))
        return
    moment, begin = f'"event": "{dice.choice(MOMENTS)}"'.encode(), daemon.log.stat().st_size
    with suppress(TimeoutError):  # what was done in an earlier life is not done again
        async with asyncio.timeout(2):
            while moment not in daemon.log.read_bytes()[begin:]:  # noqa: ASYNC110  another process writes the log
                await asyncio.sleep(0.001)
    await asyncio.sleep(dice.choice((0, 0.001, 0.003, 0.01, dice.uniform(0, 0.5))))


async def on_disk(daemon: Daemon) -> tuple[Stored, tuple[Decision, ...]]:
    """Read the state of a daemon that does not run from a copy, so that its own stays as the daemon left it."""
    copy = daemon.state.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(daemon.state, copy)
    store = Store(copy)
    try:
        return await store.open(), await store.history(limit=10_000)
    finally:
        await store.close()


async def document_of(daemon: Daemon, colour: str) -> bytes:
    """Wait until a colour of the shop is served; return the document."""

    async def look() -> bytes:
        _, document, _ = await daemon.get("/traefik")
        return document if f"shop-{colour}".encode() in document else b""

    return await eventually(look)


def decided(stored: Stored, history: tuple[Decision, ...]) -> tuple[object, ...]:
    """All that was decided, but not when. A gate that had passed has to pass again after a restart."""
    told = [
        (row.event, row.colour, row.release, row.rollout, row.outcome, row.trigger, row.detail)
        for row in history
        if row.event not in {"gates-passed", "gates-lost"}
    ]
    return replace(stored.services["shop"], switched_utc=None), stored.groups, told
