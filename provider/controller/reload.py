"""Keeps the daemon in step with the desired-state file: what can be accepted is, and what cannot is reported (P11)."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from provider.config.directory import Whole
from provider.config.file import DesiredStateFile
from provider.controller.desired_source import Accepted, Submitted
from provider.controller.inputs import Inputs
from provider.controller.loading import Loader
from provider.model.document import AppliedText
from provider.model.errors import DesiredStateError, FollowsFile


class Reload:
    """Reads the file or directory at `path`; one loop watches it, and another takes or refuses what was seen last."""

    def __init__(self, path: Path, loader: Loader, inputs: Inputs) -> None:
        self.place = str(path.absolute())
        self._name, self._file = str(path), DesiredStateFile(path)
        self._loader, self._inputs = loader, inputs
        self._seen = _Latest()
        self._accepted: str | None = None

    async def first(self, accepted_last: str | None, applied: AppliedText | None = None) -> None:
        """Load the file as it is now, else the text that was accepted last; raise DesiredStateError without either."""
        self._accepted = await self._loader.first(self._file.read, self._name, accepted_last, applied)

    async def preview(self, submitted: Submitted) -> Accepted:
        """Return what a text would change."""
        return (await self._loader.compare(submitted))[1]

    async def apply(self, submitted: Submitted) -> Accepted:  # noqa: ARG002  whatever it is
        """Raise FollowsFile."""
        raise FollowsFile(f"this daemon follows {self.place}: edit that file, and it is loaded at once")

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops that notice changes and load them."""
        return {"watch": self.watch, "reload": self.run}

    async def watch(self) -> None:
        """Notice changes of the file."""
        await self._file.run(self._seen.put, self._seen.put)

    async def run(self) -> None:
        """Load each text of the file that can be accepted, and report what cannot."""
        while True:
            seen = await self._seen.take()
            if isinstance(seen, DesiredStateError):
                self._inputs.desired_refused(seen)
                continue
            if seen.text == self._accepted and not self._inputs.desired_is_refused:
                continue
            try:
                with seen.placing():
                    edited = await self._loader.read(seen.text, seen.name)
            except DesiredStateError as error:
                self._inputs.desired_refused(error)
            else:
                await self._loader.accept(edited, seen.text)
                self._accepted = seen.text


class _Latest:
    """What was last seen of the file and nobody has looked at yet: its text, or why it cannot be read."""

    def __init__(self) -> None:
        self._seen: Whole | DesiredStateError | None = None
        self._came = asyncio.Event()

    def put(self, seen: Whole | DesiredStateError) -> None:
        self._seen = seen
        self._came.set()

    async def take(self) -> Whole | DesiredStateError:
        while self._seen is None:
            self._came.clear()
            await self._came.wait()
        seen, self._seen = self._seen, None
        return seen
