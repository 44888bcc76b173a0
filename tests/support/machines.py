"""Machines for a runbook, on one bridge: each has a network, host name, /etc, /var/lib and processes of its own.

They are namespaces of this one, so nothing is installed there: `apt-get` does nothing, `systemctl` (units.py) starts
what a unit says, and `ssh` enters another machine. They need root.
"""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.machine import Missing, program
from tests.support.paths import ROOT

NETWORK = "192.0.2"
"""Not in 10.0.0.0/8, where a Swarm has its networks."""
ADMIN = "admin"
BRIDGE = "br0"
KEPT = " ".join(sorted({one for one in (str(ROOT), sys.prefix, sys.base_prefix) if one.startswith("/root/")}))
"""What lies in the home directory here, and has to be there on each machine: the program and its interpreter."""
BOOT = """
set -e
mount -t tmpfs none "$ROOT"
cp -a /etc "$ROOT/etc" && mkdir -p "$ROOT/lib" "$ROOT/run" "$ROOT/home"
mount --bind "$ROOT/etc" /etc && mount --bind "$ROOT/lib" /var/lib
for kept in $KEPT; do
    mkdir -p "$ROOT/home${kept#/root}" && mount --bind "$kept" "$ROOT/home${kept#/root}"
done
mount --bind "$ROOT/run" /run && mount --rbind "$ROOT/home" /root
printf '%b' "$HOSTS" >/etc/hosts
rm -rf /etc/etcd /etc/default/etcd /etc/bluegreen /etc/traefik
hostname "$NAME" && ip link set lo up
echo up
exec sleep 1000000
"""


class Machine:
    """One machine; `pid` is its first process."""

    def __init__(self, name: str, address: str, folder: Path, environment: Mapping[str, str]) -> None:
        self.name, self.address = name, address
        self.environment = dict(environment)
        root = folder / name
        root.mkdir()
        apart = [] if name == ADMIN else ["-p", "--mount-proc"]  # the operator's enters the others by their processes
        unshare = [program("unshare"), "-m", "-n", "-u", *apart, "--fork", "--kill-child"]
        self._process = subprocess.Popen(
            [*unshare, "sh", "-c", BOOT],
            env={**environment, "ROOT": str(root), "NAME": name, "KEPT": KEPT},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        if self._process.stdout.readline() != b"up\n":
            raise Missing(f"no machine of our own: {self._process.stderr.read().decode()}")
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        self.pid = int(children.read_text().split()[0])

    def command(self, *arguments: str) -> list[str]:
        """Return what runs a program on this machine."""
        spaces = ["-m", "-n", "-u", *([] if self.name == ADMIN else ["-p"])]
        return ["nsenter", "-t", str(self.pid), *spaces, "--", *arguments]

    def run(self, script: str, *, limit_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        """Run a script of the shell; return what became of it, its two outputs as one."""
        return subprocess.run(
            self.command("sh", "-euc", f"cd\n{script}"),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=limit_s,
            check=False,
        )

    def do(self, script: str) -> str:
        """Run a script that has to go well; return what it wrote."""
        done = self.run(script)
        assert done.returncode == 0, f"{self.name}: {script}\n{done.stdout}"
        return done.stdout

    def power_off(self) -> None:
        """End all its processes as a power cut does; its disk is gone, too."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            stream.close()


class Site:
    """Machines on one bridge. The first, `admin`, is where an operator sits; a context in which all run."""

    def __init__(self, folder: Path, names: Sequence[str], programs: Sequence[Path]) -> None:
        if os.geteuid() != 0:
            raise Missing("machines of our own need root")
        self.folder, self._pids, self._bin = folder, folder / "pids", folder / "bin"
        self._pids.mkdir()
        self._bin.mkdir()
        self._names = (ADMIN, *names)
        hosts = ["127.0.0.1 localhost", *(f"{NETWORK}.{10 + place} {name}" for place, name in enumerate(self._names))]
        self._write_programs()
        self._environment = {
            "PATH": ":".join(map(str, (self._bin, *programs, "/usr/sbin", "/usr/bin", "/sbin", "/bin"))),
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "HOSTS": "".join(f"{line}\\n" for line in hosts),
        }
        self.machines: dict[str, Machine] = {}

    @property
    def admin(self) -> Machine:
        """The operator's machine."""
        return self.machines[ADMIN]

    def boot(self, name: str) -> Machine:
        """Boot a machine, with an empty disk."""
        address = f"{NETWORK}.{10 + self._names.index(name)}"
        machine = self.machines[name] = Machine(name, address, self.folder / "disks", self._environment)
        (self._pids / name).write_text(str(machine.pid))
        if name == ADMIN:
            machine.do(
                f"ip link add {BRIDGE} type bridge; ip addr add {address}/24 dev {BRIDGE}; ip link set {BRIDGE} up"
            )
            return machine
        self.admin.do(f"ip link add {name} type veth peer name eth0; ip link set {name} master {BRIDGE} up")
        outside = f"nsenter -t {self.admin.pid} -n ip link set eth0 netns {machine.pid}"
        subprocess.run(outside.split(), check=True)
        machine.do(f"ip addr add {address}/24 dev eth0; ip link set eth0 up")
        return machine

    def lose(self, name: str) -> None:
        """Have a machine vanish, with its disk."""
        self.machines.pop(name).power_off()
        (self._pids / name).unlink()
        shutil.rmtree(self.folder / "disks" / name)

    def __enter__(self) -> "Site":
        (self.folder / "disks").mkdir()
        try:
            for name in self._names:
                self.boot(name)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for machine in reversed(self.machines.values()):
            machine.power_off()

    def _write_programs(self) -> None:
        units = Path(__file__).with_name("units.py")
        scripts = {
            "apt-get": "exit 0",
            "ssh": f'where=$1; shift; exec nsenter -t "$(cat {self._pids}/$where)" -m -n -u -p -- sh -c "cd; $*"',
            "systemctl": f'exec {sys.executable} -I {units} "$@"',
        }
        for name, script in scripts.items():
            file = self._bin / name
            file.write_text(f"#!/bin/sh\n{script}\n")
            file.chmod(0o755)
