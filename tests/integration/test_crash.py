"""The daemon killed, stopped and started again: it goes on from what it committed, and Traefik notices nothing."""

import asyncio
import os
import random
import shutil
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TypeAlias

import orjson
import pytest

from provider.model import Decision, GroupState
from provider.rollout import phases
from provider.store import Stored
from provider.store.sqlite import SqliteStore
from provider.traefik.process import free_ports
from tests.support.daemon import Daemon, StartDaemon, Watcher, colours
from tests.support.release import HOST, fixed, until_routed
from tests.support.traefik import Backend, Load, Relay, StartBackend, StartTraefik
from tests.support.waiting import eventually

KILLS = int(os.environ.get("BLUEGREEN_KILLS", "30"))
PUBLISHED = "document published"
MOMENTS = (
    *("begun", "server healthy", "ready", "smoke-passed", "smoke-failed", "approval-wanted", "approval-given"),
    *("shifted", "confirmed", "unconfirmed", "watched", "rolled-back", "aborted", PUBLISHED),
)
ENDS = ("switched", "rolled-back", "switched", "gates-failed", "aborted")
AGAIN = frozenset({"ready", "tested", "approved", "gates-lost", "confirmed", "unconfirmed"})
"""What a restart may bring once more, or otherwise: health is checked again, and Traefik may come late."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Backends: TypeAlias = tuple[Backend, Backend]
BODIES = {"blue": "one", "green": "two"}


@dataclass(frozen=True)
class Release:
    """The release that rollout `number` is to bring, what both colours then run, and how it is to end."""

    number: int
    versions: Mapping[str, int]
    end: str

    def after(self, active: str, end: str) -> "Release":
        """Return the next one, in the colour that stands by."""
        standby = "green" if active == "blue" else "blue"
        return Release(self.number + 1, {**self.versions, standby: self.number + 1}, end)

    def file(self, blue: Backend, green: Backend) -> str:
        wanted = 418 if self.end == "gates-failed" else 200
        gates = f"    approval: manual\n    smokeTests: [{{name: home, path: /smoke, status: {wanted}}}]\n"
        watch = "1h" if self.end == "rolled-back" else "400ms"
        text = fixed(blue, green if "green" in self.versions else None, watch=watch, more=gates)
        for colour, version in self.versions.items():
            text = text.replace(f"version: '{BODIES[colour]}'", f"version: '{version}'")
        return text


class Lives:
    """The lives of a daemon that is killed: how long each first document took, and which one it was."""

    def __init__(self, daemon: Daemon, watcher: Watcher, dice: random.Random) -> None:
        self._daemon, self._watcher, self._dice = daemon, watcher, dice
        self.phases: Counter[str] = Counter()
        self.waits_s: list[float] = []
        self.firsts: list[tuple[str, str]] = []

    async def read(self) -> tuple[GroupState, str]:
        """Return what the last life has left: the state of the group, and the active colour."""
        await self._watcher.until_gone()
        disk, _ = await on_disk(self._daemon)
        self.phases[phases.phase(disk.groups["shop"])] += 1
        return disk.groups["shop"], str(disk.services["shop"].active)

    async def live(self, release: Release, backends: Backends, active: str, *, is_new: bool) -> None:
        """Start the daemon on this release, which it is told of before or after, and kill it at some instant."""
        daemon, is_edited_alive = self._daemon, is_new and self._dice.random() < 0.5
        if not is_edited_alive:
            daemon.write(release.file(*backends))
        heard, said, begin_s = len(self._watcher.answers), len(daemon.logged(PUBLISHED)), time.monotonic()
        mark = daemon.log.stat().st_size
        await daemon.start(wait=is_edited_alive)
        driver = asyncio.create_task(drive(daemon, release, backends))
        await some_instant(daemon, driver, mark, self._dice)
        await daemon.kill()
        driver.cancel()
        await asyncio.gather(driver, return_exceptions=True)
        self.firsts += [(active, first["marker"]) for first in daemon.logged(PUBLISHED)[said : said + 1]]
        self.waits_s += [answer.at_s - begin_s for answer in self._watcher.answers[heard : heard + 1]]


@pytest.mark.takes(45)
async def test_kills_in_every_phase_of_rollouts_change_no_decision_and_fail_no_request(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P4, P5, P6, rule 14. Beside the daemon that is killed another one gets the same orders and is left in peace."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    backends = await start_backend("one"), await start_backend("two")
    release = Release(0, {"blue": 0}, "switched")
    killed, spared = [await start_daemon(release.file(*backends)) for _ in range(2)]
    traefik = await start_traefik(killed.endpoint)
    await until_routed(killed, traefik.url("web"), "one")
    documents, watcher = {"blue": await document_of(spared, "blue")}, Watcher(killed)
    lives = Lives(killed, watcher, random.Random(seed))

    async with watcher.watching(), Load(traefik.url("web"), HOST, clients=4, pause_s=0.05) as load:
        await killed.kill()
        for _ in range(KILLS):
            group, active = await lives.read()
            is_over = group.rollout is None and group.rollouts == release.number
            if is_over:
                release = release.after(active, ENDS[release.number % len(ENDS)])
            in_peace = asyncio.create_task(drive(spared, release, backends))
            await lives.live(release, backends, active, is_new=is_over)
            await in_peace
            documents |= await shown(spared)
        await killed.start()
        await drive(killed, release, backends)
        for _ in BODIES:  # Traefik, which tries ever less often, has to follow at last
            (active,) = await shown(killed)
            release = release.after(active, "switched")
            await asyncio.gather(*(drive(daemon, release, backends) for daemon in (killed, spared)))
            (active,) = await shown(killed)
            await load.until_all(BODIES[active])

    print(f"{release.number} rollouts, {len(lives.waits_s)} first documents after {max(lives.waits_s):.2f} s at most")
    print("killed in", {str(phase): count for phase, count in lives.phases.items()})
    assert load.failures == []
    assert set(load.answers) == {"one", "two"}
    revisions = [poll.revision for poll in watcher.answers]
    assert revisions == sorted(revisions)
    assert {poll.document for poll in watcher.answers} == set(documents.values())
    assert all(marker in documents[active].decode() for active, marker in lives.firsts)
    assert release.number >= len(ENDS), "each way to end was come by"
    assert await killed.stop() == await spared.stop() == 0
    assert decided(*await on_disk(killed)) == decided(*await on_disk(spared))


async def test_a_switch_that_nobody_has_confirmed_yet_is_confirmed_after_a_kill(
    start_daemon: StartDaemon, start_traefik: StartTraefik, start_backend: StartBackend
) -> None:
    """P5, rule 7, rule 14: it is not switched again, and Traefik shows it to the next process."""
    blue, green = await start_backend("one"), await start_backend("two")
    relay = Relay(*free_ports(1))
    file = partial(fixed, blue, watch="1h", deadlines="confirming: 1h", api=relay.url)
    daemon = await start_daemon(file(None))
    traefik = await start_traefik(daemon.endpoint, api_port=relay.to)
    await until_routed(daemon, traefik.url("web"), "one")
    daemon.write(file(green))
    await until_routed(daemon, traefik.url("web"), "two")
    await daemon.until("shop", phase="confirming", active="green", confirmed=False)
    await daemon.kill()
    await daemon.start()
    await daemon.until("shop", phase="confirming", active="green", confirmed=False)
    async with relay:
        await daemon.until("shop", phase="watching", active="green", confirmed=True)
    events = [row["event"] for row in await daemon.history("shop", rollout="r1")]
    assert events[:2] == ["confirmed", "shifted"]


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
    await eventually(daemon.document)
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


async def drive(daemon: Daemon, release: Release, backends: Backends) -> None:
    """Have a daemon bring a release and do what operators do on its way, until its rollout is over."""
    daemon.write(release.file(*backends))
    name = f"r{release.number}"
    while not any(row["outcome"] for row in await daemon.history("shop", rollout=name)):
        status = await daemon.status("shop")
        under_way = status.get("rollout") or {}
        phase = status["phase"] if under_way.get("id") == name else None
        if phase == "approval" and release.end == "aborted":
            await daemon.command("shop", "abort", reason="looks wrong")
        elif phase == "approval":
            await daemon.command("shop", "approve", release=under_way["release"])
        elif phase == "watching" and release.end == "rolled-back":
            await daemon.command("shop", "rollback", **{"from": under_way["release"]}, reason="is slow")
        await asyncio.sleep(0.04)


async def some_instant(daemon: Daemon, driver: "asyncio.Task[None]", mark: int, dice: random.Random) -> None:
    """Wait for an instant to kill a daemon at: any at all, or soon after some moments that its log tells of."""
    if dice.random() < 0.2:
        await asyncio.sleep(dice.uniform(0, 1))
        return
    enough, moments = dice.randrange(1, 9), [f'"event": "{moment}"'.encode() for moment in MOMENTS]
    with suppress(TimeoutError):
        async with asyncio.timeout(5):
            while not driver.done():
                log = daemon.log.read_bytes()[mark:]
                if sum(map(log.count, moments)) >= enough:
                    break
                await asyncio.sleep(0.001)
    await asyncio.sleep(dice.choice((0, 0.001, 0.003, 0.01, dice.uniform(0, 0.5))))


async def on_disk(daemon: Daemon) -> tuple[Stored, tuple[Decision, ...]]:
    """Read the state of a daemon that does not run from a copy, so that its own stays as the daemon left it."""
    copy = daemon.state.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(daemon.state, copy)
    store = SqliteStore(copy)
    try:
        return await store.open(wait_s=10), await store.history(limit=10_000)
    finally:
        await store.close()


async def shown(daemon: Daemon) -> dict[str, bytes]:
    """Return the document by the colour of the shop that it gives the traffic to."""
    _, body, _ = await daemon.get("/traefik")
    return {colours(orjson.loads(body))["shop"]: body}


async def document_of(daemon: Daemon, colour: str) -> bytes:
    """Wait until a colour of the shop is served; return the document."""

    async def look() -> bytes:
        _, document, _ = await daemon.get("/traefik")
        return document if f"shop-{colour}".encode() in document else b""

    return await eventually(look)


def decided(stored: Stored, history: tuple[Decision, ...]) -> tuple[object, ...]:
    """All that was decided, but not when."""
    told = [
        (row.event, row.colour, row.release, row.rollout, row.outcome, row.trigger, row.actor, _undated(row))
        for row in history
        if row.event not in AGAIN
    ]
    shop, group = stored.services["shop"], stored.groups["shop"]
    override = replace(shop.override, since_utc=EPOCH) if shop.override else None
    quarantined = tuple(replace(one, since_utc=EPOCH) for one in group.quarantined)
    return replace(shop, switched_utc=None, override=override), replace(group, quarantined=quarantined), told


def _undated(row: Decision) -> str | None:
    return None if row.event == "approval-wanted" else row.detail
