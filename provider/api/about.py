"""How a daemon was started: `GET /api/v1/daemon`. Of its files only where they are, never what is in them."""

import asyncio
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from provider import __version__
from provider.controller.state import State
from provider.model import DockerMode, Instant
from provider.model import api_types as api
from provider.model.dates import time_status
from provider.model.text import without_userinfo
from provider.runtime.files import file_id

IN_A_CONTAINER = (Path("/.dockerenv"), Path("/run/.containerenv"))
"""Docker and Podman put these there."""


@dataclass(frozen=True, slots=True)
class About:
    """How a daemon was started; `files` are by their role, `docker` is None where the environment names it.

    `is_guarded` is whether the document is shown only with a token or a certificate.
    """

    listen: str = ""
    admin_listen: str = ""
    is_guarded: bool = False
    has_tls: bool = False
    poll_hold_s: float = 0.0
    docker_enabled: bool = False
    docker: str | None = None
    docker_host_address: str | None = None
    docker_mode: DockerMode = DockerMode.AUTO
    files: Mapping[str, Path] = field(default_factory=dict)

    async def answer(self, state: State, now: Instant) -> api.Daemon:
        """Return the answer; the places of the files are looked up in a thread, as a disk may be slow.

        By its place (device and inode) a client sees whether it has the very same file at that path.
        """
        desired = state.desired
        docker = (self.docker or os.environ.get("DOCKER_HOST")) if self.docker_enabled else None
        return {
            "version": __version__,
            "environment": desired.environment if desired else None,
            "environment_label_required": desired.require_environment_label if desired else None,
            "discovers": desired.auto is not None if desired else None,
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
            "docker_mode": self.docker_mode,
            "traefik": list(desired.traefik_api) if desired else [],
            "files": await asyncio.to_thread(self._places),
            "services": list(state.services),
            "polls": [{"poller": one.label, "interval_s": one.interval_s} for one in state.traefik.pollers],
        }

    def _places(self) -> list[api.File]:
        return [{"role": role, "path": str(path), "place": file_id(path)} for role, path in self.files.items()]
