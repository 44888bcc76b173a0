"""A real Docker Engine and a small web application to run on it, for the tests as well.

A private engine needs root, `dockerd` and `busybox`. It has a bridge of its own and leaves the machine's packet filter
alone, so that it gets on with other engines: containers reach each other and the host, published ports go through
Docker's proxy.
"""

import contextlib
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import docker
from docker.errors import DockerException, NotFound

from bench.machine import Missing, program

IMAGE = "bluegreen-test"
APPLICATION = """\
#!/bin/busybox sh
/bin/busybox mkdir /www 2>/dev/null
echo "$BODY" >/www/index.html
echo well >/www/healthz
/bin/busybox rm -f /drained
trap 'while [ "$DRAIN" ] && [ ! -e /drained ]; do /bin/busybox sleep 0.05; done; kill $!; exit 0' TERM INT
/bin/busybox httpd -f -p "$LISTEN" -h /www &
wait
"""
DOCKERFILE = """\
FROM scratch
COPY busybox /bin/busybox
COPY application /application
ENV LISTEN=80
EXPOSE 80
CMD ["/application"]
"""
SECOND_NS = 1_000_000_000


class Engine:
    """A Docker Engine and what a test created on it; `cleanup` removes that.

    The application answers `SERVICE COLOUR VERSION` at `/`, and 200 at `/healthz` as long as it is well. It stops on
    TERM and INT, and ignores other signals. One that `drains` serves on when it is asked to stop, until `drained`.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.api = docker.APIClient(url, timeout=60)
        self._containers: list[str] = []
        self._networks: list[str] = []
        self._images: list[str] = []

    def build(self, tag: str = IMAGE, *, more: str = "") -> str:
        """Build the application's image, with `more` lines at the end of its Dockerfile; return its id."""
        context = io.BytesIO()
        with tarfile.open(fileobj=context, mode="w") as archive:
            archive.add(Path(static_busybox()).resolve(), "busybox")
            for name, text in (("application", APPLICATION), ("Dockerfile", DOCKERFILE + more)):
                entry = tarfile.TarInfo(name)
                entry.size, entry.mode = len(text), 0o755
                archive.addfile(entry, io.BytesIO(text.encode()))
        context.seek(0)
        answers = list(self.api.build(fileobj=context, custom_context=True, tag=tag, rm=True, decode=True))
        errors = [answer["error"] for answer in answers if "error" in answer]
        assert not errors, errors
        if tag not in self._images:
            self._images.append(tag)
        return next(str(answer["aux"]["ID"]) for answer in answers if "aux" in answer)

    def run(
        self,
        name: str,
        service: str,
        colour: str,
        *,
        version: str | None = None,
        healthcheck: bool = False,
        labels: Mapping[str, str] | None = None,
        port: int = 80,
        host_port: int | None = None,
        publish: bool = False,
        published_at: str | None = None,
        networks: Sequence[str] = (),
        image: str = IMAGE,
        stop_signal: str | None = None,
        stop_timeout_s: int | None = None,
        drains: bool = False,
        environment: Mapping[str, str] | None = None,
        binds: Sequence[str] = (),
    ) -> str:
        """Start a container of the application, which listens on `port`, labelled; return its id.

        Reached on its bridge address; with `publish` on a port of 127.0.0.1 that the engine picks; with `host_port` by
        host networking on that port of 127.0.0.1; with `published_at` on a port of that address. `networks` are those
        it joins, in place of the bridge; one entry may be `container:ID`.
        """
        all_labels = {"bluegreen.service": service, "bluegreen.colour": colour}
        settings = {"BODY": f"{service} {colour} {version}", "LISTEN": str(port), "DRAIN": "yes" if drains else ""}
        options: dict[str, Any] = {"binds": list(binds)}
        if version is not None:
            all_labels["bluegreen.version"] = version
        if port != 80:
            all_labels["bluegreen.port"] = str(port)
        if networks:
            options["network_mode"] = networks[0]
        if publish:
            options["port_bindings"] = {port: ("127.0.0.1",)}
            all_labels["bluegreen.use-bind-port"] = "true"
        if published_at is not None:
            options["port_bindings"] = {port: (published_at,)}
        if host_port is not None:
            options["network_mode"] = "host"
            settings["LISTEN"] = f"127.0.0.1:{host_port}"
            all_labels["bluegreen.port"] = str(host_port)
        test = ["CMD", "/bin/busybox", "test", "-e", "/www/healthz"]
        check: Any = {"test": test, "interval": SECOND_NS // 4, "timeout": 30 * SECOND_NS, "retries": 1}
        config: dict[str, Any] = self.api.create_container_config(
            image,
            [],
            labels=all_labels | dict(labels or {}),
            environment=settings | dict(environment or {}),
            ports=[port] if publish or published_at else None,
            host_config=self.api.create_host_config(**options),
            stop_signal=stop_signal,
            healthcheck=check if healthcheck else None,
        )
        container = self.api.create_container_from_config(  # type: ignore[no-untyped-call]
            config | {"StopTimeout": stop_timeout_s}, name
        )
        id_ = str(container["Id"])
        self._containers.append(id_)
        for network in networks[1:]:
            self.api.connect_container_to_network(id_, network)
        self.api.start(id_)
        return id_

    def adopt(self, container: str) -> None:
        """Remove a container at the end that was started past this engine."""
        self._containers.append(container)

    def adopt_image(self, tag: str) -> None:
        """Remove an image at the end that was made past this engine."""
        self._images.append(tag)

    def remove(self, *containers: str) -> None:
        """Remove containers at once, running or not."""
        for container in containers:
            with contextlib.suppress(NotFound):
                self.api.remove_container(container, force=True)
            self._containers = [known for known in self._containers if known != container]

    def network(self, name: str) -> str:
        """Make a network; return its name."""
        self._networks.append(self.api.create_network(name)["Id"])
        return name

    def sicken(self, container: str) -> None:
        """Make a container fail its health checks."""
        self._execute(container, "rm", "-f", "/www/healthz")

    def heal(self, container: str) -> None:
        """Make a container pass its health checks again."""
        self._execute(container, "touch", "/www/healthz")

    def crash(self, container: str) -> None:
        """End a container's process as a crash does, without a stop by Docker."""
        os.kill(self.api.inspect_container(container)["State"]["Pid"], signal.SIGKILL)

    def restart_always(self, container: str) -> None:
        """Have the engine start a container again whenever it ends."""
        self.api.update_container(container, restart_policy={"Name": "always"})

    def drained(self, container: str) -> None:
        """Let a draining container end: it gets no more requests."""
        self._execute(container, "touch", "/drained")

    def _execute(self, container: str, *command: str) -> None:
        execution = self.api.exec_create(container, ["/bin/busybox", *command])["Id"]
        self.api.exec_start(execution)
        # The output may close before the engine has seen the process end: until then there is no exit code.
        while (state := self.api.exec_inspect(execution))["Running"]:
            time.sleep(0.01)
        assert state["ExitCode"] == 0, command

    def cleanup(self) -> None:
        """Remove every container and network that was made here."""
        self.remove(*self._containers)
        while self._networks:
            with contextlib.suppress(NotFound):
                self.api.remove_network(self._networks.pop())

    def close(self) -> None:
        """Leave nothing behind on the engine."""
        self.cleanup()
        for image in self._images:
            self.api.remove_image(image, force=True)
        self.api.close()


class PrivateEngine(Engine):
    """An engine of our own, which may be stopped, started again, and frozen; making and starting raise Missing.

    `number` tells several at a time apart, and `more` are further flags of `dockerd`.
    """

    def __init__(self, number: int = 0, *more: str) -> None:
        if os.geteuid() != 0:
            raise Missing("an engine of our own needs root")
        self._dockerd = program("dockerd")
        # The path of a unix socket is limited to 107 characters, so this one is short whatever TMPDIR says.
        self._root = Path(tempfile.mkdtemp(prefix="bg-", dir="/tmp"))
        self._more = more
        self._bridge = f"bg{os.getpid()}" + (f"-{number}" if number else "")
        self._process: subprocess.Popen[bytes] | None = None
        (self._root / "daemon.json").write_text("{}")
        try:
            self._busybox("brctl", "addbr", self._bridge)
            self._busybox(
                "ifconfig", self._bridge, f"10.{213 - number}.{os.getpid() % 250}.1", "netmask", "255.255.255.0"
            )
            self.start()
        except BaseException:
            self._remove_traces()
            raise
        super().__init__(self._url)

    @property
    def _url(self) -> str:
        return f"unix://{self._root}/socket"

    def start(self) -> None:
        """Start the engine unless it runs; returns when it answers."""
        if self._process is not None:
            return
        with (self._root / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *(self._dockerd, "--config-file", str(self._root / "daemon.json"), "--host", self._url),
                    *("--data-root", str(self._root / "data"), "--exec-root", str(self._root / "exec")),
                    *("--pidfile", str(self._root / "pid"), "--bridge", self._bridge),
                    *("--default-address-pool", "base=10.214.0.0/16,size=24"),
                    *("--iptables=false", "--ip-forward=false", "--ip-masq=false"),
                    *self._more,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        end = time.monotonic() + 60
        while not answers(self._url):
            if self._process.poll() is not None or time.monotonic() > end:
                words = (self._root / "log").read_text()[-2000:]
                self.stop()
                raise Missing(f"dockerd does not start here: {words}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop the engine, and with it its containers."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGCONT)
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def freeze(self) -> None:
        """Let the engine keep its connections and answer nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let a frozen engine go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop the engine and remove all it had."""
        self.thaw()
        self.start()
        self.cleanup()
        self.api.close()
        self.stop()
        self._remove_traces()

    def _remove_traces(self) -> None:
        self.stop()
        unmount(self._root)
        shutil.rmtree(self._root, ignore_errors=True)
        for command in (("ifconfig", self._bridge, "down"), ("brctl", "delbr", self._bridge)):
            with contextlib.suppress(Missing):
                self._busybox(*command)

    @staticmethod
    def _busybox(*command: str) -> None:
        done = subprocess.run([static_busybox(), *command], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missing(f"{' '.join(command)}: {done.stderr.strip()}")


def unmount(root: Path) -> None:
    """Unmount what an engine has left below its directory."""
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for mount in sorted((m for m in mounts if m.startswith(f"{root}/")), reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)


def static_busybox() -> str:
    path = program("busybox")
    if subprocess.run(["ldd", path], capture_output=True, check=False).returncode == 0:
        raise Missing(f"{path} is not static: it cannot run alone in an image")
    return path


def answers(url: str) -> bool:
    """Return whether an engine answers."""
    try:
        docker.APIClient(url, timeout=60).close()
    except DockerException:
        return False
    return True
