"""A real Podman with a storage of its own, as `podman system service` on a unix socket."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.engine import Engine, answers, unmount
from bench.machine import Missing, program
from tests.support.components import missing

SETTINGS = """\
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
"""
"""Without systemd, which keeps the timers of Podman's health checks; limits as they may be set in a container."""


@pytest.fixture(scope="module")
def podman() -> Iterator[Engine]:
    """Podman, with the image that it runs by default."""
    try:
        podman, _ = program("podman"), program("runc")
    except Missing as absent:
        missing("podman", str(absent))
    if os.geteuid() != 0:
        missing("podman", "containers with addresses of their own need root")
    root = Path(tempfile.mkdtemp(prefix="bg-", dir="/tmp"))
    storage = f'[storage]\ndriver = "vfs"\ngraphroot = "{root}/data"\nrunroot = "{root}/run"\n'
    (root / "storage.conf").write_text(storage)
    (root / "containers.conf").write_text(SETTINGS + f'tmp_dir = "{root}/tmp"\n')
    settings = {"CONTAINERS_STORAGE_CONF": f"{root}/storage.conf", "CONTAINERS_CONF": f"{root}/containers.conf"}
    url = f"unix://{root}/socket"
    with (root / "log").open("wb") as log:
        service = subprocess.Popen(
            [podman, "system", "service", "--time=0", url], env=os.environ | settings, stdout=log, stderr=log
        )
    try:
        end = time.monotonic() + 60
        while not answers(url):
            if service.poll() is not None or time.monotonic() > end:
                missing("podman", f"its service does not start here: {(root / 'log').read_text()[-1000:]}")
            time.sleep(0.05)
        engine = Engine(url)
        engine.build()
        yield engine
        engine.close()
    finally:
        service.terminate()
        service.wait()
        unmount(root)
        subprocess.run(["rm", "-rf", str(root)], check=False)
