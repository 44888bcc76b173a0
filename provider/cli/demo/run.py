"""Plays one story: starts everything, sends the load, prints what happens, and stops everything."""

import asyncio
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from types import MappingProxyType

from provider.cli.demo.load import Load
from provider.cli.demo.play import Play, Story
from provider.cli.demo.screen import Display, Screen
from provider.cli.demo.stage import Stage
from provider.cli.demo.stories.bad_release import BAD_RELEASE
from provider.cli.demo.stories.canary import CANARY
from provider.cli.demo.stories.gates import GATES
from provider.cli.demo.stories.group import GROUP
from provider.cli.demo.stories.release import RELEASE
from provider.cli.demo.stories.replicas import REPLICAS
from provider.cli.demo.stories.rollback import ROLLBACK
from provider.cli.demo.stories.sessions import SESSIONS
from provider.cli.demo.wait import StoryFailed
from provider.model import Colour
from provider.model.errors import BluegreenError
from provider.traefik.process import find_binary

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
STORIES: Mapping[str, Story] = MappingProxyType(
    {
        "release": RELEASE,
        "gates": GATES,
        "bad-release": BAD_RELEASE,
        "rollback": ROLLBACK,
        "group": GROUP,
        "canary": CANARY,
        "sessions": SESSIONS,
        "replicas": REPLICAS,
    }
)


async def play(name: str = "release", *, keep: bool = False, traefik: str | None = None) -> int:
    """Play one of STORIES on standard output; return how many requests failed that must not fail.

    With `keep` everything runs on at the end, until a signal. Whatever happens, everything that was started is stopped.

    Raises:
        TraefikError: there is no Traefik, or it does not start or died.
        EtcdMissing: the story needs etcd, and there is none.
        StoryFailed: the daemon died, a statement does not hold, or a signal came before the end.
    """
    story = STORIES[name]
    everything = story.stage(find_binary(traefik), story.setting)
    stop, screen = asyncio.Event(), Screen()
    for number in SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    screen.title(story.title)
    screen.say("Start", everything.starts)
    try:
        async with asyncio.TaskGroup() as tasks:
            interruption = tasks.create_task(_interrupted(stop), name="interruption")
            async with everything as stage:
                async with _under_load(stage, screen, story) as play:
                    await story.run(play)
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
    """Send requests and show what happens; at the end let the requests under way finish."""
    load = Load(stage.traefik.url("web"), stage.setting.services.values(), stage.waiter, stage.other_entries)
    display = Display(stage, load, story.scenes)
    blue = {service: {Colour.BLUE.value: 100} for service in stage.setting.services}
    async with asyncio.TaskGroup() as tasks:
        looking = [
            tasks.create_task(stage.follow(), name="follow"),
            tasks.create_task(stage.read_documents(), name="read documents"),
        ]
        await stage.waiter.until(lambda: stage.applied == blue, "Traefik routes to blue")
        clients = tasks.create_task(load.run(), name="load")
        looking.append(tasks.create_task(screen.live(display), name="live display"))
        yield Play(stage, load, screen, display)
        load.stop()
        await clients
        for task in looking:
            task.cancel()


async def _interrupted(stop: asyncio.Event) -> None:
    await stop.wait()
    raise StoryFailed("interrupted; everything that the demo started is stopped")


def _cause(group: ExceptionGroup[Exception]) -> Exception:
    """Return what ended the story: an error with a text for people, if there is one."""
    found: Exception = group.subgroup(BluegreenError) or group
    while isinstance(found, ExceptionGroup):
        found = found.exceptions[0]
    return found
