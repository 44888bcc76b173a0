"""A service that a test operates by the command line, and its files."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from provider.api.admin import admin_app
from provider.model import Colour
from provider.traefik.readback import Reading
from tests.support.polling import Connection
from tests.support.reading_back import in_http
from tests.support.running import Running, listening, running, shop
from tests.support.waiting import eventually

MORE = "    initial: blue\n    watch: 1h\n    deadlines: {confirming: 1ms}\n"


ONE = shop(more=MORE)


TWO = shop(green="8082", more=MORE)


MANUAL = TWO + "    approval: manual\n"


class Bluegreen:
    """The command line beside a daemon of the test's own; it waits in a process, so that the daemon can answer."""

    def __init__(self, daemon: Running, admin: str) -> None:
        self.daemon, self.admin = daemon, admin
        self.poller = Connection()

    async def __call__(self, *arguments: str) -> tuple[int, str, str]:
        async with self.begin(*arguments) as process:
            async with asyncio.timeout(60):
                out, err = await process.communicate()
        return process.returncode or 0, out.decode(), err.decode()

    @asynccontextmanager
    async def begin(self, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
        environment = {**os.environ, "BLUEGREEN_ADMIN": self.admin, "LOGNAME": "ann"}
        command = (sys.executable, "-m", "provider", *arguments)
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE, env=environment)
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    async def status(self) -> dict[str, Any]:
        code, out, _ = await self("status", "shop", "--json")
        assert code == 0
        return dict(json.loads(out))

    async def until(self, **wanted: object) -> dict[str, Any]:
        async def look() -> dict[str, Any]:
            found = await self.status()
            assert {key: found[key] for key in wanted} == wanted, found
            return found

        return await eventually(look)

    def fetched(self) -> None:
        """Have Traefik fetch the last document."""
        published = self.daemon.controller.published
        assert published is not None
        intake = self.daemon.controller.inputs
        connection = intake.polled(self.poller, "10.0.0.1", "edge", has_ticker=True)
        intake.answered(connection, published.revision, was_held=False)
        intake.gave(published.revision)

    def shows(self, colour: str, *traefiks: str, share: int = 100) -> None:
        """Have these Traefiks show the last document, in which this colour has the traffic, or this share of it."""
        published = self.daemon.controller.published
        assert published is not None
        for name in traefiks:
            other = "blue" if colour == "green" else "green"
            rest = ((f"shop-{other}", 100 - share),) if share < 100 else ()
            weights = {"shop": tuple(sorted((*rest, (f"shop-{colour}", share))))}
            self.daemon.controller.inputs.traefik_read(
                Reading(name, published.document.marker, weights=in_http(weights))
            )

    async def release_is_in(self, text: str = TWO) -> str:
        """Let a release come in green, healthy; return its id."""
        self.daemon.load(text)
        await self.daemon.judge(Colour.GREEN)
        release: str = (await self.status())["colours"]["green"]["release"]
        return release


@asynccontextmanager
async def operating(folder: Path, text: str = ONE) -> AsyncIterator[Bluegreen]:
    """Run a daemon on which blue is active and healthy."""
    async with running(folder) as daemon, listening(admin_app(daemon.replica)) as admin:
        daemon.load(text)
        await daemon.judge(Colour.BLUE)
        made = Bluegreen(daemon, admin)
        await made.until(active="blue")
        yield made
