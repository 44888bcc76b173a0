"""A controller whose desired state is in its store, as that of several replicas."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from provider.controller.desired_source import Accepted, Submitted
from provider.controller.loading import Loader, Surroundings
from provider.controller.stored_desired import StoredDesired
from provider.model.errors import StoreError, StoreUncertain
from provider.store.sqlite import SqliteStore
from provider.traefik.certificate import DefaultCertificate, StoredCertificate
from tests.support.running import Running, running

PRIVATE = Surroundings("127.0.0.1:8900", is_private=True, writes_file=False)


class Shared(SqliteStore):
    """A store that has the certificate as well. A text fails with `failure`, and is stored all the same if `is_late`.

    While `hangs`, the store answers nothing.
    """

    certificate: str | None = None
    notified: datetime | None = None
    failure: StoreError | None = None
    is_late = False
    hangs = False

    async def save_certificate(self, text: str) -> None:
        self.certificate = text

    async def save_notified(self, at_utc: datetime) -> None:
        self.notified = at_utc

    async def save_desired(self, text: str, *, expect: str | None = None) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.failure is None or self.is_late:
            await super().save_desired(text, expect=expect)
        if self.failure is not None:
            raise self.failure


UNKNOWN = StoreUncertain("etcd did not answer")


@dataclass
class Applying:
    """A term at work, and what it has in its store."""

    daemon: Running
    store: Shared
    desired: StoredDesired
    loops: "list[asyncio.Task[None]]"

    async def apply(self, text: str, expect: str | None = None) -> Accepted:
        return await self.desired.apply(Submitted(text, "edit.yaml", "ann", expect))

    async def end(self) -> None:
        """End the loops, as the end of a term does."""
        for loop in self.loops:
            loop.cancel()
        await asyncio.gather(*self.loops, return_exceptions=True)

    @property
    def text(self) -> str | None:
        """The text in force."""
        return self.daemon.controller.state.texts.desired


@asynccontextmanager
async def applying(
    folder: Path, *, seed: Path | None = None, surroundings: Surroundings = PRIVATE
) -> AsyncIterator[Applying]:
    """Run a term on the store in `folder`."""
    async with running(folder, store=Shared, desired_in_store=True) as daemon:
        controller, store = daemon.controller, daemon.store
        assert isinstance(store, Shared)
        certificate = DefaultCertificate(
            StoredCertificate(store), controller.inputs.certificate_renewed, controller.inputs.certificate_fault
        )
        loader = Loader(controller, certificate, surroundings)
        desired = controller.desired_source = StoredDesired(store, loader, controller.inputs, seed)
        await desired.first(daemon.stored.desired_text, daemon.stored.applied)
        loops = [asyncio.ensure_future(loop()) for loop in desired.loops().values()]
        term = Applying(daemon, store, desired, loops)
        try:
            yield term
        finally:
            await term.end()
