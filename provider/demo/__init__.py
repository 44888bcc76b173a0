"""`bluegreen demo`: a release and the way back, on a real Traefik under a steady load, told as it happens."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from provider.demo.load import Load
from provider.demo.news import StoryFailed
from provider.demo.screen import Display, Screen
from provider.demo.stage import Stage
from provider.demo.story import Story
from provider.errors import BluegreenError
from provider.model import Colour
from provider.traefik import find_binary

__all__ = ["StoryFailed", "tell"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def tell(*, keep: bool = False, traefik: str | None = None) -> int:
    """Tell the story on standard output; return how many requests failed.

    With `keep` everything runs on afterwards, until a signal. Whatever happens, everything that was started is stopped.

    Raises:
        TraefikError: there is no Traefik, it does not come up, or it died.
        StoryFailed: the daemon did, the story does not go on, or a signal came before its end.
    """
    binary, stop, screen = find_binary(traefik), asyncio.Event(), Screen()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    screen.title("A release and the way back, on a real Traefik under a steady load")
    screen.say("Start", "The daemon and Traefik start, on ports that are free.")
    try:
        async with asyncio.TaskGroup() as tasks:
            interruption = tasks.create_task(_interrupted(stop), name="interruption")
            async with Stage(binary) as stage:
                async with _under_load(stage, screen) as story:
                    await story.tell()
                    interruption.cancel()
                    if keep:
                        story.tell_addresses()
                        await stop.wait()
                screen.result(story.load, stage.applications)
    except ExceptionGroup as group:
        raise _cause(group) from None
    return story.load.failures.total()


@asynccontextmanager
async def _under_load(stage: Stage, screen: Screen) -> AsyncIterator[Story]:
    """Send requests and show what happens; at the end let the requests under way come to theirs."""
    load = Load(stage.traefik.url("web"), stage.news)
    display = Display(stage, load)
    async with asyncio.TaskGroup() as tasks:
        following = tasks.create_task(stage.follow(), name="follow")
        await stage.news.until(lambda: stage.applied == {Colour.BLUE: 100}, "Traefik routes to blue")
        clients = tasks.create_task(load.run(), name="load")
        showing = tasks.create_task(screen.live(display), name="live display")
        yield Story(stage, load, screen, display)
        load.stop()
        await clients
        following.cancel()
        showing.cancel()


async def _interrupted(stop: asyncio.Event) -> None:
    await stop.wait()
    raise StoryFailed("interrupted; everything the demo started is stopped")


def _cause(group: ExceptionGroup[Exception]) -> Exception:
    """Return what ended the story: an error with words for people, where there is one."""
    found: Exception = group.subgroup(BluegreenError) or group
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found
