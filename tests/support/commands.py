"""`bluegreen` as an operator calls it, in a process of its own beside a daemon and an engine."""

import asyncio
import os
import shlex
import sys
from asyncio.subprocess import PIPE, STDOUT
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.engine import Engine
from tests.support.daemon import Daemon
from tests.support.paths import ROOT


@dataclass(frozen=True, slots=True)
class Operator:
    """Types commands in a folder; `engine` is the URL of the Docker Engine."""

    daemon: Daemon
    engine: str
    folder: Path

    async def begin(self, line: str, **environment: str) -> asyncio.subprocess.Process:
        """Start a command as a page has it."""
        program, *arguments = shlex.split(line)
        assert program == "bluegreen", line
        own = {"DOCKER_HOST": self.engine, "BLUEGREEN_ADMIN": self.daemon.admin_url, "PYTHONPATH": str(ROOT)}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "provider", *arguments),
            cwd=self.folder,
            env={**os.environ, **own, **environment},
            stdout=PIPE,
            stderr=STDOUT,
        )

    async def run(self, line: str) -> tuple[int | None, str]:
        """Run a command; return its exit code and what it said."""
        return await self.end(await self.begin(line))

    @staticmethod
    async def end(process: asyncio.subprocess.Process) -> tuple[int | None, str]:
        """Wait until a command ends; return its exit code and what it said."""
        async with asyncio.timeout(120):
            text, _ = await process.communicate()
        return process.returncode, text.decode()


@contextmanager
def cleared(engine: Engine) -> Iterator[None]:
    """Remove at the end what Compose has started meanwhile on an engine, which others use, too."""
    before = _containers(engine)
    try:
        yield
    finally:
        engine.remove(*(_containers(engine) - before))


def _containers(engine: Engine) -> set[str]:
    return {each["Id"] for each in engine.api.containers(all=True, filters={"label": "com.docker.compose.project"})}
