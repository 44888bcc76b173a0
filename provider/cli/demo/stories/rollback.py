"""A rollback by a command, asked for twice, and a retry."""

from provider.cli.demo.application import Application
from provider.cli.demo.play import Play, Story
from provider.cli.demo.stage import SHOP, Setting
from provider.model import Outcome, Phase, Verb


async def run(play: Play) -> None:
    """Play it; no request may fail."""
    blue = await play.opening()
    play.scene("version 2 on green")
    green = await play.start("2")
    begun_s = play.now_s()
    play.stage.edit(green)
    play.say("Release", "Version 2 starts on green, and an edit of the file names it.")
    took_s = await play.first_answer(green, begun_s)
    await play.until_confirmed(green)
    await play.until_phase(Phase.STEADY)
    await play.until("version 1 ready as the rollback target", lambda: play.status["rollback"]["ready"])
    play.say(
        "Steady",
        f"Version 2 passed its gates and answered after {took_s:.1f} s; Traefik's API confirmed the switch, and the "
        "watch is over. Version 1 keeps running, as the rollback target.",
    )
    await play.answers(green)
    release = play.release_of(green)
    await _back(play, blue, green)
    await _second(play, blue, release)
    await _again(play, green)
    play.scene("end")


async def _back(play: Play, blue: Application, green: Application) -> None:
    play.scene("rollback")
    play.say("Rollback", f"At three in the morning Ann does not like version 2. She types: bluegreen rollback {SHOP}")
    begun_s, release = play.now_s(), play.release_of(green)
    done = await play.command("ann", Verb.ROLLBACK, reason="customers complain", **{"from": release})
    play.check(f"the rollback is done at once, not {done}", done.status == 200 and not done.content["already"])
    took_s = await play.first_answer(blue, begun_s)
    play.say(
        "Back",
        f"Version 1 answered {took_s * 1000:,.0f} ms after the command. The decision was on disk after "
        f"{done.took_s * 1000:,.0f} ms; the rest is Traefik, which polls each second. "
        f"Release {release} is quarantined.",
    )
    play.check("version 2 is quarantined", play.is_quarantined(green, Outcome.ROLLED_BACK))


async def _second(play: Play, blue: Application, release: str) -> None:
    play.scene("once more")
    revision = play.status["revision"]
    done = await play.command("bob", Verb.ROLLBACK, reason="me too", **{"from": release})
    play.check(f"the second rollback has nothing to do, not {done}", done.status == 200 and done.content["already"])
    play.say(
        "Once more",
        "Bob saw version 2 active, too, and types the same; the command names the release to leave. "
        f"The daemon answers: {done.content['detail']}. Nothing else happens.",
    )
    await play.answers(blue)
    play.check("the second rollback changed nothing", play.is_active(blue) and play.status["revision"] == revision)


async def _again(play: Play, green: Application) -> None:
    play.scene("retry")
    tests = green.tests
    begun_s = play.now_s()
    done = await play.command("ann", Verb.RETRY, reason="it was the mail server")
    play.check(f"the retry begins a rollout, not {done}", done.status == 202)
    play.say("Retry", f"Version 2 was not the cause. Ann types: bluegreen retry {SHOP}")
    took_s = await play.first_answer(green, begun_s)
    play.check("version 2 passed its smoke test again", green.tests > tests)
    await play.until_confirmed(green)
    await play.until_phase(Phase.STEADY)
    play.check("version 2 stayed active", play.is_active(green))
    play.check("nothing is quarantined any more", not play.status["quarantined"])
    play.say(
        "Gates",
        f"It passed every gate again, the smoke test as well, and answered after {took_s:.1f} s: confirmed, watched, "
        "steady.",
    )


ROLLBACK = Story(
    title="Rollback by one command, on a real Traefik under a steady load",
    scenes=("version 1 on blue", "version 2 on green", "rollback", "once more", "retry", "end"),
    setting=Setting(services={SHOP: "/"}, watch="2s"),
    run=run,
)
