"""Validates texts of the desired state, and has the controller take one; it knows not where they come from."""

import asyncio
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from provider import config
from provider.config import secrets
from provider.config.changes import changes
from provider.config.diff import Edit, edit
from provider.config.directory import Whole
from provider.controller.controller import Controller
from provider.controller.desired_source import Accepted, Submitted
from provider.model import Desired
from provider.model.document import AppliedText, text_key
from provider.model.errors import DesiredStateError, Problem
from provider.runtime.timeslice import free
from provider.store.records import refuse_other
from provider.traefik.certificate import DefaultCertificate
from provider.traefik.document import fallback

log = structlog.get_logger("bluegreen")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else a file has to go with: who can read the document at `listen`, and whether it is kept as a file too.

    `most_members` is how many services of one group the store takes.
    """

    listen: str
    is_private: bool
    writes_file: bool
    most_members: int = sys.maxsize

    def problems(self, desired: Desired, name: str) -> Iterator[Problem]:
        """Yield what is wrong with a desired state here; `name` is that of its file."""
        exposed = secrets.secrets(desired) if not self.is_private else ()
        where = f"--listen {self.listen} shows the document to everybody who reaches it"
        generated = " (or write 'defaultCertificate: none')" if desired.generate_certificate else ""
        way_out = f"keep them in files of Traefik's{generated}, name a --provider-token-file, or listen on 127.0.0.1"
        for path in exposed:
            yield Problem(name, 1, 1, path, f"{where}, and it would carry secrets: {way_out}")
        clashing = fallback.refused(desired.pass_through) if self.writes_file else ()
        why = "beside --write-file Traefik would get these from two providers, and then it uses neither"
        way_out = "define them in a file of your own in the directory that Traefik reads, and refer to NAME@file"
        for path in clashing:
            yield Problem(name, 1, 1, path, f"{why}: {way_out}")
        groups = Counter(service.group for service in desired.services.values() if service.group is not None)
        for group, members in groups.items():
            if members > self.most_members:
                rule = f"group {group} has {members} services, and the store takes {self.most_members} of one group"
                yield Problem(name, 1, 1, "services", f"{rule}: make it two groups")


Validate: TypeAlias = Callable[[str, str], Awaitable[Desired]]


async def validated(text: str, name: str) -> Desired:
    """Return what a text describes; `name` is that of its file in messages. Raises DesiredStateError."""
    return await asyncio.to_thread(config.load, text, name)


class Loader:
    """See the module. Every text is read in a thread: ten thousand services take a second, and polls go on.

    `validate` is where a text may have been validated before.
    """

    def __init__(
        self,
        controller: Controller,
        certificate: DefaultCertificate,
        surroundings: Surroundings,
        validate: Validate = validated,
    ) -> None:
        self._controller, self._inputs = controller, controller.inputs
        self._certificate, self._surroundings, self._validate = certificate, surroundings, validate

    @property
    def text(self) -> str | None:
        """The text in force; None before the first."""
        return self._controller.state.texts.desired

    @property
    def environment(self) -> str | None:
        """The environment in force; None before the first."""
        desired = self._controller.state.desired
        return desired.environment if desired is not None else None

    async def first(
        self, read: Callable[[], Whole], name: str, accepted_last: str | None, applied: AppliedText | None
    ) -> str:
        """Load a text, else the one that was accepted last; return it. Raises DesiredStateError without either.

        What only newer rules find wrong with the text that was accepted is reported, and it is loaded (rule 13):
        an upgrade takes no daemon down. `applied` is the text that every Traefik applied last: the document may go by
        it (rule 15).
        """
        refusal: DesiredStateError | None = None
        outdated: tuple[Problem, ...] = ()
        text: str | None = None
        whole = Whole("", name)
        try:
            whole = await asyncio.to_thread(read)
            text = whole.text
            with whole.placing():
                edited = await self.read(text, whole.name)
        except DesiredStateError as error:
            if accepted_last is None:
                raise
            if text != accepted_last:
                refusal = error.with_traceback(None)  # else it would hold the whole tree of the file
            was_named = name if text == accepted_last else f"{name} (as accepted last)"
            edited, outdated = await self._read_accepted(accepted_last, was_named)
            outdated = tuple(map(whole.place, outdated)) if text == accepted_last else outdated
            text = accepted_last
        if applied is not None:
            await self._know(applied, edited.desired if applied.text == text else None, name)
        await self.accept(edited, text)
        self._inputs.desired_outdated(outdated)
        if refusal is not None:
            self._inputs.desired_refused(refusal)
        return text

    async def read(self, text: str, name: str) -> Edit:
        """Read a text and see what is in it. Raises DesiredStateError."""
        edited, problems = await asyncio.to_thread(self._fits, await self._validate(text, name), name)
        if problems:
            raise DesiredStateError(problems)
        return edited

    async def compare(self, submitted: Submitted) -> tuple[Edit, Accepted]:
        """Read a text and see what it changes. Raises DesiredStateError, StoreConflict."""
        state, before, text = self._controller.state, self.text, submitted.text
        if submitted.expect is not None:
            refuse_other(before, submitted.expect)
        edited = await self.read(text, submitted.name)
        found = await asyncio.to_thread(changes, state.desired, before, edited, text)
        return edited, Accepted(text_key(text), found, already=text == before)

    async def accept(self, edited: Edit, text: str) -> None:
        """Take a desired state; its certificate comes first, so that no document goes without it before (P12)."""
        desired, before = edited.desired, self._controller.state.desired
        applied = self._controller.state.rest.applied  # which the document may go by
        is_applied = applied is not None and applied.desired.generate_certificate
        await self._certificate.enable(desired.generate_certificate or is_applied)
        left_out = fallback.left_out(desired) if self._surroundings.writes_file else ()
        if left_out:
            log.warning("the written file does not have all of the document", left_out=left_out)
        old = list(before.services.values()) if before is not None else []
        del before
        self._controller.desired_loaded(edited, text)
        await asyncio.to_thread(free, old)

    async def _read_accepted(self, text: str, name: str) -> tuple[Edit, tuple[Problem, ...]]:
        """Read a text that was accepted once; return with it what newer rules would refuse it for."""

        def look() -> tuple[Edit, tuple[Problem, ...], tuple[Problem, ...]]:
            desired, outdated = config.load_accepted(text, name)
            return *self._fits(desired, name), outdated

        edited, problems, outdated = await asyncio.to_thread(look)
        if problems:
            raise DesiredStateError(problems)
        return edited, outdated

    def _fits(self, desired: Desired, name: str) -> tuple[Edit, tuple[Problem, ...]]:
        return edit(self._controller.state.desired, desired), tuple(self._surroundings.problems(desired, name))

    async def _know(self, applied: AppliedText, desired: Desired | None, name: str) -> None:
        """Take what Traefik applied before; a text that cannot be read any more, or not go out here, is forgotten."""
        try:
            if desired is None:
                edited, _ = await self._read_accepted(applied.text, f"{name} (as Traefik applied it last)")
                desired = edited.desired
        except DesiredStateError as error:
            log.warning(
                "what Traefik applied last is of no use any more", problems=[str(one) for one in error.problems]
            )
        else:
            self._inputs.applied_known(applied, desired)
