"""The time from the start of the daemon to its first document, and the memory it has then, with 10,000 services."""

import http.client
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from bench import fleet
from bench.processes import resident_mb
from provider.traefik.process import free_ports

LIMIT_S = 120.0
STARTS = 3
REST_S, REST_EACH_S = 3.0, 0.0007
"""The time in which a daemon settles after its start, with some to spare."""


@dataclass(frozen=True, slots=True)
class Starts:
    """The fastest of some starts, and the most memory that one had."""

    fastest_s: float
    memory_mb: float


def start_s(folder: Path, port: int, admin_port: int, *, rest_s: float) -> tuple[float, float]:
    """Return the seconds to the first document and the resident memory in MB after `rest_s`, when it is stopped."""
    begin_s = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "provider", "serve", "--docker", "none"),
                *("--desired-state", str(folder / "desired.yaml"), "--state-dir", str(folder / "state")),
                *("--listen", f"127.0.0.1:{port}", "--admin-listen", f"127.0.0.1:{admin_port}"),
            ],
            stderr=log,
        )
    try:
        while not served(port):
            assert process.poll() is None, (folder / "log").read_text()
            assert time.perf_counter() - begin_s < LIMIT_S, "no document came"
            time.sleep(0.005)
        took_s = time.perf_counter() - begin_s
        time.sleep(rest_s)
        return took_s, resident_mb(process.pid)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def served(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def best(services: int) -> Starts:
    """Start a fleet again and again, with the state of a daemon that has served before."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "desired.yaml").write_text(fleet.text(services))
        ports = free_ports(2)
        # The first start of all waits for healthy servers (rule 1), which this fleet has not: it is not measured.
        (folder / "state").mkdir(mode=0o700)
        fleet.decide(folder / "state", services)
        rest_s = REST_S + services * REST_EACH_S
        starts = [start_s(folder, *ports, rest_s=rest_s) for _ in range(STARTS)]
        return Starts(min(starts)[0], max(mb for _, mb in starts))
