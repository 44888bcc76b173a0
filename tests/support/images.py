"""The image of the daemon, built as anybody builds it, and the images that deploy/compose.yaml runs beside it.

Where no registry answers, the base is made with debootstrap (once: it is kept in the user's cache), and stand-ins take
the places of the others: a real Traefik and a real Prometheus in images of their own, and HAProxy with the very rule of
the socket proxy. Builds use the network of this machine, and its CA certificates.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.engine import Engine
from provider import __version__
from provider.traefik.process import find_binary
from tests.support.components import missing, program
from tests.support.paths import ROOT

DEFAULT_BASE = "python:3.13-slim"
DAEMON = f"bluegreen-image-test:{__version__}"
BASE, BUILD_BASE = "bluegreen-image-test-base", "bluegreen-image-test-build-base"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "traefik-bluegreen"
SUITE = "bookworm"
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
UNNEEDED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")

APT = "RUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install"
TRAEFIK = f"""\
FROM {BUILD_BASE}
{APT} wget
COPY traefik /usr/local/bin/traefik
ENTRYPOINT ["traefik"]
"""
PROMETHEUS = f"""\
FROM {BASE}
COPY prometheus /bin/prometheus
RUN install -d -o 65534 -g 65534 /prometheus
USER 65534
VOLUME /prometheus
ENTRYPOINT ["prometheus"]
"""
SOCKET_PROXY = f"""\
FROM {BUILD_BASE}
{APT} haproxy
COPY haproxy.cfg socket-proxy healthcheck /
WORKDIR /
ENTRYPOINT ["/socket-proxy"]
"""
HAPROXY = """\
defaults
  mode http
  timeout connect 5s
  timeout client 10m
  timeout server 10m
frontend docker
  bind :2375
  http-request deny unless METH_GET { path -m reg "^(${ALLOW_GET})\\$" }
  default_backend engine
backend engine
  server socket unix@/var/run/docker.sock
"""
ENTRY = """\
#!/bin/sh
for argument; do case $argument in -allowGET=*) export ALLOW_GET="${argument#-allowGET=}" ;; esac; done
exec haproxy -f /haproxy.cfg -db
"""


@dataclass(frozen=True, slots=True)
class Images:
    """The daemon's image, its base, and what compose.yaml runs in place of the others."""

    daemon: str
    base: str
    stand_ins: Mapping[str, str]


class Docker:
    """Docker's command line on one engine."""

    def __init__(self, url: str) -> None:
        self.socket = url.removeprefix("unix://")
        self.group = str(Path(self.socket).stat().st_gid)
        self.environment = {**os.environ, "DOCKER_HOST": url}
        self._command = program("docker", "docker")
        if not self.works("buildx", "version"):
            self.environment["DOCKER_BUILDKIT"] = "0"

    def __call__(self, *arguments: object, stdin: str | None = None, timeout_s: float = 600) -> str:
        """Return what a command prints; it has to succeed."""
        done = self._run(arguments, stdin, timeout_s)
        assert done.returncode == 0, f"docker {arguments}: {done.stdout[-2000:]}{done.stderr[-3000:]}"
        return done.stdout.strip()

    def works(self, *arguments: object, timeout_s: float = 60) -> bool:
        try:
            return self._run(arguments, None, timeout_s).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def refused(self, *arguments: object) -> str:
        """Return what a command complains of; it has to fail."""
        done = self._run(arguments, None, 60)
        assert done.returncode != 0, done.stdout
        return done.stdout + done.stderr

    def build(self, tag: str, files: Mapping[str, str | Path]) -> str:
        """Build an image of texts and copies of files, all of them executable."""
        with tempfile.TemporaryDirectory() as folder:
            for name, content in files.items():
                target = Path(folder, name)
                if isinstance(content, Path):
                    shutil.copyfile(content.resolve(), target)
                else:
                    target.write_text(content)
                target.chmod(0o755)
            self("build", "--network", "host", "--tag", tag, folder)
        return tag

    def _run(
        self, arguments: tuple[object, ...], stdin: str | None, timeout_s: float
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self._command, *map(str, arguments)],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout_s,
        )


def make_images(docker: Docker) -> Images:
    """Build the daemon's image on the default base where that is to be had, else on one of our own."""
    if docker.works("image", "inspect", DEFAULT_BASE) or docker.works("pull", "--quiet", DEFAULT_BASE, timeout_s=300):
        return Images(_daemon(docker), DEFAULT_BASE, {})
    docker("import", _debian(), BASE)
    docker.build(
        BUILD_BASE,
        {
            "Dockerfile": f"FROM {BASE}\nCOPY ca {CERTIFICATES}\n{APT} python3-pip python3-venv\n",
            "ca": Path(CERTIFICATES),
        },
    )
    stand_ins = {
        "TRAEFIK_IMAGE": docker.build(
            "bluegreen-image-test-traefik",
            {"Dockerfile": TRAEFIK, "traefik": find_binary()},
        ),
        "SOCKET_PROXY_IMAGE": docker.build(
            "bluegreen-image-test-socket-proxy",
            {
                "Dockerfile": SOCKET_PROXY,
                "haproxy.cfg": HAPROXY,
                "socket-proxy": ENTRY,
                "healthcheck": "#!/bin/sh\nexit 0\n",
            },
        ),
        "PROMETHEUS_IMAGE": docker.build(
            "bluegreen-image-test-prometheus",
            {"Dockerfile": PROMETHEUS, "prometheus": Path(program("promtool", "prometheus"))},
        ),
    }
    return Images(_daemon(docker, BASE_IMAGE=BASE, BUILD_IMAGE=BUILD_BASE), BASE, stand_ins)


def _daemon(docker: Docker, **arguments: str) -> str:
    index = {name: os.environ[name] for name in ("PIP_INDEX_URL",) if name in os.environ}
    words = [f"--build-arg={name}={value}" for name, value in {"VERSION": __version__, **index, **arguments}.items()]
    docker("build", "--network", "host", *words, "--tag", DAEMON, ROOT)
    return DAEMON


def _debian() -> Path:
    """Return a small Debian with Python as an archive, made again where the cache has none."""
    archive = CACHE / f"debian-{SUITE}-python.tar"
    if not archive.exists():
        archive.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as folder:
            packages = "--include=python3,ca-certificates"
            root = Path(folder, "root")  # made by debootstrap, with the mode that a / has to have
            bootstrap = [program("debootstrap", "debootstrap"), "--variant=minbase", packages, SUITE, str(root)]
            subprocess.run(bootstrap, check=True, capture_output=True, timeout=900)
            for unneeded in (file for place in UNNEEDED for file in (root / place).rglob("*") if not file.is_dir()):
                unneeded.unlink()
            new = archive.with_suffix(".new")
            subprocess.run(["tar", "-C", root, "-cf", new, "."], check=True, timeout=300)
            new.replace(archive)
    return archive


@pytest.fixture(scope="session")
def docker(session_engine: Engine) -> Docker:
    if not session_engine.url.startswith("unix://"):
        missing("docker", f"the engine at {session_engine.url} has no socket here that a container could be given")
    return Docker(session_engine.url)


@pytest.fixture(scope="session")
def images(docker: Docker) -> Images:
    return make_images(docker)
