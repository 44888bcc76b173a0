"""Network namespaces of a test: made, entered by the thread that calls, and joined by a link. They need root."""

import ctypes
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from bench.machine import Missing, program

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace, kept by a file descriptor; what is started within it keeps it as well."""

    def __init__(self, file: int) -> None:
        self._file = file

    @classmethod
    def new(cls) -> "Namespace":
        """Make one with nothing but a loopback address; raises Missing where that is not allowed."""
        made: list[int] = []

        def make() -> None:  # a thread that ends keeps nobody in it
            if _libc.unshare(CLONE_NEWNET) == 0:
                made.append(os.open("/proc/thread-self/ns/net", os.O_RDONLY))

        thread = threading.Thread(target=make)
        thread.start()
        thread.join()
        if not made:
            raise Missing("a network namespace needs root")
        namespace = cls(made[0])
        namespace.ip("link", "set", "lo", "up")
        return namespace

    @classmethod
    def of(cls, pid: int) -> "Namespace":
        """Return that of a process."""
        return cls(os.open(f"/proc/{pid}/ns/net", os.O_RDONLY))

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let this thread make its sockets and processes within it: those stay, whatever is entered later."""
        outside = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        _enter(self._file)
        try:
            yield
        finally:
            _enter(outside)
            os.close(outside)

    def ip(self, *arguments: str) -> None:
        """Run `ip` within it."""
        with self.entered():
            done = subprocess.run([program("ip"), *arguments], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Missing(f"ip {' '.join(arguments)}: {done.stderr.strip()}")

    def link(self, other: "Namespace", name: str, addresses: tuple[str, str]) -> None:
        """Join both by a pair of interfaces of this name, with an address each."""
        with other.entered(), subprocess.Popen(["sleep", "60"]) as stays:
            try:
                self.ip("link", "add", name, "type", "veth", "peer", "name", name, "netns", str(stays.pid))
            finally:
                stays.kill()
        for namespace, address in zip((self, other), addresses, strict=True):
            namespace.ip("addr", "add", address, "dev", name)
            namespace.ip("link", "set", name, "up")

    def close(self) -> None:
        """Forget it; it ends with the last process within it."""
        os.close(self._file)


def _enter(file: int) -> None:
    if _libc.setns(file, CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
