"""Two bad releases, one found by its smoke test and one by the watch, and a good one."""

from datetime import UTC, datetime

from provider.cli.demo.application import Application
from provider.cli.demo.play import Play, Story
from provider.cli.demo.stage import SHOP, Setting
from provider.model import Outcome, Phase


async def run(play: Play) -> None:
    """Play it; only requests to the release that goes bad may fail."""
    blue = await play.opening()
    await _found_by_its_test(play, blue)
    await _found_by_the_watch(play, blue)
    await _fixed(play)
    play.scene("end")


async def _found_by_its_test(play: Play, blue: Application) -> None:
    play.scene("version 2 fails its test")
    broken = await play.start("2")
    broken.passes_test = False
    play.stage.edit(broken)
    play.say("Version 2", "It starts on green and is healthy, but its checkout fails.")
    await play.until("version 2 quarantined", lambda: play.is_quarantined(broken, Outcome.ABORTED))
    end = await play.decision("gates-failed")
    play.say("Smoke", f"The rollout is aborted. The history says: {end['detail']}")
    waits = next((line for line in play.status["explanation"] if "quarantined" in line), "")
    play.check("explain says that version 2 is quarantined", waits)
    await play.answers(blue)
    play.check("version 1 stayed active", play.is_active(blue))
    play.check("no request of the load reached version 2", broken.visits == 0)
    play.say("Explained", f"bluegreen explain {SHOP} says: {waits}")
    play.say("Traffic", "No client request has reached version 2.")


async def _found_by_the_watch(play: Play, blue: Application) -> None:
    play.scene("version 3 goes bad")
    bad = await play.start("3")
    begun_s = play.now_s()
    play.stage.edit(bad)
    play.say("Version 3", "The checkout works again. An edit of the file names version 3 on green.")
    await play.first_answer(bad, begun_s)
    await play.until_confirmed(bad)
    play.check("version 3 passed its smoke test before its first request", bad.tests_before_visit)
    play.say("Switched", "It passed every gate, serves traffic, and is watched.")
    await play.answers(bad)
    play.check("no request has failed so far", not play.load.failures)
    bad_s, bad_utc = play.now_s(), datetime.now(UTC)
    bad.is_bad = True
    play.say("Bad", "Now version 3 loses its database: it answers everything with 500.")
    took_s = await play.first_answer(blue, bad_s)
    await play.until("version 3 quarantined", lambda: play.is_quarantined(bad, Outcome.ROLLED_BACK))
    end = await play.decision("rolled-back")
    decided_s = (datetime.fromisoformat(end["at"]) - bad_utc).total_seconds()
    await play.answers(blue)
    failed = play.load.failures.total()
    play.check("only requests that version 3 answered have failed", 0 < failed == play.failed_by_themselves())
    play.check("the watch, and nobody else, rolled version 3 back", end["trigger"] == "watch" and end["actor"] is None)
    play.say(
        "Back",
        f"The daemon rolled back by itself, {decided_s:.1f} s after version 3 went bad; version 1 answered after "
        f"{took_s:.1f} s. In between version 3 failed {failed:,} requests; no other request failed. The history says: "
        f"{end['detail']}",
    )


async def _fixed(play: Play) -> None:
    play.scene("version 4")
    failed = play.load.failures.total()
    fixed = await play.start("4")
    begun_s = play.now_s()
    play.stage.edit(fixed)
    play.say(
        "Version 4",
        "Version 3 is quarantined and not retried automatically. Version 4 is a new release, so it is rolled out.",
    )
    took_s = await play.first_answer(fixed, begun_s)
    await play.until_confirmed(fixed)
    await play.until_phase(Phase.STEADY)
    play.check("version 4 stayed active", play.is_active(fixed))
    play.check("no further request failed", play.load.failures.total() == failed)
    play.say("Steady", f"It passed every gate, answered after {took_s:.1f} s, was confirmed, and its watch is over.")


BAD_RELEASE = Story(
    title="Two bad releases and a good one, on a real Traefik under a steady load",
    scenes=("blue", "version 2 fails its test", "version 3 goes bad", "version 4", "end"),
    setting=Setting(services={SHOP: "/"}, watch="6s"),
    run=run,
)
