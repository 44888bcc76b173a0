"""What is committed, for reading while nobody leads: no edge looks at it, and nothing is decided on it (rule 60)."""

import asyncio
from collections.abc import Awaitable, Callable

from provider import config
from provider.config.diff import edit
from provider.controller.loading import Validate
from provider.controller.publication import Published
from provider.controller.state import State
from provider.model import Desired
from provider.model.errors import DesiredStateError
from provider.runtime.clock import CLOCK, clock
from provider.runtime.timeslice import Timeslice
from provider.store import Stored

KEPT_S = 2.0
NAME = "the desired state"


class Committed:
    """Reads what is committed by `load`, and keeps it for a moment; `validate` is where its text is prepared."""

    def __init__(self, load: Callable[[], Awaitable[Stored]], validate: Validate, *, docker_enabled: bool) -> None:
        self._load, self._validate, self._docker_enabled = load, validate, docker_enabled
        self._state: State | None = None
        self._read_mono_s = 0.0
        self._one_at_a_time = asyncio.Lock()

    async def state(self, published: Published | None) -> State:
        """Return what is committed, beside the document that is served. Raises StoreError."""
        async with self._one_at_a_time:
            if self._state is None or CLOCK.mono_s >= self._read_mono_s + KEPT_S:
                self._state = await self._made(await self._load())
                self._read_mono_s = CLOCK.mono_s
        if published is not None:
            self._state.traefik.revision = published.revision
        return self._state

    async def _made(self, stored: Stored) -> State:
        made, now = State(stored, docker_enabled=self._docker_enabled), clock()
        text = stored.desired_text
        if text is not None:
            edited = await asyncio.to_thread(edit, None, await self._desired(text))
            made.load(edited, text, now)
            timeslice = Timeslice()
            for key in made.members:
                made.tracked.refresh(key, now)
                await timeslice.give_way()
        return made

    async def _desired(self, text: str) -> Desired:
        try:
            return await self._validate(text, NAME)
        except DesiredStateError:  # newer rules refuse it (rule 13)
            return (await asyncio.to_thread(config.load_accepted, text, NAME))[0]
