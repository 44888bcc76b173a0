"""The stored desired state, validated while another replica leads: a takeover does not wait for that.

Ten thousand services take more than a second of processor time. What is applied while this replica leads is validated
by its term, and prepared here once that is over.
"""

import asyncio
from typing import NamedTuple

import structlog

from provider.controller.loading import validated
from provider.controller.replica import Replica
from provider.model import Desired
from provider.model.errors import DesiredStateError

log = structlog.get_logger("bluegreen")

NAME = "<stored>"
"""The name of the text in messages."""


class _Ready(NamedTuple):
    text: str
    desired: Desired


class Prepared:
    """See the module."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica
        self._text: str | None = None
        self._ready: _Ready | None = None
        self._changed = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def put(self, text: str | None) -> None:
        """Take the text that is stored now; None where there is none."""
        self._text = text
        self._changed.set()

    async def run(self) -> None:
        """Validate what is stored, each time that it changes or a term is over."""
        with self._replica.telling(self._changed.set):
            while True:
                await self._changed.wait()
                self._changed.clear()
                async with self._one_at_a_time:
                    await self._follow(self._text)

    async def load(self, text: str, name: str) -> Desired:
        """Return what a text describes, at once where it is prepared. Raises DesiredStateError."""
        async with self._one_at_a_time:  # it may be under way
            if self._ready is not None and self._ready.text == text:
                return self._ready.desired
        return await validated(text, name)

    async def _follow(self, text: str | None) -> None:
        if self._ready is not None and self._ready.text != text:
            self._ready = None
        if self._ready is not None or text is None or self._replica.controller is not None:
            return
        try:
            self._ready = _Ready(text, await validated(text, NAME))
        except DesiredStateError as refusal:  # the term reports it, and whether it was accepted once (rule 13)
            log.debug("the stored desired state is not prepared", problems=len(refusal.problems))
