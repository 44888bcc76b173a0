"""The default story: a release, and a rollback by one command."""

from datetime import UTC, datetime

from provider.cli.demo.application import Application
from provider.cli.demo.play import Play, Story
from provider.cli.demo.stage import SHOP, Setting
from provider.model import ColourState, Outcome, Verb


async def run(play: Play) -> None:
    """Play it; no request may fail."""
    blue = await play.opening()
    green = await _release(play, blue)
    await _roll_back(play, blue, green)
    play.scene("end")


async def _release(play: Play, blue: Application) -> Application:
    play.scene("gates")
    revision = play.status["revision"]
    green = await play.start("2")
    green.is_warm = False
    edited_s, edited_utc = play.now_s(), datetime.now(UTC)
    play.stage.edit(green)
    play.say(
        "Release",
        "Version 2 starts on green, and an edit of the file names it. It takes a while to warm up: "
        "a request that reached it now would fail.",
    )
    await play.until("green found unhealthy", lambda: play.status["colours"]["green"]["state"] == ColourState.UNHEALTHY)
    play.say("Gate", f"Closed. The daemon says: {play.status['blocking']}")
    await play.answers(blue)
    green.is_warm = True
    took_s = await play.first_answer(green, edited_s)
    await play.until_active(green)
    after = await play.next_revision(revision)
    gate_s = (datetime.fromisoformat(play.status["switched"]) - edited_utc).total_seconds()
    play.check("version 2 passed 3 health checks before its first request", green.checks_before_visit >= 3)
    play.check("version 2 passed its smoke test before its first request", green.tests_before_visit)
    play.scene("version 2 on green")
    play.say(
        "Gates",
        f"Open after {gate_s:.1f} s. Version 2 had passed {green.checks_before_visit} health checks in a row, and its "
        "smoke test, before the first request reached it.",
    )
    play.say(
        "Switch",
        f"All traffic moved to green in one document (revision {revision} became {after}). "
        f"Version 2 answered {took_s - gate_s:.1f} s after the gates opened, {took_s:.1f} s after the edit.",
    )
    await play.until_confirmed(green)
    proof = await play.decision("confirmed")
    play.say("Confirmed", f"By Traefik's own API: {'; '.join(proof['evidence'])}. Version 2 is watched now.")
    await play.answers(green)
    return green


async def _roll_back(play: Play, blue: Application, green: Application) -> None:
    play.scene("rollback")
    play.say(
        "Rollback",
        "Suppose version 2 is bad all the same. Version 1 still runs, so nothing needs to start. An operator types: "
        f"bluegreen rollback {SHOP}",
    )
    begun_s, release, revision = play.now_s(), play.release_of(green), play.status["revision"]
    done = await play.command("ann", Verb.ROLLBACK, **{"from": release})
    play.check(f"the rollback is done at once, not {done}", done.status == 200)
    took_s = await play.first_answer(blue, begun_s)
    after = await play.next_revision(revision)
    play.check("version 2 is quarantined", play.is_quarantined(green, Outcome.ROLLED_BACK))
    play.say(
        "Back",
        f"Version 1 answered {took_s:.1f} s after the command (revision {after}). Version 2 is "
        "quarantined: it is not retried automatically.",
    )
    await play.answers(blue)


RELEASE = Story(
    title="A release and a rollback, on a real Traefik under a steady load",
    scenes=("version 1 on blue", "gates", "version 2 on green", "rollback", "end"),
    setting=Setting(services={SHOP: "/"}, watch="1m"),
    run=run,
)
