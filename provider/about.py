"""What a daemon tells of itself: how it was started. Of its files only where they are, never what they say."""

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provider import __version__
from provider.model import Instant
from provider.status import time_status
from provider.text import without_userinfo
from provider.world import World

IN_A_CONTAINER = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Docker and Podman put these there."""


@dataclass(frozen=True, slots=True)
class About:
    """How a daemon was started; `files` are by what they are for, `docker` is None where the environment says it.

    `is_guarded` tells whether who reads the document has to show a token or a certificate.
    """

    listen: str = ""
    admin_listen: str = ""
    is_guarded: bool = False
    has_tls: bool = False
    poll_hold_s: float = 0.0
    docker_enabled: bool = False
    docker: str | None = None
    docker_host_address: str | None = None
    files: Mapping[str, Path] = field(default_factory=dict)

    async def answer(self, world: World, now: Instant) -> dict[str, object]:
        """Return what is told; the places of the files are looked up in a thread, as a disk may take its time.

        A place (device and inode) tells whether who asks sees the very same file at that path.
        """
        desired = world.desired
        docker = (self.docker or os.environ.get("DOCKER_HOST")) if self.docker_enabled else None
        return {
            "version": __version__,
            "environment": desired.environment if desired else None,
            "environment_label_required": desired.require_environment_label if desired else None,
            "time": time_status(now.utc),
            "pid": os.getpid(),
            "uid": os.geteuid(),
            "hostname": socket.gethostname(),
            "in_container": any(mark.exists() for mark in IN_A_CONTAINER),
            "listen": self.listen,
            "admin_listen": self.admin_listen,
            "guarded": self.is_guarded,
            "tls": self.has_tls,
            "poll_hold_s": self.poll_hold_s,
            "docker": {
                "enabled": self.docker_enabled,
                "url": without_userinfo(docker) if docker else None,
                "host_address": self.docker_host_address,
            },
            "traefik": list(desired.traefik_api) if desired else [],
            "files": await asyncio.to_thread(self._places),
            "services": list(world.entries),
            "polls": [{"poller": one.label, "interval_s": one.interval_s} for one in world.pollers],
        }

    def _places(self) -> list[dict[str, object]]:
        return [{"role": role, "path": str(path), "place": place(path)} for role, path in self.files.items()]


def place(path: Path) -> str | None:
    """Return what tells a file from all others on this machine, None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return f"{found.st_dev}:{found.st_ino}"
