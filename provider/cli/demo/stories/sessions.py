"""A release in steps to a service with sessions: no session moves before the last step."""

from contextlib import AsyncExitStack

from provider.cli.demo.play import Play, Story
from provider.cli.demo.stage import SHOP, Setting
from provider.cli.demo.stories.canary import until_step
from provider.cli.demo.visitors import Visitors
from provider.model import Phase, Verb

WEIGHTS = (25, 50)
VISITORS = 100


async def run(play: Play) -> None:
    """Play it; no request may fail."""
    blue = await play.opening()
    async with AsyncExitStack() as stack:
        visitors = Visitors(stack, play.stage.traefik.url("web"))
        await visitors.come(VISITORS)
        play.check("all visitors are at version 1", set(visitors.versions) == {blue.text})
        play.say("Sessions", f"{VISITORS} visitors come with a browser each. Traefik's cookie binds them to version 1.")
        play.scene("version 2, step by step")
        green = await play.start("2")
        play.stage.edit(green)
        for number, weight in enumerate(WEIGHTS, 1):
            await until_step(play, number)
            await play.until("Traefik shows the step", lambda: play.status["confirmed"])
            before = len(visitors.versions)
            await visitors.come(VISITORS)
            new = visitors.versions[before:].count(green.text)
            moved = await visitors.return_()
            play.check("no session moved", moved == 0)
            play.say(
                f"Step {number}",
                f"{weight} % of new sessions: {new} of {VISITORS} new visitors got version 2. All {before} earlier "
                "ones came again: 0 moved.",
            )
            done = await play.command("ann", Verb.PROMOTE, reason="looks good")
            play.check(f"the step is promoted, not {done}", done.status in {200, 202})
        play.scene("all of the traffic")
        await play.until_active(green)
        await play.until_confirmed(green)
        moved = await visitors.return_()
        play.check("every visitor is at version 2", set(visitors.versions) == {green.text})
        play.say("Switched", f"After the last step the {moved} sessions of version 1 go on at version 2.")
        await play.until_phase(Phase.STEADY)
    play.scene("end")


SESSIONS = Story(
    title="A release in steps that moves no session, on a real Traefik",
    scenes=("version 1 on blue", "version 2, step by step", "all of the traffic", "end"),
    setting=Setting(
        services={SHOP: "/"},
        watch="2s",
        defaults=(
            "sticky: {cookie: {name: shop}}",
            "canary: {steps: [{weight: 25, for: 1h}, {weight: 50, for: 1h}]}",
        ),
    ),
    run=run,
)
