"""Three daemons over three real etcd nodes: one leads, all serve (rules 50 to 61)."""

import os
from collections.abc import Sequence
from functools import partial
from typing import Any

import aiohttp
import orjson
import pytest

from tests.support.daemon import FAST_CHECKS, Daemon, StartDaemon, Watcher
from tests.support.etcd import Cluster
from tests.support.traefik import StartBackend
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif("BLUEGREEN_FAULTS_S" not in os.environ, reason="takes minutes: make hunt")

NAMES = ("one", "two", "three")


async def replicas(start_daemon: StartDaemon, etcd: Cluster, text: str) -> list[Daemon]:
    url = f"etcd://{etcd.addresses}/bluegreen/production"
    return [await start_daemon(text, "--store", url, "--replica", name) for name in NAMES]


async def known(daemon: Daemon) -> dict[str, dict[str, object]]:
    """Return what a replica knows of all of them, by name."""
    status, body, _ = await daemon.get("/api/v1/replicas", base=daemon.admin_url)
    return {one["replica"]: one for one in orjson.loads(body)["replicas"]} if status == 200 else {}


async def leader(daemons: Sequence[Daemon], asked: Daemon) -> Daemon:
    """Wait until a replica that runs leads; return it."""

    async def look() -> Daemon:
        found = [name for name, one in (await known(asked)).items() if one["leads"]]
        running = [daemons[NAMES.index(name)] for name in found if daemons[NAMES.index(name)].process]
        assert len(running) == 1, found
        return running[0]

    return await eventually(look)


async def until_all_serve(daemons: Sequence[Daemon]) -> int:
    """Wait until all serve one document; return its revision."""

    async def look() -> int:
        answers = [await one.get("/traefik") for one in daemons]
        assert {status for status, _, _ in answers} == {200}, [one.words() for one in daemons]
        assert len({body for _, body, _ in answers}) == 1
        (revision,) = {int(headers["X-Bluegreen-Revision"]) for _, _, headers in answers}
        return revision

    found: int = await eventually(look)
    return found


async def test_one_leads_and_all_serve_through_deaths_stops_and_a_lost_quorum(
    start_daemon: StartDaemon, start_backend: StartBackend, etcd_cluster: Cluster
) -> None:
    """Rules 50, 53, 54, 56, 59, 60; P4, P6."""
    blue, green = await start_backend("blue"), await start_backend("green")
    text = f"""\
environment: production
services:
  shop:
    router: {{rule: "Host(`shop.example.com`)", entryPoints: [web]}}
    initial: blue
    settle: 1ms
    watch: 0s
    healthCheck: {FAST_CHECKS}
    servers: {{blue: {{urls: ["{blue.url}"]}}, green: {{urls: ["{green.url}"]}}}}
"""
    daemons = await replicas(start_daemon, etcd_cluster, text)
    first = await leader(daemons, daemons[0])
    assert await until_all_serve(daemons) == 1
    watchers = [Watcher(one) for one in daemons]
    async with watchers[0].watching(), watchers[1].watching(), watchers[2].watching():
        # A command to a follower is done by the leader, and everybody serves what comes of it.
        second, third = [one for one in daemons if one is not first]
        await second.until("shop", active="blue", phase="steady")
        status, done = await third.command("shop", "switch", colour="green", reason="try it")
        assert status in {200, 202}, done
        await second.until("shop", active="green", phase="steady")
        revision = await until_all_serve(daemons)
        assert revision == 2

        # The leader dies: another one leads, and as nothing has changed nobody gets another document.
        await first.kill()
        led = await leader(daemons, third)
        await third.until("shop", active="green", phase="steady")
        assert await until_all_serve([second, third]) == revision
        rows = await third.history("shop", "shifted")
        assert len(rows) == 1
        await third.until_condition("replica-away")
        status, problem = await forget(third, NAMES[daemons.index(led)])
        assert (status, problem["code"]) == (409, "replica-lives")
        assert (await forget(third, NAMES[daemons.index(first)]))[0] == 200
        await third.until_condition("replica-away", holds=False)
        await first.start()
        assert await until_all_serve(daemons) == revision

        # Quorum is lost: everybody serves the last document, what is committed can be read, and nothing is decided.
        gone = etcd_cluster.followers()
        for node in gone:
            node.kill()
        for one in daemons:
            await eventually(partial(not_ready, one))
            assert int((await one.get("/traefik"))[2]["X-Bluegreen-Revision"]) == revision
        await shows_what_is_committed(third, rows)
        status, problem = await third.command("shop", "pause")
        assert (status, problem["code"]) in {(503, "no-leader"), (503, "outcome-unknown"), (503, "store-failing")}
        etcd_cluster.start(*gone)
        await etcd_cluster.ready(*gone)
        await third.until_condition("store-away", holds=False)
        await eventually(lambda: done_by(third, "switch", colour="blue", reason="back"))
        await third.until("shop", active="blue", phase="steady")
        await until_all_serve(daemons)
    for watcher in watchers:
        revisions = [poll.revision for poll in watcher.answers]
        assert revisions == sorted(revisions), "no replica goes back (P6)"


async def test_a_start_without_etcd_serves_the_document_that_was_kept(
    start_daemon: StartDaemon, start_backend: StartBackend, etcd_cluster: Cluster
) -> None:
    """Rule 57."""
    blue = await start_backend("blue")
    text = f"""\
environment: production
services:
  shop: {{router: {{rule: "Host(`a.example`)"}}, initial: blue, servers: {{blue: {{urls: ["{blue.url}"]}}}}}}
"""
    (daemon, *others) = await replicas(start_daemon, etcd_cluster, text)
    await until_all_serve([daemon, *others])
    kept = daemon.state / "document"
    await eventually(kept.exists)
    before = await daemon.document()
    for one in (daemon, *others):
        await one.kill()
    etcd_cluster.kill()
    await daemon.start()
    await eventually(daemon.document)
    assert await daemon.document() == before
    assert await daemon.metric("bluegreen_condition", code="store-away") == 1.0


async def shows_what_is_committed(daemon: Daemon, rows: Sequence[dict[str, Any]]) -> None:
    """Check what a replica shows without its store."""
    await daemon.until_condition("store-away")
    await daemon.until("shop", active="green")
    await daemon.until_event("shop", "shifted")
    assert (await daemon.history("shop", "shifted")) == rows


async def forget(daemon: Daemon, name: str) -> tuple[int, dict[str, object]]:
    url = f"{daemon.admin_url}/api/v1/replicas/{name}/forget"
    async with aiohttp.ClientSession() as session, session.post(url, json={}) as answer:
        return answer.status, dict(orjson.loads(await answer.read()))


async def not_ready(daemon: Daemon) -> bool:
    return (await daemon.get("/readyz"))[0] == 503


async def done_by(daemon: Daemon, verb: str, **body: object) -> bool:
    status, _ = await daemon.command("shop", verb, **body)
    return status in {200, 202}
