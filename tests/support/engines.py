"""Machines with a Docker Engine each, for a Swarm, whose names DNS resolves.

Each engine has a network, a socket and a disk of its own (machines.py). There is no IPVS, so a service has no virtual
address, and no ESP, so no network can be encrypted. There is no registry, either.
"""

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from bench.machine import Missing, program
from tests.support.machines import Site

CGROUPS = Path("/sys/fs/cgroup")
START_S = 120.0


class Engines:
    """The machines of a Site that have an engine; a context in which these run. They end as by a power cut."""

    def __init__(self, site: Site, names: Sequence[str]) -> None:
        self._site, self.names = site, tuple(names)
        self._group = f"bluegreen-{os.getpid()}"
        self._processes: list[subprocess.Popen[bytes]] = []

    def load(self, archive: Path) -> None:
        """Give each engine the images of an archive."""
        self._load(archive, *self.names)

    def make_managers(self) -> None:
        """Make all of them managers of one Swarm."""
        first, *others = self.names
        address = self._site.machines[first].address
        self._site.machines[first].do(f"docker swarm init --advertise-addr {address}")
        for name in others:
            self.join(name)

    def join(self, name: str) -> None:
        """Have an engine become a manager beside the first."""
        first, machine = self._site.machines[self.names[0]], self._site.machines[name]
        token = first.do("docker swarm join-token --quiet manager").strip()
        machine.do(f"docker swarm join --advertise-addr {machine.address} --token {token} {first.address}")

    def replace(self, name: str, archive: Path) -> None:
        """Lose a machine with its disk, and boot an empty one in its place, whose engine is in no Swarm."""
        self._site.lose(name)
        self._site.boot(name)
        self._start(name)
        self._until_it_answers(name)
        self._load(archive, name)

    def __enter__(self) -> Self:
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for name in self.names:
            self._site.machines[name].power_off()
        for process in self._processes:
            process.kill()
            process.wait()
        for group in sorted(CGROUPS.glob(f"**/{self._group}/**/"), reverse=True):
            self._remove(group)

    def _start_all(self) -> None:
        admin = self._site.admin
        names = str(Path(__file__).with_name("name_server.py"))
        self._process(admin.name, sys.executable, "-I", names, admin.address)
        for name in self.names:
            self._start(name)
        for name in self.names:
            self._until_it_answers(name)

    def _start(self, name: str) -> None:
        resolver = f"nameserver {self._site.admin.address}"
        self._site.machines[name].do(f"echo {resolver} >/etc/resolv.conf; echo {{}} >/etc/engine")
        self._process(name, program("dockerd"), "--config-file=/etc/engine", f"--cgroup-parent={self._group}")

    def _load(self, archive: Path, *names: str) -> None:
        loading = [self._process(name, "docker", "load", "--quiet", "--input", str(archive)) for name in names]
        assert all(process.wait() == 0 for process in loading)

    def _remove(self, group: Path) -> None:
        """Remove the group of a container, which is busy until the kernel has done with its processes."""
        end = time.monotonic() + START_S
        while True:
            try:
                return group.rmdir()
            except OSError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def _process(self, name: str, *command: str) -> subprocess.Popen[bytes]:
        machine = self._site.machines[name]
        with self._log(name).open("ab") as log:
            process = subprocess.Popen(
                machine.command(*command), env=machine.environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        self._processes.append(process)
        return process

    def _log(self, name: str) -> Path:
        return self._site.folder / f"{name}.log"

    def _until_it_answers(self, name: str) -> None:
        end = time.monotonic() + START_S
        while self._site.machines[name].run("docker version").returncode != 0:
            if time.monotonic() > end:
                raise Missing(f"dockerd does not start here: {self._log(name).read_text()[-2000:]}")
            time.sleep(0.1)
