"""Who waits for a document gets it, and everybody is let go at the end."""

import asyncio

from provider.controller.publication import Publication, Published
from provider.model.document import Document

ONE = Published(Document(b"{}", '"1"', "bluegreen-000000000001"), 1)
TWO = Published(Document(b"{}", '"2"', "bluegreen-000000000002"), 2)


async def waiting(publication: Publication, known: Published | None) -> asyncio.Task[Published | None]:
    """Begin to wait, and see that there is nothing new."""
    task = asyncio.create_task(publication.after(known))
    for _ in range(10):
        await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_all_who_wait_get_the_next_document_and_who_knows_less_gets_the_last_at_once() -> None:
    publication = Publication()
    first = await waiting(publication, None)
    publication.put(ONE)
    assert await first is ONE
    assert await publication.after(None) is ONE
    many = [await waiting(publication, ONE) for _ in range(3)]
    publication.put(TWO)
    assert await asyncio.gather(*many) == [TWO] * 3


async def test_who_wakes_late_gets_the_last_document_not_the_next() -> None:
    publication = Publication()
    late = await waiting(publication, None)
    publication.put(ONE)
    publication.put(TWO)
    assert await late is TWO


async def test_at_the_end_everybody_gets_what_there_is_and_nobody_waits_any_more() -> None:
    publication = Publication()
    publication.put(ONE)
    held = await waiting(publication, ONE)
    publication.close()
    assert await held is ONE
    assert await publication.after(ONE) is ONE
