"""Keeps the daemon in step with the desired-state file: what can be accepted is, and what cannot is told (P11)."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import structlog

from provider import config, exposure, fallback
from provider.certificate import DefaultCertificate
from provider.edit import Edit, edit
from provider.errors import DesiredStateError, Problem
from provider.intake import Intake
from provider.model import Desired
from provider.rest import Applied
from provider.turns import free
from provider.watch import DesiredStateFile

log = structlog.get_logger("bluegreen")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What else a file has to go with: who can read the document at `listen`, and whether it is kept as a file too."""

    listen: str
    is_private: bool
    writes_file: bool

    @property
    def terms(self) -> str:
        """What may be in a document here, in one line."""
        return f"{'private' if self.is_private else 'public'}{', also as a file' if self.writes_file else ''}"

    def problems(self, desired: Desired, name: str) -> Iterator[Problem]:
        """Yield what is wrong with a desired state here; `name` is that of its file."""
        exposed = exposure.secrets(desired) if not self.is_private else ()
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


class Reload:
    """Reads the file at `path`; one loop watches it, and another accepts or refuses what was seen last."""

    def __init__(self, path: Path, intake: Intake, certificate: DefaultCertificate, surroundings: Surroundings) -> None:
        self._name, self._file = str(path), DesiredStateFile(path)
        self._intake, self._certificate, self._surroundings = intake, certificate, surroundings
        self._seen = _Latest()
        self._accepted: str | None = None

    async def first(self, accepted_last: str | None, applied: Applied | None = None) -> None:
        """Load the file as it is now, else the text that was accepted last; raise DesiredStateError without either.

        What only newer rules find wrong with the text that was accepted is told, and it is loaded (rule 13):
        an upgrade takes no daemon down. `applied` is the text that every Traefik applied last: the document may go by
        it (rule 15).
        """
        refusal: DesiredStateError | None = None
        outdated: tuple[Problem, ...] = ()
        text: str | None = None
        try:
            text = self._file.read()
            edited = await self._load(text, self._name)
        except DesiredStateError as error:
            if accepted_last is None:
                raise
            if text != accepted_last:
                refusal = error.with_traceback(None)  # else it would hold the whole tree of the file
            name = self._name if text == accepted_last else f"{self._name} (as accepted last)"
            edited, outdated = await self._load_accepted(accepted_last, name)
            text = accepted_last
        if applied is not None:
            await self._know(applied, edited.desired if applied.text == text else None)
        await self._accept(edited, text)
        self._intake.desired_outdated(outdated)
        if refusal is not None:
            self._intake.desired_refused(refusal)

    def is_as(self, accepted_last: str | None) -> bool:
        """Tell whether the file is what was accepted last."""
        try:
            return self._file.read() == accepted_last
        except DesiredStateError:
            return False

    async def watch(self) -> None:
        """Notice changes of the file."""
        await self._file.run(self._seen.put, self._seen.put)

    async def run(self) -> None:
        """Validate each text of the file in a thread: ten thousand services take a second, and polls go on."""
        while True:
            seen = await self._seen.take()
            if isinstance(seen, DesiredStateError):
                self._intake.desired_refused(seen)
                continue
            if seen == self._accepted and not self._intake.desired_is_refused:
                continue
            try:
                edited = await self._load(seen, self._name)
            except DesiredStateError as error:
                self._intake.desired_refused(error)
            else:
                await self._accept(edited, seen)

    async def _load(self, text: str, name: str) -> Edit:
        """Read a file and see what is in it in a thread: ten thousand services take a second, and polls go on."""
        edited, problems = await asyncio.to_thread(self._look_at, text, name)
        if problems:
            raise DesiredStateError(problems)
        return edited

    async def _load_accepted(self, text: str, name: str) -> tuple[Edit, tuple[Problem, ...]]:
        """Read a text that was accepted once; return with it what newer rules would refuse it for."""

        def look() -> tuple[Edit, tuple[Problem, ...], tuple[Problem, ...]]:
            desired, outdated = config.load_accepted(text, name)
            return *self._fits(desired, name), outdated

        edited, problems, outdated = await asyncio.to_thread(look)
        if problems:
            raise DesiredStateError(problems)
        return edited, outdated

    def _look_at(self, text: str, name: str) -> tuple[Edit, tuple[Problem, ...]]:
        return self._fits(config.load(text, name), name)

    def _fits(self, desired: Desired, name: str) -> tuple[Edit, tuple[Problem, ...]]:
        return edit(self._intake.world.desired, desired), tuple(self._surroundings.problems(desired, name))

    async def _know(self, applied: Applied, desired: Desired | None) -> None:
        """Take what Traefik applied before; a text that cannot be read any more, or not go out here, is forgotten."""
        try:
            if desired is None:
                edited, _ = await self._load_accepted(applied.text, f"{self._name} (as Traefik applied it last)")
                desired = edited.desired
        except DesiredStateError as error:
            log.warning(
                "what Traefik applied last is of no use any more", problems=[str(one) for one in error.problems]
            )
        else:
            self._intake.applied_known(applied, desired)

    async def _accept(self, edited: Edit, text: str) -> None:
        """Take a desired state; its certificate comes first, so that no document goes without it before (P12)."""
        desired, before = edited.desired, self._intake.world.desired
        applied = self._intake.rest.applied  # which the document may go by
        is_applied = applied is not None and applied.desired.generate_certificate
        await self._certificate.want(desired.generate_certificate or is_applied)
        self._accepted = text
        left_out = fallback.left_out(desired.pass_through) if self._surroundings.writes_file else ()
        if left_out:
            log.warning("the written file does not have all of the document", left_out=left_out)
        old = list(before.services.values()) if before is not None else []
        del before
        self._intake.desired_loaded(edited, text)
        await asyncio.to_thread(free, old)


class _Latest:
    """What was last seen of the file and nobody has looked at yet: its text, or why it cannot be read."""

    def __init__(self) -> None:
        self._seen: str | DesiredStateError | None = None
        self._came = asyncio.Event()

    def put(self, seen: str | DesiredStateError) -> None:
        self._seen = seen
        self._came.set()

    async def take(self) -> str | DesiredStateError:
        while self._seen is None:
            self._came.clear()
            await self._came.wait()
        seen, self._seen = self._seen, None
        return seen
