"""The document that this replica served last, on its own disk: for a start while etcd is away (rule 57)."""

from pathlib import Path
from typing import Protocol

import structlog

from provider.model.errors import StoreError
from provider.runtime.files import replace_file
from provider.runtime.threads import in_thread
from provider.store.etcd.documents import Numbered, read_document
from provider.store.etcd.packing import LARGEST_BYTES

log = structlog.get_logger("bluegreen")


class Kept(Protocol):
    """Where a replica keeps the value of the key `document`."""

    def load(self) -> bytes | None:
        """Return what was kept last, None where nothing was."""
        ...

    async def save(self, value: bytes) -> None:
        """Keep this instead. Raises OSError."""
        ...


class KeptFile:
    """A file in the state directory; it may hold private keys, so nobody else reads it."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "document"

    def load(self) -> bytes | None:
        """Return what was kept last. One that cannot be read is reported, and is none."""
        try:
            with self._path.open("rb") as file:
                return file.read(LARGEST_BYTES)
        except FileNotFoundError:
            return None
        except OSError as failure:
            log.warning("the kept document cannot be read", file=str(self._path), cause=failure.strerror)
            return None

    async def save(self, value: bytes) -> None:
        """Keep this instead. Raises OSError."""
        await in_thread(lambda: replace_file(self._path, value, mode=0o600), name="keep the document")


def kept_document(kept: Kept) -> Numbered | None:
    """Return the document that was kept, None where there is none that can be read."""
    value = kept.load()
    if value is None:
        return None
    try:
        return read_document(value, b"the kept document")
    except StoreError as failure:
        log.warning("the kept document cannot be read", cause=str(failure))
        return None
