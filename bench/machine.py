"""The environment of the measurements: the machine, its load, and all versions."""

import os
import platform
import re
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from provider import __version__
from provider.model.errors import TraefikError
from provider.traefik.process import find_binary

PEERS = {
    "busybox": "busybox-static",
    "dockerd": "docker.io",
    "etcd": "etcd-server",
    "haproxy": "haproxy",
    "ip": "iproute2",
    "nginx": "nginx",
    "openssl": "openssl",
    "wrk": "wrk",
}
"""Programs that take part where they are there, with the Debian packages that bring them."""


class Missing(Exception):  # noqa: N818  not an error: what needs it is skipped
    """A missing program; the text says how to install it."""


def program(name: str) -> str:
    """Return the path of one of PEERS; raises Missing."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        raise Missing(f"no program {name!r} here (Debian's package {PEERS[name]})")
    return found


def circumstances(load: tuple[float, float, float]) -> str:
    """Return a description of the machine and the versions; `load` is the load average when the part began."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    versions = ", ".join(f"{name} {number}" for name, number in _versions().items() if number)
    return (
        f"Measured on {datetime.now(UTC):%Y-%m-%d} with a load average of {load[0]:.1f} at the start. "
        f"{os.cpu_count()} cores{f' ({model})' if model else ''}, {platform.machine()}, "
        f"{_memory_gb():.0f} GB, {platform.system()} {platform.release()}. {versions}."
    )


def _versions() -> dict[str, str | None]:
    try:
        traefik = _said([str(find_binary()), "version"], r"Version:\s+(\S+)")
    except TraefikError:
        traefik = None
    return {
        "traefik-bluegreen": __version__,
        "Python": platform.python_version(),
        "uvloop": version("uvloop"),
        "aiohttp": version("aiohttp"),
        "Traefik": traefik,
        "nginx": _peer("nginx", "-v", r"nginx/(\S+)"),
        "HAProxy": _peer("haproxy", "-v", r"version (\S+)"),
        "wrk": _peer("wrk", "-v", r"wrk (?:debian/)?(\S+)"),
        "etcd": _peer("etcd", "--version", r"etcd Version: (\S+)"),
        "Docker": _peer("dockerd", "--version", r"version ([^\s,]+)"),
    }


def _peer(name: str, option: str, pattern: str) -> str | None:
    try:
        return _said([program(name), option], pattern)
    except Missing:
        return None


def _said(command: list[str], pattern: str) -> str | None:
    """Return the version that a program prints; some print it on stderr, some exit with 1."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else None


def _memory_gb() -> float:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
