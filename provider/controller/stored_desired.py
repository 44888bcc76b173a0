"""The desired state in the store of several replicas (rule 62): it changes by `apply` alone.

A text is validated, then stored, then loaded, and then answered; one after the other. One that may be stored already,
as the store did not answer, is put again until that is known: the store and what runs do not differ for long.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import structlog

from provider.config.diff import Edit
from provider.config.directory import Whole, read
from provider.config.environment import environment_line
from provider.controller.desired_source import Accepted, Submitted
from provider.controller.inputs import Inputs
from provider.controller.loading import Loader
from provider.controller.prepared import NAME
from provider.model import Desired
from provider.model.document import AppliedText, text_key
from provider.model.errors import (
    BluegreenError,
    DesiredStateError,
    LeadershipLost,
    Problem,
    StoreError,
    StoreUncertain,
    StoreUnknown,
)
from provider.store import SharedStore
from provider.store.records import refuse_other

log = structlog.get_logger("bluegreen")

PLACE = "store"
RETRY_S = 1.0
FIND_OUT = "bluegreen desired shows what is in force"


@dataclass(slots=True, eq=False)
class _Waiting:
    """A text on its way to the loop that applies; `answer` is set once it is in force, or refused."""

    submitted: Submitted
    answer: asyncio.Future[Accepted]


class StoredDesired:
    """See the module. The file `seed` is put into a store that has no desired state yet; None waits for `apply`."""

    place = PLACE

    def __init__(self, store: SharedStore, loader: Loader, inputs: Inputs, seed: Path | None) -> None:
        self._store, self._loader, self._inputs, self._seed = store, loader, inputs, seed
        self._waiting: asyncio.Queue[_Waiting] = asyncio.Queue()
        self._unknown: Submitted | None = None

    async def first(self, accepted_last: str | None, applied: AppliedText | None = None) -> None:
        """Load the text of the store, if there is one. Raises DesiredStateError where it cannot be served here."""
        if accepted_last is None:
            self._inputs.desired_missing()
        else:
            await self._loader.first(lambda: Whole(accepted_last, NAME), NAME, accepted_last, applied)

    async def preview(self, submitted: Submitted) -> Accepted:
        """Return what a text would change."""
        return (await self._compare(submitted))[1]

    async def apply(self, submitted: Submitted) -> Accepted:
        """Have a text in force, durably."""
        waiting = _Waiting(submitted, asyncio.get_running_loop().create_future())
        self._waiting.put_nowait(waiting)
        return await waiting.answer

    def loops(self) -> Mapping[str, Callable[[], Awaitable[None]]]:
        """Return the loops that apply and seed."""
        return {"apply": self.run} | ({"seed": self.seed} if self._seed is not None else {})

    async def run(self) -> None:
        """Apply what is submitted, one after the other."""
        try:
            while True:
                waiting = await self._next()
                if waiting is not None and not waiting.answer.done():  # else nobody waits for it any more
                    await self._answer(waiting)
        finally:
            while not self._waiting.empty():
                _set(self._waiting.get_nowait(), LeadershipLost("this replica does not lead any more"))

    async def seed(self) -> None:
        """Put the file into a store that has no desired state, as soon as that is possible (rule 62)."""
        if self._seed is None or self._loader.text is not None:
            return
        try:
            whole = await asyncio.to_thread(read, self._seed)
            with whole.placing():
                await self.apply(Submitted(whole.text, whole.name, "--desired-state", is_first=True))
        except DesiredStateError as error:
            self._inputs.desired_refused(error)
        except StoreError as failure:
            log.warning("the store does not take its first desired state", file=str(self._seed), cause=str(failure))

    async def _next(self) -> _Waiting | None:
        """Return the next text; None now and then while it is unknown whether the one before is stored."""
        if self._unknown is None:
            return await self._waiting.get()
        with suppress(StoreError):
            await self._settle(self._unknown)
        with suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                return await self._waiting.get()
        return None

    async def _answer(self, waiting: _Waiting) -> None:
        try:
            if self._unknown is not None:
                await self._settle(self._unknown)
            done = await self._applied(waiting.submitted)
        except BluegreenError as refusal:
            _set(waiting, refusal)
        except BaseException as error:
            _set(waiting, StoreUncertain(f"no answer ({error!r}), so it is unknown whether it was stored: {FIND_OUT}"))
            raise
        else:
            if not waiting.answer.done():
                waiting.answer.set_result(done)

    async def _settle(self, submitted: Submitted) -> None:
        """Put a text again that may be stored already: then it is, and runs. Raises StoreError."""
        await self._applied(replace(submitted, expect=None))
        self._unknown = None

    async def _compare(self, submitted: Submitted) -> tuple[Edit, Accepted]:
        """Read a text, and refuse that of another environment: it removes all services. Raises DesiredStateError."""
        edited, accepted = await self._loader.compare(submitted)
        here, found = self._loader.environment, edited.desired.environment
        if here is not None and found != here:
            rule = f"{found!r} is another one than that of this store, {here!r}: name the --admin of that environment"
            line = environment_line(submitted.text)
            raise DesiredStateError((Problem(submitted.name, line, 1, "environment", rule),))
        if problems := tuple(_of_one_machine(edited.desired, submitted.name)):
            raise DesiredStateError(problems)
        return edited, accepted

    async def _applied(self, submitted: Submitted) -> Accepted:
        """Validate a text, store it, and load it. Raises as `apply` does."""
        before, text = self._loader.text, submitted.text
        if submitted.is_first and before is not None:
            return Accepted(text_key(before), already=True)
        if text == before and self._unknown is None:
            if submitted.expect is not None:
                refuse_other(before, submitted.expect)
            return Accepted(text_key(text), already=True)
        edited, accepted = await self._compare(submitted)
        try:
            await self._store.save_desired(text, expect=submitted.expect)
        except StoreUncertain as failure:
            self._unknown = submitted
            raise StoreUnknown(f"{failure}. This daemon goes on to find out: {FIND_OUT}") from failure
        await self._loader.accept(edited, text)
        log.info(
            "desired state applied",
            actor=submitted.actor,
            file=submitted.name,
            sha256=accepted.sha256,
            before=text_key(before) if before is not None else None,
            changes=len(accepted.changes),
        )
        return accepted


def _of_one_machine(desired: Desired, name: str) -> Iterator[Problem]:
    """Yield what a text that every replica loads cannot have: it would also read a file for who may not."""
    rule = "is a file of one machine, and this desired state is for all replicas: write the value"
    for service in desired.services.values():
        if service.test_route is not None and service.test_route.is_from_file:
            yield Problem(name, 1, 1, f"services.{service.name}.testRoute.valueFile", rule)


def _set(waiting: _Waiting, failure: BluegreenError) -> None:
    if not waiting.answer.done():
        waiting.answer.set_exception(failure)
