"""The document that Traefik gets until there is a newer one, and those who wait for that."""

import asyncio
from dataclasses import dataclass

from provider.model.document import Document
from provider.traefik.document.render import NO_PASS_THROUGH, Block, PassThrough


@dataclass(frozen=True, slots=True)
class Published:
    """A document and its number; where it was made here, also what it was composed of."""

    document: Document
    revision: int
    blocks: tuple[Block, ...] = ()
    extra: PassThrough = NO_PASS_THROUGH
    is_from_here: bool = True


class Publication:
    """What was published last; None before the first document. Whoever waits for a change is woken at once."""

    def __init__(self) -> None:
        self.last: Published | None = None
        self._changed = asyncio.Event()
        self._is_over = False

    def put(self, published: Published) -> None:
        """Publish a document, unless a later one was: a replica learns of them in any order (P6)."""
        if self.last is not None and published.revision < self.last.revision:
            return
        self.last = published
        self._wake()

    def close(self) -> None:
        """Let everybody who waits go, and nobody wait any more: the daemon ends."""
        self._is_over = True
        self._wake()

    async def after(self, known: Published | None) -> Published | None:
        """Wait until something else than `known` is published, and return it; at the end, what there is."""
        while self.last is known and not self._is_over:
            await self._changed.wait()
        return self.last

    def _wake(self) -> None:
        """Two hundred who wait share one event; those who come later wait for the next."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def until_sent() -> None:
    """Let the polls that are held be answered, and what they are answered with be written to the network."""
    for _ in ("answered", "written"):
        await asyncio.sleep(0)
