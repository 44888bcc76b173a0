"""Polls a second that the daemon answers, beside nginx with the same bytes; wrk asks, both have one process."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path

from bench import fleet
from bench.machine import Missing, program
from bench.processes import Daemon, folder, nginx

CONNECTIONS = 8
MEASURED_S = 3
LIMIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Polls:
    """Polls a second; None for nginx where there is none."""

    document_bytes: int
    ours: float
    nginx: float | None


async def polls(services: int) -> Polls:
    """Poll a daemon with this number of services. Raises Missing without wrk."""
    program("wrk")
    with folder() as place:
        await asyncio.to_thread(fleet.decide, place / "state", services)
        daemon = Daemon(place)
        daemon.write(fleet.text(services))
        async with daemon.running():
            body = await daemon.document()
            ours = await _rate(f"{daemon.endpoint}?hold=0")
        return Polls(len(body), ours, await _nginx_rate(place, body))


async def _nginx_rate(place: Path, body: bytes) -> float | None:
    try:
        async with nginx(place) as address:
            (place / "www" / "document.json").write_bytes(body)
            return await _rate(f"http://{address}/document.json")
    except Missing:
        return None


async def _rate(url: str) -> float:
    """Return the answers a second; every one must be 200."""
    process = await asyncio.create_subprocess_exec(
        *(program("wrk"), "--threads", "1", "--connections", str(CONNECTIONS), "--duration", f"{MEASURED_S}s", url),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(LIMIT_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    found = re.search(rb"Requests/sec:\s+([0-9.]+)", said)
    assert found is not None, said
    assert b"Non-2xx" not in said, said
    return float(found[1])
