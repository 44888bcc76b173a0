"""Reading back from Traefik as the daemon does."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

from provider.model import Protocol
from provider.runtime.resolver import look_up
from provider.traefik.readback import ReadBack, Reading
from provider.traefik.readback.reading import Name
from provider.traefik.readback.schedule import Resolve
from tests.support.waiting import eventually

MARKER = "bluegreen-0123456789ab"
Found = TypeVar("Found")


def in_http(found: Mapping[str, Found]) -> dict[Name, Found]:
    """Say that all of these are names of Traefik's section http."""
    return {(Protocol.HTTP, name): one for name, one in found.items()}


class Record:
    """The reports of a ReadBack: the readings of each Traefik in order, and which are gone."""

    def __init__(self) -> None:
        self.readings: list[Reading] = []
        self.gone: list[str] = []

    def last(self, traefik: str) -> Reading | None:
        return next((reading for reading in reversed(self.readings) if reading.traefik == traefik), None)

    async def shows(self, traefik: str, marker: str) -> Reading:
        """Wait until this marker is what was reported last, and return the reading."""
        await eventually(lambda: self.marker(traefik) == marker)
        last = self.last(traefik)
        assert last is not None
        return last

    def cause(self, traefik: str) -> str | None:
        last = self.last(traefik)
        return last.cause if last else None

    def marker(self, traefik: str) -> str | None:
        last = self.last(traefik)
        return last.marker if last else None


@asynccontextmanager
async def reading_back(
    *urls: str, marker: str | None = MARKER, resolve: Resolve = look_up
) -> AsyncIterator[tuple[ReadBack, Record]]:
    """Read back from these URLs as the daemon does; it must end by being cancelled and leave nothing behind."""
    record = Record()
    back = ReadBack(on_reading=record.readings.append, on_gone=record.gone.append, resolve=resolve)
    back.set_apis(urls)
    if marker is not None:
        back.set_document(marker)
    task = asyncio.create_task(back.run())
    try:
        yield back, record
        assert not task.done()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("read back")]


class Names:
    """A name server: `addresses` is what it says to every name, None that it does not answer."""

    def __init__(self, *addresses: str) -> None:
        self.addresses: tuple[str, ...] | None = addresses

    async def __call__(self, _host: str, _port: int) -> tuple[str, ...]:
        if self.addresses is None:
            raise OSError(-3, "Temporary failure in name resolution")
        return self.addresses
