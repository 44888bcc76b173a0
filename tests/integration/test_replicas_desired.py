"""The desired state of two daemons over a real etcd: applied at one, in force at both, and after a takeover."""

import asyncio
import os
import sys
from pathlib import Path

import orjson

from tests.support.daemon import Daemon, StartDaemon
from tests.support.etcd import Cluster
from tests.support.waiting import eventually

SEED = "environment: production\nservices: {}\ntraefik: {defaultCertificate: generated}\n"
EDIT = SEED + "http: {middlewares: {gzip: {compress: {}}}}\n"


async def apply(daemon: Daemon, file: Path) -> int | None:
    environment = {**os.environ, "BLUEGREEN_ADMIN": daemon.admin_url}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "provider", "apply", str(file)), env=environment
    )
    async with asyncio.timeout(60):
        return await process.wait()


async def served(daemon: Daemon, *, has: str) -> tuple[bytes | str, str]:
    """Wait until a daemon serves a document with this; return it with its revision."""

    async def look() -> tuple[bytes | str, str]:
        status, body, headers = await daemon.get("/traefik")
        assert (status, has in str(body)) == (200, True)
        return body, headers["X-Bluegreen-Revision"]

    found: tuple[bytes | str, str] = await eventually(look)
    return found


async def test_what_is_applied_at_a_follower_outlives_the_leader_and_every_file(
    start_daemon: StartDaemon, etcd: Cluster, tmp_path: Path
) -> None:
    """Rules 60, 62, 63: with the certificate, so the document stays the same to the byte."""
    url = f"etcd://{etcd.addresses}/bluegreen/desired-{os.getpid()}"
    leader = await start_daemon(SEED, "--store", url, "--replica", "one")
    await served(leader, has="defaultCertificate")
    follower = await start_daemon("services: not read\n", "--store", url, "--replica", "two")
    await served(follower, has="defaultCertificate")
    edit = tmp_path / "edit.yaml"
    edit.write_text(EDIT)
    assert await apply(follower, edit) == 0
    before = await served(follower, has="gzip")
    assert await served(leader, has="gzip") == before
    await leader.kill()

    async def leads() -> bool:
        status, body, _ = await follower.get("/api/v1/desired", base=follower.admin_url)
        assert (status, orjson.loads(body)["text"]) == (200, EDIT)
        _, replicas, _ = await follower.get("/api/v1/replicas", base=follower.admin_url)
        return [one["replica"] for one in orjson.loads(replicas)["replicas"] if one["leads"]] == ["two"]

    await eventually(leads)
    assert await served(follower, has="gzip") == before
