"""`bluegreen demo`: releases on a real Traefik under a steady load, told as they happen.

Each story is in a module of its own; what it tells is checked as it is told, and the exit code says whether it was so.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from provider.demo.bad_release import BAD_RELEASE
from provider.demo.gates import GATES
from provider.demo.group import GROUP
from provider.demo.load import Load
from provider.demo.news import StoryFailed
from provider.demo.release import RELEASE
from provider.demo.rollback import ROLLBACK
from provider.demo.screen import Display, Screen
from provider.demo.stage import Stage
from provider.demo.story import Play, Story
from provider.errors import BluegreenError
from provider.model import Colour
from provider.traefik import find_binary

__all__ = ["STORIES", "StoryFailed", "tell"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STORIES: Mapping[str, Story] = MappingProxyType(
    {"release": RELEASE, "gates": GATES, "bad-release": BAD_RELEASE, "rollback": ROLLBACK, "group": GROUP}
)


async def tell(name: str = "release", *, keep: bool = False, traefik: str | None = None) -> int:
    """Tell one of STORIES on standard output; return how many requests failed that were not to fail in it.

    With `keep` everything runs on afterwards, until a signal. Whatever happens, everything that was started is stopped.

    Raises:
        TraefikError: there is no Traefik, it does not come up, or it died.
        StoryFailed: the daemon did, what was to be shown is not so, or a signal came before the end.
    """
    story = STORIES[name]
    binary, stop, screen = find_binary(traefik), asyncio.Event(), Screen()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    screen.title(story.title)
    screen.say("Start", "The daemon and Traefik start, on ports that are free.")
    try:
        async with asyncio.TaskGroup() as tasks:
            interruption = tasks.create_task(_interrupted(stop), name="interruption")
            async with Stage(binary, story.setting) as stage:
                async with _under_load(stage, screen, story) as play:
                    await story.tell(play)
                    interruption.cancel()
                    if keep:
                        play.addresses()
                        await stop.wait()
                screen.result(play.load, stage.applications, play.failed_by_themselves())
    except ExceptionGroup as group:
        raise _cause(group) from None
    return play.load.failures.total() - play.failed_by_themselves()


@asynccontextmanager
async def _under_load(stage: Stage, screen: Screen, story: Story) -> AsyncIterator[Play]:
    """Send requests and show what happens; at the end let the requests under way come to theirs."""
    load = Load(stage.traefik.url("web"), stage.setting.services.values(), stage.news)
    display = Display(stage, load, story.scenes)
    blue = {service: {Colour.BLUE.value: 100} for service in stage.setting.services}
    async with asyncio.TaskGroup() as tasks:
        looking = [
            tasks.create_task(stage.follow(), name="follow"),
            tasks.create_task(stage.read_documents(), name="read documents"),
        ]
        await stage.news.until(lambda: stage.applied == blue, "Traefik routes to blue")
        clients = tasks.create_task(load.run(), name="load")
        looking.append(tasks.create_task(screen.live(display), name="live display"))
        yield Play(stage, load, screen, display)
        load.stop()
        await clients
        for task in looking:
            task.cancel()


async def _interrupted(stop: asyncio.Event) -> None:
    await stop.wait()
    raise StoryFailed("interrupted; everything the demo started is stopped")


def _cause(group: ExceptionGroup[Exception]) -> Exception:
    """Return what ended the story: an error with words for people, where there is one."""
    found: Exception = group.subgroup(BluegreenError) or group
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found
